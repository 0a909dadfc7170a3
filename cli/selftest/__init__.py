"""sottovoce.cli.selftest: does the installed package compute the right thing on this machine?

* :mod:`~sottovoce.cli.selftest.check` -- what a check is, and the register of all.
* ``answers_clsc``, ``answers_he``, ``answers_rs``, ``answers_fl``: known answers, read by
  :mod:`~sottovoce.cli.selftest.answers` from the vectors that the wheel carries.
* ``props_clsc``, ``props_he``, ``props_rs``, ``props_fl``, ``props_kernels``: properties that must hold for
  any input; hypothesis draws the inputs (extra ``selftest``).
* :mod:`~sottovoce.cli.selftest.running` -- runs them within a number of examples and seconds.
* :mod:`~sottovoce.cli.selftest.report` -- lines and JSON.

The folder ``vectors`` beside these modules is ``tests/vectors`` of the checkout: the suite and the wheel
read the same files.  No check is an ``assert``, which ``python -O`` would leave out.
"""

from __future__ import annotations

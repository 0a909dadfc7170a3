"""sottovoce.cli.demo: a federated training on real data through the whole stack.

* :mod:`~sottovoce.cli.demo.data` -- scikit-learn's digits and their unequal shares.
* :mod:`~sottovoce.cli.demo.model` -- the perceptron; :mod:`~sottovoce.cli.demo.train` -- plain
  federated averaging, the yardstick.
* :mod:`~sottovoce.cli.demo.run` -- the private run beside two plain ones, and the checks.
* :mod:`~sottovoce.cli.demo.report`, :mod:`~sottovoce.cli.demo.plot` -- tables, JSON, picture.
* :mod:`~sottovoce.cli.demo.options` -- what the command line decides.

Needs the extra ``demo`` (scikit-learn, matplotlib).  Nothing here is cryptography: that is
:mod:`sottovoce.fl` and what it uses.
"""

from __future__ import annotations

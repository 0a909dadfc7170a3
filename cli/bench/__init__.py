"""sottovoce.cli.bench: what the installed package does on this machine.

* :mod:`~sottovoce.cli.bench.measurement` -- what a measurement is, and the register of all.
* ``areas`` names the areas; ``of_clsc``, ``of_he``, ``of_rs``, ``of_fl`` hold their measurements.
* ``clsc_parts``, ``clsc_plain``, ``clsc_world``: the primitives of :mod:`sottovoce.clsc`, the plain
  alternative to it, and the people of its measurements.
* :mod:`~sottovoce.cli.bench.harness` -- timing: warm-up, interleaved samples, median and spread.
* ``command`` runs what :mod:`~sottovoce.cli.bench.options` has checked; ``results`` are what comes out.
* ``report`` -- tables; :mod:`~sottovoce.cli.bench.record` -- the JSON; ``plot`` draws it, and ``compare``
  holds two of them beside each other.

``benches/`` in the checkout runs the same measurements under pytest-benchmark.
"""

from __future__ import annotations

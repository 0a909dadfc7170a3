"""Measurements of ``sottovoce.rs`` and of their peers; they live in ``sottovoce.cli.bench.of_rs``."""

from sottovoce.cli.bench.areas import Area

AREA = Area.RS


def test_rs(timed, case):
    timed(case)

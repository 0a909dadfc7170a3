"""Measurements of ``sottovoce.clsc`` and of their peers; they live in ``sottovoce.cli.bench.of_clsc``."""

from sottovoce.cli.bench.areas import Area

AREA = Area.CLSC


def test_clsc(timed, case):
    timed(case)

"""Measurements of ``sottovoce.fl`` and of their peers; they live in ``sottovoce.cli.bench.of_fl``."""

from sottovoce.cli.bench.areas import Area

AREA = Area.FL


def test_fl(timed, case):
    timed(case)

"""Measurements of ``sottovoce.he`` and of their peers; they live in ``sottovoce.cli.bench.of_he``."""

from sottovoce.cli.bench.areas import Area

AREA = Area.HE


def test_he(timed, case):
    timed(case)

"""Names that the command line needs for ``--help``; imports nothing, so that it answers at once."""

from __future__ import annotations

from enum import StrEnum


class Area(StrEnum):
    """A package to measure, or all of them."""

    CLSC = "clsc"
    HE = "he"
    RS = "rs"
    FL = "fl"
    ALL = "all"

    @property
    def members(self) -> tuple[Area, ...]:
        """The single areas that this one stands for."""
        return tuple(a for a in Area if a is not Area.ALL) if self is Area.ALL else (self,)


class Level(StrEnum):
    """A ceiling of the compiled back ends, as :data:`sottovoce._ext.kernel.LEVELS` has them."""

    PORTABLE = "portable"
    AVX2 = "avx2"
    AVX512 = "avx512"
    NEON = "neon"

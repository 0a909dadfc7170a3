"""The areas of measurement; imports nothing, because the command line needs the names for ``--help``."""

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

"""Numbers as arguments: what Python takes for an index will do, and a bool will not."""

from __future__ import annotations

import operator
from typing import SupportsIndex, cast

import numpy as np


def integer(name: str, value: object) -> int:
    """``value`` as an int: an int, numpy's integers, whatever else has ``__index__``.

    A bool has it too, but is a slip of the caller, who has mixed up two arguments.

    Raises:
        TypeError: Anything else.
    """
    if not isinstance(value, bool | np.bool_):
        try:
            return operator.index(cast("SupportsIndex", value))
        except TypeError:
            pass
    raise TypeError(f"{name}: int expected, got {type(value).__name__}")

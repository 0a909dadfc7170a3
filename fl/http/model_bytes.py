"""A global model on the wire: the values alone, little-endian, one array after the other.

Shapes and dtypes stand in the header of the round, and so does the digest of all of it.
"""

from __future__ import annotations

from collections.abc import Sequence
from math import prod

import numpy as np
from numpy.typing import NDArray

from ... import he
from ..._ext.errors import DecodeError

Arrays = list[NDArray[np.floating]]
"""A global model."""


def dump(arrays: Sequence[NDArray[np.floating]]) -> bytes:
    """The values of a model."""
    return b"".join(np.ascontiguousarray(a, dtype=a.dtype.newbyteorder("<")).tobytes() for a in arrays)


def n_bytes(layout: he.ModelLayout) -> int:
    """Length of a model of this layout."""
    return sum(
        prod(shape) * np.dtype(dtype).itemsize
        for shape, dtype in zip(layout.shapes, layout.dtypes, strict=True)
    )


def load(data: bytes, layout: he.ModelLayout) -> Arrays:
    """Inverse of :func:`dump`; whoever calls it compares the digest.

    Raises:
        DecodeError: Another length.
    """
    if len(data) != n_bytes(layout):
        raise DecodeError(f"model: {n_bytes(layout)} bytes expected, got {len(data)}")
    arrays: Arrays = []
    at = 0
    for shape, name in zip(layout.shapes, layout.dtypes, strict=True):
        dtype = np.dtype(name)
        end = at + prod(shape) * dtype.itemsize
        values = np.frombuffer(data[at:end], dtype=dtype.newbyteorder("<")).astype(dtype)
        arrays.append(values.reshape(shape))
        at = end
    return arrays

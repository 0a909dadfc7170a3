"""The global model of a round: its digest names what a client trained on."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from .. import he
from .._ext.enc import enc
from .._ext.errors import RangeError

Arrays = Sequence[NDArray[np.floating]]


def model_digest(arrays: Arrays) -> bytes:
    """SHA-256 over layout and values of a model, 32 bytes.

    Two models have one digest only if shapes, dtypes and every bit of every value agree (so ``0.0`` and
    ``-0.0`` differ).

    Args:
        arrays: The model as a list of float16, float32 or float64 arrays, any strides; read, never kept.

    Returns:
        SHA-256 of ``enc("SOTTOVOCE-V1-MODEL", layout)`` and the values, little-endian and in C order.

    Raises:
        ParameterError: No array, or an unsupported dtype.
        RangeError: NaN or infinity; names the array and the index in it.

    Source: docs/fl.md, "Messages".
    """
    layout = he.ModelLayout.of(arrays)
    digest = hashlib.sha256(enc("SOTTOVOCE-V1-MODEL", layout.to_bytes()))
    for i, array in enumerate(arrays):
        finite = np.isfinite(array)
        if not finite.all():
            where = tuple(int(n) for n in np.unravel_index(int(np.argmin(finite)), array.shape))
            raise RangeError(f"array {i}, index {where}: not a finite number")
        # Little-endian, C order: the same bytes on every machine.
        little = np.ascontiguousarray(array, dtype=array.dtype.newbyteorder("<"))
        digest.update(little.reshape(-1).view(np.uint8).data)
    return digest.digest()

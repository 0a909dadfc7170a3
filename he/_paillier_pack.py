"""Signed integers to big integers and back: ``M = sum v_j 2^(w j)``, borrows included.

With ``u_j = v_j + 2^(w-1)``, which is never negative, ``M`` is the bit string of the ``u_j`` minus the
constant ``2^(w-1) sum 2^(w j)``.  Taking the string apart after adding the constant again gives what
decoding low slot first, extending the sign, subtracting and shifting gives, and numpy does it for a whole
block at a time.
"""

from __future__ import annotations

from functools import lru_cache

import numpy as np
from gmpy2 import mpz
from numpy.typing import NDArray

from .._ext.errors import ParameterError, RangeError
from ._paillier_params import Params

BLOCK = 512
"""Ciphertexts at a time: the bits of a block, one byte each, stay in the cache."""


@lru_cache(maxsize=64)
def offset(slots: int, slot_bits: int) -> int:
    """``2^(w-1) sum_{j < slots} 2^(w j)``."""
    ones: int = (mpz(1) << (slots * slot_bits)) - 1
    return (ones // ((1 << slot_bits) - 1)) << (slot_bits - 1)


def checked(params: Params, values: NDArray[np.int64]) -> NDArray[np.int64]:
    """A padded copy of shape ``(n_ciphertexts, slots)``, every value in range.

    Raises:
        TypeError: Not an int64 array, or a masked one: the masked numbers would be encrypted.
        ParameterError: Another shape.
        RangeError: A value is too large; tells the index and the bound.
    """
    if (
        not isinstance(values, np.ndarray)
        or isinstance(values, np.ma.MaskedArray)
        or values.dtype != np.int64
    ):
        raise TypeError("values: int64 array without a mask expected")
    if values.shape != (params.n_slots,):
        raise ParameterError(f"values: shape ({params.n_slots},) expected, got {values.shape}")
    # Copied before they are checked: another thread may write to the caller's array meanwhile.
    out = np.zeros(params.n_ciphertexts * params.slots, np.int64)
    out[: params.n_slots] = values
    bound = params.max_value
    bad = (out > bound) | (out < -bound)
    if bad.any():
        index = int(np.argmax(bad))
        out.fill(0)
        raise RangeError(f"values, index {index}: not within +-{bound}")
    return out.reshape(-1, params.slots)


def pack(params: Params, block: NDArray[np.int64]) -> list[int]:
    """Rows of :func:`checked` to signed integers."""
    w = params.slot_bits
    shifted = (block + np.int64(1 << (w - 1))).astype("<u8")
    bits = np.unpackbits(shifted.reshape(-1, 1).view(np.uint8), axis=1, count=w, bitorder="little")
    rows = np.packbits(bits.reshape(len(block), -1), axis=1, bitorder="little")
    minus = offset(params.slots, w)
    return [mpz.from_bytes(row.tobytes(), "little") - minus for row in rows]


def unpack(params: Params, numbers: list[int]) -> tuple[NDArray[np.int64], bool]:
    """Signed integers to rows of ``slots`` values, and whether all were in the range of packed ones."""
    w, slots = params.slot_bits, params.slots
    out = np.empty((len(numbers), slots), np.int64)
    plus, mask = offset(slots, w), (mpz(1) << (slots * w)) - 1
    n_bytes = (slots * w + 7) // 8
    fits = True
    for start in range(0, len(numbers), BLOCK):
        block = [number + plus for number in numbers[start : start + BLOCK]]
        fits &= all(0 <= number <= mask for number in block)
        raw = b"".join((number & mask).to_bytes(n_bytes, "little") for number in block)
        rows = np.frombuffer(raw, np.uint8).reshape(len(block), n_bytes)
        bits = np.unpackbits(rows, axis=1, count=slots * w, bitorder="little").reshape(-1, w)
        words = np.zeros((len(bits), 8), np.uint8)
        words[:, : (w + 7) // 8] = np.packbits(bits, axis=1, bitorder="little")
        values = words.view("<u8").reshape(len(block), slots).astype(np.int64)
        out[start : start + len(block)] = values - np.int64(1 << (w - 1))
    return out, fits

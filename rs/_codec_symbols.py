"""What a codec takes and gives: buffers, lists and arrays of symbols, of bytes or of 16 bits."""

from __future__ import annotations

from array import array
from collections.abc import Iterable, Mapping, Set
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from .._ext.errors import ParameterError

if TYPE_CHECKING:
    from typing_extensions import Buffer

    Symbols = Buffer | NDArray[Any] | Iterable[int] | str

Words = NDArray[Any]
"""Symbols of one or more words: uint8 for ``c_exp <= 8``, uint16 above."""


def dtype_of(c_exp: int) -> np.dtype[Any]:
    """What symbols are kept in."""
    return np.dtype(np.uint8 if c_exp <= 8 else np.uint16)


def take(name: str, data: Symbols, c_exp: int) -> Words:
    """Symbols of ``data``, one-dimensional and contiguous; a view of it where that is possible.

    Raises:
        TypeError: Text without an encoding, an array of another type, or elements that are no integers.
        ParameterError: More than one dimension, or a symbol that is not below ``2**c_exp``.
    """
    if isinstance(data, str):
        if c_exp <= 8:
            raise TypeError(f"{name}: bytes expected, got str; encode it first")
        data = data.encode("latin-1")  # as reedsolo does for these fields, and only for them
    if isinstance(data, int | np.integer):
        raise TypeError(f"{name}: bytes or a sequence of symbols expected, got {type(data).__name__}")
    try:
        symbols = np.asarray(data if isinstance(data, np.ndarray) else memoryview(data))  # type: ignore[arg-type]
    except TypeError:
        return _from_iterable(name, data, c_exp)  # type: ignore[arg-type]
    if symbols.ndim != 1:
        raise ParameterError(f"{name}: one dimension expected, got {symbols.ndim}")
    # Bytes of an int64 array are not its numbers, so a narrow field takes single bytes only.
    if symbols.dtype.kind not in "ui" or (c_exp <= 8 and symbols.dtype != np.uint8):
        wanted = "uint8" if c_exp <= 8 else "integers"
        raise TypeError(f"{name}: {wanted} expected, got {symbols.dtype}")
    check_range(name, symbols, c_exp)
    return np.ascontiguousarray(symbols, dtype_of(c_exp))


def _from_iterable(name: str, data: Iterable[int], c_exp: int) -> Words:
    if isinstance(data, Set | Mapping):
        raise TypeError(f"{name}: bytes or a sequence of symbols expected, got {type(data).__name__}")
    try:
        numbers = array("q", data)
    except OverflowError:
        raise ParameterError(f"{name}: symbols from 0 to {(1 << c_exp) - 1} expected") from None
    except TypeError:
        raise TypeError(f"{name}: bytes or a sequence of integers expected") from None
    symbols = np.frombuffer(numbers, np.int64)
    check_range(name, symbols, c_exp)
    return symbols.astype(dtype_of(c_exp))


def check_range(name: str, symbols: Words, c_exp: int) -> None:
    """Refuse a symbol that is not below ``2**c_exp``.

    Raises:
        ParameterError: Names the first one.
    """
    if np.iinfo(symbols.dtype).max < 1 << c_exp and symbols.dtype.kind == "u":
        return
    order = (1 << c_exp) - 1
    if symbols.size and not (symbols.min() >= 0 and symbols.max() <= order):
        flat = symbols.reshape(-1)
        at = int(np.flatnonzero((flat < 0) | (flat > order))[0])
        raise ParameterError(f"{name}: symbols from 0 to {order} expected, got {flat[at]} at {at}")


def give(symbols: Words, c_exp: int) -> bytearray | array[int]:
    """As ``reedsolo`` gives symbols: a bytearray, or ``array("i")`` for ``c_exp > 8``."""
    if c_exp <= 8:
        return bytearray(symbols.tobytes())
    return array("i", symbols.astype(np.intc).tobytes())

"""Rows of bytes as they are given: looked at without copying, checked before anything is written."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from .._ext.errors import ParameterError
from ._numbers import integer

if TYPE_CHECKING:
    from typing_extensions import Buffer

    # NumPy's stubs declare the buffer protocol from Python 3.12 on only.
    Row = Buffer | NDArray[np.uint8]

Shards = NDArray[np.uint8]
Rows = Shards | list[Shards]
"""A two-dimensional array whose rows are contiguous, or one array a row."""

_LINE = 64
"""Of the cache.  New rows begin at lines, so that vectors may be stored past it."""

_ALIAS = 4096
"""Rows so many bytes apart compete for the same lines of the first-level cache."""


def check_rows(name: str, given: Any, count: int, *, writable: bool = False) -> Rows:
    """Look at every row as uint8; all of one length, at least 1.  An array stays one: that is quicker.

    Raises:
        TypeError: Not rows, or a row is no buffer of bytes.
        ParameterError: Another number of rows, a row that is not contiguous or not writable, other lengths.
    """
    if isinstance(given, bytes | bytearray | memoryview | str):
        raise TypeError(f"{name}: a two-dimensional array or a sequence of rows expected, got one buffer")
    if isinstance(given, np.ndarray):
        return _array(name, given, count, writable=writable)
    rows = [_row(name, index, row) for index, row in enumerate(given)]
    if len(rows) != count:
        raise ParameterError(f"{name}: {count} rows expected, got {len(rows)}")
    for index, row in enumerate(rows):
        check_length(name, len(row))
        check_same_length(f"{name} {index}", len(rows[0]), row)
        if writable and not row.flags.writeable:
            raise ParameterError(f"{name} {index}: is read-only")
    return rows


def _array(name: str, given: NDArray[Any], count: int, *, writable: bool) -> Shards:
    if given.dtype != np.uint8:
        raise TypeError(f"{name}: uint8 expected, got {given.dtype}")
    if given.ndim != 2:
        raise ParameterError(f"{name}: two dimensions expected, got {given.ndim}")
    if given.shape[0] != count:
        raise ParameterError(f"{name}: {count} rows expected, got {given.shape[0]}")
    if count:
        check_length(name, given.shape[1])
    if given.strides[1] != 1 and given.shape[1] > 1 and count:
        raise ParameterError(f"{name}: contiguous rows expected, got bytes {given.strides[1]} apart")
    if writable and not given.flags.writeable:
        raise ParameterError(f"{name}: is read-only")
    return given


def check_length(name: str, length: int) -> None:
    """Refuse shards without a byte."""
    if length < 1:
        raise ParameterError(f"{name}: at least 1 byte a shard expected, got 0")


def check_same_length(name: str, length: int, row: Shards) -> None:
    """Refuse another length."""
    if len(row) != length:
        raise ParameterError(f"{name}: {length} bytes expected, got {len(row)}")


def check_shards(given: Any, n: int) -> dict[int, Shards]:
    """Shards by index, ascending; all of one length.

    Raises:
        TypeError: Not a mapping, an index that is no int, or a shard that is no buffer of bytes.
        ParameterError: An index out of range, unequal or zero lengths.
    """
    if not isinstance(given, Mapping):
        raise TypeError(f"shards: a mapping of index to bytes expected, got {type(given).__name__}")
    keys = [(check_index("shard index", key, n), key) for key in given]
    out = {index: _row("shard", index, given[key]) for index, key in sorted(keys, key=lambda pair: pair[0])}
    if len(out) != len(keys):  # keys that differ and yet are one number
        raise ParameterError("shards: each index once expected")
    if out:
        length = len(next(iter(out.values())))
        check_length("shards", length)
        for index, row in out.items():
            check_same_length(f"shard {index}", length, row)
    return out


def check_index(name: str, index: object, n: int) -> int:
    """An index in [0, n) as an int.

    Raises:
        TypeError: Not an integer.
        ParameterError: Out of range.
    """
    number = integer(name, index)
    if not 0 <= number < n:
        raise ParameterError(f"{name}: 0 to {n - 1} expected, got {number}")
    return number


def _row(name: str, index: int, row: Any) -> Shards:
    if isinstance(row, np.ndarray):
        if row.dtype != np.uint8:
            raise TypeError(f"{name} {index}: uint8 expected, got {row.dtype}")
        if row.ndim != 1 or not row.flags.c_contiguous:
            raise ParameterError(f"{name} {index}: one contiguous row expected")
        return row
    view = memoryview(row)
    if view.itemsize != 1 or view.ndim != 1 or not view.c_contiguous:
        raise ParameterError(f"{name} {index}: one contiguous row of bytes expected")
    return np.frombuffer(view, np.uint8)


def empty_rows(count: int, length: int) -> Shards:
    """A new ``(count, length)`` array whose rows begin at lines of the cache and do not alias."""
    stride = -(-length // _LINE) * _LINE
    if stride % _ALIAS == 0:
        stride += _LINE
    memory = np.empty(count * stride + _LINE, np.uint8)
    start = -_start(memory) % _LINE
    return memory[start : start + count * stride].reshape(count, stride)[:, :length]


def check_out(out: Shards | None, count: int, length: int) -> Shards:
    """``out``, or a new array.

    Raises:
        TypeError: Not an array of uint8.
        ParameterError: Another shape, read-only, or rows that overlap.
    """
    if out is None:
        return empty_rows(count, length)
    if not isinstance(out, np.ndarray):
        raise TypeError(f"out: numpy array expected, got {type(out).__name__}")
    if out.shape != (count, length):
        raise ParameterError(f"out: shape {(count, length)} expected, got {out.shape}")
    _array("out", out, count, writable=True)
    if count > 1 and abs(out.strides[0]) < length:
        raise ParameterError(f"out: rows overlap, {out.strides[0]} bytes apart")
    return out


def rows_in_place(wanted: Sequence[int], out: Shards, present: Mapping[int, Shards]) -> set[int]:
    """Shards that are the very row in which they are wanted.

    Raises:
        ParameterError: Any other overlap; found exactly, and before anything is written.
    """
    if not len(out):
        return set()
    indices = np.array(list(present))
    shard_starts = np.array([_start(row) for row in present.values()])
    row_starts = _start(out) + out.strides[0] * np.arange(len(out))
    # All are contiguous and of one length: two overlap if they start less than that apart.
    overlaps = np.abs(shard_starts[:, None] - row_starts[None, :]) < out.shape[1]
    same = (shard_starts[:, None] == row_starts[None, :]) & (indices[:, None] == np.array(wanted))
    for index in indices[(overlaps & ~same).any(axis=1)]:
        raise ParameterError(f"out: overlaps shard {index}, which is not that row of it")
    return set(indices[same.any(axis=1)].tolist())


def _start(array: Shards) -> int:
    return int(array.__array_interface__["data"][0])

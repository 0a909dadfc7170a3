"""``Erasure``: k data shards, n - k parity shards, any k of the n give the data back.

Corrects erasures (shards known to be missing), not errors: a shard with wrong bytes gives wrong data
without notice, so what matters carries a MAC or a hash.  :mod:`sottovoce.rs.dispersal` does.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from functools import lru_cache
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from .._ext import gf256
from .._ext.errors import ParameterError, TooManyErasures
from . import field
from .matrix import check_shape, parity_matrix

if TYPE_CHECKING:
    from typing_extensions import Buffer

    # NumPy's stubs declare the buffer protocol from Python 3.12 on only.
    Row = Buffer | NDArray[np.uint8]

Shards = NDArray[np.uint8]


class Erasure:
    """A systematic erasure code over GF(2^8)/0x11D; immutable, safe to share between threads.

    Args:
        k: Data shards, at least 1.
        n: All shards, ``k <= n <= 256``.  Shards 0 ... k - 1 are the data, k ... n - 1 the parity.
        matrix: ``"cauchy"``.

    Raises:
        TypeError: ``k`` or ``n`` is not an int.
        ParameterError: Out of range, or an unknown matrix.
    """

    __slots__ = ("_k", "_matrix", "_n", "_parity")

    def __init__(self, k: int, n: int, matrix: str = "cauchy") -> None:
        check_shape(k, n)
        if not isinstance(matrix, str):
            raise TypeError(f"matrix: str expected, got {type(matrix).__name__}")
        self._parity = parity_matrix(k, n, matrix)
        self._k, self._n, self._matrix = k, n, matrix

    @property
    def k(self) -> int:
        """Data shards, and shards needed."""
        return self._k

    @property
    def n(self) -> int:
        """All shards."""
        return self._n

    @property
    def matrix(self) -> str:
        """Name of the matrix."""
        return self._matrix

    def __repr__(self) -> str:
        return f"Erasure(k={self._k}, n={self._n}, matrix={self._matrix!r})"

    def encode(self, data: Shards | Sequence[Row], out: Shards | None = None) -> Shards:
        """Compute the parity shards.

        Args:
            data: ``(k, L)`` uint8 whose rows are contiguous, or k buffers of L bytes; ``L >= 1``.
                Read, never kept or copied.
            out: Where to write: ``(n - k, L)`` uint8, rows contiguous, not overlapping ``data``.

        Returns:
            The parity, ``(n - k, L)`` uint8, rows contiguous: ``out`` itself if given.  A new
            array has padded rows (rows a power of two apart would compete for the same lines of
            the cache), so it need not be contiguous as a whole.

        Raises:
            TypeError: A row is no buffer of bytes.
            ParameterError: Wrong number of rows, unequal or zero lengths, overlap.

        Timing: depends on k, n and L only.
        """
        rows = _rows("data", data, self._k)
        length = len(rows[0])
        target, target_rows = _target(out, self._n - self._k, length)
        if target_rows:
            gf256.multiply(self._parity, rows, target_rows)
        return target

    def reconstruct(self, shards: Mapping[int, Row], out: Shards | None = None) -> Shards:
        """Give the data back from any k shards.

        Shards beyond the k that are used (data first, then parity, by ascending index) are checked
        for their index and length and otherwise ignored.  Wrong bytes in a shard are not noticed.

        Args:
            shards: Index in ``[0, n)`` -> L bytes.  Read, never kept.
            out: Where to write: ``(k, L)`` uint8, rows contiguous.  Row i may be the very memory of
                shard i, which repairs an array in place; any other overlap with a shard, used or
                not, is refused.

        Returns:
            The data, ``(k, L)`` uint8, rows contiguous; ``out`` itself if given.

        Raises:
            TypeError: An index is not an int, or a shard no buffer of bytes.
            ParameterError: An index out of range, unequal or zero lengths, overlap.
            TooManyErasures: Fewer than k shards; says needed and present.

        Timing: depends on indices, k, n and L only.
        """
        if not isinstance(shards, Mapping):
            raise TypeError(f"shards: a mapping of index to bytes expected, got {type(shards).__name__}")
        for index in shards:
            if isinstance(index, bool) or not isinstance(index, int | np.integer):
                raise TypeError(f"shard index: int expected, got {type(index).__name__}")
            if not 0 <= index < self._n:
                raise ParameterError(f"shard index: 0 to {self._n - 1} expected, got {index}")
        if len(shards) < self._k:
            raise TooManyErasures(self._k, len(shards))
        indices = sorted(int(index) for index in shards)
        present = dict(zip(indices, _rows("shards", [shards[i] for i in indices], None), strict=True))
        used = indices[: self._k]
        length = len(present[used[0]])
        target, rows = _target(out, self._k, length)
        in_place = set() if out is None else _in_place(rows, present)
        for index in used:
            if index < self._k and index not in in_place:
                rows[index][:] = present[index]
        missing = tuple(j for j in range(self._k) if j not in present)
        if missing:
            solution = _solution(self._k, self._n, self._matrix, tuple(used), missing)
            gf256.multiply(solution, [present[i] for i in used], [rows[j] for j in missing])
        return target


@lru_cache(maxsize=256)
def _solution(k: int, n: int, name: str, used: tuple[int, ...], missing: tuple[int, ...]) -> field.Matrix:
    # Parity P = A_have * have + A_miss * miss, with as many parity rows as missing ones; so
    # miss = A_miss^-1 * A_have * have + A_miss^-1 * P (minus is plus): only the e x e minor is inverted.
    parity = parity_matrix(k, n, name)
    have = [i for i in used if i < k]
    rows = parity[[i - k for i in used if i >= k]]
    minor = field.invert(rows[:, list(missing)])
    out = np.concatenate([field.matrix_product(minor, rows[:, have]), minor], axis=1)
    out.flags.writeable = False
    return np.ascontiguousarray(out)


def _in_place(rows: list[Shards], present: dict[int, Shards]) -> set[int]:
    """Shards that are the very row of theirs; any other overlap is refused, exactly and before writing."""
    indices = np.array(list(present))
    shard_starts, row_starts = _starts(present.values()), _starts(rows)
    # All are contiguous and of one length: two overlap if they start less than that apart.
    overlaps = np.abs(shard_starts[:, None] - row_starts[None, :]) < len(rows[0])
    same = (shard_starts[:, None] == row_starts[None, :]) & (indices[:, None] == np.arange(len(rows)))
    for index in indices[(overlaps & ~same).any(axis=1)]:
        raise ParameterError(f"out: overlaps shard {index}, which is not that row of it")
    return set(indices[same.any(axis=1)].tolist())


def _starts(rows: Iterable[Shards]) -> NDArray[np.int64]:
    return np.array([row.ctypes.data for row in rows], np.int64)


def _rows(name: str, given: Any, count: int | None) -> list[Shards]:
    """Look at every row as 1-d uint8 without copying; all of one length, at least 1."""
    if isinstance(given, bytes | bytearray | memoryview | str):
        raise TypeError(f"{name}: a two-dimensional array or a sequence of rows expected, got one buffer")
    if isinstance(given, np.ndarray) and given.ndim != 2:
        raise ParameterError(f"{name}: two dimensions expected, got {given.ndim}")
    rows = [_row(name, index, row) for index, row in enumerate(given)]
    if count is not None and len(rows) != count:
        raise ParameterError(f"{name}: {count} rows expected, got {len(rows)}")
    if rows:
        length = len(rows[0])
        if length < 1:
            raise ParameterError(f"{name}: at least 1 byte a shard expected, got 0")
        for index, row in enumerate(rows):
            if len(row) != length:
                raise ParameterError(f"{name} {index}: {length} bytes expected, got {len(row)}")
    return rows


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


def _target(out: Shards | None, count: int, length: int) -> tuple[Shards, list[Shards]]:
    if out is None:
        # 64 bytes more where rows would lie a multiple of 4 KiB apart: see "encode".
        stride = length + (64 if length % 4096 == 0 else 0)
        out = np.empty((count, stride), np.uint8)[:, :length]
        return out, list(out)
    if not isinstance(out, np.ndarray):
        raise TypeError(f"out: numpy array expected, got {type(out).__name__}")
    if out.shape != (count, length):
        raise ParameterError(f"out: shape {(count, length)} expected, got {out.shape}")
    if not out.flags.writeable:
        raise ParameterError("out: is read-only")
    rows = _rows("out", out, count)
    if count > 1 and abs(out.strides[0]) < length:
        raise ParameterError(f"out: rows overlap, {out.strides[0]} bytes apart")
    return out, rows

"""``Erasure``: k data shards, n - k parity shards, any k of the n give the data back.

Corrects erasures (shards known to be missing).  A shard with wrong bytes gives wrong data without notice,
unless there are more than k: :meth:`Erasure.verify` and :meth:`Erasure.locate_bad` compare those.  Against
somebody who makes shards up on purpose only a MAC or a hash helps; :func:`sottovoce.rs.disperse` has one.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, SupportsIndex

import numpy as np

from .._ext import gf256
from .._ext.errors import CorruptShards, ParameterError, TooManyErasures
from ._erasure_locate import bad_shards, fold
from ._erasure_rows import (
    Shards,
    check_index,
    check_out,
    check_rows,
    check_same_length,
    check_shards,
    rows_in_place,
)
from ._erasure_solve import choose, encoder, solver
from ._erasure_threads import check_threads, multiply, over_columns
from .matrix import READ_ONLY, check_matrix, parity_matrix

if TYPE_CHECKING:
    from ._erasure_rows import Row

# Of columns that verify() makes again at a time: they stay in the second-level cache.
_VERIFIED_BYTES = 1 << 17


class Erasure:
    """A systematic erasure code over GF(2^8)/0x11D; immutable, safe to share between threads.

    Args:
        k: Data shards, at least 1.
        n: All shards, ``k <= n <= 256``.  Shards 0 ... k - 1 are the data, k ... n - 1 the parity.
        matrix: ``"cauchy"``; or, for shards that others read or made, ``"zfec"``, ``"backblaze"``,
            ``"isal-vand-inv"`` (n <= 255), and ``"isal-vand"``, which is not MDS and cannot be written.
            ``cauchy`` unless shards of other software are read; docs/rs.md has the table.

    Raises:
        TypeError: ``k`` or ``n`` is not an integer (numpy's will do, and what has ``__index__``; no bool), or
            ``matrix`` not a str.
        ParameterError: Out of range, or an unknown matrix.

    Timing: bytes of shards may be secret: where shards agree, no branch depends on them, and no look-up but
        those of :meth:`locate_bad`, by 16 random combinations of each shard.  Depends on k, n, indices and
        lengths, and on which shards are wrong.
    Source: Blömer et al., ICSI TR-95-048 (Cauchy matrices); docs/rs.md, "Erasure code".
    """

    __slots__ = ("_encoder", "_k", "_matrix", "_n")

    def __init__(self, k: SupportsIndex, n: SupportsIndex, matrix: str = "cauchy") -> None:
        self._k, self._n = check_matrix(matrix, k, n)
        self._matrix = matrix
        self._encoder = encoder(self._k, self._n, matrix) if self._n > self._k else None

    @property
    def k(self) -> int:
        """Data shards, and shards needed; 1 to 256."""
        return self._k

    @property
    def n(self) -> int:
        """All shards, k to 256."""
        return self._n

    @property
    def matrix(self) -> str:
        """Name of the matrix."""
        return self._matrix

    def __repr__(self) -> str:
        return f"Erasure(k={self._k}, n={self._n}, matrix={self._matrix!r})"

    def encode(self, data: Shards | Sequence[Row], out: Shards | None = None, *, threads: int = 1) -> Shards:
        """Compute the parity shards.

        Args:
            data: ``(k, L)`` uint8 whose rows are contiguous, or k buffers of L bytes; ``L >= 1``.
                Read, never kept or copied.
            out: Where to write: ``(n - k, L)`` uint8, rows contiguous, not overlapping ``data``.
            threads: Threads that share the columns, 1 to 256; fewer where L is small.

        Returns:
            The parity, ``(n - k, L)`` uint8, rows contiguous; ``out`` itself if given.  A new
            array has padded rows (rows a power of two apart would compete for the same lines of
            the cache), so it need not be contiguous as a whole.

        Raises:
            TypeError: A row is no buffer of bytes.
            ParameterError: Wrong number of rows, unequal or zero lengths, overlap, ``threads`` out of
                range, or a matrix that is not written.

        Timing: depends on k, n and L only.
        """
        self._check_writes()
        threads = check_threads(threads)
        rows = check_rows("data", data, self._k)
        target = check_out(out, self._n - self._k, len(rows[0]))
        if self._encoder is not None:
            multiply(self._encoder, rows, target, threads)
        return target

    def reconstruct(
        self,
        shards: Mapping[int, Row],
        out: Shards | None = None,
        *,
        wanted: Sequence[int] | None = None,
        threads: int = 1,
    ) -> Shards:
        """Give back the data, or the shards that are wanted, from any k shards.

        Shards beyond the k that are used (data first, then parity, by ascending index) are checked
        for their index and length and otherwise ignored.  Wrong bytes in a shard are not noticed.

        Args:
            shards: Index in ``[0, n)`` -> L bytes.  Read, never kept.
            out: Where to write: one row of L bytes for each that is wanted, uint8, rows contiguous.  The row
                of shard i may be the very memory of shard i, which repairs an array in place and copies
                nothing; any other overlap with a shard, used or not, is refused.
            wanted: Indices of data or parity, each at most once; None: the k data shards.  One that is
                there is copied, so to repair ask for the others.
            threads: As :meth:`encode`.

        Returns:
            ``(len(wanted), L)`` uint8, in the order asked, rows contiguous; ``out`` itself if given.

        Raises:
            TypeError: An index is not an int, or a shard no buffer of bytes.
            ParameterError: An index out of range or asked for twice, unequal or zero lengths, overlap,
                ``threads`` out of range.
            TooManyErasures: Fewer than k shards, or, with ``isal-vand``, fewer than k independent ones;
                says needed and present.

        Timing: depends on indices, k, n and L only.
        """
        threads = check_threads(threads)
        present = check_shards(shards, self._n)
        asked = self._wanted(wanted)
        used = choose(self._k, self._n, self._matrix, tuple(present))
        target = check_out(out, len(asked), len(present[used[0]]))
        in_place = set() if out is None else rows_in_place(asked, target, present)
        missing: list[int] = []
        made: list[Shards] = []
        for index, row in zip(asked, target, strict=True):
            if index not in present:
                missing.append(index)
                made.append(row)
            elif index not in in_place:
                row[:] = present[index]
        if made:
            matrix = solver(self._k, self._n, self._matrix, used, tuple(missing))
            multiply(matrix, [present[i] for i in used], made, threads)
        return target

    def update(
        self, parity: Shards | Sequence[Row], index: int, old: Row, new: Row, *, threads: int = 1
    ) -> None:
        """Bring the parity up to date, in place, after one data shard has changed.

        Costs one column of :meth:`encode`: nothing but this shard and the parity is read.

        Args:
            parity: ``(n - k, L)`` uint8 whose rows are contiguous, or n - k writable buffers of L bytes.
            index: Of the data shard, ``[0, k)``.
            old: Its L bytes that ``parity`` was computed from.  Nobody can check that.
            new: Its L bytes now.  Neither may overlap ``parity``.
            threads: As :meth:`encode`.

        Raises:
            TypeError: A row is no buffer of bytes, or the index is not an int.
            ParameterError: Index out of range, wrong number of rows, unequal or zero lengths, overlap, a row
                that is read-only, ``threads`` out of range, or a matrix that is not written.  Nothing
                was written.

        Timing: depends on k, n and L only.
        """
        self._check_writes()
        threads = check_threads(threads)
        at = check_index("index", index, self._k)
        changed = check_rows("old, new", [old, new], 2)
        rows = check_rows("parity", parity, self._n - self._k, writable=True)
        for i, row in enumerate(rows):
            check_same_length(f"parity {i}", len(changed[0]), row)
        if len(rows):
            # The factor twice: c old + c new, without an array for their difference.
            column = np.repeat(parity_matrix(self._k, self._n, self._matrix)[:, at : at + 1], 2, axis=1)
            multiply(gf256.prepare(column, len(rows), 2), changed, rows, threads, accumulate=True)

    def verify(self, shards: Mapping[int, Row], *, threads: int = 1) -> None:
        """Check every byte of more than k shards against each other.

        Finds damage, not somebody who knows the code: whoever changes n - k + 1 shards can make them agree.

        Args:
            shards: Index in ``[0, n)`` -> L bytes; all n of them, or any more than k.  Read, never kept.
            threads: As :meth:`encode`.

        Raises:
            TypeError: An index is not an int, or a shard no buffer of bytes.
            ParameterError: An index out of range, unequal or zero lengths, ``threads`` out of range.
            TooManyErasures: Not more than k shards: nothing to compare; ``needed`` is k + 1.
            CorruptShards: They contradict each other; names the bad ones as :meth:`locate_bad` does.

        Timing: depends on indices, k, n, L, and on whether and where shards are wrong.
        """
        threads = check_threads(threads)
        present, used = self._more_than_k(shards)
        rest = tuple(index for index in present if index not in used)
        matrix = solver(self._k, self._n, self._matrix, used, rest)
        inputs, others = [present[i] for i in used], [present[i] for i in rest]
        length = len(inputs[0])
        width = max(1 << 10, _VERIFIED_BYTES // len(rest))
        wrong: list[int] = []

        def work(columns: slice) -> None:
            scratch = np.empty((len(rest), min(width, length) + 64), np.uint8)
            for start in range(columns.start, columns.stop, width):
                if wrong:
                    return
                here = slice(start, min(start + width, columns.stop))
                made = scratch[:, : here.stop - here.start]
                gf256.multiply(matrix, [row[here] for row in inputs], made)
                if not all(np.array_equal(a, b[here]) for a, b in zip(made, others, strict=True)):
                    wrong.append(start)

        over_columns(work, length, threads)
        if wrong:
            raise CorruptShards(self._locate(present, used) or ())

    def locate_bad(self, shards: Mapping[int, Row]) -> tuple[int, ...]:
        """Name the shards whose bytes are wrong, without any hash.

        Certain for up to (p - k) / 2 bad ones of p shards, whatever is wrong with them, but for a chance of
        2^-102 for each of being overlooked.  Damage that has nothing to do with other damage is named up to
        p - k - 1 bad ones.  Beyond these bounds it cannot be told, and shards made to deceive may put
        the blame on others.  Of ``isal-vand``, only damage that is independent is named.

        Args:
            shards: Index in ``[0, n)`` -> L bytes; more than k, and k + 2 or more to name one.  Read, never
                kept.

        Returns:
            Their indices, ascending; empty if all agree.

        Raises:
            TypeError: An index is not an int, or a shard no buffer of bytes.
            ParameterError: An index out of range, unequal or zero lengths.
            TooManyErasures: Not more than k shards; ``needed`` is k + 1.
            CorruptShards: Some are wrong, but too many to tell which: ``bad_indices`` is empty.

        Timing: depends on indices, k, n, L, and on which shards are wrong, not on right data.
        Source: Gao, "A new algorithm for decoding Reed-Solomon codes" (2003), on random combinations of
            columns; docs/rs.md, "Erasure code".
        """
        bad = self._locate(*self._more_than_k(shards))
        if bad is None:
            raise CorruptShards(())
        return bad

    def __reduce__(self) -> tuple[type, tuple[int, int, str]]:
        return type(self), (self._k, self._n, self._matrix)

    def _check_writes(self) -> None:
        if self._matrix in READ_ONLY:
            raise ParameterError(
                f"matrix: one of which any k shards suffice expected for writing, got {self._matrix!r}"
            )

    def _wanted(self, wanted: Sequence[int] | None) -> list[int]:
        if wanted is None:
            return list(range(self._k))
        asked = [check_index("wanted", index, self._n) for index in wanted]
        if len(set(asked)) != len(asked):
            twice = next(index for at, index in enumerate(asked) if index in asked[:at])
            raise ParameterError(f"wanted: different indices expected, got {twice} twice")
        return asked

    def _more_than_k(self, shards: Mapping[int, Row]) -> tuple[dict[int, Shards], tuple[int, ...]]:
        present = check_shards(shards, self._n)
        if len(present) <= self._k:
            raise TooManyErasures(self._k + 1, len(present))
        return present, choose(self._k, self._n, self._matrix, tuple(present))

    def _locate(self, present: dict[int, Shards], used: tuple[int, ...]) -> tuple[int, ...] | None:
        folded = dict(zip(present, fold(present), strict=True))
        return bad_shards(self._k, self._n, self._matrix, used, folded)

"""Fixed-base multiplication by a secret: a table, and always the same number of additions.

For a base ``B`` and window ``w`` the table holds ``d * 2**(w*i) * B`` for every window ``i`` and
every digit ``d`` in ``1..2**w``.  A scalar ``k`` is recoded by first subtracting
``sum(2**(w*i))`` modulo ``r`` and then adding 1 to every digit of the rest, so no digit is zero and
every multiplication is exactly ``windows - 1`` additions of points that depend on ``k``.

An addition whose operands are equal is a doubling, which the back end finishes earlier.  Were the sum
begun with the digit of the first window, that would happen for every 256th scalar at ``w = 4``:
``16*B`` from the first window meets ``1 * 16*B`` in the second.  So the first row is shifted by
``2**(w*windows) * B``, and the recoding by as much: every partial sum is then far from every entry,
and the two meet for a handful of scalars only, which no draw gives.  The sum also begins in random
coordinates (:func:`.group.rerandomise`), so that no value on the way comes again with the scalar.

What this gives: the number and kind of operations do not depend on the secret.  What it does not:
which table entries are read is visible to the cache of the same machine, and Python integers are
not constant time.  An attacker who runs on the same machine is out of scope (docs/timing.md).

Besides, it is five to seven times faster than :func:`.group.g1_mul_secret`.
"""

from __future__ import annotations

import threading
import weakref
from collections import deque
from typing import TYPE_CHECKING, Final, Generic, TypeVar

from . import group
from .group import ORDER

if TYPE_CHECKING:
    from .group import G1, G2

    P = TypeVar("P", G1, G2)
else:
    P = TypeVar("P")

_SCALAR_BITS: Final = 255


class Comb(Generic[P]):
    """The table of one base; immutable.

    Window 4: 1,024 points, about 0.2 MB in G1 and 0.8 ms to make; 63 additions a multiplication.
    Window 6: 2,752 points, about 0.6 MB in G1 (1.0 in G2) and 2 ms (6); 42 additions.
    """

    __slots__ = ("_offset", "_table", "_window")

    def __init__(self, base: P, window: int) -> None:
        windows = -(-_SCALAR_BITS // window)
        self._window = window
        shift = 1 << (window * windows)
        self._offset = (shift + sum(1 << (window * i) for i in range(windows))) % ORDER
        table: list[list[P]] = []
        for _ in range(windows):
            row = [base]
            for _ in range((1 << window) - 1):
                row.append(row[-1] + base)
            table.append(row)
            base = row[-1]  # 2**window * base: the base of the next window
        # base is shift * B by now.
        table[0] = [entry + base for entry in table[0]]
        self._table: list[list[P]] = table

    def mul(self, k: int) -> P:
        """``k * B`` for ``k`` in ``[0, r)``."""
        rest = (k - self._offset) % ORDER
        window, mask = self._window, (1 << self._window) - 1
        table = self._table
        total: P = group.rerandomise(table[0][rest & mask])
        for row in table[1:]:
            rest >>= window
            total = total + row[rest & mask]
        return total


_BUILD_AT_USE: Final = 3
"""A table costs about three multiplications without one; a base used once or twice never gets one."""

_MAX_TABLES: Final = 256
"""About 50 MB.  A server has a handful of bases; a simulation of thousands of clients in one process
falls back to multiplying without for the oldest."""

_tables: deque[weakref.ref[FixedBase]] = deque()
_tables_lock = threading.Lock()


class FixedBase:
    """A point of G1 that is multiplied by secrets again and again (own ``Q`` and ``D``, a receiver).

    Multiplies without a table for the first uses, then makes one.  Threads: safe; two may make it at
    once.
    """

    __slots__ = ("__weakref__", "_table", "_uses", "point")

    def __init__(self, point: G1) -> None:
        self.point = point
        self._uses = 0
        self._table: Comb[G1] | None = None

    def mul(self, k: int) -> G1:
        """``k * point`` for a secret ``k`` in ``[0, r)``."""
        table = self._table
        if table is None:
            self._uses += 1
            if self._uses < _BUILD_AT_USE:
                return group.g1_mul_secret(self.point, k)
            table = Comb(self.point, 4)
            self._table = table
            self._admit()
        return table.mul(k)

    def _admit(self) -> None:
        with _tables_lock:
            while _tables and _tables[0]() is None:
                _tables.popleft()
            _tables.append(weakref.ref(self))
            if len(_tables) > _MAX_TABLES:
                oldest = _tables.popleft()()
                if oldest is not None:
                    oldest._table = None
                    oldest._uses = 0


_generator_combs: list[tuple[Comb[G1], Comb[G2]]] = []


def _combs() -> tuple[Comb[G1], Comb[G2]]:
    # Made at first use, not at import; two threads may make it twice, which harms nothing.
    if not _generator_combs:
        _generator_combs.append((Comb(group.P1, 6), Comb(group.P2, 6)))
    return _generator_combs[0]


def p1_mul(k: int) -> G1:
    """``k * P1`` for a secret ``k`` in ``[0, r)``."""
    return _combs()[0].mul(k)


def p2_mul(k: int) -> G2:
    """``k * P2`` for a secret ``k`` in ``[0, r)``."""
    return _combs()[1].mul(k)

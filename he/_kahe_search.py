"""The search for t right share sums among the members' answers, and whom it may call wrong.

Every t of the sums give a key.  Keys are looked at in batches: interpolation at a few places where the
sums disagree tells nearly every wrong one by its size, and only what passes is interpolated as a whole.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from functools import lru_cache
from itertools import chain, combinations, islice
from math import comb
from random import SystemRandom

import numpy as np
from numpy.typing import NDArray

from .._ext.limits import MAX_MEMBERS
from ._kahe_params import Params
from ._random import secret_stream
from ._shamir import P, centred, dot, interpolate, reduce

MAX_SUBSETS = 1 << 15
"""So many t-subsets are gone through one by one: all of them up to 19 members."""

MAX_DRAWS = 1 << 19
"""Of more, so many are drawn at random: some seconds of work."""

MAX_KEYS = 1 << 15
"""Keys that are interpolated as a whole: under a minute of work at worst."""

_FOLDS = 4  # random combinations: two different vectors agree in all with probability 2^-124
_PLACES = 8  # coefficients at which a key is tried first
_BATCH = 512  # subsets at a time: their arrays stay in the second-level cache

_Rows = NDArray[np.intp]  # subsets as row numbers, shape (count, t)


class Search:
    """Keys that t of the share sums give, each once and only those within ``+-bound``.

    Args:
        params: The round's parameters.
        sums: Member to share sum (N residues); t or more.
        bound: No coefficient of the right key is larger.
    """

    __slots__ = ("_bound", "_disagree", "_folds", "_members", "_params", "_points", "_sums")

    def __init__(self, params: Params, sums: Mapping[int, NDArray[np.uint64]], bound: int) -> None:
        self._params = params
        self._bound = bound
        self._members = sorted(sums)
        self._points = np.array(self._members, np.intp)
        self._sums = np.stack([sums[j] for j in self._members])
        # Secret random combinations are linear like the sharing, so keys are compared by these alone.
        rho = secret_stream().below(P, (_FOLDS, params.N))
        self._folds = np.stack([dot(rho, v) for v in self._sums])
        self._disagree = bool(self._off(self._members[: params.threshold]))

    def candidates(self) -> Iterator[tuple[tuple[int, ...], NDArray[np.int64]]]:
        """Candidates: t members and the key that they give, int64 ``(N,)``."""
        t = self._params.threshold
        seen: set[bytes] = set()
        nowhere = np.empty(0, np.intp)
        yield from self._in_range([np.arange(t)[None]], nowhere, seen)
        if not self._disagree:
            return  # all on one polynomial: there is no other key
        yield from self._in_range(chain(self._decoded(), self._subsets()), self._places(), seen)

    def blame(self, subset: Sequence[int]) -> tuple[tuple[int, ...], tuple[int, ...]]:
        """Who is wrong, and who is only suspect, once the key of ``subset`` opened the sum.

        Liars can choose errors that cancel at 0 for one choice of t members and so make honest members
        disagree with an opened, right key.  If t honest members answered, their own polynomial gives
        the key too, so nobody on some such polynomial is blamed; t + f answers are sure to hold t
        honest ones.  With f = 1 that is any answer beyond t.
        """
        t, f = self._params.threshold, self._params.n_corrupted
        off = self._off(subset)
        if not off:
            return (), ()
        m = len(self._members)
        if comb(m, t) > MAX_SUBSETS or m < t + f:
            return (), tuple(off)
        key = self._at_zero(np.array([[self._members.index(j) for j in subset]]), self._folds)
        explained: set[int] = set()
        for rows in self._subsets():
            same = (self._at_zero(rows, self._folds) == key).all(axis=1)
            explained.update(self._points[np.unique(rows[same])].tolist())
        return tuple(j for j in off if j not in explained), tuple(j for j in off if j in explained)

    # -- inside ---------------------------------------------------------------------------------
    def _in_range(
        self, batches: Iterator[_Rows] | list[_Rows], places: NDArray[np.intp], seen: set[bytes]
    ) -> Iterator[tuple[tuple[int, ...], NDArray[np.int64]]]:
        columns = np.concatenate([self._sums[:, places], self._folds], axis=1)
        for rows in batches:
            at_zero = self._at_zero(rows, columns)
            small = (np.abs(centred(at_zero[:, : len(places)])) <= self._bound).all(axis=1)
            for i in np.flatnonzero(small):
                # Different subsets of honest sums give the same key: look at each key once.
                identity = at_zero[i, len(places) :].tobytes()
                if identity in seen:
                    continue
                if len(seen) >= MAX_KEYS:
                    return
                seen.add(identity)
                key = centred(self._at_zero(rows[i : i + 1], self._sums)[0])
                if int(np.abs(key).max()) <= self._bound:
                    yield tuple(self._points[rows[i]].tolist()), key

    def _at_zero(self, rows: _Rows, columns: NDArray[np.uint64]) -> NDArray[np.uint64]:
        """Values at 0 of the polynomials through each of these subsets, shape ``(len(rows), columns)``."""
        points, factors = self._points[rows], _factors()
        weights = np.ones(rows.shape, np.uint64)
        for i in range(rows.shape[1]):
            weights = reduce(weights * factors[points, points[:, i : i + 1]])
        total = np.zeros((len(rows), columns.shape[1]), np.uint64)
        for i in range(rows.shape[1]):
            total = reduce(total + weights[:, i : i + 1] * columns[rows[:, i]])  # < 2**62 + 2**31
        return total

    def _off(self, subset: Sequence[int]) -> list[int]:
        """Members whose sum is not on the polynomial through those of ``subset``."""
        folds = dict(zip(self._members, self._folds, strict=True))
        through = {j: folds[j] for j in subset}
        return [
            j
            for j in self._members
            if j not in through and not np.array_equal(interpolate(through, j), folds[j])
        ]

    def _places(self) -> NDArray[np.intp]:
        """Some coefficients that are lied about: elsewhere all keys are alike, and none shows there."""
        t = self._params.threshold
        through = dict(zip(self._members[:t], self._sums[:t], strict=True))
        lied = np.zeros(self._params.N, bool)
        for j, v in zip(self._members[t:], self._sums[t:], strict=True):
            lied |= interpolate(through, j) != v
        found = np.flatnonzero(lied)
        # Drawn in secret: liars would spare places that they can foresee.
        return found[SystemRandom().sample(range(len(found)), min(_PLACES, len(found)))]

    def _decoded(self) -> Iterator[_Rows]:
        """One subset free of wrong sums, where decoding can tell."""
        t = self._params.threshold
        if comb(len(self._members), t) > MAX_SUBSETS:
            agreeing = _decode([(j, int(v[0])) for j, v in zip(self._members, self._folds, strict=True)], t)
            if agreeing is not None:
                yield np.array([[self._members.index(j) for j in agreeing[:t]]])

    def _subsets(self) -> Iterator[_Rows]:
        """All t-subsets in order; or draws of the operating system's randomness, which no liar foresees."""
        m, t = len(self._members), self._params.threshold
        if comb(m, t) <= MAX_SUBSETS:
            every = combinations(range(m), t)
            while batch := list(islice(every, _BATCH)):
                yield np.array(batch)
            return
        stream = secret_stream()
        for _ in range(0, MAX_DRAWS, _BATCH):
            order = np.argpartition(stream.words(_BATCH * m).reshape(_BATCH, m), t, axis=1)
            yield np.sort(order[:, :t], axis=1)


@lru_cache(maxsize=1)
def _factors() -> NDArray[np.uint64]:
    """``[x, y]``: ``y / (y - x)``, the factor of y in x's Lagrange coefficient at 0; 1 where x = y."""
    inverse = {d: pow(d, -1, P) for d in range(-MAX_MEMBERS, MAX_MEMBERS + 1) if d}
    points = range(MAX_MEMBERS + 1)
    return np.array([[1 if x == y else y * inverse[y - x] % P for y in points] for x in points], np.uint64)


def _decode(points: list[tuple[int, int]], t: int) -> list[int] | None:
    """Members on the one polynomial of degree below t that all but ``(m - t) / 2`` agree with, if any.

    Berlekamp, Welch (US patent 4,633,470, expired): find E monic of degree e and Q of degree below
    t + e with Q(x) = y E(x) at every point; then Q / E is the polynomial.
    """
    e = (len(points) - t) // 2
    width = t + 2 * e
    rows = []
    for x, y in points:
        powers = [pow(x, i, P) for i in range(t + e)]
        rows.append([*powers, *(-y * c % P for c in powers[:e]), y * pow(x, e, P) % P])
    solution = _solve(rows, width)
    if solution is None:
        return None
    Q, E = solution[: t + e], [*solution[t + e :], 1]
    agreeing = []
    for x, y in points:
        bottom = sum(c * pow(x, i, P) for i, c in enumerate(E)) % P
        top = sum(c * pow(x, i, P) for i, c in enumerate(Q)) % P
        if bottom and top * pow(bottom, -1, P) % P == y:
            agreeing.append(x)
    return agreeing if len(agreeing) >= t else None


def _solve(rows: list[list[int]], width: int) -> list[int] | None:
    """Some solution modulo p of the linear equations ``rows`` (right side last), free unknowns 0."""
    rows = [r[:] for r in rows]
    pivots: list[int] = []
    for column in range(width):
        at = len(pivots)
        found = next((i for i in range(at, len(rows)) if rows[i][column]), None)
        if found is None:
            continue
        rows[at], rows[found] = rows[found], rows[at]
        inverse = pow(rows[at][column], -1, P)
        rows[at] = [c * inverse % P for c in rows[at]]
        for i, row in enumerate(rows):
            if i != at and row[column]:
                factor = row[column]
                rows[i] = [(c - factor * d) % P for c, d in zip(row, rows[at], strict=True)]
        pivots.append(column)
    if any(r[-1] for r in rows[len(pivots) :]):
        return None
    solution = [0] * width
    for row, column in zip(rows, pivots, strict=False):
        solution[column] = row[-1]
    return solution

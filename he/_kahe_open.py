"""Opening: find the sum of the keys among the members' share sums, and with it the sum of the vectors.

A member may answer anything.  With more than t share sums the opener looks for t of them whose key
passes two tests that a wrong key fails: every coefficient within ``+-42 |S|``, and residuals of the
opened sum as small as honest noise.  That finds up to ``n - t`` wrong sums, where decoding alone finds
``(n - t) / 2``, which is none for 4 or 5 members.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import combinations, islice
from math import comb

import numpy as np
from numpy.typing import NDArray

from .._ext.errors import OverflowDetected, ParameterError, TooManyErasures
from ._kahe_cipher import CiphertextSum
from ._kahe_params import MIN_SUMMANDS, Params, check_context, check_params
from ._kahe_public import BLOCK, public_elements
from ._kahe_shares import ShareSum
from ._random import secret_stream
from ._shamir import P, centred, dot, interpolate, lagrange
from .noise import CBD_ETA

MAX_SUBSETS = 1 << 15
"""t-subsets that are tried, about ten seconds of work at worst; all of them up to 19 members."""

_FOLDS = 4  # random combinations: two different vectors agree in all with probability 2^-124


@dataclass(frozen=True, slots=True, eq=False)
class OpenedSum:
    """An opened sum.

    Attributes:
        values: int64 ``(n_slots,)``, the sum of the contributors' vectors.
        n_contributors: |S|.
        wrong_members: Members whose share sum is on no polynomial that explains the opened key: their
            answer is wrong beyond doubt if every contributor's share was degree-proved.  Otherwise a
            client that gave one member a bad share makes that member look the liar.
        suspect_members: Members that disagree with the t that opened the sum, but agree with t others
            that explain the key as well: some of them lied together, and the sums cannot tell who.
            Beyond ``MAX_SUBSETS`` choices nobody is called wrong, only suspect.
    """

    values: NDArray[np.int64]
    n_contributors: int
    wrong_members: tuple[int, ...]
    suspect_members: tuple[int, ...]


def open_sum(
    params: Params,
    context: bytes,
    total: CiphertextSum,
    share_sums: Sequence[ShareSum],
    n_contributors: int,
) -> OpenedSum:
    """Open the sum of exactly ``n_contributors`` ciphertexts with t or more members' share sums.

    Gives the exact sum of the encrypted integers if the share sums of t honest members and nothing but
    ciphertexts made as :meth:`OneTimeKey.encrypt` makes them are in it.  Detects wrong share sums, wrong
    sets and garbage ciphertexts; not a well-formed ciphertext of a wrong vector.  Convinces only the one
    who computes it.

    Args:
        params: The round's parameters.
        context: The round's header hash.
        total: The sum of the contributors' ciphertexts.
        share_sums: One per answering member, in any order.  One whose count is not ``n_contributors``
            is of another set: it is left out and its member called wrong.
        n_contributors: |S|, at least 3.

    Raises:
        TypeError: Wrong types.
        ParameterError: Fewer than 3 contributors, another number of ciphertexts than contributors,
            other parameters or another round, or two sums of one member.
        TooManyErasures: Fewer than t usable share sums.
        OverflowDetected: No t of them open the sum to well-formed contributions.  One message for
            every cause; residuals are never told.

    Timing: depends on how many share sums are wrong.
    """
    sums = _check(params, context, total, share_sums, n_contributors)
    usable = {j: s._total for j, s in sums.items() if s.count == n_contributors}
    misfits = tuple(sorted(sums.keys() - usable.keys()))
    if len(usable) < params.threshold:
        raise TooManyErasures(params.threshold, len(usable))
    folded = _fold(params, usable)
    seen: set[tuple[int, ...]] = set()
    for subset in _subsets(params, folded):
        # Different subsets of honest sums give the same key: look at each key once.
        identity = _combine(folded, subset, 0)
        if identity in seen:
            continue
        seen.add(identity)
        key = centred(interpolate({j: usable[j] for j in subset}, 0))
        if int(np.abs(key).max()) > CBD_ETA * n_contributors:
            continue
        coefficients = _open_with(params, total, key, n_contributors)
        if coefficients is None:
            continue
        values = _unpack_slots(params, coefficients, n_contributors)
        wrong, suspect = _blame(params, folded, subset, identity)
        return OpenedSum(values, n_contributors, tuple(sorted((*misfits, *wrong))), suspect)
    raise OverflowDetected


def _check(
    params: Params, context: bytes, total: CiphertextSum, share_sums: Sequence[ShareSum], n_contributors: int
) -> dict[int, ShareSum]:
    check_params(params)
    check_context(context)
    if not isinstance(total, CiphertextSum):
        raise TypeError(f"total: CiphertextSum expected, got {type(total).__name__}")
    if total.params != params or total.context != context:
        raise ParameterError("total: a sum of this round expected")
    if type(n_contributors) is not int:
        raise TypeError(f"n_contributors: int expected, got {type(n_contributors).__name__}")
    if not MIN_SUMMANDS <= n_contributors <= params.max_summands:
        raise ParameterError(
            f"n_contributors: {MIN_SUMMANDS} to {params.max_summands} expected, got {n_contributors}"
        )
    if total.count != n_contributors:
        raise ParameterError(f"total: {n_contributors} ciphertexts expected, got {total.count}")
    sums: dict[int, ShareSum] = {}
    for s in share_sums:
        if not isinstance(s, ShareSum):
            raise TypeError(f"share_sums: ShareSum expected, got {type(s).__name__}")
        if s.params != params:
            raise ParameterError(f"share_sums: member {s.index}'s is of other parameters")
        if s.index in sums:
            raise ParameterError(f"share_sums: two of member {s.index}")
        sums[s.index] = s
    return sums


# -- the search ---------------------------------------------------------------------------------
def _fold(params: Params, usable: dict[int, NDArray[np.uint64]]) -> dict[int, tuple[int, ...]]:
    """Four secret random combinations of each vector: linear, so subsets are compared on integers."""
    rho = secret_stream().below(P, (_FOLDS, params.N))
    return {j: tuple(int(x) for x in dot(rho, v)) for j, v in usable.items()}


def _combine(folded: dict[int, tuple[int, ...]], subset: Sequence[int], at: int) -> tuple[int, ...]:
    factors = lagrange(subset, at)
    return tuple(
        sum(f * folded[j][i] for f, j in zip(factors, subset, strict=True)) % P for i in range(_FOLDS)
    )


def _subsets(params: Params, folded: dict[int, tuple[int, ...]]) -> Iterator[tuple[int, ...]]:
    """t-subsets in order, after one free of wrong sums where decoding can tell."""
    members, t = sorted(folded), params.threshold
    if comb(len(members), t) > MAX_SUBSETS:
        agreeing = _decode([(j, folded[j][0]) for j in members], t)
        if agreeing is not None:
            yield tuple(agreeing[:t])
    yield from islice(combinations(members, t), MAX_SUBSETS)


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


def _blame(
    params: Params, folded: dict[int, tuple[int, ...]], subset: tuple[int, ...], key: tuple[int, ...]
) -> tuple[tuple[int, ...], tuple[int, ...]]:
    """Members off every polynomial that gives this key, and those off this one only.

    Two liars can choose errors that cancel at 0 for one choice of t and so make honest members of the
    others disagree with an opened, right key.  The honest members' own polynomial gives the key too, so
    nobody on some such polynomial is blamed.
    """
    members, t = sorted(folded), params.threshold
    off = [j for j in members if j not in subset and _combine(folded, subset, j) != folded[j]]
    if not off:
        return (), ()
    if comb(len(members), t) > MAX_SUBSETS:
        return (), tuple(off)
    explained: set[int] = set()
    for other in combinations(members, t):
        if not explained.issuperset(other) and _combine(folded, other, 0) == key:
            explained.update(other)
    return tuple(j for j in off if j not in explained), tuple(j for j in off if j in explained)


# -- the arithmetic -----------------------------------------------------------------------------
def _open_with(
    params: Params, total: CiphertextSum, key: NDArray[np.int64], n_contributors: int
) -> NDArray[np.int64] | None:
    """All coefficients of the sum under this key, or None if some ring element's residuals are not noise."""
    ring, scale, N = params._ring, params._scale, params.N
    largest = params.max_residual(n_contributors)
    squares = params.max_square_sum(n_contributors)
    hat = np.where(key < 0, key + params.q, key).astype(np.uint64)[None]
    ring.forward(hat)
    out = np.empty((params.n_elements, N), np.int64)
    count = 1  # a wrong key nearly always shows in the first element
    start = 0
    while start < params.n_elements:
        count = min(count, params.n_elements - start)
        product = np.empty((count, N), np.uint64)
        ring.multiply(product, public_elements(params, total.context, start, count), hat[0])
        ring.inverse(product)
        max_r = np.empty(count, np.uint64)
        sum_r2 = np.empty(count, np.uint64)
        scale.open(out[start : start + count], max_r, sum_r2, total._elements(start, count), product)
        # The maximum alone is nearly empty where B is close to half a step: both are needed.
        if int(max_r.max()) > largest or int(sum_r2.max()) > squares:
            return None
        start += count
        count = BLOCK
    return out.reshape(-1)


def _unpack_slots(params: Params, coefficients: NDArray[np.int64], n_contributors: int) -> NDArray[np.int64]:
    """Coefficients to numbers, low slot first; padding must be zero and every slot within reach of |S|."""
    S, w = params.slots_per_coefficient, params.slot_bits
    slots = np.empty((len(coefficients), S), np.int64)
    rest = coefficients
    for s in range(S):
        if s == S - 1:
            slots[:, s] = rest
        else:
            up = np.int64(64 - w)
            slots[:, s] = (rest << up) >> up  # sign-extended low slot
            rest = (rest - slots[:, s]) >> np.int64(w)
    flat = slots.reshape(-1)
    values = flat[: params.n_slots].copy()
    bound = n_contributors * ((1 << (params.value_bits - 1)) - 1)
    if flat[params.n_slots :].any() or int(values.max()) > bound or int(values.min()) < -bound:
        raise OverflowDetected
    return values

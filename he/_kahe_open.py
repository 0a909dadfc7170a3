"""Opening: find the sum of the keys among the members' share sums, and with it the sum of the vectors.

A member may answer anything.  With more than t share sums the opener looks for t of them whose key
passes two tests that a wrong key fails: every coefficient within ``+-42 |S|``, and residuals of the
opened sum as small as honest noise.  Up to 19 members that finds up to ``n - t`` wrong sums, where
decoding alone finds ``(n - t) / 2``, which is none for 4 or 5 members; beyond that it may stop short of f
(docs/he.md, "Opening").
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from .._ext.errors import OverflowDetected, ParameterError, TooManyErasures
from ._kahe_cipher import CiphertextSum
from ._kahe_params import MIN_SUMMANDS, Params, check_context, check_params
from ._kahe_public import BLOCK, public_elements
from ._kahe_search import Search
from ._kahe_shares import ShareSum
from ._shamir import residues
from .noise import CBD_ETA


@dataclass(frozen=True, slots=True, eq=False)
class OpenedSum:
    """An opened sum.

    Attributes:
        values: int64 ``(n_slots,)``, the sum of the contributors' vectors.
        n_contributors: |S|.
        wrong_members: Members whose answer is wrong beyond doubt, if at most f members are corrupted
            and every contributor's share was degree-proved: their share sum is of another number of
            contributors, or on no polynomial that explains the opened key.  Without the proofs a client
            that gave one member a bad share makes that member look the liar.
        suspect_members: Members that disagree with the t that opened the sum, where the sums cannot
            tell who lied: these, or some of the t.  With fewer than t + f answers of this set, or more
            than ``2**15`` choices of t among them, nobody is called wrong, only suspect.
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

    That ciphertexts and share sums are of this round is for the signcryption around them to say: they
    carry no context, and one of another round is noticed only by not opening.

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
            a total made for another context, other parameters, or two sums of one member.
        TooManyErasures: Fewer than t usable share sums.
        OverflowDetected: No t of them open the sum to well-formed contributions.  One message for
            every cause; residuals are never told.

    Timing: depends on how many share sums are wrong, and on how; some seconds where many are.
    """
    sums = _check(params, context, total, share_sums, n_contributors)
    usable = {j: s._total for j, s in sums.items() if s.count == n_contributors}
    misfits = tuple(sorted(sums.keys() - usable.keys()))
    if len(usable) < params.threshold:
        raise TooManyErasures(params.threshold, len(usable))
    search = Search(params, usable, CBD_ETA * n_contributors)
    for subset, key in search.candidates():
        coefficients = _open_with(params, total, key, n_contributors)
        if coefficients is None:
            continue
        values = _unpack_slots(params, coefficients, n_contributors)
        wrong, suspect = search.blame(subset)
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


# -- the arithmetic -----------------------------------------------------------------------------
def _open_with(
    params: Params, total: CiphertextSum, key: NDArray[np.int64], n_contributors: int
) -> NDArray[np.int64] | None:
    """All coefficients of the sum under this key, or None if some ring element's residuals are not noise."""
    ring, scale, N = params._ring, params._scale, params.N
    largest = params.max_residual(n_contributors)
    squares = params.max_square_sum(n_contributors)
    hat = residues(key, params.q)[None]
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

"""Opening: find the sum of the keys among the members' share sums, and with it the sum of the vectors.

A member may answer anything.  With more than t share sums the opener looks for t of them whose key
passes two tests that a wrong key fails: every coefficient within ``+-42 |S|``, and residuals of the
opened sum as small as honest noise.  Up to 19 members that finds up to ``n - t`` wrong sums, where
decoding alone finds ``(n - t) / 2``, which is none for 4 or 5 members; beyond that it may stop short of f
(docs/he.md, "Opening").
"""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import closing
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from .._ext import codec, sampler
from .._ext.errors import OverflowDetected, ParameterError, TooManyErasures
from ._kahe_blocks import Spare, block_starts, check_threads, in_order
from ._kahe_cipher import CiphertextSum
from ._kahe_params import MIN_SUMMANDS, Params, check_context, check_params
from ._kahe_public import public_planes
from ._kahe_search import Search
from ._kahe_shares import ShareSum
from .noise import CBD_ETA


@dataclass(frozen=True, slots=True, eq=False)
class OpenedSum:
    """An opened sum; made by :func:`open_sum`.

    Attributes:
        values: int64 ``(n_slots,)``, the sum of the contributors' vectors; the caller's ``out``, if one
            was given.
        n_contributors: ``|S|``, at least 3.
        wrong_members: Members (1 to n, ascending) whose answer is wrong beyond doubt, if at most f members
            are corrupted and every contributor's share was degree-proved: their share sum is of another
            number of contributors, or on no polynomial that explains the opened key.  Without the proofs a
            client that gave one member a bad share makes that member look the liar.
        suspect_members: Members (ascending) that disagree with the t that opened the sum, where the sums
            cannot tell who lied: these, or some of the t.  With fewer than t + f answers of this set, or
            more than ``2**15`` choices of t among them, nobody is called wrong, only suspect.

    Timing: holds what was opened, and computes nothing.
    Source: docs/he.md, "Opening".
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
    *,
    out: NDArray[np.int64] | None = None,
    threads: int = 1,
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
        context: The round's header hash, 32 bytes.
        total: The sum of the contributors' ciphertexts; read only.
        share_sums: One per answering member, t to n, in any order; read only.  One whose count is not
            ``n_contributors`` is of another set: it is left out and its member called wrong.
        n_contributors: ``|S|``, 3 to ``max_summands``.
        out: Contiguous, aligned, writable int64 array ``(n_slots,)``, e.g. a memory map, that takes the
            values, a block at a time; zeros after :class:`OverflowDetected`.  A new array when left out.
        threads: Blocks of ring elements opened at the same time, 1 to 256.

    Returns:
        The integers of the sum, int64 ``(n_slots,)``, and which members' share sums were wrong.

    Raises:
        TypeError: Wrong types.
        ParameterError: Fewer than 3 contributors, another number of ciphertexts than contributors,
            a total made for another context, or one of no use any more, other parameters, two sums of one
            member, ``threads`` out of range, or an ``out`` of another shape.
        TooManyErasures: Fewer than t usable share sums.
        OverflowDetected: No t of them open the sum to well-formed contributions.  One message for
            every cause; residuals are never told.

    Timing: depends on how many share sums are wrong, and on how: some seconds where many are, a minute at
        worst.  Of right ones on public sizes only.
    Source: Shamir, CACM 1979, section 2; Berlekamp, Welch, US patent 4,633,470, where there are more than
        2**15 choices of t sums; docs/he.md, "Opening".
    """
    sums = _check(params, context, total, share_sums, n_contributors)
    check_threads(threads)
    values = _check_out(params, out)
    usable = {j: s._total for j, s in sums.items() if s.count == n_contributors}
    misfits = tuple(sorted(sums.keys() - usable.keys()))
    if len(usable) < params.threshold:
        raise TooManyErasures(params.threshold, len(usable), "share sums of different members")
    search = Search(params, usable, CBD_ETA * n_contributors)
    opener = _Opener(params, total, n_contributors, values, threads)
    for subset, key in search.candidates():
        if not opener.opens(key):
            continue
        if not opener.well_formed:
            break
        wrong, suspect = search.blame(subset)
        return OpenedSum(values, n_contributors, tuple(sorted((*misfits, *wrong))), suspect)
    values.fill(0)
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
    total._check_room(0)
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


def _check_out(params: Params, out: NDArray[np.int64] | None) -> NDArray[np.int64]:
    if out is None:
        return np.empty(params.n_slots, np.int64)
    if not isinstance(out, np.ndarray) or isinstance(out, np.ma.MaskedArray) or out.dtype != np.int64:
        raise TypeError("out: int64 array without a mask expected")
    if out.shape != (params.n_slots,) or not out.flags.carray:
        raise ParameterError(f"out: contiguous, writable, aligned, of shape ({params.n_slots},) expected")
    return out


# -- the arithmetic -----------------------------------------------------------------------------
class _Opener:
    """Opens all ring elements under one key after another, into the same array.

    Attributes:
        well_formed: After :meth:`opens` said yes: padding is zero and every slot within reach of ``|S|``.
    """

    def __init__(
        self,
        params: Params,
        total: CiphertextSum,
        n_contributors: int,
        values: NDArray[np.int64],
        threads: int,
    ) -> None:
        self._params = params
        self._total = total
        self._values = np.asarray(values)  # without the ways of a subclass
        self._threads = threads
        self._largest = params.max_residual(n_contributors)
        self._squares = params.max_square_sum(n_contributors)
        self._reach = n_contributors * ((1 << (params.value_bits - 1)) - 1)
        self._starts, self._rows = block_starts(params.n_elements, params.N)
        rows = min(self._rows, params.n_elements)
        self._products = Spare(lambda: params._ring.empty(rows))
        self.well_formed = False

    def opens(self, key: NDArray[np.int64]) -> bool:
        """Whether all residuals under this key are noise.

        Not all is done if they are not: a wrong key nearly always shows in the first element.
        """
        params = self._params
        hat = params._ring.empty(1)
        for plane, q in zip(hat, params._set.primes, strict=True):
            sampler.residues(plane[0], key, q)
        params._ring.forward(hat)
        self.well_formed = True
        if not self._block(hat[:, 0], 0, 1):
            return False
        with closing(in_order(lambda at: self._block(hat[:, 0], at), self._starts, self._threads)) as blocks:
            return all(blocks)

    def _block(self, key: NDArray[np.uint64], start: int, count: int | None = None) -> bool:
        params = self._params
        end = min(start + (count or self._rows), params.n_elements)
        buffer = self._products.take()
        product = buffer[:, : end - start]
        params._ring.multiply(product, public_planes(params, self._total.context, start, end - start), key)
        params._ring.inverse(product)
        max_r, sum_r2 = np.empty(end - start, np.uint64), np.empty(end - start, np.uint64)
        place = self._values[start * params._slots : end * params._slots]
        whole = len(place) == (end - start) * params._slots
        opened = place if whole else np.empty((end - start) * params._slots, np.int64)
        params._scale.open(
            opened.reshape(end - start, params._slots),
            max_r,
            sum_r2,
            self._total._elements(start, end - start),
            product,
        )
        self._products.give(buffer)
        # The maximum alone is nearly empty where B is close to half a step: both are needed.
        if int(max_r.max()) > self._largest or int(sum_r2.max()) > self._squares:
            return False
        low, high = codec.extremes(opened)
        if low < -self._reach or high > self._reach or opened[len(place) :].any():
            self.well_formed = False
        if not whole:
            place[:] = opened[: len(place)]
        return True

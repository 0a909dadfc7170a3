"""Noise of a key-additive sum: bounds, and the wire width that follows from them, in exact arithmetic.

Every party computes these from the round's parameters and must get the same integers, so everything
here is rational: no floating point, whose last bit may differ between machines.

Units are those of the last wire bit.  The sum of ``n`` ciphertexts holds ``n`` rounding errors
(uniform, variance 1/12) and ``n`` errors CBD(42) (variance 21) scaled by ``2^W / q``; both are
sub-Gaussian with their variance as proxy.  By ``P(|X| > s) <= 2 exp(-s^2 / (2 proxy))`` a coefficient
exceeds ``T = 13.38 sqrt(proxy)`` with probability below ``2^-128``.  The opener adds two roundings of at
most a half: that of ``a K 2^W / q``, with which the message must still be found, and that of
``M 2^(W+k') / q``, which only the residual shows.  So a message is found if ``B = T + 1/2`` is below
half a step, and an honest residual is at most ``T + 1``.

That the rounding errors of different clients are independent and uniform is the usual heuristic: they
are what is cut off values that ring-LWE makes look so.  All clients share the public elements, so it is
no theorem, least of all with more clients than N; a test measures such a sum.
"""

from __future__ import annotations

from bisect import bisect_left
from fractions import Fraction
from functools import lru_cache
from math import floor, isqrt

from .._ext.errors import ParameterError

CBD_ETA = 42
"""Keys and errors are CBD(42): in [-42, 42] with variance 21.  Ternary would not do: the sum of the
keys becomes public, and with two honest clients it would tell two ninths of the coefficients."""

TAIL = Fraction(1338, 100)
"""Standard deviations that a coefficient exceeds with probability below 2^-128."""


def slot_bits(value_bits: int, max_summands: int) -> int:
    """w: a slot holds the sum of ``max_summands`` signed integers of ``value_bits`` bits."""
    return value_bits + (max_summands - 1).bit_length()


def proxy(q: int, wire_bits: int, n_summands: int) -> Fraction:
    """Sub-Gaussian variance proxy of one coefficient: ``n (1/12 + 21 * 4^W / q^2)``."""
    return n_summands * (Fraction(1, 12) + Fraction(21 << (2 * wire_bits), q * q))


def max_residual(q: int, wire_bits: int, n_summands: int) -> int:
    """``floor(T + 1)``: the largest integer residual that an honest sum may show."""
    # floor(sqrt(v)) = isqrt(floor(v)) for every rational v >= 0.
    return isqrt(floor(TAIL * TAIL * proxy(q, wire_bits, n_summands))) + 1


def max_square_sum(q: int, wire_bits: int, n_summands: int, N: int) -> int:
    """``floor(2 N (proxy + 1/12))``: the largest sum of squared residuals of one ring element.

    The expectation is ``N (proxy + 1/6)``, with two roundings of the opener, so this is 1.6 times as much
    for 3 summands and 2 times for many: an honest element exceeds it with probability about 2^-190 to
    2^-450, if its coefficients are taken for independent and normal.  Under a wrong key the residuals
    are uniform, and their mean square is far above.
    """
    return floor(2 * N * (proxy(q, wire_bits, n_summands) + Fraction(1, 12)))


def max_message(slots: int, value_bits: int, max_summands: int) -> int:
    """Largest ``|M|``: every slot of a coefficient at ``max_summands`` times the largest value."""
    w = slot_bits(value_bits, max_summands)
    return max_summands * ((1 << (value_bits - 1)) - 1) * sum(1 << (w * j) for j in range(slots))


@lru_cache(maxsize=1024)
def scale_bits(q: int, slots: int, value_bits: int, max_summands: int) -> int:
    """``k'``: the message is multiplied by ``2^k'``.  Below 1 there is no room.

    ``L - S w``, which leaves the message a headroom of one part in ``2^(b-1)``.  Where q is further than
    that from ``2^L`` (24-bit values in the sets of 72 and 80 bits) the largest sums would wrap at every
    wire width; one less then, if that opens them.
    """
    full = q.bit_length() - slots * slot_bits(value_bits, max_summands)
    load = (slots, value_bits, max_summands)
    if full > 1 and not _opens_somewhere(q, full, *load) and _opens_somewhere(q, full - 1, *load):
        return full - 1
    return full


def wire_bits_suffice(q: int, wire_bits: int, slots: int, value_bits: int, max_summands: int) -> bool:
    """Whether every honest sum opens: nothing wraps, and noise stays below half a step.

    ``max|M| 2^(W+k') / q + B < 2^(W-1)`` and ``B < 2^(W+k') / (2q)`` with ``B = T + 1/2``.  Divided by
    ``2^W``, only ``B / 2^W`` depends on W, and falls: what W opens, every larger one does.
    """
    shift = scale_bits(q, slots, value_bits, max_summands)
    return _opens(q, wire_bits, shift, slots, value_bits, max_summands)


def _opens_somewhere(q: int, shift: int, slots: int, value_bits: int, max_summands: int) -> bool:
    return _opens(q, q.bit_length() - 1, shift, slots, value_bits, max_summands)


def _opens(q: int, wire_bits: int, shift: int, slots: int, value_bits: int, max_summands: int) -> bool:
    if shift < 1 or not 1 <= wire_bits < q.bit_length():
        return False
    step = Fraction(1 << (wire_bits + shift), q)
    room = min((1 << (wire_bits - 1)) - max_message(slots, value_bits, max_summands) * step, step / 2)
    rest = room - Fraction(1, 2)
    # B < room, i.e. 13.38 sqrt(proxy) < rest, compared squared: no root is taken.
    return rest > 0 and TAIL * TAIL * proxy(q, wire_bits, max_summands) < rest * rest


MAX_SLOTS = 16
"""Slots of a coefficient; the narrowest, of 6 bits, fill a modulus of 100 bits with them."""


@lru_cache(maxsize=256)
def best_slots(q: int, value_bits: int, max_summands: int) -> int:
    """S, the slots of a coefficient with the fewest wire bits a value; of equals the smallest.

    A function of public integers in exact arithmetic, so that all parties find the same one.

    Raises:
        ParameterError: Not even one slot opens such sums.
    """
    best = 1, smallest_wire_bits(q, 1, value_bits, max_summands)
    for slots in range(2, MAX_SLOTS + 1):
        try:
            wire_bits = smallest_wire_bits(q, slots, value_bits, max_summands)
        except ParameterError:
            break
        if wire_bits * best[0] < best[1] * slots:
            best = slots, wire_bits
    return best[0]


@lru_cache(maxsize=1024)
def smallest_wire_bits(q: int, slots: int, value_bits: int, max_summands: int) -> int:
    """The smallest W with which every honest sum opens.

    Raises:
        ParameterError: None does: fewer summands, fewer bits a value or a larger set is needed.
    """
    load = (slots, value_bits, max_summands)
    found = bisect_left(range(q.bit_length()), True, key=lambda W: wire_bits_suffice(q, W, *load))
    if found == q.bit_length():
        raise ParameterError(
            f"no wire width opens sums of {max_summands} vectors of {value_bits}-bit values "
            f"with a modulus of {q.bit_length()} bits and {slots} slot(s) a coefficient"
        )
    return found


def most_summands(q: int, value_bits: int, limit: int) -> int:
    """The most summands, 3 to ``limit``, whose sums some W opens; 0 if not even three can be.

    More summands make wider slots and more noise: what opens n opens every smaller number.
    """
    tried = range(3, limit + 1)
    opened = bisect_left(tried, True, key=lambda n: not _possible(q, value_bits, n))
    return tried[opened - 1] if opened else 0


def most_value_bits(q: int, max_summands: int, limit: int) -> int:
    """The most bits a value, up to ``limit``, with which some W opens sums of that many; 0 if none."""
    return next((b for b in range(limit, 1, -1) if _possible(q, b, max_summands)), 0)


def _possible(q: int, value_bits: int, max_summands: int) -> bool:
    # More slots need more room: if one is too many, all are.
    shift = scale_bits(q, 1, value_bits, max_summands)
    return _opens_somewhere(q, shift, 1, value_bits, max_summands)

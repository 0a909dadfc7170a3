"""Noise of public-key ciphertexts and sums: the bound, and what may be rounded off, in exact arithmetic.

A decrypted sum is ``2^k m + noise``.  For one fresh ciphertext the noise is ``e u + e0 + e1 s`` and what
rounding c0 to multiples of ``2^k0`` and c1 to multiples of ``2^k1`` adds, ``r0 + r1 s``.  All of these are
strictly sub-Gaussian, that is, with their variance as proxy:

* ternary ``u`` (variance 2/3) and CBD(21) (10.5) exactly; proxies of independent variables add, so for a
  given key a coefficient has ``V1 = (2/3)|e|^2 + 10.5 + 10.5 |s|^2``;
* a rounding error takes the ``2^d`` integers from ``1 - 2^(d-1)`` to ``2^(d-1)``.  If each is as likely, it
  is ``1/2`` plus a sum of d independent signs times ``1/2, 1, .., 2^(d-2)``: strictly sub-Gaussian around a
  mean of 1/2, with variance ``(4^d - 1) / 12``.

That it is uniform, and independent of everything else, is the one heuristic here: what is rounded off is
cut off values that ring-LWE makes look uniform.  The mean of 1/2 is not lost in the variance, because it
adds up over the summands: at most ``sum|w| (1/2 + H/2)``, where ``H`` bounds the coefficients of
``s (1 + X + .. + X^(N-1))``.

A sum that is compressed again may not be rounded so: where all summands are multiples of ``2^d``, the rest
modulo ``2^d`` is a small multiple of q's, far from uniform.  It is rounded up or down at random instead,
with the probability that makes the mean 0, and by Hoeffding's lemma each error has ``4^(d-1)`` as proxy.

Key generation keeps only keys within the three bounds of :func:`key_bounds`, so nothing below depends on
the key.  Then ``P(|coefficient| > B) <= 2 exp(-T^2 / (2 proxy)) < 2^-128`` with
``T = 13.38 sqrt(proxy)``, ``B = T + mean``.  Coefficients need not be independent of each other.
"""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction
from functools import lru_cache
from math import e, floor, isqrt, log2

from .._ext.errors import ParameterError
from .noise import MAX_SLOTS, TAIL, max_message, slot_bits

ERROR_ETA = 21
"""Errors are CBD(21): in [-21, 21], variance 10.5."""

MAX_DROP_BITS = 23
"""k0 and k1; more would save nothing that another slot does not."""

COMPRESSION = 3
"""Squared weights whose place a compression takes: its proxy is about three times that of one rounding."""


@dataclass(frozen=True, slots=True)
class KeyBounds:
    """What a secret key of dimension N has to satisfy.

    Attributes:
        secret: Largest ``|s|^2``: ``2N/3 + 6 sqrt(2N/9)``.
        error: Largest ``|e|^2``: ``10.5 N + 63 sqrt(2N)``.
        flat: Largest absolute coefficient of ``s (1 + X + .. + X^(N-1))``: ``4 sqrt(2N/3)``.
    """

    secret: int
    error: int
    flat: int


def key_bounds(N: int) -> KeyBounds:
    """The bounds: mean and six standard deviations for the norms, exceeded once in 10^9 keys; four standard
    deviations for the third, whose maximum over N places exceeds it once in 500 keys.  Drawing such keys
    again costs an attacker's search less than a hundredth of a bit."""
    return KeyBounds(
        secret=(2 * N + isqrt(72 * N)) // 3,
        error=(21 * N + isqrt(31752 * N)) // 2,  # 126^2 * 2 = 31752
        flat=isqrt(32 * N // 3),
    )


def rounding_proxy(N: int, k0: int, k1: int) -> Fraction:
    """Of the errors that one rounding to ``2^k0`` and ``2^k1`` adds."""
    return Fraction((4**k1 - 1) * key_bounds(N).secret + 4**k0 - 1, 12)


def compression_proxy(N: int, k0: int, k1: int) -> Fraction:
    """Of the errors of one random rounding to ``2^k0`` and ``2^k1``."""
    return Fraction((k1 > 0) * 4**k1 * key_bounds(N).secret + (k0 > 0) * 4**k0, 4)


def fresh_proxy(N: int) -> Fraction:
    """V1: of one ciphertext before it is rounded; ``sqrt(V1) <= 180.9`` and ``251.1``."""
    bounds = key_bounds(N)
    return Fraction(2 * bounds.error, 3) + Fraction(21, 2) * (1 + bounds.secret)


def proxy(N: int, k0: int, k1: int, square_sum: int, compressions: int) -> Fraction:
    """Of a sum: ``W2 (V1 + V) + R V'``, with the proxies of rounding V and of compressing V'."""
    return square_sum * (fresh_proxy(N) + rounding_proxy(N, k0, k1)) + compressions * compression_proxy(
        N, k0, k1
    )


def max_mean(N: int, k0: int, k1: int, weight_sum: int) -> Fraction:
    """Bound on the mean of the noise of a sum, which the rounding errors' mean of 1/2 adds up to."""
    return weight_sum * Fraction((k0 > 0) + (k1 > 0) * key_bounds(N).flat, 2)


def max_noise(N: int, k0: int, k1: int, weight_sum: int, square_sum: int, compressions: int) -> int:
    """B: an integer that a coefficient's noise exceeds with probability below ``2^-128``.

    Args:
        N: Dimension.
        k0: Bits rounded off the first component of every summand.
        k1: Bits rounded off the second.
        weight_sum: ``W1 = sum |w|``.
        square_sum: ``W2 = sum w^2``.
        compressions: R, the squared weights of sums that were compressed again.
    """
    # floor(sqrt(v)) = isqrt(floor(v)); floor(x + y) <= floor(x) + floor(y) + 1.
    tail = isqrt(floor(TAIL * TAIL * proxy(N, k0, k1, square_sum, compressions)))
    return tail + floor(max_mean(N, k0, k1, weight_sum)) + 1


def failure_log2(n_coefficients: int) -> float:
    """log2 of the bound on the probability that an honest sum is refused, or decrypts to another.

    ``2 exp(-13.38^2 / 2)`` a coefficient, and their union for a vector of that many coefficients.
    """
    return 1 - float(TAIL) ** 2 / 2 * log2(e) + log2(n_coefficients)


@dataclass(frozen=True, slots=True)
class Shape:
    """How a vector becomes coefficients, and what is rounded off.

    Attributes:
        slots: S, slots of a coefficient.
        scale_bits: k: messages are multiplied by ``2^k``.
        k0: Bits rounded off the first component.
        k1: Bits rounded off the second.
    """

    slots: int
    scale_bits: int
    k0: int
    k1: int


@lru_cache(maxsize=256)
def best_shape(N: int, q: int, value_bits: int, max_summands: int, max_square_sum: int) -> Shape:
    """The shape with the fewest bits a value, ``(2 L - k0 - k1) / S``; of equals that with fewer slots.

    For each S, k is ``L - S w``, or one less where the message would reach q/2; and of all pairs with which
    every sum decrypts (``2^k max|m| + B < q/2`` and ``B < 2^(k-1)``) k0, k1 is one with the largest sum,
    of these the one with the least noise.  A function of public integers in exact arithmetic, so that all
    parties find the same one.

    Raises:
        ParameterError: Not even one slot without any rounding decrypts such sums.
    """
    L, w = q.bit_length(), slot_bits(value_bits, max_summands)
    best: tuple[Fraction, Shape] | None = None
    for slots in range(1, MAX_SLOTS + 1):
        shape = _best_pair(N, q, slots, L - slots * w, value_bits, max_summands, max_square_sum)
        if shape is None:
            continue
        cost = Fraction(2 * L - shape.k0 - shape.k1, slots)
        if best is None or cost < best[0]:
            best = cost, shape
    if best is None:
        raise ParameterError(
            f"no scale decrypts sums of {max_summands} vectors of {value_bits}-bit values with squared "
            f"weights of {max_square_sum} and a modulus of {L} bits"
        )
    return best[1]


def _best_pair(
    N: int, q: int, slots: int, scale_bits: int, value_bits: int, max_summands: int, max_square_sum: int
) -> Shape | None:
    largest = max_message(slots, value_bits, max_summands)
    for k in (scale_bits, scale_bits - 1):
        if k < 1:
            return None
        room = min((1 << (k - 1)) - 1, (q - 1) // 2 - (largest << k))

        def bound(k0: int, k1: int) -> int:
            return max_noise(N, k0, k1, max_summands, max_square_sum, 0)

        if bound(0, 0) > room:
            continue
        # Noise grows with k0 and k1, and d bits are never cut off more than d bits of scale.
        pairs = [
            (k0 + k1, -bound(k0, k1), k0, k1)
            for k0 in range(min(k, MAX_DROP_BITS) + 1)
            for k1 in range(min(k, MAX_DROP_BITS) + 1)
            if bound(k0, k1) <= room
        ]
        _, _, k0, k1 = max(pairs)
        return Shape(slots, k, k0, k1)
    return None

"""Inner loops of public-key additive encryption (``he.rlwe``): the front of the compiled kernel.

Errors and messages on a product, the rounding with packing, the running sum with weights, and the
opening, all in exact integers and bit for bit the same in every back end.  What each does is in
``c/rlwe.h``.  Ring data is uint64 of shape ``(P, rows, N)``, one plane of residues a prime; rows and
planes may be strided, coefficients are contiguous.
"""

from __future__ import annotations

from functools import lru_cache

from ._rlwe import CBD_BYTES, MAX_DROP_BITS, MAX_WEIGHT, Rounding
from .kernel import Backend, choose

__all__ = ["BACKENDS", "CBD_BYTES", "MAX_DROP_BITS", "MAX_WEIGHT", "Rounding", "rounding"]

BACKENDS = (
    Backend("portable", "portable", frozenset(), 0),
    Backend("avx2", "avx2", frozenset(), 1),
    Backend("avx512", "avx512", frozenset({"avx512ifma"}), 2),
)
"""Slowest first; the portable one is the oracle of the rest."""

_backend = choose("rlwe", BACKENDS)


@lru_cache(maxsize=64)
def rounding(
    primes: tuple[int, ...], scale_bits: int, slots: int, slot_bits: int, drop_bits: int
) -> Rounding:
    """The (shared) scaling and rounding of a set and one component of its wire format.

    Args:
        primes: One or two coprime odd primes of the same length, 17 to 50 bits; L is the bit length of
            their product.
        scale_bits: k, at least 1; messages are multiplied by ``2**k``.
        slots: S, 1 to 16.
        slot_bits: w, 2 to 62; ``S w + k`` is at most L.
        drop_bits: d, 0 to 23 and at most L - 2: a component is sent in L - d bits.

    Raises:
        ValueError: Numbers outside those ranges.

    Timing: public numbers only.  What it gives neither branches nor looks up by random bytes, products,
        values and phases; ``c/rlwe.h`` says which of its arguments may be secret.
    Source: docs/he-rlwe.md, "Construction"; docs/kernels.md, "Lattice kernels".
    """
    return Rounding(_backend.code, primes, scale_bits, slots, slot_bits, drop_bits)

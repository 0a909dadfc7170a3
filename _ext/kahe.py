"""Inner loops of key-additive encryption (``he.kahe``): the front of the compiled kernel.

Sampling of CBD(42), the switch from ``q`` to ``2**W`` with packing, the running sum, and the opening,
all in exact integers and bit for bit the same in every back end.  What each does is in ``c/kahe.h``.

Ring data is uint64 of shape ``(P, rows, N)``, one plane of residues a prime; rows and planes may be
strided, coefficients are contiguous.  A running sum is uint64 ``(words, n)`` with :func:`words` planes:
low words, then high words.
"""

from __future__ import annotations

from functools import lru_cache

from ._kahe import CBD_BYTES, WORD_BITS, Scale
from .kernel import Backend, choose

__all__ = ["BACKENDS", "CBD_BYTES", "Scale", "scale", "words"]

BACKENDS = (
    Backend("portable", "portable", frozenset(), 0),
    Backend("avx2", "avx2", frozenset(), 1),
    Backend("avx512", "avx512", frozenset({"avx512ifma"}), 2),
)
"""Slowest first; the portable one is the oracle of the rest."""

_backend = choose("kahe", BACKENDS)


@lru_cache(maxsize=64)
def scale(primes: tuple[int, ...], wire_bits: int, slots: int, slot_bits: int, scale_bits: int = 0) -> Scale:
    """The (shared) scaling of a set and its wire format.

    Args:
        primes: One or two coprime odd primes of the same length, 17 to 50 bits; L is the bit length of
            their product.
        wire_bits: W, 1 to L - 1; with two primes at most ``L + 40 - k'``.
        slots: S, 1 to 16.
        slot_bits: w, 2 to 62.
        scale_bits: k', 1 to ``L - S w``, which it is when left out (or 0).

    Raises:
        ValueError: Numbers outside those ranges.

    Timing: public numbers only.  What it gives neither branches nor looks up by random bytes, products,
        values and sums; ``c/kahe.h`` says which of its arguments may be secret.
    Source: docs/he.md, "Encrypting"; docs/kernels.md, "Lattice kernels".
    """
    return Scale(_backend.code, primes, wire_bits, slots, slot_bits, scale_bits)


def words(wire_bits: int) -> int:
    """64-bit words of a coefficient in a running sum: 1 for up to 57 bits, else 2.

    Args:
        wire_bits: W.
    """
    return 1 if wire_bits <= WORD_BITS else 2

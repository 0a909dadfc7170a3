"""Inner loops of key-additive encryption (``he.kahe``): the front of the compiled kernel.

Sampling of CBD(42), the switch from ``q`` to ``2**W`` with packing, the running sum, and the opening,
all in exact integers and bit for bit the same in every back end.  What each does is in ``c/kahe.h``.
"""

from __future__ import annotations

from functools import lru_cache

from ._kahe import CBD_BYTES, Scale, cbd
from .kernel import Backend, choose

__all__ = ["BACKENDS", "CBD_BYTES", "MAX_WIRE_BITS", "Scale", "cbd", "scale"]

MAX_WIRE_BITS = 55
"""W is below the 56 bits that ``q`` may have; 64-bit words read it at any bit offset."""

BACKENDS = (Backend("portable", "portable", frozenset(), 0),)
_backend = choose("kahe", BACKENDS)


@lru_cache(maxsize=64)
def scale(q: int, wire_bits: int, scale_bits: int) -> Scale:
    """The (shared) scaling of a set and its wire format.

    Args:
        q: Odd modulus of 17 to 56 bits.
        wire_bits: W, below the bit length of ``q``.
        scale_bits: k', below the bit length of ``q``; messages are multiplied by ``2**k'``.

    Raises:
        ValueError: Numbers outside those ranges.
    """
    return Scale(_backend.code, q, wire_bits, scale_bits)

"""Parity and correction of Reed-Solomon words over GF(2^2) ... GF(2^16): the hot loops of ``rs.RSCodec``.

A :class:`Code` has the tables of one code and works on arrays of words, one a row; a program has few of
them, so the last ones are kept.  Nothing here is secret: symbols are looked up in tables, and the work
depends on the errors.  Back ends, lane drawings and how to add one: docs/kernels.md.
"""

from __future__ import annotations

from functools import lru_cache

from ._rsword import Code
from .kernel import Backend, choose

__all__ = ["BACKENDS", "Code", "code"]

# Slowest first; the last one that runs here is taken.
BACKENDS = (
    Backend("portable", "portable", frozenset(), 0),
    Backend("avx2", "avx2", frozenset(), 1),
    Backend("avx512-gfni", "avx512", frozenset({"gfni"}), 2),
)
_BACKEND = choose("rsword", BACKENDS)


@lru_cache(maxsize=64)
def code(bits: int, prim: int, generator: int, fcr: int, nsym: int, *, backend: Backend = _BACKEND) -> Code:
    """The code of words with zeros at ``generator ** (fcr + i)`` for ``i`` below ``nsym``.

    Args:
        bits: 2 to 16; symbols are uint8 up to 8, uint16 above.
        prim: Polynomial of the field, of degree ``bits``, as a number.
        generator: Element that generates the field, ``2 <= generator < 2**bits``.
        fcr: Power of the first zero, any integer of either sign.
        nsym: Parity symbols, ``1 <= nsym < 2**bits - 1``.
        backend: One of :data:`BACKENDS` that this processor runs; tests and benchmarks only.

    Raises:
        ParameterError: Out of range, or ``generator`` does not generate the field.
        KernelUnavailable: ``backend`` is not in this build.

    Timing: depends on data and errors everywhere; nothing here may be secret.
    Source: Massey 1969; Forney 1965; Sarwate and Shanbhag 2001; docs/kernels.md, "Reed-Solomon words".
    """
    return Code(bits, prim, generator, fcr % ((1 << bits) - 1), nsym, backend.code)

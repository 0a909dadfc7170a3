"""Random words to samples: the front of the compiled samplers of ``he``.

Every back end gives the same bits.  What each function does, and what may be secret: ``c/sampler.h``.
All arrays are contiguous; no output overlaps an input, except where it is said.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from . import _sampler
from .kernel import Backend, choose

__all__ = ["BACKENDS", "REJECTED", "cbd", "cbd_bytes", "residues", "ternary", "uniform"]

REJECTED = _sampler.REJECTED
"""What :func:`ternary` writes in place of a word that it rejects."""

BACKENDS = (
    Backend("portable", "portable", frozenset(), 0),
    Backend("avx2", "avx2", frozenset(), 1),
    Backend("avx512", "avx512", frozenset(), 2),
)
"""Slowest first; the portable one is the oracle of the rest."""

_backend = choose("sampler", BACKENDS)


def cbd_bytes(eta: int) -> int:
    """The random bytes for one sample of CBD(``eta``): 8 for 21, 16 for 42.

    Args:
        eta: 21 or 42 (not checked).
    """
    return 8 if eta == 21 else 16


def cbd(out: NDArray[np.int64], random: NDArray[np.uint8], eta: int, *, backend: Backend = _backend) -> None:
    """Centred binomial samples: the difference of two counts of ``eta`` random bits.

    Args:
        out: int64 ``(n,)``, written: each in ``[-eta, eta]``, variance ``eta / 2``.
        random: uint8 ``(n * cbd_bytes(eta),)``.
        eta: 21 (one little-endian word: its low 21 bits and the next 21) or 42 (the low 42 bits of two).
        backend: One of :data:`BACKENDS` that this processor runs; tests and benchmarks only.

    Raises:
        ValueError: Another length, type or ``eta``; not contiguous; an overlap.

    Timing: depends on the length only.
    """
    _sampler.cbd(out, random, eta, backend.code)


def ternary(out: NDArray[np.int64], random: NDArray[np.uint16], *, backend: Backend = _backend) -> int:
    """Exactly uniform samples of ``{-1, 0, 1}``: ``r // 21845 - 1``, and ``REJECTED`` for r = 65535.

    Args:
        out: int64 ``(n,)``, written.
        random: uint16 ``(n,)``.
        backend: As in :func:`cbd`.

    Returns:
        How many places hold ``REJECTED``: about one in 65536.  The caller draws those again from the
        words that follow, in order, until none is left.

    Raises:
        ValueError: As :func:`cbd`.

    Timing: depends on the length only; how many it rejects tells nothing of the others.
    """
    return _sampler.ternary(out, random, backend.code)


def uniform(
    out: NDArray[np.uint64],
    words: NDArray[np.uint64],
    bits: int,
    bound: int,
    *,
    backend: Backend = _backend,
) -> int:
    """Rejection: those of ``words & (2**bits - 1)`` that are below ``bound``, in order.

    Args:
        out: uint64 ``(n,)``, written from the front; may start where ``words`` starts.
        words: uint64 ``(m,)``.
        bits: 1 to 63.
        bound: 1 to ``2**63 - 1``.
        backend: As in :func:`cbd`.

    Returns:
        How many were written: ``n``, or fewer if the words did not suffice.

    Raises:
        ValueError: As :func:`cbd`, or ``bits`` or ``bound`` out of range.

    Timing: depends on the words; for public values only.
    """
    return _sampler.uniform(out, words, bits, bound, backend.code)


def residues(out: NDArray[np.uint64], x: NDArray[np.int64], q: int, *, backend: Backend = _backend) -> None:
    """``out = x mod q``.

    Args:
        out: uint64 ``(n,)``, written.
        x: int64 ``(n,)``, each of absolute value below ``q`` (not checked).
        q: 1 to ``2**63 - 1``.
        backend: As in :func:`cbd`.

    Raises:
        ValueError: As :func:`cbd`, or ``q`` out of range.

    Timing: depends on the length only.
    """
    _sampler.residues(out, x, q, backend.code)

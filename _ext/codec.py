"""Floats to bounded integers and back: the front of the compiled codec of ``he``.

IEEE double arithmetic in a fixed order, so every back end gives the same bits: ``c/codec.h`` says what each
function computes.  All arrays are contiguous and aligned, of native byte order; no output overlaps an
input.  Each number of an input is read once.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from . import _codec
from .kernel import Backend, choose

__all__ = ["BACKENDS", "dequantize", "extremes", "narrow", "quantize"]

BACKENDS = (
    Backend("portable", "portable", frozenset(), 0),
    Backend("avx2", "avx2", frozenset(), 1),
    Backend("avx512", "avx512", frozenset(), 2),
)
"""Slowest first; the portable one is the oracle of the rest."""

_backend = choose("codec", BACKENDS)

_KINDS = {"float16": _codec.F16, "float32": _codec.F32, "float64": _codec.F64}


def quantize(
    out: NDArray[np.int64],
    x: NDArray[Any],
    clip: float,
    weight: int,
    random: NDArray[np.uint32] | None,
    *,
    backend: Backend = _backend,
) -> int:
    """``clip(x, -clip, clip) / clip * weight`` as integers in ``[-weight, weight]``.

    Args:
        out: int64 ``(n,)``, written.
        x: float16, float32 or float64 ``(n,)``.
        clip: Finite and positive.
        weight: 1 to ``2**24 - 1``.
        random: uint32 ``(n,)`` for stochastic rounding, up with the probability of the fraction cut to 32
            bits; ``None`` for the nearest integer, ties to even.
        backend: One of :data:`BACKENDS` that this processor runs; tests and benchmarks only.

    Returns:
        -1, or the first index that is NaN or infinite; ``out`` is of no use then.

    Raises:
        ValueError: Another length or type, a number out of range, not contiguous, an overlap.

    Timing: depends on the length, on the type and on where it stops; a float operation may take longer for
        some operands.
    Source: docs/he.md, "Codec"; docs/kernels.md, "Codec".
    """
    kind, plain = _plain(x)
    return _codec.quantize(out, plain, kind, clip, weight, random, backend.code)


def dequantize(
    out: NDArray[Any], total: NDArray[np.int64], clip: float, weights: int, *, backend: Backend = _backend
) -> int:
    """``clip * (total / weights)``, computed in float64 and then rounded to the type of ``out``.

    Args:
        out: float16, float32 or float64 ``(n,)``, written.
        total: int64 ``(n,)``, each of absolute value below ``2**51`` (not checked).
        clip: Finite and positive.
        weights: 1 to ``2**51 - 1``.
        backend: As in :func:`quantize`.

    Returns:
        -1, or the first index that is not finite in that type; ``out`` is of no use then.

    Raises:
        ValueError: As :func:`quantize`.

    Timing: as :func:`quantize`.
    Source: docs/he.md, "Codec"; docs/kernels.md, "Codec".
    """
    kind, plain = _plain(out)
    return _codec.dequantize(plain, kind, total, clip, weights, backend.code)


def narrow(
    out: NDArray[np.int32], values: NDArray[np.int64], bound: int, *, backend: Backend = _backend
) -> int:
    """Copy to 32 bits.

    Args:
        out: int32 ``(n,)``, written.
        values: int64 ``(n,)``.
        bound: 0 to ``2**31 - 1``.
        backend: As in :func:`quantize`.

    Returns:
        -1, or the first index of an absolute value above ``bound``; ``out`` is of no use then.

    Raises:
        ValueError: As :func:`quantize`.

    Timing: depends on the length and on where it stops.
    """
    return _codec.narrow(out, values, bound, backend.code)


def extremes(values: NDArray[np.int64], *, backend: Backend = _backend) -> tuple[int, int]:
    """The least and the largest of one or more int64.

    Args:
        values: int64 ``(n,)``, n >= 1.
        backend: As in :func:`quantize`.

    Raises:
        ValueError: None, or another type; not contiguous.

    Timing: depends on the length only.
    """
    return _codec.extremes(values, backend.code)


def _plain(x: NDArray[Any]) -> tuple[int, NDArray[Any]]:
    """The kind, and what the compiled side reads: halves as their 16 bits."""
    kind = _KINDS.get(x.dtype.name)
    if kind is None:
        raise ValueError(f"float16, float32 or float64 array expected, got {x.dtype.name}")
    return kind, x.view(np.uint16) if kind == _codec.F16 else x

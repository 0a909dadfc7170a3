"""Shamir sharing of vectors over the Mersenne prime ``p = 2**31 - 1``, at the points 1..n.

Vectors are uint64 with every entry below p, so a product of two and a carry fit a word.  Reduction
folds the upper half onto the lower (``2**31 = 1 mod p``): no division, whose time depends on the
operands, and no ``where``, which branches.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

P = (1 << 31) - 1
_P64 = np.uint64(P)
_31 = np.uint64(31)


def reduce(x: NDArray[np.uint64]) -> NDArray[np.uint64]:
    """``x mod p`` for any ``x < 2**63``; a new array."""
    x = (x & _P64) + (x >> _31)  # < 2**33
    x = (x & _P64) + (x >> _31)  # <= p + 3
    # One conditional subtraction is left.  As a product: where() branches for every element.
    out: NDArray[np.uint64] = x - _P64 * (x >= _P64)
    return out


def evaluate(coefficients: NDArray[np.uint64], point: int) -> NDArray[np.uint64]:
    """The vector of values at ``point`` (1..64) of the polynomials with these coefficients.

    Args:
        coefficients: Shape ``(t, ...)``; ``coefficients[d]`` belongs to degree d.
    """
    x = np.uint64(point)
    value: NDArray[np.uint64] = coefficients[-1]
    for c in coefficients[-2::-1]:
        value = reduce(value * x + c)
    return value


def dot(matrix: NDArray[np.uint64], vector: NDArray[np.uint64]) -> NDArray[np.uint64]:
    """``matrix @ vector mod p``; at most 2**31 columns, so the sum of reduced products fits."""
    return reduce(reduce(matrix * vector).sum(axis=-1, dtype=np.uint64))


def lagrange(points: Sequence[int], at: int) -> list[int]:
    """Coefficients with which values at ``points`` give the value at ``at``."""
    out = []
    for x in points:
        factor = 1
        for y in points:
            if y != x:
                factor = factor * (at - y) * _inverse(x - y) % P
        out.append(factor)
    return out


@lru_cache(maxsize=256)
def _inverse(difference: int) -> int:
    # Public, and between -63 and 63: a search over thousands of subsets asks for few different ones.
    return pow(difference, -1, P)


def interpolate(values: Mapping[int, NDArray[np.uint64]], at: int) -> NDArray[np.uint64]:
    """The vector at ``at`` of the polynomials of degree ``len(values) - 1`` through these."""
    points = sorted(values)
    total = np.zeros_like(values[points[0]])
    for x, factor in zip(points, lagrange(points, at), strict=True):
        total = reduce(total + values[x] * np.uint64(factor))  # < 2**62 + 2**31
    return total


def centred(x: NDArray[np.uint64]) -> NDArray[np.int64]:
    """Representatives in ``[-(p-1)/2, (p-1)/2]``."""
    signed = x.astype(np.int64)
    return signed - P * (signed > P // 2)

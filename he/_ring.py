"""The ring of a named set: one transform a prime, over planes of residues.

Everything here is uint64 of shape ``(P, rows, N)``: plane p holds residues modulo prime p, and a ring
element is one row in every plane (Chinese remainder theorem).  Planes and rows may be strided, the last
axis is contiguous.
"""

from __future__ import annotations

from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from .._ext import ntt
from .params import RlweSet, named_set


class Ring:
    """Transforms and products of a set; immutable, safe to share between threads.  Made by :func:`ring`.

    Attributes:
        set: The set.
    """

    __slots__ = ("_transforms", "set")

    def __init__(self, chosen: RlweSet) -> None:
        self.set = chosen
        self._transforms = [
            ntt.ring(chosen.N, q, psi) for q, psi in zip(chosen.primes, chosen.roots, strict=True)
        ]

    def empty(self, rows: int) -> NDArray[np.uint64]:
        """Room for ``rows`` elements, not initialised."""
        return np.empty((len(self._transforms), rows, self.set.N), np.uint64)

    def forward(self, x: NDArray[np.uint64]) -> None:
        """Transform in place; residues below their prime before and after."""
        for transform, plane in zip(self._transforms, x, strict=True):
            transform.forward(plane)

    def inverse(self, x: NDArray[np.uint64]) -> None:
        """Undo :meth:`forward`."""
        for transform, plane in zip(self._transforms, x, strict=True):
            transform.inverse(plane)

    def multiply(self, out: NDArray[np.uint64], a: NDArray[np.uint64], b: NDArray[np.uint64]) -> None:
        """``out[p, r] = a[p, r] * b[p]`` place by place; ``out`` may be ``a``.

        Args:
            out: Written.
            a: Of the same shape.
            b: One element, shape ``(P, N)``.
        """
        for transform, to, left, right in zip(self._transforms, out, a, b, strict=True):
            transform.multiply(to, left, right)


@lru_cache(maxsize=8)
def ring(name: str) -> Ring:
    """The (shared) ring of a named set."""
    return Ring(named_set(name))

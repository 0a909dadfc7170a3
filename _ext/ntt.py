"""Negacyclic number-theoretic transform over ``Z_q[X]/(X^n + 1)``: the front of the compiled kernel.

``q`` is a prime below 2**60 with ``q = 1 mod 2n``, ``psi`` a primitive ``2n``-th root of unity.  The
forward transform puts the value of the polynomial at ``psi**(2*brv(i) + 1)`` into place ``i``
(``brv`` reverses ``log2 n`` bits); both directions give residues below ``q``, so every back end gives
the same bits.

Source: Longa, Naehrig, CANS 2016 (merged twist); Harvey, J. Symb. Comp. 60 (2014) (lazy butterflies).
"""

from __future__ import annotations

from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from . import _ntt
from .errors import ParameterError
from .kernel import Backend, choose

BACKENDS = (Backend("portable", "portable", frozenset(), 0),)
"""Slowest first; the portable one is the oracle of the rest."""

_backend = choose("ntt", BACKENDS)


class Ntt:
    """Transforms of one ring, immutable and safe to share between threads; make it with :func:`ring`.

    Attributes:
        n: Coefficients of a ring element.
        q: The prime modulus.
        psi: The root of unity of order ``2n`` in use.
    """

    __slots__ = ("_transform", "n", "psi", "q")

    def __init__(self, n: int, q: int, psi: int, *, backend: Backend = _backend) -> None:
        if n < 2 or n > 1 << 16 or n & (n - 1):
            raise ParameterError(f"n: a power of two in [2, 65536] expected, got {n}")
        if not 16 < q < 1 << 60 or q % (2 * n) != 1:
            raise ParameterError(f"q: a prime below 2**60 with q = 1 mod {2 * n} expected, got {q}")
        if not 0 < psi < q or pow(psi, n, q) != q - 1:  # psi**n = -1: the order is exactly 2n
            raise ParameterError(f"psi: a root of unity of order {2 * n} modulo q expected")
        self.n, self.q, self.psi = n, q, psi
        w, w_shoup = _tables(n, q, psi)
        v, v_shoup = _tables(n, q, pow(psi, -1, q))
        n_inv = pow(n, -1, q)
        self._transform = _ntt.Transform(
            backend.code,
            q,
            w,
            w_shoup,
            v,
            v_shoup,
            n_inv,
            (n_inv << 64) // q,
            (1 << (q.bit_length() + 63)) // q,
        )

    def forward(self, x: NDArray[np.uint64]) -> None:
        """Transform in place.

        Args:
            x: uint64, C-contiguous, shape ``(rows, n)``, each below ``q`` (not checked).

        Raises:
            TypeError: Not an array of that type.
            ValueError: Another shape, not contiguous, or read-only.

        Timing: depends on the shape only.
        """
        self._transform.forward(x)

    def inverse(self, x: NDArray[np.uint64]) -> None:
        """Undo :meth:`forward`, in place; the same contract."""
        self._transform.inverse(x)

    def multiply(self, out: NDArray[np.uint64], a: NDArray[np.uint64], b: NDArray[np.uint64]) -> None:
        """``out[r] = a[r] * b`` place by place modulo ``q``.

        Args:
            out: uint64 ``(rows, n)``, written; may be ``a``.
            a: uint64 ``(rows, n)``, each below ``q``.
            b: uint64 ``(n,)``, each below ``q``.

        Raises:
            ValueError: As :meth:`forward`.

        Timing: depends on the shape only.
        """
        self._transform.multiply(out, a, b)


@lru_cache(maxsize=16)
def ring(n: int, q: int, psi: int) -> Ntt:
    """The (shared) transform of a ring; building its tables takes milliseconds, so it is kept.

    Raises:
        ParameterError: ``n`` is no power of two, ``q`` is not 1 modulo ``2n``, or ``psi`` has not
            order ``2n``.  That ``q`` is prime is not checked: sets are tested once, not at run time.
    """
    return Ntt(n, q, psi)


def _tables(n: int, q: int, root: int) -> tuple[NDArray[np.uint64], NDArray[np.uint64]]:
    """``root**brv(i)`` and Shoup's quotients of them."""
    log_n = n.bit_length() - 1
    powers = [1] * n
    for i in range(1, n):
        powers[i] = powers[i - 1] * root % q
    w = [powers[int(format(i, f"0{log_n}b")[::-1], 2)] for i in range(n)]
    return _ntt.uint64_table(w), _ntt.uint64_table([(x << 64) // q for x in w])

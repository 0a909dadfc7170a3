"""Negacyclic number-theoretic transform over ``Z_q[X]/(X^n + 1)``: the front of the compiled kernel.

``q`` is a prime below 2**60 with ``q = 1 mod 2n``, ``psi`` a primitive ``2n``-th root of unity.  The
forward transform puts the value of the polynomial at ``psi**(2*brv(i) + 1)`` into place ``i``
(``brv`` reverses ``log2 n`` bits); both directions give residues below ``q``, so every back end gives
the same bits.

Source: Longa, Naehrig, CANS 2016 (merged twist); Harvey, J. Symb. Comp. 60 (2014) (lazy butterflies).
"""

from __future__ import annotations

from functools import lru_cache
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from . import _ntt
from .errors import ParameterError
from .kernel import Backend, choose

_AVX2: Final = 1
_AVX512: Final = 2
_LEAST: Final = {_AVX2: _ntt.AVX2_LEAST, _AVX512: _ntt.AVX512_LEAST}

BACKENDS = (
    Backend("portable", "portable", frozenset(), 0),
    Backend("avx2", "avx2", frozenset(), _AVX2),
    Backend("avx512", "avx512", frozenset({"avx512ifma"}), _AVX512),
)
"""Slowest first; the portable one is the oracle of the rest, and does the rings that they do not take
(``q`` of more than 50 bits, less than 32 or 64 coefficients)."""

_backend = choose("ntt", BACKENDS)


class Ntt:
    """Transforms of one ring, immutable and safe to share between threads; make it with :func:`ring`.

    Attributes:
        n: Coefficients of a ring element, a power of two, 2 to 65536.
        q: The prime modulus, below 2**60.
        psi: The root of unity of order ``2n`` in use.

    Args:
        n, q, psi: As above.
        backend: One of :data:`BACKENDS` that this processor runs; tests and benchmarks only.

    Raises:
        ParameterError: As :func:`ring`.

    Timing: rows may be secret: their time depends on the shape only.  n, q and psi are public.
    Source: Longa, Naehrig, CANS 2016; Harvey, J. Symb. Comp. 60 (2014); docs/kernels.md, "NTT".
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
        self._transform = _ntt.Transform(backend.code, q, **tables(n, q, psi, backend))

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
        """Undo :meth:`forward`, in place.

        Args:
            x: As there.

        Raises:
            TypeError, ValueError: As there.

        Timing: depends on the shape only.
        """
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

    Args:
        n: Coefficients, a power of two, 2 to 65536.
        q: A prime between 16 and 2**60 with ``q = 1 mod 2n``.
        psi: A root of unity of order ``2n`` modulo ``q``.

    Raises:
        ParameterError: ``n`` is no power of two, ``q`` is not 1 modulo ``2n``, or ``psi`` has not
            order ``2n``.  That ``q`` is prime is not checked: sets are tested once, not at run time.
    """
    return Ntt(n, q, psi)


def tables(n: int, q: int, psi: int, backend: Backend) -> dict[str, Any]:
    """The fields of ``sv_ntt_tables`` (``_ext/c/ntt.h``) other than ``q`` and ``n``."""
    w, v = _roots(n, q, psi), _roots(n, q, pow(psi, -1, q))
    n_inv = pow(n, -1, q)
    made = {
        "w": _ntt.uint64_table(w),
        "w_shoup": _ntt.uint64_table([(x << 64) // q for x in w]),
        "v": _ntt.uint64_table(v),
        "v_shoup": _ntt.uint64_table([(x << 64) // q for x in v]),
        "n_inv": n_inv,
        "n_inv_shoup": (n_inv << 64) // q,
        "barrett": (1 << (q.bit_length() + 63)) // q,
    }
    if n >= _LEAST.get(backend.code, n + 1) and q < 1 << _ntt.VECTOR_BITS:
        made["vector_w"] = _vector_table(w, q, backend.code)
        # The last layer of the inverse multiplies by 1/n too.
        made["vector_v"] = _vector_table([n_inv, v[1] * n_inv % q, *v[2:]], q, backend.code)
    return made


def _roots(n: int, q: int, root: int) -> list[int]:
    """``root**brv(i)``."""
    log_n = n.bit_length() - 1
    powers = [1] * n
    for i in range(1, n):
        powers[i] = powers[i - 1] * root % q
    return [powers[int(format(i, f"0{log_n}b")[::-1], 2)] for i in range(n)]


def _vector_table(roots: list[int], q: int, code: int) -> NDArray[np.uint64]:
    """``vector_w`` or ``vector_v`` of ``_ext/c/ntt.h`` for the back end of that number."""
    if code == _AVX2:  # doubles; true division of Python integers is rounded to nearest
        centred = [r - q if r > q // 2 else r for r in roots]
        lanes, pairs = 4, np.array([centred, [r / q for r in centred]], np.float64)
    else:
        lanes, pairs = 8, np.array([roots, [(r << 52) // q for r in roots]], np.uint64)
    m = len(roots) // 8
    group = np.arange(m)[:, None]
    layers = (m + group, 2 * m + 2 * group + np.arange(2), 4 * m + 4 * group + np.arange(4))
    # Seven roots a group -> blocks of `lanes` groups: root, first or second, group.
    blocks = pairs[:, np.concatenate(layers, axis=1)].reshape(2, -1, lanes, 7).transpose(1, 3, 0, 2)
    table = np.concatenate([pairs[:, :m].T.reshape(-1), blocks.reshape(-1)]).view(np.uint64)
    table.flags.writeable = False
    return table

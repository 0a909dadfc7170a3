"""Rings and inputs on which the back ends of the transform are compared."""

import numpy as np

from sottovoce.he.params import SETS


def is_likely_prime(q):
    return all(pow(a, q - 1, q) == 1 for a in (2, 3, 5, 7, 11))


def root(n, q):
    """An element of order 2n modulo q."""
    for x in range(2, 200):
        psi = pow(x, (q - 1) // (2 * n), q)
        if pow(psi, n, q) == q - 1:
            return psi
    raise AssertionError


def largest_prime(bits, step):
    """The largest prime below ``2**bits`` that is 1 modulo ``step``."""
    return next(q for q in range((1 << bits) - step + 1, 0, -step) if is_likely_prime(q))


RINGS = sorted({(s.N, q, psi) for s in SETS.values() for q, psi in zip(s.primes, s.roots, strict=True)})
"""Every prime of every named set."""

BIG = largest_prime(60, 2**14)
"""The loosest bound of the portable kernel; the vector back ends do not take it."""

EDGE = largest_prime(50, 2**14)
"""The loosest bound of the vector back ends."""

SMALL = [
    *((n, q, root(n, q)) for n in (2, 4, 8, 16, 32, 64, 128, 256, 512, 1024) for q in (EDGE, 12289)),
    *((n, EDGE, root(n, EDGE)) for n in (2048, 4096, 8192)),
    *((n, q, root(n, q)) for n in (32, 64, 2048) for q in (BIG, largest_prime(51, 4096))),
    (8, 97, root(8, 97)),
]
"""Few coefficients, the edges of what the vector back ends take, and what they do not."""


def patterns(n, q):
    """Rows below q: random ones, and those that drive sums and quotients to their bounds."""
    rng = np.random.default_rng([n, q])
    few = np.array([0, 1, q - 1, q // 2, q // 2 + 1], np.uint64)
    i = np.arange(n)
    rows = [
        rng.integers(0, q, n, dtype=np.uint64),
        rng.integers(max(q - 99, 0), q, n, dtype=np.uint64),
        np.full(n, q - 1, np.uint64),
        np.zeros(n, np.uint64),
        np.full(n, q // 2, np.uint64),
        np.full(n, q // 2 + 1, np.uint64),
        np.where(i == n - 1, 1, 0).astype(np.uint64),
        *(few[rng.integers(0, 5, n)] for _ in range(4)),
        # Alternating at every scale: each layer in turn meets the largest differences.
        *(np.where(i >> k & 1, q - 1, 0).astype(np.uint64) for k in range(n.bit_length() - 1)),
    ]
    return np.array(rows)

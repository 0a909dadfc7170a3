"""Primes of Paillier keys, and uniform numbers below a bound; randomness from the operating system.

Source: FIPS 186-5, appendix A.1.3 (random probable primes) with the conditions that Paillier and its
variant of Damgard, Jurik and Nielsen add.  More Miller-Rabin rounds than its table B.1 asks for: the same
test judges primes that come from outside, and there the table does not apply.
"""

from __future__ import annotations

import os

import gmpy2
from gmpy2 import mpz

ROUNDS = 32
"""Miller-Rabin rounds with random bases, after a Baillie-PSW test: a composite, however it was chosen,
passes with probability below 2^-64."""

_PRIMORIAL = gmpy2.primorial(2000)


def below(bound: int) -> int:
    """Uniform in ``[0, bound)``, by rejection."""
    n_bits = bound.bit_length()
    n_bytes = (n_bits + 7) // 8
    while True:
        number: int = mpz.from_bytes(os.urandom(n_bytes), "little") >> (8 * n_bytes - n_bits)
        if number < bound:
            return number


def unit(n: int) -> int:
    """Uniform among the units modulo n."""
    while True:
        x = below(n)
        if gmpy2.gcd(x, n) == 1:
            return x


def has_small_factor(number: int) -> bool:
    """Whether a prime below 2000 divides it."""
    return bool(gmpy2.gcd(number, _PRIMORIAL) != 1)


def is_prime(number: int) -> bool:
    """Whether it is prime, for numbers above 2000; see ROUNDS."""
    if has_small_factor(number) or not gmpy2.is_prime(number):
        return False
    return all(gmpy2.is_strong_prp(number, 2 + below(number - 3)) for _ in range(ROUNDS))


def _blum_prime(n_bits: int) -> int:
    """A uniform prime p = 3 mod 4 with ``2^(n_bits - 1/2) <= p < 2^n_bits`` (A.1.3, step 4.4)."""
    low = gmpy2.isqrt(mpz(1) << (2 * n_bits - 1)) + 1
    while True:
        p: int = mpz.from_bytes(os.urandom(n_bits // 8), "little") | 3
        # Nearly all composites fall in one round, which costs a third of what Baillie-PSW costs.
        if p >= low and not has_small_factor(p) and gmpy2.is_strong_prp(p, 2) and is_prime(p):
            return p


def blum_pair(key_bits: int) -> tuple[int, int]:
    """p < q for an n of exactly ``key_bits`` bits.

    Both are 3 modulo 4 and of equal length, ``|p - q| > 2^(key_bits/2 - 100)`` (A.1.3, step 5.4),
    ``gcd(p - 1, q - 1) = 2``: then the squares modulo n are a cyclic group, and ``-x^2`` generates nearly
    all of the units with Jacobi symbol 1.  Equal lengths give ``gcd(n, (p - 1)(q - 1)) = 1``.
    """
    half = key_bits // 2
    p = _blum_prime(half)
    while True:
        q = _blum_prime(half)
        if abs(p - q) >> (half - 100) and gmpy2.gcd(p - 1, q - 1) == 2:
            return (p, q) if p < q else (q, p)

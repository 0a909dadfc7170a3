"""Which field a codec works in: the rules by which ``reedsolo`` completes what its caller left open.

Polynomials over GF(2) are integers; bit i is the coefficient of x^i.
"""

from __future__ import annotations

from functools import lru_cache

from .._ext.errors import ParameterError

DEFAULT_PRIM = 0x11D
"""x^8 + x^4 + x^3 + x^2 + 1; given with another ``c_exp`` it means "choose one"."""

DEFAULT_NSIZE = 255

MIN_EXP, MAX_EXP = 2, 16


def complete(nsize: int, prim: int, generator: int, c_exp: int) -> tuple[int, int, int]:
    """``(nsize, prim, c_exp)`` as ``reedsolo.RSCodec`` understands its arguments.

    A word longer than 255 asks for a larger field; a field other than GF(2^8) with the default polynomial
    asks for :func:`first_polynomial`, and with the default length too for words as long as the field allows.

    Raises:
        ParameterError: No word is so short, no field of that size is supported, or the polynomial is of
            another degree.
    """
    if nsize < 2:
        raise ParameterError(f"nsize: at least 2 expected, got {nsize}")
    if nsize > DEFAULT_NSIZE and c_exp <= 8:
        c_exp = nsize.bit_length()
    if not MIN_EXP <= c_exp <= MAX_EXP:
        raise ParameterError(f"c_exp: {MIN_EXP} to {MAX_EXP} expected, got {c_exp}")
    if not 2 <= generator < 1 << c_exp:
        raise ParameterError(f"generator: 2 to {(1 << c_exp) - 1} expected, got {generator}")
    if c_exp != 8 and prim == DEFAULT_PRIM:
        prim = first_polynomial(c_exp, generator)
        if nsize == DEFAULT_NSIZE:
            nsize = (1 << c_exp) - 1
    if prim < 0 or prim >> c_exp != 1:
        raise ParameterError(f"prim: a polynomial of degree {c_exp} expected, got {prim:#x}")
    return nsize, prim, c_exp


@lru_cache(maxsize=64)
def first_polynomial(c_exp: int, generator: int) -> int:
    """The first polynomial that is a prime *number* and for which ``generator`` generates the field.

    ``reedsolo`` looks among prime numbers only, which have nothing to do with irreducible polynomials except
    that a search among them is shorter.  So 0x211 = 23 * 23 is passed over for c_exp = 9, and 0x22D is taken.

    Raises:
        ParameterError: There is none.
    """
    for candidate in range((1 << c_exp) + 1, 2 << c_exp, 2):
        if _is_prime(candidate) and generates(generator, candidate, c_exp):
            return candidate
    raise ParameterError(f"generator: {generator} generates no field of 2**{c_exp} elements; give prim")


def generates(generator: int, prim: int, c_exp: int) -> bool:
    """Whether the powers of ``generator`` modulo ``prim`` are all elements but zero, ``2**c_exp - 1``.

    If they are, every element has an inverse, so ``prim`` is irreducible.
    """
    order = (1 << c_exp) - 1
    if _power(generator, order, prim, c_exp) != 1:
        return False
    return all(_power(generator, order // p, prim, c_exp) != 1 for p in _prime_factors(order))


def _power(base: int, exponent: int, prim: int, c_exp: int) -> int:
    result = 1
    while exponent:
        if exponent & 1:
            result = _product(result, base, prim, c_exp)
        base = _product(base, base, prim, c_exp)
        exponent >>= 1
    return result


def _product(a: int, b: int, prim: int, c_exp: int) -> int:
    result = 0
    for _ in range(c_exp):
        if b & 1:
            result ^= a
        b >>= 1
        a <<= 1
        if a >> c_exp:
            a ^= prim
    return result


def _is_prime(number: int) -> bool:
    return all(number % d for d in range(3, int(number**0.5) + 1, 2))


def _prime_factors(number: int) -> list[int]:
    found = []
    for divisor in range(2, int(number**0.5) + 1):
        if number % divisor == 0:
            found.append(divisor)
            while number % divisor == 0:
                number //= divisor
    return found + [number] * (number > 1)

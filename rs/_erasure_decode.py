"""Decoding of single words with errors at unknown places, for naming bad shards: Gao's algorithm.

On random combinations of bytes of shards, which tell nothing about the data but where it is wrong; the
tables of ``field`` are looked up by them.

Source: Gao, "A new algorithm for decoding Reed-Solomon codes" (2003).  It interpolates, so that the element
zero is a point as good as any other, which a syndrome decoder would be blind to.
"""

from __future__ import annotations

import numpy as np

from . import field

Poly = field.Matrix
"""Coefficients, lowest first; the last one is not zero.  Empty: the polynomial zero."""


def wrong_values(x: field.Matrix, words: field.Matrix, k: int) -> set[int] | None:
    """Places at which words are wrong, all together; None if one of them is wrong at too many to tell.

    Args:
        x: p different points.
        words: ``(p, c)``; each column should be the values at the points of a polynomial of degree below k.
        k: Less than p.
    """
    vanishing, basis = _interpolation(x)
    wrong: set[int] = set()
    for word in words.T:
        whole = _trim(field.matrix_product(word[None, :], basis)[0])
        value = _nearest(vanishing, whole, len(x), k)
        if value is None:
            return None
        differ = np.flatnonzero(_values(value, x) != word)
        if len(differ) > (len(x) - k) // 2:
            return None
        wrong.update(differ.tolist())
    return wrong


def _interpolation(x: field.Matrix) -> tuple[Poly, field.Matrix]:
    """Product of all (X - x_l), and, row by row, the polynomial that is 1 at x_l and 0 at the others."""
    count = len(x)
    vanishing = np.ones(1, np.uint8)
    for point in x:
        vanishing = np.concatenate([np.zeros(1, np.uint8), vanishing]) ^ np.concatenate(
            [field.multiply(vanishing, point), np.zeros(1, np.uint8)]
        )
    # Division by X - x_l for all l at once, from the highest coefficient.
    basis = np.zeros((count, count), np.uint8)
    carry = np.zeros(count, np.uint8)
    for degree in range(count, 0, -1):
        carry = vanishing[degree] ^ field.multiply(carry, x)
        basis[:, degree - 1] = carry
    gaps = x[:, None] ^ x[None, :]
    np.fill_diagonal(gaps, 1)
    return vanishing, field.multiply(basis, field.inverse(field.product(gaps, axis=1))[:, None])


def _nearest(vanishing: Poly, whole: Poly, count: int, k: int) -> Poly | None:
    """The polynomial of degree below k that equals ``whole`` at more than (count + k) / 2 points, if any."""
    before, rest = vanishing, whole
    factor_before, factor = np.zeros(0, np.uint8), np.ones(1, np.uint8)
    while 2 * (len(rest) - 1) >= count + k:
        quotient, remainder = _divide(before, rest)
        before, rest = rest, remainder
        factor_before, factor = factor, _add(factor_before, _multiply(quotient, factor))
    value, remainder = _divide(rest, factor)
    return value if len(remainder) == 0 and len(value) <= k else None


def _values(a: Poly, x: field.Matrix) -> field.Matrix:
    out = np.zeros(len(x), np.uint8)
    for coefficient in a[::-1]:
        out = field.multiply(out, x) ^ coefficient
    return out


def _trim(a: field.Matrix) -> Poly:
    used = np.flatnonzero(a)
    return a[: used[-1] + 1] if used.size else a[:0]


def _add(a: Poly, b: Poly) -> Poly:
    out = np.zeros(max(len(a), len(b)), np.uint8)
    out[: len(a)] ^= a
    out[: len(b)] ^= b
    return _trim(out)


def _multiply(a: Poly, b: Poly) -> Poly:
    out = np.zeros(max(0, len(a) + len(b) - 1), np.uint8)
    for at, coefficient in enumerate(a):
        out[at : at + len(b)] ^= field.multiply(b, coefficient)
    return out


def _divide(a: Poly, b: Poly) -> tuple[Poly, Poly]:
    """Quotient and remainder; ``b`` is not zero."""
    rest = a.copy()
    quotient = np.zeros(max(0, len(a) - len(b) + 1), np.uint8)
    lead = field.inverse(b[-1:])[0]
    for at in range(len(quotient) - 1, -1, -1):
        coefficient = field.multiply(rest[at + len(b) - 1], lead)
        quotient[at] = coefficient
        rest[at : at + len(b)] ^= field.multiply(b, coefficient)
    return _trim(quotient), _trim(rest)

"""Polynomials over ``Z_r``: Shamir's secret sharing, and its check in the exponent.

Share ``j`` of a secret ``s`` is ``f(j)`` for a polynomial ``f`` of degree ``t - 1`` with ``f(0) = s``
(Shamir, CACM 1979).  Any ``t`` shares give ``f(0)`` by Lagrange's formula, also in the exponent, where
nobody ever holds ``s``; any ``t - 1`` are independent of it.  Indices are ``1..n``, never 0.

Coefficients and shares are SECRET and are Python integers, which are not constant time
(docs/timing.md).  Indices and Lagrange coefficients are public.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from typing import TYPE_CHECKING

from . import group
from .group import ORDER, RandomBytes

if TYPE_CHECKING:
    from .group import G2


def draw(threshold: int, random_bytes: RandomBytes = os.urandom) -> list[int]:
    """Coefficients ``a_0, ..., a_(t-1)``, uniform but for ``a_0`` and ``a_(t-1)``, which are not zero.

    With a leading zero fewer than ``t`` shares would determine ``a_0``, and every bound that counts
    servers would be off by one.  That the leading coefficient is not uniform on all of ``Z_r`` moves
    the distribution of ``t - 1`` shares by 2^-255.
    """
    ends = (0, threshold - 1)
    return [
        # 384 bits reduced: a bias below 2^-128, as group.random_scalar has it.
        group.random_scalar(random_bytes) if k in ends else int.from_bytes(random_bytes(48), "big") % ORDER
        for k in range(threshold)
    ]


def distinct_values(threshold: int, servers: int, random_bytes: RandomBytes = os.urandom) -> list[int]:
    """``f(0), f(1), ..., f(n)`` of a fresh ``f``: none zero, distinct if ``t > 1``.  SECRET."""
    while True:
        f = draw(threshold, random_bytes)
        values = [evaluate(f, x) for x in range(servers + 1)]
        # Fails with probability below n^2 * 2^-255; such keys would be refused on loading.
        if 0 not in values and (threshold == 1 or len(set(values)) == len(values)):
            return values


def evaluate(coefficients: Sequence[int], x: int) -> int:
    """``f(x) mod r`` by Horner's rule."""
    total = 0
    for a in reversed(coefficients):
        total = (total * x + a) % ORDER
    return total


def lagrange_at_zero(indices: Sequence[int]) -> list[int]:
    """The ``l_j`` with ``f(0) = sum(l_j * f(j))`` for every ``f`` of degree below ``len(indices)``.

    Args:
        indices: Distinct integers in ``[1, r)``, in any order.

    Returns:
        One integer in ``[1, r)`` for each index, in the same order.

    Raises:
        ValueError: An index is out of range or occurs twice.
    """
    if len(set(indices)) != len(indices) or not all(0 < j < ORDER for j in indices):
        raise ValueError("lagrange_at_zero: distinct indices in [1, r) expected")
    result = []
    for j in indices:
        top = bottom = 1
        for m in indices:
            if m != j:
                top = top * m % ORDER
                bottom = bottom * (m - j) % ORDER
        result.append(top * pow(bottom, -1, ORDER) % ORDER)
    return result


def evaluate_exponent(commitments: Sequence[G2], x: int) -> G2:
    """``f(x)*P2`` from ``a_k*P2``, all public."""
    powers = [1]
    for _ in commitments[1:]:
        powers.append(powers[-1] * x % ORDER)
    return group.g2_msm_vartime(commitments, powers)


def has_degree_below(points: Sequence[G2], threshold: int) -> bool:
    """Whether ``points[x] = f(x)*P2`` for ``x = 0, 1, ...`` and some ``f`` of degree below ``threshold``.

    The dual-code test of SCRAPE (Cascudo and David, ACNS 2017, lemma 1): with ``N`` points,
    ``v_x = 1 / prod(x - y)`` and ``m`` uniform of degree below ``N - t``, the sum of
    ``v_x * m(x) * points[x]`` is always the identity if they lie on such an ``f``, and with
    probability ``1/r`` if not.  One multi-exponentiation of ``N`` points instead of one of ``t``
    points for each of ``N - t``.
    """
    n = len(points)
    if n <= threshold:
        return True
    # m from the operating system: with public coefficients one could solve for points that pass.
    m = [int.from_bytes(os.urandom(48), "big") % ORDER for _ in range(n - threshold)]
    weights = [v * evaluate(m, x) % ORDER for x, v in enumerate(_dual(range(n)))]
    return group.g2_is_identity(group.g2_msm_vartime(points, weights))


def has_full_degree(points: Sequence[G2], threshold: int) -> bool:
    """For points that pass :func:`has_degree_below`: whether ``f`` has degree ``threshold - 1``.

    The leading coefficient of the interpolation through the first ``threshold`` points.
    """
    weights = _dual(range(threshold))
    return not group.g2_is_identity(group.g2_msm_vartime(points[:threshold], weights))


def _dual(nodes: range) -> list[int]:
    """``1 / prod(x - y)`` over the other nodes ``y``, for every node ``x``."""
    result = []
    for x in nodes:
        product = 1
        for y in nodes:
            if y != x:
                product = product * (x - y) % ORDER
        result.append(pow(product, -1, ORDER))
    return result

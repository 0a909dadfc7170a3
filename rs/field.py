"""Arithmetic of GF(2^8)/0x11D on *public* numbers: coefficients of matrices, never data.

Data goes through :mod:`sottovoce._ext.gf256`.  Here are logarithm tables, looked up by value, so
nothing secret may pass through this module: its inputs are indices of shards, and of shards that are
searched for damage a few random combinations.

Elements are bytes; bit i is the coefficient of x^i.  The generator of the logarithms is x = 2.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from .._ext.errors import ParameterError
from .._ext.gf256 import POLYNOMIAL

ORDER = 255
"""Elements of the multiplicative group."""

Matrix = NDArray[np.uint8]


def _tables() -> tuple[NDArray[np.uint8], NDArray[np.int64]]:
    # EXP is written out twice, so that the sum of two logarithms needs no reduction.
    exp = np.zeros(2 * ORDER, np.uint8)
    log = np.zeros(256, np.int64)
    value = 1
    for power in range(ORDER):
        exp[power] = exp[power + ORDER] = value
        log[value] = power
        value <<= 1
        if value >> 8:
            value ^= POLYNOMIAL
    return exp, log


_EXP, _LOG = _tables()


def multiply(a: Matrix, b: Matrix) -> Matrix:
    """Elementwise product, broadcast as numpy does."""
    return np.where((a == 0) | (b == 0), np.uint8(0), _EXP[_LOG[a] + _LOG[b]])


def inverse(a: Matrix) -> Matrix:
    """Elementwise inverse.

    Raises:
        ParameterError: An element is zero.
    """
    if not np.all(a):
        raise ParameterError("inverse: zero has none")
    return _EXP[(ORDER - _LOG[a]) % ORDER]


def power_of_two(exponents: NDArray[np.int64]) -> Matrix:
    """Elementwise 2^e, for ``e >= 0``."""
    out: Matrix = _EXP[exponents % ORDER]
    return out


def product(a: Matrix, axis: int) -> Matrix:
    """Product of elements other than zero along one axis."""
    out: Matrix = _EXP[_LOG[a].sum(axis=axis) % ORDER]
    return out


def matrix_product(a: Matrix, b: Matrix) -> Matrix:
    """``a @ b`` over the field: (r, s) times (s, c) is (r, c)."""
    out = np.zeros((a.shape[0], b.shape[1]), np.uint8)
    for j in range(a.shape[1]):
        out ^= multiply(a[:, j : j + 1], b[j : j + 1, :])
    return out


def invert(matrix: Matrix) -> Matrix:
    """Inverse of a square matrix by Gauss-Jordan elimination.

    Raises:
        ParameterError: The matrix is singular.
    """
    size = matrix.shape[0]
    work = np.concatenate([matrix, np.eye(size, dtype=np.uint8)], axis=1)
    for column in range(size):
        candidates = np.flatnonzero(work[column:, column])
        if candidates.size == 0:
            raise ParameterError("matrix: singular")
        pivot = column + int(candidates[0])
        if pivot != column:
            work[[column, pivot]] = work[[pivot, column]]
        work[column] = multiply(work[column], inverse(work[column, column : column + 1]))
        factors = work[:, column].copy()
        factors[column] = 0
        work ^= multiply(factors[:, None], work[column][None, :])
    return np.ascontiguousarray(work[:, size:])


def pivots(matrix: Matrix) -> list[int]:
    """Indices of the first rows that are linearly independent: as many as the rank, ascending."""
    work = matrix.copy()
    found: list[int] = []
    free = np.ones(work.shape[1], bool)
    # Elimination over columns: each row that still has an element in a free column is one more.
    for row in range(work.shape[0]):
        columns = np.flatnonzero((work[row] != 0) & free)
        if columns.size == 0:
            continue
        column = int(columns[0])
        free[column] = False
        found.append(row)
        scaled = multiply(work[:, column], inverse(work[row, column : column + 1]))
        factors = work[row].copy()
        factors[~free] = 0
        work ^= multiply(scaled[:, None], factors[None, :])
    return found


def left_kernel(matrix: Matrix) -> Matrix:
    """A basis of the row vectors y with ``y @ matrix == 0``, as rows."""
    count = matrix.shape[0]
    work = np.concatenate([matrix, np.eye(count, dtype=np.uint8)], axis=1)
    rank = 0
    for column in range(matrix.shape[1]):
        candidates = np.flatnonzero(work[rank:, column])
        if candidates.size == 0:
            continue
        pivot = rank + int(candidates[0])
        work[[rank, pivot]] = work[[pivot, rank]]
        factors = multiply(work[rank + 1 :, column], inverse(work[rank, column : column + 1]))
        work[rank + 1 :] ^= multiply(factors[:, None], work[rank][None, :])
        rank += 1
    return np.ascontiguousarray(work[rank:, matrix.shape[1] :])


def lagrange(nodes: NDArray[np.uint8], at: NDArray[np.uint8]) -> Matrix:
    """Matrix that takes values of a polynomial of degree < len(nodes) at ``nodes`` to its values at ``at``.

    Entry (i, j) is the product over l != j of (at_i - x_l) / (x_j - x_l); shape (len(at), len(nodes)).

    Args:
        nodes: Distinct elements.
        at: Any elements; a node among them gives its unit row.
    """
    node_gaps = _LOG[nodes[:, None] ^ nodes[None, :]]  # the diagonal, log of 0, counts as 0
    below = node_gaps.sum(axis=1)
    gaps = at[:, None] ^ nodes[None, :]
    above = _LOG[gaps].sum(axis=1)[:, None] - _LOG[gaps]
    out: Matrix = _EXP[(above - below[None, :]) % ORDER]
    hit = gaps == 0
    out[hit.any(axis=1)] = 0
    out[hit] = 1
    return out

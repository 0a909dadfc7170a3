"""Which shards have wrong bytes, without any hash: the shards beyond k are checks of the others.

A code with p shards at hand has p - k checks: the matrix H with a column for each shard such that H times the
shards is zero where all are right.  The shards are first folded to a few columns by random factors, and the
*syndromes* S = H times those are combinations of the columns H_l of the bad shards l only.

1. If the errors of the bad shards are independent of each other, as damage is, S spans exactly the space of
   their H_l, and l is bad iff H_l lies in it: any p - k columns of H are independent.  This names up to
   p - k - 1 bad shards.
2. If they depend on each other (the same byte wrong in two shards), S spans less.  Then each column of S is
   the syndrome of one word with as many wrong symbols as shards are bad, and decoding the word names
   them, up to (p - k) / 2.

The factors come from the randomness of the operating system: whoever made the errors cannot know them.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import Final

import numpy as np

from .._ext import gf256
from . import field
from ._erasure_decode import wrong_values
from ._erasure_rows import Shards
from ._erasure_solve import solution
from .matrix import READ_ONLY, multipliers, points

COMBINATIONS: Final = 16
"""Columns that are left.  Of a bad shard each is right by chance with probability at most 3/256, so that it
is overlooked with at most 2^-102."""

_SEGMENT: Final = 256
_SEGMENTS: Final = 256
_GROUPS: Final = 256
_GROUP_BYTES: Final = _SEGMENT * _SEGMENTS


def fold(rows: Mapping[int, Shards]) -> field.Matrix:
    """Random combinations of the columns of all rows: ``(len(rows), COMBINATIONS)``.

    Column g * 65536 + s * 256 + b has the factor a_s b_g c_b, drawn anew for each 16 MiB: a polynomial of
    degree 3 in random factors, zero for at most 3 of 256 if the rows are not (Schwartz and Zippel).  Data
    may be secret, so that every product of it is the kernel's.
    """
    length, span = len(next(iter(rows.values()))), _GROUP_BYTES * _GROUPS
    total = np.zeros((len(rows), COMBINATIONS), np.uint8)
    for start in range(0, length, span):
        total ^= _fold_span([row[start : start + span] for row in rows.values()])
    return total


def _fold_span(rows: list[Shards]) -> field.Matrix:
    length, count = len(rows[0]), len(rows)
    groups = -(-length // _GROUP_BYTES)
    segments = min(-(-length // _SEGMENT), _SEGMENTS)
    first = gf256.prepare(_random((COMBINATIONS, segments)), COMBINATIONS, segments)
    second, third = _random((COMBINATIONS, groups)), _random((COMBINATIONS, _SEGMENT))
    folded = np.empty((COMBINATIONS, groups, count, _SEGMENT), np.uint8)
    padded = np.zeros(segments * _SEGMENT, np.uint8)
    for g in range(groups):
        for at, row in enumerate(rows):
            group = row[g * _GROUP_BYTES : (g + 1) * _GROUP_BYTES]
            if len(group) < len(padded):
                padded[: len(group)] = group
                padded[len(group) :] = 0
                group = padded
            gf256.multiply(first, group.reshape(segments, _SEGMENT), folded[:, g, at])
    out = np.empty((count, COMBINATIONS), np.uint8)
    line, value = np.empty(count * _SEGMENT, np.uint8), np.empty(count, np.uint8)
    for q in range(COMBINATIONS):
        gf256.multiply(second[q], folded[q].reshape(groups, -1), [line])
        columns = np.ascontiguousarray(line.reshape(count, _SEGMENT).T)
        gf256.multiply(third[q], columns, [value])
        out[:, q] = value
    return out


def _random(shape: tuple[int, int]) -> field.Matrix:
    return np.frombuffer(os.urandom(shape[0] * shape[1]), np.uint8).reshape(shape)


Bad = tuple[int, ...] | None


def bad_shards(k: int, n: int, name: str, used: tuple[int, ...], folded: Mapping[int, Shards]) -> Bad:
    """Indices of the bad shards, ascending, of the folded ones; None if they cannot be told.

    Args:
        k, n, name: The code.
        used: k independent ones of ``folded``, as :func:`._erasure_solve.choose` gives them.
        folded: Index -> combinations of the bytes of the shard, more than k.
    """
    rest = tuple(i for i in folded if i not in used)
    order = [*used, *rest]
    values = np.array([folded[i] for i in order], np.uint8)
    made = solution(k, n, name, used, rest)
    checks = np.concatenate([made, np.eye(len(rest), dtype=np.uint8)], axis=1)
    syndromes = field.matrix_product(checks, values)
    if not syndromes.any():
        return ()
    # A vector lies in the span of S iff every row that is orthogonal to S is orthogonal to it.
    kernel = field.left_kernel(syndromes)
    rank = len(rest) - len(kernel)
    outside = field.matrix_product(kernel, checks).any(axis=0)
    inside = np.flatnonzero(~outside)
    if rank < len(rest) and len(inside) == rank and len(field.pivots(checks[:, inside].T)) == rank:
        return tuple(sorted(order[at] for at in inside))
    if name in READ_ONLY:
        return None
    return _by_decoding(k, n, name, order, values)


def _by_decoding(k: int, n: int, name: str, order: list[int], values: field.Matrix) -> Bad:
    u = multipliers(k, n, name)[order]
    wrong = wrong_values(points(n, name)[order], field.multiply(u[:, None], values), k)
    if wrong is None or len(wrong) > (len(order) - k) // 2:
        return None
    return tuple(sorted(order[at] for at in wrong))

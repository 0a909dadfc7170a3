"""Which shards to read, and the matrix that makes other shards of them."""

from __future__ import annotations

from functools import lru_cache

import numpy as np

from .._ext import gf256
from .._ext.errors import TooManyErasures
from . import field
from .matrix import READ_ONLY, parity_matrix


def choose(k: int, n: int, name: str, present: tuple[int, ...]) -> tuple[int, ...]:
    """The k shards to read, ascending: data first, then parity.

    Args:
        k, n, name: The code.
        present: Indices, ascending.

    Raises:
        TooManyErasures: Fewer than k, or, which only the matrix that is not MDS can have, fewer than k
            that are independent.
    """
    if len(present) < k:
        raise TooManyErasures(k, len(present))
    if name not in READ_ONLY:
        return present[:k]
    return _choose_independent(k, n, name, present)


@lru_cache(maxsize=64)
def _choose_independent(k: int, n: int, name: str, present: tuple[int, ...]) -> tuple[int, ...]:
    generator = np.concatenate([np.eye(k, dtype=np.uint8), parity_matrix(k, n, name)])
    found = field.pivots(generator[list(present)])
    if len(found) < k:
        raise TooManyErasures(k, len(found))
    return tuple(present[i] for i in found)


# Bounded in bytes too: at most 32 times 2 MiB, and for codes of 10 + 4 some 2 KiB each.
@lru_cache(maxsize=32)
def encoder(k: int, n: int, name: str) -> gf256.Matrix:
    """The parity rows of a code that has some, prepared."""
    return gf256.prepare(parity_matrix(k, n, name), n - k, k)


@lru_cache(maxsize=32)
def solver(k: int, n: int, name: str, used: tuple[int, ...], wanted: tuple[int, ...]) -> gf256.Matrix:
    """:func:`solution`, prepared."""
    return gf256.prepare(solution(k, n, name, used, wanted), len(wanted), k)


def solution(k: int, n: int, name: str, used: tuple[int, ...], wanted: tuple[int, ...]) -> field.Matrix:
    """The (wanted, used) matrix that makes some shards of k others.

    Parity P = A_have * have + A_miss * miss, with as many parity rows as data shards are missing; so
    miss = A_miss^-1 * A_have * have + A_miss^-1 * P (minus is plus): only the e x e minor is inverted.
    Parity that is wanted is encoded again from that.

    Args:
        k, n, name: The code.
        used: As :func:`choose` gives it.
        wanted: None of ``used``; at least one.
    """
    parity = parity_matrix(k, n, name)
    have = [i for i in used if i < k]
    missing = [i for i in range(k) if i not in have]
    rows = parity[[i - k for i in used if i >= k]]
    data = np.zeros((k, k), np.uint8)
    data[have, range(len(have))] = 1
    if missing:
        minor = field.invert(rows[:, missing])
        data[missing] = np.concatenate([field.matrix_product(minor, rows[:, have]), minor], axis=1)
    out = np.empty((len(wanted), k), np.uint8)
    again = [at for at, i in enumerate(wanted) if i >= k]
    for at, i in enumerate(wanted):
        if i < k:
            out[at] = data[i]
    if again:
        out[again] = field.matrix_product(parity[[wanted[at] - k for at in again]], data)
    return out

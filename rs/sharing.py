"""Shamir sharing of a 32-byte key over GF(2^8)/0x11D, byte by byte.

Share i is the value at point i + 1 of a random polynomial of degree < k whose constant term is the
key.  Fewer than k shares are independent of the key, for any computing power.

The points are public, the coefficients and shares are secret: everything secret goes through
:func:`sottovoce._ext.gf256.multiply`, which has no look-up and no branch that depends on them.

Source: Shamir, "How to share a secret", CACM 22 (1979).
"""

from __future__ import annotations

import secrets
from collections.abc import Mapping, Sequence
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from .._ext import gf256
from . import field

KEY_BYTES = 32
MAX_SHARES = 255
"""Points are the 255 elements other than zero, where the key is."""

_KEY_AT = -1  # index of the key itself: point 0


def split(key: bytes, k: int, n: int) -> NDArray[np.uint8]:
    """Make n shares, any k of which give ``key`` back: (n, 32) uint8."""
    return _split_derand(key, k, n, secrets.token_bytes(KEY_BYTES * (k - 1)))


def _split_derand(key: bytes, k: int, n: int, randomness: bytes) -> NDArray[np.uint8]:
    coefficients = np.frombuffer(key + randomness, np.uint8).reshape(k, KEY_BYTES)
    shares = np.empty((n, KEY_BYTES), np.uint8)
    gf256.multiply(_powers(k, n), list(coefficients), list(shares))
    return shares


def combine(shares: Mapping[int, bytes]) -> bytes:
    """The key from exactly k shares (index -> 32 bytes)."""
    return _evaluate(shares, (_KEY_AT,)).tobytes()


def shares_at(shares: Mapping[int, bytes], indices: Sequence[int]) -> list[bytes]:
    """What the shares of some indices, at least one, must be, given exactly k shares."""
    return [row.tobytes() for row in _evaluate(shares, tuple(indices))]


def _evaluate(shares: Mapping[int, bytes], at: tuple[int, ...]) -> NDArray[np.uint8]:
    nodes = tuple(shares)
    out = np.empty((len(at), KEY_BYTES), np.uint8)
    gf256.multiply(_weights(nodes, at), [shares[i] for i in nodes], list(out))
    return out


@lru_cache(maxsize=64)
def _powers(k: int, n: int) -> field.Matrix:
    out = np.ones((n, k), np.uint8)
    points = np.arange(1, n + 1, dtype=np.uint8)
    for j in range(1, k):
        out[:, j] = field.multiply(out[:, j - 1], points)
    out.flags.writeable = False
    return out


@lru_cache(maxsize=256)
def _weights(nodes: tuple[int, ...], at: tuple[int, ...]) -> field.Matrix:
    out = field.lagrange(np.array([i + 1 for i in nodes], np.uint8), np.array([i + 1 for i in at], np.uint8))
    out.flags.writeable = False
    return out

"""Generator matrices of systematic erasure codes: the rows that make parity out of data."""

from __future__ import annotations

from functools import lru_cache

import numpy as np

from .._ext.errors import ParameterError
from . import field

MAX_SHARDS = 256
"""A code over GF(2^8) of this form has one field element per shard, and there are 256."""

MATRICES = ("cauchy",)


def check_shape(k: int, n: int, largest: int = MAX_SHARDS) -> None:
    """Refuse anything but ``1 <= k <= n <= largest``.

    Raises:
        TypeError: Not integers.
        ParameterError: Out of range.
    """
    for name, value in (("k", k), ("n", n)):
        if type(value) is not int:
            raise TypeError(f"{name}: int expected, got {type(value).__name__}")
    if not 1 <= k <= n <= largest:
        raise ParameterError(f"k, n: 1 <= k <= n <= {largest} expected, got k = {k}, n = {n}")


@lru_cache(maxsize=64)
def parity_matrix(k: int, n: int, name: str = "cauchy") -> field.Matrix:
    """The (n - k, k) parity rows, read-only.

    ``cauchy``: row i (k <= i < n), column j (0 <= j < k) holds 1 / (i xor j).  The points k ... n - 1
    and 0 ... k - 1 are disjoint, so every square sub-matrix is a Cauchy matrix and invertible: any k
    of the n shards suffice (MDS), for every n <= 256.  Row i does not depend on n.

    Raises:
        ParameterError: An unknown name.

    Source: the matrix of ``gf_gen_cauchy1_matrix`` in ISA-L and of the Cauchy option of
        klauspost/reedsolomon; same bytes.
    """
    if name not in MATRICES:
        raise ParameterError(f"matrix: one of {', '.join(MATRICES)} expected, got {name[:32]!r}")
    rows = np.arange(k, n, dtype=np.uint8)[:, None]
    columns = np.arange(k, dtype=np.uint8)[None, :]
    out = field.inverse(rows ^ columns) if n > k else np.zeros((0, k), np.uint8)
    out.flags.writeable = False
    return out

"""Generator matrices of systematic erasure codes: the rows that make parity out of data.

=================  =============================  ===  =====================================================
name               entry of parity row i, data j  MDS  the same bytes as
=================  =============================  ===  =====================================================
``cauchy``         1 / (i + j)                    yes  ISA-L ``gf_gen_cauchy1_matrix``, pyeclib
                                                       ``isa_l_rs_cauchy``, klauspost ``WithCauchyMatrix``
``zfec``           Lagrange, x = 0, 1, 2, 4, ...  yes  ``zfec``
``backblaze``      Lagrange, x_r = r              yes  klauspost's default, Backblaze JavaReedSolomon
``isal-vand-inv``  Lagrange, x_r = 2^(r + 1)      yes  pyeclib ``isa_l_rs_vand_inv``
``isal-vand``      2^((i - k) j)                  no   ISA-L ``gf_gen_rs_matrix``, pyeclib ``isa_l_rs_vand``
=================  =============================  ===  =====================================================

Lagrange: the data are the values of a polynomial of degree below k at x_0 ... x_(k-1), parity i is its value
at x_i, so the entry is the product over l != j of (x_i - x_l) / (x_j - x_l).  No row depends on n.
"""

from __future__ import annotations

from functools import lru_cache
from typing import Final, SupportsIndex

import numpy as np

from .._ext.errors import ParameterError
from . import field
from ._numbers import integer

MAX_SHARDS = 256
"""A code over GF(2^8) of this form has one field element per shard, and there are 256."""

# Most shards: powers of two are 255 different elements.
_MOST: Final = {
    "cauchy": 256,
    "zfec": 256,
    "backblaze": 256,
    "isal-vand-inv": 255,
    "isal-vand": 256,
}

MATRICES: Final = tuple(_MOST)

READ_ONLY: Final = frozenset({"isal-vand"})
"""Not MDS: some k of n shards do not suffice.  Shards that others have made so are read, none are made."""


def check_shape(k: SupportsIndex, n: SupportsIndex, largest: int = MAX_SHARDS) -> tuple[int, int]:
    """``k`` and ``n`` as ints; refuse anything but ``1 <= k <= n <= largest``.

    Raises:
        TypeError: Not integers.
        ParameterError: Out of range.
    """
    k, n = integer("k", k), integer("n", n)
    if not 1 <= k <= n <= largest:
        raise ParameterError(f"k, n: 1 <= k <= n <= {largest} expected, got k = {k}, n = {n}")
    return k, n


def check_matrix(name: str, k: SupportsIndex, n: SupportsIndex) -> tuple[int, int]:
    """``k`` and ``n`` as ints; refuse an unknown matrix, and a code that it is too small for.

    Raises:
        TypeError: ``name`` is not a str, or ``k`` or ``n`` not an integer.
        ParameterError: Unknown, or out of range.
    """
    if not isinstance(name, str):
        raise TypeError(f"matrix: str expected, got {type(name).__name__}")
    if name not in _MOST:
        raise ParameterError(f"matrix: one of {', '.join(MATRICES)} expected, got {name[:32]!r}")
    return check_shape(k, n, _MOST[name])


@lru_cache(maxsize=64)
def parity_matrix(k: int, n: int, name: str = "cauchy") -> field.Matrix:
    """The (n - k, k) parity rows, read-only; see the module docstring.

    ``cauchy``: the points k ... n - 1 and 0 ... k - 1 are disjoint, so every square sub-matrix is a Cauchy
    matrix and invertible: any k of the n shards suffice (MDS).  A Lagrange matrix is MDS because k
    values at different points determine a polynomial of degree below k.

    Raises:
        ParameterError: An unknown name, or a code that it is too small for.

    Source: ISA-L ``ec_base.c``; klauspost/reedsolomon ``matrix.go``; zfec ``fec.c``.  Each is
        interpolation written another way: V_parity V_data^-1 for a Vandermonde matrix V of the points.
    """
    check_matrix(name, k, n)
    if name == "isal-vand":
        out = _EXP_OF_2[np.arange(n - k)[:, None] * np.arange(k)[None, :] % field.ORDER]
    elif n == k:
        out = np.zeros((0, k), np.uint8)
    elif name == "cauchy":
        rows, columns = np.arange(k, n, dtype=np.uint8), np.arange(k, dtype=np.uint8)
        out = field.inverse(rows[:, None] ^ columns[None, :])
    else:
        x = points(n, name)
        out = field.lagrange(x[:k], x[k:])
    out = np.ascontiguousarray(out)
    out.flags.writeable = False
    return out


_EXP_OF_2: Final = field.power_of_two(np.arange(field.ORDER))


def points(n: int, name: str) -> field.Matrix:
    """The different elements x_0 ... x_(n-1) that stand for the shards of an MDS matrix.

    Raises:
        ParameterError: ``isal-vand``, which has none: its data are coefficients, not values.
    """
    if name in {"cauchy", "backblaze"}:
        return np.arange(n, dtype=np.uint8)
    if name == "zfec":
        return np.concatenate([np.zeros(1, np.uint8), field.power_of_two(np.arange(n - 1))])
    if name == "isal-vand-inv":
        return field.power_of_two(np.arange(1, n + 1))
    raise ParameterError(f"matrix: one with points expected, got {name!r}")


def multipliers(k: int, n: int, name: str) -> field.Matrix:
    """Factors u such that u_i times shard i are the values of one polynomial of degree below k at its point.

    All 1 for a Lagrange matrix.  For ``cauchy`` the polynomial is the sum of d_j / (x + j) times the
    product over j < k of (x + j): its value is the data times the product over the other l < k of
    (j + l) at j < k, and the parity times the product over all l < k of (i + l) at i >= k.
    """
    if name != "cauchy":
        return np.ones(n, np.uint8)
    gaps = np.arange(n, dtype=np.uint8)[:, None] ^ np.arange(k, dtype=np.uint8)[None, :]
    return field.product(np.where(gaps == 0, np.uint8(1), gaps), axis=1)

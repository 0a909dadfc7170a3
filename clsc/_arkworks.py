"""BLS12-381 over ``py_arkworks_bls12381``: the back end for use.

Version 0.5 is pinned, because ``str`` of its ``GT`` fixes the bytes that enter the KDF;
:func:`self_test` guards them in every process, more known answers are in
tests/clsc/test_bls12_381_kat.py.  It is not constant time: nothing here may be
given a secret scalar that was not blinded before (see :mod:`.group`).

Traps of the package, and what is done about each:

* ``from_compressed_bytes`` accepts several encodings of the identity: the identity is refused and
  the point is encoded again and compared.
* ``multiexp_unchecked`` truncates silently on lists of unequal length: lengths are compared.
* ``Scalar(int)`` reduces silently: only integers already in ``[0, r)`` come here.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from typing import Final

from py_arkworks_bls12381 import GT, G1Point, G2Point, Scalar

NAME: Final = "arkworks"

P1: Final = G1Point()
P2: Final = G2Point()
ZERO1: Final = G1Point.identity()
ZERO2: Final = G2Point.identity()


def g1_decode(data: bytes) -> G1Point:
    """48 bytes to a point of the subgroup that is not the identity; ValueError otherwise."""
    point = G1Point.from_compressed_bytes(data)
    if point == ZERO1:
        raise ValueError("the identity")
    if point.to_compressed_bytes() != data:
        raise ValueError("not canonical")
    return point


def g2_decode(data: bytes) -> G2Point:
    """96 bytes to a point of the subgroup that is not the identity; ValueError otherwise."""
    point = G2Point.from_compressed_bytes(data)
    if point == ZERO2:
        raise ValueError("the identity")
    if point.to_compressed_bytes() != data:
        raise ValueError("not canonical")
    return point


def hash_to_g1(dst: bytes, message: bytes) -> G1Point:
    """RFC 9380 section 8.8.1, ``BLS12381G1_XMD:SHA-256_SSWU_RO_``."""
    return G1Point.hash_to_curve(message, dst)


def g1_mul_vartime(point: G1Point, k: int) -> G1Point:
    return point * Scalar(k)


def g2_mul_vartime(point: G2Point, k: int) -> G2Point:
    return point * Scalar(k)


def g1_msm_vartime(points: Sequence[G1Point], scalars: Sequence[int]) -> G1Point:
    if len(points) != len(scalars):
        raise ValueError("unequal lengths")
    return G1Point.multiexp_unchecked(list(points), [Scalar(k) for k in scalars])


def g2_msm_vartime(points: Sequence[G2Point], scalars: Sequence[int]) -> G2Point:
    if len(points) != len(scalars):
        raise ValueError("unequal lengths")
    return G2Point.multiexp_unchecked(list(points), [Scalar(k) for k in scalars])


_PAIRING_SHA256: Final = "ff9912603bb02b77bc6ec1deaeddf9d1fee40ac17a781fb13c9c6e7a9f74d22b"
"""Of the 576 bytes of ``e(P1, P2)``; :mod:`._reference` gives the same."""


def self_test() -> bool:
    """Whether a pairing has the bytes that the wire format fixes: one pairing, about 1 ms.

    With other bytes (another version that slipped past the pin) every packet would be sealed to
    nobody, and no error would say so.
    """
    return hashlib.sha256(multi_pairing([P1], [P2])).hexdigest() == _PAIRING_SHA256


def multi_pairing(g1s: Sequence[G1Point], g2s: Sequence[G2Point]) -> bytes:
    """576 bytes: twelve coefficients of the 2-3-2 tower, 48 bytes little-endian each."""
    return bytes.fromhex(str(GT.multi_pairing(list(g1s), list(g2s))))


def pairing_is_one(g1s: Sequence[G1Point], g2s: Sequence[G2Point]) -> bool:
    return GT.pairing_check(list(g1s), list(g2s))

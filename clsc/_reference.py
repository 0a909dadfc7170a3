"""BLS12-381 over ``py_ecc``: the reference back end, slow and in plain Python.

Gives the same bytes as :mod:`._arkworks` for everything, which the tests hold it to.  For tests,
and for platforms that have no wheel of the fast one.

The pairing of ``py_ecc`` differs from that of arkworks by the exponent -3 and by the basis of
``Fp12``: ``py_ecc`` writes an element as a polynomial of degree 11 in ``w`` with
``w**12 = 2*w**6 - 2``, arkworks as ``(c0 + c1*u) * v**i * w**j`` with ``u**2 = -1``,
``v**3 = u + 1``, ``w**2 = v``; so ``u = w**6 - 1`` and ``v = w**2``.
"""

from __future__ import annotations

import hashlib
import importlib
from collections.abc import Sequence
from typing import Any, Final

from py_ecc.bls.hash_to_curve import hash_to_G1
from py_ecc.bls.point_compression import compress_G1, compress_G2, decompress_G1, decompress_G2
from py_ecc.fields import optimized_bls12_381_FQ12 as FQ12

# Any: the package is typed, but does not export these names explicitly.
ecc: Any = importlib.import_module("py_ecc.optimized_bls12_381")

NAME: Final = "py_ecc"

_R: Final = int(ecc.curve_order)
_COORDINATE_BYTES: Final = 48


class _Point:
    """What G1 and G2 share: a projective triple of ``py_ecc`` behind the operators of arkworks."""

    __slots__ = ("triple",)
    __hash__ = None  # type: ignore[assignment]  # projective triples of one point differ

    def __init__(self, triple: Any) -> None:
        self.triple = triple

    def __eq__(self, other: object) -> bool:
        if type(other) is not type(self):
            return NotImplemented
        # ecc.eq cross-multiplies, which calls the identity equal to everything.
        if ecc.is_inf(self.triple) or ecc.is_inf(other.triple):
            return bool(ecc.is_inf(self.triple) and ecc.is_inf(other.triple))
        return bool(ecc.eq(self.triple, other.triple))


class G1Point(_Point):
    """A point of G1."""

    __slots__ = ()

    def __add__(self, other: G1Point) -> G1Point:
        return G1Point(ecc.add(self.triple, other.triple))

    def __sub__(self, other: G1Point) -> G1Point:
        return G1Point(ecc.add(self.triple, ecc.neg(other.triple)))

    def __neg__(self) -> G1Point:
        return G1Point(ecc.neg(self.triple))

    def to_compressed_bytes(self) -> bytes:
        return int(compress_G1(self.triple)).to_bytes(48, "big")


class G2Point(_Point):
    """A point of G2."""

    __slots__ = ()

    def __add__(self, other: G2Point) -> G2Point:
        return G2Point(ecc.add(self.triple, other.triple))

    def __sub__(self, other: G2Point) -> G2Point:
        return G2Point(ecc.add(self.triple, ecc.neg(other.triple)))

    def __neg__(self) -> G2Point:
        return G2Point(ecc.neg(self.triple))

    def to_compressed_bytes(self) -> bytes:
        z1, z2 = compress_G2(self.triple)
        return int(z1).to_bytes(48, "big") + int(z2).to_bytes(48, "big")


P1: Final = G1Point(ecc.G1)
P2: Final = G2Point(ecc.G2)
ZERO1: Final = G1Point(ecc.Z1)
ZERO2: Final = G2Point(ecc.Z2)


def g1_decode(data: bytes) -> G1Point:
    """48 bytes to a point of the subgroup that is not the identity; ValueError otherwise."""
    if len(data) != 48:
        raise ValueError("length")
    point = G1Point(decompress_G1(int.from_bytes(data, "big")))  # type: ignore[arg-type]
    _check(point, data)
    return point


def g2_decode(data: bytes) -> G2Point:
    """96 bytes to a point of the subgroup that is not the identity; ValueError otherwise."""
    if len(data) != 96:
        raise ValueError("length")
    halves = int.from_bytes(data[:48], "big"), int.from_bytes(data[48:], "big")
    point = G2Point(decompress_G2(halves))  # type: ignore[arg-type]
    _check(point, data)
    return point


def _check(point: G1Point | G2Point, data: bytes) -> None:
    if ecc.is_inf(point.triple):
        raise ValueError("the identity")
    if point.to_compressed_bytes() != data:
        raise ValueError("not canonical")
    if not ecc.is_inf(ecc.multiply(point.triple, _R)):
        raise ValueError("not in the subgroup")


def hash_to_g1(dst: bytes, message: bytes) -> G1Point:
    """RFC 9380 section 8.8.1, ``BLS12381G1_XMD:SHA-256_SSWU_RO_``."""
    return G1Point(hash_to_G1(message, dst, hashlib.sha256))  # type: ignore[arg-type]


def g1_mul_vartime(point: G1Point, k: int) -> G1Point:
    return G1Point(ecc.multiply(point.triple, k))


def g2_mul_vartime(point: G2Point, k: int) -> G2Point:
    return G2Point(ecc.multiply(point.triple, k))


def g1_msm_vartime(points: Sequence[G1Point], scalars: Sequence[int]) -> G1Point:
    total = ZERO1
    for point, k in zip(points, scalars, strict=True):
        total = total + g1_mul_vartime(point, k)
    return total


def g2_msm_vartime(points: Sequence[G2Point], scalars: Sequence[int]) -> G2Point:
    total = ZERO2
    for point, k in zip(points, scalars, strict=True):
        total = total + g2_mul_vartime(point, k)
    return total


def _multi_pairing(g1s: Sequence[G1Point], g2s: Sequence[G2Point]) -> Any:
    product = FQ12.one()
    for p, q in zip(g1s, g2s, strict=True):
        product = product * ecc.pairing(q.triple, p.triple, final_exponentiate=False)
    return ecc.final_exponentiate(product)


def self_test() -> bool:
    """True: what the bytes of a pairing are is defined here."""
    return True


def multi_pairing(g1s: Sequence[G1Point], g2s: Sequence[G2Point]) -> bytes:
    """576 bytes: twelve coefficients of the 2-3-2 tower, 48 bytes little-endian each."""
    inverse = _multi_pairing(g1s, g2s).inv()
    a = [int(c) for c in (inverse * inverse * inverse).coeffs]
    out = bytearray()
    for j in (0, 1):
        for i in (0, 1, 2):
            e = 2 * i + j  # v**i * w**j = w**e, and (c0 + c1*(w**6 - 1)) * w**e
            c1 = a[e + 6]
            c0 = (a[e] + c1) % int(ecc.field_modulus)
            out += c0.to_bytes(_COORDINATE_BYTES, "little") + c1.to_bytes(_COORDINATE_BYTES, "little")
    return bytes(out)


def pairing_is_one(g1s: Sequence[G1Point], g2s: Sequence[G2Point]) -> bool:
    return bool(_multi_pairing(g1s, g2s) == FQ12.one())

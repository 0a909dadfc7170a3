"""What each operation of :mod:`sottovoce.clsc` is made of: the primitives that the construction prescribes.

Each list names the step that asks for the primitive (docs/clsc.md, "Signatures" and "Packets";
docs/clsc-issuing.md).
Counted is what the mathematics and the wire format ask for and a call of a library does: multiplications,
pairings, hashes to the curve, decoding and encoding of points, AES-GCM, SHA-256, HKDF.  Not counted is
what an implementation adds, and what the ratio to the sum is there to show: joining fields, checks of
types, objects, the search for a slot, bookkeeping.

A multiplication by a secret is counted as :mod:`sottovoce.clsc` does it (table, or window of fixed
sequence), because the construction forbids the faster one of the back end.
"""

from __future__ import annotations

import functools
import hashlib
import hmac
import itertools
import os
from collections.abc import Callable, Iterable
from typing import Final, TypeVar

from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from ...clsc import comb, group, hashes
from .measurement import Operation, Part

KIB: Final = 1 << 10
MIB: Final = 1 << 20

Prepare = Callable[[], Operation]
T = TypeVar("T")


# -- primitives -------------------------------------------------------------------------------------
# Every call has another input, as in real work.  With one input again and again the processor learns
# the branches of that one inversion and keeps those few entries of a table close: the sum would come
# out too small by a tenth.

_POOL: Final = 256


@functools.cache
def _scalars() -> tuple[int, ...]:
    return tuple(group.random_scalar() for _ in range(_POOL))


@functools.cache
def _points() -> tuple[group.G1, ...]:
    """Results of multiplications: never normalised."""
    return tuple(comb.p1_mul(k) for k in _scalars())


@functools.cache
def _points2() -> tuple[group.G2, ...]:
    return tuple(comb.p2_mul(k) for k in _scalars())


def _over(call: Callable[[T], object], inputs: Iterable[T]) -> Operation:
    """Each call takes the next input, round and round."""
    take = itertools.cycle(inputs).__next__
    return Operation(lambda: call(take()))


def _table() -> Operation:
    return _over(comb.Comb(_points()[0], 4).mul, _scalars())


def _p1() -> Operation:
    return _over(comb.p1_mul, _scalars())


def _p2() -> Operation:
    return _over(comb.p2_mul, _scalars())


def _window() -> Operation:
    pairs = zip(_points(), reversed(_scalars()), strict=True)
    return _over(lambda pair: group.g1_mul_secret(*pair), pairs)


def _public() -> Operation:
    pairs = zip(_points(), reversed(_scalars()), strict=True)
    return _over(lambda pair: group.g1_mul_vartime(*pair), pairs)


def _msm(*bits: int) -> Prepare:
    """A sum of as many products as there are lengths of scalars."""

    def prepare() -> Operation:
        points, scalars = itertools.cycle(_points()), itertools.cycle(_scalars())
        inputs = [
            ([next(points) for _ in bits], [next(scalars) >> (255 - n) for n in bits])
            for _ in range(max(2, _POOL // len(bits)))
        ]
        return _over(lambda pair: group.g1_msm_vartime(*pair), inputs)

    return prepare


def _pairing(n: int) -> Prepare:
    """With the 576 bytes that enter a KDF."""

    def prepare() -> Operation:
        inputs = [([g1] * n, [g2] * n) for g1, g2 in zip(_points(), _points2(), strict=True)]
        return _over(lambda pair: group.multi_pairing(*pair), inputs)

    return prepare


def _check() -> Operation:
    g2s = [group.P2, _points2()[0]]
    inputs = [[left, -right] for left, right in itertools.pairwise(_points())]
    return _over(lambda g1s: group.pairing_is_one(g1s, g2s), inputs)


def _encode1() -> Operation:
    return _over(lambda point: point.to_compressed_bytes(), _points())


def _encode2() -> Operation:
    return _over(lambda point: point.to_compressed_bytes(), _points2())


def _decode1() -> Operation:
    inputs = [point.to_compressed_bytes() for point in _points()]
    return _over(lambda data: group.g1_from_bytes(data, "point"), inputs)


def _decode2() -> Operation:
    inputs = [point.to_compressed_bytes() for point in _points2()]
    return _over(lambda data: group.g2_from_bytes(data, "point"), inputs)


def _to_curve() -> Operation:
    inputs = [os.urandom(92) for _ in range(_POOL)]
    return _over(lambda message: group.hash_to_g1(b"SOTTOVOCE-V1-QID-sign", message), inputs)


def _to_scalar() -> Operation:
    message = os.urandom(300)
    return Operation(lambda: hashes.hash_to_scalar("SOTTOVOCE-V1-SIG", message))


def _hkdf(n_bytes: int) -> Prepare:
    def prepare() -> Operation:
        ikm, salt, info = os.urandom(80), os.urandom(32), os.urandom(200)
        return Operation(lambda: hashes.hkdf(ikm, salt, info, n_bytes))

    return prepare


def _sha256(n_bytes: int) -> Prepare:
    def prepare() -> Operation:
        data = os.urandom(n_bytes)
        return Operation(lambda: hashlib.sha256(data).digest())

    return prepare


def _seal(n_bytes: int) -> Prepare:
    def prepare() -> Operation:
        key, data, ad = os.urandom(32), os.urandom(n_bytes), os.urandom(210)
        # A key is used once: its schedule belongs to the operation.
        return Operation(lambda: AESGCM(key).encrypt(bytes(12), data, ad))

    return prepare


def _open(n_bytes: int) -> Prepare:
    def prepare() -> Operation:
        key, ad = os.urandom(32), os.urandom(210)
        data = AESGCM(key).encrypt(bytes(12), os.urandom(n_bytes), ad)
        return Operation(lambda: AESGCM(key).decrypt(bytes(12), data, ad))

    return prepare


def _seal_chunks(n_bytes: int) -> Prepare:
    def prepare() -> Operation:
        data, aead = memoryview(os.urandom(n_bytes)), AESGCM(os.urandom(32))
        out = bytearray(MIB + 16)

        def call() -> None:
            for i in range(0, n_bytes, MIB):
                aead.encrypt_into(i.to_bytes(12, "big"), data[i : i + MIB], None, out)

        return Operation(call)

    return prepare


def _hash_chunks(n_bytes: int) -> Prepare:
    def prepare() -> Operation:
        data = memoryview(os.urandom(n_bytes))

        def call() -> None:
            for i in range(0, n_bytes, MIB):
                hashlib.sha256(data[i : i + MIB]).digest()

        return Operation(call)

    return prepare


def _hmac() -> Operation:
    key, data = os.urandom(32), os.urandom(100)
    return Operation(lambda: hmac.digest(key, data, "sha256"))


def _inverse() -> Operation:
    return _over(group.inverse_secret, _scalars())


def _random() -> Operation:
    return Operation(lambda: os.urandom(32))


_PRIMITIVES: Final[dict[str, Prepare]] = {
    "k*B by a table, window 4": _table,
    "k*P1 by a table, window 6": _p1,
    "k*P2 by a table, window 6": _p2,
    "k*U, secret k, window": _window,
    "k*U, public k": _public,
    "k*P + l*U, public": _msm(255, 255),
    "pairing, to bytes": _pairing(1),
    "product of 2 pairings, to bytes": _pairing(2),
    "check of 2 pairings": _check,
    "encode G1": _encode1,
    "encode G2": _encode2,
    "decode G1": _decode1,
    "decode G2": _decode2,
    "hash to G1": _to_curve,
    "hash to scalar": _to_scalar,
    "HMAC": _hmac,
    "inverse of a secret": _inverse,
    "random 32": _random,
}


def _part(name: str, count: int = 1) -> Part:
    return Part(name, _PRIMITIVES[name], count)


def _hkdf_part(n_bytes: int, count: int = 1) -> Part:
    return Part(f"HKDF {n_bytes}", _hkdf(n_bytes), count)


def _sha_part(n_bytes: int, count: int = 1) -> Part:
    return Part(f"SHA-256 of {n_bytes}", _sha256(n_bytes), count)


# -- operations -------------------------------------------------------------------------------------


def _sum(*lists: tuple[Part, ...]) -> tuple[Part, ...]:
    """One list, equal parts counted together."""
    merged: dict[str, Part] = {}
    for part in (part for parts in lists for part in parts):
        known = merged.get(part.name)
        merged[part.name] = Part(part.name, part.prepare, part.count + (known.count if known else 0))
    return tuple(merged.values())


def times(n: int, parts: tuple[Part, ...]) -> tuple[Part, ...]:
    """``n`` times the parts."""
    return tuple(Part(part.name, part.prepare, n * part.count) for part in parts)


_SIGN_TRANSCRIPT: Final = (
    _part("random 32"),  # step 1: salt
    _hkdf_part(96),  # step 1: k, rho
    _part("k*B by a table, window 4", 2),  # step 2: A = k*Q; step 4: V = (k + c)*D
    _part("k*P1 by a table, window 6"),  # step 2: R = rho*P1
    _part("encode G1", 3),  # A, V, R on the wire
    _part("hash to scalar"),  # step 3: c
)

SIGN: Final = _sum(_SIGN_TRANSCRIPT, (_sha_part(KIB),))  # and the transcript of a message of 1 KiB

_PARSE_SIGNATURE: Final = (
    _part("decode G1", 3),  # A, V, R
    _part("hash to scalar"),  # c
)

_CHECK_SIGNATURE: Final = (
    _part("k*P + l*U, public"),  # z*P1 - c*X = R
    _part("k*U, public k"),  # c*Q
    _part("check of 2 pairings"),  # e(V, P2) = e(A + c*Q, Y)
)

VERIFY: Final = _sum((_sha_part(KIB),), _PARSE_SIGNATURE, _CHECK_SIGNATURE)  # Q is known


def batch_equations(n: int) -> tuple[Part, ...]:
    """One check for ``n`` signatures under one set of parameters: three sums and one product of pairings.

    Weights have 128 bits; a weight times a challenge, and the one scalar of ``P1``, have 255.
    """
    return (
        Part(f"sum of {2 * n + 1} in G1: z, R, X", _msm(255, *(128, 255) * n)),
        Part(f"sum of {n} in G1: V", _msm(*(128,) * n)),
        Part(f"sum of {2 * n} in G1: A, Q", _msm(*(128, 255) * n)),
        _part("check of 2 pairings"),
    )


def batch_verify(n: int) -> tuple[Part, ...]:
    """Signatures of messages of 1 KiB under known keys."""
    return _sum(times(n, _sum((_sha_part(KIB),), _PARSE_SIGNATURE)), batch_equations(n))


def signcrypt(receivers: int) -> tuple[Part, ...]:
    """A packet of 1 KiB, receivers used before."""
    once = (
        _part("random 32"),  # step 1: hedged ephemerals
        _sha_part(KIB, 2),  # step 1: of the plaintext; step 4: h_0
        _hkdf_part(160),  # step 1: u1, u2, CEK, seed
        _hkdf_part(96),  # step 1: k_body, k_head, kc
        _part("k*P1 by a table, window 6"),  # step 1: U1
        _part("k*P2 by a table, window 6"),  # step 1: U2
        _part("encode G1"),
        _part("encode G2"),
        Part("AES-GCM seal 1024", _seal(KIB)),  # step 3: the body, one chunk
        _sha_part(400, 2),  # step 4: wire; step 5: transcript
        Part("AES-GCM seal 349", _seal(349)),  # step 6: head
    )
    each = (
        _part("k*B by a table, window 4", 2),  # step 2: u1*X, u2*Q
        _part("encode G1"),  # step 2: S
        _part("pairing, to bytes"),  # step 2: T
        _hkdf_part(64),  # step 2: com, k
        Part("AES-GCM seal 32", _seal(32)),  # step 2: slot
    )
    return _sum(once, times(receivers, each), _SIGN_TRANSCRIPT)


_OPEN: Final = (
    _sha_part(KIB),  # h_0
    _sha_part(400, 3),  # wire; transcript; packet_id
    _part("decode G1"),  # U1
    _part("decode G2"),  # U2
    _part("k*U, secret k, window"),  # S = x*U1
    _part("encode G1"),  # S
    _part("k*P1 by a table, window 6"),  # M = m*P1 splits D
    _part("product of 2 pairings, to bytes"),  # T = e(D - M, U2) e(M, U2)
    _hkdf_part(64),  # com, k
    Part("AES-GCM open 32", _open(32)),  # slot
    _hkdf_part(96),  # k_body, k_head, kc
    Part("AES-GCM open 349", _open(349)),  # head
    Part("AES-GCM open 1024", _open(KIB)),  # body
)

_UNKNOWN_SENDER: Final = (
    _part("decode G1"),  # X
    _part("hash to G1"),  # Q
    _sha_part(400),  # pid
)

UNSIGNCRYPT: Final = _sum(_OPEN, _UNKNOWN_SENDER, _PARSE_SIGNATURE, _CHECK_SIGNATURE)


def unsigncrypt_batch(n: int) -> tuple[Part, ...]:
    """Packets of 1 KiB of senders never seen before."""
    return _sum(times(n, _sum(_OPEN, _UNKNOWN_SENDER, _PARSE_SIGNATURE)), batch_equations(n))


ISSUE_BLIND: Final = (
    # the device: x, b, X, Q, B
    _part("random 32", 3),
    _part("k*P1 by a table, window 6"),  # X = x*P1
    _part("hash to G1"),  # Q
    _part("k*U, secret k, window", 3),  # B = b*Q; the issuer: C = s*B; the device: D = b^-1*C
    _part("encode G1", 3),  # X, B, C
    _part("decode G1", 2),  # the issuer: B; the device: C
    _part("check of 2 pairings"),  # e(D, P2) = e(Q, Y)
    _part("inverse of a secret"),  # b^-1
    _part("HMAC", 2),  # the token's, made and checked
)


def seal_body(n_bytes: int) -> tuple[Part, ...]:
    """What has to be done to every byte of a body."""
    return (
        Part(f"AES-GCM of {n_bytes >> 20} MiB", _seal_chunks(n_bytes)),
        Part(f"SHA-256 of {n_bytes >> 20} MiB", _hash_chunks(n_bytes)),
    )

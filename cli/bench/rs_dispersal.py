"""Dispersal beside its own parts."""

from __future__ import annotations

import os
from typing import Final

import numpy as np
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.hpke import AEAD, KDF, KEM, Suite

from ... import rs
from .areas import Area
from .measurement import Operation, Part, Parts, Work, measurement

_K: Final = 3
_N: Final = 5
_SMALL: Final = 16 << 10
"""About what one client of the demo sends."""
_LARGE: Final = 4 << 20
"""About a million parameters, encrypted."""
_RATE: Final = 0.8
"""What dispersal should at least reach of the rate of its parts."""

_HEAD_BYTES: Final = 59
_SIZE: Final = {"k": _K, "n": _N}


def _piece(packet: int) -> int:
    return -(-(packet + 48) // _K)


def _aead(packet: int) -> Operation:
    cipher, data = AESGCM(bytes(32)), os.urandom(_K * _piece(packet) - 48)
    return Operation(lambda: cipher.encrypt(bytes(12), data, None))


def _coding(packet: int) -> Operation:
    code, data = rs.Erasure(_K, _N), np.zeros((_K, _piece(packet)), np.uint8)
    return Operation(lambda: code.encode(data))


def _seals(packet: int) -> Operation:
    # All n are kept until the last is there, as a sender must: memory that is new to a process costs
    # more than what is sealed into it.
    suite = Suite(KEM.X25519, KDF.HKDF_SHA256, AEAD.AES_256_GCM)
    public, body = X25519PrivateKey.generate().public_key(), os.urandom(_HEAD_BYTES + _piece(packet))
    return Operation(lambda: [suite.encrypt(body, public, info=b"bench") for _ in range(_N)])


def _parts(packet: int) -> Parts:
    return Parts(
        (
            Part("AES-GCM of the packet", lambda: _aead(packet)),
            Part("Erasure.encode", lambda: _coding(packet)),
            Part(f"HPKE of {_N} shards", lambda: _seals(packet)),
        ),
        aim=1 / _RATE if packet == _LARGE else None,
    )


def _disperse(packet: int, suite: str = "X25519") -> Operation:
    recipient, data = rs.ShardKey.generate(suite).public_key, os.urandom(packet)
    return Operation(lambda: rs.disperse(data, _K, _N, recipient, packet_bytes=packet))


def _gather(packet: int) -> Operation:
    key = rs.ShardKey.generate()
    shards = rs.disperse(os.urandom(packet), _K, _N, key.public_key, packet_bytes=packet)[_N - _K :]
    return Operation(lambda: rs.gather(shards, key))


@measurement(
    Area.RS,
    "disperse 3 of 5",
    work=Work(_SMALL, "byte of packet"),
    size={**_SIZE, "packet_bytes": _SMALL},
    parts=_parts(_SMALL),
    one_core=True,
)
def disperse_small() -> Operation:
    """Seal a packet into shards: one AEAD, one code, five HPKE seals."""
    return _disperse(_SMALL)


@measurement(
    Area.RS,
    "disperse 3 of 5 large",
    work=Work(_LARGE, "byte of packet"),
    size={**_SIZE, "packet_bytes": _LARGE},
    parts=_parts(_LARGE),
    one_core=True,
)
def disperse_large() -> Operation:
    """The same, of what a model of a million parameters takes."""
    return _disperse(_LARGE)


@measurement(
    Area.RS,
    "disperse 3 of 5 hybrid",
    work=Work(_SMALL, "byte of packet"),
    size={**_SIZE, "packet_bytes": _SMALL, "suite": "MLKEM768X25519"},
    one_core=True,
)
def disperse_hybrid() -> Operation:
    """Five seals with ML-KEM-768 beside X25519."""
    return _disperse(_SMALL, "MLKEM768X25519")


@measurement(
    Area.RS,
    "gather 3 of 5",
    work=Work(_SMALL, "byte of packet"),
    size={**_SIZE, "packet_bytes": _SMALL},
    one_core=True,
)
def gather_small() -> Operation:
    """Open three shards and bring the packet back."""
    return _gather(_SMALL)


@measurement(
    Area.RS,
    "gather 3 of 5 large",
    work=Work(_LARGE, "byte of packet"),
    size={**_SIZE, "packet_bytes": _LARGE},
    one_core=True,
)
def gather_large() -> Operation:
    """The same with the large packet."""
    return _gather(_LARGE)

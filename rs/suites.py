"""What shards are sealed with: HPKE (RFC 9180, base mode) with one of two key encapsulations.

- ``X25519``: DHKEM(X25519, HKDF-SHA256).  Small; what is recorded today, a later quantum computer opens.
- ``MLKEM768X25519``: X-Wing, that is ML-KEM-768 beside X25519: closed for as long as one of the two holds;
  1,088 bytes more a shard.

Both with HKDF-SHA256 and AES-256-GCM.  The length of a public key tells its suite, and HPKE binds every
message to the suite it was made with.

Source: RFC 9180; draft-connolly-cfrg-xwing-kem (KEM 0x647A); FIPS 203.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING

from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric.mlkem import MLKEM768PublicKey
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey, X25519PublicKey
from cryptography.hazmat.primitives.hpke import AEAD, KDF, KEM, MLKEM768X25519PublicKey, Suite

from .._ext.errors import ParameterError

if TYPE_CHECKING:
    PublicKey = X25519PublicKey | MLKEM768X25519PublicKey

TAG_BYTES = 16
_X25519_BYTES = 32
_MLKEM768_BYTES = 1184
_FIELD_PRIME = 2**255 - 19


@dataclass(frozen=True, slots=True)
class SealSuite:
    """One of :data:`SUITES`.

    Attributes:
        name: As callers name it.
        public_key_bytes: Length of a recipient's key.
        seal_bytes: What sealing adds to a body: encapsulated key and tag.
        hpke: Seals and opens.
    """

    name: str
    public_key_bytes: int
    seal_bytes: int
    hpke: Suite


X25519 = SealSuite(
    "X25519", _X25519_BYTES, 32 + TAG_BYTES, Suite(KEM.X25519, KDF.HKDF_SHA256, AEAD.AES_256_GCM)
)
MLKEM768X25519 = SealSuite(
    "MLKEM768X25519",
    _MLKEM768_BYTES + _X25519_BYTES,
    1088 + 32 + TAG_BYTES,
    Suite(KEM.MLKEM768_X25519, KDF.HKDF_SHA256, AEAD.AES_256_GCM),
)
SUITES = {suite.name: suite for suite in (X25519, MLKEM768X25519)}


def suite_of(name: str) -> SealSuite:
    """The suite of that name.

    Raises:
        TypeError: Not a str.
        ParameterError: No such suite.
    """
    if not isinstance(name, str):
        raise TypeError(f"suite: str expected, got {type(name).__name__}")
    if name not in SUITES:
        raise ParameterError(f"suite: one of {', '.join(SUITES)} expected, got {name[:32]!r}")
    return SUITES[name]


def without_mlkem() -> ParameterError:
    """What is said where the package ``cryptography`` was built on a library that lacks ML-KEM."""
    return ParameterError("suite MLKEM768X25519: this build of the package cryptography has no ML-KEM")


def recipient_key(data: bytes) -> tuple[SealSuite, PublicKey]:
    """Read a recipient's public key strictly; its length tells the suite.

    Raises:
        TypeError: Not bytes.
        ParameterError: Another length; an X25519 key that is not reduced modulo 2**255 - 19 or of small
            order; an ML-KEM key with a coefficient that is not reduced (FIPS 203, section 7.2).
    """
    if not isinstance(data, bytes):
        raise TypeError(f"recipient: bytes expected, got {type(data).__name__}")
    return _recipient_key(bytes(data))


@lru_cache(maxsize=64)  # a sender has few recipients, and the check of a key costs as much as a seal
def _recipient_key(data: bytes) -> tuple[SealSuite, PublicKey]:
    if len(data) == X25519.public_key_bytes:
        return X25519, _x25519_key(data)
    if len(data) != MLKEM768X25519.public_key_bytes:
        raise ParameterError(
            f"recipient: {X25519.public_key_bytes} bytes (X25519) or {MLKEM768X25519.public_key_bytes}"
            f" (MLKEM768X25519) expected, got {len(data)}"
        )
    classical = _x25519_key(data[_MLKEM768_BYTES:])
    try:
        lattice = MLKEM768PublicKey.from_public_bytes(data[:_MLKEM768_BYTES])
    except UnsupportedAlgorithm:
        raise without_mlkem() from None
    except ValueError:
        raise ParameterError("recipient: not a reduced ML-KEM-768 public key") from None
    return MLKEM768X25519, MLKEM768X25519PublicKey(lattice, classical)


def _x25519_key(data: bytes) -> X25519PublicKey:
    # RFC 7748 section 5 would reduce it, but HPKE hashes the bytes as they are: the recipient, who
    # knows only the reduced form, could not open what is sealed to another one.
    if int.from_bytes(data, "little") >= _FIELD_PRIME:
        raise ParameterError("recipient: not a reduced X25519 public key")
    key = X25519PublicKey.from_public_bytes(data)
    try:
        # RFC 9180 section 7.1.4: an all-zero shared secret, the mark of a point of small order.
        X25519PrivateKey.generate().exchange(key)
    except ValueError:
        raise ParameterError("recipient: a point of small order") from None
    return key

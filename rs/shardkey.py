"""``ShardKey``: the secret key of the recipient of shards."""

from __future__ import annotations

import hashlib
import secrets
from typing import TYPE_CHECKING, NoReturn

from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric.mlkem import MLKEM768PrivateKey
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey
from cryptography.hazmat.primitives.hpke import MLKEM768X25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat, PublicFormat

from .._ext.errors import DecodeError
from .suites import MLKEM768X25519, X25519, SealSuite, suite_of, without_mlkem

if TYPE_CHECKING:
    PrivateKey = X25519PrivateKey | MLKEM768X25519PrivateKey

_SECRET_BYTES = 32
_HYBRID_TAG = b"\x02"


class ShardKey:
    """Key of the recipient of shards; secret.

    Use one key for a round or a short epoch: whoever gets it later opens what was recorded.
    Immutable; safe to share between threads; cannot be pickled, and its repr shows no secret.

    Args:
        secret: Of the suite ``X25519``; kept.  Other ways to a key: :meth:`generate`, :meth:`from_bytes`.

    Raises:
        TypeError: Another type.

    Timing: X25519 and ML-KEM-768 of ``cryptography``, as constant as that keeps them; here nothing depends on
        the secret.
    Source: RFC 7748, section 5, and RFC 9180, section 4.1 (X25519); draft-connolly-cfrg-xwing-kem, section
        5.2, and FIPS 203 (MLKEM768X25519); docs/rs.md, "Dispersal".
    """

    __slots__ = ("_bytes", "_public", "_secret", "_suite")
    _bytes: bytes
    _public: bytes
    _secret: PrivateKey
    _suite: SealSuite

    def __init__(self, secret: X25519PrivateKey) -> None:
        if not isinstance(secret, X25519PrivateKey):
            raise TypeError(f"secret: X25519PrivateKey expected, got {type(secret).__name__}")
        raw = secret.private_bytes(Encoding.Raw, PrivateFormat.Raw, NoEncryption())
        self._set(X25519, secret, raw, _public_bytes(secret))

    def _set(self, suite: SealSuite, secret: PrivateKey, raw: bytes, public: bytes) -> None:
        for name, value in (("_suite", suite), ("_secret", secret), ("_bytes", raw), ("_public", public)):
            object.__setattr__(self, name, value)

    @classmethod
    def generate(cls, suite: str = "X25519") -> ShardKey:
        """Make a fresh key from the randomness of the operating system.

        Args:
            suite: ``"X25519"``, or ``"MLKEM768X25519"``, whose shards stay closed to a later quantum
                computer and are 1,088 bytes longer.  All of a round must use one: lengths tell.

        Raises:
            TypeError: Not a str.
            ParameterError: No such suite, or none in this build of ``cryptography``.
        """
        if suite_of(suite) is X25519:
            return cls(X25519PrivateKey.generate())
        return cls._hybrid(secrets.token_bytes(_SECRET_BYTES))

    @classmethod
    def from_bytes(cls, data: bytes) -> ShardKey:
        """Read what :meth:`to_bytes` wrote.

        Args:
            data: 32 bytes of ``X25519``, or 33 of ``MLKEM768X25519``.

        Raises:
            TypeError: Not bytes.
            DecodeError: Not one of the two forms.
            ParameterError: No ML-KEM in this build of ``cryptography``.
        """
        if not isinstance(data, bytes):
            raise TypeError(f"shard key: bytes expected, got {type(data).__name__}")
        if len(data) == _SECRET_BYTES:
            return cls(X25519PrivateKey.from_private_bytes(data))
        if len(data) != 1 + _SECRET_BYTES:
            raise DecodeError(
                f"shard key: {_SECRET_BYTES} bytes (X25519) or {1 + _SECRET_BYTES} (MLKEM768X25519)"
                f" expected, got {len(data)}"
            )
        if data[:1] != _HYBRID_TAG:
            raise DecodeError("shard key: first of 33 bytes: 2 expected")
        return cls._hybrid(data[1:])

    @classmethod
    def _hybrid(cls, seed: bytes) -> ShardKey:
        # draft-connolly-cfrg-xwing-kem, section 5.2: d || z of ML-KEM, then the X25519 scalar.
        expanded = hashlib.shake_256(seed).digest(96)
        try:
            lattice = MLKEM768PrivateKey.from_seed_bytes(expanded[:64])
        except UnsupportedAlgorithm:
            raise without_mlkem() from None
        classical = X25519PrivateKey.from_private_bytes(expanded[64:])
        public = lattice.public_key().public_bytes_raw() + _public_bytes(classical)
        out = object.__new__(cls)
        out._set(MLKEM768X25519, MLKEM768X25519PrivateKey(lattice, classical), _HYBRID_TAG + seed, public)
        return out

    def to_bytes(self) -> bytes:
        """THE SECRET.  X25519: 32 bytes.  MLKEM768X25519: 33, a 2 and the X-Wing seed."""
        return self._bytes

    @property
    def suite(self) -> str:
        """Name of the suite that shards to this key are sealed with: ``X25519`` or ``MLKEM768X25519``."""
        return self._suite.name

    @property
    def public_key(self) -> bytes:
        """For :func:`sottovoce.rs.disperse`: 32 bytes, or 1216 of ``MLKEM768X25519``."""
        return self._public

    def __repr__(self) -> str:
        return f"ShardKey(suite={self.suite!r}, public_key={self._public.hex()[:16]}...)"

    def __setattr__(self, name: str, value: object) -> NoReturn:
        raise AttributeError(f"ShardKey is immutable: {name} cannot be set")

    def __delattr__(self, name: str) -> NoReturn:
        raise AttributeError(f"ShardKey is immutable: {name} cannot be deleted")

    def __reduce__(self) -> NoReturn:
        raise TypeError("ShardKey is secret and cannot be pickled")


def _public_bytes(secret: X25519PrivateKey) -> bytes:
    return secret.public_key().public_bytes(Encoding.Raw, PublicFormat.Raw)

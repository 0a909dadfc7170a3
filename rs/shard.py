"""One sealed shard: its wire format, and the key that opens it.

A shard on the wire is an HPKE message (RFC 9180, base mode, single shot, empty aad) and nothing else::

    enc 32 | ciphertext of body | tag 16

with DHKEM(X25519, HKDF-SHA256), HKDF-SHA256, AES-256-GCM and
``info = enc("SOTTOVOCE-V1-SHARD", context)``.  The body, in this order::

    group id 16 | index 1 | k 1 | n 1 | packet length 8 (big-endian) | key share 32 | piece L

with ``1 <= k <= n <= 255``, ``index < n``, ``L >= 1`` and ``packet length + 48 <= k * L``.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, field
from typing import NoReturn

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey, X25519PublicKey
from cryptography.hazmat.primitives.hpke import AEAD, KDF, KEM, Suite
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat, PublicFormat

from .._ext.enc import enc
from .._ext.errors import DecodeError, ParameterError
from .._ext.limits import MAX_DISPERSED_BYTES
from .matrix import check_shape
from .sharing import KEY_BYTES, MAX_SHARES

GROUP_ID_BYTES = 16
HEADER_BYTES = GROUP_ID_BYTES + 1 + 1 + 1 + 8 + KEY_BYTES
"""Of the body, before the piece: 59."""

SEAL_BYTES = 32 + 16
"""HPKE: encapsulated key and tag."""

PACKET_OVERHEAD = 16 + 32
"""Of the encrypted packet that is cut into pieces: AES-GCM tag and key commitment."""

PUBLIC_KEY_BYTES = 32
DIGEST_BYTES = 16
_FIELD_PRIME = 2**255 - 19
_SUITE = Suite(KEM.X25519, KDF.HKDF_SHA256, AEAD.AES_256_GCM)


class ShardKey:
    """X25519 key of the recipient of shards; secret.

    Use one key for a round or a short epoch: whoever gets it later opens what was recorded.
    Immutable; safe to share between threads; cannot be pickled, and its repr shows no secret.
    """

    __slots__ = ("_public", "_secret")
    _public: bytes
    _secret: X25519PrivateKey

    def __init__(self, secret: X25519PrivateKey) -> None:
        if not isinstance(secret, X25519PrivateKey):
            raise TypeError(f"secret: X25519PrivateKey expected, got {type(secret).__name__}")
        public = secret.public_key().public_bytes(Encoding.Raw, PublicFormat.Raw)
        object.__setattr__(self, "_secret", secret)
        object.__setattr__(self, "_public", public)

    @classmethod
    def generate(cls) -> ShardKey:
        """Make a fresh key from the randomness of the operating system."""
        return cls(X25519PrivateKey.generate())

    @classmethod
    def from_bytes(cls, data: bytes) -> ShardKey:
        """Read the 32 secret bytes that :meth:`to_bytes` wrote.

        Raises:
            TypeError: Not bytes.
            DecodeError: Not 32 bytes.
        """
        if not isinstance(data, bytes):
            raise TypeError(f"shard key: bytes expected, got {type(data).__name__}")
        if len(data) != 32:
            raise DecodeError(f"shard key: 32 bytes expected, got {len(data)}")
        return cls(X25519PrivateKey.from_private_bytes(data))

    def to_bytes(self) -> bytes:
        """The secret, 32 bytes.  Keep it as such."""
        return self._secret.private_bytes(Encoding.Raw, PrivateFormat.Raw, NoEncryption())

    @property
    def public_key(self) -> bytes:
        """32 bytes, for :func:`sottovoce.rs.disperse`."""
        return self._public

    def __repr__(self) -> str:
        return f"ShardKey(public_key={self._public.hex()[:16]}...)"

    def __setattr__(self, name: str, value: object) -> NoReturn:
        raise AttributeError(f"ShardKey is immutable: {name} cannot be set")

    def __delattr__(self, name: str) -> NoReturn:
        raise AttributeError(f"ShardKey is immutable: {name} cannot be deleted")

    def __reduce__(self) -> NoReturn:
        raise TypeError("ShardKey is secret and cannot be pickled")


@dataclass(frozen=True, slots=True)
class Body:
    """What is inside one shard; only :func:`open_shard` makes it.  Its repr shows no secret."""

    group_id: bytes
    index: int
    k: int
    n: int
    packet_length: int
    key_share: bytes = field(repr=False)
    piece: memoryview = field(repr=False)

    @property
    def group(self) -> tuple[bytes, int, int, int, int]:
        """Shards that belong together agree on all of it."""
        return self.group_id, self.k, self.n, self.packet_length, len(self.piece)

    @property
    def digest(self) -> bytes:
        """Of index, key share and piece: tells a copy from a contradiction."""
        return share_digest(self.index, self.key_share, self.piece)


def share_digest(index: int, key_share: bytes, piece: memoryview) -> bytes:
    """16 bytes of SHA-256; both parties to a comparison are on this machine."""
    hasher = share_hasher(index, key_share)
    hasher.update(piece)
    return hasher.digest()[:DIGEST_BYTES]


def share_hasher(index: int, key_share: bytes) -> hashlib._Hash:
    """SHA-256 that has taken all but the piece: the start of :func:`share_digest`."""
    return hashlib.sha256(bytes([index]) + key_share)


def shard_bytes(packet_bytes: int, k: int, n: int) -> int:
    """Length of every sealed shard of a packet padded to ``packet_bytes``.

    Args:
        packet_bytes: 0 to 2**30.
        k, n: ``1 <= k <= n <= 255``.

    Returns:
        ``107 + ceil((packet_bytes + 48) / k)``.

    Raises:
        TypeError: Not ints.
        ParameterError: Out of range.
    """
    check_shape(k, n, MAX_SHARES)
    check_packet_bytes("packet_bytes", packet_bytes)
    return SEAL_BYTES + HEADER_BYTES + piece_bytes(packet_bytes, k)


def piece_bytes(packet_bytes: int, k: int) -> int:
    """Length of the piece of the encrypted packet in each shard."""
    return -(-(packet_bytes + PACKET_OVERHEAD) // k)


def check_packet_bytes(name: str, value: int) -> None:
    """Refuse anything but 0 to ``MAX_DISPERSED_BYTES``."""
    if type(value) is not int:
        raise TypeError(f"{name}: int expected, got {type(value).__name__}")
    if not 0 <= value <= MAX_DISPERSED_BYTES:
        raise ParameterError(f"{name}: 0 to {MAX_DISPERSED_BYTES} expected, got {value}")


def check_context(context: bytes) -> bytes:
    """HPKE info of a context."""
    if not isinstance(context, bytes):
        raise TypeError(f"context: bytes expected, got {type(context).__name__}")
    return enc("SOTTOVOCE-V1-SHARD", context)


def recipient_key(data: bytes) -> X25519PublicKey:
    """Read a public key strictly.

    Raises:
        TypeError: Not bytes.
        ParameterError: Not 32 bytes, not reduced modulo 2**255 - 19, or of small order.
    """
    if not isinstance(data, bytes):
        raise TypeError(f"recipient: bytes expected, got {type(data).__name__}")
    if len(data) != PUBLIC_KEY_BYTES:
        raise ParameterError(f"recipient: {PUBLIC_KEY_BYTES} bytes expected, got {len(data)}")
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


def seal(
    recipient: X25519PublicKey,
    info: bytes,
    *,
    group_id: bytes,
    index: int,
    k: int,
    n: int,
    packet_length: int,
    key_share: bytes,
    piece: bytes,
) -> bytes:
    """Lay out one body and seal it: ``107 + len(piece)`` bytes."""
    head = group_id + bytes([index, k, n]) + packet_length.to_bytes(8, "big") + key_share
    return _SUITE.encrypt(head + piece, recipient, info=info)


class UnopenableError(Exception):
    """The seal does not open: altered, not for this key, or another context."""


class MalformedError(Exception):
    """The seal opened, so its sender wrote what is inside, and that is not a body."""


def open_shard(shard: bytes, key: ShardKey, info: bytes) -> Body:
    """Open and parse one shard.

    Raises:
        UnopenableError: See there.  One cause, whatever was wrong.
        MalformedError: See there.
    """
    try:
        body = _SUITE.decrypt(shard, key._secret, info=info)
    except (InvalidTag, ValueError):
        raise UnopenableError from None
    return parse_body(body)


def parse_body(body: bytes) -> Body:
    """Read the fixed layout; every rule of the module docstring is checked.

    Raises:
        MalformedError: A rule is broken.
    """
    size = len(body) - HEADER_BYTES
    if size < 1:
        raise MalformedError
    index, k, n = body[16], body[17], body[18]
    packet_length = int.from_bytes(body[19:27], "big")
    if not (1 <= k <= n <= MAX_SHARES and index < n):
        raise MalformedError
    if packet_length > MAX_DISPERSED_BYTES or packet_length + PACKET_OVERHEAD > k * size:
        raise MalformedError
    return Body(body[:16], index, k, n, packet_length, body[27:HEADER_BYTES], memoryview(body)[HEADER_BYTES:])

"""One sealed shard: its wire format.

A shard on the wire is an HPKE message (RFC 9180, base mode, single shot, empty aad) and nothing else::

    enc 32, or 1120 | ciphertext of body | tag 16

with one of the two suites of :mod:`.suites` and ``info = enc("SOTTOVOCE-V1-SHARD", context)``.  The body,
in this order::

    group id 16 | index 1 | k 1 | n 1 | packet length 8 (big-endian) | key share 32 | piece L

with ``1 <= k <= n <= 255``, ``index < n``, ``L >= 1`` and ``packet length + 48 <= k * L``.
"""

from __future__ import annotations

import hashlib
import hmac
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np
from cryptography.exceptions import InvalidTag

from .._ext.enc import enc
from .._ext.errors import ParameterError
from .._ext.limits import MAX_DISPERSED_BYTES
from ._numbers import integer
from .matrix import check_shape
from .shardkey import ShardKey
from .sharing import KEY_BYTES, MAX_SHARES
from .suites import SealSuite, suite_of

if TYPE_CHECKING:
    from .suites import PublicKey

GROUP_ID_BYTES = 16
HEADER_BYTES = GROUP_ID_BYTES + 1 + 1 + 1 + 8 + KEY_BYTES
"""Of the body, before the piece: 59."""

PACKET_OVERHEAD = 16 + 32
"""Of the encrypted packet that is cut into pieces: AES-GCM tag and key commitment."""

DIGEST_BYTES = 16


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

    def same_as(self, other: Body) -> bool:
        """Whether two shards of one group and index are copies.

        Timing: constant for the key share; the piece is ciphertext.
        """
        # Two memory views compare item by item, at a hundredth of the speed of their arrays.
        return self is other or (
            hmac.compare_digest(self.key_share, other.key_share)
            and np.array_equal(np.frombuffer(self.piece, np.uint8), np.frombuffer(other.piece, np.uint8))
        )


def share_digest(index: int, key_share: bytes, piece: memoryview) -> bytes:
    """16 bytes of SHA-256; both parties to a comparison are on this machine."""
    hasher = share_hasher(index, key_share)
    hasher.update(piece)
    return hasher.digest()[:DIGEST_BYTES]


def share_hasher(index: int, key_share: bytes) -> hashlib._Hash:
    """SHA-256 that has taken all but the piece: the start of :func:`share_digest`."""
    return hashlib.sha256(bytes([index]) + key_share)


def shard_bytes(packet_bytes: int, k: int, n: int, suite: str = "X25519") -> int:
    """Length of every sealed shard of a packet padded to ``packet_bytes``.

    Args:
        packet_bytes: 0 to 2**30.
        k, n: ``1 <= k <= n <= 255``.
        suite: That of the recipient's key: ``"X25519"`` or ``"MLKEM768X25519"``.

    Returns:
        ``107 + ceil((packet_bytes + 48) / k)``, or ``1195 + ceil((packet_bytes + 48) / k)``.

    Raises:
        TypeError: A wrong Python type.
        ParameterError: Out of range, or no such suite.

    Timing: public numbers only.
    Source: docs/rs.md, "Dispersal".
    """
    seal_bytes = suite_of(suite).seal_bytes
    k, n = check_shape(k, n, MAX_SHARES)
    packet_bytes = check_packet_bytes("packet_bytes", packet_bytes)
    return seal_bytes + HEADER_BYTES + piece_bytes(packet_bytes, k)


def piece_bytes(packet_bytes: int, k: int) -> int:
    """Length of the piece of the encrypted packet in each shard."""
    return -(-(packet_bytes + PACKET_OVERHEAD) // k)


def check_packet_bytes(name: str, value: int) -> int:
    """An int; refuse anything but 0 to ``MAX_DISPERSED_BYTES``."""
    value = integer(name, value)
    if not 0 <= value <= MAX_DISPERSED_BYTES:
        raise ParameterError(f"{name}: 0 to {MAX_DISPERSED_BYTES} expected, got {value}")
    return value


def check_context(context: bytes) -> bytes:
    """HPKE info of a context."""
    if not isinstance(context, bytes):
        raise TypeError(f"context: bytes expected, got {type(context).__name__}")
    return enc("SOTTOVOCE-V1-SHARD", context)


def header(group_id: bytes, index: int, k: int, n: int, packet_length: int, key_share: bytes) -> bytes:
    """Of a body, before its piece: ``HEADER_BYTES``."""
    return group_id + bytes([index, k, n]) + packet_length.to_bytes(8, "big") + key_share


def seal(recipient: tuple[SealSuite, PublicKey], info: bytes, body: bytes | memoryview) -> bytes:
    """Seal one body."""
    suite, key = recipient
    return suite.hpke.encrypt(body, key, info=info)


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
        body = key._suite.hpke.decrypt(shard, key._secret, info=info)
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

"""The packet on the wire: layout, lengths, and the hashes over it.

::

    magic 53 56 53 01
    header   suite (1) | slot count (1) | U1 (48) | U2 (96) | kc (32)            178 bytes
    slots    com (32) | AES-256-GCM(k_j, CEK) (48)                               80 bytes each
    body length (8), tags included
    body     chunks of 1 MiB, AES-256-GCM, 16-byte tag each; the last may be short
    head     AES-256-GCM(k_head, ...)                                            365 bytes

``4 + 178 + 80*slots + 8 + (n + 16*chunks) + 365`` bytes: 651 over the plaintext for one slot and one
chunk.  Parsed to the last byte.  Nothing in clear names a person or a key.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from .._ext.enc import enc, sha256_enc
from .._ext.errors import DecodeError, ParameterError
from .._ext.limits import MAX_CHUNKS
from .._ext.padme import padme
from .body import CHUNK_BYTES, TAG_BYTES, Body, MemoryBody, chunk_count
from .hashes import SUITE

if TYPE_CHECKING:
    from .keys import PublicKey

MAGIC: Final = b"SVS\x01"
HEADER_BYTES: Final = 178
SLOT_BYTES: Final = 80
COMMITMENT_BYTES: Final = 32
CEK_BYTES: Final = 32
HEAD_PLAIN_BYTES: Final = 349
HEAD_BYTES: Final = HEAD_PLAIN_BYTES + TAG_BYTES
NAME_BYTES: Final = 64
ZERO_NONCE: Final = bytes(12)
"""For keys that encrypt exactly once."""

_PREFIX_BYTES: Final = len(MAGIC) + HEADER_BYTES
_LENGTH_BYTES: Final = 8


@dataclass(frozen=True, slots=True)
class Packet:
    """A packet cut into its fields; nothing is decoded or believed yet."""

    header: bytes
    slots: tuple[bytes, ...]
    body: Body
    head: bytes

    @property
    def body_bytes(self) -> int:
        return self.body.n_bytes

    @property
    def U1(self) -> bytes:
        return self.header[2:50]

    @property
    def U2(self) -> bytes:
        return self.header[50:146]

    @property
    def kc(self) -> bytes:
        return self.header[146:]

    def wire(self, ad: bytes, hashes: bytearray | None = None) -> bytes:
        """32 bytes: SHA-256 over every byte of the ciphertext but the head, and ``ad``.

        The hash of each chunk, 32 bytes, is appended to ``hashes``.
        """
        wire = WireHash(self.header, self.slots, ad, self.body.n_bytes)
        for chunk in self.body.chunks():
            digest = wire.add(chunk)
            if hashes is not None:
                hashes += digest
        return wire.digest()


class WireHash:
    """``SHA-256(enc("SOTTOVOCE-V1-WIRE", header, slots, ad, body length, h_0, ..., h_last))``.

    Fed chunk by chunk: ``enc`` of a list is that of its beginning and that of its end.

    The WHOLE ciphertext is hashed and signed: for somebody who knows the key, a GCM tag binds
    nothing (GHASH is linear), so a co-receiver could put another body under a valid signature.
    """

    __slots__ = ("_hash",)

    def __init__(self, header: bytes, slots: Sequence[bytes], ad: bytes, body_bytes: int) -> None:
        self._hash = hashlib.sha256(enc("SOTTOVOCE-V1-WIRE", header, b"".join(slots), ad, body_bytes))

    def add(self, chunk: bytes | memoryview) -> bytes:
        """The next chunk with its tag; returns its hash ``h_i``."""
        digest = hashlib.sha256(chunk).digest()
        self.add_hash(digest)
        return digest

    def add_hash(self, digest: bytes) -> None:
        """``h_i`` of the next chunk, for whoever has no more than that."""
        self._hash.update(enc(digest))

    def digest(self) -> bytes:
        """32 bytes."""
        return self._hash.digest()


def wire_hash(
    header: bytes, slots: Sequence[bytes], ad: bytes, body_bytes: int, hashes: Iterable[bytes]
) -> bytes:
    """:class:`WireHash` of a packet of which only the hashes of the chunks are there."""
    wire = WireHash(header, slots, ad, body_bytes)
    for digest in hashes:
        wire.add_hash(digest)
    return wire.digest()


def transcript_hash(wire: bytes, plaintext_bytes: int) -> bytes:
    """What the sender signs.

    The plaintext length is inside: whoever knows CEK can rewrite the head, and would cut the
    plaintext short.
    """
    return sha256_enc("SOTTOVOCE-V1-TRANSCRIPT", wire, plaintext_bytes)


def packet_id(sender: PublicKey, transcript: bytes) -> bytes:
    """32 bytes that name a packet, with its sender: a receiver may sign the same body again as its own."""
    return sha256_enc("SOTTOVOCE-V1-PACKET", sender.params.params_id, sender.identity, sender.X, transcript)


def packet_bytes(plaintext_bytes: int, n_slots: int = 1, *, pad: bool = False) -> int:
    """Length of a packet: depends on nothing but its arguments.

    Args:
        plaintext_bytes: Length of the plaintext, 0 to 2**40.
        n_slots: Receivers and dummies, 1 to 255.
        pad: Whether the plaintext is padded to its Padme length.

    Returns:
        ``555 + 80*n_slots + n + 16*max(1, ceil(n / 2**20))`` bytes, ``n`` the (padded) length of the
        plaintext.

    Raises:
        TypeError: Not integers.
        ParameterError: Out of range.

    Timing: variable, of its arguments.
    Source: docs/clsc.md, "Packets"; Padme: Nikitin et al., PoPETs 2019.
    """
    if type(plaintext_bytes) is not int or type(n_slots) is not int:
        raise TypeError("plaintext_bytes, n_slots: int expected")
    if not 0 <= plaintext_bytes <= MAX_CHUNKS * CHUNK_BYTES or not 1 <= n_slots <= 255:
        raise ParameterError("packet_bytes: plaintext of 0 to 2**40 bytes and 1 to 255 slots expected")
    plain = padme(plaintext_bytes) if pad else plaintext_bytes
    return start_bytes(n_slots) + sealed_bytes(plain) + HEAD_BYTES


def sealed_bytes(plain_bytes: int) -> int:
    """Length of the body of a (padded) plaintext, tags included."""
    return plain_bytes + TAG_BYTES * chunk_count(plain_bytes)


def body_plain_bytes(body_bytes: int) -> int:
    """Plaintext bytes of a body of ``body_bytes``; DecodeError if no body has that length."""
    full = CHUNK_BYTES + TAG_BYTES
    chunks = max(1, -(-body_bytes // full))
    plain = body_bytes - chunks * TAG_BYTES
    if chunks > MAX_CHUNKS or plain < 0 or chunk_count(plain) != chunks:
        raise DecodeError("packet: no body has this length")
    return plain


def parse(packet: bytes) -> Packet:
    """Cut a packet into its fields.

    Raises:
        DecodeError: Magic, suite, slot count or any length is not that of a packet.
    """
    header, slots, body_bytes = parse_start(packet)
    start = start_bytes(len(slots))
    if len(packet) != start + body_bytes + HEAD_BYTES:
        raise DecodeError("packet: wrong length")
    body = MemoryBody(memoryview(packet)[start : start + body_bytes])
    return Packet(header, slots, body, packet[-HEAD_BYTES:])


def start_bytes(n_slots: int) -> int:
    """Length of everything before the body."""
    return _PREFIX_BYTES + n_slots * SLOT_BYTES + _LENGTH_BYTES


def parse_start(data: bytes) -> tuple[bytes, tuple[bytes, ...], int]:
    """Header, slots and body length; ``data`` may go on behind them.

    Raises:
        DecodeError: Magic, suite, slot count or body length is not that of a packet.
    """
    if data[: len(MAGIC)] != MAGIC or len(data) < _PREFIX_BYTES:
        raise DecodeError("packet: not a packet")
    header = data[len(MAGIC) : _PREFIX_BYTES]
    if header[0] != SUITE or header[1] == 0:
        raise DecodeError("packet: unknown suite, or no slot")
    start = start_bytes(header[1])
    if len(data) < start:
        raise DecodeError("packet: truncated")
    slots = tuple(data[i : i + SLOT_BYTES] for i in range(_PREFIX_BYTES, start - _LENGTH_BYTES, SLOT_BYTES))
    body_bytes = int.from_bytes(data[start - _LENGTH_BYTES : start], "big")
    body_plain_bytes(body_bytes)
    return header, slots, body_bytes


# -- head ---------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Head:
    """Who sent the packet, and their signature; the name is not checked yet."""

    params_id: bytes
    name: bytes  # length byte, then the identity zero-padded to 64
    X: bytes
    signature: bytes
    plaintext_bytes: int

    def to_bytes(self) -> bytes:
        """349 bytes, whoever the sender is."""
        return enc(self.params_id, self.name, self.X, self.signature, self.plaintext_bytes)

    @property
    def identity(self) -> bytes | None:
        """The name, or None if its padding is not canonical."""
        size = self.name[0]
        if size > NAME_BYTES or any(self.name[1 + size :]):
            return None
        return self.name[1 : 1 + size]


def pad_name(identity: bytes) -> bytes:
    return bytes([len(identity)]) + identity.ljust(NAME_BYTES, b"\0")


def parse_head(data: bytes) -> Head | None:
    """Cut an opened head into fields; None if it is not the encoding of one."""
    head = Head(data[4:36], data[40:105], data[109:157], data[161:337], int.from_bytes(data[341:349], "big"))
    return head if len(data) == HEAD_PLAIN_BYTES and head.to_bytes() == data else None

"""The packet on the wire: layout, padding, chunked body, and the hashes over it.

::

    magic 53 56 53 01
    header   suite (1) | slot count (1) | U1 (48) | U2 (96) | kc (32)            178 bytes
    slots    com (32) | AES-256-GCM(k_j, CEK) (48)                               80 bytes each
    body length (8), tags included
    body     chunks of 1 MiB, AES-256-GCM, 16-byte tag each; the last may be short
    head     AES-256-GCM(k_head, ...)                                            365 bytes

``4 + 178 + 80*slots + 8 + (n + 16*chunks) + 365`` bytes: 651 over the plaintext for one slot and one
chunk.  Parsed to the last byte.  Nothing in clear names a person or a key.

Body: STREAM (Hoang, Reyhanitabar, Rogaway, Vizar, CRYPTO 2015, section 7): nonce = 7 zero bytes,
chunk counter (4), last flag (1).  Canonical: every chunk but the last is full, and the last is empty
only if the whole body is.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from typing import Final

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from .._ext.enc import enc, sha256_enc
from .._ext.errors import DecodeError, ParameterError
from .._ext.limits import MAX_CHUNKS
from .._ext.padme import padme
from .hashes import SUITE

MAGIC: Final = b"SVS\x01"
HEADER_BYTES: Final = 178
SLOT_BYTES: Final = 80
COMMITMENT_BYTES: Final = 32
TAG_BYTES: Final = 16
CEK_BYTES: Final = 32
CHUNK_BYTES: Final = 1 << 20
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
    body_bytes: int
    chunks: tuple[memoryview, ...]
    head: bytes

    @property
    def U1(self) -> bytes:
        return self.header[2:50]

    @property
    def U2(self) -> bytes:
        return self.header[50:146]

    @property
    def kc(self) -> bytes:
        return self.header[146:]

    def wire(self, ad: bytes) -> bytes:
        """32 bytes: SHA-256 over every byte of the ciphertext but the head, and ``ad``."""
        hashes = [hashlib.sha256(chunk).digest() for chunk in self.chunks]
        return wire_hash(self.header, self.slots, ad, self.body_bytes, hashes)


def wire_hash(
    header: bytes, slots: tuple[bytes, ...], ad: bytes, body_bytes: int, hashes: list[bytes]
) -> bytes:
    """``SHA-256(enc("SOTTOVOCE-V1-WIRE", header, slots, ad, body length, h_0, ..., h_last))``.

    The WHOLE ciphertext is hashed and signed: for somebody who knows the key, a GCM tag binds
    nothing (GHASH is linear), so a co-receiver could put another body under a valid signature.
    """
    return sha256_enc("SOTTOVOCE-V1-WIRE", header, b"".join(slots), ad, body_bytes, *hashes)


def transcript_hash(wire: bytes, plaintext_bytes: int) -> bytes:
    """What the sender signs.

    The plaintext length is inside: whoever knows CEK can rewrite the head, and would cut the
    plaintext short.
    """
    return sha256_enc("SOTTOVOCE-V1-TRANSCRIPT", wire, plaintext_bytes)


def chunk_count(plain_bytes: int) -> int:
    return max(1, -(-plain_bytes // CHUNK_BYTES))


def packet_bytes(plaintext_bytes: int, n_slots: int = 1, *, pad: bool = False) -> int:
    """Length of a packet: depends on nothing but its arguments.

    Args:
        plaintext_bytes: Length of the plaintext, up to 2**40.
        n_slots: Receivers and dummies, 1 to 255.
        pad: Whether the plaintext is padded to its Padme length.

    Raises:
        ParameterError: Out of range.
    """
    if not 0 <= plaintext_bytes <= MAX_CHUNKS * CHUNK_BYTES or not 1 <= n_slots <= 255:
        raise ParameterError("packet_bytes: plaintext of 0 to 2**40 bytes and 1 to 255 slots expected")
    plain = padme(plaintext_bytes) if pad else plaintext_bytes
    body = plain + TAG_BYTES * chunk_count(plain)
    return _PREFIX_BYTES + n_slots * SLOT_BYTES + _LENGTH_BYTES + body + HEAD_BYTES


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
    if packet[: len(MAGIC)] != MAGIC or len(packet) < _PREFIX_BYTES:
        raise DecodeError("packet: not a packet")
    header = packet[len(MAGIC) : _PREFIX_BYTES]
    if header[0] != SUITE or header[1] == 0:
        raise DecodeError("packet: unknown suite, or no slot")
    body_start = _PREFIX_BYTES + header[1] * SLOT_BYTES + _LENGTH_BYTES
    if len(packet) < body_start:
        raise DecodeError("packet: truncated")
    slots = tuple(
        packet[i : i + SLOT_BYTES] for i in range(_PREFIX_BYTES, body_start - _LENGTH_BYTES, SLOT_BYTES)
    )
    body_bytes = int.from_bytes(packet[body_start - _LENGTH_BYTES : body_start], "big")
    if len(packet) != body_start + body_bytes + HEAD_BYTES:
        raise DecodeError("packet: wrong length")
    plain = body_plain_bytes(body_bytes)
    view = memoryview(packet)[body_start : body_start + body_bytes]
    full = CHUNK_BYTES + TAG_BYTES
    chunks = tuple(view[i * full : (i + 1) * full] for i in range(chunk_count(plain)))
    return Packet(header, slots, body_bytes, chunks, packet[-HEAD_BYTES:])


# -- body ---------------------------------------------------------------------------------------


def _stream_nonce(index: int, last: bool) -> bytes:
    return bytes(7) + index.to_bytes(4, "big") + bytes([last])


def seal_body(k_body: bytes, plaintext: bytes, padded_bytes: int) -> tuple[bytearray, list[bytes]]:
    """Encrypt ``plaintext``, zero-padded to ``padded_bytes``, in chunks.

    Returns:
        The body and the SHA-256 of each chunk with its tag.
    """
    count = chunk_count(padded_bytes)
    if count > MAX_CHUNKS:
        raise ParameterError(f"plaintext: at most {MAX_CHUNKS} chunks of 1 MiB, got {count}")
    aead = AESGCM(k_body)
    body = bytearray(padded_bytes + count * TAG_BYTES)
    out = memoryview(body)
    source = memoryview(plaintext)
    hashes = []
    pos = 0
    for i in range(count):
        size = min(CHUNK_BYTES, padded_bytes - i * CHUNK_BYTES)
        chunk: bytes | memoryview = source[i * CHUNK_BYTES : i * CHUNK_BYTES + size]
        if len(chunk) < size:
            chunk = bytes(chunk) + bytes(size - len(chunk))
        target = out[pos : pos + size + TAG_BYTES]
        aead.encrypt_into(_stream_nonce(i, i == count - 1), chunk, None, target)
        hashes.append(hashlib.sha256(target).digest())
        pos += size + TAG_BYTES
    return body, hashes


def open_body(k_body: bytes, packet: Packet) -> bytearray | None:
    """Decrypt all chunks; None if any tag is wrong (nothing of the rest is given out)."""
    aead = AESGCM(k_body)
    plain = bytearray(body_plain_bytes(packet.body_bytes))
    out = memoryview(plain)
    count = len(packet.chunks)
    pos = 0
    try:
        for i, chunk in enumerate(packet.chunks):
            size = len(chunk) - TAG_BYTES
            aead.decrypt_into(_stream_nonce(i, i == count - 1), chunk, None, out[pos : pos + size])
            pos += size
    except InvalidTag:
        return None
    return plain


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

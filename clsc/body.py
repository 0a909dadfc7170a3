"""The body of a packet: chunks of 1 MiB, sealed and opened one at a time, in memory or in a file.

STREAM (Hoang, Reyhanitabar, Rogaway, Vizar, CRYPTO 2015, section 7) over AES-256-GCM: nonce = 7 zero
bytes, chunk counter (4), last flag (1).  Canonical: every chunk but the last is full, and the last is
empty only if the whole body is.

A body in a file is read twice, once for the hash over everything and once to decrypt.  Whoever can
write to that file in between, and knows the key because they are a receiver too, could put in other
chunks that decrypt well.  So a file's body is only believed if the second reading gave the bytes of the
first (:class:`Fingerprint`).
"""

from __future__ import annotations

import hashlib
import io
import os
from collections.abc import Callable, Iterable, Iterator
from typing import BinaryIO, Final, Protocol

from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from .._ext.enc import enc
from .._ext.errors import DecodeError, ParameterError

CHUNK_BYTES: Final = 1 << 20
TAG_BYTES: Final = 16
_FULL_BYTES: Final = CHUNK_BYTES + TAG_BYTES

Write = Callable[[memoryview], object]
"""Takes the next bytes, all of them, and keeps no reference."""


def chunk_count(plain_bytes: int) -> int:
    return max(1, -(-plain_bytes // CHUNK_BYTES))


class Fingerprint:
    """32 bytes that stand for a sequence of chunks, for whoever does not know the key.

    SHA-256 over the GMAC tags of the chunks.  GMAC of a chunk up to 1 MiB is an almost universal hash:
    two different chunks agree with probability 2^-111 over the key, however they were chosen, as long as
    the key and the tags stay secret.  It runs at the speed of memory, where SHA-256 over the chunks
    themselves would cost as much as the packet's own hash.  Not a commitment: who knows the key makes
    collisions at will.

    Args:
        key: 32 secret bytes.

    Source: McGrew and Viega, INDOCRYPT 2004, section 5 (GHASH is almost XOR-universal).
    """

    __slots__ = ("_aead", "_count", "_hash")

    def __init__(self, key: bytes) -> None:
        self._aead = AESGCM(key)
        self._count = 0
        self._hash = hashlib.sha256(enc("SOTTOVOCE-V1-FINGERPRINT"))

    def add(self, chunk: bytes | memoryview) -> None:
        """The next chunk, up to 1 MiB and a tag."""
        # The nonce repeats under one key from one fingerprint to the next.  That would give the hash key
        # away if tags were seen; they go into SHA-256 only.
        self._hash.update(self._aead.encrypt(self._count.to_bytes(12, "big"), b"", chunk))
        self._count += 1

    def digest(self) -> bytes:
        """32 bytes, to be kept secret or only compared."""
        return self._hash.digest()


# -- where ciphertext comes from -------------------------------------------------------------------


class Body(Protocol):
    """The chunks of a packet, with their tags; may be read again and again."""

    @property
    def n_bytes(self) -> int:
        """Length, tags included; one that a body can have."""

    def chunks(self) -> Iterator[memoryview]:
        """Every chunk in order; a view is valid until the next one is asked for.

        Raises:
            DecodeError: The bytes are not (or no more) there, or not those of the first reading.
        """


def room_for(n_bytes: int) -> io.BytesIO:
    """A file in memory with room for ``n_bytes``: one that grows with each write is copied again and again.

    Whoever has written less cuts it off (``truncate``) before taking the value.
    """
    room = io.BytesIO()
    if n_bytes > CHUNK_BYTES:
        room.seek(n_bytes - 1)
        room.write(b"\0")
        room.seek(0)
    return room


class MemoryBody:
    """A body within a packet in memory."""

    __slots__ = ("_view",)

    def __init__(self, view: memoryview) -> None:
        self._view = view

    @property
    def n_bytes(self) -> int:
        return len(self._view)

    def chunks(self) -> Iterator[memoryview]:
        for i in range(0, max(1, len(self._view)), _FULL_BYTES):
            yield self._view[i : i + _FULL_BYTES]


class FileBody:
    """A body within a seekable file, which somebody else may be writing to."""

    __slots__ = ("_end_bytes", "_file", "_first", "_key", "_report", "_start", "n_bytes")

    def __init__(
        self,
        file: BinaryIO,
        start: int,
        n_bytes: int,
        end_bytes: int,
        report: Callable[[int], object] = lambda n_bytes: None,
    ) -> None:
        """``start``: where the body begins; ``end_bytes``: what must follow it before the file ends.

        ``report`` is told of every chunk that was read and worked on.
        """
        self._file = file
        self._start = start
        self.n_bytes = n_bytes
        self._end_bytes = end_bytes
        self._report = report
        self._key = os.urandom(32)
        self._first: bytes | None = None

    def chunks(self) -> Iterator[memoryview]:
        seen = Fingerprint(self._key)
        self._file.seek(self._start)
        buffer = memoryview(bytearray(min(self.n_bytes, _FULL_BYTES)))
        left = self.n_bytes
        while left:
            chunk = buffer[: min(left, _FULL_BYTES)]
            if read_into(self._file, chunk) != len(chunk):
                raise DecodeError("packet: the file became shorter")
            seen.add(chunk)
            left -= len(chunk)
            yield chunk
            self._report(len(chunk))
        if self._file.seek(0, os.SEEK_END) != self._start + self.n_bytes + self._end_bytes:
            raise DecodeError("packet: the file changed its length")
        digest = seen.digest()
        if self._first is None:
            self._first = digest
        elif digest != self._first:
            raise DecodeError("packet: the file changed")


def read_into(file: BinaryIO, view: memoryview) -> int:
    """Fill ``view`` from a file, pipe or socket; fewer bytes only at its end.

    Raises:
        BlockingIOError: The file does not block and has nothing now.
        TypeError: It gives text.
    """
    done = 0
    readinto = getattr(file, "readinto", None)
    while done < len(view):
        if readinto is not None:
            n = readinto(view[done:])
        else:
            data = file.read(len(view) - done)
            if not isinstance(data, bytes):
                raise TypeError(f"source: a file that gives bytes expected, not {type(data).__name__}")
            n = len(data)
            view[done : done + n] = data
        if n is None:
            raise BlockingIOError("source: a file that blocks expected")
        if n == 0:
            break
        done += n
    return done


# -- sealing and opening ----------------------------------------------------------------------------


def stream_nonce(index: int, last: bool) -> bytes:
    return bytes(7) + index.to_bytes(4, "big") + bytes([last])


def seal_body(k_body: bytes, chunks: Iterable[bytes | memoryview], padded_bytes: int, write: Write) -> None:
    """Encrypt a plaintext, zero-padded to ``padded_bytes``.

    Args:
        k_body: 32 bytes, for this body only.
        chunks: The plaintext in pieces of 1 MiB, the last may be shorter; at most ``padded_bytes``.
        padded_bytes: At most 2**40.
        write: Gets each chunk with its tag.
    """
    count = chunk_count(padded_bytes)
    aead = AESGCM(k_body)
    out = memoryview(bytearray(min(padded_bytes, CHUNK_BYTES) + TAG_BYTES))
    source = iter(chunks)
    for i in range(count):
        size = min(CHUNK_BYTES, padded_bytes - i * CHUNK_BYTES)
        chunk = next(source, b"")
        if len(chunk) < size:
            chunk = bytes(chunk) + bytes(size - len(chunk))
        sealed = out[: size + TAG_BYTES]
        aead.encrypt_into(stream_nonce(i, i == count - 1), chunk, None, sealed)
        write(sealed)
    if next(source, None) is not None:  # asking also lets a file notice that it has grown
        raise ParameterError("plaintext: longer than was said")


def open_body(k_body: bytes, body: Body, plaintext_bytes: int, write: Write) -> tuple[int, bool]:
    """Decrypt all chunks.

    Args:
        k_body: 32 bytes.
        body: The chunks.
        plaintext_bytes: How many bytes are plaintext; the rest is padding.  From outside, any number.
        write: Gets the plaintext as it comes; nothing of it is to be believed before the return.

    Returns:
        Length of plaintext and padding together, and whether all of the padding is zero.

    Raises:
        InvalidTag: A chunk was altered.
        DecodeError: The body cannot be read, or changed since it was read before.
    """
    aead = AESGCM(k_body)
    n_chunks = -(-body.n_bytes // _FULL_BYTES)
    buffer = bytearray(min(body.n_bytes, _FULL_BYTES) - TAG_BYTES)
    out = memoryview(buffer)
    done, zero = 0, True
    for i, chunk in enumerate(body.chunks()):
        size = len(chunk) - TAG_BYTES
        aead.decrypt_into(stream_nonce(i, i == n_chunks - 1), chunk, None, out[:size])
        keep = max(0, min(size, plaintext_bytes - done))
        if keep:
            write(out[:keep])
        zero &= buffer.count(0, keep, size) == size - keep
        done += size
    return done, zero

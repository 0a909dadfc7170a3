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

import os
from collections.abc import Callable, Iterable, Iterator
from typing import BinaryIO, Final, Protocol

from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from .._ext.errors import DecodeError, ParameterError
from .._ext.fingerprint import Fingerprint
from .._ext.room import Sink

CHUNK_BYTES: Final = 1 << 20
TAG_BYTES: Final = 16
_FULL_BYTES: Final = CHUNK_BYTES + TAG_BYTES


def chunk_count(plain_bytes: int) -> int:
    return max(1, -(-plain_bytes // CHUNK_BYTES))


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


def seal_body(
    k_body: bytes, chunks: Iterable[bytes | memoryview], padded_bytes: int, sink: Sink
) -> Iterator[memoryview]:
    """Encrypt a plaintext, zero-padded to ``padded_bytes``.

    Args:
        k_body: 32 bytes, for this body only.
        chunks: The plaintext in pieces of 1 MiB, the last may be shorter; at most ``padded_bytes``.
        padded_bytes: At most 2**40.
        sink: Gets each chunk with its tag.

    Yields:
        Each chunk with its tag, before the sink takes it.
    """
    count = chunk_count(padded_bytes)
    aead = AESGCM(k_body)
    source = iter(chunks)
    for i in range(count):
        size = min(CHUNK_BYTES, padded_bytes - i * CHUNK_BYTES)
        chunk = next(source, b"")
        if len(chunk) < size:
            chunk = bytes(chunk) + bytes(size - len(chunk))
        sealed = sink.place(size + TAG_BYTES)
        aead.encrypt_into(stream_nonce(i, i == count - 1), chunk, None, sealed)
        yield sealed
        sink.take(len(sealed))
    if next(source, None) is not None:  # asking also lets a file notice that it has grown
        raise ParameterError("plaintext: longer than was said")


def open_body(k_body: bytes, body: Body, plaintext_bytes: int, sink: Sink) -> tuple[int, bool]:
    """Decrypt all chunks.

    Args:
        k_body: 32 bytes.
        body: The chunks.
        plaintext_bytes: How many bytes are plaintext; the rest is padding.  From outside, any number.
        sink: Gets the plaintext as it comes; nothing of it is to be believed before the return.

    Returns:
        Length of plaintext and padding together, and whether all of the padding is zero.

    Raises:
        InvalidTag: A chunk was altered.
        DecodeError: The body cannot be read, or changed since it was read before.
    """
    aead = AESGCM(k_body)
    n_chunks = -(-body.n_bytes // _FULL_BYTES)
    done, zero = 0, True
    for i, chunk in enumerate(body.chunks()):
        size = len(chunk) - TAG_BYTES
        out = sink.place(size)
        aead.decrypt_into(stream_nonce(i, i == n_chunks - 1), chunk, None, out)
        keep = max(0, min(size, plaintext_bytes - done))
        zero &= bytes(out[keep:]).count(0) == size - keep
        sink.take(keep)
        done += size
    return done, zero

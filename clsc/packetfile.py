"""A finished packet that a judge or a witness reads: its bytes, or a file of any size."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from .._ext.errors import DecodeError
from . import packet
from .body import Body
from .streaming import Progress, parse_file

PacketSource = bytes | str | os.PathLike[str]
"""A packet: its bytes, or the path of a file that holds it."""


@contextmanager
def open_packet(source: PacketSource, progress: Progress | None = None) -> Iterator[packet.Packet]:
    """Cut a packet into its fields; the body of one in a file stays there.

    Raises:
        OSError: The file cannot be read.
        DecodeError: Magic, suite, slot count or any length is not that of a packet.
    """
    if isinstance(source, bytes):
        yield packet.parse(source)
        return
    with open(source, "rb") as file:
        parsed = parse_file(file, progress)
        if parsed is None:
            raise DecodeError("packet: not a packet")
        yield parsed


class SignedBody:
    """A body of which no chunk is given out that has not the hash that was signed.

    A file may be changed while it is read, by somebody who knows CEK: so the hash is asked each time.

    Args:
        body: The chunks.
        chunk_hashes: What was signed, one for each of them.
        report: Called with the length of each chunk that was read.
    """

    __slots__ = ("_body", "_hashes", "_report")

    def __init__(self, body: Body, chunk_hashes: list[bytes], report: Callable[[int], None]) -> None:
        self._body = body
        self._hashes = chunk_hashes
        self._report = report

    @property
    def n_bytes(self) -> int:
        return self._body.n_bytes

    def chunks(self) -> Iterator[memoryview]:
        """Raises DecodeError at the first chunk that is another one."""
        for chunk, signed in zip(self._body.chunks(), self._hashes, strict=True):
            if hashlib.sha256(chunk).digest() != signed:
                raise DecodeError("packet: another body")
            self._report(len(chunk))
            yield chunk

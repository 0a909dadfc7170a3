"""Where bytes come from and where they go: paths, seekable files, pipes.

=============  ================================================  ====================================
..             source                                            target
=============  ================================================  ====================================
path           read in place                                     appears whole or not at all
seekable file  read in place, from where it stands to its end    written from where it stands
pipe, socket   first copied to a private file without a name     written as it comes
=============  ================================================  ====================================
"""

from __future__ import annotations

import contextlib
import io
import os
from collections.abc import Callable, Iterator
from typing import BinaryIO, Final, TypeAlias

from .._ext.errors import DecodeError, ParameterError
from .._ext.limits import MAX_CHUNKS, MAX_RECEIVERS
from .._ext.room import Write
from .._ext.spool import NewFile, spool
from . import packet
from .body import CHUNK_BYTES, read_into

Path: TypeAlias = str | os.PathLike[str]
Progress: TypeAlias = Callable[[int, int], object]
"""Called with bytes done and bytes in all, after every chunk; whatever it raises ends the work."""

_MAX_PLAINTEXT_BYTES: Final = MAX_CHUNKS * CHUNK_BYTES


def _is_path(value: object) -> bool:
    return isinstance(value, (str, os.PathLike))


def check_ends(source: object, target: object) -> None:
    for name, value, method in (("source", source, "read"), ("target", target, "write")):
        if not _is_path(value) and not hasattr(value, method):
            raise TypeError(f"{name}: path or binary file expected, got {type(value).__name__}")
        if isinstance(value, io.TextIOBase):
            raise TypeError(f"{name}: a file opened in binary mode expected")


@contextlib.contextmanager
def reading(source: Path | BinaryIO, copy: Callable[[BinaryIO, BinaryIO], None]) -> Iterator[BinaryIO]:
    """A seekable file with the source; what cannot seek is copied first."""
    with contextlib.ExitStack() as stack:
        if isinstance(source, (str, os.PathLike)):
            file: BinaryIO = stack.enter_context(open(source, "rb"))
        else:
            file = source
        seekable = getattr(file, "seekable", None)
        if seekable is None or not seekable():
            private = stack.enter_context(spool())
            copy(file, private)
            private.seek(0)
            file = private
        yield file


def copy_plaintext(file: BinaryIO, private: BinaryIO) -> None:
    if _copy(file, private.write, _MAX_PLAINTEXT_BYTES + 1) > _MAX_PLAINTEXT_BYTES:
        raise ParameterError("source: a plaintext of at most 2**40 bytes expected")


def copy_packet(file: BinaryIO, private: BinaryIO) -> None:
    """Copy as much as the packet says that it has and one byte: what is no packet cannot fill the disk."""
    start = read(file, packet.start_bytes(MAX_RECEIVERS))
    private.write(start)
    with contextlib.suppress(DecodeError):
        _, slots, body_bytes = packet.parse_start(start)
        total = packet.start_bytes(len(slots)) + body_bytes + packet.HEAD_BYTES
        _copy(file, private.write, max(0, total + 1 - len(start)))


@contextlib.contextmanager
def writing(target: Path | BinaryIO, overwrite: bool) -> Iterator[tuple[Write, Callable[[], None]]]:
    """How to write a packet, and what to call when it is whole."""
    if isinstance(target, (str, os.PathLike)):
        with NewFile(target, overwrite=overwrite) as new:
            yield new.file.write, new.publish
    else:
        yield writer(target), getattr(target, "flush", lambda: None)


@contextlib.contextmanager
def keeping(target: Path | BinaryIO, overwrite: bool) -> Iterator[tuple[Write, Callable[[], None]]]:
    """Where to keep a plaintext that is not verified, and what to call when it is."""
    if isinstance(target, (str, os.PathLike)):
        with NewFile(target, overwrite=overwrite) as new:
            yield new.file.write, new.publish
        return
    with spool() as private:

        def release() -> None:
            private.seek(0)
            _copy(private, writer(target), _MAX_PLAINTEXT_BYTES)
            getattr(target, "flush", lambda: None)()

        yield private.write, release


def writer(file: BinaryIO) -> Write:
    """``write`` that writes all of it: one of an unbuffered pipe may stop short."""
    foreign = not isinstance(file, io.IOBase)

    def write(data: memoryview) -> None:
        done = 0
        while done < len(data):
            # An object of somebody's own may keep what it gets, and not say how much it took.
            piece = bytes(data[done:]) if foreign else data[done:]
            n: int | None = file.write(piece)
            if n is None and not foreign:
                raise BlockingIOError("target: a file that blocks expected")
            done += len(piece) if n is None else n

    return write


def _copy(file: BinaryIO, write: Write, n_bytes: int) -> int:
    """Copy up to ``n_bytes``; returns how many there were."""
    buffer = memoryview(bytearray(CHUNK_BYTES))
    done = 0
    while done < n_bytes:
        n = read_into(file, buffer[: min(CHUNK_BYTES, n_bytes - done)])
        if n == 0:
            break
        write(buffer[:n])
        done += n
    return done


def read(file: BinaryIO, n_bytes: int) -> bytes:
    """Up to ``n_bytes``; fewer only at the end."""
    buffer = bytearray(n_bytes)
    return bytes(buffer[: read_into(file, memoryview(buffer))])


class Report:
    """Tells whoever asked how far the work is."""

    __slots__ = ("_call", "_done", "_total")

    def __init__(self, call: Progress | None, total: int) -> None:
        self._call = call
        self._total = total
        self._done = 0
        self.add(0)

    def add(self, n_bytes: int) -> None:
        self._done += n_bytes
        if self._call is not None:
            self._call(self._done, self._total)


def remaining(file: BinaryIO) -> int:
    """Bytes from where it stands to its end."""
    start = file.tell()
    size = file.seek(0, os.SEEK_END) - start
    file.seek(start)
    return max(0, size)

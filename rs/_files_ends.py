"""Arguments of the functions on files, where bytes come from, and where they go."""

from __future__ import annotations

import contextlib
import errno
import io
import os
import stat
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import BinaryIO, Final

from .._ext.errors import ParameterError
from .._ext.spool import NewFile
from . import _files_header as own
from . import _files_zfec as zfec
from ._files_layout import Layout
from ._files_paths import PATH, Path, path_of
from ._files_shards import Map
from ._files_write import check_prefix
from ._numbers import integer

_BLOCK_BYTES: Final = 1 << 16
_MEMORY: Final = 1 << 22
"""Of the blocks of a stripe, unless the caller wants larger ones."""
_MAX_THREADS: Final = 256


def new_layout(k: int, n: int, format: str, block_bytes: int | None) -> Layout:
    if format == "zfec":
        if block_bytes is not None:
            raise ParameterError("block_bytes: None expected, shards of zfec have no blocks")
        return zfec.layout(k, n, 0)
    if block_bytes is None:
        block_bytes = min(_BLOCK_BYTES, _MEMORY // n // own.BLOCK_STEP * own.BLOCK_STEP)
    else:
        block_bytes = integer("block_bytes", block_bytes)
    if not own.is_block_bytes(block_bytes, n):
        raise ParameterError(
            f"block_bytes: a multiple of {own.BLOCK_STEP} up to {own.MAX_STRIPE_BYTES // n} expected, "
            f"got {block_bytes}"
        )
    return own.layout(k, n, block_bytes, 0)


def place_of(source: object, folder: Path | None, prefix: str | None) -> tuple[str, str]:
    """Folder and prefix of new shards."""
    place, stem = "", prefix
    if isinstance(source, PATH):
        place, name = os.path.split(path_of("source", source))
        stem = name if prefix is None else prefix
    elif prefix is None:
        raise ParameterError("prefix: must be given for an open file")
    return place if folder is None else path_of("folder", folder), check_prefix(stem)


@contextlib.contextmanager
def mapping(threads: int) -> Iterator[Map]:
    """``map``, in this thread or in several."""
    threads = integer("threads", threads)
    if not 1 <= threads <= _MAX_THREADS:
        raise ParameterError(f"threads: 1 to {_MAX_THREADS} expected, got {threads}")
    if threads == 1:
        yield map
        return
    with ThreadPoolExecutor(threads) as pool:
        yield pool.map


@contextlib.contextmanager
def reading(source: Path | BinaryIO) -> Iterator[BinaryIO]:
    if isinstance(source, PATH):
        with open(path_of("source", source), "rb", buffering=0) as file:
            yield file
        return
    if _is_text(source) or not hasattr(source, "read"):
        raise TypeError(f"source: path or binary file expected, got {type(source).__name__}")
    yield source


@contextlib.contextmanager
def writing(
    target: Path | BinaryIO, overwrite: bool
) -> Iterator[tuple[Callable[[memoryview], object], Callable[[], object]]]:
    """How to write the file, and what to call when it is whole."""
    if isinstance(target, PATH):
        with NewFile(path_of("target", target), overwrite=overwrite) as new:
            yield new.file.write, new.publish
        return
    if _is_text(target) or not hasattr(target, "write"):
        raise TypeError(f"target: path or binary file expected, got {type(target).__name__}")
    stream = target

    def write(data: memoryview) -> None:
        # A raw file may take a part only, and one that does not wait none.
        while len(data):
            done = stream.write(data)
            if not done:
                raise BlockingIOError(errno.EAGAIN, "target: a file that blocks expected")
            data = data[done:]

    yield write, getattr(target, "flush", lambda: None)


def version_of(file: BinaryIO) -> tuple[int, ...]:
    """What changes when a file is written to; nothing for what is not a file."""
    try:
        found = os.fstat(file.fileno())
    except (OSError, AttributeError):  # io.UnsupportedOperation is an OSError
        return ()
    if not stat.S_ISREG(found.st_mode):
        return ()
    return found.st_dev, found.st_ino, found.st_size, found.st_mtime_ns


def size_of(file: BinaryIO) -> int | None:
    """Bytes from here to the end; None if that cannot be known, as in a pipe or in /proc."""
    try:
        here = file.tell()
        end = file.seek(0, os.SEEK_END)
        file.seek(here)
    except (OSError, AttributeError):
        return None
    return end - here if end > here else None


def fill(file: BinaryIO, view: memoryview) -> int:
    """Read until the view is full or the file ends; the bytes read.

    Raises:
        BlockingIOError: The file does not wait for what has not come yet.
    """
    done = 0
    readinto = getattr(file, "readinto", None)
    while done < len(view):
        if readinto is not None:
            count = readinto(view[done:])
        else:
            piece = file.read(len(view) - done)
            count = None if piece is None else len(piece)
            view[done : done + (count or 0)] = piece or b""
        if count is None:  # nothing yet, which is not the end
            raise BlockingIOError(errno.EAGAIN, "source: a file that blocks expected")
        if not count:
            break
        done += count
    return done


def _is_text(value: object) -> bool:
    return isinstance(value, io.TextIOBase)

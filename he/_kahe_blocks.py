"""Whole vectors in blocks of ring elements: threads, results in order, buffers and files at the ends.

Nothing here holds more than a few blocks, however long the vector is.
"""

from __future__ import annotations

import io
from collections import deque
from collections.abc import Callable, Generator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any, Protocol, TypeVar

import numpy as np
from numpy.typing import NDArray

from .._ext.errors import DecodeError, ParameterError

COEFFICIENTS = 1 << 15
"""Of a block: its arrays stay in the second-level cache, and the calls around them cost little."""

MAX_THREADS = 256

_T = TypeVar("_T")
_In = TypeVar("_In")


def check_threads(threads: int) -> None:
    """1 to 256."""
    if type(threads) is not int:
        raise TypeError(f"threads: int expected, got {type(threads).__name__}")
    if not 1 <= threads <= MAX_THREADS:
        raise ParameterError(f"threads: 1 to {MAX_THREADS} expected, got {threads}")


def block_starts(n_elements: int, N: int) -> tuple[range, int]:
    """First elements of the blocks, and how many elements a block has (the last one may have fewer)."""
    rows = max(1, COEFFICIENTS // N)
    return range(0, n_elements, rows), rows


def in_order(work: Callable[[_In], _T], items: Sequence[_In], threads: int) -> Generator[_T, None, None]:
    """Results of ``work`` for each item, in order; at most ``threads`` run, and as many wait to be taken.

    Close it (``contextlib.closing``) where it may be left early: then nothing runs any more.
    """
    if threads == 1 or len(items) == 1:
        yield from map(work, items)
        return
    ahead: deque[Future[_T]] = deque()
    with ThreadPoolExecutor(threads, "sottovoce-kahe") as pool:
        try:
            for item in items:
                ahead.append(pool.submit(work, item))
                if len(ahead) >= 2 * threads:
                    yield ahead.popleft().result()
            while ahead:
                yield ahead.popleft().result()
        finally:
            for future in ahead:
                future.cancel()


class Spare:
    """Buffers of one kind, made when they are needed and used again; a list's ends are thread-safe.

    Args:
        make: Makes one.
    """

    __slots__ = ("_free", "_make", "made")

    def __init__(self, make: Callable[[], Any]) -> None:
        self._make = make
        self._free: list[Any] = []
        self.made: list[Any] = []

    def take(self) -> Any:
        """One that nobody uses."""
        try:
            return self._free.pop()
        except IndexError:
            self.made.append(self._make())
            return self.made[-1]

    def give(self, one: Any) -> None:
        """Back for the next."""
        self._free.append(one)


# -- where blocks go ----------------------------------------------------------------------------
class Sink(Protocol):
    """Takes the bytes of the blocks, which are filled in any order and put in order."""

    def room(self, start: int, end: int) -> NDArray[np.uint8]:
        """Where bytes ``start`` to ``end`` of the whole are to be written."""

    def put(self, block: NDArray[np.uint8]) -> None:
        """This room is full."""


class BufferSink:
    """A writable buffer of exactly ``size`` bytes, written in place."""

    __slots__ = ("_view",)

    def __init__(self, view: memoryview) -> None:
        self._view = np.frombuffer(view, np.uint8)

    def room(self, start: int, end: int) -> NDArray[np.uint8]:
        return self._view[start:end]

    def put(self, block: NDArray[np.uint8]) -> None:
        pass


class FileSink:
    """A binary file, written from its position on."""

    __slots__ = ("_file", "_spare")

    def __init__(self, file: Any, block_bytes: int) -> None:
        self._file = file
        self._spare = Spare(lambda: np.empty(block_bytes, np.uint8))

    def room(self, start: int, end: int) -> NDArray[np.uint8]:
        block: NDArray[np.uint8] = self._spare.take()[: end - start]
        return block

    def put(self, block: NDArray[np.uint8]) -> None:
        write_all(self._file, block.data)
        self._spare.give(block.base)


def open_sink(out: Any, size: int, block_bytes: int) -> Sink:
    """A sink over a caller's writable buffer or binary file.

    Raises:
        TypeError: Neither.
        ParameterError: A buffer of another size, read-only or not contiguous; a file that is not
            writable.
    """
    try:
        view = memoryview(out)
    except TypeError:
        return FileSink(_writable(out), block_bytes)
    if view.readonly or not view.c_contiguous or view.nbytes != size:
        raise ParameterError(f"out: a writable, contiguous buffer of {size} bytes expected")
    return BufferSink(view.cast("B"))


def _writable(file: Any) -> Any:
    if isinstance(file, io.TextIOBase) or not callable(getattr(file, "write", None)):
        raise TypeError(f"out: writable buffer or binary file expected, got {type(file).__name__}")
    if isinstance(file, io.IOBase) and not file.writable():
        raise ParameterError("out: the file is not open for writing")
    return file


def write_all(file: Any, data: memoryview) -> None:
    """Write all of it: a raw file may take less at a time."""
    at = 0
    while at < len(data):
        written = file.write(data[at:])
        if type(written) is not int or not 0 < written <= len(data) - at:
            raise OSError("out: the file takes no more")
        at += written


# -- where blocks come from ---------------------------------------------------------------------
def check_file(what: str, file: Any, size: int) -> None:
    """A seekable binary file with exactly ``size`` bytes left.

    Raises:
        TypeError: Not a seekable binary file.
        DecodeError: Another length.
    """
    if isinstance(file, io.TextIOBase) or not all(
        callable(getattr(file, name, None)) for name in ("readinto", "seek", "tell")
    ):
        raise TypeError(f"{what}: seekable binary file expected, got {type(file).__name__}")
    position = file.tell()
    left = file.seek(0, io.SEEK_END) - position
    file.seek(position)
    if left != size:
        raise DecodeError(f"{what}: {size} bytes expected, the file has {left}")


def read_all(file: Any, out: NDArray[np.uint8]) -> None:
    """Fill ``out``: a raw file may give less at a time.

    Raises:
        OSError: The file ends before.
    """
    view, at = out.data, 0
    while at < len(view):
        read = file.readinto(view[at:])
        if type(read) is not int or not 0 < read <= len(view) - at:
            raise OSError("the file ended early")
        at += read

"""Whole vectors in blocks of ring elements: places of blocks, threads, buffers and files at the ends.

The body of a ciphertext is block after block, of each first c0 and then c1, so that whoever writes or reads
one in order never holds more than a few blocks.
"""

from __future__ import annotations

import io
from collections import deque
from collections.abc import Callable, Generator, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import closing
from dataclasses import dataclass
from typing import Any, Protocol, TypeVar

import numpy as np
from numpy.typing import NDArray

from .._ext.errors import DecodeError, ParameterError
from ._rlwe_params import HEADER_BYTES, Params
from ._rlwe_wire import COMPRESSED

MAX_THREADS = 256

Bytes = NDArray[np.uint8]
_T = TypeVar("_T")
_X = TypeVar("_X")
_B = TypeVar("_B", covariant=True)


class _Many(Protocol[_B]):
    """Things to work on, of which it is known how many they are."""

    def __len__(self) -> int: ...
    def __iter__(self) -> Iterator[_B]: ...


@dataclass(frozen=True, slots=True)
class Block:
    """One block of a vector.

    Attributes:
        index: Counted from 0.
        start: First ring element.
        rows: Ring elements.
        at: Where its bytes begin, from the beginning of the body.
        middle: Where c1 begins.
        end: Where the next block begins.
    """

    index: int
    start: int
    rows: int
    at: int
    middle: int
    end: int


class Blocks:
    """The blocks of a vector in one form.

    Attributes:
        params: Of the vector.
        drop_bits: Bits rounded off c0 and c1 in this form.
        roundings: The kernel's scaling of each.
    """

    __slots__ = ("_row_bytes", "drop_bits", "params", "roundings")

    def __init__(self, params: Params, form: int) -> None:
        self.params = params
        self.drop_bits = params.drop_bits if form == COMPRESSED else (0, 0)
        # Kept: adding takes a microsecond a row, and so does finding these again for every block.
        self.roundings = tuple(params._rounding(d) for d in self.drop_bits)
        self._row_bytes = tuple(params._component_bytes(1, d) for d in self.drop_bits)

    def __len__(self) -> int:
        return self.params._n_blocks

    def __getitem__(self, index: int) -> Block:
        params, (row0, row1) = self.params, self._row_bytes
        start = index * params._block_elements
        if start >= params.n_elements:
            raise IndexError(index)
        rows = min(params._block_elements, params.n_elements - start)
        at = start * (row0 + row1)
        middle = at + rows * row0
        return Block(index, start, rows, at, middle, middle + rows * row1)

    def __iter__(self) -> Iterator[Block]:
        return (self[index] for index in range(len(self)))

    @property
    def body_bytes(self) -> int:
        """Of the whole vector."""
        return self.params._body_bytes(self.drop_bits)

    @property
    def block_bytes(self) -> int:
        """Of the largest block."""
        return self[0].end

    def check(self, block: Block, packed: Bytes) -> None:
        """DecodeError unless every integer of these bytes of a block is one that rounding gives."""
        split = block.middle - block.at
        for component, part in enumerate((packed[:split], packed[split:])):
            bad = self.roundings[component].check(part)
            if bad >= 0:
                where = block.start * self.params.N + bad
                raise DecodeError(f"ciphertext: c{component}, coefficient {where}: not below the modulus")


def check_threads(threads: int) -> None:
    """1 to 256."""
    if type(threads) is not int:
        raise TypeError(f"threads: int expected, got {type(threads).__name__}")
    if not 1 <= threads <= MAX_THREADS:
        raise ParameterError(f"threads: 1 to {MAX_THREADS} expected, got {threads}")


def in_order(work: Callable[[_X], _T], blocks: _Many[_X], threads: int) -> Generator[_T, None, None]:
    """Results of ``work`` for each block, in order; at most ``threads`` run, and as many wait to be taken.

    Close it where it may be left early: then nothing runs any more.
    """
    if threads == 1 or len(blocks) == 1:
        yield from map(work, blocks)
        return
    ahead: deque[Future[_T]] = deque()
    with ThreadPoolExecutor(threads, "sottovoce-rlwe") as pool:
        try:
            for block in blocks:
                ahead.append(pool.submit(work, block))
                if len(ahead) >= 2 * threads:
                    yield ahead.popleft().result()
            while ahead:
                yield ahead.popleft().result()
        finally:
            for future in ahead:
                future.cancel()


def for_each(work: Callable[[_X], None], blocks: _Many[_X], threads: int) -> None:
    """``work`` for each block; returns or raises when nothing runs any more."""
    with closing(in_order(work, blocks, threads)) as results:
        for _ in results:
            pass


class Pool:
    """Work spaces, made when they are needed and used again; a list's ends are thread-safe.

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


# -- buffers and files --------------------------------------------------------------------------
def bytes_of(what: str, data: Any) -> Bytes:
    """The bytes of a buffer, borrowed.

    Raises:
        TypeError: Not a buffer, or not a contiguous one.
    """
    try:
        view = memoryview(data)
    except TypeError:
        raise TypeError(f"{what}: bytes or another buffer expected, got {type(data).__name__}") from None
    if not view.c_contiguous:
        raise TypeError(f"{what}: contiguous buffer expected")
    return np.frombuffer(view.cast("B") if view.nbytes else b"", np.uint8)


def writable_bytes(out: Any, size: int) -> Bytes | None:
    """The bytes of a writable buffer of ``size`` bytes; None for what is a binary file instead.

    Raises:
        TypeError: Neither.
        ParameterError: A buffer of another size, read-only or not contiguous; a file that is not writable.
    """
    try:
        view = memoryview(out)
    except TypeError:
        if isinstance(out, io.TextIOBase) or not callable(getattr(out, "write", None)):
            raise TypeError(
                f"out: writable buffer or binary file expected, got {type(out).__name__}"
            ) from None
        if isinstance(out, io.IOBase) and not out.writable():
            raise ParameterError("out: the file is not open for writing") from None
        return None
    if view.readonly or not view.c_contiguous or view.nbytes != size:
        raise ParameterError(f"out: a writable, contiguous buffer of {size} bytes expected")
    return np.frombuffer(view.cast("B"), np.uint8)


def write_all(file: Any, data: memoryview | bytes) -> None:
    """Write all of it: a raw file may take less at a time.

    Raises:
        OSError: The file takes no more.
    """
    at = 0
    while at < len(data):
        written = file.write(data[at:])
        if type(written) is not int or not 0 < written <= len(data) - at:
            raise OSError("out: the file takes no more")
        at += written


def read_all(file: Any, out: Bytes) -> None:
    """Fill ``out``: a raw file may give less at a time.

    Raises:
        DecodeError: The file ends before.
    """
    view, at = out.data, 0
    while at < len(view):
        read = file.readinto(view[at:])
        if type(read) is not int or not 0 < read <= len(view) - at:
            raise DecodeError("ciphertext: the file ends early")
        at += read


def check_file(file: Any) -> None:
    """TypeError unless it is a seekable binary file."""
    if isinstance(file, io.TextIOBase) or not all(
        callable(getattr(file, name, None)) for name in ("readinto", "seek", "tell")
    ):
        raise TypeError(f"file: seekable binary file expected, got {type(file).__name__}")


def write_blocks(
    header: bytes, blocks: Blocks, fill: Callable[[Block, Bytes], None], out: Any, threads: int
) -> None:
    """Header and body to a buffer, in place, or to a file, in order.

    Args:
        header: 80 bytes.
        blocks: Of the body.
        fill: Writes the bytes of a block; called by several threads.
        out: Writable buffer of exactly the size, or binary file.
        threads: 1 to 256.

    Raises:
        As :func:`writable_bytes`; OSError of the file; whatever ``fill`` raises.
    """
    buffer = writable_bytes(out, HEADER_BYTES + blocks.body_bytes)
    if buffer is not None:
        body = buffer[HEADER_BYTES:]
        for_each(lambda block: fill(block, body[block.at : block.end]), blocks, threads)
        buffer[:HEADER_BYTES] = np.frombuffer(header, np.uint8)
        return
    spare = Pool(lambda: np.empty(blocks.block_bytes, np.uint8))

    def work(block: Block) -> tuple[Bytes, int]:
        packed, size = spare.take(), block.end - block.at
        fill(block, packed[:size])
        return packed, size

    write_all(out, header)
    with closing(in_order(work, blocks, threads)) as results:
        for packed, size in results:
            write_all(out, packed[:size].data)
            spare.give(packed)

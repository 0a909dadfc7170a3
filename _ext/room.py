"""Where the bytes of something large are made: in the place where they will stay.

Large here is a packet or a result of some megabytes.  Each copy of one costs less for the copying than for
the pages that it touches first: some microseconds for 4 KiB, a fifth of all that an aggregator does.  So
whoever makes bytes is given a place to make them in, and that place is the memory of the object that comes
out, on pages of 2 MiB where the system has them (as numpy does for its arrays).
"""

from __future__ import annotations

import io
from collections.abc import Callable, Sequence
from typing import Final, Protocol

from . import _memory

Write = Callable[[memoryview], object]
"""Takes the next bytes, all of them, and keeps no reference."""


_LARGE: Final = 1 << 21
"""A large page: what is shorter has none."""


class Sink(Protocol):
    """Where bytes go: made in a place that the sink names, then taken."""

    def place(self, n_bytes: int) -> memoryview:
        """Room for the next bytes; what was in an earlier place and was not taken is gone."""

    def take(self, n_bytes: int) -> None:
        """The first bytes of the last place are the next of the whole."""


class Room:
    """A sink in memory, of a known size.

    Args:
        n_bytes: The most that is put in.
    """

    __slots__ = ("_at", "_file", "_placed", "_view")

    def __init__(self, n_bytes: int) -> None:
        # BytesIO takes over an object that nobody else has, and gives it back: nothing is ever copied.
        self._file = io.BytesIO(_memory.unwritten(n_bytes))
        self._view = self._file.getbuffer()
        self._at = self._placed = 0

    def place(self, n_bytes: int) -> memoryview:
        """As :meth:`Sink.place`; shorter where there is not so much left."""
        place = self._view[self._at : self._at + n_bytes]
        self._placed = len(place)
        return place

    def take(self, n_bytes: int) -> None:
        """As :meth:`Sink.take`.

        Raises:
            ValueError: More than the last place held: nobody has written that, and what is there may be a
                rest of something secret.
        """
        if not 0 <= n_bytes <= self._placed:
            raise ValueError(f"n_bytes: 0 to {self._placed} expected, got {n_bytes}")
        self._at += n_bytes
        self._placed = 0

    def value(self) -> bytes:
        """All that was taken; nothing more can be put in."""
        self._view.release()
        self._file.truncate(self._at)
        return self._file.getvalue()


class Through:
    """A sink that hands on what it takes: its memory is the largest place that was asked for.

    Args:
        write: Gets it.
    """

    __slots__ = ("_buffer", "_write")

    def __init__(self, write: Write) -> None:
        self._buffer = memoryview(bytearray())
        self._write = write

    def place(self, n_bytes: int) -> memoryview:
        """As :meth:`Sink.place`."""
        if len(self._buffer) < n_bytes:
            self._buffer = memoryview(bytearray(n_bytes))
        return self._buffer[:n_bytes]

    def take(self, n_bytes: int) -> None:
        """As :meth:`Sink.take`."""
        if n_bytes:
            self._write(self._buffer[:n_bytes])


def put(sink: Sink, data: bytes | memoryview) -> None:
    """Bytes that are there already."""
    sink.place(len(data))[:] = data
    sink.take(len(data))


def joined(parts: Sequence[bytes | memoryview]) -> bytes:
    """``b"".join(parts)``, where the result may be long; views are of bytes."""
    n_bytes = sum(map(len, parts))
    if n_bytes < _LARGE:
        return b"".join(parts)
    room = Room(n_bytes)
    for part in parts:
        put(room, part)
    return room.value()

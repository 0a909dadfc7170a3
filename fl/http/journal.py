"""Shards that were acknowledged, until their round is over: one file of records of one length.

Who sends a shard may go offline as soon as it is taken, and a packet needs several.  What is in the file
survives the process at once; whether it survives a loss of power is the file system's matter, because an
fsync for each shard would let strangers stop the disk.  Bounded for the round and for each source, so that
one relay fills neither the disk nor the room of the others.
"""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Hashable, Iterator
from pathlib import Path
from typing import Final

ROUNDS_OF_SHARDS: Final = 4
"""Room for all shards of a full round, for as many repetitions, and twice as many of strangers."""

ROUNDS_OF_A_SOURCE: Final = 2
"""Where all shards come by one relay, and all clients send twice."""


class JournalFullError(Exception):
    """No room for this shard; nothing has changed.

    Attributes:
        by_source: Its source has had its part; others still have room.
    """

    def __init__(self, *, by_source: bool) -> None:
        super().__init__("source" if by_source else "round")
        self.by_source = by_source


class ShardJournal:
    """The file of one round.

    Args:
        path: Made, for its owner only, if it is not there.
        shard_bytes: Length of each record.
        max_shards: Shards that an honest round has at most.
    """

    def __init__(self, path: Path, shard_bytes: int, max_shards: int) -> None:
        self._path = path
        self._size = shard_bytes
        self._most = ROUNDS_OF_SHARDS * max_shards
        self._most_of_source = ROUNDS_OF_A_SOURCE * max_shards
        # In this process: of what is there from before, nobody knows from whom it came.
        self._by_source: Counter[Hashable] = Counter()
        self._fd = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        # A record that was cut off when the process ended was not acknowledged.
        self._end = os.fstat(self._fd).st_size // shard_bytes * shard_bytes
        os.ftruncate(self._fd, self._end)

    @property
    def n_bytes(self) -> int:
        """Length of what is kept."""
        return self._end

    def append(self, shard: bytes, source: Hashable = None) -> None:
        """Keep a shard.

        Args:
            shard: The record.
            source: Who delivers it.

        Raises:
            JournalFullError: The round, or this source, has had its part.
            OSError: The disk is full, or failed; the file is as before.
        """
        if self._end >= self._most * self._size:
            raise JournalFullError(by_source=False)
        if self._by_source[source] >= self._most_of_source:
            raise JournalFullError(by_source=True)
        self._write(shard)
        self._end += self._size
        self._by_source[source] += 1

    def check(self) -> None:
        """Return if one more record finds room now; the file is as before.

        Raises:
            OSError: The disk is full, or failed.
        """
        try:
            self._write(bytes(self._size))
        finally:
            os.ftruncate(self._fd, self._end)

    def _write(self, record: bytes) -> None:
        view = memoryview(record)
        done = 0
        while done < len(view):
            done += os.pwrite(self._fd, view[done:], self._end + done)

    def __iter__(self) -> Iterator[bytes]:
        """The shards, in the order in which they came."""
        for at in range(0, self._end, self._size):
            yield os.pread(self._fd, self._size, at)

    def close(self) -> None:
        """Close the file, and leave it; once more does nothing."""
        # The number is free for another file at once: nothing may be written to it any more.
        fd, self._fd = self._fd, -1
        if fd >= 0:
            os.close(fd)

    def remove(self) -> None:
        """The round collects no more."""
        self.close()
        self._end = 0
        self._path.unlink(missing_ok=True)

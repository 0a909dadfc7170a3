"""Shards that were acknowledged, until their round is over: one file of records of one length.

Who sends a shard may go offline as soon as it is taken, and a packet needs several.  What is in the file
survives the process at once; whether it survives a loss of power is the file system's matter, because an
fsync for each shard would let strangers stop the disk.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Final

ROUNDS_OF_SHARDS: Final = 2
"""Room for all shards of a full round, and as many of strangers and repetitions.  What comes beyond that is
taken, and lost if the process ends before its packet is complete."""


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
        self._most = ROUNDS_OF_SHARDS * max_shards * shard_bytes
        self._fd = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        # A record that was cut off when the process ended was not acknowledged.
        self._end = os.fstat(self._fd).st_size // shard_bytes * shard_bytes
        os.ftruncate(self._fd, self._end)

    def append(self, shard: bytes) -> bool:
        """Keep a shard; False if the file is as long as it may be.

        Raises:
            OSError: The disk is full, or failed; the file is as before.
        """
        if self._end + self._size > self._most:
            return False
        view = memoryview(shard)
        done = 0
        while done < len(view):
            done += os.pwrite(self._fd, view[done:], self._end + done)
        self._end += self._size
        return True

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
        self._path.unlink(missing_ok=True)

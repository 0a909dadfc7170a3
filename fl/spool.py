"""A folder of private files, each written whole and synced before anybody knows its name.

For what is too long for a database row.  The row comes after the file and names it, with length and digest,
so a file without a row is what a crash left and goes at the next start, and a file that is not the one
of its row is never taken for it.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import re
import secrets
import stat
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final

from .._ext.errors import StoreError
from .._ext.spool import NewFile

_OURS: Final = re.compile(r"[0-9a-f]{64}-[0-9a-f]{32}|\.sottovoce-.*")
"""``round-random``, and what :class:`NewFile` leaves of a killed process where it needs a hidden name."""


@dataclass(frozen=True)
class Part:
    """Where some bytes are: a piece of one file.

    Attributes:
        name: Of the file, in its folder.
        start: First byte.
        n_bytes: How many.
        digest: Their SHA-256.
    """

    name: str
    start: int
    n_bytes: int
    digest: bytes


class SpoolFolder:
    """The folder.

    Args:
        path: Made with mode 0700 if it is not there; its parent must exist.

    Raises:
        StoreError: Something else has its name, or others than the owner may enter.
        OSError: It cannot be made.

    Threads: safe, for different names.
    """

    def __init__(self, path: str) -> None:
        self._path = path
        try:
            os.mkdir(path, 0o700)
        except FileExistsError:
            mode = os.lstat(path).st_mode
            if not stat.S_ISDIR(mode):
                raise StoreError(f"{path}: not a folder") from None
            if os.name == "posix" and stat.S_IMODE(mode) & 0o077:
                raise StoreError(f"{path}: mode 0700 expected, got {stat.S_IMODE(mode):04o}") from None
        else:
            _sync_folder(os.path.dirname(path))

    def write(self, round_id: bytes, *pieces: bytes) -> list[Part]:
        """Write a new file of one round, durable when this returns; one part for each piece.

        Raises:
            OSError: The disk is full, or failed; nothing is left.
        """
        name = f"{round_id.hex()}-{secrets.token_hex(16)}"
        parts, start = [], 0
        with NewFile(os.path.join(self._path, name)) as new:
            for piece in pieces:
                new.file.write(piece)
                parts.append(Part(name, start, len(piece), hashlib.sha256(piece).digest()))
                start += len(piece)
            new.publish()
        return parts

    def read(self, part: Part) -> bytes:
        """The bytes that were written.

        Raises:
            StoreError: The file is missing, or has other bytes.
            OSError: It cannot be read.
        """
        try:
            with open(os.path.join(self._path, part.name), "rb") as file:
                file.seek(part.start)
                data = file.read(part.n_bytes)
        except FileNotFoundError:
            raise StoreError(f"{self._path}: {part.name} is missing") from None
        if hashlib.sha256(data).digest() != part.digest:
            raise StoreError(f"{self._path}: {part.name} is damaged: not the bytes that were written")
        return data

    def has(self, name: str, n_bytes: int) -> bool:
        """Whether a file is there, whole."""
        try:
            return os.stat(os.path.join(self._path, name)).st_size == n_bytes
        except FileNotFoundError:
            return False

    def keep_only(self, known: Iterable[tuple[str, int]]) -> None:
        """At the start: remove what a crash left, and see that the rest is there.

        Nobody may be writing meanwhile: the caller holds the lock that writers hold until they have a row.

        Args:
            known: Name and length of every file that has a row.

        Raises:
            StoreError: One is missing, or has another length.
        """
        names = set()
        for name, n_bytes in known:
            names.add(name)
            try:
                found = os.stat(os.path.join(self._path, name)).st_size
            except FileNotFoundError:
                raise StoreError(f"{self._path}: {name} is missing; restored without its database?") from None
            if found != n_bytes:
                raise StoreError(f"{self._path}: {name} is damaged: {n_bytes} bytes expected, got {found}")
        self._remove(name for name in os.listdir(self._path) if _OURS.fullmatch(name) and name not in names)

    def remove(self, name: str) -> None:
        """Remove one file, if it is there."""
        self._remove([name])

    def remove_round(self, round_id: bytes) -> None:
        """Remove every file of a round."""
        start = f"{round_id.hex()}-"
        self._remove(name for name in os.listdir(self._path) if name.startswith(start))

    def _remove(self, names: Iterable[str]) -> None:
        removed = False
        for name in names:
            with contextlib.suppress(FileNotFoundError):
                os.unlink(os.path.join(self._path, name))
                removed = True
        if removed:
            _sync_folder(self._path)


def _sync_folder(path: str) -> None:
    """Make names durable; Windows cannot open folders and needs no such thing."""
    if os.name == "posix":
        descriptor = os.open(path, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)

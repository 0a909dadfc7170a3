"""New shard files: all of them appear, or none."""

from __future__ import annotations

import contextlib
import os
import re
from collections.abc import Sequence
from types import TracebackType
from typing import Final, Self

from .._ext.errors import ParameterError
from .._ext.spool import NewFile
from ._files_layout import Bytes, Layout
from ._files_paths import check_characters

SUFFIXES: Final = {"sottovoce": ".svr", "zfec": ".fec"}
_NUMBERED: Final = re.compile(r"(.+)\.[0-9]+_[0-9]+\.(?:svr|fec)", re.DOTALL)


def shard_name(prefix: str, index: int, n: int, format: str) -> str:
    """``prefix.NN_MM.svr``, as zfec names its ``prefix.NN_MM.fec``."""
    width = len(str(n))
    return f"{prefix}.{index:0{width}}_{n:0{width}}{SUFFIXES[format]}"


def prefix_of(path: str) -> str:
    """The prefix of a shard's name; of a renamed one the name itself."""
    name = os.path.basename(path)
    found = _NUMBERED.fullmatch(name)
    return found.group(1) if found else name


def check_prefix(prefix: object) -> str:
    """Refuse what would put shards into another folder.

    Raises:
        TypeError: Not str.
        ParameterError: Empty, or with what cannot be in the name of a file.
    """
    if not isinstance(prefix, str):
        raise TypeError(f"prefix: str expected, got {type(prefix).__name__}")
    if not prefix or "/" in prefix or "\0" in prefix or os.sep in prefix:
        raise ParameterError(f"prefix: the beginning of a file name expected, got {prefix[:64]!r}")
    check_characters("prefix", prefix)
    return prefix


class NewShards:
    """Several new files that appear together; use as a context manager.

    Leaving without :meth:`publish` leaves nothing behind.  An error in the middle of :meth:`publish`
    takes away what appeared already, except what has replaced another file.

    Args:
        targets: Path, and whether a regular file there is replaced, of each.

    Raises:
        FileExistsError: One is there, and must not be replaced.
        OSError: The folder is missing or cannot be written.
    """

    def __init__(self, targets: Sequence[tuple[str, bool]], layout: Layout) -> None:
        self.paths = tuple(path for path, _ in targets)
        self._layout = layout
        self._new: list[NewFile] = []
        self._replacing = [replacing for _, replacing in targets]
        self._stack = contextlib.ExitStack()
        try:
            for path, replacing in targets:
                new = self._stack.enter_context(NewFile(path, overwrite=replacing))
                self._new.append(new)
                # Headers are written last: they tell what only the end of the source shows.
                new.file.seek(layout.head)
        except BaseException:
            self._stack.close()
            raise

    def write(self, i: int, frame: Bytes) -> None:
        """Append a row, its checksum in front of it, to file i."""
        self._new[i].file.write(frame.data)

    def publish(self, headers: Sequence[bytes]) -> None:
        """Write the headers, and give the files their names."""
        for new, header in zip(self._new, headers, strict=True):
            if self._layout.tail:
                new.file.write(header)
            new.file.seek(0)
            new.file.write(header)
        # All on the disk before the first gets its name: a disk that is full must not end it half-way.
        for new in self._new:
            new.file.flush()
            os.fsync(new.file.fileno())
        done: list[str] = []
        try:
            for new, path, replacing in zip(self._new, self.paths, self._replacing, strict=True):
                existed = replacing and os.path.lexists(path)
                if not existed:
                    done.append(path)
                try:
                    new.publish()
                except FileExistsError:
                    done.remove(path)  # somebody else's
                    raise
        except BaseException:
            for path in done:
                with contextlib.suppress(OSError):
                    os.unlink(path)
            raise

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, tb: TracebackType | None
    ) -> None:
        self._stack.close()

"""What the stores on disk have in common: one file each, opened, closed, never pickled."""

from __future__ import annotations

import os
from typing import Any, Final, Self

from .._ext.sqlite_file import SqliteFile

APPLICATION_IDS: Final = {
    "outbox": 0x53564F42,
    "member": 0x53564D53,
    "aggregator": 0x53564153,
    "roster book": 0x53565242,
}
"""``SVOB``, ``SVMS``, ``SVAS``, ``SVRB``, at byte 68 of the files."""


class SqliteStore:
    """Owns a :class:`~sottovoce._ext.sqlite_file.SqliteFile`, which says what is checked at opening."""

    _file: SqliteFile

    @property
    def path(self) -> str:
        """Absolute path of the database."""
        return self._file.path

    def close(self) -> None:
        """Close the file; again changes nothing."""
        self._file.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self.path!r})"

    def __reduce__(self) -> Any:
        raise TypeError(f"a {type(self).__name__} holds an open file and cannot be pickled")


def require_file(path: str | os.PathLike[str]) -> None:
    """Raise FileNotFoundError if there is no file to restore: a new one would have forgotten everything."""
    os.stat(path)

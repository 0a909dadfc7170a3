"""What our stores on disk have in common: one file each, opened, closed, never pickled."""

from __future__ import annotations

import os
from collections.abc import Sequence
from typing import Any, ClassVar, Self

from .errors import StoreError
from .sqlite_file import SqliteFile


class SqliteStore:
    """Owns a :class:`.sqlite_file.SqliteFile`, which says what is checked at opening."""

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


class MarkedStore(SqliteStore):
    """A store beside whose file a mark counts its changes, so that one from a backup is told."""

    _APPLICATION_ID: ClassVar[int]
    _MIGRATIONS: ClassVar[Sequence[Sequence[str]]]
    _ERROR: ClassVar[type[StoreError]] = StoreError

    def __init__(self, path: str | os.PathLike[str], *, mark: str | os.PathLike[str] | None = None) -> None:
        self._open(path, mark, restore=False)

    def _open(
        self, path: str | os.PathLike[str], mark: str | os.PathLike[str] | None, *, restore: bool
    ) -> None:
        self._file = SqliteFile(
            path,
            application_id=self._APPLICATION_ID,
            migrations=self._MIGRATIONS,
            mark=mark,
            restore=restore,
            error=self._ERROR,
        )

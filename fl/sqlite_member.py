"""The member's memory on disk: the header it signed, and the sets it answered, of every round number.

Same rules as :class:`.stores.MemoryMemberStore`.  A binding is in the file, and synced, before :meth:`bind`
returns, so before the member computes what it binds to; the answer is in it before it leaves.
"""

from __future__ import annotations

import os
import sqlite3
from typing import Final, Self

from .._ext.errors import ParameterError
from .._ext.sqlite_file import exists
from .._ext.sqlite_store import MarkedStore
from .errors import ProtocolError, Reason
from .sqlite_store import APPLICATION_IDS, require_file
from .stores import Binding

_SCHEMA: Final = (
    """CREATE TABLE headers (
        aggregator BLOB NOT NULL,
        epoch BLOB NOT NULL,
        number INTEGER NOT NULL,
        header_hash BLOB NOT NULL,
        PRIMARY KEY (aggregator, epoch, number))""",
    # position: 0, 1, ... along the chain of a round number.
    """CREATE TABLE bindings (
        epoch BLOB NOT NULL,
        number INTEGER NOT NULL,
        position INTEGER NOT NULL,
        header_hash BLOB NOT NULL,
        root BLOB NOT NULL,
        sum_digest BLOB NOT NULL,
        PRIMARY KEY (epoch, number, position),
        UNIQUE (epoch, number, header_hash, root, sum_digest))""",
    # Apart: a crash before the answer was made leaves a binding and nothing to repeat.
    """CREATE TABLE answers (
        epoch BLOB NOT NULL,
        number INTEGER NOT NULL,
        position INTEGER NOT NULL,
        answer BLOB NOT NULL,
        PRIMARY KEY (epoch, number, position),
        FOREIGN KEY (epoch, number, position) REFERENCES bindings (epoch, number, position))""",
    # A row for each restoration; after one, only epochs joined since are taken part in.
    "CREATE TABLE restored (times INTEGER NOT NULL)",
    "CREATE TABLE joined (epoch BLOB PRIMARY KEY NOT NULL)",
)

MIGRATIONS: Final = (_SCHEMA,)
"""The statements from each schema version to the next; a released step is never edited."""


class SqliteMemberStore(MarkedStore):
    """A :class:`MemberStore` in a SQLite file, mode 0600, refused if others may read it.

    A file restored from a backup has forgotten what was answered since: the member could answer a second set,
    which is what an aggregator needs to isolate an update.  So each change is also counted in a second file,
    the mark, and a file behind its mark is refused; :meth:`restore` is the way on.  Whoever puts both back
    from the same backup defeats that: keep the mark where backups do not restore.

    Args:
        path: The file; made if it is not there.
        mark: The second file, by default ``path`` + ``.mark``.

    Raises:
        StoreError: Another program's file, of a newer version, readable by others, damaged, behind its mark,
            or put beside the log of another moment.

    Threads: safe; several processes may have the file open, on one machine.  Each opens it itself, after a
    fork too.
    Source: docs/fl-stores.md, "The files"; the mark is docs/fl-stores.md, "Backups".
    """

    _APPLICATION_ID = APPLICATION_IDS["member"]
    _MIGRATIONS = MIGRATIONS

    @classmethod
    def restore(cls, path: str | os.PathLike[str], *, mark: str | os.PathLike[str] | None = None) -> Self:
        """Open a store that comes from a backup; the member sits out every epoch that it may have forgotten.

        From now on headers are signed and sets answered only in epochs that :meth:`join` names from here on
        (:attr:`Reason.RESTORED`).  What the backup knows stays known.

        Args:
            path: The file, as it was restored.
            mark: As for the constructor; it begins anew.

        Raises:
            FileNotFoundError: There is no file.
            StoreError: As the constructor, except for the mark.
        """
        require_file(path)
        self = cls.__new__(cls)
        self._open(path, mark, restore=True)
        try:
            with self._file.changing(marked=False) as db:
                db.execute("INSERT INTO restored VALUES (1)")
                db.execute("DELETE FROM joined")
            self._file.new_instance()
        except BaseException:
            self.close()
            raise
        return self

    def join(self, epoch: bytes) -> None:
        """After a restoration: take part in an epoch again.

        Name only epochs whose parameters the issuer signed after the restoration: in those nothing can
        have been answered.  Without a restoration this changes nothing.

        Args:
            epoch: 1 to 64 bytes.

        Raises:
            ParameterError: The file knows this epoch from before its restoration.
        """
        with self._file.changing() as db:
            if exists(db, "SELECT 1 FROM joined WHERE epoch = ?", epoch):
                return
            if not exists(db, "SELECT 1 FROM restored"):
                return
            known = exists(db, "SELECT 1 FROM headers WHERE epoch = ?", epoch)
            if known or exists(db, "SELECT 1 FROM bindings WHERE epoch = ?", epoch):
                raise ParameterError("epoch: one that began after the restoration expected")
            db.execute("INSERT INTO joined VALUES (?)", (epoch,))

    def sign_header(self, aggregator: bytes, epoch: bytes, round_number: int, header_hash: bytes) -> None:
        """See :class:`MemberStore`; also :attr:`Reason.RESTORED`."""
        key = (aggregator, epoch, round_number)
        with self._file.changing() as db:
            _require_joined(db, epoch, header_hash)
            known = db.execute(
                "SELECT header_hash FROM headers WHERE aggregator = ? AND epoch = ? AND number = ?", key
            ).fetchone()
            if known is not None and known[0] != header_hash:
                raise ProtocolError(Reason.OTHER_HEADER, round_id=header_hash)
            bound = _end(db, epoch, round_number)[1]
            if bound is not None and bound.header_hash != header_hash:
                raise ProtocolError(Reason.BOUND, round_id=header_hash)
            if known is None:
                db.execute("INSERT INTO headers VALUES (?, ?, ?, ?)", (*key, header_hash))

    def last_binding(self, epoch: bytes, round_number: int) -> Binding | None:
        """See :class:`MemberStore`."""
        with self._file.reading() as db:
            return _end(db, epoch, round_number)[1]

    def find_answer(self, epoch: bytes, round_number: int, binding: Binding) -> bytes | None:
        """See :class:`MemberStore`."""
        with self._file.reading() as db:
            return _find(db, epoch, round_number, binding)[1]

    def bind(
        self, epoch: bytes, round_number: int, binding: Binding, *, replaces: Binding | None = None
    ) -> bytes | None:
        """See :class:`MemberStore`; also :attr:`Reason.RESTORED`."""
        with self._file.changing() as db:
            _require_joined(db, epoch, binding.header_hash)
            position, answer = _find(db, epoch, round_number, binding)
            if position is None:
                length, last = _end(db, epoch, round_number)
                if replaces != last:
                    raise ProtocolError(Reason.BOUND, round_id=binding.header_hash)
                db.execute(
                    "INSERT INTO bindings (epoch, number, position, header_hash, root, sum_digest)"
                    " VALUES (?, ?, ?, ?, ?, ?)",
                    (epoch, round_number, length, binding.header_hash, binding.root, binding.sum_digest),
                )
        return answer

    def keep_answer(self, epoch: bytes, round_number: int, binding: Binding, answer: bytes) -> bytes:
        """See :class:`MemberStore`.

        Raises:
            ProtocolError: It was not bound (:attr:`Reason.STATE`).
        """
        with self._file.changing() as db:
            position, kept = _find(db, epoch, round_number, binding)
            if position is None:
                raise ProtocolError(Reason.STATE, "an answer without a binding", round_id=binding.header_hash)
            if kept is not None:
                return kept
            db.execute("INSERT INTO answers VALUES (?, ?, ?, ?)", (epoch, round_number, position, answer))
        return answer


def _find(
    db: sqlite3.Connection, epoch: bytes, number: int, binding: Binding
) -> tuple[int | None, bytes | None]:
    """Where it is in the chain, if it is, and the answer if one was kept."""
    row = db.execute(
        "SELECT position, answer FROM bindings LEFT JOIN answers USING (epoch, number, position)"
        " WHERE epoch = ? AND number = ? AND header_hash = ? AND root = ? AND sum_digest = ?",
        (epoch, number, binding.header_hash, binding.root, binding.sum_digest),
    ).fetchone()
    return (None, None) if row is None else (row[0], row[1])


def _end(db: sqlite3.Connection, epoch: bytes, number: int) -> tuple[int, Binding | None]:
    """Length and end of a chain."""
    row = db.execute(
        "SELECT position, header_hash, root, sum_digest FROM bindings WHERE epoch = ? AND number = ?"
        " ORDER BY position DESC LIMIT 1",
        (epoch, number),
    ).fetchone()
    return (0, None) if row is None else (row[0] + 1, Binding(*row[1:]))


def _require_joined(db: sqlite3.Connection, epoch: bytes, header_hash: bytes) -> None:
    """After a restoration nobody can say what was answered in an epoch that ran before."""
    if exists(db, "SELECT 1 FROM restored") and not exists(db, "SELECT 1 FROM joined WHERE epoch = ?", epoch):
        raise ProtocolError(Reason.RESTORED, round_id=header_hash)

"""The aggregator's memory on disk: a journal in SQLite, and the packets in files beside it.

Same rules as :class:`.stores.MemoryAggregatorStore`.  A packet's file is written and synced before its row,
and the row before :meth:`accept` returns: what has no row does not count, and its file goes at the next
start.
"""

from __future__ import annotations

import contextlib
import os
import sqlite3
from collections.abc import Iterator
from typing import Final

from .._ext.errors import StoreError
from .._ext.sqlite_file import SqliteFile, exists
from .._ext.sqlite_store import SqliteStore
from .errors import ProtocolError, Reason
from .spool import Part, SpoolFolder
from .sqlite_store import APPLICATION_IDS
from .stores import Accepted, Step, StepKind

_BUSY_S: Final = 5.0
"""How long to wait for the process that has the store: one that is being stopped needs less."""

_SCHEMA: Final = (
    """CREATE TABLE rounds (
        epoch BLOB NOT NULL,
        number INTEGER NOT NULL,
        header_hash BLOB NOT NULL,
        PRIMARY KEY (epoch, number))""",
    # The file is packet || update.
    """CREATE TABLE accepted (
        seq INTEGER PRIMARY KEY,
        header_hash BLOB NOT NULL,
        pid BLOB NOT NULL,
        packet_id BLOB NOT NULL,
        name TEXT NOT NULL UNIQUE,
        packet_bytes INTEGER NOT NULL,
        packet_digest BLOB NOT NULL,
        update_bytes INTEGER NOT NULL,
        update_digest BLOB NOT NULL,
        UNIQUE (header_hash, pid))""",
    """CREATE TABLE evidence (
        header_hash BLOB NOT NULL,
        pid BLOB NOT NULL,
        name TEXT NOT NULL UNIQUE,
        packet_bytes INTEGER NOT NULL,
        packet_digest BLOB NOT NULL,
        PRIMARY KEY (header_hash, pid))""",
    """CREATE TABLE convictions (
        header_hash BLOB NOT NULL,
        pid BLOB NOT NULL,
        conviction BLOB NOT NULL,
        PRIMARY KEY (header_hash, pid))""",
    """CREATE TABLE steps (
        seq INTEGER PRIMARY KEY,
        header_hash BLOB NOT NULL,
        kind TEXT NOT NULL,
        member INTEGER NOT NULL,
        data BLOB NOT NULL)""",
    "CREATE INDEX steps_by_round ON steps (header_hash)",
)

MIGRATIONS: Final = (_SCHEMA,)
"""The statements from each schema version to the next; a released step is never edited."""

_Row = tuple[bytes, bytes, str, int, bytes, int, bytes]
_ACCEPTED: Final = (
    "SELECT pid, packet_id, name, packet_bytes, packet_digest, update_bytes, update_digest FROM accepted"
)


class SqliteAggregatorStore(SqliteStore):
    """An :class:`AggregatorStore` in a SQLite file and a folder, refused if others may read them.

    One process at a time.  There is no mark: an aggregator restored from a backup has lost packets and steps,
    which harms nobody's privacy, because members answer no second set and sign no second header for a round
    number.  Its rounds under way fail loudly, or go on if their clients send again.

    Args:
        path: The file; made, with mode 0600, if it is not there.  The packets are in the folder
            ``path`` + ``.spool``, mode 0700.

    Raises:
        StoreError: Another program's file, of a newer version, readable by others, damaged, put beside the
            log of another moment, or in use by another process; a packet's file is missing or cut.
        OSError: The folder cannot be made or read.

    Threads: safe.  Not usable after a fork.
    Source: docs/fl-stores.md, "The files".
    """

    def __init__(self, path: str | os.PathLike[str]) -> None:
        self._file = SqliteFile(
            path,
            application_id=APPLICATION_IDS["aggregator"],
            migrations=MIGRATIONS,
            has_mark=False,
            exclusive=True,
            erases=True,
            busy_s=_BUSY_S,
        )
        try:
            self._spool = SpoolFolder(f"{self.path}.spool")
            with self._file.reading() as db:
                known = db.execute(
                    "SELECT name, packet_bytes + update_bytes FROM accepted"
                    " UNION ALL SELECT name, packet_bytes FROM evidence"
                ).fetchall()
            self._spool.keep_only(known)
        except BaseException:
            self.close()
            raise

    # -- rounds -----------------------------------------------------------------------------------

    def find_round(self, epoch: bytes, round_number: int) -> bytes | None:
        """See :class:`AggregatorStore`."""
        with self._file.reading() as db:
            return _round(db, epoch, round_number)

    def open_round(self, epoch: bytes, round_number: int, header_hash: bytes) -> None:
        """See :class:`AggregatorStore`."""
        with self._file.changing() as db:
            known = _round(db, epoch, round_number)
            if known is None:
                db.execute("INSERT INTO rounds VALUES (?, ?, ?)", (epoch, round_number, header_hash))
            elif known != header_hash:
                raise ProtocolError(Reason.OTHER_HEADER, round_id=header_hash)

    def kept_rounds(self) -> dict[bytes, tuple[bytes, int]]:
        """Header hash -> epoch and round number, of every round that was opened and not erased.

        For :meth:`erase` when no :class:`Aggregator` can be made for a round any more, because the keys of
        its epoch are out of their validity.
        """
        with self._file.reading() as db:
            rows = db.execute(
                "SELECT header_hash, epoch, number FROM rounds WHERE header_hash NOT IN"
                " (SELECT header_hash FROM steps WHERE kind = ?) ORDER BY rowid",
                (str(StepKind.ERASED),),
            ).fetchall()
        return {header_hash: (epoch, number) for header_hash, epoch, number in rows}

    def erase(self, header_hash: bytes) -> None:
        """See :class:`AggregatorStore`; rows are overwritten and the log is cut, files are unlinked."""
        with self._file.changing() as db:
            for table in ("accepted", "evidence", "convictions", "steps"):
                db.execute(f"DELETE FROM {table} WHERE header_hash = ?", (header_hash,))  # noqa: S608 - own names
            _insert_step(db, header_hash, Step(StepKind.ERASED))
        # After the commit: a crash from here on leaves files without rows, which the next start removes.
        self._file.empty_log()
        self._spool.remove_round(header_hash)

    # -- packets ----------------------------------------------------------------------------------

    def accept(self, header_hash: bytes, accepted: Accepted) -> None:
        """See :class:`AggregatorStore`.

        Raises:
            StoreError: Its pid has one already; or the file fails.
            OSError: The disk is full, or failed.
        """
        packet, update = self._spool.write(header_hash, accepted.packet, accepted.update)
        with self._row_of(packet.name) as db:
            db.execute(
                "INSERT INTO accepted (header_hash, pid, packet_id, name, packet_bytes, packet_digest,"
                " update_bytes, update_digest) VALUES (?, ?, ?, ?, ?, ?, ?, ?)",
                (
                    header_hash,
                    accepted.pid,
                    accepted.packet_id,
                    packet.name,
                    packet.n_bytes,
                    packet.digest,
                    update.n_bytes,
                    update.digest,
                ),
            )

    def accepted(self, header_hash: bytes) -> Iterator[Accepted]:
        """See :class:`AggregatorStore`.

        Raises:
            StoreError: A file is missing or damaged.
        """
        with self._file.reading() as db:
            rows = db.execute(f"{_ACCEPTED} WHERE header_hash = ? ORDER BY seq", (header_hash,)).fetchall()
        return self._read(rows)

    def _read(self, rows: list[_Row]) -> Iterator[Accepted]:
        for row in rows:
            packet, update = _parts(row)
            yield Accepted(row[0], row[1], self._spool.read(packet), self._spool.read(update))

    def update(self, header_hash: bytes, pid: bytes) -> bytes:
        """See :class:`AggregatorStore`.

        Raises:
            KeyError: There is none.
            StoreError: The file is missing or damaged.
        """
        with self._file.reading() as db:
            row = db.execute(f"{_ACCEPTED} WHERE header_hash = ? AND pid = ?", (header_hash, pid)).fetchone()
        if row is None:
            raise KeyError(pid)
        return self._spool.read(_parts(row)[1])

    def equivocated(self, header_hash: bytes, pid: bytes, packet: bytes) -> None:
        """See :class:`AggregatorStore`."""
        known = "SELECT 1 FROM evidence WHERE header_hash = ? AND pid = ?"
        with self._file.reading() as db:
            if exists(db, known, header_hash, pid):
                return
        (part,) = self._spool.write(header_hash, packet)
        with self._row_of(part.name) as db:
            if exists(db, known, header_hash, pid):
                self._spool.remove(part.name)
                return
            db.execute(
                "INSERT INTO evidence VALUES (?, ?, ?, ?, ?)",
                (header_hash, pid, part.name, part.n_bytes, part.digest),
            )

    def evidence(self, header_hash: bytes) -> dict[bytes, bytes]:
        """See :class:`AggregatorStore`."""
        with self._file.reading() as db:
            rows = db.execute(
                "SELECT pid, name, packet_bytes, packet_digest FROM evidence WHERE header_hash = ?",
                (header_hash,),
            ).fetchall()
        return {pid: self._spool.read(Part(name, 0, n_bytes, digest)) for pid, name, n_bytes, digest in rows}

    @contextlib.contextmanager
    def _row_of(self, name: str) -> Iterator[sqlite3.Connection]:
        """One transaction; if it fails, the file that it was for goes."""
        try:
            with self._file.changing() as db:
                yield db
        except BaseException:
            # Unless the row is there all the same: what a failed commit left, only the next start can tell.
            with contextlib.suppress(StoreError, OSError), self._file.reading() as db:
                if not (
                    exists(db, "SELECT 1 FROM accepted WHERE name = ?", name)
                    or exists(db, "SELECT 1 FROM evidence WHERE name = ?", name)
                ):
                    self._spool.remove(name)
            raise

    # -- closing ----------------------------------------------------------------------------------

    def convict(self, header_hash: bytes, pid: bytes, conviction: bytes) -> None:
        """See :class:`AggregatorStore`."""
        with self._file.changing() as db:
            db.execute(
                "INSERT INTO convictions VALUES (?, ?, ?) ON CONFLICT DO NOTHING",
                (header_hash, pid, conviction),
            )

    def convictions(self, header_hash: bytes) -> dict[bytes, bytes]:
        """See :class:`AggregatorStore`."""
        with self._file.reading() as db:
            query = "SELECT pid, conviction FROM convictions WHERE header_hash = ?"
            return dict(db.execute(query, (header_hash,)).fetchall())

    def note(self, header_hash: bytes, step: Step) -> None:
        """See :class:`AggregatorStore`."""
        with self._file.changing() as db:
            _insert_step(db, header_hash, step)

    def steps(self, header_hash: bytes) -> tuple[Step, ...]:
        """See :class:`AggregatorStore`."""
        with self._file.reading() as db:
            rows = db.execute(
                "SELECT kind, member, data FROM steps WHERE header_hash = ? ORDER BY seq", (header_hash,)
            ).fetchall()
        return tuple(Step(StepKind(kind), member, data) for kind, member, data in rows)


def _round(db: sqlite3.Connection, epoch: bytes, number: int) -> bytes | None:
    row = db.execute(
        "SELECT header_hash FROM rounds WHERE epoch = ? AND number = ?", (epoch, number)
    ).fetchone()
    return None if row is None else bytes(row[0])


def _insert_step(db: sqlite3.Connection, header_hash: bytes, step: Step) -> None:
    db.execute(
        "INSERT INTO steps (header_hash, kind, member, data) VALUES (?, ?, ?, ?)",
        (header_hash, str(step.kind), step.member, step.data),
    )


def _parts(row: _Row) -> tuple[Part, Part]:
    _, _, name, packet_bytes, packet_digest, update_bytes, update_digest = row
    return Part(name, 0, packet_bytes, packet_digest), Part(name, packet_bytes, update_bytes, update_digest)

"""The client's memory on disk: what it sealed, for which model, and the bytes to send again.

Same rules as :class:`.stores.MemoryOutbox`.  A packet is in a file of its own, and synced, before its row,
and the row before :meth:`put` returns, so before its first byte leaves; a crash at any point leaves the
whole record or nothing that counts.  In a row the packet would be written twice, page by page.

Packets are written, and what a crash left is removed, under the write lock of the database: so no process
takes the file of another that has no row yet for one that was left.
"""

from __future__ import annotations

import contextlib
import os
import sqlite3
from collections.abc import Iterable
from typing import Final, Self

from .._ext.errors import ParameterError, StoreError
from .._ext.sqlite_file import exists
from .._ext.sqlite_store import MarkedStore
from .errors import ProtocolError, Reason
from .spool import Part, SpoolFolder
from .sqlite_store import APPLICATION_IDS, require_file
from .stores import Sent
from .wire import HASH_BYTES

_SCHEMA: Final = (
    # name: of the packet's file; empty once it was discarded.
    """CREATE TABLE sent (
        header_hash BLOB PRIMARY KEY NOT NULL,
        pid BLOB NOT NULL,
        model BLOB NOT NULL,
        manifest_digest BLOB NOT NULL,
        name TEXT NOT NULL,
        packet_bytes INTEGER NOT NULL,
        packet_digest BLOB NOT NULL)""",
    "CREATE INDEX sent_by_model ON sent (model)",
    """CREATE TABLE digests (
        digest BLOB PRIMARY KEY NOT NULL,
        header_hash BLOB NOT NULL REFERENCES sent (header_hash))""",
    "CREATE INDEX digests_by_round ON digests (header_hash)",
    # Models for which an update may have left that a restored file does not know.
    "CREATE TABLE forgotten (model BLOB PRIMARY KEY NOT NULL)",
)

MIGRATIONS: Final = (_SCHEMA,)
"""The statements from each schema version to the next; a released step is never edited."""


class SqliteOutbox(MarkedStore):
    """An :class:`Outbox` in a SQLite file and a folder, refused if others may read them.

    A file restored from a backup has forgotten packets that left: the client could seal twice for one round,
    or send one update to two sets.  So each change is also counted in a second file, the mark, and a file
    behind its mark is refused; :meth:`restore` is the way on.  Whoever puts both back from the same backup
    defeats that: leave them out of backups, or keep the mark where backups do not restore.

    Args:
        path: The file; made, with mode 0600, if it is not there.  The packets are in the folder
            ``path`` + ``.spool``, mode 0700.
        mark: The second file, by default ``path`` + ``.mark``.

    Raises:
        StoreError: Another program's file, of a newer version, readable by others, damaged, behind its mark,
            or put beside the log of another moment; a packet's file is missing or cut.
        OSError: The folder cannot be made or read.

    Threads: safe; several processes may have the file open, on one machine.  Each opens it itself, after a
    fork too.
    Source: docs/fl-stores.md, "The files"; the mark is docs/fl-stores.md, "Backups".
    """

    _APPLICATION_ID = APPLICATION_IDS["outbox"]
    _MIGRATIONS = MIGRATIONS

    def _open(
        self, path: str | os.PathLike[str], mark: str | os.PathLike[str] | None, *, restore: bool
    ) -> None:
        super()._open(path, mark, restore=restore)
        try:
            self._spool = SpoolFolder(f"{self.path}.spool")
            with self._file.changing(marked=False) as db:
                rows = db.execute("SELECT name, packet_bytes FROM sent WHERE name <> ''").fetchall()
                if restore:  # the packets may not have been in the backup
                    lost = [row for row in rows if not self._spool.has(*row)]
                    db.executemany("UPDATE sent SET name = '' WHERE name = ?", [row[:1] for row in lost])
                    rows = [row for row in rows if row not in lost]
                self._spool.keep_only(rows)
        except BaseException:
            self.close()
            raise

    @classmethod
    def restore(
        cls,
        path: str | os.PathLike[str],
        *,
        models: Iterable[bytes],
        mark: str | os.PathLike[str] | None = None,
    ) -> Self:
        """Open an outbox that comes from a backup.

        Nobody but the caller can know for which global models an update left since.  Training again for one
        of them could give an update that a forgotten set holds already.  Packets whose files are not there
        count as discarded.

        Args:
            path: The file, as it was restored.
            models: Digest of every global model that there was since the backup (``header.model``): for them
                nothing is sealed any more, whatever the policy says about trained anew.
            mark: As for the constructor; it begins anew.

        Raises:
            FileNotFoundError: There is no file.
            ParameterError: Not digests of 32 bytes.
            StoreError: As the constructor, except for the mark.
        """
        require_file(path)
        known = list(models)
        if not all(isinstance(model, bytes) and len(model) == HASH_BYTES for model in known):
            raise ParameterError(f"models: digests of {HASH_BYTES} bytes expected")
        self = cls.__new__(cls)
        self._open(path, mark, restore=True)
        try:
            with self._file.changing(marked=False) as db:
                db.executemany("INSERT OR IGNORE INTO forgotten VALUES (?)", [(model,) for model in known])
            self._file.new_instance()
        except BaseException:
            self.close()
            raise
        return self

    def find(self, header_hash: bytes) -> Sent | None:
        """See :class:`Outbox`."""
        with self._file.reading() as db:
            row = db.execute(
                "SELECT pid, model, manifest_digest, name, packet_bytes, packet_digest FROM sent"
                " WHERE header_hash = ?",
                (header_hash,),
            ).fetchone()
            digests = db.execute(
                "SELECT digest FROM digests WHERE header_hash = ?", (header_hash,)
            ).fetchall()
        if row is None:
            return None
        pid, model, manifest_digest, name, n_bytes, digest = row
        packet = self._spool.read(Part(name, 0, n_bytes, digest)) if name else b""
        return Sent(header_hash, pid, model, frozenset(d for (d,) in digests), manifest_digest, packet)

    def check(self, model: bytes, update_digests: frozenset[bytes], *, allow_retrained: bool = False) -> None:
        """See :class:`Outbox`."""
        with self._file.reading() as db:
            refusal = _refusal(db, model, update_digests, allow_retrained)
        if refusal is not None:
            raise ProtocolError(refusal)

    def put(self, sent: Sent, *, allow_retrained: bool = False) -> None:
        """See :class:`Outbox`."""
        refusal = self._put(sent, allow_retrained)
        if refusal is not None:
            raise ProtocolError(refusal, round_id=sent.header_hash)

    def _put(self, sent: Sent, allow_retrained: bool) -> Reason | None:
        part = None
        try:
            with self._file.changing() as db:
                refusal = _refusal_of(db, sent, allow_retrained)
                if refusal is None:
                    (part,) = self._spool.write(sent.header_hash, sent.packet)
                    _insert(db, sent, part)
        except BaseException:
            if part is not None:
                # Unless its row is there all the same: of a commit that failed only the next start can tell.
                with contextlib.suppress(StoreError, OSError), self._file.reading() as db:
                    if not exists(db, "SELECT 1 FROM sent WHERE name = ?", part.name):
                        self._spool.remove(part.name)
            raise
        return refusal

    def discard(self, header_hash: bytes) -> None:
        """See :class:`Outbox`; the file is unlinked."""
        with self._file.changing() as db:
            row = db.execute("SELECT name FROM sent WHERE header_hash = ?", (header_hash,)).fetchone()
            db.execute("UPDATE sent SET name = '' WHERE header_hash = ? AND name <> ''", (header_hash,))
        # After the commit: a crash in between leaves a file without a row, which the next start removes.
        if row is not None and row[0]:
            self._spool.remove(row[0])


def _refusal_of(db: sqlite3.Connection, sent: Sent, allow_retrained: bool) -> Reason | None:
    if exists(db, "SELECT 1 FROM sent WHERE header_hash = ?", sent.header_hash):
        return Reason.SEALED
    return _refusal(db, sent.model, sent.update_digests, allow_retrained)


def _insert(db: sqlite3.Connection, sent: Sent, part: Part) -> None:
    db.execute(
        "INSERT INTO sent (header_hash, pid, model, manifest_digest, name, packet_bytes, packet_digest)"
        " VALUES (?, ?, ?, ?, ?, ?, ?)",
        (
            sent.header_hash,
            sent.pid,
            sent.model,
            sent.manifest_digest,
            part.name,
            part.n_bytes,
            part.digest,
        ),
    )
    db.executemany(
        "INSERT INTO digests VALUES (?, ?)",
        [(digest, sent.header_hash) for digest in sorted(sent.update_digests)],
    )


def _refusal(
    db: sqlite3.Connection, model: bytes, update_digests: frozenset[bytes], allow_retrained: bool
) -> Reason | None:
    if exists(db, "SELECT 1 FROM forgotten WHERE model = ?", model):
        return Reason.MODEL_REUSED
    if not allow_retrained and exists(db, "SELECT 1 FROM sent WHERE model = ?", model):
        return Reason.MODEL_REUSED
    if any(exists(db, "SELECT 1 FROM digests WHERE digest = ?", digest) for digest in update_digests):
        return Reason.UPDATE_REUSED
    return None

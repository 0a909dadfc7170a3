"""The issuer's books on disk: which epochs were signed, which keys are revoked, which lists are out.

The root key remembers what it signed as long as its process lives.  That it signs ONE set of parameters for
an epoch, and lists that only grow, over years and crashes, is kept here; so each is recorded before it
is published.
"""

from __future__ import annotations

import sqlite3
from typing import Final

from .._ext import limits
from .._ext.errors import IssueError, ParameterError
from .._ext.sqlite_file import SqliteFile, exists
from . import hashes
from .keys import PID_BYTES
from .params import EpochParams, Mode
from .revocation import RevocationConflict, RevocationList
from .trust import ParamsConflict

EPOCH_TABLES: Final = (
    """CREATE TABLE reserved (
        root BLOB NOT NULL, mode TEXT NOT NULL, epoch BLOB NOT NULL,
        PRIMARY KEY (root, mode, epoch))""",
    # closed: known before a restoration, so nothing new is issued under it.
    """CREATE TABLE epochs (
        seq INTEGER PRIMARY KEY,
        params_id BLOB NOT NULL UNIQUE,
        root BLOB NOT NULL,
        mode TEXT NOT NULL,
        epoch BLOB NOT NULL,
        y BLOB NOT NULL UNIQUE,
        params BLOB NOT NULL,
        closed INTEGER NOT NULL DEFAULT 0,
        UNIQUE (root, mode, epoch))""",
    """CREATE TABLE revoked (
        params_id BLOB NOT NULL, pid BLOB NOT NULL, PRIMARY KEY (params_id, pid))""",
    """CREATE TABLE lists (
        root BLOB NOT NULL, params_id BLOB NOT NULL, number INTEGER NOT NULL, list BLOB NOT NULL,
        PRIMARY KEY (root, params_id, number))""",
)
"""Part of the first schema of :class:`.sqlite_registry.SqliteRegistry`."""


class SqliteEpochs:
    """Epochs and revocations of a :class:`.sqlite_registry.SqliteRegistry`."""

    _file: SqliteFile

    # -- epochs -----------------------------------------------------------------------------------

    def reserve_epoch(self, root_public_key: bytes, mode: Mode, epoch: bytes) -> None:
        """Durably use the name of an epoch up, BEFORE the root key signs parameters for it.

        A :class:`RootKey` remembers what it signed as long as the process lives; this is what makes a
        second signature for one (mode, epoch) impossible across processes and crashes.  A crash after
        it costs the name: take another.

        Args:
            root_public_key: 32 bytes.
            mode: Kind of names.
            epoch: 1 to 64 bytes.

        Raises:
            TypeError: Wrong types.
            ParameterError: A length is out of range.
            IssueError: Reserved, or parameters are known.
        """
        if not isinstance(root_public_key, bytes) or not isinstance(epoch, bytes):
            raise TypeError("root_public_key, epoch: bytes expected")
        if not isinstance(mode, Mode):
            raise TypeError(f"mode: Mode expected, got {type(mode).__name__}")
        if len(root_public_key) != 32 or not 1 <= len(epoch) <= limits.MAX_EPOCH_BYTES:
            raise ParameterError(
                f"root_public_key, epoch: 32 and 1 to {limits.MAX_EPOCH_BYTES} bytes expected"
            )
        key = (root_public_key, str(mode), epoch)
        with self._file.changing() as db:
            if exists(db, "SELECT 1 FROM reserved WHERE root = ? AND mode = ? AND epoch = ?", *key) or exists(
                db, "SELECT 1 FROM epochs WHERE root = ? AND mode = ? AND epoch = ?", *key
            ):
                raise IssueError(f"epoch: parameters of mode {mode} were signed for it, or may have been")
            db.execute("INSERT INTO reserved VALUES (?, ?, ?)", key)

    def is_reserved(self, root_public_key: bytes, mode: Mode, epoch: bytes) -> bool:
        """Whether :meth:`reserve_epoch` used the name up; one out of a backup may have forgotten it.

        Args:
            root_public_key: 32 bytes.
            mode: Kind of names.
            epoch: 1 to 64 bytes.
        """
        with self._file.reading() as db:
            query = "SELECT 1 FROM reserved WHERE root = ? AND mode = ? AND epoch = ?"
            return exists(db, query, root_public_key, str(mode), epoch)

    def add_epoch(self, params: EpochParams) -> None:
        """Record parameters, BEFORE they are published; the same again changes nothing.

        Args:
            params: Signed by the root key, and not yet shown to anybody.

        Raises:
            TypeError: Not an EpochParams.
            ParamsConflict: Others are recorded for its (root, mode, epoch), or its ``Y`` under another.
                Then destroy ``params`` unpublished: together with the recorded ones they are evidence
                against the issuer.
        """
        if not isinstance(params, EpochParams):
            raise TypeError(f"params: EpochParams expected, got {type(params).__name__}")
        with self._file.changing() as db:
            insert_epoch(db, params, closed=False)

    def epochs(self) -> tuple[EpochParams, ...]:
        """All parameters recorded, in the order in which they were added; checked again."""
        with self._file.reading() as db:
            rows = db.execute("SELECT params, root FROM epochs ORDER BY seq").fetchall()
        return tuple(EpochParams.from_bytes(data, root) for data, root in rows)

    # -- revocation -------------------------------------------------------------------------------

    def pids_of(self, party: str, params_id: bytes) -> tuple[bytes, ...]:
        """The ``pid``, 16 bytes each, of every key that the party has here, in order of issuing.

        Empty in mode ``blind``: the issuer knows whom it answered, not which key came of it.

        Args:
            party: Its name here.
            params_id: 32 bytes.
        """
        with self._file.reading() as db:
            rows = db.execute(
                "SELECT usage, identity, issued FROM issuances"
                " WHERE party = ? AND params_id = ? AND mode <> 'blind' ORDER BY serial",
                (party_bytes(party), params_id),
            ).fetchall()
        return tuple(hashes.pid(params_id, usage, identity, X) for usage, identity, X in rows)

    def revoke(self, params_id: bytes, pid: bytes) -> None:
        """Put a key on the next revocation list of its parameters; again changes nothing.

        Args:
            params_id: 32 bytes.
            pid: 16 bytes, :attr:`PublicKey.pid`.

        Raises:
            TypeError: Not bytes.
            ParameterError: ``params_id`` is not 32 bytes, or ``pid`` not 16.
            IssueError: ``MAX_REVOKED`` keys are revoked.
        """
        if not isinstance(params_id, bytes) or not isinstance(pid, bytes):
            raise TypeError("params_id, pid: bytes expected")
        if len(params_id) != 32 or len(pid) != PID_BYTES:
            raise ParameterError(f"params_id, pid: 32 and {PID_BYTES} bytes expected")
        with self._file.changing() as db:
            if exists(db, "SELECT 1 FROM revoked WHERE params_id = ? AND pid = ?", params_id, pid):
                return
            count = db.execute("SELECT count(*) FROM revoked WHERE params_id = ?", (params_id,)).fetchone()
            if count[0] >= limits.MAX_REVOKED:
                raise IssueError(f"revoke: {limits.MAX_REVOKED} keys are revoked; begin a new epoch")
            db.execute("INSERT INTO revoked VALUES (?, ?)", (params_id, pid))

    def revoked(self, params_id: bytes) -> tuple[bytes, ...]:
        """Every ``pid``, 16 bytes each, revoked here, ascending: what the next list must hold.

        Args:
            params_id: 32 bytes.
        """
        with self._file.reading() as db:
            rows = db.execute("SELECT pid FROM revoked WHERE params_id = ? ORDER BY pid", (params_id,))
            return tuple(pid for (pid,) in rows)

    def add_revocations(self, revocations: RevocationList) -> None:
        """Record a signed list, BEFORE it is published; the same again changes nothing.

        Args:
            revocations: Signed by the root key, and not yet shown to anybody.

        Raises:
            TypeError: Not a RevocationList.
            RevocationConflict: Not what :meth:`RevocationList.check_agrees` allows beside a recorded list,
                or older than one.  Then destroy it unpublished.
        """
        if not isinstance(revocations, RevocationList):
            raise TypeError(f"revocations: RevocationList expected, got {type(revocations).__name__}")
        key = (revocations.root_public_key, revocations.params_id)
        with self._file.changing() as db:
            same = "SELECT list FROM lists WHERE root = ? AND params_id = ? AND number = ?"
            row = db.execute(same, (*key, revocations.number)).fetchone()
            if row is None:
                row = _newest_list(db, *key)
            if row is not None:
                known = RevocationList.from_bytes(row[0], revocations.root_public_key)
                revocations.check_agrees(known)
                if known.number == revocations.number:
                    return
                if known.number > revocations.number:
                    # It might agree; but a list between two that are out is nothing an issuer needs.
                    raise RevocationConflict(
                        f"revocations: list {known.number} was recorded", row[0], revocations.to_bytes()
                    )
            db.execute(
                "INSERT INTO lists VALUES (?, ?, ?, ?)", (*key, revocations.number, revocations.to_bytes())
            )

    def revocations(self, root_public_key: bytes, params_id: bytes) -> RevocationList | None:
        """The newest list recorded, or None; the next one has a larger number and holds all of it.

        Args:
            root_public_key: 32 bytes.
            params_id: 32 bytes.
        """
        with self._file.reading() as db:
            row = _newest_list(db, root_public_key, params_id)
        return None if row is None else RevocationList.from_bytes(row[0], root_public_key)


def party_bytes(party: str) -> bytes:
    """A party's name as it is stored: SQLite's text stops at a zero and knows no lone surrogates."""
    return party.encode("utf-8", "surrogatepass")


def insert_epoch(db: sqlite3.Connection, params: EpochParams, *, closed: bool) -> None:
    """See :meth:`SqliteEpochs.add_epoch`; parameters that are there stay open or closed as they are."""
    key = (params.root_public_key, str(params.mode), params.epoch)
    y = params.Y.to_compressed_bytes()
    same_epoch = "SELECT params_id, params FROM epochs WHERE root = ? AND mode = ? AND epoch = ?"
    _refuse_other(db, params, "this mode and epoch have other parameters", same_epoch, *key)
    same_y = "SELECT params_id, params FROM epochs WHERE y = ?"
    _refuse_other(db, params, "Y is known under another mode or epoch", same_y, y)
    db.execute(
        "INSERT INTO epochs (params_id, root, mode, epoch, y, params, closed) VALUES (?, ?, ?, ?, ?, ?, ?)"
        " ON CONFLICT (params_id) DO NOTHING",
        (params.params_id, *key, y, params.to_bytes(), closed),
    )


def _refuse_other(
    db: sqlite3.Connection, params: EpochParams, reason: str, query: str, *values: object
) -> None:
    row = db.execute(query, values).fetchone()
    if row is not None and row[0] != params.params_id:
        raise ParamsConflict(f"params: {reason}", row[1], params.to_bytes())


def _newest_list(db: sqlite3.Connection, root: bytes, params_id: bytes) -> tuple[bytes] | None:
    query = "SELECT list FROM lists WHERE root = ? AND params_id = ? ORDER BY number DESC LIMIT 1"
    row: tuple[bytes] | None = db.execute(query, (root, params_id)).fetchone()
    return row

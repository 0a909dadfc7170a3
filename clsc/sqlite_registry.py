"""The issuer's memory on disk: accounts, issuances, challenges (and :mod:`.sqlite_epochs`) in one file.

Same rules as :class:`.registry.MemoryRegistry` (both ask :func:`.registry.admit`), and every answer is on
the disk before it leaves.  The UNIQUE constraints below repeat the rules that must never break, should
anything above them be wrong.
"""

from __future__ import annotations

import os
import secrets
import sqlite3
from collections.abc import Iterable
from typing import Any, Final, Self

from .._ext import limits
from .._ext.errors import IssueError, RegistryError
from .._ext.sqlite_file import exists
from .._ext.sqlite_store import MarkedStore
from .issue_wire import CHALLENGE_BYTES
from .params import EpochParams, Mode
from .registry import Account, Issuance, admit
from .sqlite_epochs import EPOCH_TABLES, SqliteEpochs, insert_epoch, party_bytes

APPLICATION_ID: Final = 0x53565247
"""``SVRG``, at byte 68 of the file."""

_SCHEMA: Final = (
    # Parties are bytes: SQLite's text stops at a zero and knows no lone surrogates.
    """CREATE TABLE accounts (
        party BLOB PRIMARY KEY NOT NULL,
        identity BLOB NOT NULL UNIQUE,
        quota INTEGER NOT NULL,
        token BLOB NOT NULL,
        disabled INTEGER NOT NULL DEFAULT 0)""",
    # serial: 1, 2, 3, ... within params_id, so the largest is the count.
    """CREATE TABLE issuances (
        party BLOB NOT NULL REFERENCES accounts (party),
        params_id BLOB NOT NULL,
        serial INTEGER NOT NULL,
        mode TEXT NOT NULL,
        usage TEXT NOT NULL,
        identity BLOB NOT NULL,
        issued BLOB NOT NULL,
        request BLOB NOT NULL,
        answer BLOB NOT NULL,
        PRIMARY KEY (party, params_id, usage, issued),
        UNIQUE (params_id, serial))""",
    "CREATE UNIQUE INDEX one_key_per_name ON issuances (params_id, usage, identity) WHERE mode <> 'blind'",
    "CREATE UNIQUE INDEX one_key_per_point ON issuances (issued) WHERE mode = 'identity'",
    "CREATE UNIQUE INDEX one_key_per_own_point ON issuances (party, issued) WHERE mode <> 'blind'",
    "CREATE TABLE challenges (seq INTEGER PRIMARY KEY, value BLOB NOT NULL UNIQUE)",
    # A row for each restoration; after one, only epochs added since are open.
    "CREATE TABLE restored (times INTEGER NOT NULL)",
    *EPOCH_TABLES,
)

MIGRATIONS: Final = (_SCHEMA,)
"""The statements from each schema version to the next; a released step is never edited."""

_SELECT: Final = "SELECT party, params_id, mode, usage, identity, issued, request, answer FROM issuances"


class SqliteRegistry(MarkedStore, SqliteEpochs):
    """A :class:`~sottovoce.clsc.Registry` in a SQLite file, with the issuer's epochs and revocations.

    The file holds the enrolment tokens: SECRET, mode 0600, refused if others may read it.  What a method
    returned is durable, and a crash at any point leaves either the whole change or nothing of it.

    A file restored from a backup has forgotten answers that left: units of quota could be spent twice,
    and one name could get two keys.  So each change is also counted in a second file, the mark, and a
    database behind its mark is refused; :meth:`restore` is the way on.  Whoever puts database and mark
    back from the same backup defeats that.

    Args:
        path: The file; made if it is not there.
        mark: The second file, by default ``path`` + ``.mark``; best on a disk that backups do not
            restore.

    Raises:
        RegistryError: Another program's file, of a newer version, readable by others, damaged, behind
            its mark, or put beside the log of another moment.  So does every method of one that is closed,
            was opened before a fork, or waits a minute for another process.

    Threads: safe; several processes may have the file open, on one machine.  Each process opens it
    itself, after a fork too.

    Timing: that of SQLite's look-ups and of the disk; no token is compared here.
    Source: docs/clsc-stores.md, "The file" and "Backups".
    """

    _APPLICATION_ID = APPLICATION_ID
    _MIGRATIONS = MIGRATIONS
    _ERROR = RegistryError

    @classmethod
    def restore(
        cls,
        path: str | os.PathLike[str],
        *,
        mark: str | os.PathLike[str] | None = None,
        signed: Iterable[EpochParams] = (),
    ) -> Self:
        """Open a registry that comes from a backup, and close every epoch that it may have forgotten.

        From now on a new key is issued only under parameters that :meth:`add_epoch` adds from here on, so
        add only such as were signed since.  Answers on record are given again.  Accounts, disabled
        parties and revocations are as in the backup: whoever was disabled or revoked since must be
        disabled and revoked again, and the next revocation list needs a number above all published.

        Args:
            path: The file, as it was restored.
            mark: The second file, by default ``path`` + ``.mark``.
            signed: All parameters that are known to have been signed.  Those that the backup does not
                know are recorded, closed, so that nobody takes them for new or signs others in their place.

        Raises:
            TypeError: Not paths, or ``signed`` holds something else than parameters.
            RegistryError: There is no file, it is damaged, or as the constructor, except for the mark,
                which begins anew.
            ParamsConflict: Two of ``signed``, or one and the backup's, contradict each other.
        """
        if not os.path.exists(path):
            raise RegistryError(f"{os.fspath(path)}: there is no such file")
        known = tuple(signed)
        if not all(isinstance(params, EpochParams) for params in known):
            raise TypeError("signed: EpochParams expected")
        self = cls.__new__(cls)
        self._open(path, mark, restore=True)
        try:
            with self._file.changing(marked=False) as db:
                db.execute("INSERT INTO restored VALUES (1)")
                for params in known:
                    insert_epoch(db, params, closed=True)
                db.execute("UPDATE epochs SET closed = 1")
                db.execute("DELETE FROM challenges")
            self._file.new_instance()
        except BaseException:
            self.close()
            raise
        return self

    def __reduce__(self) -> Any:
        raise TypeError("a SqliteRegistry holds secret tokens and an open file and cannot be pickled")

    # -- accounts ---------------------------------------------------------------------------------

    def enrol(self, account: Account) -> None:
        """See :meth:`Registry.enrol`."""
        refusal = self._enrol(account)
        del account  # a traceback keeps the variables of the frame that raises
        if refusal is not None:
            raise IssueError(refusal)

    def _enrol(self, account: Account) -> str | None:
        party = party_bytes(account.party)
        with self._file.changing() as db:
            if exists(db, "SELECT 1 FROM accounts WHERE party = ?", party):
                return "enrol: the party is enrolled already"
            if exists(db, "SELECT 1 FROM accounts WHERE identity = ?", account.identity):
                return "enrol: the identity belongs to another party"
            db.execute(
                "INSERT INTO accounts (party, identity, quota, token) VALUES (?, ?, ?, ?)",
                (party, account.identity, account.quota, account.token),
            )
        return None

    def disable(self, party: str) -> None:
        """See :meth:`Registry.disable`."""
        with self._file.changing() as db:
            if not exists(db, "SELECT 1 FROM accounts WHERE party = ?", party_bytes(party)):
                raise IssueError("disable: the party is not enrolled")
            db.execute(
                "UPDATE accounts SET disabled = 1 WHERE party = ? AND NOT disabled", (party_bytes(party),)
            )

    def account(self, party: str) -> Account | None:
        """See :meth:`Registry.account`."""
        with self._file.reading() as db:
            row = db.execute(
                "SELECT identity, quota, token FROM accounts WHERE party = ? AND NOT disabled",
                (party_bytes(party),),
            ).fetchone()
        return None if row is None else Account(party, *row)

    # -- issuances --------------------------------------------------------------------------------

    def find(self, party: str, params_id: bytes, usage: str, issued: bytes) -> Issuance | None:
        """See :meth:`Registry.find`."""
        with self._file.reading() as db:
            return _find(db, party, params_id, usage, issued)

    def by_identity(self, params_id: bytes, usage: str, identity: bytes) -> Issuance | None:
        """See :meth:`Registry.by_identity`."""
        with self._file.reading() as db:
            return _one(
                db,
                "mode <> 'blind' AND params_id = ? AND usage = ? AND identity = ?",
                (params_id, usage, identity),
            )

    def check(self, issuance: Issuance, *, at_most: int | None = None) -> None:
        """See :meth:`Registry.check`."""
        with self._file.reading() as db:
            _admit(db, issuance, at_most)

    def record(self, issuance: Issuance, *, at_most: int | None = None) -> Issuance:
        """See :meth:`Registry.record`."""
        with self._file.changing() as db:
            known = _admit(db, issuance, at_most)
            if known is not None:
                return known
            db.execute(
                "INSERT INTO issuances"
                " (party, params_id, mode, usage, identity, issued, request, answer, serial)"
                " VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)",
                (
                    party_bytes(issuance.party),
                    issuance.params_id,
                    str(issuance.mode),
                    issuance.usage,
                    issuance.identity,
                    issuance.issued,
                    issuance.request,
                    issuance.answer,
                    _n_issued(db, issuance.params_id) + 1,
                ),
            )
        return issuance

    # -- challenges -------------------------------------------------------------------------------

    def new_challenge(self) -> bytes:
        """See :meth:`Registry.new_challenge`."""
        value = secrets.token_bytes(CHALLENGE_BYTES)
        with self._file.changing(marked=False) as db:
            db.execute("INSERT INTO challenges (value) VALUES (?)", (value,))
            span = "SELECT (SELECT max(seq) FROM challenges) - (SELECT min(seq) FROM challenges)"
            if db.execute(span).fetchone()[0] < limits.MAX_CHALLENGES:
                return value
            # Numbers that were used are missing, so count; then forget some at a time, for a count is long.
            last = "SELECT seq FROM challenges ORDER BY seq DESC LIMIT 1 OFFSET ?"
            if exists(db, last, limits.MAX_CHALLENGES):
                kept = limits.MAX_CHALLENGES - limits.MAX_CHALLENGES // 16
                oldest = db.execute(last, (kept,)).fetchone()[0]
                db.execute("DELETE FROM challenges WHERE seq <= ?", (oldest,))
        return value

    def use_challenge(self, value: bytes) -> bool:
        """See :meth:`Registry.use_challenge`."""
        with self._file.changing(marked=False) as db:
            return db.execute("DELETE FROM challenges WHERE value = ?", (value,)).rowcount == 1


# -- queries inside a transaction -------------------------------------------------------------------


def _one(db: sqlite3.Connection, where: str, values: tuple[object, ...]) -> Issuance | None:
    row = db.execute(f"{_SELECT} WHERE {where}", values).fetchone()
    if row is None:
        return None
    party, params_id, mode, usage, identity, issued, request, answer = row
    name = party.decode("utf-8", "surrogatepass")
    return Issuance(name, params_id, Mode(mode), usage, identity, issued, request, answer)


def _find(db: sqlite3.Connection, party: str, params_id: bytes, usage: str, issued: bytes) -> Issuance | None:
    values = (party_bytes(party), params_id, usage, issued)
    return _one(db, "party = ? AND params_id = ? AND usage = ? AND issued = ?", values)


def _n_issued(db: sqlite3.Connection, params_id: bytes) -> int:
    row = db.execute("SELECT max(serial) FROM issuances WHERE params_id = ?", (params_id,)).fetchone()
    return int(row[0] or 0)


def _quota(db: sqlite3.Connection, party: str, at_most: int | None) -> int | None:
    row = db.execute(
        "SELECT quota FROM accounts WHERE party = ? AND NOT disabled", (party_bytes(party),)
    ).fetchone()
    if row is None:
        return None
    return int(row[0]) if at_most is None else min(int(row[0]), at_most)


def _admit(db: sqlite3.Connection, entry: Issuance, at_most: int | None) -> Issuance | None:
    """The record that is there already, or None if there may be a new one."""
    purse = (party_bytes(entry.party), entry.params_id, entry.usage)
    name = (entry.params_id, entry.usage, entry.identity)
    spent = "SELECT count(*) FROM issuances WHERE party = ? AND params_id = ? AND usage = ?"
    known = admit(
        entry,
        _find(db, entry.party, entry.params_id, entry.usage, entry.issued),
        quota=_quota(db, entry.party, at_most),
        spent=db.execute(spent, purse).fetchone()[0],
        n_issued=_n_issued(db, entry.params_id),
        name_taken=exists(
            db,
            "SELECT 1 FROM issuances WHERE mode <> 'blind' AND params_id = ? AND usage = ? AND identity = ?",
            *name,
        ),
        point_taken=exists(db, "SELECT 1 FROM issuances WHERE mode = 'identity' AND issued = ?", entry.issued)
        or exists(
            db,
            "SELECT 1 FROM issuances WHERE mode <> 'blind' AND party = ? AND issued = ?",
            party_bytes(entry.party),
            entry.issued,
        ),
    )
    # What left before a restoration may be forgotten: nobody can say who has quota left.
    if (
        known is None
        and exists(db, "SELECT 1 FROM restored")
        and not exists(db, "SELECT 1 FROM epochs WHERE params_id = ? AND NOT closed", entry.params_id)
    ):
        raise IssueError("issue: the epoch is closed since the registry was restored")
    return known

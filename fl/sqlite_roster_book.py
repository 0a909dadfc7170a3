"""A peer's book on disk: what it saw of rosters and beacons, and when, outlives the process.

A restarted peer must not take a roster that was written after the beacon of its first round, nor begin to
count the views of a running round anew: both would be as if it had slept until now.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from typing import Final

from .. import clsc
from .._ext.errors import DecodeError, SignatureError, StoreError
from .._ext.sqlite_file import SqliteFile
from .._ext.sqlite_store import SqliteStore
from .beacon import Beacon
from .roster import Roster
from .roster_book import RosterBook
from .sqlite_store import APPLICATION_IDS

_SCHEMA: Final = (
    """CREATE TABLE rosters (
        epoch BLOB NOT NULL,
        version INTEGER NOT NULL,
        signed BLOB NOT NULL,
        PRIMARY KEY (epoch, version))""",
    # since_ms: when it came, unix time by this peer's clock.
    """CREATE TABLE beacons (
        epoch BLOB NOT NULL,
        number INTEGER NOT NULL,
        beacon BLOB NOT NULL,
        since_ms INTEGER NOT NULL,
        PRIMARY KEY (epoch, number))""",
)

MIGRATIONS: Final = (_SCHEMA,)
"""The statements from each schema version to the next; a released step is never edited."""

_BUSY_S: Final = 5.0
"""One process has the book; another waits so long for it to end."""


class SqliteRosterBook(RosterBook, SqliteStore):
    """A :class:`RosterBook` in a SQLite file, mode 0600, refused if others may read it.

    What a method took is in the file, and synced, before it counts.  A file restored from a backup has
    forgotten beacons, so that a roster of afterwards would pass for one of before: like a member's store it
    has a mark, and is refused when it is behind.  Then remove both: the peer is one that begins while its
    epochs run, and has the issuer's word for their rosters.

    Args:
        path: The file; made if it is not there.
        trust: As for :class:`RosterBook`; must know the parameters of every epoch in the file: :meth:`forget`
            an epoch before its parameters go.
        mark: The second file, by default ``path`` + ``.mark``.
        clock: Unix seconds; must go on over restarts.

    Raises:
        TypeError: As :class:`RosterBook`.
        SenderError: ``trust`` does not know the parameters of a roster in the file.
        StoreError: Another program's file, of a newer version, readable by others, damaged, behind its mark,
            put beside the log of another moment, or in use by another process; or what is in it is not
            signed by the issuer that ``trust`` pins.

    Threads: safe.  One process at a time; not usable after a fork.
    Source: docs/fl-stores.md, "The files"; the mark is docs/fl-stores.md, "Backups".
    """

    def __init__(
        self,
        path: str | os.PathLike[str],
        trust: clsc.TrustStore,
        *,
        mark: str | os.PathLike[str] | None = None,
        clock: Callable[[], float] = time.time,
    ) -> None:
        super().__init__(trust, clock=clock)
        self._file = SqliteFile(
            path,
            application_id=APPLICATION_IDS["roster book"],
            migrations=MIGRATIONS,
            mark=mark,
            exclusive=True,
            busy_s=_BUSY_S,
        )
        try:
            self._load()
        except BaseException:
            self.close()
            raise

    def _load(self) -> None:
        with self._file.reading() as db:
            rosters = db.execute("SELECT signed FROM rosters ORDER BY epoch, version").fetchall()
            beacons = db.execute("SELECT epoch, beacon, since_ms FROM beacons").fetchall()
        try:
            for (signed,) in rosters:
                roster = Roster.from_bytes(signed, self._trust)
                self._rosters.setdefault(roster.epoch, []).append(roster)
            for epoch, data, since_ms in beacons:
                beacon = Beacon.from_bytes(data, self._rosters[epoch][0].beacon_key)
                seen = self._beacons.setdefault(epoch, {})
                seen[beacon.round_number] = (beacon, since_ms / 1000)
        except (DecodeError, SignatureError, KeyError) as error:
            raise StoreError(f"{self.path}: no book of this issuer's rosters ({error})") from None

    def _keep_roster(self, roster: Roster, signed: bytes) -> None:
        with self._file.changing() as db:
            db.execute("INSERT INTO rosters VALUES (?, ?, ?)", (roster.epoch, roster.version, signed))

    def _keep_beacon(self, beacon: Beacon, since: float) -> None:
        row = (beacon.epoch, beacon.round_number, beacon.to_bytes(), int(since * 1000))
        with self._file.changing() as db:
            db.execute("INSERT INTO beacons VALUES (?, ?, ?, ?)", row)

    def _drop(self, epoch: bytes) -> None:
        with self._file.changing() as db:
            db.execute("DELETE FROM beacons WHERE epoch = ?", (epoch,))
            db.execute("DELETE FROM rosters WHERE epoch = ?", (epoch,))

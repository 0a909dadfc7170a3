"""One SQLite file that several threads and processes write, and that notices when it went back in time.

Durability: write-ahead log, ``synchronous=FULL``, every change in one ``BEGIN IMMEDIATE`` transaction.
What a method returned has reached the disk, as far as the operating system and the disk tell the truth.

A file copied back from a backup looks perfectly healthy, and has forgotten what left since.  So each
change counts ``generation`` up in the file and then, before anything leaves, in a second small file, the
*mark*::

    enc("SOTTOVOCE-V1-REGISTRY-MARK", instance (16), generation)      # 62 bytes

``instance`` is random, drawn when the database is made, so one tag (of the first that had such a file)
does for all.  Opening refuses a database that is behind its mark, or whose mark is missing or another's.
The mark is written under the write lock of the database, so it never goes back.  If mark and database
come from the same backup nobody can tell.

A database put beside the log of another moment is as new as the log.  So the file also holds a sum of all
its rows (:mod:`.sqlite_digest`), which is checked whenever a log is found at opening: only then can the two
be of different moments.
"""

from __future__ import annotations

import contextlib
import errno
import os
import pathlib
import secrets
import sqlite3
import stat
import threading
from collections.abc import Iterator, Sequence
from typing import Any, Final, Self

from .enc import enc
from .errors import StoreError
from .sqlite_digest import EMPTY, keep_sum, misfit, sum_of_rows

MARK_TAG: Final = "SOTTOVOCE-V1-REGISTRY-MARK"
_INSTANCE_BYTES: Final = 16
_MARK_BYTES: Final = len(enc(MARK_TAG, bytes(_INSTANCE_BYTES), 0))
_HEADER_BYTES: Final = 100  # of every SQLite database
_BUSY_S: Final = 60.0
"""How long to wait for another process; its transactions take milliseconds."""

_OWN_TABLE: Final = (
    "CREATE TABLE file (one INTEGER PRIMARY KEY CHECK (one = 1), instance BLOB NOT NULL,"
    # unchecked: a log was found, and whether the rows fit is not known, or they do not.
    " generation INTEGER NOT NULL, digest BLOB NOT NULL, unchecked INTEGER NOT NULL)"
)


class Connection(sqlite3.Connection):
    """A class of our own, so that a test can stop the process at each statement."""


class SqliteFile:
    """Opens, checks and migrates the file; gives out transactions.

    Args:
        path: The database; made with mode 0600 if it is not there.
        mark: The second file; by default ``path`` with ``.mark`` appended.
        application_id: Tells our files from other people's.
        migrations: The statements that lead from each schema version to the next; from 0, the empty
            file, on.  Their number is the version that this code writes.
        restore: Open it whatever its mark says; then :meth:`new_instance`.
        has_mark: False for a file that may go back in time: there is no second file.
        exclusive: One process at a time; another one is refused after ``busy_s``.
        erases: Overwrite what is deleted; :meth:`empty_log` then makes it so on the disk.
        busy_s: How long to wait for another process.
        error: What to raise.

    Raises:
        StoreError: (``error``, that is) another program's file, of a newer version, readable by others,
            damaged, behind its mark, or put beside the log of another moment.

    Threads: safe.  Not usable after a fork: open it again.
    """

    def __init__(
        self,
        path: str | os.PathLike[str],
        *,
        application_id: int,
        migrations: Sequence[Sequence[str]],
        mark: str | os.PathLike[str] | None = None,
        restore: bool = False,
        has_mark: bool = True,
        exclusive: bool = False,
        erases: bool = False,
        busy_s: float | None = None,
        error: type[StoreError] = StoreError,
    ) -> None:
        # Absolute: SQLite gives names such as ":memory:" a meaning, and the working directory may change.
        self.path = os.path.abspath(os.fsdecode(path))
        self._mark_path = os.path.abspath(os.fsdecode(mark)) if mark is not None else f"{self.path}.mark"
        self._has_mark = has_mark
        self._exclusive = exclusive
        self._erases = erases
        self._error = error
        self._lock = threading.RLock()
        self._pid = os.getpid()
        self._db: sqlite3.Connection | None = None
        found_log = _is_filled(f"{os.path.realpath(self.path)}-wal")  # before SQLite looks
        if not create_private(self.path):
            require_private(self.path, error)
            require_database(self.path, error)
        with self._our_errors():
            self._db = sqlite3.connect(
                f"{pathlib.Path(self.path).as_uri()}?mode=rw",
                uri=True,
                timeout=_BUSY_S if busy_s is None else busy_s,
                isolation_level=None,  # no implicit BEGIN: every transaction is written out here
                check_same_thread=False,
                factory=Connection,
            )
        try:
            self._set_up(application_id, migrations, restore, check_rows=found_log or restore)
        except BaseException:
            self.close()
            raise

    def _set_up(
        self, application_id: int, migrations: Sequence[Sequence[str]], restore: bool, *, check_rows: bool
    ) -> None:
        with self._lock, self._our_errors():
            db = self._connection()
            if self._exclusive:
                # Held from the first transaction until closed or killed; and the log needs no shared memory.
                db.execute("PRAGMA locking_mode = EXCLUSIVE")
            if self._erases:
                db.execute("PRAGMA secure_delete = ON")
            db.execute("PRAGMA synchronous = FULL")
            db.execute("PRAGMA fullfsync = ON")  # macOS: fsync alone stops at the drive's cache
            db.execute("PRAGMA foreign_keys = ON")
            db.execute("PRAGMA trusted_schema = OFF")
            db.execute("PRAGMA temp_store = MEMORY")  # of tokens, nothing goes into other files
        with self._begun("BEGIN") as db:
            version = _read_version(db, self.path, application_id, len(migrations), self._error)
        if version != 0:
            # A copy made without its log may be torn too: what is restored is always checked.
            self._check_rows(check_rows)
        with self._begun("BEGIN IMMEDIATE") as db:
            # Everything that is not ours is refused before a byte of it is changed.
            version = _read_version(db, self.path, application_id, len(migrations), self._error)
            if version == 0:
                self._begin_instance(db, application_id)
            elif self._has_mark and not restore:
                self._check_mark(*_identity(db))
            for statements in migrations[version:]:
                for statement in statements:
                    db.execute(statement)
            if version != len(migrations):
                db.execute("UPDATE file SET digest = ?", (sum_of_rows(db),))
                db.execute(f"PRAGMA user_version = {len(migrations)}")
        with self._lock, self._our_errors():
            # Outside a transaction, after the file proved to be ours; from then on it is in the file.
            if db.execute("PRAGMA journal_mode = WAL").fetchone()[0] != "wal":
                raise self._error(f"{self.path}: this file system has no shared memory for a log")
            keep_sum(db)
        if self._has_mark and not restore:
            self._raise_mark()  # a crash between commit and mark leaves it behind

    def _begin_instance(self, db: sqlite3.Connection, application_id: int) -> None:
        instance = secrets.token_bytes(_INSTANCE_BYTES)
        if self._has_mark:
            mark = read_mark(self._mark_path, self._error)
            if mark is not None and mark[1] > 0:
                raise self._error(f"{self.path}: empty, but its mark counts {mark[1]} changes")
            # Before the commit: a database without a mark is refused.  A crash in between leaves a mark
            # that counts 0, which the next attempt overwrites.
            write_mark(self._mark_path, instance, 0)
        db.execute(_OWN_TABLE)
        db.execute("INSERT INTO file VALUES (1, ?, 0, ?, 0)", (instance, EMPTY))
        db.execute(f"PRAGMA application_id = {application_id}")

    def _check_rows(self, wanted: bool) -> None:
        """Raise the error if the rows are not all of one moment."""
        with self._begun("BEGIN") as db:
            unchecked = bool(db.execute("SELECT unchecked FROM file").fetchone()[0])
        if not (wanted or unchecked):
            return
        found: str | None = "not checked"
        try:
            with self._begun("BEGIN") as db:  # others go on writing meanwhile
                found = misfit(db)
        finally:
            # Closing empties the log into the database, and the next to open it would find none.
            if (found is not None) != unchecked:
                with self._begun("BEGIN IMMEDIATE") as db:
                    db.execute("UPDATE file SET unchecked = ?", (found is not None,))
        if found is not None:
            raise self._error(
                f"{self.path}: damaged: {found}.  A backup put beside the log of another moment?"
                f"  Remove {self.path}-wal and -shm, put the backup in its place again, then restore"
            )

    def _check_mark(self, instance: bytes, generation: int) -> None:
        mark = read_mark(self._mark_path, self._error)
        if mark is None:
            raise self._error(f"{self.path}: its mark {self._mark_path} is missing")
        if mark[0] != instance:
            raise self._error(f"{self.path}: the mark belongs to another database")
        if generation < mark[1]:
            raise self._error(
                f"{self.path}: restored from a backup? {mark[1] - generation} changes are missing"
            )

    def _raise_mark(self) -> None:
        """Bring the mark up to the committed generation, which cannot move while we hold the lock."""
        with self._begun("BEGIN IMMEDIATE") as db:
            instance, generation = _identity(db)
            mark = read_mark(self._mark_path, self._error)
            if mark is None or mark[0] != instance:
                raise self._error(f"{self._mark_path}: missing or another database's")
            if mark[1] < generation:
                write_mark(self._mark_path, instance, generation)

    def new_instance(self) -> None:
        """Begin a new count, after a restoration that somebody decided on."""
        with self._begun("BEGIN IMMEDIATE") as db:
            instance = secrets.token_bytes(_INSTANCE_BYTES)
            db.execute("UPDATE file SET instance = ?, generation = generation + 1", (instance,))
            generation = _identity(db)[1]
        # After the commit: until this is written, opening is still refused.
        write_mark(self._mark_path, instance, generation)

    @contextlib.contextmanager
    def reading(self) -> Iterator[sqlite3.Connection]:
        """One consistent view; waits for nobody."""
        with self._begun("BEGIN") as db:
            yield db

    @contextlib.contextmanager
    def changing(self, *, marked: bool = True) -> Iterator[sqlite3.Connection]:
        """One transaction, durable when the block is left; undone if the block raises.

        Args:
            marked: False for what may be forgotten: the mark then does not count it.
        """
        with self._lock:
            with self._begun("BEGIN IMMEDIATE") as db:
                before = db.total_changes
                yield db
                marked = marked and self._has_mark and db.total_changes != before
                if marked:
                    db.execute("UPDATE file SET generation = generation + 1")
            if marked:
                try:
                    self._raise_mark()
                except BaseException:
                    self.close()  # else the next answer would leave while the mark does not cover it
                    raise

    @contextlib.contextmanager
    def _begun(self, begin: str) -> Iterator[sqlite3.Connection]:
        with self._lock, self._our_errors():
            db = self._connection()
            try:
                db.execute(begin)
                yield db
                db.execute("COMMIT")
            except BaseException:
                if db.in_transaction:
                    db.execute("ROLLBACK")
                raise

    @contextlib.contextmanager
    def _our_errors(self) -> Iterator[None]:
        """SQLite's messages name columns and causes, never values."""
        try:
            yield
        except sqlite3.Error as error:
            raise self._error(f"{self.path}: {error}") from error

    def empty_log(self) -> None:
        """Move the log into the database and cut it to nothing, so that what was erased is in neither."""
        with self._lock, self._our_errors():
            # The first number: another process is reading, so it could not be done now.
            if self._connection().execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()[0]:
                raise self._error(f"{self.path}: another process keeps the log in use")

    def _connection(self) -> sqlite3.Connection:
        if self._db is None:
            raise self._error(f"{self.path}: closed")
        if self._pid != os.getpid():
            raise self._error(f"{self.path}: opened before a fork; open it in the new process")
        return self._db

    def close(self) -> None:
        """Close the file; again changes nothing."""
        with self._lock:
            if self._db is not None and self._pid == os.getpid():
                self._db.close()
                self._db = None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def __reduce__(self) -> Any:
        raise TypeError("an open database cannot be pickled")


def _read_version(
    db: sqlite3.Connection, path: str, application_id: int, newest: int, error: type[StoreError]
) -> int:
    application = db.execute("PRAGMA application_id").fetchone()[0]
    version = int(db.execute("PRAGMA user_version").fetchone()[0])
    empty = db.execute("SELECT count(*) FROM sqlite_master").fetchone()[0] == 0
    if empty and application == 0 and version == 0:
        return 0
    if application != application_id or version < 1:
        raise error(f"{path}: a database of another program")
    if version > newest:
        raise error(f"{path}: schema version {version}; this release knows up to {newest}")
    return version


def _identity(db: sqlite3.Connection) -> tuple[bytes, int]:
    instance, generation = db.execute("SELECT instance, generation FROM file").fetchone()
    return bytes(instance), int(generation)


def _is_filled(path: str) -> bool:
    try:
        return os.stat(path).st_size > 0
    except FileNotFoundError:
        return False


def exists(db: sqlite3.Connection, query: str, *values: object) -> bool:
    """Whether the query has a row."""
    return db.execute(query, values).fetchone() is not None


# -- files ----------------------------------------------------------------------------------------


def create_private(path: str) -> bool:
    """Make an empty file of mode 0600; False if there is one already."""
    try:
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL | getattr(os, "O_CLOEXEC", 0), 0o600)
    except FileExistsError:
        return False
    os.close(descriptor)
    _sync_folder(path)
    return True


def require_private(path: str, error: type[StoreError] = StoreError) -> None:
    """Raise ``error`` if it is no file, or others than the owner may use it: it holds secrets."""
    found = os.stat(path).st_mode
    if not stat.S_ISREG(found):
        raise error(f"{path}: not a regular file")  # to open a pipe would be to wait for its writer
    mode = stat.S_IMODE(found)
    if os.name == "posix" and mode & 0o077:
        raise error(f"{path}: mode 0600 expected, got {mode:04o}")


def require_database(path: str, error: type[StoreError] = StoreError) -> None:
    """Raise ``error`` if the file is too short to be a database, and not empty.

    SQLite would take one of a single byte for an empty one and write over it; longer ones it looks at itself.
    With a journal beside it, the file is whatever a crash left, and SQLite undoes that.

    The file is not opened: closing it would give back every lock that another connection of this process
    has on it (POSIX), and the next process to close it would delete the log that this one still writes.
    """
    if 0 < os.stat(path).st_size < _HEADER_BYTES and not os.path.exists(f"{path}-journal"):
        raise error(f"{path}: not a database")


def read_mark(path: str, error: type[StoreError] = StoreError) -> tuple[bytes, int] | None:
    """``(instance, generation)``; None if there is no such file.

    Raises:
        StoreError: (``error``, that is) not a mark.
    """
    try:
        data = pathlib.Path(path).read_bytes()
    except FileNotFoundError:
        return None
    instance, generation = data[-_INSTANCE_BYTES - 12 : -12], int.from_bytes(data[-8:], "big")
    if enc(MARK_TAG, instance, generation) != data or len(data) != _MARK_BYTES:
        raise error(f"{path}: not the mark of a database, or damaged")
    return instance, generation


def write_mark(path: str, instance: bytes, generation: int) -> None:
    """Durable when it returns."""
    data = enc(MARK_TAG, instance, generation)
    try:
        # In place: 62 bytes lie in one sector, which a disk writes whole or not at all.
        descriptor = os.open(path, os.O_WRONLY | getattr(os, "O_CLOEXEC", 0))
        target = None
    except FileNotFoundError:
        # A crash must not leave half a mark where there was none.
        target = f"{path}.{secrets.token_hex(8)}"
        descriptor = os.open(target, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    try:
        try:
            if os.write(descriptor, data) != len(data):
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), path)
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
        if target is not None:
            os.replace(target, path)
            target = None
            _sync_folder(path)
    finally:
        if target is not None:
            os.unlink(target)


def _sync_folder(path: str) -> None:
    """Make the name of a new file durable; Windows cannot open folders and needs no such thing."""
    if os.name == "posix":
        descriptor = os.open(os.path.dirname(path), os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)

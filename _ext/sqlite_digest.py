"""What every row adds up to, kept beside the rows, so that rows of two moments do not pass for one.

SQLite applies a log to whatever database lies beside it.  A backup that is put beside the log of a killed
process becomes a mixture: as new as the log says, without what had left the log before.  The sum

    SHA-256(enc("SOTTOVOCE-V1-REGISTRY-ROW", table, columns...)), of every row, modulo 2^256

changes in the same transaction as the rows, so the one that came with the log shows what is missing.
It finds accidents; whoever can write the file can write the sum.
"""

from __future__ import annotations

import functools
import sqlite3
from typing import Final

from .enc import Field, sha256_enc
from .errors import ParameterError

ROW_TAG: Final = "SOTTOVOCE-V1-REGISTRY-ROW"
EMPTY: Final = bytes(32)
"""The sum of no rows."""


def _row(table: str, values: tuple[Field, ...]) -> int:
    return int.from_bytes(sha256_enc(ROW_TAG, table, *values), "big")


def _add(total: bytes, sign: int, table: str, *values: Field) -> bytes:
    number = int.from_bytes(total, "big") + sign * _row(table, values)
    return (number % (1 << 256)).to_bytes(32, "big")


def _tables(db: sqlite3.Connection) -> dict[str, list[str]]:
    """Tables and their columns, without the table that holds the sum."""
    names = db.execute(
        "SELECT name FROM main.sqlite_master"
        " WHERE type = 'table' AND name <> 'file' AND name NOT LIKE 'sqlite_%'"  # what ANALYZE leaves
    ).fetchall()
    return {name: [row[1] for row in db.execute(f"PRAGMA main.table_info({name})")] for (name,) in names}


def keep_sum(db: sqlite3.Connection) -> None:
    """From now on, whatever this connection changes changes the sum.

    The triggers are the connection's own: in the file, they would keep every other program, which has
    no such function, from writing to it.
    """
    db.create_function("add_row", -1, _add, deterministic=True)
    script = []
    for table, columns in _tables(db).items():
        new, old = (", ".join(f"{version}.{column}" for column in columns) for version in ("NEW", "OLD"))
        add, take = f"add_row(digest, 1, '{table}', {new})", f"add_row(digest, -1, '{table}', {old})"
        both = f"add_row({take}, 1, '{table}', {new})"
        for event, total in (("INSERT", add), ("DELETE", take), ("UPDATE", both)):
            script.append(
                f"CREATE TEMP TRIGGER sum_{table}_{event} AFTER {event} ON main.{table}"  # noqa: S608 - own names
                f" BEGIN UPDATE file SET digest = {total}; END;"
            )
    db.executescript("".join(script))


def sum_of_rows(db: sqlite3.Connection) -> bytes:
    """Add every row up again: about five seconds for a million."""
    total = 0
    for table, columns in _tables(db).items():
        rows = db.execute(f"SELECT {', '.join(columns)} FROM main.{table}")  # noqa: S608 - own names
        total += sum(map(functools.partial(_row, table), rows))  # no frame keeps a row, should reading fail
    return (total % (1 << 256)).to_bytes(32, "big")


def misfit(db: sqlite3.Connection) -> str | None:
    """What is wrong with the rows; None if they are those of the sum, and every index has all of them.

    Raises:
        sqlite3.Error: They cannot be read now, for a reason that may pass.
    """
    try:
        # An index lies on pages of its own, so it may be of another moment than its table.
        found: str = db.execute("PRAGMA integrity_check(1)").fetchone()[0]
        if found != "ok":
            return " ".join(found.split())  # one line
        if sum_of_rows(db) != db.execute("SELECT digest FROM file").fetchone()[0]:
            return "rows are missing, or too many"
    except (TypeError, ParameterError) as error:  # a value of a kind that we never write
        return str(error)
    except sqlite3.DatabaseError as error:
        if error.sqlite_errorcode & 0xFF != sqlite3.SQLITE_CORRUPT:
            raise
        return str(error)
    return None

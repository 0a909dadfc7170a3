"""Where the stores of a role lie, inside the folder of ``--state`` or ``--outbox``."""

from __future__ import annotations

from pathlib import Path

from ...clsc import TrustStore
from ...fl import SqliteAggregatorStore, SqliteMemberStore, SqliteOutbox, SqliteRosterBook


def private_folder(path: Path) -> Path:
    """A folder for its owner only; made if it is not there."""
    path.mkdir(mode=0o700, parents=True, exist_ok=True)
    return path


def member_store(path: Path) -> SqliteMemberStore:
    """A member's."""
    return SqliteMemberStore(private_folder(path) / "member.sqlite")


def aggregator_store(path: Path) -> SqliteAggregatorStore:
    """An aggregator's."""
    return SqliteAggregatorStore(private_folder(path) / "aggregator.sqlite")


def outbox(path: Path) -> SqliteOutbox:
    """A device's."""
    return SqliteOutbox(private_folder(path) / "outbox.sqlite")


def roster_book(path: Path, trust: TrustStore) -> SqliteRosterBook:
    """A peer's."""
    return SqliteRosterBook(private_folder(path) / "book.sqlite", trust)

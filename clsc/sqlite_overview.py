"""What an operator wants to see of a :class:`.sqlite_registry.SqliteRegistry`; no secrets."""

from __future__ import annotations

from dataclasses import dataclass

from .sqlite_registry import SqliteRegistry


@dataclass(frozen=True, slots=True)
class PartyOverview:
    """A party and what it has.

    Attributes:
        party: Its name.
        identity: The name that it may have keys for in mode ``identity``.
        quota: Keys for each purse (:class:`~sottovoce.clsc.Account`).
        disabled: It gets nothing any more.
        issued: params_id -> keys issued to it under these parameters, of either usage.
    """

    party: str
    identity: bytes
    quota: int
    disabled: bool
    issued: dict[bytes, int]


def parties(registry: SqliteRegistry) -> tuple[PartyOverview, ...]:
    """Everybody who was ever enrolled, by name."""
    with registry._file.reading() as db:
        accounts = db.execute(
            "SELECT party, identity, quota, disabled FROM accounts ORDER BY party"
        ).fetchall()
        issued = db.execute("SELECT party, params_id, count(*) FROM issuances GROUP BY party, params_id")
        counts: dict[bytes, dict[bytes, int]] = {}
        for party, params_id, count in issued:
            counts.setdefault(party, {})[params_id] = count
    return tuple(
        PartyOverview(
            party.decode("utf-8", "surrogatepass"), identity, quota, bool(disabled), counts.get(party, {})
        )
        for party, identity, quota, disabled in accounts
    )


def closed_epochs(registry: SqliteRegistry) -> frozenset[bytes]:
    """The params_id of every epoch that issues no new keys, because the registry came from a backup."""
    with registry._file.reading() as db:
        return frozenset(row[0] for row in db.execute("SELECT params_id FROM epochs WHERE closed"))

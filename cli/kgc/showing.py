"""``kgc show``: what is in an issuer's folder; needs no passphrase."""

from __future__ import annotations

import time
from typing import Any

from rich.markup import escape

from ...clsc import EpochParams, SqliteRegistry
from ...clsc.sqlite_overview import PartyOverview, closed_epochs, parties
from .. import console, tables
from ..tables import Column
from ..text import date_of, fingerprint, text_of
from .folder import Folder


def show(folder: Folder, json_target: str | None) -> None:
    """Show epochs and parties; see the command's help."""
    console.check_writable(json_target, "--json")
    with folder.registry() as registry:
        root = folder.root_public_key()
        epochs = registry.epochs()
        closed = closed_epochs(registry)
        people = parties(registry)
        revoked = {params.params_id: len(registry.revoked(params.params_id)) for params in epochs}
        lists = {params.params_id: _list_number(registry, root, params) for params in epochs}
    states = {params.params_id: _state(params, closed) for params in epochs}
    document = {
        "root_public_key": root.hex(),
        "fingerprint": fingerprint(root),
        "root_key_here": folder.has_root_key,
        "epochs": [_epoch_document(p, states, people, revoked, lists) for p in epochs],
        "parties": [_party_document(party, epochs) for party in people],
    }
    # The file first: the reader of the tables may leave early, as `head` does.
    console.write_json(document, json_target)
    results = console.results_console(json_target)
    results.print(f"root key: {fingerprint(root)}", markup=False, soft_wrap=True)
    tables.print_table(
        results,
        [
            Column("mode", 8), Column("epoch", 8), Column("from", 10, 3), Column("to", 10),
            Column("state", 6), Column("servers", 6, 2), Column("keys"), Column("revoked", None, 1),
        ],
        [_epoch_row(p, states, people, revoked) for p in epochs],
        title="Epochs",
    )  # fmt: skip
    tables.print_table(
        results,
        [
            Column("party", 8), Column("identity", 8, 2), Column("quota"), Column("keys in open epochs", 12),
            Column("", 7),
        ],
        [_party_row(party, epochs, states) for party in people],
        title="Parties",
    )  # fmt: skip


def _list_number(registry: SqliteRegistry, root: bytes, params: EpochParams) -> int:
    newest = registry.revocations(root, params.params_id)
    return 0 if newest is None else newest.number


def _state(params: EpochParams, closed: frozenset[bytes]) -> str:
    now = time.time()
    if now > params.not_after:
        return "ended"
    if params.params_id in closed:
        return "closed"
    return "open" if now >= params.not_before else "future"


def _n_issued(params: EpochParams, people: tuple[PartyOverview, ...]) -> int:
    return sum(party.issued.get(params.params_id, 0) for party in people)


def _servers(params: EpochParams) -> str:
    return "1" if params.servers == 1 else f"{params.threshold} of {params.servers}"


def _epoch_row(
    params: EpochParams,
    states: dict[bytes, str],
    people: tuple[PartyOverview, ...],
    revoked: dict[bytes, int],
) -> list[str]:
    return [
        str(params.mode),
        escape(text_of(params.epoch)),
        date_of(params.not_before),
        date_of(params.not_after),
        states[params.params_id],
        _servers(params),
        str(_n_issued(params, people)),
        str(revoked[params.params_id]),
    ]


def _party_row(party: PartyOverview, epochs: tuple[EpochParams, ...], states: dict[bytes, str]) -> list[str]:
    used = [
        f"{params.mode} {text_of(params.epoch)}: {party.issued[params.params_id]}"
        for params in epochs
        if states[params.params_id] == "open" and params.params_id in party.issued
    ]
    return [
        escape(text_of(party.party.encode("utf-8", "surrogatepass"))),
        escape(text_of(party.identity)),
        str(party.quota),
        escape(", ".join(used)),
        "revoked" if party.disabled else "",
    ]


def _epoch_document(
    params: EpochParams,
    states: dict[bytes, str],
    people: tuple[PartyOverview, ...],
    revoked: dict[bytes, int],
    lists: dict[bytes, int],
) -> dict[str, Any]:
    return {
        "mode": str(params.mode),
        "epoch": text_of(params.epoch),
        "params_id": params.params_id.hex(),
        "not_before": params.not_before,
        "not_after": params.not_after,
        "state": states[params.params_id],
        "threshold": params.threshold,
        "servers": params.servers,
        "answers": params.answers,
        "corrupted": params.corrupted,
        "issued": _n_issued(params, people),
        "revoked": revoked[params.params_id],
        "revocation_list": lists[params.params_id],
    }


def _party_document(party: PartyOverview, epochs: tuple[EpochParams, ...]) -> dict[str, Any]:
    return {
        "party": text_of(party.party.encode("utf-8", "surrogatepass")),
        "identity": text_of(party.identity),
        "quota": party.quota,
        "revoked": party.disabled,
        "issued": [
            {"mode": str(p.mode), "epoch": text_of(p.epoch), "keys": party.issued[p.params_id]}
            for p in epochs
            if p.params_id in party.issued
        ],
    }

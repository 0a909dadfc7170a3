"""What the demo shows: tables for people, a document for machines."""

from __future__ import annotations

import time
from typing import Any, Final

from rich.console import Console
from rich.table import Table

from ...fl import Stage
from .. import machine
from ..tables import Column, print_table
from .run import CLIP, COMMITTEE, FAULTS, SHARDS, Outcome, faults_by_name

SCHEMA: Final = "sottovoce-demo/1"

OTHER: Final = "other"
ROLES: Final = ("client", "aggregator", "committee", OTHER)

_STAGES: Final = {
    "client": (
        "check header",
        "quantize",
        "encrypt",
        "share",
        "signcrypt to committee",
        "signcrypt to aggregator",
        "disperse",
        "read result",
    ),
    "aggregator": ("gather", "open packets", "add", "open sum"),
    "committee": ("co-sign header", "members answer"),
}
_WHO: Final = {stage: role for role, stages in _STAGES.items() for stage in stages}

# What stands behind a refusal in this demo, where the faults are known.
_MEANINGS: Final = {
    "shard: unopenable": f"corrupted on the way, or recorded in another round ({SHARDS[1]} to a packet)",
    "packet: not for this key and round": "an old packet in fresh shards: its round is bound into it",
    "sender: unknown, revoked or not signed": "a client with a key of some other issuer",
}


def who(stage: str) -> str:
    """The role that does the work of a stage; :data:`OTHER` for a stage that is not known here."""
    return _WHO.get(stage, OTHER)


def roles(outcome: Outcome) -> list[str]:
    """The roles that have a stage in this run."""
    present = {who(stage) for stage in outcome.stages}
    return [role for role in ROLES if role in present]


def print_opening(console: Console, outcome: Outcome) -> None:
    """Say what was run, in a few lines."""
    options, sizes = outcome.options, sorted(outcome.share_sizes)
    k, n = SHARDS
    console.print(
        f"[bold]Private federated training[/] on handwritten digits: {outcome.n_train:,} training and "
        f"{outcome.n_test} test images, {options.clients} clients with {sizes[0]} to {sizes[-1]} images "
        f"each, {options.rounds} rounds, a model of {outcome.n_parameters:,} parameters, seed {options.seed}."
    )
    console.print(
        f"Each update: blind pseudonym key, one-time encryption, key shares to {COMMITTEE} members, "
        f"signcryption, {n} shards of which {k} suffice. "
        f"Each round: {FAULTS.lose_shards:.0%} of the shards lost, {FAULTS.corrupt_shards:.0%} corrupted, "
        f"a replay, a stranger, {FAULTS.absent_members} member absent."
    )
    console.print(
        "[dim]The seed decides data, training and faults; keys, masks and rounding come from the operating "
        "system.[/]\n"
    )


def print_rounds(console: Console, outcome: Outcome) -> None:
    """Accuracy per round, beside plain averaging."""
    print_table(
        console,
        [
            Column("round"),
            Column("clients\nin the sum"),
            Column("private", style="bold"),
            Column("plain FedAvg\nsame clients"),
            Column("plain FedAvg\nall clients", spare=1),
            Column("mean off the\nfloat mean", spare=3),
            Column("round\ntook", spare=2),
        ],
        [
            (
                str(r.number),
                f"{r.accepted} of {r.accepted + r.dropped}",
                f"{100 * r.private:.1f}",
                f"{100 * r.plain:.1f}",
                f"{100 * r.everyone:.1f}",
                f"{r.deviation:.0e}",
                f"{r.seconds:.2f} s",
            )
            for r in outcome.rounds
        ],
        title="Accuracy on the test images, %",
    )


def print_stages(console: Console, outcome: Outcome) -> None:
    """Time and bytes of every stage: for one client in one round, and that per parameter."""
    d = outcome.n_parameters
    stages = per_client(outcome)
    whole = sum(seconds for _, seconds, _ in stages) or 1.0

    def times(seconds: float) -> tuple[str, str, str]:
        return f"{1e3 * seconds:.2f}", f"{1e6 * seconds / d:.2f}", f"{seconds / whole:.0%}"

    rows: list[tuple[str, ...] | None] = []
    for name, seconds, n_bytes in stages:
        sized = (f"{n_bytes:,.0f}", f"{n_bytes / d:.2f}") if n_bytes else ()
        rows.append((name, who(name), *times(seconds), *sized))
    rows.append(None)
    for role in roles(outcome):
        rows.append(
            (
                "[bold]together[/]",
                role,
                *times(sum(seconds for name, seconds, _ in stages if who(name) == role)),
            )
        )
    print_table(
        console,
        [
            Column("stage", least=14),
            Column("who", least=10, style="dim"),
            Column("ms"),
            Column("µs/\nparam.", spare=1),
            Column("of the\ntime", spare=3),
            Column("bytes"),
            Column("bytes/\nparam.", spare=2),
        ],
        rows,
        title="Stages, for one client in one round",
    )
    console.print(
        "[dim]Bytes are what a stage makes or takes in, so a packet counts in each that handles it; what "
        "leaves a client is that of 'disperse'. 'share' counts the proof of the key shares; the shares "
        "themselves travel in 'signcrypt to committee'. Work of the servers is divided by the clients. "
        "Before the first round: "
        + ", ".join(f"{name} {1e3 * stage.seconds:.0f} ms" for name, stage in outcome.setup.items())
        + ".[/]\n"
    )


def print_refused(console: Console, outcome: Outcome) -> None:
    """What was done to the rounds, what was refused and why; summed over the rounds."""
    print_table(
        console,
        [Column("what was done", least=20), Column("times")],
        [(kind, str(count)) for kind, count in faults_by_name(outcome).items()],
        title="Faults, in all rounds",
    )
    rows = []
    for kind, count in sorted(outcome.refused.items()):
        what, _, why = kind.partition(": ")
        meaning = _MEANINGS.get(kind)
        rows.append((what, why + (f"\n[dim]{meaning}[/]" if meaning else ""), str(count)))
    dropped = sum(r.dropped for r in outcome.rounds)
    k, n = SHARDS
    rows.append(("client", f"left out: fewer than {k} of its {n} shards came through", str(dropped)))
    print_table(
        console,
        [Column("what", least=6), Column("why", least=20), Column("times")],
        rows,
        title="What was refused, and why",
    )


def print_checks(console: Console, outcome: Outcome) -> None:
    """The promises, each with whether it held."""
    grid = Table.grid(padding=(0, 2, 0, 0))
    grid.add_column(no_wrap=True)
    grid.add_column(overflow="fold")
    for check in outcome.checks:
        mark = "[bold green]holds[/]" if check.holds else "[bold red]FAILS[/]"
        grid.add_row(mark, f"{check.promise} ({check.detail})")
    if outcome.n_clipped:
        grid.add_row(
            "[yellow]note[/]", f"{outcome.n_clipped} changes were beyond the clip of {CLIP:g} and cut to it"
        )
    console.print(grid)
    console.print(f"[dim]{outcome.seconds:.1f} s in all[/]")


def print_all(console: Console, outcome: Outcome) -> None:
    """All tables, in reading order."""
    print_opening(console, outcome)
    print_rounds(console, outcome)
    print_stages(console, outcome)
    print_refused(console, outcome)
    print_checks(console, outcome)


def per_client(outcome: Outcome) -> list[tuple[str, float, float]]:
    """Stages in order: name, seconds and bytes for one client in one round.

    The aggregator's and the members' stages are divided by the clients too, so that all can be
    compared and added.
    """
    n = outcome.n_sealed
    return [(name, stage.seconds / n, stage.n_bytes / n) for name, stage in outcome.stages.items()]


def document(outcome: Outcome) -> dict[str, Any]:
    """The run as a JSON document of schema :data:`SCHEMA`; fields may be added, never changed."""
    options = outcome.options
    return {
        "schema": SCHEMA,
        "created": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()),
        "machine": machine.card(),
        "options": {"clients": options.clients, "rounds": options.rounds, "seed": options.seed},
        "setting": {
            "n_parameters": outcome.n_parameters,
            "n_train": outcome.n_train,
            "n_test": outcome.n_test,
            "examples_by_client": outcome.share_sizes,
            "committee": COMMITTEE,
            "shards_needed": SHARDS[0],
            "shards": SHARDS[1],
            "clip": CLIP,
            "lost_shards": FAULTS.lose_shards,
            "corrupted_shards": FAULTS.corrupt_shards,
            "absent_members": FAULTS.absent_members,
        },
        "rounds": [
            {
                "round": r.number,
                "accepted": r.accepted,
                "dropped": r.dropped,
                "accuracy_private": r.private,
                "accuracy_plain_same_clients": r.plain,
                "accuracy_plain_all_clients": r.everyone,
                "mean_deviation": r.deviation,
                "mean_deviation_bound": r.bound,
                "seconds": r.seconds,
            }
            for r in outcome.rounds
        ],
        "setup": {name: _stage(stage) for name, stage in outcome.setup.items()},
        "stages": {name: _stage(stage) for name, stage in outcome.stages.items()},
        "injected": dict(outcome.injected),
        "refused": dict(sorted(outcome.refused.items())),
        "clipped": outcome.n_clipped,
        "checks": [{"promise": c.promise, "holds": c.holds, "detail": c.detail} for c in outcome.checks],
        "seconds": outcome.seconds,
    }


def _stage(stage: Stage) -> dict[str, float | int]:
    return {"seconds": stage.seconds, "bytes": stage.n_bytes, "calls": stage.calls}

"""What the demo shows: tables for people, a document for machines."""

from __future__ import annotations

import time
from typing import Any, Final

from rich import box
from rich.console import Console
from rich.table import Table

from ...fl import Stage
from .. import machine
from .run import CLIP, COMMITTEE, FAULTS, SHARDS, Outcome

SCHEMA: Final = "sottovoce-demo/1"

ROLES: Final = ("client", "aggregator", "committee")

_WHO: Final = {
    "co-sign header": "committee",
    "members check": "committee",
    "members answer": "committee",
    "gather": "aggregator",
    "open packets": "aggregator",
    "add": "aggregator",
    "open sum": "aggregator",
}

# What stands behind a refusal in this demo, where the faults are known.
_MEANINGS: Final = {
    "shard: unopenable": "corrupted on the way, or an old shard of another round",
    "packet: not for this key and round": "an old packet in fresh shards: its round is bound into it",
    "sender: unknown, revoked or not signed": "a client with a key of some other issuer",
}


def who(stage: str) -> str:
    """The role that does the work of a stage."""
    return _WHO.get(stage, "client")


def _table(title: str) -> Table:
    return Table(
        title=title,
        title_justify="left",
        title_style="bold not italic",
        box=box.SIMPLE_HEAD,
        padding=(0, 1, 0, 0),  # narrow enough for 80 columns
        pad_edge=False,
    )


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
    table = _table("Accuracy on the test images, %")
    headings = ("round", "clients\nin the sum", "private", "plain FedAvg\nsame clients")
    for heading in (*headings, "plain FedAvg\nall clients", "mean off the\nfloat mean", "round\ntook"):
        table.add_column(heading, justify="right", style="bold" if heading == "private" else None)
    for r in outcome.rounds:
        table.add_row(
            str(r.number),
            f"{r.accepted} of {r.accepted + r.dropped}",
            f"{100 * r.private:.1f}",
            f"{100 * r.plain:.1f}",
            f"{100 * r.everyone:.1f}",
            f"{r.deviation:.0e}",
            f"{r.seconds:.2f} s",
        )
    console.print(table)


def print_stages(console: Console, outcome: Outcome) -> None:
    """Time and bytes of every stage: for one client in one round, and that per parameter."""
    table = _table("Stages, for one client in one round")
    table.add_column("stage")
    table.add_column("who", style="dim")
    for heading in ("ms", "µs/\nparam.", "of the\ntime", "bytes", "bytes/\nparam."):
        table.add_column(heading, justify="right")
    d = outcome.n_parameters
    stages = per_client(outcome)
    whole = sum(seconds for _, seconds, _ in stages) or 1.0

    def times(seconds: float) -> tuple[str, str, str]:
        return f"{1e3 * seconds:.2f}", f"{1e6 * seconds / d:.2f}", f"{seconds / whole:.0%}"

    for name, seconds, n_bytes in stages:
        sized = (f"{n_bytes:,.0f}", f"{n_bytes / d:.2f}") if n_bytes else ("", "")
        table.add_row(name, who(name), *times(seconds), *sized)
    table.add_section()
    for role in ROLES:
        seconds = sum(seconds for name, seconds, _ in stages if who(name) == role)
        table.add_row("[bold]together[/]", role, *times(seconds))
    console.print(table)
    console.print(
        "[dim]Bytes are what a stage makes or takes in, so a packet counts in each that handles it; what "
        "leaves a client is that of 'disperse'. Work of the servers is divided by the clients. "
        "Before the first round: "
        + ", ".join(f"{name} {1e3 * stage.seconds:.0f} ms" for name, stage in outcome.setup.items())
        + ".[/]\n"
    )


def print_refused(console: Console, outcome: Outcome) -> None:
    """What was done to the rounds, what was refused and why; summed over the rounds."""
    table = _table("Faults, in all rounds")
    table.add_column("what was done")
    table.add_column("times", justify="right")
    for kind, count in outcome.injected.items():
        table.add_row(kind, str(count))
    console.print(table)

    table = _table("What was refused, and why")
    table.add_column("what")
    table.add_column("why")
    table.add_column("times", justify="right")
    for kind, count in sorted(outcome.refused.items()):
        what, _, why = kind.partition(": ")
        meaning = _MEANINGS.get(kind)
        table.add_row(what, why + (f"\n[dim]{meaning}[/]" if meaning else ""), str(count))
    dropped = sum(r.dropped for r in outcome.rounds)
    k, n = SHARDS
    table.add_row("client", f"left out: fewer than {k} of its {n} shards came through", str(dropped))
    console.print(table)


def print_checks(console: Console, outcome: Outcome) -> None:
    """The promises, each with whether it held."""
    grid = Table.grid(padding=(0, 2, 0, 0))
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

"""Results of a self-test: a line for each check, what to do about one that failed, and the document."""

from __future__ import annotations

import time
from collections.abc import Iterable
from typing import Any, Final

from rich.console import Console
from rich.markup import escape

from .. import machine
from .check import Check, KnownAnswers, Property
from .running import Limits, Outcome, Status

SCHEMA: Final = "sottovoce-selftest/1"

_STYLES: Final = {Status.OK: "green", Status.FAILED: "bold red", Status.SKIPPED: "yellow"}


def print_card(console: Console, card: machine.Card) -> None:
    """The machine and the kernels, in two lines."""
    kernels = ", ".join(f"{name} {backend}" for name, backend in sorted(card["kernels"].items()))
    commit = f" (commit {card['commit']})" if card["commit"] else ""
    console.print(
        f"[bold]sottovoce {card['sottovoce']}[/]{commit} on {card['cpu']}, {card['cores']} cores, "
        f"{card['system']}, {card['python']}\n"
        f"kernels: {kernels} (ceiling {card['ceiling']}); group: {card['group']}\n",
        soft_wrap=True,
    )


def print_outcome(console: Console, outcome: Outcome, limits: Limits) -> None:
    """One line; below it, if something is wrong, what, for which input, and how to see it again."""
    check = outcome.check
    kind = "cases" if isinstance(check, KnownAnswers) else "examples"
    figures = (
        "" if outcome.status is Status.SKIPPED else f"{outcome.count:>5} {kind:<8} {outcome.seconds:7.2f} s"
    )
    status = f"[{_STYLES[outcome.status]}]{outcome.status:<4}[/]"
    console.print(f"{status}  {check.area:<4}  {figures:<25}  {escape(check.title)}", soft_wrap=True)
    for problem in outcome.problems:
        console.print(f"      {escape(problem)}", soft_wrap=True)
    if outcome.example:
        inputs = ", ".join(f"{name}={value}" for name, value in outcome.example.items())
        console.print(f"      smallest input that was found: {escape(inputs)}", soft_wrap=True)
    if outcome.status is Status.FAILED:
        console.print(f"      again: {again(check, limits)}", soft_wrap=True)


def again(check: Check, limits: Limits) -> str:
    """The command that runs a check in the same way."""
    line = f"sottovoce selftest {check.area}"
    if isinstance(check, Property):
        return f"{line} --seed {limits.seed} --examples {limits.examples} --seconds 600"
    return f"{line} --known-answers"


def print_summary(console: Console, outcomes: list[Outcome], seconds: float) -> None:
    """The last lines."""
    counts = {status: sum(o.status is status for o in outcomes) for status in Status}
    words = [f"{counts[Status.OK]} ok", f"{counts[Status.FAILED]} failed"]
    if counts[Status.SKIPPED]:
        words.append(f"{counts[Status.SKIPPED]} skipped")
    console.print(f"\n{', '.join(words)}, {seconds:.1f} s", soft_wrap=True)
    if counts[Status.FAILED]:
        console.print(
            "Do not trust this installation with anything. Please report the lines above, with what "
            "`sottovoce --version` prints and how the package was installed: the project's SECURITY.md says "
            "where.",
            soft_wrap=True,
        )


def print_list(console: Console, checks: Iterable[Check]) -> None:
    """Every check with its kind; runs none."""
    for check in checks:
        kind = "known answers" if isinstance(check, KnownAnswers) else "property"
        console.print(f"{name_of(check):<28} {kind:<14} {escape(check.title)}", soft_wrap=True)


def name_of(check: Check) -> str:
    """``area.id``, unique."""
    return f"{check.area}.{check.id}"


def document(
    outcomes: list[Outcome], card: machine.Card, limits: Limits, *, complete: bool
) -> dict[str, Any]:
    """Everything as JSON.

    Args:
        outcomes: In the order of the run.
        card: The machine.
        limits: How much was tried.
        complete: Whether properties were run as well.
    """
    return {
        "schema": SCHEMA,
        "time": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()),
        "machine": card,
        "seed": limits.seed,
        "examples": limits.examples,
        "seconds": limits.seconds,
        "complete": complete,
        "ok": all(outcome.status is not Status.FAILED for outcome in outcomes),
        "checks": [
            {
                "check": name_of(outcome.check),
                "kind": "known answers" if isinstance(outcome.check, KnownAnswers) else "property",
                "title": outcome.check.title,
                "status": {Status.OK: "ok", Status.FAILED: "failed", Status.SKIPPED: "skipped"}[
                    outcome.status
                ],
                "count": outcome.count,
                "seconds": outcome.seconds,
                "problems": list(outcome.problems),
                "example": outcome.example,
            }
            for outcome in outcomes
        ],
    }

"""``sottovoce selftest``, behind its options."""

from __future__ import annotations

import contextlib
import faulthandler
import importlib.util
import secrets
import sys
import time

from .. import console, machine
from ..bench.areas import Area
from . import report
from .check import KnownAnswers, load
from .running import Limits, Outcome, Runner, Status

EXTRA = "selftest"


def main(
    area: Area,
    json_target: str | None,
    *,
    seconds: float,
    examples: int,
    seed: int | None,
    known_answers: bool = False,
) -> None:
    """Run the checks of an area and print a line for each.

    Args:
        area: What to check.
        json_target: JSON file, ``-`` for stdout, or None.
        seconds: For everything together, about.
        examples: Of each property at most.
        seed: None: a new one, which is printed.
        known_answers: Leave the properties out.

    Raises:
        typer.BadParameter: The file cannot be written; known before the work begins.
        CheckFailed: A check failed; all of them were run.
        MissingExtra: Properties were wanted and hypothesis is not there; the known answers hold.
    """
    console.check_writable(json_target, "--json")
    out = console.results_console(json_target)
    # Rich leads what is printed beside a progress bar to the bar's stream, unless the stream is named.
    out.file = sys.stderr if json_target == console.STDOUT else sys.stdout
    _name_what_crashes()
    missing = not (known_answers or _hypothesis_is_there())
    checks = load(area)
    if known_answers or missing:
        checks = [check for check in checks if isinstance(check, KnownAnswers)]
    limits = Limits(examples, seconds, secrets.randbelow(2**32) if seed is None else seed)
    card = machine.card()
    report.print_card(out, card)
    outcomes: list[Outcome] = []
    began = time.monotonic()
    n_properties = sum(not isinstance(check, KnownAnswers) for check in checks)
    if n_properties:
        out.print(f"seed {limits.seed}, {examples} examples at most, about {seconds:g} s", soft_wrap=True)
    with console.progress() as bar, Runner(limits, n_properties) as runner:
        task = bar.add_task("checking", total=len(checks), stage="")
        for check in checks:
            bar.update(task, stage=report.name_of(check))
            outcome = runner.run(check)
            outcomes.append(outcome)
            bar.advance(task)
            bar.stop()  # the line may go to the same terminal
            report.print_outcome(out, outcome, limits)
            bar.start()
    console.write_json(report.document(outcomes, card, limits, complete=n_properties > 0), json_target)
    report.print_summary(out, outcomes, time.monotonic() - began)
    failed = [report.name_of(o.check) for o in outcomes if o.status is Status.FAILED]
    if failed:
        raise console.CheckFailed(", ".join(failed))
    if missing:
        console.note("known answers only: the properties need hypothesis (or say --known-answers)")
        raise console.MissingExtra("hypothesis", EXTRA)


def _name_what_crashes() -> None:
    """Should a kernel end the process (an illegal instruction), its Python frames are printed before."""
    # Standard error may be closed, or no file.
    with contextlib.suppress(AttributeError, OSError, RuntimeError, ValueError):
        faulthandler.enable()


def _hypothesis_is_there() -> bool:
    """Without importing it: that takes a second, and the folder it writes to has to be chosen before."""
    with contextlib.suppress(ModuleNotFoundError):
        return importlib.util.find_spec("hypothesis") is not None
    return False


def list_checks(area: Area) -> None:
    """Print what would be run."""
    report.print_list(console.stdout(), load(area))

"""``sottovoce bench``, behind its options."""

from __future__ import annotations

import contextlib
import os
import time
from collections.abc import Callable, Iterator

from .. import console, machine
from . import report
from .areas import Area
from .harness import QUICK, THOROUGH, Effort, measure
from .measurement import Measurement, Operation, load


def main(area: Area, json_target: str | None, *, peers: bool, quick: bool, parts: bool = False) -> None:
    """Measure an area and show the results.

    Args:
        area: What to measure.
        json_target: JSON file, ``-`` for stdout, or None.
        peers: Measure the peers that are installed, too.
        quick: Fewer repetitions.
        parts: List what each work is made of, too.

    Raises:
        typer.BadParameter: The file cannot be written; known before the work begins.
    """
    console.check_writable(json_target, "--json")
    results_console = console.results_console(json_target)
    measurements = load(area)
    card = machine.card()
    report.print_card(results_console, card)
    effort = QUICK if quick else THOROUGH
    results: list[report.Result] = []
    with console.progress() as bar:
        task = bar.add_task("measuring", total=len(measurements), stage="")
        for m in measurements:
            bar.update(task, stage=m.id)
            results.append(run(m, effort, peers=peers))
            bar.advance(task)
    # The file first: the reader of the table may leave early, as `head` does.
    console.write_json(report.document(results, card, quick=quick), json_target)
    report.print_results(results_console, results)
    if parts:
        report.print_parts(results_console, results)


def run(m: Measurement, effort: Effort, *, peers: bool) -> report.Result:
    """Make one measurement.

    Args:
        m: What to measure.
        effort: How long.
        peers: With its peers, by turns in the same run.

    Returns:
        The result; a peer that is not installed is in it without a timing.
    """
    if not m.one_core:
        return _run(m, effort, peers, time.perf_counter)
    with _one_core():
        return _run(m, effort, peers, time.process_time)


@contextlib.contextmanager
def _one_core() -> Iterator[None]:
    """Keep this thread, and those that it starts meanwhile, on one core; where the system can do that."""
    try:
        cores = os.sched_getaffinity(0)
    except AttributeError:  # not Linux
        yield
        return
    os.sched_setaffinity(0, {max(cores)})
    try:
        yield
    finally:
        os.sched_setaffinity(0, cores)


def _run(m: Measurement, effort: Effort, peers: bool, clock: Callable[[], float]) -> report.Result:
    operations = [m.prepare()]
    efforts = [effort]

    def add(operation: Operation, its_effort: Effort) -> int:
        operations.append(operation)
        efforts.append(its_effort)
        return len(operations) - 1

    asked = m.peers if peers else ()
    present: dict[int, int] = {}
    for i, peer in enumerate(asked):
        with contextlib.suppress(ImportError):
            present[i] = add(peer.prepare(), effort)
    alternatives = [add(other.prepare(), effort) for other in m.alternatives]
    parts = m.parts.of if m.parts is not None else ()
    indices = [add(part.prepare(), effort.shared_by(len(parts))) for part in parts]
    timings = measure(operations, efforts, clock)
    return report.Result(
        m,
        timings[0],
        tuple(
            report.PeerResult(peer, timings[present[i]], operations[present[i]].n_bytes)
            if i in present
            else report.PeerResult(peer, None)
            for i, peer in enumerate(asked)
        ),
        tuple(timings[i] for i in alternatives),
        tuple(timings[i] for i in indices),
        operations[0].n_bytes,
        machine.kernel_level(),
    )

"""``sottovoce bench``, behind its options."""

from __future__ import annotations

import contextlib
import itertools
import os
import time
from collections.abc import Callable, Iterator
from typing import Final

from .. import console, machine
from . import record, report
from .areas import Area
from .harness import QUICK, THOROUGH, Effort, measure
from .measurement import Measurement, Operation, load, with_threads
from .options import Options
from .record import LeftOut
from .results import PeerResult, Result

QUICK_BUDGET_S: Final = 20.0
"""A quick run begins no measurement after so long; the last one may take a second or two, a picture too."""

_NOT_QUICK: Final = "--quick"
_NO_TIME: Final = "time"


def main(options: Options) -> None:
    """Measure an area and show the results.

    Args:
        options: What to measure, and where the results go; checked.
    """
    start = time.perf_counter()
    results_console = console.results_console(options.json)
    card, busy = machine.card(), _load()
    report.print_card(results_console, card, busy)
    chosen, left_out = _chosen(options)
    effort = QUICK if options.quick else THOROUGH
    of: dict[str, Result] = {}
    with console.progress() as bar:
        task = bar.add_task("measuring", total=len(chosen), stage="")
        for m in chosen:
            if options.quick and of and time.perf_counter() - start > QUICK_BUDGET_S:
                left_out.append((m, _NO_TIME))
                continue
            bar.update(task, stage=m.id)
            of[m.id] = run(m, effort, peers=options.peers, threads=options.threads)
            bar.advance(task)
    # Measured across the areas, told area by area.
    results = [of[m.id] for m in load(options.area) if m.id in of]
    document = record.document(
        results, card, quick=options.quick, threads=options.threads, load=busy, left_out=left_out
    )
    # Files first: the reader of the table may leave early, as `head` does.
    console.write_json(document, options.json)
    if options.plot is not None:
        from . import plot

        plot.write(document, options.plot)
    report.print_results(results_console, results)
    if options.parts:
        report.print_parts(results_console, results)
    report.print_left_out(results_console, left_out)
    if options.plot is not None:
        results_console.print(f"picture: {options.plot}", style="dim", markup=False, soft_wrap=True)


def _chosen(options: Options) -> tuple[list[Measurement], list[LeftOut]]:
    """What to measure, in which order; and what a quick run leaves out."""
    every = load(options.area)
    if not options.quick:
        return every, []
    quick = [m for m in every if m.quick]
    # In turns, so that every area has its first measurements where a slow machine has no time for all.
    areas = [[m for m in quick if m.area is area] for area in Area]
    turns = itertools.chain.from_iterable(itertools.zip_longest(*areas))
    return [m for m in turns if m is not None], [(m, _NOT_QUICK) for m in every if not m.quick]


def _load() -> float | None:
    """Processes that ran or waited in the last minute."""
    try:
        return round(os.getloadavg()[0], 2)
    except (AttributeError, OSError):  # Windows; or a system that does not tell
        return None


def run(m: Measurement, effort: Effort, *, peers: bool, threads: int = 1) -> Result:
    """Make one measurement.

    Args:
        m: What to measure.
        effort: How long.
        peers: With its peers, by turns in the same run.
        threads: For one call, if the measurement is one for several.

    Returns:
        The result; a peer that is not installed is in it without a timing.
    """
    threads = threads if m.threaded else 1
    wall = threads > 1 or not m.one_core
    with with_threads(threads), contextlib.nullcontext() if wall else _one_core():
        return _run(m, effort, peers, threads, wall)


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


def _run(m: Measurement, effort: Effort, peers: bool, threads: int, wall: bool) -> Result:
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
    clock: Callable[[], float] = time.perf_counter if wall else time.process_time
    timings = measure(operations, efforts, clock)
    return Result(
        m,
        timings[0],
        tuple(
            PeerResult(peer, timings[present[i]], operations[present[i]].n_bytes)
            if i in present
            else PeerResult(peer, None)
            for i, peer in enumerate(asked)
        ),
        tuple(timings[i] for i in alternatives),
        tuple(timings[i] for i in indices),
        operations[0].n_bytes,
        machine.kernel_level(),
        threads,
        wall,
    )

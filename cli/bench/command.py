"""``sottovoce bench``, behind its options."""

from __future__ import annotations

from .. import console, machine
from . import report
from .areas import Area
from .harness import QUICK, THOROUGH, Effort, measure
from .measurement import Measurement, Operation, load


def main(area: Area, json_target: str | None, *, peers: bool, quick: bool) -> None:
    """Measure an area and show the results.

    Args:
        area: What to measure.
        json_target: JSON file, ``-`` for stdout, or None.
        peers: Measure the peers that are installed, too.
        quick: Fewer repetitions.

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


def run(m: Measurement, effort: Effort, *, peers: bool) -> report.Result:
    """Make one measurement.

    Args:
        m: What to measure.
        effort: How long.
        peers: With its peers, by turns in the same run.

    Returns:
        The result; a peer that is not installed is in it without a timing.
    """
    subject = m.prepare()
    ready: dict[str, Operation] = {}
    for peer in m.peers if peers else ():
        try:
            ready[peer.distribution] = peer.prepare()
        except ImportError:
            continue
    first, *others = measure([subject, *ready.values()], effort)
    timings = dict(zip(ready, others, strict=True))
    return report.Result(
        m, first, tuple(report.PeerResult(p, timings.get(p.distribution)) for p in (m.peers if peers else ()))
    )

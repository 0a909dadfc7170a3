"""``sottovoce demo``, behind its options."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from pathlib import Path

import typer

from .. import console
from .options import Options

_PICTURES = (".png", ".svg", ".pdf")


def main(options: Options, out: str, json_target: str | None) -> None:
    """Run the demo and show it.

    Args:
        options: Checked.
        out: Picture to write.
        json_target: JSON file, ``-`` for stdout, or None.

    Raises:
        MissingExtra: scikit-learn or matplotlib is not there.
        typer.BadParameter: A file cannot be written; known before the work begins.
        CheckFailed: A promise did not hold.  Tables and files are written nevertheless, unless it
            was an opened sum.
    """
    if Path(out).suffix.lower() not in _PICTURES:
        raise typer.BadParameter(f"one of {', '.join(_PICTURES)} expected, got {out!r}", param_hint="--out")
    console.check_writable(out, "--out")
    console.check_writable(json_target, "--json")
    console.require("demo", "sklearn", "matplotlib")

    from . import plot, report, run

    results = console.results_console(json_target)
    with _one_blas_thread(), console.progress() as bar:
        task = bar.add_task("training", total=options.rounds, stage="")
        outcome = run.run(options, lambda done, doing: bar.update(task, completed=done, stage=doing))
    try:
        # Files first: the reader of the tables may leave early, as `head` does.
        plot.write(outcome, out)
        console.write_json(report.document(outcome), json_target)
        report.print_all(results, outcome)
        results.print(f"picture: {out}", style="dim", markup=False, soft_wrap=True)
    finally:
        # Told whatever became of the tables.
        if outcome.failed:
            raise console.CheckFailed("; ".join(f"{c.promise} ({c.detail})" for c in outcome.failed))


@contextlib.contextmanager
def _one_blas_thread() -> Iterator[None]:
    """Matrices of 64 x 32 are multiplied faster by one thread than by several that wait for each other."""
    # A dependency of scikit-learn; it ships no types.
    from threadpoolctl import threadpool_limits  # type: ignore[import-untyped]

    with threadpool_limits(limits=1, user_api="blas"):
        yield

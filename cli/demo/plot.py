"""The picture of a run: accuracy of both trainings, bytes and time by stage."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Final

from ..console import atomic_file
from .report import ROLES, per_client, roles, who
from .run import Outcome

if TYPE_CHECKING:
    from matplotlib.axes import Axes

# Colour-blind safe (Okabe and Ito); the accuracies differ in width, marker and dash as well.
_PRIVATE: Final = "#0072B2"
_PLAIN: Final = "#E69F00"
_EVERYONE: Final = "#777777"
_COLOURS: Final = dict(zip(ROLES, ("#0072B2", "#D55E00", "#009E73", "#999999"), strict=True))


def write(outcome: Outcome, path: str | Path) -> None:
    """Draw a run and write the picture, whole or not at all.

    Args:
        outcome: Of at least one round.
        path: File to write; its ending decides the format.
    """
    # The object interface without pyplot: no display and no global state; the ending of the file
    # decides the canvas (Agg for PNG).
    from matplotlib.figure import Figure
    from matplotlib.patches import Patch

    figure = Figure(figsize=(11, 8.5), dpi=130)
    figure.set_layout_engine("constrained", w_pad=0.15, h_pad=0.12)
    grid = figure.add_gridspec(2, 2, height_ratios=(1.0, 1.15))
    _accuracy(figure.add_subplot(grid[0, :]), outcome)
    stages = per_client(outcome)
    # A stage without bytes keeps its row, so that the rows of both panels are level.
    sized = [(name, n_bytes / 1024) for name, _, n_bytes in stages]
    _bars(figure.add_subplot(grid[1, 0]), sized, "KiB", "Bytes by stage")
    timed = [(name, 1e3 * seconds) for name, seconds, _ in stages]
    _bars(figure.add_subplot(grid[1, 1]), timed, "ms", "Time by stage")
    # One legend for both, below them: bars may reach into any corner of the axes.
    figure.legend(
        handles=[Patch(color=_COLOURS[role], label=role) for role in roles(outcome)],
        loc="outside lower center",
        ncols=len(ROLES),
        frameon=False,
    )
    options = outcome.options
    figure.suptitle(
        f"Private federated averaging: {options.clients} clients, {options.rounds} rounds, "
        f"{outcome.n_parameters:,} parameters, seed {options.seed}",
        fontsize=13,
        fontweight="bold",
    )
    with atomic_file(path) as temporary:
        figure.savefig(temporary)


def _accuracy(axes: Axes, outcome: Outcome) -> None:
    numbers = [r.number for r in outcome.rounds]
    last = outcome.rounds[-1]
    axes.plot(
        numbers,
        [100 * r.everyone for r in outcome.rounds],
        color=_EVERYONE,
        linestyle=":",
        linewidth=1.5,
        label=f"plain FedAvg, all clients, nothing lost ({100 * last.everyone:.1f} %)",
    )
    axes.plot(
        numbers,
        [100 * r.plain for r in outcome.rounds],
        color=_PLAIN,
        linewidth=5,
        alpha=0.45,
        label=f"plain FedAvg, same clients ({100 * last.plain:.1f} %)",
    )
    axes.plot(
        numbers,
        [100 * r.private for r in outcome.rounds],
        color=_PRIVATE,
        linestyle="--",
        marker="o",
        markersize=5,
        label=f"private, with losses and attacks ({100 * last.private:.1f} %)",
    )
    axes.set_title("Accuracy on the test images", loc="left")
    axes.set_xlabel("round")
    axes.set_ylabel("%")
    if len(numbers) <= 25:
        axes.set_xticks(numbers)
    axes.set_ylim(top=100)
    axes.grid(alpha=0.3)
    axes.legend(loc="lower right", frameon=False)
    axes.spines[["top", "right"]].set_visible(False)


def _bars(axes: Axes, values: list[tuple[str, float]], unit: str, title: str) -> None:
    names = [name for name, _ in values]
    colours = [_COLOURS[who(name)] for name in names]
    bars = axes.barh(names, [value for _, value in values], color=colours)
    axes.bar_label(bars, labels=[_short(value) for _, value in values], padding=3, fontsize=9)
    axes.invert_yaxis()  # first stage on top
    axes.margins(x=0.14, y=0.02)  # room for the labels at the ends of the bars
    axes.set_xlim(left=0)
    axes.set_title(f"{title} (one client, one round)", loc="left")
    axes.set_xlabel(unit)
    axes.spines[["top", "right"]].set_visible(False)


def _short(value: float) -> str:
    """Three figures at most; nothing for nothing."""
    if value == 0:
        return ""
    return f"{value:.0f}" if value >= 100 else f"{value:.1f}" if value >= 1 else f"{value:.2f}"

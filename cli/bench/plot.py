"""A run as a picture: a row a measurement, a mark for us and for everybody beside us.

Bytes are drawn as a rate, everything else as the time for one unit; both on logarithmic axes, because what is
compared differs by orders of magnitude.  Drawn from the JSON document, so that an old run can be drawn too.
"""

from __future__ import annotations

import textwrap
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from ..console import atomic_file
from .areas import Area
from .record import UNKNOWN
from .report import describe, duration

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

# Colour-blind safe (Okabe and Ito); marks differ in form as well.
_OURS: Final = "#0072B2"
_OTHERS: Final = (("#D55E00", "D"), ("#E69F00", "s"), ("#009E73", "^"), ("#CC79A7", "v"), ("#56B4E9", "P"))
_OWN_WAYS: Final = (("#777777", "x"), ("#777777", "+"), ("#777777", "1"))
_QUIET: Final = "#666666"
_LINE: Final = "#DDDDDD"

# What goes on one axis, by the unit of the work; everything else is in few numbers a call.
_KINDS: Final = {
    "parameter": "time for one parameter (left is faster)",
    "": "time for one {} (left is faster)",
    "byte": "MB/s (right is faster)",
}

# Inches.  A column is so narrow that its letters can still be read where a telephone shows it whole; so names
# stand above their marks, not beside them.
_WIDTH: Final = 5.2
_SIDE: Final = 0.25
_NAME: Final = 0.27
_SIZE: Final = 0.155
_MARKS: Final = 0.3
_TICKS: Final = 0.33
_TITLE: Final = 0.2
"""A line of a title, of a legend, or of the head."""

_SIZE_LETTERS: Final = 67
_TITLE_LETTERS: Final = 46
_HEAD_LETTERS: Final = 62
"""So many stand in a line."""

_LEGEND_LETTER: Final = 0.083
_LEGEND_MARK: Final = 0.4
"""Inches of a legend: a letter, and a mark with the room around it."""

_FONTS: Final = ["DejaVu Sans", "Verdana", "Arial", "sans-serif"]
"""For a picture with letters; what reads it may have others than what drew it."""

_FEW_LABELS: Final = 100
"""Times from one end of an axis to the other, below which labels at decades are too few."""


@dataclass(frozen=True, slots=True)
class _Mark:
    """One figure: its value on the axis and the quartiles, in order."""

    value: float
    low: float
    high: float


@dataclass(frozen=True, slots=True)
class _Row:
    """One measurement: ours first, then others by name."""

    name: str
    size: str
    told: str
    ours: _Mark
    peers: Mapping[str, _Mark]
    ways: Mapping[str, _Mark]

    @property
    def height(self) -> float:
        """Inches."""
        return _NAME + _SIZE * (1 + self.size.count("\n")) + _MARKS


@dataclass(frozen=True, slots=True)
class _Panel:
    """Rows of one axis."""

    title: str
    is_rate: bool
    rows: Sequence[_Row]

    @property
    def heading(self) -> str:
        """The title in lines."""
        return textwrap.fill(self.title, _TITLE_LETTERS)

    @property
    def above(self) -> float:
        """Inches from the top to the rows."""
        return _TITLE * (1.6 + self.heading.count("\n"))

    @property
    def rows_height(self) -> float:
        """Inches of all rows."""
        return sum(row.height for row in self.rows)

    @property
    def others(self) -> Sequence[str]:
        """Who is beside us, in the order of coming."""
        return tuple(dict.fromkeys(name for row in self.rows for name in (*row.peers, *row.ways)))

    @property
    def legend_columns(self) -> int:
        """As many as fit."""
        widest = max(map(len, ("sottovoce", *self.others))) * _LEGEND_LETTER + _LEGEND_MARK
        return max(1, min(3, int((_WIDTH - 2 * _SIDE) / widest)))

    @property
    def height(self) -> float:
        """Inches."""
        lines = -(-(1 + len(self.others)) // self.legend_columns)
        return self.above + self.rows_height + _TICKS + _TITLE * (lines + 0.9)


def write(
    document: Mapping[str, Any],
    path: str | Path,
    areas: Sequence[Area] = Area.ALL.members,
    metadata: Mapping[str, Any] | None = None,
) -> None:
    """Draw a run and write the picture, whole or not at all.

    Args:
        document: As :func:`.record.document` makes it.
        path: File to write; its ending decides the format.
        areas: What of it; at least one measurement is of them.
        metadata: For the file, as matplotlib takes it.
    """
    import matplotlib as mpl

    # Letters as letters: smaller, and can be searched.  The salt and no date make equal files of equal runs.
    with (
        mpl.rc_context({"svg.hashsalt": "sottovoce", "svg.fonttype": "none", "font.sans-serif": _FONTS}),
        atomic_file(path) as temporary,
    ):
        plain = {"Date": None} if Path(path).suffix.lower() == ".svg" else {}
        figure(document, areas).savefig(temporary, dpi=120, metadata={**plain, **(metadata or {})})


def figure(document: Mapping[str, Any], areas: Sequence[Area] = Area.ALL.members) -> Figure:
    """The picture; see :func:`write`."""
    # The object interface without pyplot: no display, no global state.
    from matplotlib.figure import Figure

    # A column an area.
    columns = [column for area in areas if (column := list(_panels(document, area)))]
    width = _WIDTH * len(columns)
    head = textwrap.fill(_title(document), _HEAD_LETTERS * len(columns))
    below_head = _TITLE * (2 + head.count("\n"))
    height = below_head + max(sum(panel.height for panel in column) for column in columns)
    made = Figure(figsize=(width, height), facecolor="white")
    for i, column in enumerate(columns):
        top = height - below_head
        for panel in column:
            left, bottom = _WIDTH * i + _SIDE, top - panel.above - panel.rows_height
            across = _WIDTH - 2 * _SIDE
            axes = made.add_axes((left / width, bottom / height, across / width, panel.rows_height / height))
            _draw(axes, panel)
            top -= panel.height
    made.text(_SIDE / width, 1 - 0.12 / height, head, va="top", fontsize=9.5, color=_QUIET)
    return made


def _title(document: Mapping[str, Any]) -> str:
    card = document["machine"]
    threads = document.get("threads", 1)
    with_threads = f", {threads} threads" if threads > 1 else ""
    return (
        f"sottovoce {card['sottovoce']} on {card['cpu']}, kernels up to {card['ceiling']}{with_threads}. "
        "Medians; lines: quartiles."
    )


# -- what is drawn ----------------------------------------------------------------------------------


def _panels(document: Mapping[str, Any], area: Area) -> Iterator[_Panel]:
    results = [result for result in document["results"] if result["area"] == area]
    by_kind: dict[str, list[Mapping[str, Any]]] = {kind: [] for kind in _KINDS}
    for result in results:
        unit = str(result["work"]["unit"]).partition(" of ")[0]
        by_kind[unit if unit in _KINDS else ""].append(result)
    for kind, of in by_kind.items():
        if of:
            units = ", ".join(dict.fromkeys(str(result["work"]["unit"]) for result in of))
            is_rate = kind == "byte"
            yield _Panel(
                f"{area}: {_KINDS[kind].format(units)}", is_rate, [_row(result, is_rate) for result in of]
            )


def _row(result: Mapping[str, Any], is_rate: bool) -> _Row:
    amount, unit = result["work"]["amount"], result["work"]["unit"]
    ours = _mark(result["seconds"], amount, is_rate)
    told = f"{ours.value:,.0f} MB/s" if is_rate else f"{duration(ours.value)}/{unit}"
    peers = {
        " ".join(filter(None, (peer["distribution"], _version(peer), peer["note"]))): _mark(
            peer["seconds"], peer["amount"], is_rate
        )
        for peer in result["peers"]
        if peer["installed"]
    }
    ways = {other["name"]: _mark(other["seconds"], amount, is_rate) for other in result["alternatives"]}
    size = describe(result["size"]) + (
        f", {result['threads']} threads" if result.get("threads", 1) > 1 else ""
    )
    return _Row(result["name"], textwrap.fill(size, _SIZE_LETTERS), told, ours, peers, ways)


def _version(peer: Mapping[str, Any]) -> str:
    """Empty for one that was built without saying which it is."""
    return "" if peer["version"] == UNKNOWN else str(peer["version"])


def _mark(seconds: Mapping[str, float], amount: int, is_rate: bool) -> _Mark:
    median, low, high = (seconds[name] / amount for name in ("median", "low", "high"))
    return _Mark(1e-6 / median, 1e-6 / high, 1e-6 / low) if is_rate else _Mark(median, low, high)


# -- drawing ----------------------------------------------------------------------------------------


def _draw(axes: Axes, panel: _Panel) -> None:
    styles = {"sottovoce": (_OURS, "o")}
    styles |= _styles([name for row in panel.rows for name in row.peers], _OTHERS)
    styles |= _styles([name for row in panel.rows for name in row.ways], _OWN_WAYS)
    top = 0.0  # the vertical axis counts inches, downwards
    for row in panel.rows:
        if top:
            axes.axhline(top, color=_LINE, linewidth=0.6, zorder=0)
        y = top + row.height - 0.5 * _MARKS
        marks = {"sottovoce": row.ours, **row.peers, **row.ways}
        ends = [mark.value for mark in marks.values()]
        axes.plot([min(ends), max(ends)], [y, y], color=_LINE, linewidth=1.2, zorder=1)
        # Ours last, so that it lies above.
        for name, mark in reversed(marks.items()):
            colour, form = styles[name]
            axes.plot([mark.low, mark.high], [y, y], color=colour, linewidth=2.5, alpha=0.5, zorder=2)
            axes.plot([mark.value], [y], color=colour, marker=form, markersize=7, linestyle="", zorder=3)
        text: dict[str, Any] = {"transform": axes.get_yaxis_transform(), "clip_on": False}
        middle = top + 0.55 * _NAME
        axes.text(0, middle, row.name, ha="left", va="center", fontsize=10, **text)
        axes.text(1, middle, row.told, ha="right", va="center", fontsize=10, color=_OURS, **text)
        small: dict[str, Any] = {"fontsize": 8.5, "linespacing": 1.05, "color": _QUIET, **text}
        axes.text(0, top + _NAME, row.size, ha="left", va="top", **small)
        top += row.height
    axes.set_xscale("log")
    _widen(axes)
    axes.set_ylim(top, 0)
    axes.set_yticks([])
    axes.xaxis.set_major_formatter(_rate if panel.is_rate else _time)
    axes.xaxis.set_minor_formatter("")
    axes.grid(axis="x", color="#EEEEEE")
    axes.set_axisbelow(True)
    axes.spines[["top", "right", "left"]].set_visible(False)
    axes.tick_params(labelsize=9)
    axes.set_title(panel.heading, loc="left", fontsize=10.5, fontweight="bold", pad=5)
    for name, (colour, form) in styles.items():
        axes.plot([], [], color=colour, marker=form, linestyle="", label=name)
    axes.legend(
        loc="upper left",
        bbox_to_anchor=(0, 0),
        bbox_transform=axes.transAxes,
        borderaxespad=2.2,
        borderpad=0,
        ncols=panel.legend_columns,
        fontsize=9,
        frameon=False,
        columnspacing=1.2,
        handletextpad=0.2,
    )


def _styles(names: list[str], styles: Sequence[tuple[str, str]]) -> dict[str, tuple[str, str]]:
    """One style a name, in the order of their coming; after the last the first again."""
    return {name: styles[i % len(styles)] for i, name in enumerate(dict.fromkeys(names))}


def _widen(axes: Axes) -> None:
    """Room on both sides where there is less than a decade, and then more labels than those of decades."""
    from matplotlib.ticker import LogLocator

    low, high = axes.get_xlim()
    if high / low < _FEW_LABELS:
        middle = (low * high) ** 0.5
        axes.set_xlim(min(low, middle / 4), max(high, middle * 4))
        axes.xaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))


def _time(seconds: float, _: object = None) -> str:
    return duration(seconds)


def _rate(megabytes: float, _: object = None) -> str:
    return f"{megabytes:,.0f}" if megabytes >= 1 else f"{megabytes:g}"

"""Tables that stay readable in a narrow terminal: spare columns go, words wrap, nothing is cut off."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Final, NamedTuple

from rich import box
from rich.cells import cell_len
from rich.console import Console
from rich.table import Table
from rich.text import Text

# The frame of rich's SIMPLE_HEAD, of which only the line below the headings can be seen, in plain signs;
# by itself rich would draw a fence around every cell.
_PLAIN_HEAD: Final = box.Box("    \n    \n -- \n    \n    \n    \n    \n    \n", ascii=True)

# One blank of padding and one for the frame; the frame also has one at either edge.
_GAP: Final = 2
_EDGES: Final = 2


@dataclass(frozen=True, slots=True)
class Column:
    """A column of numbers, or of words.

    Attributes:
        heading: May have several lines.
        least: None for numbers, which are aligned to the right and never broken; for words, the
            width that is left to them at least before a spare column goes.
        spare: 0 for a column that always stays; of the others the highest goes first.
        style: As rich has it.
    """

    heading: str
    least: int | None = None
    spare: int = 0
    style: str | None = None


def print_table(
    console: Console,
    columns: Sequence[Column],
    rows: Iterable[Sequence[str] | None],
    *,
    title: str | None = None,
) -> tuple[str, ...]:
    """Print a table, without as many of its spare columns as the console is too narrow for.

    Args:
        console: Where to.
        columns: From left to right.
        rows: Cells, with rich's markup; missing ones are empty.  None: a new section begins.
        title: Stands above.

    Returns:
        The headings of the columns that were printed.
    """
    rows = list(rows)
    widths = [_widths(column, i, rows) for i, column in enumerate(columns)]
    kept = set(range(len(columns)))
    for goes in sorted((i for i in kept if columns[i].spare), key=lambda i: -columns[i].spare):
        if _total(widths[i].comfortable for i in kept) <= console.width:
            break
        kept.remove(goes)
    order = sorted(kept)
    fits = _total(widths[i].possible for i in kept) <= console.width
    table = Table(
        title=title,
        title_justify="left",
        title_style="bold not italic",
        box=_PLAIN_HEAD if console.options.ascii_only else box.SIMPLE_HEAD,
        padding=(0, _GAP - 1, 0, 0),
        pad_edge=False,
    )
    for i in order:
        numbers = columns[i].least is None
        table.add_column(
            columns[i].heading,
            justify="right" if numbers else "left",
            style=columns[i].style,
            # Narrower than everything that could go: then numbers are broken as well, but not cut.
            no_wrap=numbers and fits,
            overflow="fold",
        )
    for row in rows:
        if row is None:
            table.add_section()
        else:
            table.add_row(*(row[i] if i < len(row) else "" for i in order))
    console.print(table)
    return tuple(columns[i].heading for i in order)


class _Widths(NamedTuple):
    """What a column asks for before a spare one goes, and what it can do with without a broken word."""

    comfortable: int
    possible: int


def _widths(column: Column, index: int, rows: Iterable[Sequence[str] | None]) -> _Widths:
    cells = [Text.from_markup(row[index]).plain for row in rows if row is not None and index < len(row)]
    lines = [line for text in (column.heading, *cells) for line in text.splitlines()]
    natural = max(map(cell_len, lines), default=0)
    if column.least is None:
        return _Widths(natural, natural)
    word = max((cell_len(word) for line in lines for word in line.split()), default=0)
    return _Widths(max(word, min(natural, column.least)), word)


def _total(widths: Iterable[int]) -> int:
    widths = list(widths)
    return sum(widths) + _GAP * (len(widths) - 1) + _EDGES

"""``sottovoce bench --compare``: two documents of ``--json``, measurement by measurement."""

from __future__ import annotations

import json
import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, NoReturn

from rich.console import Console
from rich.markup import escape

from .. import console, plainjson
from ..tables import Column, print_table
from .areas import Area
from .record import SCHEMA
from .report import describe, duration

COMPARISON_SCHEMA: Final = "sottovoce-bench-comparison/1"

_HINT: Final = "compare files that sottovoce bench --json has written"


@dataclass(frozen=True, slots=True)
class Entry:
    """What a document says of one measurement, or of one of its peers.

    Attributes:
        area: Of the measurement.
        name: Of the measurement, or of the peer.
        size: Of the input, for people.
        subject: Size of the input and work of a call; two entries are compared only where they agree.
        seconds: Median for one call.
        low: First quartile.
        high: Third quartile.
        peers: By title.
    """

    area: str
    name: str
    size: str
    subject: str
    seconds: float
    low: float
    high: float
    peers: Mapping[str, Entry]

    @property
    def id(self) -> str:
        """``area: name``."""
        return f"{self.area}: {self.name}"


@dataclass(frozen=True, slots=True)
class Document:
    """A run.

    Attributes:
        path: Of its file.
        header: The document without its results.
        entries: By id, in order.
    """

    path: str
    header: Mapping[str, Any]
    entries: Mapping[str, Entry]


@dataclass(frozen=True, slots=True)
class Pair:
    """The same thing in both runs."""

    old: Entry
    new: Entry

    @property
    def ratio(self) -> float:
        """How many times longer it takes in the new run."""
        return self.new.seconds / self.old.seconds

    @property
    def within_spread(self) -> bool:
        """Whether the quartiles overlap: the difference may be none."""
        return self.old.low <= self.new.high and self.new.low <= self.old.high


def main(old: str, new: str, area: Area, fail_over: float | None, json_target: str | None) -> None:
    """Compare two runs and show the ratios.

    Args:
        old: File of the run before.
        new: File of the run after.
        area: What of them.
        fail_over: Most that a ratio may be; None: anything.
        json_target: File for the comparison, ``-`` for stdout, or None.

    Raises:
        typer.BadParameter: The file cannot be written.
        Refused: A file is no document of this schema, or they have nothing in common.
        CheckFailed: Something got slower by more than ``fail_over``, and its quartiles do not overlap.
        OSError: A file cannot be read.
    """
    console.check_writable(json_target, "--json")
    before, after = read(old), read(new)
    pairs = list(_pairs(before, after, area))
    if not pairs:
        raise console.Refused(f"{old} and {new} have no measurement of {area} in common", _HINT)
    slower = [
        pair for pair in pairs if fail_over is not None and pair.ratio > fail_over and not pair.within_spread
    ]
    console.write_json(_comparison(before, after, pairs, fail_over), json_target)
    _show(console.results_console(json_target), before, after, pairs, area)
    if slower:
        worst = ", ".join(f"{pair.new.id}: {pair.ratio:.2f}" for pair in slower)
        raise console.CheckFailed(
            f"{len(slower)} of {len(pairs)} take more than {fail_over:g} times as long: {worst}"
        )


# -- reading ----------------------------------------------------------------------------------------


def read(path: str) -> Document:
    """A document of ``--json``.

    Args:
        path: Its file.

    Raises:
        Refused: Not JSON, of another schema, or not as that schema has it.
        OSError: It cannot be read.
    """
    try:
        document = plainjson.loads(Path(path).read_bytes())
    except ValueError:
        _refuse(path, "not a JSON document")
    if not isinstance(document, dict) or not isinstance(document.get("schema"), str):
        _refuse(path, f"no schema in it, {SCHEMA!r} expected")
    if document["schema"] != SCHEMA:
        raise console.Refused(
            f"{path}: schema {document['schema'][:80]!r}, {SCHEMA!r} expected",
            "compare it with the version of sottovoce that wrote it, or measure again with this one",
        )
    try:
        found = [_entry(result) for result in document["results"]]
        header = {**document, "results": None, "machine": dict(document["machine"])}
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        _refuse(path, f"not complete, or changed: {type(error).__name__} {error}")
    entries = {entry.id: entry for entry in found}
    if len(entries) != len(found):
        _refuse(path, "a measurement is in it twice")
    return Document(path, header, entries)


def _refuse(path: str, reason: str) -> NoReturn:
    raise console.Refused(f"{path}: {reason}", _HINT)


def _entry(result: Mapping[str, Any]) -> Entry:
    size, work = dict(result["size"]), dict(result["work"])
    # Times by another clock are of another thing.
    subject = json.dumps(
        [size, work["amount"], work["unit"], result.get("clock", "processor")], sort_keys=True
    )
    area, name = str(result["area"]), str(result["name"])
    peers = {}
    for peer in result["peers"]:
        if peer["installed"]:
            title = " ".join(filter(None, (str(peer["distribution"]), str(peer["note"]))))
            its = f"{subject} {peer['amount']}"
            peers[title] = Entry(area, title, "", its, *_seconds(peer["seconds"]), {})
    return Entry(area, name, describe(size), subject, *_seconds(result["seconds"]), peers)


def _seconds(of: Mapping[str, Any]) -> tuple[float, float, float]:
    median, low, high = (float(of[name]) for name in ("median", "low", "high"))
    if not (0 < low <= median <= high and math.isfinite(high)):
        raise ValueError(f"median {median}, quartiles {low} and {high}")
    return median, low, high


# -- comparing --------------------------------------------------------------------------------------


def _pairs(old: Document, new: Document, area: Area) -> Iterable[Pair]:
    for name, entry in new.entries.items():
        before = old.entries.get(name)
        if before is not None and before.subject == entry.subject and entry.area in area.members:
            yield Pair(before, entry)


def _comparison(
    old: Document, new: Document, pairs: Sequence[Pair], fail_over: float | None
) -> dict[str, Any]:
    return {
        "schema": COMPARISON_SCHEMA,
        "old": old.path,
        "new": new.path,
        "fail_over": fail_over,
        "differences": list(_differences(old, new)),
        "results": [
            {
                "area": pair.new.area,
                "name": pair.new.name,
                "old": pair.old.seconds,
                "new": pair.new.seconds,
                "ratio": pair.ratio,
                "within_spread": pair.within_spread,
            }
            for pair in pairs
        ],
    }


def _differences(old: Document, new: Document) -> Iterable[str]:
    """In what else the runs differ: a ratio may be that of two machines."""
    for name in ("cpu", "cores", "system", "python", "compiler", "ceiling", "kernels", "group"):
        before, after = old.header["machine"].get(name), new.header["machine"].get(name)
        if before != after:
            yield f"{name}: {_said(before)} before, {_said(after)} now"
    for name, usual in (("quick", False), ("threads", 1)):
        before, after = old.header.get(name, usual), new.header.get(name, usual)
        if before != after:
            yield f"{name}: {_said(before)} before, {_said(after)} now"


def _said(value: object) -> str:
    if isinstance(value, Mapping):
        return ", ".join(f"{key} {each}" for key, each in sorted(value.items()))
    return {True: "yes", False: "no"}.get(value, str(value)) if isinstance(value, bool) else str(value)


def _show(to: Console, old: Document, new: Document, pairs: Sequence[Pair], area: Area) -> None:
    for document, word in ((old, "old"), (new, "new")):
        card = document.header["machine"]
        commit = f" (commit {card['commit']})" if card.get("commit") else ""
        line = f"{word}: {document.path}, {document.header.get('created')}, sottovoce {card.get('sottovoce')}"
        to.print(console.printable(line + commit), markup=False, soft_wrap=True)
    for difference in _differences(old, new):
        to.print(console.printable(f"differs: {difference}"), markup=False, soft_wrap=True)
    columns = [
        Column("measurement", least=20),
        Column("old"),
        Column("new"),
        Column("times\nold"),
        Column("", spare=1),
    ]
    rows: list[tuple[str, ...] | None] = []
    shown = None
    for pair in pairs:
        if pair.new.area != shown:
            rows += [None] * (shown is not None) + [(f"[bold]{escape(pair.new.area)}[/]",)]
            shown = pair.new.area
        name, size = (escape(console.printable(text)) for text in (pair.new.name, pair.new.size))
        rows.append((f"{name}\n[dim]{size}[/]", *_cells(pair)))
        for title, entry in pair.new.peers.items():
            before = pair.old.peers.get(title)
            if before is not None and before.subject == entry.subject:
                cells = (f"  {escape(console.printable(title))}", *_cells(Pair(before, entry)))
                rows.append(tuple(f"[dim]{cell}[/]" for cell in cells))
    print_table(to, columns, rows)
    mean = math.exp(sum(math.log(pair.ratio) for pair in pairs) / len(pairs))
    to.print(f"{len(pairs)} compared; geometric mean of times old: {mean:.2f}")
    legend = "times old: time now over time then, above 1 is slower; ~: the quartiles of both overlap"
    to.print(f"[dim]{legend}; indented: peers, which tell how the machine itself changed[/]")
    for word, here, there in (("new", new, old), ("old", old, new)):
        names = [
            entry.id
            for entry in here.entries.values()
            if entry.area in area.members
            and (entry.id not in there.entries or there.entries[entry.id].subject != entry.subject)
        ]
        if names:
            line = f"only in {word}, or of another size: {'; '.join(names)}"
            to.print(console.printable(line), markup=False)


def _cells(pair: Pair) -> tuple[str, str, str, str]:
    mark = "~" if pair.within_spread else "slower" if pair.ratio > 1 else "faster"
    return duration(pair.old.seconds), duration(pair.new.seconds), f"{pair.ratio:.2f}", mark

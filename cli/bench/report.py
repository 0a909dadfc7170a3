"""Results of a run as tables for people."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from typing import Final

from rich.console import Console

from ..._ext import kernel
from .. import machine
from ..console import install_hint
from ..tables import Column, print_table
from .harness import Timing
from .measurement import Work
from .record import UNKNOWN, LeftOut, version_of
from .results import PeerResult, Result


def print_card(console: Console, card: machine.Card, load: float | None = None) -> None:
    """The machine in a few lines.

    Args:
        console: Where to.
        card: The machine.
        load: How many processes ran or waited before; None: not known.
    """
    commit = f" (commit {card['commit']})" if card["commit"] else ""
    busy = "" if load is None else f", load {load:.1f}"
    kernels = ", ".join(f"{name} {backend}" for name, backend in sorted(card["kernels"].items()))
    versions = ", ".join(f"{name} {version}" for name, version in card["dependencies"].items())
    console.print(f"[bold]sottovoce {card['sottovoce']}[/]{commit}", soft_wrap=True)
    for name, text in (
        ("machine", f"{card['cpu']}, {card['cores']} cores{busy}, {card['system']}"),
        ("flags", " ".join(card["flags"]) or "none that a kernel could use"),
        ("kernels", f"{kernels} (ceiling {card['ceiling']} of {', '.join(card['levels'])})"),
        ("group", card["group"]),
        ("compiler", card["compiler"]),
        ("with", f"{card['python']}, {versions}"),
    ):
        console.print(f"  {name:<9}{text}", markup=False, soft_wrap=True)
    if load is not None and load > _BUSY * card["cores"]:
        console.print("Other programs keep this machine busy: figures will come out too slow.", markup=False)
    console.print()


_BUSY: Final = 0.5
"""Of the cores; from there on other programs' work shows in the figures."""


_TO_PARTS: Final = "times\nits parts"


def print_results(console: Console, results: Sequence[Result]) -> None:
    """One row a measurement; its peers below it, with how many times longer they take."""
    columns = [
        Column("measurement", least=20),
        Column("median"),
        Column("spread", spare=1),
        Column("n", spare=3),
        Column("rate"),
    ]
    compared = any(result.peers or result.alternatives for result in results)
    split = any(result.parts for result in results)
    sized = any(result.n_bytes is not None for result in results)
    if sized:
        columns.append(Column("size", spare=2))
    if compared:
        columns.append(Column("times\nours"))
    if split:
        columns.append(Column(_TO_PARTS, spare=4))  # --parts tells it, too
    rows: list[tuple[str, ...] | None] = []
    area = None
    for result in results:
        m = result.measurement
        if m.area is not area:
            if area is not None:
                rows.append(None)
            rows.append((f"[bold]{m.area}[/]",))
            area = m.area
        own = [f"{m.name}\n[dim]{describe(m.size)}[/]", *_cells(result.timing, m.work)]
        own += [size_of_unit(result.n_bytes, m.work)] * sized
        if result.to_parts is not None:
            own += [""] * compared + [f"{result.to_parts.median:.2f}"]
        rows.append(tuple(own))
        below = [_peer_cells(other, result, sized) for other in result.peers]
        below += _alternative_cells(result, sized)
        rows += [tuple(f"[dim]{cell}[/]" for cell in cells) for cells in below]
    headings = print_table(console, columns, rows)
    for line in _legend(results, headings, compared=compared):
        console.print(f"[dim]{line}[/]")
    for lacks in dict.fromkeys(other.peer.lacks for r in results for other in r.peers if other.peer.lacks):
        console.print(lacks, markup=False)
    if any(result.aim_of(other) is not None for result in results for other in result.peers):
        console.print(_which_aims(results), markup=False)
    for result in results:
        for held in result.held:
            console.print(f"aim held: {result.measurement.id}: {held}", markup=False)
        for missed in result.missed:
            console.print(f"aim missed: {result.measurement.id}: {missed}", markup=False)
    for line in _missing(results):
        console.print(line, markup=False, soft_wrap=True)


def _legend(results: Sequence[Result], headings: Sequence[str], *, compared: bool) -> Iterable[str]:
    """What the columns that were printed say."""
    spread = "spread" in headings
    yield "median of n samples for one call" + (
        "; spread: distance of the quartiles, relative to the median" if spread else ""
    )
    counted = {result.measurement.work.unit.partition(" of ")[2] for result in results} - {""}
    if counted:
        yield f"MB/s: 10^6 bytes a second of what is named, and of nothing else: {', '.join(sorted(counted))}"
    if any(result.measurement.work.unit == "parameter" for result in results):
        made = ", and bytes that it makes," if "size" in headings else ""
        yield f"/parameter: time of a call{made} for one parameter of the model"
    if compared:
        yield "times ours: how many times longer the other one takes for as much work"
    if _TO_PARTS in headings:
        yield "parts: the primitives that the work is made of, each timed alone (--parts lists them)"
    walls = [result for result in results if result.wall]
    if walls:
        rest = "; the others: processor time of one core" if len(walls) < len(results) else ""
        yield f"by the clock of the wall: {_summary(results, walls)}{rest}"
    elif results:
        yield "processor time of one core"


def _summary(results: Sequence[Result], some: Sequence[Result]) -> str:
    """Names of some of the results; a whole area by its own name."""
    named = []
    for area in dict.fromkeys(result.measurement.area for result in some):
        of = [result.measurement for result in some if result.measurement.area is area]
        whole = len(of) == sum(result.measurement.area is area for result in results)
        named += [f"all of {area}"] if whole else [m.id for m in of]
    return ", ".join(named)


def _missing(results: Sequence[Result]) -> Iterable[str]:
    """A line for every way to get peers that are not installed."""
    missing = [other.peer for result in results for other in result.peers if other.timing is None]
    for extra in sorted({peer.extra for peer in missing if not peer.install}):
        names = dict.fromkeys(
            peer.distribution for peer in missing if peer.extra == extra and not peer.install
        )
        yield f"not installed: {', '.join(names)}; come with: {install_hint(extra)}"
    for name, line in sorted({(peer.distribution, peer.install) for peer in missing if peer.install}):
        yield f"not installed: {name} comes with: {line}"


def print_left_out(console: Console, left_out: Sequence[LeftOut]) -> None:
    """What was not measured, and how to have it measured."""
    for reason, said in _REASONS.items():
        names = [m.id for m, why in left_out if why == reason]
        if len(names) > _MOST_NAMES:
            areas = Counter(str(m.area) for m, why in left_out if why == reason)
            counts = ", ".join(f"{n} of {area}" for area, n in areas.items())
            console.print(f"[dim]{said}: {counts}; the file of --json names them[/]")
        elif names:
            console.print(f"[dim]{said}: {'; '.join(names)}[/]")


_MOST_NAMES: Final = 8

_REASONS: Final = {
    "--quick": "left out by --quick",
    "time": "left out, because the half minute of --quick was over",
}


def _which_aims(results: Sequence[Result]) -> str:
    """Which line of the aims counts here."""
    level = next(result.level for result in results if any(map(result.aim_of, result.peers)))
    said = f"aims are those for {level} kernels"
    if "avx512" not in kernel.levels_available() or "avx512ifma" not in kernel.cpu_features():
        said += "; this processor lacks AVX-512 IFMA"
        said += ": they count" if level == "avx2" else ", so those for avx2 count, not these"
    return said


def _peer_cells(other: PeerResult, result: Result, sized: bool) -> tuple[str, ...]:
    times = result.times_faster(other)
    if other.timing is None or times is None:
        return (f"  {other.peer.distribution}: not installed",)
    work = result.work_of(other)
    size = [size_of_unit(other.n_bytes, work)] * sized
    version = version_of(other.peer.distribution)
    # One that was built without its metadata does not say which it is.
    named = other.peer.distribution + (f" {version}" if version != UNKNOWN else "")
    note = f" ({other.peer.note})" if other.peer.note else ""
    return (f"  {named}{note}", *_cells(other.timing, work), *size, f"{times:.1f}")


def _alternative_cells(result: Result, sized: bool) -> list[tuple[str, ...]]:
    size = ("",) * sized
    return [
        (f"  {other.name}", *_cells(timing, result.measurement.work), *size, f"{1 / to.median:.1f}")
        for other, timing, to in zip(
            result.measurement.alternatives, result.alternatives, result.to_alternatives, strict=True
        )
    ]


def print_parts(console: Console, results: Sequence[Result]) -> None:
    """For every measurement that has them: its parts, how often, how long, and their share of the sum."""
    columns = [
        Column("part", least=20),
        Column("count"),
        Column("each"),
        Column("together"),
        Column("share", spare=1),
    ]
    rows: list[tuple[str, ...] | None] = []
    for result in results:
        parts, to = result.measurement.parts, result.to_parts
        if parts is None or to is None:
            continue
        together = [part.count * timing.median for part, timing in zip(parts.of, result.parts, strict=True)]
        if rows:
            rows.append(None)
        rows.append((f"[bold]{result.measurement.id}[/]",))
        rows += [
            (part.name, str(part.count), duration(t.median), duration(all_), f"{all_ / sum(together):.0%}")
            for part, t, all_ in zip(parts.of, result.parts, together, strict=True)
        ]
        aim = f", aim {parts.aim:g}" if parts.aim else ""
        rows.append(("sum", "", "", duration(sum(together)), ""))
        spread = f"quartiles {to.low:.2f} to {to.high:.2f}, {to.n} rounds{aim}"
        rows.append(
            (f"measured: {to.median:.2f} times the sum ({spread})", "", "", duration(result.timing.median))
        )
    print_table(console, columns, rows)


def describe(size: Mapping[str, int | str]) -> str:
    """The size of an input for people; names that end in ``_bytes`` get binary units."""
    parts = []
    for name, value in size.items():
        if isinstance(value, str):
            parts.append(value)
        elif name.endswith("_bytes"):
            what = name.removesuffix("_bytes")
            for shift, unit in ((20, "MiB"), (10, "KiB"), (0, "bytes")):
                if value >= 1 << shift and value % (1 << shift) == 0:
                    parts.append(f"{value >> shift} {unit} {what}")
                    break
        else:
            # A symbol of the mathematics, or a noun.
            noun = name.removesuffix("s") if value == 1 else name
            parts.append(f"{name}={value}" if len(name) == 1 else f"{value:,} {noun}")
    return ", ".join(parts)


def _cells(timing: Timing, work: Work) -> tuple[str, str, str, str]:
    return duration(timing.median), f"{timing.spread:.0%}", str(timing.n), rate(timing, work)


def size_of_unit(n_bytes: int | None, work: Work) -> str:
    """Bytes for one unit of work; empty where they were not told."""
    if n_bytes is None:
        return ""
    each = n_bytes / work.amount
    return f"{each:,.0f} B/{work.unit}" if each >= 100 else f"{each:.3g} B/{work.unit}"


def duration(seconds: float) -> str:
    """A time with three figures and its unit."""
    for scale, unit in ((1.0, "s"), (1e-3, "ms"), (1e-6, "µs")):
        if seconds >= scale:
            return (
                f"{seconds / scale:.3g} {unit}" if seconds < 100 * scale else f"{seconds / scale:.0f} {unit}"
            )
    return f"{seconds / 1e-9:.3g} ns"


def rate(timing: Timing, work: Work) -> str:
    """Bytes as MB (10^6) a second; of anything else that comes many to a call, the time for one."""
    unit, _, of_what = work.unit.partition(" of ")
    if unit == "byte":
        million = work.amount / timing.median / 1e6
        figures = f"{million:,.0f}" if million >= 10 else f"{million:.2g}"
        return f"{figures} MB/s" + (f" of {of_what}" if of_what else "")
    if work.amount == 1:
        return f"{1 / timing.median:,.0f} /s"
    return f"{duration(timing.median / work.amount)}/{work.unit}"

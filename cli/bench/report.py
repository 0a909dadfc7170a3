"""Results of a run: the table for people and the document for machines."""

from __future__ import annotations

import sys
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from importlib import metadata
from typing import Any, Final

from rich.console import Console

from ..._ext import kernel
from .. import machine
from ..console import install_hint, pip_line
from ..tables import Column, print_table
from .harness import Ratio, Timing, ratio
from .measurement import Measurement, Peer, Work

SCHEMA: Final = "sottovoce-bench/1"


@dataclass(frozen=True, slots=True)
class PeerResult:
    """A peer and its timing; None where it is not installed.

    Attributes:
        peer: Who.
        timing: Of ``peer.amount`` units, if that is said.
        n_bytes: Bytes that a call of it makes, where that was told.
    """

    peer: Peer
    timing: Timing | None
    n_bytes: int | None = None


@dataclass(frozen=True, slots=True)
class Result:
    """A measurement with its timing, and those of what it is compared with.

    Attributes:
        measurement: What was measured.
        timing: Its own.
        peers: As many as were asked for.
        alternatives: Timings of ``measurement.alternatives``, in order.
        parts: Timings of ``measurement.parts.of``, in order.
        n_bytes: Bytes that a call makes, where that was told.
        level: Level of the kernels in the run; decides which of a peer's aims counts.
    """

    measurement: Measurement
    timing: Timing
    peers: tuple[PeerResult, ...] = ()
    alternatives: tuple[Timing, ...] = ()
    parts: tuple[Timing, ...] = ()
    n_bytes: int | None = None
    level: str = "portable"

    @property
    def to_parts(self) -> Ratio | None:
        """How many times longer than its parts together; None without parts."""
        parts = self.measurement.parts
        if parts is None:
            return None
        counts = [part.count for part in parts.of]
        return ratio(self.timing, list(zip(counts, self.parts, strict=True)))

    @property
    def to_alternatives(self) -> list[Ratio]:
        """How many times longer than each alternative."""
        return [ratio(self.timing, [(1, timing)]) for timing in self.alternatives]

    def work_of(self, other: PeerResult) -> Work:
        """What one call of the peer does."""
        work = self.measurement.work
        return work if other.peer.amount is None else Work(other.peer.amount, work.unit)

    def times_faster(self, other: PeerResult) -> float | None:
        """How many times longer the peer takes for one unit; None where it is not installed."""
        if other.timing is None:
            return None
        work, theirs = self.measurement.work, self.work_of(other)
        return (other.timing.median / theirs.amount) / (self.timing.median / work.amount)

    def aim_of(self, other: PeerResult) -> float | None:
        """How many times faster than the peer the work should be with these kernels; None: no aim."""
        return other.peer.aims.get(self.level)

    @property
    def held(self) -> list[str]:
        """Every aim beside a peer that was reached, in words."""
        return [words for words, held in self._against_peers() if held]

    def _against_peers(self) -> Iterator[tuple[str, bool]]:
        for other in self.peers:
            times, aim = self.times_faster(other), self.aim_of(other)
            if times is not None and aim is not None:
                words = f"{times:.1f} times faster than {other.peer.title}, aim {aim:g} with {self.level}"
                yield words, times >= aim

    @property
    def missed(self) -> list[str]:
        """Every aim that was not reached, in words."""
        missed = [words for words, held in self._against_peers() if not held]
        parts, to_parts = self.measurement.parts, self.to_parts
        if parts is not None and to_parts is not None and parts.aim and to_parts.median > parts.aim:
            missed.append(f"{to_parts.median:.2f} times its parts, aim {parts.aim:g}")
        for other, to in zip(self.measurement.alternatives, self.to_alternatives, strict=True):
            if other.aim and to.median > other.aim:
                missed.append(f"{to.median:.2f} times {other.name!r}, aim {other.aim:g}")
        return missed


def print_card(console: Console, card: machine.Card) -> None:
    """The machine in three lines."""
    kernels = ", ".join(f"{name} {backend}" for name, backend in sorted(card["kernels"].items()))
    console.print(
        f"[bold]sottovoce {card['sottovoce']}[/] on {card['cpu']}, {card['cores']} cores, {card['system']}\n"
        f"kernels: {kernels} (ceiling {card['ceiling']}); group: {card['group']}; {card['compiler']}\n"
        f"{card['python']}, numpy {card['dependencies']['numpy']}, "
        f"cryptography {card['dependencies']['cryptography']}\n",
        soft_wrap=True,
    )


def print_results(console: Console, results: list[Result]) -> None:
    """One row a measurement; its peers below it, with how many times longer they take."""
    columns = [
        Column("measurement", least=20),
        Column("median"),
        Column("spread", spare=1),
        Column("n", spare=2),
        Column("rate"),
    ]
    compared = any(result.peers or result.alternatives for result in results)
    split = any(result.parts for result in results)
    sized = any(result.n_bytes is not None for result in results)
    if sized:
        columns.append(Column("size"))
    if compared:
        columns.append(Column("times\nours"))
    if split:
        columns.append(Column("times\nits parts"))
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
    if "spread" in headings:
        legend = "median of n samples; spread: distance of the quartiles, relative to the median"
        if split:
            legend += (
                "; parts: the primitives that the work is made of, each timed alone (--parts lists them)"
            )
        console.print(f"[dim]{legend}[/]")
    for lacks in dict.fromkeys(other.peer.lacks for r in results for other in r.peers if other.peer.lacks):
        console.print(lacks, markup=False)
    if any(result.aim_of(other) is not None for result in results for other in result.peers):
        console.print(_which_aims(results), markup=False)
    for result in results:
        for held in result.held:
            console.print(f"aim held: {result.measurement.id}: {held}", markup=False)
        for missed in result.missed:
            console.print(f"aim missed: {result.measurement.id}: {missed}", markup=False)
    missing = [other.peer for result in results for other in result.peers if other.timing is None]
    for extra in sorted({peer.extra for peer in missing if not peer.install}):
        console.print(
            f"peers that are not installed come with: {install_hint(extra)}", markup=False, soft_wrap=True
        )
    for name, line in sorted({(peer.distribution, peer.install) for peer in missing if peer.install}):
        console.print(f"{name} comes with: {line}", markup=False, soft_wrap=True)


def _which_aims(results: list[Result]) -> str:
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
    return (f"  {other.peer.title}", *_cells(other.timing, work), *size, f"{times:.1f}")


def _alternative_cells(result: Result, sized: bool) -> list[tuple[str, ...]]:
    size = ("",) * sized
    return [
        (f"  {other.name}", *_cells(timing, result.measurement.work), *size, f"{1 / to.median:.1f}")
        for other, timing, to in zip(
            result.measurement.alternatives, result.alternatives, result.to_alternatives, strict=True
        )
    ]


def print_parts(console: Console, results: list[Result]) -> None:
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
            parts.append(f"{name}={value}" if len(name) == 1 else f"{value:,} {name}")
    return ", ".join(parts)


def document(results: list[Result], card: machine.Card, *, quick: bool) -> dict[str, Any]:
    """The run as a JSON document of schema :data:`SCHEMA`; fields may be added, never changed.

    Returns:
        ``schema``, ``created`` (UTC), ``command``, ``quick``, ``machine`` and ``results``.  All
        times are seconds for one call.
    """
    return {
        "schema": SCHEMA,
        "created": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()),
        "command": ["sottovoce", *sys.argv[1:]],
        "quick": quick,
        "machine": card,
        "results": [_result(result) for result in results],
    }


def _result(result: Result) -> dict[str, Any]:
    m = result.measurement
    return {
        "area": str(m.area),
        "name": m.name,
        "size": dict(m.size),
        "work": {"amount": m.work.amount, "unit": m.work.unit},
        "seconds": _seconds(result.timing),
        "per_second": m.work.amount / result.timing.median,
        "bytes": result.n_bytes,
        "level": result.level,
        "peers": [_peer(other, result) for other in result.peers],
        "alternatives": _alternatives(result),
        "parts": _parts(result),
    }


def _alternatives(result: Result) -> list[dict[str, Any]]:
    return [
        {"name": other.name, "seconds": _seconds(timing), "ratio": _ratio(to), "aim": other.aim}
        for other, timing, to in zip(
            result.measurement.alternatives, result.alternatives, result.to_alternatives, strict=True
        )
    ]


def _parts(result: Result) -> dict[str, Any] | None:
    """Ratio: our time to the sum of the parts, by rounds."""
    parts, to = result.measurement.parts, result.to_parts
    if parts is None or to is None:
        return None
    of = [
        {"name": part.name, "count": part.count, "seconds": _seconds(timing)}
        for part, timing in zip(parts.of, result.parts, strict=True)
    ]
    return {"of": of, "ratio": _ratio(to), "aim": parts.aim}


def _ratio(to: Ratio) -> dict[str, float | int]:
    return {"median": to.median, "low": to.low, "high": to.high, "n": to.n}


def _peer(other: PeerResult, result: Result) -> dict[str, Any]:
    fields: dict[str, Any] = {"distribution": other.peer.distribution, "note": other.peer.note}
    if other.peer.lacks:
        fields["lacks"] = other.peer.lacks
    if other.timing is None:
        return {**fields, "installed": False, "install": other.peer.install or pip_line(other.peer.extra)}
    return {
        **fields,
        "installed": True,
        "version": _version(other.peer.distribution),
        "amount": result.work_of(other).amount,
        "seconds": _seconds(other.timing),
        "per_second": result.work_of(other).amount / other.timing.median,
        "bytes": other.n_bytes,
        "times_ours": result.times_faster(other),
        "aim": result.aim_of(other),
    }


def _seconds(timing: Timing) -> dict[str, float | int]:
    return {
        "median": timing.median,
        "low": timing.low,
        "high": timing.high,
        "best": timing.best,
        "n": timing.n,
        "loops": timing.loops,
    }


def _version(distribution: str) -> str:
    try:
        return metadata.version(distribution)
    except metadata.PackageNotFoundError:
        return "unknown"


def _cells(timing: Timing, work: Work) -> tuple[str, str, str, str]:
    return duration(timing.median), f"{timing.spread:.0%}", str(timing.n), rate(timing, work)


def size_of_unit(n_bytes: int | None, work: Work) -> str:
    """Bytes for one unit of work; empty where they were not told."""
    return "" if n_bytes is None else f"{n_bytes / work.amount:.3g} B/{work.unit}"


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

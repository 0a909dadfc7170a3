"""Results of a run: the table for people and the document for machines."""

from __future__ import annotations

import sys
import time
from collections.abc import Mapping
from dataclasses import dataclass
from importlib import metadata
from typing import Any, Final

from rich.console import Console

from .. import machine
from ..console import install_hint, pip_line
from ..tables import Column, print_table
from .harness import Timing
from .measurement import Measurement, Peer, Work

SCHEMA: Final = "sottovoce-bench/1"


@dataclass(frozen=True, slots=True)
class PeerResult:
    """A peer and its timing; None where it is not installed."""

    peer: Peer
    timing: Timing | None


@dataclass(frozen=True, slots=True)
class Result:
    """A measurement with its timing and those of its peers."""

    measurement: Measurement
    timing: Timing
    peers: tuple[PeerResult, ...] = ()


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
    if any(result.peers for result in results):
        columns.append(Column("times\nours"))
    rows: list[tuple[str, ...] | None] = []
    area = None
    for result in results:
        m = result.measurement
        if m.area is not area:
            if area is not None:
                rows.append(None)
            rows.append((f"[bold]{m.area}[/]",))
            area = m.area
        rows.append((f"{m.name}\n[dim]{describe(m.size)}[/]", *_cells(result.timing, m.work)))
        rows += [tuple(f"[dim]{cell}[/]" for cell in _peer_cells(other, result)) for other in result.peers]
    headings = print_table(console, columns, rows)
    if "spread" in headings:
        legend = "median of n samples; spread: distance of the quartiles, relative to the median"
        console.print(f"[dim]{legend}[/]")
    for extra in sorted({o.peer.extra for r in results for o in r.peers if o.timing is None}):
        console.print(
            f"peers that are not installed come with: {install_hint(extra)}", markup=False, soft_wrap=True
        )


def _peer_cells(other: PeerResult, result: Result) -> tuple[str, ...]:
    if other.timing is None:
        return (f"  {other.peer.distribution}: not installed",)
    note = f" ({other.peer.note})" if other.peer.note else ""
    ratio = other.timing.median / result.timing.median
    return (
        f"  {other.peer.distribution}{note}",
        *_cells(other.timing, result.measurement.work),
        f"{ratio:.1f}",
    )


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
        "peers": [_peer(other, result) for other in result.peers],
    }


def _peer(other: PeerResult, result: Result) -> dict[str, Any]:
    fields: dict[str, Any] = {"distribution": other.peer.distribution, "note": other.peer.note}
    if other.timing is None:
        return {**fields, "installed": False, "install": pip_line(other.peer.extra)}
    return {
        **fields,
        "installed": True,
        "version": _version(other.peer.distribution),
        "seconds": _seconds(other.timing),
        "per_second": result.measurement.work.amount / other.timing.median,
        "times_ours": other.timing.median / result.timing.median,
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
        return f"{work.amount / timing.median / 1e6:,.0f} MB/s" + (f" of {of_what}" if of_what else "")
    if work.amount == 1:
        return f"{1 / timing.median:,.0f} /s"
    return f"{duration(timing.median / work.amount)}/{work.unit}"

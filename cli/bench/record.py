"""A run as a JSON document: what ``--json`` writes, and ``--plot``, ``--compare`` and the pages read."""

from __future__ import annotations

import sys
import time
from collections.abc import Sequence
from importlib import metadata
from typing import Any, Final

from .. import machine
from ..console import pip_line
from .harness import Ratio, Timing
from .measurement import Measurement
from .results import PeerResult, Result

SCHEMA: Final = "sottovoce-bench/1"

UNKNOWN: Final = "unknown"
"""The version of what does not tell one."""

LeftOut = tuple[Measurement, str]
"""What was not measured, and why."""


def document(
    results: Sequence[Result],
    card: machine.Card,
    *,
    quick: bool,
    threads: int = 1,
    load: float | None = None,
    left_out: Sequence[LeftOut] = (),
) -> dict[str, Any]:
    """The run as a JSON document of schema :data:`SCHEMA`; fields may be added, never changed.

    Args:
        results: What was measured.
        card: Where.
        quick: Whether with less effort.
        threads: What was asked for; each result tells how many it used.
        load: How many processes ran or waited on the machine when the run began; None: not known.
        left_out: What was not measured, and why.

    Returns:
        ``schema``, ``created`` (UTC), ``command``, ``quick``, ``threads``, ``load``, ``machine``, ``results``
        and ``left_out``.  All times are seconds for one call.
    """
    return {
        "schema": SCHEMA,
        "created": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()),
        "command": ["sottovoce", *sys.argv[1:]],
        "quick": quick,
        "threads": threads,
        "load": load,
        "machine": card,
        "results": [_result(result) for result in results],
        "left_out": [{"area": str(m.area), "name": m.name, "why": why} for m, why in left_out],
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
        "threads": result.threads,
        "clock": "wall" if result.wall else "processor",
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
        "version": version_of(other.peer.distribution),
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


def version_of(distribution: str) -> str:
    """The version of an installed distribution."""
    try:
        return metadata.version(distribution)
    except metadata.PackageNotFoundError:
        return UNKNOWN

"""Words for the figures of a run's document: used by performance.py."""

from __future__ import annotations

from sottovoce.cli.bench.record import UNKNOWN
from sottovoce.cli.bench.report import duration


def unit(result):
    """What is counted: kind ("byte", "parameter", ...) and, of bytes, which."""
    kind, _, of = result["work"]["unit"].partition(" of ")
    return kind, of


def rate(result):
    """MB/s of what, or the time for one."""
    each = result["seconds"]["median"] / result["work"]["amount"]
    kind, of = unit(result)
    if kind == "byte":
        return f"{1e-6 / each:,.0f} MB/s" + (f" of {of}" if of else "")
    return f"{duration(each)} a {kind}"


def n_bytes(result):
    """Bytes for one unit that a call makes."""
    if result["bytes"] is None:
        return ""
    each = result["bytes"] / result["work"]["amount"]
    return (f"{each:,.0f}" if each >= 100 else f"{each:.3g}") + f" B a {unit(result)[0]}"


def spread(result):
    """Distance of the quartiles over the median."""
    seconds = result["seconds"]
    return f"{(seconds['high'] - seconds['low']) / seconds['median']:.0%}"


def as_long(times):
    """How long somebody else takes, in times of ours."""
    if times >= 1:
        return f"{times:,.0f} times as long" if times >= 9.5 else f"{times:.1f} times as long"
    return f"1/{1 / times:.0f} of our time" if times <= 0.4 else f"{times:.2f} of our time"


def others(result, versions=True):
    """Everybody beside us, and how long each takes for as much work."""
    found = []
    for peer in result["peers"]:
        if peer["installed"]:
            told = versions and peer["version"] != UNKNOWN
            named = f" {peer['version']}" * told + (f" ({peer['note']})" if peer["note"] else "")
            found.append(f"{peer['distribution']}{named}: {as_long(peer['times_ours'])}")
    found += [f"{other['name']}: {as_long(1 / other['ratio']['median'])}" for other in result["alternatives"]]
    return "; ".join(found)


def by_name(document, area):
    """Results of an area."""
    return {result["name"]: result for result in document["results"] if result["area"] == area}


def machine_line(document):
    """The machine in a line."""
    card = document["machine"]
    return f"{card['cpu']}, {card['system']}, kernels up to {card['ceiling']}, {card['python']}"

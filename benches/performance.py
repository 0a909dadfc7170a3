"""Every measurement beside its peers; writes docs/performance.md, its pictures, and the table of the README.

::

    python benches/performance.py             # sottovoce bench all --peers: minutes of a quiet machine
    python benches/performance.py --render    # only write page, pictures and table from the results again

One file, benches/results/performance.json, is what ``--json`` wrote; every figure comes from it.  What bounds
each result is said in bounds.py, how figures are put into words in figures.py.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import subprocess
import sys
import textwrap
from pathlib import Path

from bounds import MEASURED
from figures import by_name, machine_line, n_bytes, others, rate, spread

from sottovoce.cli.bench import plot
from sottovoce.cli.bench.areas import Area
from sottovoce.cli.bench.report import describe, duration

ROOT = Path(__file__).resolve().parents[1]
RESULTS = ROOT / "benches" / "results" / "performance.json"
PAGE = ROOT / "docs" / "performance.md"
README = ROOT / "README.md"
COMMAND = "sottovoce bench all --peers"

BEGIN = "<!-- figures: written by benches/performance.py; do not edit -->"
END = "<!-- end of figures -->"


def picture(area):
    """File of an area's picture."""
    return ROOT / "docs" / f"performance-{area}.svg"


def digest(document):
    """What a picture carries, so that a test can tell of which results it is."""
    return hashlib.sha256(json.dumps(document, sort_keys=True).encode()).hexdigest()


# -- README -----------------------------------------------------------------------------------------

PICKED = {
    ("clsc", "sign"): "sign 1 KiB under a pseudonym",
    ("clsc", "verify"): "verify it",
    ("clsc", "signcrypt to 1"): "sign and encrypt 1 KiB to one receiver",
    ("clsc", "unsigncrypt"): "open it, its sender never seen before",
    ("clsc", "unsigncrypt a batch"): "open 100 of 100 senders",
    ("he", "kahe encrypt"): "committee scheme: encrypt a million numbers of 16 bits",
    ("he", "kahe open a sum"): "committee scheme: open their sum",
    ("he", "rlwe encrypt"): "public-key ring-LWE: encrypt a million",
    ("he", "paillier encrypt"): "Paillier, 2048 bits: encrypt 8,000",
    ("rs", "encode 10+4 large"): "erasure code 10+4, shards of 1 MiB",
    ("rs", "reconstruct 10+4"): "bring 4 lost shards of it back",
    ("rs", "RS(255, 223) encode"): "RS(255, 223): encode",
    ("rs", "RS(255, 223) 16 errors"): "RS(255, 223): correct 16 errors in every word",
    ("fl", "client, 1000000 parameters, 10 clients"): "a client of a round, a million parameters",
    ("fl", "server, 1000000 parameters, 10 clients"): "the aggregator, ten such clients",
}


def readme_table(document):
    """The table between the marks."""
    lines = [
        BEGIN,
        "",
        filled(f"Medians on {machine_line(document)}; one thread. Others: as much work, in the same run."),
        "",
        "| | here | makes | others |",
        "| --- | --- | --- | --- |",
    ]
    for (area, name), words in PICKED.items():
        result = by_name(document, area).get(name)
        if result is not None:
            beside = others(result, versions=False)
            lines.append(f"| {words} | {rate(result)} | {n_bytes(result)} | {beside} |")
    return "\n".join([*lines, "", END])


def readme(text, document):
    """The README with its table."""
    begin, end = text.index(BEGIN), text.index(END) + len(END)
    return text[:begin] + readme_table(document) + text[end:]


# -- page -------------------------------------------------------------------------------------------


def table(results):
    """A row a measurement."""
    yield "| | input | median | spread | n | rate | makes | others |"
    yield "| --- | --- | --- | --- | --- | --- | --- | --- |"
    for result in results:
        cells = [
            result["name"] + ("" if result["clock"] == "processor" else " (wall)"),
            describe(result["size"]),
            duration(result["seconds"]["median"]),
            spread(result),
            str(result["seconds"]["n"]),
            rate(result),
            n_bytes(result),
            others(result),
        ]
        yield f"| {' | '.join(cells)} |"


def card_rows(document):
    """The machine."""
    card = document["machine"]
    yield "| | |"
    yield "| --- | --- |"
    rows = {
        "measured": f"{document['created']}, `{command(document)}`",
        "sottovoce": card["sottovoce"] + (f", commit {card['commit']}" if card["commit"] else ""),
        "processor": f"{card['cpu']}, {card['cores']} cores; load before {document['load']}",
        "flags that a kernel could use": ", ".join(card["flags"]),
        "kernels": ", ".join(f"{name} {backend}" for name, backend in sorted(card["kernels"].items())),
        "ceiling": f"{card['ceiling']} of {', '.join(card['levels'])}",
        "group": card["group"],
        "compiler": card["compiler"],
        "system": card["system"],
        "versions": ", ".join([card["python"], *(f"{k} {v}" for k, v in card["dependencies"].items())]),
    }
    yield from (f"| {name} | {text} |" for name, text in rows.items())


def aim_rows(document):
    """Every ratio that has an aim, the missed ones first."""
    rows = []
    for result in document["results"]:
        for peer in result["peers"]:
            if peer["installed"] and peer["aim"]:
                note = f" ({peer['note']})" if peer["note"] else ""
                held = peer["times_ours"] >= peer["aim"]
                of = f"`{result['area']}`: {result['name']} | {peer['distribution']}{note}"
                rows.append((held, f"| {of} | {peer['times_ours']:.2f} | {peer['aim']:.3g} |"))
    yield "| | beside | times as long | aim | |"
    yield "| --- | --- | --- | --- | --- |"
    yield from (f"{row} {'held' if held else '**missed**'} |" for held, row in sorted(rows))


def command(document):
    """What was measured with."""
    threads = f" --threads {document['threads']}" if document["threads"] > 1 else ""
    return COMMAND + threads


INTRODUCTION = f"""\
What the installed package does on one machine, beside other libraries in the same run. Everything here comes
from one file that `{COMMAND} --json` wrote; on your machine the same command gives yours.

A median is over `n` samples, its spread the distance of the quartiles relative to it; everything that is
compared was sampled by turns. Time is that of the processor on one core, unless (wall) stands behind the
name. "as long": how long the other takes for as much work. Never compare figures of two machines, or of a
busy one: compare ratios."""

AIMS = """\
Ratios that were aimed at before anything was measured, for the kernels of this processor, and what this run
gave; a run on another day gives some hundredths more or less."""

REPEAT = f"""\
<!-- not run: it measures for minutes -->
```sh
pip install ".[bench,flower,plot]"             # in a checkout; creedsolo: benches/build_creedsolo.py
{COMMAND} --json mine.json --plot mine.png   # some minutes; add --quick for half a minute
sottovoce bench rs --kernel portable              # another ceiling of the kernels
sottovoce bench he --threads 4                    # what takes several threads gets them
sottovoce bench --compare old.json mine.json --fail-over 1.2
```

Peers that are not installed are named at the end, with the line that installs them. From a checkout
`python benches/performance.py` measures and writes this page, its pictures and the table of the README again;
`pytest benches --benchmark-enable` runs the same measurements under pytest-benchmark. How they are made:
[testing](testing.md#measuring)."""


def filled(text):
    """A paragraph in lines; addresses stay whole."""
    return textwrap.fill(text, 110, break_on_hyphens=False, break_long_words=False)


def render(document):
    """The page; every figure in it is from ``document``."""
    lines = [
        "# Performance",
        "",
        "<!-- Written by benches/performance.py from benches/results/performance.json; do not edit. -->",
        "",
        *INTRODUCTION.splitlines(),
        "",
        "## The machine",
        "",
        *card_rows(document),
    ]
    for area in Area.ALL.members:
        results = list(by_name(document, area).values())
        words, bounds = MEASURED[area]
        lines += [
            "",
            f"## `{area}`",
            "",
            filled(words),
            "",
            f"![{area}]({picture(area).name})",
            "",
            *table(results),
        ]
        bound = (filled(line) if line[:1] != "|" else line for line in bounds(document))
        lines += ["", f"### What bounds `{area}`", "", *bound]
    lines += ["", "## Aims", "", filled(AIMS), "", *aim_rows(document)]
    lines += ["", "## Repeating it", "", *REPEAT.splitlines()]
    return "\n".join([*lines, ""])


def write(document):
    """Page, pictures and table."""
    for area in Area.ALL.members:
        plot.write(document, picture(area), (area,), {"Description": f"results {digest(document)}"})
    PAGE.write_text(render(document), encoding="utf-8")
    README.write_text(readme(README.read_text(encoding="utf-8"), document), encoding="utf-8")


def main(arguments=None):
    """Measure (unless told not to) and write."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--render", action="store_true", help="do not measure")
    options = parser.parse_args(arguments)
    if not options.render:
        line = [sys.executable, "-m", "sottovoce", *COMMAND.split()[1:]]
        subprocess.run([*line, "--json", str(RESULTS.relative_to(ROOT))], check=True, cwd=ROOT)
    write(json.loads(RESULTS.read_text(encoding="utf-8")))


if __name__ == "__main__":
    main()

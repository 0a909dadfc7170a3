"""``sottovoce bench he --peers`` on every level of the kernels, one after the other; writes docs/he-speed.md.

::

    python benches/he_levels.py             # measure, write benches/results/he_levels.json and the page
    python benches/he_levels.py --render    # only write the page again from the results that are there

Each level has its own process, because a kernel is chosen when it is imported; the peers are measured again
in each, so that every ratio is of one run.  Levels that the processor lacks are named as lacking.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from sottovoce import he
from sottovoce._ext import kernel
from sottovoce.cli.bench import of_he
from sottovoce.cli.bench.he_common import BANDWIDTH, SUMMANDS, VALUE_BITS
from sottovoce.cli.bench.report import duration
from sottovoce.he import kahe, paillier, rlwe

he_rlwe, he_paillier = of_he.he_rlwe, of_he.he_paillier

SCHEMA = "sottovoce-he-levels/1"
ROOT = Path(__file__).resolve().parents[1]
RESULTS = ROOT / "benches" / "results" / "he_levels.json"
PAGE = ROOT / "docs" / "he-speed.md"

LEVELS = ("portable", "avx2", "avx512")
IFMA = "avx512ifma"

# The design's bytes a parameter (docs/he.md, docs/he-rlwe.md, docs/he-paillier.md): what is to be reached.
SIZE_AIMS = {
    ("kahe", "RLWE_128_N2048_Q50"): 4.25,
    ("kahe", "RLWE_PQ128_N4096_Q80"): 3.75,
    ("kahe", "RLWE_128_N4096_Q100"): 3.584,
    ("rlwe", "RLWE_128_N2048_Q50"): 9.4,
    ("rlwe", "RLWE_128_N4096_Q100"): 7.5,
    ("paillier", "2048 bits"): 6.6,
}


# -- measuring --------------------------------------------------------------------------------------
def bench(level):
    """The document of one run under that ceiling."""
    with tempfile.TemporaryDirectory() as folder:
        target = Path(folder) / "bench.json"
        command = [sys.executable, "-c", "from sottovoce.cli import main; main()"]
        command += ["bench", "he", "--peers", "--kernel", level, "--json", str(target)]
        one_thread = {"OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1"}
        subprocess.run(command, check=True, env={**os.environ, **one_thread})
        document = json.loads(target.read_text(encoding="utf-8"))
        document["command"] = ["FILE" if word == str(target) else word for word in document["command"]]
        return document


def sizes():
    """Scheme and set -> bytes a parameter when every slot is used."""
    rows = []
    for name in he.SETS:
        params = kahe.Params(name, 1, VALUE_BITS, SUMMANDS, 5)
        slots = params.slots_per_coefficient
        rows.append({"scheme": "kahe", "set": name, "bytes": params.wire_bits / slots / 8, "slots": slots})
    for name in (he_rlwe.SET, *he_rlwe.MORE_SETS):
        of_key = rlwe.Params(name, 1, VALUE_BITS, SUMMANDS)
        slots = of_key.slots_per_coefficient
        rows.append({"scheme": "rlwe", "set": name, "bytes": of_key.bytes_per_value, "slots": slots})
    for bits in (he_paillier.BITS, he_paillier.DEFAULT_BITS):
        slots = paillier.Params(1, VALUE_BITS, SUMMANDS, bits).slots
        rows.append({"scheme": "paillier", "set": f"{bits} bits", "bytes": bits / 4 / slots, "slots": slots})
    return rows


def run():
    """Measure; returns the document."""
    levels = [level for level in LEVELS if level in kernel.levels_available()]
    return {
        "schema": SCHEMA,
        "created": time.strftime("%Y-%m-%d", time.gmtime()),
        "levels": {level: bench(level) for level in levels},
        "sizes": sizes(),
    }


# -- the page ---------------------------------------------------------------------------------------
def results(document, level):
    """Name -> result."""
    return {one["name"]: one for one in document["levels"][level]["results"]}


def unit_time(result):
    """Of our own, for one unit of work."""
    return result["seconds"]["median"] / result["work"]["amount"]


def verdict(times, aim):
    """A ratio and whether it reaches its aim."""
    if aim is None:
        return f"{times:.1f}"
    return f"{times:.1f} (aim {aim:g}: {'held' if times >= aim else '**missed**'})"


def peer_rows(document):
    """One row a measurement and peer: what the peer takes, then each level's time and ratio."""
    first = next(iter(document["levels"]))
    for name, of_first in results(document, first).items():
        for i, peer in enumerate(of_first["peers"]):
            if not peer["installed"]:
                continue
            cells, theirs = [], []
            for level in document["levels"]:
                one = results(document, level)[name]
                other = one["peers"][i]
                theirs.append(1 / other["per_second"])
                cells.append(f"{duration(unit_time(one))}; {verdict(other['times_ours'], other['aim'])}")
            title = f"{peer['distribution']} {peer['version']}, {peer['note']}"
            slowest, fastest = duration(max(theirs)), duration(min(theirs))
            took = fastest if fastest == slowest else f"{fastest} to {slowest}"
            yield f"| {name} | {title} | {took} | {' | '.join(cells)} |"


def time_rows(document):
    """One row a measurement: median time for one unit by level."""
    first = next(iter(document["levels"]))
    for name, of_first in results(document, first).items():
        unit = of_first["work"]["unit"]
        if unit.startswith("byte"):
            continue
        cells = [duration(unit_time(results(document, level)[name])) for level in document["levels"]]
        size = of_first["size"].get("set", "")
        yield f"| {name} | {size} | {unit} | {' | '.join(cells)} |"


def add_rows(document):
    """One row an addition and level: bandwidths and their ratio."""
    for level in document["levels"]:
        for name, one in results(document, level).items():
            for other in one["alternatives"]:
                ours, numpy = (
                    one["work"]["amount"] / seconds["median"] / 1e9
                    for seconds in (one["seconds"], other["seconds"])
                )
                share = 1 / other["ratio"]["median"]
                held = "held" if share >= BANDWIDTH else "**missed**"
                yield f"| {name} | {level} | {ours:.1f} | {numpy:.1f} | {share:.0%} | {held} |"


def size_rows(document):
    """Ours by parameter set, then the peers as they were measured."""
    for row in document["sizes"]:
        aim = SIZE_AIMS.get((row["scheme"], row["set"]))
        said = "" if aim is None else f"{aim:.3g}: {'held' if row['bytes'] <= aim + 0.005 else '**missed**'}"
        yield f"| `he.{row['scheme']}`, {row['set']} | {row['slots']} | {row['bytes']:.2f} | {said} |"
    told = set()
    for name, one in results(document, next(iter(document["levels"]))).items():
        for peer in one["peers"]:
            title = f"{peer['distribution']}, {peer['note']}"
            if peer["installed"] and peer["bytes"] and title not in told:
                told.add(title)
                yield f"| {title} ({name}) | | {peer['bytes'] / peer['amount']:.3g} | |"


INTRODUCTION = """\
What `sottovoce bench he --peers` measures, on every level of the kernels that this processor has. A call is
what a caller waits for: float32 numbers in, quantized to 16 bits with stochastic rounding, encrypted for a
sum of 1024 clients, bytes out; and back from bytes to float32. Everything that is new in a round is new in
every call, the public elements too. One core, processor time, medians. Peers get their quickest form of
input, ready made."""


def render(document):
    """The page; every figure in it is from ``document``."""
    levels = list(document["levels"])
    bench_of = document["levels"][levels[-1]]
    card = bench_of["machine"]
    python, numpy = card["python"], card["dependencies"]["numpy"]
    lines = [
        "# Speed and size of `he`",
        "",
        "<!-- Written by benches/he_levels.py from benches/results/he_levels.json; do not edit. -->",
        "",
        *INTRODUCTION.splitlines(),
        "",
        f"Measured {document['created']} on {card['cpu']}, {card['system']};",
        f"{card['compiler']}; {python}, numpy {numpy}; by",
        "`python benches/he_levels.py`.",
    ]
    lacking = [level for level in LEVELS if level not in levels]
    if lacking:
        lines.append(f"This processor has no {', '.join(lacking)}.")
    if IFMA not in card["flags"]:
        lines.append("It lacks AVX-512 IFMA, so of the aims below those for avx2 count.")
    columns = " | ".join(levels)
    rule = " | ".join("---" for _ in levels)
    lines += [
        "",
        "## Beside the peers",
        "",
        "Time for one parameter; how many times faster than the peer, and the aim for that level.",
        "",
        f"| | peer | peer takes | {columns} |",
        f"| --- | --- | --- | {rule} |",
        *peer_rows(document),
        "",
        "## Every measurement",
        "",
        f"| | set | for one | {columns} |",
        f"| --- | --- | --- | {rule} |",
        *time_rows(document),
        "",
        "## Adding",
        "",
        "Bytes read and written, in 10^9 a second, beside numpy's `a += b` of as many bytes.",
        f"The aim is {BANDWIDTH:.0%}.",
        "",
        "| | kernels | ours | numpy | of numpy's | |",
        "| --- | --- | --- | --- | --- | --- |",
        *add_rows(document),
        "",
        "## Bytes a parameter",
        "",
        "Where every slot is used; a vector is filled up to whole ring elements. float32 itself takes 4.",
        "",
        "| | slots | bytes | aim |",
        "| --- | --- | --- | --- |",
        *size_rows(document),
    ]
    return "\n".join([*lines, ""])


def main(arguments=None):
    """Measure (unless told not to) and write."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--render", action="store_true", help="do not measure")
    options = parser.parse_args(arguments)
    if options.render:
        document = json.loads(RESULTS.read_text(encoding="utf-8"))
        document["sizes"] = sizes()  # nothing is measured for them
    else:
        document = run()
    RESULTS.parent.mkdir(exist_ok=True)
    RESULTS.write_text(json.dumps(document, indent=1) + "\n", encoding="utf-8")
    PAGE.write_text(render(document), encoding="utf-8")


if __name__ == "__main__":
    main()

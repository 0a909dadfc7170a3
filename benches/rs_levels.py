"""Erasure coding on every back end of its kernel and over sizes of shards; writes docs/rs-speed.md.

::

    python benches/rs_levels.py             # measure, write benches/results/rs_levels.json and the page
    python benches/rs_levels.py --render    # only write the page again from the results that are there

One core, one process: back ends by turns, so that what else the machine does falls on all of them.
"""

from __future__ import annotations

import argparse
import json
import os
import time
from pathlib import Path

import numpy as np

from sottovoce._ext import gf256, kernel
from sottovoce.cli import machine
from sottovoce.cli.bench.harness import Effort, measure
from sottovoce.cli.bench.measurement import Operation
from sottovoce.rs.matrix import parity_matrix

SCHEMA = "sottovoce-rs-levels/1"
ROOT = Path(__file__).resolve().parents[1]
RESULTS = ROOT / "benches" / "results" / "rs_levels.json"
PAGE = ROOT / "docs" / "rs-speed.md"

SHAPES = ((10, 4), (20, 10), (100, 50))
LENGTHS = tuple(4096 << (2 * i) for i in range(7))  # 4 KiB to 16 MiB
MOST_BYTES = 1 << 28
"""Of a code's rows together; larger ones are left out, and the page says so."""

EFFORT = Effort(seconds=0.3, least=3, most=200, warm_up_s=0.02)


def encoders(k, m, length):
    """One operation a back end, on the same rows."""
    data = np.random.default_rng(1).integers(0, 256, (k, length), np.uint8)
    parity = np.empty((m, length), np.uint8)
    for backend in kernel.usable(gf256.BACKENDS):
        matrix = gf256.prepare(parity_matrix(k, k + m), m, k, backend)
        yield backend.name, Operation(lambda matrix=matrix: gf256.multiply(matrix, data, parity))


def bandwidth(n_bytes):
    """Copying and reading as many bytes as the rows of 10+4 have."""
    source = np.random.default_rng(2).integers(0, 2**63, n_bytes // 8)
    target = np.empty_like(source)
    yield "copy", Operation(lambda: np.copyto(target, source))
    yield "read", Operation(lambda: np.bitwise_xor.reduce(source))


def rates(named, n_bytes):
    """Name -> 10^9 bytes a second, median."""
    names, operations = zip(*named, strict=True)
    timings = measure(operations, EFFORT, time.process_time)
    return {name: n_bytes / timing.median / 1e9 for name, timing in zip(names, timings, strict=True)}


def run():
    """Measure; returns the document."""
    if hasattr(os, "sched_setaffinity"):
        os.sched_setaffinity(0, {max(os.sched_getaffinity(0))})
    encode, memory = [], []
    for length in LENGTHS:
        n_bytes = 10 * length
        memory.append({"bytes": n_bytes, "rates": rates(bandwidth(n_bytes), n_bytes)})
        for k, m in SHAPES:
            if (k + m) * length <= MOST_BYTES:
                of_shape = rates(encoders(k, m, length), k * length)
                encode.append({"k": k, "m": m, "length": length, "rates": of_shape})
    created = time.strftime("%Y-%m-%d", time.gmtime())
    return {
        "schema": SCHEMA,
        "created": created,
        "machine": machine.card(),
        "encode": encode,
        "memory": memory,
    }


def size(n_bytes):
    """4 KiB, 16 MiB."""
    return f"{n_bytes >> 20} MiB" if n_bytes >= 1 << 20 else f"{n_bytes >> 10} KiB"


def render(document):
    """The page; every figure in it is from ``document``."""
    names = list(document["encode"][0]["rates"])
    card = document["machine"]
    lines = [
        "# Speed of `rs.Erasure`",
        "",
        "<!-- Written by benches/rs_levels.py from benches/results/rs_levels.json; do not edit. -->",
        "",
        "Encoding in 10^9 bytes of data a second: the kernel from Python, output reused, one core,",
        "processor time, medians, back ends by turns. Beside it, what the machine copies and reads",
        "(numpy), for as many bytes as ten shards have. What others do: `sottovoce bench rs --peers`.",
        "",
        f"Measured {document['created']} on {card['cpu']}, {card['system']};",
        f"{card['compiler']}; {card['python']}, numpy {card['dependencies']['numpy']};",
        "by `python benches/rs_levels.py`.",
    ]
    lacking = [backend.name for backend in gf256.BACKENDS if backend.name not in names]
    if lacking:
        lines.append(f"Not measured, because this processor lacks the instructions: {', '.join(lacking)}.")
    lines += [
        "",
        f"| code | shard | {' | '.join(names)} |",
        f"| --- | --- | {' | '.join('---' for _ in names)} |",
    ]
    for k, m in SHAPES:
        for one in document["encode"]:
            if (one["k"], one["m"]) == (k, m):
                cells = " | ".join(f"{one['rates'][name]:.2f}" for name in names)
                lines.append(f"| {k}+{m} | {size(one['length'])} | {cells} |")
    lines += ["", "| ten shards of | copied | read |", "| --- | --- | --- |"]
    for one in document["memory"]:
        lines.append(
            f"| {size(one['bytes'] // 10)} | {one['rates']['copy']:.1f} | {one['rates']['read']:.1f} |"
        )
    lines += ["", f"Codes whose rows have more than {size(MOST_BYTES)} together are left out."]
    return "\n".join([*lines, ""])


def main(arguments=None):
    """Measure (unless told not to) and write."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--render", action="store_true", help="do not measure")
    if parser.parse_args(arguments).render:
        document = json.loads(RESULTS.read_text(encoding="utf-8"))
    else:
        document = run()
    RESULTS.write_text(json.dumps(document, indent=1) + "\n", encoding="utf-8")
    PAGE.write_text(render(document), encoding="utf-8")


if __name__ == "__main__":
    main()

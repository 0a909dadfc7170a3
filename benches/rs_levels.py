"""Coding on every back end of its kernels, over sizes of shards and beside others; writes docs/rs-speed.md.

::

    python benches/rs_levels.py             # measure, write benches/results/rs_levels.json and the page
    python benches/rs_levels.py --render    # only write the page again from the results that are there
    python benches/rs_levels.py --brief     # to see that it works: prints the page, writes nothing

One core, one process: back ends by turns, so that what else the machine does falls on all of them.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
import time
from pathlib import Path

import numpy as np

from sottovoce._ext import gf256, kernel, rsword
from sottovoce.cli import machine
from sottovoce.cli.bench import rs_codec, rs_erasure
from sottovoce.cli.bench.harness import Effort, measure
from sottovoce.cli.bench.measurement import Operation
from sottovoce.rs._erasure_rows import empty_rows
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
BRIEF = Effort(seconds=0.01, least=2, most=2, warm_up_s=0)

REPEATED_BYTES = 1 << 24
"""At least so many are coded, copied or read in what is timed as one: a call costs as much as some KiB."""

ERASURE = (rs_erasure.encode_large, rs_erasure.encode_20, rs_erasure.encode_100, rs_erasure.reconstruct)
CODEC = (
    (rs_codec.encode, "encode", 0),
    (rs_codec.decode_clean, "check and decode", 0),
    (rs_codec.decode_errors, "correct", rs_codec.ERRORS),
)


def repeated(call, n_bytes):
    """The operation, and how often it does the call."""
    times = -(-REPEATED_BYTES // n_bytes)

    def again():
        for _ in range(times):
            call()

    return Operation(again), times


def encoders(k, m, length):
    """One call a back end, on the same rows."""
    data = np.random.default_rng(1).integers(0, 256, (k, length), np.uint8)
    parity = np.empty((m, length), np.uint8)
    for backend in kernel.usable(gf256.BACKENDS):
        matrix = gf256.prepare(parity_matrix(k, k + m), m, k, backend)
        yield backend.name, lambda matrix=matrix: gf256.multiply(matrix, data, parity)


def bandwidth(n_bytes):
    """Copying and reading as many bytes as the rows of 10+4 have."""
    # At lines of the cache and touched: copies to a few bytes behind the same place of another page have a
    # fault of some processors, a tenth of the speed, and a first one finds its pages.
    source, target = empty_rows(2, n_bytes).view(np.uint64)
    source[:] = np.random.default_rng(2).integers(0, 2**63, len(source))
    target[:] = 0
    yield "copy", lambda: np.copyto(target, source)
    yield "read", lambda: np.bitwise_xor.reduce(source)


def codecs(errors, *, encoding):
    """One call a back end: words of RS(255, 223) into arrays that are there."""
    messages, words = rs_codec.messages(), rs_codec.received(errors)
    out, status = np.empty_like(words), np.zeros(len(words), np.int32)
    for backend in kernel.usable(rsword.BACKENDS):
        code = rsword.code(8, 0x11D, 2, 0, rs_codec.NSYM, backend=backend)
        if encoding:
            yield backend.name, lambda code=code: code.encode(out, messages)
        else:
            yield backend.name, lambda code=code: code.decode(out, status, words)


def peers(measurement):
    """Operation and bytes a call of each peer; of one that is not installed the reason is printed."""
    for peer in measurement.peers:
        try:
            operation = peer.prepare()
        except ImportError as error:
            print(f"{measurement.name}: {peer.title} not measured: {error}", file=sys.stderr)
        else:
            yield peer.title, operation, peer.amount or measurement.work.amount


def rates(named, n_bytes, effort, others=()):
    """Name -> 10^9 bytes a second, median; ``others`` bring operations and bytes of their own."""
    work = [(name, *repeated(call, n_bytes)) for name, call in named]
    of = {name: (operation, times * n_bytes) for name, operation, times in work}
    of |= {name: (operation, amount) for name, operation, amount in others}
    timings = measure([operation for operation, _ in of.values()], effort, time.process_time)
    return {
        name: amount / timing.median / 1e9
        for (name, (_, amount)), timing in zip(of.items(), timings, strict=True)
    }


def beside_peers(effort):
    """The measurements of ``sottovoce bench rs``: ours by back end, and the peers in the same run."""
    erasure, codec = [], []
    for measurement in ERASURE:
        ours = [("Erasure", measurement.prepare().call)]
        erasure.append(
            {
                "title": measurement.name,
                "bytes": measurement.work.amount,
                "rates": rates(ours, measurement.work.amount, effort, peers(measurement)),
            }
        )
    for measurement, title, errors in CODEC:
        named = codecs(errors, encoding=measurement is rs_codec.encode)
        codec.append(
            {
                "title": title,
                "errors": errors,
                "rates": rates(named, measurement.work.amount, effort, peers(measurement)),
            }
        )
    return erasure, codec


def run(effort):
    """Measure; returns the document."""
    if hasattr(os, "sched_setaffinity"):
        os.sched_setaffinity(0, {max(os.sched_getaffinity(0))})
    encode, memory = [], []
    for length in LENGTHS:
        n_bytes = 10 * length
        memory.append({"bytes": n_bytes, "rates": rates(bandwidth(n_bytes), n_bytes, effort)})
        for k, m in SHAPES:
            if (k + m) * length <= MOST_BYTES:
                of_shape = rates(encoders(k, m, length), k * length, effort)
                encode.append({"k": k, "m": m, "length": length, "rates": of_shape})
    erasure, codec = beside_peers(effort)
    created = time.strftime("%Y-%m-%d", time.gmtime())
    return {
        "schema": SCHEMA,
        "created": created,
        "machine": machine.card(),
        "encode": encode,
        "memory": memory,
        "erasure": erasure,
        "codec": codec,
    }


def size(n_bytes):
    """4 KiB, 16 MiB."""
    return f"{n_bytes >> 20} MiB" if n_bytes >= 1 << 20 else f"{n_bytes >> 10} KiB"


def render(document):
    """The page; every figure in it is from ``document``."""
    names = list(document["encode"][0]["rates"])
    card = document["machine"]
    lines = [
        "# Speed of `rs`",
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
    if document.get("erasure"):
        lines += ["", "## `Erasure` beside others", ""]
        lines += ["Shards of 1 MiB, from Python, 10^9 bytes of data a second, in the same run.", ""]
        lines += table("1 MiB shards", document["erasure"])
    if document.get("codec"):
        lines += ["", f"## `RSCodec`, RS({rs_codec.N}, {rs_codec.K})", ""]
        lines += [
            f"Batches of {rs_codec.WORDS} words, from Python, into arrays that are there; peers in the form",
            "that they are quickest with, fewer words. 10^6 bytes of message a second, in the same run.",
            "",
        ]
        lines += table("words", document["codec"], 1e3)
    return "\n".join([*lines, ""])


def number(rate):
    """Three digits, never an exponent."""
    return f"{rate:,.0f}" if rate >= 100 else f"{rate:.3g}" if rate >= 0.001 else f"{rate:.6f}"


def table(corner, entries, factor=1):
    """A line an entry, a column for each back end and peer that any of them has."""
    names = list(dict.fromkeys(name for one in entries for name in one["rates"]))
    yield f"| {corner} | {' | '.join(names)} |"
    yield f"| --- | {' | '.join('---' for _ in names)} |"
    for one in entries:
        title = one["title"] + (f" {one['errors']} errors" if one.get("errors") else "")
        cells = [number(one["rates"][name] * factor) if name in one["rates"] else "" for name in names]
        yield f"| {title} | {' | '.join(cells)} |"


def main(arguments=None):
    """Measure (unless told not to) and write."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--render", action="store_true", help="do not measure")
    parser.add_argument("--brief", action="store_true", help="measure next to nothing, and write nothing")
    options = parser.parse_args(arguments)
    if options.brief:
        print(render(run(BRIEF)))
        return
    document = json.loads(RESULTS.read_text(encoding="utf-8")) if options.render else run(EFFORT)
    RESULTS.write_text(json.dumps(document, indent=1) + "\n", encoding="utf-8")
    PAGE.write_text(render(document), encoding="utf-8")


if __name__ == "__main__":
    main()

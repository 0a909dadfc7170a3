"""Looks for secrets in running times.

::

    python benches/timing_leak.py            # about five minutes of processor time
    python benches/timing_leak.py --quick    # a minute, coarser
    python benches/timing_leak.py --json     # the same as a document
    python benches/timing_leak.py --only sign

Every operation is called with secrets of two classes by turns at random.  A difference counts if one test
goes beyond ``|t| = 4.5`` in two repetitions with inputs of their own.  ``detectable`` is the smallest
difference of means that would have been found with probability 90 %: the harness says nothing about less.

Exit code 1: an operation leaks, or a control that must leak was not found.
"""

from __future__ import annotations

import argparse
import json
import sys

from leak.operations import OPERATIONS
from leak.sampling import DOCUMENTED, MUST_LEAK, judge
from leak.statistics import THRESHOLD

from sottovoce.cli import machine

SCHEMA = "sottovoce-leak/1"
QUICK_S = 2.0
FULL_S = 10.0


def word(verdict):
    """The verdict for people."""
    if verdict.operation.kind == MUST_LEAK:
        return "found" if verdict.differs else "NOT FOUND"
    if verdict.operation.kind == DOCUMENTED:
        return "differs, documented" if verdict.differs else "no difference"
    return "LEAK" if verdict.differs else "no difference"


def rows(verdicts):
    """One line an operation, as a Markdown table."""
    yield "| operation | classes | calls | median | largest t (test) | second run | detectable | verdict |"
    yield "| --- | --- | --- | --- | --- | --- | --- | --- |"
    for verdict in verdicts:
        first, *second = verdict.series
        operation = verdict.operation
        again = f"{second[0].worst.t:+.1f} ({second[0].worst.name})" if second else ""
        yield (
            f"| {operation.name} | {operation.classes} | {first.n:,} | {first.median_ns / 1e3:,.1f} us "
            f"| {first.worst.t:+.1f} ({first.worst.name}) | {again} "
            f"| {first.smallest_detectable_ns:,.0f} ns | {word(verdict)} |"
        )


def document(verdicts, seconds):
    """The run for machines; times in nanoseconds."""
    return {
        "schema": SCHEMA,
        "machine": machine.card(),
        "seconds": seconds,
        "threshold": THRESHOLD,
        "results": [
            {
                "operation": verdict.operation.name,
                "classes": verdict.operation.classes,
                "kind": verdict.operation.kind,
                "differs": verdict.differs,
                "failed": verdict.failed,
                "repetitions": [
                    {
                        "calls": one.n,
                        "median_ns": one.median_ns,
                        "smallest_detectable_ns": one.smallest_detectable_ns,
                        "tests": [vars(test) for test in one.tests],
                    }
                    for one in verdict.series
                ],
            }
            for verdict in verdicts
        ],
    }


def main(arguments=None):
    """Run the harness; returns the exit code."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="fewer calls")
    parser.add_argument("--json", action="store_true", help="a document instead of the table")
    parser.add_argument("--only", metavar="TEXT", default="", help="operations with this in their name")
    options = parser.parse_args(arguments)
    chosen = [operation for operation in OPERATIONS if options.only in operation.name]
    if not chosen:
        parser.error(f"no operation has {options.only!r} in its name")
    seconds = QUICK_S if options.quick else FULL_S
    verdicts = []
    for operation in chosen:
        print(operation.name, file=sys.stderr)
        verdicts.append(judge(operation, seconds))
    if options.json:
        print(json.dumps(document(verdicts, seconds), indent=1))
    else:
        card = machine.card()
        print(f"sottovoce {card['sottovoce']} on {card['cpu']}, {card['cores']} cores, {card['python']}\n")
        print("\n".join(rows(verdicts)))
    return int(any(verdict.failed for verdict in verdicts))


if __name__ == "__main__":
    raise SystemExit(main())

"""Two classes of secrets by turns at random, and a verdict that a second repetition has confirmed."""

from __future__ import annotations

import gc
import secrets
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

from . import statistics

MUST_LEAK = "must leak"
MUST_NOT = "must not leak"
DOCUMENTED = "documented"


@dataclass(frozen=True)
class Operation:
    """Something with a secret input.

    Attributes:
        name: What is done.
        classes: What distinguishes the two classes of secrets, in words.
        prepare: Gives the call and the inputs of each class.  The two have the same number of inputs, each
            an object of its own, so that memory treats both alike.
        kind: ``MUST_NOT`` leak; ``MUST_LEAK``, a control; ``DOCUMENTED``, a difference that docs name.
    """

    name: str
    classes: str
    prepare: Callable[[], tuple[Callable[[Any], object], Sequence[Any], Sequence[Any]]]
    kind: str = MUST_NOT


@dataclass(frozen=True)
class Series:
    """One repetition."""

    n: int
    median_ns: float
    tests: list[statistics.Test] = field(repr=False)
    smallest_detectable_ns: float

    @property
    def worst(self):
        """The test with the largest ``|t|``."""
        return max(self.tests, key=lambda test: abs(test.t))

    @property
    def differing(self):
        """Tests beyond the threshold, with the sign of the difference."""
        return {(test.name, test.t > 0) for test in self.tests if test.beyond}


@dataclass(frozen=True)
class Verdict:
    """What one or two repetitions say about an operation."""

    operation: Operation
    series: list[Series]

    @property
    def differs(self):
        """One test was beyond the threshold in two repetitions, with the same sign."""
        return len(self.series) > 1 and bool(set.intersection(*(one.differing for one in self.series)))

    @property
    def failed(self):
        """A control that was not found, or a leak."""
        return {MUST_LEAK: not self.differs, MUST_NOT: self.differs, DOCUMENTED: False}[self.operation.kind]


def sample(operation, seconds, n_blocks=20, clock=time.process_time_ns):
    """One repetition: blocks with inputs of their own.

    Args:
        operation: What to call.
        seconds: Of calls, in all blocks together; a block has at least 64 calls.
        n_blocks: How often everything is made anew.
        clock: Nanoseconds; by default processor time, so that other work on the machine is not in it.
    """
    duration_ns = int(seconds * 1e9 / n_blocks)
    # In every other block the classes change places in this program's own lists: even those have their times.
    blocks = [_block(operation, duration_ns, bool(i % 2), clock) for i in range(n_blocks)]
    times = sorted(t for taken, _ in blocks for t in taken)
    tests = statistics.tests(blocks)
    return Series(len(times), times[len(times) // 2], tests, statistics.smallest_detectable(blocks, tests))


def _block(operation, duration_ns, swapped, clock):
    """Times and classes; the class of each call is drawn, its inputs are taken in order, round and round."""
    call, *inputs = operation.prepare()
    if len(inputs[0]) != len(inputs[1]):
        raise ValueError("as many inputs of one class as of the other expected")
    if swapped:
        inputs.reverse()
    n = [0, 0]
    times, classes = [], []
    collecting = gc.isenabled()
    gc.collect()
    gc.disable()
    try:
        for which in (0, 1) * 5:  # lazy imports, caches
            call(inputs[which][-1])
        end = clock() + duration_ns
        while clock() < end or not times:
            for bit in map(int, f"{secrets.randbits(64):064b}"):
                argument = inputs[bit][n[bit] % len(inputs[bit])]
                n[bit] += 1
                start = clock()
                call(argument)
                times.append(clock() - start)
                classes.append(bool(bit) is not swapped)
    finally:
        if collecting:
            gc.enable()
    return times, classes


def judge(operation, seconds):
    """Up to two repetitions; the second only where the first found something.  Inputs are new in each."""
    series = [sample(operation, seconds)]
    if series[0].differing:
        series.append(sample(operation, seconds))
    return Verdict(operation, series)

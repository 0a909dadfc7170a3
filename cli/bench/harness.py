"""Timing: warm-up, then samples of everything that is compared by turns, then order statistics.

By turns, because the clock of a shared machine drifts: what is compared is measured under the same
weather, and a ratio is taken round by round (:func:`ratio`).  The median is the figure and the quartiles
are its spread; a mean would follow every interruption.  Garbage collection is off while a sample runs, as
in :mod:`timeit`.
"""

from __future__ import annotations

import gc
import math
import operator
import statistics
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from typing import Final

from .measurement import Operation

# A sample shorter than this would measure the clock: its resolution and call cost are some 100 ns.
_LEAST_SAMPLE_S: Final = 2e-3


@dataclass(frozen=True, slots=True)
class Effort:
    """How long to measure.

    Attributes:
        seconds: Aim for one operation, all samples together.
        least: Samples at least, however slow.
        most: Samples at most, however fast.
        warm_up_s: Time spent before the first sample; one call at least.
    """

    seconds: float
    least: int
    most: int
    warm_up_s: float

    def shared_by(self, n: int) -> Effort:
        """The effort for one of ``n`` parts, which together take about twice as long as the whole."""
        return replace(self, seconds=2 * self.seconds / n, warm_up_s=self.warm_up_s / n)


THOROUGH: Final = Effort(seconds=1.2, least=7, most=200, warm_up_s=0.1)
QUICK: Final = Effort(seconds=0.1, least=3, most=30, warm_up_s=0.01)


@dataclass(frozen=True, slots=True)
class Timing:
    """Seconds for one call.

    Attributes:
        median: The figure.
        low: First quartile.
        high: Third quartile.
        best: Fastest sample.
        n: Samples.
        loops: Calls in a sample; a sample is their mean.
        samples: In the order in which they were taken.
    """

    median: float
    low: float
    high: float
    best: float
    n: int
    loops: int
    samples: tuple[float, ...] = field(default=(), repr=False)

    @property
    def spread(self) -> float:
        """Distance of the quartiles relative to the median."""
        return (self.high - self.low) / self.median


@dataclass(frozen=True, slots=True)
class Ratio:
    """How many times longer one thing takes than others together.

    Attributes:
        median: The figure, over the rounds in which all of them were sampled.
        low: First quartile.
        high: Third quartile.
        n: Rounds.
    """

    median: float
    low: float
    high: float
    n: int


def ratio(subject: Timing, others: Sequence[tuple[int, Timing]]) -> Ratio:
    """Compare round by round, so that what slows the whole machine down cancels out.

    Args:
        subject: Of one call of :func:`measure`.
        others: Counts and timings of the same call of :func:`measure`.

    Returns:
        ``subject / sum(count * other)``.
    """
    rounds = zip(subject.samples, *(timing.samples for _, timing in others), strict=False)
    counts = [count for count, _ in others]
    ratios = [first / sum(map(operator.mul, counts, rest)) for first, *rest in rounds]
    low, median, high = statistics.quantiles(ratios, n=4, method="inclusive")
    return Ratio(median, low, high, len(ratios))


def measure(
    operations: Sequence[Operation],
    effort: Effort | Sequence[Effort],
    clock: Callable[[], float] = time.perf_counter,
) -> list[Timing]:
    """Time several operations under the same conditions.

    Args:
        operations: The subject and what it is compared with.
        effort: How long; for all of them, or for each.
        clock: Seconds; another one in tests.

    Returns:
        One timing an operation, in order.
    """
    efforts = [effort] * len(operations) if isinstance(effort, Effort) else list(effort)
    loops = [_warm_up(*pair, clock) for pair in zip(operations, efforts, strict=True)]
    samples: list[list[float]] = [[] for _ in operations]
    spent = [0.0] * len(operations)
    while True:
        pending = [
            i
            for i, (taken, of) in enumerate(zip(samples, efforts, strict=True))
            if len(taken) < of.least or (spent[i] < of.seconds and len(taken) < of.most)
        ]
        if not pending:
            break
        for i in pending:
            seconds = _sample(operations[i], loops[i], clock)
            samples[i].append(seconds / loops[i])
            spent[i] += seconds
    return [_timing(taken, n) for taken, n in zip(samples, loops, strict=True)]


def _warm_up(operation: Operation, effort: Effort, clock: Callable[[], float]) -> int:
    """Call until caches and lazy tables are filled; returns how many calls make a sample."""
    fastest = math.inf
    start = clock()
    while True:
        fastest = min(fastest, _sample(operation, 1, clock))
        if clock() - start >= effort.warm_up_s:
            break
    return max(1, math.ceil(_LEAST_SAMPLE_S / fastest)) if fastest > 0 else 1


def _sample(operation: Operation, loops: int, clock: Callable[[], float]) -> float:
    """Seconds of ``loops`` calls, without the making of their arguments."""
    call, fresh = operation.call, operation.fresh
    collecting = gc.isenabled()
    gc.disable()
    try:
        if fresh is None:
            start = clock()
            for _ in range(loops):
                call()
            return clock() - start
        seconds = 0.0
        for _ in range(loops):
            # Made one by one: a pile of prepared arguments would be measured with cold caches.
            arguments = fresh()
            start = clock()
            call(*arguments)
            seconds += clock() - start
        return seconds
    finally:
        if collecting:
            gc.enable()


def _timing(samples: list[float], loops: int) -> Timing:
    low, median, high = statistics.quantiles(samples, n=4, method="inclusive")
    return Timing(median, low, high, min(samples), len(samples), loops, tuple(samples))

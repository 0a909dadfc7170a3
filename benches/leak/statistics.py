"""Is the running time of two classes of inputs the same?

Welch's t on the samples, on what is left of them after cropping the slowest at several percentiles (an
interrupted call says nothing about secrets, and hides what the others say), and on the squared distances
from the class's mean (second order: equal means with another variance).

Source: Reparaz, Balasch and Verbauwhede, "Dude, is my code constant time?", DATE 2017; Goodwill, Jun, Jaffe
and Rohatgi, "A testing methodology for side-channel resistance validation", 2011 (the threshold).
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

THRESHOLD = 4.5
"""``|t|`` beyond it is no accident: probability 7e-6 for one test of equal distributions."""

POWER_Z = 1.2816
"""90 % of a normal distribution lie below."""

CROPS = (1.0, *(1 - 0.5 ** (10 * i / 8) for i in range(8, 0, -1)))
"""Share of the samples that is kept, from all down to 58 %: percentiles of both classes together, so
that the same threshold cuts both."""

_SECOND_ORDER_CROP = CROPS[5]


@dataclass(frozen=True)
class Test:
    """One comparison of two classes.

    Attributes:
        name: ``mean 97%`` (share kept) or ``variance``.
        t: Welch's statistic; positive if the second class takes longer.
        difference: Of the means, second less first, in the unit of the samples (squared: variance).
        error: Standard error of ``difference``.
    """

    name: str
    t: float
    difference: float
    error: float

    @property
    def beyond(self):
        """Whether the classes differ."""
        return abs(self.t) > THRESHOLD


def welch(first, second, name="mean"):
    """Welch's t of two arrays; 0 where nothing varies and nothing differs.

    Raises:
        ValueError: Fewer than two samples in a class.
    """
    if min(len(first), len(second)) < 2:
        raise ValueError("two samples in each class expected")
    difference = float(np.mean(second) - np.mean(first))
    error = math.sqrt(np.var(first, ddof=1) / len(first) + np.var(second, ddof=1) / len(second))
    return _test(name, difference, error)


def _test(name, difference, error):
    if error == 0:
        return Test(name, 0.0 if difference == 0 else math.copysign(math.inf, difference), difference, error)
    return Test(name, difference / error, difference, error)


def tests(blocks):
    """All comparisons of one series of blocks, each with inputs, tables and objects of its own.

    Two halves of ONE class differ, too, by some nanoseconds: their inputs lie elsewhere in memory.  Within a
    block that difference stays, so with enough samples any ``t`` would come out; from one block to the
    next it changes its sign.  So the error of the mean over the blocks is the larger one of what
    Welch's errors within them predict and of what is seen between them.

    Args:
        blocks: ``(times, classes)`` each; one number, and False or True, a sample.
    """
    by_block = [
        _block(np.asarray(times, dtype=float), np.asarray(classes, bool)) for times, classes in blocks
    ]
    return [_combine(same) for same in zip(*by_block, strict=True)]


def _block(times, classes):
    results = []
    for share in CROPS:
        kept = times <= np.quantile(times, share)
        results.append(_welch_if_any(times[kept & ~classes], times[kept & classes], f"mean {share:.1%}"))
    kept = times <= np.quantile(times, _SECOND_ORDER_CROP)
    parts = [times[kept & ~classes], times[kept & classes]]
    squares = [(part - part.mean()) ** 2 if len(part) else part for part in parts]
    return [*results, _welch_if_any(*squares, "variance")]


def _welch_if_any(first, second, name):
    """Says nothing where cropping has left nothing of a class; then the test without cropping shouts."""
    if min(len(first), len(second)) < 2:
        return Test(name, 0.0, 0.0, math.inf)
    return welch(first, second, name)


def _combine(same):
    differences = [test.difference for test in same]
    error = math.sqrt(sum(test.error**2 for test in same)) / len(same)
    if len(same) > 1:
        error = max(error, float(np.std(differences, ddof=1)) / math.sqrt(len(same)))
    return _test(same[0].name, float(np.mean(differences)), error)


def smallest_detectable(blocks, results):
    """The smallest difference of means that would have been found with probability 90 %.

    A test whose difference has standard error ``e`` goes beyond the threshold with that probability if what
    it sees is ``(4.5 + 1.28) * e``.  A cropped test sees less of a difference than there is, because the
    common cut takes more from the slower class; how much less is measured by planting one.  The best
    test counts.  For a difference that moves all samples alike.

    Args:
        blocks: As for :func:`tests`.
        results: What :func:`tests` gave for them.

    Returns:
        In the unit of the samples.
    """
    least = {t.name: (THRESHOLD + POWER_Z) * t.error for t in results if t.name != "variance"}
    planted = min(least.values())
    if planted == 0:
        return 0.0
    before = {test.name: test.difference for test in results}
    shifted = tests(
        [(np.asarray(times) + planted * np.asarray(classes), classes) for times, classes in blocks]
    )
    seen = {t.name: (t.difference - before[t.name]) / planted for t in shifted if t.name in least}
    return min(effect / seen[name] for name, effect in least.items() if seen[name] > 0)

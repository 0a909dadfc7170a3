"""The statistics of the timing-leak harness, on made-up times: what it finds, what not, how little it sees.

The harness itself runs by command (benches/timing_leak.py): nothing here depends on a real clock.
"""

import json
import math
import random
import sys
from pathlib import Path

import numpy as np
import pytest

BENCHES = Path(__file__).parents[1] / "benches"


@pytest.fixture(scope="module", autouse=True)
def _benches_on_the_path():
    sys.path.insert(0, str(BENCHES))
    yield
    sys.path.remove(str(BENCHES))


@pytest.fixture(scope="module")
def statistics():
    from leak import statistics

    return statistics


@pytest.fixture(scope="module")
def sampling():
    from leak import sampling

    return sampling


@pytest.fixture(autouse=True, scope="module")
def no_collection(sampling):
    """A hundred full collections of the whole suite's objects are no part of a clock that is made up."""
    with pytest.MonkeyPatch.context() as patch:  # its own: tests undo theirs
        patch.setattr(sampling.gc, "collect", lambda: 0)
        yield


def blocks(seed, shift=0.0, spread=100.0, spread_of_one=None, n_blocks=20, n=500, drift=0.0, outliers=0.02):
    """Times around 50,000 ns with rare interruptions; class True is slower by ``shift``.

    ``drift``: a difference of the classes that belongs to the block, as that of memory layout.
    """
    rng = np.random.default_rng(seed)
    result = []
    for _ in range(n_blocks):
        classes = rng.random(n) < 0.5
        noise = np.where(classes, spread_of_one or spread, spread)
        times = 50_000 + noise * rng.standard_normal(n) + rng.normal(0, drift or 1e-9) * classes
        times += shift * classes + (rng.random(n) < outliers) * rng.exponential(50_000, n)
        result.append((times, classes))
    return result


def worst(tests):
    return max(tests, key=lambda test: abs(test.t))


def test_welch_by_hand(statistics):
    test = statistics.welch(np.array([1.0, 2.0, 3.0]), np.array([2.0, 4.0, 6.0, 8.0]))
    assert test.difference == 3.0
    assert test.error == pytest.approx(math.sqrt(1 / 3 + (20 / 3) / 4))
    assert test.t == pytest.approx(3.0 / math.sqrt(2.0))
    with pytest.raises(ValueError, match="two samples"):
        statistics.welch(np.array([1.0]), np.array([1.0, 2.0]))


def test_welch_where_nothing_varies(statistics):
    same = np.array([5.0, 5.0])
    assert statistics.welch(same, same).t == 0
    assert statistics.welch(same, same + 1).t == math.inf
    assert statistics.welch(same + 1, same).t == -math.inf


@pytest.mark.parametrize("shift", [20.0, -20.0])
def test_finds_a_planted_shift_under_interruptions(statistics, shift):
    """A fifth of the noise, under interruptions of a thousand times as much."""
    tests = statistics.tests(blocks(1, shift=shift))
    assert worst(tests).beyond
    assert worst(tests).t * shift > 0
    assert not tests[0].beyond, "without cropping the interruptions hide it"


def test_finds_another_variance_behind_equal_means(statistics):
    tests = statistics.tests(blocks(2, spread_of_one=130.0))
    assert [test.name for test in tests][-1] == "variance"
    assert tests[-1].t > statistics.THRESHOLD


def test_does_not_fire_on_equal_distributions(statistics):
    fired = [worst(statistics.tests(blocks(seed, n=200, n_blocks=10))).beyond for seed in range(60)]
    # |t| of 10 blocks is not quite normal; one in hundreds may be beyond, and would not be so twice.
    assert sum(fired) <= 1


def test_does_not_fire_on_differences_that_belong_to_the_block(statistics):
    """Memory layout: real within a block, of any sign from one to the next."""
    for seed in range(5):
        series = blocks(seed, drift=50.0, n=2000)
        within = [statistics.tests([block]) for block in series]
        assert sum(worst(tests).beyond for tests in within) >= 8, "each block alone looks like a leak"
        assert not worst(statistics.tests(series)).beyond


def test_a_shift_is_found_beside_differences_of_the_block(statistics):
    assert worst(statistics.tests(blocks(4, shift=60.0, drift=20.0))).beyond


def test_smallest_detectable_effect_is_what_its_formula_says(statistics):
    """By hand for the test that crops nothing, and at least that for the best one."""
    series = blocks(5, outliers=0.0)
    tests = statistics.tests(series)
    alone = statistics.smallest_detectable(series, tests[:1])
    assert alone == pytest.approx((4.5 + 1.2816) * tests[0].error)
    assert statistics.smallest_detectable(series, tests) <= alone * 1.001
    # Cropping to 58 % sees less than half of a difference, and must not be praised for its small error.
    assert statistics.smallest_detectable(series, tests[-2:-1]) > 2 * (4.5 + 1.2816) * tests[-2].error
    assert tests[-2].name == "mean 58.0%"


def test_smallest_detectable_effect_is_found_nine_times_in_ten(statistics):
    """The promise itself: plant exactly that much and count."""
    quiet = {"n_blocks": 10, "n": 300, "outliers": 0.0}

    def detectable(seed):
        series = blocks(seed, **quiet)
        return statistics.smallest_detectable(series, statistics.tests(series))

    effect = float(np.median([detectable(seed) for seed in range(10)]))
    found = [worst(statistics.tests(blocks(100 + s, shift=effect, **quiet))).beyond for s in range(40)]
    assert 30 <= sum(found) <= 40
    third = [worst(statistics.tests(blocks(300 + s, shift=effect / 3, **quiet))).beyond for s in range(40)]
    assert sum(third) < 15


def test_crops_keep_all_to_more_than_half(statistics):
    assert statistics.CROPS[0] == 1.0
    assert sorted(statistics.CROPS, reverse=True) == list(statistics.CROPS)
    assert 0.5 < statistics.CROPS[-1] < 0.6


class Clock:
    """Time passes only in calls, and a little in between."""

    def __init__(self, seed=0):
        self.now = 0
        self.random = random.Random(seed)

    def __call__(self):
        self.now += 7
        return self.now

    def operation(self, sampling, cost, kind=None):
        """One whose time is ``cost(secret)``, with secrets 0 and 1."""

        def call(secret):
            self.now += int(cost(secret) + self.random.gauss(0, 50))

        return sampling.Operation(
            "made up", "0 or 1", lambda: (call, [0] * 4, [1] * 4), kind or sampling.MUST_NOT
        )


def test_the_classes_are_drawn_and_their_times_belong_to_them(sampling):
    clock = Clock()
    series = sampling.sample(clock.operation(sampling, lambda s: 1000 + 500 * s), 0.0, clock=clock)
    assert series.n == 20 * 64
    assert series.worst.t > 100
    # Swapping the lists in every other block must not swap the classes.
    assert series.tests[0].difference == pytest.approx(500, rel=0.1)
    assert series.smallest_detectable_ns < 100


def judged(sampling, monkeypatch, cost, kind=None):
    clock = Clock()
    real = sampling.sample
    monkeypatch.setattr(sampling, "sample", lambda op, seconds: real(op, 0.0, 6, clock))
    return sampling.judge(clock.operation(sampling, cost, kind), 1.0)


def test_a_leak_fails_and_a_control_must_be_found(sampling, monkeypatch):
    def leaking(secret):
        return 1000 + 500 * secret

    def equal(_):
        return 1000

    leak = judged(sampling, monkeypatch, leaking)
    assert len(leak.series) == 2
    assert leak.differs
    assert leak.failed
    monkeypatch.undo()
    clean = judged(sampling, monkeypatch, equal)
    assert not clean.differs
    assert not clean.failed
    monkeypatch.undo()
    assert not judged(sampling, monkeypatch, leaking, sampling.MUST_LEAK).failed
    monkeypatch.undo()
    assert judged(sampling, monkeypatch, equal, sampling.MUST_LEAK).failed
    monkeypatch.undo()
    documented = judged(sampling, monkeypatch, leaking, sampling.DOCUMENTED)
    assert documented.differs
    assert not documented.failed


def test_two_repetitions_must_agree_in_test_and_sign(sampling, statistics):
    def series(*found):
        return sampling.Series(64, 1.0, [statistics.Test(name, t, t, 1.0) for name, t in found], 1.0)

    operation = sampling.Operation("x", "y", None)
    first = series(("mean 100%", 9.0), ("variance", 0.0))
    for second, differs in (
        (series(("mean 100%", 5.0), ("variance", 0.0)), True),
        (series(("mean 100%", -9.0), ("variance", 0.0)), False),
        (series(("mean 100%", 1.0), ("variance", 9.0)), False),
        (series(("mean 100%", 4.5), ("variance", 0.0)), False),
    ):
        assert sampling.Verdict(operation, [first, second]).differs is differs
    assert not sampling.Verdict(operation, [first]).differs


def test_classes_of_unequal_length_are_refused(sampling):
    operation = sampling.Operation("x", "y", lambda: (print, [1], [1, 2]))
    with pytest.raises(ValueError, match="as many"):
        sampling.sample(operation, 0.0)


def test_every_operation_can_be_prepared_and_called(sampling):
    from leak.operations import OPERATIONS

    assert len({operation.name for operation in OPERATIONS}) == len(OPERATIONS)
    assert sum(operation.kind == sampling.MUST_LEAK for operation in OPERATIONS) == 2
    for operation in OPERATIONS:
        call, first, second = operation.prepare()
        assert len(first) == len(second) >= 4
        call(first[0])
        call(second[0])


def test_the_command(monkeypatch, capsys):
    import timing_leak
    from leak import sampling, statistics

    tests = [statistics.Test("mean 100.0%", 9.0, 90.0, 10.0), statistics.Test("variance", 1.0, 1.0, 1.0)]
    series = sampling.Series(640, 1000.0, tests, 58.0)
    seen = []

    def judge(operation, seconds):
        seen.append(seconds)
        return sampling.Verdict(operation, [series, series])

    monkeypatch.setattr(timing_leak, "judge", judge)
    assert timing_leak.main(["--quick", "--only", "control"]) == 0
    out = capsys.readouterr().out
    assert out.count("| found |") == 2
    assert "| +9.0 (mean 100.0%) | +9.0 (mean 100.0%) | 58 ns |" in out
    assert timing_leak.main(["--only", "token"]) == 1
    assert "| LEAK |" in capsys.readouterr().out
    assert seen == [timing_leak.QUICK_S] * 2 + [timing_leak.FULL_S]
    assert timing_leak.main(["--quick", "--json", "--only", "own or none"]) == 0
    document = json.loads(capsys.readouterr().out)
    (result,) = document["results"]
    assert (result["kind"], result["differs"], result["failed"]) == ("documented", True, False)
    assert result["repetitions"][0]["tests"][0]["t"] == 9.0
    with pytest.raises(SystemExit):
        timing_leak.main(["--only", "nothing like this"])

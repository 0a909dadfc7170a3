"""Clipping, rounding, weights and what a sum must satisfy."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from sottovoce._ext.errors import OverflowDetected, ParameterError, RangeError
from sottovoce.he import Codec


class AllOnes:
    """A random stream at its upper end: every fraction is 1 - 2**-53."""

    def words(self, count):
        return np.full(count, 2**64 - 1, np.uint64)


class AllZeros:
    def words(self, count):
        return np.zeros(count, np.uint64)


def test_quantized_values_are_within_one_of_the_scaled_input():
    codec = Codec(0.5)
    x = np.random.default_rng(1).normal(size=5000)
    for g in (1, 7, 12345, codec.max_weight):
        v = codec.quantize(x, g)
        assert v.dtype == np.int64
        assert v[-1] == g
        exact = np.clip(x, -0.5, 0.5) / 0.5 * g
        assert (np.abs(v[:-1] - exact) < 1).all()
        assert (np.abs(v) <= g).all()


def test_weight_defaults_to_the_largest():
    codec = Codec(1.0)
    assert codec.max_weight == 32767
    assert codec.quantize(np.zeros(3))[-1] == 32767


def test_stochastic_rounding_is_unbiased():
    codec = Codec(1.0)
    x = np.full(400_000, 0.3 / codec.max_weight)  # 0.3 of a step
    v = codec.quantize(x)[:-1]
    assert set(np.unique(v)) == {0, 1}
    assert v.mean() == pytest.approx(0.3, abs=5 * np.sqrt(0.21 / len(x)))
    v = codec.quantize(-x)[:-1]
    assert set(np.unique(v)) == {-1, 0}
    assert v.mean() == pytest.approx(-0.3, abs=5 * np.sqrt(0.21 / len(x)))


def test_two_roundings_of_one_vector_differ():
    codec = Codec(1.0)
    x = np.random.default_rng(2).uniform(-1, 1, 1000)
    assert not np.array_equal(codec.quantize(x), codec.quantize(x))


def test_nearest_rounding_is_deterministic():
    codec = Codec(1.0, rounding="nearest")
    x = np.random.default_rng(2).uniform(-1, 1, 1000)
    v = codec.quantize(x)
    assert np.array_equal(v, codec.quantize(x))
    assert (np.abs(v[:-1] - x * 32767) <= 0.5).all()


def test_entries_at_the_clip_never_exceed_the_weight():
    # attack: g + u rounds up to g + 1 in float64 for u = 1 - 2**-53, and in float32 once in a thousand.
    codec = Codec(0.1)
    x = np.array([0.1, 5.0, -0.1, -5.0, 0.0])
    for g in (1, 2, 1000, codec.max_weight):
        # At -g the largest u may round up by one step; a bias of 2**-39 that leaves the bound alone.
        v = codec._quantize_derand(x, g, AllOnes()).tolist()
        assert v[:2] == [g, g]
        assert v[4:] == [0, g]
        assert set(v[2:4]) <= {-g, 1 - g}
        assert codec._quantize_derand(x, g, AllZeros()).tolist() == [g, g, -g, -g, 0, g]
    assert np.floor(32767 + (1 - 2**-53)) == 32768  # so the clamp is needed


def test_float32_arithmetic_would_overflow_and_is_not_used():
    g = np.float32(32767)
    u = np.random.default_rng(3).random(200_000).astype(np.float32)
    assert 0.0005 < (np.floor(g + u) > 32767).mean() < 0.002
    codec = Codec(1.0)
    x = np.full(200_000, 1.0, np.float32)
    assert (codec.quantize(x) == 32767).all()
    # Just below the clip the rounding is still right in expectation: float32 steps there are 2**-9.
    near = np.full(200_000, np.float32(1) - np.float32(2**-16))
    mean = codec.quantize(near)[:-1].mean()
    exact = float(near[0]) * 32767
    assert mean == pytest.approx(exact, abs=5 * 0.5 / np.sqrt(len(near)))


@pytest.mark.parametrize("kind", ["f2", "f4", "f8", ">f8"])
def test_reads_every_float_type_and_stride(kind):
    codec = Codec(1.0, rounding="nearest")
    x = np.array([0.5, 9.0, -0.25, 9.0, 1.0, 9.0]).astype(kind)[::2]
    keep = x.copy()
    assert codec.quantize(x).tolist() == [16384, -8192, 32767, 32767]
    assert np.array_equal(x, keep)


def test_mean_of_a_sum_is_the_weighted_mean():
    codec = Codec(2.0, max_summands=8)
    rng = np.random.default_rng(4)
    xs = [rng.uniform(-2, 2, 50) for _ in range(5)]
    gs = [codec.weight(e, 100) for e in (1, 20, 50, 99, 100)]
    total = sum(codec.quantize(x, g) for x, g in zip(xs, gs, strict=True))
    mean, weights = codec.dequantize(total, 5)
    assert weights == sum(gs)
    exact = sum(x * g for x, g in zip(xs, gs, strict=True)) / weights
    assert np.abs(mean - exact).max() <= 2.0 * 5 / weights


def test_weight_by_examples():
    codec = Codec(1.0)
    G = codec.max_weight
    assert codec.weight(100, 100) == G
    assert codec.weight(50, 100) == 16384  # 16383.5 rounds up
    assert codec.weight(1, 10**9) == 1
    assert codec.weight(1, 1) == G
    assert codec.weight(np.int64(50), np.int32(100)) == 16384
    for bad in ((0, 5), (6, 5), (-1, 5)):
        with pytest.raises(ParameterError, match=f"got {bad[0]}"):
            codec.weight(*bad)
    for bad in ((1.0, 5), (True, 5), (1, "5")):
        with pytest.raises(TypeError, match="examples: int expected"):
            codec.weight(*bad)


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
def test_rejects_what_is_not_finite_and_tells_the_index(bad):
    x = np.zeros(10)
    x[7] = bad
    with pytest.raises(RangeError, match="index 7"):
        Codec(1.0).quantize(x)


def test_rejects_other_vectors():
    codec = Codec(1.0)
    for bad in ([1.0], np.zeros(3, int), np.zeros(3, complex), None):
        with pytest.raises(TypeError):
            codec.quantize(bad)
    for bad in (np.zeros((2, 2)), np.zeros(0), np.zeros(())):
        with pytest.raises(ParameterError):
            codec.quantize(bad)
    for bad in (0, -1, 32768, 1.0, True):
        with pytest.raises(ParameterError):
            codec.quantize(np.zeros(3), bad)


@pytest.mark.parametrize(
    "fields",
    [
        {"clip": 0.0},
        {"clip": -1.0},
        {"clip": np.inf},
        {"clip": np.nan},
        {"value_bits": 3},
        {"value_bits": 25},
        {"value_bits": 16.0},
        {"max_summands": 0},
        {"max_summands": (1 << 24) + 1},
        {"rounding": "up"},
    ],
)
def test_rejects_impossible_codecs(fields):
    with pytest.raises(ParameterError):
        Codec(**{"clip": 1.0, **fields})


def test_the_clip_is_any_real_number():
    assert Codec(np.float32(0.5)) == Codec(0.5)
    assert type(Codec(np.float32(0.5)).clip) is float
    for bad in ("1", True, None, 1j):
        with pytest.raises(TypeError, match="clip: a number expected"):
            Codec(bad)


def test_is_immutable_and_hashable():
    codec = Codec(1)
    assert codec == Codec(1.0)
    assert hash(codec) == hash(Codec(1.0))
    assert type(codec.clip) is float
    with pytest.raises(AttributeError):
        codec.clip = 2.0


@pytest.mark.parametrize(
    ("total", "n"),
    [
        ([0, 2], 3),  # fewer than one a contributor
        ([0, 0], 3),
        ([0, -5], 3),
        ([0, 3 * 32767 + 1], 3),  # more than G a contributor
        ([101, 100], 3),  # a slot above the sum of weights
        ([-101, 100], 3),
        ([-(2**63), 100], 3),
    ],
)
def test_sums_that_honest_clients_cannot_reach_are_refused(total, n):
    with pytest.raises(OverflowDetected) as caught:
        Codec(1.0).dequantize(np.array(total, np.int64), n)
    assert str(caught.value) == str(OverflowDetected())


def test_sums_at_the_edge_are_accepted():
    codec = Codec(3.0)
    for total, n in (([3, 3], 3), ([-3, 3], 3), ([98301, 98301], 3), ([0, 98301], 3)):
        mean, weights = codec.dequantize(np.array(total, np.int64), n)
        assert mean[0] == 3.0 * total[0] / total[1]
        assert weights == total[1]


def test_rejects_other_totals():
    codec = Codec(1.0)
    for bad in ([1, 2], np.zeros(3), np.zeros(3, np.int32), None):
        with pytest.raises(TypeError):
            codec.dequantize(bad, 1)
    for bad in (np.zeros(1, np.int64), np.zeros((2, 2), np.int64)):
        with pytest.raises(ParameterError):
            codec.dequantize(bad, 1)
    for bad in (0, 1025, 1.0, True):
        with pytest.raises(ParameterError):
            codec.dequantize(np.array([1, 2]), bad)


@given(
    st.lists(st.floats(allow_nan=False, allow_infinity=False, width=64), min_size=1, max_size=20),
    st.floats(min_value=1e-300, max_value=1e300),
    st.integers(4, 24),
    st.data(),
)
def test_any_finite_vector_stays_within_its_weight(values, clip, bits, data):
    codec = Codec(clip, bits)
    g = data.draw(st.integers(1, codec.max_weight))
    v = codec.quantize(np.array(values), g)
    assert (np.abs(v) <= g).all()
    mean, weights = codec.dequantize(v, 1)
    assert weights == g
    assert (np.abs(mean) <= clip * (1 + 1e-12)).all()


def test_a_clip_above_every_float_is_refused():
    for bad in (10**400, -(10**400)):
        with pytest.raises(ParameterError, match="clip"):
            Codec(bad)
    assert Codec(10**300).clip == 1e300


def test_masked_vectors_are_refused():
    with pytest.raises(TypeError, match="mask"):
        Codec(1.0).quantize(np.ma.masked_array([1.0, np.nan], mask=[False, True]))


@pytest.mark.skipif(np.finfo(np.longdouble).max < np.longdouble("1e400"), reason="no wider floats here")
def test_what_is_finite_only_as_a_long_double_is_refused():
    with pytest.raises(RangeError, match="index 1"):
        Codec(1.0).quantize(np.array(["1", "1e400"], np.longdouble))

"""Clipping, rounding, weights and what a sum must satisfy."""

import threading

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from sottovoce._ext.errors import OverflowDetected, ParameterError, RangeError
from sottovoce.he import Codec, ModelLayout


class AllOnes:
    """A random stream at its upper end: every fraction is 1 - 2**-32."""

    def fill_words(self, out):
        out[:] = np.iinfo(out.dtype).max


class AllZeros:
    def fill_words(self, out):
        out[:] = 0


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


def test_rounding_is_up_exactly_if_the_fraction_and_the_random_word_reach_one():
    class Given:
        def __init__(self, words):
            self.words = iter(words)

        def fill_words(self, out):
            assert out.dtype == np.uint32
            out[:] = [next(self.words) for _ in range(len(out))]

    codec = Codec(1.0)
    x = np.full(5, 100.25 / 128)
    for sign, edge, down, up in ((1, 2**32 - 2**30, 100, 101), (-1, 2**30, -101, -100)):
        words = [0, edge - 1, edge, edge + 1, 2**32 - 1]
        v = codec._quantize_derand(sign * x, 128, Given(words))
        assert v[:-1].tolist() == [down, down, up, up, up]


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
    # attack: g + u rounds up to g + 1 in float64 for g of 24 bits and u = 1 - 2**-32, and in float32 once
    # in a thousand for g of 15 bits.
    x = np.array([0.1, 5.0, -0.1, -5.0, 0.0])
    for bits in (4, 16, 24):
        codec = Codec(0.1, bits)
        for g in (1, 2, 7, codec.max_weight):
            # At -g of 24 bits u rounds up by one step; a bias of 2**-31 that leaves the bound alone.
            low = 1 - g if g == 2**23 - 1 else -g
            assert codec._quantize_derand(x, g, AllOnes()).tolist() == [g, g, low, low, 0, g]
            assert codec._quantize_derand(x, g, AllZeros()).tolist() == [g, g, -g, -g, 0, g]
    assert np.floor(2**23 - 1 + (1 - 2**-32)) == 2**23  # so the clamp is needed


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


@pytest.mark.parametrize("kind", ["f2", "f4", "f8", ">f2", ">f4", ">f8", "g"])
def test_reads_every_float_type_and_stride(kind):
    codec = Codec(1.0, rounding="nearest")
    x = np.array([0.5, 9.0, -0.25, 9.0, 1.0, 9.0]).astype(kind)[::2]
    keep = x.copy()
    assert codec.quantize(x).tolist() == [16384, -8192, 32767, 32767]
    assert np.array_equal(x, keep)


def test_reads_what_is_not_aligned():
    raw = np.zeros(8 * 3 + 1, np.uint8)
    x = raw[1:].view(np.float64)
    x[:] = [0.5, -0.25, 1.0]
    assert not x.flags.aligned
    assert Codec(1.0, rounding="nearest").quantize(x).tolist() == [16384, -8192, 32767, 32767]
    assert np.abs(Codec(1.0).quantize(x) - [16384, -8192, 32767, 32767]).max() <= 1


def test_long_vectors_are_one_stream_of_random_words():
    class Counting:
        def __init__(self):
            self.at = 0

        def fill_words(self, out):
            out[:] = np.arange(self.at, self.at + len(out), dtype=np.uint32) * np.uint32(2**32 - 40503)
            self.at += len(out)

    stream = Counting()
    codec = Codec(1.0, rounding="stochastic")
    x = np.random.default_rng(5).uniform(-1, 1, 40_001)
    v = codec._quantize_derand(x, None, stream)
    assert stream.at == len(x)
    words = np.arange(len(x), dtype=np.uint32) * np.uint32(2**32 - 40503)
    assert np.array_equal(v[:-1], np.floor(x * 32767 + words * 2.0**-32))
    x[39_999] = np.nan
    with pytest.raises(RangeError, match="index 39999:"):
        codec.quantize(x)


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


def test_a_mean_in_float32_is_the_one_in_float64_rounded_once():
    codec = Codec(0.1, max_summands=8)  # no float32, so the largest mean is above the clip
    total = np.array([*range(-3 * codec.max_weight, 3 * codec.max_weight, 997), 3 * codec.max_weight])
    mean, weights = codec.dequantize(total, 3)
    narrow, same = codec.dequantize(total, 3, np.float32)
    assert (narrow.dtype, same) == (np.float32, weights)
    assert np.array_equal(narrow, mean.astype(np.float32))
    for other in (np.float16, np.int64, "f2", complex):
        with pytest.raises(ParameterError, match="dtype: float64 or float32"):
            codec.dequantize(total, 3, other)
    huge = Codec(1e39, max_summands=8)
    assert np.isfinite(huge.dequantize(total, 3)[0]).all()
    with pytest.raises(RangeError, match="beyond float32"):
        huge.dequantize(total, 3, "f4")


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
    for bad in (0, -1, 32768):
        with pytest.raises(ParameterError, match=f"1 to 32767 expected, got {bad}"):
            codec.quantize(np.zeros(3), bad)
    for bad in (1.0, True, np.int64(1)):
        with pytest.raises(TypeError, match=f"weight: int expected, got {type(bad).__name__}"):
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
        {"max_summands": 0},
        {"max_summands": (1 << 24) + 1},
        {"rounding": "up"},
    ],
)
def test_rejects_impossible_codecs(fields):
    with pytest.raises(ParameterError):
        Codec(**{"clip": 1.0, **fields})


def test_bits_and_summands_are_ints():
    for name in ("value_bits", "max_summands"):
        for bad in (16.0, True, np.int64(16), "16", None):
            with pytest.raises(TypeError, match=f"{name}: int expected, got {type(bad).__name__}"):
                Codec(1.0, **{name: bad})


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
    for bad in (0, 1025):
        with pytest.raises(ParameterError, match=f"1 to 1024 expected, got {bad}"):
            codec.dequantize(np.array([1, 2]), bad)
    for bad in (1.0, True, np.int64(1)):
        with pytest.raises(TypeError, match=f"n_contributors: int expected, got {type(bad).__name__}"):
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


# -- models -------------------------------------------------------------------------------------
def model():
    rng = np.random.default_rng(9)
    return [
        rng.normal(size=(300, 70)).astype("f4"),
        np.asfortranarray(rng.normal(size=(20, 30))),
        np.array(0.25, "f2"),
        np.zeros((0, 7), "f4"),
        rng.normal(size=(40, 3)).astype("f2")[::2],
    ]


@pytest.mark.parametrize("rounding", ["nearest", "stochastic"])
def test_a_model_is_quantized_as_its_vector(rounding, monkeypatch):
    layout = ModelLayout.of(model())
    codec = Codec(0.7, rounding=rounding)
    monkeypatch.setattr("sottovoce.he.codec.secret_stream", AllZeros)
    for weight in (None, 1, 12345):
        want = codec.quantize(layout.flatten(model()), weight)
        got = codec.quantize_model(layout, model(), weight)
        assert got.dtype == np.int64
        assert np.array_equal(got, want)


def test_random_words_of_a_model_are_not_repeated():
    layout = ModelLayout.of([np.zeros(1000, "f4")] * 2)
    half = np.full(1000, 0.5 / 32767, "f4")
    v = Codec(1.0).quantize_model(layout, [half, half])
    assert not np.array_equal(v[:1000], v[1000:2000])
    assert not np.array_equal(v, Codec(1.0).quantize_model(layout, [half, half]))


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
@pytest.mark.parametrize(("i", "index"), [(0, (299, 69)), (0, (0, 0)), (1, (1, 2)), (2, ()), (4, (19, 1))])
def test_what_is_not_finite_in_a_model_is_named_as_flatten_names_it(bad, i, index):
    arrays = model()
    layout = ModelLayout.of(arrays)
    arrays[i][index] = bad
    with pytest.raises(RangeError) as flat:
        layout.flatten(arrays)
    for rounding in ("nearest", "stochastic"):
        with pytest.raises(RangeError) as caught:
            Codec(1.0, rounding=rounding).quantize_model(layout, arrays)
        assert str(caught.value) == str(flat.value)
    assert f"array {i}, index {index}: not a finite {arrays[i].dtype.name}" in str(flat.value)


def test_quantizing_another_model_is_refused():
    layout, codec = ModelLayout.of(model()), Codec(1.0)
    for change in (
        lambda m: m[:-1],
        lambda m: [*m, m[0]],
        lambda m: [m[0].T, *m[1:]],
        lambda m: [m[0].astype("f8"), *m[1:]],
        lambda m: [m[0].astype(">f4"), *m[1:]],
    ):
        with pytest.raises(ParameterError):
            codec.quantize_model(layout, change(model()))
    for wrong in ([1.0, *model()[1:]], [np.ma.masked_array(model()[0], mask=False), *model()[1:]]):
        with pytest.raises(TypeError, match="array 0"):
            codec.quantize_model(layout, wrong)
    with pytest.raises(TypeError, match="list of arrays"):
        codec.quantize_model(layout, np.zeros(5))
    with pytest.raises(TypeError, match="layout"):
        codec.quantize_model(None, model())
    for weight in (0, 32768):
        with pytest.raises(ParameterError, match="weight"):
            codec.quantize_model(layout, model(), weight)


def test_a_model_comes_back_with_its_shapes_and_dtypes():
    layout = ModelLayout.of(model())
    codec = Codec(4.0, max_summands=8)
    total = sum(codec.quantize_model(layout, model(), g) for g in (32767, 100, 5))
    arrays, weights = codec.dequantize_model(layout, total, 3)
    mean, same = codec.dequantize(total, 3)
    assert weights == same == 32872
    for a, b, c in zip(arrays, layout.unflatten(mean), model(), strict=True):
        assert a.dtype == b.dtype == c.dtype
        assert a.shape == b.shape == c.shape
        assert np.array_equal(a, b)
        assert np.allclose(a, np.clip(c, -4, 4), atol=4 * 3 / 32872, rtol=1e-3)


def test_a_mean_beyond_its_dtype_is_refused_with_array_and_index():
    layout = ModelLayout.of([np.zeros(3), np.zeros((2, 2), "f2")])
    codec = Codec(65536.0)
    total = codec.quantize_model(layout, [np.zeros(3), np.array([[0, 65000], [-65504, 65504]], "f2")])
    codec.dequantize_model(layout, total, 1)
    total[5] = -32767
    with pytest.raises(RangeError, match=r"array 1, index \(1, 0\): not a finite float16 number"):
        codec.dequantize_model(layout, total, 1)


def test_totals_of_another_model_are_refused():
    layout, codec = ModelLayout.of([np.zeros(3)]), Codec(1.0)
    for bad in (np.zeros(3, np.int64), np.zeros(5, np.int64), np.zeros((2, 2), np.int64)):
        with pytest.raises(ParameterError, match="shape"):
            codec.dequantize_model(layout, bad, 1)
    for bad in ([0, 0, 0, 1], np.zeros(4), None):
        with pytest.raises(TypeError):
            codec.dequantize_model(layout, bad, 1)
    with pytest.raises(TypeError, match="layout"):
        codec.dequantize_model([3], np.array([0, 0, 0, 1]), 1)
    with pytest.raises(OverflowDetected):
        codec.dequantize_model(layout, np.array([0, 0, 2, 1]), 1)
    strided = np.array([1, 9, 0, 9, -1, 9, 1, 9])[::2]
    assert codec.dequantize_model(layout, strided, 1)[0][0].tolist() == [1.0, 0.0, -1.0]
    assert codec.dequantize(strided, 1)[0].tolist() == [1.0, 0.0, -1.0]


def test_a_caller_that_writes_meanwhile_cannot_get_beyond_the_weight():
    # Every number is read once: what was checked is what is rounded.
    codec = Codec(1.0)
    x = np.zeros(1 << 18, "f4")
    stop = threading.Event()

    def scribble():
        while not stop.is_set():
            x[:] = np.nan
            x[:] = 3e38
            x[:] = 0.0

    writer = threading.Thread(target=scribble)
    writer.start()
    try:
        for _ in range(60):
            try:
                v = codec.quantize(x, 1000)
            except RangeError:
                continue
            assert np.abs(v).max() <= 1000
    finally:
        stop.set()
        writer.join()

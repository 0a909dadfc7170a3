"""The codec kernel of every back end against exact arithmetic in Python, at the edges of floats."""

import ctypes
import math
from fractions import Fraction

import numpy as np
import pytest

from sottovoce._ext import codec
from sottovoce._ext.kernel import usable
from support import emulated

KINDS = ("f2", "f4", "f8")
BLOCK = 512  # numbers that the loops handle at a time


class Emulated:
    """The AVX-512 functions built without its instructions, called as the front calls the compiled ones."""

    def __init__(self, folder):
        self._library = emulated.library(folder, "codec")

    def _call(self, name, *arguments):
        function = getattr(self._library, f"sv_codec_{name}_avx512")
        function.restype = ctypes.c_int64
        return function(
            *(
                a.ctypes.data_as(ctypes.c_void_p)
                if isinstance(a, np.ndarray)
                else ctypes.c_double(a)
                if isinstance(a, float)
                else ctypes.c_void_p(None)
                if a is None
                else ctypes.c_int64(a)
                for a in arguments
            )
        )

    def quantize(self, out, x, clip, weight, random):
        return self._call(
            "quantize", out, x, KINDS.index(x.dtype.str[1:]), len(x), float(clip), weight, random
        )

    def dequantize(self, out, total, clip, weights):
        kind = KINDS.index(out.dtype.str[1:])
        return self._call("dequantize", out, kind, total, len(total), float(clip), weights)

    def narrow(self, out, values, bound):
        return self._call("narrow", out, values, len(values), bound)

    def extremes(self, values):
        low, high = np.empty(1, np.int64), np.empty(1, np.int64)
        self._call("extremes", low, high, values, len(values))
        return int(low[0]), int(high[0])


class Compiled:
    """A back end that this processor runs."""

    def __init__(self, backend):
        self._backend = backend

    def __getattr__(self, name):
        return lambda *arguments: getattr(codec, name)(*arguments, backend=self._backend)


@pytest.fixture(
    params=[*usable(codec.BACKENDS), None], ids=lambda b: b.name if b else "avx512-emulated", scope="module"
)
def kernel(request, tmp_path_factory):
    return Compiled(request.param) if request.param else Emulated(tmp_path_factory.mktemp("codec"))


def exact(x, clip, weight, r=None):
    """The documented formula: float arithmetic of Python up to the rounding, which is exact."""
    y = min(max(float(x), -clip), clip) / clip * weight
    if r is None:
        return round(Fraction(y))  # ties to even
    return max(-weight, min(weight, math.floor(Fraction(y + r * 2.0**-32))))


def quantized(kernel, x, clip, weight, random=None):
    """Between guards, at an odd place."""
    room = np.full(len(x) + 9, 77, np.int64)
    out = room[5 : 5 + len(x)]
    assert kernel.quantize(out, x, clip, weight, random) == -1
    assert (room[:5] == 77).all()
    assert (room[5 + len(x) :] == 77).all()
    return out.tolist()


# -- quantize ---------------------------------------------------------------------------------------
@pytest.mark.parametrize("kind", KINDS)
def test_every_length_and_what_lies_around_it(kernel, kind):
    rng = np.random.default_rng(1)
    for n in [*range(68), BLOCK - 1, BLOCK, BLOCK + 1, 3 * BLOCK + 5]:
        x = rng.normal(size=n + 1).astype(kind)[1:]  # not aligned to vectors
        r = rng.integers(0, 2**32, n, np.uint32)
        for clip, g in ((1.0, 32767), (0.3, 7)):
            assert quantized(kernel, x, clip, g) == [exact(v, clip, g) for v in x.tolist()]
            want = [exact(v, clip, g, w) for v, w in zip(x.tolist(), r.tolist(), strict=True)]
            assert quantized(kernel, x, clip, g, r) == want


WORDS = [0, 1, 2**31 - 1, 2**31, 2**31 + 1, 2**32 - 2, 2**32 - 1]


@pytest.mark.parametrize("kind", ["f4", "f8"])
@pytest.mark.parametrize("clip", [1.0, 0.1, 3e-5, 1e30, 2.0**-1040, 2.0**-149, 1.7e308, 2.0**-126])
def test_edges_of_floats(kernel, kind, clip):
    info = np.finfo(kind)
    near = np.array([clip], np.float64)
    with np.errstate(over="ignore"):
        edge = np.concatenate(
            [
                [0.0, -0.0, 5e-324, 2.0**-149, 2.0**-126, 2.0**-1022, 1.0, 3.0, 1e-5],
                [float(info.max), float(info.tiny), float(info.smallest_subnormal)],
                near, np.nextafter(near, 0), np.nextafter(near, np.inf), near / 2, near / 3, near * 2,
            ]
        ).astype(kind)  # fmt: skip
    edge = edge[np.isfinite(edge)]
    edge = np.concatenate(
        [edge, np.nextafter(edge, edge.dtype.type(0)), -edge, -np.nextafter(edge, edge.dtype.type(0))]
    )
    for g in (1, 2, 32767, 2**21, 2**23 - 1, 2**24 - 1):
        assert quantized(kernel, edge, clip, g) == [exact(v, clip, g) for v in edge.tolist()]
        for w in WORDS:
            r = np.full(len(edge), w, np.uint32)
            assert quantized(kernel, edge, clip, g, r) == [exact(v, clip, g, w) for v in edge.tolist()]


@pytest.mark.parametrize("kind", KINDS)
def test_halves_are_rounded_to_even(kernel, kind):
    g = 1024
    x = np.array([(k + 0.5) / g for k in range(-1024, 1024)]).astype(kind)
    x = x[x.astype(float) * g % 1 == 0.5]
    assert len(x) > 1000
    assert quantized(kernel, x, 1.0, g) == [round(Fraction(v) * g) for v in x.tolist()]
    # Just beside a half: doubles only hold that at these sizes.
    beside = np.array([np.nextafter((k + 0.5) / g, s) for k in range(-1024, 1024) for s in (-2, 2)])
    assert quantized(kernel, beside, 1.0, g) == [round(Fraction(v) * g) for v in beside.tolist()]


def test_the_clamp_holds_where_the_sum_rounds_up(kernel):
    # g + (1 - 2**-32) needs 56 bits for g of 24.
    for g in (2**21 - 1, 2**21, 2**22, 2**23 - 1, 2**24 - 1):
        x = np.array([1.0, 2.0, -1.0, -2.0, np.nextafter(1.0, 0)])
        r = np.full(5, 2**32 - 1, np.uint32)
        assert quantized(kernel, x, 1.0, g, r) == [exact(v, 1.0, g, 2**32 - 1) for v in x.tolist()]
        assert quantized(kernel, x, 1.0, g, r)[:2] == [g, g]
    assert math.floor(2**23 - 1 + (2**32 - 1) * 2.0**-32) == 2**23


def test_every_half_precision_number(kernel):
    every = np.arange(65536, dtype=np.uint16).view(np.float16)
    x = every[np.isfinite(every)]
    r = np.random.default_rng(2).integers(0, 2**32, len(x), np.uint32)
    wide = x.astype(np.float64)
    for clip in (1.0, 65504.0, 2.0**-24, 2.0**-14, 1e-6, 300.7):
        for g in (32767, 2**23 - 1):
            y = np.clip(wide, -clip, clip) / clip * g
            assert np.array_equal(quantized(kernel, x, clip, g), np.rint(y))
            stochastic = np.clip(np.floor(y + r * 2.0**-32), -g, g)
            assert np.array_equal(quantized(kernel, x, clip, g, r), stochastic)
    out = np.empty(1, np.int64)
    for bad in every[~np.isfinite(every)]:
        assert kernel.quantize(out, np.array([bad]), 1.0, 5, None) == 0
    assert (~np.isfinite(every)).sum() == 2048


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
def test_tells_the_first_that_is_not_finite(kernel, kind, bad):
    n = 2 * BLOCK + 67
    r = np.zeros(n, np.uint32)
    out = np.empty(n, np.int64)
    for at in (0, 1, 7, 66, BLOCK - 1, BLOCK, BLOCK + 1, 2 * BLOCK + 63, n - 1):
        x = np.ones(n, kind)
        x[at] = bad
        x[at + 1 :: 3] = -bad
        assert kernel.quantize(out, x, 1.0, 5, None) == at
        assert kernel.quantize(out, x, 1.0, 5, r) == at


def test_a_signalling_nan_is_one(kernel):
    out = np.empty(1, np.int64)
    for kind, bits in (
        ("f2", 0x7C01),
        ("f2", 0xFC01),
        ("f4", 0x7F800001),
        ("f4", 0xFFBFFFFF),
        ("f8", 0x7FF0000000000001),
    ):
        x = np.array([bits], kind.replace("f", "u")).view(kind)
        assert kernel.quantize(out, x, 1.0, 5, None) == 0


# -- dequantize -------------------------------------------------------------------------------------
@pytest.mark.parametrize("kind", KINDS)
def test_means_are_rounded_once_from_double(kernel, kind):
    rng = np.random.default_rng(3)
    for n in [*range(68), BLOCK, BLOCK + 1, 2 * BLOCK + 9]:
        for clip, weights in ((1.0, 32767), (0.1, 12345678901), (7e4, 2**47 - 1), (1e-7, 3)):
            bound = min(weights, 2**51 - 1)
            total = rng.integers(-bound, bound + 1, n)
            total[: min(n, 3)] = [0, bound, -bound][: min(n, 3)]
            with np.errstate(over="ignore"):
                want = (clip * (total / float(weights))).astype(kind)
            room = np.full(n + 9, 77, kind)
            bad = kernel.dequantize(room[5 : 5 + n], total, clip, weights)
            assert bad == (-1 if np.isfinite(want).all() else int(np.argmin(np.isfinite(want))))
            if bad < 0:
                assert room[5 : 5 + n].tobytes() == want.tobytes()
            assert (room[:5] == 77).all()
            assert (room[5 + n :] == 77).all()


def test_every_half_precision_number_and_what_lies_between(kernel):
    # Totals over 2**34: every half, every midpoint of two, and the nearest doubles beside those.
    halves = np.arange(0x7C00, dtype=np.uint16).view(np.float16).astype(np.float64)
    steps = (halves * 2.0**34).astype(np.int64)
    middles = (steps[:-1] + steps[1:]) // 2
    last = 65520 << 34
    total = np.concatenate([steps, middles, middles - 1, middles + 1, steps + 1, [last - 1]])
    total = np.concatenate([total, -total])
    want = (total / 2.0**34).astype(np.float16)
    out = np.empty(len(total), np.float16)
    assert np.isfinite(want).all()
    assert kernel.dequantize(out, total, 1.0, 2**34) == -1
    assert out.tobytes() == want.tobytes()
    for beyond in (last, last + 1, (65536 << 34) - 1, 65536 << 34, (1 << 51) - 1):
        for sign in (1, -1):
            bad = np.array([1, sign * beyond, 2])
            assert kernel.dequantize(out[:3], bad, 1.0, 2**34) == 1


def test_means_that_are_not_finite_are_told(kernel):
    n = BLOCK + 67
    for kind, clip in (("f2", 65536.0), ("f4", 2.0**128), ("f2", 1.7e308), ("f4", 1.7e308)):
        out = np.empty(n, kind)
        for at in (0, 5, BLOCK - 1, BLOCK, n - 1):
            total = np.zeros(n, np.int64)
            total[at:] = -(1 << 20)
            assert kernel.dequantize(out, total, clip, 1 << 20) == at
    out = np.empty(2)
    assert kernel.dequantize(out, np.array([5, 20]), 1.7e308, 10) == 1  # infinite as a double, too


# -- narrow, extremes -------------------------------------------------------------------------------
def test_narrow_copies_up_to_the_bound_and_tells_the_first_beyond(kernel):
    rng = np.random.default_rng(4)
    for n in [*range(68), BLOCK - 1, BLOCK, BLOCK + 1, 2 * BLOCK + 9]:
        for bound in (0, 1, 32767, 2**31 - 1):
            values = rng.integers(-bound, bound + 1, n)
            values[: min(n, 2)] = [bound, -bound][: min(n, 2)]
            room = np.full(n + 9, 77, np.int32)
            assert kernel.narrow(room[5 : 5 + n], values, bound) == -1
            assert room[5 : 5 + n].tolist() == values.tolist()
            assert (room[:5] == 77).all()
            assert (room[5 + n :] == 77).all()
            for beyond in (bound + 1, -bound - 1, 2**63 - 1, -(2**63), 2**32, -(2**32), 2**63 - 1 - bound):
                for at in {0, n // 2, n - 1} - {-1} if n else ():
                    bad = values.copy()
                    bad[at:] = beyond
                    assert kernel.narrow(room[5 : 5 + n], bad, bound) == at


def test_extremes(kernel):
    rng = np.random.default_rng(5)
    for n in [*range(1, 68), 1000]:
        for values in (rng.integers(-(2**63), 2**63 - 1, n), rng.integers(-5, 5, n)):
            assert kernel.extremes(values) == (min(values.tolist()), max(values.tolist()))
            for at in range(min(n, 9)):
                values = np.zeros(n, np.int64)
                values[at] = 2**63 - 1
                values[n - 1 - at] = -(2**63)
                assert kernel.extremes(values) == (min(values.tolist()), max(values.tolist()))


# -- the border -------------------------------------------------------------------------------------
def test_rejects_other_lengths_types_and_numbers():
    i, d, w = np.zeros(4, np.int64), np.zeros(4), np.zeros(4, np.uint32)
    frozen = np.zeros(4, np.int64)
    frozen.flags.writeable = False
    for call in (
        lambda: codec.quantize(i, d[:3], 1.0, 5, None),
        lambda: codec.quantize(i, d, 1.0, 5, w[:3]),
        lambda: codec.quantize(i, d, 1.0, 5, w.view(np.int32)),
        lambda: codec.quantize(i, i.copy(), 1.0, 5, None),
        lambda: codec.quantize(i, d.astype("g"), 1.0, 5, None),
        lambda: codec.quantize(i, d.astype(">f8"), 1.0, 5, None),
        lambda: codec.quantize(frozen, d, 1.0, 5, None),
        lambda: codec.quantize(i[::2], d[:2], 1.0, 5, None),
        lambda: codec.quantize(i[:2], d[::2], 1.0, 5, None),
        *(lambda c=c: codec.quantize(i, d, c, 5, None) for c in (0.0, -1.0, np.inf, np.nan)),
        *(lambda g=g: codec.quantize(i, d, 1.0, g, None) for g in (0, -1, 2**24)),
        lambda: codec.dequantize(d, i[:3], 1.0, 5),
        lambda: codec.dequantize(d, i, 1.0, 0),
        lambda: codec.dequantize(d, i, 1.0, 2**51),
        lambda: codec.dequantize(d, i, np.inf, 5),
        lambda: codec.dequantize(i.copy(), i, 1.0, 5),
        lambda: codec.narrow(np.zeros(3, np.int32), i, 5),
        lambda: codec.narrow(np.zeros(4, np.int64), i, 5),
        lambda: codec.narrow(np.zeros(4, np.int32), i, -1),
        lambda: codec.narrow(np.zeros(4, np.int32), i, 2**31),
        lambda: codec.extremes(i[:0]),
        lambda: codec.extremes(d),
    ):
        with pytest.raises(ValueError, match=r"expected|differ|read-only|contiguous|mismatch|[Bb]ig-endian"):
            call()


def test_rejects_outputs_that_overlap_an_input():
    raw = np.zeros(64, np.int64)
    for call in (
        lambda: codec.quantize(raw[:8], raw[:8].view(np.float64), 1.0, 5, None),
        lambda: codec.quantize(raw[:8], np.zeros(8), 1.0, 5, raw[7:11].view(np.uint32)),
        lambda: codec.dequantize(raw[:8].view(np.float64), raw[7:15], 1.0, 5),
        lambda: codec.narrow(raw[:8].view(np.int32), raw[7:23], 5),
    ):
        with pytest.raises(ValueError, match="overlaps"):
            call()
    assert not raw.any()


def test_nothing_is_no_work():
    assert codec.quantize(np.empty(0, np.int64), np.empty(0, "f2"), 1.0, 5, None) == -1
    assert codec.quantize(np.empty(0, np.int64), np.empty(0), 1.0, 5, np.empty(0, np.uint32)) == -1
    assert codec.dequantize(np.empty(0, "f4"), np.empty(0, np.int64), 1.0, 5) == -1
    assert codec.narrow(np.empty(0, np.int32), np.empty(0, np.int64), 5) == -1

"""The samplers of every back end against their definition in Python, and what they draw from."""

import ctypes
from math import comb, sqrt

import numpy as np
import pytest

from sottovoce._ext import sampler
from sottovoce._ext.kernel import usable
from support import emulated

Q50, Q40 = 0x3FFFFFFFFC001, 0xFFFFFF7001


class Emulated:
    """The AVX-512 functions over intrinsics in plain C, called as the front calls the compiled ones."""

    def __init__(self, folder):
        self._library = emulated.library(folder, "sampler")

    def _call(self, name, *arguments):
        function = getattr(self._library, f"sv_sampler_{name}_avx512")
        function.restype = ctypes.c_size_t
        return function(
            *(
                a.ctypes.data_as(ctypes.c_void_p) if isinstance(a, np.ndarray) else ctypes.c_uint64(a)
                for a in arguments
            )
        )

    def cbd(self, out, random, eta):
        self._call("cbd", out, random, len(out), eta)

    def ternary(self, out, random):
        return self._call("ternary", out, random, len(out))

    def uniform(self, out, words, bits, bound):
        return self._call("uniform", out, len(out), words, len(words), bits, bound)

    def residues(self, out, x, q):
        self._call("residues", out, x, len(x), q)


class Compiled:
    """A back end that this processor runs."""

    def __init__(self, backend):
        self._backend = backend

    def __getattr__(self, name):
        return lambda *arguments: getattr(sampler, name)(*arguments, backend=self._backend)


@pytest.fixture(
    params=[*usable(sampler.BACKENDS), None], ids=lambda b: b.name if b else "avx512-emulated", scope="module"
)
def kernel(request, tmp_path_factory):
    return Compiled(request.param) if request.param else Emulated(tmp_path_factory.mktemp("sampler"))


class Guarded:
    """An array between two rows of guards, at any offset of its own size."""

    GUARD = 16

    def __init__(self, n, dtype, shift=0):
        self._raw = np.full((n + 2 * self.GUARD + 1) * np.dtype(dtype).itemsize, 0xA5, np.uint8)
        whole = self._raw.view(dtype)
        self.array = whole[self.GUARD + shift : self.GUARD + shift + n]
        self._outside = np.ones(len(whole), bool)
        self._outside[self.GUARD + shift : self.GUARD + shift + n] = False
        self._whole = whole

    def untouched(self):
        return (self._whole[self._outside].view(np.uint8) == 0xA5).all()


def words(seed, n):
    return np.random.default_rng(seed).integers(0, 2**64, n, np.uint64)


def binomial(values, eta):
    if eta == 21:
        return [(v & 0x1FFFFF).bit_count() - (v >> 21 & 0x1FFFFF).bit_count() for v in values]
    low = 2**42 - 1
    return [
        (a & low).bit_count() - (b & low).bit_count() for a, b in zip(values[::2], values[1::2], strict=True)
    ]


# -- equal to the definition, at every length, and nothing past the end ------------------------------
@pytest.mark.parametrize("eta", [21, 42])
def test_binomial_is_the_difference_of_two_counts(kernel, eta):
    for n in range(68):
        source = words(n, n * eta // 21)
        for shift in (0, 1):
            out = Guarded(n, np.int64, shift)
            raw = np.zeros(8 * len(source) + 1, np.uint8)
            raw[shift : shift + 8 * len(source)] = source.astype("<u8").view(np.uint8)
            kernel.cbd(out.array, raw[shift : shift + 8 * len(source)], eta)
            assert out.array.tolist() == binomial(source.tolist(), eta)
            assert out.untouched()


@pytest.mark.parametrize("eta", [21, 42])
def test_binomial_reaches_its_ends_and_ignores_the_other_bits(kernel, eta):
    if eta == 21:
        a, b = 2**21 - 1, 2**42 - 2**21
        source = [a, b, 0, a | b, 2**64 - 2**42, a | 2**64 - 2**42] * 3
    else:
        a, other = 2**42 - 1, 2**64 - 2**42
        source = [a, 0, 0, a, a, a, other, other, a | other, other, other, a | other] * 3
    out = np.empty(len(source) * 21 // eta, np.int64)
    kernel.cbd(out, np.array(source, "<u8").view(np.uint8), eta)
    assert out.tolist() == ([eta, -eta, 0, 0, 0, eta] if eta == 21 else [eta, -eta, 0, 0, eta, -eta]) * 3
    # Each bit by itself.
    single = np.array([1 << i for i in range(64)], "<u8")
    if eta == 21:
        out = np.empty(64, np.int64)
        kernel.cbd(out, single.view(np.uint8), eta)
        assert out.tolist() == [1] * 21 + [-1] * 21 + [0] * 22
    else:
        for place, sign in ((0, 1), (1, -1)):
            pairs = np.zeros((64, 2), "<u8")
            pairs[:, place] = single
            out = np.empty(64, np.int64)
            kernel.cbd(out, pairs.reshape(-1).view(np.uint8), eta)
            assert out.tolist() == [sign] * 42 + [0] * 22


def test_ternary_is_the_quotient_for_every_word(kernel):
    every = np.arange(65536, dtype=np.uint16)
    out = np.empty(65536, np.int64)
    assert kernel.ternary(out, every) == 1
    assert out.tolist() == [r // 21845 - 1 for r in range(65536)]
    assert out[65535] == sampler.REJECTED
    assert [(out == v).sum() for v in (-1, 0, 1)] == [21845] * 3


def test_ternary_counts_and_marks_what_it_rejects_at_every_length(kernel):
    rng = np.random.default_rng(1)
    for n in range(68):
        for shift in (0, 1):
            source = rng.choice(np.array([0, 21844, 21845, 43689, 43690, 65534, 65535], np.uint16), n + 1)[
                shift:
            ][:n]
            out = Guarded(n, np.int64, shift)
            assert kernel.ternary(out.array, source) == (source == 65535).sum()
            assert out.array.tolist() == [r // 21845 - 1 for r in source.tolist()]
            assert out.untouched()
    source = np.full(100_000, 65535, np.uint16)
    out = np.empty(100_000, np.int64)
    assert kernel.ternary(out, source) == 100_000
    assert (out == sampler.REJECTED).all()


BOUNDS = [
    (1, 1), (1, 2), (3, 5), (16, 65521), (31, 2**31 - 1), (32, 2**31 + 1), (40, Q40), (50, Q50),
    (50, 2**49 + 1), (60, 2**60 - 93), (63, 2**62 + 1), (63, 2**63 - 1),
]  # fmt: skip


@pytest.mark.parametrize(("bits", "bound"), BOUNDS)
def test_uniform_keeps_in_order_what_is_below_the_bound(kernel, bits, bound):
    mask = 2**bits - 1
    for m in [*range(68), 300]:
        source = words(m + bits, m)
        # Runs of words that are kept, with single ones that are not.
        source[::23] = mask
        kept = [w & mask for w in source.tolist() if w & mask < bound]
        for n in sorted({0, 1, len(kept) // 2, max(len(kept) - 1, 0), len(kept), len(kept) + 9, m}):
            out = Guarded(n, np.uint64)
            assert kernel.uniform(out.array, source, bits, bound) == min(n, len(kept))
            assert out.array[: len(kept)].tolist() == kept[:n]
            assert out.untouched()
            if n <= m:  # in place
                shared = source.copy()
                assert kernel.uniform(shared[:n], shared, bits, bound) == min(n, len(kept))
                assert shared[: min(n, len(kept))].tolist() == kept[:n]


def test_uniform_cuts_at_the_bound_itself(kernel):
    for bits, bound in BOUNDS:
        top = 2**64 - 2**bits
        edge = [bound - 1, bound, bound + 1, 0, (1 << bits) - 1, (bound - 1) | top, bound | top] * 5
        edge = [w % 2**64 for w in edge]
        out = np.empty(len(edge), np.uint64)
        kept = [w % 2**bits for w in edge if w % 2**bits < bound]
        assert kernel.uniform(out, np.array(edge, np.uint64), bits, bound) == len(kept)
        assert out[: len(kept)].tolist() == kept


def test_residues_of_signed_numbers(kernel):
    for q in (1, 3, Q40, Q50, 2**63 - 1):
        edge = [0, 1 % q, q - 1, 1 - q, q // 2, -(q // 2), -(1 % q)]
        for n in range(68):
            x = np.array((edge * 11)[n % 7 : n % 7 + n], np.int64)
            out = Guarded(n, np.uint64, n & 1)
            kernel.residues(out.array, x, q)
            assert out.array.tolist() == [v % q for v in x.tolist()]
            assert out.untouched()


# -- distributions: the words are a fixed stream, so these cannot fail by chance ---------------------
def chi_square_is_small(counts, probabilities):
    counts, probabilities = np.asarray(counts), np.asarray(probabilities)
    expected = counts.sum() * probabilities
    assert (expected > 20).all()
    degrees = len(counts) - 1
    return ((counts - expected) ** 2 / expected).sum() < degrees + 5 * sqrt(2 * degrees)


@pytest.mark.parametrize("eta", [21, 42])
def test_binomial_is_binomial(kernel, eta):
    out = np.empty(200_000, np.int64)
    kernel.cbd(out, words(eta, len(out) * eta // 21).view(np.uint8), eta)
    side = 10 if eta == 21 else 14
    inner = range(-side, side + 1)
    p = [comb(2 * eta, eta + k) / 4**eta for k in inner]
    tail = (1 - sum(p)) / 2
    counts = [(out < -side).sum(), *((out == k).sum() for k in inner), (out > side).sum()]
    assert chi_square_is_small(counts, [tail, *p, tail])
    assert out.var() == pytest.approx(eta / 2, rel=0.02)


def test_ternary_is_uniform_with_and_without_redraws(kernel):
    out = np.empty(200_000, np.int64)
    source = words(7, len(out) // 4).view(np.uint16).copy()
    source[::10] = 65535  # a tenth is drawn again, as the caller does it: marked places, in order
    more = iter(words(8, len(out) // 4).view(np.uint16).tolist())
    assert kernel.ternary(out, source) >= len(out) // 10
    while (places := np.flatnonzero(out == sampler.REJECTED)).size:
        again = np.empty(len(places), np.int64)
        kernel.ternary(again, np.array([next(more) for _ in places], np.uint16))
        out[places] = again
    assert chi_square_is_small([(out == v).sum() for v in (-1, 0, 1)], [1 / 3] * 3)
    assert chi_square_is_small([(out[::10] == v).sum() for v in (-1, 0, 1)], [1 / 3] * 3)


@pytest.mark.parametrize("bound", [5, 9, 48, 63])
def test_uniform_is_uniform_where_many_words_are_rejected(kernel, bound):
    source = words(bound, 200_000)
    out = np.empty(len(source), np.uint64)
    n = kernel.uniform(out, source, bound.bit_length(), bound)
    kept = bound / (1 << bound.bit_length())
    assert n == pytest.approx(kept * len(source), rel=0.02)
    assert chi_square_is_small(np.bincount(out[:n].astype(int), minlength=bound), [1 / bound] * bound)


# -- the border -------------------------------------------------------------------------------------
def test_rejects_other_lengths_types_and_numbers():
    i, u, h, b = np.zeros(4, np.int64), np.zeros(4, np.uint64), np.zeros(4, np.uint16), np.zeros(64, np.uint8)
    frozen = np.zeros(4, np.int64)
    frozen.flags.writeable = False
    for call in (
        lambda: sampler.cbd(i, b[:31], 21),
        lambda: sampler.cbd(i, b[:33], 21),
        lambda: sampler.cbd(i, b[:32], 42),
        lambda: sampler.cbd(i, b[:32], 20),
        lambda: sampler.cbd(u, b[:32], 21),
        lambda: sampler.cbd(frozen, b[:32], 21),
        lambda: sampler.cbd(i[::2], b[:16], 21),
        lambda: sampler.ternary(i, h[:3]),
        lambda: sampler.ternary(i, h.view(np.int16)),
        lambda: sampler.uniform(u, u.copy(), 0, 1),
        lambda: sampler.uniform(u, u.copy(), 64, 1),
        lambda: sampler.uniform(u, u.copy(), 5, 0),
        lambda: sampler.uniform(u, u.copy(), 63, 2**63),
        lambda: sampler.residues(u, i[:3], 5),
        lambda: sampler.residues(u, i, 0),
        lambda: sampler.residues(u, i, 2**63),
    ):
        with pytest.raises(ValueError, match=r"expected|differ|read-only|contiguous|mismatch"):
            call()
    for call in (lambda: sampler.cbd(None, b, 21), lambda: sampler.uniform(u, [1], 5, 5)):
        with pytest.raises(TypeError):
            call()


def test_rejects_outputs_that_overlap_an_input():
    raw = np.zeros(64, np.uint64)
    for call in (
        lambda: sampler.cbd(raw[:4].view(np.int64), raw[3:7].view(np.uint8), 21),
        lambda: sampler.ternary(raw[:4].view(np.int64), raw[3:4].view(np.uint16)),
        lambda: sampler.uniform(raw[1:9], raw[:8], 50, Q50),
        lambda: sampler.uniform(raw[:8], raw[1:9], 50, Q50),
        lambda: sampler.residues(raw[:8], raw[:8].view(np.int64), Q50),
    ):
        with pytest.raises(ValueError, match="overlaps"):
            call()
    assert not raw.any()


def test_sizes_of_randomness():
    assert sampler.cbd_bytes(21) == 8
    assert sampler.cbd_bytes(42) == 16

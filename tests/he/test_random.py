"""Streams, samplers and the arithmetic of sharing."""

import os
import random
from math import comb, sqrt

import numpy as np
import pytest

from sottovoce._ext import kahe as kernel
from sottovoce.he import _random, _shamir
from support import he_reference

P = (1 << 31) - 1


def test_stream_is_counter_mode_from_the_given_block():
    for start in (0, 1, 5, (1 << 64) - 1):
        out = np.empty(200_001, np.uint8)
        _random.Stream(bytes(range(32)), start).fill(out)
        assert out.tobytes() == he_reference.Stream(bytes(range(32)), start).read(200_001)


def test_stream_goes_on_where_it_stopped():
    whole, parts = np.empty(1000, np.uint8), np.empty(1000, np.uint8)
    _random.Stream(bytes(32)).fill(whole)
    stream = _random.Stream(bytes(32))
    stream.fill(parts[:1])
    stream.fill(parts[1:77])
    stream.fill(parts[77:])
    assert np.array_equal(whole, parts)


@pytest.mark.parametrize("bound", [5, 9, 1000, P, 0x3FFFFFFFFC001, 0xFFFFFF7001, (1 << 40) + 1])
def test_rejection_gives_the_reference_values_with_and_without_redraws(bound):
    # Bounds just above a power of two reject nearly half of all words, so several redraws happen.
    key = os.urandom(32)
    mine, theirs = _random.Stream(key), he_reference.Stream(key)
    assert mine.below(bound, (3, 100)).reshape(-1).tolist() == theirs.below(bound, 300)
    assert mine.below(bound, (7,)).tolist() == theirs.below(bound, 7)
    rest = np.empty(16, np.uint8)
    mine.fill(rest)
    assert rest.tobytes() == theirs.read(16)


@pytest.mark.parametrize("bound", [5, 9, 48])
def test_rejection_is_uniform(bound):
    values = _random.Stream(bytes(32)).below(bound, (100_000,))
    counts = np.bincount(values.astype(int), minlength=bound)
    assert len(counts) == bound
    expected = 100_000 / bound
    assert ((counts - expected) ** 2 / expected).sum() < bound - 1 + 6 * sqrt(2 * (bound - 1))


def test_secret_streams_are_all_different():
    seen = {_random.secret_stream().words(4).tobytes() for _ in range(1000)}
    assert len(seen) == 1000


def test_secret_streams_come_from_the_operating_system(monkeypatch):
    asked = []
    monkeypatch.setattr(_random.os, "urandom", lambda n: asked.append(n) or bytes(n))
    _random.secret_stream()
    assert asked == [32]


# -- CBD(42) ------------------------------------------------------------------------------------
def test_binomial_sampler_is_the_reference_and_binomial():
    raw = np.empty(16 * 100_000, np.uint8)
    _random.Stream(bytes(32)).fill(raw)
    out = np.empty(100_000, np.int64)
    kernel.cbd(out, raw)
    assert out[:5000].tolist() == he_reference.Stream(bytes(32)).cbd(5000)
    probability = np.array([comb(84, 42 + k) / 2**84 for k in range(-12, 13)])
    counts = np.array([(out == k).sum() for k in range(-12, 13)])
    expected = probability * len(out)
    assert ((counts - expected) ** 2 / expected).sum() < 24 + 6 * sqrt(48)


def test_binomial_sampler_reaches_its_ends_and_ignores_the_other_bits():
    ones, zeros = (2**42 - 1).to_bytes(8, "little"), (2**64 - 2**42).to_bytes(8, "little")
    out = np.empty(3, np.int64)
    kernel.cbd(out, np.frombuffer(ones + zeros + zeros + ones + ones + ones, np.uint8))
    assert out.tolist() == [42, -42, 0]
    with pytest.raises(ValueError, match="16 bytes"):
        kernel.cbd(out, np.zeros(47, np.uint8))
    kernel.cbd(np.empty(0, np.int64), np.empty(0, np.uint8))


# -- scaling kernel -----------------------------------------------------------------------------
@pytest.mark.parametrize("q", [0x3FFFFFFFFC001, 0xFFFFFF7001, (1 << 55) + 12345, (1 << 56) - 5, 65537 + 50])
def test_switch_pack_and_open_are_exact_at_every_width(q):
    q |= 1
    L = q.bit_length()
    rng = random.Random(q)
    edge = [0, 1, q - 1, q // 2, q // 2 + 1, 2, q - 2, q // 3]
    for W in sorted({1, 2, 7, 8, L // 2, L - 2, L - 1}):
        # 63 to 65: the opening shifts a product of two words by W + k.
        for k in sorted({1, L // 2, L - 1} | {s - W for s in (63, 64, 65) if 1 <= s - W < L}):
            scale = kernel.Scale(0, q, W, k)
            ys = edge + [rng.randrange(q) for _ in range(40)]
            top = (1 << (L - 1 - k)) - 1
            ms = [rng.randint(-top, top) for _ in ys]
            raw = rng.randbytes(16 * len(ys))
            out = np.empty(len(ys) * W // 8, np.uint8)
            scale.encrypt(out, np.array(ys, np.uint64), np.array(ms), np.frombuffer(raw, np.uint8))
            es = [
                (int.from_bytes(raw[i : i + 8], "little") % 2**42).bit_count()
                - (int.from_bytes(raw[i + 8 : i + 16], "little") % 2**42).bit_count()
                for i in range(0, len(raw), 16)
            ]
            wire = [
                he_reference.nearest(((y + e + (m << k)) % q) << W, q) % (1 << W)
                for y, e, m in zip(ys, es, ms, strict=True)
            ]
            assert out.tobytes() == he_reference.join(wire, W)
            total = np.full(len(ys), 5, np.uint64)
            scale.accumulate(total, out, False)
            assert total.tolist() == [5 + c for c in wire]
            scale.accumulate(total, out, True)
            assert total.tolist() == [5] * len(ys)
            again = np.empty_like(out)
            noisy = np.array([c | rng.getrandbits(64) << W & (2**64 - 1) for c in wire], np.uint64)
            scale.pack(again, noisy)
            assert np.array_equal(out, again)
            m = np.empty((1, len(ys)), np.int64)
            max_r, sum_r2 = np.empty(1, np.uint64), np.empty(1, np.uint64)
            keyed = [rng.randrange(q) for _ in ys]
            scale.open(m, max_r, sum_r2, np.array([wire], np.uint64), np.array([keyed], np.uint64))
            half = 1 << (W - 1)
            xs = [
                (c - he_reference.nearest(a << W, q) + half) % (1 << W) - half
                for c, a in zip(wire, keyed, strict=True)
            ]
            expected = [he_reference.nearest(x * q, 1 << (W + k)) for x in xs]
            rs = [x - he_reference.nearest(e << (W + k), q) for x, e in zip(xs, expected, strict=True)]
            assert m[0].tolist() == expected
            assert int(max_r[0]) == max(abs(r) for r in rs)
            assert int(sum_r2[0]) == sum(min(abs(r), 1 << 24) ** 2 for r in rs)


def test_scaling_kernel_checks_its_buffers():
    scale = kernel.scale(0x3FFFFFFFFC001, 34, 24)
    u, i, b = np.zeros(16, np.uint64), np.zeros(16, np.int64), np.zeros(16 * 16, np.uint8)
    packed = np.zeros(16 * 34 // 8, np.uint8)
    scale.encrypt(packed, u, i, b)
    for arguments in (
        (packed[:-1].copy(), u, i, b),
        (packed, u[:8].copy(), i, b),
        (packed, u, i[:8].copy(), b),
        (packed, u, i, b[:-1].copy()),
        (np.zeros(0, np.uint8), u[:0], i[:0], b[:0]),
        (np.zeros(51, np.uint8), u[:12].copy(), i[:12].copy(), b[:192].copy()),
    ):
        with pytest.raises(ValueError, match=r"expected|differ"):
            scale.encrypt(*arguments)
    for call in (lambda x: scale.accumulate(u, x, False), lambda x: scale.pack(x, u)):
        with pytest.raises(ValueError, match="expected"):
            call(packed[:-1].copy())
    m, two = np.zeros((1, 16), np.int64), np.zeros((1, 16), np.uint64)
    one = np.zeros(1, np.uint64)
    scale.open(m, one, one.copy(), two, two)
    for arguments in (
        (m, np.zeros(2, np.uint64), one, two, two),
        (m, one, np.zeros(0, np.uint64), two, two),
        (m, one, one, np.zeros((2, 16), np.uint64), two),
        (m, one, one, two, np.zeros((1, 8), np.uint64)),
        (np.zeros((1, 0), np.int64), one, one, two[:, :0], two[:, :0]),
    ):
        with pytest.raises(ValueError, match=r"expected|differ"):
            scale.open(*arguments)
    for q, W, k in (
        (0x3FFFFFFFFC000, 34, 24),
        ((1 << 57) - 1, 34, 24),
        ((1 << 49) + 1, 34, 24),
        (65537, 17, 2),
    ):
        with pytest.raises(ValueError, match=r"q|bits"):
            kernel.Scale(0, q, W, k)
    for W, k in ((0, 24), (50, 24), (34, 0), (34, 50), (-1, 3)):
        with pytest.raises(ValueError, match="bits"):
            kernel.Scale(0, 0x3FFFFFFFFC001, W, k)
    with pytest.raises(ValueError, match="back end"):
        kernel.Scale(1, 0x3FFFFFFFFC001, 34, 24)


# -- sharing ------------------------------------------------------------------------------------
def test_reduction_is_exact_at_the_edges():
    edge = [0, 1, P - 1, P, P + 1, 2 * P, P * P, (1 << 62) + 3, (1 << 63) - 1, 1 << 31, (1 << 33) - 1]
    edge += [random.Random(1).randrange(1 << 63) for _ in range(1000)]
    assert _shamir.reduce(np.array(edge, np.uint64)).tolist() == [x % P for x in edge]


def test_evaluation_and_interpolation_are_exact():
    rng = random.Random(2)
    for t in (1, 2, 5, 43):
        rows = [[rng.choice((0, 1, P - 1, rng.randrange(P))) for _ in range(9)] for _ in range(t)]
        points = rng.sample(range(1, 65), t)
        values = {x: _shamir.evaluate(np.array(rows, np.uint64), x) for x in points}
        for x, v in values.items():
            assert v.tolist() == [sum(r[i] * x**d for d, r in enumerate(rows)) % P for i in range(9)]
        assert _shamir.interpolate(values, 0).tolist() == rows[0]


def test_dot_is_exact_with_the_largest_entries():
    full = np.full((2, 4096), P - 1, np.uint64)
    assert _shamir.dot(full, full[0]).tolist() == [4096 * (P - 1) ** 2 % P] * 2


def test_centred_representatives():
    values = np.array([0, 1, P // 2, P // 2 + 1, P - 1], np.uint64)
    assert _shamir.centred(values).tolist() == [0, 1, P // 2, -(P // 2), -1]

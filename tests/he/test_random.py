"""Streams, samplers and the arithmetic of sharing."""

import os
import random
from math import comb, sqrt

import numpy as np
import pytest

from sottovoce._ext import sampler
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
    sampler.cbd(out, raw, 42)
    assert out[:5000].tolist() == he_reference.Stream(bytes(32)).cbd(5000)
    probability = np.array([comb(84, 42 + k) / 2**84 for k in range(-12, 13)])
    counts = np.array([(out == k).sum() for k in range(-12, 13)])
    expected = probability * len(out)
    assert ((counts - expected) ** 2 / expected).sum() < 24 + 6 * sqrt(48)


def test_binomial_sampler_reaches_its_ends_and_ignores_the_other_bits():
    ones, zeros = (2**42 - 1).to_bytes(8, "little"), (2**64 - 2**42).to_bytes(8, "little")
    out = np.empty(3, np.int64)
    sampler.cbd(out, np.frombuffer(ones + zeros + zeros + ones + ones + ones, np.uint8), 42)
    assert out.tolist() == [42, -42, 0]
    with pytest.raises(ValueError, match="16 bytes"):
        sampler.cbd(out, np.zeros(47, np.uint8), 42)
    sampler.cbd(np.empty(0, np.int64), np.empty(0, np.uint8), 42)


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

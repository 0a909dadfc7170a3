"""What opening tests in every coefficient: residuals, extreme sums, padding."""

from functools import lru_cache
from math import sqrt

import numpy as np
import pytest

from sottovoce._ext.errors import OverflowDetected
from sottovoce.he import SETS, kahe, noise
from support.he_reference import Round, join, nearest
from support.he_world import ALL_SETS, CONTEXT, Q40, Q50, Q72, Q80, Q100, World, extreme, make_params

P = (1 << 31) - 1


def test_the_largest_residual_alone_says_nothing_and_the_mean_square_does():
    # Q40, W = 34, 1024 clients: honest residuals may reach half a step, which residuals under a wrong
    # key, uniform over the step, do not exceed either; their mean square never passes.
    params = make_params(2048, name=Q40, max_summands=1024)
    assert params.wire_bits == 34
    largest, squares = params.max_residual(1024), params.max_square_sum(1024)
    step = 2 ** (params.wire_bits + params.scale_bits) / params.q
    assert largest == 128 == round(step / 2)
    rng = np.random.default_rng(4)
    passed = 0
    worst = None
    for _ in range(20):
        total = rng.integers(0, 1 << 34, (1, 1000, 2048), dtype=np.uint64)
        values = np.empty((1000, 2048), np.int64)
        max_r, sum_r2 = np.empty(1000, np.uint64), np.empty(1000, np.uint64)
        params._scale.open(values, max_r, sum_r2, total, np.zeros_like(total))
        passed += int((max_r <= largest).sum())
        least = int(sum_r2.min())
        worst = least if worst is None else min(worst, least)
    assert passed == 20 * 1000
    assert worst > 20 * squares


def test_every_element_is_tested_and_not_the_first_alone():
    # Three blocks of sixteen elements.
    world = World(make_params(2048 * 40)).fill(3)
    honest = world.ciphertexts[1]
    row = honest.params._row_bytes
    for element in (0, 1, 15, 16, 39):
        data = bytearray(honest.to_bytes())
        data[element * row : (element + 1) * row] = np.random.default_rng(element).bytes(row)
        world.ciphertexts[1] = kahe.Ciphertext.from_bytes(bytes(data), world.params)
        for threads in (1, 2):
            with pytest.raises(OverflowDetected):
                world.open(threads=threads)
    world.ciphertexts[1] = honest
    assert np.array_equal(world.open(threads=2).values, world.expected())


def test_garbage_ciphertexts_are_detected():
    for name in ALL_SETS:
        world = World(make_params(100, name=name)).fill(4)
        rng = np.random.default_rng(5)
        size = world.params.ciphertext_bytes
        for garbage in (rng.bytes(size), bytes(size), b"\xff" * size):
            honest = world.ciphertexts[1]
            world.ciphertexts[1] = kahe.Ciphertext.from_bytes(garbage, world.params)
            with pytest.raises(OverflowDetected):
                world.open()
            world.ciphertexts[1] = honest
        world.open()


def test_one_bit_in_the_upper_half_of_a_coefficient_is_detected():
    # Below the step it is noise; at the step or above it is a change of the plaintext (malleability).
    world = World(make_params(100)).fill(3)
    data = bytearray(world.ciphertexts[0].to_bytes())
    data[0] ^= 1 << 5  # 32 = the step of W = 28 and 64 clients: half a slot unit
    honest = world.ciphertexts[0]
    world.ciphertexts[0] = kahe.Ciphertext.from_bytes(bytes(data), world.params)
    with pytest.raises(OverflowDetected):
        world.open()
    world.ciphertexts[0] = honest
    world.open()


@pytest.mark.parametrize("name", ALL_SETS)
def test_a_ciphertext_sum_without_one_client_is_detected(name):
    world = World(make_params(100, name=name)).fill(5)
    for left_out in range(5):
        only = set(range(5)) - {left_out}
        total = world.total(only)
        with pytest.raises(OverflowDetected):  # keys of all, ciphertexts of four, claimed as four
            kahe.open_sum(world.params, CONTEXT, total, _relabelled(world, 4), 4)
        assert np.array_equal(
            kahe.open_sum(world.params, CONTEXT, total, world.share_sums(only=only), 4).values,
            world.expected(only),
        )
    total = world.total({0, 1, 2, 3})
    total.add(world.ciphertexts[3])  # five ciphertexts, but one twice
    with pytest.raises(OverflowDetected):
        kahe.open_sum(world.params, CONTEXT, total, world.share_sums(), 5)


def _relabelled(world, count):
    out = []
    for s in world.share_sums():
        data = count.to_bytes(4, "little") + s.to_bytes()[4:]
        out.append(kahe.ShareSum.from_bytes(data, world.params, s.index))
    return out


def reference_of(p):
    return Round(p.set, p.n_slots, p.value_bits, p.max_summands, p.n_members, p.wire_bits, CONTEXT)


@lru_cache(maxsize=8)
def masks(params, key):
    """``a_0 key`` modulo q."""
    return reference_of(params).times_public(0, key)


def crafted(params, values, n, rng, spread, error=None, key=None):
    """A sum of one ring element with chosen numbers, noise and key, made with the public decoders only."""
    N, W, q = params.N, params.wire_bits, params.q
    if key is None:
        key = np.clip(np.rint(rng.normal(scale=sqrt(21 * n), size=N)), -42 * n, 42 * n).astype(int).tolist()
    reference = reference_of(params)
    if error is None:
        limit = params.max_residual(n) - 1
        error = np.clip(np.rint(rng.normal(scale=spread, size=N)), -limit, limit).astype(int).tolist()
        error[3], error[4] = limit, -limit
    message = reference.messages(values)
    noisy = [nearest(m << (W + params.scale_bits), q) + e for m, e in zip(message, error, strict=True)]
    wire = [
        (nearest(y << W, q) + x) % (1 << W) for y, x in zip(masks(params, tuple(key)), noisy, strict=True)
    ]
    data = n.to_bytes(4, "little") + join(wire, W)
    total = kahe.CiphertextSum.from_bytes(data, params, CONTEXT)
    rows = [[k % P for k in key]] + [rng.integers(0, P, N).tolist() for _ in range(params.threshold - 1)]
    sums = []
    for j in range(1, params.n_members + 1):
        share = [sum(c * j**d for d, c in enumerate(column)) % P for column in zip(*rows, strict=True)]
        sums.append(kahe.ShareSum.from_bytes(n.to_bytes(4, "little") + join(share, 32), params, j))
    return total, sums, (message, noisy)


def whole(**kwargs):
    """Parameters of exactly one ring element."""
    return make_params(make_params(**kwargs)._slots, **kwargs)


# All cells of the table in docs/he.md.
LARGEST = [(name, n) for name in (Q50, Q100, Q80, Q72) for n in (64, 256, 1024, 4096, 16384)]
LARGEST += [(Q40, 64), (Q40, 256), (Q40, 1024)]


@pytest.mark.parametrize(("name", "n"), LARGEST)
def test_extreme_sums_open_at_every_width_of_the_table(name, n):
    params = whole(name=name, max_summands=n)
    rng = np.random.default_rng(n)
    top = n * extreme(params)
    values = [top, -top, top - 1, top, -top, 0, 1, -1]
    values += [top] * 24 + [-top] * 24 + [top, -top] * 12  # whole coefficients at the largest and smallest
    values += rng.integers(-top, top + 1, params.n_slots - len(values)).tolist()
    spread = sqrt(noise.proxy(params.q, params.wire_bits, n))
    total, sums, (message, noisy) = crafted(params, values, n, rng, spread)
    opened = kahe.open_sum(params, CONTEXT, total, sums, n)
    assert opened.values.tolist() == values
    # attack on correctness: dividing by 2^(W - S w), which forgets that q is not a power of two.
    shift = params.wire_bits - params.slots_per_coefficient * params.slot_bits
    naive = [(x + (1 << (shift - 1))) >> shift for x in noisy]
    if name == Q50:
        assert naive == message
    elif n == 1024 or name != Q40:
        assert naive != message
    if (name, n) == (Q40, 1024):
        assert max(abs(a - b) for a, b in zip(naive, message, strict=True)) <= 2  # wrong, and silently so


# Sets that scale by one bit less: 24-bit values.
@pytest.mark.parametrize("name", [Q80, Q72])
def test_extreme_sums_open_where_the_scale_is_one_bit_less(name):
    n = 64
    params = whole(name=name, value_bits=24, max_summands=n)
    assert params.scale_bits == SETS[name].log_q - params.slots_per_coefficient * params.slot_bits - 1
    rng = np.random.default_rng(n)
    top = n * extreme(params)
    values = [top] * 64 + [-top] * 64 + [top, -top] * 64
    values += rng.integers(-top, top + 1, params.n_slots - len(values)).tolist()
    spread = sqrt(noise.proxy(params.q, params.wire_bits, n))
    total, sums, _ = crafted(params, values, n, rng, spread)
    assert kahe.open_sum(params, CONTEXT, total, sums, n).values.tolist() == values


@pytest.mark.parametrize("sign", [1, -1])
def test_a_key_that_opens_but_no_honest_set_has_is_refused(sign):
    params = make_params(2048)
    rng = np.random.default_rng(10)
    for size, fine in ((42 * 8, True), (42 * 8 + 1, False)):
        key = [0] * 2048
        key[2000] = sign * size
        total, sums, _ = crafted(params, [7] * 2048, 8, rng, None, [0] * 2048, key)
        if fine:
            assert kahe.open_sum(params, CONTEXT, total, sums, 8).values.tolist() == [7] * 2048
        else:
            with pytest.raises(OverflowDetected):
                kahe.open_sum(params, CONTEXT, total, sums, 8)


@pytest.mark.parametrize(
    ("name", "n"), [(Q50, 64), (Q40, 64), (Q40, 1024), (Q100, 64), (Q80, 64), (Q72, 1024)]
)
def test_the_opener_applies_both_residual_tests_to_every_element(name, n):
    params = whole(name=name, max_summands=n)
    N = params.N
    rng = np.random.default_rng(9)
    largest, squares = params.max_residual(n), params.max_square_sum(n)
    message = [7] * params.n_slots
    key = rng.integers(-42, 43, N).tolist()

    def opens(error):
        total, sums, _ = crafted(params, message, n, rng, None, error, key)
        try:
            return kahe.open_sum(params, CONTEXT, total, sums, n).values.tolist() == message
        except OverflowDetected:
            return False

    assert opens([0] * N)
    # Uniform below the largest: every single one is small enough, their mean square is not.
    uniform = rng.integers(2 - largest, largest - 1, N).tolist()
    assert sum(e * e for e in uniform) > 2 * squares
    assert not opens(uniform)
    # One beyond the largest, the others zero: the mean square sees nothing.
    for where in (0, N // 2 - 1, N - 1):
        for sign in (1, -1):
            lone = [0] * N
            lone[where] = sign * (largest - 1)
            assert opens(lone)
            lone[where] = sign * (largest + 2)  # a rounding may take 1 off again
            assert sum(e * e for e in lone) < squares
            assert not opens(lone)


@pytest.mark.parametrize("name", [Q50, Q40])
def test_bounds_are_those_of_the_contributors_and_not_of_the_most(name):
    # 8 of at most 64: residuals between what 8 and what 64 may show, by their largest and by their square.
    params = make_params(2048, name=name)
    rng = np.random.default_rng(11)
    message, key = [7] * 2048, [1, -2] * 1024

    def opens(error):
        total, sums, _ = crafted(params, message, 8, rng, None, error, key)
        try:
            return kahe.open_sum(params, CONTEXT, total, sums, 8).values.tolist() == message
        except OverflowDetected:
            return False

    lone = [0] * 2048
    lone[77] = params.max_residual(8) + 2
    assert lone[77] < params.max_residual(64) - 1
    assert not opens(lone)
    lone[77] = params.max_residual(8) - 1
    assert opens(lone)
    size = 3
    assert params.max_square_sum(8) < 2048 * (size - 1) ** 2
    assert 2048 * (size + 1) ** 2 > params.max_square_sum(64) > 2048 * size**2
    assert size + 1 < params.max_residual(8)
    assert not opens([size, -size] * 1024)
    assert opens([1, 0, -1, 0] * 512)


def test_a_lone_large_residual_is_refused_on_a_wide_wire():
    # Eight bits wider than need be: far below half a step, so no other check would see it.
    narrow = make_params(2048)
    params = make_params(2048, wire_bits=narrow.wire_bits + 8)
    rng = np.random.default_rng(12)
    largest = params.max_residual(8)
    step = 2 ** (params.wire_bits + params.scale_bits) / params.q
    for size, fine in ((largest - 1, True), (largest + 2, False)):
        assert size < step / 16
        assert size**2 < params.max_square_sum(8)
        for where, sign in ((0, 1), (2047, -1)):
            error = [0] * 2048
            error[where] = sign * size
            total, sums, _ = crafted(params, [7] * 2048, 8, rng, None, error)
            if fine:
                assert kahe.open_sum(params, CONTEXT, total, sums, 8).values.tolist() == [7] * 2048
            else:
                with pytest.raises(OverflowDetected):
                    kahe.open_sum(params, CONTEXT, total, sums, 8)


def test_sums_beyond_the_declared_bound_are_refused():
    params = make_params(2048, max_summands=64)
    rng = np.random.default_rng(6)
    top = 8 * extreme(params)
    for value, fine in ((top, True), (-top, True), (top + 1, False), (-top - 1, False)):
        message = [value] + [0] * 2047
        total, sums, _ = crafted(params, message, 8, rng, 0.5)
        if fine:
            assert kahe.open_sum(params, CONTEXT, total, sums, 8).values[0] == value
        else:
            with pytest.raises(OverflowDetected):
                kahe.open_sum(params, CONTEXT, total, sums, 8)


def test_padding_that_is_not_zero_is_refused():
    params = make_params(2047)
    rng = np.random.default_rng(7)
    total, sums, _ = crafted(params, [5] * 2047 + [0], 8, rng, 0.5)
    assert kahe.open_sum(params, CONTEXT, total, sums, 8).values.tolist() == [5] * 2047
    total, sums, _ = crafted(params, [5] * 2047 + [1], 8, rng, 0.5)
    with pytest.raises(OverflowDetected):
        kahe.open_sum(params, CONTEXT, total, sums, 8)

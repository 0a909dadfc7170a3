"""The kernel of public-key encryption: every back end equals exact arithmetic in Python integers."""

import itertools

import numpy as np
import pytest

from sottovoce._ext import kernel, rlwe
from support.lattice_twin import (
    SETS,
    Rlwe,
    edge_residues,
    edge_slots,
    generator,
    join_bits,
    residues,
    split_bits,
)

USABLE = kernel.usable(rlwe.BACKENDS)
GUARD = 0xA5
PAD = 16
WEIGHTS = (1, -1, 0, 2, -(2**24) + 1, 2**24 - 1, 12345)

each_backend = pytest.mark.parametrize("backend", USABLE, ids=lambda b: b.name)
each_set = pytest.mark.parametrize("name", SETS)


def guarded(size, dtype=np.uint8):
    room = np.full(size + 2 * PAD, GUARD, dtype)
    return room, room[PAD : PAD + size]


def whole(room, size):
    return (room[:PAD] == GUARD).all() and (room[PAD + size :] == GUARD).all()


def planes(name, zs):
    return np.array(residues(SETS[name], zs), np.uint64)[:, None]


def wire_values(twin, rng, n):
    """Values that pass the check, the largest among them."""
    most = (twin.q - 1) >> twin.d
    edge = [0, 1, most, most - 1, most // 2, most // 2 + 1]
    return (edge + [rng.randint(0, most) for _ in range(n)])[:n]


def cases(name):
    L = np.prod([int(p) for p in SETS[name]], dtype=object).bit_length()
    for S in range(1, 17):
        for w in sorted({(L - 1) // S, (L // 2) // S}):
            if 2 <= w <= 62 and S * w < L:
                for k in sorted({1, L - S * w, max(1, (L - S * w) // 2)}):
                    yield S, w, k


def one_case(backend, name, k, S, w, d, n):
    rng = generator(name, k, S, w, d)
    rounding, twin = rlwe.Rounding(backend.code, SETS[name], k, S, w, d), Rlwe(SETS[name], k, S, w, d)
    P, q, W = len(SETS[name]), twin.q, twin.W
    step = 1 << d
    ys = edge_residues(q, rng, n)
    if d:  # both sides of a rounding boundary, and of the last multiple of 2^d below q
        ys[-4:] = [step // 2, step // 2 - 1, q - q % step - 1, min(q - 1, q - q % step + step // 2)]
    slots, raw = edge_slots(S, w, rng, n), bytearray(rng.randbytes(8 * n))
    raw[:8], raw[8:16] = (2**21 - 1).to_bytes(8, "little"), (2**64 - 2**21).to_bytes(8, "little")
    rng.shuffle(ys)
    y = planes(name, ys)
    random = np.frombuffer(raw, np.uint8)
    for given in (slots, None):
        room, packed = guarded(n * W // 8)
        rounding.encrypt(packed, y, None if given is None else np.array(slots, np.int32).reshape(-1), random)
        assert packed.tobytes() == join_bits(twin.encrypt(ys, given, raw), W)
        assert whole(room, len(packed))
        assert rounding.check(packed) == -1
    room, packed = guarded(n * W // 8)
    rounding.pack(packed, y)
    assert packed.tobytes() == join_bits([twin.shorten(z) for z in ys], W)
    assert whole(room, len(packed))

    vs = wire_values(twin, rng, n)
    rng.shuffle(vs)
    packed[:] = np.frombuffer(join_bits(vs, W), np.uint8)
    assert rounding.check(packed) == -1
    room, flat = guarded(P * n, np.uint64)
    unpacked = flat.reshape(P, 1, n)
    rounding.unpack(unpacked, packed)
    assert np.array_equal(unpacked, planes(name, [v << d for v in vs]))
    assert whole(room, P * n)
    again = np.empty_like(packed)
    rounding.pack(again, unpacked)
    assert np.array_equal(again, packed)

    start = edge_residues(q, rng, n)
    for weight in WEIGHTS:
        for function, argument, terms in (
            (rounding.accumulate, packed, [v << d for v in vs]),
            (rounding.add, y, ys),
        ):
            room, flat = guarded(P * n, np.uint64)
            total = flat.reshape(P, 1, n)
            total[:] = planes(name, start)
            function(total, argument, weight)
            assert np.array_equal(
                total, planes(name, [a + weight * b for a, b in zip(start, terms, strict=True)])
            )
            assert whole(room, P * n)

    # Anything, and well-formed sums: a multiple of 2^k and a little.
    half = 1 << (k - 1)
    near = [
        ((M << k) + rng.choice([0, 1, -1, half - 1, -half, -half + 1])) % q
        for M in (sum(v << (w * j) for j, v in enumerate(m)) for m in slots)
    ]
    for sums in (ys, near):
        room, opened = guarded(n * S, np.int64)
        max_r = np.empty(1, np.uint64)
        rounding.open(opened[None], max_r, planes(name, sums))
        expected, largest = twin.open(sums)
        assert opened.tolist() == expected
        assert int(max_r[0]) == largest
        assert whole(room, n * S)


# A third of a long list in every run, the rest with --slow.
each_third = pytest.mark.parametrize("third", [0, *(pytest.param(i, marks=pytest.mark.slow) for i in (1, 2))])


@each_third
@each_set
@each_backend
def test_every_slot_count_scale_and_rounding_is_exact(backend, name, third):
    lengths, drops = itertools.cycle((16, 40, 24, 64, 136)), itertools.cycle((0, 1, 8, 23, 13, 15, 10))
    L = np.prod([int(p) for p in SETS[name]], dtype=object).bit_length()
    for S, w, k in list(cases(name))[third::3]:
        for _ in range(2):
            one_case(backend, name, k, S, w, min(next(drops), L - 2), next(lengths))


@each_set
@each_backend
def test_every_rounding_is_exact(backend, name):
    L = np.prod([int(p) for p in SETS[name]], dtype=object).bit_length()
    for d in range(min(23, L - 2) + 1):
        one_case(backend, name, max(1, L - 16), 1, 16 if L > 16 else 8, d, 32)


@each_backend
def test_check_finds_the_first_value_that_is_too_large(backend):
    for name, d in (("Q50", 0), ("Q50", 10), ("Q40", 13), ("Q100", 8), ("Q80", 0), ("Q72", 15), ("most", 9)):
        rounding, twin = rlwe.Rounding(backend.code, SETS[name], 10, 1, 20, d), Rlwe(SETS[name], 10, 1, 20, d)
        most, n = (twin.q - 1) >> d, 72
        for bad in (most + 1, 2**twin.W - 1):
            if bad == most or bad >> twin.W:  # every string of bits is valid there
                continue
            for place in [*range(n), None]:
                values = [most] * n
                if place is not None:
                    values[place] = bad
                    values[-1] = bad
                packed = np.frombuffer(join_bits(values, twin.W), np.uint8)
                assert rounding.check(packed) == (-1 if place is None else place)


@each_backend
def test_what_passes_the_check_packs_to_the_same_bytes(backend):
    for name, d in (("Q50", 10), ("Q40", 13), ("Q100", 8), ("Q80", 9), ("Q72", 15)):
        rounding, twin = rlwe.Rounding(backend.code, SETS[name], 10, 1, 20, d), Rlwe(SETS[name], 10, 1, 20, d)
        data = np.frombuffer(generator(name).randbytes(4096 * twin.W // 8), np.uint8).copy()
        values = split_bits(data.tobytes(), twin.W)
        bad = [i for i, v in enumerate(values) if v << d >= twin.q]
        assert rounding.check(data) == (bad[0] if bad else -1)
        data = np.frombuffer(join_bits([v if v << d < twin.q else 0 for v in values], twin.W), np.uint8)
        assert rounding.check(data) == -1
        y = np.empty((len(SETS[name]), 2, 2048), np.uint64)
        rounding.unpack(y, data)
        again = np.empty_like(data)
        rounding.pack(again, y)
        assert np.array_equal(again, data)


@each_backend
@pytest.mark.parametrize("name", ["Q50", "Q80"])
def test_rows_and_planes_may_be_strided(backend, name):
    N, rows, k, S, w, d = 16, 3, 14, 1, 20, 10
    rng = generator(name)
    rounding, twin = rlwe.Rounding(backend.code, SETS[name], k, S, w, d), Rlwe(SETS[name], k, S, w, d)
    P = len(SETS[name])
    ys = [edge_residues(twin.q, rng, N) for _ in range(rows)]
    y = np.zeros((P, 2 * rows, 2 * N), np.uint64)[:, ::2, N:]
    y[:] = np.array([residues(SETS[name], row) for row in ys], np.uint64).transpose(1, 0, 2)
    slots = [edge_slots(S, w, rng, N) for _ in range(rows)]
    raw = rng.randbytes(8 * rows * N)
    packed = np.empty(rows * N * twin.W // 8, np.uint8)
    rounding.encrypt(packed, y, np.array(slots, np.int32).reshape(-1), np.frombuffer(raw, np.uint8))
    wire = [twin.encrypt(ys[r], slots[r], raw[8 * r * N :][: 8 * N]) for r in range(rows)]
    assert packed.tobytes() == join_bits([c for row in wire for c in row], twin.W)
    total = y.copy()
    rounding.add(total, y, -1)
    assert not total.any()
    out = np.ones((P, rows, 2 * N), np.uint64)[:, :, :N]
    rounding.unpack(out, packed)
    rounding.accumulate(total, packed, 1)
    assert np.array_equal(total, out)
    values, max_r = np.zeros((2 * rows, N), np.int64)[::2], np.empty(rows, np.uint64)
    rounding.open(values, max_r, y)
    for r in range(rows):
        assert (values[r].tolist(), int(max_r[r])) == twin.open(ys[r])


def test_checks_its_buffers():
    rounding = rlwe.rounding(SETS["Q50"], 24, 1, 26, 10)
    y, packed = np.zeros((1, 1, 16), np.uint64), np.zeros(80, np.uint8)
    values, random = np.zeros(16, np.int32), np.zeros(128, np.uint8)
    rounding.encrypt(packed, y, values, random)
    for bad in (
        (packed[:-1], y, values, random),
        (packed, np.zeros((2, 1, 16), np.uint64), values, random),
        (packed, np.zeros((1, 2, 16), np.uint64), values, random),
        (packed[:60], np.zeros((1, 1, 12), np.uint64), values[:12], random[:96]),
        (packed[:0], np.zeros((1, 0, 16), np.uint64), values, random),
        (packed, y, values[:-1], random),
        (packed, y, values, random[:-1]),
    ):
        with pytest.raises(ValueError, match="expected"):
            rounding.encrypt(*bad)
    for bad in (
        (y, packed[:-1]),
        (np.zeros((2, 1, 16), np.uint64), packed),
        (y[:, :, :12].copy(), packed[:60]),
    ):
        with pytest.raises(ValueError, match="expected"):
            rounding.unpack(*bad)
        with pytest.raises(ValueError, match="expected"):
            rounding.accumulate(*bad, 1)
        with pytest.raises(ValueError, match="expected"):
            rounding.pack(*bad[::-1])
    for size in (0, 79, 81):
        with pytest.raises(ValueError, match="expected"):
            rounding.check(np.zeros(size, np.uint8))
    for other in (
        np.zeros((1, 2, 16), np.uint64),
        np.zeros((1, 1, 8), np.uint64),
        np.zeros((2, 1, 16), np.uint64),
    ):
        with pytest.raises(ValueError, match="expected"):
            rounding.add(y, other, 1)
    for weight in (1 << 24, -(1 << 24), 1.0, True, None):
        with pytest.raises(ValueError, match="weight"):
            rounding.add(y, y.copy(), weight)
    out, max_r = np.zeros((1, 16), np.int64), np.zeros(1, np.uint64)
    for bad in (
        (out[:, :15], max_r, y),
        (out, np.zeros(2, np.uint64), y),
        (np.zeros((2, 16), np.int64), max_r, y),
    ):
        with pytest.raises(ValueError, match="expected"):
            rounding.open(*bad)


def test_refuses_any_overlap_with_an_output():
    rounding = rlwe.rounding(SETS["Q80"], 14, 1, 20, 16)  # 64 bits a value
    room = np.zeros(8 * 64, np.uint8)
    words = room.view(np.uint64)
    y = words[:32].reshape(2, 2, 8)
    packed, random = np.zeros(128, np.uint8), np.zeros(128, np.uint8)
    after = room[256:384]
    for function, good in (
        (lambda at: rounding.pack(at, y), True),
        (lambda at: rounding.unpack(y, at), True),
        (lambda at: rounding.accumulate(y, at, 1), True),
        (lambda at: rounding.encrypt(at, y, None, random), True),
        (lambda at: rounding.encrypt(packed, y, None, at), False),  # both are only read
    ):
        function(after)
        if good:
            for start in (0, 100, 255):
                with pytest.raises(ValueError, match="overlaps"):
                    function(room[start : start + 128])
        else:
            function(room[100:228])
    with pytest.raises(ValueError, match="overlaps"):
        rounding.encrypt(room[:128], np.zeros_like(y), room[124:188].view(np.int32), random)
    with pytest.raises(ValueError, match="overlaps"):
        rounding.add(y, words[31:63].reshape(2, 2, 8), 1)
    rounding.add(y, words[32:].reshape(2, 2, 8), 1)
    # Planes of two arrays may be interleaved.
    shared = np.zeros((2, 4, 8), np.uint64)
    rounding.add(shared[:, :2], shared[:, 2:], 1)
    with pytest.raises(ValueError, match="overlaps"):
        rounding.open(words[:16].reshape(2, 8).view(np.int64), np.zeros(2, np.uint64), y)
    with pytest.raises(ValueError, match="overlaps"):
        rounding.open(np.zeros((2, 8), np.int64), words[31:33], y)


def test_checks_its_numbers():
    q = SETS["Q50"]
    for primes, k, S, w, d in (
        ((q[0] - 1,), 24, 1, 26, 10),
        ((*q, *q), 24, 1, 26, 10),
        (q, 0, 1, 26, 10),
        (q, 25, 1, 26, 10),
        (q, 24, 0, 26, 10),
        (q, 2, 17, 2, 10),
        (q, 24, 1, 1, 10),
        (q, 24, 1, 26, -1),
        (q, 24, 1, 26, 24),
        (SETS["least"], 2, 1, 8, 16),
        (SETS["Q100"], 2, 1, 63, 8),
    ):
        with pytest.raises(ValueError, match="expected"):
            rlwe.Rounding(0, primes, k, S, w, d)
    with pytest.raises(ValueError, match="back end"):
        rlwe.Rounding(99, q, 24, 1, 26, 10)


def test_the_best_usable_back_end_is_in_use():
    assert kernel.chosen()["rlwe"] == USABLE[-1].name


@each_backend
@pytest.mark.parametrize("name", ["Q50", "Q80"])
def test_blocks_with_gaps_between_them_are_added_like_rows(backend, name):
    rng, d, N, rows, blocks, gap = generator(name), 7, 24, 2, 3, 5
    rounding, twin = rlwe.Rounding(backend.code, SETS[name], 10, 1, 20, d), Rlwe(SETS[name], 10, 1, 20, d)
    most = (twin.q - 1) >> d
    size = rows * N * twin.W // 8
    wide = np.frombuffer(rng.randbytes(blocks * (size + gap)), np.uint8).reshape(blocks, size + gap).copy()
    for row in wide:
        row[:size] = np.frombuffer(
            join_bits([rng.randrange(most + 1) for _ in range(rows * N)], twin.W), np.uint8
        )
    total = np.zeros((len(SETS[name]), blocks * rows, N), np.uint64)
    expected = total.copy()
    for weight in (1, -3):
        rounding.accumulate_blocks(total, wide[:, :size], weight)
        for b in range(blocks):
            part = np.ascontiguousarray(wide[b, :size])
            rounding.accumulate(expected[:, b * rows : (b + 1) * rows], part, weight)
    assert total.any()
    assert np.array_equal(total, expected)
    for bad in (
        wide[:, : size - 1],
        wide[:2, :size],
        wide[:, : 2 * size : 2],
        wide[:0, :size],
        wide[::-1, :size],
    ):
        with pytest.raises(ValueError, match="packed"):
            rounding.accumulate_blocks(total, bad, 1)
    flat = total.view(np.uint8).reshape(-1)
    with pytest.raises(ValueError, match="overlap"):
        rounding.accumulate_blocks(total, flat[: blocks * size].reshape(blocks, size), 1)
    assert np.array_equal(total, expected)

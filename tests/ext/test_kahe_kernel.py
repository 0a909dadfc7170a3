"""The kernel of key-additive encryption: every back end equals exact arithmetic in Python integers."""

import itertools

import numpy as np
import pytest

from sottovoce._ext import kahe, kernel
from support.lattice_twin import SETS, Kahe, edge_residues, edge_slots, generator, join_bits, residues

USABLE = kernel.usable(kahe.BACKENDS)
GUARD = 0xA5
PAD = 16

each_backend = pytest.mark.parametrize("backend", USABLE, ids=lambda b: b.name)
each_set = pytest.mark.parametrize("name", SETS)


def widths(L, slot_bits):
    """Of W: small, around words, fields and digits, and the largest."""
    most = min(L - 1, slot_bits + 40) if L > 50 else L - 1
    some = {
        1,
        2,
        7,
        8,
        13,
        28,
        33,
        34,
        49,
        50,
        51,
        56,
        57,
        58,
        64,
        71,
        72,
        79,
        86,
        93,
        97,
        98,
        most - 1,
        most,
    }
    return sorted(W for W in some if 1 <= W <= most)


def cases(name):
    L = np.prod([int(p) for p in SETS[name]], dtype=object).bit_length()
    for S in range(1, 17):
        for w in sorted({(L - 1) // S, max(1, (L - 1) // S - 3), (L // 2) // S}):
            if 2 <= w <= 62 and S * w < L:
                yield S, w, widths(L, S * w)


def guarded(size, dtype=np.uint8):
    room = np.full(size + 2 * PAD, GUARD, dtype)
    return room, room[PAD : PAD + size]


def whole(room, size):
    return (room[:PAD] == GUARD).all() and (room[PAD + size :] == GUARD).all()


def make(backend, name, W, S, w):
    return kahe.Scale(backend.code, SETS[name], W, S, w), Kahe(SETS[name], W, S, w)


def as_sum(values, words):
    planes = [[v % 2**64 for v in values], [(v >> 64) % 2**64 for v in values]][:words]
    return np.array(planes, np.uint64)


def of_sum(total):
    return [sum(int(plane[i]) << (64 * j) for j, plane in enumerate(total)) for i in range(total.shape[1])]


def one_case(backend, name, W, S, w, n):
    rng = generator(name, W, S, w)
    scale, twin = make(backend, name, W, S, w)
    words = kahe.words(W)
    ak, slots, raw = edge_residues(twin.q, rng, n), edge_slots(S, w, rng, n), bytearray(rng.randbytes(16 * n))
    raw[16:32] = b"\xff" * 8 + bytes(8)
    raw[-16:] = bytes(8) + b"\xff" * 8
    rng.shuffle(ak)
    planes = np.array(residues(SETS[name], ak), np.uint64)[:, None]
    room, packed = guarded(n * W // 8)
    values = np.array(slots, np.int32).reshape(-1)
    scale.encrypt(packed, planes, values, np.frombuffer(raw, np.uint8))
    wire = twin.encrypt(ak, slots, raw)
    assert packed.tobytes() == join_bits(wire, W)
    assert whole(room, len(packed))

    modulus = 2 ** (64 * words)
    start = [rng.randrange(modulus) for _ in range(n)]
    room, flat = guarded(words * n, np.uint64)
    total = flat.reshape(words, n)
    total[:] = as_sum(start, words)
    scale.accumulate(total, packed, False)
    assert of_sum(total) == [(a + b) % modulus for a, b in zip(start, wire, strict=True)]
    scale.accumulate(total, packed, True)
    scale.accumulate(total, packed, True)
    assert of_sum(total) == [(a - b) % modulus for a, b in zip(start, wire, strict=True)]
    assert whole(room, words * n)
    room, again = guarded(n * W // 8)
    scale.pack(again, total)
    assert again.tobytes() == join_bits([v % 2**W for v in of_sum(total)], W)
    assert whole(room, len(again))

    # Random words are sums under a wrong key; the honest ones are near multiples of the step.
    keyed = edge_residues(twin.q, rng, n)
    near = [rng.choice([0, 1, -1, 3, -5]) + c for c in wire]
    for sums, key in ((start, keyed), (near, ak), ([v << 3 for v in start], ak)):
        planes = np.array(residues(SETS[name], key), np.uint64)[:, None]
        room, opened = guarded(n * S, np.int64)
        max_r, sum_r2 = np.empty(1, np.uint64), np.empty(1, np.uint64)
        scale.open(opened[None], max_r, sum_r2, as_sum(sums, words)[:, None], planes)
        expected, largest, squares = twin.open(sums, key)
        assert opened.tolist() == expected
        assert (int(max_r[0]), int(sum_r2[0])) == (largest, squares)
        assert whole(room, n * S)


# A third of a long list in every run, the rest with --slow.
each_third = pytest.mark.parametrize("third", [0, *(pytest.param(i, marks=pytest.mark.slow) for i in (1, 2))])


@each_third
@each_set
@each_backend
def test_every_slot_count_and_width_is_exact(backend, name, third):
    lengths = itertools.cycle((8, 40, 24, 16, 64, 136))
    every = [(W, S, w) for S, w, wires in cases(name) for W in wires]
    for W, S, w in every[third::3]:
        one_case(backend, name, W, S, w, next(lengths))


@each_backend
@pytest.mark.parametrize("name", ["Q50", "Q80"])
def test_rows_and_planes_may_be_strided(backend, name):
    N, rows, W, S, w = 16, 3, 34, 1, 26
    rng = generator(name)
    scale, twin = make(backend, name, W, S, w)
    P = len(SETS[name])
    ak = [edge_residues(twin.q, rng, N) for _ in range(rows)]
    slots = [edge_slots(S, w, rng, N) for _ in range(rows)]
    raw = rng.randbytes(16 * rows * N)
    wide = np.zeros((P, 2 * rows, 2 * N), np.uint64)
    planes = wide[:, ::2, N:]
    planes[:] = np.array([residues(SETS[name], row) for row in ak], np.uint64).transpose(1, 0, 2)
    packed = np.empty(rows * N * W // 8, np.uint8)
    scale.encrypt(packed, planes, np.array(slots, np.int32).reshape(-1), np.frombuffer(raw, np.uint8))
    wire = [twin.encrypt(ak[r], slots[r], raw[16 * r * N :][: 16 * N]) for r in range(rows)]
    assert packed.tobytes() == join_bits([c for row in wire for c in row], W)
    total = np.zeros((1, rows, 3 * N), np.uint64)[:, :, N : 2 * N]
    total[0] = wire
    values = np.zeros((2 * rows, N * S), np.int64)[::2]
    max_r, sum_r2 = np.empty(rows, np.uint64), np.empty(rows, np.uint64)
    scale.open(values, max_r, sum_r2, total, planes)
    for r in range(rows):
        got = values[r].tolist(), int(max_r[r]), int(sum_r2[r])
        assert got == twin.open(wire[r], ak[r])


@each_backend
def test_messages_come_back_at_their_extremes(backend):
    # Without key the opener returns what was encrypted; one bit less, or the largest wrap.
    for name, W, S, w in (
        ("Q50", 34, 1, 26), ("Q50", 40, 3, 12), ("Q40", 34, 1, 26), ("Q100", 86, 3, 26), ("Q80", 60, 2, 26),
        ("Q72", 60, 2, 26), ("Q72", 69, 16, 4), ("Q100", 99, 16, 6), ("Q100", 72, 2, 33),
    ):  # fmt: skip
        rng, n = generator(name, S), 64
        scale, _ = make(backend, name, W, S, w)
        slots = np.array(edge_slots(S, w - 1, rng, n), np.int32).reshape(-1)
        ak = np.zeros((len(SETS[name]), 1, n), np.uint64)
        packed, total = np.empty(n * W // 8, np.uint8), np.zeros((kahe.words(W), n), np.uint64)
        scale.encrypt(packed, ak, slots, np.zeros(16 * n, np.uint8))
        scale.accumulate(total, packed, False)
        opened, max_r, sum_r2 = np.empty((1, n * S), np.int64), np.empty(1, np.uint64), np.empty(1, np.uint64)
        scale.open(opened, max_r, sum_r2, total[:, None], ak)
        assert np.array_equal(opened[0], slots)


def arguments(n=16, W=34):
    return {
        "packed": np.zeros(n * W // 8, np.uint8),
        "ak": np.zeros((1, 1, n), np.uint64),
        "values": np.zeros(n, np.int32),
        "random": np.zeros(16 * n, np.uint8),
    }


def test_checks_its_buffers():
    scale = kahe.scale(SETS["Q50"], 34, 1, 26)
    good = arguments()
    scale.encrypt(**good)
    for change in (
        {"packed": np.zeros(67, np.uint8)},
        {"packed": np.zeros(69, np.uint8)},
        {"ak": np.zeros((2, 1, 16), np.uint64)},
        {"ak": np.zeros((1, 2, 16), np.uint64)},
        {"ak": np.zeros((1, 1, 12), np.uint64)},
        {"values": np.zeros(15, np.int32)},
        {"random": np.zeros(255, np.uint8)},
        {"packed": np.zeros(0, np.uint8), "ak": np.zeros((1, 0, 16), np.uint64)},
    ):
        with pytest.raises(ValueError, match="expected"):
            scale.encrypt(**{**good, **change})
    # 12 is no multiple of 8, though 12 * 34 is one of 8.
    with pytest.raises(ValueError, match="multiple of 8"):
        scale.encrypt(**{**arguments(12), "packed": np.zeros(51, np.uint8)})
    for total, packed in (
        (np.zeros((1, 16), np.uint64), np.zeros(67, np.uint8)),
        (np.zeros((2, 16), np.uint64), np.zeros(68, np.uint8)),
        (np.zeros((1, 12), np.uint64), np.zeros(51, np.uint8)),
        (np.zeros((1, 0), np.uint64), np.zeros(0, np.uint8)),
    ):
        with pytest.raises(ValueError, match="expected"):
            scale.accumulate(total, packed, False)
        with pytest.raises(ValueError, match="expected"):
            scale.pack(packed, total)
    one, row = np.zeros(1, np.uint64), np.zeros((1, 1, 16), np.uint64)
    good = {
        "values": np.zeros((1, 16), np.int64),
        "max_r": one,
        "sum_r2": one.copy(),
        "total": row,
        "ak": row,
    }
    scale.open(**good)
    for change in (
        {"values": np.zeros((1, 15), np.int64)},
        {"values": np.zeros((2, 16), np.int64)},
        {"max_r": np.zeros(2, np.uint64)},
        {"sum_r2": np.zeros(0, np.uint64)},
        {"total": np.zeros((2, 1, 16), np.uint64)},
        {"total": np.zeros((1, 2, 16), np.uint64)},
        {"total": np.zeros((1, 1, 8), np.uint64)},
        {"ak": np.zeros((2, 1, 16), np.uint64)},
        {"ak": np.zeros((1, 1, 12), np.uint64)},
        {"ak": np.zeros((1, 1, 0), np.uint64)},
    ):
        with pytest.raises(ValueError, match="expected"):
            scale.open(**{**good, **change})


def test_encrypting_refuses_any_overlap_with_the_output():
    scale = kahe.scale(SETS["Q50"], 32, 1, 26)
    fresh = arguments(8, 32)
    scale.encrypt(**fresh)
    for shared in ("ak", "values", "random"):
        room = np.full(4096, 7, np.uint8)
        size = fresh[shared].nbytes
        changed = {**fresh, shared: room[:size].view(fresh[shared].dtype).reshape(fresh[shared].shape)}
        for at in (0, 5, size - 1):
            with pytest.raises(ValueError, match="overlaps"):
                scale.encrypt(**{**changed, "packed": room[at : at + 32]})
        assert (room == 7).all()
        room[:] = 0
        scale.encrypt(**{**changed, "packed": room[size : size + 32]})


def test_sums_refuse_any_overlap_with_the_output():
    room = np.zeros(4096, np.uint8)
    words = room.view(np.uint64)
    scale, two = kahe.scale(SETS["Q50"], 32, 1, 26), kahe.scale(SETS["Q80"], 64, 2, 26)
    for calls in (
        lambda at: scale.accumulate(words[None, :8], room[at : at + 32], False),
        lambda at: scale.pack(room[at : at + 32], words[None, :8]),
        lambda at: two.accumulate(words[:16].reshape(2, 8), room[at + 64 : at + 128], False),
        lambda at: two.pack(room[at + 64 : at + 128], words[:16].reshape(2, 8)),
    ):
        calls(64)
        with pytest.raises(ValueError, match="overlaps"):
            calls(63)
    with pytest.raises(ValueError, match="overlaps"):
        two.accumulate(np.lib.stride_tricks.as_strided(words, (2, 8), (56, 8)), np.zeros(64, np.uint8), False)


NAMES = ("values", "max_r", "sum_r2", "total", "ak")


@pytest.mark.parametrize("pair", [(a, b) for i, a in enumerate(NAMES[:3]) for b in NAMES[i + 1 :]])
def test_opening_refuses_any_overlap_with_an_output(pair):
    scale = kahe.scale(SETS["Q50"], 32, 1, 26)
    shapes = {"values": (2, 8), "max_r": (2,), "sum_r2": (2,), "total": (1, 2, 8), "ak": (1, 2, 8)}
    kinds = {name: np.int64 if name == "values" else np.uint64 for name in NAMES}
    arrays = {name: np.zeros(shapes[name], kinds[name]) for name in NAMES}
    scale.open(**arrays)
    scale.open(**{**arrays, "ak": arrays["total"]})  # both are only read
    room = np.zeros(256, np.uint8)
    for name in pair:
        size = int(np.prod(shapes[name]))
        arrays[name] = room[: 8 * size].view(kinds[name]).reshape(shapes[name])
    with pytest.raises(ValueError, match="overlaps"):
        scale.open(**arrays)


def test_refuses_rows_that_share_memory_or_run_backwards():
    scale = kahe.scale(SETS["Q50"], 34, 1, 26)
    good = {**arguments(32), "packed": np.zeros(136, np.uint8)}
    for ak in (
        np.zeros((1, 2, 16), np.uint64)[:, ::-1],
        np.broadcast_to(np.zeros((1, 1, 16), np.uint64), (1, 2, 16)),
    ):
        with pytest.raises(ValueError, match="ascending"):
            scale.encrypt(**{**good, "ak": ak})


def test_checks_its_numbers():
    q = SETS["Q50"]
    for primes, W, S, w in (
        ((q[0] - 1,), 34, 1, 26),
        (((1 << 51) - 1,), 34, 1, 26),
        (((1 << 49) + 41,), 34, 1, 26),
        ((65535,), 9, 1, 3),
        ((), 34, 1, 26),
        ((*q, *q), 34, 1, 26),
        ((*q, SETS["Q40"][0]), 34, 1, 26),
        ((*q, *SETS["Q100"]), 34, 1, 26),
        ((3 * (2**47 + 5), 3 * (2**47 + 7)), 34, 1, 26),
        (q, 0, 1, 26),
        (q, 50, 1, 26),
        (q, -1, 1, 26),
        (q, 34, 0, 26),
        (q, 34, 17, 1),
        (q, 34, 1, 1),
        (q, 34, 1, 50),
        (q, 34, 2, 25),
        (SETS["Q100"], 72, 1, 31),
        (SETS["Q100"], 99, 1, 63),
    ):
        with pytest.raises(ValueError, match="expected"):
            kahe.Scale(0, primes, W, S, w)
    with pytest.raises(ValueError, match="back end"):
        kahe.Scale(99, q, 34, 1, 26)
    with pytest.raises(TypeError):
        kahe.Scale(0, list(q), 34, 1, 26)


def test_the_best_usable_back_end_is_in_use():
    assert kernel.chosen()["kahe"] == USABLE[-1].name

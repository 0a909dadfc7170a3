"""``reconstruct`` of chosen shards, ``update``, threads: always what encoding the whole again gives."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from sottovoce.rs import Erasure, ParameterError, TooManyErasures
from sottovoce.rs.matrix import MATRICES, READ_ONLY

NAMES = st.sampled_from([name for name in MATRICES if name not in READ_ONLY])
CODE = Erasure(3, 6)
DATA = np.random.default_rng(5).integers(0, 256, (3, 40), np.uint8)
ALL = np.concatenate([DATA, CODE.encode(DATA)])
SHARDS = dict(enumerate(ALL))


def seeded(k, length):
    return np.random.default_rng([9, k, length]).integers(0, 256, (k, length), np.uint8)


@st.composite
def codes(draw, most=40):
    n = draw(st.integers(2, most))
    k = draw(st.integers(1, n - 1))
    return Erasure(k, n, draw(NAMES)), draw(st.integers(1, 300))


@given(codes(), st.data())
def test_any_k_shards_give_any_others_in_the_order_asked(code_and_length, data):
    code, length = code_and_length
    rows = seeded(code.k, length)
    shards = np.concatenate([rows, code.encode(rows)])
    order = data.draw(st.permutations(range(code.n)))
    kept = order[: data.draw(st.integers(code.k, code.n))]
    wanted = data.draw(st.lists(st.integers(0, code.n - 1), unique=True, max_size=code.n))
    made = code.reconstruct({i: shards[i] for i in kept}, wanted=wanted)
    assert made.shape == (len(wanted), length)
    assert np.array_equal(made, shards[wanted])


@given(codes(), st.data())
def test_an_update_is_what_encoding_again_gives(code_and_length, data):
    code, length = code_and_length
    rows = seeded(code.k, length)
    parity = code.encode(rows)
    index = data.draw(st.integers(0, code.k - 1))
    new = np.random.default_rng(index).integers(0, 256, length, np.uint8)
    assert code.update(parity, index, rows[index], new) is None
    rows[index] = new
    assert np.array_equal(parity, code.encode(rows))


def test_updates_rows_that_are_buffers():
    parity = [bytearray(row.tobytes()) for row in ALL[3:]]
    CODE.update(parity, 1, DATA[1].tobytes(), memoryview(DATA[0].tobytes()))
    changed = DATA.copy()
    changed[1] = DATA[0]
    assert [bytes(row) for row in parity] == [row.tobytes() for row in CODE.encode(changed)]


def test_a_code_without_parity_has_nothing_to_update():
    code = Erasure(2, 2)
    code.update(np.empty((0, 5), np.uint8), 0, b"abcde", b"fghij")
    assert code.reconstruct({0: b"abcde", 1: b"fghij"}, wanted=[1]).tobytes() == b"fghij"


def test_repairs_what_is_lost_in_place():
    damaged = ALL.copy()
    damaged[[1, 4]] = 0
    present = {i: damaged[i] for i in (0, 2, 3, 5)}
    # The rows asked for are those of the whole array: shards that are there stay where they are.
    assert CODE.reconstruct(present, damaged, wanted=range(6)) is damaged
    assert np.array_equal(damaged, ALL)


def test_nothing_wanted_is_nothing_made():
    assert CODE.reconstruct({i: SHARDS[i] for i in range(3)}, wanted=[]).shape == (0, 40)
    assert CODE.reconstruct(SHARDS, np.empty((0, 40), np.uint8), wanted=()).shape == (0, 40)
    with pytest.raises(TooManyErasures):
        CODE.reconstruct({0: SHARDS[0]}, wanted=[])


@pytest.mark.parametrize("threads", [2, 3, 256])
@pytest.mark.parametrize("length", [1, 16383, 65536 + 7, 300_001])
def test_threads_change_nothing(threads, length):
    code, rows = Erasure(3, 7), seeded(3, length)
    parity = code.encode(rows)
    assert np.array_equal(code.encode(rows, threads=threads), parity)
    shards = dict(enumerate([*rows, *parity]))
    kept = {i: shards[i] for i in (2, 3, 6)}
    assert np.array_equal(code.reconstruct(kept, threads=threads), rows)
    updated = parity.copy()
    code.update(updated, 0, rows[0], rows[1], threads=threads)
    code.update(updated, 0, rows[1], rows[0], threads=threads)
    assert np.array_equal(updated, parity)
    code.verify(shards, threads=threads)


@pytest.mark.parametrize("threads", [0, -1, 257])
def test_rejects_a_number_of_threads_out_of_range(threads):
    for call in (
        lambda: CODE.encode(DATA, threads=threads),
        lambda: CODE.reconstruct(SHARDS, threads=threads),
        lambda: CODE.update(ALL[3:].copy(), 0, DATA[0], DATA[1], threads=threads),
        lambda: CODE.verify(SHARDS, threads=threads),
    ):
        with pytest.raises(ParameterError, match=f"threads: 1 to 256 expected, got {threads}"):
            call()


@pytest.mark.parametrize("threads", ["2", 2.0, True, None])
def test_rejects_threads_of_another_type(threads):
    with pytest.raises(TypeError, match="threads"):
        CODE.encode(DATA, threads=threads)


@pytest.mark.parametrize(
    ("wanted", "error", "match"),
    [
        ([0, 1, 0], ParameterError, "different indices expected, got 0 twice"),
        ([6], ParameterError, "wanted: 0 to 5 expected, got 6"),
        ([-1], ParameterError, "wanted: 0 to 5 expected, got -1"),
        ([True], TypeError, "wanted: int expected, got bool"),
        (["1"], TypeError, "wanted: int expected, got str"),
    ],
)
def test_rejects_what_cannot_be_wanted(wanted, error, match):
    with pytest.raises(error, match=match):
        CODE.reconstruct(SHARDS, wanted=wanted)


def test_rejects_an_out_of_another_height_than_wanted():
    with pytest.raises(ParameterError, match=r"out: shape \(2, 40\) expected"):
        CODE.reconstruct(SHARDS, np.empty((3, 40), np.uint8), wanted=[0, 1])


def test_rejects_an_overlap_across_the_columns_of_threads():
    # The two threads never touch the same byte at the same place of a row, but the rows overlap.
    memory = np.zeros(3 * 65536, np.uint8)
    data, out = memory[: 2 * 65536].reshape(2, 65536), memory[65536 + 40000 :][:65536].reshape(1, 65536)
    with pytest.raises(ParameterError, match="overlaps"):
        Erasure(2, 3).encode(data, out, threads=2)


READ_ONLY_ROWS = ALL[3:].copy()
READ_ONLY_ROWS.flags.writeable = False


@pytest.mark.parametrize(
    ("parity", "index", "old", "new", "error", "match"),
    [
        (ALL[3:], 3, DATA[0], DATA[1], ParameterError, "index: 0 to 2 expected, got 3"),
        (ALL[3:], -1, DATA[0], DATA[1], ParameterError, "index: 0 to 2 expected, got -1"),
        (ALL[3:], "0", DATA[0], DATA[1], TypeError, "index: int expected"),
        (ALL[3:5], 0, DATA[0], DATA[1], ParameterError, "parity: 3 rows expected, got 2"),
        (ALL[3:, :39], 0, DATA[0], DATA[1], ParameterError, "parity 0: 40 bytes expected, got 39"),
        (ALL[3:], 0, DATA[0], DATA[1][:39], ParameterError, "old, new 1: 40 bytes expected, got 39"),
        (ALL[3:], 0, DATA[0], 7, TypeError, "bytes-like"),
        (READ_ONLY_ROWS, 0, DATA[0], DATA[1], ParameterError, "parity: is read-only"),
        ([b"a" * 40] * 3, 0, DATA[0], DATA[1], ParameterError, "parity 0: is read-only"),
    ],
)
def test_rejects_an_update_with_one_fault(parity, index, old, new, error, match):
    before = ALL.copy()
    with pytest.raises(error, match=match):
        CODE.update(parity, index, old, new)
    assert np.array_equal(before, ALL)


def test_rejects_an_update_whose_rows_overlap():
    memory = ALL.copy()
    with pytest.raises(ParameterError, match="overlaps"):
        CODE.update(memory[3:], 0, memory[0], memory[4])
    with pytest.raises(ParameterError, match="overlaps"):
        CODE.update([memory[3], memory[3], memory[4]], 0, memory[0], memory[1])
    assert np.array_equal(memory, ALL)

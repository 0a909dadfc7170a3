"""What ``Erasure`` refuses, and that it says what was needed and what came."""

import pickle

import numpy as np
import pytest

from sottovoce.rs import Erasure, ParameterError, TooManyErasures

CODE = Erasure(3, 5)
DATA = np.arange(30, dtype=np.uint8).reshape(3, 10)
SHARDS = dict(enumerate([*DATA, *CODE.encode(DATA)]))


@pytest.mark.parametrize(("k", "n"), [(0, 1), (-1, 3), (4, 3), (1, 257), (257, 257), (0, 0)])
def test_rejects_impossible_codes(k, n):
    with pytest.raises(ParameterError, match=f"got k = {k}, n = {n}"):
        Erasure(k, n)


@pytest.mark.parametrize(
    ("k", "n"), [("3", 5), (3, 5.0), (True, 2), (np.True_, 2), (None, 1), (np.float64(3), 5)]
)
def test_rejects_codes_of_another_type(k, n):
    with pytest.raises(TypeError):
        Erasure(k, n)


class Three:
    def __index__(self):
        return 3


@pytest.mark.parametrize(
    "three", [np.int64(3), np.uint8(3), Three(), np.array(3)], ids=lambda t: type(t).__name__
)
def test_takes_whatever_is_an_index_to_python(three):
    code = Erasure(three, np.int16(5))
    assert (type(code.k), type(code.n), code.k, code.n) == (int, int, 3, 5)
    assert repr(code) == "Erasure(k=3, n=5, matrix='cauchy')"
    assert pickle.loads(pickle.dumps(code)).n == 5
    kept = {index: row for index, row in SHARDS.items() if index != 3}
    if type(three) is not np.ndarray:  # has no hash
        kept[three] = SHARDS[3]
    back = CODE.reconstruct(kept, wanted=[three, 0], threads=three)
    assert [row.tobytes() for row in back] == [SHARDS[3].tobytes(), SHARDS[0].tobytes()]
    parity = CODE.encode(DATA)
    CODE.update(parity, np.int64(0), DATA[0], DATA[0], threads=three)
    assert np.array_equal(parity, CODE.encode(DATA, threads=three))


def test_keys_that_are_one_index_are_refused():
    with pytest.raises(ParameterError, match="each index once"):
        CODE.reconstruct({**SHARDS, Three(): SHARDS[3]})


def test_rejects_an_unknown_matrix():
    with pytest.raises(ParameterError, match=r"one of cauchy, .* expected, got 'vandermonde'"):
        Erasure(3, 5, "vandermonde")
    with pytest.raises(TypeError):
        Erasure(3, 5, 7)


@pytest.mark.parametrize(("indices", "present"), [((), 0), ((0,), 1), ((0, 1), 2), ((3, 4), 2), ((2, 4), 2)])
def test_fewer_than_k_say_needed_and_present(indices, present):
    with pytest.raises(TooManyErasures, match=f"3 shards needed, {present} present") as caught:
        CODE.reconstruct({i: SHARDS[i] for i in indices})
    assert (caught.value.needed, caught.value.present) == (3, present)


@pytest.mark.parametrize("index", [-1, 5, 255, 10**30])
def test_rejects_an_index_out_of_range(index):
    with pytest.raises(ParameterError, match=f"0 to 4 expected, got {index}"):
        CODE.reconstruct({0: SHARDS[0], 1: SHARDS[1], index: SHARDS[2]})


@pytest.mark.parametrize("index", ["0", 0.0, None, True, (0,)])
def test_rejects_an_index_of_another_type(index):
    with pytest.raises(TypeError, match="shard index"):
        CODE.reconstruct({index: SHARDS[0], 1: SHARDS[1], 2: SHARDS[2]})


def test_takes_numpy_indices_but_not_one_index_twice():
    shards = {np.int64(0): SHARDS[0], np.uint8(3): SHARDS[3], np.int64(4): SHARDS[4]}
    assert np.array_equal(CODE.reconstruct(shards), DATA)
    # 0 and numpy's 0 are one key of a mapping, so a duplicate cannot even be written down.
    assert len({0: 1, np.int64(0): 2}) == 1


def test_rejects_a_list_of_shards():
    with pytest.raises(TypeError, match="mapping"):
        CODE.reconstruct([SHARDS[0], SHARDS[1], SHARDS[2]])


@pytest.mark.parametrize("extra", [{}, {4: b"x" * 10}])
def test_rejects_unequal_lengths_even_of_shards_it_would_not_use(extra):
    shards = {0: b"a" * 10, 1: b"b" * 10, 2: b"c" * (9 if not extra else 10), **extra}
    if extra:
        shards[3] = b"d" * 11
    with pytest.raises(ParameterError, match="10 bytes expected, got"):
        CODE.reconstruct(shards)


def test_rejects_empty_shards():
    with pytest.raises(ParameterError, match="at least 1 byte"):
        CODE.encode(np.zeros((3, 0), np.uint8))
    with pytest.raises(ParameterError, match="at least 1 byte"):
        CODE.reconstruct({0: b"", 1: b"", 2: b""})


@pytest.mark.parametrize("rows", [0, 1, 2, 4, 300])
def test_rejects_another_number_of_rows(rows):
    with pytest.raises(ParameterError, match=f"3 rows expected, got {rows}"):
        CODE.encode(np.zeros((rows, 8), np.uint8))


@pytest.mark.parametrize(
    ("data", "error"),
    [
        (b"a" * 30, TypeError),
        ("a" * 30, TypeError),
        ([1, 2, 3], TypeError),
        (DATA.astype(np.int64), TypeError),
        (DATA.astype(np.float32), TypeError),
        (DATA.view(np.int8), TypeError),
        (DATA.reshape(30), ParameterError),
        (DATA.reshape(3, 5, 2), ParameterError),
        (np.asfortranarray(DATA), ParameterError),
        (DATA[:, ::2], ParameterError),
        ([b"abc", b"abc", memoryview(b"abcdef")[::2]], ParameterError),
        ([b"abcd", b"abcd", memoryview(np.zeros(1, np.int32))], ParameterError),
        ([b"abc", b"abc", b"ab"], ParameterError),
    ],
)
def test_rejects_data_that_is_not_rows_of_bytes(data, error):
    with pytest.raises(error):
        CODE.encode(data)


@pytest.mark.parametrize(
    ("out", "error"),
    [
        ([bytearray(10)] * 2, TypeError),
        (np.zeros((2, 9), np.uint8), ParameterError),
        (np.zeros((3, 10), np.uint8), ParameterError),
        (np.zeros((2, 10), np.int8), TypeError),
        (np.zeros((2, 20), np.uint8)[:, ::2], ParameterError),
        (np.broadcast_to(np.zeros(10, np.uint8), (2, 10)), ParameterError),
    ],
)
def test_rejects_an_out_that_does_not_fit(out, error):
    with pytest.raises(error):
        CODE.encode(DATA, out)


def test_rejects_an_out_that_overlaps_its_input():
    memory = np.zeros((5, 10), np.uint8)
    with pytest.raises(ParameterError, match="overlaps"):
        CODE.encode(memory[:3], memory[2:4])


@pytest.mark.parametrize("shift", [1, 2])
def test_rejects_an_out_whose_rows_are_other_shards(shift):
    memory = np.vstack([DATA, CODE.encode(DATA)])
    before = memory.copy()
    with pytest.raises(ParameterError, match="overlaps"):
        CODE.reconstruct({i: memory[i] for i in (0, 1, 2)}, memory[shift : shift + 3])
    assert np.array_equal(memory, before)


def test_rejects_a_parity_shard_that_lies_in_out():
    memory = np.vstack([DATA, CODE.encode(DATA)])
    with pytest.raises(ParameterError, match="overlaps"):
        CODE.reconstruct({0: memory[0], 1: memory[1], 3: memory[2]}, memory[:3])


@pytest.mark.parametrize("row", [0, 1, 2])
def test_rejects_an_out_that_overlaps_a_shard_it_would_not_use(row):
    out = np.zeros((3, 10), np.uint8)
    out[row] = SHARDS[4]
    before = out.copy()
    with pytest.raises(ParameterError, match="overlaps shard 4"):
        CODE.reconstruct({**{i: SHARDS[i].copy() for i in range(3)}, 4: out[row]}, out)
    assert np.array_equal(out, before)


@pytest.mark.parametrize("shift", [-9, -1, 1, 9])
def test_rejects_an_overlap_by_some_bytes(shift):
    memory = np.zeros(50, np.uint8)
    out = memory[10:40].reshape(3, 10)
    shard = memory[10 + shift : 20 + shift]
    with pytest.raises(ParameterError, match="overlaps shard 0"):
        CODE.reconstruct({0: shard, 1: SHARDS[1], 2: SHARDS[2]}, out)


@pytest.mark.parametrize("stride", [0, 1, 4, 9, -9, -1])
def test_rejects_an_out_whose_rows_overlap(stride):
    memory = np.zeros(60, np.uint8)
    out = np.lib.stride_tricks.as_strided(memory[30:], (3, 10), (stride, 1))
    for shards in ((0, 1, 2), (0, 3, 4)):
        with pytest.raises(ParameterError, match="rows overlap"):
            CODE.reconstruct({i: SHARDS[i] for i in shards}, out)
    with pytest.raises(ParameterError, match="rows overlap"):
        Erasure(1, 4).encode(DATA[:1], out)
    assert not memory.any()


@pytest.mark.parametrize("stride", [10, 13, -10, -15])
def test_takes_an_out_whose_rows_only_touch(stride):
    out = np.lib.stride_tricks.as_strided(np.zeros(60, np.uint8)[30:], (3, 10), (stride, 1))
    assert np.array_equal(CODE.reconstruct({i: SHARDS[i] for i in (0, 3, 4)}, out), DATA)


def test_shards_between_the_rows_of_out_do_not_overlap_it():
    memory = np.zeros((3, 20), np.uint8)
    memory[:, 10:] = [SHARDS[1], SHARDS[3], SHARDS[4]]
    shards = {1: memory[0, 10:], 3: memory[1, 10:], 4: memory[2, 10:]}
    assert np.array_equal(CODE.reconstruct(shards, memory[:, :10]), DATA)


def test_wrong_bytes_are_not_noticed_as_documented():
    # Erasures, not errors: the docs promise nothing else, and dispersal adds what is missing.
    wrong = {**SHARDS, 0: SHARDS[0] ^ 1}
    assert not np.array_equal(CODE.reconstruct(wrong), DATA)

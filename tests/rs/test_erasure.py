"""``Erasure``: any k of n shards give the data back, whatever the arrangement of the memory."""

import itertools

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from sottovoce.rs import Erasure
from sottovoce.rs.matrix import parity_matrix
from support import rs_twin


def seeded(k, length, seed=1):
    return np.random.default_rng([seed, k, length]).integers(0, 256, (k, length), np.uint8)


def all_shards(code, data):
    return dict(enumerate([*data, *code.encode(data)]))


@pytest.mark.parametrize(("k", "n"), [(k, n) for n in range(1, 9) for k in range(1, n + 1)])
def test_every_subset_of_k_shards_gives_the_data_back(k, n):
    code, data = Erasure(k, n), seeded(k, 37)
    shards = all_shards(code, data)
    for subset in itertools.combinations(range(n), k):
        assert np.array_equal(code.reconstruct({i: shards[i] for i in subset}), data)


@pytest.mark.parametrize(("k", "n"), [(10, 14), (3, 5), (17, 20)])
def test_every_subset_of_larger_codes(k, n):
    code, data = Erasure(k, n), seeded(k, 3)
    shards = all_shards(code, data)
    for subset in itertools.combinations(range(n), k):
        assert np.array_equal(code.reconstruct({i: shards[i] for i in subset}), data)


@pytest.mark.parametrize(("k", "n"), [(1, 256), (128, 256), (255, 256), (256, 256), (100, 150), (5, 200)])
def test_the_largest_codes_work_from_any_end(k, n):
    code, data = Erasure(k, n), seeded(k, 70)
    shards = all_shards(code, data)
    order = np.random.default_rng(3).permutation(n).tolist()
    for subset in (range(k), range(n - k, n), order[:k]):
        assert np.array_equal(code.reconstruct({i: shards[i] for i in subset}), data)


@given(st.data())
def test_random_codes_lengths_and_losses(data):
    n = data.draw(st.integers(1, 60), "n")
    k = data.draw(st.integers(1, n), "k")
    length = data.draw(st.integers(1, 300), "length")
    order = data.draw(st.permutations(range(n)), "order")
    code, rows = Erasure(k, n), seeded(k, length)
    shards = all_shards(code, rows)
    more = data.draw(st.integers(k, n), "kept")
    assert np.array_equal(code.reconstruct({i: shards[i] for i in order[:more]}), rows)


# -- the matrix --------------------------------------------------------------------------------------


def test_no_square_sub_matrix_of_a_small_code_is_singular():
    # MDS means exactly this; searched by elimination in the second implementation.
    for k, m in itertools.product(range(1, 6), range(1, 6)):
        parity = parity_matrix(k, k + m).tolist()
        for size in range(1, min(k, m) + 1):
            for rows in itertools.combinations(range(m), size):
                for columns in itertools.combinations(range(k), size):
                    minor = [[parity[r][c] for c in columns] for r in rows]
                    assert rs_twin.rank(minor) == size, (k, m, rows, columns)


def test_the_search_finds_the_hole_of_a_matrix_that_is_not_mds():
    # Powers 2^((i - k) j), widely used, fail at k = 5, m = 6: the search above can fail.
    k, m = 5, 6
    parity = [[pow_of_two(i * j) for j in range(k)] for i in range(m)]
    holes = [
        (rows, columns)
        for size in range(1, k + 1)
        for rows in itertools.combinations(range(m), size)
        for columns in itertools.combinations(range(k), size)
        if rs_twin.rank([[parity[r][c] for c in columns] for r in rows]) < size
    ]
    assert holes


def pow_of_two(exponent):
    value = 1
    for _ in range(exponent):
        value = rs_twin.MUL[value][2]
    return value


def test_no_minor_of_order_two_of_the_largest_code_is_zero():
    # a d = b c nowhere: order 1 and 2 are complete for k = m = 128, higher orders are sampled below.
    parity = parity_matrix(128, 256).astype(np.int64)
    assert parity.all()
    mul = np.array(rs_twin.MUL, np.uint8)
    for i, j in itertools.combinations(range(128), 2):
        ratios = mul[parity[i], np.array(rs_twin.INV)[parity[j]]]
        assert len(np.unique(ratios)) == 128


def test_sampled_minors_of_large_codes_are_regular():
    rng = np.random.default_rng(11)
    for _ in range(60):
        k = int(rng.integers(1, 256))
        parity = parity_matrix(k, 256)
        size = int(rng.integers(1, min(k, 256 - k, 24) + 1))
        rows, columns = rng.permutation(256 - k)[:size], rng.permutation(k)[:size]
        assert rs_twin.rank(parity[np.ix_(rows, columns)].tolist()) == size


def test_a_parity_row_does_not_depend_on_n():
    assert np.array_equal(parity_matrix(7, 12), parity_matrix(7, 256)[:5])


# -- memory ------------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", [bytes, bytearray, memoryview, np.frombuffer])
def test_takes_any_buffers_of_bytes(kind):
    code, data = Erasure(3, 5), seeded(3, 50)
    rows = [
        np.frombuffer(r.tobytes(), np.uint8) if kind is np.frombuffer else kind(r.tobytes()) for r in data
    ]
    assert np.array_equal(code.encode(rows), code.encode(data))
    shards = {0: rows[0], 3: kind_of(kind, code.encode(data)[0]), 4: kind_of(kind, code.encode(data)[1])}
    assert np.array_equal(code.reconstruct(shards), data)


def kind_of(kind, row):
    return np.frombuffer(row.tobytes(), np.uint8) if kind is np.frombuffer else kind(row.tobytes())


def test_writes_into_out_and_returns_it():
    code, data = Erasure(4, 7), seeded(4, 100)
    out = np.full((3, 100), 9, np.uint8)
    assert code.encode(data, out) is out
    assert np.array_equal(out, code.encode(data))
    back = np.full((4, 100), 9, np.uint8)
    assert code.reconstruct({1: data[1], 4: out[0], 5: out[1], 6: out[2]}, back) is back
    assert np.array_equal(back, data)


def test_takes_and_gives_padded_rows():
    code = Erasure(4, 7)
    wide = seeded(4, 160)
    data, out = wide[:, :100], np.zeros((3, 128), np.uint8)[:, :100]
    assert code.encode(data, out) is out
    assert np.array_equal(out, code.encode(np.ascontiguousarray(data)))


def test_rows_a_power_of_two_apart_are_padded():
    parity = Erasure(2, 4).encode(seeded(2, 4096))
    assert parity.shape == (2, 4096)
    assert parity.strides == (4096 + 64, 1)


def test_repairs_an_array_in_place():
    code, data = Erasure(4, 7), seeded(4, 100)
    parity, damaged = code.encode(data), data.copy()
    damaged[2] = 0
    rows = {i: damaged[i] for i in (0, 1, 3)}
    assert code.reconstruct({**rows, 5: parity[1]}, damaged) is damaged
    assert np.array_equal(damaged, data)


def test_inputs_are_left_alone():
    code, data = Erasure(3, 6), seeded(3, 64)
    before = data.copy()
    shards = {i: s.copy() for i, s in all_shards(code, data).items()}
    code.reconstruct({i: shards[i] for i in (1, 3, 5)})
    assert np.array_equal(data, before)
    assert all(np.array_equal(shards[i], s) for i, s in all_shards(code, data).items())


def test_a_code_without_parity_gives_no_rows():
    assert Erasure(3, 3).encode(seeded(3, 5)).shape == (0, 5)


def test_tells_its_parameters_and_has_no_room_for_more():
    code = Erasure(3, 5)
    assert (code.k, code.n, code.matrix, repr(code)) == (3, 5, "cauchy", "Erasure(k=3, n=5, matrix='cauchy')")
    with pytest.raises(AttributeError):
        code.k = 4
    with pytest.raises(AttributeError):
        code.other = 4
    with pytest.raises(ValueError, match="read-only"):
        parity_matrix(3, 5)[0, 0] = 1

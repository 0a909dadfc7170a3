"""The matrices of other people: by definition, by elimination, and what a matrix that is not MDS does."""

import itertools

import numpy as np
import pytest

from sottovoce.rs import Erasure, ParameterError, TooManyErasures
from sottovoce.rs.matrix import MATRICES, READ_ONLY, multipliers, parity_matrix, points
from support import rs_twin

MDS = [name for name in MATRICES if name not in READ_ONLY]
SHAPES = [(1, 2), (2, 4), (3, 5), (5, 10), (10, 14), (17, 20), (60, 90)]


def seeded(k, length):
    return np.random.default_rng([7, k, length]).integers(0, 256, (k, length), np.uint8)


def power(x, exponent):
    value = 1
    for _ in range(exponent):
        value = rs_twin.MUL[value][x]
    return value


def shards_of(k, n, matrix, data):
    """All n shards by the second implementation's arithmetic; ours for the matrix alone."""
    return dict(enumerate([*map(bytes, data), *(rs_twin.combine_rows(row, data) for row in matrix)]))


# -- as their authors build them ----------------------------------------------------------------------


def vandermonde_times_inverse(x, k):
    """V_parity V_data^-1 for V[r][c] = x_r^c (0^0 = 1), by elimination on the columns."""
    table = [[power(value, c) for c in range(k)] for value in x]
    for pivot in range(k):
        column = next(c for c in range(pivot, k) if table[pivot][c])
        for row in table:
            row[pivot], row[column] = row[column], row[pivot]
        scale = rs_twin.INV[table[pivot][pivot]]
        for row in table:
            row[pivot] = rs_twin.MUL[row[pivot]][scale]
        for c in range(k):
            factor = table[pivot][c]
            if c != pivot and factor:
                for row in table:
                    row[c] ^= rs_twin.MUL[factor][row[pivot]]
    return table[k:]


@pytest.mark.parametrize(("k", "n"), SHAPES)
@pytest.mark.parametrize(
    ("name", "point"),
    [
        ("backblaze", lambda r: r),
        ("zfec", lambda r: power(2, r - 1) if r else 0),
        ("isal-vand-inv", lambda r: power(2, r + 1)),
    ],
)
def test_a_lagrange_matrix_is_the_systematic_vandermonde_of_its_points(k, n, name, point):
    x = [point(r) for r in range(n)]
    assert points(n, name).tolist() == x
    assert parity_matrix(k, n, name).tolist() == vandermonde_times_inverse(x, k)


def test_klauspost_default_encodes_its_example():
    # The example of TestOneEncode in klauspost/reedsolomon and of Backblaze's ReedSolomonTest: five shards of
    # two bytes, matrix V V_top^-1 with V[r][c] = r^c, which the test above derives from the definition.
    data = np.array([[0, 1], [4, 5], [2, 3], [6, 7], [8, 9]], np.uint8)
    parity = [[12, 13], [10, 11], [14, 15], [90, 91], [94, 95]]
    assert vandermonde_times_inverse(range(10), 5) == parity_matrix(5, 10, "backblaze").tolist()
    assert Erasure(5, 10, "backblaze").encode(data).tolist() == parity


def test_klauspost_cauchy_is_ours():
    # buildMatrixCauchy: the identity, then invTable[byte(r ^ c)] for row r >= dataShards, column c.
    for k, n in SHAPES:
        rows = [[rs_twin.INV[r ^ c] for c in range(k)] for r in range(k, n)]
        assert parity_matrix(k, n, "cauchy").tolist() == rows
    # Worked by hand: 1/4, 1/5, 1/6 and 1/7 modulo 0x11D, from 2 * 142 = 1 and so on.
    assert parity_matrix(2, 6, "cauchy").tolist()[2:] == [[71, 167], [167, 71]]


def test_isal_vand_is_powers_of_powers_of_two():
    for k, n in SHAPES:
        rows = [[power(power(2, i), j) for j in range(k)] for i in range(n - k)]
        assert parity_matrix(k, n, "isal-vand").tolist() == rows


@pytest.mark.parametrize("name", MATRICES)
def test_a_row_does_not_depend_on_n(name):
    assert np.array_equal(parity_matrix(7, 12, name), parity_matrix(7, 255, name)[:5])


@pytest.mark.parametrize("name", MDS)
def test_shards_times_their_multipliers_are_values_of_a_polynomial(name):
    k, n = 6, 11
    data = seeded(k, 1)
    word = np.concatenate([data, Erasure(k, n, name).encode(data)])[:, 0].tolist()
    values = [rs_twin.MUL[u][v] for u, v in zip(multipliers(k, n, name).tolist(), word, strict=True)]
    x = points(n, name).tolist()
    for subset in ((0, 1, 2, 3, 4, 5), (5, 6, 7, 8, 9, 10), (0, 2, 4, 6, 8, 10)):
        for at in range(n):
            weights = rs_twin.lagrange_row([x[i] for i in subset], x[at])
            products = [rs_twin.MUL[w][values[i]] for w, i in zip(weights, subset, strict=True)]
            assert np.bitwise_xor.reduce(products) == values[at]


# -- any k of n ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", MDS)
def test_no_square_sub_matrix_of_a_small_code_is_singular(name):
    for k, m in [(4, 4), (5, 3), (3, 5)]:
        parity = parity_matrix(k, k + m, name).tolist()
        for size in range(1, min(k, m) + 1):
            for rows in itertools.combinations(range(m), size):
                for columns in itertools.combinations(range(k), size):
                    assert rs_twin.rank([[parity[r][c] for c in columns] for r in rows]) == size


@pytest.mark.parametrize("name", MDS)
@pytest.mark.parametrize(("k", "n"), [(1, 4), (3, 6), (4, 8), (10, 13)])
def test_every_subset_of_k_shards_gives_every_shard(name, k, n):
    code, data = Erasure(k, n, name), seeded(k, 19)
    shards = shards_of(k, n, parity_matrix(k, n, name).tolist(), data)
    for subset in itertools.combinations(range(n), k):
        made = code.reconstruct({i: shards[i] for i in subset}, wanted=range(n))
        assert [row.tobytes() for row in made] == [shards[i] for i in range(n)]


@pytest.mark.parametrize("name", MDS)
def test_the_largest_codes_work_from_any_end(name):
    n = 255 if name == "isal-vand-inv" else 256
    for k in (1, 100, n - 1, n):
        code, data = Erasure(k, n, name), seeded(k, 33)
        shards = dict(enumerate([*data, *code.encode(data)]))
        assert np.array_equal(code.reconstruct({i: shards[i] for i in range(n - k, n)}), data)


# -- the one that is not MDS ---------------------------------------------------------------------------


def holes(k, m, sizes=None):
    parity = parity_matrix(k, k + m, "isal-vand").tolist()
    for size in sizes or range(1, min(k, m) + 1):
        for rows in itertools.combinations(range(m), size):
            for columns in itertools.combinations(range(k), size):
                if rs_twin.rank([[parity[r][c] for c in columns] for r in rows]) < size:
                    yield rows, columns


def test_isal_vand_is_whole_below_and_has_its_first_holes_where_the_page_says():
    assert not [hole for k, m in itertools.product(range(1, 6), range(1, 6)) for hole in holes(k, m)]
    assert list(holes(5, 6))
    # m = 5: parity {0, 1, 4} cannot give data {0, 3, 5} back, as long as there is a data shard 5.
    assert ((0, 1, 4), (0, 3, 5)) in list(holes(6, 5, [3]))


def test_a_hole_is_told_as_shards_that_are_missing():
    k, n = 6, 11
    data = seeded(k, 50)
    shards = shards_of(k, n, parity_matrix(k, n, "isal-vand").tolist(), data)
    code = Erasure(k, n, "isal-vand")
    lost = {0, 3, 5, k + 2, k + 3}
    kept = {i: shards[i] for i in range(n) if i not in lost}
    assert len(kept) == k
    with pytest.raises(TooManyErasures, match="6 shards needed, 5 present"):
        code.reconstruct(kept)
    # One more, which others would not need, and independent ones are found among them.
    assert np.array_equal(code.reconstruct({**kept, k + 3: shards[k + 3]}), data)
    assert np.array_equal(code.reconstruct({**kept, 3: shards[3]}), data)
    # The same loss does not hurt any matrix that we write.
    for name in MDS:
        whole = dict(enumerate([*data, *Erasure(k, n, name).encode(data)]))
        assert np.array_equal(Erasure(k, n, name).reconstruct({i: whole[i] for i in kept}), data)


def test_isal_vand_is_never_written():
    code, data = Erasure(6, 11, "isal-vand"), seeded(6, 8)
    with pytest.raises(ParameterError, match="for writing, got 'isal-vand'"):
        code.encode(data)
    with pytest.raises(ParameterError, match="for writing, got 'isal-vand'"):
        code.update(np.zeros((5, 8), np.uint8), 0, data[0], data[1])


def test_powers_of_two_are_too_few_for_256_shards():
    with pytest.raises(ParameterError, match="n <= 255 expected"):
        Erasure(3, 256, "isal-vand-inv")
    assert Erasure(3, 256, "zfec").n == 256

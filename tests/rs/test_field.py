"""Field laws by name, and the matrices built on them."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from sottovoce.rs import ParameterError, field
from support import rs_twin

ALL = np.arange(256, dtype=np.uint8)
TABLE = field.multiply(ALL[:, None], ALL[None, :])


def test_product_table_equals_the_definition():
    assert np.array_equal(TABLE, np.array(rs_twin.MUL, np.uint8))


def test_multiplication_is_commutative():
    assert np.array_equal(TABLE, TABLE.T)


def test_multiplication_is_associative():
    for c in range(256):
        assert np.array_equal(
            field.multiply(TABLE, np.uint8(c)), field.multiply(ALL[:, None], TABLE[c][None, :])
        )


def test_multiplication_distributes_over_addition():
    for c in range(256):
        assert np.array_equal(TABLE[c][ALL[:, None] ^ ALL[None, :]], TABLE[c][:, None] ^ TABLE[c][None, :])


def test_one_is_neutral_and_zero_absorbs():
    assert np.array_equal(TABLE[1], ALL)
    assert not TABLE[0].any()


def test_every_element_but_zero_has_an_inverse():
    assert (field.multiply(ALL[1:], field.inverse(ALL[1:])) == 1).all()
    with pytest.raises(ParameterError, match="zero"):
        field.inverse(ALL)


def test_x_generates_the_multiplicative_group():
    powers, value = set(), 1
    for _ in range(field.ORDER):
        powers.add(value)
        value = int(TABLE[2][value])
    assert (len(powers), value) == (255, 1)


@given(size=st.integers(1, 12), seed=st.integers(0, 2**32))
def test_inverse_matrix_is_an_inverse_or_the_matrix_is_singular(size, seed):
    matrix = np.random.default_rng(seed).integers(0, 256, (size, size), np.uint8)
    if rs_twin.rank(matrix.tolist()) < size:
        with pytest.raises(ParameterError, match="singular"):
            field.invert(matrix)
    else:
        inverse = field.invert(matrix)
        assert np.array_equal(field.matrix_product(matrix, inverse), np.eye(size, dtype=np.uint8))
        assert np.array_equal(field.matrix_product(inverse, matrix), np.eye(size, dtype=np.uint8))


def test_inversion_swaps_rows_where_it_must():
    swap = np.array([[0, 1, 0], [0, 0, 1], [1, 0, 0]], np.uint8)
    assert np.array_equal(field.invert(swap), swap.T)


@pytest.mark.parametrize("matrix", [[[0]], [[1, 1], [1, 1]], [[2, 4], [1, 2]], [[0, 0], [0, 1]]])
def test_singular_matrices_are_refused(matrix):
    with pytest.raises(ParameterError, match="singular"):
        field.invert(np.array(matrix, np.uint8))


@given(
    nodes=st.lists(st.integers(0, 255), min_size=1, max_size=20, unique=True),
    at=st.lists(st.integers(0, 255), min_size=1, max_size=20),
)
def test_lagrange_weights_equal_the_definition(nodes, at):
    got = field.lagrange(np.array(nodes, np.uint8), np.array(at, np.uint8))
    assert got.tolist() == [rs_twin.lagrange_row(nodes, point) for point in at]

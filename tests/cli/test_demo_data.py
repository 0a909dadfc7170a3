"""The split and the shares of the digits."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from sottovoce.cli.demo import data
from sottovoce.cli.demo.options import MAX_CLIENTS, MIN_CLIENTS

pytest.importorskip("sklearn")


@pytest.fixture(scope="module")
def digits():
    return data.load(0)


def test_the_split_is_complete_and_stratified(digits):
    from sklearn.datasets import load_digits

    x, y = load_digits(return_X_y=True)
    assert digits.train_y.size + digits.test_y.size == y.size == 1797
    assert digits.train_x.shape == (digits.train_y.size, 64)
    assert digits.train_x.min() == 0.0
    assert digits.train_x.max() == 1.0
    # Every image is in exactly one part: together they are the data set, as multisets of rows.
    together = np.concatenate([digits.train_x, digits.test_x]) * 16
    assert sorted(map(bytes, together.astype(np.uint8))) == sorted(map(bytes, x.astype(np.uint8)))
    for label in range(10):
        assert np.sum(digits.test_y == label) == round(0.2 * np.sum(y == label))


def test_the_seed_decides_the_split(digits):
    again, other = data.load(0), data.load(1)
    assert np.array_equal(again.train_x, digits.train_x)
    assert np.array_equal(again.test_y, digits.test_y)
    assert not np.array_equal(other.train_x, digits.train_x)


@given(
    n_clients=st.integers(1, 60),
    seed=st.integers(0, 2**32),
    skew=st.floats(0.05, 100.0),
    least=st.integers(0, 10),
    n_examples=st.integers(600, 1500),
)
def test_every_example_goes_to_exactly_one_client(n_clients, seed, skew, least, n_examples):
    labels = np.random.default_rng(seed).integers(0, 10, size=n_examples)
    shares = data.partition(labels, n_clients, seed, skew=skew, least=least)
    assert len(shares) == n_clients
    assert sorted(np.concatenate(shares)) == list(range(n_examples))
    assert min(share.size for share in shares) >= least
    again = data.partition(labels, n_clients, seed, skew=skew, least=least)
    assert all(np.array_equal(a, b) for a, b in zip(shares, again, strict=True))


@pytest.mark.parametrize("seed", range(5))
def test_shares_are_unequal_in_number_and_in_kind(digits, seed):
    shares = data.partition(digits.train_y, 20, seed)
    sizes = [share.size for share in shares]
    assert max(sizes) >= 4 * min(sizes)
    # Alike, every client would have some of every digit and about a tenth of each.
    kinds = [np.bincount(digits.train_y[share], minlength=10) / share.size for share in shares]
    assert sum(np.count_nonzero(kind == 0.0) for kind in kinds) >= 20
    assert np.mean([kind.max() for kind in kinds]) > 0.25


def test_another_seed_deals_otherwise(digits):
    one, other = data.partition(digits.train_y, 20, 0), data.partition(digits.train_y, 20, 1)
    assert any(not np.array_equal(a, b) for a, b in zip(one, other, strict=True))


def test_the_limits_of_the_options_fit_the_data(digits):
    assert min(s.size for s in data.partition(digits.train_y, MAX_CLIENTS, 0)) == data.LEAST_EXAMPLES
    assert min(s.size for s in data.partition(digits.train_y, MIN_CLIENTS, 0)) >= data.LEAST_EXAMPLES
    with pytest.raises(ValueError, match="144 clients"):
        data.partition(digits.train_y, MAX_CLIENTS + 1, 0)

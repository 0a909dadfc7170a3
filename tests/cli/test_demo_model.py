"""The perceptron against finite differences, and plain federated averaging."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from sottovoce.cli.demo import data, model, train


def test_size_and_shapes():
    parameters = model.initial(0)
    assert [array.shape for array in parameters] == [(64, 32), (32,), (32, 10), (10,)]
    assert model.size(parameters) == 2410


def test_the_seed_decides_the_start():
    assert all(np.array_equal(a, b) for a, b in zip(model.initial(5), model.initial(5), strict=True))
    assert not np.array_equal(model.initial(5)[0], model.initial(6)[0])


@pytest.mark.parametrize("layers", [(6, 4), (6, 5, 4), (6, 5, 7, 4)])
def test_gradient_is_that_of_the_loss(layers):
    rng = np.random.default_rng(1)
    # Biases off zero, so that no unit sits on the corner of the ReLU.
    parameters = [array + 0.1 * rng.normal(size=array.shape) for array in model.initial(2, layers)]
    x, y = rng.normal(size=(9, 6)), rng.integers(0, 4, size=9)
    _, gradient = model.loss_and_gradient(parameters, x, y)
    h = 1e-6
    for array, slope in zip(parameters, gradient, strict=True):
        assert array.shape == slope.shape
        for index in np.ndindex(array.shape):
            middle = array[index]
            array[index] = middle + h
            above, _ = model.loss_and_gradient(parameters, x, y)
            array[index] = middle - h
            below, _ = model.loss_and_gradient(parameters, x, y)
            array[index] = middle
            assert (above - below) / (2 * h) == pytest.approx(slope[index], abs=1e-8)


def test_loss_is_the_cross_entropy():
    parameters = [np.zeros((6, 4)), np.zeros(4)]
    loss, _ = model.loss_and_gradient(parameters, np.ones((3, 6)), np.array([0, 1, 2]))
    assert loss == pytest.approx(np.log(4))


def test_huge_outputs_do_not_overflow():
    parameters = [np.full((6, 4), 1e4), np.array([1e6, 0.0, 0.0, 0.0])]
    loss, gradient = model.loss_and_gradient(parameters, np.ones((3, 6)), np.array([0, 0, 1]))
    assert np.isfinite(loss)
    assert all(np.isfinite(array).all() for array in gradient)


def test_accuracy_counts():
    parameters = [np.eye(4), np.zeros(4)]
    assert model.accuracy(parameters, np.eye(4), np.array([0, 1, 2, 0])) == 0.75


def small_problem(seed=0, n=40):
    rng = np.random.default_rng(seed)
    return rng.normal(size=(n, 6)), rng.integers(0, 4, size=n)


def test_local_update_learns_and_leaves_the_start_alone():
    x, y = small_problem()
    start = model.initial(1, (6, 5, 4))
    before = [array.copy() for array in start]
    delta, n = train.local_update(start, x, y, train.Schedule(), round_index=0, client=3, seed=1)
    assert n == 40
    assert all(np.array_equal(a, b) for a, b in zip(start, before, strict=True))
    after = train.step(start, delta)
    assert model.loss_and_gradient(after, x, y)[0] < 0.8 * model.loss_and_gradient(start, x, y)[0]


def test_batches_depend_on_seed_round_and_client_only():
    x, y = small_problem()
    start = model.initial(1, (6, 5, 4))

    def update(**changed):
        where = {"round_index": 0, "client": 3, "seed": 1} | changed
        return train.local_update(start, x, y, train.Schedule(decay=1.0), **where)[0][0]

    assert np.array_equal(update(), update())
    for changed in ({"round_index": 1}, {"client": 4}, {"seed": 2}):
        assert not np.array_equal(update(), update(**changed))


@given(st.lists(st.integers(1, 200), min_size=1, max_size=6), st.integers(0, 2**32))
def test_average_is_that_of_all_examples(sizes, seed):
    rng = np.random.default_rng(seed)
    updates = {i: ([rng.normal(size=(3, 2)), rng.normal(size=4)], n) for i, n in enumerate(sizes)}
    mean = train.average(updates)
    for position in range(2):
        # Every example votes once with its client's update.
        votes = [updates[i][0][position] for i, n in enumerate(sizes) for _ in range(n)]
        assert np.allclose(mean[position], np.mean(votes, axis=0), atol=1e-12)


@pytest.mark.parametrize("seed", [0, 1, 2])
def test_plain_averaging_reaches_ninety_percent(seed):
    pytest.importorskip("sklearn")
    digits = data.load(seed)
    shares = data.partition(digits.train_y, 20, seed)
    current = model.initial(seed)
    for index in range(12):
        updates = train.local_updates(current, digits, shares, train.Schedule(), round_index=index, seed=seed)
        current = train.step(current, train.average(updates))
    assert model.accuracy(current, digits.test_x, digits.test_y) >= 0.92


def test_only_the_asked_clients_train():
    pytest.importorskip("sklearn")
    digits = data.load(0)
    shares = data.partition(digits.train_y, 20, 0)
    where = {"round_index": 0, "seed": 0}
    some = train.local_updates(
        model.initial(0), digits, shares, train.Schedule(epochs=1), clients=(3, 7), **where
    )
    everyone = train.local_updates(model.initial(0), digits, shares, train.Schedule(epochs=1), **where)
    assert list(some) == [3, 7]
    assert len(everyone) == 20
    assert np.array_equal(some[7][0][0], everyone[7][0][0])

"""Federated averaging in plain floats (McMahan et al., AISTATS 2017): what the private run must equal.

Local training and the step of the server are the same functions for both runs; only the mean of the
updates is made differently.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from . import model
from .data import Digits

Update = tuple[model.Parameters, int]
"""What a client sends: the change of every array, and the number of its examples."""


@dataclass(frozen=True, slots=True)
class Schedule:
    """How a client trains between two rounds.

    Attributes:
        epochs: Passes over its own examples.
        batch: Examples a step.
        rate: Step length of the first round.
        decay: Factor on the step length from round to round.
    """

    epochs: int = 8
    batch: int = 8
    rate: float = 0.2
    decay: float = 0.92


def local_update(
    start: model.Parameters,
    x: NDArray[np.float64],
    y: NDArray[np.int64],
    schedule: Schedule,
    *,
    round_index: int,
    client: int,
    seed: int,
) -> Update:
    """Train on one client's examples from the common model.

    The order of the batches depends on seed, round and client only, so two runs with the same
    models make the same updates.

    Args:
        start: The model of the round; not changed.
        x: The client's images, shape ``(n, 64)``.
        y: Their classes, shape ``(n,)``.
        schedule: Length of training.
        round_index: Number of the round, from 0.
        client: Index of the client.
        seed: Seed of the training.

    Returns:
        The change of every array, and ``n``.
    """
    rng = np.random.default_rng([seed, 4, round_index, client])
    current = [array.copy() for array in start]
    rate = schedule.rate * schedule.decay**round_index
    for _ in range(schedule.epochs):
        order = rng.permutation(y.size)
        for low in range(0, y.size, schedule.batch):
            batch = order[low : low + schedule.batch]
            _, gradient = model.loss_and_gradient(current, x[batch], y[batch])
            for array, slope in zip(current, gradient, strict=True):
                array -= rate * slope
    return [after - before for after, before in zip(current, start, strict=True)], y.size


def local_updates(
    start: model.Parameters,
    digits: Digits,
    shares: list[NDArray[np.int64]],
    schedule: Schedule,
    *,
    round_index: int,
    seed: int,
    clients: Iterable[int] | None = None,
) -> dict[int, Update]:
    """The update of every client, or of ``clients`` only, by index."""
    return {
        client: local_update(
            start,
            digits.train_x[shares[client]],
            digits.train_y[shares[client]],
            schedule,
            round_index=round_index,
            client=client,
            seed=seed,
        )
        for client in (range(len(shares)) if clients is None else clients)
    }


def average(updates: Mapping[int, Update]) -> model.Parameters:
    """Mean of the updates, weighted by numbers of examples, in float64."""
    total = sum(examples for _, examples in updates.values())
    deltas = zip(*(delta for delta, _ in updates.values()), strict=True)
    weights = np.array([examples / total for _, examples in updates.values()])
    return [np.tensordot(weights, np.stack(arrays), axes=1) for arrays in deltas]


def step(start: model.Parameters, mean: Iterable[NDArray[np.floating]]) -> model.Parameters:
    """The model of the next round: the common model plus the mean update."""
    return [array + change for array, change in zip(start, mean, strict=True)]

"""What a device trains: softmax regression on its part of scikit-learn's digits, in numpy."""

from __future__ import annotations

import numpy as np
from sklearn.datasets import load_digits

N_DEVICES = 10
CLIP = 0.5
MAX_EXAMPLES = 200
_PASSES = 5
_RATE = 0.05

Arrays = list[np.ndarray]


def data() -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Training and test part: images of 64 pixels, labels."""
    x, y = load_digits(return_X_y=True)
    order = np.random.default_rng(0).permutation(len(y))
    x, y = x[order] / 16.0, y[order]
    return x[:1400], y[:1400], x[1400:], y[1400:]


def part(device: int) -> tuple[np.ndarray, np.ndarray]:
    """A device's own examples: unequal in number, and mostly of a few digits."""
    x, y, _, _ = data()
    owner = np.random.default_rng(1).integers(0, 2 * N_DEVICES, size=len(y))
    owner = np.where(owner >= N_DEVICES, y % N_DEVICES, owner)
    return x[owner == device], y[owner == device]


def start() -> Arrays:
    """The first global model."""
    return [np.zeros((64, 10), np.float32), np.zeros(10, np.float32)]


def train(model: Arrays, device: int) -> tuple[Arrays, int]:
    """The difference that a device's examples make to the model, and how many they are."""
    x, y = part(device)
    weights, bias = (a.astype(np.float64) for a in model)
    for _ in range(_PASSES):
        for i in range(0, len(y), 16):
            batch, labels = x[i : i + 16], y[i : i + 16]
            scores = batch @ weights + bias
            p = np.exp(scores - scores.max(axis=1, keepdims=True))
            p /= p.sum(axis=1, keepdims=True)
            p[np.arange(len(labels)), labels] -= 1
            weights -= _RATE * batch.T @ p
            bias -= _RATE * p.sum(axis=0)
    update = [weights - model[0], bias - model[1]]
    return [a.clip(-CLIP, CLIP).astype(np.float32) for a in update], len(y)


def accuracy(model: Arrays) -> float:
    """Share of the test images that are told right."""
    _, _, x, y = data()
    return float(((x @ model[0] + model[1]).argmax(axis=1) == y).mean())


def weight(examples: int, most: int = MAX_EXAMPLES) -> int:
    """How much a client's examples count: what it tells is at most the round's ``max_examples``."""
    return min(examples, most)

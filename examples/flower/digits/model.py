"""Softmax regression on the digits of scikit-learn, in numpy: small enough to read."""

import numpy as np

N_CLASSES = 10


def load_part(part, n_parts):
    """Every ``n_parts``-th example, split into training and test data."""
    # Here, because a node starts a process for every message, and a committee member needs no data.
    from sklearn.datasets import load_digits

    images, labels = load_digits(return_X_y=True)
    x, y = images[part::n_parts] / 16.0, labels[part::n_parts]
    cut = len(x) * 4 // 5
    return x[:cut], y[:cut], x[cut:], y[cut:]


def new_model(seed=None):
    """Small random weights: a node seals one update a model, so two runs need two first models."""
    generator = np.random.default_rng(seed)
    return [
        generator.normal(scale=1e-3, size=(64, N_CLASSES)).astype(np.float32),
        np.zeros(N_CLASSES, np.float32),
    ]


def probabilities(model, x):
    """Of each class, shape (examples, classes)."""
    logits = x @ model[0] + model[1]
    exponentials = np.exp(logits - logits.max(axis=1, keepdims=True))
    return exponentials / exponentials.sum(axis=1, keepdims=True)


def train(model, x, y, epochs=20, rate=0.5):
    """A few steps of gradient descent on all of the data."""
    weights, bias = (array.copy() for array in model)
    for _ in range(epochs):
        error = probabilities([weights, bias], x) - np.eye(N_CLASSES)[y]
        weights -= (rate * x.T @ error / len(x)).astype(np.float32)
        bias -= (rate * error.mean(axis=0)).astype(np.float32)
    return [weights, bias]


def accuracy(model, x, y):
    """Fraction of the labels that are right."""
    return float((probabilities(model, x).argmax(axis=1) == y).mean())

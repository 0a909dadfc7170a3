"""The model: a multi-layer perceptron in numpy, 64 inputs, 32 hidden units, 10 classes.

2,410 parameters in four arrays ``[W1 (64, 32), b1 (32,), W2 (32, 10), b2 (10,)]``.  Plain functions
on that list, because a list of arrays is what federated averaging averages.
"""

from __future__ import annotations

import itertools
from typing import Final

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]
Parameters = list[Array]

LAYERS: Final = (64, 32, 10)


def initial(seed: int, layers: tuple[int, ...] = LAYERS) -> Parameters:
    """Random starting parameters (He et al. 2015: variance ``2 / fan_in``), biases zero.

    Args:
        seed: Decides the parameters.
        layers: Widths, input first.

    Returns:
        Two float64 arrays a layer, weight ``(fan_in, fan_out)`` and bias ``(fan_out,)``.
    """
    rng = np.random.default_rng([seed, 3])
    parameters: Parameters = []
    for fan_in, fan_out in itertools.pairwise(layers):
        parameters.append(rng.normal(0.0, np.sqrt(2.0 / fan_in), size=(fan_in, fan_out)))
        parameters.append(np.zeros(fan_out))
    return parameters


def size(parameters: Parameters) -> int:
    """How many numbers the model has."""
    return sum(array.size for array in parameters)


def logits(parameters: Parameters, x: Array) -> Array:
    """Outputs before the softmax.

    Args:
        parameters: As of :func:`initial`.
        x: Shape ``(n, 64)``.

    Returns:
        Shape ``(n, 10)``.
    """
    return _forward(parameters, x)[-1]


def loss_and_gradient(parameters: Parameters, x: Array, y: NDArray[np.int64]) -> tuple[float, Parameters]:
    """Mean cross-entropy and its gradient.

    Args:
        parameters: As of :func:`initial`.
        x: Shape ``(n, 64)``, ``n >= 1``.
        y: Shape ``(n,)``, classes.

    Returns:
        The loss in nats, and the gradient in the shapes of ``parameters``.
    """
    activations = _forward(parameters, x)
    rows = np.arange(y.size)
    # Softmax is unchanged by a shift; without it a large logit overflows.
    shifted = activations[-1] - activations[-1].max(axis=1, keepdims=True)
    log_probabilities = shifted - np.log(np.exp(shifted).sum(axis=1, keepdims=True))
    loss = -float(log_probabilities[rows, y].mean())

    delta = np.exp(log_probabilities)
    delta[rows, y] -= 1.0
    delta /= y.size
    gradient: Parameters = []
    for layer in reversed(range(len(parameters) // 2)):
        gradient[:0] = [activations[layer].T @ delta, delta.sum(axis=0)]
        if layer:
            # ReLU: the gradient passes where the unit was active.
            delta = (delta @ parameters[2 * layer].T) * (activations[layer] > 0.0)
    return loss, gradient


def accuracy(parameters: Parameters, x: Array, y: NDArray[np.int64]) -> float:
    """Fraction of examples whose largest output is their class, 0..1."""
    return float(np.mean(logits(parameters, x).argmax(axis=1) == y))


def _forward(parameters: Parameters, x: Array) -> list[Array]:
    """The input, every hidden layer after its ReLU, and the outputs."""
    activations = [x]
    for layer in range(0, len(parameters), 2):
        z = activations[-1] @ parameters[layer] + parameters[layer + 1]
        activations.append(z if layer + 2 == len(parameters) else np.maximum(z, 0.0))
    return activations

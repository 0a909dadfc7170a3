"""Private federated averaging in numpy: ``plain.py``, and nobody sees the update of a single client.

A whole federation in one process: issuer, aggregator, a committee of five, eight clients with pseudonyms.
Between machines it is the same round: ``examples/http_round``, ``examples/flower``.
"""

import numpy as np

from sottovoce.fl.simulate import Faults, Simulation

CLIENTS, ROUNDS = 8, 3
rng = np.random.default_rng(1)
truth = rng.normal(size=(8, 3))


def examples(n):
    """Points in eight dimensions, and to which of three classes each belongs."""
    x = rng.normal(size=(n, 8))
    return x, (x @ truth + rng.normal(scale=0.3, size=(n, 3))).argmax(axis=1)


def train(model, x, labels):
    """The difference that a client's own examples make to the model: softmax regression."""
    weights, bias = (array.astype(float) for array in model)
    for _ in range(20):
        scores = np.exp(x @ weights + bias)
        p = scores / scores.sum(axis=1, keepdims=True) - np.eye(3)[labels]
        weights -= 0.5 * x.T @ p / len(x)
        bias -= 0.5 * p.mean(axis=0)
    return [weights - model[0], bias - model[1]]


data = [examples(int(rng.integers(50, 200))) for _ in range(CLIENTS)]
test_x, test_labels = examples(1000)
model = [np.zeros((8, 3)), np.zeros(3)]
federation = Simulation(model, n_clients=CLIENTS, clip=2.0)  # numbers of an update beyond it are cut

for number in range(1, ROUNDS + 1):
    updates = {i: (train(model, *own), len(own[0])) for i, own in enumerate(data)}
    report = federation.run_round(model, updates, faults=Faults(absent_members=1))
    if not report.exact:
        raise SystemExit("the opened sum is not that of the clients")
    mean = report.mean
    model = [array + change for array, change in zip(model, mean, strict=True)]
    accuracy = float((np.argmax(test_x @ model[0] + model[1], axis=1) == test_labels).mean())
    print(f"round {number}: accuracy {accuracy:.3f}")

if accuracy < 0.85:
    raise SystemExit("the model has learned nothing")

"""Plain federated averaging in numpy: eight clients, one linear model; ``private.py`` adds privacy to it."""

import numpy as np

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

for number in range(1, ROUNDS + 1):
    updates = {i: (train(model, *own), len(own[0])) for i, own in enumerate(data)}
    counts = [n for _, n in updates.values()]
    arrays = zip(*(update for update, _ in updates.values()), strict=True)
    mean = [np.average(array, axis=0, weights=counts) for array in arrays]
    model = [array + change for array, change in zip(model, mean, strict=True)]
    accuracy = float((np.argmax(test_x @ model[0] + model[1], axis=1) == test_labels).mean())
    print(f"round {number}: accuracy {accuracy:.3f}")

if accuracy < 0.85:
    raise SystemExit("the model has learned nothing")

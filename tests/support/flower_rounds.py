"""A model that two functions train and test, a strategy with short deadlines, and what must come out."""

import numpy as np
from flwr.app import ArrayRecord, Message, MetricRecord, RecordDict
from flwr.serverapp import strategy as flower

from sottovoce.fl.flower import SealedStrategy
from support.flower_app.averaged.known import CLIP, examples_of, first_model, update_of

SECRET = 0.123456789


def train(message, context):
    part = context.node_config["partition-id"]
    assert "sottovoce" not in message.content, "the app sees what a plain strategy would have sent"
    update = update_of(part, message.content["config"]["server-round"])
    arrays = message.content["arrays"].to_numpy_ndarrays()
    model = [old + change for old, change in zip(arrays, update, strict=True)]
    metrics = MetricRecord({"num-examples": examples_of(part), "secret-loss": SECRET})
    return Message(RecordDict({"arrays": ArrayRecord(model), "metrics": metrics}), reply_to=message)


def evaluate(message, context):
    metrics = MetricRecord({"accuracy": 0.5, "secret-loss": SECRET, "num-examples": 77})
    return Message(RecordDict({"metrics": metrics}), reply_to=message)


def sealed(keys, inner=None, **options):
    options = {"clip": CLIP, "min_contributors": 3, "straggler_s": 0.2, "grace_s": 0.2, **options}
    options = {"train_timeout_s": 30, "member_timeout_s": 5, "first_timeout_s": 5, **options}
    return SealedStrategy(inner or flower.FedAvg(fraction_evaluate=0.0), keys / "server", **options)


def expected(parts, rounds=1, weights=None):
    model = first_model()
    for r in range(1, rounds + 1):
        means = [
            np.average(arrays, axis=0, weights=weights)
            for arrays in zip(*(update_of(p, r) for p in parts), strict=True)
        ]
        model = [old + mean.astype(np.float32) for old, mean in zip(model, means, strict=True)]
    return model


def assert_model(record, model):
    for got, want in zip(record.to_numpy_ndarrays(), model, strict=True):
        assert got.dtype == want.dtype
        np.testing.assert_array_equal(got, want)

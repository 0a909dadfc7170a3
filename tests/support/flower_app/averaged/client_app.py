import os
import time
from pathlib import Path

from flwr.app import ArrayRecord, Message, MetricRecord, RecordDict
from flwr.clientapp import ClientApp

from averaged.known import examples_of, update_of
from sottovoce.fl.flower import install, seal_mod


def misbehave(message, context, call_next):
    """A node whose part is named in a file of the folder of faults, for one kind of message."""
    faults = os.environ.get("AVERAGED_FAULTS")
    part = context.node_config["partition-id"]
    if faults and (Path(faults) / f"{message.metadata.message_type}-{part}").exists():
        (Path(faults) / f"reached-{message.metadata.message_type}-{part}").touch()
        time.sleep(600)
    return call_next(message, context)


app = install(ClientApp(mods=[seal_mod, misbehave]))


@app.train()
def train(message, context):
    part = context.node_config["partition-id"]
    update = update_of(part, message.content["config"]["server-round"])
    arrays = message.content["arrays"].to_numpy_ndarrays()
    model = [old + change for old, change in zip(arrays, update, strict=True)]
    metrics = MetricRecord({"num-examples": examples_of(part), "secret-loss": 0.25})
    return Message(RecordDict({"arrays": ArrayRecord(model), "metrics": metrics}), reply_to=message)


@app.evaluate()
def evaluate(message, context):
    part = context.node_config["partition-id"]
    metrics = MetricRecord({"accuracy": part / 8, "secret-loss": 1.5, "num-examples": examples_of(part)})
    return Message(RecordDict({"metrics": metrics}), reply_to=message)

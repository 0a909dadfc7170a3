"""What runs at every node."""

from flwr.app import ArrayRecord, Context, Message, MetricRecord, RecordDict
from flwr.clientapp import ClientApp

from digits.model import accuracy, load_part, train
from sottovoce.fl.flower import install, seal_mod

app = install(ClientApp(mods=[seal_mod]))


@app.train()
def fit(message: Message, context: Context) -> Message:
    """Train on this node's part."""
    x, y, _, _ = load_part(context.node_config["partition-id"], context.node_config["num-partitions"])
    model = train(message.content["arrays"].to_numpy_ndarrays(), x, y)
    metrics = MetricRecord({"num-examples": len(x)})
    return Message(RecordDict({"arrays": ArrayRecord(model), "metrics": metrics}), reply_to=message)


@app.evaluate()
def test(message: Message, context: Context) -> Message:
    """Test on this node's part."""
    _, _, x, y = load_part(context.node_config["partition-id"], context.node_config["num-partitions"])
    score = accuracy(message.content["arrays"].to_numpy_ndarrays(), x, y)
    metrics = MetricRecord({"accuracy": score, "num-examples": len(x)})
    return Message(RecordDict({"metrics": metrics}), reply_to=message)

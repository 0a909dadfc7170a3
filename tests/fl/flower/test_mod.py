"""What leaves a node: one sealed packet, metrics that its owner allows, or the kind of a refusal."""

import json
import shutil

import pytest
from flwr.app import Array, ArrayRecord, ConfigRecord, Message, MetricRecord, RecordDict
from flwr.clientapp import ClientApp
from flwr.serverapp import strategy as flower
from flwr.serverapp.exception import InconsistentMessageReplies

from sottovoce.fl import ParameterError
from sottovoce.fl.flower import NodeFolder, SealedStrategy, install
from support.flower_app.averaged.known import CLIP, first_model
from support.flower_grid import LoopGrid, client_app, copy_of, text_of

PRIVATE = "4711 patients in /data/of/mrs-example"


def reply_of(message, arrays=None, **metrics):
    record = ArrayRecord(message.content["arrays"].to_numpy_ndarrays() if arrays is None else arrays)
    metrics = MetricRecord({"num-examples": 4711, **metrics})
    return Message(RecordDict({"arrays": record, "metrics": metrics}), reply_to=message)


def honest(message, context):
    return reply_of(message, [a + 0.25 for a in message.content["arrays"].to_numpy_ndarrays()])


class World:
    """Nodes with one app, and the messages of one round, co-signed once for all tests."""

    def __init__(self, keys, prepared, train=honest, evaluate=None):
        self.app = client_app(train=train, evaluate=evaluate or (lambda message, _: reply_of(message)))
        self.grid = LoopGrid([self.app] * 5, keys)
        self.strategy, self._messages = prepared
        self.arrays = ArrayRecord(first_model())

    def messages(self):
        return [copy_of(message) for message in self._messages]

    def run(self, message, node=100):
        return self.app(message, self.grid.context(node))


def new_strategy(keys):
    return SealedStrategy(flower.FedAvg(), keys / "server", clip=CLIP, max_examples=5000, min_contributors=3)


@pytest.fixture(scope="module")
def prepared(made, tmp_path_factory):
    keys = shutil.copytree(made, tmp_path_factory.mktemp("prepared") / "keys")
    grid = LoopGrid([client_app(train=honest)] * 5, keys)
    strategy = new_strategy(keys)
    return strategy, strategy.configure_train(1, ArrayRecord(first_model()), ConfigRecord(), grid)


@pytest.fixture
def world(keys, prepared):
    return World(keys, prepared)


def test_reply_is_one_packet_of_a_length_that_the_data_do_not_change(world):
    first, second = world.messages()[:2]
    replies = [world.run(first, 100), world.run(second, 101)]
    assert [list(r.content) for r in replies] == [["sottovoce"]] * 2
    packets = [r.content["sottovoce"]["packet"] for r in replies]
    assert {(p.dtype, p.stype, len(p.data)) for p in packets} == {
        ("uint8", "sottovoce.sealed.v1", world.strategy._open.aggregator.header.packet_bytes)
    }
    assert b"4711" not in text_of(replies)


def test_a_plain_strategy_that_averages_sealed_replies_fails(world):
    reply = world.run(world.messages()[0])
    with pytest.raises(InconsistentMessageReplies):
        flower.FedAvg().aggregate_train(1, [reply])
    reply.content["metrics"] = MetricRecord({"num-examples": 1})
    with pytest.raises(TypeError, match=r"sottovoce\.sealed\.v1"):
        flower.FedAvg().aggregate_train(1, [reply])


def test_trains_for_nobody_who_sends_no_header(keys, prepared):
    def untouched(message, context):
        pytest.fail("trained without a header")

    world = World(keys, prepared, untouched)
    message = next(iter(flower.FedAvg().configure_train(1, world.arrays, ConfigRecord(), world.grid)))
    assert world.run(message).error.reason == "sottovoce: DecodeError"


def test_trains_for_no_header_that_the_policy_refuses(keys, world):
    settings = keys / "node-0" / "settings.json"
    values = json.loads(settings.read_text())
    values["policy"]["aggregators"] = ["somebody else"]
    settings.write_text(json.dumps(values))
    assert world.run(world.messages()[0]).error.reason == "sottovoce: header: against own policy"


def test_refuses_a_model_that_is_not_the_one_of_the_header(world):
    message = world.messages()[0]
    message.content["arrays"] = ArrayRecord([a + 1 for a in first_model()])
    assert world.run(message).error.reason == "sottovoce: model: not the one of the header"


def test_a_second_packet_for_one_header_is_the_first(world):
    packets = [world.run(world.messages()[0]).content["sottovoce"]["packet"].data for _ in range(2)]
    assert packets[0] == packets[1]


def test_one_model_is_trained_on_once(keys, world):
    assert world.run(world.messages()[0]).has_content()
    world.grid.states.clear()  # another run
    other = new_strategy(keys).configure_train(1, world.arrays, ConfigRecord(), world.grid)[0]
    assert world.run(other).error.reason == "sottovoce: model: an update for it has left already"


def raises(message, context):
    raise ValueError(PRIVATE)


def says_error(message, context):
    from flwr.app import Error

    return Message(Error(2, PRIVATE), reply_to=message)


def no_examples(message, context):
    return reply_of(message, **{"num-examples": -4711})


def other_arrays(message, context):
    return reply_of(message, [4711.0 + message.content["arrays"].to_numpy_ndarrays()[0]])


def not_finite(message, context):
    return reply_of(message, [a * float("inf") for a in message.content["arrays"].to_numpy_ndarrays()])


def integers(message, context):
    return reply_of(message, [a.astype(int) for a in message.content["arrays"].to_numpy_ndarrays()])


@pytest.mark.filterwarnings("ignore:invalid value:RuntimeWarning")
@pytest.mark.parametrize("train", [raises, says_error, no_examples, other_arrays, not_finite, integers])
def test_an_app_that_fails_tells_the_server_nothing(keys, prepared, train):
    world = World(keys, prepared, train, train)
    reply = world.run(world.messages()[0])
    assert reply.has_error()
    assert "4711" not in reply.error.reason
    assert "mrs-example" not in reply.error.reason


def test_evaluation_lets_out_what_the_owner_allows(keys, prepared):
    def evaluate(message, context):
        return reply_of(message, accuracy=0.75, loss=0.123)

    world = World(keys, prepared, evaluate=evaluate)
    message = world.strategy.configure_evaluate(1, world.arrays, ConfigRecord(), world.grid)[0]
    reply = world.run(message)
    assert {name: dict(record) for name, record in reply.content.items()} == {
        "metrics": {"accuracy": 0.75, "num-examples": 1}
    }
    world = World(keys, prepared, evaluate=raises)
    message = world.strategy.configure_evaluate(1, world.arrays, ConfigRecord(), world.grid)[0]
    assert PRIVATE not in world.run(message).error.reason


def test_a_node_without_a_folder_refuses_everything(world, monkeypatch):
    monkeypatch.delenv("SOTTOVOCE_FLOWER_NODE", raising=False)
    context = world.grid.context(100)
    context.node_config.pop("sottovoce")
    for message in (
        world.messages()[0],
        world.strategy.configure_evaluate(1, world.arrays, ConfigRecord(), world.grid)[0],
    ):
        assert world.app(message, context).error.reason == "sottovoce: ParameterError"
    with pytest.raises(ParameterError, match="node-config"):
        NodeFolder.of(context)


def test_the_run_of_the_server_cannot_choose_the_folder(keys, world, monkeypatch):
    monkeypatch.setenv("SOTTOVOCE_FLOWER_NODE", str(keys / "node-{partition-id}"))
    context = world.grid.context(100)
    context.run_config = {"sottovoce": "/somewhere/else"}
    del context.node_config["sottovoce"]
    assert NodeFolder.of(context).path == keys / "node-0"


def test_actions_of_members_refuse_nonsense_and_strangers(world):
    for action in ("cosign", "check", "answer"):
        message = Message(
            RecordDict({"sottovoce": ConfigRecord({"header": b"x"})}), 100, f"query.sottovoce_{action}"
        )
        assert world.run(message).error.reason == "sottovoce: DecodeError"
        assert world.run(message, 104).error.reason == "sottovoce: committee: not a member"


def test_install_leaves_the_apps_own_actions_alone(keys):
    app = install(ClientApp())

    @app.query()
    def hello(message, context):
        return Message(RecordDict(), reply_to=message)

    with pytest.raises(ValueError, match="already registered"):
        install(app)


@pytest.mark.parametrize(
    "array",
    [
        Array("uint8", (3,), "sottovoce.sealed.v1", b"four"),
        Array("uint8", (4,), "numpy.ndarray", b"four"),
        Array("float32", (4,), "sottovoce.sealed.v1", b"four"),
    ],
)
def test_only_a_sealed_array_is_a_packet(world, array):
    from sottovoce.fl.flower.messages import sealed_packet

    message = world.messages()[0]
    reply = Message(RecordDict({"sottovoce": ArrayRecord({"packet": array})}), reply_to=message)
    assert sealed_packet(reply) is None
    assert (
        sealed_packet(
            Message(
                RecordDict(
                    {
                        "sottovoce": ArrayRecord(
                            {"packet": Array("uint8", (4,), "sottovoce.sealed.v1", b"four")}
                        )
                    }
                ),
                reply_to=message,
            )
        )
        == b"four"
    )

"""Rounds of SealedStrategy over a grid in this process: real apps, real messages, nodes that fail."""

import numpy as np
import pytest
from flwr.app import ArrayRecord, Message, MetricRecord, RecordDict
from flwr.clientapp import ClientApp
from flwr.serverapp import strategy as flower

from sottovoce.fl import ParameterError, ProtocolError, Reason
from sottovoce.fl.flower import install
from support.flower_app.averaged.known import STEP, examples_of, first_model, update_of
from support.flower_grid import LoopGrid, client_app, text_of
from support.flower_rounds import SECRET, assert_model, evaluate, expected, sealed, train


@pytest.fixture
def grid(keys):
    return LoopGrid([client_app(train=train, evaluate=evaluate) for _ in range(5)], keys)


def test_two_rounds_give_the_exact_means_and_nothing_else_is_in_the_messages(keys, grid):
    strategy = sealed(keys, flower.FedAvg())
    result = strategy.start(grid, ArrayRecord(first_model()), num_rounds=2)
    assert_model(result.arrays, expected(range(5), rounds=2))
    assert [r.result.agreed.count for r in strategy.rounds] == [5, 5]
    replies = [m for m in grid.seen if m.metadata.dst_node_id == 1 and m.metadata.src_node_id != 1]
    text = text_of(replies)
    for secret in (b"secret-loss", repr(SECRET).encode(), b"device-"):
        assert secret not in text
    for part in range(5):
        for array in update_of(part, 1):
            assert array.tobytes()[:16] not in text
    assert grid.asked["query.sottovoce_cosign"] == 5 + 4, "all once, then the four that are members"
    evaluated = [m for m in replies if m.metadata.message_type == "evaluate"]
    assert [dict(m.content["metrics"]) for m in evaluated] == 10 * [{"accuracy": 0.5, "num-examples": 1}]
    assert dict(result.evaluate_metrics_clientapp[1]) == {"accuracy": 0.5}


def test_examples_weigh_inside_the_encryption_and_momentum_goes_on_from_the_mean(keys, grid):
    inner = flower.FedAvgM(fraction_evaluate=0.0, server_learning_rate=1.0, server_momentum=0.0)
    strategy = sealed(keys, inner, max_examples=50)
    result = strategy.start(grid, ArrayRecord(first_model()), num_rounds=1)
    weights = [examples_of(p) for p in range(5)]
    assert max(weights) == 50
    for got, want in zip(result.arrays.to_numpy_ndarrays(), expected(range(5), weights=weights), strict=True):
        np.testing.assert_allclose(got, want, atol=5 * STEP)  # each of five is rounded by less than a step


def test_a_dead_trainer_and_a_missing_answer_leave_the_exact_mean_of_the_others(keys, grid):
    grid.lost = {("train", 104), ("query.sottovoce_answer", 102)}
    strategy = sealed(keys)
    result = strategy.start(grid, ArrayRecord(first_model()), num_rounds=1)
    assert_model(result.arrays, expected(range(4)))
    assert sorted(strategy.rounds[0].result.member_signatures) == [1, 2, 4]


def test_two_missing_answers_end_the_run_with_an_error(keys, grid):
    grid.lost = {("query.sottovoce_answer", 102), ("query.sottovoce_answer", 100)}
    with pytest.raises(ProtocolError) as raised:
        sealed(keys, member_timeout_s=0.3).start(grid, ArrayRecord(first_model()), num_rounds=1)
    assert raised.value.reason is Reason.NO_QUORUM


def test_too_few_trainers_end_the_run_with_an_error(keys, grid):
    grid.lost = {("train", node) for node in (100, 101, 102)}
    with pytest.raises(ProtocolError) as raised:
        sealed(keys, train_timeout_s=0.3).start(grid, ArrayRecord(first_model()), num_rounds=1)
    assert raised.value.reason is Reason.TOO_FEW


def test_nobody_is_asked_to_train_without_a_quorum(keys, grid):
    grid.dead = {100, 101}
    with pytest.raises(ProtocolError) as raised:
        sealed(keys, first_timeout_s=0.3).start(grid, ArrayRecord(first_model()), num_rounds=1)
    assert raised.value.reason is Reason.HEADER_SIGNATURE
    assert not grid.asked["train"]


def test_a_node_that_sends_in_clear_or_something_else_is_left_out(keys, grid):
    def shameless(message, context):
        model = ArrayRecord(first_model())
        return Message(
            RecordDict({"arrays": model, "metrics": MetricRecord({"num-examples": 1})}), reply_to=message
        )

    app = install(ClientApp())
    app.train()(shameless)
    grid.apps[104] = app
    result = sealed(keys).start(grid, ArrayRecord(first_model()), num_rounds=1)
    assert_model(result.arrays, expected(range(4)))


def test_hidden_members_are_never_sampled(keys):
    grid = LoopGrid([client_app(train=train, evaluate=evaluate) for _ in range(7)], keys)
    for extra in (5, 6):  # the same device three times: only one of its packets counts
        (keys / f"node-{extra}").symlink_to(keys / "node-4")
    strategy = sealed(keys, members_train=False)
    with pytest.raises(ProtocolError) as raised:
        strategy.start(grid, ArrayRecord(first_model()), num_rounds=1)
    assert raised.value.reason is Reason.TOO_FEW
    trained = {m.metadata.dst_node_id for m in grid.seen if m.metadata.message_type == "train"}
    assert trained - {1} == {104, 105, 106}


class Logging(flower.FedAvg):
    def configure_train(self, *args):
        return super().configure_train(*args)


class Saving(flower.FedAvg):
    def aggregate_train(self, *args):
        return super().aggregate_train(*args)


@pytest.mark.parametrize(
    "inner",
    [
        flower.Krum(),
        flower.MultiKrum(),
        flower.Bulyan(),
        flower.FedMedian(),
        flower.FedTrimmedAvg(),
        flower.QFedAvg(client_learning_rate=0.1),
        flower.FedXgbBagging(),
    ],
    ids=lambda inner: type(inner).__name__,
)
@pytest.mark.parametrize("vouched", [False, True])
def test_refuses_strategies_that_look_at_single_updates(keys, inner, vouched):
    with pytest.raises(ParameterError, match="single updates"):
        sealed(keys, inner, averages=vouched)


def test_refuses_what_is_not_known_to_average_unless_its_author_vouches(keys):
    with pytest.raises(ParameterError, match="averages=True"):
        sealed(keys, Saving())
    clipping = flower.DifferentialPrivacyServerSideFixedClipping(flower.FedAvg(), 1.0, 1.0, 5)
    with pytest.raises(ParameterError, match="averages=True"):
        sealed(keys, clipping)
    sealed(keys, Saving(), averages=True)
    sealed(keys, Logging())
    with pytest.raises(TypeError):
        sealed(keys, "FedAvg")


def test_configure_train_gives_a_list_with_the_header_in_messages_of_their_own(keys, grid):
    from flwr.app import ConfigRecord

    strategy = sealed(keys)
    messages = strategy.configure_train(1, ArrayRecord(first_model()), ConfigRecord(), grid)
    assert type(messages) is list
    assert len(messages) == 5
    assert len({id(m.content) for m in messages}) == 5
    assert {m.content["sottovoce"]["header"] for m in messages} == {
        messages[0].content["sottovoce"]["header"]
    }
    with pytest.raises(ProtocolError):
        strategy.aggregate_train(2, [])

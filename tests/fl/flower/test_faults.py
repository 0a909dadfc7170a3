"""SealedStrategy with nodes that send junk, come late, start again, or write into the server's log."""

import logging

import pytest
from flwr.app import Array, ArrayRecord, ConfigRecord, Error, Message, RecordDict
from flwr.clientapp import ClientApp
from flwr.serverapp import strategy as flower

from sottovoce.fl import Reason
from sottovoce.fl.flower import install
from sottovoce.fl.signed import SignedHeader
from support.flower_app.averaged.known import first_model
from support.flower_grid import LoopGrid, client_app
from support.flower_rounds import assert_model, evaluate, expected, sealed, train


@pytest.fixture
def grid(keys):
    return LoopGrid([client_app(train=train, evaluate=evaluate) for _ in range(5)], keys)


def replying(answer):
    """An app that trains nothing and replies to a train message with ``answer(message)``."""
    app = install(ClientApp())
    app.train()(lambda message, context: answer(message))
    return app


def junk(message):
    array = Array("uint8", (400,), "sottovoce.sealed.v1", b"junk" * 100)
    return Message(RecordDict({"sottovoce": ArrayRecord({"packet": array})}), reply_to=message)


def writes_into_logs(message):
    return Message(Error(6, "no\n2026-11-29 all is well\x1b[2J" + 9000 * "x"), reply_to=message)


def test_junk_that_comes_early_cuts_nobody_off_and_errors_stay_on_one_line(keys, grid, caplog):
    grid.apps[103], grid.apps[104] = replying(junk), replying(writes_into_logs)
    grid.late = {("train", 101): 5, ("train", 102): 9}
    strategy = sealed(keys, straggler_s=0)
    with caplog.at_level(logging.WARNING, "sottovoce.fl.flower"):
        result = strategy.start(grid, ArrayRecord(first_model()), num_rounds=1)
    assert_model(result.arrays, expected(range(3)))
    assert strategy.rounds[0].refused == {Reason.NOT_FOR_US.value: 1}
    (said,) = [text for r in caplog.records if "all is well" in (text := r.getMessage())]
    assert said.isprintable()
    assert len(said) < 300


class OnTraining(LoopGrid):
    """Calls ``then`` once, after the first train messages have left."""

    then = None

    def push_messages(self, messages):
        messages = list(messages)
        ids = super().push_messages(messages)
        if self.then is not None and messages[0].metadata.message_type == "train":
            then, self.then = self.then, None
            then(messages[0])
        return ids


@pytest.fixture
def moving(keys):
    return OnTraining([client_app(train=train, evaluate=evaluate) for _ in range(5)], keys)


def test_a_member_that_starts_again_in_a_round_is_found_by_its_name(keys, moving):
    moving.lost = {("query.sottovoce_answer", 102)}  # of four members three are needed
    moving.then = lambda _: moving.restart(101, 201)
    strategy = sealed(keys)
    result = strategy.start(moving, ArrayRecord(first_model()), num_rounds=1)
    assert_model(result.arrays, expected(range(5)))
    assert sorted(strategy.rounds[0].result.member_signatures) == [1, 2, 4]
    assert 201 in strategy._committee.nodes


def test_who_shows_the_signature_of_a_member_does_not_take_its_place(keys, moving):
    def join(message):
        header = SignedHeader.from_bytes(message.content["sottovoce"]["header"], strategy._folder.trust)
        app = ClientApp()

        @app.query("sottovoce_cosign")
        def pretend(message, context):
            fields = {"name": header.header.members[1].name, "reply": header.member_signatures[1]}
            return Message(RecordDict({"sottovoce": ConfigRecord(fields)}), reply_to=message)

        for name in ("sottovoce_check", "sottovoce_answer"):
            app.query(name)(lambda message, context: Message(RecordDict(), reply_to=message))
        moving.apps[300], moving.parts[300] = app, 4

    moving.lost = {("query.sottovoce_answer", 102)}
    moving.then = join
    strategy = sealed(keys)
    strategy.start(moving, ArrayRecord(first_model()), num_rounds=1)
    assert moving.asked["query.sottovoce_cosign"] == 6
    assert sorted(strategy.rounds[0].result.member_signatures) == [1, 2, 4]


def test_evaluation_has_its_own_deadline_and_a_member_may_start_again_between_rounds(keys, grid):
    def slowest(*_, **__):
        pytest.fail("Flower waits for the slowest node")

    def go_on(opened):
        if opened.server_round == 1:
            grid.restart(101, 201)
        nodes = {1: [103], 2: grid.apps}[opened.server_round]
        grid.lost = {("evaluate", node) for node in nodes}

    grid.send_and_receive = slowest
    strategy = sealed(keys, flower.FedAvg(), evaluate_timeout_s=0.2, on_round=go_on)
    result = strategy.start(grid, ArrayRecord(first_model()), num_rounds=2)
    assert {n: dict(m) for n, m in result.evaluate_metrics_clientapp.items()} == {1: {"accuracy": 0.5}}
    assert sorted(strategy.rounds[1].result.member_signatures) == [1, 2, 3, 4]
    assert strategy._committee.nodes == {100, 201, 102, 103}

"""Nodes verify what came of a round before they train on; the server keeps no packet longer."""

import json
import logging

import pytest
from flwr.app import ArrayRecord, ConfigRecord
from flwr.serverapp import strategy as flower

from sottovoce.fl import ParameterError, ProtocolError, Reason, SqliteAggregatorStore, audit_round
from sottovoce.fl.flower import NodeFolder
from sottovoce.fl.flower.results import RESULT, RESULT_HEADER
from support.flower_app.averaged.known import first_model
from support.flower_grid import LoopGrid, client_app
from support.flower_rounds import evaluate, sealed, train


class Keeping(LoopGrid):
    """Notes what is put to nodes, and changes it first, if asked to."""

    def __init__(self, *args):
        super().__init__(*args)
        self.change = lambda message: None

    def push_messages(self, messages):
        messages = list(messages)
        for message in messages:
            self.change(message)
        return super().push_messages(messages)


@pytest.fixture
def grid(keys):
    return Keeping([client_app(train=train, evaluate=evaluate) for _ in range(5)], keys)


def shown(grid, kind):
    """Nodes that were shown a result in messages of this kind."""
    return [
        message.metadata.dst_node_id
        for message in grid.seen
        if message.metadata.message_type == kind
        and message.metadata.src_node_id == 1
        and RESULT in message.content.config_records.get("sottovoce", {})
    ]


def logged(caplog, text):
    return sum(text in record.getMessage() for record in caplog.records)


def test_every_node_is_shown_a_result_with_the_next_message_and_the_last_rounds_are_kept(keys, grid, caplog):
    grid.lost = {("evaluate", 103)}
    grid.late = {("train", 104): 10_000}  # too late for the list
    opened = []
    strategy = sealed(
        keys, flower.FedAvg(), straggler_s=0, evaluate_timeout_s=0.2, keep_rounds=1, on_round=opened.append
    )
    with caplog.at_level(logging.INFO, "sottovoce.fl.flower"):
        strategy.start(grid, ArrayRecord(first_model()), num_rounds=2)
    assert sorted(shown(grid, "evaluate")) == sorted(2 * [100, 101, 102, 103, 104])
    assert shown(grid, "train") == [103], "the others have seen it"
    assert logged(caplog, "verified, with this node's update") == 3 + 1 + 3
    assert logged(caplog, "verified, and this node's update is not in it") == 2
    assert [each.server_round for each in opened] == [1, 2]
    assert list(strategy.rounds) == opened[1:]


def test_a_result_that_is_false_or_withheld_is_refused_before_training(keys, grid, caplog):
    settings = keys / "node-2" / "settings.json"
    settings.write_text(json.dumps(json.loads(settings.read_text()) | {"require_results": False}))

    def change(message):
        record = message.content.get("sottovoce", {})
        if RESULT not in record:
            return
        fields, node = dict(record), message.metadata.dst_node_id
        if node == 103:
            fields[RESULT] = fields[RESULT][:-1] + bytes([fields[RESULT][-1] ^ 1])
        if node in (102, 104):
            del fields[RESULT], fields[RESULT_HEADER]
        message.content["sottovoce"] = ConfigRecord(fields)

    grid.change = change
    strategy = sealed(keys)
    strategy.start(grid, ArrayRecord(first_model()), num_rounds=2)
    assert strategy.rounds[1].result.agreed.count == 3
    assert logged(caplog, "train: node 103: 'sottovoce: DecodeError'") == 1
    assert logged(caplog, f"train: node 104: 'sottovoce: {Reason.RESULT}'") == 1
    assert logged(caplog, "its result was never shown") == 1


def test_no_packet_outlives_its_round_and_a_record_lives_until_its_deadline(keys, grid, tmp_path):
    root = NodeFolder(keys / "node-0").trust.root_public_key
    audits = tmp_path / "audits"
    audits.mkdir()
    (expired := audits / f"{'ab' * 16}-1700000000.audit").touch()
    (foreign := audits / "notes.audit").touch()
    with SqliteAggregatorStore(tmp_path / "round.sqlite") as store:
        store.open_round(b"epoch", 1, b"left by a process that died here")
        grid.lost = {("train", 100), ("train", 101), ("train", 102)}
        options = {"store": store, "audits": audits, "audit_s": 60}
        strategy = sealed(keys, train_timeout_s=0.3, **options)
        assert not store.kept_rounds()
        with pytest.raises(ProtocolError, match=Reason.TOO_FEW):
            strategy.start(grid, ArrayRecord(first_model()), num_rounds=1)
        assert not store.kept_rounds()
        assert set(audits.iterdir()) == {foreign}
        grid.lost = set()
        model = ArrayRecord([array + 1 for array in first_model()])
        for node in (103, 104):
            grid.parts[node] = node - 103  # their own updates have left already
        grid.states.clear()  # another run
        strategy = sealed(keys, **options)
        strategy.start(grid, model, num_rounds=1)
        assert not store.kept_rounds()
        assert not list((tmp_path / "round.sqlite.spool").iterdir())
    (record,) = set(audits.iterdir()) - {foreign}
    assert record.stat().st_mode & 0o077 == 0
    assert audit_round(record, root).count == strategy.rounds[0].result.agreed.count == 3
    assert not expired.exists()


def test_refuses_numbers_that_would_keep_nothing_or_records_nowhere(keys):
    for wrong in ({"keep_rounds": 0}, {"audit_s": 60}, {"evaluate_timeout_s": 0}):
        with pytest.raises(ParameterError):
            sealed(keys, **wrong)

"""Messages of a server that means no good: every action and the mod refuse with the kind of a refusal.

What a node says is one of our own reasons (never the words of an exception), and what it holds on disk is as
before; afterwards it does what an honest server asks.
"""

import json
import shutil
import sqlite3

import pytest
from flwr.app import ArrayRecord, ConfigRecord, Message, RecordDict
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from sottovoce._ext import cbor, sealed
from sottovoce._ext.errors import SottovoceError
from sottovoce.fl import Reason
from sottovoce.fl.flower import NodeFolder
from sottovoce.fl.flower.messages import SHOWN_CHARS
from sottovoce.fl.flower.mod import APP_FAILED
from support.flower_app.averaged.known import first_model
from support.flower_grid import LoopGrid, client_app, copy_of
from support.flower_rounds import evaluate, train
from support.flower_rounds import sealed as sealed_strategy
from support.mutations import mutations

FIELDS = {
    "train": ["header"],
    "query.sottovoce_cosign": ["header"],
    "query.sottovoce_check": ["header", "request"],
    "query.sottovoce_answer": ["header", "request"],
    "query.sottovoce_ask_keys": ["params", "challenges"],
    "query.sottovoce_take_keys": ["answers"],
    "evaluate": ["result", "result_header"],
}


def documented():
    kinds, found = [SottovoceError], {SottovoceError.__name__}
    while kinds:
        kinds = [sub for kind in kinds for sub in kind.__subclasses__()]
        found |= {kind.__name__ for kind in kinds}
    return {f"sottovoce: {text}" for text in (*found, *(reason.value for reason in Reason), APP_FAILED)}


@pytest.fixture(scope="module")
def world(made, tmp_path_factory):
    """One node, and honest messages of each kind to it: recorded in a round of other copies of the keys."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(sealed, "COST", sealed.Cost(memory_kib=16, passes=1, lanes=1))
        yield World(made, tmp_path_factory.mktemp("fuzz"))


class World:
    def __init__(self, made, path):
        other = shutil.copytree(made, path / "recorded")
        app = client_app(train=train, evaluate=evaluate)
        grid = LoopGrid([app] * 5, other)
        strategy = sealed_strategy(other)
        strategy._committee._check_first = True  # so that checks are among what is recorded
        strategy.start(grid, ArrayRecord(first_model()), num_rounds=2)
        self.honest = {}
        for message in grid.seen:
            if message.metadata.dst_node_id == 100 and message.has_content():
                self.honest.setdefault(message.metadata.message_type, copy_of(message))
        self.keys = shutil.copytree(made, path / "keys")
        self.folder = NodeFolder(self.keys / "node-0")
        tokens = {"device": {"party": "device-0", "token": "00" * 32}}
        sealed.write_new_private(self.folder.path / "tokens.json", json.dumps(tokens).encode())
        self.grid = LoopGrid([app] * 5, self.keys)
        params = [found.read_bytes() for found in sorted((self.folder.path / "params").glob("*.params"))]
        self.fields = {
            "params": cbor.dumps(params),
            "challenges": cbor.dumps([bytes(32), bytes(32)]),
            "answers": cbor.dumps([bytes(200)]),
        }
        for kind, record in ((k, m.content["sottovoce"]) for k, m in self.honest.items()):
            self.fields |= {f"{kind} {name}": value for name, value in record.items()}

    def field(self, kind, name):
        """An honest value of a field."""
        return self.fields.get(f"{kind} {name}", self.fields.get(name, b"\xa0"))

    def message(self, kind, fields):
        content = RecordDict({"sottovoce": ConfigRecord(fields)})
        if kind in ("train", "evaluate"):
            content["arrays"] = ArrayRecord(first_model())
            content["config"] = ConfigRecord({"server-round": 1})
        return Message(content, dst_node_id=100, message_type=kind)

    def run(self, message):
        return self.grid.apps[100](message, self.grid.context(100))

    def state(self):
        """All that the node has on its disk."""
        found = {}
        for path in sorted(self.folder.path.rglob("*")):
            if path.suffix == ".sqlite":
                with sqlite3.connect(path) as tables:
                    found[path.name] = "\n".join(tables.iterdump())
                tables.close()
            elif path.is_file() and not path.name.endswith(("-wal", "-shm", "-journal", ".lock")):
                found[path.name] = path.read_bytes()
        return found


OTHER_VALUES = st.one_of(
    st.integers(-(2**62), 2**62), st.floats(), st.text(max_size=20), st.booleans(),
    st.lists(st.binary(max_size=20), min_size=1, max_size=3),
)  # fmt: skip


@pytest.mark.parametrize("kind", FIELDS)
def test_any_message_is_refused_in_our_own_words(world, kind):
    reasons = documented()
    honest = {name: world.field(kind, name) for name in FIELDS[kind]}
    # So that the files are there and the header is known, and what is compared is what came from it.
    world.run(
        world.message("query.sottovoce_cosign", {"header": world.field("query.sottovoce_cosign", "header")})
    )
    with world.folder.client():
        pass
    if kind == "query.sottovoce_ask_keys":  # with other challenges it is as good: it keeps parameters
        world.run(world.message(kind, honest))
    before = world.state()
    changed = {
        name: st.one_of(mutations(value), OTHER_VALUES, st.just(value)) for name, value in honest.items()
    }
    some = st.sets(st.sampled_from(sorted(honest)), max_size=1)

    @settings(max_examples=25, suppress_health_check=list(HealthCheck))
    @given(
        fields=st.fixed_dictionaries(changed),
        absent=some,
        more=st.dictionaries(st.text(max_size=8), OTHER_VALUES),
    )
    def sent(fields, absent, more):
        fields = {**more, **{name: value for name, value in fields.items() if name not in absent}}
        if {name: fields.get(name) for name in honest} == honest:
            return
        reply = world.run(world.message(kind, fields))
        if reply.has_error():
            assert reply.error.reason in reasons
            assert len(reply.error.reason) <= SHOWN_CHARS
        elif kind == "evaluate":
            assert not set(fields) & {"result", "result_header"}, "taken unread"
        else:
            # Letters of new keys: whoever offers nothing new, or answers that fit nothing, gets nothing.
            reply = reply.content["sottovoce"]
            assert reply.get("letters", cbor.dumps([])) == cbor.dumps([])
            assert reply.get("finished", bytes(4)) == bytes(4)
        assert world.state() == before

    sent()


def test_after_all_of_it_an_honest_server_is_served(world):
    """Runs last, on the node that got everything above."""
    for kind in ("query.sottovoce_cosign", "train", "query.sottovoce_check", "query.sottovoce_answer"):
        reply = world.run(world.honest[kind])
        assert not reply.has_error(), (kind, reply.error)
        assert list(reply.content) == ["sottovoce"]

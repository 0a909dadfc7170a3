"""Nodes get keys of a new epoch by a server that only carries letters."""

import json
import shutil
import time

import numpy as np
import pytest
from flwr.app import ArrayRecord, Message, RecordDict
from flwr.serverapp import strategy as flower

from sottovoce import clsc
from sottovoce._ext import cbor, sealed
from sottovoce.fl.flower import NodeFolder, SealedStrategy, ServerFolder, enrol
from support.flower_app.averaged.known import CLIP, first_model
from support.flower_grid import LoopGrid, client_app, text_of


def train(message, context):
    model = [a + np.float32(0.25) for a in message.content["arrays"].to_numpy_ndarrays()]
    return Message(RecordDict({"arrays": ArrayRecord(model)}), reply_to=message)


class Office:
    """An issuer with a new epoch; five nodes have a root key and tokens, and the server has its keys."""

    def __init__(self, keys):
        self.keys = keys
        root = clsc.RootKey.generate()
        now = int(time.time())
        self.issuers = {}
        for mode in (clsc.Mode.IDENTITY, clsc.Mode.BLIND):
            key = clsc.MasterKey.generate(root, mode, b"tomorrow", not_before=now, not_after=now + 3600)
            self.issuers[mode] = clsc.Issuer(key)
        self.by_id = {issuer.params.params_id: issuer for issuer in self.issuers.values()}
        self.params = [issuer.params.to_bytes() for issuer in self.issuers.values()]
        self.asked = []
        for folder in keys.iterdir():
            for part in ("keys", "params", "members"):
                shutil.rmtree(folder / part, ignore_errors=True)
            settings = json.loads((folder / "settings.json").read_text())
            settings["root"] = root.public_key.hex()
            (folder / "settings.json").write_text(json.dumps(settings))
        for i in range(5):
            tokens = {"device": self._token(clsc.Mode.BLIND, f"device-{i}")}
            if i < 4:
                tokens["member"] = self._token(clsc.Mode.IDENTITY, f"member-{i + 1}")
            data = json.dumps(tokens).encode()
            sealed.write_new_private(keys / f"node-{i}" / "tokens.json", data)

    def _token(self, mode, party):
        return {"party": party, "token": self.issuers[mode].enrol(party).hex()}

    def issue(self, party, params_id, request):
        self.asked.append((party, params_id, request))
        return self.by_id[params_id].issue(party, request)

    def enrol(self, grid):
        return enrol(grid, self.params, self.issue, self.issuers[clsc.Mode.IDENTITY].challenge, timeout_s=5)

    def set_up_server(self):
        folder = ServerFolder(self.keys / "server")
        for part in ("keys", "params", "members"):
            (folder.path / part).mkdir()
        for i, data in enumerate(self.params):
            (folder.path / "params" / f"{i}.params").write_bytes(data)
        issuer = self.issuers[clsc.Mode.IDENTITY]
        token = issuer.enrol("aggregator")
        for usage in (clsc.Usage.SIGN, clsc.Usage.DECRYPT):
            request = clsc.IdentityRequest(issuer.params, usage, b"aggregator", token)
            key = request.finish(issuer.issue("aggregator", request.to_bytes(issuer.challenge())))
            clsc.save_key(folder.key_path(f"aggregator-{usage}", issuer.params), key, folder.passphrase)
        for i in range(4):
            with NodeFolder(self.keys / f"node-{i}").member() as member:
                public = member._keys.public
            (folder.path / "members" / f"{i + 1:02}.pub").write_bytes(cbor.dumps(public.to_list()))


@pytest.fixture
def office(keys, monkeypatch):
    monkeypatch.setattr(sealed, "COST", sealed.Cost(memory_kib=16, passes=1, lanes=1))
    return Office(keys)


@pytest.fixture
def grid(keys):
    return LoopGrid([client_app(train=train)] * 5, keys)


def test_keys_that_came_by_the_server_serve_in_a_round(keys, office, grid):
    assert office.enrol(grid) == 5 + 2 * 4
    text = text_of(grid.seen)
    for i in range(5):
        for entry in json.loads((keys / f"node-{i}" / "tokens.json").read_text()).values():
            assert bytes.fromhex(entry["token"]) not in text
    assert not list(keys.glob("*/keys/*.pending"))
    assert office.enrol(grid) == 0, "nothing is asked for twice"
    office.set_up_server()
    inner = flower.FedAvg(fraction_evaluate=0.0)
    strategy = SealedStrategy(inner, keys / "server", clip=CLIP, min_contributors=3)
    strategy.start(grid, ArrayRecord(first_model()), num_rounds=1)
    assert strategy.rounds[0].result.agreed.count == 5


def test_a_lost_answer_costs_no_second_key(keys, office, grid):
    grid.lost = {("query.sottovoce_take_keys", 104)}
    assert office.enrol(grid) == 4 + 2 * 4
    grid.lost = set()
    first = [request for party, _, request in office.asked if party == "device-4"]
    assert office.enrol(grid) == 1
    assert [r for party, _, r in office.asked if party == "device-4"] == first * 2


def test_parameters_of_another_root_are_refused(keys, office, grid):
    now = int(time.time())
    other = clsc.MasterKey.generate(
        clsc.RootKey.generate(), clsc.Mode.BLIND, b"tomorrow", not_before=now, not_after=now + 3600
    )
    assert enrol(grid, [other.params.to_bytes()], office.issue, timeout_s=5) == 0
    assert not office.asked
    assert not list(keys.glob("*/keys/*"))

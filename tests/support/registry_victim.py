"""A key issuer that is killed: ``registry_victim.py HOW FOLDER [FIRST STRIDE]``, JSON on its output.

How it is done: :mod:`support.killing`.
"""

import json
import sys

from sottovoce._ext import sqlite_file
from sottovoce.clsc import (
    BlindRequest,
    IdentityRequest,
    IssueError,
    Issuer,
    Mode,
    TraceableRequest,
    Usage,
)
from sottovoce.clsc.registry import Account
from sottovoce.clsc.revocation import RevocationList
from sottovoce.clsc.sqlite_registry import SqliteRegistry
from support.clsc_servers import traceable_issuer
from support.clsc_world import NOW, Drbg, World
from support.killing import kill_everywhere, leave, read_left

QUOTA = 2
N_KEYS = QUOTA + 2
"""Two blind ones, one of a name, one pseudonym."""
TOKENS = {name: Drbg(f"token of {name}")(32) for name in ("alice", "bob", "carol")}


class Scenario:
    """What clients and operator do, each step again after a restart until it has succeeded."""

    def __init__(self):
        self.world = World("victim")
        blind, identity = (self.world.params[mode] for mode in (Mode.BLIND, Mode.IDENTITY))
        self.blind = [
            BlindRequest._derand(blind, Usage.SIGN, TOKENS["alice"], Drbg(f"blind {i}"))
            for i in range(QUOTA + 1)
        ]
        self.named = IdentityRequest._derand(identity, Usage.SIGN, b"bob", TOKENS["bob"], Drbg("named"))
        self.other = IdentityRequest._derand(identity, Usage.SIGN, b"bob", TOKENS["bob"], Drbg("other"))
        bob = self.world.signer("bob")
        self.hidden = TraceableRequest._derand(self.world.params[Mode.TRACEABLE], Usage.SIGN, bob, Drbg("t"))

    def run(self, folder, place):
        with SqliteRegistry(f"{folder}/registry.sqlite") as registry:
            issuers = {m: Issuer(self.world.master[m], registry) for m in (Mode.BLIND, Mode.IDENTITY)}
            root = self.world.root
            for params in self.world.params.values():
                attempt(registry.reserve_epoch, root.public_key, params.mode, params.epoch)
                registry.add_epoch(params)
            for name, token in TOKENS.items():
                attempt(registry.enrol, Account(name, name.encode(), QUOTA, token))
            for i, request in enumerate(self.blind):
                ask(folder, place, f"blind {i}", issuers[Mode.BLIND], "alice", request.to_bytes())
            for name in ("named", "other"):
                issuer = issuers[Mode.IDENTITY]
                # A fresh challenge and proof each time, as a client does whose answer was lost.
                data = getattr(self, name).to_bytes(issuer.challenge())
                ask(folder, place, name, issuer, "bob", data)
            hidden = traceable_issuer(self.world, registry)
            ask(folder, place, "hidden", hidden, "bob", self.hidden.to_bytes())
            params_id = self.world.params[Mode.IDENTITY].params_id
            for pid in registry.pids_of("bob", params_id):
                registry.revoke(params_id, pid)
            signed = RevocationList.sign(
                root, params_id, number=1, issued_at=NOW, pids=registry.revoked(params_id)
            )
            registry.add_revocations(signed)
            leave(folder, place, "list", registry.revocations(root.public_key, params_id).to_bytes())
            registry.disable("carol")
            leave(folder, place, "carol", b"disabled")

    def examine(self, folder, *, complete, finish=False):
        """Raise AssertionError if what is left on the disk breaks a promise."""
        left = read_left(folder)
        with SqliteRegistry(f"{folder}/registry.sqlite") as registry:
            with registry._file.reading() as db:
                assert db.execute("PRAGMA integrity_check").fetchall() == [("ok",)]
                assert db.execute("PRAGMA foreign_key_check").fetchall() == []
                rows = db.execute("SELECT params_id, serial, request, answer FROM issuances").fetchall()
                generation = db.execute("SELECT generation FROM file").fetchone()[0]
            assert sqlite_file.read_mark(f"{folder}/registry.sqlite.mark")[1] == generation
            assert all(request and answer for _, _, request, answer in rows)
            recorded = {answer for _, _, _, answer in rows}
            assert len(recorded) == len(rows) <= N_KEYS
            for name, answers in left.items():
                assert len(answers) == 1, f"{name} got different answers"
            for name in [name for name in left if name.startswith(("blind", "named", "hidden"))]:
                assert left[name] <= recorded | {b"refused"}, f"the answer of {name} left before its record"
            if "carol" in left:
                assert registry.account("carol") is None
            if "list" in left:
                params_id = self.world.params[Mode.IDENTITY].params_id
                newest = registry.revocations(self.world.root.public_key, params_id)
                assert left["list"] == {newest.to_bytes()}
                assert newest.pids == registry.revoked(params_id) == (self.named.public_key.pid,)
            if complete:
                assert len(rows) == N_KEYS
                assert set(registry.epochs()) == set(self.world.params.values())
        assert left.get("other", {b"refused"}) == {b"refused"}
        if complete:
            assert left[f"blind {QUOTA}"] == {b"refused"}
        if finish:
            for i in range(QUOTA):
                self.blind[i].finish(*left[f"blind {i}"])
            self.named.finish(*left["named"])
            self.hidden.finish(*left["hidden"])


def attempt(step, *args):
    """A step that is refused when it was done already."""
    try:
        step(*args)
    except IssueError:
        return False
    return True


def ask(folder, place, name, issuer, party, data):
    try:
        answer = issuer.issue(party, data)
    except IssueError as error:
        answer = f"refused: {error}".encode()
    leave(folder, place, name, answer)


if __name__ == "__main__":
    print(json.dumps(kill_everywhere(Scenario(), *sys.argv[1:3], *map(int, sys.argv[3:]))))

"""A key issuer that is killed: ``registry_victim.py HOW FOLDER [FIRST STRIDE]``, JSON on its output.

``HOW`` is ``statements`` (killed before each SQL statement, each change of the mark, and before each answer
leaves), ``calls`` (before each system call that changes a file) or ``torn`` (in the middle of each).
The last two need the shim preloaded.

One process makes the keys, then forks for each place ``k`` to die at.  The child runs the scenario and dies;
then the scenario runs again over what is left, as after a restart, and is examined.  So every ``k`` until the
scenario survives: those are all places there are.
"""

import ctypes
import json
import os
import pathlib
import shutil
import signal
import sys
import traceback

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

QUOTA = 2
N_KEYS = QUOTA + 2
"""Two blind ones, one of a name, one pseudonym."""
TOKENS = {name: Drbg(f"token of {name}")(32) for name in ("alice", "bob", "carol")}


class Places:
    """Counts places to die at; dies at number ``deadly`` (0: never)."""

    def __init__(self, deadly=0):
        self.deadly = deadly
        self.count = 0

    def __call__(self):
        self.count += 1
        if self.count == self.deadly:
            os.kill(os.getpid(), signal.SIGKILL)


def die_at_statements(place):
    """Have SQLite statements and the writing of the mark pass ``place`` first."""

    class Watched(sqlite_file.Connection):
        def execute(self, *args):
            place()
            return super().execute(*args)

    sqlite_file.Connection = Watched
    write_mark = sqlite_file.write_mark

    def watched(*args):
        place()
        write_mark(*args)
        place()

    sqlite_file.write_mark = watched


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


def read_left(folder):
    """Everything that left, by name; a line without its full stop is torn."""
    path = pathlib.Path(f"{folder}/left")
    left = {}
    for line in path.read_text().splitlines() if path.exists() else []:
        if line.endswith("."):
            name, answer = line[:-1].split(":")
            answer = bytes.fromhex(answer)
            left.setdefault(name, set()).add(b"refused" if answer.startswith(b"refused") else answer)
    return left


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


def leave(folder, place, name, answer):
    """From here on somebody outside knows it."""
    place()
    descriptor = os.open(f"{folder}/left", os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
    os.write(descriptor, f"\n{name}:{answer.hex()}.".encode())
    os.close(descriptor)
    place()


def kill_at(k, how, scenario, folder):
    """Run the scenario in a child that dies at place ``k``; True if it survived.  And how many it passed."""
    pid = os.fork()
    if pid == 0:
        place = Places(k if how == "statements" else 0)
        shim = ctypes.CDLL(None)
        if how == "statements":
            die_at_statements(place)
        else:
            shim.shim_arm(f"{folder}/".encode(), ctypes.c_long(k), ctypes.c_long(how == "torn"), -1)
        try:
            scenario.run(folder, place)
            passed = place.count if how == "statements" else shim.shim_count()
            pathlib.Path(f"{folder}.count").write_text(str(passed))
            os._exit(0)
        except BaseException:
            traceback.print_exc()
            os._exit(1)
    status = os.waitpid(pid, 0)[1]
    if os.WIFSIGNALED(status):
        assert os.WTERMSIG(status) == signal.SIGKILL
        return None
    assert os.WEXITSTATUS(status) == 0, f"place {k}: the scenario failed"
    return int(pathlib.Path(f"{folder}.count").read_text())


def order_of_calls(scenario, folder):
    """What the system was asked to do with each file, in order."""
    os.mkdir(folder)
    with open(f"{folder}.log", "wb") as log:
        ctypes.CDLL(None).shim_arm(f"{folder}/".encode(), ctypes.c_long(0), ctypes.c_long(0), log.fileno())
        scenario.run(folder, lambda: None)
        ctypes.CDLL(None).shim_arm(b"", ctypes.c_long(0), ctypes.c_long(0), -1)
    return pathlib.Path(f"{folder}.log").read_text().splitlines()


def main(how, parent, first=1, stride=1):
    scenario = Scenario()
    if how == "order":
        return {"order": order_of_calls(scenario, f"{parent}/order")}
    os.mkdir(f"{parent}/whole")
    places = kill_at(0, how, scenario, f"{parent}/whole")
    scenario.examine(f"{parent}/whole", complete=True, finish=True)
    died, survived = [], []
    for k in [*range(first, places + 1, stride), places + 1]:
        folder = f"{parent}/{k}"
        os.mkdir(folder)
        passed = kill_at(k, how, scenario, folder)
        if passed is None:
            died.append(k)
            scenario.examine(folder, complete=False)
            scenario.run(folder, lambda: None)
        else:
            survived.append(k)
            assert passed == places, "not the same places every time"
        scenario.examine(folder, complete=True, finish=k % 8 == 0)  # three pairings
        shutil.rmtree(folder)
    return {"places": places, "died": died, "survived": survived}


if __name__ == "__main__":
    print(json.dumps(main(sys.argv[1], sys.argv[2], *map(int, sys.argv[3:]))))

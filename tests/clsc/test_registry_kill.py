"""An issuer that dies at any point issues nothing twice, and gives the same request the same answer.

The scenario (:mod:`support.registry_victim`): epochs, enrolment, three blind requests on a quota of two,
two requests for one name, a pseudonym, a revocation list, a disabled party.  It is killed at every
place (the fast suite takes some of them), then run again.  After each kill: no answer had left without
its record, every request has one answer before and after, no key more than the quota, nothing
half-written, and the database and its mark open.
"""

import os
import pathlib
import random
import tempfile

import pytest

from sottovoce.clsc import Mode
from sottovoce.clsc.sqlite_registry import SqliteRegistry
from support.clsc_stores import account, entry
from support.crash_shim import IN_MEMORY, build_shim, run_victim

pytestmark = pytest.mark.skipif(not hasattr(os, "fork"), reason="fork")


def run(how, folder, *args, preload=None):
    return run_victim("registry_victim.py", how, folder, *args, preload=preload, timeout_s=900)


@pytest.fixture
def folder(tmp_path):
    with tempfile.TemporaryDirectory(dir=IN_MEMORY or tmp_path) as folder:
        yield folder


@pytest.fixture(scope="module")
def shim(tmp_path_factory):
    return build_shim(tmp_path_factory)


def test_killed_before_statements_and_answers(folder):
    result = run("statements", folder, 1, 7)
    assert result["died"] == list(range(1, result["places"] + 1, 7))
    assert result["survived"] == [result["places"] + 1]
    assert result["places"] > 150  # transactions of 15 steps, of a dozen statements each


@pytest.mark.slow
def test_killed_before_every_statement_and_every_answer(folder):
    result = run("statements", folder)
    assert result["died"] == list(range(1, result["places"] + 1))
    assert result["survived"] == [result["places"] + 1]
    assert result["places"] > 150  # transactions of 15 steps, of a dozen statements each


@pytest.mark.parametrize("how", ["calls", "torn"])
def test_killed_at_system_calls(folder, shim, how):
    result = run(how, folder, 1, 13, preload=shim)
    assert result["died"] == list(range(1, result["places"] + 1, 13))
    assert result["survived"] == [result["places"] + 1]


@pytest.mark.slow
@pytest.mark.parametrize("how", ["calls", "torn"])
def test_killed_at_every_system_call(folder, shim, how):
    result = run(how, folder, preload=shim)
    assert result["died"] == list(range(1, result["places"] + 1))
    assert result["places"] > 100


def test_nothing_leaves_before_it_is_on_the_disk(folder, shim):
    """Killing a process loses nothing that it wrote; power failing loses what was not synced."""
    unsynced, left = set(), 0
    for line in run("order", folder, preload=shim)["order"]:
        call, name = line.split(" ")
        if name == "left":
            left += 1
            assert not unsynced, f"{unsynced} not synced when an answer left"
        elif name == "registry.sqlite-shm":
            continue  # the index of the log, made anew after a crash
        elif call == "write":
            unsynced.add(name)
        elif call == "sync":
            unsynced.discard(name)
    assert left == 8


@pytest.mark.parametrize("rest", ["lost", "zeros", "garbage"])
def test_power_failing_leaves_whole_transactions(folder, rest):
    """Of the log, any length may have reached the disk, and sectors after it may hold anything.

    What was synced when an answer left is there; of the rest, whole transactions or nothing.
    """
    path, states = pathlib.Path(folder, "registry.sqlite"), []
    with SqliteRegistry(path) as registry:

        def remember():
            log = path.with_name(f"{path.name}-wal").read_bytes()
            mark = path.with_name(f"{path.name}.mark").read_bytes()
            with registry._file.reading() as db:
                states.append((len(log), mark, db.execute("SELECT party, issued FROM issuances").fetchall()))
            return log

        registry.enrol(account("a", 9))
        remember()
        for i in range(6):
            registry.record(entry("a", i, Mode.TRACEABLE, identity=b"%d" % i))
            log = remember()
        database = path.read_bytes()
    assert [len(rows) for _, _, rows in states] == list(range(7))
    page = 4096 + 24
    cuts = {32 + n * page + extra for n in range(len(log) // page + 1) for extra in (0, 23, 24, 2000)}
    checked = 0
    for cut in sorted(cut for cut in cuts if states[0][0] <= cut <= len(log)):
        missing = len(log) - cut
        tail = {"lost": b"", "zeros": bytes(missing), "garbage": random.Random(cut).randbytes(missing)}[rest]
        _, mark, rows = max(state for state in states if state[0] <= cut)
        copy = pathlib.Path(folder, str(cut))
        copy.mkdir()
        for name, data in (("", database), ("-wal", log[:cut] + tail), (".mark", mark)):
            file = copy / f"{path.name}{name}"
            file.write_bytes(data)
            file.chmod(0o600)
        with SqliteRegistry(copy / path.name) as registry, registry._file.reading() as db:
            assert db.execute("SELECT party, issued FROM issuances").fetchall() == rows
            assert db.execute("PRAGMA integrity_check").fetchall() == [("ok",)]
        checked += 1
    assert checked > 50

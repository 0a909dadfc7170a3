"""Roles that die at any point lose nothing accepted, count nothing twice, and never say two different things.

The scenarios (:mod:`support.fl_victim`): a client that seals, sends and discards; an aggregator and a member
from the header to the erased round.  They are killed at every place (the fast suite takes some of them), then
run again over what is left, tempted to do otherwise.
"""

import json
import os
import pathlib
import shutil
import subprocess
import sys
import tempfile

import pytest

TESTS = pathlib.Path(__file__).parents[1]
COMPILER = shutil.which("gcc") or shutil.which("clang")
LEAST = {("client", "statements"): 80, ("servers", "statements"): 250, "client": 100, "servers": 300}
"""Places that there are at least, should a scenario or the counting stop early."""
pytestmark = pytest.mark.skipif(not hasattr(os, "fork"), reason="fork")


def run(role, how, folder, *args, preload=None):
    folders = os.pathsep.join([str(TESTS), os.environ.get("PYTHONPATH", "")])
    environment = {**os.environ, "PYTHONPATH": folders}
    if preload:
        environment["LD_PRELOAD"] = str(preload)
    command = [sys.executable, TESTS / "support/fl_victim.py", role, how, folder, *map(str, args)]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=1200, check=False)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


@pytest.fixture
def folder(tmp_path):
    """In memory where there is such a place: a process that is killed loses no page of either kind."""
    parent = "/dev/shm" if os.path.isdir("/dev/shm") else tmp_path
    with tempfile.TemporaryDirectory(dir=parent) as folder:
        yield folder


@pytest.fixture(scope="module")
def shim(tmp_path_factory):
    if not sys.platform.startswith("linux") or COMPILER is None:
        pytest.skip("needs Linux and a C compiler")
    target = tmp_path_factory.mktemp("shim") / "crash_shim.so"
    command = [COMPILER, "-shared", "-fPIC", "-O1", "-Wall", "-Wextra", "-Werror", "-o", target]
    built = subprocess.run(
        [*command, TESTS / "support/crash_shim.c", "-ldl"],
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    assert built.returncode == 0, built.stderr
    return target


def judge(result, role, how, first, stride):
    assert result["died"] == list(range(first, result["places"] + 1, stride))
    assert result["survived"] == [result["places"] + 1]
    assert result["places"] > LEAST.get((role, how), LEAST[role])


@pytest.mark.parametrize(("role", "first", "stride"), [("client", 5, 29), ("servers", 31, 53)])
def test_killed_before_statements_and_whatever_leaves(folder, role, first, stride):
    judge(run(role, "statements", folder, first, stride), role, "statements", first, stride)


@pytest.mark.parametrize(("role", "first", "stride"), [("client", 17, 47), ("servers", 61, 83)])
def test_killed_in_the_middle_of_a_write(folder, shim, role, first, stride):
    judge(run(role, "torn", folder, first, stride, preload=shim), role, "torn", first, stride)


@pytest.mark.slow
@pytest.mark.parametrize("role", ["client", "servers"])
def test_killed_before_every_statement_and_whatever_leaves(folder, role):
    judge(run(role, "statements", folder), role, "statements", 1, 1)


@pytest.mark.slow
@pytest.mark.parametrize(("how", "stride"), [("calls", 1), ("torn", 3)])
@pytest.mark.parametrize("role", ["client", "servers"])
def test_killed_at_every_system_call(folder, shim, role, how, stride):
    judge(run(role, how, folder, 1, stride, preload=shim), role, how, 1, stride)


@pytest.mark.parametrize(("role", "leaves"), [("client", 2), ("servers", 12)])
def test_nothing_leaves_before_it_is_on_the_disk(folder, shim, role, leaves):
    """Killing a process loses nothing that it wrote; power failing loses what was not synced."""
    unsynced, left = set(), 0
    for line in run(role, "order", folder, preload=shim)["order"]:
        call, name = line.split(" ", 1)
        if name == "left":
            left += 1
            assert not unsynced, f"{unsynced} not synced when something left"
        elif name.endswith("-shm"):
            continue  # the index of a log, made anew after a crash
        elif call == "write":
            unsynced.add(name)
        elif call == "link":
            unsynced.add(os.path.dirname(name))  # the name is in the folder
        elif call == "sync":
            unsynced.discard(name)
    assert left == leaves

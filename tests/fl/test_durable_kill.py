"""Roles that die at any point lose nothing accepted, count nothing twice, and never say two different things.

The scenarios (:mod:`support.fl_victim`): a client that seals, sends and discards; an aggregator and a member
from the header to the erased round.  They are killed at every place (the fast suite takes some of them), then
run again over what is left, tempted to do otherwise.
"""

import functools
import os
import tempfile

import pytest

from support.crash_shim import HAS_SHIM, IN_MEMORY, build_shim, run_victim

LEAST = {("servers", "statements"): 250, "client": 75, "servers": 300}
"""Places that there are at least, should a scenario or the counting stop early."""
SOME = {
    "client": {"statements": (5, 41), "torn": (17, 47)},
    "servers": {"statements": (31, 53), "torn": (61, 83)},
}
"""Where the fast suite kills: from which place on, and every how many."""
pytestmark = pytest.mark.skipif(not hasattr(os, "fork"), reason="fork")


def run(role, *jobs, preload=None):
    """Results by HOW."""
    with tempfile.TemporaryDirectory(dir=IN_MEMORY) as folder:
        return run_victim("fl_victim.py", role, folder, *jobs, preload=preload, timeout_s=1200)


@pytest.fixture(scope="module")
def shim(tmp_path_factory):
    return build_shim(tmp_path_factory)


@pytest.fixture(scope="module")
def some(request):
    """``some(role)``: the results at some places; the keys are made once for all that is asked."""

    @functools.cache
    def results(role):
        jobs = [f"{how}:{first}:{stride}" for how, (first, stride) in SOME[role].items()]
        if HAS_SHIM:
            return run(role, *jobs, "order", preload=request.getfixturevalue("shim"))
        return run(role, jobs[0])

    return results


def judge(result, role, how, first=1, stride=1):
    assert result["died"] == list(range(first, result["places"] + 1, stride))
    assert result["survived"] == [result["places"] + 1]
    assert result["places"] > LEAST.get((role, how), LEAST[role])


@pytest.mark.parametrize("role", SOME)
def test_killed_before_statements_and_whatever_leaves(some, role):
    judge(some(role)["statements"], role, "statements", *SOME[role]["statements"])


@pytest.mark.parametrize("role", SOME)
def test_killed_in_the_middle_of_a_write(some, shim, role):
    judge(some(role)["torn"], role, "torn", *SOME[role]["torn"])


@pytest.mark.slow
@pytest.mark.parametrize("role", SOME)
def test_killed_before_every_statement_and_whatever_leaves(role):
    judge(run(role, "statements")["statements"], role, "statements")


@pytest.mark.slow
@pytest.mark.parametrize("role", SOME)
def test_killed_at_every_system_call(shim, role):
    results = run(role, "calls", "torn:1:3", preload=shim)
    judge(results["calls"], role, "calls")
    judge(results["torn"], role, "torn", 1, 3)


@pytest.mark.parametrize(("role", "leaves"), [("client", 2), ("servers", 12)])
def test_nothing_leaves_before_it_is_on_the_disk(some, shim, role, leaves):
    """Killing a process loses nothing that it wrote; power failing loses what was not synced."""
    unsynced, left = set(), 0
    for line in some(role)["order"]["order"]:
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

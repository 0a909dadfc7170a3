"""The vectors of evidence and conflicts: this package, the generator on both back ends, and a second judge
that shares no code with it."""

import filecmp
import os
import subprocess
import sys

import pytest

from sottovoce import clsc
from sottovoce.clsc import Evidence, KeyConflict, PublicKey, TrustStore, judge, judge_issuer
from support import clsc_independent_judge as independent
from support.clsc_vectors import ROOT, load, raw

CASE = ["comment", "flags", "result"]
FILES = ["conflict.json", "evidence.json"]
SAMPLES = [pytest.param(1, id="sample"), pytest.param(99, id="all", marks=pytest.mark.slow)]
"""How many valid cases the second judge repeats: one of its pairings takes half a second."""


def evidence_file():
    return load(
        "clsc/evidence.json",
        [*CASE, "evidence", "packet"],
        optional=["strength", "sender", "ad", "plaintext", "addressee", "steps", "error"],
    )


def conflict_file():
    return load("clsc/conflict.json", [*CASE, "conflict"], optional=["identity", "X", "error"])


def run_or_refuse(t, call):
    """Exactly the layer that the case names must fail."""
    if t["result"] == "valid":
        return call()
    assert t["result"] == "invalid"
    assert len(t["flags"]) == 1
    expected = getattr(clsc, t["error"])
    with pytest.raises(clsc.SottovoceError) as caught:
        call()
    assert type(caught.value) is expected, (t["comment"], caught.value)
    return None


@pytest.mark.parametrize("backend", ["arkworks", pytest.param("py_ecc", marks=pytest.mark.slow)])
def test_generator_reproduces_every_byte(backend, tmp_path):
    script = ROOT / "gen" / "clsc_evidence.py"
    env = {**os.environ, "SOTTOVOCE_BACKEND": backend}
    subprocess.run([sys.executable, str(script), str(tmp_path)], check=True, env=env, timeout=300)
    assert sorted(p.name for p in tmp_path.iterdir()) == FILES
    assert filecmp.cmpfiles(tmp_path, ROOT / "clsc", FILES, shallow=False) == (FILES, [], [])


def test_evidence():
    data = evidence_file()
    root = raw(data["root"])
    trust = TrustStore(root)
    for params in data["params"]:
        trust.add_bytes(raw(params))
    n_valid = 0
    for t in data["tests"]:

        def judged(t=t):
            return judge(Evidence.from_bytes(raw(t["evidence"])), root, packet=raw(t["packet"]))

        found = run_or_refuse(t, judged)
        if found is None:
            continue
        n_valid += 1
        assert Evidence.from_bytes(raw(t["evidence"])).to_bytes() == raw(t["evidence"])
        assert (found.strength, found.ad) == (t["strength"], raw(t["ad"]))
        assert found.sender == PublicKey.from_bytes(raw(t["sender"]), trust)
        assert found.packet_id == raw(t["steps"]["packet_id"])
        assert found.plaintext == (None if t["plaintext"] is None else raw(t["plaintext"]))
        expected = None if t["addressee"] is None else PublicKey.from_bytes(raw(t["addressee"]), trust)
        assert found.addressee == expected
    assert n_valid == 9


def test_conflict():
    data = conflict_file()
    n_valid = 0
    for t in data["tests"]:

        def judged(t=t):
            conflict = KeyConflict.from_bytes(raw(t["conflict"]))
            judge_issuer(conflict, raw(data["root"]))
            return conflict

        found = run_or_refuse(t, judged)
        if found is None:
            continue
        n_valid += 1
        assert found.to_bytes() == raw(t["conflict"])
        assert [raw(X) for X in t["X"]] == [found.first.key.X, found.second.key.X]
        assert found.first.key.identity == found.second.key.identity == raw(t["identity"])
    assert n_valid == 2


@pytest.mark.parametrize("n_repeated", SAMPLES)
def test_evidence_by_the_second_judge(n_repeated):
    data = evidence_file()
    valid = [t for t in data["tests"] if t["result"] == "valid"]
    strongest_first = sorted(valid, key=lambda t: -t["strength"])
    for t in strongest_first[:n_repeated]:
        found = independent.judge(raw(t["evidence"]), raw(data["root"]), raw(t["packet"]))
        plaintext = found.pop("plaintext", None)
        assert plaintext == (None if t["plaintext"] is None else raw(t["plaintext"]))
        assert {name: value.hex() for name, value in found.items()} == t["steps"]


@pytest.mark.slow
def test_conflict_by_the_second_judge():
    data = conflict_file()
    for t in data["tests"]:
        if t["result"] == "valid":
            independent.judge_issuer(raw(t["conflict"]), raw(data["root"]))


@pytest.mark.slow
def test_the_judge_works_on_the_reference():
    """All of it on py_ecc, in a process of its own."""
    script = """
from support.clsc_evidence import sealed
from support.clsc_world import World
from sottovoce.clsc import Evidence, EvidenceError, Strength, group, judge, make_evidence
assert group.BACKEND == "py_ecc"
world = World()
data = sealed(world, b"text")
evidence = make_evidence(
    data, receiver=world.receiver("bob"), trust=world.trust, ad=b"round 1", strength=Strength.ADDRESSED
)
found = judge(Evidence.from_bytes(evidence.to_bytes()), world.root.public_key, packet=data)
assert (found.plaintext, found.addressee) == (b"text", world.receiver("bob").public_key)
try:
    judge(evidence, world.root.public_key, packet=sealed(world, b"text"))
except EvidenceError:
    pass
else:
    raise AssertionError
"""
    env = {**os.environ, "SOTTOVOCE_BACKEND": "py_ecc", "PYTHONPATH": str(ROOT.parent)}
    subprocess.run([sys.executable, "-c", script], check=True, env=env, timeout=300)

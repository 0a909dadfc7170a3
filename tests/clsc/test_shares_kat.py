"""The vectors of dealings and key generations: this package, the generators on both back ends, and a
second implementation that shares no code with it."""

import filecmp
import os
import subprocess
import sys

import pytest
from py_ecc.bls.g2_primitives import G1_to_pubkey, pubkey_to_G1, signature_to_G2
from py_ecc.bls.point_compression import decompress_G2
from py_ecc.optimized_bls12_381 import curve_order, is_inf, multiply

from sottovoce.clsc import (
    DecodeError,
    DkgError,
    DkgPublic,
    DkgSession,
    EpochParams,
    MasterShare,
    Mode,
    ParameterError,
    comb,
    group,
    polynomial,
)
from sottovoce.clsc.dkg_board import Board, DkgRound
from sottovoce.clsc.dkg_messages import Commit, Complaints, Confirm, Justifications, PrivateShare, Reveal
from support import clsc_independent_shares as independent
from support.clsc_vectors import ROOT, load, raw

ERRORS = {"DecodeError": DecodeError, "DkgError": DkgError, "ParameterError": ParameterError}
CASE = ["comment", "flags", "kind", "result"]
MESSAGES = {cls.KIND: cls for cls in (Commit, Reveal, PrivateShare, Complaints, Justifications, Confirm)}
DEALING = [
    "mode", "epoch", "not_before", "not_after", "threshold", "servers", "answers", "corrupted",
    "coefficients", "shares", "Y", "Y_servers", "params", "params_id", "Q", "indices", "lagrange",
    "partial_answers", "D", "index", "s", "error",
]  # fmt: skip


def refuse(t, call):
    """Exactly the layer that the case names must fail."""
    assert t["result"] == "invalid"
    assert len(t["flags"]) == 1
    with pytest.raises(ERRORS[t["error"]]) as caught:
        call()
    assert type(caught.value) is ERRORS[t["error"]], t["comment"]
    return str(caught.value)


@pytest.mark.parametrize(
    ("backend", "name"),
    [
        ("arkworks", "shares"),
        ("arkworks", "dkg"),
        pytest.param("py_ecc", "dkg", marks=pytest.mark.slow),
        pytest.param("py_ecc", "shares", marks=pytest.mark.slow),
    ],
)
def test_generator_reproduces_every_byte(backend, name, tmp_path):
    script = ROOT / "gen" / f"clsc_{name}.py"
    env = {**os.environ, "SOTTOVOCE_BACKEND": backend}
    subprocess.run([sys.executable, str(script), str(tmp_path)], check=True, env=env, timeout=300)
    assert filecmp.cmp(tmp_path / f"{name}.json", ROOT / "clsc" / f"{name}.json", shallow=False)


# -- dealings -------------------------------------------------------------------------------------


def shares():
    data = load("clsc/shares.json", CASE, optional=DEALING)
    return raw(data["root"]), data["tests"]


def test_dealings():
    root, tests = shares()
    n_seen = 0
    for t in tests:
        if t["kind"] != "dealing":
            continue
        n_seen += 1
        params = EpochParams.from_bytes(raw(t["params"]), root)
        assert params.to_bytes() == raw(t["params"])
        assert params.params_id == raw(t["params_id"])
        assert (params.threshold, params.servers) == (t["threshold"], t["servers"])
        f = [int(a, 16) for a in t["coefficients"]]
        for j, value in enumerate(t["shares"], 1):
            assert polynomial.evaluate(f, j) == int(value, 16)
            assert MasterShare(int(value, 16), params, j).index == j
        weights = polynomial.lagrange_at_zero(t["indices"])
        assert weights == [int(w, 16) for w in t["lagrange"]]
        parts = [group.g1_from_bytes(raw(C), "C") for C in t["partial_answers"]]
        D = group.g1_msm_vartime(parts, weights)
        assert D.to_compressed_bytes() == raw(t["D"])
        assert group.pairing_is_one([D, -group.g1_from_bytes(raw(t["Q"]), "Q")], [group.P2, params.Y])
    assert n_seen == 7


def test_dealings_over_py_ecc():
    root, tests = shares()
    for t in tests:
        if t["kind"] != "dealing":
            continue
        f = [int(a, 16) for a in t["coefficients"]]
        assert raw(t["Y"]) == independent.p2(f[0])
        values = [independent.value(f, j) for j in range(1, t["servers"] + 1)]
        assert [int(s, 16) for s in t["shares"]] == values
        assert [raw(point) for point in t["Y_servers"]] == [independent.p2(s) for s in values]
        assert independent.params(t, root) == raw(t["params_id"])
        weights = independent.lagrange(t["indices"])
        assert [int(w, 16) for w in t["lagrange"]] == weights
        Q = pubkey_to_G1(raw(t["Q"]))
        for j, C in zip(t["indices"], t["partial_answers"], strict=True):
            assert G1_to_pubkey(multiply(Q, values[j - 1])) == raw(C)
        assert G1_to_pubkey(multiply(Q, f[0])) == raw(t["D"])
        combined = independent.weighted([pubkey_to_G1(raw(C)) for C in t["partial_answers"]], weights)
        assert G1_to_pubkey(combined) == raw(t["D"])
        # And in the exponent: the keys of the servers interpolate to Y.
        points = [signature_to_G2(raw(t["Y_servers"][j - 1])) for j in t["indices"]]
        assert independent.same_point(independent.weighted(points, weights), signature_to_G2(raw(t["Y"])))


WORDS = {
    "Degree": "fewer than t", "Distinct": "pairwise distinct", "Interpolation": "interpolate",
    "Identity": "not a canonical point", "Subgroup": "not a canonical point", "Flag": "not a canonical point",
    "Count": "servers expected", "Quota": "does not hold",
}  # fmt: skip


def test_broken_parameters_and_shares():
    root, tests = shares()
    for t in tests:
        if t["kind"] == "params":
            words = refuse(t, lambda t=t: EpochParams.from_bytes(raw(t["params"]), root))
            assert WORDS[t["flags"][0]] in words, t["comment"]
            if t["flags"] == ["Subgroup"]:  # on the curve, so that nothing else is wrong with it
                assert not is_inf(multiply(decompress_G2(_halves(Y_1(raw(t["params"])))), curve_order))
        elif t["kind"] == "share":
            params = EpochParams.from_bytes(raw(t["params"]), root)

            def make(t=t, params=params):
                return MasterShare(int(t["s"], 16), params, t["index"])

            if t["result"] == "valid":
                assert make().index == t["index"]
            else:
                refuse(t, make)


def Y_1(params):
    """The first key of five: the last 5 fields of 4 + 96 bytes before the signature."""
    return params[-64 - 5 * 100 + 4 :][:96]


def _halves(data):
    return int.from_bytes(data[:48], "big"), int.from_bytes(data[48:], "big")


# -- key generation -------------------------------------------------------------------------------

MESSAGE = ["commitments", "R", "z", "challenge", "digest", "receiver", "commit", "error"]


def dkg():
    data = load("clsc/dkg.json", [*CASE, "sender", "input"], optional=MESSAGE)
    fields = {**data["session"]}
    identifier = fields.pop("id")
    for name in ("root_public_key", "epoch"):
        fields[name] = raw(fields[name])
    session = DkgSession(**{**fields, "mode": Mode(fields["mode"])})
    assert session.id == raw(identifier)
    return data, session


def board_at(session, tests, kind, leave_out):
    """A board in the round of ``kind``, with all that was valid before; ``leave_out`` is silent in it."""
    board = Board(session)
    rounds = {
        1: DkgRound.COMMIT,
        2: DkgRound.REVEAL,
        4: DkgRound.COMPLAIN,
        5: DkgRound.JUSTIFY,
        6: DkgRound.CONFIRM,
    }
    for t in tests:
        if t["result"] == "valid" and t["kind"] in rounds and t["kind"] <= kind:
            board.round = rounds[t["kind"]]
            if (t["kind"], t["sender"]) != (kind, leave_out):
                board.receive(t["sender"], raw(t["input"]))
    board.round = rounds[kind]
    return board


def test_messages():
    data, session = dkg()
    for t in data["tests"]:
        cls = MESSAGES[t["kind"]]
        if t["result"] == "valid":
            message = cls.from_bytes(raw(t["input"]))
            assert message.to_bytes() == raw(t["input"])
            assert (message.session, message.sender) == (session.id, t["sender"])
        elif t["error"] == "DecodeError":
            refuse(t, lambda cls=cls, t=t: cls.from_bytes(raw(t["input"])))


def test_messages_against_the_rules():
    data, session = dkg()
    n_seen = 0
    for t in data["tests"]:
        if t["result"] == "invalid" and t["error"] == "DkgError":
            n_seen += 1
            MESSAGES[t["kind"]].from_bytes(raw(t["input"]))  # the bytes are in order
            board = board_at(session, data["tests"], t["kind"], t["sender"])
            if "commit" in t:
                board.post(Commit.from_bytes(raw(t["commit"])))
            before = len(board._received(MESSAGES[t["kind"]]))
            refuse(t, lambda b=board, t=t: b.receive(t["sender"], raw(t["input"])))
            assert len(board._received(MESSAGES[t["kind"]])) == before
    assert n_seen == 20


def test_outcome():
    data, session = dkg()
    out = data["outcome"]
    board = board_at(session, data["tests"], 6, None)
    public = board.result()
    assert public.to_bytes() == raw(out["public"])
    assert DkgPublic.from_bytes(raw(out["public"]), session) == public
    assert public.transcript == raw(out["transcript"])
    assert raw(out["Y"]) == public.Y
    assert list(public.Y_servers) == [raw(point) for point in out["Y_servers"]]
    assert [[j, int(fault)] for j, fault in public.disqualified] == out["disqualified"] == [[5, 2]]
    assert board.confirmations(public.transcript) == ((1, 2, 3, 4, 5), ())
    for j, s in enumerate(out["shares"], 1):
        assert comb.p2_mul(int(s, 16)).to_compressed_bytes() == public.Y_servers[j - 1]


def test_key_generation_over_py_ecc():
    data, session = dkg()
    run = independent.Run(data)
    assert run.id == session.id
    for t in data["tests"]:
        if t["result"] == "valid" and t["kind"] == 2:
            found = run.check_reveal(t["sender"])
            assert found["digest"] == raw(t["digest"])
            assert found["challenge"] == int(t["challenge"], 16)
            assert (found["R"], found["z"]) == (raw(t["R"]), int(t["z"], 16))
            assert found["commitments"] == [raw(point) for point in t["commitments"]]
    faults, transcript, Y, Y_servers, values = run.outcome()
    out = data["outcome"]
    assert [list(pair) for pair in faults] == out["disqualified"]
    assert transcript == raw(out["transcript"])
    assert raw(out["Y"]) == Y
    assert Y_servers == [raw(point) for point in out["Y_servers"]]
    assert values == [int(s, 16) for s in out["shares"]]
    assert run.public() == raw(out["public"])
    confirms = [t for t in data["tests"] if t["result"] == "valid" and t["kind"] == 6]
    assert all(raw(t["input"])[35:] == transcript for t in confirms)

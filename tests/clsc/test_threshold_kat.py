"""The vectors of threshold issuing: this package, the generator on both back ends, and a second
implementation that shares no code with it."""

import filecmp
import os
import subprocess
import sys

import pytest

from sottovoce import clsc
from sottovoce.clsc import (
    BlindRequest,
    EpochParams,
    IdentityRequest,
    Mode,
    PublicKey,
    TooFewAnswers,
    TraceableRequest,
    TrustStore,
    Usage,
    polynomial,
    verify_answer,
)
from support import clsc_independent_issuing as independent
from support.clsc_vectors import ROOT, load, raw

FIELDS = ["kind", "comment", "flags", "mode", "result"]
OPTIONAL = ["error", "answers", "wrong", "coefficients", "index", "request", "answer"]
SAMPLES = [pytest.param(1, id="sample"), pytest.param(99, id="all", marks=pytest.mark.slow)]
"""How many answers the second implementation checks: two of its pairings take a second."""


class Epoch:
    def __init__(self, data, mode):
        self.fields = fields = data["epochs"][mode]
        self.mode = Mode(mode)
        self.params = EpochParams.from_bytes(raw(fields["params"]), raw(data["root"]))
        self.requests = {int(j): raw(value) for j, value in fields["requests"].items()}
        self.shares = {int(j): int(value, 16) for j, value in fields["shares"].items()}
        self.x = int(fields["x"], 16)
        self.signer = raw(data["signer"])
        self.trust = TrustStore(raw(data["root"]))
        self.trust.add_bytes(raw(data["identity_params"]))
        self.trust.add(self.params)
        self.public = PublicKey.from_bytes(raw(fields["public_key"]), self.trust)

    def asked(self):
        """The client's object, as a key file would give it back."""
        fields, usage = self.fields, Usage(self.fields["usage"])
        if self.mode is Mode.TRACEABLE:
            signer = PublicKey.from_bytes(self.signer, self.trust)
            return TraceableRequest._restore(self.params, usage, self.x, signer, self.requests[1][-176:])
        tokens = {int(j): raw(value) for j, value in fields["tokens"].items()}
        scalars = [self.x, int(fields["b"] or "0", 16)]
        numbers = iter(k.to_bytes(48, "big") for k in scalars)
        if self.mode is Mode.IDENTITY:
            return IdentityRequest._derand(self.params, usage, b"alice", tokens, lambda n: next(numbers))
        return BlindRequest._derand(self.params, usage, tokens, lambda n: next(numbers))

    def base_and_share(self, j, answer):
        """``B`` or ``Q``, and the point of server ``j``, by the second implementation."""
        public, params_id = self.public, self.params.params_id
        if self.mode is Mode.BLIND:
            return self.requests[j][34:82], answer[2:]
        Q = independent.identity_point(params_id, "sign", public.identity, public.X)
        envelope = answer[-112:]
        return Q, independent.open_envelope(envelope, self.x, params_id, "sign", public.identity, public.X)


@pytest.fixture(scope="module")
def data():
    return load("clsc/threshold.json", FIELDS, optional=OPTIONAL)


@pytest.fixture(scope="module")
def epochs(data):
    return {mode: Epoch(data, mode) for mode in data["epochs"]}


def answers_of(t):
    return {int(j): raw(value) for j, value in t["answers"].items()}


@pytest.mark.parametrize("backend", ["arkworks", pytest.param("py_ecc", marks=pytest.mark.slow)])
def test_generator_reproduces_every_byte(backend, tmp_path):
    env = {**os.environ, "SOTTOVOCE_BACKEND": backend}
    script = ROOT / "gen" / "clsc_threshold.py"
    subprocess.run([sys.executable, str(script), str(tmp_path)], check=True, env=env, timeout=300)
    assert filecmp.cmp(tmp_path / "threshold.json", ROOT / "clsc" / "threshold.json", shallow=False)


def test_every_case_belongs_to_a_test(data):
    assert {t["kind"] for t in data["tests"]} == {"combine", "verify"}
    assert set(data["epochs"]) == {t["mode"] for t in data["tests"]} == set(Mode)


def test_combine(data, epochs):
    for t in data["tests"]:
        if t["kind"] != "combine":
            continue
        epoch = epochs[t["mode"]]
        asked, answers, wrong = epoch.asked(), answers_of(t), tuple(t["wrong"])
        if t["result"] == "valid":
            made = asked.combine(answers)
            assert made.wrong == wrong, t["comment"]
            assert made.key._d_bytes == raw(epoch.fields["D"])
            assert made.key.public_key == epoch.public
            used = {int(j): int(c, 16) for j, c in t["coefficients"].items()}
            assert list(used.values()) == polynomial.lagrange_at_zero(list(used))
            assert used == independent.lagrange(list(used))
        else:
            assert t["error"] == "TooFewAnswers"
            with pytest.raises(TooFewAnswers) as caught:
                asked.combine(answers)
            error = caught.value
            present = len(answers) - len(wrong)
            assert (error.needed, error.present, error.wrong) == (
                epoch.params.threshold, present, wrong), t["comment"]  # fmt: skip


def test_verify_answer(data, epochs):
    for t in data["tests"]:
        if t["kind"] != "verify":
            continue
        arguments = (epochs[t["mode"]].params, t["index"], raw(t["request"]), raw(t["answer"]))
        if t["result"] == "valid":
            verify_answer(*arguments)
        else:
            with pytest.raises(getattr(clsc, t["error"])) as caught:
                verify_answer(*arguments)
            assert caught.type is getattr(clsc, t["error"]), t["comment"]


def test_requests_of_the_vectors(data, epochs):
    """What each server is asked, from the secrets in the file."""
    for epoch in epochs.values():
        asked, params_id = epoch.asked(), epoch.params.params_id
        for j, request in epoch.requests.items():
            if epoch.mode is Mode.TRACEABLE:
                assert asked.to_bytes() == request
                continue
            usage = "" if epoch.mode is Mode.BLIND else "sign"
            issued = request[34:82] if epoch.mode is Mode.BLIND else epoch.public.X
            token = raw(epoch.fields["tokens"][str(j)])
            assert request[-32:] == independent.token_mac(token, params_id, usage, issued)
            if epoch.mode is Mode.BLIND:
                assert asked.to_bytes(server=j) == request
                Q = independent.identity_point(params_id, "sign", b"", epoch.public.X)
                assert independent.multiple(Q, int(epoch.fields["b"], 16)) == issued


@pytest.mark.parametrize("mode", Mode, ids=str)
def test_combination_by_the_second_implementation(data, epochs, mode):
    """The first valid case of the mode: shares out of the answers, Lagrange over fractions, unblinded."""
    t = next(
        t for t in data["tests"] if (t["kind"], t["mode"], t["comment"]) == ("combine", mode, "the last t")
    )
    epoch = epochs[mode]
    points, base = {}, None
    for j, answer in answers_of(t).items():
        base, points[j] = epoch.base_and_share(j, answer)
        assert independent.multiple(base, epoch.shares[j]) == points[j]
    made = independent.combine(points)
    if mode is Mode.BLIND:
        r = independent.curve_order
        made = independent.multiple(made, pow(int(epoch.fields["b"], 16), -1, r))
    assert made == raw(epoch.fields["D"])


@pytest.mark.parametrize("n_checked", SAMPLES)
def test_equation_by_the_second_implementation(data, epochs, n_checked):
    """``e(C_j, P2) = e(B, Y_j)`` holds for server j and fails for its neighbour."""
    cases = [t for t in data["tests"] if (t["kind"], t["result"]) == ("verify", "valid")]
    for t in cases[:n_checked]:
        epoch, j = epochs[t["mode"]], t["index"]
        base, share = epoch.base_and_share(j, raw(t["answer"]))
        Y = [point.to_compressed_bytes() for point in epoch.params.Y_servers]
        assert independent.partial_holds(share, base, Y[j - 1])
        assert not independent.partial_holds(share, base, Y[j % len(Y)])

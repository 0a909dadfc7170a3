"""The vectors of mode traceable: this package, the generator on both back ends, a second implementation."""

import filecmp
import os
import subprocess
import sys

import pytest

from sottovoce import clsc
from sottovoce.clsc import (
    Account,
    EpochParams,
    Issuer,
    MasterKey,
    MemoryRegistry,
    Mode,
    PublicKey,
    Trace,
    TraceableRequest,
    TracingKey,
    TrustStore,
    Usage,
    group,
)
from support import clsc_independent_issuing as independent
from support.clsc_vectors import ROOT, load, raw

FIELDS = ["kind", "comment", "flags", "input", "result"]
OPTIONAL = ["error", "usage", "X", "name", "x", "transcript", "answer", "D", "public_key"]


class World:
    """What the file says of the issuer and of the signer."""

    def __init__(self):
        self.data = data = load("clsc/traceable.json", FIELDS, optional=OPTIONAL)
        self.params = EpochParams.from_bytes(raw(data["params"]["traceable"]), raw(data["root"]))
        self.trust = TrustStore(raw(data["root"]), clock=lambda: data["now"])
        for params in data["params"].values():
            self.trust.add_bytes(raw(params))
        self.key = TracingKey(raw(data["tracing_key"]))
        self.signer = PublicKey.from_bytes(raw(data["signer"]), self.trust)

    def issuer(self):
        """With an empty registry each time: no case changes another."""
        registry = MemoryRegistry()
        registry.enrol(Account(self.data["party"], self.signer.identity, 9, bytes(32)))
        master = MasterKey(int(self.data["s"], 16), self.params)
        return Issuer(master, registry, tracing_key=self.key, trust=self.trust)

    def asked(self, t):
        """The client's object of a valid request, as a key file would give it back."""
        (request,) = [
            raw(u["input"])
            for u in self.data["tests"]
            if (u["kind"], u["result"], u.get("x")) == ("request", "valid", t["x"])
        ]
        usage = Usage(t["usage"])
        return TraceableRequest._restore(self.params, usage, int(t["x"], 16), self.signer, request[-176:])

    def tests(self, kind, result=None):
        found = [t for t in self.data["tests"] if t["kind"] == kind and result in (None, t["result"])]
        assert found
        return found


@pytest.fixture(scope="module")
def vectors():
    return World()


def refuses(t, call):
    """Exactly the layer that the case names."""
    assert len(t["flags"]) == 1
    wanted = getattr(clsc, t["error"])
    with pytest.raises(wanted) as caught:
        call()
    assert type(caught.value) is wanted, t["comment"]


@pytest.mark.parametrize("backend", ["arkworks", pytest.param("py_ecc", marks=pytest.mark.slow)])
def test_generator_reproduces_every_byte(backend, tmp_path):
    env = {**os.environ, "SOTTOVOCE_BACKEND": backend}
    script = ROOT / "gen" / "clsc_traceable.py"
    subprocess.run([sys.executable, str(script), str(tmp_path)], check=True, env=env, timeout=300)
    assert filecmp.cmp(tmp_path / "traceable.json", ROOT / "clsc" / "traceable.json", shallow=False)


def test_every_case_belongs_to_a_test(vectors):
    kinds = {t["kind"] for t in vectors.data["tests"]}
    assert kinds == {"pseudonym", "request", "answer", "trace"}
    assert not [t for t in vectors.data["tests"] if bool(t["flags"]) != (t["result"] == "invalid")]


def test_pseudonyms(vectors):
    for t in vectors.tests("pseudonym"):
        arguments = (vectors.params.params_id, t["usage"], raw(t["X"]), raw(t["name"]))
        assert vectors.key._pseudonym(*arguments) == raw(t["input"])
        assert vectors.key._name(*arguments[:2], raw(t["input"])) == raw(t["name"])
        assert independent.pseudonym(raw(vectors.data["tracing_key"]), *arguments) == raw(t["input"])


def test_siv_of_the_second_implementation():
    """RFC 5297, appendix A.1: otherwise its agreement would prove little."""
    key = raw("fffefdfcfbfaf9f8f7f6f5f4f3f2f1f0f0f1f2f3f4f5f6f7f8f9fafbfcfdfeff")
    associated = raw("101112131415161718191a1b1c1d1e1f2021222324252627")
    sealed = independent.siv_encrypt(key, raw("112233445566778899aabbccddee"), [associated])
    assert sealed.hex() == "85632d07c6e8f37f950acd320a2ecc9340c02b9690c4dc04daef7f6afe5c"


def test_requests(vectors):
    for t in vectors.tests("request", "valid"):
        issuer, data = vectors.issuer(), raw(t["input"])
        answer = issuer.issue(vectors.data["party"], data)
        key = vectors.asked(t).finish(answer)
        # E is fresh; the pseudonym is not.
        assert answer[:66] == raw(t["answer"])[:66]
        assert issuer.trace(key.public_key).request == data
        X, signer, signature = data[35:83], data[83:-176], data[-176:]
        transcript = independent.request_transcript(vectors.params.params_id, t["usage"], X)
        assert transcript == raw(t["transcript"])
        assert signer == raw(vectors.data["signer"])
        # The second implementation accepts the signature; a pairing of it takes half a second.
        if t["usage"] == "sign":
            Y = vectors.signer.params.Y.to_compressed_bytes()
            independent.verify(
                signer[2:34], "sign", signer[35:-48], signer[-48:], Y, "issue", transcript, signature
            )
    for t in vectors.tests("request", "invalid"):
        refuses(t, lambda t=t: vectors.issuer().issue(vectors.data["party"], raw(t["input"])))


def test_answers(vectors):
    s, key = int(vectors.data["s"], 16), raw(vectors.data["tracing_key"])
    for t in vectors.tests("answer", "valid"):
        made = vectors.asked(t).finish(raw(t["input"]))
        assert (made._d_bytes, made.public_key.to_bytes()) == (raw(t["D"]), raw(t["public_key"]))
        # The second implementation: the pseudonym, D = s*Q, and what the envelope holds.
        params_id, public, answer = vectors.params.params_id, made.public_key, raw(t["input"])
        identity = independent.pseudonym(key, params_id, t["usage"], public.X, vectors.signer.identity)
        assert answer[2:66] == identity == public.identity
        Q = independent.identity_point(params_id, t["usage"], identity, public.X)
        assert independent.multiple(Q, s) == raw(t["D"])
        x = int(t["x"], 16)
        opened = independent.open_envelope(answer[66:], x, params_id, t["usage"], identity, public.X)
        assert opened == raw(t["D"])
        assert independent.multiple(group.P1.to_compressed_bytes(), x) == public.X
    for t in vectors.tests("answer", "invalid"):
        refuses(t, lambda t=t: vectors.asked(t).finish(raw(t["input"])))


def test_traces(vectors):
    for t in vectors.tests("trace", "valid"):
        trace = Trace.from_bytes(raw(t["input"]), vectors.trust)
        trace.verify(vectors.trust)
        assert (trace.name, trace.to_bytes()) == (raw(t["name"]), raw(t["input"]))
        assert trace.pseudonym.mode is Mode.TRACEABLE
    for t in vectors.tests("trace", "invalid"):
        refuses(t, lambda t=t: Trace.from_bytes(raw(t["input"]), vectors.trust).verify(vectors.trust))

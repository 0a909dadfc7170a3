"""The vectors of tests/vectors/clsc: this package, the generator on both back ends, and a second
implementation that shares no code with it."""

import filecmp
import hmac
import os
import subprocess
import sys

import pytest

from sottovoce import clsc
from sottovoce.clsc import (
    EpochParams,
    IdentityRequest,
    PublicKey,
    SecretKey,
    TrustStore,
    group,
    hashes,
    issue_wire,
    kem,
    signature,
)
from support import clsc_independent as independent
from support.clsc_attacker import CoReceiver
from support.clsc_vectors import ROOT, load, raw

ERRORS = {
    name: getattr(clsc, name) for name in ("DecodeError", "SenderError", "SignatureError", "UnsigncryptError")
}
CASE = ["comment", "flags", "result"]
FILES = ["hashes", "issue", "packet", "params", "public_key", "signature"]


def trust_of(data):
    trust = TrustStore(raw(data["root"]), clock=lambda: data.get("now", 1_800_000_000))
    for params in data["params"]:
        trust.add_bytes(raw(params))
    return trust


def run_or_refuse(t, call):
    """Exactly the layer that the case names must fail."""
    if t["result"] == "valid":
        return call()
    assert t["result"] == "invalid"
    assert len(t["flags"]) == 1
    with pytest.raises(ERRORS[t["error"]]) as caught:
        call()
    assert type(caught.value) is ERRORS[t["error"]], t["comment"]
    return None


def secret_key(fields, trust):
    public = PublicKey.from_bytes(raw(fields["public_key"]), trust)
    return SecretKey(public, int(fields["x"], 16), group.g1_from_bytes(raw(fields["D"]), "D"))


@pytest.mark.parametrize("backend", ["arkworks", pytest.param("py_ecc", marks=pytest.mark.slow)])
def test_generator_reproduces_every_byte(backend, tmp_path):
    script = ROOT / "gen" / "clsc_vectors.py"
    env = {**os.environ, "SOTTOVOCE_BACKEND": backend}
    subprocess.run([sys.executable, str(script), str(tmp_path)], check=True, env=env, timeout=300)
    names = [f"{name}.json" for name in FILES]
    assert sorted(p.name for p in tmp_path.iterdir()) == names
    assert filecmp.cmpfiles(tmp_path, ROOT / "clsc", names, shallow=False) == (names, [], [])


def test_hashes():
    data = load("clsc/hashes.json", [
        "params_id", "usage", "identity", "X", "A", "R", "U2", "Q", "pid", "message", "message_transcript",
        "challenge", "pop_challenge", "token_mac", "slot_com", "slot_key", "k_body_k_head_kc",
    ])  # fmt: skip
    for t in data["tests"]:
        params_id, usage, name, X = raw(t["params_id"]), t["usage"], raw(t["identity"]), raw(t["X"])
        A, R, U2 = raw(t["A"]), raw(t["R"]), raw(t["U2"])
        assert hashes.hash_identity(params_id, usage, name, X).to_compressed_bytes() == raw(t["Q"])
        assert hashes.pid(params_id, usage, name, X) == raw(t["pid"])
        transcript = hashes.message_transcript(raw(t["message"]))
        assert transcript == raw(t["message_transcript"])
        # The second implementation.
        assert independent.G1_to_pubkey(independent.q_point(params_id, usage, name, X)) == raw(t["Q"])
        assert independent.sha("SOTTOVOCE-V1-PID", params_id, usage, name, X)[:16] == raw(t["pid"])
        assert independent.sha("SOTTOVOCE-V1-MESSAGE", raw(t["message"])) == transcript
        sig = independent.enc("message", params_id, usage, name, X, A, R, transcript)
        assert independent.h2s(b"SOTTOVOCE-V1-SIG", sig) == int(t["challenge"], 16)
        pop = independent.enc("SOTTOVOCE-V1-POP", params_id, usage, name, X, R, bytes(32))
        assert independent.h2s(b"SOTTOVOCE-V1-POP", pop) == int(t["pop_challenge"], 16)
        issued = [params_id, X] if name == b"" else [params_id, usage, X]  # blind: no usage
        authenticated = independent.enc("SOTTOVOCE-V1-ISSUE", *issued)
        assert hmac.digest(bytes(range(32)), authenticated, "sha256") == raw(t["token_mac"])
        info = independent.enc("SOTTOVOCE-V1-KEM", 1, A, U2, params_id, name, X)
        # S = A and U1 = R in this vector.
        info = independent.enc("SOTTOVOCE-V1-KEM", 1, R, U2, params_id, name, X)
        keys = independent.kdf(bytes(576) + A, info, 64)
        assert (keys[:32], keys[32:]) == (raw(t["slot_com"]), raw(t["slot_key"]))
        okm = independent.kdf(bytes(range(32)), b"SOTTOVOCE-V1-CEK", 96)
        assert okm == raw(t["k_body_k_head_kc"])


def test_params():
    data = load("clsc/params.json", [*CASE, "root", "input"], optional=["params_id", "error"])
    for t in data["tests"]:
        params = run_or_refuse(t, lambda t=t: EpochParams.from_bytes(raw(t["input"]), raw(t["root"])))
        if params:
            assert params.to_bytes() == raw(t["input"])
            assert params.params_id == raw(t["params_id"])


def test_public_key():
    data = load("clsc/public_key.json", [*CASE, "input"], optional=["pid", "error"])
    trust = trust_of(data)
    for t in data["tests"]:
        key = run_or_refuse(t, lambda t=t: PublicKey.from_bytes(raw(t["input"]), trust))
        if key:
            assert key.to_bytes() == raw(t["input"])
            assert key.pid == raw(t["pid"])


def test_issue():
    data = load("clsc/issue.json", [
        "comment", "mode", "usage", "token", "challenge", "request", "answer", "s", "x", "D", "public_key",
    ])  # fmt: skip
    for t in data["tests"]:
        params = EpochParams.from_bytes(raw(data["params"][t["mode"]]), raw(data["root"]))
        trust = TrustStore(raw(data["root"]))
        trust.add(params)
        public = PublicKey.from_bytes(raw(t["public_key"]), trust)
        parsed = issue_wire.parse_request(raw(t["request"]))
        assert parsed.usage == (None if t["mode"] == "blind" else t["usage"])
        fields = [params.params_id, *([parsed.usage] if parsed.usage else []), parsed.issued]
        authenticated = independent.enc("SOTTOVOCE-V1-ISSUE", *fields)
        assert parsed.mac == hmac.digest(raw(t["token"]), authenticated, "sha256")
        s, x, D = int(t["s"], 16), int(t["x"], 16), raw(t["D"])
        # The second implementation: D = s*Q, and what of it is visible in request and answer.
        Q = independent.q_point(params.params_id, t["usage"], public.identity, public.X)
        assert independent.G1_to_pubkey(independent.multiply(Q, s)) == D
        assert independent.G1_to_pubkey(independent.multiply(independent.G1, x)) == public.X
        answer = raw(t["answer"])
        if t["mode"] == "blind":
            B = independent.pubkey_to_G1(parsed.issued)
            assert answer == b"\1\3" + independent.G1_to_pubkey(independent.multiply(B, s))
        else:
            E = answer[2:50]
            shared = independent.G1_to_pubkey(independent.multiply(independent.pubkey_to_G1(E), x))
            info = independent.enc(
                "SOTTOVOCE-V1-ISSUE-ENVELOPE", 1, params.params_id, t["usage"], public.identity, public.X, E
            )
            key = independent.kdf(shared, info, 32)
            assert independent.AESGCM(key).decrypt(bytes(12), answer[50:], None) == D
            assert parsed.challenge == raw(t["challenge"])
            asked = object.__new__(IdentityRequest)
            asked.public_key, asked._x, asked._token = public, x, raw(t["token"])
            assert asked.finish(answer)._d_bytes == D


SAMPLES = [pytest.param(2, id="sample"), pytest.param(99, id="all", marks=pytest.mark.slow)]
"""How many valid cases the second implementation repeats: one of its pairings takes half a second."""


@pytest.mark.parametrize("n_repeated", SAMPLES)
def test_signature(n_repeated):
    data = load(
        "clsc/signature.json",
        [*CASE, "public_key", "message", "signature"],
        optional=["x", "D", "transcript", "c", "error"],
    )
    trust = trust_of(data)
    n_valid = 0
    for t in data["tests"]:
        key, message, value = (
            PublicKey.from_bytes(raw(t["public_key"]), trust), raw(t["message"]), raw(t["signature"]),
        )  # fmt: skip
        run_or_refuse(t, lambda key=key, m=message, v=value: clsc.verify(key, m, v))
        if t["result"] == "valid":
            n_valid += 1
            assert hashes.message_transcript(message) == raw(t["transcript"])
            secret_key(t, trust)
            claim = signature._parse(key, "message", raw(t["transcript"]), value)
            assert claim.c == int(t["c"], 16)
            if n_valid > n_repeated:
                continue
            found = independent.verify(
                key.params.params_id, "sign", key.identity, key.X, key.params.Y.to_compressed_bytes(),
                "message", raw(t["transcript"]), value,
            )  # fmt: skip
            assert found["c"] == claim.c.to_bytes(32, "big")
    assert n_valid == 6


def test_packet():
    data = load(
        "clsc/packet.json",
        [*CASE, "receiver", "ad", "packet"],
        optional=["plaintext", "sender", "steps", "error"],
    )
    trust = trust_of(data)
    n_valid = 0
    for t in data["tests"]:
        receiver, ad, value = secret_key(t["receiver"], trust), raw(t["ad"]), raw(t["packet"])
        opened = run_or_refuse(
            t,
            lambda v=value, r=receiver, ad=ad: clsc.unsigncrypt(v, receiver=r, trust=trust, ad=ad),
        )
        if opened:
            n_valid += 1
            assert opened.plaintext == raw(t["plaintext"])
            assert opened.sender.to_bytes() == raw(t["sender"])
            assert opened.packet_id == raw(t["steps"]["packet_id"])
            assert CoReceiver(value, receiver, ad).cek == raw(t["steps"]["CEK"])
    assert n_valid == 5


@pytest.mark.parametrize("n_repeated", SAMPLES)
def test_packet_by_the_second_implementation(n_repeated):
    """Every intermediate value, from py_ecc and hashlib alone."""
    data = load(
        "clsc/packet.json",
        [*CASE, "receiver", "ad", "packet"],
        optional=["plaintext", "sender", "steps", "error"],
    )
    trust = trust_of(data)
    Y = {p.params_id: p.Y.to_compressed_bytes() for p in trust._by_id.values()}
    for t in [t for t in data["tests"] if t["result"] == "valid"][:n_repeated]:
        public = PublicKey.from_bytes(raw(t["receiver"]["public_key"]), trust)
        found = independent.unsigncrypt(
            raw(t["packet"]), int(t["receiver"]["x"], 16), raw(t["receiver"]["D"]), public.params.params_id,
            public.identity, public.X, raw(t["ad"]), Y,
        )  # fmt: skip
        assert found.pop("plaintext") == raw(t["plaintext"])
        assert {name: value.hex() for name, value in found.items()} == t["steps"]


@pytest.mark.parametrize("backend", ["py_ecc"])
def test_public_api_works_on_the_reference(backend):
    """A whole life of two keys on py_ecc, in a process of its own."""
    script = """
from support.clsc_world import World, issue_blind, issue_identity, issuers
from sottovoce import clsc
from sottovoce.clsc import group
assert group.BACKEND == "py_ecc"
world = World()
identity, blind = issuers(world)
bob = issue_identity(identity, "bob", clsc.Usage.DECRYPT)
alice = issue_blind(blind, "alice")
data = clsc.signcrypt(b"text", sender=alice, receivers=[bob.public_key])
good, bad = clsc.unsigncrypt_batch([data, data[:-1]], receiver=bob, trust=world.trust)
assert good.plaintext == b"text" and type(bad) is clsc.UnsigncryptError
signed = clsc.sign(alice, b"m")
try:
    clsc.batch_verify([(alice.public_key, b"m", signed), (alice.public_key, b"n", signed)])
except clsc.SignatureError as error:
    assert error.bad_indices == (1,)
else:
    raise AssertionError
"""
    env = {**os.environ, "SOTTOVOCE_BACKEND": backend, "PYTHONPATH": str(ROOT.parent)}
    subprocess.run([sys.executable, "-c", script], check=True, env=env, timeout=300)


def test_unknown_backend_is_refused_at_import():
    env = {**os.environ, "SOTTOVOCE_BACKEND": "fast"}
    done = subprocess.run(
        [sys.executable, "-c", "import sottovoce.clsc"], env=env, capture_output=True, text=True, timeout=60
    )
    assert done.returncode != 0
    assert "KernelUnavailable: SOTTOVOCE_BACKEND" in done.stderr


def test_slot_keys_match_the_vector_arguments():
    """The hash vectors give S before U1 to ``_slot_keys``: pin the order of its arguments."""
    t = load("clsc/hashes.json", [], optional=[
        "params_id", "usage", "identity", "X", "A", "R", "U2", "Q", "pid", "message", "message_transcript",
        "challenge", "pop_challenge", "token_mac", "slot_com", "slot_key", "k_body_k_head_kc",
    ])["tests"][0]  # fmt: skip
    public = type("Receiver", (), {})()
    public.params = type("Params", (), {"params_id": raw(t["params_id"])})()
    public.identity, public.X = raw(t["identity"]), raw(t["X"])
    found = kem.slot_keys(bytes(576), raw(t["A"]), raw(t["R"]), raw(t["U2"]), public)
    assert found == (raw(t["slot_com"]), raw(t["slot_key"]))

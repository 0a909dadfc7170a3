"""The vectors of packets of several chunks: both ways of opening, both back ends, and hashlib alone."""

import hashlib
import io
import json
import os
import subprocess
import sys

import pytest

from sottovoce import clsc
from sottovoce.clsc import PublicKey, SecretKey, TrustStore, group, packet
from support import clsc_independent as independent
from support.clsc_vectors import ROOT, load, raw

VALID = ["receiver", "ad", "seed", "plaintext_bytes", "plaintext_sha256", "sender", "start", "head", "CEK",
         "chunk_hashes", "wire", "packet_id", "packet_sha256"]  # fmt: skip
MIB = 2**20


def expand(seed, n):
    return b"".join(hashlib.sha256(seed + i.to_bytes(8, "big")).digest() for i in range(-(-n // 32)))[:n]


def rebuild(t):
    """The packet of a valid case from CEK and plaintext: no line of the package, every value compared."""
    text = expand(raw(t["seed"]), t["plaintext_bytes"])
    assert hashlib.sha256(text).hexdigest() == t["plaintext_sha256"]
    okm = independent.kdf(raw(t["CEK"]), b"SOTTOVOCE-V1-CEK", 96)
    k_body, k_head, kc = okm[:32], okm[32:64], okm[64:]
    start = raw(t["start"])
    header, slots, length = start[4:182], start[182:-8], int.from_bytes(start[-8:], "big")
    assert header[146:] == kc
    n_chunks = -(-length // (MIB + 16))
    text = text.ljust(length - 16 * n_chunks, b"\0")
    chunks = [
        independent.AESGCM(k_body).encrypt(
            bytes(7) + i.to_bytes(4, "big") + bytes([i == n_chunks - 1]), text[i * MIB : (i + 1) * MIB], None
        )
        for i in range(n_chunks)
    ]
    hashes = [hashlib.sha256(chunk).digest() for chunk in chunks]
    assert b"".join(hashes).hex() == t["chunk_hashes"]
    wire = independent.sha("SOTTOVOCE-V1-WIRE", header, slots, raw(t["ad"]), length, *hashes)
    assert wire.hex() == t["wire"]
    head = independent.AESGCM(k_head).decrypt(bytes(12), raw(t["head"]), wire)
    assert head[-8:] == t["plaintext_bytes"].to_bytes(8, "big")
    transcript = independent.sha("SOTTOVOCE-V1-TRANSCRIPT", wire, t["plaintext_bytes"])
    name = head[41 : 41 + head[40]]
    packet_id = independent.sha("SOTTOVOCE-V1-PACKET", head[4:36], name, head[109:157], transcript)
    assert packet_id.hex() == t["packet_id"]
    data = start + b"".join(chunks) + raw(t["head"])
    assert hashlib.sha256(data).hexdigest() == t["packet_sha256"]
    return data


@pytest.fixture(scope="module")
def vectors():
    data = load(
        "clsc/stream.json", ["comment", "flags", "result"], optional=[*VALID, "base", "splices", "error"]
    )
    trust = TrustStore(raw(data["root"]), clock=lambda: data["now"])
    for params in data["params"]:
        trust.add_bytes(raw(params))
    return data["tests"], trust


def secret_key(fields, trust):
    public = PublicKey.from_bytes(raw(fields["public_key"]), trust)
    return SecretKey(public, int(fields["x"], 16), group.g1_from_bytes(raw(fields["D"]), "D"))


def test_vectors(vectors):
    tests, trust = vectors
    packets = {t["tcId"]: rebuild(t) for t in tests if t["result"] == "valid"}
    assert len(packets) == 6
    by_id = {t["tcId"]: t for t in tests}
    for t in tests:
        base = by_id[t.get("base", t["tcId"])]
        data = packets[base["tcId"]]
        for cut in reversed(t.get("splices", [])):
            data = data[: cut["offset"]] + raw(cut["insert"]) + data[cut["offset"] + cut["delete"] :]
        keys = {"receiver": secret_key(base["receiver"], trust), "trust": trust, "ad": raw(base["ad"])}
        out = io.BytesIO()
        if t["result"] == "invalid":
            assert len(t["flags"]) == 1
            assert data != packets[base["tcId"]]
            error = getattr(clsc, t["error"])
            for call in (
                lambda data=data, keys=keys: clsc.unsigncrypt(data, **keys),
                lambda data=data, keys=keys, out=out: clsc.unsigncrypt_file(io.BytesIO(data), out, **keys),
            ):
                with pytest.raises(error) as caught:
                    call()
                assert type(caught.value) is error, t["comment"]
            assert out.getvalue() == b""
            continue
        opened = clsc.unsigncrypt(data, **keys)
        found = clsc.unsigncrypt_file(io.BytesIO(data), out, **keys)
        assert hashlib.sha256(opened.plaintext).hexdigest() == t["plaintext_sha256"]
        assert out.getvalue() == opened.plaintext
        assert opened.packet_id.hex() == found.packet_id.hex() == t["packet_id"]
        assert opened.sender.to_bytes().hex() == t["sender"]
        assert opened.sender == found.sender
        assert packet.packet_bytes(t["plaintext_bytes"], 2, pad="padding" in t["comment"]) == len(data)


@pytest.mark.parametrize(
    ("backend", "n_valid"),
    [
        ("arkworks", 6),
        pytest.param("py_ecc", 1, id="py_ecc-sample"),
        pytest.param("py_ecc", 6, id="py_ecc-all", marks=pytest.mark.slow),
    ],
)
def test_generator_reproduces_every_byte(backend, n_valid, tmp_path):
    script = ROOT / "gen" / "clsc_stream.py"
    env = {**os.environ, "SOTTOVOCE_BACKEND": backend}
    subprocess.run(
        [sys.executable, str(script), str(tmp_path), str(n_valid)], check=True, env=env, timeout=300
    )
    made, kept = (json.loads((folder / "stream.json").read_text()) for folder in (tmp_path, ROOT / "clsc"))
    if n_valid == 6:
        assert made == kept
    for name in ("root", "params", "now", "suite"):
        assert made[name] == kept[name]
    assert made["tests"] == kept["tests"][: len(made["tests"])]


@pytest.mark.slow
def test_vectors_on_py_ecc():
    """Every case once more, both ways of opening, on the reference."""
    test = f"{__file__}::{test_vectors.__name__}"
    env = {**os.environ, "SOTTOVOCE_BACKEND": "py_ecc"}
    subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", test],
        check=True, env=env, cwd=ROOT.parents[1], timeout=600,
    )  # fmt: skip

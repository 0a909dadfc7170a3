"""The vectors of revocation lists: this package, the generator on both back ends, and a second reader and
signer over ``struct`` and ``cryptography`` alone."""

import filecmp
import os
import struct
import subprocess
import sys

import pytest
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey

from sottovoce import clsc
from sottovoce.clsc import RevocationList, RootKey
from support.clsc_vectors import ROOT, load, raw

VALID = ["params_id", "number", "issued_at", "pids"]


def vectors():
    fields = ["comment", "flags", "result", "list"]
    return load("clsc/revocation.json", fields, optional=[*VALID, "known", "error"])


@pytest.mark.parametrize("backend", ["arkworks", pytest.param("py_ecc", marks=pytest.mark.slow)])
def test_generator_reproduces_every_byte(backend, tmp_path):
    script = ROOT / "gen" / "clsc_revocation.py"
    env = {**os.environ, "SOTTOVOCE_BACKEND": backend}
    subprocess.run([sys.executable, str(script), str(tmp_path)], check=True, env=env, timeout=300)
    assert [p.name for p in tmp_path.iterdir()] == ["revocation.json"]
    assert filecmp.cmp(tmp_path / "revocation.json", ROOT / "clsc" / "revocation.json", shallow=False)


def test_lists_of_this_package():
    data = vectors()
    root = raw(data["root"])
    assert RootKey._from_seed_derand(raw(data["root_seed"])).public_key == root

    def read(t):
        one = RevocationList.from_bytes(raw(t["list"]), root)
        if "known" in t:
            one.check_agrees(RevocationList.from_bytes(raw(t["known"]), root))
        return one

    for t in data["tests"]:
        if t["result"] == "valid":
            one = read(t)
            assert (one.params_id, one.number, one.issued_at) == (
                raw(t["params_id"]),
                t["number"],
                t["issued_at"],
            )
            assert [pid.hex() for pid in one.pids] == t["pids"]
            assert one.to_bytes() == raw(t["list"])
        else:
            assert len(t["flags"]) == 1
            with pytest.raises(clsc.SottovoceError) as caught:
                read(t)
            assert type(caught.value) is getattr(clsc, t["error"]), t["comment"]


def field(data):
    return struct.pack(">I", len(data)) + data


def second_writer(seed, root, params_id, number, issued_at, pids):
    body = field(b"SOTTOVOCE-V1-REVOKED") + field(root) + field(params_id)
    body += field(struct.pack(">Q", number)) + field(struct.pack(">Q", issued_at))
    body += b"".join(map(field, pids))
    return body + Ed25519PrivateKey.from_private_bytes(seed).sign(body)


def second_reader(data, root):
    """``(number, issued_at, pids)``, or None."""
    layout = struct.Struct(">I20sI32sI32sIQIQ")
    if len(data) < layout.size + 64 or (len(data) - layout.size - 64) % 20:
        return None
    body, signature = data[:-64], data[-64:]
    n1, tag, n2, by, n3, _, n4, number, n5, issued_at = layout.unpack_from(body)
    entries = list(struct.iter_unpack(">I16s", body[layout.size :]))
    pids = [pid for _, pid in entries]
    good = (
        (n1, n2, n3, n4, n5) == (20, 32, 32, 8, 8)
        and (tag, by) == (b"SOTTOVOCE-V1-REVOKED", root)
        and all(n == 16 for n, _ in entries)
        and pids == sorted(set(pids))
        and 1 <= number < 1 << 32
        and issued_at < 1 << 40
    )
    try:
        Ed25519PublicKey.from_public_bytes(root).verify(signature, body)
    except InvalidSignature:
        return None
    return (number, issued_at, pids) if good else None


def test_second_implementation_agrees():
    data = vectors()
    seed, root = raw(data["root_seed"]), raw(data["root"])
    for t in data["tests"]:
        read = second_reader(raw(t["list"]), root)
        if t["result"] == "invalid" and "known" not in t:
            assert read is None, t["comment"]
            continue
        number, issued_at, pids = read
        if t["result"] == "valid":
            assert (number, issued_at, [pid.hex() for pid in pids]) == (
                t["number"],
                t["issued_at"],
                t["pids"],
            )
            made = second_writer(
                seed, root, raw(t["params_id"]), number, issued_at, [raw(pid) for pid in t["pids"]]
            )
            assert made == raw(t["list"])
        if "known" in t:
            known = second_reader(raw(t["known"]), root)
            older, newer = sorted([known, (number, issued_at, pids)], key=lambda one: one[0])
            contradict = set(older[2]) - set(newer[2]) or (older[0] == newer[0] and older != newer)
            assert bool(contradict) == (t["result"] == "invalid"), t["comment"]

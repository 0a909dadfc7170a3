"""The vectors of BLS signatures: this package, the generator, and py_ecc with schoolbook Lagrange."""

import filecmp
import hashlib
import os
import subprocess
import sys

import pytest
from py_ecc.bls.g2_primitives import G1_to_pubkey, pubkey_to_G1
from py_ecc.bls.hash_to_curve import hash_to_G1
from py_ecc.bls.point_compression import compress_G2
from py_ecc.optimized_bls12_381 import G2, add, curve_order, multiply

from sottovoce.clsc import BlsPublicKey, DecodeError, SignatureError
from support.clsc_vectors import ROOT, load, raw

ERRORS = {"DecodeError": DecodeError, "SignatureError": SignatureError}
DATA = load(
    "clsc/bls.json",
    ["comment", "flags", "key", "result"],
    optional=["coefficients", "message", "parts", "signature", "error"],
)["tests"]
VALID = [t for t in DATA if t["result"] == "valid"]
INVALID = [t for t in DATA if t["result"] == "invalid"]
assert len(VALID) >= 3
assert len(INVALID) >= 20


@pytest.mark.parametrize("t", VALID, ids=lambda t: t["comment"])
def test_valid(t):
    key, message, signature = BlsPublicKey.from_bytes(raw(t["key"])), raw(t["message"]), raw(t["signature"])
    parts = {int(j): raw(part) for j, part in t["parts"].items()}
    key.verify(message, signature)
    assert key.combine(message, parts).signature == signature


@pytest.mark.parametrize("t", INVALID, ids=lambda t: t["comment"])
def test_invalid(t):
    assert len(t["flags"]) == 1
    with pytest.raises(ERRORS[t["error"]]) as caught:
        BlsPublicKey.from_bytes(raw(t["key"])).verify(raw(t["message"]), raw(t["signature"]))
    assert type(caught.value) is ERRORS[t["error"]]


@pytest.mark.parametrize("t", VALID, ids=lambda t: t["comment"])
def test_a_second_implementation_agrees(t):
    """Over py_ecc: keys, parts and signature from the coefficients, and Lagrange over integers."""
    f = [int(a, 16) for a in t["coefficients"]]
    n = raw(t["key"]).count(b"\0\0\0\x60") - 1

    def value(x):
        return sum(a * x**k for k, a in enumerate(f)) % curve_order

    fields = [b"SOTTOVOCE-V1-BLS-KEY", len(f).to_bytes(8, "big")]
    for x in range(n + 1):
        z1, z2 = compress_G2(multiply(G2, value(x)))
        fields.append(z1.to_bytes(48, "big") + z2.to_bytes(48, "big"))
    assert raw(t["key"]) == b"".join(len(a).to_bytes(4, "big") + a for a in fields)
    hashed = hash_to_G1(raw(t["message"]), b"SOTTOVOCE-V1-BLS", hashlib.sha256)
    assert G1_to_pubkey(multiply(hashed, f[0])) == raw(t["signature"])
    total = None
    indices = [int(j) for j in t["parts"]]
    for j in indices:
        part = raw(t["parts"][str(j)])
        assert G1_to_pubkey(multiply(hashed, value(j))) == part
        weight = 1
        for m in indices:
            if m != j:
                weight = weight * m * pow(m - j, -1, curve_order) % curve_order
        point = multiply(pubkey_to_G1(part), weight)
        total = point if total is None else add(total, point)
    assert G1_to_pubkey(total) == raw(t["signature"])


@pytest.mark.parametrize("backend", ["arkworks", pytest.param("py_ecc", marks=pytest.mark.slow)])
def test_the_generator_makes_this_file(backend, tmp_path):
    env = {**os.environ, "SOTTOVOCE_BACKEND": backend}
    script = ROOT / "gen" / "clsc_bls.py"
    subprocess.run([sys.executable, script, tmp_path], env=env, check=True, timeout=300)
    assert filecmp.cmp(tmp_path / "bls.json", ROOT / "clsc" / "bls.json", shallow=False)

"""The vectors of key files: this package, the generator on both back ends, and Argon2id written out."""

import filecmp
import os
import subprocess
import sys

import pytest
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from py_ecc.bls.hash import hkdf_expand, hkdf_extract

from sottovoce._ext.errors import DecodeError, KeyFileError
from sottovoce.clsc import keybody, keyfile
from support.argon2_twin import argon2id
from support.clsc_vectors import ROOT, load, raw

ERRORS = {"DecodeError": DecodeError, "KeyFileError": KeyFileError}
INTERMEDIATE = ["kind", "stretched", "com", "k", "body"]
DATA = load("clsc/keyfile.json", ["comment", "flags", "passphrase", "file", "result"],
            optional=["error", *INTERMEDIATE])  # fmt: skip
VALID = [t for t in DATA["tests"] if t["result"] == "valid"]
INVALID = [t for t in DATA["tests"] if t["result"] == "invalid"]
assert len(VALID) + len(INVALID) == DATA["numberOfTests"]


@pytest.mark.parametrize("t", VALID, ids=lambda t: t["comment"])
def test_valid(t):
    key = keyfile.load_key_bytes(raw(t["file"]), raw(t["passphrase"]))
    assert keybody.encode(key) == raw(t["body"])
    kind = t["kind"].encode()
    assert raw(t["body"])[20:].startswith(len(kind).to_bytes(4, "big") + kind)


@pytest.mark.parametrize("t", INVALID, ids=lambda t: t["comment"])
def test_invalid(t):
    assert len(t["flags"]) == 1
    with pytest.raises(ERRORS[t["error"]]) as caught:
        keyfile.load_key_bytes(raw(t["file"]), raw(t["passphrase"]))
    assert type(caught.value) is ERRORS[t["error"]]


def independent(file, passphrase):
    """Every step, after the byte table of the documentation."""
    assert file[:5] == b"SVK\x01\x01"
    lanes, passes, memory = file[5], int.from_bytes(file[6:8], "big"), int.from_bytes(file[8:12], "big")
    stretched = argon2id(passphrase, file[12:44], 32, passes, lanes, memory)
    tag = b"SOTTOVOCE-V1-KEYFILE"
    info = len(tag).to_bytes(4, "big") + tag + (44).to_bytes(4, "big") + file[:44]
    derived = hkdf_expand(hkdf_extract(b"", stretched), info, 64)
    assert file[44:76] == derived[:32]
    plain = AESGCM(derived[32:]).decrypt(bytes(12), file[76:], file[:76])
    n = int.from_bytes(plain[:4], "big")
    assert len(plain) % 1024 == 0
    assert plain[4 + n :] == bytes(len(plain) - 4 - n)
    assert len(plain) - 4 - n < 1024
    return stretched, derived[:32], derived[32:], plain[4 : 4 + n]


@pytest.mark.parametrize(
    "t",
    # 64 MiB are a quarter of a million blocks, too many for a twin in Python: those of ``cryptography``.
    [t for t in VALID if "at the cost" not in t["comment"]],
    ids=lambda t: t["comment"],
)
def test_a_second_implementation_agrees(t):
    found = independent(raw(t["file"]), raw(t["passphrase"]))
    assert found == (raw(t["stretched"]), raw(t["com"]), raw(t["k"]), raw(t["body"]))


def test_the_twin_has_the_test_vector_of_the_rfc():
    """RFC 9106 section 5.3."""
    tag = argon2id(b"\1" * 32, b"\2" * 16, 32, 3, 4, 32, secret=b"\3" * 8, ad=b"\4" * 12)
    assert tag.hex() == "0d640df58d78766c08c037a34a8b53c9d01ef0452d75b65eb52520e96b01e659"


@pytest.mark.parametrize("backend", ["arkworks", pytest.param("py_ecc", marks=pytest.mark.slow)])
def test_generator_reproduces_every_byte(backend, tmp_path):
    script = ROOT / "gen" / "clsc_keyfile.py"
    env = {**os.environ, "SOTTOVOCE_BACKEND": backend}
    subprocess.run([sys.executable, str(script), str(tmp_path)], check=True, env=env, timeout=300)
    assert filecmp.cmp(tmp_path / "keyfile.json", ROOT / "clsc" / "keyfile.json", shallow=False)


def test_every_kind_has_a_vector():
    assert {t["kind"].encode() for t in VALID} == set(keybody._READERS) == set(keybody._KINDS.values())

"""he.paillier against tests/vectors/he/paillier.json, which the textbook reference made."""

import hashlib
import importlib.util
from pathlib import Path

import numpy as np
import pytest

from sottovoce._ext import errors
from sottovoce.he import _paillier_pack, _paillier_power, paillier
from support.paillier_world import KEYS, REAL, TOY, VECTORS, key, make_params

FOLDER = Path(__file__).parents[1] / "vectors"


def sha(data):
    return hashlib.sha256(data).hexdigest()


def exponents(t):
    n_bytes = KEYS[t["key"]]["exponentBits"] // 8
    raw = b"".join(int(a, 16).to_bytes(n_bytes, "little") for a in t["alphas"])
    return np.frombuffer(raw, np.uint8).reshape(-1, n_bytes).copy()


def hexed(numbers):
    return [f"{int(x):x}" for x in numbers]


def test_file_is_whole():
    assert VECTORS["numberOfTests"] == len(VECTORS["tests"]) + len(VECTORS["decodeTests"]) == 124
    assert len(VECTORS["tests"]) == 7
    assert {t["key"] for t in VECTORS["tests"]} == set(KEYS)


@pytest.mark.parametrize("name", KEYS)
def test_keys(name):
    k, secret = KEYS[name], key(name)
    public = secret.public_key
    assert public.n == int(k["n"], 16)
    assert public.key_id.hex() == k["keyId"]
    assert (public.bits, public.exponent_bits) == (k["bits"], k["exponentBits"])
    assert sha(public.to_bytes()) == k["publicSha256"]
    assert sha(secret.to_bytes()) == k["secretSha256"]
    if name != TOY:
        assert paillier.PublicKey.from_bytes(public.to_bytes()) == public
        assert paillier.SecretKey.from_bytes(secret.to_bytes()).to_bytes() == secret.to_bytes()


@pytest.mark.parametrize("t", VECTORS["tests"], ids=lambda t: f"{t['tcId']}-{t['key']}")
@pytest.mark.parametrize("way", ["table", "wide table", "powmod"])
def test_every_step(t, way, monkeypatch):
    secret = key(t["key"])
    public = secret.public_key
    params = make_params(t["key"], t["nValues"], t["valueBits"], t["maxSummands"], t["slots"])
    assert params.slot_bits == t["slotBits"]
    assert params.to_bytes().hex() == t["params"]
    G = (1 << (t["valueBits"] - 1)) - 1
    values = (t["factor"] * np.arange(t["nValues"]) + t["offset"]) % (2 * G + 1) - G

    plain = _paillier_pack.pack(params, _paillier_pack.checked(params, values))
    assert hexed(plain) == t["plain"]
    monkeypatch.setattr(_paillier_power, "MIN_FOR_TABLE", 1000 if way == "powmod" else 0)
    monkeypatch.setattr(_paillier_power, "MANY", 0 if way == "wide table" else 1000)
    monkeypatch.setattr(_paillier_power, "_cache", _paillier_power._Cache())
    assert hexed(_paillier_power.powers(public._n, public._hs, exponents(t))) == t["powers"]
    c = public._encrypt_derand(values, params, exponents(t))
    assert c.to_bytes().hex() == t["ciphertext"]
    assert len(c.to_bytes()) == params.ciphertext_bytes
    doubled = paillier.add([c, c])
    assert sha(doubled.to_bytes()) == t["doubledSha256"]
    assert secret.decrypt(c).tolist() == values.tolist()
    assert secret.decrypt(doubled).tolist() == (2 * values).tolist()


def read(kind, data):
    if kind == "Ciphertext":
        return paillier.Ciphertext.from_bytes(data, key(REAL).public_key, make_params(REAL, 3, slots=1))
    return getattr(paillier, kind).from_bytes(data)


@pytest.mark.parametrize("t", VECTORS["decodeTests"], ids=lambda t: f"{t['tcId']}-{t['type']}-{t['comment']}")
def test_decoding(t):
    base = bytes.fromhex(VECTORS["decodeBases"][t["type"]])
    data = bytearray(base[: t["length"]].ljust(t["length"], b"\0"))
    for at, patch in t["patches"]:
        data[at : at + len(patch) // 2] = bytes.fromhex(patch)
    assert len(data) == t["length"]
    if t["result"] == "valid":
        assert read(t["type"], bytes(data)).to_bytes() == bytes(data)
    else:
        with pytest.raises(getattr(errors, t["error"])) as caught:
            read(t["type"], bytes(data))
        assert caught.value.__cause__ is None
        assert len(str(caught.value)) < 100


@pytest.mark.slow
def test_generator_reproduces_the_file(tmp_path):
    spec = importlib.util.spec_from_file_location("he_paillier_generator", FOLDER / "gen" / "he_paillier.py")
    generator = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(generator)
    generator.main(tmp_path)
    assert (tmp_path / "paillier.json").read_bytes() == (FOLDER / "he" / "paillier.json").read_bytes()

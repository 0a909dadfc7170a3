"""The vectors of the second implementation, step by step, and their generator."""

import hashlib
import importlib.util
import json
from pathlib import Path

import numpy as np
import pytest

from sottovoce._ext import errors
from sottovoce.he import kahe
from sottovoce.he._kahe_public import expand_planes, seed

VECTORS = Path(__file__).parents[1] / "vectors"
CLIENT_FIELDS = {
    "tcId",
    "comment",
    "flags",
    "seed",
    "sender",
    "factor",
    "offset",
    "keyHead",
    "keySha256",
    "errorsSha256",
    "ciphertextHead",
    "ciphertextSha256",
    "sharesSha256",
    "proof",
    "result",
}


def load(name):
    return json.loads((VECTORS / "he" / name).read_text())


KAHE, DECODE = load("kahe.json"), load("decode.json")


def params_of(g):
    return kahe.Params(g["set"], g["nSlots"], g["valueBits"], g["maxSummands"], g["nMembers"], g["wireBits"])


def sha(array, kind):
    return hashlib.sha256(array.astype(kind).tobytes()).hexdigest()


def test_files_are_whole():
    assert KAHE["numberOfTests"] == sum(len(g["tests"]) for g in KAHE["testGroups"]) == 21
    assert DECODE["numberOfTests"] == len(DECODE["tests"])
    assert all(set(t) == CLIENT_FIELDS for g in KAHE["testGroups"] for t in g["tests"])


@pytest.mark.parametrize("g", KAHE["testGroups"], ids=lambda g: f"{g['set']}-{g['nSlots']}-{g['nMembers']}")
def test_clients_and_opening(g):
    params, context = params_of(g), bytes.fromhex(g["context"])
    assert seed(context).hex() == g["seedOfA"]
    assert (params.slots_per_coefficient, params.scale_bits) == (g["slots"], g["scaleBits"])
    a0 = expand_planes(params, context, 0, 1)[:, 0]
    assert a0[:, :4].tolist() == g["publicHead"]
    assert [sha(plane, "<u8") for plane in a0] == g["publicSha256"]
    total = kahe.CiphertextSum(params, context)
    sums = [kahe.ShareSum(params, j) for j in range(1, params.n_members + 1)]
    G = (1 << (params.value_bits - 1)) - 1
    for t in g["tests"]:
        values = (t["factor"] * np.arange(params.n_slots) + t["offset"]) % (2 * G + 1) - G
        key = kahe.OneTimeKey._generate_derand(params, context, bytes.fromhex(t["seed"]))
        assert key._key[:8].tolist() == t["keyHead"]
        assert sha(key._key, "i1") == t["keySha256"]
        c = key.encrypt(values)
        assert c.to_bytes()[:32].hex() == t["ciphertextHead"]
        assert c.digest.hex() == t["ciphertextSha256"]
        sender = bytes.fromhex(t["sender"])
        proof, shares = key.share(sender)
        assert [hashlib.sha256(s.to_bytes()).hexdigest() for s in shares] == t["sharesSha256"]
        assert proof.to_bytes().hex() == t["proof"]
        total.add(c)
        for s in shares:
            proof.verify(context, sender, c.digest, s)
            sums[s.index - 1].add(s)
    assert total.digest.hex() == g["sumSha256"]
    assert [hashlib.sha256(s.to_bytes()).hexdigest() for s in sums] == g["shareSumsSha256"]
    opened = kahe.open_sum(params, context, total, sums, 3)
    assert sha(opened.values, "<i8") == g["openedSha256"]
    assert 0 < g["maxResidual"] <= params.max_residual(3)
    assert max(g["residualSquares"]) <= params.max_square_sum(3)


READERS = {
    "Ciphertext": lambda d, p: kahe.Ciphertext.from_bytes(d, p),
    "CiphertextSum": lambda d, p: kahe.CiphertextSum.from_bytes(d, p, bytes(32)),
    "KeyShare": lambda d, p: kahe.KeyShare.from_bytes(d, p, 1),
    "DegreeProof": lambda d, p: kahe.DegreeProof.from_bytes(d, p),
    "ShareSum": lambda d, p: kahe.ShareSum.from_bytes(d, p, 1),
}


@pytest.mark.parametrize("t", DECODE["tests"], ids=lambda t: f"{t['tcId']}-{t['type']}-{t['comment']}")
def test_decoding(t):
    params = params_of(KAHE["testGroups"][0])
    data = bytearray(t["base"])
    for at, patch in t["patches"]:
        data[at : at + len(patch) // 2] = bytes.fromhex(patch)
    read = READERS[t["type"]]
    if t["result"] == "valid":
        assert read(bytes(data), params).to_bytes() == bytes(data)
    else:
        with pytest.raises(getattr(errors, t["error"])):
            read(bytes(data), params)


@pytest.mark.slow
def test_generator_reproduces_the_files(tmp_path):
    spec = importlib.util.spec_from_file_location("he_kahe_generator", VECTORS / "gen" / "he_kahe.py")
    generator = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(generator)
    generator.main(tmp_path)
    for name in ("kahe.json", "decode.json"):
        assert (tmp_path / name).read_bytes() == (VECTORS / "he" / name).read_bytes()

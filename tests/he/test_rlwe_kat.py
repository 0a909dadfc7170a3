"""The vectors of the second implementation, step by step; and both against each other on fresh ones."""

import hashlib
import importlib.util
import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from sottovoce._ext import errors, kernel
from sottovoce.he import _rlwe_public, rlwe
from sottovoce.he._random import Stream
from sottovoce.he._rlwe_secret import _keygen_derand
from support.rlwe_reference import Scheme
from support.rlwe_world import (
    ALL_SETS,
    decrypt,
    empty_sum,
    encrypt,
    make_params,
    noise_of,
    random_values,
    reference_key,
    scheme,
    secret_key,
)

VECTORS = Path(__file__).parents[1] / "vectors"
RLWE = json.loads((VECTORS / "he" / "rlwe.json").read_text())
FIELDS = {
    "group": {
        "set", "nSlots", "valueBits", "maxSummands", "maxSquareSum", "scaleBits", "slots", "dropBits",
        "keySeed", "seedOfA", "aSha256", "sHead", "sSha256", "eSha256", "keyId", "publicKeySha256",
        "secretKeySha256", "headerOfFirst", "sumSha256", "compressSeed", "compressedSha256", "openedSha256",
        "noiseSha256", "maxNoise", "maxNoiseCompressed", "tests",
    },
    "test": {
        "tcId", "comment", "flags", "seed", "factor", "offset", "weight", "uSha256", "e0Sha256",
        "e1Sha256", "c0Head", "c1Head", "ciphertextSha256", "result",
    },
}  # fmt: skip


def sha(array, kind):
    return hashlib.sha256(np.ascontiguousarray(array).astype(kind).tobytes()).hexdigest()


def group_key(g):
    return _keygen_derand(g["set"], bytes.fromhex(g["keySeed"]))


def group_params(g):
    return rlwe.Params(g["set"], g["nSlots"], g["valueBits"], g["maxSummands"], g["maxSquareSum"])


def group_values(g, t):
    G = (1 << (g["valueBits"] - 1)) - 1
    return (t["factor"] * np.arange(g["nSlots"]) + t["offset"]) % (2 * G + 1) - G


def test_the_file_is_whole():
    tests = [t for g in RLWE["testGroups"] for t in g["tests"]]
    assert RLWE["numberOfTests"] == len(tests) + len(RLWE["decoding"]) + len(RLWE["keys"])
    assert len(tests) == 18
    assert {g["set"] for g in RLWE["testGroups"]} == set(ALL_SETS)
    assert all(set(g) == FIELDS["group"] for g in RLWE["testGroups"])
    assert all(set(t) == FIELDS["test"] for t in tests)


@pytest.mark.parametrize("g", RLWE["testGroups"], ids=lambda g: f"{g['set']}-{g['nSlots']}")
def test_keys_ciphertexts_and_sums(g, monkeypatch):
    secret, params = group_key(g), group_params(g)
    public = secret.public_key
    assert (params.scale_bits, params.slots_per_coefficient) == (g["scaleBits"], g["slots"])
    assert list(params.drop_bits) == g["dropBits"]
    assert secret._seed.hex() == g["seedOfA"]
    assert secret._secret[:8].tolist() == g["sHead"]
    assert sha(secret._secret, "i1") == g["sSha256"]
    assert sha(secret._error, "i1") == g["eSha256"]
    assert public.key_id.hex() == g["keyId"]
    assert hashlib.sha256(public.to_bytes()).hexdigest() == g["publicKeySha256"]
    assert hashlib.sha256(secret.to_bytes()).hexdigest() == g["secretKeySha256"]
    # Every intermediate value on the way, seen where it passes.
    drawn, filled = [], []
    draw, fill = _rlwe_public.draw_ternary, Stream.fill

    def watch_draw(out, stream, raw):
        draw(out, stream, raw)
        drawn.append(out.copy())
        filled.clear()

    def watch_fill(self, out):
        fill(self, out)
        filled.append(out.copy())

    total = rlwe.CiphertextSum(params, public.key_id)
    for t in g["tests"]:
        us, e0s, e1s = [], [], []
        with monkeypatch.context() as patch:
            patch.setattr(_rlwe_public, "draw_ternary", watch_draw)
            patch.setattr(Stream, "fill", watch_fill)
            blocks = public._encrypt_block

            def watch_block(*args, blocks=blocks, us=us, e0s=e0s, e1s=e1s):
                blocks(*args)
                us.append(drawn.pop())
                e0s.append(cbd21(filled[0]))
                e1s.append(cbd21(filled[1]))

            patch.setattr(rlwe.PublicKey, "_encrypt_block", lambda _self, *args: watch_block(*args))
            c = public._encrypt_derand(group_values(g, t), params, 1, bytes.fromhex(t["seed"]))
        assert sha(np.concatenate(us), "i1") == t["uSha256"]
        assert sha(np.concatenate(e0s), "i1") == t["e0Sha256"]
        assert sha(np.concatenate(e1s), "i1") == t["e1Sha256"]
        assert hashlib.sha256(c.to_bytes()).hexdigest() == t["ciphertextSha256"]
        assert np.array_equal(secret.decrypt(c), group_values(g, t))
        total.add(c, t["weight"])
        if t is g["tests"][0]:
            assert c.to_bytes()[:80].hex() == g["headerOfFirst"]
    assert total.digest.hex() == g["sumSha256"]
    compressed = total._compress_derand(1, bytes.fromhex(g["compressSeed"]))
    assert compressed.digest.hex() == g["compressedSha256"]
    assert sha(secret.decrypt(total), "<i8") == g["openedSha256"]
    assert sha(secret.decrypt(compressed), "<i8") == g["openedSha256"]
    assert g["maxNoise"] <= params.max_noise(total.weight_sum, total.square_sum)
    assert g["maxNoiseCompressed"] <= params.max_noise(total.weight_sum, total.square_sum, 1)


def cbd21(raw):
    words = raw.view("<u8").tolist()
    return np.array([(w % 2**21).bit_count() - (w // 2**21 % 2**21).bit_count() for w in words])


@pytest.mark.parametrize("name", ALL_SETS)
@pytest.mark.parametrize(
    ("bits", "n", "squares", "weights"),
    [
        (16, 64, 64, (1, -1, 1)),
        (8, 64, 900, (-17, 3, 20)),
        pytest.param(4, 3, 6, (1, 1, 1), marks=pytest.mark.slow),
        pytest.param(24, 2, 5, (1, -1), marks=pytest.mark.slow),
    ],
)
def test_fresh_ciphertexts_against_the_reference(name, bits, n, squares, weights):
    # Random vectors, every byte of every step; the noise of the sum too.
    params = make_params(4200, name=name, value_bits=bits, max_summands=n, max_square_sum=squares)
    theirs = scheme(params)
    assert secret_key(name).to_bytes() == reference_key(name).secret_bytes
    assert secret_key(name).public_key.to_bytes() == reference_key(name).public_bytes
    total, made, expected = empty_sum(params), [], 0
    for i, weight in enumerate(weights):
        values = random_values(params, 10 * bits + i)
        c = encrypt(params, values, seed=i)
        made.append(theirs.encrypt(values.tolist(), i.to_bytes(32, "big"))["bytes"])
        assert c.to_bytes() == made[-1]
        total.add(c, weight)
        expected = expected + weight * values
    lossless = theirs.add(made, weights)
    assert total.to_bytes() == lossless
    compressed = total._compress_derand(1, bytes(32))
    assert compressed.to_bytes() == theirs.compress(lossless, bytes(32))
    for c in (total.to_ciphertext(), compressed):
        slots, noise = theirs.decrypt(c.to_bytes())
        assert slots[: params.n_slots] == expected.tolist()
        assert not any(slots[params.n_slots :])
        assert decrypt(c).tolist() == expected.tolist()
        assert noise_of(c, expected).tolist() == noise


def test_rejected_words_of_ternary_are_drawn_again_in_order():
    # One word in 65536 is rejected: a stream with many of them, against the definition.
    class Words:
        def __init__(self):
            rng = np.random.default_rng(3)
            self.words = rng.integers(0, 65536, 40000).astype("<u2")
            self.words[rng.random(40000) < 0.4] = 65535
            self.data, self.at = self.words.tobytes(), 0

        def read(self, n):
            self.at += n
            return self.data[self.at - n : self.at]

        def fill(self, out):
            out[:] = np.frombuffer(self.read(len(out)), np.uint8)

    from support.rlwe_reference import ternary

    ours, theirs = Words(), Words()
    out, raw = np.empty(10000, np.int64), np.empty(20000, np.uint8)
    _rlwe_public.draw_ternary(out, ours, raw)
    assert out.tolist() == ternary(theirs, 10000)
    assert ours.at == theirs.at > 2 * 16000


# -- decoding -----------------------------------------------------------------------------------
def bases():
    g = RLWE["testGroups"][0]
    secret, params, t = group_key(g), group_params(g), g["tests"][0]
    c = secret.public_key._encrypt_derand(group_values(g, t), params, 1, bytes.fromhex(t["seed"]))
    return params, {
        "Ciphertext": c.to_bytes(),
        "CiphertextSum": rlwe.add([c]).to_bytes(),
        "PublicKey": secret.public_key.to_bytes(),
        "SecretKey": secret.to_bytes(),
    }


PARAMS, BASES = bases()
READERS = {
    "Ciphertext": lambda d: rlwe.Ciphertext.from_bytes(d, PARAMS),
    "CiphertextSum": lambda d: rlwe.CiphertextSum.from_bytes(d, PARAMS),
    "PublicKey": rlwe.PublicKey.from_bytes,
    "SecretKey": rlwe.SecretKey.from_bytes,
}


@pytest.mark.parametrize("t", RLWE["decoding"], ids=lambda t: f"{t['tcId']}-{t['type']}-{t['comment']}")
def test_decoding(t):
    base = BASES[t["base"]]
    data = bytearray(base[: len(base) - t["cut"]] + bytes.fromhex(t["append"]))
    for at, patch in t["patches"]:
        data[at : at + len(patch) // 2] = bytes.fromhex(patch)
    read = READERS[t["type"]]
    if t["result"] == "valid":
        assert read(bytes(data)).to_bytes() == bytes(data)
        return
    with pytest.raises(getattr(errors, t["error"])) as caught:
        read(bytes(data))
    if t["type"] == "SecretKey":
        assert str(caught.value) == "secret key: not the encoding of a key"
    if t["type"] == "Ciphertext":  # the other way in, and nothing of it is added
        total = rlwe.CiphertextSum(PARAMS, bytes(data[8:40]).ljust(32, b"\0"))
        with pytest.raises((errors.DecodeError, errors.ParameterError)):
            total.add_bytes(data)
        assert not total._total.any()


@pytest.mark.parametrize("t", RLWE["keys"], ids=lambda t: t["comment"])
def test_keys_beyond_their_bounds_are_refused(t):
    data = bytes.fromhex(t["data"])
    if t["result"] == "valid":
        assert rlwe.SecretKey.from_bytes(data).to_bytes() == data
    else:
        with pytest.raises(getattr(errors, t["error"]), match="not the encoding of a key"):
            rlwe.SecretKey.from_bytes(data)


@pytest.mark.slow
def test_generator_reproduces_the_file(tmp_path):
    spec = importlib.util.spec_from_file_location("he_rlwe_generator", VECTORS / "gen" / "he_rlwe.py")
    generator = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(generator)
    generator.main(tmp_path)
    assert (tmp_path / "rlwe.json").read_bytes() == (VECTORS / "he" / "rlwe.json").read_bytes()


# -- every back end -----------------------------------------------------------------------------
FORCED = """
import hashlib, sys
sys.path.insert(0, sys.argv[1])
from support.rlwe_world import *
out = hashlib.sha256()
for name in ALL_SETS:
    for bits, n in ((16, 64), (8, 1024), (4, 3)):
        p = make_params(9000, name=name, value_bits=bits, max_summands=n, max_square_sum=n + 3)
        out.update(secret_key(name).to_bytes() + secret_key(name).public_key.to_bytes())
        total = empty_sum(p)
        for i, w in enumerate((1, -1)):
            c = encrypt(p, random_values(p, i), seed=i)
            out.update(c.to_bytes())
            total.add(c, w)
        out.update(total.to_bytes() + total._compress_derand(1, bytes(32)).to_bytes())
        out.update(decrypt(total).tobytes())
print(out.hexdigest())
"""


def test_every_back_end_makes_the_same_bytes():
    digests = {}
    for level in kernel.levels_available():
        environment = {**os.environ, "SOTTOVOCE_KERNEL": level}
        run = subprocess.run(
            [sys.executable, "-c", FORCED, str(VECTORS.parent)],
            capture_output=True,
            text=True,
            env=environment,
            check=True,
        )
        digests[level] = run.stdout.strip()
    assert len(set(digests.values())) == 1, digests
    assert len(digests["portable"]) == 64


def test_the_reference_sees_a_fault():
    # The comparison is no tautology: another scale is noticed.
    params = make_params(100)
    wrong = Scheme(reference_key(), 100, 16, 64, 64, params.scale_bits - 1, 1, *params.drop_bits)
    values = random_values(params)
    c = encrypt(params, values, seed=1)
    assert c.to_bytes() != wrong.encrypt(values.tolist(), (1).to_bytes(32, "big"))["bytes"]

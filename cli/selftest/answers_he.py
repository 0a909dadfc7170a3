"""Known answers of ``sottovoce.he``: keys, ciphertexts, sums, and encodings with one fault each."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import cache, partial
from typing import Any, Final

import numpy as np
from gmpy2 import mpz
from numpy.typing import NDArray

from ..._ext import errors
from ...he import kahe, paillier, rlwe
from ...he._kahe_public import expand_planes, seed
from ...he._rlwe_secret import _keygen_derand
from ..bench.areas import Area
from .answers import Vector, each, load, patched, raw, sha, tests
from .check import Case, known_answers
from .expect import refused, same, true

Read = Callable[[bytes], Any]


def _values(t: Vector, n: int, value_bits: int) -> NDArray[np.int64]:
    """The numbers that a vector encrypts, over the whole range."""
    most = (1 << (value_bits - 1)) - 1
    values: NDArray[np.int64] = (t["factor"] * np.arange(n) + t["offset"]) % (2 * most + 1) - most
    return values


def _decodes(t: Vector, data: bytes, read: Read) -> None:
    """A valid encoding comes back as it was, any other is refused by the error of the vector."""
    if t["result"] == "valid":
        same(read(data).to_bytes(), data, "encoding")
    else:
        refused(getattr(errors, t["error"]), lambda: read(data), "decoding")


# -- keys that add, with a committee --------------------------------------------------------------------


def _kahe_params(g: Vector) -> kahe.Params:
    return kahe.Params(g["set"], g["nSlots"], g["valueBits"], g["maxSummands"], g["nMembers"], g["wireBits"])


@known_answers(Area.HE, "committee encryption: keys, ciphertexts, shares and sums (big integers in Python)")
def committee() -> Iterator[Case]:
    def whole(g: Vector) -> None:
        params, context = _kahe_params(g), raw(g["context"])
        same(seed(context).hex(), g["seedOfA"], "seed of the public element")
        planes = expand_planes(params, context, 0, 1)[:, 0]
        same([sha(plane, "<u8") for plane in planes], g["publicSha256"], "public element")
        total = kahe.CiphertextSum(params, context)
        sums = [kahe.ShareSum(params, j) for j in range(1, params.n_members + 1)]
        for t in g["tests"]:
            key = kahe.OneTimeKey._generate_derand(params, context, raw(t["seed"]))
            same(sha(key._key, "i1"), t["keySha256"], "key")
            c = key.encrypt(_values(t, params.n_slots, params.value_bits))
            same(c.digest.hex(), t["ciphertextSha256"], "ciphertext")
            proof, shares = key.share(raw(t["sender"]))
            same([sha(s.to_bytes()) for s in shares], t["sharesSha256"], "shares")
            same(proof.to_bytes().hex(), t["proof"], "degree proof")
            total.add(c)
            for s in shares:
                proof.verify(context, raw(t["sender"]), c.digest, s)
                sums[s.index - 1].add(s)
        same(total.digest.hex(), g["sumSha256"], "sum of ciphertexts")
        same([sha(s.to_bytes()) for s in sums], g["shareSumsSha256"], "sums of shares")
        opened = kahe.open_sum(params, context, total, sums, len(g["tests"]))
        same(sha(opened.values, "<i8"), g["openedSha256"], "opened sum")

    for g in load("he/kahe.json")["testGroups"]:
        name = f"{g['set']}, {g['nSlots']} numbers, {g['nMembers']} members"
        yield name, partial(whole, g)


@known_answers(Area.HE, "committee encryption: encodings with one fault each")
def committee_decoding() -> Iterator[Case]:
    params = _kahe_params(load("he/kahe.json")["testGroups"][0])
    readers: dict[str, Read] = {
        "Ciphertext": lambda d: kahe.Ciphertext.from_bytes(d, params),
        "CiphertextSum": lambda d: kahe.CiphertextSum.from_bytes(d, params, bytes(32)),
        "KeyShare": lambda d: kahe.KeyShare.from_bytes(d, params, 1),
        "DegreeProof": lambda d: kahe.DegreeProof.from_bytes(d, params),
        "ShareSum": lambda d: kahe.ShareSum.from_bytes(d, params, 1),
    }

    def decoding(t: Vector) -> None:
        _decodes(t, patched(bytes(t["base"]), t["patches"]), readers[t["type"]])

    yield from each(tests(load("he/decode.json")), decoding)


# -- a public key ---------------------------------------------------------------------------------------


def _rlwe_params(g: Vector) -> rlwe.Params:
    return rlwe.Params(g["set"], g["nSlots"], g["valueBits"], g["maxSummands"], g["maxSquareSum"])


@known_answers(Area.HE, "public-key encryption: keys, ciphertexts and sums (big integers in Python)")
def public_key() -> Iterator[Case]:
    def whole(g: Vector) -> None:
        secret, params = _keygen_derand(g["set"], raw(g["keySeed"])), _rlwe_params(g)
        public = secret.public_key
        same(public.key_id.hex(), g["keyId"], "key id")
        same(sha(public.to_bytes()), g["publicKeySha256"], "public key")
        same(sha(secret.to_bytes()), g["secretKeySha256"], "secret key")
        total = rlwe.CiphertextSum(params, public.key_id)
        for t in g["tests"]:
            values = _values(t, g["nSlots"], g["valueBits"])
            c = public._encrypt_derand(values, params, 1, raw(t["seed"]))
            same(sha(c.to_bytes()), t["ciphertextSha256"], "ciphertext")
            same(secret.decrypt(c), values, "decrypted")
            total.add(c, t["weight"])
        same(total.digest.hex(), g["sumSha256"], "sum")
        compressed = total._compress_derand(1, raw(g["compressSeed"]))
        same(compressed.digest.hex(), g["compressedSha256"], "compressed sum")
        same(sha(secret.decrypt(total), "<i8"), g["openedSha256"], "decrypted sum")
        same(sha(secret.decrypt(compressed), "<i8"), g["openedSha256"], "decrypted compressed sum")

    for g in load("he/rlwe.json")["testGroups"]:
        yield f"{g['set']}, {g['nSlots']} numbers", partial(whole, g)


@known_answers(Area.HE, "public-key encryption: encodings with one fault each")
def public_key_decoding() -> Iterator[Case]:
    data = load("he/rlwe.json")
    g = data["testGroups"][0]
    secret, params, first = _keygen_derand(g["set"], raw(g["keySeed"])), _rlwe_params(g), g["tests"][0]
    values = _values(first, g["nSlots"], g["valueBits"])
    c = secret.public_key._encrypt_derand(values, params, 1, raw(first["seed"]))
    bases = {
        "Ciphertext": c.to_bytes(),
        "CiphertextSum": rlwe.add([c]).to_bytes(),
        "PublicKey": secret.public_key.to_bytes(),
        "SecretKey": secret.to_bytes(),
    }
    readers: dict[str, Read] = {
        "Ciphertext": lambda d: rlwe.Ciphertext.from_bytes(d, params),
        "CiphertextSum": lambda d: rlwe.CiphertextSum.from_bytes(d, params),
        "PublicKey": rlwe.PublicKey.from_bytes,
        "SecretKey": rlwe.SecretKey.from_bytes,
    }

    def decoding(t: Vector) -> None:
        base = bases[t["base"]]
        cut = base[: len(base) - t["cut"]] + raw(t["append"])
        _decodes(t, patched(cut, t["patches"]), readers[t["type"]])

    yield from each(data["decoding"], decoding)
    yield from each(data["keys"], lambda t: _decodes(t, raw(t["data"]), rlwe.SecretKey.from_bytes))


# -- Paillier -------------------------------------------------------------------------------------------

_TOY: Final = "TOY"


@cache
def _paillier_key(name: str) -> paillier.SecretKey:
    (k,) = (k for k in load("he/paillier.json")["keys"] if k["name"] == name)
    p, q, hs = (mpz(int(k[part], 16)) for part in ("p", "q", "hs"))
    return paillier.SecretKey._of(p, q, hs, k["exponentBits"])


@known_answers(Area.HE, "Paillier: ciphertexts and sums (pow of Python)")
def packed_paillier() -> Iterator[Case]:
    data = load("he/paillier.json")

    def ciphertext(t: Vector) -> None:
        secret = _paillier_key(t["key"])
        sizes = (t["nValues"], t["valueBits"], t["maxSummands"])
        params = paillier.Params(*sizes, secret.public_key.bits, t["slots"])
        same(params.to_bytes().hex(), t["params"], "parameters")
        n_bytes = secret.public_key.exponent_bits // 8
        alphas = b"".join(int(a, 16).to_bytes(n_bytes, "little") for a in t["alphas"])
        exponents = np.frombuffer(alphas, np.uint8).reshape(-1, n_bytes).copy()
        values = _values(t, t["nValues"], t["valueBits"])
        c = secret.public_key._encrypt_derand(values, params, exponents)
        same(c.to_bytes().hex(), t["ciphertext"], "ciphertext")
        doubled = paillier.add([c, c])
        same(sha(doubled.to_bytes()), t["doubledSha256"], "sum with itself")
        same(secret.decrypt(doubled), 2 * values, "decrypted sum")

    # The toy key of the suite is one that the package itself refuses.
    cases = [t for t in data["tests"] if not t["key"].startswith(_TOY)]
    true(cases, "no case with a key of a real length")
    yield from each(cases, ciphertext)


@known_answers(Area.HE, "Paillier: encodings with one fault each")
def paillier_decoding() -> Iterator[Case]:
    data = load("he/paillier.json")
    public = _paillier_key(data["decodeKey"]).public_key
    params = paillier.Params.from_bytes(raw(data["decodeBases"]["Params"]))
    readers: dict[str, Read] = {
        "Ciphertext": lambda d: paillier.Ciphertext.from_bytes(d, public, params),
        "Params": paillier.Params.from_bytes,
        "PublicKey": paillier.PublicKey.from_bytes,
        "SecretKey": paillier.SecretKey.from_bytes,
    }

    def decoding(t: Vector) -> None:
        base = raw(data["decodeBases"][t["type"]])[: t["length"]].ljust(t["length"], b"\0")
        _decodes(t, patched(base, t["patches"]), readers[t["type"]])

    yield from each(data["decodeTests"], decoding)

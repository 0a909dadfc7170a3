"""Ciphertexts, keys, shares and layouts of all three schemes of additive encryption."""

import io
from functools import cache

import numpy as np

from fuzz import world
from fuzz.core import Target
from sottovoce import he
from sottovoce.he import kahe, keyfile, paillier, rlwe
from support import rlwe_world

CONTEXT = bytes(range(32))
MEMBER = 1


def values(params) -> np.ndarray:
    return np.arange(params.n_slots) - 7


@cache
def contributions() -> list[tuple[kahe.Ciphertext, kahe.DegreeProof, kahe.KeyShare]]:
    """Three clients' ciphertexts, proofs and shares for one member."""
    params, found = world.kahe_params(), []
    for i in range(3):
        key = kahe.OneTimeKey._generate_derand(params, CONTEXT, bytes([i]) * 32)
        ciphertext = key.encrypt(values(params))
        proof, shares = key.share(bytes([i]) * 16)
        found.append((ciphertext, proof, shares[MEMBER - 1]))
    return found


def sum_of_shares() -> kahe.ShareSum:
    total = kahe.ShareSum(world.kahe_params(), MEMBER)
    for _, _, share in contributions():
        total.add(share)
    return total


def sum_of_ciphertexts() -> bytes:
    total = kahe.CiphertextSum(world.kahe_params(), CONTEXT)
    for ciphertext, _, _ in contributions():
        total.add(ciphertext)
    return total.to_bytes()


def read_kahe_sum(data: bytes) -> bytes:
    params = world.kahe_params()
    total = kahe.CiphertextSum.from_bytes(data, params, CONTEXT)
    streamed = kahe.CiphertextSum.read_from(io.BytesIO(data), params, CONTEXT)
    assert streamed.digest == total.digest
    return total.to_bytes()


@cache
def rlwe_ciphertext() -> rlwe.Ciphertext:
    params = world.rlwe_params()
    return rlwe_world.encrypt(params, values(params), seed=1)


def rlwe_sum() -> bytes:
    total = rlwe_world.empty_sum(world.rlwe_params())
    total.add(rlwe_ciphertext())
    return total.to_bytes()


def read_rlwe(data: bytes) -> bytes:
    ciphertext = rlwe.Ciphertext.from_bytes(data, world.rlwe_params())
    total = rlwe_world.empty_sum(world.rlwe_params())
    if ciphertext.key_id == total.key_id:
        total.add(ciphertext)
    return ciphertext.to_bytes()


@cache
def paillier_ciphertext() -> bytes:
    params = world.paillier_params()
    public = world.paillier_key().public_key
    return public.encrypt(values(params), params).to_bytes()


def read_paillier(data: bytes) -> bytes:
    public, params = world.paillier_key().public_key, world.paillier_params()
    return paillier.Ciphertext.from_bytes(data, public, params).to_bytes()


def read_key_body(data: bytes) -> bytes | None:
    from sottovoce._ext.enc import enc

    key = keyfile._decode(data)
    if key is None:
        return None
    scheme = next(name for name, kind in keyfile._KINDS.items() if type(key) is kind)
    return enc(keyfile._TAG, scheme, key.to_bytes())


def key_bodies() -> list[bytes]:
    from sottovoce._ext.enc import enc

    keys = {"rlwe": rlwe_world.secret_key(), "paillier": world.paillier_key()}
    return [enc(keyfile._TAG, scheme, key.to_bytes()) for scheme, key in keys.items()]


TARGETS = [
    Target(
        "he/layout",
        lambda data: he.ModelLayout.from_bytes(data).to_bytes(),
        of=("he.layout.ModelLayout",),
        made=lambda: [he.ModelLayout.of(world.MODEL).to_bytes()],
        tries=200,
    ),
    Target(
        "he/kahe-ciphertext",
        lambda data: kahe.Ciphertext.from_bytes(data, world.kahe_params()).to_bytes(),
        of=("he._kahe_cipher.Ciphertext",),
        made=lambda: [contributions()[0][0].to_bytes()],
    ),
    Target(
        "he/kahe-sum",
        read_kahe_sum,
        of=("he._kahe_cipher.CiphertextSum",),
        made=lambda: [sum_of_ciphertexts()],
    ),
    Target(
        "he/kahe-share",
        lambda data: kahe.KeyShare.from_bytes(data, world.kahe_params(), MEMBER).to_bytes(),
        of=("he._kahe_shares.KeyShare",),
        made=lambda: [contributions()[0][2].to_bytes()],
    ),
    Target(
        "he/kahe-proof",
        lambda data: kahe.DegreeProof.from_bytes(data, world.kahe_params()).to_bytes(),
        of=("he._kahe_shares.DegreeProof",),
        made=lambda: [contributions()[0][1].to_bytes()],
    ),
    Target(
        "he/kahe-share-sum",
        lambda data: kahe.ShareSum.from_bytes(data, world.kahe_params(), MEMBER).to_bytes(),
        of=("he._kahe_shares.ShareSum",),
        made=lambda: [sum_of_shares().to_bytes()],
    ),
    Target(
        "he/rlwe-ciphertext",
        read_rlwe,
        of=("he._rlwe_cipher.Ciphertext",),
        made=lambda: [rlwe_ciphertext().to_bytes(), rlwe_sum()],
    ),
    Target(
        "he/rlwe-sum",
        lambda data: rlwe.CiphertextSum.from_bytes(data, world.rlwe_params()).to_bytes(),
        of=("he._rlwe_sum.CiphertextSum",),
        made=lambda: [rlwe_sum()],
    ),
    Target(
        "he/rlwe-public-key",
        lambda data: rlwe.PublicKey.from_bytes(data).to_bytes(),
        of=("he._rlwe_public.PublicKey",),
        made=lambda: [rlwe_world.secret_key().public_key.to_bytes()],
    ),
    Target(
        "he/rlwe-secret-key",
        lambda data: rlwe.SecretKey.from_bytes(data).to_bytes(),
        of=("he._rlwe_secret.SecretKey",),
        made=lambda: [rlwe_world.secret_key().to_bytes()],
        tries=20,
    ),
    Target(
        "he/paillier-params",
        lambda data: paillier.Params.from_bytes(data).to_bytes(),
        of=("he._paillier_params.Params",),
        made=lambda: [world.paillier_params().to_bytes()],
    ),
    Target(
        "he/paillier-ciphertext",
        read_paillier,
        of=("he._paillier_cipher.Ciphertext",),
        made=lambda: [paillier_ciphertext()],
        random="../vectors/he/paillier.json",
    ),
    Target(
        "he/paillier-public-key",
        lambda data: paillier.PublicKey.from_bytes(data).to_bytes(),
        of=("he._paillier_public.PublicKey",),
        made=lambda: [world.paillier_key().public_key.to_bytes()],
        tries=20,
    ),
    Target(
        "he/paillier-secret-key",
        lambda data: paillier.SecretKey.from_bytes(data).to_bytes(),
        of=("he._paillier_secret.SecretKey",),
        made=lambda: [world.paillier_key().to_bytes()],
        tries=5,
    ),
    Target("he/key-body", read_key_body, (), made=key_bodies, tries=5),
]

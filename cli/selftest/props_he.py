"""Properties of ``sottovoce.he``: the sum that is opened is the sum of the vectors, bit for bit."""

from __future__ import annotations

import functools
import random
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from ..._ext import errors
from ...he import SETS, Codec, kahe, paillier, rlwe
from ..bench.areas import Area
from .check import holds_for
from .expect import flipped, refused, same, true

_CONTEXT: Final = bytes(range(32))
_WEIGHTS: Final = (1, -1, 2, -3, 7)


def _vectors(seed: int, count: int, n: int, value_bits: int) -> NDArray[np.int64]:
    """Vectors over the whole range, the extremes among them."""
    most = (1 << (value_bits - 1)) - 1
    rng = np.random.default_rng(seed)
    made = rng.integers(-most, most, (count, n), np.int64, endpoint=True)
    made[:, 0] = most if seed % 2 else -most
    return made


def _sender(index: int) -> bytes:
    return index.to_bytes(16, "big")


def _round(params: kahe.Params, vectors: NDArray[np.int64]) -> tuple[kahe.CiphertextSum, list[kahe.ShareSum]]:
    """Every client and member of a round, with bytes between them."""
    total = kahe.CiphertextSum(params, _CONTEXT)
    sums = [kahe.ShareSum(params, j) for j in range(1, params.n_members + 1)]
    for index, vector in enumerate(vectors):
        key = kahe.OneTimeKey.generate(params, _CONTEXT)
        ciphertext = kahe.Ciphertext.from_bytes(key.encrypt(vector).to_bytes(), params)
        total.add(ciphertext)
        proof, shares = key.share(_sender(index))
        for share in shares:
            received = kahe.KeyShare.from_bytes(share.to_bytes(), params, share.index)
            proof.verify(_CONTEXT, _sender(index), ciphertext.digest, received)
            sums[share.index - 1].add(received, _sender(index))
    return total, sums


@holds_for(
    Area.HE,
    "any t of n members open the exact sum; t - 1 do not, and a member that answers wrongly is named",
    lambda st: {
        "name": st.sampled_from(sorted(SETS)),
        "n_slots": st.integers(1, 3000),
        "value_bits": st.integers(4, 20),
        "n_members": st.integers(4, 7),
        "clients": st.integers(3, 5),
        "seed": st.integers(0, 2**32),
    },
    most=50,
)
def committee_sums(name: str, n_slots: int, value_bits: int, n_members: int, clients: int, seed: int) -> None:
    params = kahe.Params(name, n_slots, value_bits, 16, n_members)
    vectors = _vectors(seed, clients, n_slots, value_bits)
    total, sums = _round(params, vectors)
    answers = [kahe.ShareSum.from_bytes(s.to_bytes(), params, j) for j, s in enumerate(sums, 1)]
    expected, t = vectors.sum(axis=0), params.threshold
    chosen = random.Random(seed).sample(answers, t)  # noqa: S311 - which members answer
    same(kahe.open_sum(params, _CONTEXT, total, chosen, clients).values, expected, "sum of t answers")
    few = chosen[: t - 1]
    refused(
        errors.TooManyErasures, lambda: kahe.open_sum(params, _CONTEXT, total, few, clients), "t - 1 answers"
    )
    liar = seed % n_members
    wrong = bytearray(answers[liar].to_bytes())
    wrong[4] ^= 1  # of the first share; the number of contributors comes before it
    lying = [*answers[:liar], kahe.ShareSum.from_bytes(bytes(wrong), params, liar + 1), *answers[liar + 1 :]]
    opened = kahe.open_sum(params, _CONTEXT, total, lying, clients)
    same(opened.values, expected, "sum beside a wrong answer")
    same(opened.wrong_members + opened.suspect_members, (liar + 1,), "members that answered wrongly")


@holds_for(
    Area.HE,
    "a share with one changed bit fails its proof",
    lambda st: {
        "n_slots": st.integers(1, 200),
        "member": st.integers(1, 4),
        "bit": st.integers(0, 2**20),
        "seed": st.integers(0, 2**32),
    },
)
def altered_shares(n_slots: int, member: int, bit: int, seed: int) -> None:
    params = kahe.Params("RLWE_128_N2048_Q50", n_slots, 16, 16, 4)
    key = kahe.OneTimeKey.generate(params, _CONTEXT)
    ciphertext = key.encrypt(_vectors(seed, 1, n_slots, 16)[0])
    proof, shares = key.share(_sender(0))
    altered = flipped(shares[member - 1].to_bytes(), bit)

    def take() -> None:
        share = kahe.KeyShare.from_bytes(altered, params, member)
        proof.verify(_CONTEXT, _sender(0), ciphertext.digest, share)

    refused((errors.ProofError, errors.DecodeError), take, "an altered share")
    good = shares[member - 1]
    proof.verify(_CONTEXT, _sender(0), ciphertext.digest, good)
    refused(
        errors.ProofError,
        lambda: proof.verify(_CONTEXT, _sender(1), ciphertext.digest, good),
        "a share of another sender",
    )


@functools.cache
def _rlwe_key(name: str) -> rlwe.SecretKey:
    return rlwe.keygen(name)


@holds_for(
    Area.HE,
    "a weighted sum under a public key opens exactly, compressed or not",
    lambda st: {
        "name": st.sampled_from(sorted(SETS)),
        "n_slots": st.integers(1, 3000),
        "value_bits": st.integers(4, 20),
        "clients": st.integers(1, 5),
        "seed": st.integers(0, 2**32),
    },
    most=50,
)
def public_key_sums(name: str, n_slots: int, value_bits: int, clients: int, seed: int) -> None:
    secret, weights = _rlwe_key(name), np.array(_WEIGHTS[:clients])
    public = rlwe.PublicKey.from_bytes(secret.public_key.to_bytes())
    params = rlwe.Params(name, n_slots, value_bits, 16, 80)
    vectors = _vectors(seed, clients, n_slots, value_bits)
    total = rlwe.CiphertextSum(params, public.key_id)
    for vector, weight in zip(vectors, weights.tolist(), strict=True):
        total.add_bytes(public.encrypt(vector, params).to_bytes(), weight)
    expected = weights @ vectors
    same(secret.decrypt(total), expected, "sum")
    compressed = rlwe.Ciphertext.from_bytes(total.compress().to_bytes(), params)
    same(secret.decrypt(compressed), expected, "compressed sum")


@functools.cache
def _paillier_key() -> paillier.SecretKey:
    return paillier.keygen(2048)


@holds_for(
    Area.HE,
    "a weighted sum under Paillier opens exactly",
    lambda st: {
        "n_slots": st.integers(1, 300),
        "value_bits": st.integers(4, 24),
        "clients": st.integers(1, 4),
        "seed": st.integers(0, 2**32),
    },
    most=25,
)
def paillier_sums(n_slots: int, value_bits: int, clients: int, seed: int) -> None:
    secret, weights = _paillier_key(), np.array(_WEIGHTS[:clients])
    params = paillier.Params(n_slots, value_bits, 16, 2048)
    vectors = _vectors(seed, clients, n_slots, value_bits)
    made = [secret.public_key.encrypt(vector, params) for vector in vectors]
    read = [paillier.Ciphertext.from_bytes(c.to_bytes(), secret.public_key, params) for c in made]
    total = paillier.add(read, weights.tolist())
    same(secret.decrypt(total), weights @ vectors, "sum")
    same(secret.decrypt(total.rerandomize()), weights @ vectors, "randomised sum")


def _altered(st: Any) -> dict[str, Any]:
    return {
        "kind": st.sampled_from(["committee", "public key", "sum", "share"]),
        "places": st.lists(st.tuples(st.integers(0, 2**20), st.integers(1, 255)), max_size=3),
        "cut": st.integers(0, 1),
    }


@functools.cache
def _encodings() -> dict[str, tuple[bytes, Any]]:
    committee = kahe.Params("RLWE_128_N2048_Q50", 100, 16, 16, 4)
    total, sums = _round(committee, _vectors(1, 3, 100, 16))
    public = rlwe.Params("RLWE_128_N2048_Q50", 100, 16, 16)
    key = _rlwe_key("RLWE_128_N2048_Q50").public_key
    single = key.encrypt(_vectors(1, 1, 100, 16)[0], public)
    return {
        "committee": (total.to_bytes(), lambda d: kahe.CiphertextSum.from_bytes(d, committee, _CONTEXT)),
        "public key": (single.to_bytes(), lambda d: rlwe.Ciphertext.from_bytes(d, public)),
        "sum": (rlwe.add([single]).to_bytes(), lambda d: rlwe.CiphertextSum.from_bytes(d, public)),
        "share": (sums[0].to_bytes(), lambda d: kahe.ShareSum.from_bytes(d, committee, 1)),
    }


@holds_for(
    Area.HE, "what is read as a ciphertext or a sum is written as the same bytes, or it is refused", _altered
)
def one_encoding(kind: str, places: list[tuple[int, int]], cut: int) -> None:
    good, read = _encodings()[kind]
    same(read(good).to_bytes(), good, kind)
    data = bytearray(good)
    for place, change in places:
        data[place % len(data)] ^= change
    altered = bytes(data[: len(data) - cut])
    try:
        made = read(altered)
    except errors.SottovoceError:
        return
    same(made.to_bytes(), altered, f"altered {kind}")


@holds_for(
    Area.HE,
    "numbers come back from the codec within half a step, and a mean within a step",
    lambda st: {
        "clip": st.floats(1e-3, 1e3),
        "value_bits": st.integers(4, 24),
        "length": st.integers(1, 400),
        "clients": st.integers(1, 5),
        "seed": st.integers(0, 2**32),
    },
)
def codec_rounds(clip: float, value_bits: int, length: int, clients: int, seed: int) -> None:
    rng = np.random.default_rng(seed)
    x = rng.standard_normal((clients, length)) * clip
    clipped = np.clip(x, -clip, clip)
    nearest, stochastic = (Codec(clip, value_bits, 16, rounding) for rounding in ("nearest", "stochastic"))
    step = clip / nearest.max_weight * (1 + 1e-9)
    for vector, right in zip(x, clipped, strict=True):
        integers = nearest.quantize(vector)
        true(int(np.abs(integers).max()) <= nearest.max_weight, "an integer beyond its bits")
        error = float(np.abs(nearest.dequantize(integers, 1)[0] - right).max())
        true(error <= step / 2, f"off by {error / step:.3f} steps")
    total = np.sum([stochastic.quantize(vector) for vector in x], axis=0)
    error = float(np.abs(stochastic.dequantize(total, clients)[0] - clipped.mean(axis=0)).max())
    true(error <= step, f"the mean is off by {error / step:.3f} steps")

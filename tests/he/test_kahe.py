"""Encrypt, share, add, open: what works, and what a one-time key refuses."""

import inspect
from itertools import combinations

import numpy as np
import pytest

from sottovoce._ext.errors import (
    OverflowDetected,
    ParameterError,
    ProofError,
    TooManyErasures,
)
from sottovoce.he import SETS, Codec, kahe
from sottovoce.he._kahe_public import CACHE_BYTES, _cache, expand_planes, public_planes, seed
from support.he_reference import sha
from support.he_world import ALL_SETS, CONTEXT, World, extreme, make_params, random_values


@pytest.fixture(scope="module")
def world():
    return World(make_params(2500, n_members=5)).fill(6)


def test_the_sum_opens_to_the_sum(world):
    opened = world.open()
    assert opened.values.dtype == np.int64
    assert np.array_equal(opened.values, world.expected())
    assert opened.n_contributors == 6
    assert opened.wrong_members == opened.suspect_members == ()


@pytest.mark.parametrize("name", ALL_SETS)
@pytest.mark.parametrize("n_slots", [1, 5, -1, 0, 3 + (17 << 11)])
def test_every_shape_and_set(name, n_slots):
    if n_slots <= 1:  # around a whole ring element
        n_slots += make_params(name=name)._slots
    world = World(make_params(n_slots, name=name)).fill(3)
    assert np.array_equal(world.open().values, world.expected())


@pytest.mark.parametrize("name", ALL_SETS)
@pytest.mark.parametrize("bits", [4, 8, 16, 24])
def test_every_width_of_values(name, bits):
    world = World(make_params(50, name=name, value_bits=bits)).fill(4)
    assert np.array_equal(world.open().values, world.expected())


def test_one_summand_more_than_a_power_of_two():
    world = World(make_params(50, max_summands=5)).fill(5)
    assert np.array_equal(world.open().values, world.expected())


# Bits a value and summands: the default, one slot to many, and 24 bits, where Q80 and Q72 scale by one less.
@pytest.mark.parametrize("name", ALL_SETS)
@pytest.mark.parametrize(("bits", "summands"), [(16, 64), (4, 5), (24, 20)])
@pytest.mark.parametrize("pattern", ["plus", "minus", "alternating", "pairs"])
def test_extremes_open_exactly(name, bits, summands, pattern):
    params = make_params(2 * SETS[name].N - 1, name=name, value_bits=bits, max_summands=summands)
    world = World(params)
    at = np.arange(params.n_slots)
    signs = {"plus": 1, "minus": -1, "alternating": (-1) ** at, "pairs": (-1) ** (at // 2)}[pattern]
    for _ in range(params.max_summands):
        world.join(np.full(params.n_slots, extreme(params)) * signs)
    assert np.array_equal(world.open().values, summands * extreme(params) * signs * np.ones_like(at))


def test_alternating_clients_cancel():
    params = make_params(2048)
    world = World(params)
    for i in range(params.max_summands):
        world.join(np.full(2048, extreme(params) * (-1) ** i))
    assert not world.open().values.any()


@pytest.mark.parametrize("n", [3, 4, 5, 7])
def test_every_committee_of_t_opens(n):
    world = World(make_params(60, n_members=n)).fill(3)
    t = world.params.threshold
    for members in combinations(range(1, n + 1), t):
        assert np.array_equal(world.open(world.share_sums(members[::-1])).values, world.expected())
    for members in combinations(range(1, n + 1), t - 1):
        with pytest.raises(TooManyErasures) as caught:
            world.open(world.share_sums(members))
        assert (caught.value.needed, caught.value.present) == (t, t - 1)


def test_codec_to_mean():
    codec = Codec(0.1, max_summands=64)
    world = World(make_params(301, max_summands=64))
    rng = np.random.default_rng(7)
    xs = [rng.normal(scale=0.05, size=300) for _ in range(5)]
    for x in xs:
        world.join(codec.quantize(x))
    mean, weights = codec.dequantize(world.open().values, 5)
    assert weights == 5 * codec.max_weight
    assert np.abs(mean - np.mean(np.clip(xs, -0.1, 0.1), axis=0)).max() < 0.1 / codec.max_weight


# -- public elements ----------------------------------------------------------------------------
def test_the_seed_is_the_hash_of_the_context_and_nobodys_choice():
    # attack: who chooses the seed of a chooses one that reveals keys.
    assert seed(CONTEXT) == sha("SOTTOVOCE-V1-KAHE-SEED", CONTEXT)
    fields = set(inspect.signature(kahe.Params).parameters)
    assert fields == {"set", "n_slots", "value_bits", "max_summands", "n_members", "wire_bits"}
    assert list(inspect.signature(kahe.OneTimeKey.generate).parameters) == ["params", "context"]


def test_another_context_or_set_has_other_elements_and_does_not_open(world):
    other = bytes(31) + b"\1"
    assert not np.array_equal(
        expand_planes(world.params, CONTEXT, 0, 1), expand_planes(world.params, other, 0, 1)
    )
    total = kahe.CiphertextSum(world.params, other)
    for c in world.ciphertexts:
        total.add(c)
    with pytest.raises(OverflowDetected):
        kahe.open_sum(world.params, other, total, world.share_sums(), 6)
    for bad in (bytes(31), bytes(33), b""):
        with pytest.raises(ParameterError):
            kahe.OneTimeKey.generate(world.params, bad)
    with pytest.raises(TypeError):
        kahe.OneTimeKey.generate(world.params, "x" * 32)


@pytest.mark.parametrize("name", ALL_SETS)
def test_cached_elements_are_those_expanded_and_read_only(name):
    params = make_params(5 * make_params(name=name)._slots, name=name)
    primes = SETS[name].primes
    cached = public_planes(params, CONTEXT, 1, 3)
    assert cached.shape == (len(primes), 3, params.N)
    assert np.array_equal(cached, expand_planes(params, CONTEXT, 1, 3))
    assert np.array_equal(expand_planes(params, CONTEXT, 0, 5)[:, 1:4], cached)
    with pytest.raises(ValueError, match="read-only"):
        cached[0, 0, 0] = 1
    for plane, q in zip(cached, primes, strict=True):
        assert (plane < q).all()


def test_the_cache_is_bounded():
    params = make_params(2048 * 1000)  # 16 MiB a round
    for i in range(6):
        public_planes(params, bytes([i]) * 32, 0, 1)
    assert sum(a.nbytes for a, _ in _cache.values()) <= CACHE_BYTES
    huge = make_params(2048 * 5000)
    public_planes(huge, CONTEXT, 4990, 2)
    assert all(key[2] != huge.n_elements for key in _cache)
    _cache.clear()


# -- degree proof -------------------------------------------------------------------------------
def test_every_member_accepts_an_honest_proof(world):
    for i, (c, proof, shares) in enumerate(zip(world.ciphertexts, world.proofs, world.shares, strict=True)):
        for share in shares:
            again = kahe.KeyShare.from_bytes(share.to_bytes(), world.params, share.index)
            kahe.DegreeProof.from_bytes(proof.to_bytes(), world.params).verify(
                CONTEXT, world.sender(i), c.digest, again
            )


def test_proof_binds_context_sender_ciphertext_index_and_client(world):
    proof, share, digest = world.proofs[0], world.shares[0][0], world.ciphertexts[0].digest
    me = world.sender(0)
    wrong_index = kahe.KeyShare.from_bytes(share.to_bytes(), world.params, 2)
    for arguments in (
        (bytes(32), me, digest, share),
        (CONTEXT, b"somebody else", digest, share),
        (CONTEXT, me, world.ciphertexts[1].digest, share),
        (CONTEXT, me, digest, wrong_index),
        (CONTEXT, me, digest, world.shares[1][0]),
    ):
        with pytest.raises(ProofError, match="does not match the degree proof"):
            proof.verify(*arguments)
    for arguments, error in (
        ((bytes(31), me, digest, share), ParameterError),
        ((CONTEXT, b"", digest, share), ParameterError),
        ((CONTEXT, me, digest[:31], share), ParameterError),
        ((CONTEXT, me, "x", share), TypeError),
        ((CONTEXT, me, digest, b"x"), TypeError),
    ):
        with pytest.raises(error):
            proof.verify(*arguments)
    with pytest.raises(ParameterError):
        proof.verify(CONTEXT, me, digest, World(make_params(10, n_members=5)).fill(1).shares[0][0])


@pytest.mark.parametrize("at", [0, 31, 32, 47, 48, 48 + 4 * 2047])
def test_any_altered_byte_of_a_share_is_found(world, at):
    data = bytearray(world.shares[0][2].to_bytes())
    data[at] ^= 1
    share = kahe.KeyShare.from_bytes(bytes(data), world.params, 3)
    with pytest.raises(ProofError):
        world.proofs[0].verify(CONTEXT, world.sender(0), world.ciphertexts[0].digest, share)


@pytest.mark.parametrize("at", [0, 32 * 2, 32 * 4 + 31, 32 * 5, 32 * 5 + 63])
def test_any_altered_byte_of_a_proof_is_found(world, at):
    data = bytearray(world.proofs[0].to_bytes())
    data[at] ^= 1
    proof = kahe.DegreeProof.from_bytes(bytes(data), world.params)
    with pytest.raises(ProofError):
        # Every byte is hashed into gamma or compared, so it fails for a member other than the one hit.
        proof.verify(CONTEXT, world.sender(0), world.ciphertexts[0].digest, world.shares[0][3])


# -- honest limits ------------------------------------------------------------------------------
def test_a_member_below_the_threshold_learns_nothing_from_its_sum():
    # t - 1 shares are uniform whatever the key: 64 equal bins, and every pair of members jointly.
    params = make_params(10, n_members=4)
    world = World(params)
    for i in range(40):
        world.join(np.zeros(10, np.int64), seed=bytes([i]) * 32)
    shares = [[np.frombuffer(s.to_bytes(), "<u4", offset=48) for s in client] for client in world.shares]
    for members in combinations(range(4), params.threshold - 1):
        columns = [np.concatenate([client[j] for client in shares]) >> np.uint32(28) for j in members]
        joint = columns[0] * 8 + columns[1]
        counts = np.bincount(joint.astype(int), minlength=64)
        expected = len(joint) / 64
        chi2 = ((counts - expected) ** 2 / expected).sum()
        assert 20 < chi2 < 130  # 63 degrees of freedom: beyond 6 standard deviations otherwise


def test_random_values_cover_the_extremes():
    params = make_params(100_000, value_bits=4)
    values = random_values(params, np.random.default_rng(1))
    assert (values.min(), values.max()) == (-7, 7)

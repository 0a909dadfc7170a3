"""Attacks on ways of building ``he.kahe`` that were not taken, and on slots: each works, and is closed.

The rest of the attacks of docs/he.md is in test_kahe_attacks.py.
"""

import inspect
from collections import Counter
from math import comb

import numpy as np
import pytest

from sottovoce._ext.errors import OverflowDetected, ParameterError
from sottovoce.he import SETS, Codec, _kahe_key, kahe
from support.he_reference import Round, nearest, split
from support.he_world import ALL_SETS, CONTEXT, Q40, Q50, Q72, Q80, Q100, World, extreme, make_params


def reference_of(p):
    return Round(p.set, p.n_slots, p.value_bits, p.max_summands, p.n_members, p.wire_bits, CONTEXT)


# -- attack: a chosen seed ----------------------------------------------------------------------
@pytest.mark.parametrize("name", ALL_SETS)
def test_who_chooses_the_public_elements_reads_every_vector(name, monkeypatch):
    # Zero is the plainest choice; a small multiple of a known element would do and look random.
    params = make_params(100, name=name)
    values = np.random.default_rng(1).integers(-extreme(params), extreme(params), 100)
    monkeypatch.setattr(
        _kahe_key, "public_planes", lambda p, _, __, count: np.zeros_like(p._ring.empty(count))
    )
    data = kahe.OneTimeKey.generate(params, CONTEXT).encrypt(values).to_bytes()
    assert np.array_equal(_read_without_key(params, data), values)
    monkeypatch.undo()
    # Nobody chooses: the seed is the hash of the round's context, and no argument or field is another.
    honest = kahe.OneTimeKey.generate(params, CONTEXT).encrypt(values).to_bytes()
    assert not np.array_equal(_read_without_key(params, honest), values)
    for made in (kahe.Params, kahe.OneTimeKey.generate, kahe.OneTimeKey.encrypt, kahe.open_sum):
        assert not any(
            "seed" in name or name in ("a", "nonce") for name in inspect.signature(made).parameters
        )


def _read_without_key(params, data):
    reference, half = reference_of(params), 1 << (params.wire_bits - 1)
    numbers = []
    for c in split(data[: params._row_bytes], params.wire_bits)[:100]:
        x = (c + half) % (2 * half) - half
        numbers += reference.slots(nearest(x * params.q, 1 << (params.wire_bits + params.scale_bits)))
    return np.array(numbers[:100])


# -- attack: ternary keys -----------------------------------------------------------------------
def test_the_sum_of_two_ternary_keys_tells_coefficients_and_that_of_two_binomial_ones_does_not():
    ternary = Counter(a + b for a in (-1, 0, 1) for b in (-1, 0, 1))
    assert (ternary[2] + ternary[-2]) / 9 == 2 / 9  # both are 1, or both are -1: known
    # CBD(42): a coefficient is known from the sum of two only at +-84, which no key ever has.
    probability = [comb(84, 42 + k) / 2**84 for k in range(-42, 43)]
    assert 2 * probability[0] ** 2 < 2**-160
    # What an honest pair shows, given the sum s: hypergeometric, of variance 10.5 at its mean.
    keys = [kahe.OneTimeKey.generate(make_params(10), CONTEXT)._key for _ in range(200)]
    first, second = np.concatenate(keys[::2]), np.concatenate(keys[1::2])
    at_zero = first[first + second == 0]
    assert len(at_zero) > 5000
    assert at_zero.var() == pytest.approx(10.5, rel=0.06)


# -- attack: rounding before the message is added -----------------------------------------------
def test_rounding_first_tells_messages_apart_and_rounding_last_does_not():
    # A small modulus shows it exactly: q / 2^W = 1.5, so that half of the roundings have two origins.
    q, W, k = 12289, 13, 9

    def first(m):
        return Counter((nearest(y << W, q) + nearest(m << (W + k), q)) % (1 << W) for y in range(q))

    def last(m):
        return Counter(nearest((y + (m << k)) % q << W, q) % (1 << W) for y in range(q))

    assert last(0) == last(1) == last(7)
    assert first(0) != first(1)
    assert sum((first(0) - first(1)).values()) / q > 0.2  # one sample tells, one time in five


@pytest.mark.parametrize("name", ALL_SETS)
def test_the_message_is_added_before_the_change_of_modulus(name):
    params = make_params(3000, name=name)
    values = np.random.default_rng(2).integers(-extreme(params), extreme(params), 3000)
    made = kahe.OneTimeKey._generate_derand(params, CONTEXT, bytes(32)).encrypt(values)
    reference = reference_of(params)
    assert made.to_bytes() == reference.client(bytes(32), values, b"me")["ciphertext"]


# -- attack: weights at the server --------------------------------------------------------------
def test_a_weighted_sum_of_keys_gives_every_key():
    # Keys are within +-42: weights 1, 85, 85^2 make of one sum three digits in base 85.
    world = World(make_params(100, n_members=4))
    keys = []
    for i in range(3):
        seed = bytes([i]) * 32
        keys.append(kahe.OneTimeKey._generate_derand(world.params, CONTEXT, seed)._key)
        world.join(np.full(100, i), seed)
    weighted = sum(85**i * k for i, k in enumerate(keys))
    for key in keys:
        digit = (weighted + 42) % 85 - 42
        assert np.array_equal(digit, key)
        weighted = (weighted - digit) // 85
    # The objects offer no product, and neither side counts anybody twice.
    total, shares = world.total(), world.share_sum(1)
    for made in (total, shares, world.ciphertexts[0], world.shares[0][0]):
        for operation in ("__mul__", "__rmul__", "__imul__", "__add__", "multiply", "scale", "weight"):
            assert not hasattr(made, operation)
    again = kahe.ShareSum(world.params, 1)
    again.add(world.shares[0][0], b"one")
    with pytest.raises(ParameterError, match="already"):
        again.add(world.shares[0][0], b"one")
    # A server that adds one ciphertext twice gets a sum that no honest member's answer opens.
    total.add(world.ciphertexts[0])
    with pytest.raises(ParameterError, match="3 ciphertexts expected, got 4"):
        kahe.open_sum(world.params, CONTEXT, total, world.share_sums(), 3)
    total.subtract(world.ciphertexts[1])
    with pytest.raises(OverflowDetected):
        kahe.open_sum(world.params, CONTEXT, total, world.share_sums(), 3)


def test_weights_are_the_clients_and_inside_the_encryption():
    codec = Codec(1.0, max_summands=64, rounding="nearest")
    world = World(make_params(11))
    for weight, x in ((1000, 0.5), (3000, -0.25), (500, 1.0)):
        world.join(codec.quantize(np.full(10, x), weight))
    mean, weights = codec.dequantize(world.open().values, 3)
    assert weights == 4500
    assert mean == pytest.approx((1000 * 0.5 - 3000 * 0.25 + 500) / 4500, abs=1e-3)


# -- honest limit: carries between slots --------------------------------------------------------
SLOTTED = [(Q50, 4, 5), (Q40, 4, 5), (Q100, 16, 64), (Q80, 16, 1024), (Q72, 16, 1024)]


@pytest.mark.parametrize(("name", "bits", "n"), SLOTTED)
def test_a_malicious_client_carries_into_the_neighbour_and_nothing_shows(name, bits, n):
    params = make_params(101, name=name, value_bits=bits, max_summands=n)
    S, w = params.slots_per_coefficient, params.slot_bits
    assert S > 1
    world = World(params).fill(3)
    honest = world.expected()
    # 2^w in one slot is 1 in the next, wherever that is of the same coefficient; the last one has none.
    values = [0] * 101
    values[0] = 1 << w
    values[S] = -2 << w
    _malicious(world, values)
    change = world.open().values - honest
    assert change[1] == 1
    assert change[S + 1] == -2
    assert np.count_nonzero(change) == 2


@pytest.mark.parametrize(("name", "bits", "n"), SLOTTED)
def test_what_no_honest_set_reaches_is_refused_in_every_slot(name, bits, n, monkeypatch):
    params = make_params(101, name=name, value_bits=bits, max_summands=n)
    S, w = params.slots_per_coefficient, params.slot_bits
    reach = 4 * extreme(params)
    world = World(params)
    for _ in range(3):
        world.join(np.zeros(101, np.int64))
    last = 100 - 100 % S + S - 1  # the last slot of the coefficient in which the vector ends
    cases = [
        (at, v, abs(v) <= reach) for at in (0, S - 1, 100) for v in (reach, -reach, reach + 1, -reach - 1)
    ]
    if last > 100:
        cases.append((100, 1 << w, False))  # a carry into the padding
    for at, value, fine in cases:
        values = np.zeros(101, np.int64)
        values[at] = value
        with monkeypatch.context() as patch:  # without the checks of an honest client
            patch.setattr(_kahe_key, "_check_values", lambda _, v: v)
            patch.setattr(_kahe_key.codec, "narrow", lambda out, v, _: out.__setitem__(slice(None), v) or -1)
            world.join(values)
        if fine:
            assert world.open().values[at] == value
        else:
            with pytest.raises(OverflowDetected):
                world.open()
        for made in (world.values, world.ciphertexts, world.proofs, world.shares):
            made.pop()


def _malicious(world, values):
    """A client that encrypts what it likes: the reference implementation checks nothing."""
    p, sender = world.params, world.sender(len(world.values))
    made = reference_of(p).client(bytes(32), values, sender)
    world.values.append(np.array(values))
    world.ciphertexts.append(kahe.Ciphertext.from_bytes(made["ciphertext"], p))
    proof = kahe.DegreeProof.from_bytes(made["proof"], p)
    world.proofs.append(proof)
    world.shares.append([kahe.KeyShare.from_bytes(s, p, j) for j, s in enumerate(made["shares"], 1)])
    for share in world.shares[-1]:
        proof.verify(CONTEXT, sender, world.ciphertexts[-1].digest, share)


def test_every_set_is_attacked_with_more_than_one_slot():
    assert {name for name, _, _ in SLOTTED} == set(SETS)

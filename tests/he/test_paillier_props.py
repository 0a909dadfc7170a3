"""he.paillier under hypothesis: packing, sums, and decoders on whatever comes."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from sottovoce._ext.errors import DecodeError, OverflowDetected
from sottovoce.he import _paillier_pack, _paillier_power, paillier
from support.paillier_reference import Packing
from support.paillier_world import REAL, TOY, key, make_params

SMALL = make_params(REAL, 3, slots=2)
GOOD = {
    "ciphertext": key().public_key.encrypt(np.array([1, -2, 3]), SMALL).to_bytes(),
    "public": key().public_key.to_bytes(),
    "params": SMALL.to_bytes(),
}
READ = {
    "ciphertext": lambda d: paillier.Ciphertext.from_bytes(d, key().public_key, SMALL),
    "public": paillier.PublicKey.from_bytes,
    "params": paillier.Params.from_bytes,
}
kinds = st.sampled_from(sorted(GOOD))


@st.composite
def packings(draw):
    value_bits = draw(st.integers(4, 32))
    max_summands = draw(st.one_of(st.integers(1, 40), st.integers(1, 1 << 24)))
    bits = draw(st.sampled_from([2048, 3072]))
    most = (bits - 2) // (value_bits + (max_summands - 1).bit_length())
    slots = draw(st.integers(1, most))
    n_slots = draw(st.integers(1, 3 * slots))
    return paillier.Params(n_slots, value_bits, max_summands, bits, slots)


@given(packings(), st.data())
def test_packing_is_that_of_the_reference(params, data):
    G = params.max_value
    seed = data.draw(st.integers(0, 2**32))
    rng = np.random.default_rng(seed)
    values = rng.choice([-G, -1, 0, 1, G, *rng.integers(-G, G, 20, endpoint=True)], params.n_slots)
    reference = Packing(params.key_bits, params.n_slots, params.value_bits, params.max_summands, params.slots)
    packed = _paillier_pack.pack(params, _paillier_pack.checked(params, values))
    assert packed == reference.pack(values.tolist())
    assert reference.to_bytes() == params.to_bytes()
    assert paillier.Params.from_bytes(params.to_bytes()) == params
    sums = [m * params.max_summands for m in packed]
    rows, fits = _paillier_pack.unpack(params, sums)
    assert fits
    assert rows.reshape(-1).tolist() == reference.unpack(sums)
    assert rows.reshape(-1)[: params.n_slots].tolist() == (values * params.max_summands).tolist()
    assert all(abs(m) < 1 << (params.key_bits - 3) for m in sums)


@given(packings(), st.data())
def test_any_integers_unpack_as_the_reference_does(params, data):
    reference = Packing(params.key_bits, params.n_slots, params.value_bits, params.max_summands, params.slots)
    bound = 1 << (params.slots * params.slot_bits + data.draw(st.integers(-2, 2)))
    numbers = data.draw(st.lists(st.integers(-bound, bound), min_size=1, max_size=3))
    rows, fits = _paillier_pack.unpack(params, numbers)
    try:
        expected = reference.unpack(numbers)
    except ValueError:
        assert not fits
    else:
        assert fits
        assert rows.reshape(-1).tolist() == expected


@given(st.lists(st.integers(0, 2**64 - 1), min_size=1, max_size=40), st.integers(0, 2**100))
def test_powers_of_a_toy_key_are_pow(alphas, shift):
    public = key(TOY).public_key
    n, hs = public._n, public._hs
    raw = np.frombuffer(b"".join(a.to_bytes(8, "little") for a in alphas), np.uint8).reshape(-1, 8)
    plain = [shift * (-1) ** i * i for i in range(len(alphas))]
    expected = [
        (1 + m * n) * pow(int(hs), a, int(n * n)) % (n * n) for m, a in zip(plain, alphas, strict=True)
    ]
    for window in (1, 3, 6, 8, 10):
        rows = _paillier_power._rows(n, hs, 64, window)
        assert _paillier_power._many(n, rows, _paillier_power._digits(raw, window), plain) == expected
    assert _paillier_power._few(n, hs, raw, plain) == expected
    assert _paillier_power.powers(n, hs, raw, plain) == expected


@given(st.lists(st.tuples(st.integers(-5, 5).filter(bool), st.integers(0, 2**32)), min_size=1, max_size=6))
def test_weighted_sums_of_a_toy_key(summands):
    params = make_params(TOY, 30, 6, 40)
    total, expected = paillier.CiphertextSum(key(TOY).public_key, params), np.zeros(30, np.int64)
    for weight, seed in summands:
        values = np.random.default_rng(seed).choice([-31, 31, 0, 7], 30)
        c = key(TOY).public_key.encrypt(values, params)
        total.add(c.rerandomize() if seed % 2 else c, weight)
        expected += weight * values
    assert total.weight_sum == sum(abs(w) for w, _ in summands)
    assert np.array_equal(key(TOY).decrypt(total.to_ciphertext()), expected)


@given(st.lists(st.integers(0, 2**256 - 1), min_size=1, max_size=3))
def test_decrypting_anything_opens_or_is_refused_in_one_way(numbers):
    public = key(TOY).public_key
    params = make_params(TOY, len(numbers), 4, 4, slots=1)
    c = paillier.Ciphertext._of(public, params, 1, tuple(x % public._n2 or 1 for x in numbers))
    try:
        values = key(TOY).decrypt(c)
    except OverflowDetected:
        return
    assert np.abs(values).max() <= 7


@given(kinds, st.data())
def test_what_parses_has_one_encoding(kind, data):
    good, read = GOOD[kind], READ[kind]
    bad = bytearray(good)
    for _ in range(data.draw(st.integers(1, 4))):
        at = data.draw(st.one_of(st.integers(0, min(60, len(good) - 1)), st.integers(0, len(good) - 1)))
        bad[at] = data.draw(st.sampled_from([0, 1, 0x7F, 0x80, 0xFF, bad[at] ^ 1]))
    try:
        made = read(bytes(bad))
    except DecodeError:
        return
    assert made.to_bytes() == bytes(bad)


@given(kinds, st.data())
def test_another_length_is_refused(kind, data):
    good, read = GOOD[kind], READ[kind]
    length = data.draw(st.integers(0, 2 * len(good)).filter(lambda n: n != len(good)))
    with pytest.raises(DecodeError):
        read((good + good)[:length])


@given(kinds, st.binary(max_size=100))
def test_garbage_is_refused(kind, data):
    if len(data) != len(GOOD["params"]):
        with pytest.raises(DecodeError):
            READ[kind](data)

"""What decryption under RLWE refuses, all of it with one error; and the objects of a round."""

import pickle

import numpy as np
import pytest

from sottovoce._ext.errors import DecodeError, OverflowDetected, ParameterError, RangeError
from sottovoce.he import _rlwe_noise, rlwe
from support.rlwe_world import (
    ALL_SETS,
    Q50,
    decrypt,
    empty_sum,
    encrypt,
    extreme,
    make_params,
    secret_key,
)


def forged(params, weight_sum=None, shift=0, at=0, value=0):
    """A ciphertext with a fault in its plaintext: ``shift`` in the phase, or ``value`` in a slot."""
    total = empty_sum(params)
    total.add(encrypt(params, np.zeros(params.n_slots, np.int64)))
    for plane, p in zip(total._total[0], params._set.primes, strict=True):
        flat = plane.reshape(-1)
        flat[at] = (int(flat[at]) + shift + (value << params.scale_bits)) % p
    return total


@pytest.mark.parametrize("name", ALL_SETS)
def test_noise_beyond_the_bound_is_refused(name):
    params = make_params(100, name=name, value_bits=8, max_summands=256)
    noise = params.max_noise(1, 1)
    assert noise < 1 << (params.scale_bits - 3)  # one ciphertext has far less than a full sum may have
    for shift in (2 * noise, -2 * noise, 1 << (params.scale_bits - 1)):
        with pytest.raises(OverflowDetected) as caught:
            decrypt(forged(params, shift=shift))
        assert caught.value.__cause__ is None
    assert not decrypt(forged(params, shift=1)).any()


def test_slots_beyond_the_weights_are_refused():
    params = make_params(100, max_summands=1024)
    for value in (extreme(params), -extreme(params)):
        assert decrypt(forged(params, at=7, value=value))[7] == value
    for value in (extreme(params) + 1, -extreme(params) - 1, 1 << 24):
        with pytest.raises(OverflowDetected):
            decrypt(forged(params, at=7, value=value))


def test_padding_that_is_not_zero_is_refused():
    params = make_params(100)
    for at in (100, 2047):
        for value in (1, -1):
            with pytest.raises(OverflowDetected):
                decrypt(forged(params, at=at, value=value))
    assert decrypt(forged(params, at=99, value=1))[99] == 1


def test_every_refusal_is_the_same_and_leaves_nothing():
    params = make_params(2048 * 20 + 100)
    end = params.n_elements * 2048
    messages = set()
    for fault in (
        {"shift": 1 << (params.scale_bits - 1)},
        {"value": 1 << 20},
        {"at": end - 1, "value": 1},
    ):
        out = np.ones(params.n_slots, np.int64)
        for threads in (1, 3):
            with pytest.raises(OverflowDetected) as caught:
                secret_key().decrypt_into(forged(params, **fault), out, threads=threads)
            messages.add(str(caught.value))
            assert not out.any()
    assert len(messages) == 1


def test_garbage_is_refused():
    for name in ALL_SETS:
        params = make_params(5000, name=name, value_bits=8, max_summands=256)
        total = empty_sum(params)
        total.add(encrypt(params, np.zeros(5000, np.int64)))
        for plane, p in zip(total._total[0], params._set.primes, strict=True):
            plane[...] = np.random.default_rng(1).integers(0, p, plane.shape, dtype=np.uint64)
        with pytest.raises(OverflowDetected):
            decrypt(total)


def test_decrypt_takes_ciphertexts_only():
    for bad in (None, b"", np.zeros(10), secret_key().public_key):
        with pytest.raises(TypeError, match="total: Ciphertext or CiphertextSum"):
            secret_key().decrypt(bad)


def test_a_ciphertext_added_twice_is_a_weight_of_two():
    # What the documentation warns of: counted as independent, its noise is underrated ...
    params = make_params(2048, max_summands=1024)
    c = encrypt(params, np.zeros(2048, np.int64), seed=1)
    total = empty_sum(params)
    for _ in range(1024):
        total.add(c)
    with pytest.raises(OverflowDetected):
        decrypt(total)
    # ... counted as a weight, it is refused beforehand.
    with pytest.raises(RangeError):
        empty_sum(params).add(c, 1024)


def test_objects_are_immutable_and_compare_by_bytes():
    params = make_params(10)
    c, public = encrypt(params, np.zeros(10, np.int64), seed=3), secret_key().public_key
    assert c == rlwe.Ciphertext.from_bytes(c.to_bytes(), params) == pickle.loads(pickle.dumps(c))
    assert public == rlwe.PublicKey.from_bytes(public.to_bytes()) == pickle.loads(pickle.dumps(public))
    assert len({c, pickle.loads(pickle.dumps(c))}) == len({public, pickle.loads(pickle.dumps(public))}) == 1
    assert c != public
    assert params == pickle.loads(pickle.dumps(params))
    assert rlwe.params_of(c.to_bytes()) == params
    assert (c.key_id, c.compressed, c.weight_sum, c.square_sum, c.compressions) == (
        public.key_id,
        True,
        1,
        1,
        0,
    )
    assert c.fresh
    assert not rlwe.add([c]).fresh
    assert not rlwe.CiphertextSum.from_bytes(rlwe.add([c]).to_bytes(), params).compress().fresh
    for thing, name in ((c, "params"), (public, "set"), (secret_key(), "set")):
        with pytest.raises(AttributeError, match="immutable"):
            setattr(thing, name, None)
        with pytest.raises(AttributeError, match="immutable"):
            delattr(thing, name)
    for cls in (rlwe.Ciphertext, rlwe.PublicKey, rlwe.SecretKey):
        with pytest.raises(TypeError, match="made by"):
            cls()
    for bad in (None, bytearray(c.to_bytes()), "x"):
        for read in (
            lambda d: rlwe.Ciphertext.from_bytes(d, params),
            lambda d: rlwe.CiphertextSum.from_bytes(d, params),
            rlwe.PublicKey.from_bytes,
            rlwe.SecretKey.from_bytes,
            rlwe.params_of,
        ):
            with pytest.raises(TypeError, match="bytes expected"):
                read(bad)
    for bad in ("id", 3):
        with pytest.raises(TypeError, match="key_id"):
            rlwe.CiphertextSum(params, bad)
    with pytest.raises(ParameterError, match="key_id: 32 bytes"):
        rlwe.CiphertextSum(params, bytes(31))
    assert repr(c) == f"<rlwe.Ciphertext compressed of 1, {params.ciphertext_bytes} bytes>"
    assert repr(rlwe.add([c, c])) == f"<rlwe.Ciphertext lossless of 2, {params.sum_bytes} bytes>"
    assert repr(empty_sum(params)) == "<rlwe.CiphertextSum of 0>"


@pytest.mark.parametrize(
    ("field", "value", "message"),
    [
        ("set", "RLWE", "set: one of"),
        ("n_slots", 0, "n_slots: 1 to"),
        ("n_slots", (1 << 31) + 1, "n_slots: 1 to 2147483648 expected"),
        ("value_bits", 3, "value_bits: 4 to 24"),
        ("value_bits", 25, "value_bits: 4 to 24"),
        ("max_summands", 0, "max_summands: 1 to"),
        ("max_summands", (1 << 24) + 1, "max_summands: 1 to"),
        ("max_square_sum", 63, "max_square_sum: 64 to"),
        ("max_square_sum", (1 << 50) + 1, "max_square_sum: 64 to 1125899906842624"),
    ],
)
def test_impossible_parameters_are_refused(field, value, message):
    fields = {"set": Q50, "n_slots": 10, "value_bits": 16, "max_summands": 64}
    if field == "n_slots" and value:
        fields["max_summands"] = 1024
    with pytest.raises(ParameterError, match=message):
        rlwe.Params(**{**fields, field: value})
    for bad in (None, 1.0, True, "16"):
        if field != "set" and not (field == "max_square_sum" and bad is None):
            with pytest.raises(TypeError, match=f"{field}: int expected"):
                rlwe.Params(**{**fields, field: bad})


def test_unknown_sets_are_refused():
    for make in (rlwe.keygen, lambda name: rlwe.Params(name, 10, 16, 64)):
        with pytest.raises(ParameterError, match="set: one of"):
            make("RLWE_128_N8192_Q218")
        with pytest.raises(TypeError, match="set: str"):
            make(3)


def test_buffers_of_objects_and_of_the_values_are_refused():
    params = make_params(100)
    public, values = secret_key().public_key, np.zeros(100, np.int64)
    for out in (
        np.zeros(params.ciphertext_bytes // 8, object),
        np.zeros(params.ciphertext_bytes // 8, "M8[s]"),
    ):
        with pytest.raises((ParameterError, TypeError), match="buffer"):
            public.encrypt_into(values, params, out)
    # Bytes objects that a buffer holds would be followed when it goes; values written over be encrypted.
    room = np.zeros(params.ciphertext_bytes // 8 + 50, np.int64)
    with pytest.raises(ParameterError, match="shares memory"):
        public.encrypt_into(room[:100], params, room[50:])
    assert not room.any()


def test_decryption_needs_an_aligned_array():
    params = make_params(100)
    out = np.frombuffer(bytearray(801), np.int64, offset=1)
    with pytest.raises(ParameterError, match="aligned"):
        secret_key().decrypt_into(encrypt(params, np.zeros(100, np.int64)), out)


def test_a_header_does_not_make_others_search_for_a_shape(monkeypatch):
    # Up to a second for 80 bytes; parameters that are not those expected are never made.
    params = make_params(100)
    data = encrypt(params, np.zeros(100, np.int64)).to_bytes()
    other = bytearray(data)
    other[48:52] = (params.max_summands - 1).to_bytes(4, "little")
    total = empty_sum(params)

    def search(*_):
        raise AssertionError("a shape was looked for")

    monkeypatch.setattr(_rlwe_noise, "best_shape", search)
    with pytest.raises(DecodeError, match="other parameters"):
        rlwe.Ciphertext.from_bytes(bytes(other), params)
    with pytest.raises(ParameterError, match="other parameters"):
        total.add_bytes(other)
    total.add_bytes(data)
    assert rlwe.Ciphertext.from_bytes(data, params).to_bytes() == data

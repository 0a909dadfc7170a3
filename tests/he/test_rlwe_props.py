"""Decoders under fuzzing, and any round: what parses re-encodes to the same bytes, sums decrypt to sums."""

import io

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from sottovoce._ext.errors import DecodeError, OverflowDetected, ParameterError
from sottovoce.he import rlwe
from support.rlwe_world import (
    ALL_SETS,
    Q50,
    Q72,
    decrypt,
    empty_sum,
    encrypt,
    make_params,
    random_values,
    secret_key,
    state,
)

PARAMS = {name: make_params(100, name=name) for name in (Q50, Q72)}


def kinds():
    out = {}
    for name, params in PARAMS.items():
        c = encrypt(params, random_values(params), seed=1)
        total = rlwe.add([c, encrypt(params, random_values(params, 1), seed=2)])
        for kind, good, read in (
            ("ciphertext", c, lambda d, p=params: rlwe.Ciphertext.from_bytes(d, p)),
            ("lossless", total, lambda d, p=params: rlwe.Ciphertext.from_bytes(d, p)),
            ("sum", total, lambda d, p=params: rlwe.CiphertextSum.from_bytes(d, p)),
            ("public key", secret_key(name).public_key, rlwe.PublicKey.from_bytes),
            ("secret key", secret_key(name), rlwe.SecretKey.from_bytes),
        ):
            out[f"{kind} {name}"] = (good.to_bytes(), read)
    return out


KINDS = kinds()


@given(st.sampled_from(sorted(KINDS)), st.data())
def test_what_parses_has_one_encoding(kind, data):
    good, read = KINDS[kind]
    assert read(good).to_bytes() == good
    bad = bytearray(good)
    for _ in range(data.draw(st.integers(1, 5))):
        # the header as often as the rest
        at = data.draw(st.one_of(st.integers(0, 79), st.integers(0, len(good) - 1)))
        bad[at] = data.draw(st.sampled_from([0, 1, 0x7F, 0x80, 0xFF, bad[at] ^ 1]))
    try:
        made = read(bytes(bad))
    except DecodeError:
        return
    assert made.to_bytes() == bytes(bad)


@given(st.sampled_from(sorted(KINDS)), st.data())
def test_another_length_is_refused(kind, data):
    good, read = KINDS[kind]
    cut = data.draw(st.integers(0, len(good) - 1))
    more = data.draw(st.binary(min_size=1, max_size=40))
    for bad in (good[:cut], good + more, good + bytes(1 << 16), b""):
        with pytest.raises(DecodeError):
            read(bad)


@given(st.sampled_from(sorted(k for k in KINDS if k.startswith(("ciphertext", "lossless")))), st.data())
def test_a_buffer_or_file_is_accepted_exactly_if_its_bytes_are(kind, data):
    good, read = KINDS[kind]
    bad = bytearray(good)
    for _ in range(data.draw(st.integers(0, 2))):
        at = data.draw(st.one_of(st.integers(60, 79), st.integers(0, len(good) - 1)))
        bad[at] = data.draw(st.integers(0, 255))
    try:
        read(bytes(bad))
        fine = bytes(bad[8:40]) == good[8:40]  # else of another key
    except DecodeError:
        fine = False
    params = next(p for name, p in PARAMS.items() if kind.endswith(name))
    for add in (lambda t: t.add_bytes(bad), lambda t: t.add_from(io.BytesIO(bad))):
        total = empty_sum(params)
        before = state(total)
        try:
            add(total)
        except (DecodeError, ParameterError):
            assert not fine
            assert state(total) == before
        else:
            assert fine
            assert total.weight_sum >= 1


@given(st.data())
def test_an_altered_ciphertext_decrypts_to_another_vector_or_not_at_all(data):
    # Malleable by design: coefficients may change by whole steps, never into numbers out of range.
    params = PARAMS[Q50]
    c = encrypt(params, random_values(params), seed=1).to_bytes()
    bit = data.draw(st.integers(8 * 80, 8 * len(c) - 1))
    bad = bytearray(c)
    bad[bit // 8] ^= 1 << (bit % 8)
    try:
        opened = decrypt(rlwe.Ciphertext.from_bytes(bytes(bad), params))
    except (DecodeError, OverflowDetected):
        return
    assert np.abs(opened).max() <= 32767


@given(
    st.sampled_from(ALL_SETS),
    st.integers(1, 20_000),
    st.integers(4, 20),
    st.lists(st.integers(-5, 5).filter(bool), min_size=1, max_size=5),
    st.integers(0, 3),
    st.integers(0, 2**32 - 1),
)
def test_any_weighted_sum_decrypts_exactly(name, n_slots, bits, weights, spare, seed):
    n, squares = sum(map(abs, weights)) + spare, sum(w * w for w in weights) + spare + 3
    params = make_params(n_slots, name=name, value_bits=bits, max_summands=n, max_square_sum=max(n, squares))
    total, expected = empty_sum(params), np.zeros(n_slots, np.int64)
    for i, w in enumerate(weights):
        values = random_values(params, seed + i)
        total.add(encrypt(params, values), w)
        expected += w * values
    assert np.array_equal(decrypt(total), expected)
    assert np.array_equal(decrypt(total.compress()), expected)

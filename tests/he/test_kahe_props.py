"""Decoders under fuzzing: what parses re-encodes to the same bytes, everything else is DecodeError."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from sottovoce._ext.errors import DecodeError, OverflowDetected, ProofError
from sottovoce.he import kahe
from support.he_world import ALL_SETS, CONTEXT, World, make_params

WORLD = World(make_params(100, n_members=4, max_summands=16)).fill(3)
PARAMS = WORLD.params
KINDS = {
    "ciphertext": (WORLD.ciphertexts[0].to_bytes(), lambda d: kahe.Ciphertext.from_bytes(d, PARAMS)),
    "sum": (WORLD.total().to_bytes(), lambda d: kahe.CiphertextSum.from_bytes(d, PARAMS, CONTEXT)),
    "share": (WORLD.shares[0][0].to_bytes(), lambda d: kahe.KeyShare.from_bytes(d, PARAMS, 1)),
    "proof": (WORLD.proofs[0].to_bytes(), lambda d: kahe.DegreeProof.from_bytes(d, PARAMS)),
    "share sum": (WORLD.share_sum(1).to_bytes(), lambda d: kahe.ShareSum.from_bytes(d, PARAMS, 1)),
}
kinds = st.sampled_from(sorted(KINDS))


@given(kinds, st.data())
def test_what_parses_has_one_encoding(kind, data):
    good, read = KINDS[kind]
    assert read(good).to_bytes() == good
    bad = bytearray(good)
    for _ in range(data.draw(st.integers(1, 5))):
        at = data.draw(st.integers(0, len(good) - 1))
        bad[at] = data.draw(st.sampled_from([0, 1, 0x7F, 0x80, 0xFF, bad[at] ^ 1]))
    try:
        made = read(bytes(bad))
    except DecodeError:
        return
    assert made.to_bytes() == bytes(bad)


@given(kinds, st.data())
def test_another_length_is_refused(kind, data):
    good, read = KINDS[kind]
    cut = data.draw(st.one_of(st.integers(0, len(good) - 1), st.just(len(good) - 1)))
    more = data.draw(st.binary(min_size=1, max_size=40))
    for bad in (good[:cut], good + more, good + bytes(1 << 16), b""):
        with pytest.raises(DecodeError, match="bytes expected"):
            read(bad)


@pytest.mark.parametrize("kind", sorted(KINDS))
def test_absurdly_large_input_is_refused(kind):
    with pytest.raises(DecodeError):
        KINDS[kind][1](bytes(1 << 24))


@pytest.mark.parametrize("kind", sorted(KINDS))
@pytest.mark.parametrize("bad", ["x", None, 3, bytearray(10), [1]])
def test_what_is_not_bytes_is_a_type_error(kind, bad):
    with pytest.raises(TypeError):
        KINDS[kind][1](bad)


def test_counts_outside_the_round_are_refused():
    total, share = KINDS["sum"], KINDS["share sum"]
    for count in (17, 1 << 24, (1 << 32) - 1):
        for good, read in (total, share):
            with pytest.raises(DecodeError):
                read(count.to_bytes(4, "little") + good[4:])
    for count in (0, 1, 2):
        with pytest.raises(DecodeError):
            share[1](count.to_bytes(4, "little") + share[0][4:])


@given(st.data())
def test_an_altered_share_or_proof_never_verifies(data):
    kind = data.draw(st.sampled_from(["share", "proof"]))
    good, read = KINDS[kind]
    bit = data.draw(st.integers(0, 8 * len(good) - 1))
    bad = bytearray(good)
    bad[bit // 8] ^= 1 << (bit % 8)
    try:
        made = read(bytes(bad))
    except DecodeError:
        return
    share, proof = (made, WORLD.proofs[0]) if kind == "share" else (WORLD.shares[0][0], made)
    with pytest.raises(ProofError):
        proof.verify(CONTEXT, WORLD.sender(0), WORLD.ciphertexts[0].digest, share)


@given(st.data())
def test_an_altered_ciphertext_opens_to_a_sum_that_differs_or_not_at_all(data):
    # Malleable by design: a coefficient may change by whole steps, never silently by noise alone.
    bit = data.draw(st.integers(0, 8 * PARAMS.ciphertext_bytes - 1))
    bad = bytearray(WORLD.ciphertexts[0].to_bytes())
    bad[bit // 8] ^= 1 << (bit % 8)
    total = WORLD.total({1, 2})
    total.add(kahe.Ciphertext.from_bytes(bytes(bad), PARAMS))
    try:
        opened = kahe.open_sum(PARAMS, CONTEXT, total, WORLD.share_sums(), 3)
    except OverflowDetected:
        return
    change = opened.values - WORLD.expected()
    # The slots of one coefficient.
    assert len(set(np.flatnonzero(change) // PARAMS.slots_per_coefficient)) <= 1


@given(
    st.sampled_from(ALL_SETS),
    st.integers(1, 5000),
    st.integers(4, 24),
    st.integers(3, 40),
    st.integers(3, 8),
    st.integers(3, 6),
    st.integers(0, 2**32 - 1),
)
def test_any_round_opens_to_the_sum(name, n_slots, bits, max_summands, members, clients, seed):
    params = make_params(
        n_slots, name=name, value_bits=bits, max_summands=max(max_summands, clients), n_members=members
    )
    world = World(params).fill(clients, seed)
    assert np.array_equal(world.open().values, world.expected())

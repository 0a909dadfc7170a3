"""Properties of evidence: what decodes encodes to the same bytes, and no change of it is believed."""

import contextlib

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sottovoce._ext.enc import enc
from sottovoce.clsc import (
    DecodeError,
    Evidence,
    EvidenceError,
    KeyConflict,
    Mode,
    SignatureError,
    SignedStatement,
    Strength,
    Usage,
    judge,
    judge_issuer,
    make_evidence,
    sign,
)
from support.clsc_evidence import ALL, CONFLICT_FIELDS, FIELDS, fields_of, forged, sealed
from support.clsc_world import World

WORLD = World("evidence properties")
ROOT = WORLD.root.public_key
PACKET = sealed(WORLD, b"property" * 10, pad=True, dummy_slots=1)
STRONG = make_evidence(
    PACKET, receiver=WORLD.receiver("bob"), trust=WORLD.trust, ad=b"round 1", strength=Strength.ADDRESSED
)
FORGER = WORLD.make_key("the issuer's own", Usage.SIGN, Mode.IDENTITY, identity=b"alice")
CONFLICT = KeyConflict(
    *(SignedStatement.of_message(k.public_key, b"m", sign(k, b"m")) for k in (WORLD.signer(), FORGER))
)


def mutations(original):
    """Flip, cut, extend, splice, and bytes of one's own."""
    n = len(original)
    flip = st.builds(
        lambda i, b: original[:i] + bytes([original[i] ^ b]) + original[i + 1 :],
        st.integers(0, n - 1),
        st.integers(1, 255),
    )
    cut = st.builds(lambda i: original[:i], st.integers(0, n - 1))
    extend = st.builds(lambda tail: original + tail, st.binary(min_size=1, max_size=300))
    splice = st.builds(
        lambda i, j, mid: original[:i] + mid + original[j:],
        st.integers(0, n), st.integers(0, n), st.binary(max_size=100),
    )  # fmt: skip
    huge = st.sampled_from([b"\xff" * 100_000, b"\0" * 100_000, enc(*[b""] * 5000)])
    return st.one_of(flip, cut, extend, splice, st.binary(max_size=2000), huge)


def changed_fields(evidence, names):
    """One field replaced by a mutation of itself, or left out, or moved: well-framed nonsense."""
    fields = fields_of(evidence, names)

    def build(name, value, other):
        mutated = {**fields, name: value}
        if other is not None:
            mutated[name], mutated[other] = fields[other], fields[name]
        return enc(*(mutated[n] for n in names if n in mutated))

    name = st.sampled_from(sorted(fields))
    return st.one_of(
        name.flatmap(lambda n: st.builds(build, st.just(n), mutations(fields[n] + b"\0"), st.none())),
        st.builds(build, name, st.just(b""), name),
        name.map(lambda n: enc(*(v for k, v in fields.items() if k != n))),
    )


EVIDENCE_BYTES = st.one_of(
    *(mutations(STRONG.weakened(s).to_bytes()) for s in ALL),
    *(changed_fields(STRONG.weakened(s), FIELDS) for s in ALL),
)


@given(EVIDENCE_BYTES)
@settings(max_examples=600)
def test_evidence_is_not_malleable_and_a_change_is_not_believed(data):
    try:
        evidence = Evidence.from_bytes(data)
    except DecodeError:
        return
    assert evidence.to_bytes() == data
    if data == STRONG.weakened(evidence.strength).to_bytes():
        return
    with pytest.raises((SignatureError, EvidenceError)):
        judge(evidence, ROOT, packet=PACKET)


@given(mutations(PACKET))
@settings(max_examples=200)
def test_another_packet_is_not_believed(data):
    if data[: -packet_head_bytes()] == PACKET[: -packet_head_bytes()] and len(data) == len(PACKET):
        return  # the head is not looked at
    for strength in (Strength.SIGNED, Strength.CONTENT):
        with pytest.raises((DecodeError, EvidenceError)):
            judge(STRONG.weakened(strength), ROOT, packet=data)


def packet_head_bytes():
    return 365


@given(st.one_of(mutations(CONFLICT.to_bytes()), changed_fields(CONFLICT, CONFLICT_FIELDS)))
@settings(max_examples=300)
def test_conflict_is_not_malleable_and_a_change_does_not_convict(data):
    try:
        conflict = KeyConflict.from_bytes(data)
    except DecodeError:
        return
    assert conflict.to_bytes() == data
    if data != CONFLICT.to_bytes():
        with pytest.raises(SignatureError):
            judge_issuer(conflict, ROOT)


@given(
    st.binary(max_size=3000),
    st.binary(max_size=200),
    st.booleans(),
    st.sampled_from(Mode),
    st.sampled_from(ALL),
)
@settings(max_examples=25)
def test_whatever_was_sent_is_what_is_judged(plaintext, ad, pad, mode, strength):
    sender = WORLD.signer("s", mode)
    data = sealed(WORLD, plaintext, sender, names=("bob",), ad=ad, pad=pad)
    evidence = make_evidence(
        data, receiver=WORLD.receiver("bob"), trust=WORLD.trust, ad=ad, strength=strength
    )
    found = judge(Evidence.from_bytes(evidence.to_bytes()), ROOT, packet=data)
    assert (found.ad, found.plaintext_bytes, found.sender) == (ad, len(plaintext), sender.public_key)
    assert found.plaintext == (None if strength is Strength.SIGNED else plaintext)


@given(st.sampled_from(ALL), st.integers(0, 2**64 - 1), st.sampled_from(["body_bytes", "plaintext_bytes"]))
@settings(max_examples=200)
def test_no_length_makes_the_decoder_allocate(strength, value, name):
    """Hashes must fill the body that is announced, so memory follows the length of the input."""
    with contextlib.suppress(DecodeError):
        Evidence.from_bytes(forged(STRONG.weakened(strength), **{name: value}))

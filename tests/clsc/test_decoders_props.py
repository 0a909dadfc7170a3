"""Properties of every decoder: what decodes encodes to the same bytes; the rest is refused with the
documented exception and nothing else."""

import contextlib

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sottovoce._ext.padme import padme
from sottovoce.clsc import (
    BlindRequest,
    DecodeError,
    EpochParams,
    IdentityRequest,
    IssueError,
    Mode,
    Opened,
    PublicKey,
    SenderError,
    SignatureError,
    UnsigncryptError,
    Usage,
    batch_verify,
    group,
    issue_wire,
    packet,
    sign,
    signcrypt,
    unsigncrypt,
    unsigncrypt_batch,
    verify,
)
from support.clsc_world import World, issuers
from support.mutations import mutations, refused_or_canonical

WORLD = World("properties")
ALICE, BOB = WORLD.signer(), WORLD.receiver()
PACKET = signcrypt(b"property", sender=ALICE, receivers=[BOB.public_key], dummy_slots=1)
SIGNATURE = sign(ALICE, b"m")


@given(st.integers(1, group.ORDER - 1))
def test_points_and_scalars_round_trip(k):
    p, q = group.g1_mul_vartime(group.P1, k), group.g2_mul_vartime(group.P2, k)
    assert group.g1_from_bytes(p.to_compressed_bytes(), "p") == p
    assert group.g2_from_bytes(q.to_compressed_bytes(), "q") == q
    assert group.scalar_from_bytes(group.scalar_to_bytes(k), "k") == k


@given(st.one_of(st.binary(min_size=48, max_size=48), mutations(group.P1.to_compressed_bytes())))
@settings(max_examples=200)
def test_g1_is_not_malleable(data):
    refused_or_canonical(
        lambda d: group.g1_from_bytes(d, "p"), lambda p: p.to_compressed_bytes(), data, DecodeError
    )


@given(st.one_of(st.binary(min_size=96, max_size=96), mutations(group.P2.to_compressed_bytes())))
@settings(max_examples=200)
def test_g2_is_not_malleable(data):
    refused_or_canonical(
        lambda d: group.g2_from_bytes(d, "q"), lambda q: q.to_compressed_bytes(), data, DecodeError
    )


@given(mutations(WORLD.params[Mode.BLIND].to_bytes()))
def test_params_are_not_malleable(data):
    refused_or_canonical(
        lambda d: EpochParams.from_bytes(d, WORLD.root.public_key),
        EpochParams.to_bytes,
        data,
        DecodeError,
    )


@given(st.one_of(*(mutations(WORLD.signer("a", mode).public_key.to_bytes()) for mode in Mode)))
@settings(max_examples=200)
def test_public_key_is_not_malleable(data):
    refused_or_canonical(
        lambda d: PublicKey.from_bytes(d, WORLD.trust), PublicKey.to_bytes, data, DecodeError, SenderError
    )


@given(st.binary(min_size=1, max_size=64), st.sampled_from(Usage))
def test_public_key_round_trips_for_every_name(name, usage):
    key = PublicKey(WORLD.params[Mode.IDENTITY], usage, name, ALICE.public_key.X)
    assert PublicKey.from_bytes(key.to_bytes(), WORLD.trust) == key


@given(mutations(SIGNATURE))
@settings(max_examples=200)
def test_signature_is_refused_when_changed(data):
    if data == SIGNATURE:
        return
    with pytest.raises(SignatureError):
        verify(ALICE.public_key, b"m", data)
    with pytest.raises(SignatureError) as caught:
        batch_verify([(ALICE.public_key, b"m", SIGNATURE), (ALICE.public_key, b"m", data)])
    assert caught.value.bad_indices == (1,)


@given(mutations(PACKET))
@settings(max_examples=200)
def test_packet_is_refused_when_changed(data):
    if data == PACKET:
        return
    with pytest.raises(UnsigncryptError):
        unsigncrypt(data, receiver=BOB, trust=WORLD.trust)
    (result,) = unsigncrypt_batch([data], receiver=BOB, trust=WORLD.trust)
    assert type(result) is UnsigncryptError


@given(mutations(PACKET))
def test_packet_parser_is_not_malleable(data):
    def encode(p):
        body = b"".join(p.body.chunks())
        return b"".join([packet.MAGIC, p.header, *p.slots, p.body_bytes.to_bytes(8, "big"), body, p.head])

    refused_or_canonical(packet.parse, encode, data, DecodeError)


@given(mutations(bytes(range(256)) + bytes(93)), st.binary(min_size=349, max_size=349))
def test_head_parser_is_not_malleable(data, other):
    for value in (data, other):
        head = packet.parse_head(value)
        assert head is None or head.to_bytes() == value


@given(st.integers(0, 2**64 - 1))
@settings(max_examples=300)
def test_body_length_is_canonical(body_bytes):
    try:
        plain = packet.body_plain_bytes(body_bytes)
    except DecodeError:
        return
    assert plain + 16 * packet.chunk_count(plain) == body_bytes


@given(st.integers(0, 1 << 40))
def test_every_plaintext_length_has_a_body_length(n):
    assert packet.body_plain_bytes(n + 16 * packet.chunk_count(n)) == n


@given(
    st.binary(max_size=3000), st.binary(max_size=100), st.booleans(), st.integers(0, 4), st.sampled_from(Mode)
)
def test_unsigncrypt_undoes_signcrypt(plaintext, ad, pad, dummies, mode):
    sender, receiver = WORLD.signer("s", mode), WORLD.receiver("r", mode)
    data = signcrypt(
        plaintext, sender=sender, receivers=[receiver.public_key, BOB.public_key], ad=ad, pad=pad,
        dummy_slots=dummies,
    )  # fmt: skip
    n = padme(len(plaintext)) if pad else len(plaintext)
    assert len(data) == 555 + 80 * (2 + dummies) + n + 16
    opened = unsigncrypt(data, receiver=receiver, trust=WORLD.trust, ad=ad)
    assert type(opened) is Opened
    assert (opened.plaintext, opened.sender) == (plaintext, sender.public_key)


def _issuing():
    identity, blind = issuers(WORLD)
    ours = IdentityRequest(identity.params, Usage.SIGN, b"fuzz", identity.enrol("fuzz")).to_bytes(
        identity.challenge()
    )
    asked = BlindRequest(blind.params, Usage.SIGN, blind.enrol("fuzz"))
    return identity, ours, blind, asked


IDENTITY_ISSUER, IDENTITY_BYTES, BLIND_ISSUER, BLIND_ASKED = _issuing()


@given(mutations(IDENTITY_BYTES))
@settings(max_examples=150)
def test_identity_requests_are_refused_when_changed(data):
    if data == IDENTITY_BYTES:
        return
    with pytest.raises((DecodeError, IssueError)):
        IDENTITY_ISSUER.issue("fuzz", data)


@given(mutations(BLIND_ASKED.to_bytes()))
@settings(max_examples=150)
def test_blind_requests_are_refused_when_changed(data):
    if data == BLIND_ASKED.to_bytes():
        return
    with pytest.raises((DecodeError, IssueError)):
        BLIND_ISSUER.issue("fuzz", data)


def test_fuzzing_changed_no_state():
    """Whatever came in between: the honest requests still work, once each."""
    BLIND_ASKED.finish(BLIND_ISSUER.issue("fuzz", BLIND_ASKED.to_bytes()))


@given(st.one_of(st.binary(max_size=200), mutations(bytes([1, 3]) + group.P1.to_compressed_bytes())))
def test_answers_are_refused_when_wrong(data):
    with pytest.raises(IssueError):
        BLIND_ASKED.finish(data)


@given(st.sampled_from([b"", b"\1\1\1", b"\1\2\1", b"\1\3"]), st.binary(max_size=400))
def test_parse_request_raises_only_decode_error(head, data):
    with contextlib.suppress(DecodeError):
        issue_wire.parse_request(head + data)

"""Attacks on earlier drafts of the construction, each through the public API, and each refused."""

import hmac
from dataclasses import replace

import pytest
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from sottovoce._ext.enc import enc
from sottovoce._ext.padme import padme
from sottovoce.clsc import (
    BlindRequest,
    DecodeError,
    Issuer,
    Mode,
    PublicKey,
    SenderError,
    UnsigncryptError,
    Usage,
    group,
    hashes,
    kem,
    packet,
    signature,
    signcrypt,
    unsigncrypt,
    unsigncrypt_batch,
)
from support.clsc_attacker import CoReceiver, assemble, lying_sender
from support.clsc_world import NOT_AFTER, World


@pytest.fixture(scope="module")
def cast(world):
    return {
        "alice": world.signer(),
        "mallory": world.signer("mallory"),
        "bob": world.receiver("bob"),
        "carol": world.receiver("carol"),
        "dave": world.receiver("dave"),
    }


def sender_error(data, receiver, trust, ad=b""):
    """The second error, by both ways of opening; returns what must be equal everywhere."""
    with pytest.raises(SenderError) as caught:
        unsigncrypt(data, receiver=receiver, trust=trust, ad=ad)
    error = caught.value
    assert type(error) is SenderError
    assert error.__cause__ is None
    assert error.__context__ is None
    (batched,) = unsigncrypt_batch([data], receiver=receiver, trust=trust, ad=ad)
    assert (type(batched), batched.args) == (SenderError, error.args)
    return error.args


def first_error(data, receiver, trust, ad=b""):
    with pytest.raises(UnsigncryptError):
        unsigncrypt(data, receiver=receiver, trust=trust, ad=ad)


def test_the_attackers_tools_make_good_packets_when_used_honestly(world, cast):
    """Otherwise every refusal below would prove nothing."""
    bob, carol = cast["bob"], cast["carol"]
    data = lying_sender(cast["alice"], [bob.public_key, carol.public_key], b"text", ad=b"a")
    assert unsigncrypt(data, receiver=carol, trust=world.trust, ad=b"a").plaintext == b"text"
    again = CoReceiver(data, bob, b"a").rewrite(ad=b"a")
    assert again == data
    # A co-receiver may send the same body on under its OWN name: another sender, another id.
    stolen = CoReceiver(data, bob, b"a").rewrite(
        ad=b"a",
        sign_as=cast["mallory"],
        name=packet.pad_name(b"mallory"),
        X=cast["mallory"].public_key.X,
    )
    first = unsigncrypt(data, receiver=carol, trust=world.trust, ad=b"a")
    second = unsigncrypt(stolen, receiver=carol, trust=world.trust, ad=b"a")
    assert (first.sender.identity, second.sender.identity) == (b"alice", b"mallory")
    assert first.packet_id != second.packet_id


def test_attack_blind_client_asks_for_the_name_alice(world, cast):
    """Blind issuing gives D for any id and X; the mode rule is what stops the name."""
    issuer = Issuer(world.master[Mode.BLIND])
    token = issuer.enrol("mallory")
    x = 424242
    X = group.g1_mul_vartime(group.P1, x).to_compressed_bytes()
    params = issuer.params
    Q = hashes.hash_identity(params.params_id, "sign", b"alice", X)
    b = 99
    B = group.g1_mul_vartime(Q, b).to_compressed_bytes()
    mac = hmac.digest(token, enc("SOTTOVOCE-V1-ISSUE", params.params_id, B), "sha256")
    template = BlindRequest(params, Usage.SIGN, token).to_bytes()
    answer = issuer.issue("mallory", template[:34] + B + mac)
    D = group.g1_mul_vartime(group.g1_from_bytes(answer[2:], "C"), pow(b, -1, group.ORDER))
    assert group.pairing_is_one([D, -Q], [group.P2, params.Y])  # the issuer cannot prevent this
    with pytest.raises(DecodeError, match="do not fit"):
        PublicKey(params, Usage.SIGN, b"alice", X)
    # And with a packet made by hand, signature equations correct:
    forged = object.__new__(PublicKey)
    honest = PublicKey(params, Usage.SIGN, b"", X)
    for name, value in (
        ("params", params), ("usage", Usage.SIGN), ("identity", b"alice"), ("_x_bytes", X),
        ("_X_base", honest._X_base), ("_Q", None), ("pid", bytes(16)),
    ):  # fmt: skip
        object.__setattr__(forged, name, value)
    key = type(cast["alice"])(forged, x, D)
    data = lying_sender(key, [cast["bob"].public_key], b"I am alice")
    sender_error(data, cast["bob"], world.trust)


def test_attack_co_receiver_swaps_the_body(world, cast):
    """For somebody who knows CEK a GCM tag binds nothing: the whole ciphertext is signed instead."""
    bob, carol = cast["bob"], cast["carol"]
    data = signcrypt(
        b"pay mallory    1", sender=cast["alice"], receivers=[bob.public_key, carol.public_key], ad=b"h"
    )
    insider = CoReceiver(data, bob, b"h")
    for body in (b"pay mallory 1000", b"", b"pay mallory    1 and more"):
        swapped = insider.rewrite(body=body, ad=b"h", plaintext_bytes=len(body))
        sender_error(swapped, carol, world.trust, b"h")
    sender_error(insider.rewrite(ad=b"other"), carol, world.trust, b"other")


def test_attack_truncation_by_rewriting_the_head(world, cast):
    """Trailing zeros could pass as padding: the plaintext length is signed."""
    bob, carol = cast["bob"], cast["carol"]
    text = b"limit=1000000".ljust(512, b"\0")
    data = signcrypt(text, sender=cast["alice"], receivers=[bob.public_key, carol.public_key])
    insider = CoReceiver(data, bob)
    assert padme(510) == 512
    for n in (510, 511, 505, 0, 513, 2**64 - 1):
        sender_error(insider.rewrite(plaintext_bytes=n), carol, world.trust)
    padded = signcrypt(
        b"x" * 500, sender=cast["alice"], receivers=[bob.public_key, carol.public_key], pad=True
    )
    insider = CoReceiver(padded, bob)
    assert unsigncrypt(insider.rewrite(), receiver=carol, trust=world.trust).plaintext == b"x" * 500
    sender_error(insider.rewrite(plaintext_bytes=512), carol, world.trust)  # zeros as content


def test_attack_bit_in_another_slot_is_no_membership_oracle(world, cast):
    """Were only the own slot authenticated, a flip elsewhere would tell who opened the packet."""
    bob, carol = cast["bob"], cast["carol"]
    data = signcrypt(b"x", sender=cast["alice"], receivers=[bob.public_key, carol.public_key], dummy_slots=2)
    for i in range(4 + 178, 4 + 178 + 4 * 80, 5):
        flipped = data[:i] + bytes([data[i] ^ 4]) + data[i + 1 :]
        for receiver in (bob, carol, cast["dave"]):
            first_error(flipped, receiver, world.trust)


def test_attack_co_receiver_tests_membership(world, cast):
    """Nothing that bob can open names carol, and no slot can be recomputed from her public key."""
    bob, carol, dave = cast["bob"], cast["carol"], cast["dave"]
    data = signcrypt(b"x", sender=cast["alice"], receivers=[bob.public_key, carol.public_key])
    insider = CoReceiver(data, bob)
    opened = insider.head_bytes + insider.plain + insider.cek
    public = carol.public_key
    for needle in (public.X, public.pid, b"carol", public._Q_base.point.to_compressed_bytes()):
        assert needle not in opened
        assert needle not in data
    # The membership test of the draft: same head whoever the co-receiver is.
    other = signcrypt(b"x", sender=cast["alice"], receivers=[bob.public_key, dave.public_key])
    a, b = CoReceiver(data, bob).head, CoReceiver(other, bob).head
    assert (a.params_id, a.name, a.X, a.plaintext_bytes) == (b.params_id, b.name, b.X, b.plaintext_bytes)
    # bob's own secrets in carol's place give no slot.
    U1 = group.g1_from_bytes(insider.parsed.U1, "U1")
    U2 = group.g2_from_bytes(insider.parsed.U2, "U2")
    S = group.g1_mul_vartime(U1, bob._x).to_compressed_bytes()
    T = group.multi_pairing([bob._D.point], [U2])
    com, _ = kem.slot_keys(T, S, insider.parsed.U1, insider.parsed.U2, public)
    own, _ = kem.slot_keys(T, S, insider.parsed.U1, insider.parsed.U2, bob.public_key)
    found = [slot[:32] for slot in insider.parsed.slots]
    assert own in found
    assert com not in found


def test_known_limit_active_co_receiver_finds_the_others_by_their_reactions(world, cast):
    """NOT prevented, and documented: a co-receiver knows CEK, and rewrites body and head of a packet.

    If this test fails, the construction got better: then docs/clsc.md must say so.
    """
    bob, mallory = cast["bob"], cast["mallory"]
    suspects = {"carol": cast["carol"], "dave": cast["dave"]}

    def reaction(data, suspect):
        try:
            return unsigncrypt(data, receiver=suspect, trust=world.trust).sender.identity
        except (UnsigncryptError, SenderError) as error:
            return type(error)

    for truth, other in suspects.items():
        data = signcrypt(b"x", sender=cast["alice"], receivers=[bob.public_key, other.public_key])
        insider = CoReceiver(data, bob)
        resigned = insider.rewrite(
            body=b"ping", plaintext_bytes=4, sign_as=mallory, name=packet.pad_name(b"mallory"),
            X=mallory.public_key.X,
        )  # fmt: skip
        unsigned = insider.rewrite(signature=bytes(176))
        for name, suspect in suspects.items():
            is_one = name == truth
            assert reaction(resigned, suspect) == (b"mallory" if is_one else UnsigncryptError)
            assert reaction(unsigned, suspect) == (SenderError if is_one else UnsigncryptError)


def test_attack_different_content_keys_for_two_receivers(world, cast):
    """kc commits to CEK: a sender cannot show two receivers two contents in one packet."""
    bob, carol = cast["bob"], cast["carol"]
    data = lying_sender(
        cast["alice"], [bob.public_key, carol.public_key], b"text", ceks=[b"K" * 32, b"L" * 32]
    )
    assert unsigncrypt(data, receiver=bob, trust=world.trust).plaintext == b"text"
    first_error(data, carol, world.trust)
    # Everything consistent but the commitment: GCM alone would open under a second key made for it.
    data = lying_sender(cast["alice"], [bob.public_key], b"text", kc=bytes(32))
    first_error(data, bob, world.trust)


def test_two_slots_for_one_receiver_are_refused(world, cast):
    bob = cast["bob"]
    data = lying_sender(cast["alice"], [bob.public_key, bob.public_key], b"text")
    first_error(data, bob, world.trust)


def test_only_a_whole_commitment_is_the_own_slot(world, cast):
    """Else a slot that shares the first bytes would count as a second one and stop the receiver."""
    bob = cast["bob"]
    data = signcrypt(b"x", sender=cast["alice"], receivers=[bob.public_key], dummy_slots=1)
    insider = CoReceiver(data, bob)
    com, _ = insider.own_slot_keys(bob)
    (own,) = [slot for slot in insider.parsed.slots if slot[:32] == com]
    near = com[:31] + bytes([com[31] ^ 1]) + bytes(48)
    changed = insider.rewrite(slots=(near, own), sign_as=cast["alice"])
    assert unsigncrypt(changed, receiver=bob, trust=world.trust).plaintext == b"x"


def test_attack_surreptitious_forwarding(world, cast):
    """bob sends alice's signed content on to dave as if she had addressed him."""
    bob, dave = cast["bob"], cast["dave"]
    data = signcrypt(b"fired!", sender=cast["alice"], receivers=[bob.public_key])
    insider = CoReceiver(data, bob)
    forwarded = lying_sender(
        cast["mallory"],
        [dave.public_key],
        b"fired!",
        name=packet.pad_name(b"alice"),
        X=cast["alice"].public_key.X,
    )
    sender_error(forwarded, dave, world.trust)
    # The genuine signature inside a packet to dave:
    theirs = CoReceiver(forwarded, dave)
    head = replace(insider.head, plaintext_bytes=6)
    moved = assemble(
        theirs.parsed.header, theirs.parsed.slots, theirs.k_body, theirs.k_head, b"fired!", head, b"",
        None, {},
    )  # fmt: skip
    sender_error(moved, dave, world.trust)


def test_attack_co_receiver_adds_or_drops_a_receiver(world, cast):
    bob, carol, dave = cast["bob"], cast["carol"], cast["dave"]
    data = signcrypt(
        b"x", sender=cast["alice"], receivers=[bob.public_key, carol.public_key, dave.public_key]
    )
    insider = CoReceiver(data, bob)
    own = list(insider.parsed.slots)
    for slots in (own[:2], own[1:], [own[1], own[0], own[2]], [*own, bytes(80)]):
        rewritten = insider.rewrite(slots=tuple(slots))
        for receiver in (carol, dave):
            with pytest.raises((UnsigncryptError, SenderError)):
                unsigncrypt(rewritten, receiver=receiver, trust=world.trust)
    # Reordered slots open, and the order is signed too.
    swapped = insider.rewrite(slots=(own[1], own[0], own[2]))
    # The header is unchanged here, so the slots still open: only the signature stands in the way.
    sender_error(swapped, carol, world.trust)


# -- the second half: a lying sender -----------------------------------------------------------------


def test_every_lie_in_the_head_gives_the_equal_error(world, cast):
    alice, bob = cast["alice"], cast["bob"]
    to_bob = [bob.public_key]
    blind = world.signer("p", Mode.BLIND)
    trace = world.signer("t", Mode.TRACEABLE)
    name = packet.pad_name(b"alice")
    unknown = World("another issuer").signer()
    full = world.signer("n" * 64)
    revoked = world.signer("revoked one")
    trust = world.new_trust()
    trust.revoke(revoked.public_key.pid)
    lies = {
        "another's name": lying_sender(cast["mallory"], to_bob, b"x", name=name),
        "another's name and X": lying_sender(cast["mallory"], to_bob, b"x", name=name, X=alice.public_key.X),
        "own signature, other parameters": lying_sender(
            alice, to_bob, b"x", params_id=world.params[Mode.BLIND].params_id
        ),
        "unknown parameters": lying_sender(unknown, to_bob, b"x"),
        "revoked": lying_sender(revoked, to_bob, b"x"),
        "blind with a name": lying_sender(blind, to_bob, b"x", name=name),
        "identity without a name": lying_sender(alice, to_bob, b"x", name=packet.pad_name(b"")),
        "traceable with 63 bytes": lying_sender(trace, to_bob, b"x", name=b"\x3f" + bytes(64)),
        "length byte 65": lying_sender(alice, to_bob, b"x", name=b"\x41" + bytes(64)),
        "length byte 255": lying_sender(alice, to_bob, b"x", name=b"\xff" + bytes(64)),
        "name padding": lying_sender(alice, to_bob, b"x", name=name[:-1] + b"\1"),
        "length byte 65 before a full name": lying_sender(full, to_bob, b"x", name=b"\x41" + full.identity),
        "zero padding, not to the Padme length": lying_sender(
            alice, to_bob, b"xxx" + bytes(6), plaintext_bytes=3
        ),
        "name shorter than it is": lying_sender(alice, to_bob, b"x", name=b"\4" + name[1:]),
        "X is the identity": lying_sender(alice, to_bob, b"x", X=b"\xc0" + bytes(47)),
        "X outside the subgroup": lying_sender(alice, to_bob, b"x", X=b"\x80" + bytes(46) + b"\4"),
        "length too long": lying_sender(alice, to_bob, b"x" * 9, plaintext_bytes=10),
        "length too short": lying_sender(alice, to_bob, b"x" * 9, plaintext_bytes=3),
        "padding not zero": lying_sender(alice, to_bob, b"x" * 10, plaintext_bytes=9),
        "usage decrypt": lying_sender(alice, to_bob, b"x", X=world.receiver("alice").public_key.X),
    }
    assert padme(9) == 10
    honest_pad = lying_sender(alice, to_bob, b"x" * 9 + b"\0", plaintext_bytes=9)
    assert unsigncrypt(honest_pad, receiver=bob, trust=trust).plaintext == b"x" * 9
    honest_name = lying_sender(full, to_bob, b"x")
    assert unsigncrypt(honest_name, receiver=bob, trust=trust).sender == full.public_key
    assert len({sender_error(data, bob, trust) for data in lies.values()}) == 1
    # Out of validity: the same error again.
    late = world.new_trust(NOT_AFTER + 10_000)
    genuine = signcrypt(b"x", sender=alice, receivers=to_bob)
    assert sender_error(genuine, bob, late) == sender_error(lies["revoked"], bob, trust)


def test_bad_signatures_in_the_head(world, cast):
    alice, bob = cast["alice"], cast["bob"]
    good = CoReceiver(signcrypt(b"x", sender=alice, receivers=[bob.public_key]), bob)
    original = good.head.signature
    other = CoReceiver(signcrypt(b"x", sender=alice, receivers=[bob.public_key]), bob).head.signature
    bad = [
        bytes(176), other, original[:144] + bytes(32), original[48:96] + original[:48] + original[96:],
        original[:-1] + bytes([original[-1] ^ 1]), b"\xc0" + bytes(47) + original[48:],
        signature._sign_derand(alice, "message", hashes.message_transcript(b"x"), lambda n: bytes(n)),
    ]  # fmt: skip
    for value in bad:
        sender_error(good.rewrite(signature=value), bob, world.trust)


def test_head_that_is_not_the_encoding_of_one(world, cast):
    """The content of the head is as strict as the wire: one encoding."""
    bob = cast["bob"]
    data = signcrypt(b"x", sender=cast["alice"], receivers=[bob.public_key])
    insider = CoReceiver(data, bob)
    for i in (0, 3, 36, 39, 105, 108, 157, 160, 337, 340):  # every byte of a length prefix
        bad = bytearray(insider.head_bytes)
        bad[i] ^= 1
        sealed = AESGCM(insider.k_head).encrypt(bytes(12), bytes(bad), insider.wire)
        sender_error(data[:-365] + sealed, bob, world.trust)


# -- body -------------------------------------------------------------------------------------------


def test_outsider_cannot_reorder_drop_or_repeat_chunks(world, cast):
    bob = cast["bob"]
    plaintext = b"".join(bytes([i]) * 2**20 for i in range(3)) + b"end"
    data = signcrypt(plaintext, sender=cast["alice"], receivers=[bob.public_key])
    parsed = packet.parse(data)
    start = data[: 4 + 178 + 80]
    c = [bytes(chunk) for chunk in parsed.body.chunks()]
    assert len(c) == 4
    for chunks in (
        [c[1], c[0], c[2], c[3]],
        [c[0], c[1], c[3]],
        c[:3],
        [c[0], c[0], c[1], c[2], c[3]],
        c[3:],
    ):
        body = b"".join(chunks)
        first_error(start + len(body).to_bytes(8, "big") + body + parsed.head, bob, world.trust)


def test_anonymity_of_the_bytes(world, cast):
    """No public key, name or id inside; the length does not depend on the people."""
    lengths = set()
    for sender in (
        cast["alice"],
        world.signer("someone with a far longer name"),
        world.signer("p", Mode.BLIND),
    ):
        for receiver in (cast["bob"], world.receiver("r" * 64), world.receiver("q", Mode.BLIND)):
            data = signcrypt(b"x" * 100, sender=sender, receivers=[receiver.public_key])
            lengths.add(len(data))
            for key in (sender.public_key, receiver.public_key):
                for needle in (
                    key.X, key.pid, key.params.params_id, key.to_bytes(), key.params.epoch,
                    key.params.Y.to_compressed_bytes(), key._Q_base.point.to_compressed_bytes(), key.identity,
                ):  # fmt: skip
                    assert needle == b"" or len(needle) < 4 or needle not in data
    assert lengths == {555 + 80 + 100 + 16}

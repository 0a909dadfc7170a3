"""Who might fool a judge, and what evidence gives away: each through the public API."""

import io
from dataclasses import replace

import pytest
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from sottovoce.clsc import (
    DecodeError,
    Evidence,
    EvidenceError,
    Mode,
    SecretKey,
    SenderError,
    SignatureError,
    Strength,
    UnsigncryptError,
    comb,
    group,
    kem,
    packet,
    sign,
    signature,
    signcrypt,
    unsigncrypt,
)
from sottovoce.clsc import judge as ask_judge
from sottovoce.clsc import make_evidence as make
from support.clsc_attacker import CoReceiver, assemble, lying_sender
from support.clsc_evidence import ALL, fields_of, flip, forged, sealed
from support.clsc_world import NOT_AFTER, NOT_BEFORE, World

AD = b"round 1"
TEXT = b"I owe bob 5"


@pytest.fixture
def data(world):
    return sealed(world, TEXT)


def evidence_of(world, data, strength=Strength.ADDRESSED, name="bob", ad=AD):
    return make(data, receiver=world.receiver(name), trust=world.trust, ad=ad, strength=strength)


def verdict(world, value, data=None, **options):
    if isinstance(value, bytes):
        value = Evidence.from_bytes(value)
    return ask_judge(value, world.root.public_key, packet=data, **options)


def refused(error, world, value, data=None, match=None, **options):
    with pytest.raises(error, match=match) as caught:
        verdict(world, value, data, **options)
    assert type(caught.value) is error
    assert caught.value.__cause__ is None


# -- a receiver lies ---------------------------------------------------------------------------------


@pytest.mark.parametrize("strength", ALL)
def test_attack_receiver_changes_anything_that_was_signed(world, data, strength):
    """Length, receivers, ad, name, X: everything is under the signature, for every strength."""
    evidence = evidence_of(world, data, strength)
    true = fields_of(evidence)
    slots, mallory = true["slots"], world.signer("mallory").public_key
    padded = sealed(world, b"x" * 500, pad=True)
    long = evidence_of(world, padded, strength)
    assert verdict(world, forged(evidence), data).packet_id == evidence.packet_id
    lies = [
        forged(evidence, ad=b"round 2"),
        forged(evidence, ad=b""),
        forged(evidence, identity=b"mallory"),
        forged(evidence, X=mallory.X),
        forged(evidence, identity=b"mallory", X=mallory.X),
        forged(evidence, slots=slots[80:] + slots[:80]),
        forged(evidence, slots=slots[:80] + bytes(80)),
        forged(evidence, slots=slots[:80], header=true["header"][:1] + b"\1" + true["header"][2:]),
        forged(evidence, slots=slots + bytes(80), header=true["header"][:1] + b"\3" + true["header"][2:]),
        forged(evidence, header=flip(true["header"], 146)),
        forged(evidence, header=flip(true["header"], 2, 0x20)),
        forged(evidence, header=flip(true["header"], 50, 0x20)),
        forged(evidence, chunk_hashes=flip(true["chunk_hashes"], 0)),
        forged(evidence, body_bytes=len(TEXT) + 15, plaintext_bytes=len(TEXT) - 1),
        forged(evidence, signature=flip(true["signature"], 175)),
        forged(evidence, signature=bytes(176)),
        forged(evidence, params=fields_of_params(world, Mode.TRACEABLE), identity=b"a" * 64),
        forged(long, plaintext_bytes=500 - 1),
        forged(long, plaintext_bytes=512),
    ]
    for lie in lies:
        refused(SignatureError, world, lie)
        refused(SignatureError, world, lie, data)


def fields_of_params(world, mode):
    return world.params[mode].to_bytes()


def test_attack_receiver_claims_another_content(world, data):
    """It knows CEK, so it can make any body open: but the hash of the true one is signed."""
    insider = CoReceiver(data, world.receiver("bob"), AD)
    for strength in ALL:
        evidence = evidence_of(world, data, strength)
        for body in (b"I owe bob 9", b"I owe bob", TEXT + b"00", b""):
            swapped = insider.rewrite(body=body, ad=AD)
            expected = "not the one" if len(body) != len(TEXT) else "another body"
            refused(EvidenceError, world, evidence, swapped, match=expected)
        refused(EvidenceError, world, evidence, sealed(world, TEXT), match="not the one")
        # The head is not signed and not asked: whatever stands there, the same ciphertext was signed.
        unsigned = insider.rewrite(signature=bytes(176), ad=AD)
        assert verdict(world, evidence, unsigned).packet_id == evidence.packet_id


def test_attack_receiver_claims_another_key(world, data):
    """A key under which the body opens too could be found for GCM; ``kc`` commits to one."""
    evidence = evidence_of(world, data)
    true = fields_of(evidence)
    for cek in (bytes(32), flip(true["cek"], 31)):
        content = forged(evidence.weakened(Strength.CONTENT), cek=cek)
        refused(EvidenceError, world, content, data, match="commits to")
        refused(EvidenceError, world, forged(evidence, cek=cek), data, match="made for this receiver")


def test_attack_another_addressee(world, data):
    """``com`` is a hash of T, S and the name: a slot can be shown to be one receiver's only."""
    evidence, true = evidence_of(world, data), fields_of(evidence_of(world, data))
    carol, dave = world.receiver("carol").public_key, world.receiver("dave").public_key
    theirs = fields_of(evidence_of(world, data, name="carol"))
    lies = [
        {"to_identity": b"carol", "to_X": carol.X},  # bob's slot as carol's
        {"to_identity": b"carol"},
        {"to_X": dave.X},
        {"to_params": fields_of_params(world, Mode.TRACEABLE), "to_identity": b"b" * 64},
        {"T": theirs["T"]},
        {"S": theirs["S"]},
        {"T": theirs["T"], "S": theirs["S"]},
        {"S": flip(true["S"], 0, 0x20)},  # -S
        {"T": flip(true["T"], 0)},
        {"to_identity": b"dave", "to_X": dave.X},
    ]
    for lie in lies:
        refused(EvidenceError, world, forged(evidence, **lie), data, match="made for this receiver")
    # With both secrets of carol's slot it IS carol's.
    honest = {name: theirs[name] for name in ("to_identity", "to_X", "T", "S")}
    assert verdict(world, forged(evidence, **honest), data).addressee == carol


def test_attack_receiver_uses_the_signature_of_something_else(world, data):
    """A signed message, or another packet, is no signature of this one."""
    alice = world.signer()
    evidence = evidence_of(world, data)
    other = fields_of(evidence_of(world, sealed(world, TEXT)))
    refused(SignatureError, world, forged(evidence, signature=other["signature"]), data)
    transcript = evidence._transcript()
    for context in ("message", "issue"):
        made = signature._sign_derand(alice, context, transcript, lambda n: bytes(n))
        refused(SignatureError, world, forged(evidence, signature=made), data)
    assert verdict(
        world,
        forged(evidence, signature=signature._sign_derand(alice, "packet", transcript, lambda n: bytes(n))),
    )  # the sender itself may sign again
    refused(SignatureError, world, forged(evidence, signature=sign(alice, transcript)), data)


def test_attack_own_root(world, data):
    """Everything made under a root of one's own, names included: the judge pins its own."""
    mine = World("mine")
    packet_of_mine = sealed(mine, b"I, alice, owe mallory 1000000")
    evidence = evidence_of(mine, packet_of_mine)
    assert verdict(mine, evidence, packet_of_mine).sender.identity == b"alice"
    refused(SignatureError, world, evidence, packet_of_mine, match="another root")
    # The true alice's evidence, with parameters that the attacker signed for the same epoch.
    swapped = forged(evidence_of(world, data), params=mine.params[Mode.IDENTITY].to_bytes())
    refused(SignatureError, world, swapped, data, match="another root")


def test_co_receiver_can_only_convict_itself(world, data):
    """It signs alice's body again: the verdict then names it, with another packet id."""
    mallory = world.signer("mallory")
    resigned = CoReceiver(data, world.receiver("bob"), AD).rewrite(
        ad=AD, sign_as=mallory, name=packet.pad_name(b"mallory"), X=mallory.public_key.X
    )
    found = verdict(world, evidence_of(world, resigned, name="carol"), resigned)
    genuine = verdict(world, evidence_of(world, data, name="carol"), data)
    assert (found.plaintext, found.sender) == (TEXT, mallory.public_key)
    assert found.packet_id != genuine.packet_id
    # Its packet file beside evidence against alice changes nothing: same ciphertext, and she signed it.
    crossed = verdict(world, evidence_of(world, data), resigned)
    assert (crossed.sender, crossed.packet_id) == (genuine.sender, genuine.packet_id)


# -- a sender lies ---------------------------------------------------------------------------------


def evidence_by_the_sender(world, data, receiver, cek, T=None, S=None, ad=b""):
    """What a sender can show of its own packet: it knows everything but needs no secret of a receiver."""
    parsed = packet.parse(data)
    _, k_head, _ = kem.content_keys(cek)
    chunk_hashes = bytearray()
    wire = parsed.wire(ad, chunk_hashes)
    head = packet.parse_head(AESGCM(k_head).decrypt(bytes(12), parsed.head, wire))
    template = evidence_of(world, sealed(world))
    key = receiver.public_key
    return forged(
        template, identity=head.identity, X=head.X, signature=head.signature, header=parsed.header,
        slots=b"".join(parsed.slots), ad=ad, body_bytes=parsed.body_bytes,
        plaintext_bytes=head.plaintext_bytes, chunk_hashes=bytes(chunk_hashes), cek=cek,
        to_identity=key.identity, to_X=key.X, T=T or bytes(576), S=S or group.P1.to_compressed_bytes(),
    )  # fmt: skip


def slot_of(key, T, S, header, cek):
    com, k = kem.slot_keys(T, S, header[2:50], header[50:146], key)
    return com + AESGCM(k).encrypt(bytes(12), cek, header + com)


def test_known_limit_sender_commits_to_a_receiver_who_cannot_open(world):
    """ADDRESSED shows to whom the SENDER committed.  It can make a slot of garbage under carol's name.

    If this test fails, the construction got better: then docs/clsc.md must say so.
    """
    mallory, bob, carol = world.signer("mallory"), world.receiver("bob"), world.receiver("carol")
    cek, T, S = b"K" * 32, bytes(575) + b"\1", comb.p1_mul(7).to_compressed_bytes()
    honest = lying_sender(mallory, [bob.public_key, carol.public_key], b"psst")
    insider = CoReceiver(honest, bob)
    (own,) = [s for s in insider.parsed.slots if s[:32] == insider.own_slot_keys(bob)[0]]
    garbage = slot_of(carol.public_key, T, S, insider.parsed.header, cek)
    data = insider.rewrite(slots=(own, garbage), sign_as=mallory)
    assert unsigncrypt(data, receiver=bob, trust=world.trust).plaintext == b"psst"
    with pytest.raises(UnsigncryptError):
        unsigncrypt(data, receiver=carol, trust=world.trust)
    claim = evidence_by_the_sender(world, data, carol, cek, T, S)
    assert verdict(world, claim, data).addressee == carol.public_key
    # It convicts the maker of nothing less, and nobody but the maker.
    assert verdict(world, claim, data).sender == mallory.public_key


def test_attack_sender_shows_another_content_than_the_receivers_got(world):
    """Two contents in one packet, one to show to a judge: ``kc`` allows one CEK."""
    mallory, bob, carol = world.signer("mallory"), world.receiver("bob"), world.receiver("carol")
    keys = [b"K" * 32, b"L" * 32]
    data = lying_sender(mallory, [bob.public_key, carol.public_key], b"text", ceks=keys)
    claim = evidence_by_the_sender(world, data, bob, keys[0])
    weaker = Evidence.from_bytes(claim).weakened(Strength.CONTENT)
    assert verdict(world, weaker, data).plaintext == b"text"
    refused(EvidenceError, world, forged(weaker, cek=keys[1]), data, match="commits to")
    nobody = lying_sender(mallory, [bob.public_key], b"text", kc=bytes(32))
    claim = Evidence.from_bytes(evidence_by_the_sender(world, nobody, bob, keys[0]))
    refused(EvidenceError, world, claim.weakened(Strength.CONTENT), nobody, match="commits to")


def test_attack_sender_signs_what_no_receiver_accepts(world):
    """What unsigncrypt refuses behind the signature, a judge refuses: nobody can have received it."""
    mallory, bob = world.signer("mallory"), world.receiver("bob")
    to, cek = [bob.public_key], b"K" * 32
    dirty = lying_sender(mallory, to, b"x" * 10, plaintext_bytes=9)
    claim = Evidence.from_bytes(evidence_by_the_sender(world, dirty, bob, cek)).weakened(Strength.CONTENT)
    refused(EvidenceError, world, claim, dirty, match="padding")
    for n_bytes in (3, 11, 2**64 - 1):
        lie = lying_sender(mallory, to, b"x" * 10, plaintext_bytes=n_bytes)
        with pytest.raises(DecodeError, match="plaintext length"):
            Evidence.from_bytes(evidence_by_the_sender(world, lie, bob, cek))
    # A body that does not open under the committed key, its hash signed.
    insider = CoReceiver(lying_sender(mallory, to, b"text"), bob)
    broken = replace_body(insider, flip(bytes(next(insider.parsed.body.chunks())), 0), mallory)
    claim = evidence_by_the_sender(world, broken, bob, cek)
    refused(EvidenceError, world, Evidence.from_bytes(claim).weakened(Strength.CONTENT), broken, match="open")
    # The right commitment before a CEK that does not open: unsigncrypt refuses it.
    header = insider.parsed.header
    T, S = secrets_of(insider.parsed, bob)
    closed = slot_of(bob.public_key, T, S, header, cek)[:32] + bytes(48)
    data = insider.rewrite(slots=(closed,), sign_as=mallory)
    claim = evidence_by_the_sender(world, data, bob, cek, T, S)
    refused(EvidenceError, world, claim, data, match="holds CEK")
    # Two slots for one receiver: unsigncrypt opens neither.
    for receivers in (to, to * 2):
        data = lying_sender(mallory, receivers, b"text")
        claim = evidence_by_the_sender(world, data, bob, cek, *secrets_of(packet.parse(data), bob))
        if receivers == to:
            assert verdict(world, claim, data).addressee == bob.public_key
        else:
            refused(EvidenceError, world, claim, data, match="more than one")


def secrets_of(parsed, receiver):
    """T, S of the receiver's slot, which the sender knows too."""
    U1, U2 = group.g1_from_bytes(parsed.U1, "U1"), group.g2_from_bytes(parsed.U2, "U2")
    T = group.multi_pairing([receiver._D.point], [U2])
    return T, group.g1_mul_vartime(U1, receiver._x).to_compressed_bytes()


def replace_body(insider, chunk, signer):
    """The packet with one chunk of garbage, honestly hashed and signed."""
    parsed = insider.parsed
    wire = packet.WireHash(parsed.header, parsed.slots, b"", len(chunk))
    wire.add(chunk)
    transcript = packet.transcript_hash(wire.digest(), insider.head.plaintext_bytes)
    made = signature._sign_derand(signer, "packet", transcript, lambda n: bytes(n))
    head = replace(insider.head, signature=made).to_bytes()
    sealed_head = AESGCM(insider.k_head).encrypt(bytes(12), head, wire.digest())
    return b"".join(
        [packet.MAGIC, parsed.header, *parsed.slots, len(chunk).to_bytes(8, "big"), chunk, sealed_head]
    )


# -- what evidence gives away ------------------------------------------------------------------------


def test_attack_receiver_as_an_oracle_for_x_times_U1(world, data):
    """mallory wants S of alice's packet: she puts alice's U1 into a packet of her own and asks for evidence.

    ``com`` is a hash of S, so a packet that opens was made by somebody who knew S already; or its slot is
    a copy of alice's, and then so is the header, whose CEK an outsider does not know.
    """
    mallory, bob = world.signer("mallory"), world.receiver("bob")
    target = packet.parse(data)
    u2 = group.random_scalar()
    U2 = comb.p2_mul(u2).to_compressed_bytes()
    cek = b"K" * 32
    k_body, k_head, kc = kem.content_keys(cek)
    T = group.multi_pairing([bob.public_key._Q_base.mul(u2)], [bob.params.Y])  # known: u2 is her own
    tries = []
    for header in (
        target.header[:1] + b"\1" + target.U1 + U2 + kc,  # alice's U1, own U2
        target.header[:1] + b"\1" + target.U1 + target.U2 + kc,  # both hers
        target.header[:1] + b"\1" + target.U1 + target.U2 + target.kc,
    ):
        guesses = [slot_of(bob.public_key, T, S.to_compressed_bytes(), header, cek) for S in (
            group.P1, group.g1_from_bytes(target.U1, "U1"), bob.public_key._X,
        )]  # fmt: skip
        for slot in (*guesses, *target.slots):
            blank = packet.Head(
                mallory.params.params_id, packet.pad_name(b"mallory"), mallory.public_key.X, bytes(176), 4
            )
            tries.append(assemble(header, [slot], k_body, k_head, b"ping", blank, AD, mallory, {}))
    whole = target.header
    blank = packet.Head(
        mallory.params.params_id, packet.pad_name(b"mallory"), mallory.public_key.X, bytes(176), 4
    )
    tries.append(assemble(whole, list(target.slots), k_body, k_head, b"ping", blank, AD, mallory, {}))
    for value in tries:
        with pytest.raises(UnsigncryptError):
            make(value, receiver=bob, trust=world.trust, ad=AD, strength=Strength.ADDRESSED)
    # What a slot shows of S, it shows for this U1, U2 and name only: nothing of another packet opens.
    ours, theirs = secrets_of(packet.parse(data), bob), packet.parse(sealed(world, TEXT))
    com, _ = kem.slot_keys(*ours, theirs.U1, theirs.U2, bob.public_key)
    assert com not in {slot[:32] for slot in theirs.slots}


def test_known_limit_evidence_of_a_packet_built_on_another_opens_both(world, data):
    """NOT prevented, and documented: a co-receiver puts its own body around alice's slots.

    carol shows evidence against mallory; whoever reads it can open what alice sent, and prove that she
    had addressed carol.  Both packets have one header: that is how carol can tell.
    """
    mallory, carol = world.signer("mallory"), world.receiver("carol")
    bait = CoReceiver(data, world.receiver("bob"), AD).rewrite(
        body=b"insult", plaintext_bytes=6, ad=AD, sign_as=mallory, name=packet.pad_name(b"mallory"),
        X=mallory.public_key.X,
    )  # fmt: skip
    shown = evidence_of(world, bait, name="carol")
    assert verdict(world, shown, bait).plaintext == b"insult"
    # The reader of that evidence, with alice's packet from the network, and mallory's help for the head:
    parsed = packet.parse(data)
    k_body, _, _ = kem.content_keys(fields_of(shown)["cek"])
    assert AESGCM(k_body).decrypt(bytes(11) + b"\1", bytes(next(parsed.body.chunks())), None) == TEXT
    alices = evidence_of(world, data, Strength.SIGNED, name="bob")  # mallory is bob's friend
    extra = {name: fields_of(shown)[name] for name in ("cek", "to_params", "to_identity", "to_X", "T", "S")}
    joined = forged(alices, strength=3, **extra)
    assert verdict(world, joined, data).addressee == carol.public_key
    assert shown.header == alices.header
    # Weaker evidence gives none of that away.
    assert fields_of(shown)["cek"] not in shown.weakened(Strength.SIGNED).to_bytes()


# -- names, pseudonyms, time ---------------------------------------------------------------------------


def test_attack_blind_pseudonym_with_a_name(world):
    """A verdict against a blind key says ``blind``: nobody's name, and evidence cannot put one there."""
    sender = world.signer("p", Mode.BLIND)
    data = sealed(world, TEXT, sender=sender)
    evidence = evidence_of(world, data)
    found = verdict(world, evidence, data)
    assert (found.mode, found.sender.identity) == (Mode.BLIND, b"")
    for lie in ({"identity": b"alice"}, {"identity": b"a" * 64}):
        with pytest.raises(DecodeError, match="do not fit mode blind"):
            Evidence.from_bytes(forged(evidence, **lie))
    relabelled = forged(evidence, params=world.params[Mode.IDENTITY].to_bytes(), identity=b"alice")
    refused(SignatureError, world, relabelled, data)


def test_framing_needs_both_secrets(world):
    """With x alone (a thief) or D alone (the issuer) no evidence against alice can be made."""
    alice, mallory = world.signer(), world.signer("mallory")
    bob = world.receiver("bob")
    for x, D in ((alice._x, mallory._D.point), (mallory._x, alice._D.point)):
        half = object.__new__(SecretKey)
        half._assign(alice.public_key, x, D)
        data = lying_sender(half, [bob.public_key], b"text")
        with pytest.raises(SenderError):
            make(data, receiver=bob, trust=world.trust)
        refused(SignatureError, world, evidence_by_the_sender(world, data, bob, b"K" * 32), data)


def test_a_verdict_does_not_know_the_time(world):
    """Signed with a key of this epoch: by whom, and in time, the judge has to learn elsewhere."""
    trust = world.new_trust()
    data = sealed(world, TEXT)
    evidence = make(data, receiver=world.receiver("bob"), trust=trust, ad=AD)
    trust.revoke(world.signer().public_key.pid)
    with pytest.raises(SenderError):
        make(data, receiver=world.receiver("bob"), trust=trust, ad=AD)
    found = verdict(world, evidence, data)
    assert (found.sender.params.not_before, found.sender.params.not_after) == (NOT_BEFORE, NOT_AFTER)


def test_file_changed_while_the_judge_reads(world, tmp_path):
    """Between the check and the copy somebody who knows CEK puts another, well-sealed body there."""
    mib = 1 << 20
    text, false = b"true " * (mib // 2), b"lies " * (mib // 2)
    data = sealed(world, text)
    swapped = CoReceiver(data, world.receiver("bob"), AD).rewrite(body=false, ad=AD)
    path = tmp_path / "packet"
    path.write_bytes(data)
    evidence = evidence_of(world, path)

    class Target(io.BytesIO):
        def write(self, block):
            path.write_bytes(swapped)
            return super().write(block)

    out = Target()
    refused(EvidenceError, world, evidence, path, target=out, match="another body")
    assert len(out.getvalue()) > 0
    assert text.startswith(out.getvalue())  # nothing false came out
    refused(EvidenceError, world, evidence, path, match="another body")


def test_honest_packets_never_share_a_header(world):
    headers = {evidence_of(world, sealed(world, TEXT), Strength.SIGNED).header for _ in range(4)}
    assert len(headers) == 4
    same = signcrypt(TEXT, sender=world.signer(), receivers=[world.receiver("bob").public_key], ad=AD)
    assert evidence_of(world, same, Strength.SIGNED).header not in headers

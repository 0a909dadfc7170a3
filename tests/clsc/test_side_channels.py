"""Side channels: no secret reaches a function of the back end whose time follows the scalar.

Secrets go into tables and windows, of which test_group.py shows that they always do the same.
"""

import pytest

from sottovoce.clsc import (
    BlindRequest,
    IdentityRequest,
    Issuer,
    MasterKey,
    Mode,
    RootKey,
    UnsigncryptError,
    Usage,
    group,
    kem,
    packet,
    sign,
    signature,
    signcrypt,
    unsigncrypt,
    unsigncryption,
    verify,
)
from support.clsc_recorder import G1, G2, Record
from support.clsc_world import NOT_AFTER, issue_identity, issuers

R = group.ORDER


@pytest.fixture
def record(monkeypatch):
    return Record(monkeypatch)


def test_master_secret_is_not_given_to_the_backend(record):
    root = RootKey.generate()
    master = MasterKey.generate(root, Mode.BLIND, b"e", not_before=0, not_after=NOT_AFTER)
    assert master._s in record.secrets
    assert record.knows(G2, master.params.Y.to_compressed_bytes())
    issuer = Issuer(master)
    asked = BlindRequest(master.params, Usage.SIGN, issuer.enrol("a"))
    assert {asked._x, asked._b} <= record.secrets
    key = asked.finish(issuer.issue("a", asked.to_bytes()))
    record.check(master._s, asked._x, asked._b, pow(asked._b, -1, R))
    verify(key.public_key, b"m", sign(key, b"m"))


def test_proof_of_possession_and_envelope(world, record):
    issuer, _ = issuers(world)
    record.secrets.add(world.master[Mode.IDENTITY]._s)
    asked = IdentityRequest(issuer.params, Usage.SIGN, b"a", issuer.enrol("a"))
    data = asked.to_bytes(issuer.challenge())
    answer = issuer.issue("a", data)
    asked.finish(answer)
    assert asked._x in record.secrets
    assert record.knows(G1, data[-144:-96])  # R = rho*P1
    assert record.knows(G1, answer[2:50])  # E = e*P1
    record.check(world.master[Mode.IDENTITY]._s, asked._x)


@pytest.mark.parametrize("uses", [1, 5], ids=["blinded", "with tables"])
def test_nonces(world, record, uses):
    key = world.make_key("fresh nonces", Usage.SIGN)
    for _ in range(uses):
        data = sign(key, b"m")
    assert record.knows(key.public_key._Q_base, data[:48])  # A = k*Q
    assert record.knows(G1, data[96:144])  # R = rho*P1
    assert record.challenges
    record.secrets.add(key._x)
    assert len(record.steady) > 2 * uses
    record.check()


@pytest.mark.parametrize("uses", [1, 5], ids=["blinded", "with tables"])
def test_ephemerals(world, record, uses):
    key, receiver = world.make_key("fresh sender", Usage.SIGN), world.make_key("fresh", Usage.DECRYPT)
    for _ in range(uses):
        data = signcrypt(b"m", sender=key, receivers=[receiver.public_key])
        unsigncrypt(data, receiver=receiver, trust=world.trust)
    parsed = packet.parse(data)
    assert record.knows(G1, parsed.U1)
    assert record.knows(G2, parsed.U2)
    record.secrets |= {key._x, receiver._x}
    record.check(receiver._x)


def test_inverse_sees_only_blinded_values(monkeypatch):
    """Extended Euclid in Python takes a time that follows its input."""
    seen = []
    monkeypatch.setattr(group, "pow", lambda *args: seen.append(args[0]) or pow(*args), raising=False)
    k = 0x1234567 << 99
    assert {group.inverse_secret(k) for _ in range(3)} == {pow(k, -1, R)}
    assert len(set(seen)) == 3
    assert not {k, R - k} & set(seen)


def test_the_backend_multiplies_by_challenges_only(world, monkeypatch):
    """Whatever else met a ``*`` of the back end would have to be public, or drawn afresh for it."""
    seen = []
    for name in ("g1_mul_vartime", "g2_mul_vartime"):
        original = getattr(group._backend, name)
        monkeypatch.setattr(
            group._backend, name, lambda p, k, original=original: seen.append(k) or original(p, k)
        )
    challenges = []
    challenge = signature._challenge
    monkeypatch.setattr(
        signature, "_challenge", lambda *args: challenges.append(challenge(*args)) or challenges[-1]
    )
    identity, blind = issuers(world)
    asked = BlindRequest(blind.params, Usage.SIGN, blind.enrol("side"))
    sender = asked.finish(blind.issue("side", asked.to_bytes()))
    receiver = issue_identity(identity, "side", Usage.DECRYPT)
    for _ in range(5):  # with and without tables
        data = signcrypt(b"m", sender=sender, receivers=[receiver.public_key])
        unsigncrypt(data, receiver=receiver, trust=world.trust)
        sign(sender, b"m")
    assert seen
    assert set(seen) <= set(challenges)


def test_partial_key_never_meets_a_foreign_point_alone(world, monkeypatch):
    sender, receiver = world.signer(), world.receiver()
    data = signcrypt(b"m", sender=sender, receivers=[receiver.public_key])
    left = []
    original = group._backend.multi_pairing
    monkeypatch.setattr(group._backend, "multi_pairing", lambda a, b: left.append(list(a)) or original(a, b))
    for _ in range(2):
        unsigncrypt(data, receiver=receiver, trust=world.trust)
    (first, second) = left
    D = receiver._D.point
    assert first[0] + first[1] == D
    assert D not in first + second
    assert first[1] != second[1]


def test_a_stranger_hashes_as_much_as_a_receiver(world, monkeypatch):
    """Else the length of a body would amplify the difference between the two to something measurable."""
    sender, receiver, stranger = world.signer(), world.receiver(), world.receiver("stranger")
    data = signcrypt(bytes(3 * 2**20), sender=sender, receivers=[receiver.public_key])
    altered = data[:-1] + bytes([data[-1] ^ 1])
    steps = []
    wire, find = packet.Packet.wire, kem.open_slot
    monkeypatch.setattr(packet.Packet, "wire", lambda *args: steps.append("hash") or wire(*args))
    monkeypatch.setattr(kem, "open_slot", lambda *args: steps.append("find") or find(*args))
    monkeypatch.setattr(unsigncryption, "open_body", lambda *args: steps.append("decrypt"))
    for key in (receiver, stranger):
        steps.clear()
        with pytest.raises(UnsigncryptError):
            unsigncrypt(altered, receiver=key, trust=world.trust)
        assert steps == ["hash", "find"]

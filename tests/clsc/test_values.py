"""What every public value of clsc promises: equal by bytes, hashed, immutable, pickled, shown in short."""

import pickle
from dataclasses import FrozenInstanceError, fields
from functools import partial

import pytest

from fuzz import world
from fuzz.core import CORPUS
from sottovoce._ext.enc import enc
from sottovoce.clsc import (
    BlsPublicKey,
    DecodeError,
    DkgPublic,
    EpochParams,
    Evidence,
    IdentityRequest,
    KeyConflict,
    Mode,
    ParameterError,
    PublicKey,
    RevocationList,
    RootKey,
    SignedStatement,
    Trace,
    TrustStore,
    Usage,
    deal,
    sign,
    unsigncrypt,
    unsigncrypt_batch,
)
from sottovoce.clsc.bls import _deal_bls_derand
from sottovoce.clsc.dkg_messages import Commit, Complaints, Confirm, Justifications, PrivateShare, Reveal
from support.clsc_dkg import run
from support.clsc_servers import Servers, issue_traceable, traceable_issuer
from support.clsc_world import NOT_AFTER, NOT_BEFORE, Drbg

PEOPLE = world.people()


def stored(name):
    return [path.read_bytes() for path in sorted((CORPUS / "clsc" / name).iterdir())]


def conflicts():
    forger = PEOPLE.make_key("forger", Usage.SIGN, identity=b"alice")
    for text in (b"m", b"n"):
        yield KeyConflict(
            *(
                SignedStatement.of_message(k.public_key, text, sign(k, text))
                for k in (PEOPLE.signer(), forger)
            )
        )


def traces():
    issuer = traceable_issuer(PEOPLE)
    for name in ("alice", "bob"):
        yield issuer.trace(issue_traceable(issuer, PEOPLE.signer(name)).public_key)


def results_of_key_generation():
    for seed in ("one", "other"):
        results, _ = run(world.dkg(), seed=seed)
        yield next(iter(results.values())).public


def messages(kind):
    return map(kind.from_bytes, stored(f"dkg-{kind.NAME.replace(' ', '-')}"))


READ = {
    EpochParams: lambda data: EpochParams.from_bytes(data, PEOPLE.root.public_key),
    PublicKey: lambda data: PublicKey.from_bytes(data, PEOPLE.trust),
    RevocationList: lambda data: RevocationList.from_bytes(data, PEOPLE.root.public_key),
    Trace: lambda data: Trace.from_bytes(data, PEOPLE.trust),
    DkgPublic: lambda data: DkgPublic.from_bytes(data, world.dkg()),
}
MADE = {
    EpochParams: lambda: map(READ[EpochParams], stored("params")),
    PublicKey: lambda: map(READ[PublicKey], stored("public-key")),
    RevocationList: lambda: map(READ[RevocationList], stored("revocations")),
    Evidence: lambda: map(Evidence.from_bytes, stored("evidence")),
    KeyConflict: conflicts,
    Trace: traces,
    BlsPublicKey: lambda: [_deal_bls_derand(2, n, Drbg("values"))[0].public_key for n in (3, 64)],
    DkgPublic: results_of_key_generation,
    **{
        kind: partial(messages, kind)
        for kind in (Commit, Reveal, PrivateShare, Complaints, Justifications, Confirm)
    },
}
SLOTTED = [EpochParams, PublicKey, RevocationList, Evidence, Trace, BlsPublicKey]
"""Made by hand, not by ``dataclass``: each of the methods is code of ours."""


@pytest.fixture(scope="module")
def values():
    return {kind: list(make()) for kind, make in MADE.items()}


@pytest.mark.parametrize("kind", MADE, ids=lambda kind: kind.__name__)
def test_equal_exactly_when_the_bytes_are(values, kind):
    found = values[kind]
    read = READ.get(kind, getattr(kind, "from_bytes", None))
    for i, a in enumerate(found):
        for j, b in enumerate(found):
            assert (a == b) == (i == j)
            assert (a != b) == (i != j)
        again = read(a.to_bytes())
        assert again is not a
        assert again == a
        assert again.to_bytes() == a.to_bytes()
        assert a != a.to_bytes()
        assert a != 5


@pytest.mark.parametrize("kind", SLOTTED, ids=lambda kind: kind.__name__)
def test_hashed_pickled_and_shown(values, kind):
    read = READ.get(kind, getattr(kind, "from_bytes", None))
    for value in values[kind]:
        again = read(value.to_bytes())
        assert {value: 1}[again] == 1
        assert pickle.loads(pickle.dumps(value)) == value
        shown = repr(value)
        assert shown.startswith(f"{kind.__name__}(")
        assert "not made" not in shown
        assert len(shown) < 600  # a pseudonym: 64 random bytes, of up to four characters each
    assert len(set(values[kind])) > 1


@pytest.mark.parametrize("kind", SLOTTED, ids=lambda kind: kind.__name__)
def test_nothing_of_it_can_be_changed(values, kind):
    value = values[kind][0]
    before = value.to_bytes()
    for name in ("anything", "_bytes", "signature"):
        with pytest.raises(AttributeError):
            setattr(value, name, b"")
        with pytest.raises(AttributeError):
            delattr(value, name)
    assert value.to_bytes() == before


def test_the_most_servers_that_a_bls_key_may_have(values):
    """64: one field more, and it is refused before any point is looked at."""
    most = values[BlsPublicKey][1]
    assert most.servers == 64
    assert BlsPublicKey.from_bytes(most.to_bytes()) == most


# -- borders that only a mutant had crossed ---------------------------------------------------------


def test_parameters_longer_than_any_are_refused_by_their_length():
    longest = 1024 + 64 * 100
    with pytest.raises(DecodeError, match="wrong length"):
        EpochParams.from_bytes(bytes(longest + 1), PEOPLE.root.public_key)
    with pytest.raises(DecodeError, match="params: "):
        EpochParams.from_bytes(bytes(longest), PEOPLE.root.public_key)


def test_a_key_of_another_suite_says_which():
    data = stored("public-key")[0]
    with pytest.raises(DecodeError, match="suite 1 expected, got 7"):
        PublicKey.from_bytes(b"\7" + data[1:], PEOPLE.trust)


@pytest.mark.parametrize("n_bytes", [0, 31, 33])
def test_a_root_key_has_exactly_32_bytes(n_bytes):
    with pytest.raises(ParameterError, match="32 bytes expected"):
        TrustStore(bytes(n_bytes))


def test_two_servers_need_a_token_each():
    servers = Servers(PEOPLE, Mode.IDENTITY, 2, 2)
    with pytest.raises(ParameterError, match="one for each server"):
        IdentityRequest(servers.params, Usage.SIGN, b"alice", bytes(32))


def test_a_request_for_another_usage_says_which():
    servers = Servers(PEOPLE, Mode.IDENTITY, 2, 2)
    data = bytearray(servers.request(PEOPLE.signer()).to_bytes(bytes(32), 1))
    data[2] = 9
    with pytest.raises(DecodeError, match="unknown usage 9"):
        servers.issuers[1].issue("alice", bytes(data))


@pytest.mark.parametrize(
    "packet", [bytearray(1000), memoryview(bytes(1000)), "text", None], ids=lambda value: type(value).__name__
)
def test_a_packet_is_bytes_and_no_other_type(packet):
    more = {"receiver": PEOPLE.receiver(), "trust": PEOPLE.trust}
    with pytest.raises(TypeError, match=f"packet: bytes expected, got {type(packet).__name__}"):
        unsigncrypt(packet, **more)
    with pytest.raises(TypeError, match=f"packet: bytes expected, got {type(packet).__name__}"):
        unsigncrypt_batch([bytes(1000), packet], **more)


@pytest.mark.parametrize("q", [65, 1 << 63, (1 << 64) - 1])
def test_servers_may_answer_a_party_as_often_as_64_bits_can_say(q):
    """With all servers needed for a key, any number of answers is safe."""
    root = RootKey.generate()
    params = deal_two(root, q)[0].params
    assert params.answers == q
    assert EpochParams.from_bytes(params.to_bytes(), root.public_key).answers == q


@pytest.mark.parametrize("q", [0, 1 << 64])
def test_servers_may_not_answer_a_party_more_often(q):
    with pytest.raises(ParameterError, match="does not hold for t = 2, n = 2"):
        deal_two(RootKey.generate(), q)


def deal_two(root, q):
    return deal(
        root, Mode.IDENTITY, b"epoch", not_before=NOT_BEFORE, not_after=NOT_AFTER,
        threshold=2, servers=2, answers=q,
    )  # fmt: skip


@pytest.mark.parametrize("t", [0, 4])
def test_a_bls_key_says_which_threshold_is_wrong(values, t):
    """Before any point is read; a threshold of 0 would fail later too, at the degree."""
    key = values[BlsPublicKey][0]
    points = [key._Y, *key._Y_servers]
    data = enc("SOTTOVOCE-V1-BLS-KEY", t, *(point.to_compressed_bytes() for point in points))
    with pytest.raises(DecodeError, match=f"1 <= t <= n servers expected, got t = {t}, n = 3"):
        BlsPublicKey.from_bytes(data)


def test_what_was_signed_cannot_be_exchanged(values):
    """A conflict is judged and then shown: a statement in it that changes in between would be believed."""
    conflict = values[KeyConflict][0]
    for value in (conflict, conflict.first):
        for field in fields(value):
            with pytest.raises(FrozenInstanceError):
                setattr(value, field.name, getattr(value, field.name))

"""Traceable keys: what works, who may ask, and what comes back."""

import pickle
import threading

import pytest
from cryptography.hazmat.primitives.ciphers.aead import AESSIV

from sottovoce.clsc import (
    BlindRequest,
    DecodeError,
    IdentityRequest,
    IssueError,
    Issuer,
    MemoryRegistry,
    Mode,
    ParameterError,
    Trace,
    TraceableRequest,
    TracingKey,
    Usage,
    issue_wire,
    sign,
    signcrypt,
    tracing,
    unsigncrypt,
)
from sottovoce.clsc import signature as signatures
from support.clsc_servers import enrol_signer, issue_traceable, traceable_issuer, tracing_key
from support.clsc_world import NOT_AFTER, Drbg, World, issue_identity


@pytest.fixture
def issuer(world):
    return traceable_issuer(world)


@pytest.fixture
def alice(world):
    return world.signer("alice")


@pytest.fixture
def mallory(world):
    return world.signer("mallory")


def ask(issuer, signer, usage=Usage.SIGN):
    return TraceableRequest(issuer.params, usage, signer)


def forge(issuer, request, **changes):
    """The bytes of a request with fields replaced, and nothing signed anew."""
    data = request.to_bytes()
    f = {"usage": data[2:3], "params_id": data[3:35], "X": data[35:83], "signer": data[83:-176],
         "signature": data[-176:]}  # fmt: skip
    f.update(changes)
    return data[:2] + f["usage"] + f["params_id"] + f["X"] + f["signer"] + f["signature"]


@pytest.mark.parametrize("usage", Usage)
def test_traceable_key_works_and_opens_to_its_name(world, issuer, alice, usage):
    party = enrol_signer(issuer, alice)
    asked = ask(issuer, alice, usage)
    data = asked.to_bytes()
    answer = issuer.issue(party, data)
    assert (len(data), len(answer)) == (342 + 5, 178)
    key = asked.finish(answer)
    assert (len(key.identity), key.usage, key.public_key.mode) == (64, usage, Mode.TRACEABLE)
    trace = issuer.trace(key.public_key)
    trace.verify(world.trust)
    assert (trace.name, trace.signer, trace.request) == (b"alice", alice.public_key, data)
    assert trace.pseudonym == key.public_key
    assert len(trace.to_bytes()) == 406 + 5
    again = Trace.from_bytes(trace.to_bytes(), world.trust)
    again.verify(world.trust)
    assert again == trace
    assert pickle.loads(pickle.dumps(trace)) == trace


def test_the_sender_of_a_packet_can_be_traced(world, issuer, alice):
    pseudonym, bob = issue_traceable(issuer, alice), world.receiver()
    data = signcrypt(b"text", sender=pseudonym, receivers=[bob.public_key])
    opened = unsigncrypt(data, receiver=bob, trust=world.trust)
    assert opened.mode is Mode.TRACEABLE
    trace = issuer.trace(opened.sender)
    trace.verify(world.trust)
    assert trace.name == b"alice"


def test_pseudonyms_of_one_person_have_nothing_in_common(issuer, alice):
    party = enrol_signer(issuer, alice, quota=4)
    names = [issue_traceable(issuer, alice, usage, party).identity for usage in [*Usage] * 2]
    blocks = [name[i : i + 16] for name in names for i in range(0, 64, 16)]
    assert len(set(blocks)) == len(blocks) == 16
    assert not any(b"alice" in name for name in names)


def test_pseudonym_is_what_the_page_says(issuer, alice):
    """Opened by hand: N in clear, C as AES-SIV over parameters, usage and N."""
    key = issue_traceable(issuer, alice)
    N, C = key.identity[:16], key.identity[16:]
    room = AESSIV(Drbg("tracing key")(64)).decrypt(C, [issuer.params.params_id, b"sign", N])
    assert room == b"\5alice" + bytes(26)


def test_every_input_moves_both_halves_of_a_pseudonym():
    key = tracing_key()
    base = (bytes(32), "sign", bytes(48), b"alice")
    first = key._pseudonym(*base)
    assert key._pseudonym(*base) == first
    for i, other in enumerate((b"\1" * 32, "decrypt", b"\1" * 48, b"alicf")):
        second = key._pseudonym(*base[:i], other, *base[i + 1 :])
        assert (second[:16] != first[:16], second[16:32] != first[16:32]) == (True, True)
    second = TracingKey.generate()._pseudonym(*base)
    assert second[:16] != first[:16]


@pytest.mark.parametrize("length", [1, 31])
def test_names_up_to_31_bytes(world, issuer, length):
    signer = world.signer("n" * length)
    issue_traceable(issuer, signer)
    with pytest.raises(ParameterError, match="31"):
        TraceableRequest(issuer.params, Usage.SIGN, world.signer("n" * 32))


def test_same_request_gets_the_same_answer_and_another_counts(issuer, alice):
    party = enrol_signer(issuer, alice)
    asked = ask(issuer, alice)
    answer = issuer.issue(party, asked.to_bytes())
    assert issuer.issue(party, asked.to_bytes()) == answer
    transcript = tracing.request_transcript(issuer.params.params_id, "sign", asked._X)
    signed = signatures._sign_derand(alice, "issue", transcript, Drbg("again"))
    resigned = TraceableRequest._restore(issuer.params, Usage.SIGN, asked._x, alice.public_key, signed)
    assert resigned.to_bytes() != asked.to_bytes()  # another signature of the same X
    assert issuer.issue(party, resigned.to_bytes()) == answer
    with pytest.raises(IssueError, match="quota"):
        issuer.issue(party, ask(issuer, alice).to_bytes())
    issue_traceable(issuer, alice, Usage.DECRYPT, party)  # a purse for each usage
    again = Issuer(issuer._master, issuer._registry, tracing_key=issuer._tracing_key, trust=issuer._trust)
    assert again.issue(party, asked.to_bytes()) == answer


def test_record_is_durable_before_the_answer_leaves(world, alice):
    class Failing(MemoryRegistry):
        def record(self, issuance, *, at_most=None):
            assert issuance.answer
            assert issuance.request == data
            raise OSError("disk full")

    issuer = traceable_issuer(world, Failing())
    party = enrol_signer(issuer, alice)
    data = ask(issuer, alice).to_bytes()
    with pytest.raises(OSError, match="disk full"):
        issuer.issue(party, data)


def test_equal_requests_that_race_get_the_answer_that_was_recorded(world, alice):
    both_inside = threading.Barrier(2)

    class Slow(MemoryRegistry):
        def record(self, issuance, *, at_most=None):
            both_inside.wait(10)
            return super().record(issuance, at_most=at_most)

    issuer = traceable_issuer(world, Slow())
    party = enrol_signer(issuer, alice)
    asked = ask(issuer, alice)
    answers = []
    threads = [
        threading.Thread(target=lambda: answers.append(issuer.issue(party, asked.to_bytes())))
        for _ in range(2)
    ]
    for t in threads:
        t.start()
    for t in threads:
        t.join()
    assert len(answers) == 2
    assert answers[0] == answers[1]
    asked.finish(answers[0])


def test_issuing_objects_in_mode_traceable_hide_their_secrets(issuer, alice):
    asked, key = ask(issuer, alice), tracing_key()
    for thing in (asked, key, issuer):
        assert str(asked._x) not in repr(thing)
        assert key._key.hex() not in repr(thing)
        assert repr(key._key)[2:-1] not in repr(thing)
        with pytest.raises(TypeError, match="cannot be pickled"):
            pickle.dumps(thing)
    for thing in (key, Trace(*_parts(issuer, alice))):
        with pytest.raises(AttributeError, match="immutable"):
            thing.anything = 1
        with pytest.raises(AttributeError):
            thing.__dict__  # noqa: B018
    for cls in (TraceableRequest, TracingKey, Trace):
        assert cls.__name__ in repr(cls.__new__(cls))


def _parts(issuer, signer):
    trace = issuer.trace(issue_traceable(issuer, signer).public_key)
    return trace.pseudonym, trace.signer, trace.signature


def test_signature_covers_exactly_what_is_issued(world, issuer, alice, mallory):
    party = enrol_signer(issuer, alice, quota=9)
    asked, other = ask(issuer, alice), ask(issuer, alice)
    key = alice.public_key

    def signed(context, usage="sign", X=None, signer=alice, params_id=issuer.params.params_id):
        transcript = tracing.request_transcript(params_id, usage, X or asked._X)
        return signatures._sign_derand(signer, context, transcript, Drbg("x"))

    messages = set()
    for data in (
        forge(issuer, asked, X=other._X),
        forge(issuer, asked, usage=b"\2"),
        forge(issuer, asked, signature=signed("issue", signer=mallory)),
        forge(issuer, asked, signature=signed("message")),
        forge(issuer, asked, signature=signed("packet")),
        forge(issuer, asked, signature=signed("issue", usage="decrypt")),
        forge(issuer, asked, signature=signed("issue", X=other._X)),
        forge(issuer, asked, signature=signed("issue", params_id=bytes(32))),
        forge(issuer, asked, signature=bytes(176)),
        # A message that says the same bytes is signed in another context.
        forge(issuer, asked, signature=sign(alice, issue_wire.hashes.issue_transcript(
            issuer.params.params_id, "sign", asked._X))),
        # mallory's request under alice's name, and under its own as party alice.
        forge(issuer, ask(issuer, mallory), signer=key.to_bytes()),
        ask(issuer, mallory).to_bytes(),
    ):  # fmt: skip
        with pytest.raises(IssueError) as caught:
            issuer.issue(party, data)
        messages.add(str(caught.value))
    with pytest.raises(IssueError) as caught:
        issuer.issue("nobody", asked.to_bytes())
    messages.add(str(caught.value))
    issuer.enrol("device 9", identity=b"not alice")
    with pytest.raises(IssueError) as caught:
        issuer.issue("device 9", asked.to_bytes())
    messages.add(str(caught.value))
    issuer.disable(party)
    with pytest.raises(IssueError) as caught:
        issuer.issue(party, asked.to_bytes())
    messages.add(str(caught.value))
    assert messages == {"issue: not authenticated"}  # no oracle for who is enrolled


def test_signer_must_be_acceptable_now(world, alice):
    late, revoking, pinning = (
        world.new_trust(NOT_AFTER + 1000), world.new_trust(), world.new_trust(),
    )  # fmt: skip
    revoking.revoke(alice.public_key.pid)
    other = world.make_key("other alice", Usage.SIGN, identity=b"alice")
    pinning.pin(other.public_key)
    empty = type(world.trust)(world.root.public_key)
    for trust, reason in ((late, "validity"), (revoking, "revoked"), (pinning, "pinned"), (empty, "unknown")):
        issuer = traceable_issuer(world, trust=trust)
        party = enrol_signer(issuer, alice)
        with pytest.raises(IssueError, match=f"not acceptable: .*{reason}"):
            issuer.issue(party, ask(issuer, alice).to_bytes())
    issuer = traceable_issuer(world, trust=pinning)
    issue_traceable(issuer, other)


@pytest.mark.parametrize(
    ("name", "usage", "mode"),
    [
        ("alice", Usage.DECRYPT, Mode.IDENTITY),
        ("alice", Usage.SIGN, Mode.TRACEABLE),
        ("alice", Usage.SIGN, Mode.BLIND),
        ("a" * 32, Usage.SIGN, Mode.IDENTITY),
    ],
)
def test_signer_of_another_kind_is_refused(world, issuer, alice, name, usage, mode):
    """A pseudonym that signs for another pseudonym would be a chain that ends nowhere."""
    signer = world.key(name, usage, mode)
    with pytest.raises(ParameterError, match="signer"):
        TraceableRequest(issuer.params, Usage.SIGN, signer)
    asked = ask(issuer, alice)
    issuer.enrol("alice", identity=signer.identity or b"alice")
    data = forge(issuer, asked, signer=signer.public_key.to_bytes())
    with pytest.raises(DecodeError, match="signer"):
        issuer.issue("alice", data)
    with pytest.raises(DecodeError, match="signer"):
        Trace(issue_traceable(traceable_issuer(world), alice).public_key, signer.public_key, bytes(176))


def test_request_bytes_are_strict(world, issuer, alice):
    party = enrol_signer(issuer, alice)
    good = ask(issuer, alice).to_bytes()
    for bad in (
        b"", good[:-1], good + b"\0", b"\2" + good[1:], good[:1] + b"\0" + good[2:],
        good[:1] + b"\1" + good[2:], good[:1] + b"\3" + good[2:], good[:1] + b"\4" + good[2:],
        good[:2] + b"\0" + good[3:], good[:2] + b"\3" + good[3:], good[:341], good[:36], good[:100],
        good[:83] + b"\2" + good[84:], good[:84] + b"\3" + good[85:], bytes(10_000),
        good[:117] + b"\6" + good[118:], good[:117] + b"\0" + good[118:-5],
    ):  # fmt: skip
        with pytest.raises(DecodeError):
            issuer.issue(party, bad)
    with pytest.raises(TypeError):
        issuer.issue(party, bytearray(good))
    for X in (b"\xc0" + bytes(47), bytes(48), b"\x80" + bytes(46) + b"\4"):
        transcript = tracing.request_transcript(issuer.params.params_id, "sign", X)
        signed = signatures._sign_derand(alice, "issue", transcript, Drbg("x"))
        with pytest.raises(DecodeError, match="X"):
            issuer.issue(party, good[:35] + X + good[83:-176] + signed)
    issuer.issue(party, good)  # nothing above spent the quota


def test_requests_of_other_modes_and_parameters_are_refused(world, issuer, alice, both):
    identity, blind = both
    foreign = World("elsewhere")
    elsewhere = TraceableRequest(foreign.params[Mode.TRACEABLE], Usage.SIGN, foreign.signer())
    party = enrol_signer(issuer, alice)
    for data in (
        IdentityRequest(identity.params, Usage.SIGN, b"alice", bytes(32)).to_bytes(bytes(32)),
        BlindRequest(blind.params, Usage.SIGN, bytes(32)).to_bytes(),
        elsewhere.to_bytes(),
    ):
        with pytest.raises(IssueError, match="other parameters"):
            issuer.issue(party, data)
    for other in both:
        other.enrol(party)
        with pytest.raises(IssueError, match="other parameters"):
            other.issue(party, ask(issuer, alice).to_bytes())


def test_arguments(world, issuer, alice, both):
    master, key, trust = world.master[Mode.TRACEABLE], tracing_key(), world.trust
    for arguments in ({}, {"tracing_key": key}, {"trust": trust}):
        with pytest.raises(ParameterError, match="are needed"):
            Issuer(master, **arguments)
    for arguments in ({"tracing_key": key}, {"trust": trust}, {"tracing_key": key, "trust": trust}):
        with pytest.raises(ParameterError, match="no use"):
            Issuer(world.master[Mode.BLIND], **arguments)
    with pytest.raises(ParameterError, match="root"):
        Issuer(master, tracing_key=key, trust=World("elsewhere").trust)
    with pytest.raises(TypeError, match="tracing_key"):
        Issuer(master, tracing_key=bytes(64), trust=trust)
    with pytest.raises(TypeError, match="trust"):
        Issuer(master, tracing_key=key, trust=world.root)
    for bad in (b"", bytes(63), bytes(65)):
        with pytest.raises(ParameterError, match="64 bytes"):
            TracingKey(bad)
    with pytest.raises(TypeError):
        TracingKey("k" * 64)
    assert TracingKey.generate()._key != TracingKey.generate()._key
    with pytest.raises(TypeError, match="signer"):
        TraceableRequest(issuer.params, Usage.SIGN, alice.public_key)
    # No trust store could read its trace, and a key file of it could not be opened again.
    with pytest.raises(ParameterError, match="root"):
        TraceableRequest(issuer.params, Usage.SIGN, World("elsewhere").signer())
    with pytest.raises(TypeError, match="usage"):
        TraceableRequest(issuer.params, "sign", alice)
    with pytest.raises(ParameterError, match="mode traceable"):
        TraceableRequest(world.params[Mode.BLIND], Usage.SIGN, alice)
    with pytest.raises(TypeError, match="pseudonym"):
        issuer.trace(b"")
    with pytest.raises(ParameterError, match="mode"):
        both[0].trace(issue_identity(both[0], "alice").public_key)


def test_answers_are_checked_by_the_client(issuer, alice):
    party = enrol_signer(issuer, alice, quota=2)
    asked, other = ask(issuer, alice), ask(issuer, alice)
    good, foreign = (issuer.issue(party, r.to_bytes()) for r in (asked, other))
    flips = [good[:i] + bytes([good[i] ^ 1]) + good[i + 1 :] for i in (2, 17, 18, 65, 66, 114, 177)]
    for bad in (
        b"", good[:-1], good + b"\0", b"\2" + good[1:], good[:1] + b"\1" + good[2:], foreign,
        good[:66] + b"\xc0" + bytes(47) + good[114:], foreign[:66] + good[66:], *flips,
    ):  # fmt: skip
        with pytest.raises(IssueError, match="answer"):
            asked.finish(bad)
    with pytest.raises(TypeError):
        asked.finish(None)
    assert asked.finish(good) is not None  # unchanged by the failures


def test_partial_key_and_secret_do_not_travel_in_clear(issuer, alice):
    party = enrol_signer(issuer, alice)
    asked = ask(issuer, alice)
    answer = issuer.issue(party, asked.to_bytes())
    key = asked.finish(answer)
    assert key._d_bytes not in answer
    assert key._x.to_bytes(32, "big") not in asked.to_bytes()


def test_restored_request_takes_the_answer(issuer, alice, mallory):
    party = enrol_signer(issuer, alice)
    asked = ask(issuer, alice)
    answer = issuer.issue(party, asked.to_bytes())
    parts = (issuer.params, Usage.SIGN, asked._x, alice.public_key, asked._signature)
    again = TraceableRequest._restore(*parts)
    assert again.to_bytes() == asked.to_bytes()
    assert again.finish(answer).public_key == asked.finish(answer).public_key
    for i, wrong in enumerate((None, Usage.DECRYPT, asked._x + 1, mallory.public_key, bytes(176))):
        assert TraceableRequest._restore(*parts[:i], wrong, *parts[i + 1 :]) is None

"""Mode traceable: pseudonyms that open to a name, and the signed request that proves it."""

import pickle
import threading

import pytest
from cryptography.hazmat.primitives.ciphers.aead import AESSIV
from hypothesis import given
from hypothesis import strategies as st

from sottovoce.clsc import (
    BlindRequest,
    DecodeError,
    IdentityRequest,
    IssueError,
    Issuer,
    MemoryRegistry,
    Mode,
    ParameterError,
    PublicKey,
    SenderError,
    SignatureError,
    SottovoceError,
    Trace,
    TraceableRequest,
    TracingKey,
    Usage,
    issue_wire,
    sign,
    signcrypt,
    traceable,
    tracing,
    unsigncrypt,
    verify,
)
from sottovoce.clsc import signature as signatures
from support.clsc_servers import enrol_signer, issue_traceable, traceable_issuer, tracing_key
from support.clsc_world import NOT_AFTER, Drbg, World, issue_identity

OPAQUE = "trace: not a pseudonym that was issued here"


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


# -- what works ---------------------------------------------------------------------------------


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


# -- who may ask --------------------------------------------------------------------------------


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


# -- what comes back ----------------------------------------------------------------------------


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


# -- tracing ------------------------------------------------------------------------------------


def test_forged_pseudonyms_open_to_nobody(world, issuer, alice):
    """Whatever is wrong, after the tracing key was used there is one error."""
    key = issue_traceable(issuer, alice).public_key
    params, params_id = issuer.params, issuer.params.params_id
    other_X = world.signer("x").public_key.X
    flips = [key.identity[:i] + bytes([key.identity[i] ^ 1]) + key.identity[i + 1 :] for i in (0, 15, 16, 63)]
    cases = [(Usage.SIGN, name, key.X) for name in (bytes(64), Drbg("random")(64), *flips)]
    cases += [
        (Usage.SIGN, key.identity, other_X),  # a known pseudonym on another X
        (Usage.DECRYPT, key.identity, key.X),
        (Usage.SIGN, tracing_key("another")._pseudonym(params_id, "sign", key.X, b"alice"), key.X),
        # Made with the right key, as another server could, but never issued.
        (Usage.SIGN, issuer._tracing_key._pseudonym(params_id, "sign", other_X, b"alice"), other_X),
        (Usage.SIGN, issuer._tracing_key._pseudonym(bytes(32), "sign", key.X, b"alice"), key.X),
    ]
    for usage, identity, X in cases:
        with pytest.raises(IssueError) as caught:
            issuer.trace(PublicKey(params, usage, identity, X))
        assert str(caught.value) == OPAQUE
        assert caught.value.__context__ is None
    assert issuer.trace(key).name == b"alice"
    with pytest.raises(IssueError, match="other parameters"):
        issuer.trace(World("elsewhere").signer("t", Mode.TRACEABLE).public_key)
    with pytest.raises(IssueError, match="other parameters"):
        issuer.trace(alice.public_key)


@pytest.mark.parametrize(
    "room",
    [b"\5alice".ljust(31, b"\0") + b"\1", b"\5aliceX".ljust(32, b"\0"), bytes(32), b"\x20" + b"a" * 31,
     b"\xff" + b"a" * 31, b"\4alice".ljust(32, b"\0")],
)  # fmt: skip
def test_room_that_is_not_name_and_zeros_opens_to_nobody(world, alice, room):
    """Another server holds the tracing key too, and may have filled the room as it likes."""

    class Careless(TracingKey):
        __slots__ = ()

        def _pseudonym(self, params_id, usage, X, name):
            N = Drbg("N")(16)
            return N + AESSIV(self._key).encrypt(room, [params_id, usage.encode(), N])

    issuer = traceable_issuer(world)
    issuer._tracing_key = Careless(tracing_key()._key)
    key = issue_traceable(issuer, alice)
    with pytest.raises(IssueError, match=OPAQUE):
        issuer.trace(key.public_key)


@pytest.mark.parametrize("length", [0, 32, 255])
def test_length_byte_is_held_even_where_the_name_would_fit(world, length):
    """31 times ``a`` after a length of 32 reads as the name of 31 bytes."""
    room = bytes([length]) + (b"a" * 31 if length else bytes(31))
    params_id = world.params[Mode.TRACEABLE].params_id
    key, N = tracing_key(), bytes(16)
    identity = N + AESSIV(key._key).encrypt(room, [params_id, b"sign", N])
    assert key._name(params_id, "sign", identity) is None


def test_attack_issuer_puts_the_name_of_another_into_a_pseudonym(world, alice, mallory):
    """Nobody can see that without the tracing key, but no trace convicts the other."""

    class Framing(TracingKey):
        __slots__ = ()

        def _pseudonym(self, params_id, usage, X, name):
            return super()._pseudonym(params_id, usage, X, b"alice")

    issuer = traceable_issuer(world)
    issuer._tracing_key = Framing(tracing_key()._key)
    key = issue_traceable(issuer, mallory).public_key
    with pytest.raises(IssueError, match=OPAQUE):
        issuer.trace(key)
    asked = ask(issuer, alice)  # alice's signature for another X, put beside this pseudonym
    with pytest.raises(SignatureError):
        Trace(key, alice.public_key, asked._signature).verify(world.trust)


def test_trace_proves_nothing_else(world, issuer, alice, mallory):
    pseudonym, signer, signed = _parts(issuer, alice)
    Trace(pseudonym, signer, signed).verify(world.trust)
    other = world.signer("t", Mode.TRACEABLE).public_key
    flipped = [signed[:i] + bytes([signed[i] ^ 1]) + signed[i + 1 :] for i in (0, 48, 96, 175)]
    wrong = [
        (PublicKey(issuer.params, Usage.SIGN, pseudonym.identity, other.X), signer, signed),
        (PublicKey(issuer.params, Usage.DECRYPT, pseudonym.identity, pseudonym.X), signer, signed),
        (other, signer, signed),
        (pseudonym, mallory.public_key, signed),
        (pseudonym, PublicKey(signer.params, Usage.SIGN, b"alicf", signer.X), signed),
        (pseudonym, signer, sign(alice, b"m")),
        *((pseudonym, signer, s) for s in flipped),
    ]
    for parts in wrong:
        with pytest.raises(SignatureError):
            Trace(*parts).verify(world.trust)


def test_trace_is_checked_against_pins_and_known_parameters(world, issuer, alice):
    """The issuer of names can make a NEW key for alice, and sign with that: only a pin stops it."""
    false = world.make_key("false alice", Usage.SIGN, identity=b"alice")
    trace = Trace(*_parts(issuer, false))
    trace.verify(world.trust)
    pinning = world.new_trust()
    pinning.pin(alice.public_key)
    with pytest.raises(SenderError, match="pinned"):
        trace.verify(pinning)
    trace = Trace(*_parts(traceable_issuer(world), alice))
    trace.verify(pinning)
    for missing in (Mode.IDENTITY, Mode.TRACEABLE):
        trust = type(world.trust)(world.root.public_key)
        for mode, params in world.params.items():
            if mode is not missing:
                trust.add(params)
        with pytest.raises(SenderError, match="unknown"):
            trace.verify(trust)
        with pytest.raises(SenderError, match="unknown"):
            Trace.from_bytes(trace.to_bytes(), trust)
    # Long after: neither validity nor revocation is asked, they say nothing about then.
    late = world.new_trust(NOT_AFTER + 10**7)
    late.revoke(alice.public_key.pid)
    trace.verify(late)


def test_trace_needs_the_parameters_of_the_signer(world, alice):
    issuer = traceable_issuer(world)
    key = issue_traceable(issuer, alice).public_key
    issuer._trust = type(world.trust)(world.root.public_key)  # as after a restart without them
    with pytest.raises(SenderError, match="unknown"):
        issuer.trace(key)


def test_trace_bytes_are_strict(world, issuer, alice):
    good = Trace(*_parts(issuer, alice)).to_bytes()
    pseudonym, signer, signed = good[:147], good[147:-176], good[-176:]
    for bad in (
        b"", good[:-1], good + b"\0", b"\2" + good[1:], good[:405], bytes(10_000),
        signer + pseudonym + signed, pseudonym + pseudonym + signed, signer + signer + signed,
        pseudonym[:34] + b"\x3f" + pseudonym[35:] + signer + signed,
        pseudonym + signer[:1] + b"\2" + signer[2:] + signed,
        pseudonym + world.signer("a" * 32).public_key.to_bytes() + signed,
        pseudonym + signer[:-48] + b"\xc0" + bytes(47) + signed,
    ):  # fmt: skip
        with pytest.raises((DecodeError, SenderError)):
            Trace.from_bytes(bad, world.trust)
    with pytest.raises(TypeError):
        Trace.from_bytes(bytearray(good), world.trust)
    for parts in ((None, alice.public_key, bytes(176)), (alice.public_key, b"", bytes(176)),
                  (alice.public_key, alice.public_key, None)):  # fmt: skip
        with pytest.raises(TypeError):
            Trace(*parts)
    with pytest.raises(DecodeError, match="mode traceable"):
        Trace(alice.public_key, alice.public_key, bytes(176))
    with pytest.raises(DecodeError, match="176"):
        Trace(world.signer("t", Mode.TRACEABLE).public_key, alice.public_key, bytes(175))


@pytest.fixture(scope="module")
def samples(world):
    issuer = traceable_issuer(world)
    alice = world.signer("alice")
    issuer.enrol("alice")
    asked = TraceableRequest._derand(issuer.params, Usage.SIGN, alice, Drbg("samples"))
    answer = issuer._issue_derand("alice", asked.to_bytes(), Drbg("e"))
    trace = issuer.trace(asked.finish(answer).public_key)
    return issuer, asked, asked.to_bytes(), answer, trace.to_bytes()


@st.composite
def mangled(draw, data):
    """Truncated, extended, or with some bytes replaced."""
    out = bytearray(data)
    for _ in range(draw(st.integers(0, 3))):
        out[draw(st.integers(0, len(out) - 1))] = draw(st.integers(0, 255))
    cut = draw(st.integers(-3, 3))
    return bytes(out[:cut] if cut < 0 else bytes(out) + bytes(cut))


@given(st.data())
def test_whatever_parses_reencodes_to_the_same_bytes(world, samples, data):
    *_, good = samples
    mutant = data.draw(mangled(good))
    try:
        trace = Trace.from_bytes(mutant, world.trust)
    except (DecodeError, SenderError):
        return
    assert trace.to_bytes() == mutant

    def believe():
        trace.verify(world.trust)
        # Another pseudonym on the same X is not part of what was signed; the record refuses it.
        samples[0].trace(trace.pseudonym)

    if mutant != good:
        with pytest.raises(SottovoceError):
            believe()


@given(st.data())
def test_mangled_requests_and_answers_raise_only_what_is_documented(samples, data):
    issuer, asked, request, answer, _ = samples
    mutant = data.draw(mangled(request))
    if mutant != request:
        with pytest.raises((DecodeError, IssueError)):
            issuer.issue("alice", mutant)
    mutant = data.draw(mangled(answer))
    if mutant != answer:
        with pytest.raises(IssueError):
            asked.finish(mutant)


def test_traceable_key_needs_both_halves(world, issuer, alice):
    """What the issuer knows (D, x unknown) signs nothing: the signature has a Schnorr half."""
    key = issue_traceable(issuer, alice)
    verify(key.public_key, b"m", sign(key, b"m"))
    false = traceable.PublicKey(key.params, Usage.SIGN, key.identity, world.signer("x").public_key.X)
    with pytest.raises(SignatureError):
        verify(false, b"m", sign(key, b"m"))


# -- somebody else's X --------------------------------------------------------------------------


def steal(issuer, victim_request, mallory):
    """mallory's own, properly signed request for the ``X`` that it saw in another's."""
    X = victim_request._X
    transcript = tracing.request_transcript(issuer.params.params_id, "sign", X)
    signed = signatures._sign_derand(mallory, "issue", transcript, Drbg("thief"))
    return tracing.request_bytes(issuer.params.params_id, Usage.SIGN, X, mallory.public_key, signed)


def test_attack_somebody_asks_first_for_the_x_of_another(world, issuer, alice, mallory):
    """Nothing proves ``x`` here.  The thief gets what it cannot open, and the owner is not kept out."""
    party, thief = enrol_signer(issuer, alice), enrol_signer(issuer, mallory)
    asked = ask(issuer, alice)
    stolen = issuer.issue(thief, steal(issuer, asked, mallory))
    key = asked.finish(issuer.issue(party, asked.to_bytes()))
    assert issuer.trace(key.public_key).name == b"alice"
    with pytest.raises(IssueError):
        ask(issuer, mallory).finish(stolen)
    # Only alice could open it, and it would open to mallory's name.
    assert issuer.trace(asked.finish(stolen).public_key).name == b"mallory"


def test_attack_traceable_request_keeps_nobody_out_of_mode_identity(world, mallory):
    registry = MemoryRegistry()
    issuer, names = traceable_issuer(world, registry), Issuer(world.master[Mode.IDENTITY], registry)
    thief = enrol_signer(issuer, mallory)
    victim = IdentityRequest(names.params, Usage.SIGN, b"victim", names.enrol("victim"))
    wrapped = type("Asked", (), {"_X": victim.public_key.X})
    issuer.issue(thief, steal(issuer, wrapped, mallory))
    victim.finish(names.issue("victim", victim.to_bytes(names.challenge())))


def test_own_x_under_another_usage_is_refused(world, issuer, alice):
    party = enrol_signer(issuer, alice, quota=2)
    asked = ask(issuer, alice)
    issuer.issue(party, asked.to_bytes())
    transcript = tracing.request_transcript(issuer.params.params_id, "decrypt", asked._X)
    signed = signatures._sign_derand(alice, "issue", transcript, Drbg("again"))
    again = tracing.request_bytes(issuer.params.params_id, Usage.DECRYPT, asked._X, alice.public_key, signed)
    with pytest.raises(IssueError, match="X was issued"):
        issuer.issue(party, again)

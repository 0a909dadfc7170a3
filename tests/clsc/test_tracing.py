"""Opening pseudonyms: what a trace proves, what it refuses, and attacks on it."""

import pytest
from cryptography.hazmat.primitives.ciphers.aead import AESSIV
from hypothesis import given
from hypothesis import strategies as st

from sottovoce.clsc import (
    DecodeError,
    IdentityRequest,
    IssueError,
    Issuer,
    MemoryRegistry,
    Mode,
    PublicKey,
    SenderError,
    SignatureError,
    SottovoceError,
    Trace,
    TraceableRequest,
    TracingKey,
    Usage,
    sign,
    traceable,
    tracing,
    verify,
)
from sottovoce.clsc import signature as signatures
from support.clsc_servers import enrol_signer, issue_traceable, traceable_issuer, tracing_key
from support.clsc_world import NOT_AFTER, Drbg, World

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


def _parts(issuer, signer):
    trace = issuer.trace(issue_traceable(issuer, signer).public_key)
    return trace.pseudonym, trace.signer, trace.signature


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

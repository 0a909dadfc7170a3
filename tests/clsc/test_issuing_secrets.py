"""Traceable and threshold issuing: what reaches the back end, and what exceptions carry."""

import pytest

from sottovoce.clsc import (
    IssueError,
    MemoryRegistry,
    Mode,
    ParameterError,
    TooFewAnswers,
    TraceableRequest,
    TracingKey,
    Usage,
    group,
    issue_wire,
    polynomial,
    threshold,
)
from support.clsc_recorder import G1, Record
from support.clsc_servers import Servers, enrol_signer, traceable_issuer, tracing_key
from support.clsc_traceback import assert_no_secret_in
from support.clsc_world import Drbg


@pytest.fixture
def record(monkeypatch):
    return Record(monkeypatch)


# -- the back end -------------------------------------------------------------------------------


def test_traceable_issuing_gives_the_backend_no_secret(world, record):
    issuer, signer = traceable_issuer(world), world.make_key("fresh signer", Usage.SIGN)
    s = world.master[Mode.TRACEABLE]._s
    record.secrets |= {s, signer._x}
    asked = TraceableRequest(issuer.params, Usage.SIGN, signer)
    data = asked.to_bytes()
    answer = issuer.issue(enrol_signer(issuer, signer), data)
    key = asked.finish(answer)
    issuer.trace(key.public_key)
    assert asked._x in record.secrets
    assert record.knows(signer.public_key._Q_base, data[-176:-128])  # A = k*Q
    assert record.knows(G1, data[-80:-32])  # R = rho*P1
    assert record.knows(G1, answer[66:114])  # E = e*P1
    record.check(s, asked._x)


@pytest.mark.parametrize("mode", Mode, ids=str)
def test_threshold_issuing_gives_the_backend_no_secret(world, record, mode):
    servers = Servers(world, mode, 3, 5)
    shares = {share._s for share in servers.shares}
    record.secrets |= shares
    asked = servers.request(world.signer())
    answers = servers.ask(asked)
    asked.combine(answers)
    asked.combine({**answers, 2: answers[1]})
    assert asked._x in record.secrets
    if mode is Mode.BLIND:
        record.check(*shares, asked._b)
        assert pow(asked._b, -1, group.ORDER) in record.steady
    else:
        record.check(*shares, asked._x)
    # What is given to it in combining: public Lagrange coefficients, and weights that are fresh.
    used = set(polynomial.lagrange_at_zero([1, 2, 3])) & set(record.seen)
    assert used == set(polynomial.lagrange_at_zero([1, 2, 3]))


def test_weights_are_fresh_and_never_zero(world, monkeypatch):
    """With weights that are known beforehand two wrong answers can cancel."""
    servers = Servers(world, Mode.BLIND, 3, 5)
    asked = servers.request(None)
    answers = servers.ask(asked)
    seen = []
    real = group.g2_msm_vartime
    monkeypatch.setattr(group, "g2_msm_vartime", lambda p, k: seen.extend(k) or real(p, k))
    for _ in range(3):
        asked.combine(answers)
    assert len(set(seen)) == len(seen) == 15
    assert max(seen).bit_length() > 120
    monkeypatch.setattr(threshold.secrets, "randbelow", lambda n: 0)
    seen.clear()
    asked.combine(answers)
    assert seen == [1] * 5


# -- exceptions ---------------------------------------------------------------------------------


def test_wrong_traceable_answer_carries_no_x_and_no_partial_key(world):
    issuer, alice = traceable_issuer(world), world.signer()
    party = enrol_signer(issuer, alice)
    asked = TraceableRequest(issuer.params, Usage.SIGN, alice)
    good = issuer.issue(party, asked.to_bytes())
    key = asked.finish(good)
    wrong = group.g1_mul_vartime(group.P1, 5)
    false = issue_wire.seal_partial_key(key.public_key, wrong)
    for answer in (false, good[:-1] + bytes([good[-1] ^ 1]), good[:2] + bytes(64) + good[66:],
                   good[:66] + b"\xc0" + bytes(47) + good[114:]):  # fmt: skip
        with pytest.raises(IssueError) as caught:
            asked.finish(answer)
        assert caught.value.__context__ is None
        assert_no_secret_in(
            caught.value, numbers=[asked._x, alice._x], points=[wrong, key._D.point, alice._D.point]
        )


@pytest.mark.parametrize("mode", Mode, ids=str)
def test_too_few_answers_carry_no_secret_of_the_request(world, mode):
    servers = Servers(world, mode, 3, 5)
    asked = servers.request(world.signer())
    answers = servers.ask(asked)
    key = asked.combine(answers).key
    shares = [group.g1_mul_vartime(key.public_key._Q_base.point, share._s) for share in servers.shares]
    numbers = [asked._x, *([asked._b] if mode is Mode.BLIND else [])]
    tokens = servers.tokens["alice"].values()
    for given in ({1: answers[1], 2: answers[2]}, {1: answers[1], 2: answers[2], 3: answers[1]}, {}):
        with pytest.raises(TooFewAnswers) as caught:
            asked.combine(given)
        assert caught.value.__context__ is None
        assert_no_secret_in(caught.value, tokens, numbers, [*shares, key._D.point])
    for call in (lambda: asked.finish(answers[1]), lambda: asked.combine({9: answers[1]})):
        with pytest.raises(ParameterError) as caught:
            call()
        assert_no_secret_in(caught.value, tokens, numbers, [*shares, key._D.point])
    if mode is Mode.BLIND:
        del asked._token[3]
        with pytest.raises(ParameterError, match="no token") as caught:
            asked.to_bytes(server=3)
        assert_no_secret_in(caught.value, tokens, numbers)


def test_answers_that_pass_and_combine_to_a_wrong_key_carry_nothing(world, monkeypatch):
    """Cannot happen with parameters that were checked; the frames are clean all the same."""
    servers = Servers(world, Mode.IDENTITY, 3, 5)
    asked = servers.request(None)
    answers = servers.ask(asked)
    key = asked.combine(answers).key
    monkeypatch.setattr(threshold.polynomial, "lagrange_at_zero", lambda chosen: [1] * len(chosen))
    with pytest.raises(IssueError, match="combine to a wrong") as caught:
        asked.combine(answers)
    assert_no_secret_in(caught.value, servers.tokens["alice"].values(), [asked._x], [key._D.point])


def test_issuer_in_mode_traceable_carries_no_tracing_key_and_no_partial_key(world):
    alice, mallory = world.signer(), world.signer("mallory")
    issuer = traceable_issuer(world)
    secret = tracing_key()._key
    party = enrol_signer(issuer, alice)
    token = issuer._registry.account(party).token
    asked = TraceableRequest(issuer.params, Usage.SIGN, alice)
    forged = TraceableRequest(issuer.params, Usage.SIGN, mallory).to_bytes()

    class Late(MemoryRegistry):
        """Refuses when the partial key was computed, as a lost race for the last unit does."""

        def record(self, issuance, *, at_most=None):
            raise IssueError("issue: quota is spent")

    late = Late()
    late.enrol(issuer._registry.account(party))
    key = asked.finish(issuer.issue(party, asked.to_bytes()))
    fresh = TraceableRequest(issuer.params, Usage.DECRYPT, alice)
    Q = traceable_key(issuer, fresh)._Q_base.point
    s = world.master[Mode.TRACEABLE]._s
    issuer._registry = late
    for data, reason in ((forged, "not authenticated"), (fresh.to_bytes(), "quota")):
        with pytest.raises(IssueError, match=reason) as caught:
            issuer.issue(party, data)
        assert caught.value.__context__ is None
        assert_no_secret_in(caught.value, [secret, token], [s], [group.g1_mul_vartime(Q, s), key._D.point])
    with pytest.raises(IssueError, match="issued here") as caught:
        issuer.trace(key.public_key)  # the new registry does not know it
    assert_no_secret_in(caught.value, [secret, token, b"\5alice" + bytes(26)], [s])


def traceable_key(issuer, asked):
    """The key that the issuer makes of this request."""
    identity = issuer._tracing_key._pseudonym(issuer.params.params_id, str(asked._usage), asked._X, b"alice")
    return asked._public(identity)


def test_tracing_key_of_a_wrong_length_is_not_in_the_error():
    for bad in (Drbg("k")(63), Drbg("k")(65), list(Drbg("k")(64))):
        with pytest.raises((ParameterError, TypeError)) as caught:
            TracingKey(bad)
        assert_no_secret_in(caught.value, [Drbg("k")(63)])


def test_refused_request_carries_nothing_of_the_signer(world):
    alice = world.signer("a" * 32)
    with pytest.raises(ParameterError, match="31") as caught:
        TraceableRequest(world.params[Mode.TRACEABLE], Usage.SIGN, alice)
    assert_no_secret_in(caught.value, numbers=[alice._x], points=[alice._D.point])


@pytest.mark.parametrize("part", ["x", "signature"])
def test_request_that_cannot_be_restored_raises_nothing(world, part):
    asked = TraceableRequest(world.params[Mode.TRACEABLE], Usage.SIGN, world.signer())
    x = asked._x + 1 if part == "x" else asked._x
    signed = bytes(176) if part == "signature" else asked._signature
    assert TraceableRequest._restore(asked._params, Usage.SIGN, x, asked._signer, signed) is None

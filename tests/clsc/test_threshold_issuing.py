"""Issuing by t of n servers: combining, naming the wrong ones, and quota that servers cannot be played
off against each other for."""

import contextlib
import itertools
import pickle

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sottovoce._ext.enc import enc
from sottovoce.clsc import (
    BlindRequest,
    Combined,
    DecodeError,
    EpochParams,
    IdentityRequest,
    IssueError,
    Issuer,
    MasterKey,
    MemoryRegistry,
    Mode,
    ParameterError,
    RootKey,
    TooFewAnswers,
    TraceableRequest,
    TracingKey,
    Usage,
    comb,
    deal,
    group,
    issue_wire,
    polynomial,
    sign,
    signature,
    signcrypt,
    tracing,
    unsigncrypt,
    verify,
    verify_answer,
)
from support.clsc_servers import Servers, enrol_signer, traceable_issuer
from support.clsc_world import Drbg, issue_blind

INFINITY = b"\xc0" + bytes(47)


@pytest.fixture(params=list(Mode), ids=str)
def servers(world, request):
    """3 of 5."""
    return Servers(world, request.param, 3, 5)


@pytest.fixture
def blind(world):
    return Servers(world, Mode.BLIND, 3, 5)


def sum_of(answers, coefficients):
    points = [group.g1_from_bytes(a[2:], "C") for a in answers]
    return group.g1_msm_vartime(points, [c % group.ORDER for c in coefficients])


# -- what works ---------------------------------------------------------------------------------


def test_any_t_of_n_give_the_same_key(world, servers):
    asked = servers.request(world.signer())
    answers = servers.ask(asked)
    made = {asked.combine({j: answers[j] for j in chosen}) for chosen in itertools.combinations(answers, 3)}
    made |= {asked.combine(answers), asked.combine(dict(reversed(answers.items())))}
    assert {c.wrong for c in made} == {()}
    assert {(c.key.public_key, c.key._d_bytes, c.key._x) for c in made} == {
        (c.key.public_key, c.key._d_bytes, asked._x) for c in made
    }
    assert len({c.key.public_key for c in made}) == 1
    key = next(iter(made)).key
    assert key.params == servers.params
    verify(key.public_key, b"m", sign(key, b"m"))
    secret = sum(
        c * share._s
        for c, share in zip(polynomial.lagrange_at_zero([1, 2, 3]), servers.shares[:3], strict=True)
    )
    assert group.g1_mul_vartime(key.public_key._Q_base.point, secret % group.ORDER) == key._D.point


def test_packet_between_threshold_keys(world):
    senders, receivers = (Servers(world, mode, 2, 3) for mode in (Mode.BLIND, Mode.IDENTITY))
    asked = senders.request(None)
    sender = asked.combine(senders.ask(asked)).key
    asked = receivers.request(None, Usage.DECRYPT, party="bob")
    receiver = asked.combine(receivers.ask(asked, [1, 3], party="bob")).key
    senders.trust.add(receivers.params)
    data = signcrypt(b"text", sender=sender, receivers=[receiver.public_key])
    opened = unsigncrypt(data, receiver=receiver, trust=senders.trust)
    assert (opened.plaintext, opened.sender) == (b"text", sender.public_key)


def test_combine_with_a_single_issuer(world, both):
    identity, blind = both
    asked = BlindRequest(blind.params, Usage.SIGN, blind.enrol("a"))
    assert asked.combine({1: blind.issue("a", asked.to_bytes())}).wrong == ()
    asked = IdentityRequest(identity.params, Usage.SIGN, b"a", identity.enrol("a"))
    answer = identity.issue("a", asked.to_bytes(identity.challenge(), server=1))
    assert asked.combine({1: answer}).key.public_key == asked.finish(answer).public_key
    issuer, alice = traceable_issuer(world), world.signer()
    asked = TraceableRequest(issuer.params, Usage.SIGN, alice)
    answer = issuer.issue(enrol_signer(issuer, alice), asked.to_bytes())
    assert asked.combine({1: answer}).key.public_key == asked.finish(answer).public_key
    with pytest.raises(TooFewAnswers) as caught:
        asked.combine({1: answer[:-1]})
    assert (caught.value.needed, caught.value.present, caught.value.wrong) == (1, 0, (1,))


def test_same_request_gets_the_same_answer_from_each_server(world, servers):
    asked = servers.request(world.signer())
    first = servers.ask(asked)
    assert servers.ask(asked) == first  # identity: under a new challenge
    restarted = {j: servers.issuer(j, issuer._registry) for j, issuer in servers.issuers.items()}
    servers.issuers = restarted
    assert servers.ask(asked) == first
    assert [issuer.server for issuer in restarted.values()] == [1, 2, 3, 4, 5]


def test_any_server_that_answered_traces(world):
    servers = Servers(world, Mode.TRACEABLE, 3, 5)
    asked = servers.request(world.signer())
    answers = servers.ask(asked, [1, 2, 4])
    # Each made the pseudonym by itself, and it is the same.
    assert len({answer[2:66] for answer in answers.values()}) == 1
    key = asked.combine(answers).key
    traces = {servers.issuers[j].trace(key.public_key) for j in (1, 2, 4)}
    (trace,) = traces
    trace.verify(servers.trust)
    assert (trace.name, trace.request) == (b"alice", asked.to_bytes())
    for j in (3, 5):
        with pytest.raises(IssueError, match="issued here"):
            servers.issuers[j].trace(key.public_key)


# -- wrong answers ------------------------------------------------------------------------------


def test_wrong_answers_are_named_and_the_rest_combine(world, servers):
    asked = servers.request(world.signer())
    good = servers.ask(asked)
    other = Servers(world, servers.mode, 3, 5, seed="other")
    foreign = other.ask(_as_asked(asked, other), [2])[2] if servers.mode is Mode.BLIND else good[1]
    i = 66 if servers.mode is Mode.TRACEABLE else 2
    for wrong in (
        good[1],  # another server's
        foreign,  # made with another secret
        b"", good[2][:-1], good[2] + b"\0", bytes(len(good[2])), b"\2" + good[2][1:],
        good[2][:1] + b"\7" + good[2][2:], good[2][:i] + INFINITY + good[2][i + 48 :],
        good[2][:i] + bytes(48) + good[2][i + 48 :],
        good[2][:i] + b"\x80" + bytes(46) + b"\4" + good[2][i + 48 :],  # outside the subgroup
        good[2][:-1] + bytes([good[2][-1] ^ 1]),
    ):  # fmt: skip
        made = asked.combine({**good, 2: wrong})
        assert made.wrong == (2,)
        made = asked.combine({**good, 2: wrong, 5: wrong})
        assert made.wrong == (2, 5)
        with pytest.raises(TooFewAnswers) as caught:
            asked.combine({1: good[1], 2: wrong, 3: good[3], 5: b""})
        error = caught.value
        assert (error.needed, error.present, error.wrong) == (3, 2, (2, 5))
        assert "2, 5" in str(error)
        assert error.__context__ is None
        assert pickle.loads(pickle.dumps(error)).__dict__ == error.__dict__
    assert asked.combine(good).wrong == ()  # unchanged by the failures


def _as_asked(asked, other):
    """The same B, asked of other servers."""
    again = BlindRequest(other.params, Usage.SIGN, other.enrol())
    again._B = asked._B
    return again


def test_attack_errors_of_two_servers_that_cancel(world, blind):
    """Without random weights C1 + E and C2 - E would pass together."""
    asked = blind.request(None)
    good = blind.ask(asked)
    for weights in ((1, 1), (1, 2), (3, 1), (3, -3), (3, group.ORDER - 1)):
        E = group.g1_mul_vartime(group.P1, 7)
        first = sum_of([good[1], issue_wire.blind_answer(E)], [1, weights[1]])
        second = sum_of([good[2], issue_wire.blind_answer(E)], [1, -weights[0]])
        made = asked.combine({**good, 1: issue_wire.blind_answer(first), 2: issue_wire.blind_answer(second)})
        assert made.wrong == (1, 2)


@pytest.fixture(scope="module")
def asked_and_answers(world):
    servers = Servers(world, Mode.BLIND, 3, 5)
    asked = servers.request(None)
    return asked, servers.ask(asked)


@given(st.dictionaries(st.integers(1, 5), st.sampled_from(["good", "neighbour", "flipped", "cut", "other"])))
def test_whatever_servers_answer_the_good_ones_decide(asked_and_answers, kinds):
    asked, answers = asked_and_answers
    given_ = {}
    for j, kind in kinds.items():
        good = answers[j]
        given_[j] = {
            "good": good,
            "neighbour": answers[j % 5 + 1],
            "flipped": good[:-1] + bytes([good[-1] ^ 1]),
            "cut": good[:-1],
            "other": issue_wire.blind_answer(group.P1),
        }[kind]
    wrong = tuple(sorted(j for j, kind in kinds.items() if kind != "good"))
    if len(kinds) - len(wrong) >= 3:
        made = asked.combine(given_)
        assert (made.wrong, made.key.public_key) == (wrong, asked.combine(answers).key.public_key)
    else:
        with pytest.raises(TooFewAnswers) as caught:
            asked.combine(given_)
        assert (caught.value.present, caught.value.wrong) == (len(kinds) - len(wrong), wrong)


def test_too_few_answers_can_be_completed(world, servers):
    asked = servers.request(world.signer())
    answers = {}
    for present, j in enumerate([4, 2]):
        with pytest.raises(TooFewAnswers) as caught:
            asked.combine(answers)
        assert (caught.value.needed, caught.value.present, caught.value.wrong) == (3, present, ())
        answers |= servers.ask(asked, [j])
    assert asked.combine(answers | servers.ask(asked, [5])).wrong == ()


def test_server_that_makes_another_pseudonym_is_wrong(world):
    """Its share is valid for the pseudonym that it made; only the one of the t counts."""
    servers = Servers(world, Mode.TRACEABLE, 3, 5)
    servers.issuers[2]._tracing_key = TracingKey.generate()
    asked = servers.request(world.signer())
    answers = servers.ask(asked)
    assert asked.combine(answers).wrong == (2,)
    # Two against one below the threshold: nobody can say yet who is right.
    with pytest.raises(TooFewAnswers) as caught:
        asked.combine({1: answers[1], 2: answers[2], 3: answers[3], 4: b""})
    assert (caught.value.present, caught.value.wrong) == (2, (4,))


def test_one_answer_of_a_threshold_issuer_makes_no_key(world, servers):
    asked = servers.request(world.signer())
    answers = servers.ask(asked)
    with pytest.raises(ParameterError, match=r"3 of 5 servers .* use combine"):
        asked.finish(answers[1])
    for bad in ([answers[1]], answers[1], None):
        with pytest.raises(TypeError, match="mapping"):
            asked.combine(bad)
    for bad in ({True: answers[1]}, {"1": answers[1]}, {1: None}):
        with pytest.raises(TypeError):
            asked.combine(bad)
    for index in (0, 6, -1):
        with pytest.raises(ParameterError, match="servers 1 to 5"):
            asked.combine({index: answers[1]})
    assert isinstance(asked.combine(answers), Combined)


def test_anybody_checks_a_blind_answer(world, blind):
    asked, other = blind.request(None), blind.request(None)
    good = blind.ask(asked)
    params, data = blind.params, asked.to_bytes(server=1)
    for j, answer in good.items():
        verify_answer(params, j, asked.to_bytes(server=j), answer)
        verify_answer(params, j, data, answer)  # its MAC is not looked at
        for bad in (good[j % 5 + 1], b"", answer[:-1], answer[:2] + INFINITY, b"\1\1" + answer[2:]):
            with pytest.raises(IssueError, match=f"server {j}"):
                verify_answer(params, j, data, bad)
        with pytest.raises(IssueError):
            verify_answer(params, j, other.to_bytes(server=j), answer)
    single = world.params[Mode.BLIND]
    with pytest.raises(IssueError, match="other parameters"):
        verify_answer(single, 1, data, good[1])
    with pytest.raises(ParameterError, match="mode blind"):
        verify_answer(world.params[Mode.IDENTITY], 1, data, good[1])
    for index in (0, 6):
        with pytest.raises(ParameterError, match="1 to 5"):
            verify_answer(params, index, data, good[1])
    with pytest.raises(DecodeError):
        verify_answer(params, 1, data[:-1], good[1])
    with pytest.raises(DecodeError):
        verify_answer(params, 1, data[:34] + INFINITY + data[82:], good[1])
    for bad in ((b"", 1, data, good[1]), (params, "1", data, good[1]), (params, 1, None, good[1]),
                (params, 1, data, None), (params, True, data, good[1])):  # fmt: skip
        with pytest.raises(TypeError):
            verify_answer(*bad)


# -- quota --------------------------------------------------------------------------------------


def test_attack_two_of_four_gives_two_keys_and_is_refused(world):
    """2 of 4, all servers honest, one answer each: two servers for one key, two for another."""
    root = RootKey.generate()
    for mode in Mode:
        with pytest.raises(ParameterError, match=r"q\(n-f\)"):
            deal(root, mode, b"e", not_before=0, not_after=9, threshold=2, servers=4)
    coefficients = polynomial.draw(2, Drbg("2 of 4"))
    shares = {j: polynomial.evaluate(coefficients, j) for j in range(5)}
    Y, *Y_servers = (comb.p2_mul(share).to_compressed_bytes() for share in shares.values())
    # Nor does a client take such parameters, should the root have signed them all the same.
    body = enc("SOTTOVOCE-V1-PARAMS", root.public_key, 1, "blind", b"e", Y, 0, 9, 2, 4, 1, 0, *Y_servers)
    with pytest.raises(DecodeError, match=r"q\(n-f\)"):
        EpochParams.from_bytes(body + root._key.sign(body), root.public_key)
    # What would happen without the rule, by the mathematics alone: both combinations are right.
    for asked, B in (((1, 2), group.P1), ((3, 4), group.P1 + group.P1)):
        answers = [group.g1_mul_vartime(B, shares[j]) for j in asked]
        made = group.g1_msm_vartime(answers, polynomial.lagrange_at_zero(asked))
        assert made == group.g1_mul_vartime(B, coefficients[0])


@pytest.mark.parametrize(
    ("t", "n", "q", "f"), [(2, 4, 1, 0), (3, 5, 1, 1), (3, 6, 1, 0), (4, 6, 2, 0), (2, 3, 1, 1), (4, 5, 2, 2)]
)
def test_parameters_that_give_keys_too_many_are_refused(t, n, q, f):
    with pytest.raises(ParameterError, match=r"q\(n-f\)"):
        deal(RootKey.generate(), Mode.BLIND, b"e", not_before=0, not_after=9, threshold=t, servers=n,
             answers=q, corrupted=f)  # fmt: skip


def _asks_to_the_limit(servers, plan, requests, corrupted=()):
    """Be admitted by each honest server in the order that ``plan`` says, then ask all of them.

    Corrupted ones acknowledge and answer everything.
    """
    admissions = [{} for _ in requests]
    for j, order in plan.items():
        for i in order:
            try:
                admissions[i] |= servers.admit(requests[i], [j])
            except IssueError as error:
                assert "quota" in str(error)  # noqa: PT017
    answers = [{} for _ in requests]
    for i, request in enumerate(requests):
        for j in corrupted:
            B = group.g1_from_bytes(request._B, "B")
            answers[i][j] = issue_wire.blind_answer(group.g1_mul_vartime(B, servers.shares[j - 1]._s))
            admissions[i][j] = servers.admission_keys[j]._acknowledge(servers.params, j, "alice", request._B)
        for j in plan:
            with contextlib.suppress(IssueError):
                data = request.to_bytes(server=j)
                answers[i][j] = servers.issuers[j].issue("alice", data, admissions[i])
    keys = []
    for request, got in zip(requests, answers, strict=True):
        try:
            made = request.combine(got)
        except TooFewAnswers as error:
            assert error.wrong == ()  # noqa: PT017
        else:
            keys.append(made.key)
    return keys


def test_attack_disjoint_servers_never_give_two_keys(world):
    """Every way to send two requests to five honest servers, of which three make a key."""
    most = 0
    for plan in itertools.product([(0, 1), (1, 0)], repeat=4):  # server 1 gets the first; by symmetry
        servers = Servers(world, Mode.BLIND, 3, 5)
        requests = [servers.request(None) for _ in range(2)]
        keys = _asks_to_the_limit(servers, dict(enumerate([(0, 1), *plan], 1)), requests)
        most = max(most, len(keys))
        assert len(keys) <= 1
    assert most == 1


def test_attack_with_a_corrupted_server_that_answers_anything(world):
    """4 of 5 with f = 1: at most one key although server 5 answers every request."""
    for plan in itertools.product([(0, 1), (1, 0)], repeat=3):
        servers = Servers(world, Mode.BLIND, 4, 5, f=1)
        requests = [servers.request(None) for _ in range(2)]
        plan = dict(enumerate([(0, 1), *plan], 1))
        assert len(_asks_to_the_limit(servers, plan, requests, corrupted=[5])) <= 1


def test_corrupted_servers_that_the_parameters_do_not_count(world):
    """3 of 5 is safe for f = 0 and no more: the f that the parameters name must be true."""
    servers = Servers(world, Mode.BLIND, 3, 5, f=0)
    requests = [servers.request(None) for _ in range(2)]
    plan = {1: [0], 2: [0], 3: [1], 4: [1]}
    assert len(_asks_to_the_limit(servers, plan, requests, corrupted=[5])) == 2


@pytest.mark.parametrize(("q", "quota", "most"), [(1, 1, 1), (1, 7, 1), (2, 1, 1), (2, 2, 2), (2, 7, 2)])
def test_server_answers_q_requests_whatever_the_quota(world, q, quota, most):
    servers = Servers(world, Mode.BLIND, 3, 3, q=q)
    servers.enrol(quota=quota)
    requests = [servers.request(None) for _ in range(4)]
    for i, request in enumerate(requests):
        if i < most:
            assert request.combine(servers.ask(request)).wrong == ()
        else:
            with pytest.raises(IssueError, match="quota"):
                servers.ask(request)
    servers.ask(requests[0])  # an earlier answer again is no other request


def test_server_holds_to_q_when_two_requests_race(world):
    """Both pass the check; the record decides."""

    class Raced(MemoryRegistry):
        def check(self, issuance, *, at_most=None):
            pass

    servers = Servers(world, Mode.BLIND, 3, 5, registry=Raced)
    servers.enrol(quota=5)
    servers.ask(servers.request(None), [1])
    with pytest.raises(IssueError, match="quota"):
        servers.ask(servers.request(None), [1])


def test_quota_of_a_single_issuer_is_not_cut(both):
    _, issuer = both
    token = issuer.enrol("a", quota=3)
    for _ in range(3):
        issue_blind(issuer, "a", token=token)


def test_traceable_servers_answer_q_requests_for_each_usage(world):
    servers = Servers(world, Mode.TRACEABLE, 2, 3)
    servers.enrol(quota=9)
    for usage in Usage:
        asked = servers.request(world.signer(), usage)
        asked.combine(servers.ask(asked))
        with pytest.raises(IssueError, match="quota"):
            servers.ask(servers.request(world.signer(), usage))


def test_one_name_is_one_key_at_every_server(world):
    """Disjoint servers cannot be asked for two keys under one name, whatever q."""
    servers = Servers(world, Mode.IDENTITY, 3, 3, q=2)
    servers.enrol(quota=2)
    first, second = servers.request(None), servers.request(None)
    servers.ask(first, [1, 2])
    servers.ask(second, [3])
    for request, j in ((second, 1), (first, 3)):
        with pytest.raises(IssueError, match="name has a key"):
            servers.ask(request, [j])


# -- tokens -------------------------------------------------------------------------------------


def test_each_server_has_its_own_token(world):
    for mode in (Mode.IDENTITY, Mode.BLIND):
        servers = Servers(world, mode, 3, 5)
        tokens = servers.enrol()

        def ask(token, params=servers.params, mode=mode):
            if mode is Mode.BLIND:
                return BlindRequest(params, Usage.SIGN, token)
            return IdentityRequest(params, Usage.SIGN, b"alice", token)

        for bad, reason in (
            (tokens[1], "one for each server"), ({}, "at least one"), ({1: bytes(31)}, "32 bytes"),
            ({0: tokens[1]}, "1 to 5"), ({6: tokens[1]}, "1 to 5"),
            ({1: tokens[1], 2: tokens[1]}, "one token"),
        ):  # fmt: skip
            with pytest.raises(ParameterError, match=reason):
                ask(bad)
        for bad in ({1: None}, {"1": tokens[1]}, [tokens[1]], None):
            with pytest.raises(TypeError):
                ask(bad)
        asked = ask({j: tokens[j] for j in (1, 2, 4)})
        send = (
            asked.to_bytes
            if mode is Mode.BLIND
            else lambda server=None, a=asked: a.to_bytes(bytes(32), server)
        )
        with pytest.raises(ParameterError, match="no token of server 3"):
            send(server=3)
        with pytest.raises(ParameterError, match="issued by several"):
            send()
        with pytest.raises(TypeError, match="server"):
            send(server="1")
        servers.tokens["alice"] = tokens
        assert asked.combine(servers.ask(asked, [1, 2, 4])).wrong == ()
    with pytest.raises(ParameterError, match="1 to 1"):
        BlindRequest(world.params[Mode.BLIND], Usage.SIGN, {2: bytes(32)})
    BlindRequest(world.params[Mode.BLIND], Usage.SIGN, {1: bytes(32)}).to_bytes(server=1)


def test_attack_corrupted_server_asks_the_others_in_the_users_name(world):
    """It knows its own token of alice, so with one for all it would get alice's name from t others."""
    servers = Servers(world, Mode.IDENTITY, 3, 5)
    stolen = servers.enrol()[5]
    for j in (1, 2, 3):
        theft = IdentityRequest(servers.params, Usage.SIGN, b"alice", {j: stolen})
        with pytest.raises(IssueError, match="not authenticated"):
            servers.issuers[j].issue("alice", theft.to_bytes(servers.issuers[j].challenge(), server=j))
    # Nor does a request of alice that it has seen help: the MAC is under its own token.
    asked = servers.request(None)
    seen = asked.to_bytes(servers.issuers[1].challenge(), server=5)
    with pytest.raises(IssueError, match="not authenticated"):
        servers.issuers[1].issue("alice", seen)


def test_challenge_of_one_server_is_unknown_to_another(world):
    servers = Servers(world, Mode.IDENTITY, 2, 3)
    asked = servers.request(None)
    data = asked.to_bytes(servers.issuers[1].challenge(), server=2)
    with pytest.raises(IssueError, match="challenge"):
        servers.issuers[2].issue("alice", data)


def test_traceable_request_of_another_may_be_relayed_and_helps_nobody(world):
    """A server that has seen alice's request can ask the others; they answer, encrypted to alice's X."""
    servers = Servers(world, Mode.TRACEABLE, 3, 5)
    asked = servers.request(world.signer())
    relayed = {j: servers.issuers[j].issue("alice", asked.to_bytes()) for j in (1, 2, 3)}
    theft = TraceableRequest(servers.params, Usage.SIGN, world.signer("mallory"))
    with pytest.raises(TooFewAnswers) as caught:
        theft.combine(relayed)
    assert caught.value.wrong == (1, 2, 3)
    assert asked.combine(servers.ask(asked)).wrong == ()


# -- the issuer ---------------------------------------------------------------------------------


def test_master_key_does_not_issue_alone_in_a_threshold_epoch(world, blind):
    s = sum(
        c * share._s
        for c, share in zip(polynomial.lagrange_at_zero([1, 2, 3]), blind.shares[:3], strict=True)
    )
    with pytest.raises(ParameterError):
        Issuer(MasterKey(s % group.ORDER, blind.params))
    with pytest.raises(TypeError):
        Issuer(blind.shares)


def test_servers_have_registries_of_their_own(world):
    """With a shared one each server would find the answer of another and give that."""
    shared = MemoryRegistry()
    servers = Servers(world, Mode.BLIND, 2, 3, registry=lambda: shared)
    servers.issuers[1].enrol("alice")
    for j in (2, 3):
        with pytest.raises(IssueError, match="enrolled already"):
            servers.issuers[j].enrol("alice")


def test_attack_somebody_asks_some_servers_first_for_the_x_of_another(world):
    """Were alice refused there, the servers that had answered her would have spent her quota for nothing."""
    servers = Servers(world, Mode.TRACEABLE, 3, 5)
    asked, mallory = servers.request(world.signer()), world.signer("mallory")
    servers.enrol("mallory")
    transcript = tracing.request_transcript(servers.params.params_id, "sign", asked._X)
    signed = signature._sign_derand(mallory, "issue", transcript, Drbg("thief"))
    stolen = tracing.request_bytes(servers.params.params_id, Usage.SIGN, asked._X, mallory.public_key, signed)
    for j in (3, 4, 5):
        servers.issuers[j].issue("mallory", stolen)
    assert asked.combine(servers.ask(asked)).wrong == ()

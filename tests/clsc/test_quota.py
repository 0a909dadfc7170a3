"""Quota and records: what one unit buys, the same answer to the same request, threads, restarts."""

import hmac
import threading
import time
from dataclasses import replace

import pytest

from sottovoce._ext import limits
from sottovoce._ext.enc import enc
from sottovoce.clsc import (
    Account,
    BlindRequest,
    DecodeError,
    IdentityRequest,
    Issuance,
    IssueError,
    Issuer,
    MemoryRegistry,
    Mode,
    ParameterError,
    Usage,
    group,
    sign,
    verify,
)
from support.clsc_world import issue_blind, issue_identity


def test_identity_usages_have_their_own_quota(both):
    issuer, _ = both
    token = issuer.enrol("alice")
    for usage in Usage:
        assert issue_identity(issuer, "alice", usage, token).usage is usage


@pytest.mark.parametrize("party", ["", "x" * 65, "\u00e4" * 33, "\ud800"])
def test_a_party_is_1_to_64_bytes_of_utf8(both, party):
    issuer, _ = both
    with pytest.raises(ParameterError, match="party"):
        issuer.enrol(party)
    with pytest.raises(ParameterError, match="party"):
        issuer.enrol(party, identity=b"x")


def test_a_party_is_text_wherever_it_is_named(both):
    for issuer in both:
        for call in (issuer.enrol, issuer.disable, lambda party, by=issuer: by.issue(party, b"")):
            for party in (5, b"alice", [], None):
                with pytest.raises(TypeError, match="party"):
                    call(party)


@pytest.mark.parametrize("usage", Usage)
def test_one_unit_of_blind_quota_is_one_key_of_either_usage(both, usage):
    _, issuer = both
    token = issuer.enrol("alice")
    assert issue_blind(issuer, "alice", usage, token).usage is usage
    for again in Usage:
        with pytest.raises(IssueError, match="quota"):
            issue_blind(issuer, "alice", again, token)
    token = issuer.enrol("two", quota=2)
    for usage_ in Usage:
        assert issue_blind(issuer, "two", usage_, token).usage is usage_
    with pytest.raises(IssueError, match="quota"):
        issue_blind(issuer, "two", usage, token)


def test_attack_second_sign_pseudonym_by_a_lie_about_the_usage(both):
    """``B`` hides the usage, so a purse for each usage would sell two pseudonyms for one unit."""
    _, issuer = both
    params_id = issuer.params.params_id
    token = issuer.enrol("device 7", quota=1)
    first = issue_blind(issuer, "device 7", token=token)
    verify(first.public_key, b"vote", sign(first, b"vote"))
    request = BlindRequest(issuer.params, Usage.SIGN, token)
    data = request.to_bytes()
    with pytest.raises(IssueError, match="quota"):
        issuer.issue("device 7", data)
    B = data[-80:-32]
    for usage in Usage:  # a usage in the request or in what is authenticated, as in an earlier draft
        mac = hmac.digest(token, enc("SOTTOVOCE-V1-ISSUE", params_id, str(usage), B), "sha256")
        with pytest.raises(IssueError, match="not authenticated"):
            issuer.issue("device 7", data[:-32] + mac)
        byte = bytes([1 + list(Usage).index(usage)])
        with pytest.raises(DecodeError):
            issuer.issue("device 7", data[:2] + byte + data[2:-32] + mac)


def test_blind_request_says_nothing_of_its_usage(both):
    """Same token, same ``B``: the same bytes, whatever the key is for."""
    _, issuer = both
    token = issuer.enrol("alice")
    requests = [BlindRequest(issuer.params, usage, token) for usage in Usage]
    requests[1]._B = requests[0]._B
    assert requests[0].to_bytes() == requests[1].to_bytes()


def test_record_of_a_blind_key_has_no_usage(both):
    """The purse is counted by what the record says: one of two usages would be two purses."""
    entry = Issuance("a", bytes(32), Mode.BLIND, "", b"", bytes(48), b"", b"")
    for change in ({"usage": "sign"}, {"usage": "decrypt"}, {"identity": b"a"}):
        with pytest.raises(ParameterError):
            replace(entry, **change)


def test_same_request_gets_the_same_answer_and_other_requests_are_refused(both):
    identity, blind = both
    token = identity.enrol("alice", quota=5)
    request = IdentityRequest(identity.params, Usage.SIGN, b"alice", token)
    data = request.to_bytes(identity.challenge())
    answer = identity.issue("alice", data)
    assert identity.issue("alice", data) == answer
    # Lost answer, new challenge: still the same key, so still the same answer.
    assert identity.issue("alice", request.to_bytes(identity.challenge())) == answer
    assert request.finish(answer).public_key == request.finish(answer).public_key
    # One key per name, ever, whatever the quota.
    second = IdentityRequest(identity.params, Usage.SIGN, b"alice", token)
    with pytest.raises(IssueError, match="name has a key"):
        identity.issue("alice", second.to_bytes(identity.challenge()))

    token = blind.enrol("alice", quota=2)
    requests = [BlindRequest(blind.params, Usage.SIGN, token) for _ in range(3)]
    answers = [blind.issue("alice", r.to_bytes()) for r in requests[:2]]
    assert [blind.issue("alice", r.to_bytes()) for r in requests[:2]] == answers
    with pytest.raises(IssueError, match="quota"):
        blind.issue("alice", requests[2].to_bytes())
    assert blind.issue("alice", requests[0].to_bytes()) == answers[0]


def test_blind_issuances_of_an_epoch_are_bounded(both, monkeypatch):
    _, issuer = both
    assert limits.MAX_BLIND_ISSUANCES == 1 << 20
    token = issuer.enrol("alice", quota=9)
    monkeypatch.setattr(limits, "MAX_BLIND_ISSUANCES", 2)
    for _ in range(2):
        issue_blind(issuer, "alice", token=token)
    with pytest.raises(IssueError, match="all its blind keys"):
        issue_blind(issuer, "alice", token=token)


def test_record_is_durable_before_the_answer_leaves(world):
    class Failing(MemoryRegistry):
        def record(self, issuance, *, at_most=None):
            raise OSError("disk full")

    issuer = Issuer(world.master[Mode.BLIND], Failing())
    token = issuer.enrol("alice")
    with pytest.raises(OSError, match="disk full"):
        issuer.issue("alice", BlindRequest(issuer.params, Usage.SIGN, token).to_bytes())

    registry = MemoryRegistry()
    issuer = Issuer(world.master[Mode.BLIND], registry)
    token = issuer.enrol("alice")
    data = BlindRequest(issuer.params, Usage.SIGN, token).to_bytes()
    answer = issuer.issue("alice", data)
    stored = registry.find("alice", issuer.params.params_id, "", data[34:82])
    assert (stored.request, stored.answer) == (data, answer)
    # An issuer restarted over the same registry gives the same answer and no second key.
    again = Issuer(world.master[Mode.BLIND], registry)
    assert again.issue("alice", data) == answer
    with pytest.raises(IssueError, match="quota"):
        issue_blind(again, "alice", token=token)


def test_threads_cannot_spend_a_unit_twice(both):
    _, issuer = both
    token = issuer.enrol("alice", quota=3)
    requests = [BlindRequest(issuer.params, Usage.SIGN, token).to_bytes() for _ in range(12)]
    answers, refused = [], []

    def ask(data):
        try:
            answers.append(issuer.issue("alice", data))
        except IssueError:
            refused.append(data)

    threads = [threading.Thread(target=ask, args=(data,)) for data in requests]
    for t in threads:
        t.start()
    for t in threads:
        t.join()
    assert (len(answers), len(refused)) == (3, 9)


def test_registry_decides_atomically():
    """Reading what was spent and writing it is one step: with a slow read every thread would pass."""

    class Slow(dict):
        def get(self, *args):
            value = super().get(*args)
            time.sleep(0.01)
            return value

    registry = MemoryRegistry()
    registry.enrol(Account("a", b"a", 1, bytes(32)))
    registry._spent = Slow()
    start, outcomes = threading.Barrier(4), []

    def record(i):
        entry = Issuance("a", bytes(32), Mode.BLIND, "", b"", bytes([i]) * 48, b"", b"")
        start.wait()
        try:
            outcomes.append(registry.record(entry) is entry)
        except IssueError:
            outcomes.append(False)

    threads = [threading.Thread(target=record, args=(i,)) for i in range(4)]
    for t in threads:
        t.start()
    for t in threads:
        t.join()
    assert sorted(outcomes) == [False, False, False, True]


def test_no_quota_no_multiplication_by_the_master_secret(both, monkeypatch):
    identity, blind = both
    used = []
    real = group.g1_mul_secret
    for issuer in both:
        token = issuer.enrol("alice")
        ask = issue_blind if issuer is blind else issue_identity
        ask(issuer, "alice", token=token)
        with monkeypatch.context() as patched:
            patched.setattr(group, "g1_mul_secret", lambda p, k: used.append(k) or real(p, k))
            with pytest.raises(IssueError, match=r"quota|name has a key"):
                ask(issuer, "alice", token=token)
    assert not {identity._master._s, blind._master._s} & set(used)


def test_equal_identity_requests_that_race_get_the_equal_answer(world):
    """The first has used the challenge and not yet recorded its answer when the second comes."""
    inside, second_came = threading.Event(), threading.Event()

    class Slow(MemoryRegistry):
        def find(self, *args):
            if inside.is_set():
                second_came.set()
            return super().find(*args)

        def record(self, issuance, *, at_most=None):
            inside.set()
            assert second_came.wait(5)
            time.sleep(0.05)
            return super().record(issuance, at_most=at_most)

    issuer = Issuer(world.master[Mode.IDENTITY], Slow())
    request = IdentityRequest(issuer.params, Usage.SIGN, b"a", issuer.enrol("a"))
    data = request.to_bytes(issuer.challenge())
    answers = []
    first = threading.Thread(target=lambda: answers.append(issuer.issue("a", data)))
    first.start()
    assert inside.wait(5)
    answers.append(issuer.issue("a", data))
    first.join()
    assert answers[0] == answers[1]


def test_disabled_party_gets_nothing(both):
    _, blind = both
    for issuer in both:
        token = issuer.enrol("alice", quota=9)
        if issuer is blind:
            answered = BlindRequest(issuer.params, Usage.SIGN, token).to_bytes()
            fresh = BlindRequest(issuer.params, Usage.SIGN, token).to_bytes()
        else:
            answered, fresh = (
                IdentityRequest(issuer.params, usage, b"alice", token).to_bytes(issuer.challenge())
                for usage in Usage
            )
        issuer.issue("alice", answered)
        issuer.disable("alice")
        issuer.disable("alice")
        for data in (answered, fresh):
            with pytest.raises(IssueError, match="not authenticated"):
                issuer.issue("alice", data)
        with pytest.raises(IssueError, match="enrolled already"):
            issuer.enrol("alice")
        with pytest.raises(IssueError, match="belongs to another"):
            issuer.enrol("alice again", identity=b"alice")
        with pytest.raises(IssueError, match="not enrolled"):
            issuer.disable("nobody")


def test_registry_refuses_a_party_disabled_in_the_middle_of_a_request():
    registry = MemoryRegistry()
    registry.enrol(Account("a", b"a", 2, bytes(32)))
    entry = Issuance("a", bytes(32), Mode.BLIND, "", b"", bytes(48), b"", b"")
    registry.check(entry)
    registry.record(entry)
    registry.disable("a")
    for other in (entry, replace(entry, issued=bytes([1]) * 48)):
        for step in (registry.check, registry.record):
            with pytest.raises(IssueError, match="not enrolled"):
                step(other)

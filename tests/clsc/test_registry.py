"""The rules of admission, the same in memory and on disk; both side by side under random orders."""

import contextlib
import tempfile
import threading
from dataclasses import replace

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from sottovoce._ext import limits
from sottovoce.clsc import (
    BlindRequest,
    IdentityRequest,
    Issuance,
    IssueError,
    Issuer,
    MemoryRegistry,
    Mode,
    ParameterError,
    Usage,
)
from sottovoce.clsc.sqlite_registry import SqliteRegistry
from support.clsc_stores import TOKEN, account, entry, params_id, point
from support.clsc_world import issue_blind, issue_identity


@pytest.fixture(params=["memory", "sqlite"])
def registry(request, tmp_path):
    if request.param == "memory":
        yield MemoryRegistry()
    else:
        with SqliteRegistry(tmp_path / "registry.sqlite") as registry:
            yield registry


def refuses(registry, wanted, message, **kwargs):
    """Both steps refuse, and nothing is recorded."""
    for step in (registry.check, registry.record):
        with pytest.raises(IssueError, match=message):
            step(wanted, **kwargs)
    assert registry.find(wanted.party, wanted.params_id, wanted.usage, wanted.issued) is None


def test_account_is_given_until_it_is_disabled(registry):
    alice = account("alice", 7, b"identity")
    registry.enrol(alice)
    assert registry.account("alice") == alice
    assert registry.account("alice").token == TOKEN
    assert registry.account("bob") is None
    registry.disable("alice")
    registry.disable("alice")
    assert registry.account("alice") is None
    with pytest.raises(IssueError, match="not enrolled"):
        registry.disable("bob")


def test_party_and_identity_are_taken_for_ever(registry):
    registry.enrol(account("alice"))
    for _ in range(2):
        with pytest.raises(IssueError, match="party is enrolled already"):
            registry.enrol(account("alice", identity=b"other"))
        with pytest.raises(IssueError, match="belongs to another"):
            registry.enrol(account("bob", identity=b"alice"))
        registry.disable("alice")
    registry.enrol(account("bob"))


@pytest.mark.parametrize("party", ["", "a\0b", "a", "A", "\u00e4", "a\u0308", "\ud800", "x" * 10_000])
def test_every_name_is_a_name_of_its_own(registry, party):
    others = [name for name in ("a", "a\0", "a\0c", "\u00e4", "\ud801") if name != party]
    for i, name in enumerate(others):
        registry.enrol(account(name, identity=b"%d" % i))
    assert registry.account(party) is None
    registry.enrol(account(party, identity=b"its own"))
    wanted = registry.record(entry(party))
    assert registry.find(party, wanted.params_id, "", wanted.issued) == wanted
    assert registry.account(party).party == party
    assert registry.find("a\0", wanted.params_id, "", wanted.issued) is None


@pytest.mark.parametrize("mode", Mode)
def test_record_is_found_again_and_the_first_answer_holds(registry, mode):
    registry.enrol(account("a"))
    wanted = entry("a", 1, mode)
    registry.check(wanted)
    assert registry.find("a", wanted.params_id, wanted.usage, wanted.issued) is None
    assert registry.record(wanted) == wanted
    assert registry.find("a", wanted.params_id, wanted.usage, wanted.issued) == wanted
    other = replace(wanted, answer=b"another", request=b"another")
    registry.check(other)
    assert registry.record(other) == wanted
    assert registry.find("a", params_id(5), wanted.usage, wanted.issued) is None
    assert registry.find("b", wanted.params_id, wanted.usage, wanted.issued) is None


def test_quota_is_counted_for_each_purse(registry):
    registry.enrol(account("a", 2))
    registry.enrol(account("b", 1))
    for i in (1, 2):
        registry.record(entry("a", i))
    refuses(registry, entry("a", 3), "quota")
    registry.record(entry("a", 3, epoch=1))  # other parameters, another purse
    registry.record(entry("b", 3))  # another party
    refuses(registry, entry("b", 4), "quota")
    for i, usage in enumerate(Usage):
        for j in range(2):
            registry.record(
                entry("a", 10 + 2 * i + j, Mode.TRACEABLE, epoch=2, usage=str(usage), identity=b"%d" % j)
            )
        refuses(registry, entry("a", 20, Mode.TRACEABLE, epoch=2, usage=str(usage), identity=b"9"), "quota")


def test_threshold_server_gives_fewer_than_the_quota(registry):
    registry.enrol(account("a", 5))
    registry.enrol(account("b", 1))
    registry.record(entry("a", 1), at_most=1)
    refuses(registry, entry("a", 2), "quota", at_most=1)
    assert registry.record(entry("a", 1), at_most=1) == entry("a", 1)
    registry.record(entry("a", 2), at_most=2)
    registry.record(entry("b", 2), at_most=2)
    refuses(registry, entry("b", 3), "quota", at_most=2)


@pytest.mark.parametrize("mode", [Mode.IDENTITY, Mode.TRACEABLE])
def test_name_has_one_key_per_usage_and_epoch(registry, mode):
    registry.enrol(account("a", 9))
    registry.enrol(account("b", 9))
    registry.record(entry("a", 1, mode))
    for party in "ab":
        refuses(registry, entry(party, 2, mode), "name has a key")
    registry.record(entry("a", 2, mode, usage="decrypt"))
    registry.record(entry("a", 3, mode, epoch=1))


@pytest.mark.parametrize("mode", [Mode.IDENTITY, Mode.TRACEABLE])
def test_point_is_issued_once_ever(registry, mode):
    """Under another usage it would be one key for both."""
    registry.enrol(account("a", 9))
    registry.record(entry("a", 1, mode))
    for other in (
        entry("a", 1, mode, usage="decrypt"),
        entry("a", 1, mode, epoch=1),
        entry("a", 1, Mode.IDENTITY, epoch=2),
        entry("a", 1, Mode.TRACEABLE, epoch=2),
    ):
        refuses(registry, other, "X was issued before")


def test_point_proved_by_one_party_is_nobody_else_s(registry):
    registry.enrol(account("a", 9))
    registry.enrol(account("b", 9))
    registry.record(entry("a", 1, Mode.IDENTITY))
    for epoch in (0, 1):
        for mode in (Mode.IDENTITY, Mode.TRACEABLE):
            refuses(registry, entry("b", 1, mode, identity=b"m", epoch=epoch), "X was issued before")


def test_point_of_another_party(registry):
    """In mode identity its owner has proved ``x``; a traceable request may carry a copied ``X``."""
    for party in "abc":
        registry.enrol(account(party, 9))
    registry.record(entry("a", 1, Mode.TRACEABLE))
    registry.record(entry("b", 1, Mode.TRACEABLE, identity=bytes(63) + b"b"))
    registry.record(entry("c", 1, Mode.IDENTITY, epoch=1, identity=b"c"))
    for mode in (Mode.IDENTITY, Mode.TRACEABLE):
        refuses(registry, entry("a", 1, mode, usage="decrypt"), "X was issued before")


def test_blind_points_do_not_concern_each_other(registry):
    """``B`` says nothing: another party may have sent the same one, and its answer is the same."""
    registry.enrol(account("a"))
    registry.enrol(account("b", 2))
    registry.record(entry("a", 1))
    registry.record(entry("b", 1))
    registry.record(entry("b", 1, Mode.IDENTITY, epoch=1))
    assert registry.by_identity(params_id(), "", b"") is None


def test_blind_keys_of_an_epoch_are_bounded(registry, monkeypatch):
    registry.enrol(account("a", 9))
    monkeypatch.setattr(limits, "MAX_BLIND_ISSUANCES", 2)
    for i in range(2):
        registry.record(entry("a", i))
    refuses(registry, entry("a", 2), "all its blind keys")
    assert registry.record(entry("a", 1)) == entry("a", 1)
    registry.record(entry("a", 2, epoch=1))
    for i in range(3):
        registry.record(entry("a", 10 + i, Mode.TRACEABLE, epoch=2, identity=b"%d" % i))


def test_disabled_party_gets_nothing_not_even_what_is_on_record(registry):
    registry.enrol(account("a", 9))
    registry.record(entry("a", 1))
    registry.disable("a")
    for step in (registry.check, registry.record):
        for i in (1, 2):
            with pytest.raises(IssueError, match="not enrolled"):
                step(entry("a", i))
        with pytest.raises(IssueError, match="not enrolled"):
            step(entry("nobody", 1))


def test_key_is_found_by_its_name(registry):
    registry.enrol(account("a", 9))
    wanted = registry.record(entry("a", 1, Mode.TRACEABLE, identity=b"pseudonym"))
    registry.record(entry("a", 2, Mode.TRACEABLE, identity=b"another"))
    assert registry.by_identity(wanted.params_id, "sign", wanted.identity) == wanted
    assert registry.by_identity(wanted.params_id, "decrypt", wanted.identity) is None
    assert registry.by_identity(params_id(1), "sign", wanted.identity) is None
    assert registry.by_identity(wanted.params_id, "sign", b"pseudonym") is None
    registry.disable("a")
    assert registry.by_identity(wanted.params_id, "sign", wanted.identity) == wanted


def test_record_that_breaks_the_mode_rule_is_not_made():
    fine = entry("a", 1, Mode.TRACEABLE)
    for change in (
        {"identity": b"63".ljust(63)},
        {"identity": b""},
        {"usage": ""},
        {"usage": "encrypt"},
        {"mode": Mode.BLIND},
        {"mode": Mode.IDENTITY, "identity": bytes(65)},
        {"mode": Mode.IDENTITY, "identity": b""},
    ):
        with pytest.raises(ParameterError, match="issuance"):
            replace(fine, **change)
    assert isinstance(replace(fine, mode=Mode.IDENTITY), Issuance)


def test_challenge_is_accepted_once(registry):
    first, second = registry.new_challenge(), registry.new_challenge()
    assert len(first) == len(second) == 32
    assert first != second
    assert registry.use_challenge(first)
    assert not registry.use_challenge(first)
    assert registry.use_challenge(second)
    for never in (b"", bytes(32), second[:-1]):
        assert not registry.use_challenge(never)


def test_oldest_challenge_is_forgotten(registry, monkeypatch):
    monkeypatch.setattr(limits, "MAX_CHALLENGES", 3)
    values = [registry.new_challenge() for _ in range(5)]
    assert registry.use_challenge(values[3])
    values += [registry.new_challenge() for _ in range(2)]
    assert [registry.use_challenge(value) for value in values] == [False] * 4 + [True] * 3


def test_threads_spend_a_quota_exactly(registry):
    registry.enrol(account("a", 3))
    start, outcomes = threading.Barrier(8), []

    def ask(i):
        start.wait()
        try:
            outcomes.append(registry.record(entry("a", i)).issued == point(i))
        except IssueError:
            outcomes.append(False)

    threads = [threading.Thread(target=ask, args=(i,)) for i in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(outcomes) == [False] * 5 + [True] * 3


def test_threads_with_one_request_get_one_answer(registry):
    registry.enrol(account("a", 9))
    start, answers, challenge, used = threading.Barrier(8), [], registry.new_challenge(), []

    def ask(i):
        start.wait()
        used.append(registry.use_challenge(challenge))
        answers.append(registry.record(entry("a", 1, answer=b"%d" % i)).answer)

    threads = [threading.Thread(target=ask, args=(i,)) for i in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(answers) == 8
    assert len(set(answers)) == 1
    assert sorted(used) == [False] * 7 + [True]


def test_issuer_works_over_either_registry(world, registry):
    identity, blind = (Issuer(world.master[mode], registry) for mode in (Mode.IDENTITY, Mode.BLIND))
    token = identity.enrol("alice")
    for usage in Usage:
        assert issue_identity(identity, "alice", usage, token).usage is usage
    issue_blind(blind, "alice", token=token)
    with pytest.raises(IssueError, match="quota"):
        issue_blind(blind, "alice", token=token)
    request = IdentityRequest(identity.params, Usage.SIGN, b"alice", token)
    with pytest.raises(IssueError, match=r"quota|name has a key"):
        identity.issue("alice", request.to_bytes(identity.challenge()))
    token = blind.enrol("bob")
    data = BlindRequest(blind.params, Usage.SIGN, token).to_bytes()
    assert blind.issue("bob", data) == Issuer(world.master[Mode.BLIND], registry).issue("bob", data)


# -- side by side ----------------------------------------------------------------------------------

PARTIES = st.sampled_from(["a", "b", "c"])
ENTRIES = st.builds(
    entry,
    PARTIES,
    st.integers(0, 5),
    st.sampled_from(Mode),
    epoch=st.integers(0, 1),
    usage=st.sampled_from([str(usage) for usage in Usage]),
    identity=st.sampled_from([b"n", b"m"]),
    answer=st.sampled_from([b"1", b"2"]),
)


class SideBySide(RuleBasedStateMachine):
    """Whatever is asked in whatever order: equal answers, equal refusals, also after a restart."""

    def __init__(self):
        super().__init__()
        self.stack = contextlib.ExitStack()
        folder = self.stack.enter_context(tempfile.TemporaryDirectory())
        self.path = f"{folder}/registry.sqlite"
        self.memory, self.disk = MemoryRegistry(), SqliteRegistry(self.path)
        self.challenges = []
        self.stack.callback(setattr, limits, "MAX_BLIND_ISSUANCES", limits.MAX_BLIND_ISSUANCES)
        limits.MAX_BLIND_ISSUANCES = 4

    def both(self, name, *args, **kwargs):
        outcomes = []
        for registry in (self.memory, self.disk):
            try:
                outcomes.append(getattr(registry, name)(*args, **kwargs))
            except IssueError as error:
                outcomes.append(str(error))
        assert outcomes[0] == outcomes[1]
        return outcomes[0]

    @rule(party=PARTIES, quota=st.integers(1, 4), identity=st.sampled_from([b"n", b"m", b"o"]))
    def enrol(self, party, quota, identity):
        self.both("enrol", account(party, quota, identity))

    @rule(party=PARTIES)
    def account(self, party):
        self.both("account", party)

    @rule(party=st.sampled_from(["c", "d"]))
    def disable(self, party):
        self.both("disable", party)

    @rule(wanted=ENTRIES, at_most=st.sampled_from([None, 1, 2]))
    def check(self, wanted, at_most):
        self.both("check", wanted, at_most=at_most)

    @rule(wanted=ENTRIES, at_most=st.sampled_from([None, None, 1, 2]))
    def record(self, wanted, at_most):
        self.both("record", wanted, at_most=at_most)

    @rule(wanted=ENTRIES)
    def look(self, wanted):
        self.both("find", wanted.party, wanted.params_id, wanted.usage, wanted.issued)
        self.both("by_identity", wanted.params_id, wanted.usage, wanted.identity)

    @rule()
    def challenge(self):
        self.challenges.append((self.memory.new_challenge(), self.disk.new_challenge()))

    @rule(data=st.data())
    def use(self, data):
        if self.challenges:
            pair = data.draw(st.sampled_from(self.challenges))
            assert self.memory.use_challenge(pair[0]) == self.disk.use_challenge(pair[1])

    @rule()
    def restart(self):
        self.disk.close()
        self.disk = SqliteRegistry(self.path)

    @invariant()
    def counts_agree(self):
        with self.disk._file.reading() as db:
            assert db.execute("SELECT count(*) FROM issuances").fetchone()[0] == len(self.memory._records)

    def teardown(self):
        self.disk.close()
        self.stack.close()


class TestSideBySide(SideBySide.TestCase):
    settings = settings(stateful_step_count=40, deadline=None)

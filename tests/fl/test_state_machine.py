"""One round under everything at once: the exact sum of the accepted, or a ProtocolError; never a wrong sum.

Five members (t = 4, f = 1) and six honest clients.  Packets are sealed once; the machine decides what the
network, strangers, cheating clients, one lying member, absent members and an aggregator that asks for more
than it may do, in which order.  Honest clients and members follow the protocol, and nobody may call one of
them a cheat.  What was refused is counted by kind, exactly as often as it was sent.

``docs/testing.md`` has the list of faults, and which rule injects each.
"""

import itertools

import numpy as np
import pytest
from hypothesis import HealthCheck, Phase, settings
from hypothesis import strategies as st
from hypothesis.stateful import invariant, precondition, rule, run_state_machine_as_test

from sottovoce._ext.enc import enc
from sottovoce._ext.errors import SottovoceError
from sottovoce.fl import CheckReply, ProtocolError, Reason, State, Update
from sottovoce.fl.wire import split_exactly
from support.fl_federation import CLIP, from_member, lying_answer, make_request, snapshot
from support.fl_machine import CollectingRound
from support.fl_world import CHEATS, HEADERS, LEAST, World

LIGHT = np.zeros(51, np.int64)
"""What a client that cheats puts into the sum: no values, weight 1."""
LIGHT[-1] = 1


@pytest.fixture(scope="module")
def world(fed):
    return World(fed)


class Round(CollectingRound):
    """And how it ends: members asked, lied to and lying, sets settled, the sum opened and judged."""

    @precondition(lambda self: self.aggregator.state not in (State.COLLECTING, State.ERASED))
    @rule(j=st.integers(1, 5), left_out=st.sets(st.integers(0, 5), min_size=1, max_size=4))
    def another_set(self, j, left_out):
        """A member is asked about a part of the set, before or after the others about all of it."""
        listed = [pid for k, pid in enumerate(self.aggregator.accepted) if k not in left_out]
        if len(listed) == len(self.aggregator.accepted):
            return
        request = self.request(j, listed)
        try:
            self.members[j].answer(self.sealed.signed, request)
        except ProtocolError as error:
            cause = {
                Reason.TOO_FEW: len(listed) < LEAST,
                Reason.BAD_SHARES: self.cheated(j, listed),
                Reason.BOUND: bool(self.sets[j]),
            }
            assert cause.get(error.reason), error.reason  # noqa: PT017
            assert frozenset(listed) not in self.sets[j]
            return
        self.sets[j].add(frozenset(listed))

    def request(self, j, listed):
        store, header = self.aggregator._store, self.sealed.header
        updates = [Update.from_bytes(store.update(header.hash, pid), header) for pid in listed]
        return make_request(header, j, updates, self.fed.aggregator_keys)

    # -- closing ------------------------------------------------------------------------------------

    @precondition(CollectingRound.collecting)
    @rule(liar=st.sampled_from([None, 1, 3]), check_first=st.booleans())
    def close(self, liar, check_first):
        try:
            self.requests = self.aggregator.close(check_first=check_first)
        except ProtocolError as error:
            assert error.reason is Reason.TOO_FEW  # noqa: PT017
            self.ledger.opened()
            return
        self.ledger.opened()
        if not check_first:
            self.final = self.requests
        self.liar = liar if liar != self.absent else None

    @precondition(lambda self: self.aggregator.state is State.CLOSING)
    @rule(order=st.permutations(range(1, 6)), named=st.integers(0, 6), asked=st.integers(3, 5))
    def check_and_settle(self, order, named, asked):
        for j in order[:asked]:
            if j == self.absent:
                continue
            reply = self.members[j].check(self.sealed.signed, self.requests[j])
            if j == self.liar:
                pids = self.aggregator.accepted[:named]
                plain = CheckReply(self.aggregator._settlement.agreed.root, pids).to_bytes()
                reply = from_member(self.fed, self.sealed.header, j, "check", plain)
            self.aggregator.receive_check(j, reply)
            self.said["check", j] = reply
            self.checked.add(j)
        before = set(self.aggregator.accepted)
        try:
            self.final = self.aggregator.settle()
        except ProtocolError as error:
            assert error.reason in (Reason.NO_QUORUM, Reason.TOO_FEW)  # noqa: PT017
            assert set(self.aggregator.accepted) == before
            return
        dropped = before - set(self.aggregator.accepted)
        self.ledger.dropped(dropped, set(self.aggregator.convictions))
        if self.liar is None:
            assert not dropped & set(self.sealed.pids[:4]), "an honest client was dropped"

    @precondition(lambda self: self.aggregator.state is State.ANSWERING)
    @rule(order=st.permutations(range(1, 6)), lie=st.booleans(), twice=st.booleans())
    def answer(self, order, lie, twice):
        for j in order:
            if j not in self.final or j == self.absent:
                continue
            try:
                answer = self.members[j].answer(self.sealed.signed, self.final[j])
            except ProtocolError as error:
                if error.reason is Reason.BOUND:
                    assert self.sets[j], "bound without an answer"
                    continue
                # It approved in public of a share that it cannot add, or was not asked before the
                # set was settled and now finds that it was cheated; it stays away.
                assert error.reason is Reason.BAD_SHARES  # noqa: PT017
                assert j == self.liar or (j not in self.checked and self.cheated(j))
                reply = self.members[j].check(self.sealed.signed, self.final[j])
                self.aggregator.receive_check(j, reply)
                continue
            self.sets[j].add(frozenset(self.aggregator.accepted))
            if j == self.liar and lie:
                answer = lying_answer(self.fed, self.sealed.header, j, answer, _other_sum)
            for _ in range(1 + twice):
                self.aggregator.receive_answer(j, answer)
            self.said["answer", j] = answer

    @precondition(lambda self: self.aggregator.state is State.ANSWERING)
    @rule(role=st.sampled_from(["check", "answer"]), to=st.integers(1, 5), which=st.integers(0, 10))
    def messages_of_members_astray(self, role, to, which):
        """Of another round, another member's, or of the other kind: refused, and nothing changes."""
        said = [message for key, message in sorted(self.said.items()) if key != (role, to)]
        message = [self.world.stale[role], *said][which % (1 + len(said))]
        before = snapshot(self.aggregator)
        take = {"check": self.aggregator.receive_check, "answer": self.aggregator.receive_answer}[role]
        with pytest.raises(SottovoceError):
            take(to, message)
        assert snapshot(self.aggregator) == before

    @precondition(lambda self: self.aggregator.state is State.ANSWERING)
    @rule()
    def settle_again(self):
        """Whoever is convicted after some have answered goes, in the same round."""
        before = self.aggregator.accepted
        convicted = set(self.aggregator.convictions)
        try:
            self.final = self.aggregator.settle()
        except ProtocolError as error:
            assert error.reason in (Reason.STATE, Reason.TOO_FEW)  # noqa: PT017
            assert self.aggregator.accepted == before
            return
        assert set(self.aggregator.accepted) == set(before) - convicted != set(before)
        self.ledger.dropped(set(before) & convicted, convicted)

    @precondition(lambda self: self.aggregator.state in (State.ANSWERING, State.DONE))
    @rule()
    def open(self):
        try:
            result = self.aggregator.open()
        except ProtocolError as error:
            assert error.reason in (Reason.NO_QUORUM, Reason.SUM)  # noqa: PT017
            self.failed_with_reason(error.reason)
            return
        self.opened = True
        self.judge(result)

    def failed_with_reason(self, reason):
        answered = set(self.aggregator._settlement._answers)
        if reason is Reason.NO_QUORUM:
            assert len(answered) < 4
        else:
            garbage = self.fed.pids[10] in self.aggregator.accepted
            assert garbage or (self.liar in answered and len(answered) == 4)

    def cheated(self, j, listed=None):
        """Whether somebody of these (the accepted if None) sent member j a bad share."""
        of = lambda options: (*options.get("bad_for", ()), *options.get("spoiled_for", ()))  # noqa: E731
        clients = [i for i, options in CHEATS.values() if i == 6 or j in of(options)]
        listed = self.aggregator.accepted if listed is None else listed
        return any(self.fed.pids[i] in listed for i in clients)

    # -- what must hold -----------------------------------------------------------------------------

    def judge(self, result):
        accepted = self.aggregator.accepted
        assert self.fed.pids[10] not in accepted, "a garbage ciphertext was opened"
        assert self.fed.pids[6] not in accepted, "packets that another has signed were added"
        total = np.zeros(51, np.int64)
        ours = {a.pid: a.packet for a in self.aggregator._store.accepted(self.sealed.header.hash)}
        for pid in accepted:
            i = self.fed.pids.index(pid)
            honest = i < 6 and ours[pid] == self.sealed.packets[i]
            total += self.sealed.encoded[i] if honest else LIGHT
        assert np.array_equal(self.aggregator.opened_sum, total)
        assert tuple(pid for pid, _ in result.entries) == accepted
        assert np.allclose(result.mean, CLIP * total[:-1] / total[-1], rtol=0, atol=1e-12)
        assert set(self.aggregator.wrong_members) <= {self.liar}
        assert len(accepted) >= LEAST
        published = self.aggregator.publish(result)
        for i in range(4):
            client = self.sealed.clients[i]
            assert client.included(client.read_result(self.sealed.signed, published)) == (
                self.sealed.pids[i] in accepted
            )

    @invariant()
    def nobody_honest_is_blamed(self):
        if hasattr(self, "aggregator"):
            evidence = self.aggregator._store.evidence(self.sealed.header.hash)
            assert set(evidence) <= self.equivocators
            assert set(self.aggregator.convictions) <= {self.fed.pids[7], self.fed.pids[9]}
            assert set(self.aggregator.accepted) <= set(self.fed.pids[:11])
            assert set(self.aggregator.accepted) <= set(self.ledger.counted)

    @invariant()
    def no_two_sets_with_different_honest_parts_are_answered(self):
        if hasattr(self, "aggregator"):
            convicted = set(self.aggregator.convictions)
            parts = {j: {listed - convicted for listed in sets} for j, sets in self.sets.items()}
            assert all(len(of_member) <= 1 for of_member in parts.values())
            # What one corrupted member would add to each of them.
            enough = [part for part in set().union(*parts.values())
                      if sum(part in of_member for of_member in parts.values()) + 1 >= 4]  # fmt: skip
            assert len(enough) <= 1

    def teardown(self):
        try:
            self.finish()
        finally:
            super().teardown()

    def finish(self):
        """Every round ends: with all packets in and all honest members asked, exactly or loudly."""
        if not hasattr(self, "aggregator") or self.opened:
            return
        if self.collecting():
            for pid, packet in zip(self.sealed.pids, self.sealed.packets, strict=True):
                self.arrives(packet, pid)
            self.mischief()
            self.close(None, self.random.random() < 0.5)
        if self.aggregator.state is State.CLOSING:
            self.mischief()
            self.check_and_settle(range(1, 6), 0, 5)
        if self.aggregator.state is State.ANSWERING:
            self.mischief()
            self.answer(range(1, 6), False, False)
            self.mischief()
            if set(self.aggregator.convictions) & set(self.aggregator.accepted):
                self.settle_again()
                self.answer(range(1, 6), False, False)
            self.open()
        self.refused_is_counted_by_kind()
        self.no_two_sets_with_different_honest_parts_are_answered()

    def mischief(self):
        """One of the aggregator's and the network's, where it does most: in the middle of closing."""
        draw, state = self.random, self.aggregator.state
        kind, j = draw.randrange(6), draw.randint(1, 5)
        if kind == 0:
            self.another_header(draw.choice(sorted(HEADERS)), j, draw.randrange(6))
        elif kind <= 2 and state is not State.COLLECTING:
            self.another_set(j, {draw.randrange(4)})
        elif kind == 3 and state is State.ANSWERING:
            self.messages_of_members_astray(draw.choice(["check", "answer"]), j, draw.randrange(11))


def _other_sum(plain):
    fields = split_exactly(plain, 5)
    data = bytearray(fields[4])
    data[4:8] = ((int.from_bytes(data[4:8], "little") + 12345) % (2**31 - 1)).to_bytes(4, "little")
    fields[4] = bytes(data)
    return enc(*fields)


def run(world, **options):
    case = type("Round", (Round,), {"world": world})
    # Shrinking a round of expensive steps takes minutes and gains little: they are few anyway.
    phases = (Phase.explicit, Phase.reuse, Phase.generate)
    settings_ = settings(deadline=None, suppress_health_check=list(HealthCheck), phases=phases, **options)
    run_state_machine_as_test(case, settings=settings_)


def test_exact_or_loud(world):
    run(world, max_examples=12, stateful_step_count=14)


@pytest.mark.slow
def test_exact_or_loud_for_long(world):
    run(world, max_examples=150, stateful_step_count=25)


def test_every_combination_of_one_cheat_one_liar_and_one_absent(world):
    """The small cases that chance may miss, in full for the network's part that matters: who is missing."""
    fed, sealed, cheats = world.fed, world.sealed, world.cheats
    for name, liar, absent in itertools.product(["bad share to 1", None], [None, 3], [None, 5]):
        packets = [*sealed.packets[:LEAST], *([cheats[name]] if name else [])]
        aggregator, members = sealed.aggregator(packets), sealed.members()
        requests = aggregator.close()
        for j in members:
            if j == absent:
                continue
            reply = members[j].check(sealed.signed, requests[j])
            if j == liar:
                plain = CheckReply(aggregator._settlement.agreed.root, (min(sealed.pids[:LEAST]),)).to_bytes()
                reply = from_member(fed, sealed.header, j, "check", plain)
            aggregator.receive_check(j, reply)
        try:
            final = aggregator.settle()
        except ProtocolError as error:
            # f is 1: a liar and an absent member are two, and then a client may have to go.
            assert (error.reason, liar, absent) == (Reason.TOO_FEW, 3, 5)  # noqa: PT017
            continue
        for j, request in final.items():
            aggregator.receive_answer(j, members[j].answer(sealed.signed, request))
        aggregator.open()
        assert set(sealed.pids[:LEAST]) <= set(aggregator.accepted) or (liar and absent)
        cheat_in = fed.pids[7] in aggregator.accepted
        weight = int(sealed.sum_of(aggregator.accepted)[-1]) + int(cheat_in)
        assert int(aggregator.opened_sum[-1]) == weight

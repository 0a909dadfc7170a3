"""Opening without the convicted: what a member follows, and rounds that a single cheat stopped before.

n = 5: t = 4, f = 1.  With a member silent and another one cheated, S has three answers and S without the
cheat would have two, if members answered one set only.
"""

from dataclasses import replace
from itertools import combinations

import numpy as np
import pytest

from sottovoce import clsc
from sottovoce._ext import limits
from sottovoce._ext.limits import MAX_REMOVALS
from sottovoce.fl import (
    Answer,
    CheckReply,
    CloseRequest,
    ContributorSet,
    Conviction,
    MemoryMemberStore,
    ProtocolError,
    Reason,
    Removal,
    State,
)
from sottovoce.fl.wire import associated_data, set_root
from sottovoce.he import kahe
from support.fl_federation import CLIP, craft, from_member, snapshot


def reason(call):
    with pytest.raises(ProtocolError) as caught:
        call()
    return caught.value.reason


def convict(fed, header, j, update):
    return Conviction.make(
        header,
        j,
        update.member_packets[j - 1],
        update.manifest,
        receiver=fed.member_keys[j - 1].decrypt,
        trust=fed.trust(),
    )


@pytest.fixture(scope="module")
def cheats(fed, sealed):
    """Two cheats: client 7 cheats members 4 and 5, client 8 member 5.  With packet, update, conviction."""
    made = []
    for i, bad_for in ((7, [4, 5]), (8, [5])):
        packet, update = craft(fed, sealed.header, fed.client_keys[i], bad_for=bad_for)
        made.append((packet, update, convict(fed, sealed.header, 5, update)))
    return made


def request(fed, sealed, j, updates, steps=(), **fields):
    """A request for ``updates`` after ``steps`` of removals of ``(update, conviction)``."""
    plain = CloseRequest.from_bytes(sealed.request(j, updates=updates), sealed.header, j)
    removals = tuple(tuple(Removal(u.manifest.digest, c) for u, c in step) for step in steps)
    return replace(plain, removals=removals, **fields).to_bytes(sealed.header, j, fed.aggregator_keys)


class TestMember:
    """Member 2, whom nobody cheats, has answered S: clients 0 to 3 and both cheats."""

    @pytest.fixture
    def world(self, fed, sealed, cheats):
        honest = [sealed.update(i) for i in range(4)]
        (_, seven, proof7), (_, eight, proof8) = cheats
        store = MemoryMemberStore()
        member = fed.member(2, store=store)
        everybody = request(fed, sealed, 2, [*honest, seven, eight])
        answer = member.answer(sealed.signed, everybody)
        return honest, seven, proof7, eight, proof8, store, member, everybody, answer

    def test_answers_without_the_convicted_and_keeps_every_answer(self, fed, sealed, world):
        honest, seven, proof7, eight, proof8, store, member, everybody, answer = world
        first = request(fed, sealed, 2, [*honest, eight], [[(seven, proof7)]])
        second = request(fed, sealed, 2, honest, [[(seven, proof7)], [(eight, proof8)]])
        to_first = member.answer(sealed.signed, first)
        to_second = member.answer(sealed.signed, second)
        assert len({answer, to_first, to_second}) == 3
        again = fed.member(2, store=store)
        for asked, given in ((everybody, answer), (first, to_first), (second, to_second)):
            assert member.answer(sealed.signed, asked) == given
            assert again.answer(sealed.signed, asked) == given
        assert len(store._bindings[sealed.header.epoch, 1]) == 3

    def test_follows_over_a_step_that_it_missed(self, fed, sealed, world):
        honest, seven, proof7, eight, proof8, store, member, *_ = world
        member.answer(sealed.signed, request(fed, sealed, 2, honest, [[(seven, proof7)], [(eight, proof8)]]))
        assert len(store._bindings[sealed.header.epoch, 1]) == 2

    def test_both_at_once(self, fed, sealed, world):
        honest, seven, proof7, eight, proof8, _, member, *_ = world
        assert member.answer(
            sealed.signed, request(fed, sealed, 2, honest, [[(eight, proof8), (seven, proof7)]])
        )

    def test_never_goes_back_nor_aside(self, fed, sealed, world):
        """Two sets that it answers are always one inside the other."""
        honest, seven, proof7, eight, proof8, _, member, everybody, answer = world
        member.answer(sealed.signed, request(fed, sealed, 2, [*honest, eight], [[(seven, proof7)]]))
        aside = request(fed, sealed, 2, [*honest, seven], [[(eight, proof8)]])
        assert reason(lambda: member.answer(sealed.signed, aside)) is Reason.BOUND
        assert member.answer(sealed.signed, everybody) == answer

    def test_nothing_else_is_answered(self, fed, sealed, world):
        honest, seven, proof7, eight, proof8, store, member, *_ = world
        header = sealed.header
        victim = honest[3]
        before = (dict(store._bindings), dict(store._answers))
        innocent = Conviction(
            header.hash, 2, victim.member_packets[1],
            clsc.make_evidence(
                victim.member_packets[1], receiver=fed.member_keys[1].decrypt, trust=fed.trust(),
                ad=associated_data(header.hash, "share", 2), strength=clsc.Strength.ADDRESSED,
            ),
            victim.manifest,
        )  # fmt: skip
        lied = Removal(victim.manifest.digest, proof7)
        plain = CloseRequest.from_bytes(sealed.request(2, updates=[*honest[:3], seven, eight]), header, 2)
        cases = {
            "without proof": (request(fed, sealed, 2, [*honest, eight]), Reason.BOUND),
            "an honest one by what it signed": (
                request(fed, sealed, 2, [*honest[:3], seven, eight], [[(victim, innocent)]]),
                Reason.CONVICTION,
            ),
            "an honest one beside the convicted": (
                request(fed, sealed, 2, [*honest[:3], eight], [[(seven, proof7)]]),
                Reason.BOUND,
            ),
            "an honest one too, by what it signed": (
                request(fed, sealed, 2, [*honest[:3], eight], [[(seven, proof7), (victim, innocent)]]),
                Reason.CONVICTION,
            ),
            "one more than before": (
                request(fed, sealed, 2, [*honest, sealed.update(4), eight], [[(seven, proof7)]]),
                Reason.BOUND,
            ),
            "one for another": (
                request(fed, sealed, 2, [*honest[:3], sealed.update(4), eight], [[(seven, proof7)]]),
                Reason.BOUND,
            ),
            "proof of another": (
                request(fed, sealed, 2, [*honest, eight], [[(sealed.update(5), proof8)]]),
                None,
            ),
            "an honest entry with the proof of the cheat": (
                replace(plain, manifests=plain.manifests, removals=((lied,),)).to_bytes(
                    header, 2, fed.aggregator_keys
                ),
                None,
            ),
            "damaged proof": (
                request(fed, sealed, 2, [*honest, eight], [[(seven, replace(proof7, index=4))]]),
                Reason.CONVICTION,
            ),
            "another manifest listed": (
                request(fed, sealed, 2, [*honest, eight], [[(victim, proof7)]]),
                Reason.BOUND,
            ),
        }
        for name, (asked, why) in cases.items():
            with pytest.raises((ProtocolError, clsc.DecodeError)) as caught:
                member.answer(sealed.signed, asked)
            assert getattr(caught.value, "reason", None) is why, name
            assert (dict(store._bindings), dict(store._answers)) == before, name
        # The right one is: nothing was spoiled on the way.
        assert member.answer(sealed.signed, request(fed, sealed, 2, [*honest, eight], [[(seven, proof7)]]))

    def test_another_sum_for_the_same_rest_is_refused(self, fed, sealed, world):
        honest, seven, proof7, eight, _, _, member, *_ = world
        good = request(fed, sealed, 2, [*honest, eight], [[(seven, proof7)]])
        member.answer(sealed.signed, good)
        agreed = CloseRequest.from_bytes(good, sealed.header, 2).agreed
        other = replace(agreed, sum_digest=bytes(32))
        asked = request(fed, sealed, 2, [*honest, eight], [[(seven, proof7)]], agreed=other)
        assert reason(lambda: member.answer(sealed.signed, asked)) is Reason.BOUND

    def test_not_below_the_minimum(self, fed, sealed, cheats):
        honest = [sealed.update(i) for i in range(2)]
        _, seven, proof7 = cheats[0]
        member = fed.member(2)
        member.answer(sealed.signed, request(fed, sealed, 2, [*honest, seven]))
        asked = request(fed, sealed, 2, honest, [[(seven, proof7)]])
        assert reason(lambda: member.answer(sealed.signed, asked)) is Reason.TOO_FEW

    def test_bad_shares_in_the_rest_are_refused_still(self, fed, sealed, cheats):
        (_, seven, proof7), (_, eight, _) = cheats
        honest = [sealed.update(i) for i in range(3)]
        member = fed.member(5)
        asked = request(fed, sealed, 5, [*honest, eight], [[(seven, proof7)]])
        assert reason(lambda: member.answer(sealed.signed, asked)) is Reason.BAD_SHARES

    def test_malformed_removals(self, fed, sealed, cheats):
        _, seven, proof7 = cheats[0]
        honest = [sealed.update(i) for i in range(3)]
        step = [(seven, proof7)]
        cases = [
            request(fed, sealed, 2, honest, [step, step]),
            request(fed, sealed, 2, [*honest, seven], [step]),
            request(fed, sealed, 2, honest, [[]]),
            request(fed, sealed, 2, honest, [[(seven, proof7)] for _ in range(MAX_REMOVALS + 1)]),
        ]
        for case in cases:
            with pytest.raises(clsc.DecodeError, match=r"remov|more than"):
                fed.member(2).answer(sealed.signed, case)


def closed(fed, sealed, cheats, **options):
    aggregator = sealed.aggregator([*sealed.packets, *(packet for packet, _, _ in cheats)], **options)
    return aggregator, sealed.members(), aggregator.close()


def exact(sealed, aggregator, result):
    """Whether the mean is that of the honest six, bit for bit in the integers."""
    assert aggregator.accepted == tuple(sorted(sealed.pids))
    total = sealed.sum_of(sealed.pids)
    assert np.array_equal(aggregator.opened_sum, total)
    assert np.allclose(result.mean, CLIP * total[:-1] / total[-1], rtol=0, atol=1e-12)
    assert aggregator.wrong_members == aggregator.suspect_members == ()
    client = sealed.clients[0]
    assert client.included(client.read_result(sealed.signed, aggregator.publish(result)))


class TestRound:
    def test_bad_shares_to_two_members(self, fed, sealed, cheats):
        """The deadlock of the design: three have answered S in haste, the other two are cheated."""
        aggregator, members, requests = closed(fed, sealed, cheats[:1])
        for j in (1, 2, 3):
            members[j].answer(sealed.signed, requests[j])
        for j in (4, 5):
            assert reason(lambda j=j: members[j].answer(sealed.signed, requests[j])) is Reason.BAD_SHARES
        for j in members:
            aggregator.receive_check(j, members[j].check(sealed.signed, requests[j]))
        final = aggregator.settle()
        assert sorted(final) == [1, 2, 3, 4, 5]
        assert aggregator.refused == {Reason.CONVICTED: 1}
        assert set(aggregator.convictions) == {fed.pids[7]}
        for j in (1, 2, 3, 4):
            aggregator.receive_answer(j, members[j].answer(sealed.signed, final[j]))
        exact(sealed, aggregator, aggregator.open())

    def test_one_cheated_member_and_a_silent_one(self, fed, sealed, cheats):
        """Member 5 comes late and is cheated; member 1 falls silent: S has three answers."""
        aggregator, members, requests = closed(fed, sealed, cheats[1:])
        for j in (1, 2, 3, 4):
            aggregator.receive_check(j, members[j].check(sealed.signed, requests[j]))
        final = aggregator.settle()
        assert fed.pids[8] in aggregator.accepted
        for j in (2, 3, 4):
            aggregator.receive_answer(j, members[j].answer(sealed.signed, final[j]))
        assert reason(aggregator.open) is Reason.NO_QUORUM
        assert reason(lambda: members[5].answer(sealed.signed, final[5])) is Reason.BAD_SHARES
        assert reason(aggregator.settle) is Reason.STATE  # nobody is convicted yet
        aggregator.receive_check(5, members[5].check(sealed.signed, final[5]))
        again = aggregator.settle()
        assert sorted(again) == [1, 2, 3, 4, 5]
        assert aggregator.state is State.ANSWERING
        late = members[1].answer(sealed.signed, final[1])  # of the set that is given up
        assert reason(lambda: aggregator.receive_answer(1, late)) is Reason.SET
        for j in (2, 3, 4, 5):
            aggregator.receive_answer(j, members[j].answer(sealed.signed, again[j]))
        exact(sealed, aggregator, aggregator.open())
        assert reason(aggregator.settle) is Reason.STATE

    def test_two_cheats_one_after_the_other(self, fed, sealed, cheats):
        """Nobody who is cheated checks before it is asked for an answer; members stay at different steps."""
        packet, update = craft(fed, sealed.header, fed.client_keys[9], bad_for=[4])
        aggregator, members, requests = closed(fed, sealed, [(packet, update, None), cheats[1]])
        for j in (1, 2, 3):
            aggregator.receive_check(j, members[j].check(sealed.signed, requests[j]))
        plain = CheckReply(aggregator._settlement.agreed.root, ()).to_bytes()
        aggregator.receive_check(4, from_member(fed, sealed.header, 4, "check", plain))  # it did not look
        final = aggregator.settle()
        for j in (1, 2):
            aggregator.receive_answer(j, members[j].answer(sealed.signed, final[j]))
        aggregator.receive_check(5, members[5].check(sealed.signed, final[5]))
        second = aggregator.settle()
        for j in (1, 3):
            aggregator.receive_answer(j, members[j].answer(sealed.signed, second[j]))
        aggregator.receive_check(4, members[4].check(sealed.signed, second[4]))
        third = aggregator.settle()
        assert aggregator.refused == {Reason.CONVICTED: 2}
        for j in (1, 2, 3, 5):
            aggregator.receive_answer(j, members[j].answer(sealed.signed, third[j]))
        exact(sealed, aggregator, aggregator.open())
        chains = {j: len(members[j]._store._bindings[sealed.header.epoch, 1]) for j in (1, 2, 3, 5)}
        assert chains == {1: 3, 2: 2, 3: 2, 5: 1}

    def test_an_aggregator_that_restarts_knows_who_is_convicted(self, fed, sealed, cheats):
        aggregator, members, requests = closed(fed, sealed, cheats[1:])
        for j in (1, 2, 3, 4):
            aggregator.receive_check(j, members[j].check(sealed.signed, requests[j]))
        final = aggregator.settle()
        for j in (2, 3, 4):
            aggregator.receive_answer(j, members[j].answer(sealed.signed, final[j]))
        aggregator.receive_check(5, members[5].check(sealed.signed, final[5]))
        again = fed.aggregator(sealed.signed, store=aggregator._store)
        assert snapshot(again) == snapshot(aggregator)
        assert set(again.convictions) == {fed.pids[8]}
        requests = again.settle()
        again.receive_answer(2, members[2].answer(sealed.signed, requests[2]))
        last = fed.aggregator(sealed.signed, store=aggregator._store)
        assert snapshot(last) == snapshot(again)
        assert last.refused == again.refused
        requests = last.requests()
        assert sorted(requests) == [1, 2, 3, 4, 5]
        for j in (3, 4, 5):
            last.receive_answer(j, members[j].answer(sealed.signed, requests[j]))
        exact(sealed, last, last.open())

    def test_a_member_that_lies_convicts_nobody(self, fed, sealed, cheats):
        """Its whole reply is refused, true parts of it too, and it counts as one that was not heard."""
        aggregator, members, requests = closed(fed, sealed, cheats[:1])
        header, victim = sealed.header, sealed.update(0)
        evidence = clsc.make_evidence(
            victim.member_packets[2],
            receiver=fed.member_keys[2].decrypt,
            trust=fed.trust(),
            ad=associated_data(header.hash, "share", 3),
            strength=clsc.Strength.ADDRESSED,
        )
        lie = Conviction(header.hash, 3, victim.member_packets[2], evidence, victim.manifest)
        shown = sorted([lie, cheats[0][2]], key=lambda c: c.pid)
        reply = CheckReply(
            aggregator._settlement.agreed.root, tuple(c.pid for c in shown), tuple(shown)
        ).to_bytes()
        before = snapshot(aggregator)
        lying = from_member(fed, header, 3, "check", reply)
        assert reason(lambda: aggregator.receive_check(3, lying)) is Reason.CONVICTION
        assert snapshot(aggregator) == before
        assert aggregator.convictions == {}
        assert aggregator._store.convictions(header.hash) == {}
        for j in (1, 2, 4, 5):
            aggregator.receive_check(j, members[j].check(sealed.signed, requests[j]))
        final = aggregator.settle()
        for j in (1, 2, 4, 5):
            aggregator.receive_answer(j, members[j].answer(sealed.signed, final[j]))
        exact(sealed, aggregator, aggregator.open())
        assert set(aggregator._store.convictions(header.hash)) == {fed.pids[7]}

    def test_convictions_of_those_who_are_not_in_the_set_are_nothing(self, fed, sealed, cheats):
        aggregator, members, requests = closed(fed, sealed, [])
        reply = CheckReply(aggregator._settlement.agreed.root, (fed.pids[7],), (cheats[0][2],)).to_bytes()
        aggregator.receive_check(1, from_member(fed, sealed.header, 1, "check", reply))
        assert aggregator.convictions == {}
        for j in (2, 3, 4, 5):
            aggregator.receive_check(j, members[j].check(sealed.signed, requests[j]))
        assert sorted(aggregator.settle()) == [1, 2, 3, 4, 5]

    def test_too_few_without_the_convicted_is_a_loud_end(self, fed, sealed, cheats):
        aggregator = sealed.aggregator([*sealed.packets[:2], cheats[1][0]])
        members, requests = sealed.members(), aggregator.close()
        for j in (1, 2, 3, 4):
            aggregator.receive_check(j, members[j].check(sealed.signed, requests[j]))
        final = aggregator.settle()
        aggregator.receive_check(5, members[5].check(sealed.signed, final[5]))
        before = snapshot(aggregator)
        assert reason(aggregator.settle) is Reason.TOO_FEW
        assert snapshot(aggregator) == before
        # Four can still answer for it: the choice is the caller's.
        for j in (1, 2, 3, 4):
            aggregator.receive_answer(j, members[j].answer(sealed.signed, final[j]))
        aggregator.open()

    def test_a_store_that_fails_leaves_the_answers(self, fed, sealed, cheats):
        aggregator, members, requests = closed(fed, sealed, cheats[1:])
        for j in (1, 2, 3, 4):
            aggregator.receive_check(j, members[j].check(sealed.signed, requests[j]))
        final = aggregator.settle()
        aggregator.receive_answer(2, members[2].answer(sealed.signed, final[2]))
        aggregator.receive_check(5, members[5].check(sealed.signed, final[5]))
        before, store = snapshot(aggregator), aggregator._store
        read = store.update
        for n in (0, 1, 4):
            calls = iter(range(n))

            def failing(*args, calls=calls):
                if next(calls, None) is None:
                    raise OSError("disk gone")
                return read(*args)

            store.update = failing
            with pytest.raises(OSError, match="disk gone"):
                aggregator.settle()
            assert snapshot(aggregator) == before
            assert aggregator.refused == {}
        store.update = read
        again = aggregator.settle()
        for j in (2, 3, 4, 5):
            aggregator.receive_answer(j, members[j].answer(sealed.signed, again[j]))
        exact(sealed, aggregator, aggregator.open())


def test_a_member_that_can_convict_more_than_fit_shows_the_first_and_is_asked_again(fed, sealed, monkeypatch):
    crafted = [craft(fed, sealed.header, fed.client_keys[i], bad_for=[5]) for i in (7, 8)]
    one = max(len(convict(fed, sealed.header, 5, update).to_bytes()) for _, update in crafted)
    monkeypatch.setattr(limits, "MEMBER_REPLY_BYTES", clsc.packet_bytes(one + 300))
    aggregator = sealed.aggregator([*sealed.packets[:4], *[packet for packet, _ in crafted]])
    members = sealed.members()
    asked = aggregator.close()
    for j in (2, 3, 4, 5):  # member 1 is silent, and four of five are needed
        reply = members[j].check(sealed.signed, asked[j])
        assert len(reply) <= limits.MEMBER_REPLY_BYTES
        aggregator.receive_check(j, reply)
    assert len(aggregator.convictions) == 1
    asked = aggregator.settle()
    for j in (2, 3, 4):
        aggregator.receive_answer(j, members[j].answer(sealed.signed, asked[j]))
    assert reason(lambda: members[5].answer(sealed.signed, asked[5])) is Reason.BAD_SHARES
    aggregator.receive_check(5, members[5].check(sealed.signed, asked[5]))
    asked = aggregator.settle()
    for j in (2, 3, 4, 5):
        aggregator.receive_answer(j, members[j].answer(sealed.signed, asked[j]))
    aggregator.open()
    assert np.array_equal(aggregator.opened_sum, sealed.sum_of(sealed.pids[:4]))
    assert len(aggregator.convictions) == aggregator.refused[Reason.CONVICTED] == 2


class TestTwoSets:
    """What f corrupted members, cheating clients and the aggregator can open, however they ask (n = 4)."""

    def test_two_opened_sets_have_one_honest_part(self, fed, sealed4):
        """Attack: S and S without the cheat are both opened; the difference is the cheat's, and no more."""
        header = sealed4.header
        _, cheat = craft(fed, header, fed.client_keys[7], bad_for=[2])
        proof = convict(fed, header, 2, cheat)
        honest = [sealed4.update(i) for i in range(4)]
        wholes = {
            "all": ([*honest, cheat], ()),
            "without the cheat": (honest, [[(cheat, proof)]]),
            "without a victim": ([*honest[1:], cheat], ()),
            "without both": (honest[1:], [[(cheat, proof)]]),
        }
        opened = {}
        for first, second in combinations(wholes, 2):
            answers = {first: 0, second: 0}
            for j in (3, 4):  # honest, and not cheated; 1 is corrupted and answers anything, 2 was cheated
                member = fed.member(j)
                for name in (first, second):
                    updates, steps = wholes[name]
                    asked = request(fed, sealed4, j, updates, steps)
                    try:
                        member.answer(sealed4.signed, asked)
                    except ProtocolError as error:
                        assert error.reason is Reason.BOUND  # noqa: PT017
                    else:
                        answers[name] += 1
            opened[first, second] = [1 + n >= header.threshold for n in answers.values()]
        both = {pair for pair, sets in opened.items() if all(sets)}
        assert both == {("all", "without the cheat"), ("without a victim", "without both")}

    def test_the_difference_of_two_answers_is_the_share_of_the_convicted(self, fed, sealed, cheats):
        (_, seven, proof7), _ = cheats
        honest = [sealed.update(i) for i in range(3)]
        member = fed.member(2)
        sums = []
        for asked in (
            request(fed, sealed, 2, [*honest, seven]),
            request(fed, sealed, 2, honest, [[(seven, proof7)]]),
        ):
            plain = clsc.unsigncrypt(
                member.answer(sealed.signed, asked),
                receiver=fed.aggregator_keys.decrypt,
                trust=fed.trust(),
                ad=associated_data(sealed.header.hash, "answer", 2),
            ).plaintext
            sums.append(Answer.from_bytes(plain, sealed.header, 2))
        assert sums[0].agreed.count == sums[1].agreed.count + 1
        entries = sorted((u.manifest.pid, u.manifest.digest) for u in honest)
        total = kahe.CiphertextSum(sealed.header.kahe_params, sealed.header.hash)
        for update in honest:
            total.add(update.ciphertext)
        assert sums[1].agreed == ContributorSet(set_root(sealed.header.hash, entries), total.digest, 3)

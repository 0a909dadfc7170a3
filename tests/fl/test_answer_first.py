"""Members that answer at once: a round trip less where nobody cheats, and what it costs where somebody does.

Committee of five: t = 4, f = 1.
"""

from dataclasses import replace

import numpy as np
import pytest

from sottovoce import clsc
from sottovoce.fl import MemoryAggregatorStore, ProtocolError, Reason, SignedHeader, State, StepKind
from sottovoce.fl.closing import Answer
from support.fl_federation import craft, from_member, lying_answer


def answered(aggregator, members, sealed, requests):
    """Hand over what members answer; the indices of those that refuse because of bad shares."""
    refusing = []
    for j, request in requests.items():
        try:
            aggregator.receive_answer(j, members[j].answer(sealed.signed, request))
        except ProtocolError as error:
            assert error.reason is Reason.BAD_SHARES  # noqa: PT017
            refusing.append(j)
    return refusing


def test_the_sum_is_open_without_a_check(sealed):
    aggregator, members = sealed.aggregator(sealed.packets), sealed.members()
    requests = aggregator.close(check_first=False)
    assert aggregator.state is State.ANSWERING
    assert sorted(requests) == [1, 2, 3, 4, 5]
    assert answered(aggregator, members, sealed, requests) == []
    result = aggregator.open()
    assert np.array_equal(aggregator.opened_sum, sealed.sum_of(sealed.pids))
    client = sealed.clients[0]
    assert client.included(client.read_result(sealed.signed, aggregator.publish(result)))


def test_a_crash_after_closing_finds_the_same_set_settled(fed, sealed):
    store = MemoryAggregatorStore()
    aggregator = fed.aggregator(sealed.signed, store=store)
    for packet in sealed.packets:
        aggregator.receive_packet(packet)
    aggregator.close(check_first=False)
    assert [step.kind for step in store.steps(sealed.header.hash)] == [StepKind.CLOSED, StepKind.SETTLED]
    again = fed.aggregator(sealed.signed, store=store)
    assert (again.state, again.accepted) == (State.ANSWERING, aggregator.accepted)
    assert answered(again, sealed.members(), sealed, again.requests()) == []
    again.open()
    assert np.array_equal(again.opened_sum, sealed.sum_of(sealed.pids))


def test_a_crash_between_the_two_steps_asks_for_checks(fed, sealed):
    class Torn(MemoryAggregatorStore):
        def note(self, header_hash, step):
            if step.kind is StepKind.SETTLED and not self.torn:
                self.torn = True
                raise OSError("full")
            super().note(header_hash, step)

    store = Torn()
    store.torn = False
    aggregator = fed.aggregator(sealed.signed, store=store)
    for packet in sealed.packets:
        aggregator.receive_packet(packet)
    with pytest.raises(OSError, match="full"):
        aggregator.close(check_first=False)
    assert aggregator.state is State.CLOSING
    again = fed.aggregator(sealed.signed, store=store)
    assert again.state is State.CLOSING
    members = sealed.members()
    for j, request in again.requests().items():
        again.receive_check(j, members[j].check(sealed.signed, request))
    assert answered(again, members, sealed, again.settle()) == []
    again.open()
    assert np.array_equal(again.opened_sum, sealed.sum_of(sealed.pids))


def test_who_is_convicted_on_the_way_is_taken_out(fed, sealed):
    packet, _ = craft(fed, sealed.header, fed.client_keys[7], bad_for=[2, 3])
    aggregator, members = sealed.aggregator([*sealed.packets, packet]), sealed.members()
    requests = aggregator.close(check_first=False)
    refusing = answered(aggregator, members, sealed, requests)
    assert refusing == [2, 3]
    with pytest.raises(ProtocolError, match="4 answers needed, 3 usable"):
        aggregator.open()
    for j in refusing:
        aggregator.receive_check(j, members[j].check(sealed.signed, requests[j]))
    assert answered(aggregator, members, sealed, aggregator.settle()) == []
    aggregator.open()
    assert aggregator.accepted == tuple(sorted(sealed.pids))
    assert np.array_equal(aggregator.opened_sum, sealed.sum_of(sealed.pids))


def test_who_is_bad_by_words_only_fails_the_round_loudly_and_not_one_with_checks(fed, sealed):
    packet, _ = craft(fed, sealed.header, fed.client_keys[7], spoiled_for=[2, 3])
    aggregator, members = sealed.aggregator([*sealed.packets, packet]), sealed.members()
    requests = aggregator.close(check_first=False)
    for j in answered(aggregator, members, sealed, requests):
        aggregator.receive_check(j, members[j].check(sealed.signed, requests[j]))
    assert aggregator.convictions == {}
    with pytest.raises(ProtocolError) as caught:
        aggregator.settle()
    assert caught.value.reason is Reason.STATE
    with pytest.raises(ProtocolError) as caught:
        aggregator.open()
    assert caught.value.reason is Reason.NO_QUORUM

    careful, members = sealed.aggregator([*sealed.packets, packet]), sealed.members()
    for j, request in careful.close().items():
        careful.receive_check(j, members[j].check(sealed.signed, request))
    assert answered(careful, members, sealed, careful.settle()) == []
    careful.open()
    assert careful.accepted == tuple(sorted(sealed.pids))


class TestSeveralAnswers:
    @pytest.fixture
    def answering(self, sealed):
        aggregator, members = sealed.aggregator(sealed.packets), sealed.members()
        requests = aggregator.close(check_first=False)
        return aggregator, {j: members[j].answer(sealed.signed, r) for j, r in requests.items()}

    def test_as_one_by_one(self, sealed, answering):
        aggregator, answers = answering
        assert aggregator.receive_answers(answers) == {}
        assert aggregator.receive_answers(answers) == {}  # again changes nothing
        assert aggregator.receive_answers({}) == {}
        aggregator.open()
        assert np.array_equal(aggregator.opened_sum, sealed.sum_of(sealed.pids))

    def test_each_bad_one_is_refused_for_its_own_reason(self, fed, sealed, answering):
        aggregator, answers = answering

        def of_another_set(j):
            def change(plain):
                answer = Answer.from_bytes(plain, sealed.header, j)
                other = type(answer.agreed)(bytes(32), answer.agreed.sum_digest, answer.agreed.count)
                signature = clsc.sign(
                    fed.keys_of(sealed.header, j).sign, other.signed_text(sealed.header.hash)
                )
                return Answer(other, signature, answer.share_sum).to_bytes()

            return change

        def with_anothers_signature(plain):
            answer = Answer.from_bytes(plain, sealed.header, 3)
            signature = clsc.sign(
                fed.keys_of(sealed.header, 4).sign, answer.agreed.signed_text(sealed.header.hash)
            )
            return Answer(answer.agreed, signature, answer.share_sum).to_bytes()

        mixed = {
            1: answers[1],
            2: lying_answer(fed, sealed.header, 2, answers[2], of_another_set(2)),
            3: lying_answer(fed, sealed.header, 3, answers[3], with_anothers_signature),
            4: answers[5],
            5: from_member(fed, sealed.header, 5, "answer", b"", keys=fed.keys_of(sealed.header, 4)),
        }
        refused = aggregator.receive_answers(mixed)
        assert {j: type(error) for j, error in refused.items()} == {
            2: ProtocolError,
            3: clsc.SignatureError,
            4: clsc.UnsigncryptError,
            5: ProtocolError,
        }
        assert (refused[2].reason, refused[5].reason) == (Reason.SET, Reason.NOT_MEMBER)
        assert aggregator.answered == (1,)
        assert aggregator.receive_answers({j: answers[j] for j in (2, 3, 4)}) == {}
        aggregator.open()
        assert np.array_equal(aggregator.opened_sum, sealed.sum_of(sealed.pids))

    def test_wrong_arguments_take_none(self, answering):
        aggregator, answers = answering
        for wrong in ({**answers, 6: answers[1]}, {0: answers[1]}):
            with pytest.raises(ProtocolError) as caught:
                aggregator.receive_answers(wrong)
            assert caught.value.reason is Reason.NOT_MEMBER
        for wrong in (list(answers.values()), {1: "text"}, {"1": answers[1]}, {True: answers[1]}):
            with pytest.raises(TypeError):
                aggregator.receive_answers(wrong)
        assert aggregator.answered == ()


class TestSignedHeaderAsAnObject:
    """An aggregator takes one that was just put together; one that nobody verified it verifies itself."""

    def test_is_taken(self, fed, sealed):
        signed = SignedHeader.from_bytes(sealed.signed, fed.trust())
        assert fed.aggregator(signed).header == sealed.header

    def test_with_a_wrong_signature_is_refused(self, fed, sealed):
        signed = SignedHeader.from_bytes(sealed.signed, fed.trust())
        swapped = signed.member_signatures[1], signed.member_signatures[0], *signed.member_signatures[2:]
        for wrong in (
            replace(signed, member_signatures=swapped),
            SignedHeader(signed.header, signed.aggregator_signature, swapped),
            SignedHeader.propose(sealed.header, fed.aggregator_keys),
        ):
            with pytest.raises(ProtocolError) as caught:
                fed.aggregator(wrong)
            assert caught.value.reason is Reason.HEADER_SIGNATURE

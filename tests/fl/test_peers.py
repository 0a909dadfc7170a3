"""A round among seven equal peers, committee of four, with aggregators that die."""

import numpy as np
import pytest

from sottovoce._ext.limits import CLOCK_SKEW_S
from sottovoce.fl import ParameterError, ProtocolError, Reason, SignedHeader
from support.fl_federation import CLIP, MODEL, NOW
from support.fl_peers import VIEW_S, PeerNet


@pytest.fixture
def net(peer_world):
    return PeerNet(peer_world, allow_retrained=True)


def reason(call):
    with pytest.raises(ProtocolError) as caught:
        call()
    return caught.value.reason


def check_mean(net, result, aggregator, peers):
    """The opened sum is the integers of exactly these peers, and the mean theirs."""
    encoded = [peer.client.encoded for peer in peers]
    assert np.array_equal(aggregator.opened_sum, np.sum(encoded, axis=0, dtype=np.int64))
    assert result.agreed.count == len(peers)
    assert sorted(pid for pid, _ in result.entries) == sorted(peer.client.pid for peer in peers)


def mean_of(net, peers, variant):
    flat = [np.concatenate([a.ravel() for a in net.update(p, variant)]) for p in peers]
    return np.mean(np.clip(flat, -CLIP, CLIP), axis=0)


def test_a_round_with_everybody(net):
    net.release(1)
    signed = net.sign_header(1)
    aggregator = net.aggregator_of(1)
    for packet in net.contribute(signed):
        aggregator.aggregator.receive_packet(packet)
    result = net.finish(1, signed)
    check_mean(net, result, aggregator.aggregator, net.alive)
    assert np.allclose(result.mean, mean_of(net, net.alive, 0), atol=CLIP / 2**14)
    header = aggregator.aggregator.header
    assert (header.view, header.round_number, len(header.members)) == (0, 1, 4)
    assert len({aggregator.name, *(m.name for m in header.members)}) == 5


def test_other_rounds_have_other_parties(net):
    seen = set()
    for round_number in range(1, 8):
        net.release(round_number)
        choice = net.alive[0].choice(round_number)
        seen.add((choice.aggregator.name, *(m.name for m in choice.members)))
        assert {peer.choice(round_number) for peer in net.alive} == {choice}
    assert len(seen) == 7


class TestDeadBeforeItCollected:
    def test_the_next_views_aggregator_takes_over(self, net):
        net.release(1)
        first = net.aggregator_of(1)
        net.dead.add(first.name)
        net.next_view()
        second = net.aggregator_of(1)
        assert second.name != first.name
        signed = net.sign_header(1)
        assert second.aggregator.header.view == 1
        for packet in net.contribute(signed):
            second.aggregator.receive_packet(packet)
        result = net.finish(1, signed)
        assert len(net.alive) == 6
        check_mean(net, result, second.aggregator, net.alive)
        assert np.allclose(result.mean, mean_of(net, net.alive, 0), atol=CLIP / 2**14)

    def test_two_dead_ones_leave_the_last_view(self, net):
        net.release(1)
        for _ in range(2):
            net.dead.add(net.aggregator_of(1).name)
            net.next_view()
        signed = net.sign_header(1)
        third = net.aggregator_of(1)
        for packet in net.contribute(signed):
            third.aggregator.receive_packet(packet)
        result = net.finish(1, signed)
        assert result.agreed.count == 5
        check_mean(net, result, third.aggregator, net.alive)

    def test_after_three_the_round_is_over_and_the_next_one_has_its_own_choice(self, net):
        net.release(1)
        for _ in range(3):
            net.next_view()
        for peer in net.alive:
            assert reason(lambda p=peer: p.choice(1)) is Reason.VIEW
            assert reason(lambda p=peer: p.propose(MODEL, 1, clip=CLIP)) is Reason.VIEW
        net.release(2)
        net.sign_header(2)

    def test_its_header_was_signed_and_no_client_had_sealed(self, net):
        """Members that have signed one view sign the next: they have answered none."""
        net.release(1)
        first = net.aggregator_of(1)
        old = net.sign_header(1)
        net.dead.add(first.name)
        net.next_view()
        net.sign_header(1)
        assert net.aggregator_of(1).aggregator.header.view == 1
        net.now += CLOCK_SKEW_S + 1
        for member in net.committee_of(1).values():
            assert reason(lambda m=member: m.member.check(old, b"")) is Reason.DEADLINE


class TestDeadAfterItCollected:
    def collected(self, net):
        """Round 1, view 0: everybody has sealed and sent; then the aggregator is gone."""
        net.release(1)
        first = net.aggregator_of(1)
        signed = net.sign_header(1)
        packets = net.contribute(signed)
        net.dead.add(first.name)
        net.next_view()
        return first, signed, packets

    def test_clients_train_anew_for_the_next_view(self, net):
        _, _, old = self.collected(net)
        signed = net.sign_header(1)
        second = net.aggregator_of(1)
        packets = net.contribute(signed, variant=1)
        assert not set(packets) & set(old)
        for packet in packets:
            second.aggregator.receive_packet(packet)
        result = net.finish(1, signed)
        check_mean(net, result, second.aggregator, net.alive)
        assert np.allclose(result.mean, mean_of(net, net.alive, 1), atol=CLIP / 2**14)

    def test_never_the_same_vector(self, net):
        self.collected(net)
        signed = net.sign_header(1)
        for peer in net.alive:
            assert reason(lambda p=peer: net.contribute(signed, [p])) is Reason.UPDATE_REUSED
        # And it left nothing behind: a vector trained anew goes.
        assert len(net.contribute(signed, variant=1)) == 6

    def test_who_does_not_train_anew_sits_it_out(self, peer_world):
        net = PeerNet(peer_world)
        self.collected(net)
        signed = net.sign_header(1)
        for peer in net.alive:
            assert reason(lambda p=peer: net.contribute(signed, [p], 1)) is Reason.MODEL_REUSED
        assert reason(lambda: net.aggregator_of(1).aggregator.close()) is Reason.TOO_FEW

    def test_packets_for_the_dead_ones_header_do_not_count(self, net):
        _, _, old = self.collected(net)
        net.sign_header(1)
        aggregator = net.aggregator_of(1).aggregator
        for packet in old:
            aggregator.receive_packet(packet)
        assert {receipt.refused for receipt in aggregator.process()} == {Reason.NOT_FOR_US}
        assert aggregator.accepted == ()

    def test_late_after_it_was_answered_once_the_round_is_answered_no_more(self, net):
        """The first comes back when three members have answered it, and wants the second view, too."""
        net.release(1)
        first = net.aggregator_of(1)
        signed = net.sign_header(1)
        for packet in net.contribute(signed):
            first.aggregator.receive_packet(packet)
        members = net.committee_of(1)
        requests = first.aggregator.close()
        for j, member in members.items():
            first.aggregator.receive_check(j, member.member.check(signed, requests[j]))
        final = first.aggregator.settle()
        answered = {j: members[j].member.answer(signed, final[j]) for j in (1, 2, 3)}
        net.dead.add(first.name)
        net.next_view()
        second = net.aggregator_of(1)
        proposal = second.propose(MODEL, 1, clip=CLIP)
        for j in answered:
            assert reason(lambda j=j: members[j].member.cosign(proposal)) is Reason.BOUND
        signatures = {4: members[4].member.cosign(proposal)}
        assert reason(lambda: second.begin(1, signatures)) is Reason.HEADER_SIGNATURE
        # The first has its t answers: the round it had collected is exact, or nothing.
        for j, answer in answered.items():
            first.aggregator.receive_answer(j, answer)
        result = first.aggregator.open()
        assert result.agreed.count == 7


class TestTurns:
    def test_nobody_proposes_out_of_turn(self, net):
        net.release(1)
        chosen = net.aggregator_of(1)
        for peer in net.alive:
            if peer is not chosen:
                assert not peer.is_my_turn(1)
                assert reason(lambda p=peer: p.propose(MODEL, 1, clip=CLIP)) is Reason.VIEW
        assert chosen.is_my_turn(1)

    def test_nor_before_the_beacon(self, net):
        for peer in net.alive:
            assert reason(lambda p=peer: p.propose(MODEL, 1, clip=CLIP)) is Reason.BEACON
            assert reason(lambda p=peer: p.is_my_turn(1)) is Reason.BEACON

    def test_who_hurries_gets_no_signature_and_no_update(self, net):
        """Its clock is fast, or it pretends so: the others go by theirs."""
        net.release(1)
        net.next_view()
        second = net.aggregator_of(1)
        proposal = second.propose(MODEL, 1, clip=CLIP)
        committee = net.committee_of(1)
        signatures = {j: m.member.cosign(proposal) for j, m in committee.items()}
        signed = second.begin(1, signatures)
        net.now -= 1
        for member in committee.values():
            assert reason(lambda m=member: m.member.cosign(proposal)) is Reason.VIEW
        for peer in net.alive:
            assert reason(lambda p=peer: p.client.check(signed)) is Reason.VIEW

    def test_no_deadline_beyond_the_turn(self, net):
        net.release(1)
        chosen = net.aggregator_of(1)
        plan = {"clip": CLIP, "audit_deadline": NOW + 2 * VIEW_S}
        for margin in (0, -1, -CLOCK_SKEW_S):
            assert reason(lambda m=margin: chosen.propose(MODEL, 1, margin_s=m, **plan)) is Reason.VIEW
        chosen.propose(MODEL, 1, margin_s=1, **plan)

    def test_room_for_the_clocks_of_others_by_default(self, net):
        net.release(1)
        proposal = net.aggregator_of(1).propose(MODEL, 1, clip=CLIP)
        header = SignedHeader.from_bytes(proposal, net.world.trust(), proposal=True).header
        assert header.deadline == NOW + VIEW_S - CLOCK_SKEW_S

    def test_who_sleeps_through_its_turn_binds_no_member(self, net):
        """A member that answered one view answers no other: the next one's would lack it."""
        net.release(1)
        sleeper, committee = net.aggregator_of(1), net.committee_of(1)
        signed = net.sign_header(1)
        for packet in net.contribute(signed):
            sleeper.aggregator.receive_packet(packet)
        requests = sleeper.aggregator.close()
        checks = {j: m.member.check(signed, requests[j]) for j, m in committee.items()}
        for j, data in checks.items():
            sleeper.aggregator.receive_check(j, data)
        settled = sleeper.aggregator.settle()
        net.next_view()
        for j, member in committee.items():
            assert reason(lambda j=j, m=member: m.member.answer(signed, settled[j])) is Reason.VIEW
            assert reason(lambda m=member: m.member.cosign(signed)) is Reason.VIEW
        for peer in net.alive:
            assert reason(lambda p=peer: p.client.check(signed)) is Reason.VIEW
        again = net.sign_header(1)
        second = net.aggregator_of(1)
        for packet in net.contribute(again, variant=1):
            second.aggregator.receive_packet(packet)
        assert net.finish(1, again).agreed.count == len(net.alive)

    def test_no_time_left(self, net):
        net.release(1)
        chosen = net.aggregator_of(1)
        with pytest.raises(ParameterError, match="margin_s"):
            chosen.propose(MODEL, 1, clip=CLIP, margin_s=VIEW_S)

    def test_asked_twice_it_proposes_the_same(self, net):
        net.release(1)
        chosen = net.aggregator_of(1)
        proposal = chosen.propose(MODEL, 1, clip=CLIP)
        assert chosen.propose(MODEL, 1, clip=CLIP / 2) == proposal
        assert reason(lambda: chosen.begin(2, {})) is Reason.STATE

    def test_a_floor_of_its_own_policy_holds_for_its_own_header(self, net):
        net.release(1)
        chosen = net.aggregator_of(1)
        assert reason(lambda: chosen.propose(MODEL, 1, clip=CLIP, min_contributors=4)) is Reason.POLICY
        assert reason(lambda: chosen.aggregator) is Reason.STATE

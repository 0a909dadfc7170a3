"""Attacks on the round that a simpler version fell to, and the limit beyond which this one falls too."""

from dataclasses import replace
from itertools import combinations, product

import numpy as np
import pytest

from sottovoce import clsc
from sottovoce._ext.errors import OverflowDetected, TooManyErasures
from sottovoce.fl import (
    Answer,
    CheckReply,
    MemberShare,
    Policy,
    ProtocolError,
    Reason,
    SignedHeader,
    Update,
)
from sottovoce.fl import Sealed as OneSealed
from sottovoce.fl.wire import associated_data
from sottovoce.he import kahe
from sottovoce.he._kahe_public import public_planes
from support.fl_federation import (
    AGGREGATOR_NAME,
    MODEL,
    NOW,
    Sealed,
    _Recorded,
    craft,
    finish,
    make_request,
    member_name,
    update_of,
)


def corrupted_answer(fed, header, j, updates):
    """What a member without scruples makes of the packets it can open: a share sum of any set."""
    total = kahe.ShareSum(header.kahe_params, j)
    for update in updates:
        opened = clsc.unsigncrypt(
            update.member_packets[j - 1],
            receiver=fed.member_keys[j - 1].decrypt,
            trust=fed.trust(),
            ad=associated_data(header.hash, "share", j),
        )
        total.add(MemberShare.from_bytes(opened.plaintext, header, j).share)
    return total


def honest_answer(fed, header, member, j, signed, request):
    """The share sum inside an honest member's answer, or None if it refuses."""
    try:
        answer = member.answer(signed, request)
    except ProtocolError as error:
        if error.reason is not Reason.BOUND:
            raise
        return None
    opened = clsc.unsigncrypt(
        answer,
        receiver=fed.aggregator_keys.decrypt,
        trust=fed.trust(),
        ad=associated_data(header.hash, "answer", j),
    )
    return Answer.from_bytes(opened.plaintext, header, j).share_sum


def open_set(header, updates, share_sums):
    total = kahe.CiphertextSum(header.kahe_params, header.hash)
    for update in updates:
        total.add(update.ciphertext)
    return kahe.open_sum(header.kahe_params, header.hash, total, share_sums, len(updates)).values


class TestTwoSets:
    """Two sets that differ by one victim: whoever opens both has the victim's update (n = 4, t = 3)."""

    def sets(self, sealed4):
        everybody = [sealed4.update(i) for i in range(4)]
        return everybody, everybody[1:]

    def test_f_plus_one_corrupted_members_isolate_an_update(self, fed, sealed4):
        """The documented limit: two of four members and the aggregator read a client exactly."""
        header, corrupted = sealed4.header, (1, 2)
        opened = []
        for updates, honest in zip(self.sets(sealed4), (3, 4), strict=True):
            request = make_request(header, honest, updates, fed.aggregator_keys)
            share_sums = [corrupted_answer(fed, header, j, updates) for j in corrupted]
            share_sums.append(honest_answer(fed, header, fed.member(honest), honest, sealed4.signed, request))
            opened.append(open_set(header, updates, share_sums))
        assert np.array_equal(opened[0] - opened[1], sealed4.encoded[0])

    def test_f_corrupted_members_do_not_however_the_honest_ones_are_asked(self, fed, sealed4):
        header = sealed4.header
        both = self.sets(sealed4)
        for first in product((0, 1), repeat=3):  # which set members 2, 3, 4 are shown first
            sums = [[corrupted_answer(fed, header, 1, updates)] for updates in both]
            for j, start in zip((2, 3, 4), first, strict=True):
                member = fed.member(j)
                for k in (start, 1 - start):
                    request = make_request(header, j, both[k], fed.aggregator_keys)
                    answer = honest_answer(fed, header, member, j, sealed4.signed, request)
                    assert (answer is not None) == (k == start)
                    if answer is not None:
                        sums[k].append(answer)
            ready = [k for k in (0, 1) if len(sums[k]) >= header.threshold]
            assert len(ready) <= 1
            for k in {0, 1} - set(ready):
                with pytest.raises(TooManyErasures):
                    open_set(header, both[k], sums[k])

    def test_the_inequality_for_every_committee(self, fed):
        for n in (4, 5, 6, 7):
            params = fed.header(n).kahe_params
            t, f = params.threshold, params.n_corrupted
            members = set(range(n))
            corrupted = set(range(f))
            for a, b in combinations(combinations(members, t), 2):
                assert (set(a) & set(b)) - corrupted  # some honest member would answer both
            assert n - f >= t  # and f absent ones stop nothing

    def test_t_minus_one_members_open_nothing(self, fed, sealed4):
        header, updates = sealed4.header, self.sets(sealed4)[0]
        sums = [corrupted_answer(fed, header, j, updates) for j in (1, 2)]
        with pytest.raises(TooManyErasures):
            open_set(header, updates, sums)
        # Nor with a made-up third one.
        guess = bytearray(sums[0].to_bytes())
        guess[4:8] = bytes(4)
        third = kahe.ShareSum.from_bytes(bytes(guess), header.kahe_params, 3)
        with pytest.raises(OverflowDetected):
            open_set(header, updates, [*sums, third])

    def test_a_set_of_fewer_than_the_minimum_is_not_answered(self, fed, sealed4):
        """A pair, or one client and one's own puppet."""
        updates = [sealed4.update(i) for i in range(2)]
        for j in range(1, 5):
            request = make_request(sealed4.header, j, updates, fed.aggregator_keys)
            with pytest.raises(ProtocolError) as caught:
                fed.member(j).answer(sealed4.signed, request)
            assert caught.value.reason is Reason.TOO_FEW


class TestChosenCommittee:
    """Two of seven named members are corrupted, as f(7) = 2 allows; of four that is too many."""

    def policy(self, **fields):
        names = frozenset(member_name(j) for j in range(1, 8))
        return Policy(frozenset({AGGREGATOR_NAME}), names, **fields)

    @pytest.mark.parametrize("n", [4, 5, 6])
    def test_a_part_of_the_named_members_gets_no_signature_and_no_update(self, fed, n):
        header = fed.header(n, min_contributors=8, round_number=300 + n)
        proposal = SignedHeader.propose(header, fed.aggregator_keys)
        corrupted = {j: header.sign(fed.member_keys[j - 1]) for j in (1, 2)}
        for j in range(3, n + 1):
            with pytest.raises(ProtocolError, match="at least 7 members") as caught:
                fed.member(j, self.policy()).cosign(proposal.to_bytes())
            assert caught.value.reason is Reason.POLICY
        assert len(corrupted) < header.threshold
        # Nor would clients take what careless members had signed.
        signed = fed.sign(header)
        client = fed.client(0, self.policy())
        with pytest.raises(ProtocolError, match="at least 7 members") as caught:
            client.seal(signed, MODEL, update_of(0))
        assert caught.value.reason is Reason.POLICY
        assert client._outbox.find(header.hash) is None

    def test_all_of_them_get_both(self, fed):
        header = fed.header(7, min_contributors=8, round_number=307)
        proposal = SignedHeader.propose(header, fed.aggregator_keys)
        signatures = {j: fed.member(j, self.policy()).cosign(proposal.to_bytes()) for j in range(1, 8)}
        signed = proposal.with_members(signatures).to_bytes()
        assert fed.client(0, self.policy()).seal(signed, MODEL, update_of(0)).header == header

    def test_who_asks_for_fewer_is_on_their_own(self, fed):
        """The documented limit: ``min_members`` of 4 among seven names is safe with one corrupted of ALL."""
        policy = self.policy(min_members=4)
        header = fed.header(4, min_contributors=8, round_number=310)
        proposal = SignedHeader.propose(header, fed.aggregator_keys)
        honest = {j: fed.member(j, policy) for j in (3, 4)}
        signatures = {j: member.cosign(proposal.to_bytes()) for j, member in honest.items()}
        signatures[1] = header.sign(fed.member_keys[0])
        signed = proposal.with_members(signatures).to_bytes()
        updates, victim = [], None
        for i in range(9):
            client = _Recorded(fed.client_keys[i], fed.trust(), policy, clock=lambda: NOW)
            packet = client.seal(signed, MODEL, update_of(i)).packet
            victim = client.encoded if i == 0 else victim
            opened = clsc.unsigncrypt(
                packet,
                receiver=fed.aggregator_keys.decrypt,
                trust=fed.trust(),
                ad=associated_data(header.hash, "packet"),
            )
            updates.append(Update.from_bytes(opened.plaintext, header))
        sums = []
        for chosen, j in ((updates, 3), (updates[1:], 4)):
            share_sums = [corrupted_answer(fed, header, k, chosen) for k in (1, 2)]
            request = make_request(header, j, chosen, fed.aggregator_keys)
            share_sums.append(honest_answer(fed, header, honest[j], j, signed, request))
            sums.append(open_set(header, chosen, share_sums))
        assert np.array_equal(sums[0] - sums[1], victim)


class TestChosenHeader:
    def test_the_seed_is_derived_so_two_rounds_have_other_elements(self, fed):
        """Attack: a seed of the aggregator's choice, such as that of an earlier round."""
        a, b = fed.header(), fed.header(audit_deadline=fed.header().audit_deadline + 1)
        first = public_planes(a.kahe_params, a.hash, 0, 1)
        assert not np.array_equal(first, public_planes(b.kahe_params, b.hash, 0, 1))
        assert np.array_equal(first, public_planes(a.kahe_params, fed.header().hash, 0, 1))

    def test_a_round_number_used_again_gets_no_signatures(self, fed, sealed):
        members = sealed.members()
        for member in members.values():
            member.cosign(SignedHeader.propose(sealed.header, fed.aggregator_keys).to_bytes())
        finish(sealed.aggregator(), members, sealed.signed)
        again = SignedHeader.propose(fed.header(min_contributors=4), fed.aggregator_keys).to_bytes()
        for member in members.values():
            with pytest.raises(ProtocolError) as caught:
                member.cosign(again)
            assert caught.value.reason is Reason.OTHER_HEADER

    def test_one_vector_to_two_sets_is_refused_by_the_client(self, fed):
        """A round that 'failed' is repeated with one client less: the same vector does not leave again."""
        first, second = (fed.sign(fed.header(round_number=r)) for r in (1, 2))
        for policy in (fed.policy(), fed.policy(allow_retrained=True)):
            client = fed.client(0, policy)
            client.seal(first, MODEL, update_of(0))
            with pytest.raises(ProtocolError) as caught:
                client.seal(second, MODEL, update_of(0))
            expected = Reason.UPDATE_REUSED if policy.allow_retrained else Reason.MODEL_REUSED
            assert caught.value.reason is expected


class TestWhoIsBlamed:
    def test_a_client_that_cheats_one_member_does_not_make_it_look_the_liar(self, fed, sealed):
        """Attack: a bad share to one member only; without the checks its sum would be 'wrong'."""
        packet, _ = craft(fed, sealed.header, fed.client_keys[7], bad_for=[3])
        aggregator = sealed.aggregator([*sealed.packets, packet])
        finish(aggregator, sealed.members(), sealed.signed)
        assert aggregator.wrong_members == aggregator.suspect_members == ()

    def test_were_the_member_to_answer_all_the_same_it_would_look_like_one(self, fed, sealed):
        """Why members check first: the sum alone blames the victim."""
        updates = [*(sealed.update(i) for i in range(5))]
        updates.append(craft(fed, sealed.header, fed.client_keys[7], bad_for=[3])[1])
        sums = [corrupted_answer(fed, sealed.header, j, updates) for j in range(1, 6)]
        total = kahe.CiphertextSum(sealed.header.kahe_params, sealed.header.hash)
        for update in updates:
            total.add(update.ciphertext)
        opened = kahe.open_sum(sealed.header.kahe_params, sealed.header.hash, total, sums, 6)
        assert opened.wrong_members == (3,)

    @pytest.mark.parametrize(("n", "liars"), [(4, (2,)), (5, (5,)), (7, (1, 6))])
    def test_f_lying_members_do_not_get_an_honest_client_dropped(self, fed, n, liars):
        header = fed.header(n)
        signed = fed.sign(header)
        aggregator = fed.aggregator(signed)
        for i in range(3):
            aggregator.receive_packet(craft(fed, header, fed.client_keys[i])[0])
        members = {j: fed.member(j) for j in range(1, n + 1)}
        requests = aggregator.close()
        for j, member in members.items():
            if j in liars:
                plain = CheckReply(aggregator._settlement.agreed.root, aggregator.accepted).to_bytes()
                reply = clsc.signcrypt(
                    plain,
                    sender=fed.member_keys[j - 1].sign,
                    receivers=[header.aggregator.decrypt],
                    ad=associated_data(header.hash, "check", j),
                )
            else:
                reply = member.check(signed, requests[j])
            aggregator.receive_check(j, reply)
        final = aggregator.settle()
        assert set(final) == set(members) - set(liars)
        for j, request in final.items():
            aggregator.receive_answer(j, members[j].answer(signed, request))
        aggregator.open()
        assert aggregator.accepted == tuple(sorted(fed.pids[:3]))
        assert not aggregator.refused

    def test_nobody_makes_an_honest_client_an_equivocator(self, fed, sealed):
        """Copied shares, its packet again, and everything a stranger can do with its bytes."""
        aggregator = sealed.aggregator()
        victim = sealed.packets[0]
        for i in range(0, len(victim), 997):
            aggregator.receive_packet(victim[:i] + bytes([victim[i] ^ 1]) + victim[i + 1 :])
        aggregator.receive_packet(victim)
        for shard in OneSealed(sealed.header, victim).shards():
            aggregator.receive_shard(shard)
        aggregator.receive_packet(craft(fed, sealed.header, fed.client_keys[0], sender=fed.client_keys[7])[0])
        aggregator.process()
        assert aggregator.refused[Reason.EQUIVOCATION] == 0
        assert aggregator._store.evidence(sealed.header.hash) == {}
        assert sealed.pids[0] in aggregator.accepted


class TestCopiedPackets:
    def test_member_packets_of_another_client_inside_ones_own(self, fed, sealed):
        """Attack: the aggregator gives a puppet the victim's packets, so that the victim counts twice."""
        victim = sealed.update(0)
        packet, update = craft(
            fed,
            sealed.header,
            fed.client_keys[7],
            member_packet=lambda j, p: victim.member_packets[j - 1],
        )
        aggregator = sealed.aggregator([*sealed.packets, packet])
        finish(aggregator, sealed.members(), sealed.signed)
        assert update.manifest.pid not in aggregator.accepted
        assert np.array_equal(aggregator.opened_sum, sealed.sum_of(sealed.pids))

    def test_a_stranger_added_by_the_aggregator_is_named_by_every_member(self, fed, sealed):
        """Attack: puppets that no issuer enrolled, to fill the set up to the minimum."""
        stranger = craft(fed, sealed.header, fed.stranger_key)[1]
        updates = [sealed.update(0), sealed.update(1), stranger]
        for j in range(1, 6):
            request = sealed.request(j, updates=updates)
            with pytest.raises(ProtocolError) as caught:
                fed.member(j).answer(sealed.signed, request)
            assert caught.value.reason is Reason.BAD_SHARES

    def test_an_accepted_update_cannot_be_exchanged(self, fed, sealed):
        """The aggregator cannot put another ciphertext under a manifest: the proof is bound to it."""
        victim = sealed.update(0)
        manifest = replace(victim.manifest, ciphertext_digest=sealed.update(1).ciphertext.digest)
        updates = [replace(victim, manifest=manifest), *(sealed.update(i) for i in range(1, 4))]
        for j in range(1, 6):
            with pytest.raises(ProtocolError) as caught:
                fed.member(j).answer(sealed.signed, sealed.request(j, updates=updates))
            assert caught.value.reason is Reason.BAD_SHARES


@pytest.mark.slow
def test_well_formed_poison_is_not_seen(fed):
    """The documented limit: within the headroom a client may encrypt what it likes."""
    sealed = Sealed(fed, n_clients=4, round_number=9)
    poison = np.full(51, 2**15 - 1)
    packet, _ = craft(fed, sealed.header, fed.client_keys[7], poison)
    aggregator = sealed.aggregator([*sealed.packets, packet])
    finish(aggregator, sealed.members(), sealed.signed)
    assert np.array_equal(aggregator.opened_sum, sealed.sum_of(sealed.pids) + poison)

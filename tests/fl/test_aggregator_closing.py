"""How a round ends: complaints are settled, answers checked, and the exact sum opened or nothing."""

import cbor2
import numpy as np
import pytest

from sottovoce import clsc
from sottovoce._ext.enc import enc
from sottovoce.fl import (
    CheckReply,
    Client,
    ProtocolError,
    Reason,
    State,
)
from sottovoce.fl.wire import associated_data, split_exactly
from support.fl_federation import (
    MODEL,
    NOW,
    craft,
    finish,
    from_member,
    lying_answer,
    snapshot,
    update_of,
    wrong_sum,
)


def reason(call):
    with pytest.raises(ProtocolError) as caught:
        call()
    return caught.value.reason


def complain(fed, sealed, aggregator, j, pids):
    """A check reply of member ``j`` that names ``pids``, whatever is true."""
    plain = CheckReply(aggregator._settlement.agreed.root, tuple(sorted(pids))).to_bytes()
    aggregator.receive_check(j, from_member(fed, aggregator.header, j, "check", plain))


def closing(fed, sealed, extra=(), liars=(), absent=()):
    """An aggregator that has closed and heard every honest present member's check."""
    aggregator = sealed.aggregator([*sealed.packets, *extra])
    members = sealed.members()
    requests = aggregator.close()
    for j in members:
        if j not in liars and j not in absent:
            aggregator.receive_check(j, members[j].check(sealed.signed, requests[j]))
    return aggregator, members, requests


def answer_all(aggregator, members, sealed, final, absent=()):
    """Every member that was asked and is not absent answers."""
    for j, request in final.items():
        if j not in absent:
            aggregator.receive_answer(j, members[j].answer(sealed.signed, request))
    return aggregator.open()


class TestSettle:
    """Committee of five: t = 4, f = 1."""

    def test_bad_share_to_one_member_goes_without_that_member(self, fed, sealed):
        packet, _ = craft(fed, sealed.header, fed.client_keys[7], spoiled_for=[2])
        aggregator, members, _ = closing(fed, sealed, [packet])
        final = aggregator.settle()
        assert sorted(final) == [1, 3, 4, 5]
        assert fed.pids[7] in aggregator.accepted
        answer_all(aggregator, members, sealed, final)
        assert aggregator.wrong_members == ()
        zeros = np.zeros(51, np.int64)
        zeros[-1] = 1
        assert np.array_equal(aggregator.opened_sum, sealed.sum_of(sealed.pids) + zeros)

    def test_bad_share_to_one_member_and_another_absent_drops_the_client(self, fed, sealed):
        packet, _ = craft(fed, sealed.header, fed.client_keys[7], spoiled_for=[2])
        aggregator, members, _ = closing(fed, sealed, [packet], absent=[5])
        final = aggregator.settle()
        assert sorted(final) == [1, 2, 3, 4, 5]  # the absent one may still come
        assert aggregator.accepted == tuple(sorted(sealed.pids))
        assert aggregator.refused == {Reason.BAD_SHARES: 1}
        answer_all(aggregator, members, sealed, final, absent=[5])
        assert np.array_equal(aggregator.opened_sum, sealed.sum_of(sealed.pids))

    @pytest.mark.parametrize("spoiled_for", [[1, 2], [2, 3, 4], [1, 2, 3, 4, 5]])
    def test_bad_shares_to_more_than_f_drop_the_client(self, fed, sealed, spoiled_for):
        packet, _ = craft(fed, sealed.header, fed.client_keys[7], spoiled_for=spoiled_for)
        aggregator, members, _ = closing(fed, sealed, [packet])
        final = aggregator.settle()
        assert sorted(final) == [1, 2, 3, 4, 5]
        assert aggregator.accepted == tuple(sorted(sealed.pids))
        result = answer_all(aggregator, members, sealed, final)
        assert np.array_equal(aggregator.opened_sum, sealed.sum_of(sealed.pids))
        assert fed.pids[7] not in dict(result.entries)

    def test_two_cheats_of_different_members_cost_one_of_them(self, fed, sealed):
        """S has 3 answers as it is; without one of the cheats it has 4, and that is enough."""
        packets = [
            craft(fed, sealed.header, fed.client_keys[7], spoiled_for=[1])[0],
            craft(fed, sealed.header, fed.client_keys[8], spoiled_for=[2])[0],
        ]
        aggregator, members, _ = closing(fed, sealed, packets)
        final = aggregator.settle()
        assert sorted(final) == [1, 3, 4, 5]
        assert aggregator.accepted == tuple(sorted([*sealed.pids, fed.pids[8]]))
        answer_all(aggregator, members, sealed, final)
        rest = np.zeros(51, np.int64)
        rest[-1] = 1
        assert np.array_equal(aggregator.opened_sum, sealed.sum_of(sealed.pids) + rest)

    @pytest.mark.parametrize("n_named", [1, 6])
    def test_a_lying_member_harms_nobody(self, fed, sealed, n_named):
        aggregator, members, _ = closing(fed, sealed, liars=[3])
        complain(fed, sealed, aggregator, 3, sealed.pids[:n_named])
        final = aggregator.settle()
        assert sorted(final) == [1, 2, 4, 5]
        assert aggregator.accepted == tuple(sorted(sealed.pids))
        answer_all(aggregator, members, sealed, final)
        assert np.array_equal(aggregator.opened_sum, sealed.sum_of(sealed.pids))

    def test_a_lying_member_with_an_honest_one_absent_costs_those_it_names(self, fed, sealed):
        """Nobody can tell who lies, and t members are needed: an honest limit."""
        aggregator, members, _ = closing(fed, sealed, liars=[3], absent=[4])
        complain(fed, sealed, aggregator, 3, sealed.pids[:2])
        final = aggregator.settle()
        assert sorted(final) == [1, 2, 3, 4, 5]
        assert aggregator.accepted == tuple(sorted(sealed.pids[2:]))
        answer_all(aggregator, members, sealed, final, absent=[4])
        assert np.array_equal(aggregator.opened_sum, sealed.sum_of(sealed.pids[2:]))

    def test_naming_everybody_then_ends_the_round_and_more_checks_may_come(self, fed, sealed):
        aggregator, members, requests = closing(fed, sealed, liars=[3], absent=[4])
        complain(fed, sealed, aggregator, 3, sealed.pids)
        before = snapshot(aggregator)
        assert reason(aggregator.settle) is Reason.TOO_FEW
        assert snapshot(aggregator) == before
        aggregator.receive_check(4, members[4].check(sealed.signed, requests[4]))
        answer_all(aggregator, members, sealed, aggregator.settle())
        assert np.array_equal(aggregator.opened_sum, sealed.sum_of(sealed.pids))

    def test_fewer_than_t_checks(self, fed, sealed):
        aggregator, members, requests = closing(fed, sealed, absent=[4, 5])
        before = snapshot(aggregator)
        assert reason(aggregator.settle) is Reason.NO_QUORUM
        assert snapshot(aggregator) == before
        aggregator.receive_check(5, members[5].check(sealed.signed, requests[5]))
        final = aggregator.settle()
        assert sorted(final) == [1, 2, 3, 4, 5]
        answer_all(aggregator, members, sealed, final, absent=[4])
        assert np.array_equal(aggregator.opened_sum, sealed.sum_of(sealed.pids))

    def test_who_was_not_heard_before_may_answer_instead_of_another(self, fed, sealed):
        """Four of five have checked, one of them falls silent: the fifth makes up for it."""
        packet, _ = craft(fed, sealed.header, fed.client_keys[7], spoiled_for=[1, 2])
        aggregator, members, _ = closing(fed, sealed, [packet], absent=[5])
        final = aggregator.settle()
        assert sorted(final) == [1, 2, 3, 4, 5]
        for j in (1, 2, 3):
            aggregator.receive_answer(j, members[j].answer(sealed.signed, final[j]))
        assert reason(aggregator.open) is Reason.NO_QUORUM
        result = answer_all(aggregator, members, sealed, {5: final[5]})
        assert np.array_equal(aggregator.opened_sum, sealed.sum_of(sealed.pids))
        assert sorted(result.member_signatures) == [1, 2, 3, 5]
        assert aggregator.wrong_members == ()

    def test_who_was_not_heard_before_checks_when_it_answers(self, fed, sealed):
        packet, _ = craft(fed, sealed.header, fed.client_keys[7], spoiled_for=[5])
        aggregator, members, _ = closing(fed, sealed, [packet], absent=[5])
        final = aggregator.settle()
        assert fed.pids[7] in aggregator.accepted
        assert reason(lambda: members[5].answer(sealed.signed, final[5])) is Reason.BAD_SHARES
        answer_all(aggregator, members, sealed, final, absent=[5])
        assert fed.pids[7] in aggregator.accepted
        assert aggregator.wrong_members == ()

    def test_who_complained_and_was_not_followed_is_not_asked(self, fed, sealed):
        """One unheard, one discontent, and t others: only the unheard one gets a request beside them."""
        header = fed.header(6)  # t = 4, f = 1
        signed = fed.sign(header)
        aggregator = fed.aggregator(signed)
        for i in range(3):
            aggregator.receive_packet(craft(fed, header, fed.client_keys[i])[0])
        requests = aggregator.close()
        for j in (1, 2, 3, 5):
            aggregator.receive_check(j, fed.member(j).check(signed, requests[j]))
        complain(fed, None, aggregator, 4, fed.pids[:1])
        assert sorted(aggregator.settle()) == [1, 2, 3, 5, 6]
        assert aggregator.accepted == tuple(sorted(fed.pids[:3]))

    def test_complaints_about_strangers_to_the_set_are_nothing(self, fed, sealed):
        aggregator, _, _ = closing(fed, sealed, liars=[3])
        complain(fed, sealed, aggregator, 3, [fed.pids[11]])
        assert sorted(aggregator.settle()) == [1, 2, 3, 4, 5]
        assert aggregator.accepted == tuple(sorted(sealed.pids))

    def test_seven_members_one_liar_about_all_one_absent_one_cheat(self, fed):
        """Committee of seven (t = 5, f = 2): only the cheat goes, whatever one member says of everybody."""
        header = fed.header(7)
        signed = fed.sign(header)
        packets = [craft(fed, header, fed.client_keys[i])[0] for i in range(4)]
        packets.append(craft(fed, header, fed.client_keys[4], spoiled_for=[1])[0])
        aggregator = fed.aggregator(signed)
        for packet in packets:
            aggregator.receive_packet(packet)
        requests = aggregator.close()
        members = {j: fed.member(j) for j in range(1, 8)}
        for j in range(1, 6):
            aggregator.receive_check(j, members[j].check(signed, requests[j]))
        complain(fed, None, aggregator, 7, fed.pids[:5])
        final = aggregator.settle()
        assert sorted(final) == [1, 2, 3, 4, 5, 6]
        assert aggregator.accepted == tuple(sorted(fed.pids[:4]))
        for j in range(1, 6):  # the sixth is absent
            aggregator.receive_answer(j, members[j].answer(signed, final[j]))
        aggregator.open()

    @pytest.mark.parametrize(("spoiled_for", "kept"), [([1], True), ([1, 2], False)])
    def test_six_members_f_plus_one_complaints_convict_and_f_do_not(self, fed, spoiled_for, kept):
        """Committee of six (t = 4, f = 1): enough others agree in both cases."""
        header = fed.header(6)
        signed = fed.sign(header)
        aggregator = fed.aggregator(signed)
        for i in range(3):
            aggregator.receive_packet(craft(fed, header, fed.client_keys[i])[0])
        aggregator.receive_packet(craft(fed, header, fed.client_keys[3], spoiled_for=spoiled_for)[0])
        requests = aggregator.close()
        for j in range(1, 7):
            aggregator.receive_check(j, fed.member(j).check(signed, requests[j]))
        final = aggregator.settle()
        assert (fed.pids[3] in aggregator.accepted) == kept
        assert sorted(final) == ([2, 3, 4, 5, 6] if kept else [1, 2, 3, 4, 5, 6])

    def test_a_member_that_answers_unasked_does_not_stop_the_settling(self, fed, sealed):
        packet, _ = craft(fed, sealed.header, fed.client_keys[7], spoiled_for=[2])
        aggregator, members, requests = closing(fed, sealed, [packet], absent=[5])
        hasty = members[1].answer(sealed.signed, requests[1])
        assert reason(lambda: aggregator.receive_answer(1, hasty)) is Reason.STATE
        assert sorted(aggregator.settle()) == [1, 2, 3, 4, 5]
        assert aggregator.accepted == tuple(sorted(sealed.pids))
        # It has bound itself to the set with the cheat, and stays out of the one without.
        assert reason(lambda: aggregator.receive_answer(1, hasty)) is Reason.SET

    def test_only_once(self, fed, sealed):
        aggregator, members, requests = closing(fed, sealed)
        aggregator.settle()
        late = members[1].check(sealed.signed, requests[1])
        assert reason(aggregator.settle) is Reason.STATE
        aggregator.receive_check(1, late)  # who is convicted now could still be taken out, but nobody is
        complain(fed, sealed, aggregator, 2, sealed.pids)
        assert reason(aggregator.settle) is Reason.STATE
        assert aggregator.accepted == tuple(sorted(sealed.pids))

    def test_a_store_that_fails_leaves_everything_as_it_was(self, fed, sealed):
        packet, _ = craft(fed, sealed.header, fed.client_keys[7], spoiled_for=[1, 2])
        aggregator = sealed.aggregator([*sealed.packets, packet])
        store = aggregator._store
        read = store.update

        def failing_after(n):
            calls = iter(range(n))

            def update(*args):
                if next(calls, None) is None:
                    raise OSError("disk gone")
                return read(*args)

            store.update = update

        before = snapshot(aggregator)
        for n in (0, 3, 6):
            failing_after(n)
            with pytest.raises(OSError, match="disk gone"):
                aggregator.close()
            assert snapshot(aggregator) == before
        store.update = read
        members, requests = sealed.members(), aggregator.close()
        for j in members:
            aggregator.receive_check(j, members[j].check(sealed.signed, requests[j]))
        before = snapshot(aggregator)
        for n in (0, 1, 4):
            failing_after(n)
            with pytest.raises(OSError, match="disk gone"):
                aggregator.settle()
            assert snapshot(aggregator) == before
            assert not aggregator.refused
        store.update = read
        answer_all(aggregator, members, sealed, aggregator.settle())
        assert np.array_equal(aggregator.opened_sum, sealed.sum_of(sealed.pids))


class TestChecksAndAnswers:
    def test_not_before_closing(self, fed, sealed):
        aggregator = sealed.aggregator()
        check = from_member(fed, sealed.header, 1, "check", CheckReply(bytes(32), ()).to_bytes())
        for call in (
            lambda: aggregator.receive_check(1, check),
            lambda: aggregator.receive_answer(1, check),
            aggregator.settle,
            aggregator.open,
            lambda: aggregator.opened_sum,
        ):
            assert reason(call) is Reason.STATE
        assert aggregator.wrong_members == aggregator.suspect_members == ()

    def test_checks_that_are_not_the_members(self, fed, sealed):
        aggregator, members, requests = closing(fed, sealed, absent=[1])
        header, root = sealed.header, aggregator._settlement.agreed.root
        good = members[1].check(sealed.signed, requests[1])
        plain = CheckReply(root, ()).to_bytes()
        before = snapshot(aggregator)
        cases = [
            (2, good, clsc.UnsigncryptError),
            (1, members[1].answer(sealed.signed, requests[1]), clsc.UnsigncryptError),
            (1, from_member(fed, header, 1, "answer", plain), clsc.UnsigncryptError),
            (1, from_member(fed, header, 1, "check", plain, keys=fed.member_keys[1]), ProtocolError),
            (1, from_member(fed, header, 1, "check", plain, keys=fed.aggregator_keys), ProtocolError),
            (1, from_member(fed, header, 1, "check", CheckReply(bytes(32), ()).to_bytes()), ProtocolError),
            (1, from_member(fed, header, 1, "check", b""), clsc.DecodeError),
            (1, from_member(fed, header, 1, "check", plain + b"\0"), clsc.DecodeError),
            (0, good, ProtocolError),
            (6, good, ProtocolError),
            (-1, good, ProtocolError),
        ]
        for index, data, error in cases:
            with pytest.raises(error):
                aggregator.receive_check(index, data)
        client = clsc.signcrypt(
            plain,
            sender=fed.client_keys[0],
            receivers=[header.aggregator.decrypt],
            ad=associated_data(header.hash, "check", 1),
        )
        assert reason(lambda: aggregator.receive_check(1, client)) is Reason.NOT_MEMBER
        for index in ("1", 1.0, None, True, b"\x01", [1]):
            with pytest.raises(TypeError, match="index"):
                aggregator.receive_check(index, good)
        assert snapshot(aggregator) == before
        aggregator.receive_check(1, good)

    @pytest.mark.parametrize(
        "bad",
        [["x"], [b"short"], [b"b" * 16, b"a" * 16], [b"a" * 16, b"a" * 16], [bytearray(16), 1]],
        ids=str,
    )
    def test_complaints_must_be_pids_in_order(self, sealed, bad):
        data = cbor2.dumps({"v": 1, "root": bytes(32), "bad": bad}, canonical=True)
        with pytest.raises(clsc.DecodeError):
            CheckReply.from_bytes(data, sealed.header)

    def test_answers_that_are_not_for_the_set(self, fed, sealed):
        aggregator, members, _ = closing(fed, sealed)
        final = aggregator.settle()
        header = sealed.header
        other = fed.member(1).answer(sealed.signed, sealed.request(1, (0, 1, 2)))
        before = snapshot(aggregator)
        assert reason(lambda: aggregator.receive_answer(1, other)) is Reason.SET
        good = members[1].answer(sealed.signed, final[1])

        def changed(i, value):
            def change(plain):
                fields = split_exactly(plain, 5)
                fields[i] = value(fields[i])
                return enc(*fields)

            return lying_answer(fed, header, 1, good, change)

        flip = lambda b: bytes([b[0] ^ 1]) + b[1:]  # noqa: E731
        cases = [
            (changed(0, flip), clsc.SignatureError),
            (changed(1, flip), clsc.SignatureError),
            (changed(2, lambda b: (5).to_bytes(8, "big")), clsc.SignatureError),
            (changed(3, flip), clsc.SignatureError),
            (changed(3, lambda b: b[:-1]), clsc.DecodeError),
            (changed(4, lambda b: b[:-1]), clsc.DecodeError),
            (changed(4, lambda b: b[:-4] + b"\xff" * 4), clsc.DecodeError),
            (changed(4, lambda b: bytes(4) + b[4:]), clsc.DecodeError),
            (changed(0, lambda b: b + b"\0"), clsc.DecodeError),
            (lying_answer(fed, header, 1, good, lambda p: p + b"\0"), clsc.DecodeError),
        ]
        for data, error in cases:
            with pytest.raises(error):
                aggregator.receive_answer(1, data)
        for index in (2, 3):
            with pytest.raises(clsc.UnsigncryptError):
                aggregator.receive_answer(index, good)
        for index in ("1", 1.0, None, True, b"\x01", [1]):
            with pytest.raises(TypeError, match="index"):
                aggregator.receive_answer(index, good)
        assert snapshot(aggregator) == before
        answer_all(aggregator, members, sealed, final)
        assert reason(lambda: aggregator.receive_answer(1, good)) is Reason.STATE

    def test_the_first_answer_of_a_member_stays(self, fed, sealed):
        aggregator, members, _ = closing(fed, sealed)
        final = aggregator.settle()
        good = members[1].answer(sealed.signed, final[1])
        aggregator.receive_answer(1, good)
        aggregator.receive_answer(1, wrong_sum(fed, sealed, 1, good))
        answer_all(aggregator, members, sealed, {j: final[j] for j in (2, 3, 4)})
        assert aggregator.wrong_members == ()


class TestOpen:
    @pytest.mark.parametrize("liar", [1, 5])
    def test_a_wrong_share_sum_is_found_and_its_member_named(self, fed, sealed, liar):
        aggregator, members, _ = closing(fed, sealed)
        for j, request in aggregator.settle().items():
            answer = members[j].answer(sealed.signed, request)
            aggregator.receive_answer(j, wrong_sum(fed, sealed, j, answer) if j == liar else answer)
        aggregator.open()
        assert np.array_equal(aggregator.opened_sum, sealed.sum_of(sealed.pids))
        assert aggregator.wrong_members == (liar,)
        assert aggregator.suspect_members == ()

    def test_a_sum_of_another_count_is_left_out(self, fed, sealed):
        aggregator, members, _ = closing(fed, sealed)
        for j, request in aggregator.settle().items():
            answer = members[j].answer(sealed.signed, request)
            aggregator.receive_answer(j, wrong_sum(fed, sealed, j, answer, 5) if j == 2 else answer)
        aggregator.open()
        assert np.array_equal(aggregator.opened_sum, sealed.sum_of(sealed.pids))
        assert aggregator.wrong_members == (2,)

    def test_with_one_absent_a_wrong_sum_fails_until_another_answer_comes(self, fed, sealed):
        aggregator, members, _ = closing(fed, sealed)
        final = aggregator.settle()
        for j in (1, 2, 3, 4):
            answer = members[j].answer(sealed.signed, final[j])
            aggregator.receive_answer(j, wrong_sum(fed, sealed, j, answer) if j == 3 else answer)
        before = snapshot(aggregator)
        assert reason(aggregator.open) is Reason.SUM
        assert snapshot(aggregator) == before
        answer_all(aggregator, members, sealed, {5: final[5]})
        assert np.array_equal(aggregator.opened_sum, sealed.sum_of(sealed.pids))
        assert aggregator.wrong_members == (3,)

    def test_fewer_than_t_answers(self, fed, sealed):
        aggregator, members, _ = closing(fed, sealed)
        final = aggregator.settle()
        for j in (1, 3, 5):
            aggregator.receive_answer(j, members[j].answer(sealed.signed, final[j]))
            assert reason(aggregator.open) is Reason.NO_QUORUM
        assert aggregator.state is State.ANSWERING
        answer_all(aggregator, members, sealed, {2: final[2]})
        assert np.array_equal(aggregator.opened_sum, sealed.sum_of(sealed.pids))

    def test_again_gives_the_same(self, fed, sealed):
        aggregator, members, _ = closing(fed, sealed)
        result = answer_all(aggregator, members, sealed, aggregator.settle())
        again = aggregator.open()
        assert np.array_equal(result.mean, again.mean)
        assert result.agreed == again.agreed

    def test_a_garbage_ciphertext_fails_the_round_without_a_name(self, fed, sealed):
        """It does not match its key: no member can see it, the opener does, and cannot tell who."""
        packet, _ = craft(fed, sealed.header, fed.client_keys[7], garbage=True)
        aggregator, members, _ = closing(fed, sealed, [packet])
        final = aggregator.settle()
        assert len(final) == 5
        for j, request in final.items():
            aggregator.receive_answer(j, members[j].answer(sealed.signed, request))
        assert reason(aggregator.open) is Reason.SUM
        assert aggregator.wrong_members == ()
        assert reason(lambda: aggregator.opened_sum) is Reason.STATE

    @pytest.mark.parametrize(
        "change",
        [{0: 2**15 - 1, 50: 1}, {50: 0}, {50: -1}, {3: -(2**15 - 1), 50: 3}],
        ids=str,
    )
    def test_a_sum_that_no_honest_weights_give_fails_the_round(self, fed, sealed, change):
        values = np.zeros(51, np.int64)
        for slot, value in change.items():
            values[slot] = value
        header = fed.header(round_number=40)
        signed = fed.sign(header)
        aggregator = fed.aggregator(signed)
        for i in range(3):
            aggregator.receive_packet(craft(fed, header, fed.client_keys[i], values)[0])
        members = {j: fed.member(j) for j in range(1, 6)}
        assert reason(lambda: finish(aggregator, members, signed)) is Reason.SUM


def test_a_client_that_was_dropped_can_see_it(fed, sealed):
    packet, _ = craft(fed, sealed.header, fed.client_keys[7], spoiled_for=[1, 2])
    aggregator, members, _ = closing(fed, sealed, [packet])
    result = answer_all(aggregator, members, sealed, aggregator.settle())
    client = Client(fed.client_keys[7], fed.trust(), fed.policy(), clock=lambda: NOW)
    client.seal(sealed.signed, MODEL, update_of(7))
    assert not client.included(client.read_result(sealed.signed, aggregator.publish(result)))

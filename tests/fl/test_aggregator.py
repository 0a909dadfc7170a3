"""The aggregator: counts each pseudonym once, settles complaints, and opens the exact sum or nothing."""

from dataclasses import replace

import numpy as np
import pytest

from sottovoce import clsc, rs
from sottovoce._ext.enc import enc
from sottovoce.fl import (
    CheckReply,
    Client,
    MemoryAggregatorStore,
    ProtocolError,
    Reason,
    State,
    Update,
    revocation_digest,
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
)


def reason(call):
    with pytest.raises(ProtocolError) as caught:
        call()
    return caught.value.reason


def receipt(aggregator, packet):
    """What becomes of one packet; nothing but counting happens if it is refused."""
    before = snapshot(aggregator)
    aggregator.receive_packet(packet)
    (one,) = aggregator.process()
    if one.refused is not None:
        assert snapshot(aggregator) == before
    return one


class TestReceiving:
    def test_the_same_packet_again_counts_once(self, sealed):
        aggregator = sealed.aggregator(sealed.packets[:1])
        before = snapshot(aggregator)
        one = receipt(aggregator, sealed.packets[0])
        assert (one.pid, one.refused) == (sealed.pids[0], None)
        assert snapshot(aggregator) == before
        assert not aggregator.refused

    def test_the_same_packet_twice_in_one_batch_counts_once(self, sealed):
        aggregator = sealed.aggregator([sealed.packets[0]] * 3)
        assert aggregator.accepted == (sealed.pids[0],)
        assert aggregator._sum.count == 1

    def test_a_second_different_packet_is_evidence_and_does_not_count(self, fed, sealed):
        store = MemoryAggregatorStore()
        aggregator = sealed.aggregator(store=store)
        second, third = (craft(fed, sealed.header, fed.client_keys[0])[0] for _ in range(2))
        for packet in (second, third):
            one = receipt(aggregator, packet)
            assert (one.pid, one.refused) == (sealed.pids[0], Reason.EQUIVOCATION)
        assert store.evidence(sealed.header.hash) == {sealed.pids[0]: second}
        assert aggregator.refused == {Reason.EQUIVOCATION: 2}
        finish(aggregator, sealed.members(), sealed.signed)
        assert np.array_equal(aggregator.opened_sum, sealed.sum_of(sealed.pids))

    def test_a_round_that_is_full(self, fed):
        header = fed.header(max_contributors=3)
        signed = fed.sign(header)
        packets = [craft(fed, header, fed.client_keys[i])[0] for i in range(4)]
        aggregator = fed.aggregator(signed)
        for packet in packets[:3]:
            aggregator.receive_packet(packet)
        aggregator.process()
        one = receipt(aggregator, packets[3])
        assert (one.pid, one.refused) == (fed.pids[3], Reason.FULL)
        assert receipt(aggregator, packets[1]).refused is None

    def test_a_manifest_of_another_sender(self, fed, sealed):
        """A copied update under one's own signature."""
        packet = craft(fed, sealed.header, fed.client_keys[0], sender=fed.client_keys[7])[0]
        one = receipt(sealed.aggregator(), packet)
        assert (one.pid, one.refused) == (fed.pids[7], Reason.MALFORMED)

    def test_malformed_plaintexts(self, fed, sealed):
        header, key = sealed.header, fed.client_keys[7]
        other = craft(fed, fed.header(round_number=3), key)[1]
        cases = {
            "nothing": lambda u: b"",
            "cut": lambda u: u.to_bytes()[:-1],
            "extended": lambda u: u.to_bytes() + b"\0",
            "one field more": lambda u: u.to_bytes() + enc(b""),
            "short ciphertext": lambda u: enc(
                u.manifest.to_bytes(), u.ciphertext.to_bytes()[:-1], *u.member_packets
            ),
            "ciphertext of another": lambda u: replace(u, ciphertext=other.ciphertext).to_bytes(),
            "manifest of another round": lambda u: replace(u, manifest=other.manifest).to_bytes(),
            "manifest is no map": lambda u: enc(b"\x80", u.ciphertext.to_bytes(), *u.member_packets),
            "one member packet less": lambda u: replace(u, member_packets=u.member_packets[:-1]).to_bytes(),
            "short member packet": lambda u: replace(
                u, member_packets=(u.member_packets[0][:-1], *u.member_packets[1:])
            ).to_bytes(),
            "huge claimed length": lambda u: b"\xff\xff\xff\xff" + u.to_bytes()[4:],
            "huge claimed map": lambda u: enc(
                b"\xbb" + b"\xff" * 8, u.ciphertext.to_bytes(), *u.member_packets
            ),
            "garbage": lambda u: bytes(1000),
        }
        aggregator = sealed.aggregator()
        for name, plaintext in cases.items():
            packet = craft(fed, header, key, plaintext=plaintext)[0]
            if len(packet) > header.packet_bytes:
                assert reason(lambda p=packet: aggregator.receive_packet(p)) is Reason.MALFORMED, name
            else:
                one = receipt(aggregator, packet)
                assert (one.pid, one.refused) == (fed.pids[7], Reason.MALFORMED), name
        assert aggregator.refused == {Reason.MALFORMED: len(cases)}
        finish(aggregator, sealed.members(), sealed.signed)
        assert np.array_equal(aggregator.opened_sum, sealed.sum_of(sealed.pids))

    def test_keys_of_another_mode_or_epoch(self, fed, sealed):
        """Servers' keys are known and sign well, but are not of the senders' ONE set of parameters."""
        packet = craft(fed, sealed.header, fed.member_keys[6].sign)[0]
        assert receipt(sealed.aggregator(), packet).refused is Reason.SENDER_PARAMS

    def test_who_was_never_enrolled(self, fed, sealed):
        packet = craft(fed, sealed.header, fed.stranger_key)[0]
        one = receipt(sealed.aggregator(), packet)
        assert (one.pid, one.refused) == (b"", Reason.SENDER)

    def test_a_revoked_client(self, fed):
        gone = fed.pids[2]
        header = fed.header(revoked=revocation_digest(frozenset([gone])))
        aggregator = fed.aggregator(fed.sign(header), trust=fed.trust(revoked=[gone]))
        assert receipt(aggregator, craft(fed, header, fed.client_keys[2])[0]).refused is Reason.SENDER
        assert receipt(aggregator, craft(fed, header, fed.client_keys[3])[0]).refused is None

    def test_replay_of_another_round(self, fed, sealed):
        packet = craft(fed, fed.header(round_number=3), fed.client_keys[7])[0]
        assert receipt(sealed.aggregator(), packet).refused is Reason.NOT_FOR_US
        relabelled = craft(
            fed, fed.header(round_number=3), fed.client_keys[7], header_hash=sealed.header.hash
        )[0]
        assert receipt(sealed.aggregator(), relabelled).refused is Reason.MALFORMED

    def test_a_packet_for_another_server(self, fed, sealed):
        receiver = fed.other_aggregator_keys.decrypt.public_key
        packet = craft(fed, sealed.header, fed.client_keys[7], receiver=receiver)[0]
        assert receipt(sealed.aggregator(), packet).refused is Reason.NOT_FOR_US

    def test_longer_than_any(self, sealed):
        aggregator = sealed.aggregator()
        before = snapshot(aggregator)
        for size in (sealed.header.packet_bytes + 1, 1 << 24):
            assert reason(lambda n=size: aggregator.receive_packet(bytes(n))) is Reason.MALFORMED
        assert snapshot(aggregator) == before
        assert receipt(aggregator, bytes(sealed.header.packet_bytes)).refused is Reason.NOT_FOR_US

    @pytest.mark.parametrize("extra", [1, 2])
    def test_longer_than_any_in_good_shards_does_not_hurt_the_relay(self, fed, extra):
        """Rows of shards round the length up: a byte or two fit that no packet may have."""
        base = fed.header().packet_bytes
        size = next(
            n for n in range(base, base + 3) if rs.shard_bytes(n, 3, 5) == rs.shard_bytes(n + 2, 3, 5)
        )
        header = fed.header(packet_bytes=size)
        aggregator = fed.aggregator(fed.sign(header))
        shards = rs.disperse(
            bytes(size + extra), 3, 5, header.shard_key, context=header.hash, packet_bytes=size + extra
        )
        for shard in shards:
            aggregator.receive_shard(shard, "an honest relay")
        assert aggregator.refused == {Reason.MALFORMED: 1}
        assert aggregator.process() == []

    def test_not_bytes(self, sealed):
        aggregator = sealed.aggregator()
        for thing in (None, "text", bytearray(5), memoryview(b"x"), 7, [b"x"]):
            for call in (aggregator.receive_packet, aggregator.receive_shard):
                with pytest.raises(TypeError):
                    call(thing)
        with pytest.raises(TypeError):
            aggregator.receive_shard(b"x", ["not hashable"])

    def test_after_close(self, sealed):
        aggregator = sealed.aggregator(sealed.packets[:5])
        aggregator.close()
        for call in (
            lambda: aggregator.receive_packet(sealed.packets[5]),
            lambda: aggregator.receive_shard(b"late"),
            aggregator.close,
        ):
            assert reason(call) is Reason.STATE
        assert len(aggregator.accepted) == 5

    def test_packets_wait_when_the_executor_or_the_store_fails(self, sealed):
        class Broken:
            def map(self, *args):
                raise RuntimeError("workers are gone")

        aggregator = sealed.aggregator([])
        aggregator._executor = Broken()
        for packet in sealed.packets:
            aggregator.receive_packet(packet)
        with pytest.raises(RuntimeError):
            aggregator.process()
        aggregator._executor = None

        accept, calls = aggregator._store.accept, []

        def failing(*args):
            calls.append(args)
            if len(calls) == 3:
                raise OSError("disk full")
            accept(*args)

        aggregator._store.accept = failing
        with pytest.raises(OSError, match="disk full"):
            aggregator.process()
        assert len(aggregator.accepted) == 2
        assert [r.refused for r in aggregator.process()] == [None] * 4
        finish(aggregator, sealed.members(), sealed.signed)
        assert np.array_equal(aggregator.opened_sum, sealed.sum_of(sealed.pids))


class TestStart:
    def test_needs_its_own_keys(self, fed, sealed):
        with pytest.raises(clsc.ParameterError):
            fed.aggregator(sealed.signed, keys=fed.other_aggregator_keys)
        with pytest.raises(clsc.ParameterError):
            fed.aggregator(sealed.signed, shard_key=rs.ShardKey.generate())

    def test_needs_a_quorum(self, fed):
        from sottovoce.fl import SignedHeader

        proposal = SignedHeader.propose(fed.header(), fed.aggregator_keys).to_bytes()
        assert reason(lambda: fed.aggregator(proposal)) is Reason.HEADER_SIGNATURE

    def test_needs_the_headers_revocation_list_and_parameters(self, fed, sealed):
        trust = fed.trust(revoked=[fed.pids[0]])
        assert reason(lambda: fed.aggregator(sealed.signed, trust=trust)) is Reason.POLICY
        unknown = fed.sign(fed.header(sender_params=bytes(32)))
        with pytest.raises(clsc.SenderError):
            fed.aggregator(unknown)

    def test_a_round_number_is_used_once(self, fed, sealed):
        """Attack: the same number for another header, after a look at what came in."""
        store = MemoryAggregatorStore()
        fed.aggregator(sealed.signed, store=store)
        other = fed.sign(fed.header(clip=0.25))
        assert reason(lambda: fed.aggregator(other, store=store)) is Reason.OTHER_HEADER
        fed.aggregator(fed.sign(fed.header(round_number=2)), store=store)


class TestCrash:
    def test_at_every_packet_counts_everything_once(self, sealed):
        store = MemoryAggregatorStore()
        for i in range(6):
            aggregator = sealed.aggregator([sealed.packets[i]], store=store)
            assert aggregator.accepted == tuple(sorted(sealed.pids[: i + 1]))
        aggregator = sealed.aggregator(store=store)  # everybody sends again
        assert aggregator._sum.count == 6
        assert not aggregator.refused
        finish(aggregator, sealed.members(), sealed.signed)
        assert np.array_equal(aggregator.opened_sum, sealed.sum_of(sealed.pids))

    def test_an_equivocator_is_still_one_after_a_crash(self, fed, sealed):
        store = MemoryAggregatorStore()
        sealed.aggregator(store=store)
        second = craft(fed, sealed.header, fed.client_keys[0])[0]
        aggregator = sealed.aggregator([], store=store)
        assert receipt(aggregator, second).refused is Reason.EQUIVOCATION

    def test_after_the_checks_the_same_set_is_asked_again(self, sealed):
        store, members = MemoryAggregatorStore(), sealed.members()
        first = sealed.aggregator(store=store)
        requests = first.close()
        early = members[1].answer(sealed.signed, requests[1])
        again = sealed.aggregator([], store=store)
        result = finish(again, members, sealed.signed)
        assert np.array_equal(again.opened_sum, sealed.sum_of(sealed.pids))
        assert members[1].answer(sealed.signed, requests[1]) == early
        assert len(result.member_signatures) == 5


def complain(fed, sealed, aggregator, j, pids):
    """A check reply of member ``j`` that names ``pids``, whatever is true."""
    plain = CheckReply(aggregator._agreed.root, tuple(sorted(pids))).to_bytes()
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


def answer_all(aggregator, members, sealed, final):
    for j, request in final.items():
        aggregator.receive_answer(j, members[j].answer(sealed.signed, request))
    return aggregator.open()


class TestSettle:
    """Committee of five: t = 4, f = 1."""

    def test_bad_share_to_one_member_goes_without_that_member(self, fed, sealed):
        packet, _ = craft(fed, sealed.header, fed.client_keys[7], bad_for=[2])
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
        packet, _ = craft(fed, sealed.header, fed.client_keys[7], bad_for=[2])
        aggregator, members, _ = closing(fed, sealed, [packet], absent=[5])
        final = aggregator.settle()
        assert sorted(final) == [1, 2, 3, 4]
        assert aggregator.accepted == tuple(sorted(sealed.pids))
        assert aggregator.refused == {Reason.BAD_SHARES: 1}
        answer_all(aggregator, members, sealed, final)
        assert np.array_equal(aggregator.opened_sum, sealed.sum_of(sealed.pids))

    @pytest.mark.parametrize("bad_for", [[1, 2], [2, 3, 4], [1, 2, 3, 4, 5]])
    def test_bad_shares_to_more_than_f_drop_the_client(self, fed, sealed, bad_for):
        packet, _ = craft(fed, sealed.header, fed.client_keys[7], bad_for=bad_for)
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
            craft(fed, sealed.header, fed.client_keys[7], bad_for=[1])[0],
            craft(fed, sealed.header, fed.client_keys[8], bad_for=[2])[0],
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
        assert sorted(final) == [1, 2, 3, 5]
        assert aggregator.accepted == tuple(sorted(sealed.pids[2:]))
        answer_all(aggregator, members, sealed, final)
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
        assert sorted(aggregator.settle()) == [1, 2, 3, 5]

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
        packets.append(craft(fed, header, fed.client_keys[4], bad_for=[1])[0])
        aggregator = fed.aggregator(signed)
        for packet in packets:
            aggregator.receive_packet(packet)
        requests = aggregator.close()
        members = {j: fed.member(j) for j in range(1, 8)}
        for j in range(1, 6):
            aggregator.receive_check(j, members[j].check(signed, requests[j]))
        complain(fed, None, aggregator, 7, fed.pids[:5])
        final = aggregator.settle()
        assert sorted(final) == [1, 2, 3, 4, 5]
        assert aggregator.accepted == tuple(sorted(fed.pids[:4]))
        for j in final:
            aggregator.receive_answer(j, members[j].answer(signed, final[j]))
        aggregator.open()

    @pytest.mark.parametrize(("bad_for", "kept"), [([1], True), ([1, 2], False)])
    def test_six_members_f_plus_one_complaints_convict_and_f_do_not(self, fed, bad_for, kept):
        """Committee of six (t = 4, f = 1): enough others agree in both cases."""
        header = fed.header(6)
        signed = fed.sign(header)
        aggregator = fed.aggregator(signed)
        for i in range(3):
            aggregator.receive_packet(craft(fed, header, fed.client_keys[i])[0])
        aggregator.receive_packet(craft(fed, header, fed.client_keys[3], bad_for=bad_for)[0])
        requests = aggregator.close()
        for j in range(1, 7):
            aggregator.receive_check(j, fed.member(j).check(signed, requests[j]))
        final = aggregator.settle()
        assert (fed.pids[3] in aggregator.accepted) == kept
        assert sorted(final) == ([2, 3, 4, 5, 6] if kept else [1, 2, 3, 4, 5, 6])

    def test_a_member_that_answers_unasked_does_not_stop_the_settling(self, fed, sealed):
        packet, _ = craft(fed, sealed.header, fed.client_keys[7], bad_for=[2])
        aggregator, members, requests = closing(fed, sealed, [packet], absent=[5])
        hasty = members[1].answer(sealed.signed, requests[1])
        assert reason(lambda: aggregator.receive_answer(1, hasty)) is Reason.STATE
        assert sorted(aggregator.settle()) == [1, 2, 3, 4]

    def test_only_once(self, fed, sealed):
        aggregator, members, requests = closing(fed, sealed)
        aggregator.settle()
        late = members[1].check(sealed.signed, requests[1])
        assert reason(aggregator.settle) is Reason.STATE
        assert reason(lambda: aggregator.receive_check(1, late)) is Reason.STATE

    def test_a_store_that_fails_leaves_everything_as_it_was(self, fed, sealed):
        packet, _ = craft(fed, sealed.header, fed.client_keys[7], bad_for=[1, 2])
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
        header, root = sealed.header, aggregator._agreed.root
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
        assert snapshot(aggregator) == before
        aggregator.receive_check(1, good)

    @pytest.mark.parametrize(
        "bad",
        [["x"], [b"short"], [b"b" * 16, b"a" * 16], [b"a" * 16, b"a" * 16], [bytearray(16), 1]],
        ids=str,
    )
    def test_complaints_must_be_pids_in_order(self, sealed, bad):
        import cbor2

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


def wrong_sum(fed, sealed, j, answer, count=None):
    """The answer with another share sum (or another count), the member's signature on the set as it was."""

    def change(plain):
        fields = split_exactly(plain, 5)
        data = bytearray(fields[4])
        if count is not None:
            data[:4] = count.to_bytes(4, "little")
        else:
            data[4:8] = ((int.from_bytes(data[4:8], "little") + 1) % (2**31 - 1)).to_bytes(4, "little")
        fields[4] = bytes(data)
        return enc(*fields)

    return lying_answer(fed, sealed.header, j, answer, change)


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


class TestErase:
    def test_an_opened_round_is_kept_until_the_audit_deadline(self, fed, sealed):
        now, store = [NOW], MemoryAggregatorStore()
        aggregator = sealed.aggregator(store=store, clock=lambda: now[0])
        finish(aggregator, sealed.members(), sealed.signed)
        now[0] = sealed.header.audit_deadline
        assert reason(aggregator.erase) is Reason.DEADLINE
        assert len(list(store.accepted(sealed.header.hash))) == 6
        now[0] += 1
        aggregator.erase()
        assert list(store.accepted(sealed.header.hash)) == []
        assert reason(aggregator.open) is Reason.STATE

    def test_a_round_given_up_is_over(self, fed, sealed):
        for close in (False, True):
            aggregator = sealed.aggregator()
            if close:
                aggregator.close()
            aggregator.erase()
            for call in (
                lambda a=aggregator: a.receive_packet(sealed.packets[0]),
                aggregator.close,
                aggregator.settle,
                aggregator.open,
            ):
                assert reason(call) is Reason.STATE


def test_a_client_that_was_dropped_can_see_it(fed, sealed):
    packet, update = craft(fed, sealed.header, fed.client_keys[7], bad_for=[1, 2])
    aggregator, members, _ = closing(fed, sealed, [packet])
    result = answer_all(aggregator, members, sealed, aggregator.settle())
    client = Client(fed.client_keys[7], fed.trust(), fed.policy(), clock=lambda: NOW)
    client.seal(sealed.signed, MODEL, update_of(7))
    assert not client.included(client.read_result(sealed.signed, aggregator.publish(result)))
    assert isinstance(update, Update)

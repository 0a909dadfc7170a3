"""The aggregator: counts each pseudonym once, settles complaints, and opens the exact sum or nothing."""

from dataclasses import replace

import numpy as np
import pytest

from sottovoce import clsc, rs
from sottovoce._ext.enc import enc
from sottovoce.fl import (
    MemoryAggregatorStore,
    ProtocolError,
    Reason,
    SignedHeader,
    State,
    revocation_digest,
)
from support.fl_federation import (
    NOW,
    craft,
    finish,
    snapshot,
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
        assert aggregator._collection.sum.count == 1

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
            def submit(self, *args):
                raise RuntimeError("workers are gone")

        aggregator = sealed.aggregator([])
        aggregator._collection._opener.executor = Broken()
        for packet in sealed.packets:
            aggregator.receive_packet(packet)
        with pytest.raises(RuntimeError):
            aggregator.process()
        aggregator._collection._opener.executor = None

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
        # One receipt a packet since the last call that returned: none of the two before is lost.
        assert [r.pid for r in aggregator.process()] == [*sealed.pids]
        finish(aggregator, sealed.members(), sealed.signed)
        assert np.array_equal(aggregator.opened_sum, sealed.sum_of(sealed.pids))


class TestStart:
    def test_needs_its_own_keys(self, fed, sealed):
        with pytest.raises(clsc.ParameterError):
            fed.aggregator(sealed.signed, keys=fed.other_aggregator_keys)
        with pytest.raises(clsc.ParameterError):
            fed.aggregator(sealed.signed, shard_key=rs.ShardKey.generate())

    def test_needs_a_quorum(self, fed):
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
        assert aggregator._collection.sum.count == 6
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
        assert again.state is State.CLOSING
        assert reason(again.close) is Reason.STATE
        asked = again.requests()
        for j, member in members.items():
            again.receive_check(j, member.check(sealed.signed, asked[j]))
        for j, request in again.settle().items():
            again.receive_answer(j, members[j].answer(sealed.signed, request))
        result = again.open()
        assert np.array_equal(again.opened_sum, sealed.sum_of(sealed.pids))
        assert members[1].answer(sealed.signed, requests[1]) == early
        assert len(result.member_signatures) == 5

    def test_after_the_deadline_only_to_erase(self, fed, sealed):
        store = MemoryAggregatorStore()
        first = sealed.aggregator(store=store)
        finish(first, sealed.members(), sealed.signed)
        again = fed.aggregator(sealed.signed, now=sealed.header.audit_deadline + 1, store=store)
        assert again.accepted == first.accepted
        assert again.state is State.DONE
        packet = sealed.packets[0]
        for call in (again.close, lambda: again.receive_packet(packet), lambda: again.receive_shard(packet)):
            assert reason(call) is Reason.STATE
        again.erase()
        assert list(store.accepted(sealed.header.hash)) == []
        assert again.state is State.ERASED
        last = fed.aggregator(sealed.signed, now=sealed.header.audit_deadline + 1, store=store)
        assert last.state is State.ERASED
        assert reason(last.requests) is Reason.STATE


class TestErase:
    def test_an_opened_round_is_kept_until_the_audit_deadline(self, fed, sealed):
        now, store = [NOW], MemoryAggregatorStore()
        aggregator = sealed.aggregator(store=store, clock=lambda: now[0])
        finish(aggregator, sealed.members(), sealed.signed)
        now[0] = sealed.header.audit_deadline
        assert reason(aggregator.erase) is Reason.AUDIT
        assert len(list(store.accepted(sealed.header.hash))) == 6
        now[0] += 1
        assert len(aggregator._settlement._answers) == 5
        aggregator.erase()
        assert list(store.accepted(sealed.header.hash)) == []
        assert reason(aggregator.open) is Reason.STATE
        # The answers together are the key of the sum: neither stays.
        assert aggregator._settlement._answers == {}
        assert aggregator._collection.sum.count == 0
        assert aggregator._collection.sum.digest == fed.aggregator(sealed.signed)._collection.sum.digest
        assert aggregator._collection._waiting == []

    def test_what_waits_is_forgotten_too(self, sealed):
        aggregator = sealed.aggregator(sealed.packets[:3])
        aggregator.receive_packet(sealed.packets[3])
        aggregator.erase()
        assert aggregator.process() == []
        assert list(aggregator._store.accepted(sealed.header.hash)) == []

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


class TestReceipts:
    def test_are_bounded_if_nobody_asks(self, fed):
        header = fed.header(max_contributors=3)
        aggregator = fed.aggregator(fed.sign(header))
        for i in range(3):
            aggregator.receive_packet(craft(fed, header, fed.client_keys[i])[0])
        for _ in range(3 * 32):
            aggregator.receive_packet(b"noise")
        assert len(aggregator._collection._receipts) == 4 * header.max_contributors
        receipts = aggregator.process()
        assert [r.refused for r in receipts] == [Reason.NOT_FOR_US] * 4 * header.max_contributors
        assert aggregator.process() == []
        # What is forgotten is only the receipt.
        assert aggregator.refused == {Reason.NOT_FOR_US: 96}
        assert aggregator.accepted == tuple(sorted(fed.pids[:3]))

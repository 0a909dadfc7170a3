"""Shards at the aggregator: work and memory are bounded, and the bounds do not stop honest clients."""

import secrets

import numpy as np
import pytest

from sottovoce import clsc, he, rs
from sottovoce.fl import ProtocolError, Reason, Sealed, collecting
from support.fl_federation import NOW, craft


def reason(call):
    with pytest.raises(ProtocolError) as caught:
        call()
    return caught.value.reason


class TestRelays:
    def test_a_relay_cannot_make_the_aggregator_open_without_end(self, fed, sealed):
        aggregator = sealed.aggregator([])
        header = aggregator.header
        limit = 1000 * header.shard_n * header.max_contributors
        noise = bytes(shard_size(header))
        aggregator._collection.shards._max_openings = 10  # the real limit takes too long to reach
        for _ in range(12):
            aggregator.receive_shard(noise, "greedy")
        assert aggregator.shard_stats["unopenable"] == 10
        assert aggregator.shard_stats["over_limit"] == 2
        for relay, shard in enumerate(sealed.clients[0].seal(sealed.signed, [], []).shards()):
            aggregator.receive_shard(shard, relay)
        assert [r.refused for r in aggregator.process()] == [None]
        assert sealed.aggregator([])._collection.shards._max_openings == limit

    def test_random_shards_do_not_stop_honest_ones_of_the_same_relays(self, fed):
        """Attack: whoever reaches the relays sends them ten times what the federation would."""
        header = fed.header(max_contributors=3)
        aggregator = fed.aggregator(fed.sign(header))
        size = shard_size(header)
        for relay in range(header.shard_n):
            for _ in range(10 * header.shard_n * header.max_contributors):
                aggregator.receive_shard(secrets.token_bytes(size), relay)
        assert aggregator.shard_stats["unopenable"] == 750
        for i in range(3):
            packet = craft(fed, header, fed.client_keys[i])[0]
            for relay, shard in enumerate(Sealed(header, packet).shards()):
                aggregator.receive_shard(shard, relay)
        assert [r.refused for r in aggregator.process()] == [None] * 3
        assert aggregator.accepted == tuple(sorted(fed.pids[:3]))
        assert aggregator.shard_stats["over_limit"] == 0


def shard_size(header):
    return rs.shard_bytes(header.packet_bytes, header.shard_k, header.shard_n)


def relay_by_relay(aggregator, n):
    """``n`` packets of strangers, all shards of one relay before those of the next."""
    header = aggregator.header
    packets = [secrets.token_bytes(header.packet_bytes) for _ in range(n)]
    shards = [Sealed(header, packet).shards() for packet in packets]
    for relay in range(header.shard_n):
        for of_packet in shards:
            aggregator.receive_shard(of_packet[relay], relay)
    aggregator.process()
    return aggregator.shard_stats


class TestShardMemory:
    N = 30

    @pytest.fixture
    def signed(self, fed):
        return fed.sign(fed.header(max_contributors=self.N))

    @pytest.mark.parametrize(
        ("parameters", "contributors", "expected"),
        [
            (100, 64, 1 << 28),  # little: the least
            (1_000_000, 200, None),  # what all of them together need
            (1_000_000, 4096, 1 << 32),  # the most
        ],
    )
    def test_follows_the_header(self, fed, parameters, contributors, expected):
        layout = he.ModelLayout.of([np.zeros(parameters, np.float32)])
        header = fed.header(layout=layout, max_contributors=contributors)
        bound = fed.aggregator(fed.sign(header))._collection.shards._max_bytes
        all_shards = contributors * header.shard_k * shard_size(header)
        if expected is None:
            assert 1 << 28 < all_shards <= bound <= 1.01 * all_shards < 1 << 32
        else:
            assert bound == expected
            assert (all_shards < bound) == (expected == 1 << 28)

    def test_is_enough_for_a_whole_federation_that_arrives_relay_by_relay(self, fed, signed, monkeypatch):
        monkeypatch.setattr(collecting, "SHARD_MEMORY_BYTES", (1, 1 << 32))
        aggregator = fed.aggregator(signed)
        assert aggregator._collection.shards._max_bytes < 1.5 * self.N * aggregator.header.packet_bytes
        stats = relay_by_relay(aggregator, self.N)
        assert (stats["packets"], stats["evicted"]) == (self.N, 0)

    def test_is_eight_groups_at_least(self, fed, signed, monkeypatch):
        monkeypatch.setattr(collecting, "SHARD_MEMORY_BYTES", (1, 1))
        stats = relay_by_relay(fed.aggregator(signed), 8)
        assert (stats["packets"], stats["evicted"]) == (8, 0)
        assert relay_by_relay(fed.aggregator(signed), self.N)["evicted"] > 0

    def test_can_be_said(self, fed, signed):
        header = fed.aggregator(signed).header
        room = 8 * header.shard_k * (shard_size(header) + 2048)
        aggregator = fed.aggregator(signed, shard_memory_bytes=room)
        stats = relay_by_relay(aggregator, self.N)
        assert stats["evicted"] > 0
        assert stats["packets"] < self.N
        assert stats["pending_bytes"] <= room
        assert relay_by_relay(fed.aggregator(signed, shard_memory_bytes=10 * room), self.N)["evicted"] == 0

    @pytest.mark.parametrize("room", [0, -1, 1000])
    def test_no_group_would_fit(self, fed, signed, room):
        with pytest.raises(clsc.ParameterError):
            fed.aggregator(signed, shard_memory_bytes=room)

    @pytest.mark.parametrize("room", [True, 1e9, "1 GiB"])
    def test_is_an_integer(self, fed, signed, room):
        with pytest.raises(TypeError):
            fed.aggregator(signed, shard_memory_bytes=room)

    @pytest.mark.parametrize("ahead", [10, 3600, 80_000])
    def test_no_group_is_given_up_before_the_round_is(self, fed, ahead):
        header = fed.header(deadline=NOW + ahead, audit_deadline=NOW + ahead)
        now = [NOW]
        aggregator = fed.aggregator(fed.sign(header), clock=lambda: now[0])
        aggregator._collection.shards._clock = lambda: now[0] - NOW
        packet = craft(fed, header, fed.client_keys[0])[0]
        first, second = (Sealed(header, packet).shards() for _ in range(2))
        for shard in (*first[:2], *second[:2]):
            aggregator.receive_shard(shard)
        now[0] = header.deadline + 120  # the last moment that still counts
        aggregator.receive_shard(first[2])
        assert [r.refused for r in aggregator.process()] == [None]
        assert aggregator.shard_stats["expired"] == 0
        now[0] += 130
        assert reason(lambda: aggregator.receive_shard(second[2])) is Reason.DEADLINE
        # Nor is it kept for longer than that.
        assert aggregator._collection.shards.add(second[2], "late") is None
        assert aggregator.shard_stats["expired"] == 1

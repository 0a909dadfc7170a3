"""``Collector``: packets out at the k-th shard, and three bounds that hold against a flood."""

import os
import threading

import pytest

from sottovoce.rs import Collector, ShardKey, disperse, shard_bytes
from support import rs_twin

KEY = ShardKey.generate()
K, N, SIZE = 3, 5, 64


class Clock:
    def __init__(self):
        self.now = 1000.0

    def __call__(self):
        return self.now


def packet(tag=b""):
    return tag + os.urandom(20)


def shards_of(p, k=K, n=N):
    return disperse(p, k, n, KEY.public_key, context=b"c", packet_bytes=SIZE)


def collector(**options):
    return Collector(KEY, context=b"c", **options)


def counts(c):
    return {k: v for k, v in c.stats.items() if v}


def reseal(bodies):
    return [rs_twin.hpke_seal(os.urandom(32), KEY.public_key, rs_twin.info_of(b"c"), b) for b in bodies]


def opened(shards):
    return [rs_twin.hpke_open(KEY.to_bytes(), rs_twin.info_of(b"c"), s) for s in shards]


SHARD_KINDS = {
    "accepted",
    "duplicate",
    "late",
    "wrong_size",
    "over_limit",
    "unopenable",
    "malformed",
    "wrong_shape",
    "contradicting",
}
COST = 2048 + 59 + 38  # a shard of ours in the accounting: overhead, header, piece ceil((64 + 48) / 3)
GROUP = 1024


def test_packet_comes_out_at_the_kth_shard_and_once():
    c, p = collector(), packet()
    shards = shards_of(p)
    assert [c.add(s) for s in shards] == [None, None, p, None, None]
    assert [c.add(s) for s in shards] == [None] * 5
    assert counts(c) == {"received": 10, "accepted": 3, "packets": 1, "late": 7}


def test_order_and_sources_do_not_matter():
    c, p = collector(), packet()
    shards = shards_of(p)
    assert [c.add(shards[i], source=f"relay {i}") for i in (4, 1, 3)] == [None, None, p]
    assert c.stats["pending_bytes"] == c.stats["pending_groups"] == 0


def test_duplicates_count_once_and_cost_nothing():
    c = collector()
    shard = shards_of(packet())[0]
    c.add(shard)
    held = c.stats["pending_bytes"]
    assert held == COST + GROUP
    for _ in range(50):
        assert c.add(shard) is None
    assert c.stats["pending_bytes"] == held
    assert c.stats["duplicate"] == 50


def test_received_is_the_sum_of_what_became_of_shards():
    c, p = collector(k=3, n=5), packet()
    shards = shards_of(p)
    bodies = opened(shards_of(packet()))
    flipped = bodies[0][:-1] + bytes([bodies[0][-1] ^ 1])
    for s in [
        *shards,
        shards[0],
        b"short",
        os.urandom(200),
        *reseal([b"x" * 80, bodies[0], bodies[0], flipped, bodies[1]]),
        *shards_of(packet(), 2, 5)[:1],
    ]:
        c.add(s)
    got = counts(c)
    assert got == {
        "received": 14,
        "accepted": 4,
        "duplicate": 1,
        "late": 4,  # two after the packet, a copy after it, and one of the closed group
        "wrong_size": 1,
        "unopenable": 1,
        "malformed": 1,
        "wrong_shape": 1,
        "contradicting": 1,
        "packets": 1,
        "inconsistent": 1,
    }
    assert got["received"] == sum(v for kind, v in got.items() if kind in SHARD_KINDS)


@pytest.mark.parametrize("options", [{"k": 2}, {"n": 6}, {"k": 2, "n": 6}])
def test_another_shape_than_asked_for_is_refused(options):
    c = collector(**options)
    c.add(shards_of(packet())[0])
    assert counts(c) == {"received": 1, "wrong_shape": 1}


def test_another_length_than_asked_for_is_refused_unopened():
    c = collector(shard_bytes=shard_bytes(SIZE, K, N))
    assert c.add(shards_of(packet())[0]) is None
    c.add(disperse(b"x", K, N, KEY.public_key, context=b"c", packet_bytes=SIZE + 3)[0])
    c.add(bytes(107))
    assert counts(c) == {
        "received": 3,
        "accepted": 1,
        "wrong_size": 2,
        "pending_groups": 1,
        "pending_bytes": COST + GROUP,
    }


# -- senders at fault --------------------------------------------------------------------------------


@pytest.mark.parametrize("at", [27, 59], ids=["key share", "piece"])
def test_a_bad_shard_among_the_first_k_gives_nothing_ever(at):
    c = collector()
    bodies = opened(shards_of(packet()))
    bodies[1] = bodies[1][:at] + bytes([bodies[1][at] ^ 1]) + bodies[1][at + 1 :]
    assert [c.add(s) for s in reseal(bodies)] == [None] * 5
    assert counts(c) == {"received": 5, "accepted": 3, "inconsistent": 1, "late": 2}


@pytest.mark.parametrize("at", [27, 59], ids=["key share", "piece"])
def test_a_bad_shard_after_the_packet_is_counted(at):
    c, p = collector(), packet()
    bodies = opened(shards_of(p))
    bodies[4] = bodies[4][:at] + bytes([bodies[4][at] ^ 1]) + bodies[4][at + 1 :]
    assert [c.add(s) for s in reseal(bodies)] == [None, None, p, None, None]
    assert counts(c) == {
        "received": 5,
        "accepted": 3,
        "packets": 1,
        "late": 1,
        "contradicting": 1,
        "inconsistent": 1,
    }


def test_two_versions_of_one_shard_close_the_group():
    c = collector()
    bodies = opened(shards_of(packet()))
    other = bodies[0][:-1] + bytes([bodies[0][-1] ^ 1])
    assert [c.add(s) for s in reseal([bodies[0], other, *bodies[1:]])] == [None] * 6
    assert counts(c) == {"received": 6, "accepted": 1, "contradicting": 1, "inconsistent": 1, "late": 4}


def test_a_stranger_cannot_touch_a_group():
    # Without the group id all that a stranger can seal is a group of its own.
    c, p = collector(), packet()
    shards, foreign = shards_of(p), shards_of(packet())
    assert [c.add(s) for s in (shards[0], foreign[0], shards[1], foreign[1], shards[2])][-1] == p


# -- bounds ------------------------------------------------------------------------------------------


def test_age_counts_from_the_first_shard():
    clock = Clock()
    c = collector(clock=clock, group_timeout_s=10)
    shards = shards_of(packet())
    c.add(shards[0])
    clock.now += 9
    c.add(shards[1])  # a drip must not keep a group alive
    clock.now += 1
    assert c.add(shards[2]) is None
    assert c.stats["expired"] == 1
    assert c.stats["pending_groups"] == 1  # the third shard began anew
    assert c.stats["pending_bytes"] == COST + GROUP


def test_group_within_its_time_is_kept():
    clock, p = Clock(), packet()
    c = collector(clock=clock, group_timeout_s=10)
    shards = shards_of(p)
    c.add(shards[0])
    c.add(shards[1])
    clock.now += 9.9
    assert c.add(shards[2]) == p


def test_finished_groups_are_forgotten_after_the_timeout():
    clock, p = Clock(), packet()
    c = collector(clock=clock, group_timeout_s=10)
    shards = shards_of(p)
    for s in shards[:3]:
        c.add(s)
    clock.now += 10
    assert [c.add(s) for s in shards[:3]][-1] == p  # as documented: once for as long as remembered


def test_a_clock_that_goes_back_does_no_harm():
    clock, p = Clock(), packet()
    c = collector(clock=clock, group_timeout_s=10)
    shards = shards_of(p)
    c.add(shards[0])
    clock.now -= 500
    assert [c.add(s) for s in shards[1:3]][-1] == p


def test_number_of_groups_is_bounded_and_the_oldest_goes():
    c = collector(max_groups=4)
    groups = [(p, shards_of(p)) for p in (packet() for _ in range(6))]
    for _, shards in groups:
        c.add(shards[0])
    assert c.stats["pending_groups"] == 4
    assert c.stats["evicted"] == 2
    for p, shards in groups[2:]:
        assert [c.add(s) for s in shards[1:3]][-1] == p
    p, shards = groups[0]
    assert [c.add(s) for s in shards[1:3]] == [None, None]  # the first shard is gone
    assert c.add(shards[0]) == p  # and can be sent again


def test_bytes_are_bounded():
    limit = 5 * (COST + GROUP)
    c = collector(max_bytes=limit)
    for _ in range(20):
        c.add(shards_of(packet())[0])
        assert c.stats["pending_bytes"] <= limit
    assert c.stats["pending_groups"] == 5
    assert c.stats["evicted"] == 15


def test_a_shard_larger_than_all_memory_is_refused_and_evicts_nobody():
    c = collector(max_bytes=4 * (COST + GROUP))
    c.add(shards_of(packet())[0])
    big = disperse(bytes(4 * (COST + GROUP) - 2500), 1, 1, KEY.public_key, context=b"c")[0]
    assert c.add(big) is None
    assert counts(c) == {
        "received": 2,
        "accepted": 1,
        "wrong_size": 1,
        "pending_groups": 1,
        "pending_bytes": COST + GROUP,
    }


def test_the_greediest_source_pays():
    # An honest relay brings one shard early; a greedy one floods; the honest group survives.
    c, p = collector(max_groups=8), packet()
    shards = shards_of(p)
    c.add(shards[0], source="honest")
    for _ in range(40):
        c.add(shards_of(packet())[0], source="greedy")
    assert c.stats["evicted"] == 33
    assert [c.add(s, source="honest") for s in shards[1:3]][-1] == p


def test_a_flood_does_not_evict_a_group_that_another_source_feeds_too():
    # The flooding relay also delivers its share of an honest packet, and that group is its oldest.
    c, p = collector(max_groups=8), packet()
    shards = shards_of(p)
    c.add(shards[0], source="greedy")
    c.add(shards[1], source="honest")
    for _ in range(40):
        c.add(shards_of(packet())[0], source="greedy")
    assert c.add(shards[2], source="other") == p


def test_a_flood_by_bytes_pays_too():
    c, p = collector(max_bytes=30 * (COST + GROUP)), packet()
    shards = shards_of(p)
    c.add(shards[0], source="honest")
    for _ in range(12):
        big = disperse(packet(), 2, 3, KEY.public_key, context=b"c", packet_bytes=20_000)
        c.add(big[0], source="greedy")
        assert c.stats["pending_bytes"] <= 30 * (COST + GROUP)
    assert c.stats["evicted"] > 0
    assert [c.add(s, source="honest") for s in shards[1:3]][-1] == p


def test_when_all_groups_of_the_greediest_are_shared_its_oldest_goes():
    c = collector(max_groups=3)
    groups = [(p, shards_of(p)) for p in (packet() for _ in range(4))]
    for _, shards in groups[:3]:
        c.add(shards[0], source="a")
        c.add(shards[1], source="b")
        c.add(shards[1], source="a")  # a duplicate is not charged
    c.add(groups[3][1][0], source="late")
    assert c.stats["evicted"] == 1
    assert c.add(groups[0][1][2], source="late") is None
    assert c.add(groups[2][1][2], source="late") == groups[2][0]


def test_accounts_are_empty_when_nothing_is_pending():
    clock = Clock()
    c = collector(clock=clock, group_timeout_s=5, max_groups=3)
    for i in range(10):
        shards = shards_of(packet())
        for s in shards[: i % 4 + 1]:
            c.add(s, source=i % 3)
    clock.now += 5
    c.add(b"")
    assert c.stats["pending_groups"] == c.stats["pending_bytes"] == 0
    assert c._accounts.sources == {}
    assert not c._finished


def test_memory_of_finished_groups_is_bounded():
    c = collector(max_groups=3)
    for _ in range(7):
        for s in shards_of(packet())[:3]:
            c.add(s)
    assert c.stats["packets"] == 7
    assert len(c._finished) == 3


# -- the rest ----------------------------------------------------------------------------------------


def test_threads_may_share_one():
    c = collector()
    packets = [packet() for _ in range(12)]
    work = [s for p in packets for s in shards_of(p)]
    out, lock = [], threading.Lock()

    def run(part):
        for s in part:
            got = c.add(s, source=threading.get_ident())
            if got is not None:
                with lock:
                    out.append(got)

    threads = [threading.Thread(target=run, args=(work[i::4],)) for i in range(4)]
    for t in threads:
        t.start()
    for t in threads:
        t.join(timeout=30)
    assert sorted(out) == sorted(packets)
    assert c.stats["received"] == 60
    assert c.stats["accepted"] + c.stats["late"] == 60


def test_stats_are_a_copy():
    c = collector()
    c.stats["received"] = 99
    assert c.stats["received"] == 0

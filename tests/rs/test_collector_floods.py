"""``Collector`` under floods: who pays, what it costs, and how many shards of one source are opened."""

import threading
import time
from itertools import count

import pytest

from sottovoce.rs import Collector, ShardKey, collector, disperse
from sottovoce.rs.accounts import Accounts

KEY = ShardKey.generate()


def sent(packet, k, n, size=64):
    return disperse(packet, k, n, KEY.public_key, packet_bytes=size)


def counts(c):
    return {kind: number for kind, number in c.stats.items() if number}


def test_a_flood_of_tiny_shards_pays_by_groups_not_by_bytes():
    # Honest relays hold more bytes, the flooding one more groups: the bound on groups is its own affair.
    c = Collector(KEY, max_groups=32)
    packets = [bytes([i]) * 200_000 for i in range(3)]
    honest = [sent(p, 3, 5, 200_000) for p in packets]
    for shards in honest:
        c.add(shards[0], "B")
        c.add(shards[1], "C")
    for _ in range(60):
        c.add(sent(b"", 2, 2, 0)[0], "A")
    assert c.stats["evicted"] == 31
    assert [c.add(shards[2], "D") for shards in honest] == packets


def test_a_flood_of_long_shards_pays_by_bytes_not_by_groups():
    c = Collector(KEY, max_bytes=200_000)
    honest = [sent(bytes([i]), 3, 5) for i in range(12)]
    for shards in honest:
        c.add(shards[0], "B")
        c.add(shards[1], "C")
    for _ in range(20):
        c.add(sent(b"", 2, 2, 50_000)[0], "A")
    assert c.stats["evicted"] > 10
    assert [c.add(shards[2], "D") for shards in honest] == [bytes([i]) for i in range(12)]


def test_the_victim_is_always_that_of_a_plain_search():
    import random

    rng = random.Random(5)
    accounts, groups, serial = Accounts(), {}, count()
    for step in range(4000):
        if groups and rng.random() < 0.45:
            if rng.random() < 0.7:
                which = rng.random() < 0.5
                victim = accounts.victim(by_groups=which)
                fed = {s: [g for g, p in groups.items() if s in p] for p in groups.values() for s in p}
                held = {s: len(f) if which else sum(groups[g][s] for g in f) for s, f in fed.items()}
                greediest = [s for s, h in held.items() if h == max(held.values())]
                choices = []
                for s in greediest:
                    alone = [g for g in fed[s] if len(groups[g]) == 1]
                    choices += alone[:1] or fed[s]
                assert victim in choices
            else:
                victim = rng.choice(list(groups))
            accounts.release(victim, groups.pop(victim))
        else:
            fresh = not groups or rng.random() < 0.5
            group = (next(serial),) if fresh else rng.choice(list(groups))
            payers = groups.setdefault(group, {})
            accounts.charge(group, payers, rng.randrange(12), rng.randrange(1, 4) * 1000)
        assert accounts.total == sum(sum(p.values()) for p in groups.values())
        if step % 50 == 0:
            bound = 2 * len(accounts.sources) + 65
            assert all(len(heap) <= bound for heap in accounts._rankings)
    for group, payers in list(groups.items()):
        accounts.release(group, payers)
    assert (accounts.sources, accounts.total) == ({}, 0)


def test_of_shared_groups_the_one_shared_for_longest_goes():
    accounts, payers = Accounts(), {}
    for group in "xyz":
        payers[group] = {}
        accounts.charge(group, payers[group], "a", 10)
    for group in "yxz":
        accounts.charge(group, payers[group], "b", 10)
    for want in "yxz":
        assert accounts.victim(by_groups=True) == want
        accounts.release(want, payers[want])


def test_an_eviction_does_not_get_dearer_with_the_number_of_sources():
    # A search through all sources takes 30 times as long at the larger size; the machine may be noisy.
    def seconds(sources):
        accounts, groups = Accounts(), {}
        for i in range(sources):
            groups[i] = {}
            accounts.charge(i, groups[i], i, 1000 + i % 7)
        best = float("inf")
        for _ in range(5):
            start = time.perf_counter()
            for _ in range(200):
                victim = accounts.victim(by_groups=False)
                accounts.release(victim, groups[victim])
                groups[victim] = {}
                accounts.charge(victim, groups[victim], victim, 1000)
            best = min(best, time.perf_counter() - start)
        return best

    assert seconds(30_000) < 8 * seconds(1000)


@pytest.fixture
def opened(monkeypatch):
    """Shards whose seal was tried."""
    inner, tried = collector.open_shard, []
    monkeypatch.setattr(
        collector, "open_shard", lambda shard, *rest: tried.append(shard) or inner(shard, *rest)
    )
    return tried


def test_openings_of_one_source_are_bounded(opened):
    c, shards = Collector(KEY, max_openings_per_source=10), sent(b"p", 2, 3)
    for i in range(50):
        assert c.add(bytes([i]) * 200, "greedy") is None
    assert len(opened) == 10
    assert c.add(shards[0], "greedy") is None  # a good one comes too late as well
    assert counts(c) == {"received": 51, "unopenable": 10, "over_limit": 41}
    assert [c.add(s, "honest") for s in shards[:2]] == [None, b"p"]


def test_good_shards_count_as_openings_and_those_of_wrong_size_do_not(opened):
    c, shards = Collector(KEY, max_openings_per_source=2, k=2, n=3), sent(b"p", 2, 3)
    for _ in range(20):
        c.add(b"too short")
    assert [c.add(s) for s in shards] == [None, b"p", None]
    assert opened == shards[:2]
    assert counts(c) == {"received": 23, "wrong_size": 20, "accepted": 2, "packets": 1, "over_limit": 1}


def test_without_the_bound_nothing_is_counted():
    c = Collector(KEY)
    for i in range(100):
        c.add(bytes(200), i % 3)
    assert c.stats["unopenable"] == 100
    assert c.stats["over_limit"] == 0
    assert not c._openings


def test_the_number_of_counted_sources_is_bounded_and_the_longest_silent_goes(monkeypatch):
    monkeypatch.setattr(collector, "_MAX_COUNTED_SOURCES", 4)
    c = Collector(KEY, max_openings_per_source=1)
    for name in "abcd":
        c.add(bytes(200), name)
    assert c.stats["over_limit"] == 0
    for i in range(40):  # keeps sending, so it is not forgotten, whoever else comes
        c.add(bytes(200), "a")
        c.add(bytes(200), i)
        assert len(c._openings) <= 4
    assert c.stats["over_limit"] == 40
    c.add(bytes(200), "b")  # was forgotten
    assert c.stats["over_limit"] == 40


def test_threads_of_one_source_share_its_openings(opened):
    c = Collector(KEY, max_openings_per_source=40)
    threads = [
        threading.Thread(target=lambda: [c.add(bytes(200), "one") for _ in range(25)]) for _ in range(4)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)
    assert len(opened) == 40
    assert counts(c) == {"received": 100, "unopenable": 40, "over_limit": 60}

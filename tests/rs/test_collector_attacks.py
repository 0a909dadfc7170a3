"""``Collector`` and ``gather`` against people who spend little to cost much."""

import threading
import tracemalloc
from itertools import count

import pytest

from sottovoce.rs import Collector, ShardKey, TooManyErasures, collector, dispersal, disperse, gather
from support import rs_twin

KEY = ShardKey.generate()


INFO = rs_twin.info_of(b"")


SEEDS = count(1)


MIB = 1 << 20


def seal(body):
    return rs_twin.hpke_seal(next(SEEDS).to_bytes(32, "big"), KEY.public_key, INFO, body)


def replicated(size, n):
    """What a stranger sends: one shard of k = 1, which is a whole packet, of a code with many others."""
    seed = next(SEEDS).to_bytes(32, "big")
    [body] = rs_twin.bodies(b"", 1, 1, size - 48, group_id=seed[16:], key=seed, randomness=b"")
    return body[:16] + bytes([0, 1, n]) + body[19:]


def sent(packet, k, n, size=64):
    return disperse(packet, k, n, KEY.public_key, packet_bytes=size)


def counts(c):
    return {kind: number for kind, number in c.stats.items() if number}


@pytest.fixture
def coded(monkeypatch):
    """Bytes of parity that were computed."""
    written = []

    class Watch:
        @staticmethod
        def multiply(matrix, inputs, outputs):
            written.append(sum(len(row) for row in outputs))
            dispersal_gf256.multiply(matrix, inputs, outputs)

    dispersal_gf256 = dispersal.gf256
    monkeypatch.setattr(dispersal, "gf256", Watch)
    return written


def peak_of(work):
    tracemalloc.start()
    try:
        work()
        return tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()


def test_memory_of_a_decoding_does_not_grow_with_n():
    shard = seal(replicated(4 * MIB, 255))
    c = Collector(KEY)
    assert peak_of(lambda: c.add(shard)) < 5 * 4 * MIB + 3 * MIB
    assert c.stats["packets"] == 1
    assert peak_of(lambda: gather([shard], KEY)) < 5 * 4 * MIB + 3 * MIB


def test_work_of_a_decoding_is_a_small_multiple_of_what_came(coded):
    body = replicated(MIB, 255)
    assert Collector(KEY).add(seal(body)) == b""
    assert sum(coded) == 7 * MIB  # eight shards are compared, one of them is the data


def test_gather_codes_only_what_it_holds(coded):
    shards = sent(b"x" * 3000, 3, 200, 3000)
    assert gather(shards[:3], KEY) == [b"x" * 3000]
    assert sum(coded) == 0
    assert gather([*shards[:3], shards[7], shards[199]], KEY) == [b"x" * 3000]
    assert sum(coded) == 2 * 1016


@pytest.mark.parametrize(("k", "n", "size"), [(3, 24, 400_000), (1, 255, 200), (100, 255, 200_000)])
def test_codes_of_usual_rates_and_small_shards_are_compared_as_a_whole(k, n, size):
    bodies = [rs_twin.hpke_open(KEY.to_bytes(), INFO, s) for s in sent(b"x", k, n, size)]
    for late in {k, (k + n) // 2, n - 1} - {k - 1}:
        c = Collector(KEY)
        assert [c.add(seal(b)) for b in bodies[:k]][-1] == b"x"
        assert c.add(seal(bodies[late])) is None
        assert (c.stats["late"], c.stats["contradicting"]) == (1, 0)
        for at in (27, -1):
            c = Collector(KEY)
            wrong = bytearray(bodies[late])
            wrong[at] ^= 1
            for body in [*bodies[:k], wrong]:
                c.add(seal(bytes(body)))
            assert (c.stats["late"], c.stats["contradicting"], c.stats["inconsistent"]) == (0, 1, 1)


def test_parity_is_compared_in_every_block_of_columns(monkeypatch):
    # Blocks of 100 columns and a last one of 34: a wrong byte is found wherever it is.
    monkeypatch.setattr(dispersal, "_SCRATCH_BYTES", 300)
    bodies = [rs_twin.hpke_open(KEY.to_bytes(), INFO, s) for s in sent(b"x", 2, 5, 1620)]
    assert len(bodies[0]) == 59 + 834
    assert gather([seal(b) for b in bodies], KEY) == [b"x"]
    for index in (2, 4):
        for at in (0, 99, 100, 450, 799, 800, 833):
            wrong = bytearray(bodies[index])
            wrong[59 + at] ^= 1
            with pytest.raises(TooManyErasures):
                gather([seal(bytes(wrong) if i == index else b) for i, b in enumerate(bodies)], KEY)
            c = Collector(KEY)
            for body in (*bodies[:2], bytes(wrong)):
                c.add(seal(body))
            assert c.stats["contradicting"] == 1
            assert c.add(seal(bodies[3])) is None  # the group is closed


def test_beyond_eight_times_k_late_shards_are_counted_but_not_compared():
    body = replicated(MIB, 255)
    for index, kind in ((7, "contradicting"), (8, "late")):
        c = Collector(KEY)
        assert c.add(seal(body)) == b""
        # Not what the packet re-encodes to: the data itself, under the index of a parity shard.
        assert c.add(seal(body[:16] + bytes([index]) + body[17:])) is None
        assert c.stats[kind] == 1


def test_a_group_larger_than_all_memory_is_refused_and_evicts_nobody():
    c = Collector(KEY, max_bytes=100_000)
    honest = sent(b"honest", 2, 3)
    c.add(honest[0])
    before = c.stats["pending_bytes"]
    for shard in sent(b"", 20, 30, 20 * 4000):
        assert c.add(shard) is None
    assert counts(c) == {
        "received": 31,
        "accepted": 1,
        "wrong_size": 30,
        "pending_groups": 1,
        "pending_bytes": before,
    }
    assert c.add(honest[1]) == b"honest"


def test_the_largest_group_that_fits_comes_out():
    k, n, size = 20, 30, 20 * 1000 - 48
    limit = k * (2048 + 59 + 1000) + 1024
    shards = sent(b"x" * size, k, n, size)
    c = Collector(KEY, max_bytes=limit, k=k, n=n, shard_bytes=len(shards[0]))
    assert [c.add(s) for s in shards[:k]][-1] == b"x" * size
    c = Collector(KEY, max_bytes=limit - 1)
    assert [c.add(s) for s in shards[:k]] == [None] * k
    assert c.stats["wrong_size"] == k


class Gate:
    """A decoding that waits, and then fails or goes on."""

    def __init__(self, monkeypatch, failure=None):
        self.reached, self.open = threading.Event(), threading.Event()
        self.failure, self.inner, self.out = failure, collector.decode_group, []
        monkeypatch.setattr(collector, "decode_group", self)

    def __call__(self, bodies):
        self.reached.set()
        assert self.open.wait(20)
        if self.failure is not None:
            raise self.failure
        return self.inner(bodies)

    def run(self, c, shard):
        thread = threading.Thread(target=lambda: self.out.append(c.add(shard)))
        thread.start()
        assert self.reached.wait(20)
        return thread

    def finish(self, thread):
        self.open.set()
        thread.join(20)
        assert not thread.is_alive()
        return self.out


def test_others_are_served_while_a_packet_is_decoded(monkeypatch):
    c, shards, others = Collector(KEY), sent(b"first", 2, 5), sent(b"second", 2, 5)
    c.add(shards[0])
    gate = Gate(monkeypatch)
    thread = gate.run(c, shards[1])
    done = []
    other = threading.Thread(target=lambda: done.append((c.add(others[0]), c.add(b"noise"), c.stats)))
    other.start()
    other.join(10)
    assert done, "add waits for the decoding of another group"
    assert done[0][2]["pending_groups"] == 1
    assert gate.finish(thread) == [b"first"]
    assert c.add(others[1]) == b"second"


def test_shards_that_come_during_the_decoding_are_late_and_compared_after_it(monkeypatch):
    c, shards = Collector(KEY), sent(b"first", 2, 5)
    c.add(shards[0])
    gate = Gate(monkeypatch)
    thread = gate.run(c, shards[1])
    assert [c.add(s) for s in (shards[0], shards[4], shards[4])] == [None] * 3
    assert gate.finish(thread) == [b"first"]
    assert counts(c) == {"received": 5, "accepted": 2, "late": 3, "packets": 1}


@pytest.mark.parametrize("index", [1, 4], ids=["one in use", "another"])
@pytest.mark.parametrize("honest_too", [False, True], ids=["wrong one", "two versions"])
def test_a_contradiction_during_the_decoding_stops_the_packet(monkeypatch, index, honest_too):
    c, shards = Collector(KEY), sent(b"first", 2, 5)
    wrong = bytearray(rs_twin.hpke_open(KEY.to_bytes(), INFO, shards[index]))
    wrong[-1] ^= 1
    c.add(shards[0])
    gate = Gate(monkeypatch)
    thread = gate.run(c, shards[1])
    if honest_too:
        assert c.add(shards[index]) is None
    assert c.add(seal(bytes(wrong))) is None
    assert gate.finish(thread) == [None]
    assert c.add(shards[3]) is None
    assert counts(c) == {
        "received": 4 + honest_too,
        "accepted": 2,
        "contradicting": 1,
        "inconsistent": 1,
        "late": 1 + honest_too,
    }


@pytest.mark.parametrize("failure", [MemoryError(), KeyboardInterrupt()], ids=["memory", "interrupt"])
@pytest.mark.parametrize("step", ["decode_group", "digests"])
def test_a_decoding_that_fails_leaves_nothing_behind(monkeypatch, failure, step):
    c, shards = Collector(KEY), sent(b"first", 2, 5)

    def fail(*_):
        raise failure

    with monkeypatch.context() as m:
        m.setattr(*((collector, step) if step == "decode_group" else (dispersal.Decoded, step)), fail)
        c.add(shards[0], "a")
        with pytest.raises(type(failure)):
            c.add(shards[1], "b")
    assert counts(c) == {"received": 2, "accepted": 2, "evicted": 1}
    assert c._accounts.sources == {}
    assert not c._finished
    assert [c.add(s) for s in shards[:2]] == [None, b"first"]  # and may be sent again


def test_a_group_forgotten_while_it_is_decoded_still_gives_its_packet(monkeypatch):
    c, shards, others = Collector(KEY, max_groups=1), sent(b"first", 2, 5), sent(b"", 1, 1)
    c.add(shards[0])
    gate = Gate(monkeypatch)
    thread = gate.run(c, shards[1])
    monkeypatch.setattr(collector, "decode_group", gate.inner)
    assert c.add(others[0]) == b""  # pushes the other out of what is remembered
    assert gate.finish(thread) == [b"first"]
    assert c.stats["packets"] == 2
    assert len(c._finished) == 1


def test_a_decoding_that_fails_after_its_group_was_forgotten_spares_the_one_sent_again(monkeypatch):
    c, shards, others = Collector(KEY, max_groups=1), sent(b"first", 2, 5), sent(b"", 1, 1)
    c.add(shards[0])
    gate = Gate(monkeypatch, MemoryError())
    failed = []
    monkeypatch.setattr(threading, "excepthook", lambda args: failed.append(args.exc_type))
    thread = gate.run(c, shards[1])
    monkeypatch.setattr(collector, "decode_group", gate.inner)
    assert c.add(others[0]) == b""
    assert [c.add(s) for s in shards[2:4]] == [None, b"first"]
    assert gate.finish(thread) == []
    assert failed == [MemoryError]
    assert c.add(shards[0]) is None
    assert (c.stats["late"], c.stats["pending_groups"]) == (1, 0)

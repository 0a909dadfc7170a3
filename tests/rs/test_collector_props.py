"""The collector against a model, under loss, copies, reordering, corruption, strangers and time.

The model is the definition without any bound: a dictionary of sets.  While no bound is passed the two
must agree on every single answer; with tight bounds the collector may forget, but never gives a
packet that was not sent, never gives one twice within its memory, and never holds more than allowed.
"""

import os

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from sottovoce.rs import Collector, ShardKey, disperse
from support import rs_twin

KEY = ShardKey.generate()
OTHER = ShardKey.generate()
INFO = rs_twin.info_of(b"r")
K, N = 2, 4
INDEX = st.integers(0, N - 1)
SOURCE = st.sampled_from(["a", "b", "c", None])


class Machine(RuleBasedStateMachine):
    """Senders, a network and a collector; subclasses choose the bounds."""

    bounds: dict = {}  # noqa: RUF012 (set once by each subclass)

    @initialize()
    def start(self):
        self.now = 0.0
        self.collector = Collector(
            KEY, context=b"r", clock=lambda: self.now, group_timeout_s=100, **self.bounds
        )
        self.sent = []  # (packet, shards, bodies)
        self.received = 0

    def give(self, shard, source):
        self.received += 1
        return self.collector.add(shard, source)

    def pick(self, data):
        if not self.sent:
            self.send(b"first")
        return data.draw(st.integers(0, len(self.sent) - 1), "group")

    @rule(packet=st.binary(max_size=12))
    def send(self, packet):
        shards = disperse(packet, K, N, KEY.public_key, context=b"r", packet_bytes=12)
        self.sent.append((packet, shards, [rs_twin.hpke_open(KEY.to_bytes(), INFO, s) for s in shards]))
        self.on_send()

    @rule(data=st.data(), index=INDEX, source=SOURCE)
    def deliver(self, data, index, source):
        group = self.pick(data)
        self.on_good(group, index, self.give(self.sent[group][1][index], source))

    @rule(data=st.data(), index=INDEX, source=SOURCE)
    def deliver_in_a_fresh_seal(self, data, index, source):
        group = self.pick(data)
        sealed = rs_twin.hpke_seal(os.urandom(32), KEY.public_key, INFO, self.sent[group][2][index])
        self.on_good(group, index, self.give(sealed, source))

    @rule(data=st.data(), index=INDEX, source=SOURCE)
    def corrupt(self, data, index, source):
        shard = bytearray(self.sent[self.pick(data)][1][index])
        shard[data.draw(st.integers(0, len(shard) - 1))] ^= data.draw(st.integers(1, 255))
        assert self.give(bytes(shard), source) is None

    @rule(noise=st.binary(max_size=250), source=SOURCE)
    def noise(self, noise, source):
        assert self.give(noise, source) is None

    @rule(index=INDEX, source=SOURCE)
    def foreign(self, index, source):
        for recipient, context in ((OTHER, b"r"), (KEY, b"earlier round")):
            shard = disperse(b"foreign", K, N, recipient.public_key, context=context)[index]
            assert self.give(shard, source) is None

    @rule(data=st.data(), index=INDEX, at=st.sampled_from([27, 58, 59, 80]), source=SOURCE)
    def contradict(self, data, index, at, source):
        group = self.pick(data)
        body = bytearray(self.sent[group][2][index])
        body[at] ^= 1
        answer = self.give(rs_twin.hpke_seal(os.urandom(32), KEY.public_key, INFO, bytes(body)), source)
        self.on_contradiction(group, index, bytes(body), answer)

    @rule(seconds=st.integers(1, 60))
    def wait(self, seconds):
        self.now += seconds
        self.on_time()

    @invariant()
    def every_shard_is_counted_once(self):
        stats = self.collector.stats
        shard_kinds = ("accepted", "duplicate", "late", "wrong_size", "over_limit", "unopenable")
        shard_kinds += ("malformed", "wrong_shape", "contradicting")
        assert stats["received"] == self.received == sum(stats[kind] for kind in shard_kinds)

    @invariant()
    def accounts_add_up(self):
        c = self.collector
        pending = c._pending
        accounts = c._accounts
        assert accounts.total == sum(sum(p.charges.values()) for p in pending.values())
        assert accounts.total == sum(s.held[0] for s in accounts.sources.values())
        for name, source in accounts.sources.items():
            feeds = {g for g, p in pending.items() if name in p.charges}
            assert feeds == set(source.alone) | set(source.shared)
            assert not set(source.alone) & set(source.shared)
            assert source.held[1] == len(feeds) > 0
            assert all(len(pending[g].charges) == 1 for g in source.alone)
            assert all(len(pending[g].charges) > 1 for g in source.shared)
        births = [p.born for p in pending.values()]
        assert births == sorted(births)

    def on_send(self): ...

    def on_time(self): ...


class WithoutLimits(Machine):
    """Bounds that are never reached: every answer equals the model's."""

    @initialize()
    def begin(self):
        self.model = []

    def on_send(self):
        self.model.append({"have": {}, "born": None, "state": "open", "bad_late": False})

    def refresh(self, group):
        m = self.model[group]
        if m["born"] is not None and self.now - m["born"] >= 100:
            m.update(have={}, born=None, state="open")

    def expected(self, group, index, body):
        self.refresh(group)
        m, bodies = self.model[group], self.sent[group][2]
        if m["state"] != "open":
            return None
        if index in m["have"]:
            if m["have"][index] != body:
                m.update(state="bad", have={}, born=self.now)
            return None
        if not m["have"]:
            m["born"] = self.now
        m["have"][index] = body
        if len(m["have"]) < K:
            return None
        good = all(b == bodies[i] for i, b in m["have"].items())
        m.update(state="out" if good else "bad", have={}, born=self.now)
        return self.sent[group][0] if good else None

    def on_good(self, group, index, answer):
        assert answer == self.expected(group, index, self.sent[group][2][index])

    def on_contradiction(self, group, index, body, answer):
        assert answer is None
        assert self.expected(group, index, body) is None


class WithTightLimits(Machine):
    """Bounds that are always reached: forgetful, but never wrong and never larger."""

    bounds = {"max_groups": 3, "max_bytes": 12000}  # noqa: RUF012

    def on_good(self, group, index, answer):
        assert answer in (None, self.sent[group][0])

    def on_contradiction(self, group, index, body, answer):
        assert answer is None

    @invariant()
    def bounds_hold(self):
        stats = self.collector.stats
        assert stats["pending_groups"] <= 3
        assert stats["pending_bytes"] <= 12000
        assert len(self.collector._finished) <= 3


class TestWithoutLimits(WithoutLimits.TestCase):
    settings = settings(stateful_step_count=40)


class TestWithTightLimits(WithTightLimits.TestCase):
    settings = settings(stateful_step_count=40)

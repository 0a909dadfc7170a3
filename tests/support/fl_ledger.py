"""What an aggregator must have counted: a model of collecting that knows what every packet and shard is."""

from collections import Counter

from sottovoce.fl import Reason

_OF_SHARDS = (
    "accepted", "duplicate", "late", "wrong_size", "over_limit", "unopenable", "malformed", "wrong_shape",
    "contradicting", "packets", "inconsistent", "evicted", "expired",
)  # fmt: skip


class Ledger:
    """Fed beside an aggregator with what is sent; says what came of it, by kind.

    Args:
        k: Shards that make a packet.

    Attributes:
        counted: Pid -> the packet that counts; survives a crash.
        gone: Clients dropped in closing, by kind; survives a crash.
        refused: Packets refused since the last start, by kind.
    """

    def __init__(self, k):
        self._k = k
        self.counted, self.gone = {}, Counter()
        self.crash()

    def crash(self):
        """What waited, what was half there and what was counted go with the process."""
        self._waiting, self._kinds, self._have = [], [], {}
        self.refused, self._shards = Counter(), Counter()

    def packet(self, packet, pid=None, refused=None):
        """A whole packet came: of ``pid``, or one that is ``refused`` whatever else happens."""
        self._waiting.append((packet, pid, refused))

    def shard(self, group, index, packet, pid=None, refused=None):
        """A good shard of a group of shards came; the packet is there with the k-th."""
        have = self._have.setdefault(group, set())
        if len(have) >= self._k:
            self._shards["late"] += 1
        elif index in have:
            self._shards["duplicate"] += 1
        else:
            self._shards["accepted"] += 1
            have.add(index)
            if len(have) == self._k:
                self._shards["packets"] += 1
                self.packet(packet, pid, refused)

    def bad_shard(self):
        """One came that was altered, or is of another round."""
        self._shards["unopenable"] += 1

    def opened(self):
        """What waited was opened."""
        for packet, pid, refused in self._waiting:
            if refused is None and self.counted.setdefault(pid, packet) != packet:
                refused = Reason.EQUIVOCATION
            if refused is not None:
                self.refused[refused] += 1
            self._kinds.append(refused)
        self._waiting = []

    def take_kinds(self):
        """Why each packet since the last call was refused, or None, in the order of arrival."""
        kinds, self._kinds = self._kinds, []
        return kinds

    def dropped(self, pids, convicted):
        """Clients went in closing."""
        self.gone[Reason.CONVICTED] += len(pids & convicted)
        self.gone[Reason.BAD_SHARES] += len(pids - convicted)

    def check(self, aggregator):
        """Hold an aggregator's counts against these: every kind, and no other."""
        assert +aggregator.refused == self.refused + self.gone
        stats = aggregator.shard_stats
        assert {kind: stats[kind] for kind in _OF_SHARDS} == {kind: self._shards[kind] for kind in _OF_SHARDS}
        assert stats["received"] == sum(n for kind, n in self._shards.items() if kind != "packets")

"""Collecting: from shards and packets to the sum of what counts.

Packets wait, are opened in batches, and count in the order of arrival: each pseudonym once, spooled
before it is added.  What is refused is counted by kind.  When and whether to collect is the caller's.
"""

from __future__ import annotations

from collections import Counter, deque
from collections.abc import Hashable
from concurrent.futures import Executor
from functools import partial

from .. import clsc, rs
from .._ext.limits import CLOCK_SKEW_S
from ..he import kahe
from .errors import ProtocolError, Reason
from .header import RoundHeader
from .meter import Meter
from .opening import OpenedPacket, Receipt, open_batch
from .stores import Accepted, AggregatorStore
from .update import Update

BATCH = 32
"""Packets opened together: at 32 the shared pairings of a batch verification are amortised."""

SHARD_MEMORY_BYTES = (1 << 28, 1 << 32)
"""Least and most that incomplete groups of shards may take, unless the caller says otherwise: between the
two, what a whole federation takes whose shards arrive relay by relay."""

OPENINGS_FACTOR = 1000
"""A relay may make us open this many times the shards that it honestly could: minutes to hours of work.
Less would let whoever reaches a relay use up what the honest clients behind it need."""


class Collection:
    """What has come in for one round, and the sum of what counts.

    Args:
        header: The round.
        key: The aggregator's ``decrypt`` key.
        trust: Pins the issuer's root.
        collector: Joins shards to packets.
        store: Spools what counts; what it already holds of this round counts.
        executor: Opens batches; None: in the calling thread.
        meter: Listens to time and bytes.

    Attributes:
        refused: How often something was refused, by kind.
        manifests: Pseudonym -> manifest digest of what counts.
        sum: Sum of the ciphertexts of what counts.
        shards: The collector.
    """

    def __init__(
        self,
        header: RoundHeader,
        key: clsc.SecretKey,
        trust: clsc.TrustStore,
        collector: rs.Collector,
        *,
        store: AggregatorStore,
        executor: Executor | None,
        meter: Meter,
    ) -> None:
        self.refused: Counter[Reason] = Counter()
        self.manifests: dict[bytes, bytes] = {}
        self.sum = kahe.CiphertextSum(header.kahe_params, header.hash)
        self.shards = collector
        self._header = header
        self._key = key
        self._trust = trust
        self._store = store
        self._executor = executor
        self._meter = meter
        self._waiting: list[bytes] = []
        # Of the last ones, should nobody ask for them.
        self._receipts: deque[Receipt] = deque(maxlen=4 * header.max_contributors)
        self._packet_ids: dict[bytes, bytes] = {}
        for accepted in store.accepted(header.hash):
            self._count(Update.from_bytes(accepted.update, header), accepted.packet_id)

    # -- coming in --------------------------------------------------------------------------------

    def add_shard(self, shard: bytes, relay: Hashable) -> None:
        """Take one shard; the packet that it completes waits, unless it is too long."""
        with self._meter.stage("gather") as stage:
            stage.n_bytes += len(shard)
            packet = self.shards.add(shard, relay)
        if packet is not None and self._fits(packet):
            self._take(packet)

    def add_packet(self, packet: bytes) -> None:
        """Take one whole packet.

        Raises:
            ProtocolError: It is longer than any of this round.
        """
        if not self._fits(packet):
            raise ProtocolError(Reason.MALFORMED, "longer than any of this round", round_id=self._header.hash)
        self._take(packet)

    def _fits(self, packet: bytes) -> bool:
        if len(packet) <= self._header.packet_bytes:
            return True
        self.refused[Reason.MALFORMED] += 1
        return False

    def _take(self, packet: bytes) -> None:
        self._waiting.append(packet)
        if len(self._waiting) >= BATCH:
            self.open_waiting()

    def open_waiting(self) -> None:
        """Open what waits and add what counts; what was not dealt with when something failed waits on."""
        batches = [self._waiting[i : i + BATCH] for i in range(0, len(self._waiting), BATCH)]
        work = partial(open_batch, header=self._header, key=self._key, trust=self._trust)
        with self._meter.stage("open packets") as stage:
            stage.n_bytes += sum(len(p) for batch in batches for p in batch)
            results = list((self._executor.map if self._executor else map)(work, batches))
        for opened in (entry for batch in results for entry in batch):
            receipt = self._admit(opened)
            if receipt.refused is not None:
                self.refused[receipt.refused] += 1
            self._receipts.append(receipt)
            del self._waiting[0]  # only now: it has been counted, refused or spooled

    def take_receipts(self) -> list[Receipt]:
        """One receipt for every packet since the last call."""
        receipts = list(self._receipts)
        self._receipts.clear()
        return receipts

    def _admit(self, opened: OpenedPacket) -> Receipt:
        pid, update = opened.pid, opened.update
        if update is None:
            return Receipt(pid, opened.refused)
        known = self._packet_ids.get(pid)
        if known == opened.packet_id:
            return Receipt(pid, None)  # the same message again: a client that was not sure
        if known is not None:
            self._store.equivocated(self._header.hash, pid, opened.packet)
            return Receipt(pid, Reason.EQUIVOCATION)
        if len(self.manifests) >= self._header.max_contributors:
            return Receipt(pid, Reason.FULL)
        record = Accepted(pid, opened.packet_id, opened.packet, update.to_bytes())
        self._store.accept(self._header.hash, record)
        self._count(update, opened.packet_id)
        return Receipt(pid, None)

    def _count(self, update: Update, packet_id: bytes) -> None:
        with self._meter.stage("add") as stage:
            self.sum.add(update.ciphertext)
            stage.n_bytes += self._header.kahe_params.ciphertext_bytes
        self.manifests[update.manifest.pid] = update.manifest.digest
        self._packet_ids[update.manifest.pid] = packet_id

    # -- what counts ------------------------------------------------------------------------------

    @property
    def entries(self) -> list[tuple[bytes, bytes]]:
        """``(pid, manifest digest)`` of what counts, sorted by pid."""
        return sorted(self.manifests.items())

    def update(self, pid: bytes) -> Update:
        """The update of one pseudonym that counts, or has counted."""
        return Update.from_bytes(self._store.update(self._header.hash, pid), self._header)

    def drop(self, update: Update) -> None:
        """Let an update count no more."""
        self.sum.subtract(update.ciphertext)
        del self.manifests[update.manifest.pid]

    def restore(self, update: Update) -> None:
        """Undo :meth:`drop`."""
        self.sum.add(update.ciphertext)
        self.manifests[update.manifest.pid] = update.manifest.digest

    def erase(self) -> None:
        """Forget what waits and the sum; what the store holds is the store's."""
        self._waiting = []
        self.sum = kahe.CiphertextSum(self._header.kahe_params, self._header.hash)


def shard_collector(
    header: RoundHeader, shard_key: rs.ShardKey, memory_bytes: int | None, now: float
) -> rs.Collector:
    """Bounded by what an honest federation of this header can need, as far as memory goes."""
    size = rs.shard_bytes(header.packet_bytes, header.shard_k, header.shard_n)
    group = header.shard_k * (size + 2048) + 1024
    if memory_bytes is None:
        least, most = SHARD_MEMORY_BYTES
        memory_bytes = max(8 * group, min(most, max(least, header.max_contributors * group)))
    return rs.Collector(
        shard_key,
        context=header.hash,
        k=header.shard_k,
        n=header.shard_n,
        shard_bytes=size,
        # Everybody at once with none complete yet, and as many strangers.
        max_groups=2 * header.max_contributors,
        max_bytes=memory_bytes,
        max_openings_per_source=OPENINGS_FACTOR * header.shard_n * header.max_contributors,
        # No group is given up before the round is.
        group_timeout_s=max(1.0, header.deadline - now + 2 * CLOCK_SKEW_S),
    )

"""Collecting: from shards and packets to the sum of what counts.

Packets wait, are opened in batches, some of them at a time where there is an executor, and count in the
order of arrival: each pseudonym once, spooled before it is added.  What is refused is counted by kind.
When and whether to collect is the caller's.

Memory: the sum; packets that wait, less than a batch; the batches in flight, each with its packets, their
plaintexts and one sum.  Of what counts 64 bytes are kept, and the store's own.
"""

from __future__ import annotations

from collections import Counter, deque
from collections.abc import Hashable, Iterator
from concurrent.futures import Future

from .. import rs
from .._ext.limits import CLOCK_SKEW_S
from ..he import kahe
from .errors import ProtocolError, Reason
from .header import RoundHeader
from .meter import Meter
from .opening import OpenedBatch, OpenedPacket, Opener, Receipt
from .stores import Accepted, AggregatorStore
from .update import Manifest, Update

BATCH = 32
"""Packets opened together: at 32 the shared pairings of a batch verification are amortised."""

BATCH_BYTES = 1 << 23
LEAST_BATCH = 8
"""Of large packets fewer are opened together: 8 MiB, above which transports complain about one task, or 8
packets, below which what they share is too large a part of each."""

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
        opener: Opens batches.
        collector: Joins shards to packets.
        store: Spools what counts; what it already holds of this round counts.
        in_flight: Most batches that are with the opener at a time.
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
        opener: Opener,
        collector: rs.Collector,
        *,
        store: AggregatorStore,
        in_flight: int,
        meter: Meter,
    ) -> None:
        self.refused: Counter[Reason] = Counter()
        self.manifests: dict[bytes, bytes] = {}
        self.sum = kahe.CiphertextSum(header.kahe_params, header.hash)
        self.shards = collector
        self._header = header
        self._opener = opener
        self._store = store
        self._in_flight = in_flight
        self._meter = meter
        self._batch = min(BATCH, max(LEAST_BATCH, BATCH_BYTES // header.packet_bytes))
        self._waiting: list[bytes] = []
        self._started: deque[tuple[list[bytes], Future[OpenedBatch]]] = deque()  # oldest first
        # Of the last ones, should nobody ask for them.
        self._receipts: deque[Receipt] = deque(maxlen=4 * header.max_contributors)
        self._packet_ids: dict[bytes, bytes] = {}
        for accepted in store.accepted(header.hash):
            update = Update.from_bytes(accepted.update, header)
            self.sum.add(update.ciphertext)
            self._list(update.manifest.pid, accepted.packet_id, update.manifest.digest)

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
        if len(self._waiting) < self._batch:
            return
        self._start()
        # Not waiting for what is not done, unless more would be in flight than may be.
        while self._started and (len(self._started) >= self._in_flight or self._started[0][1].done()):
            self._finish_oldest()

    def open_waiting(self) -> None:
        """Open what waits and add what counts; what was not dealt with when something failed waits on."""
        while self._waiting or self._started:
            while self._waiting and len(self._started) < self._in_flight:
                self._start()
            self._finish_oldest()

    def _start(self) -> None:
        batch = self._waiting[: self._batch]
        with self._meter.stage("open packets") as stage:
            stage.n_bytes += sum(map(len, batch))
            self._started.append((batch, self._opener.start(batch)))
        del self._waiting[: len(batch)]  # only now: the opener may not have taken it

    def _finish_oldest(self) -> None:
        batch, future = self._started[0]
        try:
            with self._meter.stage("open packets"):
                opened = future.result()
            self._admit_batch(batch, opened)
        except BaseException:
            # In the order of arrival: what the executor may still be doing is done again.
            for _, other in self._started:
                other.cancel()
            self._waiting = [packet for packets, _ in self._started for packet in packets] + self._waiting
            self._started.clear()
            raise
        self._started.popleft()

    def _admit_batch(self, batch: list[bytes], opened: OpenedBatch) -> None:
        """Admit one packet after another, each taken from ``batch``; the sum follows even after an error."""
        counted = []
        try:
            for entry in opened.packets:
                refused = entry.refused
                if refused is None:
                    known = self._packet_ids.get(entry.pid)
                    refused = self._admit(entry, batch[0])
                    if refused is None and known is None:
                        counted.append(entry)
                if refused is not None:
                    self.refused[refused] += 1
                self._receipts.append(Receipt(entry.pid, refused))
                del batch[0]  # only now: it has been counted, refused or spooled
        finally:
            if counted:
                self._add(opened, counted)

    def _admit(self, opened: OpenedPacket, packet: bytes) -> Reason | None:
        known = self._packet_ids.get(opened.pid)
        if known == opened.packet_id:
            return None  # the same message again: a client that was not sure
        if known is not None:
            self._store.equivocated(self._header.hash, opened.pid, packet)
            return Reason.EQUIVOCATION
        if len(self.manifests) >= self._header.max_contributors:
            return Reason.FULL
        self._store.accept(self._header.hash, Accepted(opened.pid, opened.packet_id, packet, opened.update))
        self._list(opened.pid, opened.packet_id, opened.manifest_digest)
        return None

    def _list(self, pid: bytes, packet_id: bytes, manifest_digest: bytes) -> None:
        self.manifests[pid] = manifest_digest
        self._packet_ids[pid] = packet_id

    def _add(self, opened: OpenedBatch, counted: list[OpenedPacket]) -> None:
        """Add the batch's sum, less what is in it and does not count."""
        with self._meter.stage("add") as stage:
            stage.n_bytes += len(counted) * self._header.kahe_params.ciphertext_bytes
            ours = {id(entry) for entry in counted}
            if opened.sum is not None and any(entry.added for entry in counted):
                for entry in opened.packets:
                    if entry.added and id(entry) not in ours:
                        opened.sum.subtract(self._ciphertext(entry))
                if self.sum.count:
                    self.sum.merge(opened.sum)
                else:
                    self.sum = opened.sum  # of this round, as opened: nobody else has it
            for entry in counted:
                if not entry.added:
                    self.sum.add(self._ciphertext(entry))

    def _ciphertext(self, opened: OpenedPacket) -> kahe.Ciphertext:
        return Update.from_bytes(opened.update, self._header).ciphertext

    def take_receipts(self) -> list[Receipt]:
        """One receipt for every packet since the last call."""
        receipts = list(self._receipts)
        self._receipts.clear()
        return receipts

    # -- what counts ------------------------------------------------------------------------------

    @property
    def entries(self) -> list[tuple[bytes, bytes]]:
        """``(pid, manifest digest)`` of what counts, sorted by pid."""
        return sorted(self.manifests.items())

    def update(self, pid: bytes) -> Update:
        """The update of one pseudonym that counts, or has counted."""
        return Update.from_bytes(self._store.update(self._header.hash, pid), self._header)

    def contributions(self) -> Iterator[tuple[bytes, bytes]]:
        """Manifest and ciphertext of what counts, in the order of :attr:`entries`, one at a time."""
        for pid, _ in self.entries:
            update = self.update(pid)
            yield update.manifest.to_bytes(), update.ciphertext.to_bytes()

    def outline(self, pid: bytes) -> tuple[Manifest, tuple[bytes, ...]]:
        """Manifest and members' packets of one that counts."""
        return Update.outline(self._store.update(self._header.hash, pid), self._header)

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
        for _, future in self._started:
            future.cancel()
        self._started.clear()
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

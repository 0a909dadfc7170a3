"""An aggregator up to the close: what it is made of, where its round is, and how it collects."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable, Hashable
from concurrent.futures import Executor
from enum import Enum, auto

from .. import clsc, rs
from .._ext.errors import ParameterError, SottovoceError, StoreError
from .collecting import Collection, shard_collector
from .errors import ProtocolError, Reason
from .meter import Meter
from .opening import Opener, Receipt
from .policy import check_deadline, check_revocations
from .server import ServerKeys
from .settling import Settlement
from .signed import SignedHeader
from .stores import AggregatorStore, MemoryAggregatorStore, StepKind
from .wire import expect


class State(Enum):
    """Where a round is; it only moves forward."""

    COLLECTING = auto()
    """Takes shards and packets."""
    CLOSING = auto()
    """Set and sum are fixed; members check."""
    ANSWERING = auto()
    """The set is agreed; members answer."""
    DONE = auto()
    """The sum is open; ciphertexts are kept for audits."""
    ERASED = auto()
    """Nothing is kept but that the round was."""


_AFTER = {
    StepKind.CLOSED: State.CLOSING,
    StepKind.SETTLED: State.ANSWERING,
    StepKind.OPENED: State.DONE,
    StepKind.ERASED: State.ERASED,
}


class CollectingAggregator:
    """What :class:`.Aggregator` does while its round collects; that class says what goes in."""

    def __init__(
        self,
        keys: ServerKeys,
        shard_key: rs.ShardKey,
        trust: clsc.TrustStore,
        signed_header: bytes | SignedHeader,
        *,
        store: AggregatorStore | None = None,
        executor: Executor | None = None,
        worker_key: Callable[[], clsc.SecretKey] | None = None,
        batches_in_flight: int = 8,
        shard_memory_bytes: int | None = None,
        clock: Callable[[], float] = time.time,
        meter: Meter | None = None,
    ) -> None:
        expect("keys", keys, ServerKeys)
        expect("shard_key", shard_key, rs.ShardKey)
        expect("trust", trust, clsc.TrustStore)
        expect("batches_in_flight", batches_in_flight, int)
        if batches_in_flight < 1:
            raise ParameterError(f"batches_in_flight: at least 1 expected, got {batches_in_flight}")
        if isinstance(signed_header, SignedHeader):
            signed_header.verify(trust)
            header, signed_header = signed_header.header, signed_header.to_bytes()
        else:
            header = SignedHeader.from_bytes(signed_header, trust).header
        if keys.public.to_list() != header.aggregator.to_list() or shard_key.public_key != header.shard_key:
            raise ParameterError("keys: those of the header's aggregator expected")
        store = store if store is not None else MemoryAggregatorStore()
        if store.find_round(header.epoch, header.round_number) != header.hash:
            check_revocations(header, trust)  # one that goes on was begun under the list of its header
        trust.get(header.sender_params)
        self.header = header
        self.state = State.COLLECTING
        self._clock = clock
        self._keys = keys
        self._trust = trust
        self._signed_header = signed_header
        self._store = store
        meter = meter if meter is not None else Meter()
        opener = Opener(header, keys.decrypt, trust, executor, worker_key)
        collector = shard_collector(header, shard_key, shard_memory_bytes, clock())
        self._store.open_round(header.epoch, header.round_number, header.hash)
        self._collection = Collection(
            header, opener, collector, store=self._store, in_flight=batches_in_flight, meter=meter
        )
        self._settlement = Settlement(header, keys, trust, self._collection, self._store, meter)
        self._recover()

    def _recover(self) -> None:
        try:
            for step in self._store.steps(self.header.hash):
                self._settlement.replay(step)
                self.state = _AFTER.get(step.kind, self.state)
        except StoreError:
            raise
        except SottovoceError as error:
            raise StoreError(f"aggregator's store: steps that no round takes ({error})") from error

    @property
    def refused(self) -> Counter[Reason]:
        """How often something was refused, by kind."""
        return self._collection.refused

    @property
    def accepted(self) -> tuple[bytes, ...]:
        """Pseudonyms that count so far, ascending."""
        return tuple(pid for pid, _ in self._collection.entries)

    def receive_shard(self, shard: bytes, relay: Hashable = None) -> None:
        """Take one shard, in any order, from any relay; a complete packet waits for :meth:`process`.

        Shards that cannot be opened or do not fit are counted by :attr:`shard_stats`, and dropped; so is
        a packet that is too long, in :attr:`refused`: whoever sent it, this relay is not to blame.

        Args:
            shard: As it came.
            relay: Names the connection, so that none can fill the memory for others.

        Raises:
            ProtocolError: The round no longer collects.
        """
        self._require_collecting()
        self._collection.add_shard(shard, relay)

    def receive_packet(self, packet: bytes) -> None:
        """Take one whole packet; it waits for :meth:`process`; whole batches do not.

        Args:
            packet: What :meth:`Client.seal` gave, whole.

        Raises:
            TypeError: Not bytes.
            ProtocolError: The round no longer collects, or the packet is longer than any of this round.
        """
        self._require_collecting()
        if not isinstance(packet, bytes):
            raise TypeError(f"packet: bytes expected, got {type(packet).__name__}")
        self._collection.add_packet(packet)

    def process(self) -> list[Receipt]:
        """Open what waits and add what counts.

        What the executor or the store raises comes through, here and where a packet completes a batch;
        packets not yet dealt with wait on.

        Returns:
            One receipt for every packet since the last call, in the order of arrival; of the last
            ``4 * max_contributors`` of them.
        """
        self._collection.open_waiting()
        return self._collection.take_receipts()

    @property
    def shard_stats(self) -> dict[str, int]:
        """What became of the shards, by kind."""
        return dict(self._collection.shards.stats)

    def _require_collecting(self) -> None:
        if self.state is not State.COLLECTING:
            raise ProtocolError(Reason.STATE, "no longer collecting", round_id=self.header.hash)
        check_deadline(self.header, self._clock())

    def _require(self, *states: State) -> None:
        if self.state not in states:
            expected = " or ".join(state.name.lower() for state in states)
            raise ProtocolError(Reason.STATE, f"{expected} expected", round_id=self.header.hash)

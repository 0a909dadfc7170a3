"""``SealedStrategy``: an averaging strategy that gets one averaged reply, and never a client's own."""

from __future__ import annotations

import os
import time
from collections import deque
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from flwr.app import Array, ArrayRecord, ConfigRecord, Message, MetricRecord, RecordDict
from flwr.serverapp import Grid
from flwr.serverapp.strategy import Result, Strategy

from ... import rs
from ..._ext.errors import ParameterError
from ..aggregator import Aggregator
from ..closing import RoundResult
from ..errors import ProtocolError, Reason
from ..plan import plan_round
from ..signed import SignedHeader
from ..stores import AggregatorStore, MemoryAggregatorStore
from .averaging import check_averaging
from .committee import Committee, Deadlines
from .folders import ServerFolder
from .grid import SealedGrid, ask
from .keeping import Keeping
from .messages import RECORD, category, log, own_record, sealed_packet, shown
from .results import Owed, SealedRound

SLACK_S = 120
"""Added to a round's deadline for everything between its steps."""


KEPT_ROUNDS = 8
"""Each holds its mean twice, 16 bytes a value."""


@dataclass
class _Open:
    """The round between ``configure_train`` and ``aggregate_train``."""

    server_round: int
    grid: Grid
    arrays: ArrayRecord
    aggregator: Aggregator
    signed_header: bytes
    messages: list[Message]
    taken: set[str] = field(default_factory=set)  # messages whose reply was looked at
    unopened: int = 0  # packets that came since the last were opened

    def take(self, reply: Message) -> None:
        """Hand a reply's packet to the aggregator; an error, or something in clear, is not even looked at."""
        asked, packet = reply.metadata.reply_to_message_id, sealed_packet(reply)
        if packet is None or asked in self.taken:
            return
        self.taken.add(asked)
        try:
            self.aggregator.receive_packet(packet)
        except ProtocolError as error:
            if error.reason is not Reason.MALFORMED:
                raise
            log.warning("train: node %d: %s", reply.metadata.src_node_id, error.reason.value)
        else:
            self.unopened += 1

    def has(self, contributors: int) -> bool:
        """Whether so many packets count.

        They are opened once there could be enough: junk does not count, and must not cut others off.
        """
        if len(self.aggregator.accepted) + self.unopened < contributors:
            return False
        self.aggregator.process()
        self.unopened = 0
        return len(self.aggregator.accepted) >= contributors


class SealedStrategy(Strategy):
    """Sealed rounds around an averaging strategy.

    ``configure_train`` makes the round's header, lets the committee co-sign it and sends it along with the
    inner strategy's messages.  ``aggregate_train`` takes sealed packets, has the committee check and answer,
    opens the sum, and gives the inner strategy one reply: the model plus the mean of the updates.  A round
    that fails raises, and with it the run: never another mean than that of the accepted.

    Args:
        inner: FedAvg, FedProx, FedAvgM, FedAdagrad, FedAdam, FedYogi, or a subclass that leaves their
            ``aggregate_train`` as it is.
        folder: Of a :class:`ServerFolder`; None: SOTTOVOCE_FLOWER_SERVER names it.
        clip: Updates (what training changed) are clipped to ``[-clip, clip]``, at the clients.
        max_examples: Clients weigh by their examples, more than this count as this many; 0: all the same.
        min_contributors: At least 3; nodes have their own floor, by default 8.
        max_contributors: Up to 2**20; more cost bits.
        value_bits: Bits of a quantised value, 4 to 24.
        members_train: Whether nodes of the committee train, too.
        train_timeout_s: Longest wait for ``min_contributors`` to send what counts.
        straggler_s: Wait for the other trainers after that: what a dead one costs; and for the others in
            evaluation, once ``min_contributors`` nodes have answered.
        evaluate_timeout_s: Longest wait in evaluation.
        member_timeout_s: Longest wait for ``t`` members, in each of three steps.
        first_timeout_s: The same for the first step of a run, while nodes may still be starting.
        grace_s: Wait for the other members after that: what a dead one costs in each step.
        check_first: Whether members check before any of them answers (:meth:`sottovoce.fl.Aggregator.close`).
            False saves a message, and one client that sends members what does not open can end the run.
        averages: Vouch for a strategy of your own.
        store: Spools the packets of a round, which are erased when it ends; in memory if None.  A
            :class:`sottovoce.fl.SqliteAggregatorStore` has them on disk; it is this strategy's alone: what
            an earlier run left in it is erased.
        audits: A folder for records that :func:`sottovoce.fl.audit_round` reads, one a round, each removed
            when its audit deadline is over, once the next round or run begins or a run ends.  None: no
            audit is possible.
        audit_s: Seconds after a round's deadline that its record is kept.
        keep_rounds: How many of the last rounds are kept in :attr:`rounds`, and for nodes that did not
            train since.
        on_round: Gets every round that was opened, before the inner strategy goes on.

    Attributes:
        rounds: What was opened last, in order.

    Raises:
        TypeError, ParameterError: Another kind of strategy, a folder or numbers that will not do.
        OSError, StoreError: The folder for records, or the store, fails.

    Source: docs/fl-flower.md, "Rounds".
    """

    def __init__(
        self,
        inner: Strategy,
        folder: str | os.PathLike[str] | None = None,
        *,
        clip: float,
        max_examples: int = 0,
        min_contributors: int = 8,
        max_contributors: int = 1024,
        value_bits: int = 16,
        members_train: bool = True,
        train_timeout_s: float = 600.0,
        straggler_s: float = 20.0,
        member_timeout_s: float = 60.0,
        first_timeout_s: float = 120.0,
        grace_s: float = 10.0,
        check_first: bool = True,
        averages: bool = False,
        evaluate_timeout_s: float = 120.0,
        store: AggregatorStore | None = None,
        audits: str | os.PathLike[str] | None = None,
        audit_s: int = 0,
        keep_rounds: int = KEPT_ROUNDS,
        on_round: Callable[[SealedRound], None] | None = None,
    ) -> None:
        check_averaging(inner, vouched=averages)
        deadlines = Deadlines(
            train_timeout_s, evaluate_timeout_s, straggler_s, first_timeout_s, member_timeout_s, grace_s
        )
        waits = (train_timeout_s, evaluate_timeout_s, first_timeout_s, member_timeout_s)
        if min(waits) <= 0 or min(straggler_s, grace_s) < 0:
            raise ParameterError(f"seconds above 0 expected, got {deadlines}")
        if keep_rounds < 1:
            raise ParameterError(f"keep_rounds: at least 1 expected, got {keep_rounds}")
        if audit_s < 0 or (audit_s and audits is None):
            raise ParameterError("audit_s: needs audits, a folder for the records")
        self.inner = inner
        self.rounds: deque[SealedRound] = deque(maxlen=keep_rounds)
        self._folder = ServerFolder.named(folder)
        self._keys = self._folder.keys()
        self._members = self._folder.members()
        self._clip = clip
        self._max_examples = max_examples
        self._min_contributors = min_contributors
        self._max_contributors = max_contributors
        self._value_bits = value_bits
        self._members_train = members_train
        self._deadlines = deadlines
        self._audit_s = audit_s
        self._on_round = on_round
        self._store = store if store is not None else MemoryAggregatorStore()
        self._keeping = Keeping(self._store, None if audits is None else Path(audits))
        self._shard_key = rs.ShardKey.generate()
        self._committee = Committee(deadlines, check_first=check_first)
        self._open: _Open | None = None
        self._owed = Owed(self.rounds)

    # -- Flower's interface -----------------------------------------------------------------------

    def start(
        self,
        grid: Grid,
        initial_arrays: ArrayRecord,
        num_rounds: int = 3,
        timeout: float = 3600,
        train_config: ConfigRecord | None = None,
        evaluate_config: ConfigRecord | None = None,
        evaluate_fn: Callable[[int, ArrayRecord], MetricRecord | None] | None = None,
    ) -> Result:
        """As :meth:`flwr.serverapp.strategy.Strategy.start`, with own deadlines for training and evaluation.

        However it ends, no packet of a round is kept after it.
        """
        wrapped = SealedGrid(grid, collect=self._collect, is_ours=lambda messages: bool(_kind(messages)))
        try:
            return super().start(
                wrapped, initial_arrays, num_rounds, timeout, train_config, evaluate_config, evaluate_fn
            )
        finally:
            self._open = None
            self._keeping.end()

    def configure_train(
        self, server_round: int, arrays: ArrayRecord, config: ConfigRecord, grid: Grid
    ) -> list[Message]:
        """The inner strategy's messages, with the round's header in them, and the last round's result.

        Raises:
            ProtocolError: Fewer than ``t`` members co-signed.
            ParameterError: Arrays that are not floats.
        """
        self._open = None
        self._wait_for_nodes(grid)
        aggregator, signed_header = self._begin(grid, arrays)
        messages = list(self.inner.configure_train(server_round, arrays, config, self._trainers(grid)))
        for message in messages:
            shown_too = self._owed.fields(message.metadata.dst_node_id)
            _with_fields(message, {"header": signed_header, **shown_too})
        if messages:
            self._open = _Open(server_round, grid, arrays, aggregator, signed_header, messages)
        return messages

    def aggregate_train(
        self, server_round: int, replies: Iterable[Message]
    ) -> tuple[ArrayRecord | None, MetricRecord | None]:
        """Open the sum of the sealed replies, and let the inner strategy go on from their mean.

        Raises:
            ProtocolError: Too few contributors, no quorum, or no opening: nothing was averaged.
            OSError: The record for an audit could not be written.
        """
        current, self._open = self._open, None
        if current is None:  # nobody was asked to train
            return self.inner.aggregate_train(server_round, [])
        if current.server_round != server_round:
            raise ProtocolError(Reason.STATE, f"round {current.server_round} is open, not {server_round}")
        aggregator = current.aggregator
        for reply in replies:
            current.take(reply)
        aggregator.process()
        result = self._committee.close(current.grid, aggregator, current.signed_header)
        refused = {reason.value: count for reason, count in aggregator.refused.items()}
        published = aggregator.publish(result)
        opened = SealedRound(server_round, current.signed_header, published, result, refused)
        self._keeping.finish(aggregator, published)
        self.rounds.append(opened)
        self._owed.add(opened, (message.metadata.dst_node_id for message in current.messages))
        log.info(
            "round %d: %d contributors, refused: %s", server_round, result.agreed.count, refused or "none"
        )
        if self._on_round is not None:
            self._on_round(opened)
        return self.inner.aggregate_train(server_round, [self._averaged(current, result)])

    def configure_evaluate(
        self, server_round: int, arrays: ArrayRecord, config: ConfigRecord, grid: Grid
    ) -> list[Message]:
        """The inner strategy's; nodes get the round's result, and answer with what they allow in clear."""
        messages = list(self.inner.configure_evaluate(server_round, arrays, config, self._trainers(grid)))
        for message in messages:
            if fields := self._owed.fields(message.metadata.dst_node_id):
                _with_fields(message, fields)
        return messages

    def aggregate_evaluate(self, server_round: int, replies: Iterable[Message]) -> MetricRecord | None:
        """The inner strategy's."""
        listed = list(replies)
        for reply in listed:
            if not reply.has_error():
                self._owed.settle(reply.metadata.src_node_id)
        return self.inner.aggregate_evaluate(server_round, listed)

    def summary(self) -> None:
        """The inner strategy's."""
        self.inner.summary()

    # -- a round ----------------------------------------------------------------------------------

    def _wait_for_nodes(self, grid: Grid) -> None:
        """As Flower's sampling does, but before the header's clock runs."""
        least = max(int(getattr(self.inner, "min_available_nodes", 0)), 1)
        if not self._members_train:
            least += len(self._members)
        while len(list(grid.get_node_ids())) < least:
            time.sleep(1)

    def _begin(self, grid: Grid, arrays: ArrayRecord) -> tuple[Aggregator, bytes]:
        waits = self._deadlines
        deadline = int(time.time() + waits.first_s + waits.train_s + 2 * waits.member_s) + SLACK_S
        header = plan_round(
            _numpy(arrays),
            aggregator=self._keys.public,
            members=self._members,
            shard_key=self._shard_key.public_key,
            sender_params=self._folder.sender_params(),
            trust=self._folder.trust,
            # Never used twice, whoever starts the server again.
            round_number=time.time_ns() // 1_000_000,
            clip=self._clip,
            deadline=deadline,
            audit_deadline=deadline + self._audit_s,
            max_examples=self._max_examples,
            min_contributors=self._min_contributors,
            max_contributors=self._max_contributors,
            value_bits=self._value_bits,
            # Flower carries whole packets; there is no relay to spread shards over.
            shard_k=1,
            shard_n=1,
        )
        signed_header = self._committee.cosign(grid, SignedHeader.propose(header, self._keys))
        aggregator = Aggregator(
            self._keys, self._shard_key, self._folder.trust, signed_header, store=self._store
        )
        self._keeping.begin(aggregator)
        return aggregator, signed_header

    def _trainers(self, grid: Grid) -> Grid:
        if self._members_train:
            return grid
        return SealedGrid(grid, hidden=lambda: self._committee.nodes)

    def _collect(self, grid: Grid, messages: list[Message]) -> list[Message]:
        """Replies that came in time: all, or those until the stragglers' time was up."""
        current, training = self._open, _kind(messages) == "train"
        replies: list[Message] = []

        def take(node: int, reply: Message) -> bool:
            replies.append(reply)
            if reply.has_error():
                log.warning("%s: node %d: %s", category(messages[0]), node, shown(reply.error.reason))
            elif training and current is not None:
                current.take(reply)
            return not reply.has_error()

        def enough(answered: int) -> bool:
            if training and current is not None:
                return current.has(self._min_contributors)
            return answered >= self._min_contributors

        ask(
            grid,
            messages,
            timeout_s=self._deadlines.train_s if training else self._deadlines.evaluate_s,
            grace_s=self._deadlines.straggler_s,
            take=take,
            enough=enough,
        )
        return replies

    def _averaged(self, current: _Open, result: RoundResult) -> Message:
        """One reply as a plain strategy would get it: the model plus the mean, and the weight."""
        header = current.aggregator.header
        mean = header.layout.unflatten(result.mean)
        arrays = {
            key: Array(np.asarray(old + change, dtype=old.dtype))
            for key, old, change in zip(current.arrays, _numpy(current.arrays), mean, strict=True)
        }
        weight = result.total_weight if header.max_examples else result.agreed.count
        content = RecordDict(
            {
                getattr(self.inner, "arrayrecord_key", "arrays"): ArrayRecord(arrays),
                "metrics": MetricRecord({getattr(self.inner, "weighted_by_key", "num-examples"): weight}),
            }
        )
        return Message(content, reply_to=current.messages[0])


def _kind(messages: list[Message]) -> str:
    """``train`` for sealed training, ``evaluate``; or nothing of which the strategy has deadlines."""
    kinds = {category(message) for message in messages}
    if kinds == {"evaluate"}:
        return "evaluate"
    return "train" if kinds == {"train"} and all(own_record(m) is not None for m in messages) else ""


def _with_fields(message: Message, fields: dict[str, bytes]) -> None:
    """Put our record into a message, in a dict of its own: strategies share one among all messages."""
    content = RecordDict(dict(message.content.items()))
    content[RECORD] = ConfigRecord(dict(fields))
    message.content = content


def _numpy(record: ArrayRecord) -> list[np.ndarray]:
    return [np.asarray(array.numpy()) for array in record.values()]

"""The aggregator of one round: collects, opens, adds, closes, and publishes the result.

It learns the sum, the sum of the keys, pseudonyms, sizes and times; never one update, while at most
``f`` members are corrupted and at least two contributors are honest.
"""

from __future__ import annotations

import time
from collections import Counter, deque
from collections.abc import Callable, Hashable, Sequence
from concurrent.futures import Executor
from enum import Enum, auto
from functools import partial

import numpy as np
from numpy.typing import NDArray

from .. import clsc, rs
from .._ext.errors import OverflowDetected, ParameterError, TooManyErasures
from .._ext.limits import CLOCK_SKEW_S
from ..he import kahe
from .closing import Answer, CheckReply, CloseRequest, ContributorSet, RoundResult
from .complaints import settle_complaints
from .errors import ProtocolError, Reason
from .header import RoundHeader
from .meter import Meter
from .opening import OpenedPacket, Receipt, open_batch
from .policy import check_deadline, check_revocations
from .server import ServerKeys
from .signed import SignedHeader
from .stores import Accepted, AggregatorStore, MemoryAggregatorStore
from .update import Manifest, Update
from .wire import associated_data, expect, set_root

BATCH = 32
"""Packets opened together: at 32 the shared pairings of a batch verification are amortised."""


SHARD_MEMORY_BYTES = (1 << 28, 1 << 32)
"""Least and most that incomplete groups of shards may take, unless the caller says otherwise: between the
two, what a whole federation takes whose shards arrive relay by relay."""

OPENINGS_FACTOR = 1000
"""A relay may make us open this many times the shards that it honestly could: minutes to hours of work.
Less would let whoever reaches a relay use up what the honest clients behind it need."""


class State(Enum):
    """Where a round is; it only moves forward."""

    COLLECTING = auto()
    CLOSING = auto()
    ANSWERING = auto()
    DONE = auto()
    ERASED = auto()


class Aggregator:
    """Drives one round from the signed header to the result.

    Bytes in, bytes out; it opens no sockets.  Calls from one thread at a time; batches are opened on
    ``executor``.  What is refused raises or is counted in :attr:`refused`, and changes nothing.

    Args:
        keys: The aggregator's ``sign`` and ``decrypt`` key.
        shard_key: The secret side of the header's ``shard_key``.
        trust: Pins the issuer's root; its revocation list is enforced.
        signed_header: The header with the members' signatures.
        store: Spools what counts; in memory if None.  One that already holds packets of this round
            (after a crash) is read back: they count once.
        executor: Opens batches, in threads: the key does not leave the process.  None: in the calling
            thread.
        shard_memory_bytes: Most that incomplete groups of shards may take; beyond it the greediest relay's
            oldest go, and are counted.  None: what all contributors together need, 256 MiB to 4 GiB.
        clock: Unix seconds.
        meter: Listens to time and bytes of each stage.

    Attributes:
        header: The round's header.
        state: Where the round is.
        refused: How often something was refused, by kind.

    Raises:
        DecodeError, SenderError, ProtocolError: The header is not valid, or another one was opened for its
            round number.
        ParameterError: ``keys`` or ``shard_key`` are not those of the header.
    """

    def __init__(
        self,
        keys: ServerKeys,
        shard_key: rs.ShardKey,
        trust: clsc.TrustStore,
        signed_header: bytes,
        *,
        store: AggregatorStore | None = None,
        executor: Executor | None = None,
        shard_memory_bytes: int | None = None,
        clock: Callable[[], float] = time.time,
        meter: Meter | None = None,
    ) -> None:
        expect("keys", keys, ServerKeys)
        expect("shard_key", shard_key, rs.ShardKey)
        expect("trust", trust, clsc.TrustStore)
        header = SignedHeader.from_bytes(signed_header, trust).header
        if keys.public.to_list() != header.aggregator.to_list() or shard_key.public_key != header.shard_key:
            raise ParameterError("keys: those of the header's aggregator expected")
        check_revocations(header, trust)
        trust.get(header.sender_params)
        self.header = header
        self.state = State.COLLECTING
        self.refused: Counter[Reason] = Counter()
        self._keys = keys
        self._trust = trust
        self._store = store if store is not None else MemoryAggregatorStore()
        self._executor = executor
        self._clock = clock
        self._meter = meter if meter is not None else Meter()
        self._collector = _collector(header, shard_key, shard_memory_bytes, clock())
        self._pending: list[bytes] = []
        # Of the last ones, should nobody ask for them.
        self._receipts: deque[Receipt] = deque(maxlen=4 * header.max_contributors)
        self._manifests: dict[bytes, bytes] = {}  # pid -> manifest digest
        self._packet_ids: dict[bytes, bytes] = {}
        self._sum = kahe.CiphertextSum(header.kahe_params, header.hash)
        self._members: dict[int, Answer] = {}
        self._complaints: dict[int, CheckReply] = {}
        self._agreed: ContributorSet | None = None
        self._opened: kahe.OpenedSum | None = None
        self._store.open_round(header.epoch, header.round_number, header.hash)
        for accepted in self._store.accepted(header.hash):
            update = Update.from_bytes(accepted.update, header)
            self._count(update, accepted.packet_id)

    # -- collecting -------------------------------------------------------------------------------

    @property
    def accepted(self) -> tuple[bytes, ...]:
        """Pseudonyms that count so far, ascending."""
        return tuple(sorted(self._manifests))

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
        with self._meter.stage("gather") as stage:
            stage.n_bytes += len(shard)
            packet = self._collector.add(shard, relay)
        if packet is not None and self._fits(packet):
            self._take(packet)

    def receive_packet(self, packet: bytes) -> None:
        """Take one whole packet; it waits for :meth:`process`, which runs by itself at 32 of them.

        Raises:
            TypeError: Not bytes.
            ProtocolError: The round no longer collects, or the packet is longer than any of this round.
        """
        self._require_collecting()
        if not isinstance(packet, bytes):
            raise TypeError(f"packet: bytes expected, got {type(packet).__name__}")
        if not self._fits(packet):
            raise ProtocolError(Reason.MALFORMED, "longer than any of this round", round_id=self.header.hash)
        self._take(packet)

    def _fits(self, packet: bytes) -> bool:
        if len(packet) <= self.header.packet_bytes:
            return True
        self.refused[Reason.MALFORMED] += 1
        return False

    def _take(self, packet: bytes) -> None:
        self._pending.append(packet)
        if len(self._pending) >= BATCH:
            self._open_pending()

    def process(self) -> list[Receipt]:
        """Open what waits and add what counts.

        What the executor or the store raises comes through, and packets not yet dealt with wait on.

        Returns:
            One receipt for every packet since the last call, in the order of arrival; of the last
            ``4 * max_contributors`` of them.
        """
        self._open_pending()
        receipts = list(self._receipts)
        self._receipts.clear()
        return receipts

    def _open_pending(self) -> None:
        batches = [self._pending[i : i + BATCH] for i in range(0, len(self._pending), BATCH)]
        work = partial(open_batch, header=self.header, key=self._keys.decrypt, trust=self._trust)
        with self._meter.stage("open packets") as stage:
            stage.n_bytes += sum(len(p) for batch in batches for p in batch)
            results = list((self._executor.map if self._executor else map)(work, batches))
        for opened in (entry for batch in results for entry in batch):
            receipt = self._admit(opened)
            if receipt.refused is not None:
                self.refused[receipt.refused] += 1
            self._receipts.append(receipt)
            del self._pending[0]  # only now: it has been counted, refused or spooled

    @property
    def shard_stats(self) -> dict[str, int]:
        """What became of the shards, by kind."""
        return dict(self._collector.stats)

    def _require_collecting(self) -> None:
        if self.state is not State.COLLECTING:
            raise ProtocolError(Reason.STATE, "no longer collecting", round_id=self.header.hash)
        check_deadline(self.header, self._clock())

    def _admit(self, opened: OpenedPacket) -> Receipt:
        pid, update = opened.pid, opened.update
        if update is None:
            return Receipt(pid, opened.refused)
        known = self._packet_ids.get(pid)
        if known == opened.packet_id:
            return Receipt(pid, None)  # the same message again: a client that was not sure
        if known is not None:
            self._store.equivocated(self.header.hash, pid, opened.packet)
            return Receipt(pid, Reason.EQUIVOCATION)
        if len(self._manifests) >= self.header.max_contributors:
            return Receipt(pid, Reason.FULL)
        record = Accepted(pid, opened.packet_id, opened.packet, update.to_bytes())
        self._store.accept(self.header.hash, record)
        self._count(update, opened.packet_id)
        return Receipt(pid, None)

    def _count(self, update: Update, packet_id: bytes) -> None:
        with self._meter.stage("add") as stage:
            self._sum.add(update.ciphertext)
            stage.n_bytes += self.header.kahe_params.ciphertext_bytes
        self._manifests[update.manifest.pid] = update.manifest.digest
        self._packet_ids[update.manifest.pid] = packet_id

    # -- closing ----------------------------------------------------------------------------------

    def close(self) -> dict[int, bytes]:
        """End the collecting and fix the set and the sum.

        Returns:
            Member index -> the request to :meth:`Member.check`.

        Raises:
            ProtocolError: Fewer than ``min_contributors`` (:attr:`Reason.TOO_FEW`): still collecting.
        """
        self._require_collecting()
        self._open_pending()
        self._require_enough(len(self._manifests))
        requests = self._requests(range(1, len(self.header.members) + 1))
        self.state = State.CLOSING
        return requests

    def receive_check(self, index: int, reply: bytes) -> None:
        """Take a member's verdict on the set.

        Raises:
            UnsigncryptError, SenderError, DecodeError: Not a check of this round for us.
            ProtocolError: Not between :meth:`close` and :meth:`settle`, not this member's, or about
                another set.
        """
        self._require(State.CLOSING)
        plain = self._from_member(index, "check", reply)
        check = CheckReply.from_bytes(plain, self.header)
        if self._agreed is None or check.root != self._agreed.root:
            raise ProtocolError(Reason.SET, "check of another set", round_id=self.header.hash)
        self._complaints[index] = check

    def settle(self) -> dict[int, bytes]:
        """Decide about complaints, and make the final requests.

        A client of whom more than ``f`` members complain is at fault and dropped.  For the rest nobody
        can tell who lies: the round does without those members while ``t`` others have agreed; if not,
        it gives up few clients, member by member, until ``t`` agree.

        Returns:
            Member index -> the request to :meth:`Member.answer`, for the members that agree, and for those
            that have not been heard: they check when they answer.

        Raises:
            ProtocolError: Fewer than ``t`` members (:attr:`Reason.NO_QUORUM`), or too few contributors
                left (:attr:`Reason.TOO_FEW`): more checks may still come.
        """
        self._require(State.CLOSING)
        t = self.header.threshold
        listed = self._manifests.keys()
        complaints = {j: listed & set(check.bad) for j, check in self._complaints.items()}
        drop, content = settle_complaints(complaints, self.header.kahe_params.n_corrupted, t)
        if len(content) < t:
            raise ProtocolError(
                Reason.NO_QUORUM, f"{t} members needed, {len(content)} present", round_id=self.header.hash
            )
        self._require_enough(len(self._manifests) - len(drop))
        dropped = [self._update(pid) for pid in sorted(drop)]
        for update in dropped:
            self._sum.subtract(update.ciphertext)
            del self._manifests[update.manifest.pid]
        try:
            unheard = set(range(1, len(self.header.members) + 1)) - self._complaints.keys()
            requests = self._requests(sorted({*content, *unheard}))
        except BaseException:  # the store failed: as if nothing had been decided
            for update in dropped:
                self._sum.add(update.ciphertext)
                self._manifests[update.manifest.pid] = update.manifest.digest
            raise
        self.refused.update({Reason.BAD_SHARES: len(dropped)} if dropped else {})
        self.state = State.ANSWERING
        return requests

    def receive_answer(self, index: int, answer: bytes) -> None:
        """Take a member's answer for the agreed set.

        Raises:
            UnsigncryptError, SenderError, DecodeError, SignatureError: Not an answer of this member.
            ProtocolError: Not settled, done, or for another set.
        """
        # Not before: a member that answers unasked must not cut the others' complaints short.
        self._require(State.ANSWERING)
        parsed = Answer.from_bytes(self._from_member(index, "answer", answer), self.header, index)
        if parsed.agreed != self._agreed:
            raise ProtocolError(Reason.SET, "answer for another set", round_id=self.header.hash)
        self._members.setdefault(index, parsed)

    def open(self) -> RoundResult:
        """Reconstruct the sum of the keys, open the sum, and make the result.

        Raises:
            ProtocolError: Fewer than ``t`` answers (:attr:`Reason.NO_QUORUM`), or the sum does not open
                with the answers so far (:attr:`Reason.SUM`); more answers may still come.
        """
        if self.state not in (State.ANSWERING, State.DONE) or self._agreed is None:
            raise ProtocolError(Reason.STATE, "not settled", round_id=self.header.hash)
        header, agreed = self.header, self._agreed
        with self._meter.stage("open sum") as stage:
            stage.n_bytes += header.kahe_params.ciphertext_bytes
            try:
                opened = kahe.open_sum(
                    header.kahe_params,
                    header.hash,
                    self._sum,
                    [self._members[j].share_sum for j in sorted(self._members)],
                    agreed.count,
                )
                mean, weight = header.codec.dequantize(opened.values, agreed.count)
            except TooManyErasures as error:
                detail = f"{error.needed} answers needed, {error.present} usable"
                raise ProtocolError(Reason.NO_QUORUM, detail, round_id=header.hash) from None
            except OverflowDetected:
                raise ProtocolError(Reason.SUM, round_id=header.hash) from None
        self.state = State.DONE
        self._opened = opened
        mean.setflags(write=False)
        signatures = {j: answer.signature for j, answer in sorted(self._members.items())}
        return RoundResult(agreed, tuple(sorted(self._manifests.items())), mean, weight, signatures)

    @property
    def opened_sum(self) -> NDArray[np.int64]:
        """The integers that :meth:`open` found, the sum of weights last.

        Raises:
            ProtocolError: Not opened yet (:attr:`Reason.STATE`).
        """
        if self._opened is None:
            raise ProtocolError(Reason.STATE, "not opened", round_id=self.header.hash)
        return self._opened.values

    @property
    def wrong_members(self) -> tuple[int, ...]:
        """Members whose answer was wrong, for certain while at most ``f`` are corrupted.

        Empty before :meth:`open`.
        """
        return self._opened.wrong_members if self._opened is not None else ()

    @property
    def suspect_members(self) -> tuple[int, ...]:
        """Members that disagree with those that opened the sum, where either may have lied.

        Empty before :meth:`open`.
        """
        return self._opened.suspect_members if self._opened is not None else ()

    def publish(self, result: RoundResult) -> bytes:
        """The result, signed, for the clients."""
        return result.to_bytes(self.header, self._keys)

    def erase(self) -> None:
        """Forget the packets of the round; whatever its state, it ends here.

        Raises:
            ProtocolError: Before the audit deadline of a round that was opened (:attr:`Reason.AUDIT`).
        """
        if self.state is State.DONE and self._clock() <= self.header.audit_deadline:
            raise ProtocolError(Reason.AUDIT, round_id=self.header.hash)
        self._store.erase(self.header.hash)
        self._pending = []
        self._members.clear()  # together they are the key of the sum
        self._sum = kahe.CiphertextSum(self.header.kahe_params, self.header.hash)
        self.state = State.ERASED

    def _require(self, state: State) -> None:
        if self.state is not state:
            raise ProtocolError(Reason.STATE, f"{state.name.lower()} expected", round_id=self.header.hash)

    def _update(self, pid: bytes) -> Update:
        return Update.from_bytes(self._store.update(self.header.hash, pid), self.header)

    def _require_enough(self, count: int) -> None:
        if count < self.header.min_contributors:
            raise ProtocolError(
                Reason.TOO_FEW,
                f"{self.header.min_contributors} needed, {count} present",
                round_id=self.header.hash,
            )

    def _requests(self, indices: Sequence[int]) -> dict[int, bytes]:
        header = self.header
        entries = sorted(self._manifests.items())
        agreed = ContributorSet(set_root(header.hash, entries), self._sum.digest, len(entries))
        manifests: list[Manifest] = []
        packets: dict[int, list[bytes]] = {j: [] for j in indices}
        for pid, _ in entries:
            update = self._update(pid)
            manifests.append(update.manifest)
            for j in indices:
                packets[j].append(update.member_packets[j - 1])
        requests = {
            j: CloseRequest(agreed, tuple(manifests), tuple(packets[j])).to_bytes(header, j, self._keys)
            for j in indices
        }
        self._agreed = agreed
        return requests

    def _from_member(self, index: int, role: str, data: bytes) -> bytes:
        header = self.header
        expect("index", index, int)
        if not 1 <= index <= len(header.members):
            raise ProtocolError(Reason.NOT_MEMBER, round_id=header.hash)
        opened = clsc.unsigncrypt(
            data, receiver=self._keys.decrypt, trust=self._trust, ad=associated_data(header.hash, role, index)
        )
        if opened.sender.to_bytes() != header.members[index - 1].sign.to_bytes():
            raise ProtocolError(Reason.NOT_MEMBER, "another signer", round_id=header.hash)
        return opened.plaintext


def _collector(
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

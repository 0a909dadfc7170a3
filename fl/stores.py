"""What a role must not forget: interfaces, and the versions that keep it in memory.

A store is *durable before it returns*: whatever a role does next, it may do only because the record is
safe.  The in-memory versions keep that order (and are what the tests of the roles use); a process that
must survive a crash passes a store on disk with the same methods (:class:`.SqliteOutbox`,
:class:`.SqliteMemberStore`, :class:`.SqliteAggregatorStore`).  Every method is atomic and may be called
from several threads.
"""

from __future__ import annotations

import threading
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from enum import StrEnum
from typing import Protocol

from .errors import ProtocolError, Reason


@dataclass(frozen=True)
class Sent:
    """A client's finished packet and what it commits the client to.

    Attributes:
        header_hash: The round.
        pid: The pseudonym that it was sealed under.
        model: Digest of the global model it was trained on.
        update_digests: Digests of the vector's floats, and of the integers nearest to it; on the client's
            own device only.
        manifest_digest: Its own entry in the set.
        packet: The bytes for the aggregator; empty once they were discarded.
    """

    header_hash: bytes
    pid: bytes
    model: bytes
    update_digests: frozenset[bytes] = field(repr=False)
    manifest_digest: bytes
    packet: bytes = field(repr=False)


class Outbox(Protocol):
    """The memory of one device: at most one packet a round, one update a model, no update twice."""

    def find(self, header_hash: bytes) -> Sent | None:
        """The packet sealed for a round, if any.

        Args:
            header_hash: The round, 32 bytes.
        """

    def check(self, model: bytes, update_digests: frozenset[bytes], *, allow_retrained: bool = False) -> None:
        """Ask before the work of sealing what :meth:`put` would say about this update.

        Args:
            model: Digest of the global model, 32 bytes.
            update_digests: As in :class:`Sent`.
            allow_retrained: As in :meth:`put`.

        Raises:
            ProtocolError: As :meth:`put` (:attr:`Reason.MODEL_REUSED`, :attr:`Reason.UPDATE_REUSED`).
        """

    def put(self, sent: Sent, *, allow_retrained: bool = False) -> None:
        """Keep a packet, before its first byte leaves; refusing and keeping are one step.

        Args:
            sent: What is about to leave.
            allow_retrained: Keep it even if an update for its model is there.

        Raises:
            ProtocolError: There is one for this round already (:attr:`Reason.SEALED`), or for this model
                (:attr:`Reason.MODEL_REUSED`), or this update has left for any model
                (:attr:`Reason.UPDATE_REUSED`).
        """

    def discard(self, header_hash: bytes) -> None:
        """Forget the bytes of a packet whose round is over; that it was sent stays known.

        Args:
            header_hash: The round, 32 bytes.
        """


class MemoryOutbox:
    """An :class:`Outbox` for one process lifetime."""

    def __init__(self) -> None:
        self._sent: dict[bytes, Sent] = {}
        self._lock = threading.Lock()

    def find(self, header_hash: bytes) -> Sent | None:
        """See :class:`Outbox`."""
        return self._sent.get(header_hash)

    def check(self, model: bytes, update_digests: frozenset[bytes], *, allow_retrained: bool = False) -> None:
        """See :class:`Outbox`."""
        with self._lock:
            self._check(model, update_digests, allow_retrained)

    def _check(
        self, model: bytes, update_digests: frozenset[bytes], allow_retrained: bool, round_id: bytes = b""
    ) -> None:
        for other in self._sent.values():
            if other.model == model and not allow_retrained:
                raise ProtocolError(Reason.MODEL_REUSED, round_id=round_id)
            if other.update_digests & update_digests:
                raise ProtocolError(Reason.UPDATE_REUSED, round_id=round_id)

    def put(self, sent: Sent, *, allow_retrained: bool = False) -> None:
        """See :class:`Outbox`."""
        with self._lock:
            if sent.header_hash in self._sent:
                raise ProtocolError(Reason.SEALED, round_id=sent.header_hash)
            self._check(sent.model, sent.update_digests, allow_retrained, sent.header_hash)
            self._sent[sent.header_hash] = sent

    def discard(self, header_hash: bytes) -> None:
        """See :class:`Outbox`."""
        with self._lock:
            if header_hash in self._sent:
                self._sent[header_hash] = replace(self._sent[header_hash], packet=b"")


@dataclass(frozen=True)
class Binding:
    """What a member answered, or is about to.

    Attributes:
        header_hash: The round.
        root: The set.
        sum_digest: The sum of its ciphertexts.
    """

    header_hash: bytes
    root: bytes
    sum_digest: bytes


class MemberStore(Protocol):
    """A member's memory: one header it signed a round number, and the chain of sets it answered.

    The chain has one binding, and one more for each time that convicted clients were taken out of the last
    one.  Only its end is ever followed.
    """

    def sign_header(self, aggregator: bytes, epoch: bytes, round_number: int, header_hash: bytes) -> None:
        """Note that a header is about to be signed; the same one again is fine.

        Args:
            aggregator: Its name.
            epoch: 1 to 64 bytes.
            round_number: In that epoch.
            header_hash: What is about to be signed, 32 bytes.

        Raises:
            ProtocolError: Another one was signed (:attr:`Reason.OTHER_HEADER`); or one of this round number,
                by whatever aggregator, was answered (:attr:`Reason.BOUND`): this member cannot answer for
                another, so its signature would make clients seal in vain.
        """

    def last_binding(self, epoch: bytes, round_number: int) -> Binding | None:
        """The end of the chain: what was bound last, if anything.

        Args:
            epoch: 1 to 64 bytes.
            round_number: In that epoch.
        """

    def find_answer(self, epoch: bytes, round_number: int, binding: Binding) -> bytes | None:
        """The answer that left for the identical binding, if it is in the chain and one was kept.

        Args:
            epoch: 1 to 64 bytes.
            round_number: In that epoch.
            binding: What the request asks to bind to.
        """

    def bind(
        self, epoch: bytes, round_number: int, binding: Binding, *, replaces: Binding | None = None
    ) -> bytes | None:
        """Note what is about to be answered; to compare and to note is one step.

        Args:
            epoch: Of the senders.
            round_number: Of the header.
            binding: What is about to be answered.
            replaces: The end of the chain that it may follow: the same round without convicted clients, as
                the member has verified itself.  None: it begins the chain.

        Returns:
            The answer that left for the identical binding, or None if none was kept.

        Raises:
            ProtocolError: Another set or round was answered (:attr:`Reason.BOUND`): ``binding`` is not in
                the chain, and ``replaces`` is not its end.
        """

    def keep_answer(self, epoch: bytes, round_number: int, binding: Binding, answer: bytes) -> bytes:
        """Keep the bytes of an answer; returns those to send, the first ones kept for this binding.

        Args:
            epoch: 1 to 64 bytes.
            round_number: In that epoch.
            binding: What was bound before.
            answer: The bytes that are about to leave.

        Returns:
            The bytes to send.
        """


class MemoryMemberStore:
    """A :class:`MemberStore` for one process lifetime."""

    def __init__(self) -> None:
        self._headers: dict[tuple[bytes, bytes, int], bytes] = {}
        self._bindings: dict[tuple[bytes, int], tuple[Binding, ...]] = {}
        self._answers: dict[tuple[bytes, int, Binding], bytes] = {}
        self._lock = threading.Lock()

    def sign_header(self, aggregator: bytes, epoch: bytes, round_number: int, header_hash: bytes) -> None:
        """See :class:`MemberStore`."""
        with self._lock:
            known = self._headers.get((aggregator, epoch, round_number), header_hash)
            if known != header_hash:
                raise ProtocolError(Reason.OTHER_HEADER, round_id=header_hash)
            chain = self._bindings.get((epoch, round_number))
            if chain and chain[-1].header_hash != header_hash:
                raise ProtocolError(Reason.BOUND, round_id=header_hash)
            self._headers[aggregator, epoch, round_number] = header_hash

    def last_binding(self, epoch: bytes, round_number: int) -> Binding | None:
        """See :class:`MemberStore`."""
        with self._lock:
            chain = self._bindings.get((epoch, round_number))
            return chain[-1] if chain else None

    def find_answer(self, epoch: bytes, round_number: int, binding: Binding) -> bytes | None:
        """See :class:`MemberStore`."""
        with self._lock:
            return self._answers.get((epoch, round_number, binding))

    def bind(
        self, epoch: bytes, round_number: int, binding: Binding, *, replaces: Binding | None = None
    ) -> bytes | None:
        """See :class:`MemberStore`."""
        with self._lock:
            chain = self._bindings.get((epoch, round_number), ())
            if binding not in chain:
                if replaces != (chain[-1] if chain else None):
                    raise ProtocolError(Reason.BOUND, round_id=binding.header_hash)
                self._bindings[epoch, round_number] = (*chain, binding)
            return self._answers.get((epoch, round_number, binding))

    def keep_answer(self, epoch: bytes, round_number: int, binding: Binding, answer: bytes) -> bytes:
        """See :class:`MemberStore`."""
        with self._lock:
            return self._answers.setdefault((epoch, round_number, binding), answer)


@dataclass(frozen=True)
class Accepted:
    """A packet that counts.

    Attributes:
        pid: Its sender's pseudonym.
        packet_id: Its replay identity (:class:`sottovoce.clsc.Opened`).
        packet: The packet as it came, evidence of what the sender signed.
        update: Its opened content: manifest, ciphertext, members' packets.
    """

    pid: bytes
    packet_id: bytes
    packet: bytes = field(repr=False)
    update: bytes = field(repr=False)


class StepKind(StrEnum):
    """What moves a round on."""

    CLOSED = "closed"
    """Contributors and sum were fixed."""
    CHECK = "check"
    """A member's check came."""
    SETTLED = "settled"
    """Contributors were taken out, or members left; all others are asked to answer."""
    ANSWER = "answer"
    """A member's answer came."""
    OPENED = "opened"
    """The sum was opened."""
    ERASED = "erased"
    """Ciphertexts and packets are gone."""


@dataclass(frozen=True)
class Step:
    """One step of a round after the collecting; all of them in order lead to where it is.

    Attributes:
        kind: What happened.
        member: Index of the member that it came from, or 0.
        data: What the member sent, after opening; or the set and the sum that were fixed.
    """

    kind: StepKind
    member: int = 0
    data: bytes = field(default=b"", repr=False)


class AggregatorStore(Protocol):
    """An aggregator's memory: what was accepted, spooled before it counts, and how the round went on."""

    def find_round(self, epoch: bytes, round_number: int) -> bytes | None:
        """The header that a round number was opened for, if any.

        Args:
            epoch: 1 to 64 bytes.
            round_number: In that epoch.
        """

    def open_round(self, epoch: bytes, round_number: int, header_hash: bytes) -> None:
        """Note that a round is about to collect; the same one again (after a crash) is fine.

        Args:
            epoch: 1 to 64 bytes.
            round_number: In that epoch.
            header_hash: The round, 32 bytes.

        Raises:
            ProtocolError: The number was used for another header (:attr:`Reason.OTHER_HEADER`).
        """

    def kept_rounds(self) -> dict[bytes, tuple[bytes, int]]:
        """Header hash -> epoch and round number, of every round that was opened and not erased."""

    def accept(self, header_hash: bytes, accepted: Accepted) -> None:
        """Keep a packet; the caller has seen that its pid has none yet.

        Args:
            header_hash: The round, 32 bytes.
            accepted: The packet, its sender and its opened content.
        """

    def accepted(self, header_hash: bytes) -> Iterator[Accepted]:
        """All accepted packets of a round, one at a time.

        Args:
            header_hash: The round, 32 bytes.
        """

    def update(self, header_hash: bytes, pid: bytes) -> bytes:
        """The opened content of one accepted packet.

        Args:
            header_hash: The round, 32 bytes.
            pid: The sender, 16 bytes.
        """

    def equivocated(self, header_hash: bytes, pid: bytes, packet: bytes) -> None:
        """Keep the first different packet of a sender as evidence.

        Args:
            header_hash: The round, 32 bytes.
            pid: The sender, 16 bytes.
            packet: The second one.
        """

    def convict(self, header_hash: bytes, pid: bytes, conviction: bytes) -> None:
        """Keep the first verified conviction of a sender (:class:`sottovoce.fl.Conviction`, as bytes).

        Args:
            header_hash: The round, 32 bytes.
            pid: The sender, 16 bytes.
            conviction: Verified by the caller.
        """

    def convictions(self, header_hash: bytes) -> dict[bytes, bytes]:
        """Pid -> conviction, of a round.

        Args:
            header_hash: The round, 32 bytes.
        """

    def evidence(self, header_hash: bytes) -> dict[bytes, bytes]:
        """Pid -> second, different packet of a sender that equivocated.

        Args:
            header_hash: The round, 32 bytes.
        """

    def note(self, header_hash: bytes, step: Step) -> None:
        """Keep a step before it takes effect.

        Args:
            header_hash: The round, 32 bytes.
            step: What is about to count.
        """

    def steps(self, header_hash: bytes) -> tuple[Step, ...]:
        """The steps of a round, in the order in which they were noted.

        Args:
            header_hash: The round, 32 bytes.
        """

    def erase(self, header_hash: bytes) -> None:
        """Forget packets, convictions and steps of a round, but that it was erased; its number stays used.

        Args:
            header_hash: The round, 32 bytes.
        """


class MemoryAggregatorStore:
    """An :class:`AggregatorStore` for one process lifetime."""

    def __init__(self) -> None:
        self._rounds: dict[tuple[bytes, int], bytes] = {}
        self._accepted: dict[bytes, dict[bytes, Accepted]] = {}
        self._evidence: dict[bytes, dict[bytes, bytes]] = {}
        self._convictions: dict[bytes, dict[bytes, bytes]] = {}
        self._steps: dict[bytes, tuple[Step, ...]] = {}
        self._lock = threading.Lock()

    def find_round(self, epoch: bytes, round_number: int) -> bytes | None:
        """See :class:`AggregatorStore`."""
        with self._lock:
            return self._rounds.get((epoch, round_number))

    def open_round(self, epoch: bytes, round_number: int, header_hash: bytes) -> None:
        """See :class:`AggregatorStore`."""
        with self._lock:
            if self._rounds.setdefault((epoch, round_number), header_hash) != header_hash:
                raise ProtocolError(Reason.OTHER_HEADER, round_id=header_hash)

    def kept_rounds(self) -> dict[bytes, tuple[bytes, int]]:
        """See :class:`AggregatorStore`."""
        erased = (Step(StepKind.ERASED),)
        with self._lock:
            return {h: key for key, h in self._rounds.items() if self._steps.get(h) != erased}

    def accept(self, header_hash: bytes, accepted: Accepted) -> None:
        """See :class:`AggregatorStore`."""
        with self._lock:
            self._accepted.setdefault(header_hash, {})[accepted.pid] = accepted

    def accepted(self, header_hash: bytes) -> Iterator[Accepted]:
        """See :class:`AggregatorStore`."""
        with self._lock:
            records = tuple(self._accepted.get(header_hash, {}).values())
        return iter(records)

    def update(self, header_hash: bytes, pid: bytes) -> bytes:
        """See :class:`AggregatorStore`."""
        return self._accepted[header_hash][pid].update

    def equivocated(self, header_hash: bytes, pid: bytes, packet: bytes) -> None:
        """See :class:`AggregatorStore`."""
        with self._lock:
            self._evidence.setdefault(header_hash, {}).setdefault(pid, packet)

    def evidence(self, header_hash: bytes) -> dict[bytes, bytes]:
        """See :class:`AggregatorStore`."""
        with self._lock:
            return dict(self._evidence.get(header_hash, {}))

    def convict(self, header_hash: bytes, pid: bytes, conviction: bytes) -> None:
        """See :class:`AggregatorStore`."""
        with self._lock:
            self._convictions.setdefault(header_hash, {}).setdefault(pid, conviction)

    def convictions(self, header_hash: bytes) -> dict[bytes, bytes]:
        """See :class:`AggregatorStore`."""
        with self._lock:
            return dict(self._convictions.get(header_hash, {}))

    def note(self, header_hash: bytes, step: Step) -> None:
        """See :class:`AggregatorStore`."""
        with self._lock:
            self._steps[header_hash] = (*self._steps.get(header_hash, ()), step)

    def steps(self, header_hash: bytes) -> tuple[Step, ...]:
        """See :class:`AggregatorStore`."""
        with self._lock:
            return self._steps.get(header_hash, ())

    def erase(self, header_hash: bytes) -> None:
        """See :class:`AggregatorStore`."""
        with self._lock:
            self._steps[header_hash] = (Step(StepKind.ERASED),)
            self._convictions.pop(header_hash, None)
            self._accepted.pop(header_hash, None)
            self._evidence.pop(header_hash, None)

"""What an aggregator must not forget: the packets that count, and the steps of the round since."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Protocol

from .errors import ProtocolError, Reason


@dataclass(frozen=True)
class Accepted:
    """A packet that counts.

    Attributes:
        pid: Its sender's pseudonym, 16 bytes.
        packet_id: Its replay identity (:class:`sottovoce.clsc.Opened`), 32 bytes.
        packet: The packet as it came, evidence of what the sender signed.
        update: Its opened content: manifest, ciphertext, members' packets.

    Source: docs/fl-stores.md, "After a crash".
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
        member: Index of the member that it came from, from 1, or 0.
        data: What the member sent, after opening; or the set and the sum that were fixed.

    Source: docs/fl-stores.md, "After a crash".
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
    """An :class:`AggregatorStore` for one process lifetime.

    Source: docs/fl-stores.md, "What the roles of a round must not forget".
    """

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

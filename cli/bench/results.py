"""Results of a run: measurements with their timings, ratios, and which aims were held."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from .harness import Ratio, Timing, ratio
from .measurement import Measurement, Peer, Work


@dataclass(frozen=True, slots=True)
class PeerResult:
    """A peer and its timing; None where it is not installed.

    Attributes:
        peer: Who.
        timing: Of ``peer.amount`` units, if that is said.
        n_bytes: Bytes that a call of it makes, where that was told.
    """

    peer: Peer
    timing: Timing | None
    n_bytes: int | None = None


@dataclass(frozen=True, slots=True)
class Result:
    """A measurement with its timing, and those of what it is compared with.

    Attributes:
        measurement: What was measured.
        timing: Its own.
        peers: As many as were asked for.
        alternatives: Timings of ``measurement.alternatives``, in order.
        parts: Timings of ``measurement.parts.of``, in order.
        n_bytes: Bytes that a call makes, where that was told.
        level: Level of the kernels in the run; decides which of a peer's aims counts.
        threads: How many worked on one call.  Aims are for one.
        wall: Timed by the clock of the wall, not in processor time.
    """

    measurement: Measurement
    timing: Timing
    peers: tuple[PeerResult, ...] = ()
    alternatives: tuple[Timing, ...] = ()
    parts: tuple[Timing, ...] = ()
    n_bytes: int | None = None
    level: str = "portable"
    threads: int = 1
    wall: bool = False

    @property
    def to_parts(self) -> Ratio | None:
        """How many times longer than its parts together; None without parts."""
        parts = self.measurement.parts
        if parts is None:
            return None
        counts = [part.count for part in parts.of]
        return ratio(self.timing, list(zip(counts, self.parts, strict=True)))

    @property
    def to_alternatives(self) -> list[Ratio]:
        """How many times longer than each alternative."""
        return [ratio(self.timing, [(1, timing)]) for timing in self.alternatives]

    def work_of(self, other: PeerResult) -> Work:
        """What one call of the peer does."""
        work = self.measurement.work
        return work if other.peer.amount is None else Work(other.peer.amount, work.unit)

    def times_faster(self, other: PeerResult) -> float | None:
        """How many times longer the peer takes for one unit; None where it is not installed."""
        if other.timing is None:
            return None
        work, theirs = self.measurement.work, self.work_of(other)
        return (other.timing.median / theirs.amount) / (self.timing.median / work.amount)

    def aim_of(self, other: PeerResult) -> float | None:
        """How many times faster than the peer the work should be with these kernels; None: no aim."""
        return other.peer.aims.get(self.level) if self.threads == 1 else None

    @property
    def held(self) -> list[str]:
        """Every aim beside a peer that was reached, in words."""
        return [words for words, held in self._against_peers() if held]

    def _against_peers(self) -> Iterator[tuple[str, bool]]:
        for other in self.peers:
            times, aim = self.times_faster(other), self.aim_of(other)
            if times is not None and aim is not None:
                words = f"{times:.1f} times faster than {other.peer.title}, aim {aim:g} with {self.level}"
                yield words, times >= aim

    @property
    def missed(self) -> list[str]:
        """Every aim that was not reached, in words."""
        missed = [words for words, held in self._against_peers() if not held]
        if self.threads > 1:
            return missed
        parts, to_parts = self.measurement.parts, self.to_parts
        if parts is not None and to_parts is not None and parts.aim and to_parts.median > parts.aim:
            missed.append(f"{to_parts.median:.2f} times its parts, aim {parts.aim:g}")
        for other, to in zip(self.measurement.alternatives, self.to_alternatives, strict=True):
            if other.aim and to.median > other.aim:
                missed.append(f"{to.median:.2f} times {other.name!r}, aim {other.aim:g}")
        return missed

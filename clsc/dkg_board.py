"""The public side of :mod:`.dkg`: what was broadcast, and what follows from it.

Nothing here is secret, and nothing here draws randomness: whoever saw the same messages in the same
rounds gets the same qualified servers, the same keys and the same transcript.
"""

from __future__ import annotations

from enum import IntEnum
from typing import TYPE_CHECKING, Any, Final

from .._ext.enc import sha256_enc
from .._ext.errors import DkgError, ParameterError
from . import comb, dkg_proof, group, polynomial
from .dkg_messages import Commit, Complaints, Confirm, Justifications, PrivateShare, Reveal
from .dkg_session import DkgFault, DkgPublic, DkgSession

if TYPE_CHECKING:
    Broadcast = Commit | Reveal | Complaints | Justifications | Confirm


class DkgRound(IntEnum):
    """Where a participant stands: which messages it takes."""

    COMMIT = 1
    """Hashes of contributions."""
    REVEAL = 2
    """The contributions, and a share for each server."""
    COMPLAIN = 3
    """Whose share did not fit."""
    JUSTIFY = 4
    """The accused publish those shares."""
    CONFIRM = 5
    """Hashes of all that was seen, result included."""
    FINISHED = 6
    """There is a result."""
    FAILED = 7
    """There is none, and the run says who is at fault."""

    @property
    def words(self) -> str:
        """For an error message."""
        return self.name.lower()


_KINDS: Final[dict[DkgRound, type[Broadcast]]] = {
    DkgRound.COMMIT: Commit,
    DkgRound.REVEAL: Reveal,
    DkgRound.COMPLAIN: Complaints,
    DkgRound.JUSTIFY: Justifications,
    DkgRound.CONFIRM: Confirm,
}
_NAMES: Final = {kind.KIND: kind.NAME for kind in (*_KINDS.values(), PrivateShare)}


class Board:
    """The messages of one run, round by round; used by each participant, public.

    Attributes:
        session: What was agreed on.
        round: Which messages are taken.
    """

    __slots__ = ("_commits", "_complaints", "_confirms", "_justifications", "_reveals", "round", "session")

    def __init__(self, session: DkgSession) -> None:
        self.session = session
        self.round = DkgRound.COMMIT
        self._commits: dict[int, Commit] = {}
        self._reveals: dict[int, Reveal] = {}
        self._complaints: dict[int, Complaints] = {}
        self._justifications: dict[int, Justifications] = {}
        self._confirms: dict[int, Confirm] = {}

    # -- what comes in --------------------------------------------------------------------------

    def post(self, message: Broadcast) -> None:
        """Note the own message of this round."""
        self._received(type(message))[message.sender] = message

    def receive(self, sender: int, data: bytes) -> None:
        """Take a message of this round; see :meth:`.dkg.DkgParticipant.receive`."""
        kind = self._expected(data)
        message = kind.from_bytes(data)
        refused = self.foreign(message, sender)
        if refused is not None:
            raise refused
        known = self._received(kind)
        if sender in known:
            if known[sender].to_bytes() != data:
                raise DkgError(f"{kind.NAME}: server {sender} sent two different ones")
            return
        reason = self._against_rules(message)
        if reason:
            raise DkgError(f"{kind.NAME} of server {sender}: {reason}")
        known[sender] = message

    def foreign(self, message: Broadcast | PrivateShare, sender: int) -> Exception | None:
        """Why a message is not of this session and sender, or None; returned, because it may be secret."""
        refused = self.no_server(sender, "sender")
        if refused is not None:
            return refused
        if message.session != self.session.id:
            return DkgError(f"{message.NAME} of server {sender}: of another session")
        if message.sender != sender:
            return DkgError(f"{message.NAME} of server {sender}: says it is of server {message.sender}")
        return None

    def no_server(self, index: object, name: str) -> Exception | None:
        """Why ``index`` is not that of a server, or None."""
        if type(index) is not int:
            return TypeError(f"{name}: int expected, got {type(index).__name__}")
        if not 1 <= index <= self.session.servers:
            return ParameterError(f"{name}: 1 to {self.session.servers} expected, got {index}")
        return None

    def _expected(self, data: object) -> type[Broadcast]:
        """The kind of this round; a message of another round is told from one that cannot be read."""
        if not isinstance(data, bytes):
            raise TypeError(f"message: bytes expected, got {type(data).__name__}")
        kind = _KINDS.get(self.round)
        name = _NAMES.get(data[1]) if len(data) > 1 else None
        if kind is None or (name is not None and name != kind.NAME):
            raise DkgError(f"{name or 'message'}: received by broadcast in round {self.round.words}")
        return kind

    def _received(self, kind: type[Broadcast]) -> dict[int, Any]:
        stores: dict[type[Broadcast], dict[int, Any]] = {
            Commit: self._commits,
            Reveal: self._reveals,
            Complaints: self._complaints,
            Justifications: self._justifications,
            Confirm: self._confirms,
        }
        return stores[kind]

    def _against_rules(self, message: Broadcast) -> str | None:
        """Why a message counts for nothing, or None.  Only what was broadcast decides."""
        if isinstance(message, Reveal):
            return self._wrong_reveal(message)
        if isinstance(message, Complaints) and not set(message.accused) <= self._reveals.keys():
            return "accuses a server without a valid reveal"
        if isinstance(message, Justifications):
            receivers = tuple(receiver for receiver, _ in message.shares)
            if receivers != self.disputed(message.sender):
                return "other shares than the disputed ones"
        return None

    def _wrong_reveal(self, reveal: Reveal) -> str | None:
        commit = self._commits.get(reveal.sender)
        if commit is None:
            return "without a commitment"
        if reveal.digest() != commit.digest:
            return "not what it committed to"
        if len(reveal.commitments) != self.session.threshold:
            return f"{self.session.threshold} commitments expected, got {len(reveal.commitments)}"
        if not dkg_proof.holds(reveal):
            return "the proof of the constant term does not hold"
        return None

    # -- what follows -----------------------------------------------------------------------------

    @property
    def revealed(self) -> list[int]:
        """Servers with a valid reveal, ascending."""
        return sorted(self._reveals)

    def fits(self, i: int, j: int, value: int) -> bool:
        """Whether ``value`` is server ``j``'s share of the polynomial that server ``i`` revealed."""
        if i not in self._reveals:
            return False
        expected = polynomial.evaluate_exponent(self._reveals[i].commitments, j)
        return comb.p2_mul(value) == expected

    def accusers(self, i: int) -> tuple[int, ...]:
        """Who complained about server ``i``, ascending; from the end of the third round."""
        return tuple(j for j, message in sorted(self._complaints.items()) if i in message.accused)

    def disputed(self, i: int) -> tuple[int, ...]:
        """Receivers whose shares server ``i`` must publish.

        Not for ``t - f`` complaints or more: with the shares that ``f`` corrupted servers hold, so many
        published ones are the whole polynomial.
        """
        accusers = self.accusers(i)
        return accusers if len(accusers) < self._too_many else ()

    @property
    def _too_many(self) -> int:
        """Complaints that disqualify at once; more than ``f`` whenever ``t <= n - f``."""
        return self.session.threshold - self.session.corrupted

    def published(self, i: int) -> dict[int, int]:
        """The shares that server ``i`` published, by receiver."""
        return dict(self._justifications[i].shares) if i in self._justifications else {}

    def fault(self, i: int) -> DkgFault | None:
        """Why server ``i`` is disqualified, or None."""
        if i not in self._commits:
            return DkgFault.NO_COMMITMENT
        if i not in self._reveals:
            return DkgFault.NO_REVEAL
        if len(self.accusers(i)) >= self._too_many:
            return DkgFault.ACCUSED
        published = self.published(i)
        if not all(j in published and self.fits(i, j, published[j]) for j in self.disputed(i)):
            return DkgFault.NOT_JUSTIFIED
        return None

    def result(self) -> DkgPublic:
        """The public result, when the fourth round is over.

        Raises:
            DkgError: The run has failed; ``culprits`` says why and by whom.
        """
        n, t = self.session.servers, self.session.threshold
        faults = {i: self.fault(i) for i in range(1, n + 1)}
        disqualified = tuple((i, fault) for i, fault in faults.items() if fault is not None)
        qualified = [i for i, fault in faults.items() if fault is None]
        culprits = {i: fault.words for i, fault in disqualified}
        if len(qualified) < t:
            raise DkgError(f"confirm: {len(qualified)} of {t} needed servers are qualified", culprits)
        points = self._points(qualified)
        if points is None:
            raise DkgError("confirm: the sum of the polynomials is degenerate; run again", culprits)
        return DkgPublic(self.session, self._transcript(), points[0], tuple(points[1:]), disqualified)

    def _points(self, qualified: list[int]) -> list[bytes] | None:
        """``Y, Y_1, ..., Y_n``; None where :class:`EpochParams` would refuse them (probability 2^-240)."""
        total = list(self._reveals[qualified[0]].commitments)
        for i in qualified[1:]:
            total = [a + b for a, b in zip(total, self._reveals[i].commitments, strict=True)]
        points = [
            total[0],
            *(polynomial.evaluate_exponent(total, j) for j in range(1, self.session.servers + 1)),
        ]
        encoded = [point.to_compressed_bytes() for point in points]
        distinct = self.session.threshold == 1 or len(set(encoded)) == len(encoded)
        if not distinct or any(group.g2_is_identity(point) for point in (*points, total[-1])):
            return None
        return encoded

    def _transcript(self) -> bytes:
        """Hash of what decided the result: for each server what counts of its four messages.

        A message that says nothing counts like none: whoever missed it has the same result.
        """
        fields = []
        for i in range(1, self.session.servers + 1):
            complaints, published = self._complaints.get(i), self._justifications.get(i)
            fields += [
                self._commits[i].digest if i in self._commits else b"",
                self._reveals[i].to_bytes() if i in self._reveals else b"",
                complaints.body() if complaints else b"\0",
                published.body() if published else b"\0",
            ]
        return sha256_enc("SOTTOVOCE-V1-DKG-TRANSCRIPT", self.session.id, *fields)

    def confirmations(self, transcript: bytes) -> tuple[tuple[int, ...], tuple[int, ...]]:
        """Servers that confirmed ``transcript``, and those that confirmed another one; ascending."""
        confirms = sorted(self._confirms.items())
        equal = tuple(j for j, message in confirms if message.transcript == transcript)
        return equal, tuple(j for j, _ in confirms if j not in equal)

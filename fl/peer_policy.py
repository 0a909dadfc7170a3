"""A policy for rounds among equals: not who is named, but who is chosen, and when it is their turn."""

from __future__ import annotations

from dataclasses import dataclass, field

from .. import clsc
from .._ext.errors import ParameterError
from .errors import ProtocolError, Reason
from .header import RoundHeader
from .policy import Policy
from .roster_book import RosterBook
from .wire import expect


@dataclass(frozen=True, kw_only=True)
class PeerPolicy(Policy):
    """The owner's conditions where roster and beacon say who is aggregator and member.

    Accepts a header only if its aggregator and its committee, in this order and with these keys, are those
    of (roster, beacon, round, view), and if it is that view's turn by this peer's own clock: not before, not
    after, and with a deadline inside.  So a peer takes part in one view at a time, and who sleeps through its
    turn and then hurries finds that it is another's.  Nothing is granted here for clocks that differ: an
    honest aggregator sets its deadline 120 s before the end of its turn (:meth:`Peer.propose`), when it is
    still the turn by every clock within that of its own.

    Attributes:
        book: What this peer has seen; shared by its client and its member.
        min_members: Smallest committee that a roster may ask for, at least 4.  A random committee needs
            size: :func:`sottovoce.fl.committee_risk`.

    All other conditions are those of :class:`Policy`; ``aggregators`` and ``members`` are empty.

    Raises:
        TypeError, ParameterError: As :class:`Policy`; or ``book`` is none.

    Source: docs/fl-peers.md, "Whose turn it is".
    """

    aggregators: frozenset[bytes] = field(default=frozenset(), init=False)
    members: frozenset[bytes] = field(default=frozenset(), init=False)
    min_members: int | None = 4
    book: RosterBook = field(repr=False)

    def __post_init__(self) -> None:
        super().__post_init__()
        expect("book", self.book, RosterBook)
        if self.min_members is None:
            raise ParameterError("min_members: a number expected, nobody is named")

    def check(self, header: RoundHeader, trust: clsc.TrustStore, now: float) -> None:
        """See :meth:`Policy.check`.

        Args:
            header: Signatures verified.
            trust: Says whose keys are valid, and which are revoked.
            now: Unix seconds.

        Raises:
            ProtocolError: As there; or it is not this view's turn (:attr:`Reason.VIEW`).
        """
        super().check(header, trust, now)
        begin, end = self.book.turn(header.epoch, header.round_number, header.view)
        if now < begin:
            raise _not_now(header, f"the turn of view {header.view} has not come")
        if now >= end:
            raise _not_now(header, f"the turn of view {header.view} is over")
        if header.deadline >= end:
            raise _not_now(header, "a deadline before the end of its turn expected")

    def check_parties(self, header: RoundHeader) -> None:
        """See :meth:`Policy.check_parties`.

        Args:
            header: Of a round, or of a result.

        Raises:
            ProtocolError: Other parties than the chosen ones, or too small a committee
                (:attr:`Reason.POLICY`); beacon or roster unknown (:attr:`Reason.BEACON`); no such view
                (:attr:`Reason.VIEW`).
        """
        try:
            choice = self.book.choice(header.epoch, header.round_number, header.view)
        except ProtocolError as error:
            error.round_id = header.hash
            raise
        if header.aggregator.to_list() != choice.aggregator.to_list():
            raise ProtocolError(
                Reason.POLICY,
                f"aggregator {header.aggregator.name!r} is not the one chosen for view {header.view}",
                round_id=header.hash,
                sender=header.aggregator.name,
            )
        if [m.to_list() for m in header.members] != [m.to_list() for m in choice.members]:
            raise ProtocolError(Reason.POLICY, "committee: not the one chosen", round_id=header.hash)
        least = self.min_members or 4
        if len(header.members) < least:
            raise ProtocolError(Reason.POLICY, f"at least {least} members expected", round_id=header.hash)


def _not_now(header: RoundHeader, detail: str) -> ProtocolError:
    return ProtocolError(Reason.VIEW, detail, round_id=header.hash)

"""A peer: client, member and candidate aggregator in one, where nobody is the server.

It opens no sockets and drives nothing by itself: it says whose turn it is, refuses what comes out of turn,
and holds the three roles with one book and one clock between them.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from typing import Any

from .. import clsc, rs
from .._ext.errors import ParameterError
from .._ext.limits import CLOCK_SKEW_S
from .aggregator import Aggregator
from .client import Client
from .errors import ProtocolError, Reason
from .member import Member
from .meter import Meter
from .model import Arrays
from .peer_choice import Choice
from .peer_policy import PeerPolicy
from .plan import plan_round
from .server import ServerKeys
from .signed import SignedHeader
from .stores import AggregatorStore, MemberStore, Outbox
from .wire import expect


class Peer:
    """One of equals.

    Rosters and beacons go into :attr:`book`.  Whose turn it is proposes a header
    (:meth:`propose`), collects the co-signatures of the committee, and begins (:meth:`begin`); everybody
    contributes with :attr:`client`; who sits in the committee answers with :attr:`member`.

    An aggregator that dies before its header is signed costs the round one view: the next takes over.  One
    that dies later costs the clients their update for this model, too: they train anew for the next view, if
    their policy says ``allow_retrained``, or sit it out, and never send the same vector twice.  It does not
    resume: by the time it is back it is another's turn.

    Not safe for concurrent calls on one object.  After an error the state is as before.

    Args:
        keys: The peer's ``sign`` and ``decrypt`` key, as the roster has them.
        sender_key: Under which it contributes; a blind pseudonym hides which peer sent which update.
        trust: Pins the issuer's root.
        policy: Conditions of all three roles, with the book.
        outbox: The client's memory; in memory if None.
        member_store: The member's memory; in memory if None.
        aggregator_store: Spools what an aggregator accepts; in memory if None.
        clock: Unix seconds; that of the book.
        meter: Listens to time and bytes of each stage.

    Attributes:
        client: Seals this peer's updates.
        member: Answers where this peer sits in the committee.
        book: Rosters and beacons.
        epoch: The epoch of its contributions, of roster and of beacon.

    Raises:
        TypeError: Wrong types.
        ParameterError: ``sender_key`` does not sign.

    Timing: as :class:`Client`, :class:`Member` and :class:`Aggregator`.
    Source: docs/fl-peers.md, "Whose turn it is".
    """

    def __init__(
        self,
        keys: ServerKeys,
        sender_key: clsc.SecretKey,
        trust: clsc.TrustStore,
        policy: PeerPolicy,
        *,
        outbox: Outbox | None = None,
        member_store: MemberStore | None = None,
        aggregator_store: AggregatorStore | None = None,
        clock: Callable[[], float] = time.time,
        meter: Meter | None = None,
    ) -> None:
        expect("policy", policy, PeerPolicy)
        self.client = Client(sender_key, trust, policy, outbox=outbox, clock=clock, meter=meter)
        self.member = Member(keys, trust, policy, store=member_store, clock=clock, meter=meter)
        self.book = policy.book
        self.epoch = sender_key.public_key.params.epoch
        self._keys = keys
        self._sender_params = sender_key.public_key.params
        self._trust = trust
        self._policy = policy
        self._store = aggregator_store
        self._clock = clock
        self._meter = meter
        self._proposed: dict[int, tuple[SignedHeader, rs.ShardKey]] = {}
        self._aggregator: Aggregator | None = None

    @property
    def name(self) -> bytes:
        """The id that is ranked."""
        return self._keys.public.name

    @property
    def aggregator(self) -> Aggregator:
        """The aggregator of the round that this peer has begun last.

        Raises:
            ProtocolError: None was (:attr:`Reason.STATE`).
        """
        if self._aggregator is None:
            raise ProtocolError(Reason.STATE, "this peer collects no round")
        return self._aggregator

    def choice(self, round_number: int) -> Choice:
        """Who does what in a round now.

        Args:
            round_number: In the epoch of this peer's key.

        Raises:
            ProtocolError: The round's beacon is not known (:attr:`Reason.BEACON`), or all turns are over
                (:attr:`Reason.VIEW`).
        """
        return self.book.choice(self.epoch, round_number, self.book.view_now(self.epoch, round_number))

    def is_my_turn(self, round_number: int) -> bool:
        """Whether this peer is to propose a header for a round now.

        Args:
            round_number: In the epoch of this peer's key.

        Raises:
            ProtocolError: As :meth:`choice`.
        """
        return self.choice(round_number).aggregator.to_list() == self._keys.public.to_list()

    def propose(
        self, model: Arrays, round_number: int, *, margin_s: int = CLOCK_SKEW_S, **plan: Any
    ) -> bytes:
        """The header of a round on this peer's turn, for the members to sign.

        A second call in one round gives the same header: no member signs two.

        Args:
            model: The global model.
            round_number: The round.
            margin_s: The deadline is this many seconds before the end of the turn, at least 1.  Peers whose
                clocks differ by more than this, with the time that a beacon takes to them, refuse the header;
                by its deadline the members must have answered.
            plan: Further arguments of :func:`plan_round`: ``clip``, ``audit_deadline`` (by default the
                deadline), ``min_contributors`` (by default the policy's), and the like.

        Returns:
            A proposal for :meth:`Member.cosign` of every member of the committee.

        Raises:
            TypeError, ParameterError: As :func:`plan_round`, or no time left.
            ProtocolError: As :meth:`choice`; or it is another's turn (:attr:`Reason.VIEW`), or the header is
                against this peer's own policy.
        """
        choice = self.choice(round_number)
        if choice.aggregator.to_list() != self._keys.public.to_list():
            raise ProtocolError(
                Reason.VIEW, f"it is the turn of {choice.aggregator.name!r}", sender=choice.aggregator.name
            )
        known = self._proposed.get(round_number)
        if known is not None:
            return known[0].to_bytes()
        deadline = int(self.book.turn(self.epoch, round_number, choice.view)[1]) - margin_s
        if deadline <= self._clock():
            raise ParameterError("margin_s: less than what is left of the turn expected")
        shard_key = rs.ShardKey.generate()
        header = plan_round(
            model,
            aggregator=self._keys.public,
            members=choice.members,
            shard_key=shard_key.public_key,
            sender_params=self._sender_params,
            trust=self._trust,
            round_number=round_number,
            view=choice.view,
            deadline=deadline,
            **{"audit_deadline": deadline, "min_contributors": self._policy.min_contributors} | plan,
        )
        self._policy.check(header, self._trust, self._clock())
        proposal = SignedHeader.propose(header, self._keys)
        self._proposed = {round_number: (proposal, shard_key)}
        return proposal.to_bytes()

    def begin(self, round_number: int, signatures: Mapping[int, bytes]) -> bytes:
        """Begin to collect the round that was proposed; from here on :attr:`aggregator` is its.

        Args:
            round_number: As in :meth:`propose`.
            signatures: Member index, from 1 -> its co-signature.

        Returns:
            The signed header, for everybody.

        Raises:
            TypeError, ParameterError: As :meth:`SignedHeader.with_members`.
            ProtocolError: Nothing was proposed for this round (:attr:`Reason.STATE`); fewer than ``t``
                signatures, or a wrong one (:attr:`Reason.HEADER_SIGNATURE`).
        """
        known = self._proposed.get(round_number)
        if known is None:
            raise ProtocolError(Reason.STATE, f"no header was proposed for round {round_number}")
        proposal, shard_key = known
        signed = proposal.with_members(signatures).to_bytes()
        self._aggregator = Aggregator(
            self._keys,
            shard_key,
            self._trust,
            signed,
            store=self._store,
            clock=self._clock,
            meter=self._meter,
        )
        return signed

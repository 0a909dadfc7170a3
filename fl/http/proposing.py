"""The header of the next round: planned, proposed to the committee, and signed by a quorum."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import replace

from ... import clsc, rs
from ..._ext.errors import SottovoceError
from ..errors import ProtocolError, Reason
from ..header import revocation_digest
from ..model import model_digest
from ..plan import plan_round
from ..server import ServerIdentity, ServerKeys
from ..signed import SignedHeader
from .asking import MemberState
from .base import RoleThread
from .errors import TransportError
from .round_plan import RoundPlan
from .rounds import Committee
from .state import RoundFolder, SavedRound


class Proposer:
    """Makes the signed headers of one aggregator.

    Args:
        keys: Its keys.
        trust: What it believes.
        sender_params: Of the contributors' keys.
        committee: Whom it asks.
        plan: The rounds.
        folder: Keeps the members' last known keys; or None.
        thread: Where all of it is used.
        clock: Unix seconds.
    """

    def __init__(
        self,
        keys: ServerKeys,
        trust: clsc.TrustStore,
        sender_params: clsc.EpochParams,
        committee: Committee,
        plan: RoundPlan,
        folder: RoundFolder | None,
        thread: RoleThread,
        clock: Callable[[], float],
    ) -> None:
        self._keys = keys
        self._trust = trust
        self._sender_params = sender_params
        self._committee = committee
        self._plan = plan
        self._folder = folder
        self._thread = thread
        self._clock = clock

    async def sign(self, at: SavedRound, keep: Callable[[SavedRound], Awaitable[None]]) -> SavedRound:
        """A round whose header a quorum has signed, on the disk before anybody hears of it.

        The proposal is kept before members sign it: after a restart they are asked for the same one, because
        they sign no other with its number.

        Args:
            at: Where the series is: before a round, or with a proposal that was kept.
            keep: Keeps where it is then.

        Raises:
            TransportError: Too few members are up.
            ProtocolError: Too few sign (:attr:`Reason.HEADER_SIGNATURE`).
        """
        proposal = await self._thread(self._proposal, at)
        if proposal is None:
            if at.signed_header:
                at = replace(at, signed_header=b"", shard_key=None, next_round=at.next_round + 1)
            at, proposal = await self._propose(at)
            await keep(at)
        try:
            signed = await self._committee.cosign(proposal)
        except ProtocolError as error:
            may_sign = self._committee.count(MemberState.SIGNED, MemberState.SILENT, MemberState.WAITING)
            if error.reason is not Reason.HEADER_SIGNATURE or may_sign < proposal.header.threshold:
                raise
            raise TransportError("too few members answer") from None
        at = replace(at, signed_header=signed.to_bytes(), signed=True)
        await keep(at)
        return at

    def _proposal(self, at: SavedRound) -> SignedHeader | None:
        """The proposal that was saved, if it may still be signed: same servers, same lists, and time left."""
        if not at.signed_header or self._clock() > at.until:
            return None
        try:
            proposal = SignedHeader.from_bytes(at.signed_header, self._trust, proposal=True)
        except SottovoceError:
            return None
        header = proposal.header
        same = (
            header.aggregator.to_list() == self._keys.public.to_list()
            and tuple(member.name for member in header.members) == self._committee.names
            and header.sender_params == self._sender_params.params_id
            and header.revoked == revocation_digest(self._trust.revoked)
            and header.model == model_digest(at.model)
        )
        return proposal if same else None

    async def _propose(self, at: SavedRound) -> tuple[SavedRound, SignedHeader]:
        plan = self._plan
        members = await self._members()
        shard_key = rs.ShardKey.generate()
        until = int(int(self._clock()) + plan.collect_s)
        deadline = int(until + plan.close_s)
        header = await self._thread(
            plan_round,
            at.model,
            aggregator=self._keys.public,
            members=members,
            shard_key=shard_key.public_key,
            sender_params=self._sender_params,
            trust=self._trust,
            round_number=at.next_round,
            clip=plan.clip,
            deadline=deadline,
            audit_deadline=int(deadline + plan.audit_s),
            max_examples=plan.max_examples,
            min_contributors=plan.min_contributors,
            max_contributors=plan.max_contributors,
            shard_k=plan.shard_k,
            shard_n=plan.shard_n,
        )
        proposal = await self._thread(SignedHeader.propose, header, self._keys)
        data = proposal.to_bytes()
        at = replace(at, signed_header=data, shard_key=shard_key, until=until, deadline=deadline)
        return at, proposal

    async def _members(self) -> list[ServerIdentity]:
        """The committee's keys: as they answer now, or as they were last known in this epoch."""
        known: dict[bytes, ServerIdentity] = {}
        if self._folder is not None:
            known = await self._thread(self._folder.members, self._trust, self._keys.public.sign.params)
        members = await self._committee.identities(self._trust, known)
        if self._folder is not None and [known.get(member.name) for member in members] != members:
            await self._thread(self._folder.keep_members, members)
        return members

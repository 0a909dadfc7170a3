"""Driving one round at the members: their names, their co-signatures, checks and answers.

Everything that the aggregator asks of somebody else over the network is here, so that a change of the
closing half is a change of this file; how it is asked is :mod:`.asking`.
"""

from __future__ import annotations

import asyncio
import functools
import time
from collections.abc import Awaitable, Callable, Collection, Mapping
from typing import Final

import httpx

from ... import clsc
from ..._ext import limits
from ..._ext.enc import enc
from ..._ext.errors import SottovoceError
from ..aggregator import Aggregator, State
from ..closing import RoundResult
from ..errors import ProtocolError, Reason
from ..header import TAG_MEMBER
from ..request import reply_max_bytes
from ..server import ServerIdentity
from ..signed import SignedHeader
from .asking import Members, MemberState, Patience
from .base import RoleThread, read_cbor
from .errors import TransportError, UnheardMemberError
from .health import reason_of
from .logs import log
from .outgoing import get

_AGAIN_S: Final = 0.5


class Committee(Members):
    """The members of a committee, by URL.

    Args:
        members: Name -> URL, in the committee's order.
        client: One for all of them: the aggregator hides from none.
        patience: Time limits.

    Attributes:
        states: What was last known of each member in this round.
        check_first: As in ``patience``; true from the first round on that found no quorum.  Whoever goes on
            in another process keeps it.
    """

    def __init__(
        self, members: Mapping[bytes, str], client: httpx.AsyncClient, patience: Patience | None = None
    ) -> None:
        super().__init__(members, client, patience if patience is not None else Patience())
        self.check_first = self._patience.check_first

    async def identities(
        self, trust: clsc.TrustStore, known: Mapping[bytes, ServerIdentity] | None = None
    ) -> list[ServerIdentity]:
        """The public keys of all members, from themselves; a name that is another's is refused.

        Args:
            trust: What is believed.
            known: Identities of members from before: for one that does not answer, or wrongly, that one.

        Raises:
            UnheardMemberError: One is not known, and does not answer, or not with keys of its own.
        """
        found = known if known is not None else {}
        return list(
            await asyncio.gather(*(self._identity(name, trust, found.get(name)) for name in self._urls))
        )

    async def _identity(
        self, name: bytes, trust: clsc.TrustStore, known: ServerIdentity | None
    ) -> ServerIdentity:
        # Those that are known need not be waited for: whether they are up is seen when they sign.
        until = time.monotonic() + (self._patience.ask_s if known is None else self._patience.more_s)
        try:
            async with asyncio.timeout(None if known is None else self._patience.more_s):
                return await self._ask_identity(name, trust, until)
        except (SottovoceError, TimeoutError) as error:
            member = self.names.index(name) + 1
            if known is None:
                raise UnheardMemberError(member, _trouble(error), str(error)) from error
            log("warning", "member not heard, its known keys are used", member=member, reason=str(error))
            return known

    async def _ask_identity(self, name: bytes, trust: clsc.TrustStore, until: float) -> ServerIdentity:
        url = f"{self._urls[name]}/v1/identity"
        while True:
            try:
                data = await get(self._client, url, at_most=limits.HTTP_SMALL_BYTES)
                break
            except TransportError as error:
                # A member may be started after the aggregator.
                if not error.retryable or time.monotonic() > until:
                    raise
            await asyncio.sleep(0.2)
        identity = ServerIdentity.from_list(read_cbor(data, {"keys": list})["keys"], trust)
        if identity.name != name:
            raise ProtocolError(Reason.NOT_MEMBER, "another name at this address", sender=name)
        trust.acceptable(identity.sign)
        trust.acceptable(identity.decrypt)
        return identity

    async def cosign(self, proposal: SignedHeader) -> SignedHeader:
        """The header with the co-signatures of those that gave one.

        Raises:
            ProtocolError: Fewer than ``t`` (:attr:`Reason.HEADER_SIGNATURE`).
        """
        data, header = proposal.to_bytes(), proposal.header
        self.reply_bytes = reply_max_bytes(header)
        signatures: dict[int, bytes] = {}

        async def take(index: int, signature: bytes) -> None:
            # One that is wrong is refused here, and does not spoil the header of the others.
            clsc.verify(header.members[index - 1].sign, enc(TAG_MEMBER, header.hash, index), signature)
            signatures[index] = signature

        everybody = range(1, len(self._urls) + 1)
        await self.ask("cosign", dict.fromkeys(everybody, data), take, MemberState.SIGNED,
                        lambda: len(signatures) >= proposal.header.threshold)  # fmt: skip
        return proposal.with_members(signatures)

    async def finish(
        self,
        aggregator: Aggregator,
        signed_header: bytes,
        role: RoleThread,
        closed: Callable[[], None] = lambda: None,
    ) -> RoundResult:
        """Close the round, settle it, collect answers and open the sum, from wherever it is.

        Args:
            aggregator: The role.
            signed_header: For the members.
            role: Where the role is called.
            closed: Called there as soon as the set is fixed durably.

        Raises:
            ProtocolError: Too few contributors, no quorum, or a sum that does not open.
            StoreError, OSError: A step could not be kept; what was kept counts.
        """
        self.reply_bytes = reply_max_bytes(aggregator.header)
        for index in aggregator.answered:  # before a restart, or a store that failed
            self.note(index, MemberState.ANSWERED)
        if aggregator.state in (State.COLLECTING, State.CLOSING):
            requests = await self._agree(aggregator, signed_header, role, closed)
        elif aggregator.state is State.ANSWERING:
            requests = await role(aggregator.requests)
        else:
            return await role(aggregator.open)  # it was, before a restart
        return await self._open_sum(aggregator, signed_header, role, requests)

    async def _agree(
        self, aggregator: Aggregator, signed_header: bytes, role: RoleThread, closed: Callable[[], None]
    ) -> dict[int, bytes]:
        """Fix the set, and have members check it first if need be: the requests to answer."""
        threshold, again = aggregator.header.threshold, aggregator.state is State.CLOSING
        close = functools.partial(aggregator.close, check_first=self.check_first)
        requests = await role(aggregator.requests if again else close)
        await role(closed)
        if aggregator.state is State.ANSWERING:
            return requests
        framed = _framed(signed_header, requests, aggregator.checked)
        take = _taking(role, aggregator.receive_check)
        await self.ask(
            "check", framed, take, MemberState.CHECKED, lambda: len(aggregator.checked) >= threshold
        )
        return await role(aggregator.settle)

    async def _open_sum(
        self, aggregator: Aggregator, signed_header: bytes, role: RoleThread, requests: dict[int, bytes]
    ) -> RoundResult:
        """Collect answers until the sum opens, taking out who is convicted meanwhile."""
        threshold, until = aggregator.header.threshold, time.monotonic() + 2 * self._patience.ask_s
        check, enough = _taking(role, aggregator.receive_check), threshold
        while True:
            try:
                return await self._ask_and_open(aggregator, signed_header, role, requests, enough)
            except ProtocolError as error:
                # Wrong answers among them, or too few: those that are missing may help.
                heard = {*aggregator.answered, *aggregator.complaints}
                if requests.keys() <= heard or time.monotonic() > until:
                    # Perhaps bad shares that nobody can show: with checks first, such a client is dropped.
                    self.check_first |= error.reason is Reason.NO_QUORUM
                    raise
                log("warning", "not opened yet", answers=len(aggregator.answered), reason=error.reason.value)
            # Who does not answer may hold a share that convicts its sender: then the set is another.
            framed = _framed(signed_header, requests, aggregator.answered)
            await self.ask("check", framed, check, MemberState.CHECKED, _convicted(aggregator))
            if _convicted(aggregator)():
                requests, enough = await role(aggregator.settle), threshold
            else:
                enough = len(aggregator.answered) + 1
                await asyncio.sleep(_AGAIN_S)

    async def _ask_and_open(
        self,
        aggregator: Aggregator,
        signed_header: bytes,
        role: RoleThread,
        requests: Mapping[int, bytes],
        enough: int,
    ) -> RoundResult:
        """Ask those that have not answered; what comes is opened together, as soon as it could be enough.

        What counts as enough is what was taken: junk that comes quickly must not cut slow members off.  Then
        the sum is opened at once, and whoever has not answered is not waited for.  Where it does not open,
        the others have their time, and it is opened once more with what they sent: opening an answer costs
        as much as a client's packet, and the sum needs no more than ``t``.
        """
        found: dict[int, bytes] = {}
        opened: list[RoundResult] = []
        failed: list[ProtocolError] = []
        taking = asyncio.Lock()

        async def keep(index: int, data: bytes) -> None:
            found[index] = data
            self.note(index, MemberState.RECEIVED)
            # One batch at a time: while it is noted, what was taken grows, and is not yet enough.
            async with taking:
                while found and enough <= len(aggregator.answered) + len(found) and not reached():
                    batch = dict(found)
                    found.clear()
                    await self._take_answers(aggregator, role, batch)

        async def opens() -> bool:
            try:
                opened.append(await role(aggregator.open))
            except ProtocolError as error:
                failed.append(error)
            return bool(opened)

        reached = _reached(aggregator, enough)
        framed = _framed(signed_header, requests, aggregator.answered)
        await self.ask("answer", framed, keep, None, reached, opens)
        if opened:
            return opened[0]
        if found:
            await self._take_answers(aggregator, role, found)
        elif failed:
            raise failed[0]
        return await role(aggregator.open)

    async def _take_answers(
        self, aggregator: Aggregator, role: RoleThread, answers: dict[int, bytes]
    ) -> None:
        refused = await role(aggregator.receive_answers, answers)
        for index in answers:
            self.note(index, MemberState.REFUSED if index in refused else MemberState.ANSWERED)
        for index, error in refused.items():
            log("warning", "answer: answer refused", member=index, reason=type(error).__name__)


def _trouble(error: Exception) -> str:
    """What anybody may know of why a member's keys did not come."""
    if isinstance(error, TransportError) and not error.retryable:
        return f"answers {error.status}"
    return "does not answer" if isinstance(error, (TransportError, TimeoutError)) else reason_of(error)


def _taking(
    role: RoleThread, receive: Callable[[int, bytes], None]
) -> Callable[[int, bytes], Awaitable[None]]:
    """Give what a member sent to the role, in its thread."""

    async def take(index: int, data: bytes) -> None:
        await role(receive, index, data)

    return take


def _framed(signed_header: bytes, requests: Mapping[int, bytes], done: Collection[int]) -> dict[int, bytes]:
    """What is sent to members that have not answered: ``enc(signed header, request)``."""
    return {j: enc(signed_header, request) for j, request in requests.items() if j not in done}


def _convicted(aggregator: Aggregator) -> Callable[[], bool]:
    """Whether somebody who is still in the set is convicted."""
    return lambda: not aggregator.convictions.keys().isdisjoint(aggregator.accepted)


def _reached(aggregator: Aggregator, count: int) -> Callable[[], bool]:
    return lambda: len(aggregator.answered) >= count

"""Driving one round at the members: their names, their co-signatures, checks and answers.

Everything that the aggregator asks of somebody else over the network is here, so that a change of the
closing half is a change of this file.
"""

from __future__ import annotations

import asyncio
import functools
import time
from collections.abc import Awaitable, Callable, Collection, Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Final

import httpx

from ... import clsc
from ..._ext import limits
from ..._ext.enc import enc
from ..._ext.errors import SottovoceError, StoreError
from ..aggregator import Aggregator, State
from ..closing import RoundResult
from ..errors import ProtocolError, Reason
from ..header import TAG_MEMBER
from ..request import reply_max_bytes
from ..server import ServerIdentity
from ..signed import SignedHeader
from .base import RoleThread, read_cbor
from .errors import TransportError, UnheardMemberError
from .health import reason_of
from .logs import log
from .outgoing import get, post_patiently

_AGAIN_S: Final = 0.5


class MemberState(StrEnum):
    """What is known of a member in this round; the value is the text shown to people."""

    WAITING = "not heard yet"
    SIGNED = "signed the header"
    CHECKED = "checked"
    ANSWERED = "answered"
    SILENT = "does not answer"
    REFUSED = "refused"


@dataclass(frozen=True)
class Patience:
    """How members are asked, and how long they are waited for.

    Attributes:
        ask_s: For one member to sign, check or answer.
        more_s: For the others, once enough have.
        check_first: Whether all check before any of them answers (:meth:`Aggregator.close`): a round trip
            more, and a client that sends members what does not open costs its place and not the round.
    """

    ask_s: float = 60.0
    more_s: float = 3.0
    check_first: bool = False


class Committee:
    """The members of a committee, by URL.

    Args:
        members: Name -> URL, in the committee's order.
        client: One for all of them: the aggregator hides from none.
        patience: Time limits.

    Attributes:
        states: What is known of each member in this round.
        check_first: As in ``patience``; true from the first round on that found no quorum.  Whoever goes on
            in another process keeps it.
    """

    def __init__(
        self, members: Mapping[bytes, str], client: httpx.AsyncClient, patience: Patience | None = None
    ) -> None:
        self._urls = {name: url.rstrip("/") for name, url in members.items()}
        self._client = client
        self._patience = patience if patience is not None else Patience()
        self._reply_bytes = limits.MEMBER_REPLY_BYTES
        self.check_first = self._patience.check_first
        self.states: dict[bytes, MemberState] = dict.fromkeys(members, MemberState.WAITING)

    @property
    def names(self) -> tuple[bytes, ...]:
        """In the committee's order."""
        return tuple(self._urls)

    def begin(self) -> None:
        """Forget what members did in the round before."""
        self.states = dict.fromkeys(self._urls, MemberState.WAITING)

    def count(self, *states: MemberState) -> int:
        """Members in one of these states."""
        return sum(state in states for state in self.states.values())

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
        self._reply_bytes = reply_max_bytes(header)
        signatures: dict[int, bytes] = {}

        async def take(index: int, signature: bytes) -> None:
            # One that is wrong is refused here, and does not spoil the header of the others.
            clsc.verify(header.members[index - 1].sign, enc(TAG_MEMBER, header.hash, index), signature)
            signatures[index] = signature

        everybody = range(1, len(self._urls) + 1)
        await self._ask("cosign", dict.fromkeys(everybody, data), take, MemberState.SIGNED,
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
        self._reply_bytes = reply_max_bytes(aggregator.header)
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
        await self._ask(
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
            spare = await self._gather_answers(aggregator, signed_header, role, requests, enough)
            try:
                return await self._open_with(aggregator, role, spare)
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
            await self._ask("check", framed, check, MemberState.CHECKED, _convicted(aggregator))
            if _convicted(aggregator)():
                requests, enough = await role(aggregator.settle), threshold
            else:
                enough = len(aggregator.answered) + 1
                await asyncio.sleep(_AGAIN_S)

    async def _gather_answers(
        self,
        aggregator: Aggregator,
        signed_header: bytes,
        role: RoleThread,
        requests: Mapping[int, bytes],
        enough: int,
    ) -> dict[int, bytes]:
        """Ask those that have not answered; what comes is opened together, as soon as it could be enough.

        What counts as enough is what was taken: junk that comes quickly must not cut slow members off.

        Returns:
            Member index -> its answer, of those that came when there were enough: opening one costs as much
            as a client's packet, and the sum needs no more than ``t``.
        """
        found: dict[int, bytes] = {}
        refused: set[int] = set()

        async def keep(index: int, data: bytes) -> None:
            found[index] = data
            while found and enough <= len(aggregator.answered) + len(found) and not reached():
                batch = dict(found)
                found.clear()
                refused.update(await self._take_answers(aggregator, role, batch))

        reached = _reached(aggregator, enough)
        framed = _framed(signed_header, requests, aggregator.answered)
        await self._ask("answer", framed, keep, MemberState.ANSWERED, reached)
        for index in refused:
            self.states[self.names[index - 1]] = MemberState.REFUSED
        return found

    async def _open_with(
        self, aggregator: Aggregator, role: RoleThread, spare: dict[int, bytes]
    ) -> RoundResult:
        """Open the sum; where it does not open, once more with the answers that were not needed."""
        try:
            return await role(aggregator.open)
        except ProtocolError:
            if not spare:
                raise
        await self._take_answers(aggregator, role, spare)
        return await role(aggregator.open)

    async def _take_answers(
        self, aggregator: Aggregator, role: RoleThread, answers: dict[int, bytes]
    ) -> set[int]:
        """Members whose answers were refused."""
        refused = await role(aggregator.receive_answers, answers)
        for index, error in refused.items():
            self.states[self.names[index - 1]] = MemberState.REFUSED
            log("warning", "answer: answer refused", member=index, reason=type(error).__name__)
        return set(refused)

    async def _ask(
        self,
        what: str,
        bodies: Mapping[int, bytes],
        take: Callable[[int, bytes], Awaitable[None]],
        then: MemberState,
        enough: Callable[[], bool],
    ) -> None:
        """Ask members at once; end when all have answered, or enough have and the others had their time."""
        until = time.monotonic() + self._patience.ask_s
        tasks = {asyncio.create_task(self._ask_one(what, j, b, take, then, until)) for j, b in bodies.items()}
        try:
            while tasks and not enough():
                done, tasks = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
                _raise_of(done)
            if tasks:
                done, tasks = await asyncio.wait(tasks, timeout=self._patience.more_s)
                _raise_of(done)
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)

    async def _ask_one(
        self,
        what: str,
        index: int,
        body: bytes,
        take: Callable[[int, bytes], Awaitable[None]],
        then: MemberState,
        until: float,
    ) -> None:
        name = self.names[index - 1]
        url = f"{self._urls[name]}/v1/{what}"
        try:
            answer = await post_patiently(self._client, url, body, at_most=self._reply_bytes, until=until)
        except TransportError as error:
            self.states[name] = MemberState.SILENT if error.retryable else MemberState.REFUSED
            log("warning", f"{what}: member refused", member=index, status=error.status, reason=error.reason)
            return
        except asyncio.CancelledError:
            self.states[name] = MemberState.SILENT
            raise
        except Exception:
            # What a member makes of HTTP is its own matter: the others go on.
            self.states[name] = MemberState.SILENT
            log("error", f"{what}: no answer", member=index, exc_info=True)
            return
        try:
            await take(index, answer)
        except StoreError:
            raise  # ours, not the member's fault
        except SottovoceError as error:
            self.states[name] = MemberState.REFUSED
            log("warning", f"{what}: answer refused", member=index, reason=type(error).__name__)
        else:
            self.states[name] = then


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


def _raise_of(done: Collection[asyncio.Task[None]]) -> None:
    """What no member caused: a store that fails, a bug."""
    for task in done:
        task.result()


def _framed(signed_header: bytes, requests: Mapping[int, bytes], done: Collection[int]) -> dict[int, bytes]:
    """What is sent to members that have not answered: ``enc(signed header, request)``."""
    return {j: enc(signed_header, request) for j, request in requests.items() if j not in done}


def _convicted(aggregator: Aggregator) -> Callable[[], bool]:
    """Whether somebody who is still in the set is convicted."""
    return lambda: not aggregator.convictions.keys().isdisjoint(aggregator.accepted)


def _reached(aggregator: Aggregator, count: int) -> Callable[[], bool]:
    return lambda: len(aggregator.answered) >= count

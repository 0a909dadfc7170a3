"""Driving one round at the members: their names, their co-signatures, checks and answers.

Everything that the aggregator asks of somebody else over the network is here, so that a change of the
closing half is a change of this file.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable, Collection, Mapping
from dataclasses import dataclass
from enum import StrEnum
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
from .base import RoleThread, read_cbor
from .errors import TransportError
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
    """How long members are waited for.

    Attributes:
        ask_s: For one member to sign, check or answer.
        more_s: For the others, once enough have.
    """

    ask_s: float = 60.0
    more_s: float = 3.0


class Committee:
    """The members of a committee, by URL.

    Args:
        members: Name -> URL, in the committee's order.
        client: One for all of them: the aggregator hides from none.
        patience: Time limits.
    """

    def __init__(
        self, members: Mapping[bytes, str], client: httpx.AsyncClient, patience: Patience | None = None
    ) -> None:
        self._urls = {name: url.rstrip("/") for name, url in members.items()}
        self._client = client
        self._patience = patience if patience is not None else Patience()
        self._reply_bytes = limits.MEMBER_REPLY_BYTES
        self.states: dict[bytes, MemberState] = dict.fromkeys(members, MemberState.WAITING)

    @property
    def names(self) -> tuple[bytes, ...]:
        """In the committee's order."""
        return tuple(self._urls)

    def begin(self) -> None:
        """Forget what members did in the round before."""
        self.states = dict.fromkeys(self._urls, MemberState.WAITING)

    async def identities(self, trust: clsc.TrustStore) -> list[ServerIdentity]:
        """The public keys of all members, from themselves; a name that is another's is refused.

        Raises:
            TransportError: One does not answer.
            DecodeError, SenderError, ProtocolError: Not the keys of this name, or not acceptable.
        """
        until = time.monotonic() + self._patience.ask_s
        return list(await asyncio.gather(*(self._identity(name, trust, until) for name in self._urls)))

    async def _identity(self, name: bytes, trust: clsc.TrustStore, until: float) -> ServerIdentity:
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

    async def finish(self, aggregator: Aggregator, signed_header: bytes, role: RoleThread) -> RoundResult:
        """Close the round, settle it, collect answers and open the sum, from wherever it is.

        Raises:
            ProtocolError: Too few contributors, no quorum, or a sum that does not open.
        """

        async def take_check(index: int, reply: bytes) -> None:
            await role(aggregator.receive_check, index, reply)

        async def take_answer(index: int, answer: bytes) -> None:
            await role(aggregator.receive_answer, index, answer)

        self._reply_bytes = reply_max_bytes(aggregator.header)
        threshold = aggregator.header.threshold
        if aggregator.state in (State.COLLECTING, State.CLOSING):
            again = aggregator.state is State.CLOSING
            requests = await role(aggregator.requests if again else aggregator.close)
            framed = _framed(signed_header, requests, aggregator.checked)
            await self._ask(
                "check", framed, take_check, MemberState.CHECKED, lambda: len(aggregator.checked) >= threshold
            )
            requests = await role(aggregator.settle)
        elif aggregator.state is State.ANSWERING:
            requests = await role(aggregator.requests)
        else:
            return await role(aggregator.open)  # it was, before a restart
        until = time.monotonic() + 2 * self._patience.ask_s
        enough = threshold
        while True:
            framed = _framed(signed_header, requests, aggregator.answered)
            await self._ask("answer", framed, take_answer, MemberState.ANSWERED, _reached(aggregator, enough))
            try:
                return await role(aggregator.open)
            except ProtocolError as error:
                # Wrong answers among them, or too few: those that are missing may help.
                if requests.keys() <= set(aggregator.answered) or time.monotonic() > until:
                    raise
                log("warning", "not opened yet", answers=len(aggregator.answered), reason=error.reason.value)
                # Who does not answer may hold a share that convicts its sender: then the set is another.
                framed = _framed(signed_header, requests, aggregator.answered)
                await self._ask("check", framed, take_check, MemberState.CHECKED, _convicted(aggregator))
                if _convicted(aggregator)():
                    requests, enough = await role(aggregator.settle), threshold
                    continue
                enough = len(aggregator.answered) + 1
                await asyncio.sleep(_AGAIN_S)

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
                _, tasks = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
            if tasks:
                _, tasks = await asyncio.wait(tasks, timeout=self._patience.more_s)
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
            await take(index, answer)
        except TransportError as error:
            self.states[name] = MemberState.SILENT if error.retryable else MemberState.REFUSED
            log("warning", f"{what}: member refused", member=index, status=error.status, reason=error.reason)
        except SottovoceError as error:
            self.states[name] = MemberState.REFUSED
            log("warning", f"{what}: answer refused", member=index, reason=type(error).__name__)
        except asyncio.CancelledError:
            self.states[name] = MemberState.SILENT
            raise
        else:
            self.states[name] = then


def _framed(signed_header: bytes, requests: Mapping[int, bytes], done: Collection[int]) -> dict[int, bytes]:
    """What is sent to members that have not answered: ``enc(signed header, request)``."""
    return {j: enc(signed_header, request) for j, request in requests.items() if j not in done}


def _convicted(aggregator: Aggregator) -> Callable[[], bool]:
    """Whether somebody who is still in the set is convicted."""
    return lambda: not aggregator.convictions.keys().isdisjoint(aggregator.accepted)


def _reached(aggregator: Aggregator, count: int) -> Callable[[], bool]:
    return lambda: len(aggregator.answered) >= count

"""The members of a committee: what is known of each in this round, and how all of them are asked at once."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable, Collection, Mapping
from dataclasses import dataclass
from enum import StrEnum

import httpx

from ..._ext import limits
from ..._ext.errors import SottovoceError, StoreError
from .errors import TransportError
from .logs import log
from .outgoing import post_patiently


class MemberState(StrEnum):
    """What was last known of a member in this round; the value is the text shown to people."""

    WAITING = "not heard yet"
    SIGNED = "signed the header"
    CHECKED = "checked"
    RECEIVED = "answer not opened"
    """It came, and may be anything: nobody has looked at it."""
    ANSWERED = "answered"
    """The answer was opened, and is the member's for this set."""
    UNNEEDED = "not waited for"
    """The sum was opened before it answered."""
    SILENT = "does not answer"
    """It failed, or had its time."""
    REFUSED = "refused"


@dataclass(frozen=True)
class Patience:
    """How members are asked, and how long they are waited for.

    Attributes:
        ask_s: For one member to sign, check or answer.
        more_s: For the others, once enough have; for their answers only where the sum does not open without.
        check_first: Whether all check before any of them answers (:meth:`Aggregator.close`): a round trip
            more, and a client that sends members what does not open costs its place and not the round.
    """

    ask_s: float = 60.0
    more_s: float = 3.0
    check_first: bool = False


@dataclass
class _Question:
    """What members are asked at once, and what becomes of their replies.

    Attributes:
        what: The endpoint.
        take: Takes a member's reply; a SottovoceError refuses it.
        then: What is known of a member whose reply was taken; None: ``take`` notes it.
        until: ``time.monotonic()`` after which nobody is asked again.
        late: What is known of a member that is not heard when it ends; None: nothing new.
    """

    what: str
    take: Callable[[int, bytes], Awaitable[None]]
    then: MemberState | None
    until: float
    late: MemberState | None = None


class Members:
    """The members of a committee, by URL.

    Args:
        urls: Name -> URL, in the committee's order.
        client: One for all of them: the aggregator hides from none.
        patience: Time limits.

    Attributes:
        states: What was last known of each member in this round.
        reply_bytes: No reply is longer.
    """

    def __init__(self, urls: Mapping[bytes, str], client: httpx.AsyncClient, patience: Patience) -> None:
        self._urls = {name: url.rstrip("/") for name, url in urls.items()}
        self._client = client
        self._patience = patience
        self.reply_bytes = limits.MEMBER_REPLY_BYTES
        self.states: dict[bytes, MemberState] = dict.fromkeys(urls, MemberState.WAITING)

    @property
    def names(self) -> tuple[bytes, ...]:
        """In the committee's order."""
        return tuple(self._urls)

    def begin(self) -> None:
        """Forget what members did in the round before."""
        self.states = dict.fromkeys(self._urls, MemberState.WAITING)

    def note(self, index: int, state: MemberState) -> None:
        """What is known of a member from now on.

        Args:
            index: Of the member, from 1.
            state: Is shown to people.
        """
        self.states[self.names[index - 1]] = state

    def count(self, *states: MemberState) -> int:
        """Members in one of these states."""
        return sum(state in states for state in self.states.values())

    async def ask(
        self,
        what: str,
        bodies: Mapping[int, bytes],
        take: Callable[[int, bytes], Awaitable[None]],
        then: MemberState | None,
        enough: Callable[[], bool],
        ends: Callable[[], Awaitable[bool]] | None = None,
    ) -> None:
        """Ask members at once; end when all have answered, or enough have and the others had their time.

        Args:
            what: The endpoint.
            bodies: Member index -> what it is sent.
            take: Takes a member's reply; a SottovoceError refuses it.
            then: What is known of a member whose reply was taken; None: ``take`` notes it.
            enough: Whether enough was taken.
            ends: Called when there is enough, while the others go on: whether they need not be waited for.
        """
        question = _Question(what, take, then, time.monotonic() + self._patience.ask_s)
        tasks = {asyncio.create_task(self._ask_one(question, j, body)) for j, body in bodies.items()}
        try:
            while tasks and not enough():
                done, tasks = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
                _raise_of(done)
            if ends is not None and enough() and await ends():
                question.late = MemberState.UNNEEDED
                return
            if tasks:
                done, tasks = await asyncio.wait(tasks, timeout=self._patience.more_s)
                _raise_of(done)
                question.late = MemberState.SILENT
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)

    async def _ask_one(self, question: _Question, index: int, body: bytes) -> None:
        what, name = question.what, self.names[index - 1]
        url = f"{self._urls[name]}/v1/{what}"
        try:
            reply = await post_patiently(
                self._client,
                url,
                body,
                at_most=self.reply_bytes,
                until=question.until,
                failed=lambda: self.note(index, MemberState.SILENT),
            )
        except TransportError as error:
            self.states[name] = MemberState.SILENT if error.retryable else MemberState.REFUSED
            log("warning", f"{what}: member refused", member=index, status=error.status, reason=error.reason)
            return
        except asyncio.CancelledError:
            # One that was silent before, and is not heard now, is silent.
            if question.late is not None and self.states[name] is not MemberState.SILENT:
                self.states[name] = question.late
            raise
        except Exception:
            # What a member makes of HTTP is its own matter: the others go on.
            self.states[name] = MemberState.SILENT
            log("error", f"{what}: no answer", member=index, exc_info=True)
            return
        try:
            await question.take(index, reply)
        except StoreError:
            raise  # ours, not the member's fault
        except SottovoceError as error:
            self.states[name] = MemberState.REFUSED
            log("warning", f"{what}: answer refused", member=index, reason=type(error).__name__)
        else:
            if question.then is not None:
                self.states[name] = question.then


def _raise_of(done: Collection[asyncio.Task[None]]) -> None:
    """What no member caused: a store that fails, a bug."""
    for task in done:
        task.result()

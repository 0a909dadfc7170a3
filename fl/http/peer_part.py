"""A peer's part in a view: its update, trained anew and sent once, and the result that comes of it."""

from __future__ import annotations

import asyncio
import functools
import time
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Final

import httpx

from ..._ext import limits
from ..._ext.errors import SottovoceError
from ..closing import RoundResult
from ..errors import ProtocolError, Reason
from ..header import RoundHeader
from ..model import model_digest
from ..peer import Peer
from ..peer_choice import Choice
from .base import RoleThread
from .courier import Courier
from .errors import TransportError
from .logs import log
from .model_bytes import Arrays
from .outgoing import post_patiently
from .tasks import Tasks

_TICK_S: Final = 0.1
_WAIT_S: Final = 86_400.0
"""Longer than any view; who waits is cancelled when the round is over."""

Train = Callable[[Arrays, int, int], Arrays]
"""``train(model, round number, view)``: an update, trained anew every time."""


@dataclass
class Part:
    """How far this peer has come in one view: whoever begins again goes on from here."""

    signed_header: bytes = b""
    header: RoundHeader | None = None
    packet: bytes = b""
    fate: str = ""
    """``contributed`` or ``sat_out``, as in :attr:`.PeerService.counts`; then the result is to be fetched."""


class PeerParts:
    """What one peer contributes, view by view.

    Args:
        peer: The roles.
        addresses: Name -> URL of every peer.
        train: Makes its update; see :class:`.PeerService`, as for ``abandon``.
        abandon: Called when an update is of no use any more.
        thread: Where the roles are called.
        tasks: Told when training or sending fails; it is tried again.
        make_client: Makes the connections to others.
        clock: Unix seconds.

    Attributes:
        parts: Round number and view -> how far it has come there.
    """

    def __init__(
        self,
        peer: Peer,
        addresses: Mapping[bytes, str],
        train: Train,
        abandon: Callable[[int, int], None],
        thread: RoleThread,
        tasks: Tasks,
        make_client: Callable[[], httpx.AsyncClient],
        clock: Callable[[], float],
    ) -> None:
        self._peer = peer
        self._addresses = addresses
        self._train = train
        self._abandon = abandon
        self._thread = thread
        self._tasks = tasks
        self._make_client = make_client
        self._clock = clock
        self.parts: dict[tuple[int, int], Part] = {}

    def end_round(self, number: int) -> Counter[str]:
        """How often each fate befell it in this round, which is forgotten with that."""
        fates = Counter(part.fate for (of, _), part in self.parts.items() if of == number and part.fate)
        self.parts = {key: part for key, part in self.parts.items() if key[0] != number}
        return fates

    async def contribute(self, choice: Choice, model: Arrays) -> RoundResult:
        """One update for one view, and its result.

        Args:
            choice: The view.
            model: The global model.

        Returns:
            The result, verified.

        Raises:
            ProtocolError: The header is of another model (:attr:`Reason.MODEL`).
            SottovoceError: What came as the result is none.
        """
        address = self._addresses[choice.aggregator.name]
        courier = Courier(address, make_client=self._make_client)
        part = self.parts.setdefault((choice.round_number, choice.view), Part())
        while part.header is None:
            # Whoever proposes early, or is not the chosen one, is refused by the policy.
            signed_header = await courier.header(wait_s=_WAIT_S, after=choice.round_number - 1)
            try:
                part.header = await self._thread(self._peer.client.check, signed_header)
                part.signed_header = signed_header
            except SottovoceError as error:
                log("warning", "header refused", view=choice.view, reason=str(error))
                await asyncio.sleep(_TICK_S)
        if await asyncio.to_thread(model_digest, model) != part.header.model:
            raise ProtocolError(Reason.MODEL, "not this peer's", round_id=part.header.hash)
        # Who cannot train has the others' result all the same.
        sending = asyncio.create_task(self._send_in_time(choice, model, part, address))
        fetching = asyncio.create_task(courier.result(part.header, wait_s=_WAIT_S))
        try:
            done, _ = await asyncio.wait({sending, fetching}, return_when=asyncio.FIRST_COMPLETED)
            if fetching not in done:
                await sending
            published = await fetching
        finally:
            for task in (sending, fetching):
                task.cancel()
            await asyncio.gather(sending, fetching, return_exceptions=True)
        return await self._thread(self._peer.client.read_result, part.signed_header, published)

    async def _send_in_time(self, choice: Choice, model: Arrays, part: Part, address: str) -> None:
        """Train and send, again where that fails, until the view is over."""
        _, end = self._peer.book.turn(choice.epoch, choice.round_number, choice.view)

        def over() -> bool:
            return self._clock() >= end

        work = functools.partial(self._send, choice, model, part, address)
        sending = asyncio.create_task(
            self._tasks.supervise("contribute", work, expected=ProtocolError, over=over)
        )
        try:
            while not sending.done() and not over():
                await asyncio.wait({sending}, timeout=_TICK_S)
            if sending.done():
                sending.result()
        finally:
            sending.cancel()
            self._abandon(choice.round_number, choice.view)
            await asyncio.gather(sending, return_exceptions=True)

    async def _send(self, choice: Choice, model: Arrays, part: Part, address: str) -> None:
        if part.fate:
            return
        if not part.packet:
            update = await asyncio.to_thread(self._train, model, choice.round_number, choice.view)
            try:
                sealed = await self._thread(self._peer.client.seal, part.signed_header, model, update)
            except ProtocolError as error:
                if error.reason not in (Reason.MODEL_REUSED, Reason.UPDATE_REUSED):
                    raise
                part.fate = "sat_out"
                log("info", "sits out", view=choice.view, reason=error.reason.value)
                return
            part.packet = sealed.packet
        async with self._make_client() as client:
            url, until = f"{address}/v1/packet", time.monotonic() + _WAIT_S
            try:
                await post_patiently(client, url, part.packet, at_most=limits.HTTP_SMALL_BYTES, until=until)
            except TransportError as error:
                log("warning", "packet refused", view=choice.view, reason=str(error))
                return
        part.packet, part.fate = b"", "contributed"
        log("info", "contributed", view=choice.view)

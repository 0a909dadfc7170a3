"""A peer's turn: the view that it collects, from its header to the result that it publishes."""

from __future__ import annotations

import asyncio
import functools
from collections import Counter, OrderedDict
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Final

import httpx

from ... import clsc
from ..._ext.errors import SottovoceError
from ..aggregator import Aggregator, State
from ..closing import RoundResult
from ..errors import ProtocolError, Reason
from ..header import RoundHeader
from ..peer import Peer
from ..peer_choice import Choice
from ..signed import SignedHeader
from .asking import Patience
from .base import RoleThread
from .logs import log
from .metrics import Metrics
from .model_bytes import Arrays
from .peer_plan import PeerPlan
from .rounds import Committee
from .tasks import Tasks

KEPT_RESULTS: Final = 8
_TICK_S: Final = 0.1


@dataclass(frozen=True)
class OpenView:
    """The round that this peer collects.

    Attributes:
        signed_header: With the members' signatures.
        role: The aggregator of this view.
        until: Unix seconds when collecting ends.
    """

    signed_header: bytes
    role: Aggregator
    until: float

    @property
    def header(self) -> RoundHeader:
        """Of this view."""
        return self.role.header


class PeerTurn:
    """The views that one peer collects.

    Args:
        peer: The roles.
        trust: What it believes.
        addresses: Name -> URL of every peer.
        plan: What it puts into headers.
        patience: For members.
        client: Talks to them.
        thread: Where the roles are called.
        tasks: Told when a view fails; it is tried again.
        metrics: Shows when packets came as soon as their collecting is over.
        counts: Of its service; ``led`` goes up with every view.
        clock: Unix seconds.

    Attributes:
        opened: The last view that was signed, or None.
        published: Header hash, hexadecimal -> the last results.
    """

    def __init__(
        self,
        peer: Peer,
        trust: clsc.TrustStore,
        addresses: Mapping[bytes, str],
        plan: PeerPlan,
        patience: Patience | None,
        client: httpx.AsyncClient,
        thread: RoleThread,
        tasks: Tasks,
        metrics: Metrics,
        counts: Counter[str],
        clock: Callable[[], float],
    ) -> None:
        self._peer = peer
        self._trust = trust
        self._addresses = addresses
        self._plan = plan
        self._patience = patience
        self._client = client
        self._thread = thread
        self._tasks = tasks
        self._metrics = metrics
        self._counts = counts
        self._clock = clock
        self.opened: OpenView | None = None
        self.published: OrderedDict[str, bytes] = OrderedDict()

    async def lead(self, choice: Choice, model: Arrays) -> None:
        """Collect one view and publish its result; what fails is logged, tried again, or given up.

        Args:
            choice: The view, which is this peer's.
            model: The global model.
        """
        _, end = self._peer.book.turn(choice.epoch, choice.round_number, choice.view)
        try:
            # Where it had begun it goes on: no second round of one view.
            await self._tasks.supervise(
                "lead",
                functools.partial(self._lead_view, choice, model),
                expected=SottovoceError,
                over=lambda: self._clock() > end,
            )
        except SottovoceError as error:
            log("error", "view failed", round=choice.round_number, view=choice.view, reason=str(error))

    async def _lead_view(self, choice: Choice, model: Arrays) -> None:
        members = {m.name: self._addresses[m.name] for m in choice.members}
        committee = Committee(members, self._client, self._patience)
        # Members that answered one view answer no other: what costs a round elsewhere costs all views here.
        committee.check_first = True
        opened = self.opened
        if opened is None or (opened.header.round_number, opened.header.view) != (
            choice.round_number, choice.view
        ):  # fmt: skip
            opened = self.opened = await self._begin(choice, model, committee)
            self._counts["led"] += 1
        if opened.role.state is State.COLLECTING:
            await self._collect(opened)
        self._metrics.release()
        result = await self._finish(committee, opened)
        self.published[opened.header.hash.hex()] = await self._thread(opened.role.publish, result)
        while len(self.published) > KEPT_RESULTS:
            self.published.popitem(last=False)

    async def _begin(self, choice: Choice, model: Arrays, committee: Committee) -> OpenView:
        number, plan = choice.round_number, self._plan
        fields: dict[str, Any] = {
            "clip": plan.clip,
            "max_contributors": plan.max_contributors,
            "margin_s": plan.margin_s,
        }
        proposal = await self._thread(self._peer.propose, model, number, **fields)
        header = await self._thread(SignedHeader.from_bytes, proposal, self._trust, proposal=True)
        deadline = header.header.deadline
        while True:
            try:
                signed = await committee.cosign(header)
                break
            except ProtocolError as error:
                # Members that have not heard of the beacon yet, or whose clock is behind.
                if error.reason is not Reason.HEADER_SIGNATURE or self._clock() > deadline:
                    raise
            await asyncio.sleep(_TICK_S)
        signatures = {j: s for j, s in enumerate(signed.member_signatures, 1) if s}
        signed_header = await self._thread(self._peer.begin, number, signatures)
        return OpenView(signed_header, self._peer.aggregator, deadline - plan.close_s)

    async def _finish(self, committee: Committee, opened: OpenView) -> RoundResult:
        """What the members' answers open; they are asked to the deadline and no longer."""
        try:
            async with asyncio.timeout(max(0.0, opened.header.deadline - self._clock())):
                return await committee.finish(opened.role, opened.signed_header, self._thread)
        except TimeoutError:
            raise ProtocolError(
                Reason.DEADLINE, "members did not answer in time", round_id=opened.header.hash
            ) from None

    async def _collect(self, opened: OpenView) -> None:
        while True:
            await self._thread(opened.role.process)
            accepted, now = len(opened.role.accepted), self._clock()
            enough = accepted >= opened.header.min_contributors
            # To the second, not within the skew of clocks: who asks members for answers and then finds that
            # its turn is over has taken them from the next view.
            if now > opened.header.deadline:
                reason = Reason.DEADLINE if enough else Reason.TOO_FEW
                raise ProtocolError(reason, f"{accepted} present", round_id=opened.header.hash)
            all_here = 0 < self._plan.close_at <= accepted
            if enough and (all_here or now > opened.until):
                return
            await asyncio.sleep(_TICK_S)

"""A peer as a service: its member answers, its book takes rosters and beacons, and on its turn it collects.

No peer is named as the aggregator: everybody asks the address of whoever the book says it is now.  Packets
go there whole and directly, so that an aggregator sees from which address a pseudonym writes.
"""

from __future__ import annotations

import asyncio
import functools
import time
from collections import Counter, OrderedDict
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any, Final

import httpx
import numpy as np
from numpy.typing import NDArray
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response
from starlette.types import ASGIApp

from ... import clsc, he, rs
from ..._ext import limits
from ..._ext.errors import ParameterError, SottovoceError
from ..aggregator import Aggregator, State
from ..closing import RoundResult
from ..errors import ProtocolError, Reason
from ..header import RoundHeader
from ..model import model_digest
from ..peer import Peer
from ..peer_choice import Choice
from ..policy import check_deadline
from ..server import ServerIdentity
from ..signed import SignedHeader
from .base import RoleThread, application, bytes_answer, cbor_answer, route
from .courier import Courier
from .errors import Refusal, TransportError
from .guard import Limits, read_body
from .logs import log
from .member import MemberService
from .metrics import Metrics
from .outgoing import post_patiently, quiet_client
from .round_plan import check_clip
from .rounds import Committee, Patience
from .tasks import Tasks

_KEPT_RESULTS: Final = 8
_TICK_S: Final = 0.1
_WAIT_S: Final = 86_400.0
"""Longer than any view; who waits is cancelled when the round is over."""
_ROSTER_BYTES: Final = limits.ROSTER_MAX_BYTES + 256

Arrays = list[NDArray[np.floating]]
Train = Callable[[Arrays, int, int], Arrays]
"""``train(model, round number, view)``: an update, trained anew every time."""


@dataclass(frozen=True)
class PeerPlan:
    """What this peer puts into headers when it is its turn.

    Attributes:
        clip: Values are clipped to ``[-clip, clip]``.
        close_at: Collecting ends as soon as so many count; 0: only with time.
        close_s: Seconds before the deadline at which collecting ends, for checking and answering.
        margin_s: Seconds from the deadline to the end of the turn, as of :meth:`sottovoce.fl.Peer.propose`.
        max_contributors: As of :func:`sottovoce.fl.plan_round`.
        rounds: Take part in so many, one after the other, while the service runs; 0: only in those that
            :meth:`PeerService.run_round` is called for.
        first_round: Number of the first of them.

    Raises:
        ParameterError: A negative number; ``margin_s`` of 0; ``clip`` not positive.
    """

    clip: float
    close_at: int = 0
    close_s: int = 60
    margin_s: int = limits.CLOCK_SKEW_S
    max_contributors: int = 1024
    rounds: int = 0
    first_round: int = 1

    def __post_init__(self) -> None:
        if min(self.close_at, self.close_s, self.rounds, self.first_round) < 0:
            raise ParameterError("plan: no negative number expected")
        if self.margin_s < 1:
            raise ParameterError(f"margin_s: at least 1 expected, got {self.margin_s}")
        check_clip(self.clip)


@dataclass(frozen=True)
class _Open:
    """The round that this peer collects."""

    signed_header: bytes
    role: Aggregator
    until: float

    @property
    def header(self) -> RoundHeader:
        return self.role.header


@dataclass
class _Part:
    """How far this peer has come in one view: whoever begins again goes on from here."""

    signed_header: bytes = b""
    header: RoundHeader | None = None
    packet: bytes = b""
    fate: str = ""
    """``contributed`` or ``sat_out``, as in :attr:`PeerService.counts`; then the result is to be fetched."""


class PeerService:
    """One peer and its part in rounds.

    Args:
        peer: The roles.
        identity: Its public keys.
        trust: Verifies headers before large bodies are read.
        addresses: Name -> URL of every peer, this one included.
        model: The first global model, float arrays; every peer has the same.
        train: Makes this peer's update; called in a thread, again where it fails, until the view is over.
        plan: For its turns.
        patience: For members.
        bounds: Limits of requests.
        make_client: Makes the connections to others; for tests.
        keep: Called in a thread with the number of a round and the model after its result; where it fails,
            again and again, with the last model, while rounds go on.
        abandon: Called with the number of a round and a view whose update is of no use any more: it was sent,
            the view is over, or its result is there.  A ``train`` that still runs for it should end.
        clock: Unix seconds; that of the peer.

    Attributes:
        app: The ASGI application.
        counts: How often it ``contributed`` and ``sat_out``, both as of the end of each round, ``led`` a
            view, got a ``result``, or ``failed``.
        model: The global model after the last result.
        results: Round number -> the last verified results.
    """

    def __init__(
        self,
        peer: Peer,
        identity: ServerIdentity,
        trust: clsc.TrustStore,
        addresses: Mapping[bytes, str],
        model: Arrays,
        train: Train,
        plan: PeerPlan,
        *,
        patience: Patience | None = None,
        bounds: Limits | None = None,
        make_client: Callable[[], httpx.AsyncClient] = quiet_client,
        keep: Callable[[int, Arrays], None] = lambda number, model: None,
        abandon: Callable[[int, int], None] = lambda number, view: None,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._peer = peer
        self._trust = trust
        self._addresses = {name: url.rstrip("/") for name, url in addresses.items()}
        self._train = train
        self._plan = plan
        self._patience = patience
        self._make_client = make_client
        self._keep = keep
        self._abandon = abandon
        self._clock = clock
        self._client = make_client()
        self._thread = RoleThread("peer")
        self._open: _Open | None = None
        self._published: OrderedDict[str, bytes] = OrderedDict()
        self._member = MemberService(peer.member, identity, trust)
        self.model = model
        self.results: OrderedDict[int, RoundResult] = OrderedDict()
        self.counts: Counter[str] = Counter(contributed=0, sat_out=0, led=0, result=0, failed=0)
        self._parts: dict[tuple[int, int], _Part] = {}
        self._unkept: tuple[int, Arrays] | None = None
        self._keeping: asyncio.Task[None] | None = None
        self._ending = asyncio.Event()
        self._tasks = Tasks()
        # When packets came is shown when the collecting is over, as at a relay with the batch.
        metrics = self._metrics = Metrics("peer", later=["/v1/packet"])
        self._tasks.watch(metrics)
        metrics.watch("rounds", "What this peer did.", lambda: self.counts, label="what", counts=True)
        routes = [
            *self._member.routes,
            route("/v1/roster", self._take_roster, "POST"),
            route("/v1/beacon", self._take_beacon, "POST"),
            route("/v1/status", self._tell_status, "GET"),
            route("/v1/round", self._round, "GET"),
            route("/v1/header", self._header, "GET"),
            route("/v1/packet", self._packet, "POST"),
            route("/v1/result/{header:str}", self._result, "GET"),
        ]
        self.app: ASGIApp = application(
            routes,
            metrics,
            bounds if bounds is not None else Limits(),
            self._lifespan,
            lambda: self._tasks.reason,
        )

    @asynccontextmanager
    async def _lifespan(self) -> AsyncIterator[None]:
        async with self._member.lifespan():
            running = asyncio.create_task(self._run())
            try:
                yield
            finally:
                running.cancel()
                await asyncio.gather(running, return_exceptions=True)
                self._ending.set()
                if self._keeping is not None:
                    await self._keeping  # tried once more, and given up
                await self._thread.end()
                await self._client.aclose()

    # -- taking part ------------------------------------------------------------------------------

    async def _run(self) -> None:
        first = self._plan.first_round
        for number in range(first, first + self._plan.rounds):
            try:
                work = functools.partial(self.run_round, number)
                await self._tasks.supervise("rounds", work, expected=ProtocolError)
            except ProtocolError as error:
                log("error", "round failed", round=number, reason=str(error))

    async def run_round(self, number: int) -> RoundResult:
        """Wait for a round's beacon, take part view by view, and return the verified result.

        On its turn this peer collects; on every view it contributes, trained anew, or sits out what its
        policy or its outbox refuses.  A result of an earlier view that comes late counts as well: members
        answer one view only, so there is one result at most.  Called again after an error it goes on: what is
        sent is not sent again, and a result that is there is returned.

        Args:
            number: The round, in the epoch of this peer's keys.

        Returns:
            The result, verified.

        Raises:
            ProtocolError: All views passed without a result (:attr:`Reason.VIEW`).
        """
        if number in self.results:
            return self.results[number]
        takers: dict[int, asyncio.Task[RoundResult]] = {}
        leader: asyncio.Task[None] | None = None
        failed: set[int] = set()
        try:
            while True:
                for view, task in takers.items():
                    if task.done() and task.exception() is None:
                        return self._take_result(number, task.result())
                    if task.done() and view not in failed:  # nothing more to do but wait for the next one
                        failed.add(view)
                        log("warning", "no part in a view", view=view, reason=str(task.exception()))
                try:
                    choice = self._peer.choice(number)
                except ProtocolError as error:
                    if error.reason is not Reason.BEACON:
                        raise
                else:
                    if choice.view not in takers:
                        log("info", "view", round=number, view=choice.view)
                        takers[choice.view] = asyncio.create_task(self._contribute(choice))
                        if choice.aggregator.name == self._peer.name:
                            leader = asyncio.create_task(self._lead(choice))
                await asyncio.sleep(_TICK_S)
        except ProtocolError:
            self._end_round(number)
            self.counts["failed"] += 1
            raise
        finally:
            tasks: list[asyncio.Task[Any]] = [*takers.values(), *([leader] if leader is not None else [])]
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)

    def _take_result(self, number: int, result: RoundResult) -> RoundResult:
        means = he.ModelLayout.of(self.model).unflatten(result.mean)
        self.model = [(a + m).astype(a.dtype) for a, m in zip(self.model, means, strict=True)]
        self._end_round(number)
        self.counts["result"] += 1
        self.results[number] = result
        while len(self.results) > _KEPT_RESULTS:
            self.results.popitem(last=False)
        log("info", "result", round=number, contributors=result.agreed.count)
        # A disk that is full must not keep this peer out of the rounds that follow.
        self._unkept = (number, self.model)
        if self._keeping is None or self._keeping.done():
            self._keeping = asyncio.create_task(
                self._tasks.supervise("keep", self._keep_last, over=self._ending.is_set, hurry=self._ending)
            )
        return result

    async def _keep_last(self) -> None:
        while self._unkept is not None:
            last = self._unkept
            await asyncio.to_thread(self._keep, *last)
            if self._unkept is last:
                self._unkept = None

    def _end_round(self, number: int) -> None:
        # Not earlier: anybody reads these counts, and whoever collects knows when each pseudonym wrote.
        self.counts.update(part.fate for (of, _), part in self._parts.items() if of == number and part.fate)
        self._parts = {key: part for key, part in self._parts.items() if key[0] != number}

    async def _contribute(self, choice: Choice) -> RoundResult:
        """One update for one view, and its result."""
        address = self._addresses[choice.aggregator.name]
        courier = Courier(address, make_client=self._make_client)
        part = self._parts.setdefault((choice.round_number, choice.view), _Part())
        while part.header is None:
            # Whoever proposes early, or is not the chosen one, is refused by the policy.
            signed_header = await courier.header(wait_s=_WAIT_S, after=choice.round_number - 1)
            try:
                part.header = await self._thread(self._peer.client.check, signed_header)
                part.signed_header = signed_header
            except SottovoceError as error:
                log("warning", "header refused", view=choice.view, reason=str(error))
                await asyncio.sleep(_TICK_S)
        if await asyncio.to_thread(model_digest, self.model) != part.header.model:
            raise ProtocolError(Reason.MODEL, "not this peer's", round_id=part.header.hash)
        # Who cannot train has the others' result all the same.
        sending = asyncio.create_task(self._send_in_time(choice, part, address))
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

    async def _send_in_time(self, choice: Choice, part: _Part, address: str) -> None:
        """Train and send, again where that fails, until the view is over."""
        end = self._turn_end(choice)

        def over() -> bool:
            return self._clock() >= end

        work = functools.partial(self._send, choice, part, address)
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

    def _turn_end(self, choice: Choice) -> float:
        return self._peer.book.turn(choice.epoch, choice.round_number, choice.view)[1]

    async def _send(self, choice: Choice, part: _Part, address: str) -> None:
        if part.fate:
            return
        if not part.packet:
            update = await asyncio.to_thread(self._train, self.model, choice.round_number, choice.view)
            try:
                sealed = await self._thread(self._peer.client.seal, part.signed_header, self.model, update)
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

    # -- on its turn ------------------------------------------------------------------------------

    async def _lead(self, choice: Choice) -> None:
        end = self._turn_end(choice)
        try:
            # Where it had begun it goes on: no second round of one view.
            await self._tasks.supervise(
                "lead",
                functools.partial(self._lead_view, choice),
                expected=SottovoceError,
                over=lambda: self._clock() > end,
            )
        except SottovoceError as error:
            log("error", "view failed", round=choice.round_number, view=choice.view, reason=str(error))

    async def _lead_view(self, choice: Choice) -> None:
        members = {m.name: self._addresses[m.name] for m in choice.members}
        committee = Committee(members, self._client, self._patience)
        # Members that answered one view answer no other: what costs a round elsewhere costs all views here.
        committee.check_first = True
        opened = self._open
        if opened is None or (opened.header.round_number, opened.header.view) != (
            choice.round_number, choice.view
        ):  # fmt: skip
            opened = self._open = await self._begin(choice, committee)
            self.counts["led"] += 1
        if opened.role.state is State.COLLECTING:
            await self._collect(opened)
        self._metrics.release()
        result = await self._finish(committee, opened)
        self._published[opened.header.hash.hex()] = await self._thread(opened.role.publish, result)
        while len(self._published) > _KEPT_RESULTS:
            self._published.popitem(last=False)

    async def _begin(self, choice: Choice, committee: Committee) -> _Open:
        number, plan = choice.round_number, self._plan
        fields: dict[str, Any] = {
            "clip": plan.clip,
            "max_contributors": plan.max_contributors,
            "margin_s": plan.margin_s,
        }
        proposal = await self._thread(self._peer.propose, self.model, number, **fields)
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
        return _Open(signed_header, self._peer.aggregator, deadline - plan.close_s)

    async def _finish(self, committee: Committee, opened: _Open) -> RoundResult:
        """What the members' answers open; they are asked to the deadline and no longer."""
        try:
            async with asyncio.timeout(max(0.0, opened.header.deadline - self._clock())):
                return await committee.finish(opened.role, opened.signed_header, self._thread)
        except TimeoutError:
            raise ProtocolError(
                Reason.DEADLINE, "members did not answer in time", round_id=opened.header.hash
            ) from None

    async def _collect(self, opened: _Open) -> None:
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

    # -- endpoints --------------------------------------------------------------------------------

    async def _take_roster(self, request: Request) -> Response:
        data = await read_body(request, at_most=_ROSTER_BYTES)
        await self._thread(self._peer.book.add_roster, data)
        return PlainTextResponse("taken\n", 202)

    async def _take_beacon(self, request: Request) -> Response:
        data = await read_body(request, at_most=limits.HTTP_SMALL_BYTES)
        await self._thread(self._peer.book.add_beacon, data)
        return PlainTextResponse("taken\n", 202)

    async def _tell_status(self, _: Request) -> Response:
        last = max(self.results, default=0)
        return cbor_answer({"v": 1, "last_result": last, **self.counts})

    def _require_open(self) -> _Open:
        if self._open is None:
            raise Refusal(404, "no round here")
        return self._open

    async def _round(self, _: Request) -> Response:
        opened = self._require_open()
        header, role = opened.header, opened.role
        return cbor_answer(
            {
                "v": 1,
                "round": header.round_number,
                "header": header.hash,
                "shard_bytes": rs.shard_bytes(header.packet_bytes, header.shard_k, header.shard_n),
                "state": "collecting" if role.state is State.COLLECTING else role.state.name.lower(),
                "until": int(opened.until),
            }
        )

    async def _header(self, _: Request) -> Response:
        return bytes_answer(self._require_open().signed_header)

    async def _packet(self, request: Request) -> Response:
        opened = self._require_open()
        if opened.role.state is not State.COLLECTING:  # as the role says too, once all of it is here
            raise ProtocolError(Reason.STATE, "no longer collecting", round_id=opened.header.hash)
        check_deadline(opened.header, self._clock())
        packet = await read_body(request, at_most=opened.header.packet_bytes)
        await self._thread(opened.role.receive_packet, packet)
        return PlainTextResponse("taken\n", 202)

    async def _result(self, request: Request) -> Response:
        result = self._published.get(request.path_params["header"])
        if result is None:
            raise Refusal(404, "no such result")
        return bytes_answer(result)

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
from typing import Any, Final

import httpx
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response
from starlette.types import ASGIApp

from ... import clsc, he, rs
from ..._ext import limits
from ..aggregator import State
from ..closing import RoundResult
from ..errors import ProtocolError, Reason
from ..peer import Peer
from ..policy import check_deadline
from ..server import ServerIdentity
from .asking import Patience
from .base import RoleThread, application, bytes_answer, cbor_answer, route
from .errors import Refusal
from .guard import Limits, read_body
from .logs import log
from .member import MemberService
from .metrics import Metrics
from .model_bytes import Arrays
from .outgoing import quiet_client
from .peer_part import PeerParts, Train
from .peer_plan import PeerPlan
from .peer_turn import KEPT_RESULTS, OpenView, PeerTurn
from .tasks import Tasks

_TICK_S: Final = 0.1
_ROSTER_BYTES: Final = limits.ROSTER_MAX_BYTES + 256


class PeerService:
    """One peer and its part in rounds.

    Args:
        peer: The roles; called from one thread of this service, its member from another.
        identity: Its public keys.
        trust: Verifies headers before large bodies are read.
        addresses: Name -> URL of every peer, this one included.
        model: The first global model, float arrays; every peer has the same.  Kept, never written.
        train: Makes this peer's update; called in a thread, again where it fails, until the view is over.
        plan: For its turns.
        patience: For members; the usual if None.
        bounds: Limits of requests; the usual if None.
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
        results: Round number -> the last eight verified results.

    Source: docs/fl-peers.md, "Over HTTP".
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
        self._plan = plan
        self._keep = keep
        self._clock = clock
        self._client = make_client()
        self._thread = RoleThread("peer")
        self._member = MemberService(peer.member, identity, trust)
        self.model = model
        self.results: OrderedDict[int, RoundResult] = OrderedDict()
        self.counts: Counter[str] = Counter(contributed=0, sat_out=0, led=0, result=0, failed=0)
        self._unkept: tuple[int, Arrays] | None = None
        self._keeping: asyncio.Task[None] | None = None
        self._ending = asyncio.Event()
        self._tasks = Tasks()
        # When packets came is shown when the collecting is over, as at a relay with the batch.
        metrics = Metrics("peer", later=["/v1/packet"])
        self._tasks.watch(metrics)
        metrics.watch("rounds", "What this peer did.", lambda: self.counts, label="what", counts=True)
        urls = {name: url.rstrip("/") for name, url in addresses.items()}
        self._parts = PeerParts(peer, urls, train, abandon, self._thread, self._tasks, make_client, clock)
        self._turn = PeerTurn(
            peer, trust, urls, plan, patience, self._client, self._thread, self._tasks, metrics, self.counts,
            clock,
        )  # fmt: skip
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
                        takers[choice.view] = asyncio.create_task(self._parts.contribute(choice, self.model))
                        if choice.aggregator.name == self._peer.name:
                            leader = asyncio.create_task(self._turn.lead(choice, self.model))
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
        while len(self.results) > KEPT_RESULTS:
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
        self.counts.update(self._parts.end_round(number))

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

    def _require_open(self) -> OpenView:
        if self._turn.opened is None:
            raise Refusal(404, "no round here")
        return self._turn.opened

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
        result = self._turn.published.get(request.path_params["header"])
        if result is None:
            raise Refusal(404, "no such result")
        return bytes_answer(result)

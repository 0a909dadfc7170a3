"""The relay: takes shards of one size from anybody, and gives them on in batches and in another order.

It holds no key and knows the next hop only.  A shard is sealed for the aggregator, all have one length,
and of each packet a relay sees one shard, so that nothing it has tells whose it is or which belong
together.  Headers, models and results are public; it passes them on, so that a client need not show
itself to the aggregator.
"""

from __future__ import annotations

import asyncio
import contextlib
import math
import secrets
import time
from collections import Counter, OrderedDict, defaultdict, deque
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Final

import httpx
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response, StreamingResponse
from starlette.types import ASGIApp, Receive, Scope, Send

from ..._ext import limits
from ..._ext.errors import DecodeError, ParameterError
from .base import BYTES, CBOR, ROUND_FIELDS, Handler, application, is_digest, read_cbor, route
from .errors import CutOff, Refusal, TransportError
from .guard import Limits, address_of, read_body
from .logs import log
from .metrics import Metrics
from .outgoing import Stream, get, post_patiently, quiet_client, stream
from .tasks import Tasks

_RANDOM: Final = secrets.SystemRandom()
_SHARD: Final = "/v1/shard"
_TAKEN: Final = 202
_KEEP_PUBLIC_S: Final = 0.5
_KEEP_FAILURE_S: Final = 2.0
"""A next hop that does not answer, or has no result yet, is asked so often, and not by every client."""
_KEPT_MISSING: Final = 64
"""Results that are not there yet: strangers ask for what they like."""
_SMALL_S: Final = 5.0
_LARGE_S: Final = 20.0
_COUNT_S: Final = 60.0
"""Requests that were refused are counted this often where no batch leaves."""
_GIVE_UP_S: Final = 300.0
"""A batch that the next hop does not take is given up so long after the round's collecting was to end (it may
go on to the deadline), or after it left, if that is later."""
_LONGEST_S: Final = 86_400.0
"""But not later than this, whatever the next hop says of its round: what is held takes others' room."""
_TICK_S: Final = 0.05


@dataclass(frozen=True)
class Mixing:
    """How a relay mixes.

    Attributes:
        threshold: Shards that leave together as soon as so many are there; at least 1.
        wait_s: Fewer leave when the oldest has waited so many seconds.
        queue_bytes: Most that is held; more gets 503.
        shutdown_s: After the end was asked for, what is held gets so many seconds to leave.
    """

    threshold: int = 8
    wait_s: float = 5.0
    queue_bytes: int = limits.RELAY_QUEUE_BYTES
    shutdown_s: float = 8.0

    def __post_init__(self) -> None:
        if self.threshold < 1 or not self.wait_s >= 0 or self.queue_bytes < 1 or not self.shutdown_s >= 0:
            raise ParameterError("mixing: a threshold of at least 1, and nothing negative, expected")


class RelayService:
    """One relay.

    Args:
        next_hop: URL of the aggregator, or of another relay.
        mixing: Batches; the usual if None.
        bounds: Limits of requests; the usual if None.
        make_client: Makes the connections to the next hop, as ``outgoing.quiet_client``; called for each of
            three that must not wait for each other: shards, what is small, models and results.
        clock: Seconds; only differences matter.

    Attributes:
        app: The ASGI application.
        counts: Shards ``taken``, ``forwarded``, ``refused`` by the next hop, ``lost``.

    Source: docs/fl-http.md, "What a relay sees"; a mix of threshold or time as in Serjantov, Dingledine and
        Syverson, Information Hiding 2002, where the time is that of the oldest.
    """

    def __init__(
        self,
        next_hop: str,
        *,
        mixing: Mixing | None = None,
        bounds: Limits | None = None,
        make_client: Callable[..., httpx.AsyncClient] = quiet_client,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._next = next_hop.rstrip("/")
        self._mixing = mixing if mixing is not None else Mixing()
        self._client = make_client(connections=2)
        self._small_client = make_client(timeout_s=_SMALL_S, connections=4)
        self._large_client = make_client(timeout_s=_LARGE_S, connections=limits.HTTP_PASSED_ON)
        self._clock = clock
        self._held: list[bytes] = []
        self._leaving: deque[bytes] = deque()
        self._held_bytes = 0  # of both, and of bodies that are coming
        self._collects_until = 0  # unix seconds, of the round heard of last
        self._oldest = 0.0
        self._stop = asyncio.Event()
        self._ends = 0.0  # what is held has until then, once _stop is set
        self._small: dict[str, _Known] = {}
        self._asking: defaultdict[str, asyncio.Lock] = defaultdict(asyncio.Lock)
        self._missing: OrderedDict[str, float] = OrderedDict()  # path -> until when it is not asked for
        self._passing: Counter[str] = Counter()
        self._tasks = Tasks()
        self.counts: Counter[str] = Counter(taken=0, forwarded=0, refused=0, lost=0)
        self._shown = self.counts.copy()
        self._counted = 0.0
        self._metrics = Metrics("relay", later=[_SHARD])
        self._metrics.watch(
            "shards", "What became of shards.", lambda: self._shown, label="fate", counts=True
        )
        self._metrics.watch(
            "leaving", "Shards of batches that the next hop has not taken yet.",
            lambda: {"": len(self._leaving)},
        )  # fmt: skip
        self._tasks.watch(self._metrics)
        routes = [
            route(_SHARD, self._take, "POST"),
            route("/v1/round", self._pass_small(CBOR, limits.HTTP_SMALL_BYTES), "GET"),
            route("/v1/header", self._pass_small(BYTES, limits.HEADER_MAX_BYTES), "GET"),
            route("/v1/model", self._pass_large, "GET"),
            route("/v1/result/{header:str}", self._pass_large, "GET"),
        ]
        self.app: ASGIApp = application(
            routes,
            self._metrics,
            bounds if bounds is not None else Limits(),
            self._lifespan,
            lambda: self._tasks.reason,
        )

    # -- taking -----------------------------------------------------------------------------------

    async def _take(self, request: Request) -> Response:
        size = await self._size()
        if self._stop.is_set():
            raise Refusal(503, "ending", retry_after_s=5)
        if self._held_bytes + size > self._mixing.queue_bytes:
            raise Refusal(503, "full", retry_after_s=2)
        self._held_bytes += size  # before the body comes: many at once must not hold more
        try:
            shard = await read_body(request, at_most=size, exactly=size)
            if self._stop.is_set():
                raise Refusal(503, "ending", retry_after_s=5)
        except BaseException:
            self._held_bytes -= size
            raise
        if not self._held:
            self._oldest = self._clock()
        self._held.append(shard)
        self.counts["taken"] += 1
        return PlainTextResponse("taken\n", _TAKEN)

    async def _size(self) -> int:
        """Bytes of every shard of the round, from the next hop."""
        try:
            fields = read_cbor(await self._fetch("/v1/round", limits.HTTP_SMALL_BYTES), ROUND_FIELDS)
        except (TransportError, DecodeError):
            raise Refusal(503, "no round", retry_after_s=2) from None
        size: int = fields["shard_bytes"]
        if not 1 <= size <= limits.SHARD_MAX_BYTES:
            raise Refusal(503, "no round", retry_after_s=2)
        self._collects_until = fields["until"]
        return size

    # -- giving on --------------------------------------------------------------------------------

    def end_soon(self) -> None:
        """Take nothing more, and give on at once what is held; to be called before what is going on is
        waited for."""
        if not self._stop.is_set():
            self._ends = time.monotonic() + self._mixing.shutdown_s
            self._stop.set()

    @asynccontextmanager
    async def _lifespan(self) -> AsyncIterator[None]:
        pump = asyncio.create_task(self._tasks.supervise("pump", self._pump, hurry=self._stop))
        try:
            yield
        finally:
            # What was acknowledged leaves at once, mixed with whatever else is here.
            self.end_soon()
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(pump, max(0.0, self._ends - time.monotonic()))
            if self._n_held:
                self.counts["lost"] += self._n_held
                log("error", "shards lost at the end", shards=self._n_held)
            for client in (self._client, self._small_client, self._large_client):
                await client.aclose()

    async def _pump(self) -> None:
        while not self._stop.is_set() or self._n_held:
            if self._stop.is_set() or self._is_due():
                await self._give_on()
                continue
            if self._clock() - self._counted > _COUNT_S:
                self._counted = self._clock()
                self._metrics.release(but=_TAKEN)
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._stop.wait(), _TICK_S)

    def _is_due(self) -> bool:
        if self._leaving:
            return True  # of a batch that was interrupted
        if not self._held:
            return False
        waited = self._clock() - self._oldest
        return len(self._held) >= self._mixing.threshold or waited >= self._mixing.wait_s

    @property
    def _n_held(self) -> int:
        return len(self._held) + len(self._leaving)

    async def _give_on(self) -> None:
        """One batch, shuffled; each of its shards is held until the next hop has it."""
        if not self._leaving:  # else a batch that was interrupted: what came since waits for its own
            batch, self._held = self._held, []
            _RANDOM.shuffle(batch)
            self._leaving.extend(batch)
            # Whoever reads the metrics learns of a shard no sooner than whoever sees its batch leave.
            self._shown["taken"] = self.counts["taken"]
            self._metrics.release()
        collects_s = max(0.0, self._collects_until - time.time())
        until = time.monotonic() + min(collects_s + _GIVE_UP_S, _LONGEST_S)
        fates: Counter[str] = Counter()
        try:
            while self._leaving:
                fates[await self._give_one(self._leaving[0], until)] += 1
                self._held_bytes -= len(self._leaving.popleft())
        finally:
            self.counts.update(fates)
            self._shown.update(fates)
        log("info", "batch left", shards=fates.total(), fates=dict(fates))

    async def _give_one(self, shard: bytes, until: float) -> str:
        url = self._next + _SHARD
        try:
            await post_patiently(self._client, url, shard, at_most=limits.HTTP_SMALL_BYTES, until=until)
        except TransportError as error:
            # Refused for good: too late, or of another round.  The sender is long gone.
            return "lost" if error.retryable else "refused"
        return "forwarded"

    # -- what is public ---------------------------------------------------------------------------

    async def _fetch(self, path: str, at_most: int) -> bytes:
        """Something small, from the next hop; many that ask at once make one request, also if it fails."""
        async with self._asking[path]:
            known = self._small.get(path)
            if known is None or self._clock() > known.until:
                try:
                    data = await get(self._small_client, self._next + path, at_most=at_most)
                    known = _Known(self._clock() + _KEEP_PUBLIC_S, data)
                except TransportError as error:
                    known = _Known(self._clock() + _KEEP_FAILURE_S, b"", error.status, error.reason)
                self._small[path] = known
        if known.status is not None:
            raise TransportError("the next hop has no answer", status=known.status, reason=known.reason)
        return known.data

    def _pass_small(self, media_type: str, at_most: int) -> Handler:
        async def handler(request: Request) -> Response:
            try:
                return Response(await self._fetch(request.url.path, at_most), media_type=media_type)
            except TransportError as error:
                raise _passed_on(error) from None

        return handler

    async def _pass_large(self, request: Request) -> Response:
        """Piece by piece: of nothing large a relay holds more than a piece."""
        header = request.path_params.get("header")
        if header is not None and not is_digest(header):
            raise Refusal(404, "no such result")
        if self._clock() < self._missing.get(request.url.path, -math.inf):
            raise Refusal(404, "no such result")
        address = address_of(request.scope)
        if self._passing[address] >= limits.HTTP_PASSED_ON_PER_ADDRESS:
            raise Refusal(503, "busy with your other requests", retry_after_s=1)
        if self._passing.total() >= limits.HTTP_PASSED_ON:
            raise Refusal(503, "busy", retry_after_s=1)
        self._passing[address] += 1
        try:
            url = self._next + request.url.path
            answer = await stream(
                self._large_client, url, at_most=limits.MODEL_MAX_BYTES, method=request.method
            )
        except BaseException as error:
            self._passed(address)
            if not isinstance(error, TransportError):
                raise
            if header is not None and error.status == 404:
                self._keep_missing(request.url.path)
            raise _passed_on(error) from None
        return _Passed(answer, lambda: self._passed(address))

    def _keep_missing(self, path: str) -> None:
        """Whoever waits for a result asks again and again: not all of them the next hop."""
        self._missing.pop(path, None)
        self._missing[path] = self._clock() + _KEEP_FAILURE_S
        if len(self._missing) > _KEPT_MISSING:
            self._missing.popitem(last=False)

    def _passed(self, address: str) -> None:
        self._passing[address] -= 1
        self._passing += Counter()  # forgets addresses that have none


@dataclass(frozen=True)
class _Known:
    """What the next hop has answered, or why not (``status`` is a number)."""

    until: float
    data: bytes
    status: int | None = None
    reason: str = ""


class _Passed(StreamingResponse):
    """What comes from the next hop, as it comes; let go of in the end, whatever the end is."""

    def __init__(self, answer: Stream, done: Callable[[], None]) -> None:
        headers = {} if answer.length is None else {"content-length": str(answer.length)}
        super().__init__(answer, media_type=BYTES, headers=headers)
        self._answer = answer
        self._done = done

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """See :class:`StreamingResponse`."""
        try:
            await super().__call__(scope, receive, send)
        except TransportError:
            raise CutOff(502) from None
        finally:
            self._done()
            await self._answer.aclose()


def _passed_on(error: TransportError) -> Refusal:
    if error.status in (404, 429):
        return Refusal(error.status, error.reason)
    return Refusal(503, "the next hop does not answer", retry_after_s=2)

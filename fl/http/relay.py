"""The relay: takes shards of one size from anybody, and gives them on in batches and in another order.

It holds no key and knows the next hop only.  A shard is sealed for the aggregator, all have one length,
and of each packet a relay sees one shard, so that nothing it has tells whose it is or which belong
together.  Headers, models and results are public; it passes them on, so that a client need not show
itself to the aggregator.
"""

from __future__ import annotations

import asyncio
import contextlib
import secrets
import time
from collections import Counter, deque
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Final

import httpx
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response, StreamingResponse
from starlette.types import ASGIApp

from ..._ext import limits
from ..._ext.errors import DecodeError, ParameterError
from .base import BYTES, CBOR, ROUND_FIELDS, Handler, application, is_digest, read_cbor, route
from .errors import Refusal, TransportError
from .guard import Limits, read_body
from .logs import log
from .metrics import Metrics
from .outgoing import get, post_patiently, quiet_client, stream

_RANDOM: Final = secrets.SystemRandom()
_KEEP_PUBLIC_S: Final = 0.5
_GIVE_UP_S: Final = 300.0
_TICK_S: Final = 0.05


@dataclass(frozen=True)
class Mixing:
    """How a relay mixes.

    Attributes:
        threshold: Shards that leave together as soon as so many are there.
        wait_s: Fewer leave when the oldest has waited this long.
        queue_bytes: Most that is held; more gets 503.
        shutdown_s: After the end was asked for, what is held gets this long to leave.
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
        mixing: Batches.
        bounds: Limits of requests.
        client: Talks to the next hop; made if None.
        clock: Seconds; only differences matter.

    Attributes:
        app: The ASGI application.
        counts: Shards ``taken``, ``forwarded``, ``refused`` by the next hop, ``lost``.
    """

    def __init__(
        self,
        next_hop: str,
        *,
        mixing: Mixing | None = None,
        bounds: Limits | None = None,
        client: httpx.AsyncClient | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._next = next_hop.rstrip("/")
        self._mixing = mixing if mixing is not None else Mixing()
        self._client = client if client is not None else quiet_client()
        self._clock = clock
        self._held: list[bytes] = []
        self._leaving: deque[bytes] = deque()
        self._held_bytes = 0  # of both, and of bodies that are coming
        self._oldest = 0.0
        self._draining = False
        self._small: dict[str, tuple[float, bytes]] = {}
        self._asking = asyncio.Lock()
        self.counts: Counter[str] = Counter(taken=0, forwarded=0, refused=0, lost=0)
        metrics = Metrics("relay")
        metrics.watch("shards", "What became of shards.", lambda: self.counts, label="fate", counts=True)
        metrics.watch("held", "Shards held now.", lambda: {"": self._n_held})
        routes = [
            route("/v1/shard", self._take, "POST"),
            route("/v1/round", self._pass_small(CBOR, limits.HTTP_SMALL_BYTES), "GET"),
            route("/v1/header", self._pass_small(BYTES, limits.HEADER_MAX_BYTES), "GET"),
            route("/v1/model", self._pass_large, "GET"),
            route("/v1/result/{header:str}", self._pass_large, "GET"),
        ]
        self.app: ASGIApp = application(
            routes, metrics, bounds if bounds is not None else Limits(), self._lifespan
        )

    # -- taking -----------------------------------------------------------------------------------

    async def _take(self, request: Request) -> Response:
        size = await self._size()
        if self._draining:
            raise Refusal(503, "ending", retry_after_s=5)
        if self._held_bytes + size > self._mixing.queue_bytes:
            raise Refusal(503, "full", retry_after_s=2)
        self._held_bytes += size  # before the body comes: many at once must not hold more
        try:
            shard = await read_body(request, at_most=size, exactly=size)
            if self._draining:
                raise Refusal(503, "ending", retry_after_s=5)
        except BaseException:
            self._held_bytes -= size
            raise
        if not self._held:
            self._oldest = self._clock()
        self._held.append(shard)
        self.counts["taken"] += 1
        return PlainTextResponse("taken\n", 202)

    async def _size(self) -> int:
        """Bytes of every shard of the round, from the next hop."""
        try:
            fields = read_cbor(await self._fetch("/v1/round", limits.HTTP_SMALL_BYTES), ROUND_FIELDS)
        except (TransportError, DecodeError):
            raise Refusal(503, "no round", retry_after_s=2) from None
        size: int = fields["shard_bytes"]
        if not 1 <= size <= limits.SHARD_MAX_BYTES:
            raise Refusal(503, "no round", retry_after_s=2)
        return size

    # -- giving on --------------------------------------------------------------------------------

    @asynccontextmanager
    async def _lifespan(self) -> AsyncIterator[None]:
        stop = asyncio.Event()
        pump = asyncio.create_task(self._pump(stop))
        try:
            yield
        finally:
            self._draining = True
            stop.set()
            # What was acknowledged leaves at once, mixed with whatever else is here.
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(pump, self._mixing.shutdown_s)
            if self._n_held:
                self.counts["lost"] += self._n_held
                log("error", "shards lost at the end", shards=self._n_held)
            await self._client.aclose()

    async def _pump(self, stop: asyncio.Event) -> None:
        while not stop.is_set() or self._n_held:
            if not stop.is_set() and not self._is_due():
                with contextlib.suppress(TimeoutError):
                    await asyncio.wait_for(stop.wait(), _TICK_S)
                continue
            await self._give_on()

    def _is_due(self) -> bool:
        if not self._held:
            return False
        waited = self._clock() - self._oldest
        return len(self._held) >= self._mixing.threshold or waited >= self._mixing.wait_s

    @property
    def _n_held(self) -> int:
        return len(self._held) + len(self._leaving)

    async def _give_on(self) -> None:
        """One batch, shuffled; each of its shards is held until the next hop has it."""
        batch, self._held = self._held, []
        _RANDOM.shuffle(batch)
        self._leaving.extend(batch)
        until = time.monotonic() + _GIVE_UP_S
        fates: Counter[str] = Counter()
        while self._leaving:
            shard = self._leaving[0]
            url = f"{self._next}/v1/shard"
            try:
                await post_patiently(self._client, url, shard, at_most=limits.HTTP_SMALL_BYTES, until=until)
            except TransportError as error:
                # Refused for good: too late, or of another round.  The sender is long gone.
                fates["lost" if error.retryable else "refused"] += 1
            else:
                fates["forwarded"] += 1
            self._leaving.popleft()
            self._held_bytes -= len(shard)
        self.counts.update(fates)
        log("info", "batch left", shards=len(batch), fates=dict(fates))

    # -- what is public ---------------------------------------------------------------------------

    async def _fetch(self, path: str, at_most: int) -> bytes:
        """Something small, from the next hop; many that ask at once make one request."""
        async with self._asking:
            at, data = self._small.get(path, (-1e9, b""))
            if self._clock() - at > _KEEP_PUBLIC_S:
                data = await get(self._client, self._next + path, at_most=at_most)
                self._small[path] = (self._clock(), data)
            return data

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
        try:
            pieces = await stream(self._client, self._next + request.url.path, at_most=limits.MODEL_MAX_BYTES)
        except TransportError as error:
            raise _passed_on(error) from None
        return StreamingResponse(pieces, media_type=BYTES)


def _passed_on(error: TransportError) -> Refusal:
    if error.status in (404, 429):
        return Refusal(error.status, error.reason)
    return Refusal(503, "the next hop does not answer", retry_after_s=2)

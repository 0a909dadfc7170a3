"""What stands before every service: limits of rate, concurrency, size and time; counts; short refusals.

A request that is refused here has not reached a role.  What the limits are, and why: ``_ext/limits.py``.
"""

from __future__ import annotations

import asyncio
import time
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from starlette.requests import ClientDisconnect, Request
from starlette.responses import PlainTextResponse, Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from ..._ext import limits
from .errors import Refusal
from .logs import log
from .metrics import Metrics

_NOT_LIMITED: Final = frozenset({"/healthz"})
"""Whoever asks whether a service lives must hear it also when it is busy."""


@dataclass(frozen=True)
class Limits:
    """Limits of one service.

    Attributes:
        concurrent: Requests at work at once; more get 503.
        rate_per_s: Requests of one address on average; more get 429.
        burst: Requests of one address at once.
        body_seconds: Within which a body must have come, else 408.
    """

    concurrent: int = limits.HTTP_CONCURRENT
    rate_per_s: float = limits.HTTP_RATE_PER_SECOND
    burst: float = limits.HTTP_BURST
    body_seconds: float = limits.HTTP_BODY_SECONDS


class Buckets:
    """A token bucket for each address, for the addresses heard last."""

    def __init__(self, rate: float, burst: float, clock: Callable[[], float] = time.monotonic) -> None:
        self._rate, self._burst, self._clock = rate, burst, clock
        self._levels: OrderedDict[str, tuple[float, float]] = OrderedDict()

    def take(self, address: str) -> bool:
        """Whether one more request of this address may go on."""
        now = self._clock()
        level, last = self._levels.pop(address, (self._burst, now))
        level = min(self._burst, level + (now - last) * self._rate)
        allowed = level >= 1
        self._levels[address] = (level - 1 if allowed else level, now)
        if len(self._levels) > limits.HTTP_PEERS:
            self._levels.popitem(last=False)
        return allowed


class Guard:
    """ASGI middleware; see the module.

    Args:
        app: The service.
        metrics: Counts requests by path and status.
        bounds: The limits.
    """

    def __init__(self, app: ASGIApp, *, metrics: Metrics, bounds: Limits) -> None:
        self._app = app
        self._metrics = metrics
        self._bounds = bounds
        self._buckets = Buckets(bounds.rate_per_s, bounds.burst)
        self._active = 0

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """One request."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        status = 500
        started = False

        async def noting(message: Message) -> None:
            nonlocal status, started
            if message["type"] == "http.response.start":
                status, started = message["status"], True
            await send(message)

        self._active += 1
        begun = time.perf_counter()
        try:
            try:
                self._admit(scope)
                scope.setdefault("state", {})["body_seconds"] = self._bounds.body_seconds
                await self._app(scope, receive, noting)
            except Refusal as refusal:
                await answer_refusal(refusal)(scope, receive, noting)
        except ClientDisconnect:
            status = 499
        except Exception:
            # A bug, never the requester's business what it was.
            log("error", "request failed", path=_known_path(scope), exc_info=True)
            if not started:
                await PlainTextResponse("internal error\n", 500)(scope, receive, noting)
        finally:
            self._active -= 1
            self._metrics.request(_known_path(scope), status, time.perf_counter() - begun)

    def _admit(self, scope: Scope) -> None:
        # The server underneath bounds what is incomplete; what came in one piece may be longer.
        head = len(scope["path"]) + len(scope["query_string"])
        if head + sum(len(name) + len(value) for name, value in scope["headers"]) > limits.HTTP_HEAD_BYTES:
            raise Refusal(431, "headers too long")
        if scope["path"] in _NOT_LIMITED:
            return
        if self._active > self._bounds.concurrent:
            raise Refusal(503, "busy", retry_after_s=1)
        if not self._buckets.take(address_of(scope)):
            raise Refusal(429, "too many requests", retry_after_s=1)


def _known_path(scope: Scope) -> str:
    """The route's own path: what a stranger asks for must not become a name in the metrics."""
    endpoint = scope.get("endpoint")
    return str(getattr(endpoint, "metrics_path", "")) or ("known" if endpoint is not None else "unknown")


def address_of(scope: Scope) -> str:
    """The peer's address, without its port."""
    client = scope.get("client")
    return client[0] if client else ""


def source_of(request: Request) -> tuple[str, int]:
    """Who delivers, for the accounting of shards: an address; on one machine, a connection.

    Elsewhere the port is left out, because a sender can take a new one at will.
    """
    client = request.client
    if client is None:
        return ("", 0)
    local = client.host.startswith("127.") or client.host in ("::1", "testclient")
    return (client.host, client.port if local else 0)


def answer_refusal(refusal: Refusal) -> Response:
    """The answer: one short line of printable text."""
    text = "".join(c if c.isprintable() else "?" for c in refusal.reason)[:200]
    headers = {"retry-after": str(refusal.retry_after_s)} if refusal.retry_after_s else {}
    return PlainTextResponse(text + "\n", refusal.status, headers=headers)


async def read_body(request: Request, *, at_most: int, exactly: int | None = None) -> bytes:
    """The body of a request, held in memory only as far as it may go.

    Raises:
        Refusal: 413 too long; 400 another length than the one expected; 408 too slow.
    """
    limit = at_most if exactly is None else exactly
    declared = request.headers.get("content-length")
    if declared is not None:
        length = int(declared) if declared.isascii() and declared.isdigit() and len(declared) < 20 else -1
        if length > limit:
            raise Refusal(413, f"at most {limit} bytes expected")
        if exactly is not None and length != exactly:
            raise Refusal(400, f"{exactly} bytes expected")
    parts: list[bytes] = []
    size = 0
    try:
        async with asyncio.timeout(request.state.body_seconds):
            async for part in request.stream():
                size += len(part)
                if size > limit:
                    raise Refusal(413, f"at most {limit} bytes expected")
                parts.append(part)
    except TimeoutError:
        raise Refusal(408, "body too slow") from None
    if exactly is not None and size != exactly:
        raise Refusal(400, f"{exactly} bytes expected")
    return b"".join(parts)

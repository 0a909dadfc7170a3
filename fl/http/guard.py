"""What stands before every service: limits of rate, concurrency, size and time; counts; short refusals.

A request that is refused here has not reached a role.  What the limits are, and why: ``_ext/limits.py``.
"""

from __future__ import annotations

import asyncio
import ipaddress
import time
from collections import Counter, OrderedDict
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass
from typing import Final

from starlette.requests import ClientDisconnect, Request
from starlette.responses import PlainTextResponse, Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from ..._ext import limits
from .errors import CutOff, Refusal
from .logs import log
from .metrics import Metrics
from .pace import Pace

_NOT_LIMITED: Final = frozenset({"/healthz"})
"""Whoever asks whether a service lives must hear it also when it is busy."""


@dataclass(frozen=True)
class Limits:
    """Limits of one service.

    Attributes:
        concurrent: Requests at work at once; more get 503.
        per_address: Of them, of one address.
        rate_per_s: Requests of one address on average; more get 429.
        burst: Requests of one address at once.
        body_seconds: For which a body may pause, and may be later in all than the slowest line allowed,
            else 408; an answer that is read more slowly is cut off.
        slowest: Bytes per second of that line.
    """

    concurrent: int = limits.HTTP_CONCURRENT
    per_address: int = limits.HTTP_CONCURRENT_PER_ADDRESS
    rate_per_s: float = limits.HTTP_RATE_PER_SECOND
    burst: float = limits.HTTP_BURST
    body_seconds: float = limits.HTTP_BODY_SECONDS
    slowest: float = limits.HTTP_SLOWEST_BYTES_PER_SECOND

    def pace(self) -> Pace:
        """For one body."""
        return Pace(self.body_seconds, self.slowest)


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
        self._places: Counter[str] = Counter()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """One request."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        bounds, address = self._bounds, address_of(scope)
        answer = _Answer(scope, send, bounds.pace())
        held = False
        begun = time.perf_counter()
        try:
            try:
                held = self._admit(scope, address)
                scope.setdefault("state", {})["bounds"] = bounds
                await self._app(scope, receive, answer.send)
            except Refusal as refusal:
                await answer_refusal(refusal)(scope, receive, answer.send)
        except ClientDisconnect:
            answer.status = 499
            if answer.started:
                await _cut(scope)
        except CutOff as cut:
            answer.status = cut.status
            await _cut(scope)
        except Exception:
            # A bug, never the requester's business what it was.
            log("error", "request failed", path=_known_path(scope), exc_info=True)
            if answer.started:
                await _cut(scope)
            else:
                await PlainTextResponse("internal error\n", 500)(scope, receive, answer.send)
        finally:
            if held:
                self._places[address] -= 1
                self._places += Counter()  # nobody stays in it who has no place
            self._metrics.request(_known_path(scope), answer.status, time.perf_counter() - begun)

    def _admit(self, scope: Scope, address: str) -> bool:
        """Whether the request was given a place, which is to be given back."""
        # The server underneath bounds what is incomplete; what came in one piece may be longer.
        head = len(scope["path"]) + len(scope["query_string"])
        if head + sum(len(name) + len(value) for name, value in scope["headers"]) > limits.HTTP_HEAD_BYTES:
            raise Refusal(431, "headers too long")
        if any(name == b"transfer-encoding" for name, _ in scope["headers"]):
            # In chunks of one byte a body costs a hundred times its length, and no sender needs them.
            raise Refusal(411, "a length expected, not chunks")
        if scope["path"] in _NOT_LIMITED:
            return False
        if not self._buckets.take(address):
            raise Refusal(429, "too many requests", retry_after_s=1)
        if self._places[address] >= self._bounds.per_address:
            raise Refusal(503, "busy with your other requests", retry_after_s=1)
        if self._places.total() >= self._bounds.concurrent:
            raise Refusal(503, "busy", retry_after_s=1)
        self._places[address] += 1
        return True


class _Answer:
    """Gives an answer to the connection in pieces, each only when the one before it is being read."""

    def __init__(self, scope: Scope, send: Send, pace: Pace) -> None:
        self._bodiless = scope["method"] == "HEAD"  # whatever is given
        self._is_gone: Callable[[], bool] = scope.get("state", {}).get("is_closing", lambda: False)
        self._send = send
        self._pace = pace
        self.status = 500
        self.started = False

    async def send(self, message: Message) -> None:
        """ASGI's ``send``.

        Raises:
            CutOff: The reader is too slow.
            ClientDisconnect: It is gone.
        """
        body = message.get("body", b"") if message["type"] == "http.response.body" else b""
        if message["type"] == "http.response.start":
            self.status, self.started = message["status"], True
        if self._bodiless or len(body) <= limits.HTTP_PIECE_BYTES:
            await self._give(message, len(body))
            return
        view, more = memoryview(body), message.get("more_body", False)
        for at in range(0, len(body), limits.HTTP_PIECE_BYTES):
            piece = bytes(view[at : at + limits.HTTP_PIECE_BYTES])
            left = more or at + len(piece) < len(body)
            await self._give({**message, "body": piece, "more_body": left}, len(piece))

    async def _give(self, message: Message, n_bytes: int) -> None:
        # The server underneath takes what nobody reads, and at once: who has a long answer would go on to
        # its end, and nothing else would run meanwhile.
        if self._is_gone():
            raise ClientDisconnect
        await asyncio.sleep(0)
        try:
            await self._pace.of(self._send(message))
        except TimeoutError:
            raise CutOff(499) from None
        self._pace.passed(n_bytes)


async def _cut(scope: Scope) -> None:
    """End the connection as it is; elsewhere than under our own server its task's end does that."""
    abort = scope.get("state", {}).get("abort")
    if abort is not None:
        abort()
        for _ in range(3):  # the server hears of it, through TLS too, and logs no answer without an end
            await asyncio.sleep(0)


def _known_path(scope: Scope) -> str:
    """The route's own path: what a stranger asks for must not become a name in the metrics."""
    endpoint = scope.get("endpoint")
    return str(getattr(endpoint, "metrics_path", "")) or ("known" if endpoint is not None else "unknown")


def address_of(scope: Scope) -> str:
    """Whose request it is, for limits: the peer's address; of IPv6 its network of 64 bits.

    Whoever has one address of IPv6 has 2**64 of them.
    """
    client = scope.get("client")
    return network_of(client[0]) if client else ""


def network_of(host: str) -> str:
    """As :func:`address_of`; what is no address stays as it is."""
    try:
        address = ipaddress.ip_address(host.partition("%")[0])
    except ValueError:
        return host
    if isinstance(address, ipaddress.IPv4Address):
        return str(address)
    if address.ipv4_mapped is not None:
        return str(address.ipv4_mapped)
    return str(ipaddress.IPv6Network((address, 64), strict=False))


def source_of(request: Request) -> tuple[str, int]:
    """Who delivers, for the accounting of shards: an address; on one machine, a connection.

    Elsewhere the port is left out, because a sender can take a new one at will.
    """
    client = request.client
    if client is None:
        return ("", 0)
    local = client.host.startswith("127.") or client.host == "::1"
    return (network_of(client.host), client.port if local else 0)


def answer_refusal(refusal: Refusal) -> Response:
    """The answer: one short line of printable text."""
    text = "".join(c if c.isprintable() else "?" for c in refusal.reason)[:200]
    headers = {"retry-after": str(refusal.retry_after_s)} if refusal.retry_after_s else {}
    return PlainTextResponse(text + "\n", refusal.status, headers=headers)


async def read_body(request: Request, *, at_most: int, exactly: int | None = None) -> bytes:
    """The body of a request, held in memory only as far as it may go.

    Raises:
        Refusal: 411 without a length; 413 too long; 400 another length than the one expected; 408 too slow.
    """
    limit = at_most if exactly is None else exactly
    length = declared_length(request, limit)
    if exactly is not None and length != exactly:
        raise Refusal(400, f"{exactly} bytes expected")
    parts: list[bytes] = []
    size = 0
    async for part in body_parts(request):
        size += len(part)
        if size > length:
            raise Refusal(413, f"at most {limit} bytes expected")
        parts.append(part)
    if size != length:
        raise Refusal(400, f"{length} bytes expected")
    return b"".join(parts)


def declared_length(request: Request, at_most: int) -> int:
    """What a request says of its body; without a word it has none.

    Raises:
        Refusal: 411 without a word where a body may come; 413 more than ``at_most``; 400 no number.
    """
    declared = request.headers.get("content-length")
    if declared is None:
        if at_most > 0:
            raise Refusal(411, "a length expected")
        return 0
    if not (declared.isascii() and declared.isdigit() and len(declared) < 20):
        raise Refusal(400, "length: a number expected")
    if int(declared) > at_most:
        raise Refusal(413, f"at most {at_most} bytes expected")
    return int(declared)


async def body_parts(request: Request) -> AsyncIterator[bytes]:
    """The body as it comes.

    Raises:
        Refusal: 408 too slow.
    """
    pace, stream = request.state.bounds.pace(), request.stream()
    while True:
        try:
            part = await pace.of(anext(stream))
        except StopAsyncIteration:
            return
        except TimeoutError:
            raise Refusal(408, "body too slow") from None
        pace.passed(len(part))
        yield part

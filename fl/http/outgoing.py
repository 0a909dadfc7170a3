"""Requests to other processes: bounded answers, no name of the sender, patience with those that are busy."""

from __future__ import annotations

import asyncio
import functools
import secrets
import ssl
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Final

import httpx

from ..._ext import limits
from .errors import TransportError
from .pace import Pace

_RANDOM: Final = secrets.SystemRandom()
_FIRST_DELAY_S: Final = 0.1
_LONGEST_DELAY_S: Final = 5.0


def quiet_client(
    *,
    tls: ssl.SSLContext | None = None,
    timeout_s: float = 30.0,
    connections: int = limits.MAX_MEMBERS,
    transport: httpx.AsyncBaseTransport | None = None,
) -> httpx.AsyncClient:
    """A client whose requests look alike: no user agent, no cookies, no list of accepted encodings.

    Use one for each process that is talked to: connections, and sessions of TLS, are not shared.

    Args:
        tls: Whom to believe; None: the system's authorities.
        timeout_s: For connecting, and between two pieces of an answer.
        connections: At once; who needs another one waits for it.  Members that are silent hold theirs, and
            must not keep the others of a committee from being heard: one for each, unless said otherwise.
        transport: Instead of the network.
    """
    client = httpx.AsyncClient(
        # The environment may name proxies and passwords; neither is meant for this.
        trust_env=False,
        follow_redirects=False,
        # One context for all is no link between them: Python resumes no session unless told to.
        verify=tls if tls is not None else _default_tls() if transport is None else True,
        timeout=timeout_s,
        limits=httpx.Limits(max_connections=connections, max_keepalive_connections=4),
        transport=transport,
    )
    for name in list(client.headers):
        del client.headers[name]
    return client


@functools.cache
def _default_tls() -> ssl.SSLContext:
    return ssl.create_default_context()  # reads some 150 certificates


async def get(client: httpx.AsyncClient, url: str, *, at_most: int) -> bytes:
    """The body at ``url``.

    Raises:
        TransportError: No answer, a refusal, or more than ``at_most`` bytes.
    """
    return await _exchange(client, httpx.Request("GET", url), at_most)


async def post(
    client: httpx.AsyncClient, url: str, body: bytes, *, at_most: int, authorization: str = ""
) -> bytes:
    """The answer to ``body``.

    Raises:
        TransportError: As :func:`get`.
    """
    headers = {"authorization": authorization} if authorization else {}
    return await _exchange(client, httpx.Request("POST", url, content=body, headers=headers), at_most)


async def get_patiently(client: httpx.AsyncClient, url: str, *, at_most: int, until: float) -> bytes:
    """As :func:`get`, again as :func:`post_patiently`."""
    return await _patiently(lambda: get(client, url, at_most=at_most), until)


async def post_patiently(
    client: httpx.AsyncClient,
    url: str,
    body: bytes,
    *,
    at_most: int,
    until: float,
    failed: Callable[[], None] | None = None,
) -> bytes:
    """As :func:`post`; what may succeed later is tried again, ever more seldom.

    Args:
        client: As of :func:`quiet_client`.
        url: Where to.
        body: The same bytes every time.
        at_most: Bytes of the answer.
        until: ``time.monotonic()`` after which it is not tried again.
        failed: Called each time that it did not succeed and is tried again.
    """
    return await _patiently(lambda: post(client, url, body, at_most=at_most), until, failed)


async def _patiently(
    ask: Callable[[], Awaitable[bytes]], until: float, failed: Callable[[], None] | None = None
) -> bytes:
    delay = _FIRST_DELAY_S
    while True:
        try:
            return await ask()
        except TransportError as error:
            # Half of it at random: those that were refused together do not come back together.
            wait = delay * (0.5 + _RANDOM.random())
            if not error.retryable or time.monotonic() + wait > until:
                raise
        if failed is not None:
            failed()
        await asyncio.sleep(wait)
        delay = min(2 * delay, _LONGEST_DELAY_S)


class Stream:
    """An answer whose body is taken piece by piece; to be closed by whoever has it.

    Attributes:
        length: What it says of its length, or None.
    """

    def __init__(self, response: httpx.Response, at_most: int) -> None:
        self._response = response
        self._at_most = at_most
        declared = response.headers.get("content-length", "")
        self.length = int(declared) if declared.isascii() and declared.isdigit() else None

    def __aiter__(self) -> AsyncIterator[bytes]:
        """The pieces.

        Raises:
            TransportError: The body is too long, too slow, or breaks off.
        """
        return _pieces(self._response, self._at_most)

    async def aclose(self) -> None:
        """Let go of the connection."""
        await self._response.aclose()


async def stream(client: httpx.AsyncClient, url: str, *, at_most: int, method: str = "GET") -> Stream:
    """The body at ``url``, piece by piece; the request is made now.

    Raises:
        TransportError: No answer, or a refusal.
    """
    return Stream(await _send(client, httpx.Request(method, url)), at_most)


async def _exchange(client: httpx.AsyncClient, request: httpx.Request, at_most: int) -> bytes:
    response = await _send(client, request)
    return b"".join([piece async for piece in _pieces(response, at_most)])


async def _send(client: httpx.AsyncClient, request: httpx.Request) -> httpx.Response:
    try:
        response = await client.send(request, stream=True)
    except httpx.InvalidURL as error:
        raise TransportError(f"{_place(request)}: {error}", status=400) from None
    except httpx.HTTPError as error:
        raise TransportError(f"{_place(request)}: no answer ({type(error).__name__})") from None
    if response.status_code in (200, 202):
        return response
    status = response.status_code
    try:
        reason = _printable(b"".join([piece async for piece in _pieces(response, limits.HTTP_SMALL_BYTES)]))
    except TransportError:
        reason = ""
    raise TransportError(f"{_place(request)}: {status} {reason}", status=status, reason=reason)


async def _pieces(response: httpx.Response, at_most: int) -> AsyncIterator[bytes]:
    size, place = 0, _place(response.request)
    pace = Pace(limits.HTTP_BODY_SECONDS, limits.HTTP_SLOWEST_BYTES_PER_SECOND)
    # Raw: nothing is unpacked, so nothing grows.
    pieces = response.aiter_raw()
    try:
        while True:
            try:
                piece = await pace.of(anext(pieces))
            except StopAsyncIteration:
                return
            except TimeoutError:
                raise TransportError(f"{place}: too slow") from None
            size += len(piece)
            pace.passed(len(piece))
            if size > at_most:
                raise TransportError(f"{place}: at most {at_most} bytes expected", status=400)
            yield piece
    except httpx.HTTPError as error:
        raise TransportError(f"{place}: broke off ({type(error).__name__})") from None
    finally:
        await response.aclose()


def _place(request: httpx.Request) -> str:
    return f"{request.url.host}:{request.url.port or ''}{request.url.path}"


def _printable(text: bytes) -> str:
    decoded = text.decode("utf-8", "replace").strip()
    return "".join(c if c.isprintable() else "?" for c in decoded)[:200]

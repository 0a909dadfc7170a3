"""The committee member as a service: it speaks when it is asked, and asks nobody.

Who asks needs no password: a proposal, a header and a request are signed by the aggregator, and the member
checks them against its own policy.  Reading is in two steps: the header of a request is verified before
the rest of the body, and says how long that may be.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager
from typing import Final

from starlette.requests import Request
from starlette.responses import Response
from starlette.types import ASGIApp

from ... import clsc
from ..._ext import limits
from ..member import Member
from ..server import ServerIdentity
from ..signed import HeaderReader
from ..sizes import manifest_bytes, member_packet_bytes
from .base import RoleThread, application, bytes_answer, cbor_answer, route
from .errors import Refusal
from .guard import Limits, address_of, body_parts, declared_length, read_body
from .logs import log
from .metrics import Metrics

_BOUNDS: Final = Limits(concurrent=limits.HTTP_MEMBER_CONCURRENT, per_address=limits.HTTP_MEMBER_PER_ADDRESS)

_FIELD: Final = 4


class MemberService:
    """One member.

    Args:
        member: The role; called from one thread of this service.
        identity: Its public keys, for aggregators that plan a round.
        trust: Verifies headers before large bodies are read; may be the member's own.
        bounds: Limits of requests; those at work at once hold for checks and answers wherever the routes
            are served, because these may be large.

    Attributes:
        app: The ASGI application.
        routes: Its endpoints, for an application that has others besides.
        counts: How often it ``cosigned``, ``checked``, ``answered``, and ``refused``.

    Source: docs/fl-http.md, "Endpoints"; what it is asked is docs/fl-protocol.md, "Closing, and nobody
        complains".
    """

    def __init__(
        self,
        member: Member,
        identity: ServerIdentity,
        trust: clsc.TrustStore,
        *,
        bounds: Limits | None = None,
    ) -> None:
        self._member = member
        self._identity = identity
        self._reader = HeaderReader(trust)
        self._thread = RoleThread("member")
        self._bounds = bounds if bounds is not None else _BOUNDS
        self._places: Counter[str] = Counter()
        self.counts: Counter[str] = Counter(cosigned=0, checked=0, answered=0, refused=0)
        metrics = Metrics("member")
        metrics.watch("requests", "What became of requests.", lambda: self.counts, label="fate", counts=True)
        self.routes = [
            route("/v1/identity", self._tell_identity, "GET"),
            route("/v1/cosign", self._cosign, "POST"),
            route("/v1/check", self._on_request("checked", member.check), "POST"),
            route("/v1/answer", self._on_request("answered", member.answer), "POST"),
        ]
        self.app: ASGIApp = application(
            self.routes,
            metrics,
            self._bounds,
            self.lifespan,
        )

    @asynccontextmanager
    async def lifespan(self) -> AsyncIterator[None]:
        """Around the application's life: stops the member's thread."""
        try:
            yield
        finally:
            await self._thread.end()

    async def _tell_identity(self, _: Request) -> Response:
        return cbor_answer({"v": 1, "keys": self._identity.to_list()})

    async def _cosign(self, request: Request) -> Response:
        proposal = await read_body(request, at_most=limits.HEADER_MAX_BYTES)
        return await self._done("cosigned", self._member.cosign, proposal)

    def _on_request(
        self, fate: str, work: Callable[[bytes, bytes], bytes]
    ) -> Callable[[Request], Awaitable[Response]]:
        async def handler(request: Request) -> Response:
            with self._place(request):
                signed_header, rest = await self._read(request)
                return await self._done(fate, work, signed_header, rest)

        return handler

    @contextmanager
    def _place(self, request: Request) -> Iterator[None]:
        """A place for a request that may be large, where the service as a whole has more of them.

        Raises:
            Refusal: 503 all are taken, or those of its address.
        """
        address = address_of(request.scope)
        if self._places[address] >= self._bounds.per_address:
            raise Refusal(503, "busy with your other requests", retry_after_s=1)
        if self._places.total() >= self._bounds.concurrent:
            raise Refusal(503, "busy", retry_after_s=1)
        self._places[address] += 1
        try:
            yield
        finally:
            self._places[address] -= 1
            self._places += Counter()  # nobody stays in it who has no place

    async def _done(self, fate: str, work: Callable[..., bytes], *args: bytes) -> Response:
        try:
            answer = await self._thread(work, *args)
        except Exception:
            self.counts["refused"] += 1
            raise
        self.counts[fate] += 1
        log("info", fate)
        return bytes_answer(answer)

    async def _read(self, request: Request) -> tuple[bytes, bytes]:
        """``enc(signed header, request)``.

        Raises:
            Refusal: 411 without a length; 413 longer than any of its round; 400 not two fields; 408 too slow.
            DecodeError, SenderError, ProtocolError: The header is none.
        """
        buffer = bytearray()
        signed_header: bytes | None = None
        limit = 2 * _FIELD + limits.HEADER_MAX_BYTES
        declared_length(request, limits.MEMBER_REQUEST_BYTES)
        async for part in body_parts(request):
            buffer += part
            if signed_header is None and (header := _first_field(buffer)) is not None:
                limit = len(header) + await self._thread(self._request_limit, header)
                signed_header = header
            if len(buffer) > limit:
                raise Refusal(413, f"at most {limit} bytes expected")
        if signed_header is None:
            raise Refusal(400, "two fields expected: signed header, request")
        start = 2 * _FIELD + len(signed_header)
        length = int.from_bytes(buffer[start - _FIELD : start], "big")
        if len(buffer) != start + length or len(buffer) < start:
            raise Refusal(400, "two fields expected: signed header, request")
        return signed_header, bytes(memoryview(buffer)[start:])

    def _request_limit(self, signed_header: bytes) -> int:
        """Bytes that may follow a header, all lengths included; the header is verified for it."""
        header = self._reader.read(signed_header)
        each = 8 + manifest_bytes(header.kahe_params) + member_packet_bytes(header.kahe_params)
        return min(limits.MEMBER_REQUEST_BYTES, 2 * _FIELD + 1024 + header.max_contributors * each)


def _first_field(buffer: bytearray) -> bytes | None:
    """The first field of ``enc(...)``, once it is there.

    Raises:
        Refusal: It says that it is longer than any header.
    """
    if len(buffer) < _FIELD:
        return None
    length = int.from_bytes(buffer[:_FIELD], "big")
    if length > limits.HEADER_MAX_BYTES:
        raise Refusal(413, "header: too long")
    return bytes(buffer[_FIELD : _FIELD + length]) if len(buffer) >= _FIELD + length else None

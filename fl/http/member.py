"""The committee member as a service: it speaks when it is asked, and asks nobody.

Who asks needs no password: a proposal, a header and a request are signed by the aggregator, and the member
checks them against its own policy.  Reading is in two steps: the header of a request is verified before
the rest of the body, and says how long that may be.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
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
from .guard import Limits, body_parts, declared_length, read_body
from .logs import log
from .metrics import Metrics

_BOUNDS: Final = Limits(concurrent=limits.HTTP_MEMBER_CONCURRENT, per_address=limits.HTTP_MEMBER_PER_ADDRESS)

_FIELD: Final = 4


class MemberService:
    """One member.

    Args:
        member: The role.
        identity: Its public keys, for aggregators that plan a round.
        trust: Verifies headers before large bodies are read; may be the member's own.
        bounds: Limits of requests.

    Attributes:
        app: The ASGI application.
        routes: Its endpoints, for an application that has others besides.
        counts: How often it ``cosigned``, ``checked``, ``answered``, and ``refused``.
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
            bounds if bounds is not None else _BOUNDS,
            self.lifespan,
        )

    @asynccontextmanager
    async def lifespan(self) -> AsyncIterator[None]:
        """Around the application's life: stops the member's thread."""
        try:
            yield
        finally:
            self._thread.stop()

    async def _tell_identity(self, _: Request) -> Response:
        return cbor_answer({"v": 1, "keys": self._identity.to_list()})

    async def _cosign(self, request: Request) -> Response:
        proposal = await read_body(request, at_most=limits.HEADER_MAX_BYTES)
        return await self._done("cosigned", self._member.cosign, proposal)

    def _on_request(
        self, fate: str, work: Callable[[bytes, bytes], bytes]
    ) -> Callable[[Request], Awaitable[Response]]:
        async def handler(request: Request) -> Response:
            signed_header, rest = await self._read(request)
            return await self._done(fate, work, signed_header, rest)

        return handler

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

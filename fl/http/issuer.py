"""The issuer as a service: parameters, revocation lists, challenges, and answers to requests for keys.

Parties are enrolled by the operator, out of band: the token that a request proves never travels here.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Final, Protocol, TypeVar

from starlette.requests import Request
from starlette.responses import Response
from starlette.types import ASGIApp

from ..._ext.errors import DecodeError, IssueError
from .base import RoleThread, application, cbor_answer, read_cbor, route
from .guard import Limits, read_body
from .logs import log
from .metrics import Metrics

T = TypeVar("T")

MAX_REQUEST_BYTES: Final = 1 << 15
"""A traceable request has under 1 KiB; with the admissions of 64 servers 16 KiB."""

_RATE: Final = 20.0
_BURST: Final = 200.0
"""Each answer costs the issuer some milliseconds and a write to the disk; people ask twice an epoch."""


class IssuerDesk(Protocol):
    """What answers: keys, registry and files behind the service.  Called from one thread."""

    def root_public_key(self) -> bytes:
        """32 bytes; whoever fetches it compares its fingerprint."""

    def params(self) -> list[bytes]:
        """Signed parameters of the open epochs."""

    def revocations(self) -> list[bytes]:
        """The newest signed revocation lists."""

    def challenge(self) -> bytes:
        """A fresh challenge for a request of mode ``identity``; anybody may ask for any number of them.

        Raises:
            IssueError: No such epoch is open.
        """

    def admit(self, party: str, request: bytes) -> bytes:
        """An acknowledgement (mode ``blind``, several servers).

        Args:
            party: Who asks, as the message says; nothing shows yet that it is true.
            request: Bytes of the request, under 32 KiB.

        Returns:
            Bytes of the acknowledgement.

        Raises:
            DecodeError, IssueError: Malformed; refused.
        """

    def issue(self, party: str, request: bytes, admissions: list[bytes]) -> bytes:
        """The answer to a request; the same again for the same request.

        Args:
            party: Who asks, as the message says; nothing shows yet that it is true.
            request: Bytes of the request, under 32 KiB.
            admissions: Acknowledgements of servers, mode ``blind`` with several servers only.

        Raises:
            DecodeError, IssueError: Malformed; refused.
        """


class IssuerService:
    """One issuer, or one server of several.

    Args:
        desk: Answers; called from one thread of this service.
        bounds: Limits of requests; if None the usual, with fewer a second of one address.

    Attributes:
        app: The ASGI application.
        counts: How often it gave a ``challenge``, ``admitted``, ``issued``, ``refused``.

    Source: docs/fl-http.md, "Endpoints"; the requests are those of docs/clsc-issuing.md.
    """

    def __init__(self, desk: IssuerDesk, *, bounds: Limits | None = None) -> None:
        self._desk = desk
        self._thread = RoleThread("issuer")
        self.counts: Counter[str] = Counter(challenge=0, admitted=0, issued=0, refused=0)
        metrics = Metrics("issuer")
        metrics.watch("answers", "What was given.", lambda: self.counts, label="fate", counts=True)
        routes = [
            route("/v1/params", self._params, "GET"),
            route("/v1/challenge", self._challenge, "POST"),
            route("/v1/admit", self._admit, "POST"),
            route("/v1/issue", self._issue, "POST"),
        ]
        usual = Limits(rate_per_s=_RATE, burst=_BURST)
        self.app: ASGIApp = application(
            routes, metrics, bounds if bounds is not None else usual, self._lifespan
        )

    @asynccontextmanager
    async def _lifespan(self) -> AsyncIterator[None]:
        try:
            yield
        finally:
            await self._thread.end()

    async def _params(self, _: Request) -> Response:
        desk = self._desk
        return cbor_answer(
            {
                "v": 1,
                "root": await self._thread(desk.root_public_key),
                "params": await self._thread(desk.params),
                "revocations": await self._thread(desk.revocations),
            }
        )

    async def _challenge(self, request: Request) -> Response:
        await read_body(request, at_most=0)
        challenge = await self._given("challenge", self._desk.challenge)
        return cbor_answer({"v": 1, "challenge": challenge})

    async def _admit(self, request: Request) -> Response:
        body = await read_body(request, at_most=MAX_REQUEST_BYTES)
        fields = read_cbor(body, {"party": str, "request": bytes})
        admission = await self._given(
            "admitted", lambda: self._desk.admit(fields["party"], fields["request"])
        )
        return cbor_answer({"v": 1, "admission": admission})

    async def _issue(self, request: Request) -> Response:
        body = await read_body(request, at_most=MAX_REQUEST_BYTES)
        fields = read_cbor(body, {"party": str, "request": bytes, "admissions": list})
        admissions = fields["admissions"]
        if any(type(each) is not bytes for each in admissions):
            raise DecodeError("admissions: bytes expected")
        answer = await self._given(
            "issued", lambda: self._desk.issue(fields["party"], fields["request"], admissions)
        )
        return cbor_answer({"v": 1, "answer": answer})

    async def _given(self, fate: str, work: Callable[[], T]) -> T:
        try:
            given = await self._thread(work)
        except (DecodeError, IssueError) as error:
            self.counts["refused"] += 1
            log("info", "refused", what=fate, reason=type(error).__name__)
            raise
        self.counts[fate] += 1
        log("info", fate)
        return given

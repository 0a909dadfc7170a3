"""What all services share: the application with its guard, ``/healthz`` and ``/metrics``; role threads."""

from __future__ import annotations

import asyncio
import functools
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from typing import Any, ParamSpec, TypeVar

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response
from starlette.routing import Route
from starlette.types import ASGIApp

from ..._ext import cbor
from ..._ext.errors import DecodeError, SottovoceError
from .errors import Refusal, refusal_of
from .guard import Guard, Limits, answer_refusal
from .metrics import Metrics

P = ParamSpec("P")
T = TypeVar("T")
Handler = Callable[[Request], Awaitable[Response]]

BYTES = "application/octet-stream"
CBOR = "application/cbor"
ROUND_FIELDS: cbor.Schema = {"round": int, "header": bytes, "shard_bytes": int, "state": str, "until": int}
"""What ``/v1/round`` tells besides the version."""

_METRICS = "text/plain; version=0.0.4; charset=utf-8"


class RoleThread:
    """The one thread in which a role is called: roles are synchronous, and called one at a time."""

    def __init__(self, name: str) -> None:
        self._pool = ThreadPoolExecutor(1, thread_name_prefix=name)

    async def __call__(self, work: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
        """Call it there."""
        loop = asyncio.get_running_loop()
        return await loop.run_in_executor(self._pool, functools.partial(work, *args, **kwargs))

    def stop(self) -> None:
        """Wait for what is going on, and take nothing more.  In an event loop: :meth:`end`."""
        self._pool.shutdown(wait=True, cancel_futures=True)

    async def end(self) -> None:
        """As :meth:`stop`, while the loop goes on: what else ends, and a second signal, need it."""
        await asyncio.to_thread(self.stop)


def cbor_answer(fields: Mapping[str, Any], status: int = 200) -> Response:
    """A structured body: canonical CBOR."""
    return Response(cbor.dumps(dict(fields)), status, media_type=CBOR)


def bytes_answer(data: bytes) -> Response:
    """A body that is what a role made, byte for byte."""
    return Response(data, media_type=BYTES)


def read_cbor(data: bytes, schema: cbor.Schema) -> dict[str, Any]:
    """A structured body of version 1.

    Raises:
        DecodeError: Not canonical, other fields, or another version.
    """
    fields = cbor.loads_map(data, {"v": int, **schema})
    if fields["v"] != 1:
        raise DecodeError("body: version 1 expected")
    return fields


def is_digest(text: str) -> bool:
    """Whether it is 64 hexadecimal digits in lower case."""
    return len(text) == 64 and set(text) <= set("0123456789abcdef")


def route(path: str, handler: Handler, method: str) -> Route:
    """One endpoint; errors of the library become short refusals."""

    async def endpoint(request: Request) -> Response:
        try:
            return await handler(request)
        except Refusal as refusal:
            return answer_refusal(refusal)
        except SottovoceError as error:
            its_fault = refusal_of(error)
            if its_fault is None:
                raise
            return answer_refusal(its_fault)

    endpoint.metrics_path = path  # type: ignore[attr-defined]  # read by the guard
    return Route(path, endpoint, methods=[method])


async def _refused(_: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)
    return PlainTextResponse(f"{error.detail}\n", error.status_code, headers=error.headers)


def application(
    routes: Sequence[Route],
    metrics: Metrics,
    bounds: Limits,
    lifespan: Callable[[], AbstractAsyncContextManager[None]] | None = None,
    health: Callable[[], str] = lambda: "",
) -> ASGIApp:
    """The application of a service.

    Args:
        routes: Its own endpoints.
        metrics: Shown at ``/metrics``.
        bounds: Limits of requests.
        lifespan: Around its life.
        health: Why it is not well, for ``/healthz``; empty if it is.
    """

    async def healthz(_: Request) -> Response:
        reason = health()
        return PlainTextResponse(f"{reason or 'ok'}\n", 503 if reason else 200)

    async def read_metrics(_: Request) -> Response:
        return Response(metrics.text(), media_type=_METRICS)

    @asynccontextmanager
    async def around(_: Starlette) -> AsyncIterator[None]:
        if lifespan is None:
            yield
        else:
            async with lifespan():
                yield

    everywhere = [route("/healthz", healthz, "GET"), route("/metrics", read_metrics, "GET")]
    made = Starlette(
        routes=[*routes, *everywhere],
        middleware=[Middleware(Guard, metrics=metrics, bounds=bounds)],
        exception_handlers={HTTPException: _refused},
        lifespan=around,
    )
    # Another path is not there; a redirect would name whatever host the request claims.
    made.router.redirect_slashes = False
    return made

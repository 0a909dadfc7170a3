"""Running one service: a socket, a server, a clean end."""

from __future__ import annotations

import asyncio
import contextlib
import ipaddress
import signal
import socket
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import uvicorn
from starlette.types import ASGIApp
from uvicorn.protocols.http.h11_impl import H11Protocol

from ..._ext import limits
from ..._ext.errors import ParameterError
from .logs import log

GRACE_S: Final = 10
"""What is going on has this long to end after SIGTERM; most service managers kill after 30 to 90 s."""


@dataclass(frozen=True)
class Binding:
    """Where a service listens.

    Attributes:
        host: An address; loopback unless said otherwise.
        port: 0: any free one.
        certificate: PEM file; with ``key`` the service speaks TLS.
        key: PEM file.
        exposed: Listen beyond loopback without TLS, because something in front of it has it.

    Raises:
        ParameterError: Only one of certificate and key; or beyond loopback without TLS and not ``exposed``.
    """

    host: str = "127.0.0.1"
    port: int = 0
    certificate: Path | None = None
    key: Path | None = None
    exposed: bool = False

    def __post_init__(self) -> None:
        if (self.certificate is None) != (self.key is None):
            raise ParameterError("tls: certificate and key expected, got one of the two")
        if self.certificate is None and not self.exposed and not _is_loopback(self.host):
            raise ParameterError(f"host: {self.host} is not loopback; TLS expected, or exposed on purpose")

    @property
    def scheme(self) -> str:
        """``http`` or ``https``."""
        return "http" if self.certificate is None else "https"


def _is_loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


class _Protocol(H11Protocol):
    """Closes a connection whose first request does not come; uvicorn waits for it for ever."""

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        self.loop.call_later(limits.HTTP_IDLE_SECONDS, self._expire)

    def _expire(self) -> None:
        cycle: object = self.cycle  # None before the first request, whatever the base class declares
        if cycle is None and not self.transport.is_closing():
            self.transport.close()


class _Server(uvicorn.Server):
    """Ends on SIGTERM and SIGINT, and then returns: uvicorn's own would raise the signal again."""

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, self.handle_exit, number, None)
        try:
            yield
        finally:
            for number in (signal.SIGTERM, signal.SIGINT):
                loop.remove_signal_handler(number)


def serve(
    app: ASGIApp, binding: Binding, *, role: str, ready: Callable[[str], None] = lambda url: None,
    grace_s: int = GRACE_S,
) -> None:  # fmt: skip
    """Serve until SIGTERM or SIGINT; requests at work, and the service's own end, get ``grace_s`` each.

    Args:
        app: The service.
        binding: Where.
        role: For the log.
        ready: Called with the URL when connections are taken.
        grace_s: Seconds.

    Raises:
        OSError: The address is taken, or a TLS file cannot be read.
    """
    family = socket.AF_INET6 if ":" in binding.host else socket.AF_INET
    listening = socket.socket(family, socket.SOCK_STREAM)
    listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    listening.bind((binding.host, binding.port))
    host = f"[{binding.host}]" if family == socket.AF_INET6 else binding.host
    url = f"{binding.scheme}://{host}:{listening.getsockname()[1]}"
    config = uvicorn.Config(
        app,
        http=_Protocol,
        ws="none",
        loop="asyncio",
        lifespan="on",
        log_config=None,
        access_log=False,
        server_header=False,
        proxy_headers=False,
        limit_concurrency=limits.HTTP_CONNECTIONS,
        timeout_keep_alive=int(limits.HTTP_IDLE_SECONDS),
        timeout_graceful_shutdown=grace_s,
        h11_max_incomplete_event_size=limits.HTTP_HEAD_BYTES,
        ssl_certfile=binding.certificate,
        ssl_keyfile=binding.key,
    )

    class Announcing(_Server):
        async def startup(self, sockets: list[socket.socket] | None = None) -> None:
            await super().startup(sockets)
            if self.started:
                log("info", "listening", role=role, url=url)
                ready(url)

    try:
        Announcing(config).run(sockets=[listening])
    finally:
        listening.close()
    log("info", "ended", role=role)

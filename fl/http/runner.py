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
from types import FrameType
from typing import Final

import uvicorn
from starlette.types import ASGIApp, Receive, Scope, Send
from uvicorn.protocols.http.h11_impl import H11Protocol

from ..._ext import limits
from ..._ext.errors import ParameterError
from .guard import network_of
from .logs import log

GRACE_S: Final = 10
"""What is going on has this long to end after SIGTERM; most service managers kill after 30 to 90 s."""


@dataclass(frozen=True)
class Binding:
    """Where a service listens.

    Attributes:
        host: An address; loopback unless said otherwise.
        port: 0 to 65535; 0: any free one.
        certificate: PEM file of the chain; with ``key`` the service speaks TLS.
        key: PEM file, for its owner only.
        exposed: Listen beyond loopback without TLS, because something in front of it has it.
        trusted_proxies: Addresses, or networks, of what is in front of it: only what comes from one of them
            is counted under the address in ``X-Forwarded-For``.

    Raises:
        ParameterError: Only one of certificate and key; beyond loopback without TLS and not ``exposed``; or
            a proxy that is no address.

    Source: docs/fl-http.md, "TLS".
    """

    host: str = "127.0.0.1"
    port: int = 0
    certificate: Path | None = None
    key: Path | None = None
    exposed: bool = False
    trusted_proxies: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        if (self.certificate is None) != (self.key is None):
            raise ParameterError("tls: certificate and key expected, got one of the two")
        if self.certificate is None and not self.exposed and not _is_loopback(self.host):
            raise ParameterError(f"host: {self.host} is not loopback; TLS expected, or exposed on purpose")
        for proxy in self.trusted_proxies:
            _network(proxy)

    @property
    def scheme(self) -> str:
        """``http`` or ``https``."""
        return "http" if self.certificate is None else "https"


def _is_loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def _network(text: str) -> ipaddress.IPv4Network | ipaddress.IPv6Network:
    try:
        return ipaddress.ip_network(text)
    except ValueError as error:
        raise ParameterError(f"proxy: an address or a network expected: {error}") from None


class _Protocol(H11Protocol):
    """Bounds what uvicorn does not: connections, in all and of one address, and how long each may wait.

    uvicorn's own limit of connections refuses requests and keeps connections, its time for the next request
    begins with the first answer and ends with any byte, and what it closes it keeps until all is read.
    """

    proxies: tuple[ipaddress.IPv4Network | ipaddress.IPv6Network, ...] = ()

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        self._service, self.app = self.app, self._with_abort
        self._last_look: asyncio.TimerHandle | None = None
        super().connection_made(transport)
        self._address = network_of(self.client[0]) if self.client else ""
        if self._is_one_too_many():
            transport.abort()
            return
        self._await_request()
        self._look()

    def connection_lost(self, exc: Exception | None) -> None:
        if self._last_look is not None:
            self._last_look.cancel()
        self._unset_keepalive_if_required()
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        # As in the base class, but what comes is not yet a request: the time goes on.
        self.conn.receive_data(data)
        self.handle_events()

    def _await_request(self) -> None:
        """The time for the first request; for the next one the base class begins it."""
        self.timeout_keep_alive_task = self.loop.call_later(
            limits.HTTP_IDLE_SECONDS, self.timeout_keep_alive_handler
        )

    def _look(self, closing: bool = False) -> None:
        """From time to time: what is closing, and was when we looked before, has had its time."""
        if closing and self.transport.is_closing():
            self.transport.abort()
            return
        again = self.transport.is_closing()
        self._last_look = self.loop.call_later(limits.HTTP_IDLE_SECONDS, self._look, again)

    def _is_one_too_many(self) -> bool:
        if len(self.connections) > limits.HTTP_CONNECTIONS:
            return True
        if self.client is not None and any(_is_in(self.client[0], network) for network in self.proxies):
            return False
        same: int = sum(getattr(other, "_address", None) == self._address for other in self.connections)
        return same > limits.HTTP_CONNECTIONS_PER_ADDRESS

    async def _with_abort(self, scope: Scope, receive: Receive, send: Send) -> None:
        # For the guard.
        scope["state"] |= {"abort": self.transport.abort, "is_closing": self.transport.is_closing}
        await self._service(scope, receive, send)


def _is_in(host: str, network: ipaddress.IPv4Network | ipaddress.IPv6Network) -> bool:
    try:
        return ipaddress.ip_address(host.partition("%")[0]) in network
    except ValueError:
        return False


class _Server(uvicorn.Server):
    """Ends on SIGTERM and SIGINT, and then returns: uvicorn's own would raise the signal again."""

    def __init__(
        self, config: uvicorn.Config, started: Callable[[], None], end_soon: Callable[[], None]
    ) -> None:
        super().__init__(config)
        self._tell_started = started
        self._end_soon = end_soon

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup([])
        if not self.started:
            return
        for each in sockets or []:
            # uvicorn would make the same, with a minute for each handshake.
            server = await asyncio.get_running_loop().create_server(
                self._protocol,
                sock=each,
                ssl=self.config.ssl,
                backlog=self.config.backlog,
                ssl_handshake_timeout=limits.HTTP_IDLE_SECONDS if self.config.ssl else None,
            )
            self.servers.append(server)
        self._tell_started()

    def _protocol(self) -> asyncio.Protocol:
        made: asyncio.Protocol = self.config.http_protocol_class(
            config=self.config,  # type: ignore[call-arg]  # declared as any protocol
            server_state=self.server_state,
            app_state=self.lifespan.state,
        )
        return made

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        """Told to end: what is held leaves while what is going on is waited for."""
        self._end_soon()
        super().handle_exit(sig, frame)

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
    end_soon: Callable[[], None] = lambda: None, grace_s: int = GRACE_S,
) -> None:  # fmt: skip
    """Serve until SIGTERM or SIGINT; requests at work, and the service's own end, get ``grace_s`` each.

    Args:
        app: The service.
        binding: Where.
        role: For the log.
        ready: Called with the URL when connections are taken.
        end_soon: Called when the end is asked for, before what is going on is waited for.
        grace_s: Whole seconds.

    Raises:
        ParameterError: The file of the TLS key is open to others than its owner.
        OSError: The address is taken, or a TLS file cannot be read.

    Source: docs/fl-http.md, "Logs, metrics, ends".
    """
    if binding.key is not None and binding.key.stat().st_mode & 0o077:
        raise ParameterError(f"{binding.key} is open to others than its owner (chmod 600)")
    family = socket.AF_INET6 if ":" in binding.host else socket.AF_INET
    listening = socket.socket(family, socket.SOCK_STREAM)
    listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    listening.bind((binding.host, binding.port))
    host = f"[{binding.host}]" if family == socket.AF_INET6 else binding.host
    url = f"{binding.scheme}://{host}:{listening.getsockname()[1]}"

    class Protocol(_Protocol):
        proxies = tuple(_network(proxy) for proxy in binding.trusted_proxies)

    config = uvicorn.Config(
        app,
        http=Protocol,
        ws="none",
        loop="asyncio",
        lifespan="on",
        log_config=None,
        access_log=False,
        server_header=False,
        proxy_headers=bool(binding.trusted_proxies),
        forwarded_allow_ips=list(binding.trusted_proxies),
        timeout_keep_alive=int(limits.HTTP_IDLE_SECONDS),
        timeout_graceful_shutdown=grace_s,
        h11_max_incomplete_event_size=limits.HTTP_HEAD_BYTES,
        ssl_certfile=binding.certificate,
        ssl_keyfile=binding.key,
    )

    def started() -> None:
        log("info", "listening", role=role, url=url)
        ready(url)

    try:
        _Server(config, started, end_soon).run(sockets=[listening])
    finally:
        listening.close()
    log("info", "ended", role=role)

"""Connections to a real server on loopback, by raw sockets: how many there may be, how long each may wait."""

import contextlib
import http.client
import signal
import socket
import threading
import time

import pytest
from starlette.responses import PlainTextResponse, Response

from sottovoce._ext import limits
from sottovoce.cli.console import Refused
from sottovoce.cli.serve import roles
from sottovoce.fl import ParameterError
from sottovoce.fl.http import runner
from sottovoce.fl.http.base import application, route
from sottovoce.fl.http.downloads import Downloads
from sottovoce.fl.http.guard import Limits, read_body, source_of
from sottovoce.fl.http.metrics import Metrics
from sottovoce.fl.http.runner import Binding, serve
from support.fl_tls import self_signed

LARGE = 16 << 20
REQUEST = b"GET /healthz HTTP/1.1\r\nhost: x\r\n\r\n"


class Counted(bytes):
    """Data that counts how often a piece was taken out of it."""

    taken = 0

    def __getitem__(self, key):
        self.taken += 1
        return super().__getitem__(key)


class Served:
    """The server in a thread of its own, with an application that has one long answer and takes bodies."""

    def __init__(self, monkeypatch, *, trusted=(), bounds=None, tls=None, end_soon=lambda: None, **few):
        few = {"HTTP_IDLE_SECONDS": 0.4, **few}
        for name, value in few.items():
            monkeypatch.setattr(limits, name, value)
        # uvicorn takes whole seconds; the tests have no patience.
        monkeypatch.setattr(runner, "int", lambda value: value, raising=False)
        self.sent, self.metrics = 0, Metrics("test")

        async def large(_):
            return Response(bytes(LARGE))

        self.model, downloads = Counted(4 * LARGE), Downloads()

        async def download(request):
            return downloads.answer(request, self.model)

        async def take(request):
            return PlainTextResponse(str(len(await read_body(request, at_most=1 << 20))))

        async def who(request):
            return PlainTextResponse(source_of(request)[0])

        routes = [
            route("/large", large, "GET"), route("/model", download, "GET"), route("/take", take, "POST"),
            route("/who", who, "GET"),
        ]  # fmt: skip
        self._app = application(routes, self.metrics, bounds or Limits(body_seconds=0.4))
        files = {} if tls is None else {"certificate": tls, "key": tls.with_name("key.pem")}
        self._binding = Binding(trusted_proxies=trusted, **files)
        self._end_soon = end_soon
        self._ready = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)

    def _run(self):
        def ready(url):
            self.port = int(url.rpartition(":")[2])
            self._ready.set()

        serve(self._app, self._binding, role="test", ready=ready, end_soon=self._end_soon, grace_s=5)

    def __enter__(self):
        made = []
        keep = runner._Server.__init__

        def remember(server, *arguments):
            keep(server, *arguments)
            made.append(server)

        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(runner._Server, "__init__", remember)
            patch.setattr(runner._Server, "capture_signals", lambda _: contextlib.nullcontext())
            self._thread.start()
            assert self._ready.wait(20)
        self._server = made[0]
        return self

    def __exit__(self, *_):
        self.end()
        self._thread.join(20)
        assert not self._thread.is_alive()

    def end(self):
        """As a signal would."""
        self._server.handle_exit(signal.SIGTERM, None)

    def connect(self, host="127.0.0.1", read_buffer=None):
        connection = socket.socket()
        if read_buffer is not None:
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, read_buffer)
        connection.settimeout(20)
        connection.bind((host, 0))
        connection.connect(("127.0.0.1", self.port))
        return connection

    @property
    def connections(self):
        return len(self._server.server_state.connections)


def ended(connection):
    """What comes until the other side closes."""
    data = b""
    with contextlib.suppress(ConnectionResetError):
        while piece := connection.recv(1 << 16):
            data += piece
    return data


def answer(connection, request=REQUEST):
    connection.sendall(request)
    with http.client.HTTPResponse(connection) as response:
        response.begin()
        return response.status, response.read()


def test_a_connection_is_closed_that_sends_no_request(monkeypatch):
    with Served(monkeypatch) as served, served.connect() as silent, served.connect() as half:
        half.sendall(REQUEST[:-2])
        assert ended(silent) == ended(half) == b""
        assert served.connections == 0


def test_bytes_now_and_then_are_no_request(monkeypatch):
    def drip(connection):
        for byte in REQUEST[:-2] * 10:
            connection.sendall(bytes([byte]))
            time.sleep(0.05)

    with Served(monkeypatch) as served, served.connect() as dripping, pytest.raises(OSError):
        drip(dripping)


@pytest.mark.parametrize("rest", [b"", b"G", b"GET / HTTP/1.1\r\nhost"])
def test_a_connection_is_closed_that_sends_no_second_request(monkeypatch, rest):
    with Served(monkeypatch) as served, served.connect() as connection:
        assert [answer(connection)[0] for _ in range(3)] == [200, 200, 200]
        connection.sendall(rest)
        assert ended(connection) == b""
        assert served.connections == 0


@pytest.mark.parametrize(("length", "status"), [(10, 408), (1 << 30, 413)])
def test_a_body_that_is_refused_is_not_waited_for(monkeypatch, length, status):
    with Served(monkeypatch) as served, served.connect() as slow:
        head = b"POST /take HTTP/1.1\r\nhost: x\r\ncontent-length: %d\r\n\r\n"
        assert answer(slow, head % length + b"x")[0] == status
        with contextlib.suppress(OSError):  # it may be closed already
            slow.sendall(b"x")
        assert ended(slow) == b""
        assert served.connections == 0


def test_a_body_in_chunks_is_refused(monkeypatch):
    with Served(monkeypatch) as served, served.connect() as connection:
        chunked = b"POST /take HTTP/1.1\r\nhost: x\r\ntransfer-encoding: chunked\r\n\r\n1\r\nx\r\n0\r\n\r\n"
        assert answer(connection, chunked)[0] == 411
        assert answer(connection, b"POST /take HTTP/1.1\r\nhost: x\r\n\r\n")[0] == 411
        assert answer(connection, b"POST /take HTTP/1.1\r\nhost: x\r\ncontent-length: 1\r\n\r\nx") == (
            200,
            b"1",
        )


def test_an_answer_that_is_not_read_is_cut_off(monkeypatch):
    with Served(monkeypatch) as served, served.connect(read_buffer=4096) as slow:
        slow.sendall(REQUEST.replace(b"/healthz", b"/large"))
        begin = time.monotonic()
        while b'path="/large"' not in served.metrics.text():
            assert time.monotonic() < begin + 20
            time.sleep(0.05)
        assert b'path="/large",role="test",status="499"} 1.0' in served.metrics.text()
        assert len(ended(slow)) < LARGE // 2
        assert served.connections == 0
        with served.connect() as quick:
            quick.sendall(REQUEST.replace(b"/healthz", b"/large"))
            left = LARGE
            while left > 0:
                left -= len(quick.recv(1 << 20))


def test_nothing_is_made_for_who_asks_for_headers_or_is_gone(monkeypatch):
    with Served(monkeypatch) as served:
        with served.connect() as curious:
            curious.sendall(b"HEAD /model HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n")
            assert b"content-length: %d" % len(served.model) in ended(curious).lower()
        assert served.model.taken == 0
        with served.connect() as gone:
            gone.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
            gone.sendall(REQUEST.replace(b"/healthz", b"/model"))
        begin = time.monotonic()
        while b'path="/model",role="test",status="499"} 1.0' not in served.metrics.text():
            assert time.monotonic() < begin + 20
            time.sleep(0.05)
        assert served.model.taken < 200  # what fits into the buffers of the system


def test_what_is_left_of_an_answer_when_its_connection_is_closed_is_not_kept_for_ever(monkeypatch):
    # All of it goes into the connection at once, so that the request is over; only the connection waits.
    with (
        Served(monkeypatch, HTTP_PIECE_BYTES=LARGE) as served,
        served.connect(read_buffer=4096) as slow,
    ):
        slow.sendall(REQUEST.replace(b"/healthz", b"/large"))
        begin = time.monotonic()
        while (
            b'path="/large",role="test",status="200"} 1.0' not in served.metrics.text() or served.connections
        ):
            assert time.monotonic() < begin + 20
            time.sleep(0.05)
        assert len(ended(slow)) < LARGE


def test_a_handshake_that_does_not_go_on_is_ended(monkeypatch, tmp_path):
    with Served(monkeypatch, tls=self_signed(tmp_path)) as served, served.connect() as silent:
        assert ended(silent) == b""


def test_a_service_hears_of_its_end_before_what_is_going_on_is_waited_for(monkeypatch):
    told = threading.Event()
    bounds = Limits(body_seconds=2)
    with Served(monkeypatch, bounds=bounds, end_soon=told.set) as served, served.connect() as slow:
        slow.sendall(b"POST /take HTTP/1.1\r\nhost: x\r\ncontent-length: 2\r\n\r\nx")
        time.sleep(0.2)
        served.end()
        assert told.wait(1)
        assert served.connections == 1
        assert answer(slow, b"y") == (200, b"2")


def test_connections_are_bounded_in_all_and_of_one_address(monkeypatch):
    few = {"HTTP_CONNECTIONS": 5, "HTTP_CONNECTIONS_PER_ADDRESS": 3, "HTTP_IDLE_SECONDS": 60}
    with Served(monkeypatch, **few) as served, contextlib.ExitStack() as stack:
        mine = [stack.enter_context(served.connect("127.0.0.2")) for _ in range(4)]
        assert ended(mine[3]) == b""
        assert answer(mine[0])[0] == 200
        others = [stack.enter_context(served.connect(f"127.0.0.{i}")) for i in (3, 4, 5)]
        assert answer(others[1])[0] == 200
        assert ended(others[2]) == b""
        mine[0].close()
        time.sleep(0.2)
        again = stack.enter_context(served.connect("127.0.0.6"))
        assert answer(again)[0] == 200


def test_only_a_trusted_proxy_says_who_asks(monkeypatch):
    def forwarded(text):
        return REQUEST.replace(b"/healthz", b"/who")[:-2] + b"x-forwarded-for: " + text + b"\r\n\r\n"

    few = {"HTTP_CONNECTIONS_PER_ADDRESS": 1, "HTTP_IDLE_SECONDS": 60}
    bounds = Limits(rate_per_s=0.01, burst=1)
    with Served(monkeypatch, trusted=("127.0.0.2",), bounds=bounds, **few) as served:
        with served.connect("127.0.0.2") as proxy, served.connect("127.0.0.2") as other:
            assert answer(proxy, forwarded(b"10.0.0.1")) == (200, b"10.0.0.1")
            assert answer(other, forwarded(b"10.0.0.1"))[0] == 429
            # What the client wrote stands to the left of what the proxy has seen.
            assert answer(other, forwarded(b"10.0.0.3, 10.0.0.1"))[0] == 429
            assert answer(other, forwarded(b"2001:db8::1:2")) == (200, b"2001:db8::/64")
            assert answer(other, forwarded(b"2001:db8::7:8"))[0] == 429
        with served.connect("127.0.0.3") as stranger:
            assert answer(stranger, forwarded(b"10.0.0.4")) == (200, b"127.0.0.3")
            assert answer(stranger, forwarded(b"10.0.0.5"))[0] == 429


@pytest.mark.parametrize("mode", [0o640, 0o604, 0o620])
def test_a_key_or_a_token_that_others_may_read_or_write_is_refused(tmp_path, mode):
    path = tmp_path / "secret"
    path.write_text("0" * 64)
    path.chmod(mode)
    with pytest.raises(ParameterError, match="open to others than its owner"):
        serve(application([], Metrics("test"), Limits()), Binding(certificate=path, key=path), role="test")
    with pytest.raises(Refused, match="open to others than its owner"):
        roles._token(path)
    path.chmod(0o600)
    assert roles._token(path) == b"0" * 64


def test_a_proxy_is_an_address_or_a_network():
    Binding(trusted_proxies=("10.0.0.1", "fd00::/8"))
    for wrong in ("proxy.example", "10.0.0.1/8", "*", ""):
        with pytest.raises(ParameterError, match="proxy: an address or a network expected"):
            Binding(trusted_proxies=(wrong,))

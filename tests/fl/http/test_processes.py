"""Real processes on loopback: a whole round by the command, what relays see on the wire, clean ends."""

import asyncio
import contextlib
import json
import signal
import socket
import ssl
import subprocess
import sys
import threading
import time
from pathlib import Path

import httpx
import numpy as np
import pytest

from sottovoce._ext import cbor
from sottovoce.fl import ParameterError
from sottovoce.fl.http import Binding, TransportError
from sottovoce.fl.http.outgoing import get, quiet_client
from support.cli_command import environment
from support.fl_processes import MEMBERS, World, span
from support.fl_tls import self_signed

DEVICES = [f"device-{i}" for i in range(4)]


class Tap:
    """Listens before a relay and keeps every byte that goes to it, connection by connection."""

    def __init__(self, url):
        host, port = url.removeprefix("http://").split(":")
        self._target = (host, int(port))
        self._listening = socket.create_server(("127.0.0.1", 0))
        self.url = f"http://127.0.0.1:{self._listening.getsockname()[1]}"
        self.connections = []
        threading.Thread(target=self._accept, daemon=True).start()

    def _accept(self):
        while True:
            try:
                near, _ = self._listening.accept()
            except OSError:
                return
            far = socket.create_connection(self._target)
            kept = bytearray()
            self.connections.append(kept)
            threading.Thread(target=self._copy, args=(near, far, kept), daemon=True).start()
            threading.Thread(target=self._copy, args=(far, near, None), daemon=True).start()

    @staticmethod
    def _copy(source, target, kept):
        try:
            while data := source.recv(1 << 16):
                if kept is not None:
                    kept += data
                target.sendall(data)
            target.shutdown(socket.SHUT_WR)
        except OSError:
            pass
        finally:
            source.close()

    def close(self):
        self._listening.close()


@pytest.mark.slow
def test_a_round_of_an_issuer_three_relays_an_aggregator_five_members_and_four_clients(tmp_path):
    with World(tmp_path) as world:
        kgc, secret = tmp_path / "kgc", world.secret
        command("kgc", "init", kgc, *secret)
        for mode in ("identity", "blind"):
            command("kgc", "epoch", kgc, "--mode", mode, "--epoch", "today", *span(), *secret)
        issuer = world.serve("issuer", "issuer", kgc, *secret)
        for party in ["aggregator", *MEMBERS, *DEVICES]:
            command("kgc", "enrol", kgc, party, "-o", tmp_path / f"{party}.enrolment")
            mode = "blind" if party in DEVICES else "identity"
            command(
                "client",
                "keys",
                "--issuer",
                issuer.url,
                "--enrolment",
                tmp_path / f"{party}.enrolment",
                "--mode",
                mode,
                "--as",
                party,
                "--home",
                tmp_path / party,
                *secret,
            )
        whole_round(world, DEVICES)
        assert issuer.stop() == 0


@pytest.mark.slow
def test_a_round_of_processes_with_keys_that_are_there(tmp_path):
    with World(tmp_path) as world:
        world.found()
        for label in DEVICES:
            world.device(label)
        whole_round(world, DEVICES)


def command(*arguments):
    done = subprocess.run(
        [sys.executable, "-m", "sottovoce", *map(str, arguments)],
        capture_output=True,
        text=True,
        check=False,
        env=environment(),
        timeout=120,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def whole_round(world, devices):
    """All of it; the aggregator is killed and started again in the middle, and one device sends twice."""
    members = {name: world.member(name) for name in MEMBERS}
    urls = {name: member.url for name, member in members.items()}
    aggregator = world.aggregator(urls, "--close-at", len(devices))
    port = aggregator.url.rsplit(":", 1)[1]
    hops = ["--next", aggregator.url, "--threshold", 2, "--wait", 1]
    relays = [world.serve(f"relay-{i}", "relay", *hops) for i in range(3)]
    taps = [Tap(relay.url) for relay in relays]
    rng = np.random.default_rng(1)
    updates = [
        [rng.normal(scale=0.2, size=(5, 4)).astype(np.float32), rng.normal(scale=0.2, size=4)]
        for _ in devices
    ]
    try:
        entries = [tap.url for tap in taps]
        submit_all(world, devices[:2], updates[:2], entries)
        wait_for(lambda: status(aggregator.url)["accepted"] == 2)
        before = status(aggregator.url)
        aggregator.kill()
        aggregator = world.aggregator(urls, "--close-at", len(devices), "--port", port)
        assert aggregator.url.endswith(port)
        wait_for(lambda: status(aggregator.url)["accepted"] == 2)
        assert status(aggregator.url)["header"] == before["header"]
        # Again for the same round, with another update: the packet in the outbox goes, and counts once.
        submit_all(world, devices[:1], updates[-1:], entries)
        submit_all(world, devices[2:], updates[2:], entries)
        results = [world.result(device, relays[1].url) for device in devices]
        for device, result in zip(devices, results, strict=True):
            out = result.process.stdout.read()
            assert result.process.wait(120) == 0, result.log.read_text()
            assert json.loads(out)["included"]
            assert json.loads(out)["contributors"] == len(devices)
            result.kill()
            with np.load(world.folder / f"{device}.mean.npz") as means:
                for k, name in enumerate(means.files):
                    plain = np.mean([u[k] for u in updates], axis=0)
                    np.testing.assert_allclose(means[name], plain, atol=1e-4)
        assert len({(world.folder / f"{device}.published").read_bytes() for device in devices}) == 1
    finally:
        for tap in taps:
            tap.close()
    page = httpx.get(aggregator.url, trust_env=False)
    assert page.status_code == 200
    assert "ended" in page.text
    nothing_in_the_open(world, taps, devices)
    for service in [*relays, aggregator, *members.values()]:
        assert service.stop() == 0, service.log.read_text()
        for line in service.log.read_text().splitlines():
            json.loads(line)
    logs = "".join(path.read_text() for path in world.folder.glob("*.log"))
    assert "correct horse" not in logs
    assert "Traceback" not in logs


def submit_all(world, devices, updates, relays):
    """``client submit`` of each, side by side."""
    submits = [world.submit(d, u, relays[0], relays) for d, u in zip(devices, updates, strict=True)]
    for submit in submits:
        assert submit.process.wait(120) == 0, submit.log.read_text()
        submit.kill()


def status(url):
    return cbor.loads(httpx.get(f"{url}/v1/status", trust_env=False).content)


def wait_for(condition):
    end = time.monotonic() + 60
    while not condition():
        assert time.monotonic() < end
        time.sleep(0.1)


def nothing_in_the_open(world, taps, devices):
    """Everything that reached a relay: no names, no keys, one length, one form."""
    public = [path.read_text() for label in devices for path in (world.folder / label).glob("secret/*/*.pub")]
    secret = [label.encode() for label in [*devices, *MEMBERS]] + [b"python", b"httpx", b"cookie", b"agent"]
    secret += [line.encode() for text in public for line in text.splitlines()[1:-1]]
    forms = set()
    for tap in taps:
        posts = [bytes(kept) for kept in tap.connections if b"POST /v1/shard" in kept]
        assert len(posts) == len(devices) + 1  # a connection of its own for each submission
        for kept in posts:
            assert not [s for s in secret if s.lower() in kept.lower()]
            head, _, body = kept.partition(b"\r\n\r\n")
            host = tap.url.removeprefix("http://").encode()
            assert kept.count(b"HTTP/1.1") == 1  # nothing else went this way
            forms.add((head.replace(host, b"HOST"), len(body)))
    assert len(forms) == 1


def test_a_service_bounds_headers_and_ends_cleanly_when_it_is_told_to(tmp_path):
    with World(tmp_path) as world:
        term = world.serve("one", "relay", "--next", "http://127.0.0.1:9")
        interrupted = world.serve("two", "relay", "--next", "http://127.0.0.1:9", "--log-level", "debug")
        url = term.url + "/healthz"
        assert httpx.get(url, trust_env=False).text == "ok\n"
        assert httpx.get(url, headers={"x": "y" * (1 << 15)}, trust_env=False).status_code == 431
        # Far beyond: the server stops reading in the middle.
        with contextlib.suppress(httpx.TransportError):
            assert httpx.get(url, headers={"x": "y" * (1 << 20)}, trust_env=False).status_code in (400, 431)
        assert httpx.get(url, trust_env=False).status_code == 200
        idle = socket.create_connection(("127.0.0.1", int(term.url.rsplit(":", 1)[1])))
        assert interrupted.url
        assert (term.stop(signal.SIGTERM), interrupted.stop(signal.SIGINT)) == (0, 0)
        idle.close()
        events = [json.loads(line)["event"] for line in term.log.read_text().splitlines()]
        assert (events[0], events[-1]) == ("listening", "ended")


@pytest.mark.parametrize(
    ("fields", "words"),
    [
        ({"host": "0.0.0.0"}, "not loopback"),
        ({"host": "192.0.2.1"}, "not loopback"),
        ({"host": "example.org"}, "not loopback"),
        ({"certificate": "x.pem"}, "one of the two"),
        ({"key": "x.pem"}, "one of the two"),
    ],
)
def test_beyond_loopback_needs_tls_or_a_word(fields, words):
    with pytest.raises(ParameterError, match=words):
        Binding(**fields)


def test_loopback_tls_and_the_word_are_accepted():
    assert {Binding(host=host).scheme for host in ("127.0.0.1", "127.8.8.8", "::1", "localhost")} == {"http"}
    assert Binding("0.0.0.0", exposed=True).scheme == "http"
    assert Binding("0.0.0.0", certificate=Path("c.pem"), key=Path("k.pem")).scheme == "https"


def test_a_service_and_its_client_speak_tls(tmp_path):
    authority = self_signed(tmp_path)
    with World(tmp_path) as world:
        relay = world.serve(
            "one",
            "relay",
            "--next",
            "http://127.0.0.1:9",
            "--tls-cert",
            authority,
            "--tls-key",
            tmp_path / "key.pem",
        )
        assert relay.url.startswith("https://")
        url = relay.url.replace("127.0.0.1", "localhost") + "/healthz"
        context = ssl.create_default_context(cafile=authority)

        async def ask(tls):
            async with quiet_client(tls=tls) as client:
                return await get(client, url, at_most=10)

        assert asyncio.run(ask(context)) == b"ok\n"
        with pytest.raises(TransportError, match="no answer"):
            asyncio.run(ask(None))
        assert relay.stop() == 0

"""Real processes on loopback: a whole round by the command, what relays see on the wire, clean ends."""

import json
import signal
import socket
import subprocess
import sys
import threading

import httpx
import numpy as np
import pytest

from support.cli_command import environment
from support.fl_processes import MEMBERS, Running, World, span

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
    members = {name: world.member(name) for name in MEMBERS}
    aggregator = world.aggregator({name: m.url for name, m in members.items()}, "--close-at", len(devices))
    relays = [
        world.serve(f"relay-{i}", "relay", "--next", aggregator.url, "--threshold", 4, "--wait", 1)
        for i in range(3)
    ]
    taps = [Tap(relay.url) for relay in relays]
    rng = np.random.default_rng(1)
    updates = [
        [rng.normal(scale=0.2, size=(5, 4)).astype(np.float32), rng.normal(scale=0.2, size=4)]
        for _ in devices
    ]
    try:
        urls = [tap.url for tap in taps]
        submits = [world.submit(d, u, urls[0], urls) for d, u in zip(devices, updates, strict=True)]
        for submit in submits:
            assert submit.process.wait(120) == 0, submit.log.read_text()
            submit.kill()
        results = [world.result(device, relays[1].url) for device in devices]
        for device, result in zip(devices, results, strict=True):
            out = result.process.stdout.read()
            assert result.process.wait(120) == 0, result.log.read_text()
            assert json.loads(out)["included"]
            result.kill()
            with np.load(world.folder / f"{device}.mean.npz") as means:
                for k, name in enumerate(means.files):
                    np.testing.assert_allclose(
                        means[name], np.mean([u[k] for u in updates], axis=0), atol=1e-4
                    )
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


def nothing_in_the_open(world, taps, devices):
    """Everything that reached a relay: no names, no keys, one length, one form."""
    public = [path.read_text() for label in devices for path in (world.folder / label).glob("secret/*/*.pub")]
    secret = [label.encode() for label in [*devices, *MEMBERS]] + [b"python", b"httpx", b"cookie", b"agent"]
    secret += [line.encode() for text in public for line in text.splitlines()[1:-1]]
    forms = set()
    for tap in taps:
        posts = [bytes(kept) for kept in tap.connections if b"POST /v1/shard" in kept]
        assert len(posts) == len(devices)  # a connection of its own for each
        for kept in posts:
            assert not [s for s in secret if s.lower() in kept.lower()]
            head, _, body = kept.partition(b"\r\n\r\n")
            host = tap.url.removeprefix("http://").encode()
            assert kept.count(b"HTTP/1.1") == 1  # nothing else went this way
            forms.add((head.replace(host, b"HOST"), len(body)))
    assert len(forms) == 1


def test_a_relay_ends_cleanly_when_it_is_told_to(tmp_path):
    with World(tmp_path) as world:
        term = world.serve("one", "relay", "--next", "http://127.0.0.1:9")
        interrupted = world.serve("two", "relay", "--next", "http://127.0.0.1:9", "--log-level", "debug")
        assert httpx.get(term.url + "/healthz", trust_env=False).text == "ok\n"
        idle = socket.create_connection(("127.0.0.1", int(term.url.rsplit(":", 1)[1])))
        assert interrupted.url
        assert (term.stop(signal.SIGTERM), interrupted.stop(signal.SIGINT)) == (0, 0)
        idle.close()
        events = [json.loads(line)["event"] for line in term.log.read_text().splitlines()]
        assert events == ["listening", "ended"]


def test_headers_that_are_too_long_are_refused(tmp_path):
    with World(tmp_path) as world:
        relay = world.serve("one", "relay", "--next", "http://127.0.0.1:9")
        for length, statuses in ((1 << 15, {431}), (1 << 18, {400, 431})):
            many = {"x": "y" * length}
            assert httpx.get(relay.url + "/healthz", headers=many, trust_env=False).status_code in statuses
        assert relay.stop() == 0


def test_beyond_loopback_needs_tls_or_a_word(tmp_path):
    for arguments, words in (
        (["--host", "0.0.0.0"], "not loopback"),
        (["--tls-cert", "x.pem"], "certificate and key"),
    ):
        refused = Running(tmp_path, "refused", "serve", "relay", "--next", "http://127.0.0.1:9", *arguments)
        assert refused.process.wait(60) == 2
        refused.kill()
        assert words in " ".join(refused.log.read_text().split())

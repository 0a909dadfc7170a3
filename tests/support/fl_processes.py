"""The installed command as services on loopback, each started and stopped by its own process id."""

import datetime
import signal
import subprocess
import sys
import threading
import time

import numpy as np

from sottovoce import clsc
from sottovoce.cli.armor import Label, armor
from sottovoce.cli.keyring import Keyring
from sottovoce.cli.passphrase import Passphrase
from sottovoce.cli.user.own import OwnKeys
from sottovoce.fl.simulate import Authority

from .cli_command import environment

MEMBERS = [f"member-{j}" for j in range(1, 6)]
STOP_S = 30


class Running:
    """One service: its URL, its log, its end."""

    def __init__(self, folder, name, *arguments):
        self.name, self.log = name, folder / f"{name}.log"
        self._log = self.log.open("w")
        command = [sys.executable, "-m", "sottovoce", *map(str, arguments)]
        self.process = subprocess.Popen(
            command,
            stdout=subprocess.PIPE,
            stderr=self._log,
            stdin=subprocess.DEVNULL,
            text=True,
            env=environment(),
            preexec_fn=lambda: signal.signal(signal.SIGINT, signal.default_int_handler),
        )

    @property
    def url(self):
        """What it prints when it listens."""
        if not hasattr(self, "_url"):
            # A service that neither speaks nor ends must not hold the suite.
            watch = threading.Timer(90, self.process.kill)
            watch.start()
            try:
                self._url = self.process.stdout.readline().strip()
            finally:
                watch.cancel()
            assert self._url, self.log.read_text()
        return self._url

    def stop(self, number=signal.SIGTERM):
        """Send a signal and wait; gives the exit code."""
        if self.process.poll() is None:
            self.process.send_signal(number)
        try:
            return self.process.wait(STOP_S)
        finally:
            self.kill()

    def kill(self):
        """As a crash would."""
        if self.process.poll() is None:
            self.process.kill()
        self.process.wait()
        self.process.stdout.close()
        self._log.close()


class World:
    """A folder of homes, and the services that were started from it; a context manager that stops them."""

    def __init__(self, folder):
        self.folder, self.running = folder, []
        (folder / "passphrase").write_text("correct horse battery\n")
        names = ", ".join(f'"{name}"' for name in MEMBERS)
        (folder / "policy.toml").write_text(
            f'aggregators = ["aggregator"]\nmembers = [{names}]\nmin_contributors = 3\n'
        )

    def __enter__(self):
        return self

    def __exit__(self, *_):
        for service in self.running:
            service.kill()

    @property
    def secret(self):
        return ["--passphrase-file", self.folder / "passphrase"]

    @property
    def policy(self):
        return ["--policy", self.folder / "policy.toml"]

    def found(self):
        """Keys of everybody, made here: what kgc and keygen do is tested elsewhere."""
        self.authority = Authority(b"today", int(time.time()) - 60, valid_s=80_000)
        for name in ["aggregator", *MEMBERS]:
            keys = self.authority.server(name.encode())
            self.home(name, keys.sign, keys.decrypt)
        return self

    def home(self, name, *keys, label=None):
        """A home folder with these secret keys under a label, by default its name."""
        ring = Keyring(self.folder / name)
        label = name if label is None else label
        ring.pin_root(self.authority.root_public_key)
        trust = ring.trust()
        for params in (self.authority.identity, self.authority.blind):
            ring.add_params(params.to_bytes(), trust)
        own = OwnKeys(ring, Passphrase(self.folder / "passphrase", None))
        for key in keys:
            path = own.path(label, key.public_key.params, key.public_key.usage, ".key")
            ring.make_folder(path.parent.relative_to(ring.home))
            clsc.save_key(path, key, b"correct horse battery")
            public = path.with_suffix(".pub").relative_to(ring.home)
            ring.write(public, armor(Label.PUBLIC_KEY, key.public_key.to_bytes()))

    def device(self, label):
        self.home(label, self.authority.pseudonym(label))

    def serve(self, name, *arguments):
        self.running.append(Running(self.folder, name, "serve", *arguments))
        return self.running[-1]

    def keys_of(self, name):
        return ["--home", self.folder / name, "--as", name, *self.secret]

    def member(self, name):
        return self.serve(
            name, "member", *self.policy, *self.keys_of(name), "--state", self.folder / f"{name}.state"
        )

    def aggregator(self, members, *arguments, **options):
        np.savez(self.folder / "model.npz", np.zeros((5, 4), np.float32), np.zeros(4))
        committee = [part for name, url in members.items() for part in ("--member", f"{name}={url}")]
        return self.serve(
            "aggregator",
            "aggregator",
            *self.keys_of("aggregator"),
            *committee,
            "--model",
            self.folder / "model.npz",
            "--state",
            self.folder / "rounds",
            "--clip",
            1.0,
            "--min-contributors",
            3,
            "--max-contributors",
            16,
            *arguments,
        )

    def submit(self, label, update, source, relays):
        """Start ``client submit``."""
        np.savez(self.folder / f"{label}.npz", *update)
        over = [part for url in relays for part in ("--relay", url)]
        return Running(
            self.folder,
            f"{label}.submit",
            "client",
            "submit",
            self.folder / f"{label}.npz",
            "--from",
            source,
            *over,
            "--model",
            self.folder / "model.npz",
            *self.policy,
            *self.keys_of(label),
            "--outbox",
            self.folder / f"{label}.outbox",
            "--header",
            self.folder / f"{label}.header",
            "--force",
            "--wait",
            60,
        )

    def result(self, label, source):
        """Start ``client result``."""
        return Running(
            self.folder,
            f"{label}.result",
            "client",
            "result",
            self.folder / f"{label}.header",
            "--from",
            source,
            *self.policy,
            *self.keys_of(label),
            "--outbox",
            self.folder / f"{label}.outbox",
            "--wait",
            90,
            "-o",
            self.folder / f"{label}.mean.npz",
            "--published",
            self.folder / f"{label}.published",
            "--force",
            "--json",
            "-",
        )


def span():
    """``--from`` and ``--to`` of an epoch that servers may be in: under a day."""
    now = datetime.datetime.now(datetime.UTC).replace(microsecond=0)
    hours = datetime.timedelta(hours=23)
    return ["--from", (now - datetime.timedelta(minutes=1)).isoformat(), "--to", (now + hours).isoformat()]

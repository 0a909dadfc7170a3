"""Making a peer and running it: ``serve peer``."""

from __future__ import annotations

import contextlib
import os
import shlex
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from numpy.typing import NDArray
from starlette.types import ASGIApp, Receive, Scope, Send

from ..._ext.limits import ROSTER_MAX_BYTES
from ...fl import Peer, Roster
from ...fl.http import Binding, PeerPlan, PeerService
from ...fl.http.asking import Patience
from ...fl.http.outgoing import quiet_client
from .. import files
from ..console import CheckFailed, Refused
from ..he import arrays
from ..keyring import Keyring
from ..passphrase import Passphrase
from ..user.own import OwnKeys
from . import stores
from .keys import server_keys
from .policy import read_peer_policy
from .roles import authorities, named_urls, run

Arrays = list[NDArray[Any]]

_FOLDER: Final = "training"
_LOOK_S: Final = 0.05
"""Between two looks whether it has ended: who waits in one call may kill another process that has its id."""


@dataclass(eq=False)
class _Run:
    """One run of the program."""

    number: int
    view: int
    process: subprocess.Popen[bytes] | None = None
    over: str = ""
    """Why it is ended, or is not to begin."""

    def end(self, why: str) -> None:
        """Kill it, and all that it started; its id is its own until somebody has taken note of its end."""
        self.over = self.over or why
        if self.process is not None:
            with contextlib.suppress(ProcessLookupError, PermissionError):
                os.killpg(self.process.pid, signal.SIGKILL)


class Training:
    """Runs the operator's program, once for each view: ``COMMAND MODEL.npz UPDATE.npz ROUND VIEW``.

    Args:
        command: Split as a shell would, and run without one.
        names: Of the model's arrays, in order; None: numpy's.
        folder: Of the peer's state.  Both files lie in a folder below it, for their owner only, while the
            program runs; what a process that was killed has left there goes.
    """

    def __init__(self, command: str, names: tuple[str, ...] | None, folder: Path) -> None:
        self._command = shlex.split(command)
        if not self._command or shutil.which(self._command[0]) is None:
            raise files.usage(f"a program that can be run expected, got {command!r}", "--train")
        self._names = names
        self._folder = folder / _FOLDER
        with contextlib.suppress(FileNotFoundError):
            shutil.rmtree(self._folder)
        self._folder.mkdir(mode=0o700)
        self._runs: set[_Run] = set()
        self._stopped = False
        self._lock = threading.Lock()

    def __call__(self, model: Arrays, number: int, view: int) -> Arrays:
        """The update that it writes; see :class:`sottovoce.fl.http.PeerService`."""
        names = self._names or tuple(f"arr_{i}" for i in range(len(model)))
        with self._run(number, view) as run, tempfile.TemporaryDirectory(dir=self._folder) as place:
            given, made = (str(Path(place, name)) for name in ("model.npz", "update.npz"))
            arrays.write(arrays.Model(names, model), given, force=True)
            self._wait(run, [*self._command, given, made, str(number), str(view)])
            update = arrays.read(made)
        if update.names is not None and set(update.names) == set(names):
            found = dict(zip(update.names, update.arrays, strict=True))
            return [found[name] for name in names]
        return update.arrays

    @contextlib.contextmanager
    def _run(self, number: int, view: int) -> Iterator[_Run]:
        run = _Run(number, view)
        with self._lock:
            self._runs.add(run)
        try:
            yield run
        finally:
            with self._lock:
                self._runs.discard(run)

    def _wait(self, run: _Run, command: list[str]) -> None:
        with self._lock:
            if self._stopped or run.over:
                raise CheckFailed(run.over or "the service ends")
            # Standard output of the service holds its URL and nothing else.  A session of its own: what the
            # program starts ends with it.
            run.process = subprocess.Popen(  # noqa: S603 - the operator's own program, and no shell
                command, stdin=subprocess.DEVNULL, stdout=sys.stderr, start_new_session=True
            )
        while True:
            with self._lock:
                code = run.process.poll()
                if code is not None:
                    run.end("")  # what it left running
                    run.process = None
                    break
            time.sleep(_LOOK_S)
        if code:
            raise CheckFailed(run.over or f"the training for round {run.number} ended with {code}")

    def abandon(self, number: int, view: int) -> None:
        """End what runs for this view: an update that nobody sends is worth nothing."""
        with self._lock:
            for run in self._runs:
                if (run.number, run.view) == (number, view):
                    run.end(f"the training for round {number}, view {view} is of no use any more")

    def stop(self) -> None:
        """End what runs, and begin nothing more."""
        with self._lock:
            self._stopped = True
            for run in self._runs:
                run.end("the service ends")


def peer(
    binding: Binding,
    level: str,
    ring: Keyring,
    passphrase: Passphrase,
    label: str | None,
    *,
    sender: str,
    rosters: list[str],
    peers: list[str],
    policy_file: Path,
    model_file: str,
    command: str,
    plan: PeerPlan,
    patience: Patience,
    state: Path,
    target: str | None,
    ca_file: Path | None,
) -> None:
    """Serve a peer; see the command's help."""
    files.check_output(target, "--output", force=True)
    model = arrays.read(model_file)
    model.layout(model_file)
    addresses = named_urls(peers, "--peer")
    own = OwnKeys(ring, passphrase)
    trust = ring.trust()
    with contextlib.ExitStack() as stack:
        book = stack.enter_context(stores.roster_book(state, trust))
        policy = read_peer_policy(policy_file, book)
        for name in rosters:
            roster = book.add_roster(files.read_bytes(name, ROSTER_MAX_BYTES + 256))
            _check_roster(roster, name, addresses, plan)
        keys = server_keys(own, own.label(label), trust)
        role = Peer(
            keys,
            own.signer(sender, trust),
            trust,
            policy,
            outbox=stack.enter_context(stores.outbox(state)),
            member_store=stack.enter_context(stores.member_store(state)),
        )
        if keys.public.name not in addresses:
            raise files.usage("this peer's own name and URL are needed, too", "--peer")

        # Once the stores are open no other process uses this folder.
        training = Training(command, model.names, state)

        def keep(_: int, now: Arrays) -> None:
            if target is not None:
                names = model.names or tuple(f"arr_{i}" for i in range(len(now)))
                arrays.write(arrays.Model(names, now), target, force=True)

        believed = authorities(ca_file)
        service = PeerService(
            role,
            keys.public,
            trust,
            addresses,
            model.arrays,
            training,
            plan,
            patience=patience,
            make_client=lambda: quiet_client(tls=believed, timeout_s=patience.ask_s),
            keep=keep,
            abandon=training.abandon,
        )
        run(_ending(service.app, training), binding, "peer", level)


def _check_roster(roster: Roster, name: str, addresses: dict[bytes, str], plan: PeerPlan) -> None:
    missing = [peer.decode("utf-8", "replace") for peer in roster.names if peer not in addresses]
    if missing:
        raise files.usage(f"URLs of all of {name} expected, none for {', '.join(missing[:3])}", "--peer")
    if plan.close_s + plan.margin_s >= roster.view_s:
        raise Refused(
            f"{name}: of turns of {roster.view_s} s nothing is left to collect in", "--close and --margin"
        )


def _ending(app: ASGIApp, training: Training) -> ASGIApp:
    """The service, whose end does not wait for a training that still runs."""

    async def whole(scope: Scope, receive: Receive, send: Send) -> None:
        try:
            await app(scope, receive, send)
        finally:
            if scope["type"] == "lifespan":
                training.stop()

    return whole

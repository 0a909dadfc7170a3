"""Making a peer and running it: ``serve peer``."""

from __future__ import annotations

import contextlib
import shlex
import shutil
import subprocess
import sys
import tempfile
import threading
from pathlib import Path
from typing import Any

from numpy.typing import NDArray
from starlette.types import ASGIApp, Receive, Scope, Send

from ..._ext.limits import ROSTER_MAX_BYTES
from ...fl import Peer, Roster
from ...fl.http import Binding, PeerPlan, PeerService
from ...fl.http.outgoing import quiet_client
from ...fl.http.rounds import Patience
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


class Training:
    """Runs the operator's program, once for each view: ``COMMAND MODEL.npz UPDATE.npz ROUND VIEW``.

    Args:
        command: Split as a shell would, and run without one.
        names: Of the model's arrays, in order; None: numpy's.
        folder: Where both files lie, for their owner only, while it runs.
    """

    def __init__(self, command: str, names: tuple[str, ...] | None, folder: Path) -> None:
        self._command = shlex.split(command)
        if not self._command or shutil.which(self._command[0]) is None:
            raise files.usage(f"a program that can be run expected, got {command!r}", "--train")
        self._names = names
        self._folder = folder
        self._running: set[subprocess.Popen[bytes]] = set()
        self._stopped = False
        self._lock = threading.Lock()

    def __call__(self, model: Arrays, number: int, view: int) -> Arrays:
        """The update that it writes; see :class:`sottovoce.fl.http.PeerService`."""
        names = self._names or tuple(f"arr_{i}" for i in range(len(model)))
        with tempfile.TemporaryDirectory(dir=self._folder) as place:
            given, made = (str(Path(place, name)) for name in ("model.npz", "update.npz"))
            arrays.write(arrays.Model(names, model), given, force=True)
            self._run([*self._command, given, made, str(number), str(view)], number)
            update = arrays.read(made)
        if update.names is not None and set(update.names) == set(names):
            found = dict(zip(update.names, update.arrays, strict=True))
            return [found[name] for name in names]
        return update.arrays

    def _run(self, command: list[str], number: int) -> None:
        with self._lock:
            if self._stopped:
                raise CheckFailed("the service ends")
            # Standard output of the service holds its URL and nothing else.
            process = subprocess.Popen(  # noqa: S603 - the operator's own program, and no shell
                command, stdin=subprocess.DEVNULL, stdout=sys.stderr
            )
            self._running.add(process)
        try:
            code = process.wait()
        finally:
            with self._lock:
                self._running.discard(process)
        if code:
            raise CheckFailed(f"the training for round {number} ended with {code}")

    def stop(self) -> None:
        """End what runs, and begin nothing more; an update that nobody sends is worth nothing."""
        with self._lock:
            self._stopped = True
            for process in self._running:
                process.kill()


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
    folder = stores.private_folder(state)
    training = Training(command, model.names, folder)
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

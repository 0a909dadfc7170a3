"""``kgc revoke``: give a party nothing more, and tell the world about its keys."""

from __future__ import annotations

import time

import typer

from ..._ext.errors import IssueError
from ...clsc import EpochParams, Mode, RevocationList, RootKey, SqliteRegistry
from .. import console
from ..armor import Label
from ..console import Refused
from ..passphrase import Passphrase
from ..text import text_of
from .epochs import find_epoch, is_open
from .folder import Folder


def revoke(
    folder: Folder,
    passphrase: Passphrase,
    party: str | None,
    pids: list[str],
    mode: Mode | None,
    epoch: str | None,
    after_list: int,
    json_target: str | None,
) -> None:
    """Revoke a party or single keys; see the command's help."""
    console.check_writable(json_target, "--json")
    if (party is None) == (not pids):
        raise typer.BadParameter("one of PARTY and --pid")
    if pids and (mode is None or epoch is None):
        raise typer.BadParameter("a pid is of one epoch: name it", param_hint="--mode, --epoch")
    values = [_pid(text) for text in pids]
    folder.require()
    # First: a wrong passphrase should not leave half of the work done.
    root = folder.root_key(passphrase) if folder.has_root_key else None
    revoked: list[tuple[EpochParams, bytes]] = []
    with folder.registry() as registry:
        current = [params for params in registry.epochs() if is_open(params)]
        if party is not None:
            _disable(registry, party)  # at once, and for good
            revoked = [(p, pid) for p in current for pid in registry.pids_of(party, p.params_id)]
        else:
            assert mode is not None and epoch is not None  # noqa: PT018  # checked above
            params = find_epoch(registry, mode, epoch)
            revoked = [(params, pid) for pid in values]
        for params, pid in revoked:
            registry.revoke(params.params_id, pid)
        lists = [] if root is None else _publish(folder, registry, root, current, after_list)
    if root is None:
        console.note("lists are signed where the root key is: sottovoce kgc revoke --pid, for each key below")
    if party is not None and any(params.mode is Mode.BLIND for params in current):
        console.note("its pseudonyms of mode blind are unknown here, and stay valid until their epoch ends")
    document = {
        "party": party,
        "keys": [{"mode": str(p.mode), "epoch": text_of(p.epoch), "pid": pid.hex()} for p, pid in revoked],
        "lists": lists,
    }
    console.write_json(document, json_target)
    results = console.results_console(json_target)
    for params, pid in revoked:
        line = f"revoked {params.mode} {text_of(params.epoch)} {pid.hex()}"
        results.print(line, markup=False, soft_wrap=True)
    for path in lists:
        results.print(path, markup=False, soft_wrap=True)


def _disable(registry: SqliteRegistry, party: str) -> None:
    try:
        registry.disable(party)
    except IssueError as error:
        raise Refused(str(error), "sottovoce kgc show lists the parties") from None


def _pid(text: str) -> bytes:
    try:
        pid = bytes.fromhex(text)
    except ValueError:
        pid = b""
    if len(pid) != 16:
        raise typer.BadParameter(f"32 hexadecimal digits expected, got {text}", param_hint="--pid")
    return pid


def _publish(
    folder: Folder, registry: SqliteRegistry, root: RootKey, current: list[EpochParams], after_list: int
) -> list[str]:
    """Sign and write the list of every open epoch that has something new.

    Also what an interrupted run recorded and did not sign, or signed and did not write.
    """
    written = []
    for params in current:
        pids = registry.revoked(params.params_id)
        newest = registry.revocations(root.public_key, params.params_id)
        if not pids:
            continue
        if newest is None or newest.pids != pids:
            number = max(0 if newest is None else newest.number, after_list) + 1
            newest = RevocationList.sign(
                root, params.params_id, number=number, issued_at=int(time.time()), pids=pids
            )
            registry.add_revocations(newest)
        elif folder.is_published("revoked", Label.REVOCATIONS, params, newest.to_bytes()):
            continue
        written.append(str(folder.publish("revoked", Label.REVOCATIONS, params, newest.to_bytes())))
    return written

"""``kgc init``, ``kgc join`` and ``kgc restore``: how a folder comes to be, and comes back."""

from __future__ import annotations

from pathlib import Path

from ..._ext.errors import DecodeError, RegistryError
from ...clsc import (
    AdmissionKey,
    MasterShare,
    Mode,
    RevocationList,
    RootKey,
    SqliteRegistry,
    TracingKey,
    read_admission_keys,
)
from ...clsc.admission import needs_admission
from ...clsc.keyfile import load_key, save_key
from .. import console, files
from ..armor import Label, armor, dearmor
from ..console import Refused
from ..files import write_durably
from ..passphrase import Passphrase
from ..text import fingerprint, text_of
from .folder import Folder


def init(folder: Folder, passphrase: Passphrase, json_target: str | None) -> None:
    """Make a new issuer; see the command's help."""
    console.check_writable(json_target, "--json")
    _refuse_founded(folder)
    secret = passphrase.new(f"the issuer {folder.path}")
    folder.make()
    with folder.locked():
        _refuse_founded(folder)  # again: by another init, meanwhile
        with SqliteRegistry(folder.registry_path):
            pass
        root = RootKey.generate()
        _write_root(folder, root.public_key)
        # Last: with this file the issuer exists.  An interrupted init is begun again by the next one.
        save_key(folder.root_key_path, root, secret)
    _tell(folder, root.public_key, json_target)
    console.note(f"give {folder.root_path} to everybody, and read the digits out over another channel")
    console.note("keep a copy of root.key elsewhere: without it there is no next epoch")


def _refuse_founded(folder: Folder) -> None:
    if folder.has_root_key:
        raise Refused(f"{folder.path} is an issuer's folder already", "name another folder")


def _write_root(folder: Folder, root_public_key: bytes) -> None:
    write_durably(folder.root_path, armor(Label.ROOT, root_public_key))


def _tell(folder: Folder, root: bytes, json_target: str | None) -> None:
    document = {"folder": str(folder.path), "root_public_key": root.hex(), "fingerprint": fingerprint(root)}
    console.write_json(document, json_target)
    console.results_console(json_target).print(f"root key: {fingerprint(root)}", markup=False, soft_wrap=True)


def join(
    folder: Folder,
    passphrase: Passphrase,
    share_file: Path,
    root_file: str,
    transfer: Path,
    json_target: str | None,
) -> None:
    """Take a share from the dealer; see the command's help."""
    console.check_writable(json_target, "--json")
    roots = files.of_label(files.read_blocks(root_file), Label.ROOT)
    if len(roots) != 1:
        raise DecodeError(f"{root_file}: a root key expected")
    if folder.has_root_key:
        raise Refused(
            f"{folder.path} holds the root key: a server beside it would be no second machine",
            "name another folder, on the server's own machine",
        )
    carried = Passphrase(transfer, None).existing(str(share_file))
    share = load_key(share_file, carried, MasterShare)
    params = share.params
    if params.root_public_key != roots[0]:
        raise Refused("the share is of another issuer than the root key", "ask the dealer which is right")
    tracing = None
    if params.mode is Mode.TRACEABLE:
        tracing = load_key(share_file.with_suffix(".tracing"), carried, TracingKey)
    admission, listed = None, b""
    if needs_admission(params):
        admission = load_key(share_file.with_suffix(".admission"), carried, AdmissionKey)
        listed = _admission_keys(share_file.with_suffix(".admissions"), share, admission)
    new = not folder.root_path.exists()
    if not new and folder.root_public_key() != params.root_public_key:
        raise Refused(f"{folder.path} is a server of another issuer", "name another folder")
    secret = passphrase.new(f"the server {folder.path}") if new else folder.passphrase(passphrase)
    if new:
        folder.make()
    else:
        folder.require_registry()
    with folder.locked(), SqliteRegistry(folder.registry_path) as registry:
        _check_passphrase(folder, secret)
        if new:
            _write_root(folder, params.root_public_key)
        path = folder.private_parent(folder.file("epochs", params))
        if path.exists() and params not in registry.epochs():
            raise Refused(
                "the share that is here is older than the registry, which was restored",
                "ask the dealer for another epoch",
            )
        registry.add_epoch(params)  # refuses a second one for this mode and epoch
        if path.exists() and folder.is_published("params", Label.PARAMS, params, params.to_bytes()):
            raise Refused(
                f"{folder.path} has a share of this epoch already", "sottovoce kgc show lists what it has"
            )
        # What is there is of an interrupted join, and complete.
        if tracing is not None and not folder.file("tracing", params).exists():
            save_key(folder.file("tracing", params), tracing, secret)
        if admission is not None:
            if not folder.file("admission", params).exists():
                save_key(folder.file("admission", params), admission, secret)
            folder.publish("admissions", Label.ADMISSION_KEYS, params, listed)
        if not path.exists():
            save_key(path, share, secret)
        folder.publish("params", Label.PARAMS, params, params.to_bytes())
    console.note(f"server {share.index} of {params.servers}, {params.mode} epoch {text_of(params.epoch)}")
    console.note(f"now destroy {share_file} and its passphrase, here and at the dealer's")
    _tell(folder, params.root_public_key, json_target)


def _admission_keys(path: Path, share: MasterShare, key: AdmissionKey) -> bytes:
    """The signed list of the servers' keys, in which the own one has its place."""
    try:
        data = dearmor(Label.ADMISSION_KEYS, path.read_bytes())
        keys = read_admission_keys(data, share.params)
    except DecodeError as error:
        raise DecodeError(f"{path}: {error}") from None
    if keys[share.index - 1] != key.public_key:
        raise Refused(f"{path} has another key for server {share.index}", "ask the dealer which is right")
    return data


def _check_passphrase(folder: Folder, secret: bytes) -> None:
    """Else the new key file would have another passphrase than the others."""
    for path in sorted((folder.path / "epochs").glob("*.key")):
        load_key(path, secret)
        return


def restore(folder: Folder, *, force: bool) -> None:
    """Use a registry that comes from a backup; see the command's help."""
    folder.require()
    with folder.locked():
        if not force and _is_current(folder):
            raise Refused(
                "the registry is not behind its mark, so there is nothing to restore",
                "--force, if the mark came back with the registry: it closes every epoch, for good",
            )
        # What is published in the folder was not in the backup: nobody may sign or number it again.
        with SqliteRegistry.restore(folder.registry_path, signed=folder.published_params()) as registry:
            for published in folder.published_revocations():
                _revoke_again(registry, published)
    console.note("every epoch that was known here is closed: answers on record are given again, no new keys")
    console.note("next: kgc epoch for new epochs; kgc enrol, kgc revoke for whatever came after the backup")


def _is_current(folder: Folder) -> bool:
    try:
        with SqliteRegistry(folder.registry_path):
            return True
    except RegistryError:
        return False


def _revoke_again(registry: SqliteRegistry, published: RevocationList) -> None:
    for pid in published.pids:
        registry.revoke(published.params_id, pid)
    newest = registry.revocations(published.root_public_key, published.params_id)
    if newest is None or newest.number < published.number:
        registry.add_revocations(published)

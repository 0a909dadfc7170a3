"""The issuer's folder.

::

    root.pub                       the root key's public half, armoured: what everybody pins
    root.key                       the root key (key file); not in the folder of a server (kgc join)
    registry.sqlite, .mark         people, quotas, answers, epochs; holds the tokens, so mode 0600
    epochs/<mode>-<epoch>.key      master key, or this server's share (key file)
    epochs/<mode>-<epoch>.tracing  tracing key of a traceable epoch (key file)
    epochs/blind-<epoch>.admission admission key of this server, where there are several (key file)
    params/blind-<epoch>.admissions public admission keys of all servers, armoured
    params/<mode>-<epoch>.params   signed parameters, armoured, for everybody
    revoked/<mode>-<epoch>.revoked newest revocation list, armoured, for everybody
    shares/<mode>-<epoch>/         what a dealer has to hand to the servers, until it has

All key files of a folder have one passphrase.  One command at a time changes a folder: it holds a lock on
it, which the kernel gives back whatever happens.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import quote

from ..._ext.errors import DecodeError
from ...clsc import (
    AdmissionKey,
    EpochParams,
    Issuer,
    MasterKey,
    MasterShare,
    Mode,
    RevocationList,
    RootKey,
    SqliteRegistry,
    TracingKey,
    TrustStore,
    read_admission_keys,
)
from ...clsc.admission import needs_admission
from ...clsc.keyfile import load_key
from ..armor import Label, armor, dearmor
from ..console import Refused
from ..files import write_durably
from ..text import text_of

if TYPE_CHECKING:
    from ..passphrase import Passphrase


class Folder:
    """Names and contents of an issuer's folder.

    Args:
        path: The folder.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self.root_key_path = path / "root.key"
        self.root_path = path / "root.pub"
        self.registry_path = path / "registry.sqlite"

    # -- the folder itself ----------------------------------------------------------------------

    def make(self) -> None:
        """Make an empty folder for its owner only; one that is there must be so already.

        Raises:
            Refused: It has something of others in it, or others may look in.
        """
        with contextlib.suppress(FileExistsError):
            self.path.mkdir(mode=0o700)
        if not self.path.is_dir():
            raise Refused(f"{self.path} is not a folder", "name a folder that is not there yet")
        if self.path.stat().st_mode & 0o077:
            raise Refused(f"{self.path} is open to others than its owner", f"chmod 700 {self.path}")
        foreign = [
            p.name for p in self.path.iterdir() if not p.name.startswith((".root", "root.", "registry."))
        ]
        if foreign and not self.root_path.exists():
            raise Refused(f"{self.path} is not empty", "name a folder that is not there yet")

    def require(self) -> None:
        """Refuse a folder that is no issuer's."""
        if not self.root_path.exists():
            raise Refused(f"{self.path} is not an issuer's folder", f"sottovoce kgc init {self.path}")

    @property
    def has_root_key(self) -> bool:
        """Whether this is where epochs are signed, and not a server of a threshold issuer."""
        return self.root_key_path.exists()

    @contextlib.contextmanager
    def locked(self) -> Iterator[None]:
        """Wait until no other command changes this folder."""
        handle = os.open(self.path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            fcntl.flock(handle, fcntl.LOCK_EX)
            yield
        finally:
            os.close(handle)

    @contextlib.contextmanager
    def registry(self) -> Iterator[SqliteRegistry]:
        """The registry, with the lock of the folder."""
        self.require()
        self.require_registry()
        with self.locked(), SqliteRegistry(self.registry_path) as registry:
            yield registry

    def require_registry(self) -> None:
        """Refuse a folder whose registry is gone: an empty one would have forgotten everything."""
        if not self.registry_path.exists():
            raise Refused(
                f"{self.registry_path} is missing",
                "put a backup of it there and run sottovoce kgc restore; without one, found a new issuer",
            )

    # -- keys -----------------------------------------------------------------------------------

    def root_public_key(self) -> bytes:
        """32 bytes.

        Raises:
            DecodeError: The file was damaged.
        """
        try:
            data = dearmor(Label.ROOT, self.root_path.read_bytes())
        except DecodeError as error:
            raise DecodeError(f"{self.root_path}: {error}") from None
        if len(data) != 32:
            raise DecodeError(f"{self.root_path}: a root key has 32 bytes")
        return data

    def root_key(self, passphrase: Passphrase) -> RootKey:
        """The root key.

        Raises:
            Refused: It is not in this folder.
            DecodeError: ``root.pub`` is that of another one.
            KeyFileError: Wrong passphrase, or the file was damaged.
        """
        if not self.has_root_key:
            raise Refused(
                f"the root key is not in {self.path}: this is the folder of one server",
                "run the command where the root key is",
            )
        key = load_key(self.root_key_path, self.passphrase(passphrase), RootKey)
        if key.public_key != self.root_public_key():
            raise DecodeError(f"{self.root_path}: not the public half of {self.root_key_path}")
        return key

    def passphrase(self, passphrase: Passphrase) -> bytes:
        """The one passphrase of this folder's key files."""
        return passphrase.existing(str(self.path))

    def file(self, kind: str, params: EpochParams | tuple[Mode, bytes]) -> Path:
        """The file of an epoch: ``epochs`` (key), ``tracing``, ``params``, ..."""
        mode, epoch = params if isinstance(params, tuple) else (params.mode, params.epoch)
        folder, suffix = {
            "epochs": ("epochs", ".key"),
            "tracing": ("epochs", ".tracing"),
            "admission": ("epochs", ".admission"),
            "admissions": ("params", ".admissions"),
            "params": ("params", ".params"),
            "revoked": ("revoked", ".revoked"),
            "shares": ("shares", ""),
        }[kind]
        # The name of an epoch is any text; what is no plain name becomes %XX.
        return self.path / folder / f"{mode}-{quote(epoch, safe='')}{suffix}"

    def private_parent(self, path: Path) -> Path:
        """``path``, its folder made for the owner only."""
        path.parent.mkdir(mode=0o700, exist_ok=True)
        return path

    def publish(self, kind: str, label: Label, params: EpochParams, data: bytes) -> Path:
        """Write a public text; the same again changes nothing."""
        path = self.private_parent(self.file(kind, params))
        write_durably(path, armor(label, data))
        return path

    def is_published(self, kind: str, label: Label, params: EpochParams, data: bytes) -> bool:
        """Whether that is what the file holds; one that a crash emptied is written again."""
        path = self.file(kind, params)
        return path.exists() and path.read_bytes() == armor(label, data).encode("ascii")

    def published_params(self) -> list[EpochParams]:
        """The parameters in ``params``, signatures checked.

        Raises:
            DecodeError: One is not what this root key signed; the message begins with its name.
        """
        root = self.root_public_key()
        return [EpochParams.from_bytes(data, root) for data in self._texts("params", Label.PARAMS)]

    def published_revocations(self) -> list[RevocationList]:
        """The lists in ``revoked``, as :meth:`published_params`."""
        root = self.root_public_key()
        return [RevocationList.from_bytes(data, root) for data in self._texts("revoked", Label.REVOCATIONS)]

    def _texts(self, kind: str, label: Label) -> Iterator[bytes]:
        for path in sorted((self.path / kind).glob(f"*.{kind}")):
            # What a killed process left half-written beside its place is hidden.
            if path.name.startswith("."):
                continue
            try:
                yield dearmor(label, path.read_bytes())
            except DecodeError as error:
                raise DecodeError(f"{path}: {error}") from None

    # -- what issues ----------------------------------------------------------------------------

    def trust(self, registry: SqliteRegistry) -> TrustStore:
        """What this issuer itself believes: its epochs, and every key that it has revoked.

        Also what the operator puts into ``params`` and ``revoked``: a server of a traceable epoch needs the
        parameters of the identity epoch whose keys sign the requests, and is not always a server of
        that one too.  The root key has signed all of it.
        """
        trust = TrustStore(self.root_public_key())
        for params in self.published_params():
            trust.add(params)
        for revocations in self.published_revocations():
            trust.add_revocations(revocations)
        for params in registry.epochs():
            trust.add(params)
            for pid in registry.revoked(params.params_id):
                trust.revoke(pid)
        return trust

    def admission_keys(self, params: EpochParams) -> tuple[bytes, ...]:
        """Public admission keys of the servers of a blind epoch.

        Raises:
            DecodeError: The file is not what the root key signed; the message begins with its name.
        """
        path = self.file("admissions", params)
        try:
            return read_admission_keys(dearmor(Label.ADMISSION_KEYS, path.read_bytes()), params)
        except DecodeError as error:
            raise DecodeError(f"{path}: {error}") from None

    def issuer(self, registry: SqliteRegistry, params: EpochParams, passphrase: Passphrase) -> Issuer:
        """The issuer of an epoch, from its key files.

        Raises:
            Refused: They are not in this folder.
            KeyFileError: Wrong passphrase, or a file was damaged.
        """
        path = self.file("epochs", params)
        if not path.exists():
            raise Refused(
                f"{self.path} has no key of the {params.mode} epoch {text_of(params.epoch)}",
                "its key is shared among servers: run the command in the folder of one (kgc join)",
            )
        master = load_key(path, self.passphrase(passphrase))
        if not isinstance(master, (MasterKey, MasterShare)) or master.params != params:
            raise DecodeError(f"{path}: not the key of this epoch")
        if needs_admission(params):
            key = load_key(self.file("admission", params), self.passphrase(passphrase), AdmissionKey)
            keys = self.admission_keys(params)
            return Issuer(master, registry, admission_key=key, admission_public_keys=keys)
        if params.mode is not Mode.TRACEABLE:
            return Issuer(master, registry)
        tracing = load_key(self.file("tracing", params), self.passphrase(passphrase), TracingKey)
        return Issuer(master, registry, tracing_key=tracing, trust=self.trust(registry))


def find_params(registry: SqliteRegistry, params_id: bytes) -> EpochParams:
    """The parameters with this id.

    Raises:
        Refused: None of this issuer.
    """
    for params in registry.epochs():
        if params.params_id == params_id:
            return params
    raise Refused("the request is for another issuer or epoch", "sottovoce kgc show lists the epochs")

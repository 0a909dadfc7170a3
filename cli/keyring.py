"""The home folder of a user, public half: one pinned root key, and what stands under it.

::

    root                            the root key of the issuer, pinned; everything else hangs on it
    params/<mode>-<epoch>.params    parameters that it signed
    keys/<name>.pub                 keys of others, pinned under a name that the user chose
    revoked/<mode>-<epoch>.revoked  the newest revocation list of each, signed by the root key
    conflicts/*.txt                 what the issuer signed and must not have signed
    secret/<label>/                 the user's own keys (:mod:`sottovoce.cli.user.own`)

All of it is armoured text, checked again whenever it is read: who can write to the folder can take
things away, but cannot put in parameters or lists that the root key did not sign.
"""

from __future__ import annotations

import contextlib
import glob
import hashlib
import time
from collections.abc import Collection, Iterator
from pathlib import Path
from typing import Final
from urllib.parse import quote

from .._ext.errors import DecodeError, ParameterError, SenderError
from ..clsc import EpochParams, Mode, ParamsConflict, PublicKey, TrustStore, Usage
from ..clsc.revocation import RevocationConflict, RevocationList
from .armor import Label, armor, dearmor
from .console import Refused
from .files import read_blocks, write_durably
from .text import fingerprint, text_of

DEFAULT_HOME: Final = "~/.sottovoce"
_MAX_NAME_BYTES: Final = 64


class Keyring:
    """A home folder.

    Args:
        home: Made, for its owner only, when something is first written to it.
    """

    def __init__(self, home: Path | None) -> None:
        self.home = (Path(DEFAULT_HOME) if home is None else home).expanduser()

    # -- the root key ---------------------------------------------------------------------------

    def root(self) -> bytes | None:
        """The pinned root key (32 bytes), if there is one."""
        path = self.home / "root"
        if not path.exists():
            return None
        with reading(path):
            return dearmor(Label.ROOT, path.read_bytes())

    def require_root(self) -> bytes:
        """The pinned root key.

        Raises:
            Refused: None is pinned yet.
        """
        root = self.root()
        if root is None:
            raise Refused(
                f"no issuer is known in {self.home}",
                "sottovoce keygen --enrolment FILE, or sottovoce trust root FILE",
            )
        return root

    def pin_root(self, root: bytes) -> bool:
        """Believe this root key from now on, and no other.

        Returns:
            Whether it is new here: then a person should compare its fingerprint.

        Raises:
            Refused: Another one is pinned.
        """
        known = self.root()
        if known is None:
            self.write(Path("root"), armor(Label.ROOT, root))
        elif known != root:
            raise Refused(
                f"ANOTHER ROOT KEY: {fingerprint(root)}, but {fingerprint(known)} is pinned in {self.home}",
                "somebody may be posing as the issuer: compare the fingerprints with it in person; "
                "keys of a second issuer need a home of their own (--home)",
            )
        return known is None

    # -- what a verifier believes ---------------------------------------------------------------

    def trust(self, *, expired: bool = False, only: str | None = None) -> TrustStore:
        """A trust store with everything that is here: parameters, revocations, pinned keys.

        Args:
            expired: Accept keys of epochs that have ended, too.
            only: Accept no keys but those of this name, or of this own label.

        Raises:
            Refused: No root key is pinned, or the name is not known.
            DecodeError: A file was damaged; names it.
            SenderError: Two things that are here contradict each other; names one.
        """
        root = self.require_root()
        trust = _UserTrust(root, expired=expired)
        self._fill(trust)
        if only is not None:
            trust.only = frozenset(self._own(only, trust) or self.keys_of(only, trust))
        return trust

    def _own(self, label: str, trust: TrustStore) -> list[PublicKey]:
        """Public halves of the user's own keys under a label; none if it is not one."""
        paths = self.files("secret", f"{glob.escape(checked_name(label))}/*.pub")
        return [key for path in paths for key in read_public_keys(path, trust)]

    def _fill(self, trust: TrustStore) -> None:
        for path in self.files("params", "*.params"):
            with reading(path):
                trust.add_bytes(dearmor(Label.PARAMS, path.read_bytes()))
        for path in self.files("revoked", "*.revoked"):
            with reading(path):
                trust.add_revocations(dearmor(Label.REVOCATIONS, path.read_bytes()))
        for path in [*self.files("keys", "*.pub"), *self.files("secret", "*/*.pub")]:
            for key in read_public_keys(path, trust):
                pin(trust, key, path)

    def add_params(self, data: bytes, trust: TrustStore) -> EpochParams:
        """Check parameters and keep them; the same again changes nothing.

        Raises:
            DecodeError: Not parameters of the pinned root key.
            Refused: Others are known for the mode and epoch; both are kept as evidence.
        """
        params = self.believe(data, trust)
        name = Path("params", f"{params.mode}-{file_name(params.epoch)}.params")
        if not (self.home / name).exists():
            self.write(name, armor(Label.PARAMS, data))
        return params

    def believe(self, data: bytes, trust: TrustStore) -> EpochParams:
        """Check parameters for this command only, and keep nothing.

        Raises:
            DecodeError, Refused: As :meth:`add_params`.
        """
        with self._keeping_conflicts(Label.PARAMS):
            return trust.add_bytes(data)

    def add_revocations(self, data: bytes, trust: TrustStore) -> RevocationList:
        """Check a revocation list and keep it in the place of an older one, all of which it holds.

        Raises:
            DecodeError: Not a list of the pinned root key.
            SenderError: Its parameters are unknown.
            Refused: It contradicts the list that is here; both are kept as evidence.
        """
        with self._keeping_conflicts(Label.REVOCATIONS):
            revoked = trust.add_revocations(data)
        if trust.revocations(revoked.params_id) is revoked:
            params = trust.get(revoked.params_id)
            name = Path("revoked", f"{params.mode}-{file_name(params.epoch)}.revoked")
            self.write(name, armor(Label.REVOCATIONS, data))
        return revoked

    @contextlib.contextmanager
    def _keeping_conflicts(self, label: Label) -> Iterator[None]:
        """Keep what convicts the issuer: two signed things of which there may be one."""
        try:
            yield
        except (ParamsConflict, RevocationConflict) as error:
            text = armor(label, error.first) + armor(label, error.second)
            name = Path("conflicts", hashlib.sha256(text.encode()).hexdigest()[:16] + ".txt")
            self.write(name, text)
            raise Refused(
                f"THE ISSUER CONTRADICTS ITSELF: {error}; both signed texts are in {self.home / name}",
                "it shows different things to different people: show them to the issuer, and to others",
            ) from None

    # -- people -------------------------------------------------------------------------------------

    def names(self) -> list[str]:
        """The names under which keys of others are known, sorted."""
        return [path.stem for path in self.files("keys", "*.pub")]

    def keys_of(self, name: str, trust: TrustStore) -> list[PublicKey]:
        """Every key known under a name, the newest epoch first.

        Raises:
            Refused: None is.
        """
        path = self.home / "keys" / f"{checked_name(name)}.pub"
        if not path.exists():
            known = ", ".join(self.names()) or "nobody"
            raise Refused(f"{name} is not known here", f"sottovoce trust add {name}.pub; known: {known}")
        return sorted(read_public_keys(path, trust), key=newest_first)

    def resolve(self, name: str, usage: Usage, trust: TrustStore) -> PublicKey:
        """The newest key of a name that may be used now.

        Raises:
            Refused: It has none for this usage, or all of them are expired or revoked; says which.
        """
        keys = [key for key in self.keys_of(name, trust) if key.usage is usage]
        return pick(keys, trust, f"{name} has no key for usage {usage} that may be used now")

    def name_of(self, key: PublicKey, trust: TrustStore) -> str | None:
        """The name under which a key is known here."""
        for name in self.names():
            if key in self.keys_of(name, trust):
                return name
        return None

    def add_key(self, name: str, key: PublicKey, trust: TrustStore) -> bool:
        """Know a key under a name from now on.

        Returns:
            Whether it was new.

        Raises:
            Refused: The name belongs to somebody else here, or the key to another name.
        """
        path = Path("keys", f"{checked_name(name)}.pub")
        here = self.keys_of(name, trust) if name in self.names() else []
        if key in here:
            return False
        other = self.name_of(key, trust)
        if other is not None:
            raise Refused(
                f"this key is known as {other}", f"sottovoce trust remove {other}, then add it again"
            )
        for old in here:
            _check_same_person(name, old, key)
        pin(trust, key, self.home / path)
        text = "".join(
            armor(Label.PUBLIC_KEY, each.to_bytes()) for each in sorted([*here, key], key=newest_first)
        )
        self.write(path, text)
        return True

    def remove(self, name: str) -> None:
        """Forget every key of a name.

        Raises:
            Refused: It is not known.
        """
        try:
            (self.home / "keys" / f"{checked_name(name)}.pub").unlink()
        except FileNotFoundError:
            raise Refused(f"{name} is not known here", "sottovoce trust show lists who is") from None

    # -- files --------------------------------------------------------------------------------------

    def files(self, folder: str, pattern: str) -> list[Path]:
        """Files of a folder, sorted; none if it is not there.  Those of unfinished writes are left out."""
        return sorted(path for path in (self.home / folder).glob(pattern) if not path.name.startswith("."))

    def write(self, name: Path, text: str) -> None:
        """Write a text under the home folder: complete and on the disk, or not at all."""
        write_durably(self.make_folder(name.parent) / name.name, text)

    def make_folder(self, name: Path) -> Path:
        """A folder under the home folder, for its owner only; made if it is not there."""
        path = self.home / name
        # mkdir gives `mode` to the last folder only.
        for folder in reversed([path, *path.parents]):
            if folder == self.home or self.home in folder.parents:
                folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        return path


class _UserTrust(TrustStore):
    """A trust store that a user has widened or narrowed for one command.

    For one thread: it carries the moment from the question to the clock.

    Args:
        root_public_key: As for :class:`TrustStore`.
        expired: Believe keys after their epoch, too: for what was sealed or signed in it.

    Attributes:
        only: Believe these keys and no others; None for all.
    """

    def __init__(self, root_public_key: bytes, *, expired: bool) -> None:
        self._expired = expired
        self._moment = 0.0
        self.only: Collection[PublicKey] | None = None
        super().__init__(root_public_key, clock=lambda: self._moment)

    def acceptable(self, public_key: PublicKey) -> None:
        if self.only is not None and public_key not in self.only:
            raise SenderError("public key: not one of those asked for")
        self._moment = time.time()
        if self._expired:
            self._moment = min(self._moment, self.get(public_key.params.params_id).not_after)
        super().acceptable(public_key)


# -- keys -----------------------------------------------------------------------------------------


def read_public_keys(path: Path, trust: TrustStore) -> list[PublicKey]:
    """The public keys in a text; other objects in it are passed over."""
    with reading(path):
        blocks = read_blocks(str(path))
        return [PublicKey.from_bytes(data, trust) for label, data in blocks if label is Label.PUBLIC_KEY]


def pin(trust: TrustStore, key: PublicKey, path: Path) -> None:
    """Accept the name of ``key`` with no other key from now on; a blind key has none."""
    if key.mode is Mode.BLIND:
        return
    with reading(path):
        trust.pin(key)


def newest_first(key: PublicKey) -> tuple[int, int, bytes]:
    """Sorts keys: the epoch that began last comes first."""
    return -key.params.not_before, -key.params.not_after, key.to_bytes()


def pick(keys: list[PublicKey], trust: TrustStore, otherwise: str) -> PublicKey:
    """The newest of ``keys`` that ``trust`` accepts now.

    Raises:
        Refused: None; says ``otherwise`` and the reason of each.
    """
    reasons = []
    for key in sorted(keys, key=newest_first):
        try:
            trust.acceptable(key)
        except SenderError as error:
            reasons.append(f"{text_of(key.params.epoch)}: {error}")
        else:
            return key
    raise Refused(
        otherwise + (f" ({'; '.join(reasons)})" if reasons else ""),
        "get a key of the present epoch and the issuer's newest parameters, and `sottovoce trust add` them",
    )


def _check_same_person(name: str, old: PublicKey, new: PublicKey) -> None:
    if old.mode is not new.mode or (new.mode is Mode.IDENTITY and old.identity != new.identity):
        raise Refused(
            f"{name} is known here as {text_of(old.identity) or old.mode}, "
            f"and this is a key of {text_of(new.identity) or new.mode}",
            "choose another name: --name",
        )
    if old.params == new.params and old.usage is new.usage:
        raise Refused(
            f"{name} has another key for this epoch and usage",
            "ask the person which is right; `sottovoce trust remove` forgets the old one",
        )


# -- names ----------------------------------------------------------------------------------------


def checked_name(name: str) -> str:
    """A name that can be a file's and cannot be mistaken for an option or a folder.

    Raises:
        Refused: It cannot.
    """
    fits = 1 <= len(name.encode("utf-8", "surrogateescape")) <= _MAX_NAME_BYTES
    if not fits or not name.isprintable() or name[0] in ".-" or "/" in name or "\\" in name:
        raise Refused(
            f"{name!r} cannot be a name here",
            f"1 to {_MAX_NAME_BYTES} bytes of printable text without slashes, not beginning with . or -",
        )
    return name


def file_name(epoch: bytes) -> str:
    """An epoch as a part of a file name: other signs than letters, digits and ``_.-~`` as ``%XX``."""
    return quote(epoch, safe="")


@contextlib.contextmanager
def reading(path: Path) -> Iterator[None]:
    """Say which file it was."""
    try:
        yield
    except (DecodeError, ParameterError, SenderError) as error:
        message = str(error)
        if not message.startswith(f"{path}: "):
            error.args = (f"{path}: {message}", *error.args[1:])
        raise

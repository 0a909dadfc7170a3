"""The user's own keys: secret halves under a passphrase, and requests that wait for their answer.

::

    secret/<label>/<mode>-<epoch>-<usage>.key       a secret key (docs/keyfiles.md)
    secret/<label>/<mode>-<epoch>-<usage>.pub       its public half, armoured
    secret/<label>/<mode>-<epoch>-<usage>.pending   the secret of a request, until it is answered

A label is local.  For a name that the issuer knows it is that name; a blind key has none, so that its
label is the only thing that tells it from others.
"""

from __future__ import annotations

import glob
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, TypeAlias

from ...clsc import (
    BlindRequest,
    EpochParams,
    IdentityRequest,
    PublicKey,
    SecretKey,
    TraceableRequest,
    TrustStore,
    Usage,
)
from ...clsc.keyfile import load_key, save_key
from ..armor import Label, armor
from ..console import Refused
from ..keyring import Keyring, checked_name, file_name, newest_first, pick, read_public_keys
from ..text import text_of

if TYPE_CHECKING:
    from ..passphrase import Passphrase


Request: TypeAlias = IdentityRequest | BlindRequest | TraceableRequest


class OwnKeys:
    """The secret half of a keyring.

    Args:
        ring: The home folder.
        passphrase: Where the passphrases of this command come from.
    """

    def __init__(self, ring: Keyring, passphrase: Passphrase) -> None:
        self.ring = ring
        self.passphrase = passphrase

    def labels(self) -> list[str]:
        """Labels that have a key, sorted."""
        return sorted({path.parent.name for path in self.ring.files("secret", "*/*.pub")})

    def label(self, wanted: str | None) -> str:
        """The label to use: the one that was asked for, or the only one there is.

        Raises:
            Refused: There is none, or which one is not said.
        """
        labels = self.labels()
        if not labels:
            raise Refused(f"there is no key in {self.ring.home}", "sottovoce keygen --enrolment FILE")
        if wanted is None:
            if len(labels) > 1:
                raise Refused(f"there are several keys: {', '.join(labels)}", "choose one: --as LABEL")
            return labels[0]
        if wanted not in labels:
            raise Refused(f"there is no key {wanted!r}", f"--as one of: {', '.join(labels)}")
        return wanted

    def public_keys(self, label: str, trust: TrustStore) -> list[PublicKey]:
        """Public halves of a label, the newest epoch first."""
        folder = self.ring.home / "secret" / checked_name(label)
        keys = [key for path in sorted(folder.glob("*.pub")) for key in read_public_keys(path, trust)]
        return sorted(keys, key=newest_first)

    def newest(self, label: str, usage: Usage, trust: TrustStore) -> PublicKey:
        """The newest public half of a label that may be used now.

        Raises:
            Refused: There is none, or all are expired or revoked; says which.
        """
        keys = [key for key in self.public_keys(label, trust) if key.usage is usage]
        return pick(keys, trust, f"{label} has no key for usage {usage} that may be used now")

    def label_of(self, key: PublicKey, trust: TrustStore) -> str | None:
        """The label of one of the user's own keys."""
        return next((label for label in self.labels() if key in self.public_keys(label, trust)), None)

    def signer(self, label: str, trust: TrustStore) -> SecretKey:
        """The newest signing key of a label that may be used now.

        Raises:
            Refused: There is none, or all are expired or revoked.
            KeyFileError: Wrong passphrase.
        """
        return self._load(label, self.newest(label, Usage.SIGN, trust))

    def receivers(self, label: str, trust: TrustStore) -> list[Callable[[], SecretKey]]:
        """Every key of a label that can open a packet, the newest first, each to be loaded when needed.

        Those of past epochs, too: what was sent to them is still theirs to read.

        Raises:
            Refused: There is none; loading one, its files do not fit.
            KeyFileError: Loading one: wrong passphrase.
        """
        keys = [key for key in self.public_keys(label, trust) if key.usage is Usage.DECRYPT]
        if not keys:
            raise Refused(
                f"{label} has no key for opening", "sottovoce keygen --enrolment FILE --usage decrypt"
            )
        return [partial(self._load, label, key) for key in keys]

    def _load(self, label: str, public_key: PublicKey) -> SecretKey:
        path = self.path(label, public_key.params, public_key.usage, ".key")
        key = load_key(path, self.passphrase.existing(label), SecretKey)
        if key.public_key != public_key:
            raise Refused(
                f"{path} is not the secret of {path.with_suffix('.pub').name}", "one of the two was exchanged"
            )
        return key

    # -- requests and keys on the disk ------------------------------------------------------------

    def path(self, label: str, params: EpochParams, usage: Usage, suffix: str) -> Path:
        """Where a file of a key is."""
        name = f"{params.mode}-{file_name(params.epoch)}-{usage}{suffix}"
        return self.ring.home / "secret" / checked_name(label) / name

    def check_free(self, label: str, params: EpochParams, usage: Usage) -> None:
        """Refuse to ask for a key that is there, or under a name that is another person's.

        Raises:
            Refused: It is.
        """
        if self.path(label, params, usage, ".key").exists():
            what = f"{label} ({usage}, {params.mode} {text_of(params.epoch)})"
            raise Refused(
                f"there is a key of {what} already",
                "sottovoce trust show lists the keys; --as LABEL or --epoch for another one",
            )
        if label in self.ring.names():
            raise Refused(f"{label} is known here as somebody else", "choose another label: --as LABEL")

    def pending(self, label: str | None) -> list[Path]:
        """Secrets of requests that wait for their answer: of one label, or all."""
        folder = "*" if label is None else glob.escape(checked_name(label))
        return self.ring.files("secret", f"{folder}/*.pending")

    def save_pending(self, label: str, params: EpochParams, usage: Usage, request: Request) -> None:
        """Write the secret of a request; on the disk when this returns."""
        path = self.path(label, params, usage, ".pending")
        self.ring.make_folder(Path("secret", label))
        save_key(path, request, self.passphrase.new(label))

    def load_pending(self, path: Path) -> Request:
        """Read the secret of a request.

        Raises:
            KeyFileError: Wrong passphrase.
        """
        request = load_key(path, self.passphrase.existing(path.parent.name))
        if not isinstance(request, (IdentityRequest, BlindRequest, TraceableRequest)):
            raise Refused(f"{path} holds no request", "it was exchanged for another file")
        return request

    def save(self, pending: Path, key: SecretKey) -> None:
        """Write a finished key under the passphrase of its request, then remove the request."""
        path = pending.with_suffix(".key")
        if not path.exists():  # after a crash between the two it is there already
            save_key(path, key, self.passphrase.existing(pending.parent.name))
        public = path.with_suffix(".pub").relative_to(self.ring.home)
        self.ring.write(public, armor(Label.PUBLIC_KEY, key.public_key.to_bytes()))
        pending.unlink()

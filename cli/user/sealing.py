"""``seal`` and ``open``: files signcrypted to names."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import BinaryIO, Final, TypeVar

from ..._ext.errors import UnsigncryptError
from ..._ext.spool import spool
from ...clsc import (
    OpenedFile,
    PublicKey,
    SecretKey,
    TrustStore,
    Usage,
    signcrypt_file,
    unsigncrypt_file,
)
from .. import console, files
from ..console import Refused
from ..keyring import Keyring
from ..passphrase import Passphrase
from . import people
from .own import OwnKeys

T = TypeVar("T")

MAX_SHOWN_BYTES: Final = 1 << 20
"""What is thrown at a terminal: more than anybody reads, little enough to hold."""


def seal(
    ring: Keyring,
    passphrase: Passphrase,
    source: str,
    target: str | None,
    *,
    to: list[str],
    label: str | None,
    ad: bytes,
    pad: bool,
    dummies: int,
    force: bool,
    json_target: str | None,
) -> None:
    """Seal ``source`` to names; see the command's help."""
    files.check_output(target, "--output", force=force)
    files.check_binary_stdout(target, "a packet")
    own = OwnKeys(ring, passphrase)
    trust = ring.trust()
    receivers = _receivers(own, to, trust)
    opened_source = files.binary_input(source)
    sender = own.signer(own.label(label), trust)
    with console.bytes_progress("sealing") as progress, files.binary_output(target) as opened_target:
        sealed = signcrypt_file(
            opened_source,
            opened_target,
            sender=sender,
            receivers=receivers,
            ad=ad,
            pad=pad,
            dummy_slots=dummies,
            trust=trust,
            overwrite=force,
            progress=progress,
        )
    document = {
        "sender": people.person(sender.public_key, own, trust),
        "receivers": [people.person(key, own, trust) for key in receivers],
        "packet_id": sealed.packet_id.hex(),
        "plaintext_bytes": sealed.plaintext_bytes,
        "packet_bytes": sealed.n_bytes,
    }
    console.write_json(document, json_target)


def _receivers(own: OwnKeys, to: list[str], trust: TrustStore) -> list[PublicKey]:
    """The key of each name, the user's own labels included; the same name twice is once."""
    mine = set(own.labels())
    return [
        own.newest(name, Usage.DECRYPT, trust)
        if name in mine
        else own.ring.resolve(name, Usage.DECRYPT, trust)
        for name in dict.fromkeys(to)
    ]


def open_(
    ring: Keyring,
    passphrase: Passphrase,
    source: str,
    target: str | None,
    *,
    label: str | None,
    sender: str | None,
    ad: bytes,
    expired: bool,
    force: bool,
    json_target: str | None,
) -> None:
    """Open ``source``; see the command's help."""
    files.check_output(target, "--output", force=force)
    own = OwnKeys(ring, passphrase)
    trust = ring.trust(expired=expired, only=sender)
    keys = own.receivers(own.label(label), trust)

    def attempt(key: SecretKey, packet: Path | BinaryIO) -> OpenedFile:
        with console.bytes_progress("opening") as progress:
            if target is None and files.stdout_is_terminal():
                return _open_on_terminal(key, packet, trust, ad, progress)
            with files.binary_output(target) as out:
                return unsigncrypt_file(
                    packet, out, receiver=key, trust=trust, ad=ad, overwrite=force, progress=progress
                )

    opened = with_any_key(keys, files.binary_input(source), attempt)
    who = people.person(opened.sender, own, trust)
    console.note(f"from {people.line(who)}")
    console.note(f"packet {opened.packet_id.hex()}")
    document = {
        "sender": who,
        "packet_id": opened.packet_id.hex(),
        "plaintext_bytes": opened.plaintext_bytes,
    }
    console.write_json(document, json_target)


def with_any_key(
    keys: Sequence[Callable[[], SecretKey]],
    source: Path | BinaryIO,
    attempt: Callable[[SecretKey, Path | BinaryIO], T],
) -> T:
    """Try one key after the other: a packet does not say for which it is.

    Args:
        keys: Loaded one by one, because each takes the time of a passphrase.
        source: A packet; what cannot be read twice is kept in a private file, if there is a second key.
        attempt: Raises UnsigncryptError if the packet is not for this key.

    Raises:
        UnsigncryptError: It is for none of them.
    """
    with contextlib.ExitStack() as stack:
        if not isinstance(source, Path) and len(keys) > 1:
            kept = stack.enter_context(spool())
            files.copy(source, kept)
            source = kept
        for load in keys:
            if not isinstance(source, Path) and len(keys) > 1:
                source.seek(0)
            key = load()
            with contextlib.suppress(UnsigncryptError):
                return attempt(key, source)
    raise UnsigncryptError


def _open_on_terminal(
    key: SecretKey,
    packet: Path | BinaryIO,
    trust: TrustStore,
    ad: bytes,
    progress: Callable[[int, int], None],
) -> OpenedFile:
    """Show a text; refuse everything that a terminal could take for commands."""
    with spool() as kept:
        opened = unsigncrypt_file(packet, kept, receiver=key, trust=trust, ad=ad, progress=progress)
        kept.seek(0)
        shown = opened.plaintext_bytes <= MAX_SHOWN_BYTES and files.show_text(kept.read())
    if not shown:
        raise Refused("the content is not a text for a terminal", "-o FILE, or a pipe; -o - to see it anyway")
    return opened

"""The issuer's commands, declared.  Everything heavy is imported inside them."""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Final

import typer

from .. import console
from ..passphrase import Passphrase, PassphraseFd, PassphraseFile
from ..user.options import Json

if TYPE_CHECKING:
    from .folder import Folder

SETTING_UP: Final = "Setting up"
PEOPLE: Final = "People"
DISPUTES: Final = "Disputes"

kgc = typer.Typer(
    help="Run an issuer of keys (a key generation centre) in a folder.",
    no_args_is_help=True,
    rich_markup_mode="rich",
)


class EpochMode(StrEnum):
    """Kinds of names, as in :class:`sottovoce.clsc.Mode`, which is too heavy for ``--help``."""

    IDENTITY = "identity"
    TRACEABLE = "traceable"
    BLIND = "blind"


Dir = Annotated[Path, typer.Argument(metavar="DIR", help="The issuer's folder.", show_default=False)]
Output = Annotated[
    str | None, typer.Option("--output", "-o", metavar="FILE", help="Write here; - is stdout.")
]
Force = Annotated[bool, typer.Option("--force", "-f", help="Overwrite the output.")]
RootFile = Annotated[str, typer.Option("--root", metavar="FILE", help="The issuer's root.pub.")]


def _folder(path: Path) -> Folder:
    from .folder import Folder

    return Folder(path)


@kgc.command(rich_help_panel=SETTING_UP)
def init(
    folder: Dir,
    passphrase_file: PassphraseFile = None,
    passphrase_fd: PassphraseFd = None,
    json_target: Json = None,
) -> None:
    """Make a new issuer: a root key, and an empty registry.

    Prints the fingerprint of the root key. One passphrase protects all key files of the folder.
    """
    with console.command():
        from . import founding

        founding.init(_folder(folder), Passphrase(passphrase_file, passphrase_fd), json_target)


@kgc.command(rich_help_panel=SETTING_UP)
def epoch(
    folder: Dir,
    mode: Annotated[EpochMode, typer.Option("--mode", help="What kind of names the keys have.")],
    name: Annotated[str, typer.Option("--epoch", metavar="NAME", help="1 to 64 bytes, e.g. 2026-W47.")],
    not_before: Annotated[
        str, typer.Option("--from", metavar="TIME", help="A day in UTC, or a time with its zone.")
    ],
    not_after: Annotated[
        str, typer.Option("--to", metavar="TIME", help="The same, inclusive: a day to its last second.")
    ],
    threshold: Annotated[
        int, typer.Option("--threshold", metavar="T", help="Servers that issue together.")
    ] = 1,
    servers: Annotated[int, typer.Option("--servers", metavar="N", help="Servers in all.")] = 1,
    answers: Annotated[
        int, typer.Option("--answers", metavar="Q", help="Different requests a server answers a party.")
    ] = 1,
    corrupted: Annotated[
        int, typer.Option("--corrupted", metavar="F", help="Servers that may be corrupted.")
    ] = 0,
    passphrase_file: PassphraseFile = None,
    passphrase_fd: PassphraseFd = None,
    json_target: Json = None,
) -> None:
    """Begin an epoch: draw a master key and sign its parameters, once.

    With several servers the master key is shared and forgotten; each server gets a key file and its
    passphrase (kgc join). Interrupted, the same command goes on where it was.
    """
    with console.command():
        from ...clsc import Mode
        from . import epochs

        plan = epochs.Plan(
            Mode(str(mode)),
            epochs.epoch_name(name),
            epochs.second_of(not_before, "--from", end=False),
            epochs.second_of(not_after, "--to", end=True),
            threshold,
            servers,
            answers,
            corrupted,
        )
        epochs.epoch(_folder(folder), Passphrase(passphrase_file, passphrase_fd), plan, json_target)


@kgc.command(rich_help_panel=SETTING_UP)
def join(
    folder: Dir,
    share: Annotated[Path, typer.Argument(metavar="SHARE", help="server-N.key of the dealer.")],
    root: RootFile,
    share_passphrase: Annotated[
        Path,
        typer.Option("--share-passphrase-file", metavar="FILE", help="server-N.passphrase of the dealer."),
    ],
    passphrase_file: PassphraseFile = None,
    passphrase_fd: PassphraseFd = None,
    json_target: Json = None,
) -> None:
    """Make this folder one server of a threshold issuer, or take its share of another epoch.

    The share is encrypted anew under the server's own passphrase. Every server enrols the parties itself,
    with tokens of its own, so that a corrupted one cannot ask the others in their name.
    """
    with console.command():
        from . import founding

        founding.join(
            _folder(folder),
            Passphrase(passphrase_file, passphrase_fd),
            share,
            root,
            share_passphrase,
            json_target,
        )


@kgc.command(rich_help_panel=SETTING_UP)
def restore(
    folder: Dir,
    force: Annotated[
        bool, typer.Option("--force", "-f", help="Though nothing tells that the registry is an old one.")
    ] = False,
) -> None:
    """Use a registry that comes from a backup: close every epoch whose answers it may have forgotten."""
    with console.command():
        from . import founding

        founding.restore(_folder(folder), force=force)


@kgc.command(rich_help_panel=PEOPLE)
def enrol(
    folder: Dir,
    party: Annotated[str, typer.Argument(metavar="PARTY", help="Its name here.")],
    identity: Annotated[
        str | None, typer.Option("--identity", metavar="NAME", help="The name in its keys; PARTY by default.")
    ] = None,
    quota: Annotated[
        int | None,
        typer.Option("--quota", metavar="N", help="Keys for each purpose and epoch; 1 by default."),
    ] = None,
    again: Annotated[
        bool, typer.Option("--again", help="It is enrolled: the same token, with new epochs and challenges.")
    ] = False,
    output: Output = None,
    force: Force = False,
) -> None:
    """Enrol a party and write its enrolment file, which holds a secret token."""
    with console.command():
        from . import people

        people.enrol(_folder(folder), party, identity, quota, output, again=again, force=force)


@kgc.command(rich_help_panel=PEOPLE)
def admit(
    folder: Dir,
    party: Annotated[str, typer.Argument(metavar="PARTY", help="Who asks.")],
    request: Annotated[str, typer.Argument(metavar="REQUEST", help="Its request; - is stdin.")] = "-",
    output: Output = None,
    force: Force = False,
    passphrase_file: PassphraseFile = None,
    passphrase_fd: PassphraseFd = None,
) -> None:
    """Acknowledge a blind request, where several servers issue together; spends the quota.

    The servers answer (kgc issue) what enough of them have acknowledged. The same request gets the same
    acknowledgement again.
    """
    with console.command():
        from . import admitting

        secret = Passphrase(passphrase_file, passphrase_fd)
        admitting.admit(_folder(folder), party, request, secret, output, force=force)


@kgc.command(rich_help_panel=PEOPLE)
def issue(
    folder: Dir,
    party: Annotated[str, typer.Argument(metavar="PARTY", help="Who asks.")],
    request: Annotated[str, typer.Argument(metavar="REQUEST", help="Its request; - is stdin.")] = "-",
    admission: Annotated[
        list[str] | None,
        typer.Option("--admission", metavar="ACK", help="What a server's kgc admit gave; may be repeated."),
    ] = None,
    output: Output = None,
    force: Force = False,
    passphrase_file: PassphraseFile = None,
    passphrase_fd: PassphraseFd = None,
) -> None:
    """Answer a request. The same request gets the same answer again; another one spends quota."""
    with console.command():
        from . import admitting

        admitting.issue(
            _folder(folder),
            party,
            request,
            Passphrase(passphrase_file, passphrase_fd),
            output,
            shown=admission or [],
            force=force,
        )


@kgc.command(rich_help_panel=PEOPLE)
def revoke(
    folder: Dir,
    party: Annotated[str | None, typer.Argument(metavar="PARTY", help="Gets nothing more.")] = None,
    pid: Annotated[
        list[str] | None, typer.Option("--pid", metavar="HEX", help="A single key; may be repeated.")
    ] = None,
    mode: Annotated[EpochMode | None, typer.Option("--mode", help="Mode of the keys of --pid.")] = None,
    name: Annotated[
        str | None, typer.Option("--epoch", metavar="NAME", help="Epoch of the keys of --pid.")
    ] = None,
    after_list: Annotated[
        int,
        typer.Option("--after-list", metavar="N", min=0, help="Number the next list above N (kgc restore)."),
    ] = 0,
    passphrase_file: PassphraseFile = None,
    passphrase_fd: PassphraseFd = None,
    json_target: Json = None,
) -> None:
    """Revoke a party, or single keys; write the signed revocation lists to distribute.

    A list works as fast as it is distributed: whoever lacks it goes on accepting the keys.
    """
    with console.command():
        from ...clsc import Mode
        from . import revoking

        revoking.revoke(
            _folder(folder),
            Passphrase(passphrase_file, passphrase_fd),
            party,
            pid or [],
            None if mode is None else Mode(str(mode)),
            name,
            after_list,
            json_target,
        )


@kgc.command(rich_help_panel=PEOPLE)
def show(folder: Dir, json_target: Json = None) -> None:
    """Show epochs, parties, quota used and revocations. No passphrase is needed, no secret is shown."""
    with console.command():
        from . import showing

        showing.show(_folder(folder), json_target)


@kgc.command(rich_help_panel=DISPUTES)
def trace(
    folder: Dir,
    public_key: Annotated[
        str, typer.Argument(metavar="PUBKEY", help="A public key of mode traceable; - is stdin.")
    ],
    output: Output = None,
    force: Force = False,
    passphrase_file: PassphraseFile = None,
    passphrase_fd: PassphraseFd = None,
    json_target: Json = None,
) -> None:
    """Say who is behind a traceable pseudonym; -o writes the person's signed request as evidence."""
    with console.command():
        from . import tracing

        tracing.trace(
            _folder(folder),
            Passphrase(passphrase_file, passphrase_fd),
            public_key,
            output,
            force=force,
            json_target=json_target,
        )


@kgc.command("check-trace", rich_help_panel=DISPUTES)
def check_trace(
    trace: Annotated[str, typer.Argument(metavar="TRACE", help="What kgc trace -o wrote; - is stdin.")],
    root: RootFile,
    json_target: Json = None,
) -> None:
    """Check a trace that an issuer shows. Needs no secret, and nothing of the issuer but its root key."""
    with console.command():
        from . import tracing

        tracing.check_trace(trace, root, json_target)

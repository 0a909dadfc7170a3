"""The user's commands, declared.  Everything heavy is imported inside them."""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path
from typing import Annotated, Final

import typer

from .. import console
from ..passphrase import Passphrase, PassphraseFd, PassphraseFile
from .options import Force, Home, Json, Output
from .trust_commands import trust

KEYS: Final = "Keys and trust"
FILES: Final = "Files"
DISPUTES: Final = "Disputes"

As = Annotated[
    str | None,
    typer.Option("--as", metavar="LABEL", help="Which of your own keys; needed if there are several."),
]
AdText = Annotated[
    str | None,
    typer.Option("--ad", metavar="TEXT", help="Associated data: not in the packet, both sides must name it."),
]
AdFile = Annotated[
    Path | None, typer.Option("--ad-file", metavar="FILE", help="The same, as the bytes of a file.")
]
Expired = Annotated[
    bool,
    typer.Option("--expired", help="Accept a sender whose epoch has ended: its keys may have leaked since."),
]
MAX_AD_BYTES: Final = 1 << 24

# Not docstrings: typer keeps their line breaks, and they suit one width of terminal only.
_KEYGEN_HELP: Final = (
    "Get your keys from the issuer: ask with its enrolment file, finish with its answer.\n\n"
    "With --enrolment a request goes to stdout or -o; its secret waits in your home folder, under a "
    "passphrase. With --answer it becomes a key; -o then writes your public keys for others. The issuer's "
    "root key is pinned when it is first seen, and another one is refused from then on. Several servers: "
    "--enrolment 1=FILE --enrolment 2=FILE."
)
_OPEN_HELP: Final = (
    "Open a packet and say on stderr who sent it.\n\n"
    "Nothing is written before all of it was verified. The same packet opens again and again: to refuse "
    "replays, keep the packet ids that --json tells."
)
_VERIFY_HELP: Final = (
    "Verify a signature and say on stderr whose it is.\n\n"
    "Exit code 0 only for a good signature of somebody in your keyring; in a script say of whom, with --from."
)

user = typer.Typer()
user.add_typer(trust, name="trust", rich_help_panel=KEYS)


class ModeName(StrEnum):
    """:class:`sottovoce.clsc.Mode`, before anything heavy is imported."""

    IDENTITY = "identity"
    TRACEABLE = "traceable"
    BLIND = "blind"


class UsageName(StrEnum):
    """:class:`sottovoce.clsc.Usage`, before anything heavy is imported."""

    SIGN = "sign"
    DECRYPT = "decrypt"


class StrengthName(StrEnum):
    """:class:`sottovoce.clsc.Strength`, before anything heavy is imported."""

    SIGNED = "signed"
    CONTENT = "content"
    ADDRESSED = "addressed"


def _one_stdout(target: str | None, json_target: str | None, *, by_default: bool = True) -> None:
    """Refuse to mix a result and its JSON on standard output."""
    to_stdout = target == console.STDOUT or (target is None and by_default)
    if json_target == console.STDOUT and to_stdout:
        raise typer.BadParameter(
            "stdout is taken by the result: name a file, or one with -o", param_hint="--json"
        )
    console.check_writable(json_target, "--json")


def _ad(text: str | None, file: Path | None) -> bytes:
    from .. import files

    if text is not None and file is not None:
        raise typer.BadParameter("only one of --ad and --ad-file")
    if file is not None:
        return files.read_bytes(str(file), MAX_AD_BYTES)
    return b"" if text is None else text.encode("utf-8", "surrogateescape")


# -- keys -----------------------------------------------------------------------------------------


@user.command(help=_KEYGEN_HELP, rich_help_panel=KEYS)
def keygen(
    enrolment: Annotated[
        list[str] | None,
        typer.Option("--enrolment", metavar="FILE", help="Ask: the enrolment file that the issuer gave you."),
    ] = None,
    answer: Annotated[
        list[str] | None, typer.Option("--answer", metavar="FILE", help="Finish: the issuer's answer.")
    ] = None,
    label: Annotated[
        str | None, typer.Option("--as", metavar="LABEL", help="Your own name for the key; the enrolled one.")
    ] = None,
    usage: Annotated[
        UsageName | None, typer.Option("--usage", help="One key only; both by default, in mode blind sign.")
    ] = None,
    mode: Annotated[
        ModeName | None, typer.Option("--mode", help="Kind of name; identity if the issuer has it.")
    ] = None,
    epoch: Annotated[
        str | None, typer.Option("--epoch", metavar="NAME", help="The newest that is open by default.")
    ] = None,
    signer: Annotated[
        str | None,
        typer.Option("--signer", metavar="LABEL", help="Mode traceable: your identity key, which signs."),
    ] = None,
    output: Output = None,
    force: Force = False,
    json_target: Json = None,
    home: Home = None,
    passphrase_file: PassphraseFile = None,
    passphrase_fd: PassphraseFd = None,
) -> None:
    if bool(enrolment) == bool(answer):
        raise typer.BadParameter("one of --enrolment and --answer")
    _one_stdout(output, json_target, by_default=bool(enrolment))
    passphrase = Passphrase(passphrase_file, passphrase_fd)
    with console.command():
        from ...clsc import Mode, Usage
        from ..keyring import Keyring
        from . import keygen as work

        if answer:
            work.finish(
                Keyring(home), passphrase, answer, output, label=label, force=force, json_target=json_target
            )
            return
        work.ask(
            Keyring(home),
            passphrase,
            enrolment or [],
            output,
            label=label,
            mode=None if mode is None else Mode(mode),
            epoch=epoch,
            usage=None if usage is None else Usage(usage),
            signer=signer,
            force=force,
            json_target=json_target,
        )


# -- files ----------------------------------------------------------------------------------------


@user.command(rich_help_panel=FILES)
def seal(
    to: Annotated[
        list[str],
        typer.Option(
            "--to", metavar="NAME", help="Receiver: a name of your keyring, or a label of your own."
        ),
    ],
    file: Annotated[str, typer.Argument(metavar="[FILE]", help="What to seal; - or nothing is stdin.")] = "-",
    output: Output = None,
    label: As = None,
    ad: AdText = None,
    ad_file: AdFile = None,
    pad: Annotated[bool, typer.Option("--pad", help="Hide the length: up to 12 % more.")] = False,
    dummies: Annotated[
        int,
        typer.Option("--dummies", metavar="N", min=0, max=254, help="Slots that hide the number of names."),
    ] = 0,
    force: Force = False,
    json_target: Json = None,
    home: Home = None,
    passphrase_file: PassphraseFile = None,
    passphrase_fd: PassphraseFd = None,
) -> None:
    """Encrypt a file to names and sign it, so that nobody else sees who is involved."""
    _one_stdout(output, json_target)
    passphrase = Passphrase(passphrase_file, passphrase_fd)
    with console.command():
        from ..keyring import Keyring
        from . import sealing

        sealing.seal(
            Keyring(home),
            passphrase,
            file,
            output,
            to=to,
            label=label,
            ad=_ad(ad, ad_file),
            pad=pad,
            dummies=dummies,
            force=force,
            json_target=json_target,
        )


@user.command("open", help=_OPEN_HELP, rich_help_panel=FILES)
def open_(
    file: Annotated[str, typer.Argument(metavar="[FILE]", help="The packet; - or nothing is stdin.")] = "-",
    output: Output = None,
    label: As = None,
    sender: Annotated[
        str | None, typer.Option("--from", metavar="NAME", help="Refuse everybody but this name.")
    ] = None,
    ad: AdText = None,
    ad_file: AdFile = None,
    expired: Expired = False,
    force: Force = False,
    json_target: Json = None,
    home: Home = None,
    passphrase_file: PassphraseFile = None,
    passphrase_fd: PassphraseFd = None,
) -> None:
    _one_stdout(output, json_target)
    passphrase = Passphrase(passphrase_file, passphrase_fd)
    with console.command():
        from ..keyring import Keyring
        from . import sealing

        sealing.open_(
            Keyring(home),
            passphrase,
            file,
            output,
            label=label,
            sender=sender,
            ad=_ad(ad, ad_file),
            expired=expired,
            force=force,
            json_target=json_target,
        )


@user.command(rich_help_panel=FILES)
def sign(
    file: Annotated[str, typer.Argument(metavar="[FILE]", help="What to sign; - or nothing is stdin.")] = "-",
    output: Annotated[
        str | None,
        typer.Option(
            "--output", "-o", metavar="FILE", help="Write here; FILE.sig by default, stdout of stdin."
        ),
    ] = None,
    label: As = None,
    force: Force = False,
    home: Home = None,
    passphrase_file: PassphraseFile = None,
    passphrase_fd: PassphraseFd = None,
) -> None:
    """Sign a file of less than 4 GiB; the signature is a text beside it."""
    passphrase = Passphrase(passphrase_file, passphrase_fd)
    with console.command():
        from ..keyring import Keyring
        from . import signing

        signing.sign(Keyring(home), passphrase, file, output, label=label, force=force)


@user.command(help=_VERIFY_HELP, rich_help_panel=FILES)
def verify(
    file: Annotated[
        str, typer.Argument(metavar="[FILE]", help="What was signed; - or nothing is stdin.")
    ] = "-",
    signature: Annotated[
        str | None, typer.Option("--sig", metavar="FILE", help="The signature; FILE.sig by default.")
    ] = None,
    signer: Annotated[
        str | None, typer.Option("--from", metavar="NAME", help="Refuse everybody but this name.")
    ] = None,
    anyone: Annotated[
        bool, typer.Option("--anyone", help="Be content with any key of the issuer, known here or not.")
    ] = False,
    expired: Expired = False,
    json_target: Json = None,
    home: Home = None,
) -> None:
    if signer is not None and anyone:
        raise typer.BadParameter("only one of --from and --anyone")
    console.check_writable(json_target, "--json")
    with console.command():
        from ..keyring import Keyring
        from . import signing

        signing.verify(
            Keyring(home),
            file,
            signature,
            signer=signer,
            anyone=anyone,
            expired=expired,
            json_target=json_target,
        )


# -- disputes -------------------------------------------------------------------------------------


@user.command(rich_help_panel=DISPUTES)
def evidence(
    file: Annotated[str, typer.Argument(metavar="[FILE]", help="The packet; - or nothing is stdin.")] = "-",
    strength: Annotated[
        StrengthName,
        typer.Option(
            "--strength", help="signed: who; content: and what it says; addressed: and that it was for you."
        ),
    ] = StrengthName.SIGNED,
    output: Output = None,
    label: As = None,
    ad: AdText = None,
    ad_file: AdFile = None,
    expired: Expired = False,
    force: Force = False,
    home: Home = None,
    passphrase_file: PassphraseFile = None,
    passphrase_fd: PassphraseFd = None,
) -> None:
    """Make evidence of a packet that you received, for somebody who holds no key.

    No long-term key is in it. From content on it opens the packet.
    """
    passphrase = Passphrase(passphrase_file, passphrase_fd)
    with console.command():
        from ...clsc import Strength
        from ..keyring import Keyring
        from . import judging

        judging.evidence(
            Keyring(home),
            passphrase,
            file,
            output,
            strength=Strength[strength.name],
            label=label,
            ad=_ad(ad, ad_file),
            expired=expired,
            force=force,
        )


@user.command(rich_help_panel=DISPUTES)
def judge(
    file: Annotated[str, typer.Argument(metavar="[FILE]", help="The evidence; - or nothing is stdin.")] = "-",
    packet: Annotated[
        str | None, typer.Option("--packet", metavar="FILE", help="The packet: needed to see what it says.")
    ] = None,
    root: Annotated[
        str | None,
        typer.Option("--root", metavar="FILE", help="The issuer's root key; by default the pinned one."),
    ] = None,
    output: Annotated[
        str | None,
        typer.Option("--output", "-o", metavar="FILE", help="Write the content of the packet here."),
    ] = None,
    force: Force = False,
    json_target: Json = None,
    home: Home = None,
) -> None:
    """Judge evidence; needs the issuer's root key and no secret."""
    _one_stdout(output, json_target, by_default=False)
    with console.command():
        from ..keyring import Keyring
        from . import judging

        judging.judge_(
            Keyring(home), file, packet, output, root_file=root, force=force, json_target=json_target
        )

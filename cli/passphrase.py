"""Where the passphrase of a key file comes from: the terminal, a file, or a descriptor; never ``argv``.

Arguments and the environment of a process can be read by others on the machine, and end up in histories.
"""

from __future__ import annotations

import getpass
import os
import unicodedata
from typing import Annotated

import typer

from .._ext.limits import MAX_PASSPHRASE_BYTES

FileOption = Annotated[
    str | None,
    typer.Option(
        "--passphrase-file", metavar="FILE", help="Take the passphrase from the first line of FILE."
    ),
]
FdOption = Annotated[
    int | None,
    typer.Option(
        "--passphrase-fd", metavar="N", help="Take the passphrase from the first line of descriptor N."
    ),
]


def read(file: str | None, fd: int | None, what: str, *, new: bool = False) -> bytes:
    """The passphrase, from the one source that was named; else asked for on the terminal.

    Args:
        file: Value of ``--passphrase-file``.
        fd: Value of ``--passphrase-fd``.
        what: What it opens, for the prompt.
        new: It will protect a new file: asked for twice.

    Returns:
        1 to ``MAX_PASSPHRASE_BYTES`` bytes; text is in Unicode's form C, so that two keyboards that
        compose an accent differently type the same passphrase.

    Raises:
        typer.BadParameter: Two sources, none, an empty passphrase, or two that differ.
        OSError: The file cannot be read.
    """
    if file is not None and fd is not None:
        raise typer.BadParameter("give one of --passphrase-file and --passphrase-fd")
    if file is not None:
        with open(file, "rb") as stream:
            return _checked(stream.readline(MAX_PASSPHRASE_BYTES + 3), "--passphrase-file")
    if fd is not None:
        try:
            with open(fd, "rb", closefd=False) as stream:
                return _checked(stream.readline(MAX_PASSPHRASE_BYTES + 3), "--passphrase-fd")
        except OSError as error:
            raise typer.BadParameter(
                f"descriptor {fd} cannot be read: {error.strerror}", param_hint="--passphrase-fd"
            ) from None
    return _asked(what, new=new)


def _asked(what: str, *, new: bool) -> bytes:
    try:
        # getpass would fall back to standard input, echo what is typed, and eat what is piped in.
        os.close(os.open("/dev/tty", os.O_RDWR | os.O_NOCTTY))
    except OSError:
        raise typer.BadParameter(
            "no terminal to ask on", param_hint="--passphrase-file, --passphrase-fd"
        ) from None
    try:
        text = getpass.getpass(f"{'New passphrase' if new else 'Passphrase'} for {what}: ")
        if new and getpass.getpass("The same again: ") != text:
            raise typer.BadParameter("the two differ", param_hint="passphrase")
    except EOFError:
        raise typer.BadParameter("none was given", param_hint="passphrase") from None
    return _checked(text.encode("utf-8", "surrogateescape"), "passphrase")


def _checked(line: bytes, hint: str) -> bytes:
    value = line.removesuffix(b"\n").removesuffix(b"\r")
    try:
        value = unicodedata.normalize("NFC", value.decode("utf-8")).encode("utf-8")
    except UnicodeDecodeError:
        pass  # not text: as it is
    if not value:
        raise typer.BadParameter("it is empty", param_hint=hint)
    if len(value) > MAX_PASSPHRASE_BYTES:
        raise typer.BadParameter(f"at most {MAX_PASSPHRASE_BYTES} bytes expected", param_hint=hint)
    return value

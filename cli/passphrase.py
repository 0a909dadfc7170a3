"""Passphrases: asked at the terminal, or read from a file or a descriptor; never from an argument.

An argument is seen by everybody who may list processes, and a variable of the environment by every
child; a file or a descriptor is seen by whom one gives it to.
"""

from __future__ import annotations

import getpass
import os
import sys
from pathlib import Path
from typing import Annotated, Final

import typer

from .console import Refused

MAX_PASSPHRASE_BYTES: Final = 4096
_MAX_FD: Final = (1 << 31) - 1  # an int of C

PassphraseFile = Annotated[
    Path | None,
    typer.Option(
        "--passphrase-file", metavar="FILE", help="Read the passphrase from a file (its first line)."
    ),
]
PassphraseFd = Annotated[
    int | None,
    typer.Option(
        "--passphrase-fd", metavar="N", min=0, max=_MAX_FD, help="Read the passphrase from a descriptor."
    ),
]


class Passphrase:
    """Where the passphrases of one command come from.

    Args:
        file: File whose first line it is, or None.
        fd: Descriptor to read it from, or None.  With neither, a person is asked.

    Raises:
        typer.BadParameter: Both are given.
    """

    __slots__ = ("_asked", "_fd", "_file", "_made", "_read")

    def __init__(self, file: Path | None, fd: int | None) -> None:
        if file is not None and fd is not None:
            raise typer.BadParameter("only one of --passphrase-file and --passphrase-fd")
        self._file = file
        self._fd = fd
        self._read: bytes | None = None
        self._asked: bytes | None = None
        self._made: bytes | None = None

    @property
    def interactive(self) -> bool:
        """Whether a person types it, and may mistype it."""
        return self._file is None and self._fd is None

    def existing(self, what: str) -> bytes:
        """The passphrase of a key that exists.

        Args:
            what: Whose, for the prompt, e.g. ``"alice"``.  Nobody is asked twice in one command.

        Raises:
            Refused: It cannot be asked for, or is empty or too long.
            OSError: The file or descriptor cannot be read.
        """
        if not self.interactive:
            return self._given()
        if self._asked is None:
            self._asked = _checked(_prompt(f"Passphrase of {what}: "))
        return self._asked

    def again(self, what: str) -> bytes:
        """Ask once more, for a key with a passphrase of its own; only where :attr:`interactive`."""
        self._asked = None
        return self.existing(what)

    def new(self, what: str) -> bytes:
        """A passphrase for a new key; a person types it twice.

        Raises:
            Refused: As :meth:`existing`, or the two differ.
            OSError: The file or descriptor cannot be read.
        """
        if not self.interactive:
            return self._given()
        if self._made is None:
            first = _checked(_prompt(f"New passphrase for {what}: "))
            if _prompt("The same again: ") != first:
                del first
                raise Refused("the two passphrases differ", "run the command again")
            self._made = first
        return self._made

    def _given(self) -> bytes:
        if self._read is None:
            self._read = _checked(_first_line(self._file, self._fd))
        return self._read

    def __repr__(self) -> str:
        return "Passphrase(...)"


def _first_line(file: Path | None, fd: int | None) -> bytes:
    if file is not None:
        with file.open("rb") as stream:
            data = stream.read(MAX_PASSPHRASE_BYTES + 3)
    else:
        assert fd is not None
        with os.fdopen(fd, "rb", closefd=False) as stream:
            data = stream.read(MAX_PASSPHRASE_BYTES + 3)
    return data.partition(b"\n")[0].removesuffix(b"\r")


def _checked(passphrase: bytes) -> bytes:
    reason = None
    if not passphrase:
        reason = "the passphrase is empty"
    elif len(passphrase) > MAX_PASSPHRASE_BYTES:
        reason = f"the passphrase is longer than {MAX_PASSPHRASE_BYTES} bytes"
    if reason is not None:
        del passphrase  # a traceback keeps the variables of the frame that raises
        raise Refused(reason, "several words that nobody would guess, in one line")
    return passphrase


def _prompt(text: str) -> bytes:
    if not _terminal_is_there():
        # getpass would read it from standard input then, with an echo, out of the middle of the data.
        raise Refused(
            "there is no terminal to ask for the passphrase", "--passphrase-file FILE or --passphrase-fd N"
        )
    try:
        return getpass.getpass(text).encode()
    except EOFError:
        raise Refused("no passphrase was typed", "--passphrase-file FILE or --passphrase-fd N") from None


def _terminal_is_there() -> bool:
    try:
        os.close(os.open("/dev/tty", os.O_RDWR | os.O_NOCTTY))
    except OSError:
        return sys.stdin is not None and sys.stdin.isatty()
    return True

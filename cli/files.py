"""Where a command reads from and writes to: files, pipes, and ``-``.

An output is complete or not there, is never overwritten unasked, and bytes that are no text are not
thrown at a terminal.
"""

from __future__ import annotations

import contextlib
import errno
import os
import shutil
import sys
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import BinaryIO, Final

import typer

from . import console
from .armor import Label, dearmor_any
from .console import STDOUT, Refused

STDIN: Final = "-"
MAX_TEXT_BYTES: Final = 1 << 25
"""Evidence of a long packet is the longest text; anything longer is a file given by mistake."""

_SHORT_LINE: Final = 8
_MANY_LINES: Final = 1000
"""Blank lines between blocks that nobody minds."""

_COPY_BYTES: Final = 1 << 20
FORCE_HINT: Final = "--force overwrites it"


# -- input ----------------------------------------------------------------------------------------


def binary_input(name: str) -> Path | BinaryIO:
    """What a streaming function of the library reads: a path, or standard input.

    Raises:
        Refused: Standard input is a terminal: nobody types a packet.
        OSError: The file is not there, or is a folder.
    """
    if name != STDIN:
        path = Path(name)
        if path.stat() and path.is_dir():  # told before anybody types a passphrase
            raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR), name)
        return path
    if sys.stdin is None:
        raise Refused("standard input is closed", "name a file")
    if sys.stdin.isatty():
        raise Refused("standard input is a terminal", "name a file, or send one through a pipe")
    # Unbuffered: between two reads of a buffered stream Python does not look for Ctrl-C.
    stream: BinaryIO = getattr(sys.stdin.buffer, "raw", sys.stdin.buffer)
    # Whoever started us may have left it so that reads do not wait; an answer of "nothing yet" would look
    # like the end.
    with contextlib.suppress(OSError):
        os.set_blocking(stream.fileno(), True)
    return stream


def copy(source: BinaryIO, target: BinaryIO) -> None:
    """Everything from one stream to the other."""
    shutil.copyfileobj(source, target, _COPY_BYTES)


def read_bytes(name: str, max_bytes: int) -> bytes:
    """A small file, or standard input, whole.

    Raises:
        Refused: It is longer than ``max_bytes``.
        OSError: It cannot be read.
    """
    if name == STDIN:
        if sys.stdin is None:
            raise Refused("standard input is closed", "name a file")
        data = sys.stdin.buffer.read(max_bytes + 1)
    else:
        with Path(name).open("rb") as stream:
            data = stream.read(max_bytes + 1)
    if len(data) > max_bytes:
        raise Refused(f"{name} is longer than {max_bytes} bytes", "is it the right file?")
    return data


def read_blocks(name: str) -> list[tuple[Label, bytes]]:
    """The armoured objects of a text, in order; at least one.

    Between two blocks there may be blank lines only.

    Raises:
        Refused: It is too long.
        DecodeError: Not such a text; the message begins with its name.
        OSError: It cannot be read.
    """
    from .._ext.errors import DecodeError

    data = read_bytes(name, MAX_TEXT_BYTES)
    # Each line becomes an object of its own: of one-letter lines there would be a gigabyte of them.
    if data.count(b"\n") + data.count(b"\r") > _MANY_LINES + len(data) // _SHORT_LINE:
        raise DecodeError(f"{name}: armour: not an armoured text (its lines are too short)")
    try:
        return [dearmor_any(text) for text in _split(data)]
    except DecodeError as error:
        raise DecodeError(f"{name}: {error}") from None


def _split(data: bytes) -> Iterator[bytes]:
    """Each block with its two frame lines; what is not a block is left to the parser to refuse."""
    block: list[bytes] = []
    for line in data.splitlines():
        if not block and not line.strip():
            continue
        block.append(line)
        if line.startswith(b"-----END "):
            yield b"\n".join(block)
            block = []
    if block or not data.strip():
        yield b"\n".join(block)


def of_label(blocks: Iterable[tuple[Label, bytes]], label: Label) -> list[bytes]:
    """The objects under one label, in order."""
    return [data for found, data in blocks if found is label]


# -- output ---------------------------------------------------------------------------------------


def check_output(name: str | None, option: str, *, force: bool) -> None:
    """Refuse, before any work and any passphrase, an output that could not be written after it.

    Raises:
        typer.BadParameter: As :func:`console.check_place`.
        Refused: Something is there and ``force`` is not given.
    """
    taken = name is not None and os.path.lexists(name) and not Path(name).is_dir() and not is_special(name)
    if taken and name != STDOUT and not force:
        raise Refused(f"{name} is there already", FORCE_HINT)
    console.check_place(name, option)


def same_file(one: str | None, other: str | None) -> bool:
    """Whether two names, neither of them a standard stream, lead to one place, be something there or not."""
    if one in (None, STDOUT) or other in (None, STDOUT):
        return False
    return os.path.realpath(str(one)) == os.path.realpath(str(other))


def keep(name: str | None, option: str, keys: dict[str, str]) -> None:
    """Refuse an output in the place of a key that the same command uses: ``--force`` is not meant for those.

    Args:
        name: The output.
        option: Its option, for the message.
        keys: Options and the names given with them.

    Raises:
        typer.BadParameter: One of them is that file.
    """
    for other, key in keys.items():
        if same_file(name, key):
            raise usage(f"{name} is the file of {other}", option)


def is_special(name: str | Path) -> bool:
    """Whether something is there that is neither a file nor a folder: ``/dev/null``, ``>(...)``."""
    path = Path(name)
    return path.exists() and not path.is_file() and not path.is_dir()


def check_binary_stdout(name: str | None, what: str) -> None:
    """Refuse to throw bytes at a terminal, unless it was named with ``-o -``.

    Raises:
        Refused: No output was named and standard output is a terminal, or it is closed.
    """
    if name is not None and name != STDOUT:
        return
    if sys.stdout is None:
        raise Refused("standard output is closed", "-o FILE")
    if name is None and sys.stdout.isatty():
        raise Refused(
            f"{what} is not text, and standard output is a terminal",
            "-o FILE, or a pipe; -o - if you want it on the terminal all the same",
        )


@contextlib.contextmanager
def binary_output(name: str | None) -> Iterator[Path | BinaryIO]:
    """What a streaming function of the library writes to.

    Yields:
        A path, where it makes a new file or replaces one in one step; or an open stream: standard
        output, a device, a pipe.
    """
    if name is None or name == STDOUT:
        yield sys.stdout.buffer
        sys.stdout.buffer.flush()
    elif is_special(name):
        with Path(name).open("wb") as stream:
            yield stream
    else:
        # The library refuses to replace a symbolic link; a user who names one means its target.
        yield Path(name).resolve()


def stdout_is_terminal() -> bool:
    """Whether a person would see what goes to standard output."""
    return sys.stdout is not None and sys.stdout.isatty()


def write_text(text: str, name: str | None, *, private: bool = False) -> None:
    """Write a text to a file (atomically) or, without a name or with ``-``, to standard output.

    Args:
        text: ASCII.
        name: Checked by :func:`check_output`.
        private: For its owner only.
    """
    if name is None or name == STDOUT:
        if sys.stdout is None:
            raise Refused("standard output is closed", "-o FILE")
        sys.stdout.write(text)
        sys.stdout.flush()
        return
    before = os.umask(0o077) if private else None
    try:
        with console.atomic_file(name) as path:
            path.write_text(text, encoding="ascii")
    finally:
        if before is not None:
            os.umask(before)


def write_durably(path: Path, text: str) -> None:
    """Write a text atomically, and have it on the disk when this returns.

    For what is relied upon afterwards: what a registry says is published, the public half of a key whose
    request is then removed.
    """
    with console.atomic_file(path) as temporary, temporary.open("w", encoding="ascii") as file:
        file.write(text)
        file.flush()
        os.fsync(file.fileno())
    handle = os.open(path.parent, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def show_text(data: bytes) -> bool:
    """Write bytes to standard output if a terminal can show them as text; else write nothing."""
    try:
        text = data.decode("utf-8")
    except UnicodeDecodeError:
        return False
    # Escape sequences of whoever sent it would be obeyed by the terminal.
    if not all(sign.isprintable() or sign in "\n\r\t" for sign in text):
        return False
    sys.stdout.write(text)
    sys.stdout.flush()
    return True


def usage(message: str, option: str) -> typer.BadParameter:
    """A usage error (exit code 2) that names its option."""
    return typer.BadParameter(message, param_hint=option)

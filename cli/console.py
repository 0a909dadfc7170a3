"""Manners of the command line: streams, colours, progress, errors with hints, exit codes, files.

Results go to stdout, everything else to stderr.  Colour follows ``NO_COLOR`` and the terminal (rich
does both); a progress bar is drawn only where stderr is a terminal.  A character that a stream's
encoding lacks is replaced by a plain one.  A file is either complete or not there: it is written
beside its place and moved.
"""

from __future__ import annotations

import codecs
import contextlib
import errno
import io
import json
import os
import sys
import tempfile
from collections.abc import Callable, Iterator
from contextvars import ContextVar
from importlib import import_module
from pathlib import Path
from typing import Any, Final

import typer
from rich.console import Console
from rich.progress import (
    BarColumn,
    DownloadColumn,
    MofNCompleteColumn,
    Progress,
    TaskID,
    TextColumn,
    TimeElapsedColumn,
    TimeRemainingColumn,
    TransferSpeedColumn,
)

EXIT_FAILED: Final = 1
EXIT_USAGE: Final = 2
EXIT_INTERRUPTED: Final = 130  # 128 + SIGINT, what a shell reports for a process that Ctrl-C ended

STDOUT: Final = "-"
"""The file name that means standard output, as in most commands."""

# Rich takes 80 columns where there is no terminal; our widest table needs a few more.
_WIDTH_WITHOUT_TERMINAL: Final = 100

_BAR_FROM_BYTES: Final = 8 << 20

# What to try, by exception class; the class of an error decides, from the most special one up.  In
# the library an error says what is wrong; only a person at a terminal needs to hear what to do.
_HINTS: Final[dict[str, str]] = {
    "KernelUnavailable": "unset the variable that the message names; without it the best back end is taken",
    "ProtocolError": "the round was refused as a whole; more --clients leave more of them after losses",
    "TooManyErasures": (
        "more shards were lost than the code can bear; look for more of them, or raise n or lower the loss"
    ),
    "DamageError": (
        "sottovoce rs verify tells which; where the file can be recovered, rs join does, and rs repair makes "
        "the shards again"
    ),
    "MixedShardsError": "name the shards of one file",
    "AuditError": "keep the record: with the signatures in it, it shows what the aggregator did",
    "UnsigncryptError": (
        "it may be for another of your keys (--as), sealed with associated data (--ad), cut or changed on "
        "its way, or no packet at all"
    ),
    "SenderError": (
        "the epoch may have ended (--expired), parameters be unknown, a key revoked, the name belong to "
        "another key, or the sender not be the one of --from: see sottovoce trust show"
    ),
    "SignatureError": "file and signature must be those of one signer and of one moment, to the last byte",
    "EvidenceError": "evidence and packet must be of one packet, as it was received",
    "DecodeError": "is it the right file, and complete?",
    "OverflowDetected": (
        "a file was changed on its way, added more than once, or not made as declared; ask for it again"
    ),
    "IssueError": "the answer must be to the newest request; or ask the issuer what it refused",
    "TooFewAnswers": "ask more servers, or the same again: the request stays as it was",
    "ParameterError": "an option or an environment variable is out of its range; see --help",
    "KeyFileError": "type the passphrase again; if it is right the file is damaged, and only a backup helps",
    "RegistryError": (
        "is there space, and the right to write? a registry out of a backup: sottovoce kgc restore"
    ),
    "TransportError": "is the service there, and is it the right URL? its log says more than its answer",
    "SottovoceError": "run it again; if it stays, report it with the output of `sottovoce --version`",
}


_SPACE_HINT: Final = (
    "free some, or name another place: pipes, and what is opened into one, are kept in TMPDIR meanwhile"
)

# Optional modules that the library itself asks for, when a variable or a conversion tells it to.
_EXTRAS: Final[dict[str, str]] = {"phe": "phe", "py_ecc": "reference"}

# Plain signs of the same width, so that tables stay straight.  Rich draws plain frames by itself.
_PLAIN: Final[dict[str, str]] = {"µ": "u", "…": "~"}
_PLAINLY: Final = "sottovoce.plainly"

_LAST_STANDARD: Final = 2  # the descriptor of stderr


class CheckFailed(Exception):  # noqa: N818  # says what happened
    """A check that the command makes of its own result does not hold (exit code 1)."""


class Refused(Exception):  # noqa: N818  # says what happened
    """The command does not do what was asked, and knows what would help (exit code 1).

    Attributes:
        hint: What to try, for a person at a terminal.
    """

    def __init__(self, message: str, hint: str) -> None:
        super().__init__(message)
        self.hint = hint


class MissingExtra(Exception):  # noqa: N818  # says what happened
    """An optional dependency is not installed (exit code 2).

    Attributes:
        extra: The extra of the package that brings it.
    """

    def __init__(self, module: str, extra: str) -> None:
        super().__init__(f"the module {module!r} is not installed")
        self.extra = extra


def prepare_streams() -> None:
    """Let stdout and stderr take any text: what their encoding lacks becomes a plain sign, or ``?``.

    A result must not be lost over a sign: not in the C locale, not in a pipe with another encoding,
    and not for a file name that is no text.
    """
    # A closed descriptor is the next that is given out: a registry must not be where errors are written.
    while (descriptor := os.open(os.devnull, os.O_RDWR)) <= _LAST_STANDARD:
        pass
    os.close(descriptor)
    codecs.register_error(_PLAINLY, _plainly)
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):  # None where the descriptor is closed
            stream.reconfigure(errors=_PLAINLY)


def _plainly(error: UnicodeError) -> tuple[str, int]:
    if not isinstance(error, UnicodeEncodeError):
        raise error
    lacking = error.object[error.start : error.end]
    return "".join(_PLAIN.get(sign, "?") for sign in lacking), error.end


def stdout() -> Console:
    """A console on standard output, for results."""
    return _console(stderr=False)


def stderr() -> Console:
    """A console on standard error, for everything that is not a result."""
    return _console(stderr=True)


def _console(*, stderr: bool) -> Console:
    stream = sys.stderr if stderr else sys.stdout
    # A closed descriptor leaves None; rich then prints to nobody.
    free = "COLUMNS" in os.environ or (stream is not None and stream.isatty())
    return Console(stderr=stderr, highlight=False, width=None if free else _WIDTH_WITHOUT_TERMINAL)


def results_console(json_target: str | None) -> Console:
    """Where tables go: stdout, unless stdout was asked for the JSON; then stderr."""
    return stderr() if json_target == STDOUT else stdout()


def progress() -> Progress:
    """A progress bar on stderr, silent unless stderr is a terminal.

    Each task has a free text field ``stage``, shown behind the bar.
    """
    drawn = sys.stderr is not None and sys.stderr.isatty()
    return Progress(
        TextColumn("{task.description}"),
        BarColumn(bar_width=28),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
        TextColumn("[dim]{task.fields[stage]}"),
        # Quiet as well: some versions of rich end a disabled bar with an empty line.
        console=Console(stderr=True, quiet=not drawn),
        transient=True,
        disable=not drawn,
    )


@contextlib.contextmanager
def bytes_progress(doing: str, drawn_from: int | None = None) -> Iterator[Callable[[int, int], None]]:
    """A progress bar for a large file, on stderr if that is a terminal.

    Args:
        doing: What is going on, e.g. ``"sealing"``.
        drawn_from: Bytes in all from which it is worth it; fewer where a byte takes long.

    Yields:
        A function of bytes done and bytes in all.  Below ``drawn_from``, 8 MiB, it draws nothing: that is
        over before anybody could read a bar.
    """
    drawn = sys.stderr is not None and sys.stderr.isatty()
    bar = Progress(
        TextColumn("{task.description}"),
        BarColumn(bar_width=28),
        DownloadColumn(binary_units=True),
        TransferSpeedColumn(),
        TimeRemainingColumn(),
        console=Console(stderr=True, quiet=not drawn),
        transient=True,
        disable=not drawn,
    )
    tasks: list[TaskID] = []

    def show(done: int, total: int) -> None:
        if total < (_BAR_FROM_BYTES if drawn_from is None else drawn_from):
            return
        if not tasks:
            bar.start()
            tasks.append(bar.add_task(doing, total=total))
        bar.update(tasks[0], completed=done, total=total)

    try:
        yield show
    finally:
        if tasks:
            bar.stop()


def pip_line(extra: str) -> str:
    """The line that adds an extra to the installed package, wherever that came from."""
    return f'pip install "sottovoce[{extra}]"'


def install_hint(extra: str) -> str:
    """The line that installs an extra, from an index and from a checkout."""
    return f'{pip_line(extra)} (from a checkout: pip install ".[{extra}]")'


def require(extra: str, *modules: str) -> None:
    """Import optional modules, or say how to get them.

    Args:
        extra: The extra that brings them.
        *modules: Top-level names.

    Raises:
        MissingExtra: One of them is not installed.
    """
    for module in modules:
        try:
            import_module(module)
        except ModuleNotFoundError as error:
            # Only the module itself or one that it needs: an ImportError inside our own code is a bug.
            if error.name is None or error.name.partition(".")[0] == "sottovoce":
                raise
            raise MissingExtra(error.name, extra) from error


@contextlib.contextmanager
def http_command() -> Iterator[None]:
    """As :func:`command`, for what needs the extra ``http``."""
    with command():
        require("http", "httpx", "prometheus_client", "starlette", "uvicorn")
        yield


@contextlib.contextmanager
def command() -> Iterator[None]:
    """Run the body of a command: turn every foreseen error into lines on stderr and an exit code.

    An unforeseen exception keeps its traceback: it is a bug, and is to be reported with it.

    Raises:
        typer.Exit: 1 for :class:`CheckFailed`, :class:`Refused`, the library's errors and a failing
            file system; 2 for an extra that is not installed; 130 for Ctrl-C.
    """
    try:
        yield
    except KeyboardInterrupt:
        _complain("interrupted", None)
        raise typer.Exit(EXIT_INTERRUPTED) from None
    except CheckFailed as error:
        _complain(f"check failed: {error}", None)
        raise typer.Exit(EXIT_FAILED) from None
    except Refused as error:
        _complain(str(error), error.hint)
        raise typer.Exit(EXIT_FAILED) from None
    except MissingExtra as error:
        _complain(str(error), install_hint(error.extra))
        raise typer.Exit(EXIT_USAGE) from None
    except OSError as error:
        if error.errno == errno.EPIPE:  # the reader of our pipe has left; typer ends quietly
            raise
        hint = _SPACE_HINT if error.errno in (errno.ENOSPC, errno.EDQUOT) else None
        _complain(f"{error.strerror or error}" + (f": {error.filename}" if error.filename else ""), hint)
        raise typer.Exit(EXIT_FAILED) from None
    except Exception as error:
        hint = _hint(error)
        if hint is None:
            raise
        extra = _lacking_extra(error)
        _complain(f"{type(error).__name__}: {error}", hint if extra is None else install_hint(extra))
        raise typer.Exit(EXIT_FAILED if extra is None else EXIT_USAGE) from None


def _lacking_extra(error: Exception) -> str | None:
    """The extra for want of which the library failed, if that was the cause."""
    cause = error.__cause__
    if not isinstance(cause, ModuleNotFoundError) or cause.name is None:
        return None
    return _EXTRAS.get(cause.name.partition(".")[0])


def _hint(error: Exception) -> str | None:
    """The hint for an error of the library; None for any other exception."""
    from .._ext.errors import SottovoceError

    if not isinstance(error, SottovoceError):
        return None
    return next(_HINTS[cls.__name__] for cls in type(error).__mro__ if cls.__name__ in _HINTS)


def note(message: str) -> None:
    """A line on stderr for a person; whoever wants it as data asks for JSON."""
    stderr().print(printable(message), markup=False, soft_wrap=True)


def printable(message: str) -> str:
    """A file name may hold anything: what a terminal would obey becomes ``?``."""
    return "".join(sign if sign.isprintable() else "?" for sign in message)


def _complain(message: str, hint: str | None) -> None:
    console = stderr()
    # soft_wrap: a message is one line, so that it can be searched for; no markup inside it.
    console.print("[bold red]error:[/] ", end="")
    console.print(printable(" ".join(message.split())), markup=False, soft_wrap=True)
    if hint is not None:
        console.print("[bold]hint:[/] ", end="")
        console.print(printable(hint), markup=False, soft_wrap=True)


def check_writable(path: str | None, option: str) -> None:
    """Refuse a side output, such as ``--json``, that cannot be written or would take another file's place.

    Asked before the work whose result it should take.  No file that the same command reads or writes is
    replaced: a report about a record is not worth the record.

    Args:
        path: A file name, :data:`STDOUT`, or None for no file.
        option: The option that it came from, for the message.

    Raises:
        typer.BadParameter: The folder is missing or cannot be written, or the name is a folder's or a
            key file's, or that of another file of this command; or standard output is closed.
    """
    check_place(path, option)
    if path is not None and path != STDOUT:
        _keep_others(Path(path), option)


def check_place(path: str | None, option: str) -> None:
    """As :func:`check_writable`, but whether another parameter names this file is not looked at.

    Raises:
        typer.BadParameter: As there.
    """
    if path == STDOUT and sys.stdout is None:
        raise typer.BadParameter("standard output is closed", param_hint=option)
    if path is None or path == STDOUT:
        return
    target = Path(path)
    if target.is_dir():
        raise typer.BadParameter(f"{path} is a folder, expected a file name", param_hint=option)
    if _is_special(target):
        return
    if _is_key_file(target):
        raise typer.BadParameter(f"{path} is a key file, and those are never overwritten", param_hint=option)
    folder = target.resolve().parent
    if not folder.is_dir():
        raise typer.BadParameter(f"the folder {target.parent} does not exist", param_hint=option)
    try:
        # Rights alone do not tell: a file system can be read-only or full.
        with tempfile.TemporaryFile(dir=folder):
            pass
    except OSError as error:
        raise typer.BadParameter(
            f"the folder {target.parent} cannot be written: {error.strerror}", param_hint=option
        ) from None


_running: ContextVar[typer.Context | None] = ContextVar("running", default=None)


def side_output(context: typer.Context, value: str | None) -> str | None:
    """The callback of every option whose file :func:`check_writable` checks: says whose option it is."""
    _running.set(context)
    return value


def side_file(option: str, help_: str) -> Any:
    """Such an option: the name of a file that is written beside the result.

    Args:
        option: As it is typed, ``--json``.
        help_: What ``--help`` says of it.
    """
    return typer.Option(option, metavar="FILE", callback=side_output, help=help_)


def _keep_others(target: Path, option: str) -> None:
    """Refuse to write where another parameter of the running command reads or writes."""
    context = _running.get()
    if context is None or _is_special(target):
        return
    place, there = target.resolve(), target.exists()
    for parameter in context.command.params:
        value = context.params.get(parameter.name or "")
        name = parameter.opts[0] if parameter.param_type_name == "option" else parameter.human_readable_name
        # A word that is no file name may be that of a file by chance, which is then not to be lost either.
        if option in parameter.opts or not (there or "FILE" in f"{name} {getattr(parameter, 'metavar', '')}"):
            continue
        for each in value if isinstance(value, (list, tuple)) else [value]:
            if not isinstance(each, (str, Path)) or str(each) in ("", STDOUT):
                continue
            if Path(each).resolve() == place:
                raise typer.BadParameter(f"{target} is the file of {name}", param_hint=option)


@contextlib.contextmanager
def atomic_file(path: str | Path) -> Iterator[Path]:
    """Give a temporary path beside ``path``; move it there if the body ends well, else remove it.

    A symbolic link is followed; a device or a pipe, where nothing can be replaced, is written directly.

    Args:
        path: The place of the finished file.  Its suffix is kept (matplotlib reads the format there).

    Yields:
        The path to write to.
    """
    if _is_special(Path(path)):
        yield Path(path)
        return
    target = Path(path).resolve()
    handle, name = tempfile.mkstemp(prefix=f".{target.stem}-", suffix=target.suffix, dir=target.parent)
    os.close(handle)
    temporary = Path(name)
    try:
        yield temporary
        # mkstemp makes files for the owner only; a result has the rights any new file would have.
        mask = os.umask(0)
        os.umask(mask)
        temporary.chmod(0o666 & ~mask)
        temporary.replace(target)
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise


def _is_special(path: Path) -> bool:
    """Whether something is there that is neither a file nor a folder: ``/dev/stdout``, ``>(...)``."""
    return path.exists() and not path.is_file() and not path.is_dir()


def _is_key_file(path: Path) -> bool:
    from .._ext.sealed import MAGIC

    try:
        with path.open("rb") as stream:
            return stream.read(len(MAGIC)) == MAGIC
    except OSError:  # nothing there; and what can be written need not be readable
        return False


def write_json(document: dict[str, Any], target: str | None) -> None:
    """Write a document to a file (atomically) or to stdout.

    Args:
        document: What to write; NaN and infinities are refused, because they are not JSON.
        target: File name, :data:`STDOUT`, or None for nothing at all.
    """
    if target is None:
        return
    text = json.dumps(document, indent=2, allow_nan=False) + "\n"
    if target == STDOUT:
        sys.stdout.write(text)
        sys.stdout.flush()
        return
    with atomic_file(target) as path:
        path.write_text(text, encoding="utf-8")

"""Sessions of several commands in one folder, written as a person would type them.

==================================  ================================================================
``as NAME``                         the home folder of the next commands; the passphrase is of all
``file NAME TEXT``                  make a file
``clock DAYS``                      the next commands run so many days later
``issuer open MODE EPOCH [k=v]``    a new epoch (``ends=3``, ``threshold=2 servers=3``)
``issuer enrol PARTY FILE``         an enrolment file (``server=2``, ``challenges=1``)
``issuer answer PARTY REQ FILE``    the answer to a request (``server=2``)
``issuer root|params FILE``         public files
``issuer revoke KEYS FILE``         a revocation list of the keys in a file (``number=2``)
``issuer forget``                   it can make a second key for every name
``other ...``, ``twin ...``         another issuer; and one that has the root key of ``issuer``
``$ sottovoce ...``                 a command, in this process
``$ ... | sottovoce ...``           a line for the shell, with processes
``exit N``                          its exit code; then as in ``scripts/``:
``stdout ...``, ``stderr ...``      what it said; a stream that is not named must be empty
``same A B``                        two files are equal
``none A...``                       these files do not exist
``mode FILE 0600``                  its rights
==================================  ================================================================

``file``, ``issuer`` and the last three may stand between any two commands.
"""

import os
import re
import shlex
import stat
import subprocess
import sys
import time
from dataclasses import dataclass, field
from pathlib import Path

from typer.testing import CliRunner

from sottovoce.cli.app import app
from sottovoce.clsc import Mode
from support.cli_command import environment
from support.cli_issuer import DAY, CliIssuer

PASSPHRASE = "nobody hears a word"


def plain(text):
    """Without frames, and with single blanks."""
    return " ".join(re.sub("[─│╭╮╰╯]", " ", text).split())


def matches(expected, text):
    """``...`` stands for anything."""
    pattern = ".*".join(re.escape(part) for part in plain(expected).split("..."))
    return re.fullmatch(pattern, plain(text), re.DOTALL) is not None


@dataclass
class Step:
    """A line, and for a command what it must do."""

    line: int
    words: str
    exit_code: int | None = None
    streams: dict[str, str] = field(default_factory=lambda: {"stdout": "", "stderr": ""})


def parse(path):
    """The steps of a session."""
    steps = []
    for number, line in enumerate(path.read_text().splitlines(), 1):
        word, _, rest = line.partition(" ")
        if word == "exit":
            steps[-1].exit_code = int(rest)
        elif word in ("stdout", "stderr"):
            steps[-1].streams[word] = rest
        elif line and not line.startswith("#"):
            steps.append(Step(number, line))
    assert all(s.exit_code is not None for s in steps if s.words.startswith("$ ")), path.name
    return steps


class Session:
    """Runs steps in a folder."""

    def __init__(self, folder, monkeypatch):
        self.folder = folder
        self.monkeypatch = monkeypatch
        self.home = "home"
        self.days = 0
        self.issuer = CliIssuer()
        self.issuers = {"issuer": self.issuer, "other": CliIssuer(), "twin": self.issuer.twin()}
        (folder / "pw").write_text(PASSPHRASE + "\n")
        monkeypatch.chdir(folder)

    def run(self, step):
        """Do one step; AssertionError if it does not do what it says."""
        word, _, rest = step.words.partition(" ")
        if word == "$":
            self._command(step, rest)
        elif word in self.issuers:
            self._issuer(self.issuers[word], *shlex.split(rest))
        else:
            getattr(self, f"_{word}")(*shlex.split(rest))

    def do(self, line):
        """A command that must succeed, whatever it says."""
        code, stdout, stderr = self._in_process(line)
        assert code == 0, f"{line}: {stdout}{stderr}"

    # -- commands -----------------------------------------------------------------------------------

    def _command(self, step, line):
        shell = re.search(r"[|<>&;$]", line) is not None
        code, stdout, stderr = self._in_shell(line) if shell else self._in_process(line)
        assert code == step.exit_code, f"line {step.line}: {code}\n{stdout}\n{stderr}"
        for name, text in (("stdout", stdout), ("stderr", stderr)):
            assert matches(step.streams[name], text), f"line {step.line}: {name}: {text}"
            assert PASSPHRASE not in text
            assert "Traceback" not in text
        hidden = [str(p) for p in self.folder.iterdir() if p.name.startswith(".")]
        assert hidden == [], f"line {step.line}: an unfinished file was left"

    def _in_process(self, line):
        program, *arguments = shlex.split(line)
        assert program == "sottovoce"
        real = time.time
        with self.monkeypatch.context() as patched:
            patched.setattr(time, "time", lambda: real() + self.days * DAY)
            result = CliRunner().invoke(app, arguments, prog_name="sottovoce", env=self._environment())
        if result.exception is not None and not isinstance(result.exception, SystemExit):
            raise result.exception
        return result.exit_code, _text(result.stdout_bytes), _text(result.stderr_bytes)

    def _in_shell(self, line):
        assert self.days == 0
        done = subprocess.run(
            ["bash", "-o", "pipefail", "-c", line],
            cwd=self.folder,
            env=environment({**self._environment(), "PATH": f"{self._bin()}:{os.environ['PATH']}"}),
            stdin=subprocess.DEVNULL,
            capture_output=True,
            timeout=120,
            check=False,
        )
        return done.returncode, _text(done.stdout), _text(done.stderr)

    def _bin(self):
        """A folder with the command, as an installation makes it."""
        script = self.folder / "bin" / "sottovoce"
        if not script.exists():
            script.parent.mkdir()
            script.write_text(f'#!/bin/sh\nexec {shlex.quote(sys.executable)} -m sottovoce "$@"\n')
            script.chmod(0o755)
        return script.parent

    def _environment(self):
        return {"SOTTOVOCE_HOME": str(self.folder / self.home), "COLUMNS": "100"}

    # -- everything else ------------------------------------------------------------------------------

    def _issuer(self, issuer, verb, *words):
        named = dict(word.split("=") for word in words if "=" in word)
        numbers = {name: int(value) for name, value in named.items()}
        plainly = [word for word in words if "=" not in word]
        if verb == "open":
            issuer.open(Mode(plainly[0]), plainly[1], **numbers)
        elif verb == "enrol":
            issuer.enrol(plainly[0], self._path(plainly[1]), **numbers)
        elif verb == "answer":
            issuer.answer(plainly[0], self._path(plainly[1]), self._path(plainly[2]), **numbers)
        elif verb == "revoke":
            issuer.revoke(self._path(plainly[0]), self._path(plainly[1]), **numbers)
        elif verb == "forget":
            issuer.forget()
        else:
            {"root": issuer.write_root, "params": issuer.write_params}[verb](self._path(plainly[0]))

    def _path(self, name):
        return self.folder / name

    def _as(self, home):
        self.home = home

    def _clock(self, days):
        self.days = int(days)

    def _file(self, name, text):
        self._path(name).write_text(text)

    def _same(self, a, b):
        assert self._path(a).read_bytes() == self._path(b).read_bytes()

    def _none(self, *names):
        assert [name for name in names if self._path(name).exists()] == []

    def _mode(self, name, rights):
        assert stat.S_IMODE(self._path(name).stat().st_mode) == int(rights, 8)


def _text(data):
    return data.decode("utf-8", "backslashreplace")


def sessions(folder: Path):
    """Name and steps of each session in a folder."""
    return [(path.stem, parse(path)) for path in sorted(folder.glob("*.txt"))]

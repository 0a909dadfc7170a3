"""The scripts in ``scripts/``: a command, its exit code and its output, as a person would see it.

A script is a list of cases.  A case is ``$ command`` with, before it, ``env NAME=VALUE`` and ``block
MODULE...`` (modules that cannot be imported), and after it ``exit N`` and what ``stdout`` and
``stderr`` hold.  A stream that is not named must be empty.  Before comparing, frames are taken off
and runs of blanks become one; ``...`` stands for anything.
"""

import shlex
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from support.cli_command import sottovoce
from support.cli_session import matches

SCRIPTS = Path(__file__).parent / "scripts"


@dataclass
class Case:
    line: int
    command: list[str]
    env: dict[str, str] = field(default_factory=dict)
    blocked: list[str] = field(default_factory=list)
    exit_code: int | None = None
    streams: dict[str, str] = field(default_factory=lambda: {"stdout": "", "stderr": ""})


def parse(path):
    cases, env, blocked = [], {}, []
    for number, line in enumerate(path.read_text().splitlines(), 1):
        word, _, rest = line.partition(" ")
        if word == "env":
            name, _, value = rest.partition("=")
            env[name] = value
        elif word == "block":
            blocked = rest.split()
        elif word == "$":
            program, *arguments = shlex.split(rest)
            assert program == "sottovoce"
            cases.append(Case(number, arguments, env, blocked))
            env, blocked = {}, []
        elif word == "exit":
            cases[-1].exit_code = int(rest)
        elif word in ("stdout", "stderr"):
            cases[-1].streams[word] = rest
        else:
            assert not line or line.startswith("#"), f"{path.name}:{number}: {line}"
    assert all(case.exit_code is not None for case in cases)
    return cases


CASES = [(path.stem, case) for path in sorted(SCRIPTS.glob("*.txt")) for case in parse(path)]


@pytest.mark.parametrize("case", [pytest.param(c, id=f"{name}-{c.line}") for name, c in CASES])
def test_script(case, tmp_path):
    done = sottovoce(*case.command, cwd=tmp_path, env=case.env, blocked=case.blocked)
    assert done.returncode == case.exit_code, done.stderr
    assert matches(case.streams["stdout"], done.stdout), done.stdout
    assert matches(case.streams["stderr"], done.stderr), done.stderr
    assert "Traceback" not in done.stderr
    assert list(tmp_path.iterdir()) == [], "a refused command leaves no file"


def test_the_matcher_can_fail():
    assert matches("a ... c", "a b c")
    assert not matches("a ... c", "a b")
    assert not matches("", "something")
    assert not matches("b", "a b c")

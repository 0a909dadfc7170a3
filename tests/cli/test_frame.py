"""Streams, colours, progress and interruption of the command as a whole."""

import os
import pty
import re
import select
import signal
import sys
import time
from importlib.metadata import distribution, version

import pytest

import sottovoce as package
from sottovoce._ext import kernel
from support.cli_command import sottovoce, start

COLOUR = re.compile(r"\x1b\[[0-9;]*3[0-7][0-9;]*m")


def test_version_tells_the_version_and_every_back_end_in_use(tmp_path):
    done = sottovoce("--version", cwd=tmp_path)
    first, *rest = done.stdout.splitlines()
    assert first == f"sottovoce {package.__version__}"
    text = "\n".join(rest)
    for name in ("codec", "gf256", "kahe", "ntt", "rlwe", "rsword", "sampler"):
        assert re.search(rf"\b{name} \S+", text)
    assert ", ".join(kernel.levels_available()) in text
    assert f"numpy {version('numpy')}" in text


def test_the_installed_script_is_the_module(tmp_path):
    # The entry point of the distribution and ``python -m`` lead to one function.
    import sottovoce.cli

    (entry,) = [e for e in distribution("sottovoce").entry_points if e.name == "sottovoce"]
    assert entry.load() is sottovoce.cli.main


@pytest.mark.parametrize(
    ("typed", "offered"), [("kg", {"kgc"}), ("se", {"seal", "serve"}), ("kgc is", {"issue"}), ("zz", set())]
)
def test_the_shell_completes_commands(typed, offered, tmp_path):
    words = f"sottovoce {typed}"
    asked = {"COMP_WORDS": words, "COMP_CWORD": str(words.count(" "))}
    done = sottovoce(cwd=tmp_path, env={"_SOTTOVOCE_COMPLETE": "complete_bash", **asked})
    assert offered <= set(done.stdout.split())
    assert all(word.startswith(typed.split()[-1]) for word in done.stdout.split())


def test_the_command_starts_where_posix_ends(tmp_path):
    """Windows has no ``fcntl``; only an issuer's folder needs it."""
    assert sottovoce("--version", cwd=tmp_path, blocked=("fcntl", "termios", "pwd")).returncode == 0


def test_help_imports_nothing_heavy(tmp_path):
    code = (
        "import sys; from typer.testing import CliRunner; from sottovoce.cli.app import app\n"
        "assert CliRunner().invoke(app, ['--help']).exit_code == 0\n"
        "print([m for m in ('numpy', 'sklearn', 'matplotlib', 'cryptography') if m in sys.modules])"
    )
    import subprocess

    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=tmp_path
    )
    assert done.stdout.strip() == "[]"


@pytest.mark.parametrize(("env", "coloured"), [({}, False), ({"FORCE_COLOR": "1"}, True)])
def test_colour_follows_the_terminal(env, coloured, tmp_path):
    done = sottovoce("--version", cwd=tmp_path, env={"SOTTOVOCE_KERNEL": "quantum", **env})
    assert bool(COLOUR.search(done.stderr)) is coloured


def test_no_color_turns_colours_off(tmp_path):
    env = {"SOTTOVOCE_KERNEL": "quantum", "FORCE_COLOR": "1", "NO_COLOR": "1"}
    done = sottovoce("--version", cwd=tmp_path, env=env)
    assert done.returncode == 1
    assert not COLOUR.search(done.stderr)


def test_a_stream_of_plain_signs_takes_everything(tmp_path):
    done = sottovoce("bench", "rs", "--quick", cwd=tmp_path, env={"PYTHONIOENCODING": "ascii"})
    assert done.returncode == 0, done.stderr
    assert done.stderr == ""
    assert done.stdout.isascii()
    assert re.search(r"[0-9] us ", done.stdout)
    done = sottovoce("demo", "--help", cwd=tmp_path, env={"PYTHONIOENCODING": "ascii"})
    assert done.returncode == 0
    assert done.stdout.isascii()
    assert "?" not in done.stdout


@pytest.mark.parametrize("arguments", [("--version",), ("--help",), ("bench", "rs", "--quick")])
def test_a_closed_pipe_ends_quietly(arguments, tmp_path):
    reading, writing = os.pipe()
    os.close(reading)
    process = start(*arguments, cwd=tmp_path, stdout=writing)
    os.close(writing)
    _, stderr = process.communicate(timeout=60)
    assert stderr == b""
    assert process.returncode == 1


def read_until(descriptor, wanted, timeout_s=60):
    """What a terminal shows until ``wanted`` (or the end)."""
    seen = b""
    end = time.monotonic() + timeout_s
    while wanted not in seen and time.monotonic() < end:
        if select.select([descriptor], [], [], 0.2)[0]:
            try:
                chunk = os.read(descriptor, 65536)
            except OSError:  # the other end is closed
                break
            if not chunk:
                break
            seen += chunk
    return seen


def test_progress_is_drawn_on_a_terminal_only(tmp_path):
    arguments = ("bench", "rs", "--quick")
    quiet = sottovoce(*arguments, cwd=tmp_path)
    assert quiet.returncode == 0
    assert quiet.stderr == ""

    master, slave = pty.openpty()
    process = start(*arguments, cwd=tmp_path, stderr=slave)
    os.close(slave)
    # To its end: whoever does not read it stops who draws into it.
    seen = read_until(master, b"no such word")
    stdout, _ = process.communicate(timeout=60)
    os.close(master)
    assert process.returncode == 0
    assert b"measuring" in seen
    assert b"rs: " in seen
    assert b"measuring" not in stdout


def test_interrupted_demo_ends_with_130_and_leaves_no_file(tmp_path):
    pytest.importorskip("sklearn")
    pytest.importorskip("matplotlib")
    master, slave = pty.openpty()
    process = start("demo", "--json", "demo.json", cwd=tmp_path, stderr=slave)
    os.close(slave)
    seen = read_until(master, b"clients seal")
    process.send_signal(signal.SIGINT)
    seen += read_until(master, b"interrupted")
    process.communicate(timeout=60)
    os.close(master)
    assert b"clients seal" in seen
    assert b"interrupted" in seen
    assert process.returncode == 130
    assert list(tmp_path.iterdir()) == []

"""The installed command in a process of its own."""

import os
import signal
import subprocess
import sys

# Modules named in the first argument cannot be imported, as if they were not installed.
_PROGRAM = """
import sys
blocked = sys.argv.pop(1).split(",")
class Blocker:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in blocked:
            raise ModuleNotFoundError(f"No module named {name!r}", name=name)
sys.meta_path.insert(0, Blocker())
from sottovoce.cli import main
main()
"""

# Decided per test, not by the terminal that the suite runs in.
_DECIDED = {
    "NO_COLOR",
    "FORCE_COLOR",
    "COLUMNS",
    "TERM",
    "SOTTOVOCE_KERNEL",
    "SOTTOVOCE_BACKEND",
    "SOTTOVOCE_HOME",
}


def environment(env=None):
    """What a command inherits, and what the test says."""
    inherited = {k: v for k, v in os.environ.items() if k not in _DECIDED and not k.startswith("TTY_")}
    return {**inherited, "TERM": "xterm", "COLUMNS": "100", **(env or {})}


def _plan(arguments, cwd, env, blocked):
    program = ["-c", _PROGRAM, ",".join(blocked)] if blocked else ["-m", "sottovoce"]
    return {
        "args": [sys.executable, *program, *map(str, arguments)],
        "cwd": cwd,
        "env": environment(env),
        "stdin": subprocess.DEVNULL,
        # A suite in the background may ignore SIGINT, and its children would inherit that.
        "preexec_fn": lambda: signal.signal(signal.SIGINT, signal.default_int_handler),
    }


def sottovoce(*arguments, cwd, env=None, blocked=()):
    """Run to the end; gives returncode, stdout, stderr (text)."""
    return subprocess.run(
        **_plan(arguments, cwd, env, blocked), capture_output=True, text=True, timeout=120, check=False
    )


def start(*arguments, cwd, env=None, stdout=subprocess.PIPE, stderr=subprocess.PIPE):
    """Start without waiting."""
    return subprocess.Popen(**_plan(arguments, cwd, env, ()), stdout=stdout, stderr=stderr)

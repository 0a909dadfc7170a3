"""Runs a victim of :mod:`support.killing` as a process of its own, with the shim that counts system calls."""

import json
import os
import pathlib
import shutil
import subprocess
import sys

import pytest

TESTS = pathlib.Path(__file__).parents[1]
COMPILER = shutil.which("gcc") or shutil.which("clang")
HAS_SHIM = sys.platform.startswith("linux") and COMPILER is not None
IN_MEMORY = "/dev/shm" if os.path.isdir("/dev/shm") else None
"""Where victims write if there is such a place: a process that is killed loses no page of either kind."""


def run_victim(script, *args, preload=None, timeout_s):
    """What the victim prints, read as JSON."""
    folders = os.pathsep.join([str(TESTS), os.environ.get("PYTHONPATH", "")])
    environment = {**os.environ, "PYTHONPATH": folders}
    if preload:
        environment["LD_PRELOAD"] = str(preload)
    command = [sys.executable, TESTS / "support" / script, *map(str, args)]
    done = subprocess.run(
        command, env=environment, capture_output=True, text=True, timeout=timeout_s, check=False
    )
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def build_shim(tmp_path_factory):
    """The shared object to preload; skips the test where there can be none."""
    if not HAS_SHIM:
        pytest.skip("needs Linux and a C compiler")
    target = tmp_path_factory.mktemp("shim") / "crash_shim.so"
    command = [COMPILER, "-shared", "-fPIC", "-O1", "-Wall", "-Wextra", "-Werror", "-o", target]
    built = subprocess.run(
        [*command, TESTS / "support/crash_shim.c", "-ldl"],
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    assert built.returncode == 0, built.stderr
    return target

"""Builds and runs a C driver of a kernel under AddressSanitizer and UndefinedBehaviorSanitizer."""

import os
import shutil
import subprocess
from pathlib import Path

import pytest

TESTS = Path(__file__).resolve().parents[1]
CORE = TESTS.parent / "_ext" / "c"
COMPILER = shutil.which("gcc") or shutil.which("clang")


def build(folder, driver, *patterns):
    """The program of ``tests/ext/<driver>.c`` with the C files of the core that match ``patterns``."""
    if COMPILER is None or not CORE.is_dir():
        pytest.skip("needs a C compiler and the sources")
    target = folder / driver
    sources = [
        TESTS / "ext" / f"{driver}.c",
        *(p for pattern in patterns for p in sorted(CORE.glob(pattern))),
    ]
    flags = ["-O1", "-g", "-std=c99", "-Wall", "-Wextra", "-Werror", "-fno-sanitize-recover=all"]
    command = [COMPILER, *flags, "-fsanitize=address,undefined", f"-I{CORE}", "-o", target, *sources]
    built = subprocess.run(command, capture_output=True, text=True, timeout=300, check=False)
    if "cannot find" in built.stderr:
        pytest.skip("this compiler has no sanitizers")
    assert built.returncode == 0, built.stderr
    return target


def start(program, *arguments):
    # Leak checking needs ptrace, which containers often refuse; the core allocates nothing anyway.
    environment = {**os.environ, "ASAN_OPTIONS": "detect_leaks=0"}
    return subprocess.run(
        [program, *arguments], env=environment, capture_output=True, text=True, timeout=300, check=False
    )

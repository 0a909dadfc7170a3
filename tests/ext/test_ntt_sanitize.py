"""The C core of transform and key-additive encryption under Address- and UndefinedBehaviorSanitizer."""

import os
import shutil
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
CORE = ROOT / "_ext" / "c"
COMPILER = shutil.which("gcc") or shutil.which("clang")


@pytest.fixture(scope="module")
def program(tmp_path_factory):
    if COMPILER is None or not CORE.is_dir():
        pytest.skip("needs a C compiler and the sources")
    target = tmp_path_factory.mktemp("sanitize") / "ntt"
    sources = [
        Path(__file__).with_name("ntt_sanitize.c"),
        *sorted(CORE.glob("ntt*.c")),
        *sorted(CORE.glob("kahe*.c")),
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


@pytest.mark.slow
def test_nothing_leaves_its_buffers_and_every_width_is_exact(program):
    done = start(program)
    assert done.returncode == 0, done.stdout + done.stderr[-2000:]
    assert done.stdout.split() == ["transform", "scheme"]


@pytest.mark.slow
def test_an_element_too_many_would_be_seen(program):
    done = start(program, "overrun")
    assert done.returncode != 0
    assert "heap-buffer-overflow" in done.stderr

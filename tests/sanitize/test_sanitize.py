"""The compiled modules with sanitizers: a part of them here, all of them by ``make sanitize``."""

import importlib.util
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from sanitize.run import TESTS

ROOT = Path(__file__).resolve().parents[2]
PROGRAM = Path(__file__).with_name("run.py")
PART = "codec"


def start(*options):
    return subprocess.run(
        [sys.executable, PROGRAM, *options], capture_output=True, text=True, timeout=600, check=False
    )


@pytest.fixture(scope="module")
def tools():
    missing = [] if shutil.which("gcc") else ["gcc"]
    missing += [] if importlib.util.find_spec("Cython") else ["Cython"]
    missing += [] if (ROOT / "_ext" / "c").is_dir() else ["the sources"]
    if missing:
        pytest.skip(f"a sanitized build needs {', '.join(missing)}")


def test_every_module_has_kernel_tests():
    assert {path.stem[1:] for path in (ROOT / "_ext").glob("_*.pyx")} == TESTS.keys()
    assert all((ROOT / "tests" / "ext" / name).exists() for names in TESTS.values() for name in names)


@pytest.mark.slow
def test_a_module_passes_its_kernel_tests(tools, tmp_path):
    done = start("--modules", PART, "--folder", str(tmp_path))
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-3000:]
    assert " passed" in done.stdout


@pytest.mark.slow
def test_a_byte_too_many_would_be_seen(tools, tmp_path):
    done = start("--broken", "--folder", str(tmp_path))
    assert done.returncode != 0
    assert "AddressSanitizer: heap-buffer-overflow" in done.stderr
    assert "not seen" not in done.stdout

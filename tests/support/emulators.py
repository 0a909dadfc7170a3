"""Programs for other processors: a cross-compiler, and QEMU's emulation of single processes."""

import os
import shutil
import subprocess
from pathlib import Path

import pytest

TESTS = Path(__file__).resolve().parents[1]
CORE = TESTS.parent / "_ext" / "c"
ARM = "aarch64-linux-gnu"
FLAGS = ["-O2", "-std=c99", "-ffp-contract=off", "-Wall", "-Wextra", "-Werror", "-Wno-unused-function"]


def need(tool, package):
    """Its path; without it the test is skipped, and says what to install."""
    found = shutil.which(tool)
    if found is None:
        pytest.skip(f"needs {tool} (Debian: apt install {package})")
    return found


def compile_for_arm(target, *arguments):
    """Cross-compile for AArch64; fails on any warning."""
    compiler = need(f"{ARM}-gcc", f"gcc-{ARM}")
    if not CORE.is_dir():
        pytest.skip("needs the sources")
    command = [compiler, *FLAGS, f"-I{CORE}", *arguments, "-o", target]
    built = subprocess.run(command, capture_output=True, text=True, timeout=300, check=False)
    assert built.returncode == 0, built.stderr
    return target


def on_arm(program, *arguments, timeout=300):
    """Run an AArch64 program."""
    command = [need("qemu-aarch64", "qemu-user"), "-L", f"/usr/{ARM}", program, *arguments]
    return subprocess.run(command, capture_output=True, text=True, timeout=timeout, check=False)


def on_x86(processor, *command, kernel=None, timeout=300):
    """Run an x86-64 program as on ``processor``, under a ceiling of kernels or none."""
    qemu = need("qemu-x86_64", "qemu-user")
    environment = {k: v for k, v in os.environ.items() if k != "SOTTOVOCE_KERNEL"}
    if kernel is not None:
        environment["SOTTOVOCE_KERNEL"] = kernel
    return subprocess.run(
        [qemu, "-cpu", processor, *command],
        env=environment,
        capture_output=True,
        text=True,
        timeout=timeout,
        check=False,
        cwd=TESTS.parent,
    )

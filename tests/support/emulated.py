"""AVX-512 kernels on any machine: built over ``tests/ext/emulated/immintrin.h``, intrinsics in plain C."""

import ctypes
import shutil
import subprocess
from pathlib import Path

import pytest

TESTS = Path(__file__).resolve().parents[1]
CORE = TESTS.parent / "_ext" / "c"
HEADERS = TESTS / "ext" / "emulated"
COMPILER = shutil.which("gcc") or shutil.which("clang")
WARNINGS = ["-std=c99", "-Wall", "-Wextra", "-Werror", "-Wno-unused-function"]
# No -m flag: nothing but the baseline of the machine can come out.  -O0: an optimiser takes minutes over
# unrolled loops of structures, and the programs are short.
EMULATE = [
    "-O0",
    "-DSV_EMULATE_AVX512",
    "-DSV_TARGET(features)=",
    "-ffp-contract=off",
    f"-I{HEADERS}",
    f"-I{CORE}",
]


def compile_c(target, *arguments):
    """Run the compiler on ``arguments``; skip without one or without the sources, fail on any warning."""
    if COMPILER is None or not CORE.is_dir():
        pytest.skip("needs a C compiler and the sources")
    command = [COMPILER, *WARNINGS, *arguments, "-o", target, "-lm"]
    built = subprocess.run(command, capture_output=True, text=True, timeout=300, check=False)
    assert built.returncode == 0, built.stderr
    return target


def sources(*names):
    """``<name>_portable.c`` and ``<name>_avx512.c`` of each kernel."""
    return [CORE / f"{name}_{end}.c" for name in names for end in ("portable", "avx512")]


def library(folder, *names):
    """A loaded shared library with the portable and the emulated AVX-512 functions of these kernels."""
    target = folder / f"{'_'.join(names)}_emulated.so"
    return ctypes.CDLL(str(compile_c(target, "-shared", "-fPIC", *EMULATE, *sources(*names))))


def program(folder, driver, *names):
    """The C program ``tests/ext/<driver>.c`` linked with the same functions."""
    return compile_c(folder / driver, *EMULATE, TESTS / "ext" / f"{driver}.c", *sources(*names))

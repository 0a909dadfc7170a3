"""The emulated AVX-512 intrinsics against examples worked by hand, and against the real ones."""

import platform
import subprocess

import pytest

from sottovoce._ext import kernel
from support import emulated

EXAMPLES = emulated.HEADERS / "examples.c"
FEATURES = ["avx512f", "avx512bw", "avx512dq", "avx512vl", "avx512ifma", "avx512vbmi", "gfni"]


def wrong(program):
    done = subprocess.run([program], capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == (1 if done.stdout else 0)
    return done.stdout.splitlines()


def test_the_emulation_gives_what_the_manual_says(tmp_path):
    assert wrong(emulated.compile_c(tmp_path / "examples", *emulated.EMULATE, EXAMPLES)) == []


def test_an_example_that_differs_would_be_named(tmp_path):
    header = (emulated.HEADERS / "immintrin.h").read_text()
    swapped = header.replace("(idx.u[i] & 8 ? b : a)", "(idx.u[i] & 8 ? a : b)")
    assert swapped != header
    (tmp_path / "immintrin.h").write_text(swapped)
    (tmp_path / "gfni.h").write_text((emulated.HEADERS / "gfni.h").read_text())
    (tmp_path / "examples.c").write_text(EXAMPLES.read_text())
    flags = [f"-I{tmp_path}", *emulated.EMULATE]
    program = emulated.compile_c(tmp_path / "examples", *flags, tmp_path / "examples.c")
    assert wrong(program) == ["permutex2var"]


def test_the_instructions_give_the_same(tmp_path):
    if platform.machine() not in ("x86_64", "AMD64"):
        pytest.skip("needs an x86-64 compiler")
    flags = [f"-m{feature}" for feature in FEATURES]
    program = emulated.compile_c(tmp_path / "examples", "-O1", "-mf16c", *flags, EXAMPLES)
    missing = sorted(set(FEATURES) - kernel.cpu_features())
    if missing:
        pytest.skip(f"they compile; this processor lacks {', '.join(missing)}")
    assert wrong(program) == []

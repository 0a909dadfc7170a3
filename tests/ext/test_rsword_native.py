"""The C core of Reed-Solomon words under sanitizers, and its AVX-512 back end on any machine."""

import subprocess

import pytest

from sottovoce._ext import kernel, rsword
from support import emulated, sanitize

AVX512 = next(b for b in rsword.BACKENDS if b.name == "avx512-gfni")


@pytest.fixture(scope="module")
def program(tmp_path_factory):
    return sanitize.build(tmp_path_factory.mktemp("sanitize"), "rsword_sanitize", "rsword*.c", "cpu.c")


@pytest.mark.slow
def test_no_back_end_leaves_its_buffers(program):
    features = kernel.cpu_features()
    codes = [str(b.code) for b in rsword.BACKENDS if kernel._LEVEL_FEATURES[b.level] | b.features <= features]
    done = sanitize.start(program, *codes)
    assert done.returncode == 0, done.stdout + done.stderr[-2000:]
    assert done.stdout.split("\n")[:-1] == [f"back end {code}" for code in codes]


@pytest.mark.slow
def test_a_symbol_too_many_would_be_seen(program):
    done = sanitize.start(program, "overrun")
    assert done.returncode != 0
    assert "heap-buffer-overflow" in done.stderr


def test_avx512_over_intrinsics_in_plain_c_equals_portable(tmp_path):
    sources = [emulated.CORE / name for name in ("rsword.c", "rsword_portable.c", "rsword_avx512.c")]
    driver = emulated.TESTS / "ext" / "rsword_sanitize.c"
    # Optimised: of these kernels, unlike of others, that costs two seconds and saves eight.
    flags = ["-O1", *(flag for flag in emulated.EMULATE if flag != "-O0")]
    program = emulated.compile_c(tmp_path / "rsword", *flags, driver, *sources)
    done = subprocess.run(
        [program, str(AVX512.code)], capture_output=True, text=True, timeout=300, check=False
    )
    assert done.returncode == 0, done.stdout
    assert done.stdout == f"back end {AVX512.code}\n"

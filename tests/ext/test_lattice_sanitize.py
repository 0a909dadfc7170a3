"""The C core of additive encryption under AddressSanitizer and UndefinedBehaviorSanitizer."""

import pytest

from sottovoce._ext import kahe, kernel
from support import sanitize


@pytest.fixture(scope="module")
def program(tmp_path_factory):
    folder = tmp_path_factory.mktemp("sanitize")
    return sanitize.build(folder, "lattice_sanitize", "kahe*.c", "rlwe*.c", "cpu.c")


@pytest.mark.slow
def test_no_back_end_leaves_its_buffers(program):
    done = sanitize.start(program)
    assert done.returncode == 0, done.stdout + done.stderr[-2000:]
    # As many as this processor runs without any ceiling.
    features = kernel.cpu_features()
    expected = [b.code for b in kahe.BACKENDS if kernel._LEVEL_FEATURES[b.level] | b.features <= features]
    assert done.stdout.split("\n")[:-1] == [f"back end {code}" for code in expected]


@pytest.mark.slow
def test_a_byte_too_many_would_be_seen(program):
    done = sanitize.start(program, "overrun")
    assert done.returncode != 0
    assert "heap-buffer-overflow" in done.stderr

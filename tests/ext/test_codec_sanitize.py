"""The C core of samplers and codec under Address- and UndefinedBehaviorSanitizer."""

import pytest

from sottovoce._ext import kernel
from support import sanitize


@pytest.fixture(scope="module")
def program(tmp_path_factory):
    return sanitize.build(tmp_path_factory.mktemp("sanitize"), "codec_sanitize", "codec*.c", "sampler*.c")


@pytest.mark.slow
def test_nothing_leaves_its_buffers_and_every_back_end_agrees(program):
    done = sanitize.start(program)
    assert done.returncode == 0, done.stdout + done.stderr[-2000:]
    said = done.stdout.split()
    assert said[0] == "portable"
    features = kernel.cpu_features()
    assert ("avx2" in said) == ("avx2" in features)
    assert ("avx512" in said) == ({"avx512bw", "avx512dq", "avx512vl"} <= features)


@pytest.mark.slow
def test_a_number_too_many_would_be_seen(program):
    done = sanitize.start(program, "overrun")
    assert done.returncode != 0
    assert "heap-buffer-overflow" in done.stderr

"""The C core of the transform under Address- and UndefinedBehaviorSanitizer."""

import pytest

from support import sanitize


@pytest.fixture(scope="module")
def program(tmp_path_factory):
    return sanitize.build(tmp_path_factory.mktemp("sanitize"), "ntt_sanitize", "ntt*.c", "cpu.c")


@pytest.mark.slow
def test_nothing_leaves_its_buffers(program):
    done = sanitize.start(program)
    assert done.returncode == 0, done.stdout + done.stderr[-2000:]
    assert done.stdout.split() == ["transform"]


@pytest.mark.slow
def test_an_element_too_many_would_be_seen(program):
    done = sanitize.start(program, "overrun")
    assert done.returncode != 0
    assert "heap-buffer-overflow" in done.stderr


@pytest.mark.slow
def test_a_vector_past_the_end_would_be_seen(program):
    done = sanitize.start(program, "vectors")
    if done.stdout == "no vectors\n":
        pytest.skip("this processor lacks AVX2")
    assert done.returncode != 0
    assert "heap-buffer-overflow" in done.stderr

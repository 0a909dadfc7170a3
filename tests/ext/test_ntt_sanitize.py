"""The C core of transform and key-additive encryption under Address- and UndefinedBehaviorSanitizer."""

import pytest

from support import sanitize


@pytest.fixture(scope="module")
def program(tmp_path_factory):
    return sanitize.build(tmp_path_factory.mktemp("sanitize"), "ntt_sanitize", "ntt*.c", "kahe*.c")


@pytest.mark.slow
def test_nothing_leaves_its_buffers_and_every_width_is_exact(program):
    done = sanitize.start(program)
    assert done.returncode == 0, done.stdout + done.stderr[-2000:]
    assert done.stdout.split() == ["transform", "scheme"]


@pytest.mark.slow
def test_an_element_too_many_would_be_seen(program):
    done = sanitize.start(program, "overrun")
    assert done.returncode != 0
    assert "heap-buffer-overflow" in done.stderr

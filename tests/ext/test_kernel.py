"""The staircase of back ends: ``SOTTOVOCE_KERNEL`` is a ceiling, and never silently ignored."""

import json
import os
import subprocess
import sys

import pytest

from sottovoce._ext import kernel
from sottovoce._ext.errors import KernelUnavailable
from support.kernel_digest import DIGEST, SCRIPT


def start(value):
    environment = {k: v for k, v in os.environ.items() if k != kernel.ENVIRONMENT_VARIABLE}
    if value is not None:
        environment[kernel.ENVIRONMENT_VARIABLE] = value
    return subprocess.run(
        [sys.executable, "-c", SCRIPT],
        env=environment,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


@pytest.fixture(scope="module")
def portable_digest():
    return json.loads(start("portable").stdout)["digest"]


@pytest.mark.parametrize("level", kernel.LEVELS)
def test_every_level_gives_the_same_bytes_or_refuses_to_start(level, portable_digest):
    done = start(level)
    if level not in kernel.levels_available():
        assert done.returncode != 0
        assert "KernelUnavailable" in done.stderr
        assert "this processor lacks it" in done.stderr
        return
    said = json.loads(done.stdout)
    assert said["ceiling"] == level
    assert said["digest"] == portable_digest
    if level == "portable":
        assert said["gf256"] == said["ntt"] == "portable"
    if level == "avx2":
        assert said["ntt"] == "avx2"


@pytest.mark.parametrize("value", [None, ""])
def test_without_the_variable_the_highest_level_is_taken(value, portable_digest):
    said = json.loads(start(value).stdout)
    assert said["ceiling"] == kernel.levels_available()[-1]
    assert said["digest"] == portable_digest


@pytest.mark.parametrize("value", ["AVX2", "avx", "sse2", " portable", "portable,avx2", "x" * 1000])
def test_an_unknown_name_refuses_to_start(value):
    done = start(value)
    assert done.returncode != 0
    last = done.stderr.strip().splitlines()[-1]
    assert "KernelUnavailable" in last
    assert "expected one of portable, avx2, avx512, neon" in last
    assert len(last) < 250


# What a processor without a feature does, told to the reader of features instead of found by chance.
AVX2 = ["avx2", "fma"]
AVX512 = [*AVX2, "avx512f", "avx512bw", "avx512dq", "avx512vl"]


def on_processor(monkeypatch, features, wish=None):
    monkeypatch.setattr(kernel._cpu, "features", lambda: features)
    if wish is None:
        monkeypatch.delenv(kernel.ENVIRONMENT_VARIABLE, raising=False)
    else:
        monkeypatch.setenv(kernel.ENVIRONMENT_VARIABLE, wish)
    ceiling = kernel._read_ceiling()
    monkeypatch.setattr(kernel, "_ceiling", ceiling)
    return ceiling


@pytest.mark.parametrize(
    ("features", "levels"),
    [
        ([], ("portable",)),
        (["avx2"], ("portable",)),  # without fma the promise of the level does not hold
        (AVX2, ("portable", "avx2")),
        ([*AVX2, "avx512f", "gfni"], ("portable", "avx2")),
        (AVX512, ("portable", "avx2", "avx512")),
        (["neon"], ("portable", "neon")),
    ],
)
def test_levels_of_a_processor(monkeypatch, features, levels):
    assert on_processor(monkeypatch, features) == levels[-1]
    assert kernel.levels_available() == levels


@pytest.mark.parametrize(
    ("features", "wish"),
    [([], "avx2"), (AVX2, "avx512"), (AVX2, "neon"), (["neon"], "avx2"), (["avx2"], "avx2")],
)
def test_a_ceiling_that_the_processor_lacks_is_refused(monkeypatch, features, wish):
    with pytest.raises(KernelUnavailable, match="this processor lacks it; it has portable"):
        on_processor(monkeypatch, features, wish)


BACKENDS = (
    kernel.Backend("portable", "portable", frozenset(), 0),
    kernel.Backend("avx2", "avx2", frozenset(), 1),
    kernel.Backend("avx2-gfni", "avx2", frozenset({"gfni"}), 2),
    kernel.Backend("avx512-gfni", "avx512", frozenset({"gfni"}), 3),
    kernel.Backend("neon", "neon", frozenset(), 4),
)


@pytest.mark.parametrize(
    ("features", "wish", "best"),
    [
        ([], None, "portable"),
        (["gfni"], None, "portable"),
        (AVX2, None, "avx2"),
        ([*AVX2, "gfni"], None, "avx2-gfni"),
        ([*AVX2, "gfni"], "portable", "portable"),
        (AVX512, None, "avx2"),
        ([*AVX512, "gfni"], None, "avx512-gfni"),
        ([*AVX512, "gfni"], "avx2", "avx2-gfni"),
        (["neon"], None, "neon"),
        (["neon"], "portable", "portable"),
    ],
)
def test_the_best_back_end_below_the_ceiling_is_taken(monkeypatch, features, wish, best):
    on_processor(monkeypatch, features, wish)
    monkeypatch.setattr(kernel, "_chosen", {})
    assert kernel.choose("some", BACKENDS).name == best
    assert kernel.chosen() == {"some": best}


def test_chosen_is_a_copy():
    kernel.chosen()["gf256"] = "wrong"
    assert kernel.chosen().get("gf256") != "wrong"


def test_the_portable_back_ends_give_the_known_answer(portable_digest):
    assert portable_digest == DIGEST

"""Whole processes under every ceiling: the same seeds give the same bytes."""

import json
import os
import subprocess
import sys
from functools import lru_cache

import pytest

from sottovoce._ext import kernel
from support.he_world import ALL_SETS

SCRIPT = """
import hashlib, json, sys
import numpy as np
from sottovoce._ext import kernel
from sottovoce.he import SETS, kahe
out = {}
for name in SETS:
    params = kahe.Params(name, 100_000, 16, 64, 4)
    context, digests = bytes(range(32)), []
    total = kahe.CiphertextSum(params, context)
    sums = [kahe.ShareSum(params, j) for j in (1, 2, 3)]
    expected = 0
    for i in range(3):
        values = (np.arange(100_000) * (7919 + i)) % 65535 - 32767
        key = kahe.OneTimeKey._generate_derand(params, context, bytes([i]) * 32)
        ciphertext = key.encrypt(values, threads=1 + i)
        proof, shares = key.share(b"client %d" % i)
        total.add(ciphertext)
        for s, share in zip(sums, shares):
            s.add(share)
        expected = expected + values
        digests += [ciphertext.digest.hex(), hashlib.sha256(proof.to_bytes()).hexdigest()]
    opened = kahe.open_sum(params, context, total, sums, 3, threads=2)
    assert np.array_equal(opened.values, expected)
    out[name] = [*digests, total.digest.hex(), *(hashlib.sha256(s.to_bytes()).hexdigest() for s in sums)]
print(json.dumps({"ceiling": kernel.ceiling(), "chosen": kernel.chosen(), "digests": out}))
"""


@lru_cache
def under(level):
    env = {**os.environ, kernel.ENVIRONMENT_VARIABLE: level}
    run = subprocess.run(
        [sys.executable, "-c", SCRIPT], env=env, capture_output=True, text=True, check=True, timeout=300
    )
    result = json.loads(run.stdout)
    assert result["ceiling"] == level
    return result


@pytest.mark.parametrize("level", kernel.levels_available())
@pytest.mark.parametrize("name", ALL_SETS)
def test_every_ceiling_gives_the_same_bytes(level, name):
    assert under(level)["digests"][name] == under("portable")["digests"][name]


def test_the_ceilings_are_obeyed():
    portable = under("portable")["chosen"]
    assert {"kahe", "ntt", "codec", "sampler"} <= set(portable)
    assert set(portable.values()) == {"portable"}
    if "avx2" in kernel.levels_available():
        assert under("avx2")["chosen"]["sampler"] == "avx2"

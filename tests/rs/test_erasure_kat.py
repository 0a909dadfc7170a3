"""Known answers of the erasure code, made by the second implementation."""

import hashlib

import numpy as np
import pytest

from sottovoce.rs import Erasure
from support import rs_twin, rs_vectors

DATA, TESTS = rs_vectors.load("erasure.json", ["accumulated"], ["k", "n", "data", "parity"])


@pytest.mark.parametrize("case", TESTS, ids=lambda c: str(c["tcId"]))
def test_parity(case):
    data = rs_vectors.unhex(case["data"])
    parity = Erasure(case["k"], case["n"]).encode(data)
    assert [row.tobytes().hex() for row in parity] == case["parity"]


# Elimination in pure Python: small codes only.
@pytest.mark.parametrize("case", [t for t in TESTS if t["k"] <= 20], ids=lambda c: str(c["tcId"]))
def test_second_implementation_decodes_our_shards(case):
    data, k, n = rs_vectors.unhex(case["data"]), case["k"], case["n"]
    shards = dict(enumerate([*data, *(row.tobytes() for row in Erasure(k, n).encode(data))]))
    assert rs_twin.decode({i: shards[i] for i in range(n - k, n)}, k, n) == data


def test_ten_thousand_encodes_have_the_accumulated_digest():
    want = DATA["accumulated"]
    stream, digest = rs_twin.Stream(bytes.fromhex(want["seed"])), hashlib.sha256()
    for _ in range(want["encodes"]):
        k = stream.number(1, 8)
        n = k + stream.number(0, 5)
        length = stream.number(1, 24)
        data = np.frombuffer(stream.take(k * length), np.uint8).reshape(k, length)
        digest.update(Erasure(k, n).encode(data).tobytes())
    assert want["encodes"] == 10000
    assert digest.hexdigest() == want["sha256"]

"""A whole round on the reference group back end: slow, and the same protocol.

Three clients and four members.  Three members were planned; a header has at least four, the smallest
committee of which one may be corrupted.
"""

import os
import subprocess
import sys

import pytest

ROUND = """
import numpy as np
from sottovoce.clsc import group
from sottovoce.fl import simulate
model = [np.zeros(9)]
federation = simulate.Simulation(model, 3, clip=1.0, n_members=4, shard_k=2, shard_n=3, min_contributors=3)
report = federation.run_round(model, {i: ([np.full(9, i / 10)], 1 + i) for i in range(3)})
assert report.exact and report.accepted == (0, 1, 2)
assert np.allclose(report.mean[0], (0 * 1 + 0.1 * 2 + 0.2 * 3) / 6, atol=1e-4)
print(group.BACKEND)
"""


@pytest.mark.slow
def test_a_round_of_three_clients_on_py_ecc():
    environment = {**os.environ, "SOTTOVOCE_BACKEND": "py_ecc"}
    done = subprocess.run([sys.executable, "-c", ROUND], env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert done.stdout.strip() == "py_ecc"

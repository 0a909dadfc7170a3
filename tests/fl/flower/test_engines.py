"""Flower's own engines: the simulation, and a SuperLink with five SuperNodes as processes on loopback."""

import re
from pathlib import Path

import numpy as np
import pytest

from support.flower_app.averaged.known import first_model, update_of
from support.flower_cluster import Cluster

pytestmark = pytest.mark.slow  # a process for every message: half a minute to minutes


EXAMPLE = Path(__file__).parents[3] / "examples" / "flower"
FIVE_NODES = "num-supernodes=5 client-resources-num-cpus=1 init-args-num-cpus=2"


def assert_exact(report, parts, rounds):
    """The model that the run ended with is that of plain averaging of these parts, to the last bit."""
    model = first_model()
    for r in range(1, rounds + 1):
        means = [
            np.mean(arrays, axis=0, dtype=np.float64)
            for arrays in zip(*(update_of(p, r) for p in parts), strict=True)
        ]
        model = [old + mean.astype(np.float32) for old, mean in zip(model, means, strict=True)]
    for got, want in zip(report["model"], model, strict=True):
        np.testing.assert_array_equal(np.array(got, np.float32), want)


def test_simulation_of_five_nodes_gives_the_exact_mean_of_two_rounds(keys, tmp_path):
    with Cluster(tmp_path / "home", keys, n_nodes=5, simulation=True) as cluster:
        cluster.submit(
            config="rounds=2 evaluated=1.0",
            federation=FIVE_NODES,
        )
        report = cluster.report(timeout_s=300)
    assert report["contributors"] == [5, 5]
    assert_exact(report, range(5), rounds=2)
    assert report["evaluated"] == {str(n): {"accuracy": 0.25} for n in (1, 2)}


def test_deployment_survives_a_killed_trainer_and_a_missing_answer(keys, tmp_path):
    with Cluster(tmp_path / "home", keys, n_nodes=5) as cluster:
        (cluster.faults / "train-4").touch()
        (cluster.faults / "query.sottovoce_answer-2").touch()
        cluster.submit()
        cluster.await_file(cluster.faults / "reached-train-4", timeout_s=200)
        cluster.stop("node-4", kill=True)  # in the middle of training; no member
        report = cluster.report(timeout_s=200)
        assert (cluster.faults / "reached-query.sottovoce_answer-2").exists()
    assert report["contributors"] == [4]
    assert report["signatures"] == [[1, 2, 4]]
    assert_exact(report, range(4), rounds=1)


def test_example_learns_the_digits_in_the_simulation(keys, tmp_path):
    with Cluster(tmp_path / "home", keys, n_nodes=5, simulation=True) as cluster:
        output = cluster.submit(EXAMPLE, federation=FIVE_NODES, stream_s=400)
    accuracies = [float(a) for a in re.findall(r"round \d+: accuracy at the nodes (\S+)", output)]
    assert len(accuracies) == 3, output
    assert accuracies[-1] > 0.85

"""Keys for five nodes, four of them members, under a cheap passphrase; and an app whose updates are known."""

import shutil

import pytest

pytest.importorskip("flwr", reason="needs the extra flower")

from flwr.supercore.task_identity import TaskIdentity

from sottovoce._ext import sealed
from sottovoce.fl.flower import grid as flower_grid
from sottovoce.fl.flower import provision


@pytest.fixture(scope="session")
def made(tmp_path_factory):
    out = tmp_path_factory.mktemp("flower") / "keys"
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(sealed, "COST", sealed.Cost(memory_kib=16, passes=1, lanes=1))
        provision(out, n_nodes=5, min_contributors=3, clear_metrics=["accuracy"])
    return out


@pytest.fixture
def keys(made, tmp_path):
    """A copy of the folders: nodes remember in them."""
    return shutil.copytree(made, tmp_path / "keys")


@pytest.fixture(autouse=True, scope="session")
def run_of_flower():
    """What Flower's engines set before they call an app; and polling without waiting."""
    with pytest.MonkeyPatch.context() as patch:
        for name in ("_run_id", "_node_id", "_task_id"):
            patch.setattr(TaskIdentity, name, 1)
        patch.setattr(flower_grid, "POLL_S", 0.001)
        yield

"""docs/clsc-comparison.md is what its script writes from the results beside it."""

import importlib.util
import json
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]


@pytest.fixture(scope="module")
def script():
    spec = importlib.util.spec_from_file_location("compare_plain", ROOT / "benches" / "compare_plain.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture
def results(script):
    return json.loads(script.RESULTS.read_text(encoding="utf-8"))


def test_the_page_is_rendered_from_the_results(script, results):
    assert script.PAGE.read_text(encoding="utf-8") == script.render(results)


def test_the_results_are_of_what_the_script_measures(script, results):
    assert results["schema"] == script.SCHEMA
    ours, plain = script.ours(), script.plain_ones()
    assert [row["name"] for row in results["times"]] == list(ours) == list(plain)
    assert {row["name"] for row in results["bytes"]} | set(ours) == set(script.WORDS)
    for row in results["times"]:
        assert row["ratio"] == pytest.approx(row["ours"]["seconds"] / row["plain"]["seconds"], rel=0.3)


def test_sizes_are_those_of_this_version(script, results):
    """They do not depend on the machine, so they must hold today."""
    assert results["bytes"] == [{"name": name, **both} for name, both in script.sizes().items()]


def test_every_figure_on_the_page_follows_the_results(script, results):
    page = script.render(results)
    for row in results["times"]:
        row["ours"]["seconds"], row["plain"]["seconds"], row["ratio"] = 11.0, 22.0, 33.0
    for row in results["bytes"]:
        row["ours"], row["plain"] = 44, 55
    changed = script.render(results)
    tables = [line for line in changed.splitlines() if line.startswith("| ") and line not in page]
    assert len(tables) == len(results["times"]) + len(results["bytes"])
    assert all(line.endswith(("| 11 s | 22 s | 33 |", "| 44 | 55 |")) for line in tables)


def test_every_operation_runs(script):
    for operations in (script.ours(), script.plain_ones()):
        for operation in operations.values():
            operation.call(*(operation.fresh() if operation.fresh else ()))

"""docs/rs-speed.md is what its script writes from the results."""

import importlib.util
import json
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]


@pytest.fixture(scope="module")
def levels():
    spec = importlib.util.spec_from_file_location("rs_levels", ROOT / "benches" / "rs_levels.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def results(script):
    document = json.loads(script.RESULTS.read_text(encoding="utf-8"))
    assert document["schema"] == script.SCHEMA
    return document


def test_the_page_of_speed_is_rendered_from_the_results(levels):
    assert levels.PAGE.read_text(encoding="utf-8") == levels.render(results(levels))


def test_every_shape_and_size_that_fits_is_there(levels):
    measured = {(one["k"], one["m"], one["length"]) for one in results(levels)["encode"]}
    assert measured == {
        (k, m, length)
        for k, m in levels.SHAPES
        for length in levels.LENGTHS
        if (k + m) * length <= levels.MOST_BYTES
    }


def test_every_figure_follows_the_results(levels):
    document = results(levels)
    page = levels.render(document).splitlines()
    for one in (*document["encode"], *document["memory"]):
        one["rates"] = {name: 3.7 * rate + 1 for name, rate in one["rates"].items()}
    changed = [line for line in levels.render(document).splitlines() if line.startswith("| ")]
    same = [line for line in changed if line in page]
    assert len(same) == 4, "the headings"

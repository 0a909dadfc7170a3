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
    more = [document[part] for part in ("erasure", "codec") if part in document]
    for one in (*document["encode"], *document["memory"], *(one for part in more for one in part)):
        one["rates"] = {name: 3.7 * rate + 1 for name, rate in one["rates"].items()}
    changed = [line for line in levels.render(document).splitlines() if line.startswith("| ")]
    same = [line for line in changed if line in page]
    assert len(same) == 2 * (2 + len(more)), "the headings"


def test_peers_stand_beside_our_back_ends_and_blank_where_not_measured(levels):
    document = results(levels)
    rows = [("encode", 0, {"avx2": 1.5, "peer": 0.0123456}), ("correct", 16, {"avx2": 0.25})]
    document["codec"] = [{"title": title, "errors": errors, "rates": rates} for title, errors, rates in rows]
    document["erasure"] = [{"title": "encode 10+4", "bytes": 10, "rates": {"Erasure": 9.876, "zfec": 0.5}}]
    page = levels.render(document)
    assert "| words | avx2 | peer |\n" in page
    assert "| encode | 1,500 | 12.3 |\n| correct 16 errors | 250 |  |\n" in page
    assert "| 1 MiB shards | Erasure | zfec |\n| --- | --- | --- |\n| encode 10+4 | 9.88 | 0.5 |" in page

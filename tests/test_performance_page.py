"""docs/performance.md, its pictures and README's table are what their script writes from the results."""

import json
import sys
from pathlib import Path

import pytest

from sottovoce.cli.bench.areas import Area
from sottovoce.cli.bench.compare import read
from sottovoce.cli.bench.measurement import load
from sottovoce.cli.bench.record import SCHEMA

BENCHES = Path(__file__).parents[1] / "benches"


@pytest.fixture(scope="module")
def script():
    sys.path.insert(0, str(BENCHES))
    import performance

    yield performance
    sys.path.remove(str(BENCHES))


@pytest.fixture
def results(script):
    return json.loads(script.RESULTS.read_text(encoding="utf-8"))


def test_the_page_is_rendered_from_the_results(script, results):
    assert script.PAGE.read_text(encoding="utf-8") == script.render(results)


def test_the_table_of_the_readme_is_rendered_from_the_results(script, results):
    text = script.README.read_text(encoding="utf-8")
    assert text == script.readme(text, results)
    assert text.count(script.BEGIN) == text.count(script.END) == 1
    table = text[text.index(script.BEGIN) : text.index(script.END)]
    assert sum(line.startswith("| ") for line in table.splitlines()) == 2 + len(script.PICKED)


def test_the_pictures_are_of_the_results(script, results):
    for area in Area.ALL.members:
        svg = script.picture(area).read_text(encoding="utf-8")
        assert f"results {script.digest(results)}" in svg
        assert f"]({script.picture(area).name})" in script.PAGE.read_text(encoding="utf-8")


def test_the_results_are_a_whole_run_of_what_the_bench_measures(script, results):
    assert results["schema"] == SCHEMA
    assert (results["quick"], results["threads"], results["left_out"]) == (False, 1, [])
    names = [(one["area"], one["name"]) for one in results["results"]]
    assert names == [(m.area, m.name) for m in load(Area.ALL)]
    assert set(script.PICKED) <= set(names)
    assert len(read(str(script.RESULTS)).entries) == len(names), "and --compare can read it"


def test_the_results_name_no_place_of_the_machine_that_made_them(script):
    text = script.RESULTS.read_text(encoding="utf-8")
    assert '"/' not in text


def test_every_figure_follows_the_results(script, results):
    page, table = script.render(results).splitlines(), script.readme_table(results).splitlines()
    for one in results["results"]:
        seconds = one["seconds"]
        seconds["median"] *= 3.7
        seconds["high"] *= 9.1
        one["per_second"] /= 3.7
        for peer in one["peers"]:
            peer["times_ours"] = peer.get("times_ours", 0) * 2.9
        for other in one["alternatives"]:
            other["ratio"]["median"] /= 2.3
        for part in (one["parts"] or {"of": ()})["of"]:
            part["seconds"]["median"] *= 1 + 2 * (part["name"] < "h")
        if one["parts"]:
            one["parts"]["ratio"]["median"] *= 1.7
    changed = script.render(results).splitlines(), script.readme_table(results).splitlines()
    card = set(script.card_rows(results))
    for before, after in ((page, changed[0]), (table, changed[1])):
        rows = [line for line in after if line.startswith("| ") and not line.startswith(("| | ", "| ---"))]
        assert [line for line in rows if line in before and line not in card] == []
    # What bounds the results is said in words, with figures among them.
    paragraphs = ["\n".join(lines).split("\n\n") for lines in (page, changed[0])]
    for words in ("bound by memory", "powers modulo", "Products of bytes", "whatever the model, and"):
        (before,), (after,) = ([one for one in of if words in one] for of in paragraphs)
        assert before != after, words


@pytest.mark.parametrize(
    ("times", "said"),
    [
        (39.4, "39 times as long"),
        (1234.5, "1,234 times as long"),
        (9.44, "9.4 times as long"),
        (1.0, "1.0 times as long"),
        (0.81, "0.81 of our time"),
        (0.055, "1/18 of our time"),
    ],
)
def test_how_long_others_take(script, times, said):
    import figures

    assert figures.as_long(times) == said


def test_a_peer_that_is_not_installed_has_no_place_in_the_table(script, results):
    for one in results["results"]:
        one["peers"] = [
            {"distribution": p["distribution"], "note": "", "installed": False, "install": "x"}
            for p in one["peers"]
        ]
    table = script.readme_table(results) + script.render(results).partition("## The machine")[2]
    for name in ("tenseal 0", "tenseal (", "phe (", "zfec 1", "flwr ("):
        assert name not in table


@pytest.mark.slow  # lays out four large figures
def test_letters_of_the_pictures_are_readable_on_a_telephone_and_stay_inside(script, results):
    """At 350 pixels for the width, the least letter has 8 of them."""
    pytest.importorskip("matplotlib", reason="the pictures are drawn with it")
    from sottovoce.cli.bench import plot

    for area in Area.ALL.members:
        figure = plot.figure(results, (area,))
        width = figure.get_figwidth() * 72
        texts = [*figure.texts, *(text for axes in figure.axes for text in (*axes.texts, axes.title))]
        texts += [text for axes in figure.axes for text in axes.get_legend().get_texts()]
        assert min(text.get_fontsize() for text in texts) * 350 / width >= 7.9
        for text in texts:
            box = text.get_window_extent()
            assert box.x0 >= 0, text
            assert box.x1 <= figure.bbox.width, text

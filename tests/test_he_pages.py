"""docs/he-speed.md, docs/he-quantisation.md and its picture are what their scripts write from the results."""

import importlib.util
import json
from pathlib import Path

import numpy as np
import pytest

ROOT = Path(__file__).parents[1]


def load(name):
    spec = importlib.util.spec_from_file_location(name, ROOT / "benches" / f"{name}.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="module")
def levels():
    return load("he_levels")


@pytest.fixture(scope="module")
def quantisation():
    pytest.importorskip("sklearn")
    return load("quantisation_accuracy")


def results(script):
    document = json.loads(script.RESULTS.read_text(encoding="utf-8"))
    assert document["schema"] == script.SCHEMA
    return document


# -- speed ------------------------------------------------------------------------------------------


def test_the_page_of_speed_is_rendered_from_the_results(levels):
    assert levels.PAGE.read_text(encoding="utf-8") == levels.render(results(levels))


def test_the_results_are_of_what_the_bench_measures(levels):
    from sottovoce.cli.bench.areas import Area
    from sottovoce.cli.bench.measurement import load as load_area

    names = [m.name for m in load_area(Area.HE)]
    document = results(levels)
    assert set(document["levels"]) <= set(levels.LEVELS)
    for of_level in document["levels"].values():
        assert [one["name"] for one in of_level["results"]] == names


def test_sizes_are_those_of_this_version(levels):
    """They do not depend on the machine, so they must hold today."""
    assert results(levels)["sizes"] == levels.sizes()


def test_every_figure_of_speed_follows_the_results(levels):
    document = results(levels)
    page = levels.render(document).splitlines()
    for of_level in document["levels"].values():
        for one in of_level["results"]:
            one["seconds"]["median"] *= 3.7
            for peer in one["peers"]:
                peer["times_ours"] /= 3.7
                peer["per_second"] *= 1.9
                peer["bytes"] = peer["bytes"] and 3 * peer["bytes"]
            for other in one["alternatives"]:
                other["ratio"]["median"] *= 2.3
    for row in document["sizes"]:
        row["bytes"] += 1
    changed = levels.render(document).splitlines()
    tables = [line for line in changed if line.startswith("| ") and "| --- |" not in line]
    same = [line for line in tables if line in page]
    assert all(
        "kernels" in line or "peer takes" in line or "slots" in line or "for one" in line for line in same
    )
    assert len(same) == 4, "the headings"


@pytest.mark.parametrize(
    ("times", "aim", "said"), [(15.0, 15.0, "15.0 (aim 15: held)"), (14.9, 15.0, "14.9 (aim 15: **missed**)")]
)
def test_a_verdict(levels, times, aim, said):
    assert levels.verdict(times, aim) == said
    assert levels.verdict(times, None) == f"{times:.1f}"


def test_lacking_levels_are_named(levels):
    document = results(levels)
    last = list(document["levels"])[-1]
    document["levels"] = {"portable": document["levels"][last]}
    document["levels"]["portable"]["machine"]["flags"] = []
    page = levels.render(document)
    assert "This processor has no avx2, avx512." in page
    assert "lacks AVX-512 IFMA, so of the aims below those for avx2 count" in page


# -- quantisation -----------------------------------------------------------------------------------


def test_the_page_of_quantisation_is_rendered_from_the_results(quantisation):
    assert quantisation.PAGE.read_text(encoding="utf-8") == quantisation.render(results(quantisation))


def test_every_figure_of_quantisation_follows_the_results(quantisation):
    document = results(quantisation)
    page = quantisation.render(document).splitlines()
    for i, one in enumerate(document["runs"]):
        one["accuracy"][-1] = 0.2 + 0.003 * (i * i % 97)
        one["error"] = [7.0 for _ in one.get("error", ())]
    for one in document["sizes"]:
        one["bytes"] += 1
    changed = [line for line in quantisation.render(document).splitlines() if line.startswith("| ")]
    rows = [line for line in changed if line not in page]
    assert len(rows) == 1 + len(quantisation.BITS) * len(quantisation.ROUNDINGS) + len(quantisation.BITS)


def test_all_widths_are_there_for_every_seed(quantisation):
    document = results(quantisation)
    kinds = {(one["bits"], one["rounding"]) for one in document["runs"]}
    assert kinds == {(None, None)} | {(b, r) for b in quantisation.BITS for r in quantisation.ROUNDINGS}
    for bits, rounding in kinds:
        assert set(quantisation.final(document, bits, rounding)) == set(quantisation.SEEDS)
    assert all(len(one["accuracy"]) == quantisation.ROUNDS for one in document["runs"])
    assert [one["bits"] for one in document["encrypted"] if one["equal"]] == list(quantisation.BITS)


def test_sizes_by_width_are_those_of_this_version(quantisation):
    assert results(quantisation)["sizes"] == quantisation.sizes()


def test_what_the_page_says_in_words_is_in_the_results(quantisation):
    """12 and 16 bits cannot be told from float32; nearest rounding to 4 bits can."""
    document = results(quantisation)
    for bits in (12, 16):
        for rounding in quantisation.ROUNDINGS:
            mean, deviation = quantisation.mean_and_deviation(
                quantisation.differences(document, bits, rounding)
            )
            assert abs(mean) <= deviation / 2 + 0.1
    four, _ = quantisation.mean_and_deviation(quantisation.differences(document, 4, "nearest"))
    assert four < -1
    for rounding in quantisation.ROUNDINGS:
        error = [np.median(quantisation.errors(document, bits, rounding)) for bits in (8, 12, 16)]
        assert error[0] / error[1] == pytest.approx(16, rel=0.35)
        assert error[1] / error[2] == pytest.approx(16, rel=0.35)


def test_the_picture_is_one_that_the_script_draws(quantisation, tmp_path):
    """Of the same size; another release of matplotlib may set other pixels."""
    pytest.importorskip("matplotlib")
    target = tmp_path / "picture.png"
    quantisation.draw(results(quantisation), target)
    assert target.read_bytes()[:8] == b"\x89PNG\r\n\x1a\n"
    assert target.read_bytes()[16:24] == quantisation.PICTURE.read_bytes()[16:24], "width and height"
    assert f"]({quantisation.PICTURE.name})" in quantisation.PAGE.read_text(encoding="utf-8")


def test_a_round_through_encryption_gives_the_integers(quantisation):
    assert quantisation.encrypted(8) == {"bits": 8, "slots": 2411, "equal": True}


# -- choosing ---------------------------------------------------------------------------------------

CHOOSING = ROOT / "docs" / "he-choosing.md"
GUIDELINE = {
    "128": ({2048: 53, 4096: 106, 8192: 214}, "128 bits classical"),
    "192": ({2048: 36, 4096: 73, 8192: 147}, "192 bits classical"),
    "PQ128": ({2048: 40, 4096: 80, 8192: 161}, "128 bits quantum"),
}


def rows_of(page, first):
    """Cells of the table rows whose first cell begins like that."""
    lines = [line for line in page.read_text(encoding="utf-8").splitlines() if line.startswith(f"| {first}")]
    return [[cell.strip() for cell in line.strip("|").split("|")] for line in lines]


def test_the_table_of_sets_follows_from_the_sets():
    from sottovoce import he
    from sottovoce.he import noise, rlwe

    rows = rows_of(CHOOSING, "`RLWE_")
    assert [row[0].strip("`") for row in rows] == list(he.SETS)
    for name, N, log_q, limit, margin, _, n_bytes, of_rlwe in rows:
        chosen = he.SETS[name.strip("`")]
        limits, claim = GUIDELINE[chosen.name.split("_")[1]]
        assert (int(N), int(log_q)) == (chosen.N, chosen.log_q)
        assert limit == f"{limits[chosen.N]} ({claim})"
        assert int(margin) == limits[chosen.N] - chosen.log_q
        slots = noise.best_slots(chosen.q, 16, 1024)
        wire_bits = noise.smallest_wire_bits(chosen.q, slots, 16, 1024)
        assert n_bytes == f"{wire_bits / slots / 8:.2f}"
        if of_rlwe == "-":
            with pytest.raises(he.ParameterError):
                rlwe.Params(chosen.name, 1, 16, 1024)
        else:
            assert of_rlwe == f"{rlwe.Params(chosen.name, 1, 16, 1024).bytes_per_value:.2f}"
    beyond = ", ".join(str(limits[8192]) for limits, _ in list(GUIDELINE.values())[:2])
    assert f"N = 8192 has {beyond} and 161 bits" in CHOOSING.read_text(encoding="utf-8")


def test_no_estimate_is_below_its_claim():
    for row in rows_of(CHOOSING, "`RLWE_"):
        level, kind = row[3].rstrip(")").split("(")[1].replace(" bits", "").split()
        told = dict(reversed(one.split()) for one in row[5].split(", "))
        assert int(told[kind]) >= int(level)

"""``sottovoce bench --compare``: ratios, differences, what fails, and what is no document."""

import copy
import json

import pytest
from typer.testing import CliRunner

from sottovoce.cli import machine
from sottovoce.cli.app import app
from sottovoce.cli.bench import compare, harness, record
from sottovoce.cli.bench.areas import Area
from sottovoce.cli.bench.measurement import Measurement, Peer, Work
from sottovoce.cli.bench.results import PeerResult, Result


def timing(median, spread=0.0):
    low, high = median * (1 - spread / 2), median * (1 + spread / 2)
    return harness.Timing(median, low, high, low, 5, 1, (low, median, median, median, high))


def result(name, median, *, area=Area.RS, spread=0.0, peer=None):
    peers = () if peer is None else (Peer("zfec", lambda: None, note="Vandermonde"),)
    m = Measurement(area, name, lambda: None, Work(1 << 20, "byte of data"), {"shard_bytes": 1 << 20}, peers)
    return Result(m, timing(median, spread), tuple(PeerResult(p, timing(peer)) for p in peers))


def document(*results, **more):
    return record.document(results, machine.card(), quick=False, **more)


@pytest.fixture
def compared(tmp_path, monkeypatch):
    """Writes two documents and compares them."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("COLUMNS", "120")

    def run(old, new, *arguments):
        for name, one in (("old.json", old), ("new.json", new)):
            text = one if isinstance(one, str) else json.dumps(one)
            (tmp_path / name).write_text(text)
        return CliRunner().invoke(app, ["bench", *arguments, "--compare", "old.json", "new.json"])

    return run


OLD = document(result("encode", 1.0, peer=2.0), result("decode", 1.0), result("sign", 0.5, area=Area.CLSC))
NEW = document(result("encode", 1.3, peer=2.6), result("decode", 0.5), result("sign", 0.5, area=Area.CLSC))


def rows(output):
    return {line.split()[0]: line.split()[1:] for line in output.splitlines() if line.split()}


def test_every_row_has_both_times_and_their_ratio(compared):
    done = compared(OLD, NEW)
    assert done.exit_code == 0, done.output
    found = rows(done.output)
    assert found["encode"] == ["1", "s", "1.3", "s", "1.30", "slower"]
    assert found["zfec"] == ["Vandermonde", "2", "s", "2.6", "s", "1.30", "slower"]
    assert found["decode"] == ["1", "s", "500", "ms", "0.50", "faster"]
    assert found["sign"] == ["500", "ms", "500", "ms", "1.00", "~"]
    assert "1 MiB shard" in done.output
    mean = (1.3 * 0.5 * 1.0) ** (1 / 3)
    assert f"3 compared; geometric mean of times old: {mean:.2f}" in done.output


def test_a_difference_within_the_spread_is_marked(compared):
    done = compared(document(result("encode", 1.0, spread=0.5)), document(result("encode", 1.3, spread=0.2)))
    assert rows(done.output)["encode"][-1] == "~"


def test_a_difference_within_the_spread_does_not_fail(compared):
    old, new = document(result("encode", 1.0, spread=0.5)), document(result("encode", 1.3, spread=0.2))
    assert compared(old, new, "--fail-over", "1.2").exit_code == 0


def test_times_by_another_clock_are_not_compared(compared):
    other = document(result("encode", 1.0), result("decode", 1.0))
    other["results"][0]["clock"] = "another"
    done = compared(document(result("encode", 9.0), result("decode", 1.0)), other)
    assert done.exit_code == 0
    assert "1 compared" in done.output


@pytest.mark.parametrize(("limit", "code"), [("1.2", 1), ("1.29", 1), ("1.31", 0)])
def test_what_got_slower_by_more_fails(limit, code, compared):
    done = compared(OLD, NEW, "--fail-over", limit)
    assert done.exit_code == code
    complaint = f"check failed: 1 of 3 take more than {limit} times as long: rs: encode: 1.30"
    assert (complaint in done.output) is (code == 1)
    assert rows(done.output)["encode"][-1] == "slower", "the table is there in any case"


def test_an_area_is_compared_alone(compared):
    done = compared(OLD, NEW, "clsc", "--fail-over", "1")
    assert done.exit_code == 0, "encode is of rs"
    assert "1 compared" in done.output
    assert "encode" not in done.output


def test_a_peer_alone_does_not_fail(compared):
    """It tells of the machine."""
    new = document(result("encode", 1.0, peer=9.0))
    done = compared(document(result("encode", 1.0, peer=2.0)), new, "--fail-over", "1.2")
    assert done.exit_code == 0
    assert "4.50" in done.output


def test_the_comparison_as_json(compared, tmp_path):
    done = compared(OLD, NEW, "--json", "ratios.json", "--fail-over", "1.2")
    assert done.exit_code == 1, "and the file is written nevertheless"
    ratios = json.loads((tmp_path / "ratios.json").read_text())
    assert ratios["schema"] == "sottovoce-bench-comparison/1"
    assert (ratios["old"], ratios["new"], ratios["fail_over"]) == ("old.json", "new.json", 1.2)
    assert [(one["area"], one["name"], one["ratio"]) for one in ratios["results"]] == [
        ("rs", "encode", pytest.approx(1.3)),
        ("rs", "decode", pytest.approx(0.5)),
        ("clsc", "sign", pytest.approx(1.0)),
    ]


@pytest.mark.parametrize("name", ["old.json", "new.json"])
def test_what_is_compared_is_not_replaced(name, compared, tmp_path):
    done = compared(OLD, NEW, "--json", name)
    assert done.exit_code == 2
    assert f"{name} is the file of --compare" in done.output
    assert json.loads((tmp_path / "old.json").read_text()) == OLD


def test_other_sizes_and_other_names_are_not_compared_but_named(compared):
    new = copy.deepcopy(NEW)
    new["results"][0]["size"]["shard_bytes"] = 1 << 16
    new["results"][1]["name"] = "decode faster"
    done = compared(OLD, new)
    assert done.exit_code == 0
    assert "1 compared" in done.output
    text = " ".join(done.output.split())
    assert "only in new, or of another size: rs: encode; rs: decode faster" in text
    assert "only in old, or of another size: rs: encode; rs: decode" in text


def test_nothing_in_common_is_a_failure(compared):
    done = compared(document(result("encode", 1.0)), document(result("decode", 1.0)), "--fail-over", "1.2")
    assert done.exit_code == 1
    assert "old.json and new.json have no measurement of all in common" in done.output


def test_other_machines_and_other_efforts_are_named(compared):
    new = copy.deepcopy(NEW) | {"quick": True, "threads": 2}
    new["machine"] |= {"cpu": "another", "kernels": {"gf256": "portable"}}
    done = compared(OLD, new)
    text = " ".join(done.output.split())
    assert f"differs: cpu: {machine.card()['cpu']} before, another now" in text
    assert "gf256 portable now" in text
    assert "differs: quick: no before, yes now" in text
    assert "differs: threads: 1 before, 2 now" in text
    assert "differs: cores" not in text
    same = compared(OLD, NEW)
    assert "differs" not in same.output


def median(text):
    """The document with that in the place of the first result's median."""
    return lambda d: json.dumps(d).replace('"median": 1.3', f'"median": {text}')


def twice(d):
    return json.dumps(d | {"results": [*d["results"], d["results"][0]]})


BROKEN = {
    "another schema": (
        lambda d: json.dumps(d | {"schema": "sottovoce-bench/2"}),
        "schema 'sottovoce-bench/2', 'sottovoce-bench/1' expected",
    ),
    "no schema": (lambda d: json.dumps({"results": []}), "no schema in it, 'sottovoce-bench/1' expected"),
    "a list": (lambda d: "[]", "no schema in it"),
    "cut": (lambda d: json.dumps(d)[:-9], "not a JSON document"),
    "deep": (lambda d: "[" * 100_000, "not a JSON document"),
    "no time": (
        lambda d: json.dumps(d | {"results": [{"area": "rs"}]}),
        "not complete, or changed: KeyError",
    ),
    "no results": (lambda d: json.dumps(d | {"results": 7}), "not complete, or changed: TypeError"),
    "no machine": (lambda d: json.dumps(d | {"machine": None}), "not complete, or changed: TypeError"),
    "twice": (twice, "a measurement is in it twice"),
    "a negative time": (median(-1.3), "not complete, or changed: ValueError"),
    "no number": (median("NaN"), "not complete, or changed: ValueError"),
}


@pytest.mark.parametrize(("change", "said"), BROKEN.values(), ids=BROKEN)
@pytest.mark.parametrize("side", ["old", "new"])
def test_what_is_no_such_document_is_refused(change, said, side, compared):
    documents = {"old": NEW, "new": NEW}
    documents[side] = change(NEW)
    done = compared(documents["old"], documents["new"])
    assert done.exit_code == 1, done.output
    assert f"error: {side}.json: {said}" in done.output
    assert "hint: " in done.output
    assert "Traceback" not in done.output


def test_names_from_a_file_cannot_reach_the_terminal(compared):
    documents = []
    for one in (OLD, NEW):
        evil = copy.deepcopy(one)
        evil["results"][0]["name"] = "\x1b[2Jencode [red]x[/red]"
        evil["machine"]["cpu"] = f"{one['results'][0]['seconds']['median']}\x1b[0m"
        documents.append(evil)
    done = compared(*documents)
    assert done.exit_code == 0
    assert "\x1b" not in done.output
    assert "?[2Jencode [red]x[/red]" in done.output


def test_older_documents_of_the_schema_are_read():
    """Fields were added since; nothing was changed."""
    old = copy.deepcopy(OLD)
    for field in ("threads", "load", "left_out"):
        del old[field]
    del old["machine"]["commit"]
    for one in old["results"]:
        del one["threads"], one["clock"]
    before, after = ({e.id: e for e in map(compare._entry, d["results"])} for d in (old, OLD))
    assert before == after

"""The private run beside the plain ones: with a double that can lie, and with the whole stack."""

import contextlib
import io
import json
import os
import re
import sys

import numpy as np
import pytest
import typer
from typer.testing import CliRunner

pytest.importorskip("sklearn")
pytest.importorskip("matplotlib")

from sottovoce.cli import console
from sottovoce.cli.app import app
from sottovoce.cli.demo import command, plot, report, run, train
from sottovoce.cli.demo.options import Options
from sottovoce.fl import ProtocolError, Reason, Stage
from support.cli_command import sottovoce
from support.cli_simulation import Double

SHORT = train.Schedule(epochs=1)
SMALL = Options(clients=16, rounds=2, seed=1)


@pytest.fixture
def double(monkeypatch):
    """Takes the place of the simulation; returns a function that sets what is wrong with its reports."""

    def lie(alter):
        monkeypatch.setattr(run.simulate, "Simulation", type("Liar", (Double,), {"alter": alter}))

    lie(lambda self, report: None)
    return lie


def test_honest_rounds_pass_every_check(double):
    seen = []
    outcome = run.run(SMALL, lambda done, doing: seen.append((done, doing)), SHORT)
    assert outcome.failed == []
    assert len(outcome.checks) == 4
    assert [r.number for r in outcome.rounds] == [1, 2]
    assert all((r.accepted, r.dropped) == (15, 1) for r in outcome.rounds)
    # Without rounding the private run is the plain one, and not that of everyone.
    assert all(r.private == r.plain for r in outcome.rounds)
    assert any(r.plain != r.everyone for r in outcome.rounds)
    assert outcome.n_sealed == 32
    assert outcome.stages["encrypt"].calls == 32
    assert outcome.stages["encrypt"].seconds == pytest.approx(0.2)
    assert outcome.refused["shard: unopenable"] == 20
    assert seen[0] == (0, "keys: issuer, committee, clients")
    assert (1, "clients seal 1/16") in seen
    assert seen[-1] == (2, "done")


def test_one_wrong_slot_ends_the_run(double):
    def alter(self, report):
        if report.round_number == 2:
            report.opened_sum[7] += 1

    double(alter)
    with pytest.raises(console.CheckFailed, match=r"round 2: .* differs .* in 1 of 2411 slots"):
        run.run(SMALL, schedule=SHORT)


def wrong_type(self, report):
    report.opened_sum = report.opened_sum.astype(np.float64)


def wrong_length(self, report):
    report.opened_sum = report.opened_sum[:-1]


@pytest.mark.parametrize("alter", [wrong_type, wrong_length])
def test_sums_of_another_type_or_length_end_the_run(double, alter):
    double(alter)
    with pytest.raises(console.CheckFailed, match=r"round 1: the opened sum is .*, expected int64\[2411\]"):
        run.run(SMALL, schedule=SHORT)


def wrong_mean(self, report):
    report.mean = [array + 1e-2 for array in report.mean]


def not_learning(self, report):
    report.mean = [0.0 * array for array in report.mean]


def nothing_refused(self, report):
    report.refused = {}


def stranger_accepted(self, report):
    del report.refused["sender: unknown"]


def old_shard_accepted(self, report):
    report.refused["shard: unopenable"] -= 1


@pytest.mark.parametrize(
    ("alter", "promise"),
    [
        (wrong_mean, "rounding bound"),
        (not_learning, "within 1 point of plain FedAvg of the same clients"),
        (nothing_refused, "was refused"),
        (stranger_accepted, "was refused"),
        (old_shard_accepted, "was refused"),
    ],
)
def test_broken_promises_are_named(double, alter, promise):
    double(alter)
    outcome = run.run(SMALL, schedule=SHORT)
    assert any(promise in check.promise for check in outcome.failed)


def test_a_failed_check_is_exit_1_with_a_message(double, tmp_path):
    double(wrong_mean)
    picture, document = tmp_path / "a.png", tmp_path / "a.json"
    arguments = ["demo", "--clients", "16", "--rounds", "8", "--out", str(picture), "--json", str(document)]
    done = CliRunner().invoke(app, arguments)
    assert done.exit_code == 1
    assert "error: check failed: every mean within the rounding bound" in done.output
    # What a person needs to find the fault is there nevertheless.
    assert "FAILS" in done.output
    assert [c["holds"] for c in json.loads(document.read_text())["checks"]].count(False) >= 1
    assert picture.stat().st_size > 10_000


@pytest.fixture
def short(monkeypatch):
    """Lets the command train for a moment only."""
    monkeypatch.setattr(run.train, "Schedule", lambda: SHORT)


@contextlib.contextmanager
def reader_left():
    """A stdout whose reader has left."""
    reading, writing = os.pipe()
    os.close(reading)
    stream = os.fdopen(writing, "w")
    with contextlib.redirect_stdout(stream):
        yield
    stream.close()  # rich has turned it to /dev/null


def test_a_reader_who_leaves_costs_neither_picture_nor_json(double, short, tmp_path):
    picture, document = tmp_path / "a.png", tmp_path / "a.json"
    with reader_left(), pytest.raises(SystemExit) as caught, console.command():
        command.main(Options(16, 8, 1), str(picture), str(document))
    assert caught.value.code == 1
    assert picture.read_bytes().startswith(b"\x89PNG")
    assert len(json.loads(document.read_text())["rounds"]) == 8


def test_a_failed_check_is_told_even_if_the_reader_of_the_tables_left(double, short, capsys, tmp_path):
    double(wrong_mean)
    with reader_left(), pytest.raises(typer.Exit) as caught, console.command():
        command.main(Options(16, 8, 1), str(tmp_path / "a.png"), None)
    assert caught.value.exit_code == 1
    assert "every mean within the rounding bound" in capsys.readouterr().err


def test_a_stream_of_plain_signs_takes_all_tables(double, monkeypatch):
    outcome = run.run(SMALL, schedule=SHORT)
    raw = io.BytesIO()
    monkeypatch.setattr(sys, "stdout", io.TextIOWrapper(raw, encoding="ascii", write_through=True))
    console.prepare_streams()
    report.print_all(console.stdout(), outcome)
    text = raw.getvalue().decode("ascii")
    assert " us/ " in text
    assert "?" not in text


@pytest.mark.parametrize("width", [60, 70, 80, 100])
def test_nothing_is_cut_off_at_60_columns(double, width, monkeypatch, capsys):
    def alter(self, report_):
        report_.stages = dict.fromkeys(report._WHO, Stage(0.5, 60_000 * 16, 16))

    double(alter)
    outcome = run.run(SMALL, schedule=SHORT)
    monkeypatch.setenv("COLUMNS", str(width))
    report.print_all(console.stdout(), outcome)
    out = capsys.readouterr().out
    assert "…" not in out
    assert max(map(len, out.splitlines())) <= width
    wanted = {word for stage in report._WHO for word in stage.split()} | {"60,000", "31.25", "committee"}
    assert wanted <= {*out.split()}
    assert "15 of 16" in out


def test_a_stage_that_nobody_knows_is_shown_as_such(double, tmp_path, capsys):
    def alter(self, report):
        report.stages["settle complaints"] = Stage(0.25, 100, 1)

    double(alter)
    outcome = run.run(SMALL, schedule=SHORT)
    assert report.roles(outcome) == ["client", "aggregator", "committee", "other"]
    report.print_stages(console.stdout(), outcome)
    out = capsys.readouterr().out
    assert re.search(r"settle complaints +other +15\.62 ", out)
    assert re.search(r"together +other +15\.62 ", out)
    plot.write(outcome, tmp_path / "a.png")


def test_the_rows_of_both_panels_are_level(double, tmp_path, monkeypatch):
    def alter(self, report):
        report.stages["quantize"] = Stage(0.1, 0, 16)

    double(alter)
    panels = []
    bars = plot._bars

    def record(axes, *arguments):
        bars(axes, *arguments)
        panels.append(axes)

    monkeypatch.setattr(plot, "_bars", record)
    outcome = run.run(SMALL, schedule=SHORT)
    plot.write(outcome, tmp_path / "a.png")
    for axes in panels:
        assert [tick.get_text() for tick in axes.get_yticklabels()] == list(outcome.stages)
    assert panels[0].get_ylim() == panels[1].get_ylim()
    labels = [text.get_text() for text in panels[0].texts]
    assert labels[list(outcome.stages).index("quantize")] == ""


def test_table_and_check_count_replays_alike(double, capsys):
    outcome = run.run(SMALL, schedule=SHORT)
    faults = run.faults_by_name(outcome)
    assert faults["packets replayed as recorded shards"] == faults["packets replayed in fresh shards"] == 2
    assert "packets replayed" not in faults
    report.print_refused(console.stdout(), outcome)
    assert re.search(r"packets replayed in fresh shards +2 *\n", capsys.readouterr().out)
    (check,) = (c for c in outcome.checks if "replayed" in c.promise)
    assert check.detail == "10 shards; 2 packets as recorded shards, 2 in fresh shards; 2 strangers"


def test_a_wrong_sum_is_exit_1_and_leaves_no_file(double, tmp_path):
    def alter(self, report):
        report.opened_sum[-1] -= 1

    double(alter)
    done = CliRunner().invoke(app, ["demo", "--out", str(tmp_path / "a.png")])
    assert done.exit_code == 1
    assert "error: check failed: round 1: the opened sum differs" in done.output
    assert list(tmp_path.iterdir()) == []


def test_a_failed_round_is_exit_1_with_a_hint(double, tmp_path):
    def alter(self, report):
        raise ProtocolError(Reason.TOO_FEW, "7 of 8")

    double(alter)
    done = CliRunner().invoke(app, ["demo", "--out", str(tmp_path / "a.png")])
    assert done.exit_code == 1
    assert "error: ProtocolError: round: too few contributors: 7 of 8" in done.output
    assert "hint: the round was refused as a whole; more --clients" in done.output


def test_clipping_is_told_and_ends_the_comparison_with_the_bound(double, monkeypatch, capsys):
    monkeypatch.setattr(run, "CLIP", 0.05)
    outcome = run.run(SMALL, schedule=SHORT)
    assert outcome.n_clipped > 0
    assert len(outcome.checks) == 3
    report.print_checks(console.stdout(), outcome)
    assert f"{outcome.n_clipped} changes were beyond the clip" in capsys.readouterr().out


def test_rounding_bound_by_example():
    # 18 contributors of full weight 32767 and a clip of 2: three units of the last place each.
    assert run.rounding_bound(18, 18 * 32767) == pytest.approx(6 / 32767)


def test_the_picture_follows_the_ending(double, tmp_path):
    outcome = run.run(SMALL, schedule=SHORT)
    for ending, start in ((".png", b"\x89PNG"), (".svg", b"<?xml"), (".pdf", b"%PDF")):
        plot.write(outcome, tmp_path / f"a{ending}")
        assert (tmp_path / f"a{ending}").read_bytes().startswith(start)


def test_a_round_through_the_whole_stack():
    outcome = run.run(SMALL, schedule=SHORT)
    assert outcome.failed == []
    for r in outcome.rounds:
        assert r.accepted + r.dropped == 16
        assert 0 < r.deviation <= r.bound
    wanted = {"quantize", "encrypt", "share", "signcrypt to committee", "signcrypt to aggregator", "disperse"}
    wanted |= {"gather", "open packets", "add", "members answer", "open sum"}
    assert outcome.stages.keys() >= wanted
    assert all(outcome.stages[name].seconds > 0 for name in wanted)
    assert outcome.injected["shards lost"] == 2 * 16
    assert outcome.injected["members absent"] == 2
    # A replay goes two ways, and the demo counts on both.
    assert outcome.injected["packets replayed"] == 2 * 2
    # No name in the report is out of date.
    assert report._WHO.keys() <= outcome.stages.keys()


def test_demo_end_to_end(tmp_path):
    done = sottovoce("demo", "--clients", 16, "--rounds", 8, "--seed", 3, "--json", "-", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    document = json.loads(done.stdout)
    assert document["schema"] == "sottovoce-demo/1"
    assert document["options"] == {"clients": 16, "rounds": 8, "seed": 3}
    assert document["setting"]["n_parameters"] == 2410
    assert sum(document["setting"]["examples_by_client"]) == document["setting"]["n_train"]
    assert all(check["holds"] for check in document["checks"])
    last = document["rounds"][-1]
    assert last["accuracy_private"] >= 0.9
    assert abs(last["accuracy_private"] - last["accuracy_plain_same_clients"]) <= 0.01
    assert len(document["rounds"]) == 8
    assert any(r["dropped"] for r in document["rounds"]), "a fifth of the shards is lost"
    # The tables went to stderr, which is no terminal: no escape sequences and no bar in it.
    assert "\x1b" not in done.stderr
    for stage in document["stages"]:
        assert stage in done.stderr
    for kind in document["refused"]:
        assert kind.partition(": ")[2] in done.stderr
    assert re.search(r"^holds +every opened sum equals", done.stderr, re.MULTILINE)
    picture = tmp_path / "demo.png"
    assert picture.read_bytes().startswith(b"\x89PNG")
    assert list(tmp_path.iterdir()) == [picture]


@pytest.mark.slow
def test_the_default_demo_learns(tmp_path):
    done = sottovoce("demo", "--json", "demo.json", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    document = json.loads((tmp_path / "demo.json").read_text())
    # Its time is measured by the demo itself and held against nothing: this machine may be busy.
    assert document["rounds"][-1]["accuracy_private"] >= 0.93

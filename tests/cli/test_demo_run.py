"""The private run beside the plain ones: with a double that can lie, and with the whole stack."""

import json
import re

import numpy as np
import pytest
from typer.testing import CliRunner

pytest.importorskip("sklearn")
pytest.importorskip("matplotlib")

from sottovoce.cli import console
from sottovoce.cli.app import app
from sottovoce.cli.demo import plot, report, run, train
from sottovoce.cli.demo.options import Options
from sottovoce.fl import ProtocolError, Reason
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


@pytest.mark.parametrize(
    ("alter", "promise"),
    [
        (wrong_mean, "rounding bound"),
        (not_learning, "within 1 point"),
        (nothing_refused, "was refused"),
        (stranger_accepted, "was refused"),
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
    wanted |= {"gather", "open packets", "add", "members check", "members answer", "open sum"}
    assert outcome.stages.keys() >= wanted
    assert all(outcome.stages[name].seconds > 0 for name in wanted)
    assert outcome.injected["shards lost"] == 2 * 16
    assert outcome.injected["members absent"] == 2
    # Every stage of a server is known as such; the rest is a client's.
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

"""``sottovoce selftest``: what holds is told in a line, what does not is found, made small and reported."""

import filecmp
import gc
import json
import re
import subprocess
import sys
from importlib import resources
from pathlib import Path

import numpy as np
import pytest
from typer.testing import CliRunner

from sottovoce import clsc
from sottovoce._ext import gf256
from sottovoce._ext.kernel import Backend
from sottovoce.cli.app import app
from sottovoce.cli.bench.areas import Area
from sottovoce.cli.selftest import answers, answers_rs, command, expect, props_kernels, running
from sottovoce.cli.selftest.check import KnownAnswers, Property, load
from sottovoce.cli.selftest.running import Limits, Runner, Status
from sottovoce.he import _kahe_open
from support.cli_command import sottovoce
from support.terminal import Terminal

ROOT = Path(__file__).parents[2]
ALL = load(Area.ALL)
FEW = ("--examples", "2", "--seconds", "0")


def check(name):
    (found,) = (c for c in ALL if f"{c.area}.{c.id}" == name)
    return found


def run(one, examples=100, seconds=60, seed=7):
    with Runner(Limits(examples, seconds, seed), 1) as runner:
        return runner.run(one)


def invoke(*arguments):
    return CliRunner().invoke(app, ["selftest", *arguments], catch_exceptions=False)


@pytest.fixture
def at_once(monkeypatch):
    """No search for a smaller input."""
    monkeypatch.setattr(running, "_SHRINK_S", 0.0)


# -- the checks -----------------------------------------------------------------------------------------


def test_every_area_has_both_kinds_with_unique_names():
    for area in Area.ALL.members:
        assert {type(c) for c in load(area)} == {KnownAnswers, Property}
        assert {c.area for c in load(area)} == {area}
    assert len({(c.area, c.id) for c in ALL}) == len(ALL)
    assert [type(c) for c in ALL] == sorted((type(c) for c in ALL), key=lambda kind: kind is Property)


def each(kind, slow=()):
    """The checks of a kind; those that take a second are for ``--slow``, and for the test of the wheel."""
    marked = [
        pytest.param(c, id=name, marks=pytest.mark.slow if name in slow else ())
        for c in ALL
        if isinstance(c, kind) and (name := f"{c.area}.{c.id}")
    ]
    return pytest.mark.parametrize("one", marked)


@each(KnownAnswers, slow=("he.committee", "he.paillier_decoding", "he.public_key", "rs.erasure"))
def test_known_answers_hold(one):
    outcome = run(one)
    assert (outcome.status, outcome.problems) == (Status.OK, ())
    assert outcome.count >= 4


@pytest.mark.slow
@each(Property)
def test_properties_hold(one):
    outcome = run(one, examples=10)
    assert (outcome.status, outcome.problems) in ((Status.OK, ()), (Status.SKIPPED, outcome.problems))


def test_the_wheel_carries_the_vectors_of_the_suite_and_each_of_them_is_read(monkeypatch):
    folder = resources.files("sottovoce.cli.selftest") / "vectors"
    shipped = sorted(str(p.relative_to(folder)) for p in folder.rglob("*.json"))
    assert filecmp.cmpfiles(folder, ROOT / "tests" / "vectors", shipped, shallow=False) == (shipped, [], [])
    read = []
    plain = answers.load

    def watched(name):
        read.append(name)
        return plain(name)

    for module in {sys.modules[c.cases.__module__] for c in ALL if isinstance(c, KnownAnswers)}:
        monkeypatch.setattr(module, "load", watched)
    for one in ALL:
        if isinstance(one, KnownAnswers):
            list(one.cases())
    assert sorted(set(read)) == shipped


def test_no_check_is_an_assert():
    for path in (ROOT / "cli" / "selftest").glob("*.py"):
        assert not re.search(r"^\s*assert\b", path.read_text(), re.MULTILINE), path.name


# -- faults are found -----------------------------------------------------------------------------------


@pytest.mark.usefixtures("at_once")
def test_a_faulty_kernel_fails_its_property(monkeypatch):
    broken = Backend("broken", "portable", frozenset(), 0)
    plain = gf256.multiply

    def multiply(matrix, inputs, outputs, **options):
        plain(matrix, inputs, outputs, **options)
        if options["backend"] is broken and len(outputs[0]) > 100:
            outputs[0][-1] ^= 1

    monkeypatch.setattr(props_kernels.kernel, "usable", lambda backends: (backends[0], broken))
    monkeypatch.setattr(gf256, "multiply", multiply)
    outcome = run(check("rs.gf256_kernel"))
    assert outcome.status is Status.FAILED
    assert re.match(r"Mismatch: broken, output 0: at \[0, \d+\] expected \d+, got \d+$", outcome.problems[0])
    assert int(outcome.example["length"]) > 100


def test_no_signal_is_lost_in_the_garbage_collector():
    """Python throws away what a listener of it raises, Ctrl-C too; hypothesis adds one."""
    heard = []

    def holds(number):
        heard.extend(one for one in gc.callbacks if one.__module__.startswith("hypothesis"))

    one = Property(Area.RS, "x", "it holds", holds, lambda st: {"number": st.integers()})
    with Runner(Limits(20, 60.0, 1), 1) as runner:
        assert runner.run(one).count == 20
    assert heard == []


def test_the_smallest_input_is_reported_and_the_next_property_is_run(monkeypatch):
    def holds(number, text):
        expect.true(number <= 1000, f"{number} is large")

    strategies = lambda st: {"number": st.integers(0, 10**6), "text": st.binary(max_size=9)}  # noqa: E731
    fails = Property(Area.RS, "fails", "numbers are small", holds, strategies)
    good = Property(Area.RS, "good", "it holds", lambda number, text: None, strategies)
    monkeypatch.setattr(command, "load", lambda area: [fails, good])
    done = invoke("rs", "--seed", "3", "--examples", "50")
    assert done.exit_code == 1
    lines = done.stdout.splitlines()
    (at,) = (i for i, line in enumerate(lines) if line.startswith("FAIL"))
    assert lines[at + 1 : at + 4] == [
        "      Mismatch: 1001 is large",
        "      smallest input that was found: number=1001, text=0 bytes",
        "      again: sottovoce selftest rs --seed 3 --examples 50 --seconds 600",
    ]
    assert re.match(r"ok    rs       50 examples .* it holds$", lines[at + 4])
    assert "1 ok, 1 failed" in done.stdout
    assert "check failed: rs.fails" in done.stderr


def test_a_kernel_alone_is_skipped_and_says_so(monkeypatch):
    monkeypatch.setattr(props_kernels.kernel, "usable", lambda backends: backends[:1])
    outcome = run(check("rs.gf256_kernel"))
    assert outcome.status is Status.SKIPPED
    assert outcome.problems == ("nothing to compare: only portable runs here",)


def test_a_faulty_vector_is_named_and_the_rest_goes_on(monkeypatch):
    plain = answers.load

    def load(name):
        data = plain(name)
        if name == "rs/erasure.json":
            parity = data["testGroups"][0]["tests"][2]["parity"]
            parity[0] = f"{int(parity[0][:2], 16) ^ 1:02x}{parity[0][2:]}"
        return data

    monkeypatch.setattr(answers_rs, "load", load)
    done = invoke("rs", "--known-answers")
    assert done.exit_code == 1
    lines = done.stdout.splitlines()
    (at,) = (i for i, line in enumerate(lines) if line.startswith("FAIL"))
    assert "14 cases" in lines[at]
    assert re.match(r"      case 3 .*: Mismatch: parity: expected", lines[at + 1])
    assert lines[at + 2] == "      again: sottovoce selftest rs --known-answers"
    assert sum(line.startswith("ok") for line in lines[at:]) == 2, "the next ones are run"
    assert "2 ok, 1 failed" in done.stdout
    assert "SECURITY.md" in done.stdout
    assert "check failed: rs.erasure" in done.stderr


def test_vectors_that_are_missing_are_a_failure(monkeypatch):
    def load(name):
        raise FileNotFoundError(name)

    monkeypatch.setattr(answers_rs, "load", load)
    outcome = run(check("rs.codec"))
    assert (outcome.status, outcome.count) == (Status.FAILED, 0)
    data = {"numberOfTests": 2, "tests": [{"tcId": 1}]}
    with pytest.raises(expect.Mismatch, match="2 cases expected, 1 found"):
        answers.tests(data)


def broken_open(monkeypatch):
    plain = _kahe_open._Opener.opens

    def opens(self, key):
        found = plain(self, key)
        self._values[0] += 1
        return found

    monkeypatch.setattr(_kahe_open._Opener, "opens", opens)


def talkative_refusal(monkeypatch):
    plain = clsc.unsigncrypt

    def unsigncrypt(packet, **options):
        try:
            return plain(packet, **options)
        except clsc.UnsigncryptError:
            error = clsc.UnsigncryptError()
            error.args = (f"{len(packet)} bytes",)
            raise error from None

    monkeypatch.setattr(clsc, "unsigncrypt", unsigncrypt)


def trusting_verify(monkeypatch):
    monkeypatch.setattr(clsc, "verify", lambda key, message, signature: None)


def wrong_mean(monkeypatch):
    from sottovoce.fl.simulate import Simulation

    plain = Simulation.run_round

    def run_round(self, *arguments, **options):
        report = plain(self, *arguments, **options)
        report.mean[0][0, 0] = np.nextafter(report.mean[0][0, 0], np.float32(2))
        return report

    monkeypatch.setattr(Simulation, "run_round", run_round)


@pytest.mark.usefixtures("at_once")
@pytest.mark.parametrize(
    ("name", "sabotage", "said"),
    [
        ("he.committee_sums", broken_open, "sum of t answers: at [0]"),
        ("clsc.refusals_are_alike", talkative_refusal, "errors differ"),
        ("clsc.signatures", trusting_verify, "changed signature: SignatureError expected, but it returned"),
        pytest.param("fl.rounds", wrong_mean, "mean of the sum", marks=pytest.mark.slow),
    ],
)
def test_what_is_broken_is_found(name, sabotage, said, monkeypatch):
    sabotage(monkeypatch)
    outcome = run(check(name), examples=3)
    assert outcome.status is Status.FAILED
    assert said in outcome.problems[0]
    assert outcome.example


def never_twice():
    seen = []

    def holds(number):
        if number > 3 and not seen:
            seen.append(number)
            raise ValueError("once")

    return Property(Area.RS, "flaky", "it holds", holds, lambda st: {"number": st.integers(0, 10)})


@pytest.mark.usefixtures("at_once")
def test_a_failure_that_does_not_come_again_is_one_all_the_same():
    outcome = run(never_twice())
    assert outcome.status is Status.FAILED
    assert outcome.problems[0] == "ValueError: once"
    assert "Flaky" in outcome.problems[1]
    assert int(outcome.example["number"]) > 3


@pytest.mark.parametrize("error", [SystemExit(143), KeyboardInterrupt()])
def test_a_signal_ends_it_and_is_no_failure(error):
    def holds(number):
        raise error

    one = Property(Area.RS, "x", "it holds", holds, lambda st: {"number": st.integers(0, 10)})
    with pytest.raises(type(error)) as caught:
        run(one)
    assert caught.value is error


def test_what_no_strategy_can_draw_is_a_failure():
    broken = Property(Area.RS, "x", "it holds", lambda number: None, lambda st: {"number": st.nothing()})
    outcome = run(broken)
    assert outcome.status is Status.FAILED
    assert outcome.count == 0


# -- limits ---------------------------------------------------------------------------------------------


def numbers(**limits):
    seen = []
    one = Property(
        Area.RS,
        "x",
        "it holds",
        lambda number: seen.append(number),
        lambda st: {"number": st.integers(0, 10**9)},
    )
    return run(one, **limits), seen


def test_examples_bound_and_seed_decides():
    outcome, seen = numbers(examples=20)
    assert outcome.count == len(seen) == 20
    assert numbers(examples=20)[1] == seen
    assert numbers(examples=20, seed=8)[1] != seen


def slow_one(now, seconds):
    """A property of which each example takes so long."""

    def slow(number):
        now[0] += seconds

    return Property(Area.RS, "s", "it holds", slow, lambda st: {"number": st.integers(0, 10**9)})


@pytest.mark.parametrize(("each", "count"), [(1.0, 2), (0.03, 4)])
def test_time_bounds_but_two_examples_are_run_and_a_tenth_of_a_second(each, count):
    now = [0.0]
    with Runner(Limits(1000, 0.0, 1), 1, clock=lambda: now[0]) as runner:
        outcome = runner.run(slow_one(now, each))
    assert (outcome.status, outcome.count) == (Status.OK, count)


def test_seconds_that_one_property_leaves_are_for_the_next():
    now = [0.0]
    quick = Property(Area.RS, "q", "it holds", lambda number: None, lambda st: {"number": st.just(1)})
    with Runner(Limits(1000, 10.0, 1), 2, clock=lambda: now[0]) as runner:
        assert runner.run(quick).seconds == 0.0
        assert runner.run(slow_one(now, 1.0)).count == 10


# -- the command ----------------------------------------------------------------------------------------


def test_the_command_checks_and_leaves_nothing_behind(tmp_path):
    """Lines go to standard output, also beside the progress bar of a terminal."""
    arguments = ("rs", "--seed", "5", *FEW, "--json", "out.json")
    streams = {"stdin": subprocess.DEVNULL, "stdout": subprocess.PIPE}
    terminal = Terminal(tmp_path, "selftest", *arguments, **streams)
    lines = terminal.process.stdout.read().decode().splitlines()
    assert terminal.end() == 0, lines
    assert b"checking" in terminal.seen
    assert b"ok" not in terminal.seen
    assert lines[0].startswith("sottovoce ")
    assert lines[1].startswith("kernels: codec ")
    assert "seed 5, 2 examples at most, about 0 s" in lines
    assert len([line for line in lines if re.match(r"(ok  |skip)  rs ", line)]) == len(load(Area.RS))
    assert re.match(r"\d+ ok, 0 failed(, \d skipped)?, \d+\.\d s$", lines[-1])
    assert [p.name for p in tmp_path.iterdir()] == ["out.json"]
    document = json.loads((tmp_path / "out.json").read_text())
    assert document["schema"] == "sottovoce-selftest/1"
    assert (document["ok"], document["complete"], document["seed"]) == (True, True, 5)
    assert document["machine"]["kernels"]["gf256"]
    assert [c["check"] for c in document["checks"]] == [f"rs.{c.id}" for c in load(Area.RS)]
    assert {c["status"] for c in document["checks"]} <= {"ok", "skipped"}
    assert all(c["count"] == 2 for c in document["checks"] if c["kind"] == "property" and c["status"] == "ok")


def test_without_hypothesis_the_known_answers_are_run_and_the_rest_is_named(tmp_path):
    done = sottovoce("selftest", "fl", cwd=tmp_path, blocked=["hypothesis"])
    assert done.returncode == 2
    assert "1 ok, 0 failed" in done.stdout
    assert "known answers only" in done.stderr
    assert 'pip install "sottovoce[selftest]"' in done.stderr


def test_known_answers_alone_need_no_hypothesis(monkeypatch):
    monkeypatch.setitem(sys.modules, "hypothesis", None)
    done = invoke("fl", "--known-answers", "--json", "-")
    assert done.exit_code == 0
    document = json.loads(done.stdout)
    assert (document["ok"], document["complete"]) == (True, False)
    assert "1 ok, 0 failed" in done.stderr


def test_list_runs_nothing(monkeypatch):
    monkeypatch.setattr(command, "main", None)
    done = invoke("--list", "he")
    assert done.exit_code == 0
    assert [line.split()[0] for line in done.stdout.splitlines()] == [f"he.{c.id}" for c in load(Area.HE)]
    assert invoke("--list", "--json", "list.json").exit_code == 2

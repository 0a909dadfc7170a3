"""The harness under a clock of its own, the register, and the command with its JSON."""

import json
import os
import re
import statistics
import subprocess
import sys
import time
from pathlib import Path

import pytest
from typer.testing import CliRunner

from sottovoce.cli import machine
from sottovoce.cli.app import app
from sottovoce.cli.bench import command, harness, record, report
from sottovoce.cli.bench.areas import Area
from sottovoce.cli.bench.measurement import Measurement, Operation, Peer, Work, load, measurement
from sottovoce.cli.bench.options import Options

ALL = load(Area.ALL)


class Clock:
    """Time that passes only when an operation says so."""

    def __init__(self):
        self.now = 0.0

    def __call__(self):
        return self.now

    def operation(self, durations, **kwargs):
        durations = iter(durations)

        def call(*_):
            self.now += next(durations)

        return Operation(call, **kwargs)


def cycle(*values):
    while True:
        yield from values


FAST = harness.Effort(seconds=1.0, least=3, most=7, warm_up_s=0.0)


def test_median_and_quartiles_of_the_samples():
    clock = Clock()
    # One call of warm-up, then five samples of a second and less.
    taken = [0.4, 0.05, 0.2, 0.1, 0.3]
    (timing,) = harness.measure([clock.operation([9.0, *taken])], FAST, clock)
    assert timing.n == 5
    assert timing.loops == 1
    assert timing.median == pytest.approx(0.2)
    assert (timing.low, timing.high) == (pytest.approx(0.1), pytest.approx(0.3))
    assert timing.best == pytest.approx(0.05)
    assert timing.spread == pytest.approx(1.0)


def test_the_slow_get_the_least_and_the_fast_the_most_samples():
    clock = Clock()
    slow, fast = harness.measure([clock.operation(cycle(5.0)), clock.operation(cycle(0.01))], FAST, clock)
    assert slow.n == FAST.least
    assert fast.n == FAST.most


def test_what_is_too_short_for_the_clock_is_called_many_times():
    clock = Clock()
    (timing,) = harness.measure([clock.operation(cycle(1e-5))], FAST, clock)
    assert timing.loops == 200
    assert timing.median == pytest.approx(1e-5)


def test_peers_are_measured_by_turns():
    order = []
    clock = Clock()

    def operation(name):
        def call():
            order.append(name)
            clock.now += 0.3

        return Operation(call)

    harness.measure([operation("a"), operation("b")], FAST, clock)
    assert order[2:] == ["a", "b"] * 4


def test_making_the_arguments_is_not_timed():
    clock = Clock()
    made = []

    def fresh():
        clock.now += 100.0
        made.append(object())
        return (made[-1],)

    used = []

    def call(argument):
        used.append(argument)
        clock.now += 0.5

    (timing,) = harness.measure([Operation(call, fresh)], FAST, clock)
    assert timing.median == pytest.approx(0.5)
    assert used == made, "every call gets arguments of its own"


def test_the_pytest_face_runs_the_same_measurements():
    pytest.importorskip("pytest_benchmark")
    root = Path(__file__).parents[2]
    arguments = ["-m", "pytest", "benches", "-q", "-p", "no:cacheprovider", "--collect-only"]
    done = subprocess.run([sys.executable, *arguments], cwd=root, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout
    for m in ALL:
        assert f"benches/bench_{m.area}.py::test_{m.area}[{m.name}]" in done.stdout
        for peer in m.peers:
            assert f"[{m.name}, {peer.title}]" in done.stdout
    arguments[-1] = "--benchmark-disable"
    done = subprocess.run(
        [sys.executable, *arguments, "-k", "dequantize or (add and kahe)"],
        cwd=root,
        capture_output=True,
        text=True,
        check=False,
    )
    assert re.search(r"^2 passed", done.stdout, re.MULTILINE), done.stdout


def test_the_operation_must_not_swallow_its_error():
    def call():
        raise RuntimeError("broken")

    with pytest.raises(RuntimeError, match="broken"):
        harness.measure([Operation(call)], FAST)


def test_every_area_has_measurements_with_unique_names():
    assert {m.area for m in ALL} == set(Area) - {Area.ALL}
    assert len({m.id for m in ALL}) == len(ALL)
    for m in ALL:
        assert m.work.amount >= 1
        assert m.size, "never a number without the size of its input"
        assert load(m.area) == [other for other in ALL if other.area is m.area]


def test_a_name_is_declared_once():
    with pytest.raises(ValueError, match="declared twice"):
        measurement(ALL[0].area, ALL[0].name, work=Work(1, "key"), size={"keys": 1})(lambda: None)
    with pytest.raises(ValueError, match="single area"):
        measurement(Area.ALL, "new", work=Work(1, "key"), size={"keys": 1})(lambda: None)
    assert load(Area.ALL) == ALL


@pytest.mark.parametrize("m", ALL, ids=lambda m: m.id)
def test_every_measurement_runs(m):
    result = command.run(m, harness.Effort(seconds=0.0, least=2, most=2, warm_up_s=0.0), peers=True)
    assert 0 < result.timing.best <= result.timing.median < 60
    assert len(result.peers) == len(m.peers)
    assert len(result.alternatives) == len(m.alternatives)
    assert len(result.parts) == (0 if m.parts is None else len(m.parts.of))


def test_a_missing_peer_is_named_with_its_line(capsys):
    def missing():
        raise ModuleNotFoundError("No module named 'nothing'")

    peers = (Peer("nothing", missing), Peer("numpy", lambda: Operation(lambda: sum(range(10_000)))))
    m = Measurement(Area.RS, "x", lambda: Operation(lambda: None), Work(1, "key"), {"keys": 1}, peers)
    result = command.run(m, harness.Effort(0.0, 2, 2, 0.0), peers=True)
    document = record.document([result], machine.card(), quick=True)["results"][0]["peers"]
    assert document[0] == {
        "distribution": "nothing",
        "note": "",
        "installed": False,
        "install": 'pip install "sottovoce[bench]"',
    }
    assert document[1]["installed"] is True
    assert document[1]["times_ours"] > 10
    from sottovoce.cli import console

    report.print_results(console.stdout(), [result])
    out = capsys.readouterr().out
    assert re.search(r"nothing: not installed", out)
    from_pip, from_checkout = 'pip install "sottovoce[bench]"', 'pip install ".[bench]"'
    assert f"not installed: nothing; come with: {from_pip} (from a checkout: {from_checkout})" in out
    assert command.run(m, harness.Effort(0.0, 2, 2, 0.0), peers=False).peers == ()


def test_a_missing_peer_that_no_extra_brings_has_its_own_line(capsys):
    def missing():
        raise ModuleNotFoundError("No module named 'nothing'")

    peers = (Peer("nothing", missing, install="python make_it.py"),)
    m = Measurement(Area.RS, "x", lambda: Operation(lambda: None), Work(1, "key"), {"keys": 1}, peers)
    result = command.run(m, harness.Effort(0.0, 2, 2, 0.0), peers=True)
    (peer,) = record.document([result], machine.card(), quick=True)["results"][0]["peers"]
    assert peer["install"] == "python make_it.py"
    from sottovoce.cli import console

    report.print_results(console.stdout(), [result])
    out = capsys.readouterr().out
    assert "not installed: nothing comes with: python make_it.py" in out
    assert "sottovoce[bench]" not in out


def one_result(name):
    timing = harness.Timing(4.56e-5, 4e-5, 5e-5, 4e-5, 50, 44)
    peer = report.PeerResult(Peer("zfec", lambda: None, note="Vandermonde"), timing)
    size = {"k": 10, "n": 14, "large_bytes": 1 << 20}
    m = Measurement(Area.RS, name, lambda: None, Work(10 << 20, "byte of data"), size, (peer.peer,))
    return report.Result(m, timing, (peer,))


@pytest.mark.parametrize("width", [60, 70, 80, 100])
def test_the_table_is_whole_at_every_width(width, monkeypatch, capsys):
    monkeypatch.setenv("COLUMNS", str(width))
    from sottovoce.cli import console

    report.print_results(console.stdout(), [one_result("reconstruct 10+4")])
    out = capsys.readouterr().out
    assert "…" not in out
    assert max(map(len, out.splitlines())) <= width
    for word in ("reconstruct", "10+4", "(Vandermonde)", "45.6 µs", "229,951 MB/s of data", "1.0"):
        assert word in out
    assert ("spread" in out) is (width > 60), "the legend is there with its column"


def test_the_file_is_written_before_the_table(monkeypatch, tmp_path):
    def broken(*_):
        raise BrokenPipeError

    monkeypatch.setattr(report, "print_results", broken)
    monkeypatch.setattr(command, "run", lambda m, effort, peers, threads: one_result(m.name))
    with pytest.raises(BrokenPipeError):
        command.main(Options(Area.RS, json=str(tmp_path / "a.json")))
    assert len(json.loads((tmp_path / "a.json").read_text())["results"]) == len(load(Area.RS))


# -- fewer units, aims, bytes, one core -----------------------------------------------------------------


def beside_a_peer(level, *, ours=1.0, theirs=2.0, amount=100, aims=None):
    """A thousand units in ``ours`` seconds, and a peer that takes ``theirs`` for ``amount`` of them."""
    peer = Peer("other", lambda: None, note="slow", amount=amount, aims=aims or {})
    m = Measurement(Area.RS, "thing", lambda: None, Work(1000, "unit"), {"units": 1000}, (peer,))
    mine, its = (harness.Timing(t, t, t, t, 3, 1, (t, t, t)) for t in (ours, theirs))
    return report.Result(m, mine, (report.PeerResult(peer, its, 2500),), n_bytes=4000, level=level)


def test_a_peer_that_does_less_is_compared_by_the_unit():
    result = beside_a_peer("portable")
    assert result.times_faster(result.peers[0]) == pytest.approx(20.0)
    assert result.times_faster(report.PeerResult(result.peers[0].peer, None)) is None
    (peer,) = record.document([result], machine.card(), quick=True)["results"][0]["peers"]
    assert peer["times_ours"] == pytest.approx(20.0)
    assert peer["per_second"] == pytest.approx(50.0)
    assert (peer["amount"], peer["bytes"], peer["aim"]) == (100, 2500, None)


@pytest.mark.parametrize(("level", "aim", "held"), [("avx2", 20.0, True), ("portable", 20.1, False)])
def test_the_aim_of_the_level_counts(level, aim, held, capsys, monkeypatch):
    monkeypatch.setenv("COLUMNS", "110")
    other = {"avx2": "portable", "portable": "avx2"}[level]
    result = beside_a_peer(level, aims={level: aim, other: 1e9})
    words = f"20.0 times faster than other (slow), aim {aim:g} with {level}"
    assert (result.held, result.missed) == (([words], []) if held else ([], [words]))
    from sottovoce.cli import console

    report.print_results(console.stdout(), [result])
    out = capsys.readouterr().out
    assert f"aim {'held' if held else 'missed'}: rs: thing: {words}" in out
    assert f"aims are those for {level} kernels" in out
    assert "4 B/unit" in out, "our bytes"
    assert "25 B/unit" in out, "the peer's"
    document = record.document([result], machine.card(), quick=True)["results"][0]
    assert (document["level"], document["bytes"], document["peers"][0]["aim"]) == (level, 4000, aim)


def test_a_level_without_an_aim_has_none():
    result = beside_a_peer("neon", aims={"avx2": 5.0})
    assert result.aim_of(result.peers[0]) is None
    assert (result.held, result.missed) == ([], [])


@pytest.mark.parametrize(
    ("features", "level", "said"),
    [
        ({"avx512ifma"}, "avx512", "aims are those for avx512 kernels"),
        (set(), "avx2", "lacks AVX-512 IFMA: they count"),
        (set(), "portable", "lacks AVX-512 IFMA, so those for avx2 count, not these"),
    ],
)
def test_without_ifma_the_table_says_which_line_counts(features, level, said, monkeypatch):
    levels = ("portable", "avx2", "avx512") if features else ("portable", "avx2")
    monkeypatch.setattr(report.kernel, "cpu_features", lambda: frozenset(features))
    monkeypatch.setattr(report.kernel, "levels_available", lambda: levels)
    line = report._which_aims([beside_a_peer(level, aims={level: 1.0})])
    assert line.endswith(said)
    assert ("IFMA" in line) is (not features)


@pytest.mark.skipif(not hasattr(os, "sched_getaffinity"), reason="cores cannot be chosen on this system")
@pytest.mark.parametrize("one_core", [True, False])
def test_one_core_is_kept_for_what_asks_for_it_and_given_back(one_core):
    before = os.sched_getaffinity(0)
    seen = []

    def prepare():
        return Operation(lambda: seen.append(os.sched_getaffinity(0)))

    def broken():
        raise RuntimeError("broken")

    for peer in (Peer("numpy", prepare), Peer("numpy", broken)):
        m = Measurement(Area.RS, "x", prepare, Work(1, "key"), {"keys": 1}, (peer,), one_core=one_core)
        if peer.prepare is broken:
            with pytest.raises(RuntimeError, match="broken"):
                command.run(m, harness.Effort(0.0, 2, 2, 0.0), peers=True)
        else:
            command.run(m, harness.Effort(0.0, 2, 2, 0.0), peers=True)
        assert os.sched_getaffinity(0) == before
    assert {len(cores) for cores in seen} == {1 if one_core else len(before)}


def test_one_core_is_measured_in_processor_time():
    m = Measurement(
        Area.RS, "x", lambda: Operation(lambda: time.sleep(0.02)), Work(1, "key"), {"keys": 1}, one_core=True
    )
    assert command.run(m, harness.Effort(0.0, 2, 2, 0.0), peers=False).timing.median < 0.01


def check_seconds(seconds):
    assert set(seconds) == {"median", "low", "high", "best", "n", "loops"}
    assert 0 < seconds["best"] <= seconds["low"] <= seconds["median"] <= seconds["high"]
    assert seconds["n"] >= harness.QUICK.least
    assert seconds["loops"] >= 1


def test_bench_writes_its_schema(tmp_path):
    pytest.importorskip("zfec")
    target = tmp_path / "bench.json"
    done = CliRunner().invoke(app, ["bench", "rs", "--quick", "--peers", "--json", str(target)])
    assert done.exit_code == 0, done.output
    document = json.loads(target.read_text())
    assert list(tmp_path.iterdir()) == [target]
    assert document["schema"] == "sottovoce-bench/1"
    assert set(document) == {
        *("schema", "created", "command", "quick", "threads", "load", "machine", "results", "left_out")
    }
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ", document["created"])
    assert document["quick"] is True
    assert document["machine"] == machine.card()
    # Without what only a busy machine has no time for.
    measured = [r["name"] for r in document["results"]]
    assert measured == [m.name for m in load(Area.RS) if m.quick][: len(measured)]
    left_out = {(one["name"], one["why"]) for one in document["left_out"]}
    assert {(m.name, "--quick") for m in load(Area.RS) if not m.quick} <= left_out
    assert {name for name, _ in left_out} | set(measured) == {m.name for m in load(Area.RS)}
    for result in document["results"]:
        assert set(result) == {
            *("area", "name", "size", "work", "seconds", "per_second", "bytes", "level", "threads", "clock"),
            *("peers", "alternatives", "parts"),
        }
        check_seconds(result["seconds"])
        assert result["per_second"] == pytest.approx(result["work"]["amount"] / result["seconds"]["median"])
        assert result["name"] in done.output
    encode = document["results"][0]
    assert encode["size"] == {"k": 10, "n": 14, "shard_bytes": 1 << 20}
    assert encode["work"] == {"amount": 10 << 20, "unit": "byte of data"}
    isa_l, peer = encode["peers"]
    assert isa_l["distribution"] == "pyeclib"
    assert peer["distribution"] == "zfec"
    check_seconds(peer["seconds"])
    assert peer["times_ours"] == pytest.approx(peer["seconds"]["median"] / encode["seconds"]["median"])


def test_the_card_is_of_this_machine():
    card = machine.card()
    assert card["kernels"].keys() >= {"codec", "gf256", "kahe", "ntt", "rlwe", "sampler"}
    assert card["cores"] >= 1
    assert card["cpu"]
    assert "unknown" not in card["dependencies"].values()
    assert set(card) == set(machine.Card.__annotations__)
    assert json.loads(json.dumps(card)) == card


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (2.5, "2.5 s"),
        (0.0123, "12.3 ms"),
        (0.1234, "123 ms"),
        (4.56e-5, "45.6 µs"),
        (7e-9, "7 ns"),
        (120, "120 s"),
    ],
)
def test_durations(seconds, text):
    assert report.duration(seconds) == text


@pytest.mark.parametrize(
    ("work", "text"),
    [
        (Work(5_000_000, "byte of data"), "10 MB/s of data"),
        (Work(5_000_000, "byte"), "10 MB/s"),
        (Work(80_000, "byte of message"), "0.16 MB/s of message"),
        (Work(1, "key"), "2 /s"),
        (Work(1000, "parameter"), "500 µs/parameter"),
    ],
)
def test_rates(work, text):
    half = harness.Timing(0.5, 0.5, 0.5, 0.5, 3, 1)
    assert report.rate(half, work) == text
    assert statistics.median([half.low, half.high]) == half.median


def test_sizes_are_readable():
    size = {
        "k": 3,
        "packet_bytes": 16384,
        "odd_bytes": 1025,
        "large_bytes": 3 << 20,
        "parameters": 100_000,
        "set": "Q50",
    }
    assert report.describe(size) == "k=3, 16 KiB packet, 1025 bytes odd, 3 MiB large, 100,000 parameters, Q50"

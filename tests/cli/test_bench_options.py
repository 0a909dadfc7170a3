"""Options of ``sottovoce bench``: kernels, threads, quick runs, pictures; what is wrong from the start."""

import json
import os
import subprocess
import sys
import xml.etree.ElementTree as ET

import pytest
from typer.testing import CliRunner

from sottovoce._ext import gf256, kernel
from sottovoce.cli import machine
from sottovoce.cli.app import app
from sottovoce.cli.bench import command, harness, measurement, options, plot, record
from sottovoce.cli.bench.areas import Area, Level
from sottovoce.cli.bench.measurement import Alternative, Measurement, Operation, Peer, Work, load
from sottovoce.cli.bench.results import PeerResult, Result

FAST = harness.Effort(seconds=0.0, least=2, most=2, warm_up_s=0.0)
LACKING = next(level for level in kernel.LEVELS if level not in kernel.levels_available())


@pytest.fixture
def bench(monkeypatch, tmp_path):
    """The command in this process, of three measurements, one of which is not for a quick run."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("COLUMNS", "120")
    few = [m for m in load(Area.RS) if m.name in ("encode 10+4 small", "encode 100+50", "update 10+4")]
    monkeypatch.setattr(command, "load", lambda area: few)
    return lambda *arguments: CliRunner().invoke(app, ["bench", *arguments])


# -- kernels ----------------------------------------------------------------------------------------


def test_levels_are_those_of_the_kernels():
    assert tuple(Level) == kernel.LEVELS


# Not before the command has begun: importing a measurement imports the kernels.
STARTED = """
import sys
from sottovoce.cli import app, main
from sottovoce.cli.bench import options
assert "sottovoce._ext.kernel" not in sys.modules, "chosen too early"
check = options.Options.check
def checked(self):
    check(self)
    from sottovoce.cli.bench import command
    every = command.load
    command.load = lambda area: [m for m in every(area) if m.name == "update 10+4"]
options.Options.check = checked
main()
"""


def in_a_process(*arguments, **environment):
    """The command as it starts from nothing, of one measurement."""
    return subprocess.run(
        [sys.executable, "-c", STARTED, "bench", *arguments],
        capture_output=True,
        text=True,
        check=False,
        env={k: v for k, v in os.environ.items() if k != "SOTTOVOCE_KERNEL"} | environment,
    )


@pytest.mark.parametrize("level", kernel.levels_available())
def test_the_kernel_named_is_the_one_measured(level):
    done = in_a_process("rs", "--quick", "--kernel", level, "--json", "-", SOTTOVOCE_KERNEL="quantum")
    assert done.returncode == 0, done.stderr
    card = json.loads(done.stdout)["machine"]
    assert card["ceiling"] == level, "the option goes before the variable"
    allowed = {backend.name for backend in gf256.BACKENDS if backend.level in kernel._BELOW[level]}
    assert card["kernels"]["gf256"] in allowed
    assert (level == "portable") is (set(card["kernels"].values()) == {"portable"})


def test_a_kernel_that_the_processor_lacks_is_refused():
    done = in_a_process("rs", "--quick", "--kernel", LACKING)
    assert done.returncode == 2
    words = " ".join(done.stderr.replace("│", " ").split())
    assert f"Invalid value for --kernel: {LACKING}: this processor lacks it; it has portable" in words
    assert done.stdout == ""


def test_another_kernel_than_this_process_has_is_refused(bench):
    other = next(level for level in kernel.LEVELS if level != kernel.ceiling())
    done = bench("rs", "--kernel", other)
    assert done.exit_code == 1
    assert f"this process has chosen {kernel.ceiling()} already" in done.output
    assert bench("rs", "--quick", "--kernel", kernel.ceiling()).exit_code == 0


# -- threads ----------------------------------------------------------------------------------------


def of_threads(*, threaded, seen):
    def prepare():
        seen.append((measurement.threads(), measurement.pool() is not None))
        return Operation(lambda: sum(range(20_000)))

    peers = (Peer("numpy", prepare, aims=dict.fromkeys(kernel.LEVELS, 1e9)),)
    return Measurement(
        Area.RS, "x", prepare, Work(1, "key"), {"keys": 1}, peers, one_core=True, threaded=threaded
    )


@pytest.mark.parametrize(("threaded", "n"), [(True, 3), (True, 1), (False, 3)])
def test_threads_reach_what_takes_them(threaded, n):
    seen = []
    result = command.run(of_threads(threaded=threaded, seen=seen), FAST, peers=True, threads=n)
    used = n if threaded else 1
    assert seen == [(used, used > 1)] * 2, "and so do peers"
    assert (result.threads, result.wall) == (used, used > 1)
    assert measurement.threads() == 1, "set back"
    # An aim is for one thread.
    assert bool(result.missed) is (used == 1)
    (one,) = record.document([result], machine.card(), quick=True, threads=n)["results"]
    assert (one["threads"], one["clock"]) == (used, "wall" if used > 1 else "processor")


def test_every_area_but_fl_has_something_for_threads():
    assert {m.area for m in load(Area.ALL) if m.threaded} == {Area.CLSC, Area.HE, Area.RS}


@pytest.mark.parametrize(
    "m", [m for m in load(Area.ALL) if m.threaded and m.quick], ids=lambda m: m.id
)  # the others are of the same functions
def test_two_threads_do_the_same_work(m, monkeypatch):
    """Each asks, when it is prepared, how many it may use."""
    asked = []

    class Two:
        def get(self):
            asked.append(2)
            return 2

    monkeypatch.setattr(measurement, "_threads", Two())
    operation = m.prepare()
    operation.call(*(operation.fresh() if operation.fresh else ()))
    assert asked


# -- quick runs -------------------------------------------------------------------------------------


def test_a_quick_run_takes_from_all_areas_in_turns():
    chosen, left_out = command._chosen(options.Options(Area.ALL, quick=True))
    assert [m.area for m in chosen[:4]] == list(Area.ALL.members)
    assert {m.id for m in chosen} | {m.id for m, _ in left_out} == {m.id for m in load(Area.ALL)}
    assert all(m.quick for m in chosen)
    assert not any(m.quick for m, _ in left_out)
    chosen, left_out = command._chosen(options.Options(Area.ALL))
    assert (chosen, left_out) == (load(Area.ALL), [])


def test_without_an_area_all_are_measured(bench, monkeypatch):
    asked = []
    monkeypatch.setattr(command, "main", asked.append)
    assert bench("--quick").exit_code == 0
    assert [(one.area, one.quick) for one in asked] == [(Area.ALL, True)]


def test_a_quick_run_stops_in_time_and_says_what_is_missing(bench, monkeypatch):
    monkeypatch.setattr(command, "QUICK_BUDGET_S", 0.0)
    done = bench("rs", "--quick", "--json", "a.json")
    assert done.exit_code == 0, done.output
    assert "left out, because the half minute of --quick was over: rs: update 10+4" in done.output
    with open("a.json", encoding="utf-8") as stream:
        document = json.load(stream)
    assert [one["name"] for one in document["results"]] == ["encode 10+4 small"], "one at least"
    assert [(one["name"], one["why"]) for one in document["left_out"]] == [
        ("encode 100+50", "--quick"),
        ("update 10+4", "time"),
    ]


def test_what_a_quick_run_leaves_out_is_said(bench):
    done = bench("rs", "--quick")
    assert done.exit_code == 0, done.output
    assert "left out by --quick: rs: encode 100+50" in done.output
    assert "half minute" not in done.output


# -- nothing is measured when the arguments are wrong ------------------------------------------------


@pytest.mark.parametrize(
    "arguments",
    [
        ("rs", "--threads", "0"),
        ("rs", "--threads", "257"),
        ("rs", "--threads", "two"),
        ("rs", "--kernel", "sse2"),
        ("rs", "--plot", "picture.bmp"),
        ("rs", "--plot", "no/such/folder/a.png"),
        ("rs", "--json", "a.png", "--plot", "a.png"),
        ("rs", "--fail-over", "1.2"),
        ("--fail-over", "1.2"),
        ("--compare", "one.json"),
        ("--compare", "a.json", "b.json", "--fail-over", "0.9"),
        ("--compare", "a.json", "b.json", "--fail-over", "nan"),
        *(("--compare", "a.json", "b.json", option) for option in ("--quick", "--peers", "--parts")),
        ("--compare", "a.json", "b.json", "--threads", "2"),
        ("--compare", "a.json", "b.json", "--kernel", "portable"),
        ("--compare", "a.json", "b.json", "--plot", "a.png"),
    ],
    ids=" ".join,
)
def test_wrong_arguments_are_usage_errors(arguments, bench, monkeypatch, tmp_path):
    monkeypatch.setattr(command, "run", lambda *_, **__: pytest.fail("measured"))
    done = bench(*arguments)
    assert done.exit_code == 2, done.output
    assert "Traceback" not in done.output
    assert list(tmp_path.iterdir()) == []


def test_a_picture_without_matplotlib_is_refused_with_its_line(bench, monkeypatch):
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    monkeypatch.setattr(command, "run", lambda *_, **__: pytest.fail("measured"))
    done = bench("rs", "--plot", "a.png")
    assert done.exit_code == 2
    assert "the module 'matplotlib' is not installed" in done.output
    assert 'pip install "sottovoce[plot]"' in done.output


def test_files_that_are_not_there_fail(bench):
    done = bench("--compare", "no.json", "none.json")
    assert done.exit_code == 1
    assert "error: No such file or directory: no.json" in done.output


# -- pictures ---------------------------------------------------------------------------------------


def timing(median):
    return harness.Timing(median, 0.9 * median, 1.2 * median, median, 3, 1, (median,) * 3)


def drawn():
    peer = Peer("zfec", lambda: None, note="Vandermonde", amount=1 << 19)
    of_bytes = Measurement(
        Area.RS, "encode", None, Work(1 << 20, "byte of data"), {"k": 10, "shard_bytes": 1 << 20}, (peer,)
    )
    slow_way = Alternative("one by one", lambda: None)
    of_packets = Measurement(
        Area.CLSC, "open", None, Work(100, "packet"), {"packets": 100}, alternatives=(slow_way,)
    )
    of_parameters = Measurement(Area.HE, "encrypt", None, Work(1000, "parameter"), {"parameters": 1000})
    results = [
        Result(of_bytes, timing(1e-3), (PeerResult(peer, timing(1e-2)),)),
        Result(of_packets, timing(0.1), alternatives=(timing(0.4),)),
        Result(of_parameters, timing(1e-6)),
    ]
    return record.document(results, machine.card(), quick=True, threads=2)


def test_every_figure_is_at_its_place_in_the_picture():
    pytest.importorskip("matplotlib")
    figure = plot.figure(drawn())
    panels = {axes.get_title(loc="left"): axes for axes in figure.axes}
    assert list(panels) == [
        "clsc: time for one packet (left is faster)",
        "he: time for one parameter (left is faster)",
        "rs: MB/s (right is faster)",
    ]
    expected = {
        "clsc: time for one packet (left is faster)": {1e-3, 4e-3},
        "he: time for one parameter (left is faster)": {1e-9},
        "rs: MB/s (right is faster)": {1048.576, 52.4288},
    }
    for title, values in expected.items():
        marks = {
            float(line.get_xdata()[0])
            for line in panels[title].lines
            if line.get_marker() not in ("None", "", None) and len(line.get_xdata()) == 1
        }
        assert sorted(marks) == pytest.approx(sorted(values))
        assert panels[title].get_xscale() == "log"
        low, high = panels[title].get_xlim()
        assert all(low < value < high for value in values)
    said = {text.get_text() for axes in figure.axes for text in axes.texts}
    assert {"encode", "k=10, 1 MiB shard", "1,049 MB/s", "open", "1 ms/packet", "encrypt"} <= said
    legend = {text.get_text() for axes in figure.axes for text in axes.get_legend().get_texts()}
    assert "one by one" in legend
    assert any(name.startswith("zfec") and name.endswith("Vandermonde") for name in legend)
    assert "2 threads" in figure.texts[0].get_text()


@pytest.mark.parametrize("ending", ["png", "svg"])
def test_the_picture_is_written_with_the_run(ending, bench, tmp_path):
    pytest.importorskip("matplotlib")
    done = bench("rs", "--quick", "--plot", f"picture.{ending}")
    assert done.exit_code == 0, done.output
    assert f"picture: picture.{ending}" in done.output
    data = (tmp_path / f"picture.{ending}").read_bytes()
    assert data.startswith({"png": b"\x89PNG\r\n\x1a\n", "svg": b"<?xml"}[ending])
    assert list(tmp_path.iterdir()) == [tmp_path / f"picture.{ending}"]
    if ending == "svg":
        ET.fromstring(data)


def test_equal_runs_give_equal_pictures(tmp_path):
    pytest.importorskip("matplotlib")
    document = drawn()
    for name in ("a.svg", "b.svg"):
        plot.write(document, tmp_path / name, (Area.RS,))
    assert (tmp_path / "a.svg").read_bytes() == (tmp_path / "b.svg").read_bytes()

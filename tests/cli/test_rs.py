"""``sottovoce rs``: files as shards there and back, what is told, what is refused, and the terminal."""

import json
import os
import re
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from typer.testing import CliRunner

from sottovoce.cli.app import app
from sottovoce.cli.rs import commands
from sottovoce.rs import _files_header, _files_shards
from support.cli_command import environment, sottovoce, start
from support.cli_session import plain
from support.rs_shards import flip, names, row_range, seeded
from support.terminal import Terminal

DATA = seeded(1_000_000)


@pytest.fixture(autouse=True)
def folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    Path("file").write_bytes(DATA)
    return tmp_path


def run(*arguments, code=0, stdin=None):
    result = CliRunner().invoke(app, ["rs", *map(str, arguments)], prog_name="sottovoce", input=stdin)
    assert result.exit_code == code, (result.stdout, result.stderr)
    assert "Traceback" not in result.stderr
    return result


def shards(*options):
    return json.loads(run("split", "file", "-k", 3, "-n", 5, "--json", "-", *options).stdout)["shards"]


# -- the report takes no file's place -------------------------------------------------------------


def test_a_report_replaces_neither_source_nor_shard():
    told = shards()
    before = {name: Path(name).read_bytes() for name in ("file", *told)}
    Path("link").symlink_to(told[1])
    for arguments, taken in (
        (("split", "file", "-k", 2, "-n", 3, "--prefix", "other"), "./file"),
        (("join", *told, "-o", "out"), told[2]),
        (("join", *told, "-o", "out"), "link"),
        (("join", *told, "-o", "out"), "out"),
        (("verify", *told), told[0]),
        (("repair", *told[:4]), told[3]),
    ):
        said = run(*arguments, "--json", taken, code=2)
        assert "is the file of" in plain(said.stderr)
    assert not Path("out").exists()
    assert not list(Path().glob("other*"))
    assert {name: Path(name).read_bytes() for name in before} == before


def test_a_report_does_not_replace_a_shard_that_was_just_made():
    said = run("split", "file", "-k", 3, "-n", 5, "--json", "file.1_5.svr", code=1)
    assert "is one of the shards" in plain(said.stderr)
    told = [f"file.{i}_5.svr" for i in range(5)]
    whole = Path(told[1]).read_bytes()
    Path(told[1]).unlink()
    said = run("repair", *told[:1], *told[2:], "--json", f"./{told[1]}", code=1)
    assert "is one of the shards" in plain(said.stderr)
    assert Path(told[1]).read_bytes() == whole


# -- there and back -------------------------------------------------------------------------------


def test_split_lose_join():
    said = run("split", "file", "-k", 3, "-n", 5, "--json", "-")
    told = json.loads(said.stdout)
    assert {key: told[key] for key in ("format", "k", "n", "bytes")} == {
        "format": "sottovoce", "k": 3, "n": 5, "bytes": len(DATA),
    }  # fmt: skip
    assert told["shards"] == [f"file.{i}_5.svr" for i in range(5)]
    assert len(bytes.fromhex(told["file_id"])) == 16
    assert told["shard_bytes"] == os.path.getsize("file.0_5.svr")
    assert "5 shards of 333,540 bytes, 3 of them needed: file.0_5.svr ... file.4_5.svr" in plain(said.stderr)
    said = run("join", *told["shards"][2:], "-o", "out", "--json", "-")
    assert Path("out").read_bytes() == DATA
    assert json.loads(said.stdout) == {
        "format": "sottovoce", "k": 3, "n": 5, "bytes": len(DATA), "present": 3, "bad_blocks": 0,
        "unusable": [],
    }  # fmt: skip
    assert said.stderr == ""


def test_verify_tells_and_repair_repairs():
    paths = shards()
    good = [Path(path).read_bytes() for path in paths]
    said = run("verify", *paths, "--json", "report")
    assert "5 of 5 shards of a file of 1,000,000 bytes; 3 needed" in plain(said.stdout)
    assert said.stdout.count("intact") == 5
    report = json.loads(Path("report").read_text())
    assert (report["intact"], report["recoverable"], report["consistent"]) == (True, True, True)

    flip(paths[1], row_range(paths[1], 2)[0] + 30)
    flip(paths[3], 5)
    Path(paths[4]).write_bytes(b"nothing")
    said = run("verify", *paths, "--json", "-", code=1)
    assert "DamageError: 3 of 5 shards damaged; the file can be recovered" in said.stderr
    assert "hint: sottovoce rs verify tells which" in plain(said.stderr)
    assert "1 bad blocks, the first 2" in plain(said.stderr)  # stdout holds the JSON
    report = json.loads(said.stdout)
    assert (report["intact"], report["recoverable"], report["missing"]) == (False, True, [4])
    assert [s["bad_blocks"] for s in report["shards"]] == [0, 1, 0, 0, 0]
    assert [s["problem"] for s in report["shards"]][2:] == [
        None, "first header damaged", "header: not a shard of a file",
    ]  # fmt: skip

    said = run("join", *paths, "-o", "out")
    assert "1 damaged blocks and 1 files that are no shards were done without" in plain(said.stderr)
    assert Path("out").read_bytes() == DATA
    said = run("repair", *paths, code=1)
    assert "file.4_5.svr is there already" in said.stderr
    assert Path(paths[4]).read_bytes() == b"nothing"
    said = run("repair", *paths, "--force", "--json", "-")
    assert json.loads(said.stdout)["written"] == [paths[1], paths[3], paths[4]]
    assert "made again: file.1_5.svr" in said.stderr
    assert [Path(path).read_bytes() for path in paths] == good
    assert "all 5 shards are there and intact" in run("repair", *paths).stderr


def test_a_single_shard_is_verified_by_itself():
    paths = shards()
    assert "fewer than 3 shards: each was looked at by itself" in run("verify", paths[1]).stdout
    flip(paths[1], 3000)
    assert "3 needed, 1 present" in run("verify", paths[1], code=1).stderr


def test_zfec_both_ways():
    pytest.importorskip("zfec", reason="the peer of this test")

    def peer(name, *arguments):
        program = f"import sys; from zfec.cmdline_{name} import main; sys.exit(main())"
        subprocess.run([sys.executable, "-c", program, *arguments], check=True, capture_output=True)

    paths = shards("--format", "zfec", "-d", ".", "--prefix", "ours")
    assert paths == [f"./ours.{i}_5.fec" for i in range(5)]
    peer("zunfec", "-o", "theirs", *paths[1:4])
    assert Path("theirs").read_bytes() == DATA
    peer("zfec", "-q", "-k", "3", "-m", "5", "file")
    assert [Path(f"file.{i}_5.fec").read_bytes() for i in range(5)] == [Path(p).read_bytes() for p in paths]
    run("join", *paths[:1], *paths[3:], "-o", "out", "--format", "zfec")
    assert Path("out").read_bytes() == DATA
    assert (
        "without checksums nothing could be looked at" in run("verify", *paths[:3], "--format", "zfec").stdout
    )
    assert "none that can be read" in run("join", *paths, "-o", "out2", code=1).stderr
    os.unlink(paths[2])
    run("repair", *paths[:2], *paths[3:], "--format", "zfec")
    run("verify", *paths, "--format", "zfec")


def test_pipes(folder):
    source = subprocess.run(
        [sys.executable, "-m", "sottovoce", "rs", "split", "-", "-k", "2", "-n", "3", "--prefix", "p"],
        input=DATA, capture_output=True, check=True,
    )  # fmt: skip
    assert source.stdout == b""
    done = subprocess.run(
        [sys.executable, "-m", "sottovoce", "rs", "join", "p.2_3.svr", "p.0_3.svr"],
        capture_output=True, check=True,
    )  # fmt: skip
    assert done.stdout == DATA


def test_quiet_and_threads():
    assert run("split", "file", "-k", 3, "-n", 5, "-q", "--threads", 2, "--block-kib", 1).stderr == ""
    paths = [f"file.{i}_5.svr" for i in range(5)]
    os.unlink(paths[0])
    flip(paths[1], 3000)
    for command in (
        ("join", *paths[1:], "-o", "out", "-q"),
        ("repair", *paths[1:], "-q", "--threads", 2),
        ("verify", *paths, "-q"),
    ):
        said = run(*command)
        assert said.stdout + said.stderr == ""
    assert Path("out").read_bytes() == DATA
    flip(paths[1], 3000)
    said = run("verify", *paths, "-q", code=1)
    assert said.stdout == ""
    assert "DamageError" in said.stderr


# -- refused --------------------------------------------------------------------------------------


def test_nothing_is_overwritten_unasked():
    paths = shards()
    Path("out").write_bytes(b"mine")
    assert "out is there already" in run("join", *paths, "-o", "out", code=1).stderr
    said = run("split", "file", "-k", 3, "-n", 5, code=1).stderr
    assert "file.0_5.svr is there already" in said
    assert "hint: --force overwrites it" in plain(said)
    assert Path("out").read_bytes() == b"mine"
    run("split", "file", "-k", 3, "-n", 5, "-f")
    run("join", *paths, "-o", "out", "-f")
    assert Path("out").read_bytes() == DATA


def test_errors_say_what_is_needed():
    paths = shards()
    said = plain(run("join", *paths[:2], "nowhere", "-o", "out", code=1).stderr)
    assert "TooManyErasures: 3 shards needed, 2 present (nowhere: No such file or directory)" in said
    assert "hint: more shards were lost" in said
    Path("other").write_bytes(b"other")
    run("split", "other", "-k", 3, "-n", 5)
    said = plain(run("join", *paths, "other.0_5.svr", "-o", "out", code=1).stderr)
    assert "MixedShardsError: shards: of one file expected" in said
    assert "hint: name the shards of one file" in said
    assert "No such file or directory: nowhere" in run("split", "nowhere", "-k", 1, "-n", 2, code=1).stderr
    assert not Path("out").exists()


def test_what_is_needed_is_not_replaced_even_by_force():
    paths = shards()
    said = plain(run("join", *paths, "-o", paths[1], "-f", code=1).stderr)
    assert f"{paths[1]}: the file would replace its shard {paths[1]}" in said
    os.link("file", "x.1_2.svr")
    said = plain(run("split", "file", "-k", 1, "-n", 2, "--prefix", "x", "-f", code=1).stderr)
    assert "x.1_2.svr: shard 1 would replace the source" in said
    assert "hint: name another place" in said
    assert Path("file").read_bytes() == DATA


@pytest.mark.parametrize("path", ["", ".", "\udcff/x"])
def test_paths_that_lead_to_no_file(path):
    paths = shards()
    before = names(".")
    for command in (
        ("split", path, "-k", 1, "-n", 2),
        ("join", path, "-o", "out"),
        ("join", *paths, "-o", path),
        ("verify", path),
        ("repair", path),
        ("repair", *paths[1:], "-d", path) if path != "." else ("verify", path),
        ("verify", *paths, "--json", path),
    ):
        result = CliRunner().invoke(app, ["rs", *command], prog_name="sottovoce")
        assert result.exit_code in (1, 2), (command, result.stdout, result.stderr)
        assert isinstance(result.exception, SystemExit), (command, result.exception)
        assert names(".") == before, command


def test_usage_errors_name_the_option():
    paths = shards()
    for command, message in (
        (("split", "file", "-k", 5, "-n", 3), "-k"),
        (("split", "file", "-k", 0, "-n", 3), "-k"),
        (("split", "file", "-k", 3, "-n", 257), "-n"),
        (("split", "file", "-k", 3), "-n"),
        (("split", "-", "-k", 3, "-n", 5), "--prefix"),
        (("split", "file", "-k", 3, "-n", 5, "--prefix", "a/b"), "--prefix"),
        (("split", "file", "-k", 3, "-n", 5, "-d", "nowhere"), "--folder"),
        (("split", "file", "-k", 3, "-n", 5, "--block-kib", 9999), "at most 3276 for 5"),
        (("split", "file", "-k", 3, "-n", 5, "--format", "zfec", "--block-kib", 1), "--block-kib"),
        (("split", "file", "-k", 3, "-n", 5, "--format", "tar"), "--format"),
        (("join", *paths, "--json", "-"), "stdout is taken"),
        (("join", *paths, "-o", "nowhere/out"), "--output"),
        (("join",), "SHARD"),
        (("repair", *paths, "--prefix", ""), "--prefix"),
        (("verify", *paths, "--json", "nowhere/x"), "--json"),
    ):
        assert message in plain(run(*command, code=2).stderr), command


def test_the_declared_choices_are_those_of_the_library():
    assert {str(name) for name in commands.FormatName} == set(_files_shards.FORMATS)
    assert commands._MAX_STRIPE_KIB << 10 == _files_header.MAX_STRIPE_BYTES


@pytest.mark.skipif(shutil.which("bash") is None, reason="bash is not installed")
def test_the_commands_of_the_page(folder):
    page = Path(__file__).parents[2] / "docs" / "rs-files.md"
    (block,) = re.findall(r"```sh\n(.*?)```", page.read_text(encoding="utf-8"), re.DOTALL)
    (folder / "bin").mkdir()
    command = folder / "bin" / "sottovoce"
    command.write_text(f'#!/bin/sh\nexec {sys.executable} -m sottovoce "$@"\n')
    command.chmod(0o755)
    done = subprocess.run(
        ["bash", "-e", "-c", block], env=environment({"PATH": f"{folder / 'bin'}:{os.environ['PATH']}"}),
        capture_output=True, text=True, check=False, timeout=120,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert Path("photo.raw").read_bytes() == b"".join(b"%d\n" % i for i in range(1, 200_001))
    assert "1 bad blocks, the first 1" in plain(done.stdout)
    assert done.stderr.count("made again") == 4


# -- a process, a terminal ------------------------------------------------------------------------


def test_help_names_the_commands(folder):
    done = sottovoce("rs", "--help", cwd=folder)
    assert done.returncode == 0
    assert all(name in done.stdout for name in ("split", "join", "verify", "repair"))


def test_a_bar_is_drawn_on_a_terminal_and_not_if_quiet(folder):
    with Path("large").open("wb") as file:
        file.truncate(48 << 20)
    terminal = Terminal(folder, "rs", "split", "large", "-k", "10", "-n", "14")
    terminal.until(b"splitting")
    assert terminal.end() == 0
    assert b"MiB" in terminal.seen
    assert b"14 shards of" in terminal.seen
    paths = [f"large.{i:02}_14.svr" for i in range(14)]
    terminal = Terminal(folder, "rs", "verify", *paths)
    terminal.until(b"verifying")
    assert terminal.end() == 0
    assert terminal.seen.count(b"intact") == 14
    terminal = Terminal(folder, "rs", "join", *paths[4:], "-o", "out", "-q")
    assert terminal.end() == 0
    assert terminal.seen == b""
    assert Path("out").stat().st_size == 48 << 20


def test_a_file_is_not_thrown_at_a_terminal(folder):
    paths = shards()
    terminal = Terminal(folder, "rs", "join", *paths)
    assert terminal.end() == 1
    assert b"a file of shards is not text, and standard output is a terminal" in terminal.seen


@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_an_end_from_outside_leaves_nothing(folder, number, code):
    with Path("large").open("wb") as file:
        file.truncate(1 << 31)
    before = names(".")
    process = start("rs", "split", "large", "-k", "10", "-n", "14", cwd=folder)
    while process.poll() is None and not _writes(process.pid):
        pass
    process.send_signal(number)
    assert process.wait(timeout=60) == code
    process.communicate()
    assert names(".") == before


def _writes(pid):
    """Whether the process has read some of the file."""
    try:
        with open(f"/proc/{pid}/io") as file:
            return any(line.startswith("wchar:") and int(line.split()[1]) > 1 << 20 for line in file)
    except OSError:
        return False

"""Files, optional modules and the way from an exception to an exit code."""

import errno
import io
import json
import os
import stat
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
import typer
from typer.main import get_command
from typer.testing import CliRunner

from sottovoce._ext import errors
from sottovoce.cli import console
from sottovoce.cli.app import app
from support.cli_session import plain


def run_and_fail(error):
    with pytest.raises(typer.Exit) as caught, console.command():
        raise error
    return caught.value.exit_code


def all_errors(cls=errors.SottovoceError):
    return [cls, *(deeper for sub in cls.__subclasses__() for deeper in all_errors(sub))]


@pytest.mark.parametrize("cls", all_errors())
def test_every_library_error_is_one_line_a_hint_and_exit_1(cls, capsys):
    error = cls.__new__(cls)  # some take other arguments; the message is what counts here
    Exception.__init__(error, "first\nsecond [bold]")
    assert run_and_fail(error) == 1
    out, err = capsys.readouterr()
    assert out == ""
    message, hint = err.splitlines()
    assert message == f"error: {cls.__name__}: first second [bold]"
    assert hint.startswith("hint: ")
    assert len(hint) > 20


@pytest.mark.parametrize(
    ("error", "code", "text"),
    [
        (console.CheckFailed("sums differ"), 1, "error: check failed: sums differ\n"),
        (
            console.MissingExtra("sklearn", "demo"),
            2,
            """error: the module 'sklearn' is not installed
hint: pip install "sottovoce[demo]" (from a checkout: pip install ".[demo]")
""",
        ),
        (KeyboardInterrupt(), 130, "error: interrupted\n"),
        (
            OSError(errno.ENOSPC, "No space left on device", "a.png"),
            1,
            f"error: No space left on device: a.png\nhint: {console._SPACE_HINT}\n",
        ),
    ],
)
def test_foreseen_errors(error, code, text, capsys):
    assert run_and_fail(error) == code
    assert capsys.readouterr().err == text


@pytest.mark.parametrize(
    "error", [RuntimeError("bug"), BrokenPipeError(errno.EPIPE, "pipe"), ValueError("bug")]
)
def test_unforeseen_errors_keep_their_traceback(error):
    with pytest.raises(type(error)) as caught, console.command():
        raise error
    assert caught.value is error


def test_the_library_wants_an_extra(capsys):
    def fail(module):
        try:
            raise ModuleNotFoundError("missing", name=module)
        except ModuleNotFoundError as error:
            raise errors.KernelUnavailable("cannot be imported") from error

    for module, code, hint in (("py_ecc.bls", 2, "[reference]"), ("nothing", 1, "unset the variable")):
        with pytest.raises(typer.Exit) as caught, console.command():
            fail(module)
        assert caught.value.exit_code == code
        assert hint in capsys.readouterr().err


@pytest.fixture
def streams(monkeypatch):
    """Puts streams of an encoding in the place of stdout and stderr; returns what they got."""

    def put(encoding):
        raw = [io.BytesIO(), io.BytesIO()]
        for name, buffer in zip(("stdout", "stderr"), raw, strict=True):
            monkeypatch.setattr(sys, name, io.TextIOWrapper(buffer, encoding=encoding, write_through=True))
        console.prepare_streams()
        return raw

    return put


@pytest.mark.parametrize(
    ("encoding", "expected"),
    [
        ("ascii", b"12 us a~ ? -\n"),
        ("latin-1", b"12 \xb5s a~ ? -\n"),
        ("utf-8", "12 µs a… ? -\n".encode()),
    ],
)
def test_a_sign_that_a_stream_lacks_becomes_a_plain_one(encoding, expected, streams):
    out, err = streams(encoding)
    text = "12 µs a… \udcff -"  # a byte of a file name that is no text
    print(text)
    console.stderr().print(text)
    assert (out.getvalue(), err.getvalue()) == (expected, expected)


def test_closed_descriptors_are_no_reason_to_fail(monkeypatch):
    monkeypatch.setattr(sys, "stdout", None)
    monkeypatch.setattr(sys, "stderr", None)
    console.prepare_streams()
    console.stdout().print("nobody hears")
    with console.progress() as bar:
        bar.advance(bar.add_task("x", total=1, stage=""))


def test_only_encoding_is_forgiven():
    error = UnicodeDecodeError("ascii", b"\xff", 0, 1, "bad")
    with pytest.raises(UnicodeDecodeError):
        console._plainly(error)


def test_require_names_the_extra_and_the_missing_module():
    console.require("demo", "json", "numpy")
    with pytest.raises(console.MissingExtra, match="no_such_module_at_all") as caught:
        console.require("bench", "json", "no_such_module_at_all")
    assert caught.value.extra == "bench"


def test_require_does_not_hide_a_bug_of_our_own():
    with pytest.raises(ModuleNotFoundError, match=r"sottovoce\.nothing"):
        console.require("demo", "sottovoce.nothing")


def test_atomic_file_is_complete_or_not_there(tmp_path):
    target = tmp_path / "picture.png"
    target.write_text("old")

    def interrupted():
        with console.atomic_file(target) as path:
            path.write_text("half")
            assert path.suffix == ".png"
            assert path.parent == tmp_path
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        interrupted()
    assert target.read_text() == "old"
    with console.atomic_file(target) as path:
        path.write_text("new")
        assert target.read_text() == "old"
    assert target.read_text() == "new"
    assert list(tmp_path.iterdir()) == [target]


def test_atomic_file_has_the_rights_of_any_new_file(tmp_path):
    before = os.umask(0o027)
    try:
        with console.atomic_file(tmp_path / "a.json") as path:
            path.write_text("{}")
    finally:
        os.umask(before)
    assert stat.S_IMODE((tmp_path / "a.json").stat().st_mode) == 0o640


def test_json_to_a_file_to_stdout_and_to_nobody(tmp_path, capsys):
    target = tmp_path / "a.json"
    console.write_json({"a": 1}, str(target))
    assert json.loads(target.read_text()) == {"a": 1}
    assert capsys.readouterr().out == ""
    console.write_json({"a": 1}, "-")
    assert json.loads(capsys.readouterr().out) == {"a": 1}
    console.write_json({"a": 1}, None)
    assert capsys.readouterr().out == ""


def test_json_refuses_what_is_not_json(tmp_path):
    with pytest.raises(ValueError, match="JSON compliant"):
        console.write_json({"a": float("nan")}, str(tmp_path / "a.json"))
    assert list(tmp_path.iterdir()) == []


def test_tables_leave_stdout_to_the_json(capsys):
    console.results_console("-").print("table")
    console.results_console("a.json").print("other")
    out, err = capsys.readouterr()
    assert (out, err) == ("other\n", "table\n")


def test_a_folder_that_cannot_be_written_is_seen_before_the_work(tmp_path):
    # Nobody, not even root, makes files in /proc.
    with pytest.raises(typer.BadParameter, match="cannot be written"):
        console.check_writable("/proc/demo.json", "--json")
    console.check_writable(str(tmp_path / "a.json"), "--json")
    assert list(tmp_path.iterdir()) == []


def test_a_pipe_is_written_and_stays_a_pipe(tmp_path):
    pipe = tmp_path / "pipe.json"
    os.mkfifo(pipe)
    console.check_writable(str(pipe), "--json")
    with ThreadPoolExecutor(1) as pool:
        text = pool.submit(pipe.read_text)
        console.write_json({"a": 1}, str(pipe))
        assert json.loads(text.result(timeout=10)) == {"a": 1}
    assert pipe.is_fifo()
    assert list(tmp_path.iterdir()) == [pipe]


def test_a_link_is_followed(tmp_path):
    (tmp_path / "folder").mkdir()
    link = tmp_path / "link.json"
    link.symlink_to(tmp_path / "folder" / "real.json")
    console.write_json({"a": 1}, str(link))
    assert link.is_symlink()
    assert json.loads((tmp_path / "folder" / "real.json").read_text()) == {"a": 1}


def commands(group, *names):
    for name, command in sorted(group.commands.items()):
        if hasattr(command, "commands"):
            yield from commands(command, *names, name)
        else:
            yield (*names, name), command


def test_every_report_is_held_against_the_other_files_of_its_command():
    found = [(names, p) for names, command in commands(get_command(app)) for p in command.params]
    reports = [(names, p) for names, p in found if "--json" in p.opts]
    assert len(reports) > 20
    assert [names for names, p in reports if p.callback is None] == []


def test_a_report_takes_the_place_of_no_other_file(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("SOTTOVOCE_HOME", str(tmp_path / "home"))
    for name in ("letter", "letter.sig", "alice"):
        (tmp_path / name).write_text(name)
    (tmp_path / "same").symlink_to("letter")
    for arguments, taken in (
        (("verify", "letter", "--sig", "letter.sig"), "./letter"),
        (("verify", "letter", "--sig", "letter.sig"), "letter.sig"),
        (("verify", "letter", "--sig", "letter.sig"), "same"),
        (("seal", "letter", "--to", "alice", "-o", "out"), "out"),
        (("seal", "letter", "--to", "alice", "-o", "out"), "letter"),
        (("seal", "letter", "--to", "alice", "-o", "out"), "alice"),
    ):
        result = CliRunner().invoke(app, [*arguments, "--json", taken], prog_name="sottovoce")
        assert result.exit_code == 2, (arguments, result.stderr)
        assert f"{Path(taken)} is the file of" in plain(result.stderr)
    for name in ("letter", "letter.sig", "alice"):
        assert (tmp_path / name).read_text() == name
    assert not (tmp_path / "out").exists()

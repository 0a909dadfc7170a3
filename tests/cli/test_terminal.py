"""A person at a terminal: prompts, progress, what is shown and what is not, Ctrl-C."""

import subprocess

import pytest

from sottovoce._ext import sealed
from sottovoce.cli import console
from sottovoce.clsc import Mode
from support.cli_session import PASSPHRASE, Session, Step
from support.terminal import Terminal

LARGE = 12 << 20


@pytest.fixture(scope="module")
def homes(tmp_path_factory):
    """Folder with the home ``alice`` and the file ``pw``; she knows herself and that is enough."""
    folder = tmp_path_factory.mktemp("terminal")
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(sealed, "COST", sealed.Cost(memory_kib=64, passes=1, lanes=1))
        session = Session(folder, patched)
        session.issuer.open(Mode.IDENTITY, "2026-W47")
        session.issuer.enrol("alice", folder / "alice.enrol")
        session.run(Step(0, "as alice"))
        session.do("sottovoce keygen --enrolment alice.enrol --passphrase-file pw -o alice.req")
        session.issuer.answer("alice", folder / "alice.req", folder / "alice.answer")
        session.do("sottovoce keygen --answer alice.answer --passphrase-file pw -o alice.pub")
        (folder / "plan.txt").write_text("We meet at noon.\n")
        (folder / "bytes").write_bytes(b"\x1b]0;title\x07" + bytes(range(256)))
        (folder / "large").write_bytes(bytes(LARGE))
        for name in ("plan.txt", "bytes", "large"):
            session.do(f"sottovoce seal {name} --to alice --passphrase-file pw -o {name}.svs")
    return folder


def files_of(folder):
    return sorted(path.name for path in folder.iterdir())


# -- passphrases ----------------------------------------------------------------------------------


def test_a_passphrase_is_asked_without_an_echo(homes, tmp_path):
    terminal = Terminal(homes, "open", "plan.txt.svs", "-o", tmp_path / "out.txt")
    terminal.until(b"Passphrase of alice: ").type(PASSPHRASE + "\n")
    assert terminal.end() == 0
    assert (tmp_path / "out.txt").read_text() == "We meet at noon.\n"
    assert PASSPHRASE.encode() not in terminal.seen
    assert b"from yourself, as alice" in terminal.seen


def test_it_is_asked_at_the_terminal_while_data_come_through_a_pipe(homes):
    with (homes / "plan.txt.svs").open("rb") as packet:
        terminal = Terminal(homes, "open", stdin=packet, stdout=subprocess.PIPE)
        terminal.until(b"Passphrase of alice: ").type(PASSPHRASE + "\n")
        assert terminal.process.stdout.read() == b"We meet at noon.\n"
        assert terminal.end() == 0


def test_a_new_passphrase_is_asked_twice(homes, tmp_path):
    arguments = ("keygen", "--enrolment", "alice.enrol", "-o", tmp_path / "req")
    terminal = Terminal(homes, *arguments, home=tmp_path / "new")
    terminal.until(b"New passphrase for alice: ").type("one\n").until(b"The same again: ").type("two\n")
    assert terminal.end() == 1
    assert b"the two passphrases differ" in terminal.seen
    assert files_of(tmp_path) == ["new"]
    assert list((tmp_path / "new").glob("secret/*/*")) == []

    terminal = Terminal(homes, *arguments, home=tmp_path / "new")
    terminal.until(b"New passphrase for alice: ").type("one\n").until(b"The same again: ").type("one\n")
    assert terminal.end() == 0
    # Both requests have the same passphrase: asked once, and twice only to catch a slip.
    assert terminal.seen.count(b"assphrase") == 1
    assert len(list((tmp_path / "new").glob("secret/alice/*.pending"))) == 2


def test_ctrl_c_at_the_prompt(homes, tmp_path):
    terminal = Terminal(homes, "seal", "plan.txt", "--to", "alice", "-o", tmp_path / "out.svs")
    terminal.until(b"Passphrase of alice: ").type("\x03")
    assert terminal.end() == 130
    assert b"interrupted" in terminal.seen
    assert files_of(tmp_path) == []


# -- what is shown ----------------------------------------------------------------------------------


def test_a_packet_is_not_thrown_at_a_terminal(homes):
    terminal = Terminal(homes, "seal", "plan.txt", "--to", "alice", "--passphrase-file", "pw")
    assert terminal.end() == 1
    assert b"a packet is not text, and standard output is a terminal" in terminal.seen
    assert b"SVS" not in terminal.seen
    terminal = Terminal(homes, "seal", "plan.txt", "--to", "alice", "--passphrase-file", "pw", "-o", "-")
    assert terminal.end() == 0
    assert b"SVS" in terminal.seen


def test_text_is_shown_and_other_content_is_not(homes):
    terminal = Terminal(homes, "open", "plan.txt.svs", "--passphrase-file", "pw")
    assert terminal.end() == 0
    assert b"We meet at noon.\r\n" in terminal.seen
    terminal = Terminal(homes, "open", "bytes.svs", "--passphrase-file", "pw")
    assert terminal.end() == 1
    assert b"the content is not a text for a terminal" in terminal.seen
    assert b"title" not in terminal.seen
    terminal = Terminal(homes, "open", "bytes.svs", "--passphrase-file", "pw", "-o", "-")
    assert terminal.end() == 0
    assert b"\x1b]0;title\x07" in terminal.seen


def test_nobody_types_a_packet(homes):
    terminal = Terminal(homes, "open", "--passphrase-file", "pw")
    assert terminal.end() == 1
    assert b"standard input is a terminal" in terminal.seen


# -- progress ---------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("doing", "arguments"),
    [
        (b"sealing", ("seal", "large", "--to", "alice")),
        (b"opening", ("open", "large.svs")),
        (b"signing", ("sign", "large")),
    ],
)
def test_a_bar_for_large_files(doing, arguments, homes, tmp_path):
    terminal = Terminal(homes, *arguments, "--passphrase-file", "pw", "-o", tmp_path / "out")
    assert terminal.end() == 0
    assert doing in terminal.seen
    assert b"12.0 MiB" in terminal.seen or b"/12.0" in terminal.seen or b"24.0" in terminal.seen


def test_no_bar_for_small_files_and_outside_a_terminal(homes, tmp_path):
    terminal = Terminal(
        homes, "seal", "plan.txt", "--to", "alice", "--passphrase-file", "pw", "-o", tmp_path / "small"
    )
    assert terminal.end() == 0
    assert b"sealing" not in terminal.seen
    arguments = ["seal", "large", "--to", "alice", "--passphrase-file", "pw", "-o", tmp_path / "large"]
    terminal = Terminal(homes, *arguments, stderr=subprocess.PIPE)
    assert terminal.process.stderr.read() == b""
    terminal.process.stderr.close()
    assert terminal.end() == 0


def test_the_bar_counts_bytes_and_leaves_nothing(monkeypatch, capsys):
    monkeypatch.setattr(console, "_BAR_FROM_BYTES", 10)
    with console.bytes_progress("sealing") as show:
        show(0, 20)
        show(20, 20)
    assert capsys.readouterr() == ("", "")  # no terminal here


# -- Ctrl-C -----------------------------------------------------------------------------------------


def test_ctrl_c_in_the_middle_of_a_large_file_leaves_nothing(homes, tmp_path):
    with (tmp_path / "huge").open("wb") as file:
        file.truncate(1 << 30)
    terminal = Terminal(
        homes, "seal", tmp_path / "huge", "--to", "alice", "--passphrase-file", "pw", "-o", tmp_path / "out"
    )
    terminal.until(b"sealing").type("\x03")
    assert terminal.end() == 130
    assert b"interrupted" in terminal.seen
    assert files_of(tmp_path) == ["huge"]


@pytest.mark.parametrize(
    ("arguments", "source"), [(("seal", "--to", "alice"), "large"), (("open",), "large.svs")]
)
def test_ctrl_c_while_a_pipe_is_read_leaves_nothing(arguments, source, homes, tmp_path):
    terminal = Terminal(
        homes, *arguments, "--passphrase-file", "pw", "-o", tmp_path / "out", stdin=subprocess.PIPE
    )
    # More than a pipe holds: when this returns, the command is reading.
    terminal.process.stdin.write((homes / source).read_bytes()[: 4 << 20])
    terminal.process.stdin.flush()
    terminal.interrupt()
    assert terminal.end() == 130
    assert files_of(tmp_path) == []

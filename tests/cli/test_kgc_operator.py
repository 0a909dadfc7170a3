"""What operators do to an issuer: restore old backups, run two commands at once, kill them, close streams."""

import json
import os
import re
import shutil
import signal
import subprocess
import sys
import threading
from pathlib import Path

import pytest
from typer.testing import CliRunner

from sottovoce._ext import sealed
from sottovoce.cli.app import app
from sottovoce.cli.armor import Label, armor, dearmor
from sottovoce.cli.enrolment import Enrolment
from sottovoce.cli.kgc.folder import Folder
from sottovoce.clsc import BlindRequest, EpochParams, RevocationList, RootKey, SqliteRegistry, Usage, keyfile

ALWAYS = ("--from", "2020-01-01", "--to", "2090-12-31")
FILE = ("--passphrase-file", "pw")
EPOCH = ("epoch", "kg", "--mode", "blind", "--epoch", "e", *ALWAYS, *FILE)
SHARED = (*EPOCH, "--threshold", "2", "--servers", "3")
REGISTRY = Path("kg/registry.sqlite")


@pytest.fixture(autouse=True)
def place(tmp_path, monkeypatch):
    monkeypatch.setattr(sealed, "COST", sealed.Cost(memory_kib=64, passes=1, lanes=1))
    monkeypatch.chdir(tmp_path)
    (tmp_path / "pw").write_text("nobody hears a word\n")


def kgc(*arguments, code=0, stdin=None):
    result = CliRunner().invoke(app, ["kgc", *map(str, arguments)], prog_name="sottovoce", input=stdin)
    if result.exception is not None and not isinstance(result.exception, SystemExit):
        raise result.exception
    assert result.exit_code == code, result.output
    return result


def params_of(name="kg", file="blind-e"):
    root = Folder(Path(name)).root_public_key()
    return EpochParams.from_bytes(
        dearmor(Label.PARAMS, Path(name, f"params/{file}.params").read_bytes()), root
    )


def answered(token, *, code=0):
    request = BlindRequest(params_of(), Usage.SIGN, token)
    return kgc("issue", "kg", "alice", *FILE, stdin=armor(Label.REQUEST, request.to_bytes()), code=code)


def enrolled():
    kgc("enrol", "kg", "alice", "-o", "alice.enrol", "--force")
    return Enrolment.from_bytes(dearmor(Label.ENROLMENT, Path("alice.enrol").read_bytes())).token


# -- backups ------------------------------------------------------------------------------------------


def test_an_epoch_younger_than_the_backup_stays_closed_when_it_is_begun_again():
    """Its key file is there: going on with it would spend alice's one unit a second time."""
    kgc("init", "kg", *FILE)
    token = enrolled()
    backup = REGISTRY.read_bytes()
    kgc(*EPOCH)
    answered(token)
    REGISTRY.write_bytes(backup)
    kgc("restore", "kg")
    assert "is there already" in kgc(*EPOCH, code=1).stderr
    assert "closed since the registry was restored" in answered(token, code=1).stderr
    assert json.loads(kgc("show", "kg", "--json", "-").stdout)["epochs"][0]["state"] == "closed"


def test_an_old_key_file_is_not_taken_for_that_of_an_interrupted_run():
    kgc("init", "kg", *FILE)
    backup = REGISTRY.read_bytes()
    kgc(*EPOCH)
    published = Path("kg/params/blind-e.params")
    os.remove(published)
    REGISTRY.write_bytes(backup)
    kgc("restore", "kg")
    result = kgc(*EPOCH, code=1)
    assert "older than the registry" in result.stderr
    assert "take another name" in result.stderr
    assert not published.exists()


def test_no_second_parameters_are_signed_for_an_epoch_whose_shares_were_handed_out():
    """Two root signatures for one epoch convict the issuer."""
    kgc("init", "kg", *FILE)
    backup = REGISTRY.read_bytes()
    kgc(*SHARED)
    first = params_of()
    shutil.rmtree("kg/shares")
    REGISTRY.write_bytes(backup)
    kgc("restore", "kg")
    kgc(*SHARED, code=1)
    assert params_of() == first


def test_lists_published_after_the_backup_are_not_contradicted():
    kgc("init", "kg", *FILE)
    kgc(*EPOCH)
    backup = REGISTRY.read_bytes()
    of_epoch = ("--mode", "blind", "--epoch", "e", *FILE)
    for pid in ("11" * 16, "22" * 16):
        kgc("revoke", "kg", "--pid", pid, *of_epoch)
    first = published_list()
    REGISTRY.write_bytes(backup)
    kgc("restore", "kg")
    kgc("revoke", "kg", "--pid", "33" * 16, *of_epoch)
    second = published_list()
    assert (first.number, second.number) == (2, 3)
    second.check_agrees(first)
    assert set(first.pids) < set(second.pids)


def published_list():
    data = dearmor(Label.REVOCATIONS, Path("kg/revoked/blind-e.revoked").read_bytes())
    return RevocationList.from_bytes(data, Folder(Path("kg")).root_public_key())


def test_a_registry_that_is_current_is_restored_only_by_force():
    kgc("init", "kg", *FILE)
    kgc(*EPOCH)
    result = kgc("restore", "kg", code=1)
    assert "nothing to restore" in result.stderr
    assert "--force" in result.stderr
    state = "show", "kg", "--json", "-"
    assert json.loads(kgc(*state).stdout)["epochs"][0]["state"] == "open"
    kgc("restore", "kg", "--force")
    assert json.loads(kgc(*state).stdout)["epochs"][0]["state"] == "closed"


def test_an_old_registry_says_what_to_do():
    kgc("init", "kg", *FILE)
    backup = REGISTRY.read_bytes()
    kgc(*EPOCH)
    REGISTRY.write_bytes(backup)
    assert "sottovoce kgc restore" in kgc("show", "kg", code=1).stderr


def test_a_share_that_a_server_had_before_its_registry_is_not_taken_again():
    kgc("init", "kg", *FILE)
    kgc(*SHARED)
    shares = Path("kg/shares/blind-e")
    transfer = ("--root", "kg/root.pub", "--share-passphrase-file", shares / "server-1.passphrase", *FILE)
    kgc("join", "s1", shares / "server-1.key", *transfer)
    for name in ("registry.sqlite", "registry.sqlite.mark", "params/blind-e.params"):
        Path("s1", name).unlink()
    with SqliteRegistry("s1/registry.sqlite"):  # a backup from before it joined
        pass
    assert "older than the registry" in kgc("join", "s1", shares / "server-1.key", *transfer, code=1).stderr
    assert json.loads(kgc("show", "s1", "--json", "-").stdout)["epochs"] == []


def test_a_server_may_have_the_parameters_before_its_share():
    """As one of a traceable epoch has those of the identity epoch that it may be a server of later."""
    kgc("init", "kg", *FILE)
    kgc(*SHARED)
    kgc(*[{"e": "f"}.get(word, word) for word in SHARED])

    def join(epoch, **how):
        shares = Path(f"kg/shares/blind-{epoch}")
        transfer = ("--share-passphrase-file", shares / "server-1.passphrase", "--root", "kg/root.pub", *FILE)
        return kgc("join", "s1", shares / "server-1.key", *transfer, **how)

    join("e")
    shutil.copy("kg/params/blind-f.params", "s1/params")
    join("f")
    assert Path("s1/epochs/blind-f.key").exists()
    join("f", code=1)


def test_a_registry_that_is_gone_is_not_begun_anew():
    """With its mark lost, too, nothing else would tell that quotas, names and epochs were forgotten."""
    kgc("init", "kg", *FILE)
    kgc(*SHARED)
    shares = Path("kg/shares/blind-e")
    transfer = ("--root", "kg/root.pub", "--share-passphrase-file", shares / "server-1.passphrase", *FILE)
    kgc("join", "s1", shares / "server-1.key", *transfer)
    for name in ("kg", "s1"):
        for path in Path(name).glob("registry.sqlite*"):
            path.unlink()
    other = [{"e": "other"}.get(word, word) for word in EPOCH]
    joining = ("join", "s1", shares / "server-1.key", *transfer)
    for command in (("show", "kg"), other, ("enrol", "kg", "bob", "-o", "-"), joining):
        result = kgc(*command, code=1)
        assert "registry.sqlite is missing" in result.stderr
        assert "backup" in result.stderr
    assert not REGISTRY.exists()


def test_nothing_is_signed_for_an_epoch_whose_parameters_are_published():
    kgc("init", "kg", *FILE)
    kgc(*SHARED)
    first = params_of()
    shutil.rmtree("kg/shares")
    REGISTRY.unlink()
    Path("kg/registry.sqlite.mark").unlink()
    with SqliteRegistry(REGISTRY):  # out of a backup of everything else
        pass
    assert "were published" in kgc(*SHARED, code=1).stderr
    assert params_of() == first


# -- two at once, killed ones ---------------------------------------------------------------------------


def test_of_two_issuers_founded_in_one_folder_one_is_whole(monkeypatch):
    """Both see an empty folder; the second must not put its own public half beside the other's key."""
    real = Folder.make

    def both_have_looked(self):
        real(self)
        meeting.wait(60)

    meeting = threading.Barrier(2)
    monkeypatch.setattr(Folder, "make", both_have_looked)
    codes = []

    def init():
        try:
            founding.init(Folder(Path("kg")), Passphrase(Path("pw"), None), None)
        except Refused:
            codes.append(1)
        else:
            codes.append(0)

    from sottovoce.cli.console import Refused
    from sottovoce.cli.kgc import founding
    from sottovoce.cli.passphrase import Passphrase

    threads = [threading.Thread(target=init) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(codes) == [0, 1]
    key = keyfile.load_key("kg/root.key", b"nobody hears a word", RootKey)
    assert key.public_key == Folder(Path("kg")).root_public_key()


@pytest.mark.parametrize("left", ["params/.identity-x-12345678.params", "revoked/.identity-x-1.revoked"])
def test_what_a_killed_command_left_beside_its_place_is_not_read(left):
    kgc("init", "kg", *FILE)
    kgc(*EPOCH)
    folder = Folder(Path("kg"))
    Path("kg", left).parent.mkdir(exist_ok=True)
    Path("kg", left).write_bytes(b"-----BEGIN SOTTOVOCE EPO")
    with folder.registry() as registry:
        folder.trust(registry).get(params_of().params_id)


def test_a_published_text_that_was_damaged_is_named():
    kgc("init", "kg", *FILE)
    kgc(*EPOCH)
    Path("kg/params/blind-d.params").write_bytes(b"")
    folder = Folder(Path("kg"))
    with folder.registry() as registry, pytest.raises(Exception, match=r"kg/params/blind-d\.params: armour"):
        folder.trust(registry)


# -- refusals -------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("arguments", "hint"),
    [
        (("enrol", "kg", "alice", "-o", "again"), "--again"),
        (("revoke", "kg", "nobody", *FILE), "kgc show"),
    ],
)
def test_the_hint_is_for_an_operator(arguments, hint):
    kgc("init", "kg", *FILE)
    enrolled()
    result = kgc(*arguments, code=1)
    assert hint in result.stderr
    assert "newest request" not in result.stderr
    assert not Path("again").exists()


@pytest.mark.skipif(os.name != "posix", reason="descriptors")
@pytest.mark.parametrize(
    "arguments",
    [
        ("enrol", "kg", "bob", "-o", "-"),
        ("show", "kg", "--json", "-"),
        ("trace", "kg", "nothing", "--passphrase-fd", "99999999999999999999"),
    ],
)
def test_closed_streams_and_no_descriptors_are_refusals(arguments):
    kgc("init", "kg", *FILE)
    command = [sys.executable, "-m", "sottovoce", "kgc", *arguments]
    closed = ["sh", "-c", 'exec "$@" >&-', "sh"]
    done = subprocess.run([*closed, *command], capture_output=True, text=True, timeout=60)
    assert done.returncode in (1, 2)
    assert "Traceback" not in done.stderr


def test_what_a_terminal_would_obey_is_not_sent_to_it():
    kgc("init", "kg", *FILE)
    result = kgc("enrol", "kg", "bob", "-o", "x\n\x1b[31m.enrol")
    assert "x??[31m.enrol" in result.stderr
    assert "\x1b" not in kgc("show", "kg\x1b[31m", code=1).stderr


@pytest.mark.skipif(os.name != "posix", reason="descriptors")
def test_no_file_takes_the_place_of_a_closed_stream():
    program = (
        "import os; from sottovoce.cli import console; console.prepare_streams(); "
        "os._exit(os.open(os.devnull, os.O_RDONLY))"
    )
    done = subprocess.run(["sh", "-c", 'exec "$@" <&- >&- 2>&-', "sh", sys.executable, "-c", program])
    assert done.returncode > 2


_SLOW_LINK = """
import os, sys, time
from sottovoce._ext import sealed
sealed.COST = sealed.Cost(memory_kib=64, passes=1, lanes=1)
def link(*paths):
    print("linking", flush=True)
    time.sleep(60)
os.link = link
from sottovoce.cli import main
main()
"""


@pytest.mark.skipif(os.name != "posix", reason="signals")
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP])
def test_a_command_that_is_ended_leaves_no_half_written_key(number):
    command = [sys.executable, "-c", _SLOW_LINK, "kgc", "init", "kg", *FILE]
    with subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, preexec_fn=lambda: signal.signal(number, 0)
    ) as process:
        assert process.stdout.readline() == b"linking\n"
        process.send_signal(number)
        _, stderr = process.communicate(timeout=60)
    assert process.returncode == 128 + number
    assert stderr == b""
    assert sorted(p.name for p in Path("kg").iterdir() if "root" in p.name) == ["root.pub"]
    kgc("init", "kg", *FILE)


def test_a_text_of_very_many_lines_takes_no_memory(monkeypatch):
    kgc("init", "kg", *FILE)
    Path("request").write_bytes(b"ab\n" * 10000)
    monkeypatch.setattr("sottovoce.cli.files._split", None)
    assert "request: armour: not an armoured text" in kgc("issue", "kg", "a", "request", *FILE, code=1).stderr


def test_a_damaged_root_key_is_named():
    kgc("init", "kg", *FILE)
    Path("kg/root.pub").write_bytes(b"")
    assert "kg/root.pub: armour" in kgc("show", "kg", code=1).stderr


@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="/dev/full")
def test_a_full_disk_names_the_other_place_that_takes_space():
    kgc("init", "kg", *FILE)
    with open("/dev/full", "wb") as full:
        command = [sys.executable, "-m", "sottovoce", "kgc", "show", "kg"]
        done = subprocess.run(command, stdout=full, stderr=subprocess.PIPE, text=True, timeout=60)
    assert done.returncode == 1
    assert re.fullmatch(r"error: No space left on device\nhint: .*TMPDIR.*\n", done.stderr)

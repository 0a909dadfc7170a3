"""The issuer's commands: what survives a crash, what is never written twice, what nobody is shown."""

import json
import os
import pty
import re
import shutil
import signal
import stat
import subprocess
import sys
import time
from pathlib import Path

import pytest
from typer.testing import CliRunner

from sottovoce._ext import sealed
from sottovoce.cli.app import app
from sottovoce.cli.armor import Label, armor, dearmor
from sottovoce.cli.enrolment import Enrolment
from sottovoce.cli.files import of_label, read_blocks
from sottovoce.cli.kgc.folder import Folder
from sottovoce.cli.passphrase import Passphrase
from sottovoce.clsc import (
    BlindRequest,
    EpochParams,
    IdentityRequest,
    MasterKey,
    Mode,
    Trace,
    TraceableRequest,
    TrustStore,
    Usage,
    keyfile,
)
from sottovoce.clsc.revocation import RevocationList
from support.cli_command import start

PASSPHRASE = "nobody hears a word"
ALWAYS = ("--from", "2020-01-01", "--to", "2090-12-31")
FILE = ("--passphrase-file", "pw")


@pytest.fixture(autouse=True)
def folder(tmp_path, monkeypatch):
    monkeypatch.setattr(sealed, "COST", sealed.Cost(memory_kib=64, passes=1, lanes=1))
    monkeypatch.chdir(tmp_path)
    (tmp_path / "pw").write_text(PASSPHRASE + "\n")
    return tmp_path


def kgc(*arguments, code=0, stdin=None):
    result = CliRunner().invoke(app, ["kgc", *map(str, arguments)], prog_name="sottovoce", input=stdin)
    if result.exception is not None and not isinstance(result.exception, SystemExit):
        raise result.exception
    assert result.exit_code == code, result.output
    return result


def founded(*modes, name="kg"):
    kgc("init", name, *FILE)
    for mode in modes:
        kgc("epoch", name, "--mode", mode, "--epoch", "e", *ALWAYS, *FILE)
    return Folder(Path(name))


def published(folder, mode="blind", epoch="e"):
    data = dearmor(Label.PARAMS, Path(folder.path / f"params/{mode}-{epoch}.params").read_bytes())
    return EpochParams.from_bytes(data, folder.root_public_key())


def enrolled(folder, party, *options):
    kgc("enrol", folder.path, party, "-o", f"{party}.enrol", "--force", *options)
    return Enrolment.from_bytes(dearmor(Label.ENROLMENT, Path(f"{party}.enrol").read_bytes()))


# -- one set of parameters, whatever happens ----------------------------------------------------------

# The process ends as by a power cut: nothing is cleaned up, no handler runs.
_CRASH = """
import os, sys
step, when, *arguments = sys.argv[1:]
from sottovoce._ext import sealed
from sottovoce.clsc import master, sqlite_registry
from sottovoce.cli.kgc import epochs, folder
sealed.COST = sealed.Cost(memory_kib=64, passes=1, lanes=1)
owner, name = {
    "reserve": (sqlite_registry.SqliteRegistry, "reserve_epoch"),
    "sign": (master.RootKey, "sign_params"),
    "save": (epochs, "save_key"),
    "shares": (epochs.Path, "rename"),
    "add": (sqlite_registry.SqliteRegistry, "add_epoch"),
    "publish": (folder.Folder, "publish"),
}[step]
real = getattr(owner, name)
def crash(*a, **k):
    if when == "after":
        real(*a, **k)
    os._exit(77)
setattr(owner, name, crash)
from sottovoce.cli import main
sys.argv = ["sottovoce", *arguments]
main()
"""

SINGLE = ("epoch", "kg", "--mode", "blind", "--epoch", "e", *ALWAYS, *FILE)
SHARED = (*SINGLE, "--threshold", "2", "--servers", "3")
# Each is a process of its own: the fast suite has those around the points that decide.
IN_FAST = {("reserve", "after"), ("save", "before"), ("save", "after"), ("add", "after"), ("shares", "after")}


def steps(*names):
    both = [(name, when) for name in names for when in ("before", "after")]
    return [
        pytest.param(*step, id=" ".join(step), marks=[] if step in IN_FAST else pytest.mark.slow)
        for step in both
    ]


def crash(step, when, arguments):
    done = subprocess.run(
        [sys.executable, "-c", _CRASH, step, when, "kgc", *arguments], capture_output=True, timeout=60
    )
    assert done.returncode == 77, done.stderr
    # What the outside may have seen by now.
    return done.stdout


def secret_params(folder):
    """Every parameters that the folder's key files carry."""
    single = [keyfile.load_key(p, PASSPHRASE.encode()).params for p in folder.path.glob("epochs/*.key")]
    shared = [
        keyfile.load_key(p, Passphrase(p.with_suffix(".passphrase"), None).existing("")).params
        for p in folder.path.glob("shares/blind-e/*.key")
    ]
    return {params.params_id for params in single + shared}


@pytest.mark.parametrize(("step", "when"), steps("reserve", "sign", "save", "add", "publish"))
def test_a_crash_never_gives_two_parameters_for_an_epoch(step, when):
    folder = founded()
    assert crash(step, when, SINGLE) == b""
    _continue_after(folder, SINGLE, used_up=(step, when) in {
        ("reserve", "after"), ("sign", "before"), ("sign", "after"), ("save", "before"),
    })  # fmt: skip


@pytest.mark.parametrize(("step", "when"), steps("shares", "add"))
def test_a_crash_of_a_dealer_never_gives_two_parameters_for_an_epoch(step, when):
    folder = founded()
    assert crash(step, when, SHARED) == b""
    _continue_after(folder, SHARED, used_up=(step, when) in {("shares", "before")})


def _continue_after(folder, arguments, *, used_up):
    before = secret_params(folder)
    with folder.registry() as registry:
        recorded = {params.params_id for params in registry.epochs()}
    assert recorded <= before
    shown = {published(folder).params_id} if folder.file("params", (Mode.BLIND, b"e")).exists() else set()
    assert shown <= recorded
    result = kgc(*arguments, code=1 if used_up or shown else 0)
    if used_up:
        # The root key may have signed parameters that nobody will ever see: never a second time.
        assert "an interrupted run used the name up" in " ".join(result.stderr.split())
        assert before == recorded == shown == set()
        kgc(*[w if w != "e" else "f" for w in arguments])
        return
    now = published(folder).params_id
    with folder.registry() as registry:
        assert [params.params_id for params in registry.epochs()] == [now]
    assert secret_params(folder) == {now}
    assert not before or before == {now}


def test_an_interrupted_run_continues_with_what_it_signed(folder):
    issuer = founded()
    crash("add", "before", SINGLE)
    signed = secret_params(issuer)
    other = [w if w != "2090-12-31" else "2080-12-31" for w in SINGLE]
    result = kgc(*other)
    assert "an interrupted run had signed these parameters, and they stand: 2020-01-01T00:00:00Z to 2090" in (
        " ".join(result.stderr.split())
    )
    assert {published(issuer).params_id} == signed


def test_parameters_that_a_crash_emptied_are_published_again():
    issuer = founded("blind")
    before = Path("kg/params/blind-e.params").read_bytes()
    Path("kg/params/blind-e.params").write_bytes(b"")
    kgc(*SINGLE)
    assert Path("kg/params/blind-e.params").read_bytes() == before
    assert secret_params(issuer) == {published(issuer).params_id}


def test_init_interrupted_begins_again(monkeypatch):
    from sottovoce.cli.kgc import founding

    with monkeypatch.context() as patched:
        patched.setattr(founding, "save_key", lambda *_: (_ for _ in ()).throw(KeyboardInterrupt))
        kgc("init", "kg", *FILE, code=130)
    first = Path("kg/root.pub").read_bytes()
    kgc("show", "kg")
    kgc("init", "kg", *FILE)
    assert Path("kg/root.pub").read_bytes() != first
    assert Folder(Path("kg")).root_key(Passphrase(Path("pw"), None)).public_key == (
        dearmor(Label.ROOT, Path("kg/root.pub").read_bytes())
    )


@pytest.mark.parametrize("mode", ["traceable", "blind"])
def test_join_interrupted_continues(monkeypatch, mode):
    from sottovoce.cli.kgc import folder as folders
    from sottovoce.cli.kgc import founding

    founded()
    kgc(*[*SHARED[:3], mode, *SHARED[4:]])
    files = Path(f"kg/shares/{mode}-e")
    join = ("join", "one", files / "server-1.key", "--root", "kg/root.pub", "--share-passphrase-file",
            files / "server-1.passphrase", *FILE)  # fmt: skip

    def interrupt(*_):
        raise KeyboardInterrupt

    for owner, name in ((founding, "save_key"), (folders.Folder, "publish")):
        with monkeypatch.context() as patched:
            patched.setattr(owner, name, interrupt)
            kgc(*join, code=130)
    kgc(*join)
    with Folder(Path("one")).registry() as registry:
        params = published(Folder(Path("one")), mode)
        issuer = Folder(Path("one")).trust(registry)
        assert issuer.get(params.params_id) == params
        assert Folder(Path("one")).issuer(registry, params, Passphrase(Path("pw"), None)).server == 1


def test_two_commands_at_a_time_sign_once():
    """The lock of the folder: both begin, one has it."""
    founded()
    processes = [
        subprocess.Popen(
            [sys.executable, "-m", "sottovoce", "kgc", *SINGLE],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
        )
        for _ in range(2)
    ]
    codes = sorted((process.communicate(timeout=60), process.returncode)[1] for process in processes)
    assert codes == [0, 1]
    assert secret_params(Folder(Path("kg"))) == {published(Folder(Path("kg"))).params_id}


# -- what is issued -----------------------------------------------------------------------------------


def test_a_lost_answer_is_given_again_and_a_lost_file_written_again():
    issuer = founded("blind", "identity")
    first = enrolled(issuer, "alice")
    second = enrolled(issuer, "alice", "--again")
    assert (first.token, first.party, first.quota) == (second.token, second.party, second.quota)
    assert len({*first.challenges, *second.challenges}) == 4
    assert {p.params_id for p in second.params} == {
        published(issuer, mode).params_id for mode in ("blind", "identity")
    }
    request = BlindRequest(published(issuer), Usage.SIGN, second.token)
    text = armor(Label.REQUEST, request.to_bytes())
    answers = [kgc("issue", "kg", "alice", *FILE, stdin=text).stdout for _ in range(2)]
    assert answers[0] == answers[1]
    assert request.finish(dearmor(Label.ANSWER, answers[0])).usage is Usage.SIGN


def test_of_several_requests_an_answer_leaves_for_all_or_none():
    issuer = founded("identity")
    alice = enrolled(issuer, "alice")
    requests = [
        IdentityRequest(published(issuer, "identity"), usage, b"alice", alice.token) for usage in Usage
    ]
    good = [
        armor(Label.REQUEST, request.to_bytes(challenge))
        for request, challenge in zip(requests, alice.challenges, strict=True)
    ]
    bad = armor(Label.REQUEST, requests[0].to_bytes(bytes(32))[:-1] + b"?")
    Path("bad.req").write_text(good[0] + bad)
    kgc("issue", "kg", "alice", "bad.req", "-o", "answer", *FILE, code=1)
    assert not Path("answer").exists()
    Path("good.req").write_text("".join(good))
    kgc("issue", "kg", "alice", "good.req", "-o", "answer", *FILE)
    assert Path("answer").read_text().count("BEGIN SOTTOVOCE ANSWER") == 2


def test_an_epoch_that_has_ended_issues_nothing_and_is_in_no_enrolment(monkeypatch):
    issuer = founded("blind")
    real = time.time
    enrolment = enrolled(issuer, "alice")
    text = armor(Label.REQUEST, BlindRequest(published(issuer), Usage.SIGN, enrolment.token).to_bytes())
    monkeypatch.setattr(time, "time", lambda: real() + 70 * 366 * 86_400)
    result = kgc("issue", "kg", "alice", *FILE, stdin=text, code=1)
    assert "the epoch has ended" in result.stderr
    assert enrolled(issuer, "alice", "--again").params == ()


def test_enrolments_stay_secret(folder):
    founded("blind")
    result = kgc("enrol", "kg", "alice", code=2)
    assert "the file holds a secret token" in " ".join(result.stderr.split())
    os.umask(0o022)
    kgc("enrol", "kg", "alice", "-o", "alice.enrol")
    assert stat.S_IMODE(Path("alice.enrol").stat().st_mode) == 0o600
    shown = kgc("enrol", "kg", "alice", "--again", "-o", "-")
    assert Enrolment.from_bytes(dearmor(Label.ENROLMENT, shown.stdout)).party == "alice"
    token = Enrolment.from_bytes(dearmor(Label.ENROLMENT, shown.stdout)).token
    everything = kgc("show", "kg", "--json", "-").stdout + kgc("show", "kg").output
    assert token.hex() not in everything
    assert token.hex()[:8] not in repr(Enrolment.from_bytes(dearmor(Label.ENROLMENT, shown.stdout)))
    for path in Path("kg").rglob("*"):
        assert path.stat().st_mode & 0o077 == 0 or path.suffix in (".pub", ".params", ".revoked")


@pytest.mark.parametrize(
    ("options", "wrong"),
    [
        (("p" * 65,), "PARTY"),
        (("",), "PARTY"),
        (("alice", "--identity", "i" * 65), "--identity"),
        (("alice", "--quota", "0"), "--quota"),
        (("alice", "--quota", str(1 << 21)), "--quota"),
        (("alice", "--again", "--quota", "2"), "--quota"),
    ],
)
def test_enrol_refuses_before_it_writes(options, wrong):
    founded("blind")
    result = kgc("enrol", "kg", *options, "-o", "out", code=2)
    assert wrong in result.stderr
    assert not Path("out").exists()
    assert json.loads(kgc("show", "kg", "--json", "-").stdout)["parties"] == []


# -- revocation ---------------------------------------------------------------------------------------


def test_revocation_lists_grow_and_are_written_once(folder):
    issuer = founded("blind")
    root = issuer.root_public_key()
    path = Path("kg/revoked/blind-e.revoked")
    options = ("--mode", "blind", "--epoch", "e", *FILE)

    def newest():
        return RevocationList.from_bytes(dearmor(Label.REVOCATIONS, path.read_bytes()), root)

    kgc("revoke", "kg", "--pid", "11" * 16, *options)
    assert (newest().number, newest().pids) == (1, (b"\x11" * 16,))
    before = path.read_bytes()
    kgc("revoke", "kg", "--pid", "11" * 16, *options)
    assert path.read_bytes() == before
    kgc("revoke", "kg", "--pid", "22" * 16, "--pid", "00" * 16, *options)
    assert (newest().number, newest().pids) == (2, (bytes(16), b"\x11" * 16, b"\x22" * 16))
    kgc("revoke", "kg", "--pid", "33" * 16, "--after-list", "40", *options)
    assert (newest().number, len(newest().pids)) == (41, 4)


def test_an_interrupted_revocation_is_finished_by_the_next(monkeypatch):
    from sottovoce.cli.kgc import folder as folders

    issuer = founded("blind")
    options = ("--mode", "blind", "--epoch", "e", *FILE)
    for owner, name in ((RevocationList, "sign"), (folders.Folder, "publish")):
        with monkeypatch.context() as patched:
            patched.setattr(owner, name, lambda *_, **__: (_ for _ in ()).throw(KeyboardInterrupt))
            kgc("revoke", "kg", "--pid", "11" * 16, *options, code=130)
        assert not issuer.file("revoked", (Mode.BLIND, b"e")).exists()
    kgc("revoke", "kg", "--pid", "11" * 16, *options)
    data = dearmor(Label.REVOCATIONS, issuer.file("revoked", (Mode.BLIND, b"e")).read_bytes())
    assert RevocationList.from_bytes(data, issuer.root_public_key()).number == 1


def test_the_issuer_itself_holds_a_key_for_revoked_before_the_list_is_out():
    issuer = founded("blind")
    with issuer.registry() as registry:
        registry.revoke(published(issuer).params_id, b"p" * 16)
        assert issuer.trust(registry).revoked == {b"p" * 16}


@pytest.mark.parametrize(
    "arguments",
    [
        (),
        ("alice", "--pid", "11" * 16),
        ("--pid", "11" * 16),
        ("--pid", "11", "--mode", "blind", "--epoch", "e"),
    ],
)
def test_revoke_usage(arguments):
    founded("blind")
    kgc("revoke", "kg", *arguments, *FILE, code=2)


# -- after a backup -----------------------------------------------------------------------------------


def test_a_registry_from_a_backup_is_refused_until_it_is_restored():
    issuer = founded("blind")
    enrolment = enrolled(issuer, "alice")
    names = ("registry.sqlite",)
    backup = {name: Path("kg", name).read_bytes() for name in names}
    request = BlindRequest(published(issuer), Usage.SIGN, enrolment.token)
    text = armor(Label.REQUEST, request.to_bytes())
    kgc("issue", "kg", "alice", *FILE, stdin=text)
    for suffix in ("-wal", "-shm"):
        Path(f"kg/registry.sqlite{suffix}").unlink(missing_ok=True)
    for name, data in backup.items():
        Path("kg", name).write_bytes(data)
    result = kgc("issue", "kg", "alice", *FILE, stdin=text, code=1)
    assert "RegistryError" in result.stderr
    kgc("restore", "kg")
    result = kgc("issue", "kg", "alice", *FILE, stdin=text, code=1)
    assert "closed since the registry was restored" in result.stderr
    assert json.loads(kgc("show", "kg", "--json", "-").stdout)["epochs"][0]["state"] == "closed"
    kgc("epoch", "kg", "--mode", "blind", "--epoch", "next", *ALWAYS, *FILE)
    request = BlindRequest(published(issuer, epoch="next"), Usage.SIGN, enrolment.token)
    answer = kgc("issue", "kg", "alice", *FILE, stdin=armor(Label.REQUEST, request.to_bytes())).stdout
    assert request.finish(dearmor(Label.ANSWER, answer)).params.epoch == b"next"
    shutil.rmtree("kg")


# -- traces -------------------------------------------------------------------------------------------


def test_a_trace_that_nobody_signed_is_refused():
    """The issuer's word alone, or a signature for another pseudonym, convinces nobody."""
    issuer = founded("identity", "traceable")
    alice = enrolled(issuer, "alice")
    ask = IdentityRequest(published(issuer, "identity"), Usage.SIGN, b"alice", alice.token)
    text = armor(Label.REQUEST, ask.to_bytes(alice.challenges[0]))
    signer = ask.finish(dearmor(Label.ANSWER, kgc("issue", "kg", "alice", *FILE, stdin=text).stdout))
    pens = []
    for usage in Usage:
        ask = TraceableRequest(published(issuer, "traceable"), usage, signer)
        text = armor(Label.REQUEST, ask.to_bytes())
        answer = kgc("issue", "kg", "alice", *FILE, stdin=text).stdout
        pens.append(ask.finish(dearmor(Label.ANSWER, answer)).public_key)
    keys = "".join(armor(Label.PUBLIC_KEY, pen.to_bytes()) for pen in pens)
    kgc("trace", "kg", "-", "-o", "good", *FILE, stdin=keys)
    shown = json.loads(kgc("check-trace", "good", "--root", "kg/root.pub", "--json", "-").stdout)
    assert [(t["name"], t["pseudonym"]["pid"]) for t in shown["traces"]] == [
        ("alice", pen.pid.hex()) for pen in pens
    ]
    blocks = read_blocks("good")
    trust = TrustStore(issuer.root_public_key())
    for data in of_label(blocks, Label.PARAMS):
        trust.add_bytes(data)
    first, second = (Trace.from_bytes(data, trust) for data in of_label(blocks, Label.TRACE))
    forged = Trace(first.pseudonym, first.signer, second.signature)
    params = "".join(armor(Label.PARAMS, data) for data in of_label(blocks, Label.PARAMS))
    Path("forged").write_text(params + armor(Label.TRACE, forged.to_bytes()))
    result = kgc("check-trace", "forged", "--root", "kg/root.pub", code=1)
    assert "SignatureError" in result.stderr
    assert result.stdout == ""
    Path("without").write_text(armor(Label.TRACE, first.to_bytes()))
    assert "SenderError" in kgc("check-trace", "without", "--root", "kg/root.pub", code=1).stderr


# -- the folder ---------------------------------------------------------------------------------------


def test_a_folder_of_others_is_refused(folder):
    Path("theirs").mkdir(mode=0o700)
    Path("theirs/file").write_text("precious")
    assert "not empty" in kgc("init", "theirs", *FILE, code=1).stderr
    Path("open").mkdir(mode=0o755)
    Path("open").chmod(0o755)
    assert "open to others" in kgc("init", "open", *FILE, code=1).stderr
    assert [p.name for p in Path("theirs").iterdir()] == ["file"]
    assert list(Path("open").iterdir()) == []


def test_keys_and_root_of_different_issuers_are_told():
    founded("blind")
    founded("blind", name="other")
    Path("kg/root.pub").write_bytes(Path("other/root.pub").read_bytes())
    result = kgc("epoch", "kg", "--mode", "blind", "--epoch", "f", *ALWAYS, *FILE, code=1)
    assert "not the public half" in result.stderr
    Path("kg/epochs/blind-e.key").write_bytes(Path("other/epochs/blind-e.key").read_bytes())
    enrolment = enrolled(Folder(Path("other")), "alice")
    request = BlindRequest(published(Folder(Path("other"))), Usage.SIGN, enrolment.token)
    result = kgc("issue", "kg", "alice", *FILE, stdin=armor(Label.REQUEST, request.to_bytes()), code=1)
    assert "another issuer or epoch" in result.stderr


@pytest.mark.parametrize(
    ("text", "end", "second"),
    [
        ("1970-01-01", False, 0),
        ("1970-01-01", True, 86_399),
        ("1970-01-01T00:10Z", False, 600),
        ("1970-01-01T01:10:01+01:00", True, 601),
    ],
)
def test_times(text, end, second):
    from sottovoce.cli.kgc.epochs import second_of

    assert second_of(text, "--from", end=end) == second


@pytest.mark.parametrize("text", ["", "tomorrow", "2026-13-01", "2026-11-30T18:00", "1e9", "2026-W47"])
def test_other_times_are_refused(text):
    founded()
    arguments = [w if w != "2020-01-01" else text for w in SINGLE]
    assert "--from" in kgc(*arguments, code=2).stderr


def test_the_options_of_an_epoch_are_checked_before_the_name_is_used_up():
    founded()
    for wrong in (("--servers", "3"), ("--threshold", "2"), ("--servers", "65", "--threshold", "65"),
                  ("--corrupted", "1"), ("--answers", "0")):  # fmt: skip
        kgc(*SINGLE, *wrong, code=2)
    backwards = [{"2020-01-01": "2090-12-31", "2090-12-31": "2020-01-01"}.get(w, w) for w in SINGLE]
    kgc(*backwards, code=2)
    kgc(*SINGLE)


# -- passphrases, interruption, pipes -------------------------------------------------------------------


def test_a_passphrase_is_asked_for_at_the_terminal_and_not_shown(tmp_path):
    """Typed twice for a new issuer; what is typed is not echoed, and never in an argument."""
    pid, terminal = pty.fork()
    if pid == 0:  # pragma: no cover  # the child is the command
        os.execv(sys.executable, [sys.executable, "-m", "sottovoce", "kgc", "init", "kg"])
    seen = b""
    for question in (b"New passphrase", b"The same again"):
        seen = _read_until(terminal, question)
        assert question in seen
        os.write(terminal, PASSPHRASE.encode() + b"\n")
    seen += _read_until(terminal, b"keep a copy")
    _, status = os.waitpid(pid, 0)
    os.close(terminal)
    assert os.waitstatus_to_exitcode(status) == 0
    assert PASSPHRASE.encode() not in seen
    assert keyfile.load_key("kg/root.key", PASSPHRASE.encode())


def _read_until(descriptor, wanted):
    seen = b""
    while wanted not in seen:
        try:
            chunk = os.read(descriptor, 4096)
        except OSError:
            break
        if not chunk:
            break
        seen += chunk
    return seen


def test_ctrl_c_while_another_command_has_the_folder(tmp_path):
    """It waits for the lock; interrupted there, it ends with 130 and has changed nothing."""
    folder = founded("blind")
    before = sorted(p.name for p in Path("kg").rglob("*"))
    with folder.locked():
        process = start("kgc", *SINGLE[:5], "f", *SINGLE[6:], cwd=tmp_path)
        waiting = re.compile(rf"-> FLOCK +ADVISORY +WRITE +{process.pid} ")
        # Until the kernel lists it as waiting for the lock.
        while not waiting.search(Path("/proc/locks").read_text()):
            assert process.poll() is None
            time.sleep(0.02)
        process.send_signal(signal.SIGINT)
        _, stderr = process.communicate(timeout=60)
    assert process.returncode == 130
    assert b"interrupted" in stderr
    assert sorted(p.name for p in Path("kg").rglob("*")) == before


def test_json_is_complete_and_the_only_thing_on_stdout():
    kgc("init", "kg", *FILE)
    result = kgc(*SINGLE, "--json", "-")
    document = json.loads(result.stdout)
    assert document["params_id"] == published(Folder(Path("kg"))).params_id.hex()
    assert "kg/params/blind-e.params" in result.stderr
    shown = json.loads(kgc("show", "kg", "--json", "-").stdout)
    assert set(shown) == {"root_public_key", "fingerprint", "root_key_here", "epochs", "parties"}
    assert shown["epochs"][0]["params_id"] == document["params_id"]


def test_master_keys_are_of_the_epoch_they_name():
    """A key file moved to the place of another is not used for it."""
    issuer = founded("blind")
    kgc("epoch", "kg", "--mode", "blind", "--epoch", "f", *ALWAYS, *FILE)
    Path("kg/epochs/blind-e.key").replace("kg/epochs/blind-f.key")
    enrolment = enrolled(issuer, "alice")
    request = BlindRequest(published(issuer, epoch="f"), Usage.SIGN, enrolment.token)
    result = kgc("issue", "kg", "alice", *FILE, stdin=armor(Label.REQUEST, request.to_bytes()), code=1)
    assert "not the key of this epoch" in result.stderr
    assert isinstance(keyfile.load_key("kg/epochs/blind-f.key", PASSPHRASE.encode()), MasterKey)

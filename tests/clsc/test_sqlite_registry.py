"""The registry on disk: the file, its versions, several processes, restored backups, epochs, revocations."""

import json
import os
import pathlib
import pickle
import shutil
import sqlite3
import stat
import subprocess
import sys
from dataclasses import replace

import pytest

from sottovoce._ext import limits, sqlite_file
from sottovoce._ext.errors import RegistryError
from sottovoce._ext.sqlite_digest import misfit
from sottovoce._ext.sqlite_file import SqliteFile, read_mark
from sottovoce.clsc import (
    Account,
    IssueError,
    Mode,
    ParameterError,
    ParamsConflict,
    RootKey,
    hashes,
    sqlite_registry,
)
from sottovoce.clsc.revocation import RevocationConflict, RevocationList
from sottovoce.clsc.sqlite_registry import APPLICATION_ID, MIGRATIONS, SqliteRegistry
from support.clsc_stores import account, entry, forked_root, params_id, some_params
from support.clsc_world import Drbg

TESTS = pathlib.Path(__file__).parents[1]


@pytest.fixture
def path(tmp_path):
    return tmp_path / "registry.sqlite"


@pytest.fixture
def registry(path):
    with SqliteRegistry(path) as registry:
        yield registry


def filled(path):
    """A registry with an account of quota 3 and one key issued; closed again."""
    with SqliteRegistry(path) as registry:
        registry.enrol(account("a", 3))
        registry.record(entry("a", 1))


def copy(path, name):
    """What a backup of a closed registry is: the database alone."""
    target = path.with_name(name)
    shutil.copy2(path, target)
    return target


# -- the file --------------------------------------------------------------------------------------


def test_everything_survives_the_process(path):
    params = some_params()
    with SqliteRegistry(path) as registry:
        registry.enrol(account("a", 3))
        registry.enrol(account("b"))
        registry.disable("b")
        wanted = registry.record(entry("a", 1, Mode.TRACEABLE))
        challenge, used = registry.new_challenge(), registry.new_challenge()
        assert registry.use_challenge(used)
        registry.reserve_epoch(params.root_public_key, Mode.IDENTITY, b"e")
        registry.add_epoch(params)
        registry.revoke(params.params_id, bytes(16))
    with SqliteRegistry(path) as registry:
        assert registry.account("a") == account("a", 3)
        assert registry.account("b") is None
        assert registry.find("a", wanted.params_id, "sign", wanted.issued) == wanted
        assert not registry.use_challenge(used)
        assert registry.use_challenge(challenge)
        with pytest.raises(IssueError, match="signed"):
            registry.reserve_epoch(params.root_public_key, Mode.IDENTITY, b"e")
        assert registry.epochs() == (params,)
        assert registry.revoked(params.params_id) == (bytes(16),)


@pytest.mark.skipif(os.name != "posix", reason="modes of files")
def test_every_file_is_for_the_owner_alone(path):
    old = os.umask(0)
    try:
        with SqliteRegistry(path) as registry:
            registry.enrol(account("a"))
            names = os.listdir(path.parent)
            assert {"registry.sqlite", "registry.sqlite-wal", "registry.sqlite.mark"} <= set(names)
            for name in names:
                assert stat.S_IMODE(os.stat(path.parent / name).st_mode) == 0o600, name
    finally:
        os.umask(old)
    for mode in (0o640, 0o604, 0o620, 0o644):
        path.chmod(mode)
        with pytest.raises(RegistryError, match=f"0600 expected, got {mode:04o}"):
            SqliteRegistry(path)
    path.chmod(0o600)
    SqliteRegistry(path).close()


def test_durability_is_what_the_docs_say(registry):
    with registry._file.reading() as db:
        assert db.execute("PRAGMA journal_mode").fetchone()[0] == "wal"
        assert db.execute("PRAGMA synchronous").fetchone()[0] == 2
        assert db.execute("PRAGMA foreign_keys").fetchone()[0] == 1
        assert db.execute("PRAGMA application_id").fetchone()[0] == APPLICATION_ID
        assert db.execute("PRAGMA user_version").fetchone()[0] == len(MIGRATIONS) == 1


def test_newer_version_is_refused_and_left_alone(path):
    filled(path)
    db = sqlite3.connect(path)
    db.execute("PRAGMA user_version = 2")
    db.close()
    before = path.read_bytes()
    with pytest.raises(RegistryError, match="schema version 2; this release knows up to 1"):
        SqliteRegistry(path)
    assert path.read_bytes() == before


@pytest.mark.parametrize(
    "statements",
    [
        ["CREATE TABLE accounts (party)"],
        ["PRAGMA user_version = 1"],
        ["PRAGMA application_id = 1", "PRAGMA user_version = 1", "CREATE TABLE accounts (party)"],
        [f"PRAGMA application_id = {APPLICATION_ID}", "CREATE TABLE accounts (party)"],
    ],
)
def test_database_of_another_program_is_refused_and_left_alone(path, statements):
    db = sqlite3.connect(path)
    for statement in statements:
        db.execute(statement)
    db.close()
    path.chmod(0o600)
    before = path.read_bytes()
    with pytest.raises(RegistryError, match="another program"):
        SqliteRegistry(path)
    assert path.read_bytes() == before
    assert os.listdir(path.parent) == [path.name]


def test_file_that_is_no_database_is_refused_and_left_alone(path):
    for content in (b"-----BEGIN SOTTOVOCE-----\n" * 100, b"SQLite format 3\0" + bytes(500), b"x"):
        path.write_bytes(content)
        path.chmod(0o600)
        with pytest.raises(RegistryError, match=r"not a database|malformed|another program"):
            SqliteRegistry(path)
        assert path.read_bytes() == content
    path.write_bytes(b"")  # a crash between making the file and writing to it
    SqliteRegistry(path).close()


def test_damaged_page_is_an_error_of_ours(path):
    filled(path)
    data = bytearray(path.read_bytes())
    data[4096:] = b"\xff" * (len(data) - 4096)
    path.write_bytes(data)
    with pytest.raises(RegistryError, match="malformed"), SqliteRegistry(path) as registry:
        registry.account("a")


def test_older_version_is_migrated_in_one_transaction(path):
    filled(path)
    broken = (*MIGRATIONS, ["CREATE TABLE later (x)", "INSERT INTO nowhere VALUES (1)"])
    later = (*MIGRATIONS, ["CREATE TABLE later (x)", "INSERT INTO later SELECT quota FROM accounts"])
    with pytest.raises(RegistryError, match="nowhere"):
        SqliteFile(path, application_id=APPLICATION_ID, migrations=broken, error=RegistryError)
    SqliteRegistry(path).close()  # still the old version
    for _ in range(2):
        with SqliteFile(path, application_id=APPLICATION_ID, migrations=later) as file, file.reading() as db:
            assert db.execute("SELECT x FROM later").fetchall() == [(3,)]
            assert db.execute("PRAGMA user_version").fetchone()[0] == 2
    with pytest.raises(RegistryError, match="schema version 2"):
        SqliteRegistry(path)


def test_closed_registry_is_refused(path):
    registry = SqliteRegistry(path)
    registry.close()
    registry.close()
    with pytest.raises(RegistryError, match="closed"):
        registry.account("a")


def test_odd_paths_are_files(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for name in (":memory:", "a ?mode=memory#%41.sqlite", "\u00e4.sqlite"):
        with SqliteRegistry(name) as registry:
            assert registry.path == str(tmp_path / name)
            registry.enrol(account("a"))
        with SqliteRegistry(tmp_path / name) as registry:
            assert registry.account("a") is not None
    with pytest.raises(OSError, match="missing"):
        SqliteRegistry(tmp_path / "missing" / "registry.sqlite")


def test_no_secret_in_repr_pickle_or_error(registry):
    registry.enrol(account("a"))
    assert "registry.sqlite" in repr(registry)
    for secret in (registry, registry._file):
        with pytest.raises(TypeError):
            pickle.dumps(secret)
    token = account("a").token
    for wrong in (lambda: registry.enrol(account("a")), lambda: registry.record(entry("a", 1), at_most=0)):
        with pytest.raises(IssueError) as caught:
            wrong()
        traceback = caught.value.__traceback__
        while traceback is not None:
            if traceback.tb_frame.f_code.co_filename.startswith(os.path.dirname(sqlite_file.__file__)):
                for value in traceback.tb_frame.f_locals.values():
                    assert not isinstance(value, Account)
                    assert value != token
            traceback = traceback.tb_next


def test_rules_are_in_the_schema_too(registry, monkeypatch):
    """If admission were wrong: no second key for a name, no X twice, no answer changed."""
    monkeypatch.setattr(sqlite_registry, "admit", lambda *_, **__: None)
    registry.enrol(account("a"))
    registry.enrol(account("b"))
    fine = registry.record(entry("a", 1, Mode.IDENTITY))
    for wrong in (
        replace(fine, answer=b"other"),
        entry("a", 2, Mode.IDENTITY),
        entry("a", 1, Mode.IDENTITY, epoch=1),
        entry("a", 1, Mode.TRACEABLE, usage="decrypt"),
        entry("b", 1, Mode.IDENTITY, epoch=1),
        entry("nobody", 7, Mode.BLIND),
    ):
        with pytest.raises(RegistryError, match="constraint"):
            registry.record(wrong)
    assert registry.find("a", fine.params_id, "sign", fine.issued) == fine


def test_error_in_a_transaction_leaves_nothing_and_the_registry_usable(registry):
    registry.enrol(account("a"))

    def half():
        with registry._file.changing() as db:
            db.execute("UPDATE accounts SET quota = 1000")
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        half()
    assert registry.account("a").quota == 1


# -- several processes -----------------------------------------------------------------------------


def test_processes_spend_a_quota_exactly(path):
    """Made, enrolled and spent by four processes at once: every open, every transaction races."""
    folders = os.pathsep.join([str(TESTS), os.environ.get("PYTHONPATH", "")])
    environment = {**os.environ, "PYTHONPATH": folders}
    processes = [
        subprocess.Popen(
            [sys.executable, TESTS / "support/registry_clients.py", path, str(first), str(first + 8)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            env=environment,
        )
        for first in (0, 4, 8, 12)  # overlapping: some requests come twice
    ]
    for process in processes:
        assert process.stdout.readline() == "ready\n"
    for process in processes:
        process.stdin.write("\n")
        process.stdin.flush()
    results = [json.loads(process.communicate()[0]) for process in processes]
    assert [process.returncode for process in processes] == [0] * 4
    assert sorted(result["enrolled"] for result in results) == [False] * 3 + [True]
    assert all(result["used"] for result in results)
    # The same request gets the same answer, whoever was asked; five different ones were answered.
    answered = [answer for result in results for answer in result["answered"]]
    assert len(set(answered)) == len({answer.split()[0] for answer in answered}) == 5
    with SqliteRegistry(path) as registry, registry._file.reading() as db:
        assert {row[0].decode() for row in db.execute("SELECT answer FROM issuances")} == set(answered)
        assert [row[0] for row in db.execute("SELECT serial FROM issuances ORDER BY 1")] == [1, 2, 3, 4, 5]
    assert read_mark(f"{path}.mark")[1] == 6


def test_two_registries_on_one_file_see_each_other(path):
    with SqliteRegistry(path) as one, SqliteRegistry(path) as two:
        one.enrol(account("a"))
        challenge = one.new_challenge()
        assert two.use_challenge(challenge)
        assert not one.use_challenge(challenge)
        two.record(entry("a", 1))
        with pytest.raises(IssueError, match="quota"):
            one.record(entry("a", 2))
        one.disable("a")
        with pytest.raises(IssueError, match="not enrolled"):
            two.record(entry("a", 1))


def test_file_locked_for_too_long_is_an_error_of_ours(path, monkeypatch):
    filled(path)
    monkeypatch.setattr(sqlite_file, "_BUSY_S", 0.0)
    with SqliteRegistry(path) as one, SqliteRegistry(path) as two:
        with one._file.changing():
            assert two.account("a") is not None  # readers do not wait
            with pytest.raises(RegistryError, match="locked"):
                two.record(entry("a", 2))
        two.record(entry("a", 2))


@pytest.mark.skipif(not hasattr(os, "fork"), reason="fork")
def test_registry_of_before_a_fork_is_refused(path, monkeypatch):
    registry = SqliteRegistry(path)
    with monkeypatch.context() as patched:
        patched.setattr(os, "getpid", lambda: -1)
        with pytest.raises(RegistryError, match="fork"):
            registry.account("a")
        registry.close()  # leaves the parent's locks alone
    assert registry.account("a") is None
    registry.close()


# -- backups ---------------------------------------------------------------------------------------


def test_attack_backup_brought_back_would_spend_a_unit_twice(path):
    filled(path)
    backup = copy(path, "backup")
    with SqliteRegistry(path) as registry:
        registry.record(entry("a", 2))
        registry.record(entry("a", 3))
    os.replace(backup, path)
    for _ in range(2):
        with pytest.raises(RegistryError, match=r"restored from a backup.* 2 changes are missing"):
            SqliteRegistry(path)


@pytest.mark.parametrize(
    "change",
    [
        lambda r: r.enrol(account("b")),
        lambda r: r.disable("a"),
        lambda r: r.record(entry("a", 2)),
        lambda r: r.reserve_epoch(bytes(32), Mode.BLIND, b"e"),
        lambda r: r.add_epoch(some_params()),
        lambda r: r.revoke(params_id(), bytes(16)),
        lambda r: r.add_revocations(listing(forked_root())),
    ],
)
def test_every_kind_of_change_is_missed(path, change):
    filled(path)
    backup = copy(path, "backup")
    with SqliteRegistry(path) as registry:
        change(registry)
    os.replace(backup, path)
    with pytest.raises(RegistryError, match="1 changes are missing"):
        SqliteRegistry(path)


def test_what_changes_nothing_is_not_counted(path):
    filled(path)
    before = read_mark(f"{path}.mark")
    with SqliteRegistry(path) as registry:
        registry.record(entry("a", 1))
        registry.check(entry("a", 2))
        registry.use_challenge(registry.new_challenge())
        for refused in (lambda: registry.enrol(account("a")), lambda: registry.disable("b")):
            with pytest.raises(IssueError):
                refused()
    assert read_mark(f"{path}.mark") == before


def test_database_without_its_log_is_refused(path):
    """The commonest wrong backup: the file copied while it is open, without the -wal beside it."""
    with SqliteRegistry(path) as registry:
        registry.enrol(account("a", 3))
        registry.record(entry("a", 1))
        elsewhere = path.parent / "elsewhere"
        elsewhere.mkdir()
        for name in (path.name, f"{path.name}.mark"):
            shutil.copy2(path.parent / name, elsewhere / name)
    with pytest.raises(RegistryError, match=r"backup|another program|its mark counts"):
        SqliteRegistry(elsewhere / path.name)


def test_lost_database_is_not_silently_begun_anew(path):
    filled(path)
    path.unlink()
    with pytest.raises(RegistryError, match="its mark counts 2 changes"):
        SqliteRegistry(path)
    with pytest.raises(RegistryError, match="its mark counts 2 changes"):
        SqliteRegistry.restore(path)


def test_mark_that_is_missing_damaged_or_another_s_is_refused(path, tmp_path):
    filled(path)
    other = tmp_path / "other.sqlite"
    filled(other)
    mark = path.with_name(f"{path.name}.mark")
    good = mark.read_bytes()
    assert len(good) == 62
    bad = [b"", good[:-1], good + b"\0", b"X" + good[1:], other.with_name("other.sqlite.mark").read_bytes()]
    for content in bad:
        mark.write_bytes(content)
        with pytest.raises(RegistryError, match=r"damaged|another database"):
            SqliteRegistry(path)
        assert mark.read_bytes() == content
    mark.unlink()
    with pytest.raises(RegistryError, match="missing"):
        SqliteRegistry(path)
    mark.write_bytes(good)
    SqliteRegistry(path).close()


def test_mark_may_lie_elsewhere(path, tmp_path):
    mark = tmp_path / "elsewhere.mark"
    with SqliteRegistry(path, mark=mark) as registry:
        registry.enrol(account("a"))
    assert read_mark(str(mark))[1] == 1
    assert not path.with_name(f"{path.name}.mark").exists()
    with pytest.raises(RegistryError, match="missing"):
        SqliteRegistry(path)


def test_answer_that_the_mark_does_not_cover_does_not_leave(path, monkeypatch):
    def fail(*_):
        raise OSError("disk gone")

    filled(path)
    registry = SqliteRegistry(path)
    with monkeypatch.context() as patched:
        patched.setattr(sqlite_file, "write_mark", fail)
        with pytest.raises(OSError, match="disk gone"):
            registry.record(entry("a", 2))
        with pytest.raises(RegistryError, match="closed"):  # nor the second time
            registry.find("a", params_id(), "", entry("a", 2).issued)
        with pytest.raises(OSError, match="disk gone"):
            SqliteRegistry(path)
    with SqliteRegistry(path) as registry:  # the mark is brought up
        assert registry.record(entry("a", 2)) == entry("a", 2)
    assert read_mark(f"{path}.mark")[1] == 3


def test_restored_registry_issues_in_new_epochs_only(path):
    old, lost, new = (some_params(epoch=epoch) for epoch in (b"old", b"lost", b"new"))

    def wanted(params, i):
        return replace(entry("a", i), params_id=params.params_id)

    with SqliteRegistry(path) as registry:
        registry.enrol(account("a", 2))
        registry.add_epoch(old)
        answered = registry.record(wanted(old, 1))
        challenge = registry.new_challenge()
    backup = copy(path, "backup")
    with SqliteRegistry(path) as registry:
        registry.add_epoch(lost)
        registry.record(wanted(old, 2))
        registry.record(wanted(lost, 1))
    os.replace(backup, path)
    with pytest.raises(RegistryError):
        SqliteRegistry(path)
    with SqliteRegistry.restore(path) as registry:
        assert registry.record(answered) == answered
        for params in (old, lost):
            with pytest.raises(IssueError, match="closed since the registry was restored"):
                registry.record(wanted(params, 3))
        assert not registry.use_challenge(challenge)
    with SqliteRegistry(path) as registry:  # opens again, and remembers
        with pytest.raises(IssueError, match="closed"):
            registry.check(wanted(old, 3))
        registry.add_epoch(old)  # known already: stays closed
        with pytest.raises(IssueError, match="closed"):
            registry.record(wanted(old, 3))
        registry.add_epoch(new)
        registry.record(wanted(new, 3))
        registry.record(wanted(new, 4))
        with pytest.raises(IssueError, match="quota"):
            registry.record(wanted(new, 5))
    with pytest.raises(RegistryError, match="no such file"):
        SqliteRegistry.restore(path.with_name("nothing"))


def test_restored_registry_is_told_what_was_signed_since(path):
    old, lost = some_params(epoch=b"old"), some_params(epoch=b"lost")
    wanted = replace(entry("a", 1), params_id=lost.params_id)
    with SqliteRegistry(path) as registry:
        registry.enrol(account("a", 2))
        registry.add_epoch(old)
    with SqliteRegistry.restore(path, signed=iter([old, lost])) as registry:
        assert registry.epochs() == (old, lost)
        registry.add_epoch(lost)  # not new: stays closed
        with pytest.raises(IssueError, match="closed since the registry was restored"):
            registry.record(wanted)
        assert not registry.is_reserved(lost.root_public_key, lost.mode, lost.epoch)
    with pytest.raises(TypeError, match="EpochParams"):
        SqliteRegistry.restore(path, signed=[b""])
    with pytest.raises(ParamsConflict):
        SqliteRegistry.restore(path, signed=[some_params(epoch=b"old", root=forked_root(), secret="other")])


def beside_log(path, backup, last):
    """The backup beside the log and the mark of a process that was killed after ``last``."""
    place = path.parent / "place"
    shutil.rmtree(place, ignore_errors=True)
    place.mkdir()
    shutil.copy2(backup, place / path.name)
    with SqliteRegistry(path) as registry:
        last(registry)
        for end in ("-wal", ".mark"):
            shutil.copy2(f"{path}{end}", place / f"{path.name}{end}")
    return place / path.name


def enrol(registry, *numbers):
    for number in numbers:
        registry.enrol(account(f"party {number:04}"))


ENROL = [lambda r, n=n: enrol(r, *range(n, n + 60)) for n in range(1000, 1600, 60)]


@pytest.mark.parametrize(
    ("forgotten", "last"),
    [
        pytest.param(ENROL[:1], ENROL[1], id="older by one checkpoint"),
        pytest.param(ENROL[:1], lambda r: r.new_challenge(), id="the log has only a challenge"),
        pytest.param(ENROL[:1], lambda r: r.revoke(params_id(), bytes(16)), id="the log has another table"),
        pytest.param(ENROL[:-1], ENROL[-1], id="older by many checkpoints"),
        pytest.param([lambda r: r.disable("party 0008")], ENROL[1], id="only a row changed"),
        pytest.param([lambda r: r.record(entry("party 0008", 1))], ENROL[1], id="only issuances"),
        pytest.param([lambda r: r.revoke(params_id(), bytes(16))], ENROL[1], id="only revoked"),
        pytest.param([lambda r: r.add_revocations(listing(forked_root()))], ENROL[1], id="only lists"),
        pytest.param([lambda r: r.add_epoch(some_params())], ENROL[1], id="only epochs"),
        pytest.param([lambda r: r.reserve_epoch(bytes(32), Mode.BLIND, b"e")], ENROL[1], id="only reserved"),
        pytest.param([lambda r: r.new_challenge()], ENROL[1], id="only challenges"),
        # Both rows lie on one page of the table, which comes with the log, but on two of each index.
        pytest.param([lambda r: enrol(r, 7)], lambda r: enrol(r, 9999), id="only indexes"),
    ],
)
def test_attack_backup_beside_the_log_of_another_moment_is_refused(path, forgotten, last):
    with SqliteRegistry(path) as registry:
        enrol(registry, *range(7), *range(8, 400))
    backup, before = copy(path, "backup"), read_mark(f"{path}.mark")
    for change in forgotten:
        with SqliteRegistry(path) as registry:  # closing empties the log into the database
            change(registry)
    place = beside_log(path, backup, last)
    for opener in (SqliteRegistry, SqliteRegistry.restore, SqliteRegistry):
        with pytest.raises(RegistryError, match=r"damaged: .* Remove .*-wal and -shm, .* then restore"):
            opener(place)
        # The log is in the database now; refused all the same.
        assert not place.with_name(f"{place.name}-wal").exists()
    shutil.copy2(backup, place)
    if read_mark(f"{place}.mark") != before:  # challenges are not counted
        with pytest.raises(RegistryError, match="changes are missing"):
            SqliteRegistry(place)
    SqliteRegistry.restore(place).close()
    with SqliteRegistry(place) as registry:
        assert registry.account("party 0399") is not None


def test_log_of_a_killed_process_is_applied_to_its_own_database(path):
    with SqliteRegistry(path) as registry:
        enrol(registry, *range(100))
        registry.disable("party 0001")
    place = beside_log(path, copy(path, "database"), ENROL[0])
    with SqliteRegistry(place) as registry:
        assert registry.account("party 1019") is not None
        assert registry.account("party 0001") is None


def test_rows_that_could_not_be_checked_are_checked_at_the_next_opening(path, monkeypatch):
    def fail(_):
        raise sqlite3.OperationalError("disk I/O error")

    filled(path)
    place = beside_log(path, copy(path, "database"), lambda r: r.disable("a"))
    with monkeypatch.context() as patched:
        patched.setattr(sqlite_file, "misfit", fail)
        for _ in range(2):
            with pytest.raises(RegistryError, match="I/O"):
                SqliteRegistry(place)
    SqliteRegistry(place).close()
    monkeypatch.setattr(sqlite_file, "misfit", fail)
    SqliteRegistry(place).close()  # fits, and no log: not read again


def test_sum_follows_every_kind_of_change(path):
    """Rows that come, change and go, from two connections; a transaction that is undone; a restoration."""

    def undone(*statements):
        with registry._file.changing() as db:
            for statement in statements:
                db.execute(statement)
            found.append(misfit(db))
            raise ZeroDivisionError

    found = []
    with SqliteRegistry(path) as one, SqliteRegistry(path) as two:
        enrol(one, 1, 2)
        two.record(entry("party 0001", 1))
        one.disable("party 0001")
        used, _ = one.new_challenge(), two.new_challenge()
        assert two.use_challenge(used)
        change = "UPDATE accounts SET quota = quota + 1"
        for registry in (one, two):
            for statements in ([change], ["DROP TRIGGER sum_accounts_UPDATE", change]):
                with pytest.raises(ZeroDivisionError):
                    undone(*statements)
            with registry._file.reading() as db:
                found.append(misfit(db))
        assert found == [None, "rows are missing, or too many", None] * 2
    with SqliteRegistry.restore(path, signed=[some_params()]) as registry, registry._file.reading() as db:
        assert misfit(db) is None


def test_torn_registry_is_not_restored(path):
    """As one copied while it was written: each page is whole, but not of one moment."""
    with SqliteRegistry(path) as registry:
        for _ in range(300):
            registry.new_challenge()
        registry.enrol(account("a", 2))
    data = bytearray(path.read_bytes())
    last = len(data) - 4096
    data[last:] = bytes(4096)
    path.write_bytes(data)
    with pytest.raises(RegistryError, match=r"damaged|malformed"):
        SqliteRegistry.restore(path)


# -- epochs ----------------------------------------------------------------------------------------


def test_epoch_is_reserved_once(registry):
    root = bytes(32)
    registry.reserve_epoch(root, Mode.BLIND, b"e")
    for _ in range(2):
        with pytest.raises(IssueError, match="blind were signed for it, or may have been"):
            registry.reserve_epoch(root, Mode.BLIND, b"e")
    for wrong, error in (
        ((root, "blind", b"e"), TypeError),
        ((root, Mode.BLIND, "e"), TypeError),
        (("root", Mode.BLIND, b"e"), TypeError),
        ((root[:-1], Mode.BLIND, b"e"), ParameterError),
        ((root, Mode.BLIND, b""), ParameterError),
        ((root, Mode.BLIND, bytes(65)), ParameterError),
    ):
        with pytest.raises(error):
            registry.reserve_epoch(*wrong)
    registry.reserve_epoch(root, Mode.IDENTITY, b"e")
    registry.reserve_epoch(root, Mode.BLIND, b"f")
    registry.reserve_epoch(bytes([1]) * 32, Mode.BLIND, b"e")
    params = some_params()
    registry.add_epoch(params)
    with pytest.raises(IssueError):
        registry.reserve_epoch(params.root_public_key, params.mode, params.epoch)


def test_attack_second_params_for_an_epoch_are_refused_with_both_as_evidence(registry):
    first, second = some_params(), some_params(root=forked_root(), secret="another")
    registry.add_epoch(first)
    registry.add_epoch(first)
    with pytest.raises(ParamsConflict, match="this mode and epoch") as caught:
        registry.add_epoch(second)
    assert (caught.value.first, caught.value.second) == (first.to_bytes(), second.to_bytes())
    assert registry.epochs() == (first,)
    with pytest.raises(TypeError):
        registry.add_epoch(first.to_bytes())


def test_attack_master_secret_used_again_is_refused(registry):
    first = some_params(secret="s")
    registry.add_epoch(first)
    other_root = RootKey._from_seed_derand(Drbg("another root")(32))
    for again in (
        some_params(mode=Mode.IDENTITY, secret="s"),
        some_params(epoch=b"f", secret="s"),
        some_params(root=other_root, secret="s"),
    ):
        with pytest.raises(ParamsConflict, match="Y is known") as caught:
            registry.add_epoch(again)
        assert caught.value.second == again.to_bytes()
    assert registry.epochs() == (first,)


def test_epochs_come_in_the_order_in_which_they_were_added(registry):
    params = [some_params(mode=mode, epoch=epoch) for epoch in (b"2", b"1") for mode in Mode]
    for one in params:
        registry.add_epoch(one)
    assert list(registry.epochs()) == params


# -- revocations -----------------------------------------------------------------------------------


def listing(root, number=1, pids=(), epoch=0, issued_at=5):
    return RevocationList.sign(root, params_id(epoch), number=number, issued_at=issued_at, pids=pids)


def pid(i):
    return bytes([i]) * 16


def test_pids_of_a_party(registry):
    for party in "ab":
        registry.enrol(account(party, 9))
    entries = [
        entry("a", 9, Mode.TRACEABLE, identity=b"z"),
        entry("a", 1, Mode.TRACEABLE, identity=b"y"),
        entry("b", 2, Mode.TRACEABLE, identity=b"x"),
        entry("a", 3, Mode.TRACEABLE, identity=b"z", epoch=1),
        entry("a", 4, Mode.BLIND),
    ]
    for one in entries:
        registry.record(one)
    pids = [hashes.pid(e.params_id, e.usage, e.identity, e.issued) for e in entries]
    assert registry.pids_of("a", params_id()) == (pids[0], pids[1])
    assert registry.pids_of("b", params_id()) == (pids[2],)
    assert registry.pids_of("a", params_id(1)) == (pids[3],)
    assert registry.pids_of("a", params_id(2)) == registry.pids_of("c", params_id()) == ()


def test_revoked_keys_are_kept_sorted_and_bounded(registry, monkeypatch):
    for i in (3, 1, 2, 1):
        registry.revoke(params_id(), pid(i))
    registry.revoke(params_id(1), pid(9))
    assert registry.revoked(params_id()) == (pid(1), pid(2), pid(3))
    assert registry.revoked(params_id(1)) == (pid(9),)
    assert registry.revoked(params_id(2)) == ()
    monkeypatch.setattr(limits, "MAX_REVOKED", 3)
    with pytest.raises(IssueError, match="begin a new epoch"):
        registry.revoke(params_id(), pid(4))
    registry.revoke(params_id(), pid(3))
    registry.revoke(params_id(1), pid(4))
    for wrong in ((b"", pid(1)), (params_id(), b""), (pid(1), params_id())):
        with pytest.raises(ParameterError):
            registry.revoke(*wrong)
    for wrong in ((params_id(), "x" * 16), ("x" * 32, pid(1))):
        with pytest.raises(TypeError):
            registry.revoke(*wrong)
    with pytest.raises(TypeError):
        registry.add_revocations(listing(forked_root()).to_bytes())


def test_lists_only_grow(registry):
    root = forked_root()
    first, second = listing(root, 1, [pid(1)]), listing(root, 4, [pid(1), pid(2)])
    assert registry.revocations(root.public_key, params_id()) is None
    for one in (first, first, second, second, first):
        registry.add_revocations(one)
    assert registry.revocations(root.public_key, params_id()) == second
    assert registry.revocations(root.public_key, params_id(1)) is None
    for wrong, against in (
        (listing(root, 4, [pid(1), pid(2), pid(3)]), second),  # the same number, another content
        (listing(root, 4, [pid(1), pid(2)], issued_at=6), second),
        (listing(root, 1, [pid(2)]), first),
        (listing(root, 5, [pid(1)]), second),  # un-revokes
        (listing(root, 3, [pid(1)]), second),  # behind what is out
        (listing(root, 3, [pid(3)]), second),
    ):
        with pytest.raises(RevocationConflict) as caught:
            registry.add_revocations(wrong)
        assert (caught.value.first, caught.value.second) == (against.to_bytes(), wrong.to_bytes())
    assert registry.revocations(root.public_key, params_id()) == second
    registry.add_revocations(listing(root, 1, [pid(3)], epoch=1))
    registry.add_revocations(listing(RootKey.generate(), 1, [pid(3)]))
    registry.add_revocations(listing(root, 5, [pid(1), pid(2)]))


def test_forgotten_challenges_are_forgotten_some_at_a_time(path, monkeypatch):
    monkeypatch.setattr(limits, "MAX_CHALLENGES", 32)
    with SqliteRegistry(path) as registry:
        values = [registry.new_challenge() for _ in range(32)]
        for value in values[1:20]:
            assert registry.use_challenge(value)
        values += [registry.new_challenge() for _ in range(19)]
        # 32 are outstanding, though 51 were made: none is forgotten yet.
        assert n_challenges(registry) == 32
        values.append(registry.new_challenge())
        assert n_challenges(registry) == 30
        assert not registry.use_challenge(values[0])
        assert registry.use_challenge(values[-1])


def n_challenges(registry):
    with registry._file.reading() as db:
        return db.execute("SELECT count(*) FROM challenges").fetchone()[0]


def test_a_file_for_everybody_fits_before_the_first_one_asks():
    """Two challenges for each of ten thousand people, enrolled on one day."""
    assert limits.MAX_CHALLENGES >= 2 * 10_000


@pytest.mark.skipif(os.name != "posix", reason="named pipes")
def test_pipe_in_the_place_of_the_file_is_not_waited_for(path):
    os.mkfifo(path, 0o600)
    with pytest.raises(RegistryError, match="not a regular file"):
        SqliteRegistry(path)


def test_half_a_mark_is_none(path, monkeypatch):
    """The disk is full in the middle of it: the next attempt begins again."""
    real = os.write
    monkeypatch.setattr(os, "write", lambda descriptor, data: real(descriptor, data[:30]))
    with pytest.raises(OSError, match="No space"):
        SqliteRegistry(path)
    monkeypatch.undo()
    assert sorted(p.name for p in path.parent.iterdir() if "mark" in p.name) == []
    SqliteRegistry(path).close()


@pytest.mark.parametrize("opener", ["same", "link"])
def test_second_opening_in_one_process_keeps_the_locks(path, opener):
    """What SQLite's list of ways to corrupt a file begins with: a descriptor closed, and all locks go."""
    with SqliteRegistry(path) as first:
        first.enrol(account("a", 1))
        name = path
        if opener == "link":
            name = path.with_name("link")
            name.symlink_to(path)
            shutil.copy(f"{path}.mark", f"{name}.mark")
        SqliteRegistry(name, mark=f"{path}.mark").close()
        program = (
            "import sys; from sottovoce.clsc import Account, SqliteRegistry\n"
            "with SqliteRegistry(sys.argv[1]) as r: r.enrol(Account('b', b'b', 1, bytes(32)))"
        )
        subprocess.run([sys.executable, "-c", program, path], check=True, timeout=60)
        first.enrol(account("c", 1))  # into a log that nobody would read any more
    with SqliteRegistry(path) as registry:
        assert [registry.account(name) is not None for name in "abc"] == [True] * 3

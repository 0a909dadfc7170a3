"""A registry in a file: its rules, what survives, who else may use it, epochs."""

import json
import os
import pathlib
import pickle
import sqlite3
import stat
import subprocess
import sys
from dataclasses import replace

import pytest

from sottovoce._ext import sqlite_file
from sottovoce._ext.errors import RegistryError
from sottovoce._ext.sqlite_file import SqliteFile, read_mark
from sottovoce.clsc import (
    Account,
    IssueError,
    Mode,
    ParameterError,
    ParamsConflict,
    RootKey,
    sqlite_registry,
)
from sottovoce.clsc.sqlite_registry import APPLICATION_ID, MIGRATIONS, SqliteRegistry
from support.clsc_stores import account, entry, forked_root, some_params
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

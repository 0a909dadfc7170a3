"""Backups of a registry: what brings back an old one is noticed, and what is restored is told."""

import os
import shutil
import sqlite3
from dataclasses import replace

import pytest

from sottovoce._ext import sqlite_file
from sottovoce._ext.errors import RegistryError
from sottovoce._ext.sqlite_digest import misfit
from sottovoce._ext.sqlite_file import read_mark
from sottovoce.clsc import (
    IssueError,
    Mode,
    ParamsConflict,
)
from sottovoce.clsc.revocation import RevocationList
from sottovoce.clsc.sqlite_registry import SqliteRegistry
from support.clsc_stores import account, entry, forked_root, params_id, some_params


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


def listing(root, number=1, pids=(), epoch=0, issued_at=5):
    return RevocationList.sign(root, params_id(epoch), number=number, issued_at=issued_at, pids=pids)

"""Revocations and challenges of a registry in a file, and odd files in its place."""

import os
import shutil
import subprocess
import sys

import pytest

from sottovoce._ext import limits
from sottovoce._ext.errors import RegistryError
from sottovoce.clsc import (
    IssueError,
    Mode,
    ParameterError,
    RootKey,
    hashes,
)
from sottovoce.clsc.revocation import RevocationConflict, RevocationList
from sottovoce.clsc.sqlite_registry import SqliteRegistry
from support.clsc_stores import account, entry, forked_root, params_id


@pytest.fixture
def path(tmp_path):
    return tmp_path / "registry.sqlite"


@pytest.fixture
def registry(path):
    with SqliteRegistry(path) as registry:
        yield registry


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

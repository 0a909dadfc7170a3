"""The file of acknowledged shards: whole records only, bounded, gone with its round."""

import errno

import pytest

from sottovoce.fl.http import journal as journal_module
from sottovoce.fl.http.journal import (
    ROUNDS_OF_A_SOURCE,
    ROUNDS_OF_SHARDS,
    JournalFullError,
    ShardJournal,
)


def opened(path, most=4):
    return ShardJournal(path, 8, most)


def test_what_was_appended_is_there_again(tmp_path):
    path = tmp_path / "shards"
    journal = opened(path)
    journal.append(b"a" * 8)
    journal.append(b"b" * 8)
    journal.close()
    again = opened(path)
    assert list(again) == [b"a" * 8, b"b" * 8]
    again.append(b"c" * 8)
    assert list(again)[-1] == b"c" * 8
    assert path.stat().st_mode & 0o077 == 0
    again.remove()
    assert not path.exists()


@pytest.mark.parametrize("cut", range(1, 8))
def test_a_record_that_was_cut_off_is_forgotten(tmp_path, cut):
    path = tmp_path / "shards"
    path.write_bytes(b"a" * 8 + b"b" * cut)
    journal = opened(path)
    assert list(journal) == [b"a" * 8]
    journal.append(b"c" * 8)
    assert list(journal) == [b"a" * 8, b"c" * 8]
    journal.close()


def test_a_look_for_room_changes_nothing(tmp_path, monkeypatch):
    path = tmp_path / "shards"
    journal = opened(path)
    journal.append(b"a" * 8)
    journal.check()
    assert path.read_bytes() == b"a" * 8

    def full(fd, data, at):
        raise OSError(errno.ENOSPC, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(journal_module.os, "pwrite", full)
        with pytest.raises(OSError, match="No space"):
            journal.check()
    journal.append(b"b" * 8)
    assert list(journal) == [b"a" * 8, b"b" * 8]
    journal.close()


def test_it_grows_to_its_bound_and_no_further(tmp_path):
    path = tmp_path / "shards"
    journal = opened(path, most=2)
    for i in range(2 * ROUNDS_OF_SHARDS):
        journal.append(bytes([i]) * 8, source=i)
    for source in (0, "new"):
        with pytest.raises(JournalFullError) as caught:
            journal.append(b"x" * 8, source)
        assert not caught.value.by_source
    assert path.stat().st_size == journal.n_bytes == 8 * 2 * ROUNDS_OF_SHARDS
    journal.close()
    again = opened(path, most=2)  # nor after a restart
    with pytest.raises(JournalFullError):
        again.append(b"x" * 8)
    again.close()


def test_a_source_leaves_room_for_others(tmp_path):
    assert ROUNDS_OF_A_SOURCE < ROUNDS_OF_SHARDS
    journal = opened(tmp_path / "shards", most=2)
    for _ in range(2 * ROUNDS_OF_A_SOURCE):
        journal.append(b"a" * 8, "greedy")
    with pytest.raises(JournalFullError) as caught:
        journal.append(b"a" * 8, "greedy")
    assert caught.value.by_source
    journal.append(b"b" * 8, "other")
    assert [*journal].count(b"b" * 8) == 1
    journal.close()


def test_a_closed_journal_writes_into_no_other_file(tmp_path):
    """Its descriptor is somebody else's by then: a body that came too late must not end up there."""
    journal = ShardJournal(tmp_path / "old", 4, 10)
    journal.close()
    with open(tmp_path / "other", "w+b", buffering=0) as other:  # takes the number that has become free
        with pytest.raises(OSError, match="descriptor"):
            journal.append(b"late")
        assert other.read() == b""
    journal.close()  # once more does no harm

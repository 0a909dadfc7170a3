"""New files appear whole or not at all, and whatever goes wrong is told."""

import io
import os
import stat
from pathlib import Path

import pytest

from sottovoce import rs
from sottovoce._ext import spool
from support.rs_shards import BLOCK, flip, names, seeded, split


@pytest.fixture(autouse=True)
def folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.mark.parametrize("error", [KeyboardInterrupt, RuntimeError])
def test_an_interruption_leaves_nothing(error):
    shards = split(seeded(3000))
    before = names(".")

    def stop(done, total):
        if done > total // 2:
            raise error

    with pytest.raises(error):
        rs.split_file("file", 3, 5, prefix="new", block_bytes=BLOCK, progress=stop)
    with pytest.raises(error):
        rs.join_file(shards, "out", progress=stop)
    assert names(".") == before
    flip(shards[0], 300)
    shards[4].unlink()
    before, damaged = names("."), shards[0].read_bytes()
    for part in (4, 1):  # in the first and in the second reading

        def stop_at(done, total, part=part):
            if done > total * 3 // (4 * part):
                raise error

        with pytest.raises(error):
            rs.repair_files(shards[:4], progress=stop_at)
        assert names(".") == before
    assert shards[0].read_bytes() == damaged


def test_nothing_is_overwritten_unasked():
    shards = split(b"data")
    Path("out").write_bytes(b"mine")
    with pytest.raises(FileExistsError):
        rs.join_file(shards, "out")
    with pytest.raises(FileExistsError):
        rs.split_file("file", 3, 5)
    shards[2].write_bytes(b"mine")
    with pytest.raises(FileExistsError):
        rs.repair_files(shards)
    assert Path("out").read_bytes() == shards[2].read_bytes() == b"mine"
    rs.join_file(shards, "out", overwrite=True)
    rs.repair_files(shards, overwrite=True)
    assert rs.verify_files(shards).intact
    assert Path("out").read_bytes() == b"data"


def test_a_name_that_is_taken_meanwhile_takes_the_others_back():
    Path("file").write_bytes(seeded(3000))
    with pytest.raises(FileExistsError):
        rs.split_file(
            "file", 3, 5, block_bytes=BLOCK, progress=lambda d, t: Path("file.3_5.svr").write_bytes(b"mine")
        )
    assert names(".") == ["file", "file.3_5.svr"]
    assert Path("file.3_5.svr").read_bytes() == b"mine"


@pytest.mark.parametrize("change", ["shorter", "longer", "changed"])
def test_a_file_that_changes_while_it_is_read_is_noticed(change):
    Path("file").write_bytes(seeded(3000))

    def progress(done, total):
        if done > 500 and not changed:
            changed.append(1)
            if change == "changed":
                with open("file", "r+b") as file:
                    file.write(b"x")
                os.utime("file", ns=(1, 1))
            else:
                os.truncate("file", 2900 if change == "shorter" else 3100)

    changed = []
    with pytest.raises(rs.ParameterError, match="changed while it was read"):
        rs.split_file("file", 3, 5, block_bytes=BLOCK, progress=progress)
    assert names(".") == ["file"]


def test_progress_grows_to_the_length_and_repair_counts_twice():
    told = []
    shards = split(seeded(1000), progress=lambda *a: told.append(a))
    assert told == [(min(192 * i, 1000), 1000) for i in range(1, 7)]
    for work in (rs.verify_files, lambda s, **o: rs.join_file(s, io.BytesIO(), **o)):
        told.clear()
        work(shards, progress=lambda *a: told.append(a))
        assert told == [(min(192 * i, 1000), 1000) for i in range(1, 7)]
    told.clear()
    shards[0].unlink()
    rs.repair_files(shards[1:], progress=lambda *a: told.append(a))
    assert told[-1] == (2000, 2000)
    assert told == sorted(told)


@pytest.mark.skipif(os.name != "posix", reason="pipes that do not block")
def test_a_source_without_bytes_yet_is_not_at_its_end(folder):
    for buffering in (0, -1):
        end, start = os.pipe()
        os.set_blocking(end, False)
        os.write(start, bytes(1000))
        with (
            os.fdopen(end, "rb", buffering) as source,
            os.fdopen(start, "wb"),
            pytest.raises(BlockingIOError, match="a file that blocks expected"),
        ):
            rs.split_file(source, 2, 3, prefix="pipe")
        assert not list(folder.glob("pipe*"))


class Reader:
    """A file with nothing but read, which has the rest later."""

    def __init__(self):
        self.parts = [b"x" * 10, None, b"y" * 10, b""]

    def read(self, n):
        return self.parts.pop(0)


def test_a_reader_without_bytes_yet_is_not_at_its_end():
    with pytest.raises(BlockingIOError, match="source"):
        rs.split_file(Reader(), 1, 2, prefix="reader")


@pytest.mark.skipif(os.name != "posix", reason="pipes that do not block")
def test_a_target_that_takes_nothing_is_no_success():
    shards = split(seeded(1 << 20))
    end, start = os.pipe()
    os.set_blocking(start, False)
    with (
        os.fdopen(start, "wb", 0) as target,
        os.fdopen(end, "rb"),
        pytest.raises(BlockingIOError, match="target"),
    ):
        rs.join_file(shards, target)


def test_a_writer_that_takes_nothing_keeps_nobody_busy():
    class Writer:
        def write(self, data):
            return 0

    with pytest.raises(BlockingIOError, match="target"):
        rs.join_file(split(seeded(3000)), Writer())


@pytest.mark.parametrize("replacing", [False, True])
@pytest.mark.parametrize("unnamed", [False, True])
def test_all_shards_are_on_the_disk_before_the_first_has_its_name(monkeypatch, replacing, unnamed):
    """A disk that fills up, or a machine that stops, must not leave some new shards among old ones."""
    if replacing:
        split(seeded(500))
    Path("file").write_bytes(seeded(1000))
    if not unnamed:
        monkeypatch.setattr(spool, "_open_unnamed", lambda directory: None)
    done = []

    def record(name, key):
        inner = getattr(os, name)

        def call(*arguments, **more):
            at = key(*arguments)
            result = inner(*arguments, **more)
            done.append((name, at))
            return result

        monkeypatch.setattr(os, name, call)

    def content(fd):
        """Inode and length of a file; of a folder nothing."""
        found = os.fstat(fd)
        return (found.st_ino, found.st_size) if stat.S_ISREG(found.st_mode) else None

    record("fsync", content)
    record("link", lambda source, target: os.path.basename(target))
    record("replace", lambda source, target: os.path.basename(target))
    paths = rs.split_file("file", 3, 5, block_bytes=BLOCK, overwrite=replacing).paths
    names_given = [
        (at, name) for at, (call, name) in enumerate(done) if call != "fsync" and name in set(paths)
    ]
    assert [name for _, name in names_given] == list(paths)
    synced = {key for call, key in done[: names_given[0][0]] if call == "fsync"} - {None}
    assert synced == {(os.stat(path).st_ino, os.path.getsize(path)) for path in paths}, "in their full length"
    # And a name is on the disk when the call returns.
    assert ("fsync", None) in done[names_given[-1][0] :]

"""What is no set of shards, no source and no target is refused, and nothing is written."""

import errno
import io
import os
import threading
from pathlib import Path

import pytest

from sottovoce import rs
from sottovoce.rs import _files_header as header
from support.rs_shards import flip, joined, names, refused, row_range, seeded, split


@pytest.fixture(autouse=True)
def folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_fewer_than_k_says_needed_present_and_why():
    shards = split(seeded(1000))
    shards[0].write_bytes(b"SVR\x01 nonsense")
    shards[1].unlink()
    said = refused(rs.TooManyErasures, [*shards[:3], shards[2], "nothing"])
    assert said == (
        f"3 shards needed, 1 present ({shards[0]}: header: 55 bytes expected, got 13; "
        f"{shards[1]}: No such file or directory; nothing: No such file or directory)"
    )
    with pytest.raises(rs.TooManyErasures) as caught:
        rs.repair_files(shards[2:4])
    assert (caught.value.needed, caught.value.present) == (3, 2)


def test_too_many_bad_blocks_of_one_stripe():
    shards = split(seeded(3000))
    for path in shards[1:4]:
        flip(path, row_range(path, 4)[0] + 16)
    assert refused(rs.TooManyErasures, shards) == "3 shards needed, 2 present (intact in block 4)"
    before = [path.read_bytes() for path in shards]
    with pytest.raises(rs.TooManyErasures):
        rs.repair_files(shards)
    assert [path.read_bytes() for path in shards] == before
    with pytest.raises(rs.DamageError, match="1 of 16 blocks have fewer than 3 good ones") as caught:
        rs.verify_files(shards)
    assert not caught.value.report.recoverable


def test_shards_of_two_files_are_told_apart():
    first = split(seeded(1000), prefix="a")
    second = split(seeded(1000, 2), prefix="b")
    said = refused(rs.MixedShardsError, [*first[:4], second[4]])
    assert "4 of a file of 1000 bytes, k = 3, n = 5, such as a.0_5.svr; 1 of a file of 1000" in said
    for work in (rs.verify_files, rs.repair_files):
        with pytest.raises(rs.MixedShardsError):
            work([*first, second[0]])


def test_any_names_in_any_order_and_duplicates():
    data = seeded(1000)
    shards = split(data)
    renamed = [
        path.rename(f"{name} -x") for path, name in zip(shards, ["z", "b", "é", "0", "f.4_5"], strict=True)
    ]
    assert joined([renamed[i] for i in (4, 0, 0, 2, 4)]) == data
    assert refused(rs.TooManyErasures, [renamed[1]] * 7).startswith("3 shards needed, 1 present")


def test_a_pipe_without_a_writer_and_folders_do_not_stop_anything(folder):
    data = seeded(500)
    shards = split(data)
    os.mkfifo("pipe")
    found = []
    worker = threading.Thread(target=lambda: found.append(joined([".", "pipe", *shards])), daemon=True)
    worker.start()
    worker.join(timeout=60)
    assert found == [data]
    assert "pipe: not a regular file" in refused(rs.DecodeError, ["pipe", "."])


@pytest.mark.parametrize("work", [rs.verify_files, rs.repair_files, lambda s: rs.join_file(s, "out")])
def test_wrong_arguments(work):
    shards = split(b"data")
    with pytest.raises(TypeError, match="several paths expected"):
        work("file")
    with pytest.raises(rs.ParameterError, match="1 to 512 paths"):
        work([])
    with pytest.raises(rs.ParameterError, match="1 to 512 paths"):
        work(shards * 103)
    with pytest.raises(rs.DecodeError, match="none that can be read: file: header: not a shard"):
        work(["file"])
    assert names(".") == ["file", *map(str, shards)]


@pytest.mark.parametrize(
    ("arguments", "options", "error", "message"),
    [
        ((0, 5), {}, rs.ParameterError, "k, n"),
        ((6, 5), {}, rs.ParameterError, "k, n"),
        ((3, 257), {}, rs.ParameterError, "k, n"),
        (("3", 5), {}, TypeError, "k: int"),
        ((3, 5), {"format": "tar"}, rs.ParameterError, "format: one of sottovoce, zfec"),
        ((3, 5), {"format": "zfec", "block_bytes": 64}, rs.ParameterError, "have no blocks"),
        ((3, 5), {"block_bytes": 65}, rs.ParameterError, "multiple of 64 up to 3355443"),
        ((3, 5), {"block_bytes": 0}, rs.ParameterError, "block_bytes"),
        ((3, 5), {"block_bytes": 64.0}, TypeError, "block_bytes"),
        ((3, 256), {"block_bytes": 1 << 17}, rs.ParameterError, "up to 65536"),
        ((3, 5), {"prefix": "a/b"}, rs.ParameterError, "beginning of a file name"),
        ((3, 5), {"prefix": ""}, rs.ParameterError, "beginning of a file name"),
        ((3, 5), {"prefix": b"a"}, TypeError, "prefix"),
        ((3, 5), {"threads": 0}, rs.ParameterError, "threads"),
        ((3, 5), {"threads": True}, TypeError, "threads"),
        ((3, 5), {"folder": "nowhere"}, FileNotFoundError, "nowhere"),
    ],
)
def test_impossible_splits(arguments, options, error, message):
    Path("file").write_bytes(b"data")
    with pytest.raises(error, match=message):
        rs.split_file("file", *arguments, **options)
    assert names(".") == ["file"]


def test_open_files_need_a_name_and_bytes():
    with pytest.raises(rs.ParameterError, match="prefix: must be given"):
        rs.split_file(io.BytesIO(b"x"), 1, 2)
    with pytest.raises(TypeError, match="binary file"):
        rs.split_file(io.StringIO("x"), 1, 2, prefix="x")
    with pytest.raises(TypeError, match="binary file"):
        rs.join_file(split(b"x"), io.StringIO())


def test_a_length_that_no_file_has_keeps_nobody_busy():
    head = header.ShardHeader("cauchy", 1, 2, 0, 64, 1 << 60, bytes(16)).to_bytes()
    Path("s").write_bytes(head + bytes(1000))
    with pytest.raises(rs.DamageError, match="blocks have fewer than 1 good ones") as caught:
        rs.verify_files(["s"])
    assert caught.value.report.lost_blocks == caught.value.report.shards[0].bad_blocks == 1 << 54
    assert "1 shards needed, 0 present (intact in block 0)" in refused(rs.TooManyErasures, ["s"])


def test_too_many_open_files_are_not_damage(monkeypatch):
    shards = split(seeded(3000))
    inner = os.open

    def full(path, *rest, **more):
        if str(path).endswith(".svr"):
            raise OSError(errno.EMFILE, os.strerror(errno.EMFILE))
        return inner(path, *rest, **more)

    monkeypatch.setattr(os, "open", full)
    for work in (rs.verify_files, lambda shards: rs.join_file(shards, "out")):
        with pytest.raises(OSError, match="Too many open files"):
            work(shards)


# -- paths ----------------------------------------------------------------------------------------


class Named:
    """What the protocol allows: ``os.PathLike`` that gives bytes."""

    def __init__(self, name):
        self.name = name

    def __fspath__(self):
        return self.name


@pytest.mark.parametrize("form", [str, os.fsencode, Path, lambda p: Named(os.fsencode(p)), Named])
def test_paths_of_every_kind(form, folder):
    Path("é").write_bytes(b"data")
    (folder / "to").mkdir()
    paths = rs.split_file(form("é"), 2, 3, folder=form("to")).paths
    assert paths == tuple(f"to/é.{i}_3.svr" for i in range(3))
    given = [form(path) for path in paths]
    rs.join_file(given, form("out"))
    assert Path("out").read_bytes() == b"data"
    os.unlink(paths[2])
    assert rs.repair_files(given[:2], folder=form("to")).written == (paths[2],)
    assert rs.verify_files(given).intact


NO_PATHS = [
    ("", rs.ParameterError, "a path expected, got an empty one"),
    (b"", rs.ParameterError, "a path expected, got an empty one"),
    ("a\0b", rs.ParameterError, "without zero bytes expected"),
    (b"a\0b", rs.ParameterError, "without zero bytes expected"),
    (Named("a\0b"), rs.ParameterError, "without zero bytes expected"),
    ("\ud800", rs.ParameterError, "characters that cannot be in a path"),
    (7, TypeError, "expected, got int"),
    (None, TypeError, "expected, got NoneType"),
    (bytearray(b"a"), TypeError, "expected, got bytearray"),
]


@pytest.mark.parametrize(("path", "error", "message"), NO_PATHS, ids=lambda value: repr(value)[:20])
def test_what_is_no_path(path, error, message):
    shards = split(b"data")
    before = names(".")
    for name, work in (
        ("source", lambda: rs.split_file(path, 1, 2, prefix="new")),
        ("target", lambda: rs.join_file(shards, path)),
        ("shards", lambda: rs.join_file([*shards, path], "out")),
        ("shards", lambda: rs.verify_files([*shards, path])),
        ("shards", lambda: rs.repair_files([*shards, path])),
    ):
        with pytest.raises(error, match=f"^{name}: .*{message}"):
            work()
    if path is not None:
        with pytest.raises(error, match=f"^folder: .*{message}"):
            rs.split_file("file", 1, 2, prefix="new", folder=path)
        with pytest.raises(error, match=f"^folder: .*{message}"):
            rs.repair_files(shards[1:], folder=path)
    assert names(".") == before


@pytest.mark.parametrize("prefix", ["a\0", "\ud800"])
def test_what_is_no_prefix(prefix):
    shards = split(b"data")
    before = names(".")
    for work in (
        lambda: rs.split_file("file", 1, 2, prefix=prefix),
        lambda: rs.repair_files(shards[1:], prefix=prefix),
    ):
        with pytest.raises(rs.ParameterError, match=r"^prefix: "):
            work()
    assert names(".") == before


def test_folders_in_the_place_of_files_and_files_in_that_of_folders(folder):
    shards = split(b"data")
    (folder / "folder").mkdir()
    before = names(".")
    with pytest.raises(IsADirectoryError):
        rs.split_file("folder", 1, 2)
    with pytest.raises(NotADirectoryError):
        rs.split_file("file", 1, 2, folder="file")
    with pytest.raises(FileExistsError):
        rs.join_file(shards, "folder")
    with pytest.raises(rs.ParameterError, match="target: exists and is not a regular file"):
        rs.join_file(shards, "folder", overwrite=True)
    with pytest.raises(rs.DecodeError, match="folder: not a regular file"):
        rs.join_file(["folder"], "out")
    assert names(".") == before
    assert names("folder") == []


# -- what is needed is not replaced -----------------------------------------------------------------


def other_names(path, folder):
    """All of one file: relative, absolute, a symbolic link, a hard link, through another folder."""
    os.symlink(path, "soft")
    os.link(path, "hard")
    (folder / "in").mkdir()
    return [path, folder / path, f"./in/../{path}", "soft", "hard"]


def test_a_source_is_not_replaced_by_its_shard(folder):
    Path("x.1_3.svr").write_bytes(seeded(1000))
    sources = other_names("x.1_3.svr", folder)
    before = names(".")
    for source in sources:
        with pytest.raises(FileExistsError, match="shard 1 would replace the source") as caught:
            rs.split_file(source, 2, 3, folder=folder, prefix="x", overwrite=True)
        assert caught.value.filename == str(folder / "x.1_3.svr")
    with open("hard", "rb") as source, pytest.raises(FileExistsError, match="would replace the source"):
        rs.split_file(source, 2, 3, prefix="x", overwrite=True)
    assert names(".") == before
    assert Path("x.1_3.svr").read_bytes() == seeded(1000)
    rs.split_file("hard", 2, 3, prefix="y", overwrite=True)


def test_a_shard_is_not_replaced_by_the_file(folder):
    shards = split(seeded(1000))
    good = shards[1].read_bytes()
    flip(shards[3], 20)
    shards[4].write_bytes(b"unreadable, and yet given")
    targets = other_names(shards[1], folder)
    before = names(".")
    for target in targets:
        with pytest.raises(FileExistsError, match=f"would replace its shard {shards[1]}"):
            rs.join_file(shards, target, overwrite=True)
    for target in shards[3:]:
        with pytest.raises(FileExistsError, match="would replace its shard"):
            rs.join_file(shards, target, overwrite=True)
    with open("hard", "r+b") as target, pytest.raises(FileExistsError, match="would replace its shard"):
        rs.join_file(shards, target)
    assert names(".") == before
    assert shards[1].read_bytes() == good
    assert shards[4].read_bytes() == b"unreadable, and yet given"
    os.unlink("soft")
    os.unlink("hard")
    Path("hard").write_bytes(b"another file")
    rs.join_file(shards, "hard", overwrite=True)
    assert Path("hard").read_bytes() == seeded(1000)

"""Files as shards: there and back, whatever is lost, damaged, renamed, cut or of another file."""

import errno
import io
import os
import shutil
import threading
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sottovoce import rs
from sottovoce.rs import _files_header as header
from sottovoce.rs import _files_shards
from support.rs_shards import at, block_count, flip, names, row_range, seeded

BLOCK = 64


@pytest.fixture(autouse=True)
def folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    return tmp_path


def split(data, k=3, n=5, **options):
    Path("file").write_bytes(data)
    done = rs.split_file("file", k, n, **{"block_bytes": BLOCK, "overwrite": True, **options})
    return [Path(path) for path in done.paths]


def joined(shards, **options):
    rs.join_file(shards, "out", overwrite=True, **options)
    return Path("out").read_bytes()


def refused(error, shards, **options):
    """The message; nothing was written."""
    Path("out").unlink(missing_ok=True)
    before = names(".")
    with pytest.raises(error) as caught:
        rs.join_file(shards, "out", **options)
    assert names(".") == before
    return str(caught.value)


# -- there and back -------------------------------------------------------------------------------


@pytest.mark.parametrize("size", [0, 1, 2, 3, 4, 63, 64, 191, 192, 193, 1919, 1920, 1921, 20_000])
@pytest.mark.parametrize(("k", "n"), [(1, 1), (1, 3), (3, 3), (3, 5), (10, 14)])
def test_every_size_comes_back_from_any_k(size, k, n):
    data = seeded(size)
    shards = split(data, k, n)
    assert rs.verify_files(shards).intact
    assert joined(shards[n - k :]) == data
    assert joined(shards[:k][::-1]) == data
    assert len({path.stat().st_size for path in shards}) == 1


def test_the_largest_code_and_the_default_block():
    data = seeded(5_000_000)
    shards = split(data, 200, 256, block_bytes=None)
    assert joined(shards[56:]) == data
    header_of = header.ShardHeader.from_bytes(shards[0].read_bytes()[: header.HEADER_BYTES])
    assert header_of.block_bytes == 16384
    (path, *_) = split(b"x", 10, 14, block_bytes=None)
    assert header.ShardHeader.from_bytes(path.read_bytes()[: header.HEADER_BYTES]).block_bytes == 65536


def test_names_places_and_what_is_told(folder):
    (folder / "in").mkdir()
    (folder / "to").mkdir()
    Path("in/a.b").write_bytes(b"12345")
    done = rs.split_file("in/a.b", 2, 10)
    assert done.paths == tuple(f"in/a.b.{i:02}_10.svr" for i in range(10))
    assert (done.n_bytes, done.shard_bytes) == (5, 2 * 55 + 16 + 3)
    assert {os.path.getsize(path) for path in done.paths} == {done.shard_bytes}
    done = rs.split_file(Path("in/a.b"), 2, 3, folder=Path("to"), prefix="x")
    assert names("to") == ["x.0_3.svr", "x.1_3.svr", "x.2_3.svr"]
    told = rs.join_file(done.paths, "out")
    assert (told.n_bytes, told.k, told.n, told.present) == (5, 2, 3, 3)
    assert (told.bad_blocks, told.unusable) == (0, ())
    report = rs.verify_files(done.paths[1:])
    assert (report.present, report.missing, report.recoverable, report.consistent) == (2, (0,), True, True)
    assert report.file_id == done.file_id


def test_the_same_file_gives_the_same_shards_and_other_parameters_another_id():
    data = seeded(1000)
    first = [path.read_bytes() for path in split(data)]
    assert [path.read_bytes() for path in split(data, prefix="again")] == first
    ids = {
        rs.split_file("file", k, n, prefix="other", block_bytes=b, overwrite=True).file_id
        for k, n, b in [(3, 5, 64), (2, 5, 64), (3, 6, 64), (3, 5, 128)]
    }
    Path("file").write_bytes(data[:-1] + b"?")
    ids.add(rs.split_file("file", 3, 5, prefix="other", block_bytes=64, overwrite=True).file_id)
    assert len(ids) == 5


def test_open_files_streams_and_threads():
    data = seeded(10_000)
    expected = [path.read_bytes() for path in split(data)]

    class Pipe:
        """Gives as little at a time as a pipe may, and cannot seek."""

        def __init__(self):
            self.inner = io.BytesIO(data)

        def read(self, size):
            return self.inner.read(min(size, 37))

    stream = io.BytesIO(b"skipped" + data)
    stream.seek(7)
    for source in (Pipe(), stream):
        done = rs.split_file(source, 3, 5, prefix="s", block_bytes=BLOCK, threads=3, overwrite=True)
        assert [Path(path).read_bytes() for path in done.paths] == expected
    flip(done.paths[1], 200)
    out = io.BytesIO()
    assert rs.join_file(done.paths, out, threads=2).bad_blocks == 1
    assert out.getvalue() == data
    with pytest.raises(rs.DamageError):
        rs.verify_files(done.paths, threads=2)
    rs.repair_files(done.paths, threads=2)
    assert [Path(path).read_bytes() for path in done.paths] == expected


@settings(deadline=None)
@given(
    st.integers(0, 3000), st.integers(1, 6), st.integers(0, 4), st.sampled_from([64, 128]),
    st.randoms(use_true_random=False),
)  # fmt: skip
def test_lost_shards_and_flipped_bits_up_to_the_bound(tmp_path_factory, size, k, extra, block, random):
    folder, n = tmp_path_factory.mktemp("f"), k + extra
    data = seeded(size, random.random())
    (folder / "file").write_bytes(data)
    shards = list(rs.split_file(folder / "file", k, n, block_bytes=block).paths)
    good = {path: Path(path).read_bytes() for path in shards}
    kept = random.sample(shards, random.randint(k, n))
    for path in set(shards) - set(kept):
        os.unlink(path)
    for stripe in range(block_count(kept[0])):
        for path in random.sample(kept, random.randint(0, len(kept) - k)):
            place = row_range(path, stripe)
            flip(path, random.randrange(*place), 1 << random.randrange(8))
    rs.join_file(kept, folder / "out")
    assert (folder / "out").read_bytes() == data
    rs.repair_files(kept, prefix="file")
    assert {path: Path(path).read_bytes() for path in shards} == good


@settings(deadline=None)
@given(st.integers(0, 600), st.randoms(use_true_random=False))
def test_never_wrong_data_whatever_is_done_to_shards(tmp_path_factory, size, random):
    folder = tmp_path_factory.mktemp("f")
    data = seeded(size, random.random())
    (folder / "file").write_bytes(data)
    (folder / "other").write_bytes(seeded(size, -1))
    shards = list(rs.split_file(folder / "file", 2, 4, block_bytes=64).paths)
    foreign = rs.split_file(folder / "other", 2, 4, block_bytes=64).paths
    for _ in range(random.randint(1, 8)):
        path, what = random.choice(shards), random.randrange(6)
        length = os.path.getsize(path)
        if what == 0 and length:
            flip(path, random.randrange(length), random.randrange(1, 256))
        elif what == 1:
            os.truncate(path, random.randint(0, length + 40))
        elif what == 2:
            shards.append(path)
        elif what == 3:
            random.shuffle(shards)
        elif what == 4:
            Path(path).write_bytes(random.randbytes(length))
        elif what == 5 and random.random() < 0.2:
            shards.append(foreign[0])
    target = folder / "out"
    for work in (lambda: rs.join_file(shards, target), lambda: rs.repair_files(shards, prefix="file")):
        try:
            work()
        except (rs.SottovoceError, FileExistsError):
            continue
    if target.exists():
        assert target.read_bytes() == data
    assert not [name for name in names(folder) if name.startswith(".")]


# -- damage costs a block -------------------------------------------------------------------------


def test_any_flipped_bit_costs_one_block_and_is_repaired():
    data = seeded(2 * 3 * BLOCK + 50)
    shards = split(data)
    for which in (shards[1], shards[4]):
        good = which.read_bytes()
        for place in range(len(good)):
            flip(which, place, 1 << place % 8)
            with pytest.raises(
                rs.DamageError, match="1 of 5 shards damaged; the file can be recovered"
            ) as caught:
                rs.verify_files(shards)
            (state,) = [s for s in caught.value.report.shards if not s.intact]
            assert state.path == str(which)
            assert state.bad_blocks + (state.problem is not None) == 1
            if state.bad_blocks:
                begin, end = row_range(which, state.first_bad_block)
                assert begin <= place < end
            if place % 7 == 0:
                assert joined(shards) == data
                assert rs.repair_files(shards).written == (str(which),)
                assert which.read_bytes() == good
            which.write_bytes(good)


def test_all_shards_damaged_and_nothing_lost():
    """Five damaged shards of (3, 5): as whole shards they would be worth nothing."""
    data = seeded(5 * 3 * BLOCK)
    shards = split(data)
    good = [path.read_bytes() for path in shards]
    for i, path in enumerate(shards):
        flip(path, row_range(path, i)[0] + 20)
        flip(path, row_range(path, (i + 1) % 5)[1] - 1)
        flip(path, 20)  # the first header
    told = rs.join_file(shards, "out")
    assert Path("out").read_bytes() == data
    assert told.bad_blocks > 0
    rs.repair_files(shards)
    assert [path.read_bytes() for path in shards] == good


def test_a_copy_helps_where_the_first_is_damaged():
    data = seeded(1000)
    shards = split(data, 3, 3)
    shutil.copy(shards[1], "copy")
    flip(shards[1], row_range(shards[1], 0)[0])
    flip("copy", row_range(shards[1], 2)[0])
    for order in ([*shards, "copy"], ["copy", *shards]):
        assert joined(order) == data
    good = Path(rs.split_file("file", 3, 3, prefix="new", block_bytes=BLOCK).paths[1]).read_bytes()
    assert sorted(rs.repair_files([*shards, "copy", "copy"]).written) == ["copy", str(shards[1])]
    assert shards[1].read_bytes() == Path("copy").read_bytes() == good


def test_a_block_that_the_disk_cannot_read_is_lost_alone(monkeypatch):
    data = seeded(3000)
    shards = split(data)
    inode, real = shards[0].stat().st_ino, os.preadv

    def preadv(fd, buffers, offset):
        if os.fstat(fd).st_ino == inode and offset == row_range(shards[0], 2)[0]:
            raise OSError(5, "Input/output error")
        return real(fd, buffers, offset)

    monkeypatch.setattr(_files_shards.os, "preadv", preadv)
    told = rs.join_file(shards, "out")
    assert (told.bad_blocks, Path("out").read_bytes()) == (1, data)


def test_truncated_at_every_length():
    data = seeded(400)
    shards = split(data)
    good = shards[0].read_bytes()
    for length in range(len(good)):
        shards[0].write_bytes(good[:length])
        assert joined(shards) == data
        with pytest.raises(rs.DamageError):
            rs.verify_files(shards)
        if length % 50 == 0:
            rs.repair_files(shards, overwrite=True)
            assert shards[0].read_bytes() == good
    shards[0].write_bytes(good + b"\0")
    with pytest.raises(rs.DamageError) as caught:
        rs.verify_files(shards)
    assert caught.value.report.shards[0].problem == f"{len(good)} bytes expected, got {len(good) + 1}"


def test_blocks_at_the_wrong_place_are_noticed():
    data = seeded(6 * 3 * BLOCK)
    shards = split(data)
    one, other = shards[0].read_bytes(), shards[1].read_bytes()
    first, second = (slice(*row_range(shards[0], i)) for i in (1, 2))
    for wrong in (one[second], other[first]):
        shards[0].write_bytes(one[: first.start] + wrong + one[first.stop :])
        assert joined(shards) == data
        with pytest.raises(rs.DamageError):
            rs.verify_files(shards)


# -- what is no set of shards ---------------------------------------------------------------------


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


# -- whole or not at all --------------------------------------------------------------------------


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


# -- repair ---------------------------------------------------------------------------------------


def test_missing_shards_are_made_where_asked(folder):
    shards = split(seeded(1000))
    good = [path.read_bytes() for path in shards]
    (folder / "to").mkdir()
    done = rs.repair_files(shards[2:], folder="to")
    assert done.written == ("to/file.0_5.svr", "to/file.1_5.svr")
    assert done.report.missing == (0, 1)
    assert [Path(path).read_bytes() for path in done.written] == good[:2]
    assert rs.repair_files(shards).written == ()
    shards[1].rename("renamed")
    shards[0].unlink()
    shards[2].unlink()
    assert rs.repair_files(["renamed", *shards[3:]]).written == ("renamed.0_5.svr", "renamed.2_5.svr")


def test_a_link_stays_a_link(folder):
    shards = split(seeded(1000))
    (folder / "disk").mkdir()
    shards[1].rename("disk/one")
    shards[1].symlink_to("disk/one")
    good = Path("disk/one").read_bytes()
    flip("disk/one", 100)
    rs.repair_files(shards)
    assert shards[1].is_symlink()
    assert Path("disk/one").read_bytes() == good


# -- good checksums of wrong blocks ---------------------------------------------------------------


def forge(path, index, stripe, length):
    """A wrong block whose checksum is right: a computer that failed, or somebody who means it."""
    begin, end = row_range(path, stripe)
    data = bytearray(Path(path).read_bytes())
    row = np.frombuffer(bytes(reversed(range(end - begin - 16))), np.uint8)
    data[begin:end] = header.block_digest(index, stripe, row) + row.tobytes()
    Path(path).write_bytes(data)


def test_a_wrong_block_with_a_right_checksum_never_comes_out():
    shards = split(seeded(1000), 3, 6)
    good = shards[1].read_bytes()
    forge(shards[1], 1, 2, BLOCK)
    assert "what they give has another id" in refused(rs.DamageError, shards)
    with pytest.raises(rs.DamageError) as caught:
        rs.verify_files(shards)
    assert caught.value.report.recoverable
    assert caught.value.report.shards[1].first_bad_block == 2
    assert rs.repair_files(shards).written == (str(shards[1]),)
    assert shards[1].read_bytes() == good


def test_where_nothing_tells_which_is_wrong_nothing_is_written():
    shards = split(seeded(1000), 3, 4)
    forge(shards[3], 3, 2, BLOCK)
    before = [path.read_bytes() for path in shards]
    for work in (rs.verify_files, rs.repair_files):
        with pytest.raises(rs.DamageError, match="contradict each other"):
            work(shards)
    assert [path.read_bytes() for path in shards] == before
    assert joined(shards) == seeded(1000), "the parity was not needed"


def test_padding_that_is_not_zero_is_refused():
    Path("file").write_bytes(b"1234")
    real = header.FileId
    data = np.frombuffer(b"123456", np.uint8).reshape(3, 2)
    file_id = real("cauchy", 3, 3, 64)
    digests = [header.block_digest(i, 0, data[i]) for i in range(3)]
    for digest in digests:
        file_id.add(digest)
    identity = file_id.finish(4)
    for i in range(3):
        head = header.ShardHeader("cauchy", 3, 3, i, 64, 4, identity).to_bytes()
        Path(f"s{i}").write_bytes(head + digests[i] + data[i].tobytes() + head)
    assert "pads the file is not zero" in refused(rs.DecodeError, ["s0", "s1", "s2"])


def test_at_is_the_place_of_a_byte_of_the_file():
    """The table of docs/rs-files.md, byte by byte."""
    data = seeded(700)
    shards = split(data)
    content = [path.read_bytes() for path in shards]
    for position, byte in enumerate(data):
        shard, offset = at(position, len(data), 3, BLOCK)
        assert content[shard][offset] == byte


# -- what a review found ----------------------------------------------------------------------------


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


@pytest.mark.parametrize("damaged", [False, True])
def test_repair_never_replaces_a_shard_that_was_given(damaged):
    shards = split(seeded(3000), 2, 4)
    shards[1].unlink()
    renamed = shards[0].rename(shards[1])
    if damaged:
        flip(renamed, 300)
    before = {path: path.read_bytes() for path in (renamed, *shards[2:])}
    with pytest.raises(FileExistsError, match="shard 1 would replace shard 0"):
        rs.repair_files([renamed, *shards[2:]], overwrite=True)
    assert {path: path.read_bytes() for path in before} == before
    made = rs.repair_files([renamed, *shards[2:]], overwrite=True, prefix="again")
    assert len(set(made.written)) == len(made.written) == 1 + damaged


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

"""Files as shards: there and back, whatever is lost, renamed, or changed in any way."""

import io
import os
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sottovoce import rs
from sottovoce.rs import _files_header as header
from support.rs_shards import BLOCK, at, block_count, flip, joined, names, row_range, seeded, split


@pytest.fixture(autouse=True)
def folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    return tmp_path


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


def test_at_is_the_place_of_a_byte_of_the_file():
    """The table of docs/rs-files.md, byte by byte."""
    data = seeded(700)
    shards = split(data)
    content = [path.read_bytes() for path in shards]
    for position, byte in enumerate(data):
        shard, offset = at(position, len(data), 3, BLOCK)
        assert content[shard][offset] == byte

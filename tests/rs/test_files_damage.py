"""Damage of shard files costs the blocks that it touches, and no wrong byte comes out."""

import io
import os
import shutil
from pathlib import Path

import numpy as np
import pytest

from sottovoce import rs
from sottovoce.rs import _files_header as header
from sottovoce.rs import _files_shards
from support.rs_shards import BLOCK, flip, joined, refused, row_range, seeded, split


@pytest.fixture(autouse=True)
def folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    return tmp_path


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
    assert "what they give has another id" in refused(rs.DamageError, shards[:3])
    with pytest.raises(rs.DamageError, match="has another id"):
        rs.join_file(shards, io.BytesIO())
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


@pytest.mark.parametrize("stripe", [2, 5])
def test_a_wrong_block_with_a_right_checksum_is_done_without_if_others_tell(stripe):
    data = seeded(1000)
    shards = split(data, 3, 7)
    forge(shards[1], 1, stripe, (row_range(shards[1], stripe)[1] - row_range(shards[1], stripe)[0] - 16))
    flip(shards[0], row_range(shards[0], stripe)[0])
    told = []
    done = rs.join_file(shards, "out", progress=lambda *a: told.append(a))
    assert Path("out").read_bytes() == data
    assert (done.bad_blocks, done.present) == (2, 7)
    assert told == 2 * [(min(192 * i, 1000), 1000) for i in range(1, 7)]
    # With one shard more than needed nobody knows which of them is wrong.
    assert "contradict each other in block" in refused(rs.DamageError, shards[:5])
    assert "has another id" in refused(rs.DamageError, shards[:4])


def test_damage_in_k_shards_is_made_up_for_by_two_more():
    data = seeded(5 * 3 * BLOCK + 7)
    shards = split(data, 3, 5)
    for i, path in enumerate(shards[:3]):
        for stripe in (i, i + 3):
            flip(path, row_range(path, stripe)[0] + 3)
    done = rs.join_file(shards, "out")
    assert Path("out").read_bytes() == data
    assert done.bad_blocks == 6
    said = refused(rs.TooManyErasures, shards[:3])
    assert said == "3 shards needed, 2 present (intact in block 0)"


@pytest.mark.parametrize("extra", [1, 55, 110, 5000, 1 << 20])
def test_a_shard_with_other_bytes_behind_it_and_without_its_first_header_is_read(extra):
    data = seeded(1000)
    shards = split(data, 3, 3)
    good = shards[1].read_bytes()
    inner = header.ShardHeader("cauchy", 1, 2, 0, 64, 100, bytes(16)).to_bytes()
    shards[1].write_bytes(bytes(55) + good[55:] + (inner * 2 + bytes(1 << 20))[:extra])
    assert joined(shards) == data
    with pytest.raises(rs.DamageError) as caught:
        rs.verify_files(shards)
    state = caught.value.report.shards[1]
    assert state.problem == f"first header damaged; {len(good)} bytes expected, got {len(good) + extra}"
    assert state.bad_blocks == 0
    rs.repair_files(shards)
    assert shards[1].read_bytes() == good


def test_more_than_a_mebibyte_behind_a_shard_is_not_searched():
    shards = split(seeded(1000), 3, 3)
    shards[1].write_bytes(bytes(55) + shards[1].read_bytes()[55:] + bytes((1 << 20) + 1))
    assert "header: not a shard of a file" in refused(rs.TooManyErasures, shards)

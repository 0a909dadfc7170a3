"""Shards made again, where they were or where asked."""

from pathlib import Path

import pytest

from sottovoce import rs
from support.rs_shards import flip, seeded, split


@pytest.fixture(autouse=True)
def folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    return tmp_path


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

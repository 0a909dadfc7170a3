"""Share files of zfec: the bytes of the real commands, both ways, and what is noticed without checksums."""

import io
import itertools
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sottovoce import rs
from sottovoce.rs._files_zfec import ZfecHeader, header_bytes
from support.rs_shards import flip, names, seeded

pytest.importorskip("zfec", reason="the peer of these tests")
filefec = pytest.importorskip("zfec.filefec")

STRIPE = 16 * 4096
SHAPES = [(1, 2), (2, 2), (2, 3), (3, 8), (5, 6), (10, 14), (60, 100)]


@pytest.fixture(autouse=True)
def folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    return tmp_path


def commands(name, *calls):
    """Run ``zfec`` or ``zunfec`` of the installed package, once a list of arguments, in one process."""
    program = (
        f"import json, sys; from zfec.cmdline_{name} import main\n"
        f"for call in json.loads(sys.argv[1]): sys.argv[:] = ['{name}', *call]; assert not main(), call"
    )
    done = subprocess.run(
        [sys.executable, "-c", program, json.dumps([list(map(str, call)) for call in calls])],
        capture_output=True, text=True, check=False, timeout=120,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr


def command(name, *arguments):
    """Run it once."""
    commands(name, arguments)


def sizes(k):
    yield from (0, 1, k - 1, k, k + 1, 4096, 4096 * k - 1, 4096 * k, 4096 * k + 1)
    yield from (STRIPE * k, STRIPE * k + 4096 * k + k + 1) if k <= 10 else ()


# -- both ways ------------------------------------------------------------------------------------


@pytest.mark.parametrize(("k", "n"), SHAPES)
def test_shares_are_those_of_the_command_to_the_byte(k, n, folder):
    all_sizes = sorted(set(sizes(k)))
    for i, size in enumerate(all_sizes):
        Path(f"in{i}").write_bytes(seeded(size))
        (folder / f"theirs{i}").mkdir()
        (folder / f"ours{i}").mkdir()
    commands(
        "zfec",
        *(
            ("-q", "-k", k, "-m", n, "-d", f"theirs{i}", "-p", f"in{i}", f"in{i}")
            for i in range(len(all_sizes))
        ),
    )
    for i, size in enumerate(all_sizes):
        name = f"in{i}"
        done = rs.split_file(name, k, n, folder=f"ours{i}", format="zfec")
        assert names(f"ours{i}") == names(f"theirs{i}") == [os.path.basename(path) for path in done.paths]
        for path in done.paths:
            other = Path(f"theirs{i}") / os.path.basename(path)
            assert Path(path).read_bytes() == other.read_bytes(), (size, path)
        assert done.shard_bytes == os.path.getsize(done.paths[0])
        assert done.file_id is None


@pytest.mark.parametrize(("k", "n"), SHAPES)
def test_zunfec_gives_back_what_was_split_here(k, n):
    data = seeded(4096 * k * 3 + 5)
    Path("file").write_bytes(data)
    shards = rs.split_file("file", k, n, format="zfec").paths
    command("zunfec", "-o", "out", *shards[-max(2, k) :])
    assert Path("out").read_bytes() == data


@pytest.mark.parametrize(("k", "n"), SHAPES)
def test_join_gives_back_what_the_command_split(k, n):
    for size in (0, 1, 4096 * k * 17 + 3):
        data = seeded(size)
        Path("file").write_bytes(data)
        command("zfec", "-q", "-f", "-k", k, "-m", n, "file")
        width = len(str(n))
        shards = [f"file.{i:0{width}}_{n}.fec" for i in range(n)]
        for chosen in (shards[:k], shards[n - k :][::-1], shards):
            out = io.BytesIO()
            assert rs.join_file(chosen, out, format="zfec").n_bytes == size
            assert out.getvalue() == data
        report = rs.verify_files(shards, format="zfec")
        assert (report.n_bytes, report.file_id) == (size, None)
        assert report.consistent is (True if n > k else None)


def test_missing_shares_are_made_again_to_the_byte():
    Path("file").write_bytes(seeded(3 * STRIPE + 1000))
    command("zfec", "-q", "-k", 3, "-m", 6, "file")
    shards = [Path(f"file.{i}_6.fec") for i in range(6)]
    good = [path.read_bytes() for path in shards]
    for i in (0, 2, 5):
        shards[i].unlink()
    left = [path for path in shards if path.exists()]
    assert rs.repair_files(left, format="zfec").written == ("file.0_6.fec", "file.2_6.fec", "file.5_6.fec")
    assert [path.read_bytes() for path in shards] == good


# -- the header -----------------------------------------------------------------------------------


def test_headers_are_those_of_zfec():
    for n in (1, 2, 3, 4, 5, 14, 16, 17, 128, 129, 255, 256):
        for k in {1, 2, 3, n // 2, n - 1, n} & set(range(1, n + 1)):
            for padding, index in itertools.product({0, k // 2, k - 1}, {0, n // 2, n - 1}):
                data = ZfecHeader(k, n, padding, index).to_bytes()
                assert data == filefec._build_header(n, k, padding, index)
                assert len(data) == header_bytes(k, n)
                stream = io.BytesIO(data + b"rows")
                assert filefec._parse_header(stream) == (n, k, padding, index)
                assert stream.tell() == len(data)
                assert ZfecHeader.from_bytes((data + b"rows")[:4]) == ZfecHeader(k, n, padding, index)


@given(st.binary(max_size=4))
def test_what_parses_is_what_would_be_written(data):
    try:
        header = ZfecHeader.from_bytes(data)
    except rs.DecodeError:
        return
    assert data.startswith(header.to_bytes())
    assert 1 <= header.k <= header.n
    assert header.padding < header.k
    assert header.index < header.n


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (b"", "cut"),
        (b"\x05", "cut"),
        (b"\xff\x01\x00", "cut"),
        (bytes([4, 0b111_00000]), "k <= n expected, got k = 8, n = 5"),
        (bytes([4, 0b010_11_000]), "not that of a share"),  # k 3, padding 3
        (bytes([4, 0b010_00_101]), "not that of a share"),  # index 5 of 5
        (bytes([3, 0b01_0_00_001]), "bits behind its end"),
    ],
)
def test_one_fault_each(data, message):
    with pytest.raises(rs.DecodeError, match=message):
        ZfecHeader.from_bytes(data)


# -- bad shares -----------------------------------------------------------------------------------


def shares(data=None, k=3, n=6):
    Path("file").write_bytes(seeded(2 * STRIPE * 3 + 1001) if data is None else data)
    return [Path(path) for path in rs.split_file("file", k, n, format="zfec", overwrite=True).paths]


def refused(error, given, match):
    before = names(".")
    with pytest.raises(error, match=match):
        rs.join_file(given, "out", format="zfec")
    assert names(".") == before


def test_fewer_than_k_duplicates_cut_and_mixed():
    paths = shares()
    refused(rs.TooManyErasures, paths[:2], "3 shards needed, 2 present")
    refused(rs.ParameterError, [paths[1], paths[2], paths[1]], "are both shard 1")
    os.truncate(paths[4], 5000)
    refused(rs.MixedShardsError, paths, "of one file expected, got 5 of a file of 394217 bytes")
    Path("empty").write_bytes(b"")
    refused(rs.TooManyErasures, [*paths[:2], "empty", "nothing"], "empty: header: cut; nothing: No such file")
    refused(rs.DecodeError, ["empty"], "none that can be read")


def test_a_wrong_byte_is_noticed_with_more_than_k_and_named_with_two_more():
    paths = shares()
    data, good = Path("file").read_bytes(), paths[1].read_bytes()
    flip(paths[1], 70_000)
    refused(rs.DamageError, paths[:4], "contradict each other in block 1")
    for work in (rs.verify_files, rs.repair_files):
        with pytest.raises(rs.DamageError, match="contradict each other"):
            work([*paths[:4]], format="zfec")
    told = rs.join_file(paths[:5], "out", format="zfec")
    assert (told.bad_blocks, Path("out").read_bytes()) == (1, data)
    with pytest.raises(rs.DamageError) as caught:
        rs.verify_files(paths, format="zfec")
    assert caught.value.report.recoverable
    assert [s.path for s in caught.value.report.shards if not s.intact] == [str(paths[1])]
    assert rs.repair_files(paths, format="zfec").written == (str(paths[1]),)
    assert paths[1].read_bytes() == good


def test_k_shares_alone_cannot_be_verified():
    paths = shares()
    report = rs.verify_files(paths[:3], format="zfec")
    assert report.consistent is None
    assert report.intact


def test_a_share_of_another_file_of_that_length_is_found_where_two_more_are_at_hand():
    other = [path.read_bytes() for path in shares(seeded(5000, 2))]
    paths = shares(seeded(5000))
    paths[0].write_bytes(other[0])
    out = io.BytesIO()
    rs.join_file(paths, out, format="zfec")
    assert out.getvalue() == seeded(5000)
    refused(rs.DamageError, paths[:4], "contradict")

"""Memory of work on shards is bounded, whatever the length of the file: measured in its own process."""

import os
import subprocess
import sys
import tracemalloc

import pytest

from sottovoce import rs

SCRIPT = """
import os, sys
from sottovoce import rs

def peak():
    for line in open("/proc/self/status"):
        if line.startswith("VmHWM"):
            return int(line.split()[1]) * 1024

folder, size, format = sys.argv[1], int(sys.argv[2]), sys.argv[3]
file, out = os.path.join(folder, "file"), os.path.join(folder, "out")

def all_of_it(n_bytes):
    with open(file, "wb") as f:
        f.truncate(n_bytes)
        f.write(b"begin")
        f.seek(n_bytes - 3)
        f.write(b"end")
    done = rs.split_file(file, 10, 14, overwrite=True, format=format)
    assert rs.verify_files(done.paths, format=format).intact
    for i in (0, 3, 12):
        os.unlink(done.paths[i])
    left = [path for i, path in enumerate(done.paths) if i not in (0, 3, 12)]
    with open(left[1], "r+b") as f:
        f.seek(os.path.getsize(left[1]) // 2)
        f.write(b"damage")
    if format == "zfec":
        rs.repair_files(left[:1] + left[2:], format=format, overwrite=True)
    else:
        rs.repair_files(left)
    rs.join_file(done.paths[4:], out, overwrite=True, format=format)
    with open(out, "rb") as f:
        assert f.read(5) == b"begin"
        assert f.seek(-3, os.SEEK_END) == n_bytes - 3
        assert f.read() == b"end"

all_of_it(100_000)
before = peak()
all_of_it(size)
print(peak() - before)
"""


@pytest.mark.skipif(not os.path.exists("/proc/self/status"), reason="needs the peak that Linux keeps")
@pytest.mark.parametrize("format", ["sottovoce", "zfec"])
@pytest.mark.parametrize(
    "size", [24 * 2**20 + 1, pytest.param(400 * 2**20 + 1, marks=pytest.mark.slow)], ids=["small", "large"]
)
def test_peak_memory_does_not_follow_the_length(tmp_path, size, format):
    done = subprocess.run(
        [sys.executable, "-c", SCRIPT, tmp_path, str(size), format],
        capture_output=True, text=True, check=True, timeout=900,
    )  # fmt: skip
    assert int(done.stdout) < 12 * 2**20
    for path in tmp_path.iterdir():
        path.unlink()


def test_allocations_are_a_few_stripes(tmp_path):
    size = 16 << 20
    (tmp_path / "file").write_bytes(bytes(size))
    tracemalloc.start()
    try:
        done = rs.split_file(tmp_path / "file", 10, 14)
        rs.verify_files(done.paths)
        os.unlink(done.paths[0])
        rs.repair_files(done.paths[1:])
        os.unlink(done.paths[1])
        rs.join_file([*done.paths[2:], done.paths[0]], tmp_path / "out")
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert peak < 6 << 20


def test_a_header_cannot_ask_for_much_memory(tmp_path):
    """The largest blocks that a header may announce, in a file of nothing."""
    from sottovoce.rs._files_header import MAX_STRIPE_BYTES, ShardHeader

    head = ShardHeader("cauchy", 1, 256, 0, MAX_STRIPE_BYTES // 256, 1 << 60, bytes(16)).to_bytes()
    (tmp_path / "s").write_bytes(head)
    tracemalloc.start()
    try:
        with pytest.raises(rs.TooManyErasures):
            rs.join_file([tmp_path / "s"], tmp_path / "out")
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert peak < 64 << 20

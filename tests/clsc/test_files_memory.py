"""Memory of sealing and opening files is bounded, whatever their length: measured in its own process."""

import os
import subprocess
import sys

import pytest

SCRIPT = """
import os, sys
from support.clsc_world import World
from sottovoce.clsc import signcrypt_file, unsigncrypt_file

def peak():
    for line in open("/proc/self/status"):
        if line.startswith("VmHWM"):
            return int(line.split()[1]) * 1024

world = World()
alice, bob = world.signer(), world.receiver()
size, folder, through_pipes = int(sys.argv[1]), sys.argv[2], sys.argv[3] == "pipes"
plain, sealed, opened = (os.path.join(folder, name) for name in ("plain", "sealed", "opened"))

class Pipe:
    def __init__(self, path, mode):
        self.file = open(path, mode)
        self.read, self.write = self.file.read, self.file.write

def all_of_it(n_bytes):
    with open(plain, "wb") as file:
        file.truncate(n_bytes)
        file.seek(0)
        file.write(b"begin")
        file.seek(n_bytes - 3)
        file.write(b"end")
    ends = lambda path, mode: Pipe(path, mode) if through_pipes else path
    signcrypt_file(ends(plain, "rb"), ends(sealed, "wb"), sender=alice, receivers=[bob.public_key], pad=True,
                   overwrite=not through_pipes)
    done = unsigncrypt_file(ends(sealed, "rb"), ends(opened, "wb"), receiver=bob, trust=world.trust,
                            overwrite=not through_pipes)
    assert done.plaintext_bytes == n_bytes
    if not through_pipes:
        with open(opened, "rb") as file:
            assert file.read(5) == b"begin"
            assert file.seek(-3, os.SEEK_END) == n_bytes - 3
            assert file.read() == b"end"

all_of_it(1000)
before = peak()
all_of_it(size)
print(peak() - before)
"""


def growth(size, folder, ends):
    env = {**os.environ, "PYTHONPATH": os.path.dirname(os.path.dirname(__file__)), "TMPDIR": str(folder)}
    done = subprocess.run(
        [sys.executable, "-c", SCRIPT, str(size), str(folder), ends],
        env=env, capture_output=True, text=True, check=True, timeout=900,
    )  # fmt: skip
    return int(done.stdout)


@pytest.mark.skipif(not os.path.exists("/proc/self/status"), reason="needs the peak that Linux keeps")
@pytest.mark.parametrize(
    ("size", "ends"),
    [
        (256 * 2**20 + 1, "paths"),
        (64 * 2**20 + 1, "pipes"),
        pytest.param(3 * 2**30 + 1, "paths", marks=pytest.mark.slow),
    ],
)
def test_peak_memory_does_not_follow_the_length(tmp_path, size, ends):
    assert growth(size, tmp_path, ends) < 32 * 2**20  # a few chunks; 64 MiB are promised
    for path in tmp_path.iterdir():
        path.unlink()

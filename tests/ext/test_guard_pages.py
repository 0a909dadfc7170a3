"""Every kernel on buffers between forbidden pages: ``guarded_kernels.py`` in a process that may die of it."""

import signal
import subprocess
import sys
from pathlib import Path

import pytest

from sottovoce._ext import codec, gf256, kahe, kernel, ntt, rlwe, rsword, sampler

PROGRAM = Path(__file__).with_name("guarded_kernels.py")
KERNELS = {
    "gf256": gf256,
    "rsword": rsword,
    "ntt": ntt,
    "sampler": sampler,
    "codec": codec,
    "kahe": kahe,
    "rlwe": rlwe,
}


pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="forbidden pages by mprotect: POSIX only")


def start(*names):
    return subprocess.run(
        [sys.executable, PROGRAM, *names], capture_output=True, text=True, timeout=300, check=False
    )


def test_no_kernel_touches_the_page_behind_or_before_its_buffers():
    done = start()
    died = f"status {done.returncode}, in the last of:\n{done.stdout}{done.stderr[-2000:]}"
    assert done.returncode == 0, died
    said = [line.split() for line in done.stdout.splitlines()]
    expected = [[name, b.name] for name, k in KERNELS.items() for b in kernel.usable(k.BACKENDS)]
    assert [line[:2] for line in said] == expected
    assert all(int(steps) > 20 for _, _, steps in said)


def test_every_compiled_kernel_is_among_them():
    compiled = {path.name.split(".")[0].lstrip("_") for path in Path(kernel.__file__).parent.glob("_*.so")}
    assert compiled - {"cpu", "memory"} == KERNELS.keys()  # those two read no buffer


@pytest.mark.parametrize("name", ["overrun", "underrun"])
def test_one_byte_outside_would_be_seen(name):
    done = start(name)
    assert done.returncode == -signal.SIGSEGV
    assert done.stdout == "165\n"  # the last byte inside was read

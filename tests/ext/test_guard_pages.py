"""Every kernel on buffers between forbidden pages: ``guarded_kernels.py`` in a process that may die of it."""

import signal
import subprocess
import sys
from pathlib import Path

import pytest

from sottovoce._ext import codec, gf256, kahe, kernel, ntt, rlwe, rsword, sampler

PROGRAM = Path(__file__).with_name("guarded_kernels.py")
KERNELS = {
    "gf256": gf256, "rsword": rsword, "ntt": ntt, "sampler": sampler, "codec": codec, "kahe": kahe, "rlwe": rlwe,
}  # fmt: skip


def start(name):
    return subprocess.run(
        [sys.executable, PROGRAM, name], capture_output=True, text=True, timeout=300, check=False
    )


@pytest.mark.skipif(sys.platform == "win32", reason="mprotect: POSIX only")
@pytest.mark.parametrize("name", KERNELS)
def test_no_kernel_touches_the_page_behind_or_before_its_buffers(name):
    done = start(name)
    assert done.returncode == 0, f"{name}: status {done.returncode}\n{done.stderr[-2000:]}"
    said = dict(line.split() for line in done.stdout.splitlines())
    assert said.keys() == {backend.name for backend in kernel.usable(KERNELS[name].BACKENDS)}
    assert all(int(steps) > 20 for steps in said.values())


def test_every_compiled_kernel_is_among_them():
    compiled = {path.name.split(".")[0].lstrip("_") for path in Path(kernel.__file__).parent.glob("_*.so")}
    assert compiled - {"cpu"} == KERNELS.keys()


@pytest.mark.skipif(sys.platform == "win32", reason="mprotect: POSIX only")
@pytest.mark.parametrize("name", ["overrun", "underrun"])
def test_one_byte_outside_would_be_seen(name):
    done = start(name)
    assert done.returncode == -signal.SIGSEGV
    assert done.stdout == "165\n"  # the last byte inside was read

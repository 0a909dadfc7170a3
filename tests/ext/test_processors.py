"""Processors that are not here, emulated by QEMU: AArch64 with NEON, x86-64 without AVX2, and with it.

AVX-512 is not among what QEMU emulates: it is tested where a processor has it, and over intrinsics in plain C
(test_emulated.py).  How fast anything is cannot be told from here.
"""

import json
import platform
import sys

import pytest

from support import emulators
from support.emulators import CORE, TESTS, compile_for_arm, on_arm, on_x86
from support.kernel_digest import DIGEST, SCRIPT

GUARDED = TESTS / "ext" / "gf256_guarded.c"
NEON = "gf256_neon.c"

pytestmark = pytest.mark.slow


def build(folder, neon=CORE / NEON):
    rest = [p for p in sorted(CORE.glob("gf256*.c")) if p.name != NEON]
    return compile_for_arm(folder / "guarded", GUARDED, *rest, CORE / "cpu.c", neon)


@pytest.fixture(scope="module")
def guarded(tmp_path_factory):
    return build(tmp_path_factory.mktemp("arm"))


def test_neon_equals_portable_for_all_coefficients_and_random_lengths_and_places(guarded):
    done = on_arm(guarded, "1000")
    assert done.stdout == "features 200\nback end 0\nback end 4\n"
    assert done.returncode == 0


@pytest.mark.parametrize("what", ["read", "write"])
def test_a_byte_too_many_would_be_seen(guarded, what):
    done = on_arm(guarded, what)
    assert done.returncode != 0
    assert done.stdout == ""
    assert "Segmentation fault" in done.stderr


@pytest.mark.parametrize(
    ("right", "wrong", "message"),
    [
        ("vshrq_n_u8(x, 4)", "vshrq_n_u8(vandq_u8(x, vdupq_n_u8(0x7F)), 4)", "differs: 1 times"),
        ("case 3: sweep_3(", "case 3: sweep_2(", "rows, "),
        ("vld1q_u8(p + 16)", "vld1q_u8(p + 15)", "differs: 1 times"),
    ],
    ids=["nibble", "rows", "table"],
)
def test_a_fault_of_the_kernel_would_be_seen(tmp_path, right, wrong, message):
    source = (CORE / NEON).read_text()
    assert source.count(right) == 1
    (tmp_path / NEON).write_text(source.replace(right, wrong))
    done = on_arm(build(tmp_path, tmp_path / NEON), "200")
    assert done.returncode == 1
    assert message in done.stdout


def test_every_kernel_compiles_for_aarch64_without_a_warning(tmp_path):
    for source in sorted(CORE.glob("*.c")):
        compile_for_arm(tmp_path / f"{source.stem}.o", "-c", source)


@pytest.fixture
def python():
    if sys.platform != "linux" or platform.machine() != "x86_64":
        pytest.skip("needs Python for Linux on x86-64")
    return sys.executable


@pytest.mark.parametrize(
    ("processor", "features", "best"),
    [("Nehalem", [], "portable"), ("Haswell", ["avx2", "fma"], "avx2")],
)
def test_the_installed_package_takes_what_the_processor_has_and_gives_the_known_answer(
    python, processor, features, best
):
    """What runs there is the package as it is installed here, its Python and its NumPy."""
    said = json.loads(on_x86(processor, python, "-c", SCRIPT).stdout)
    assert said.pop("digest") == DIGEST
    assert said.pop("features") == features
    assert said.pop("ceiling") == best
    kernels = ("codec", "gf256", "kahe", "ntt", "rlwe", "rsword", "sampler")
    assert said == dict.fromkeys(kernels, best)


def test_a_ceiling_above_the_processor_is_refused(python):
    done = on_x86("Nehalem", python, "-c", "from sottovoce._ext import kernel", kernel="avx2")
    assert done.returncode != 0
    assert "KernelUnavailable: SOTTOVOCE_KERNEL=avx2: this processor lacks it" in done.stderr


def test_emulators_are_found_or_named(monkeypatch):
    with pytest.raises(pytest.skip.Exception, match="needs no-such-tool"):
        emulators.need("no-such-tool", "nothing")

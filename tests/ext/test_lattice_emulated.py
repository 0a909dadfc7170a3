"""The AVX-512 kernels of additive encryption, over intrinsics in plain C, against the portable ones."""

import subprocess

from support import emulated

DRIVER = emulated.TESTS / "ext" / "lattice_sanitize.c"


def build(target, *changed):
    """The driver of the sanitizers, which compares back ends at every width, set and number of slots."""
    names = ("cpu", "kahe", "rlwe", "kahe_portable", "rlwe_portable")
    vectors = changed or [emulated.CORE / f"{name}_avx512.c" for name in ("kahe", "rlwe")]
    rest = [emulated.CORE / f"{name}.c" for name in names]
    return emulated.compile_c(target, *emulated.EMULATE, DRIVER, *rest, *vectors)


def test_every_width_set_and_slot_count_gives_the_portable_bytes(tmp_path):
    done = subprocess.run(
        [build(tmp_path / "lattice")], capture_output=True, text=True, timeout=300, check=False
    )
    assert done.stdout.split("\n")[:-1] == ["back end 0", "back end 2"], done.stdout
    assert done.returncode == 0


def test_a_wrong_correction_would_be_seen(tmp_path):
    # Quotients that are never corrected are right for most numbers.
    header = (emulated.CORE / "lattice_avx512.h").read_text()
    wrong = header.replace(
        "return sv8_add_one(est, _mm512_cmpge_epu64_mask(left, p));", "(void)left; return est;"
    )
    assert wrong != header
    for name in ("kahe", "rlwe"):
        (tmp_path / f"{name}_avx512.c").write_text((emulated.CORE / f"{name}_avx512.c").read_text())
    (tmp_path / "lattice_avx512.h").write_text(wrong)
    changed = [tmp_path / f"{name}_avx512.c" for name in ("kahe", "rlwe")]
    program = build(tmp_path / "wrong", *changed)
    done = subprocess.run([program], capture_output=True, text=True, timeout=300, check=False)
    assert done.returncode == 1
    assert "kahe differs: back end 2" in done.stdout

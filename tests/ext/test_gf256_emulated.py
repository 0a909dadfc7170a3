"""The GFNI kernels of GF(2^8), on 32 and 64 bytes, over intrinsics in plain C, against the portable one."""

import subprocess

import pytest

from support import emulated

DRIVER = emulated.TESTS / "ext" / "gf256_sanitize.c"
KERNELS = ("gf256_avx2_gfni", "gf256_avx512")


def build(target, *changed):
    """The driver of the sanitizers: every row group, lengths of a few vectors, several blocks of columns."""
    vectors = changed or [emulated.CORE / f"{name}.c" for name in KERNELS]
    rest = [emulated.CORE / f"{name}.c" for name in ("gf256", "gf256_portable")]
    extra = ["-include", str(emulated.HEADERS / "gfni32.h"), "-O1"]
    flags = [flag for flag in emulated.EMULATE if flag != "-O0"]
    return emulated.compile_c(target, *extra, *flags, DRIVER, *rest, *vectors)


def run(program):
    return subprocess.run([program], capture_output=True, text=True, timeout=300, check=False)


def test_every_group_of_rows_gives_the_portable_bytes(tmp_path):
    done = run(build(tmp_path / "gf256"))
    assert done.stdout.split("\n")[:-1] == ["back end 0", "back end 2", "back end 3"], done.stdout
    assert done.returncode == 0


@pytest.mark.parametrize(("kernel", "code"), [("gf256_avx2_gfni", 2), ("gf256_avx512", 3)])
def test_a_wrong_group_would_be_seen(tmp_path, kernel, code):
    # The last group of five rows takes the path of four.
    changed = []
    for name in KERNELS:
        source = (emulated.CORE / f"{name}.c").read_text()
        if name == kernel:
            wrong = source.replace("case 5: sweep_5(", "case 5: sweep_4(")
            assert wrong != source
            source = wrong.replace("SWEEP(5, 4)", "").replace("SWEEP(5, 2)", "")
        (tmp_path / f"{name}.c").write_text(source)
        changed.append(tmp_path / f"{name}.c")
    done = run(build(tmp_path / "wrong", *changed))
    assert done.returncode == 1
    assert f"back end {code} differs" in done.stdout

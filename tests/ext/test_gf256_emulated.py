"""The GFNI kernels of GF(2^8), on 32 and 64 bytes, over intrinsics in plain C, against the portable one."""

import subprocess

import pytest

from support import emulated

DRIVER = emulated.TESTS / "ext" / "gf256_sanitize.c"
SWEEP = emulated.TESTS / "ext" / "gf256_sweep.c"
KERNELS = ("gf256_avx2_gfni", "gf256_avx512")


def build(target, *changed, driver=DRIVER, main=emulated.CORE / "gf256.c", large=12 << 20):
    """The driver of the sanitizers: every row group, lengths of a few vectors, several blocks of columns."""
    vectors = changed or [emulated.CORE / f"{name}.c" for name in KERNELS]
    rest = [main, emulated.CORE / "gf256_portable.c"]
    extra = ["-include", str(emulated.HEADERS / "gfni32.h"), "-O1"]
    flags = [flag for flag in emulated.EMULATE if flag != "-O0"]
    flags += ["-std=c11", f"-DSV_GF256_LARGE={large}"]
    return emulated.compile_c(target, *extra, *flags, driver, *rest, *vectors)


def run(program, *arguments):
    return subprocess.run([program, *arguments], capture_output=True, text=True, timeout=600, check=False)


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


@pytest.mark.slow
def test_every_constant_length_and_offset_gives_the_product_and_leaves_guards_alone(tmp_path):
    done = run(build(tmp_path / "sweep", driver=SWEEP), "constants")
    assert done.stdout == "back end 2\nback end 3\n"
    assert done.returncode == 0


@pytest.mark.slow
def test_stores_past_the_cache_give_the_portable_bytes(tmp_path):
    """In rows of 8 KiB, which the library would not take for large."""
    done = run(build(tmp_path / "streams", driver=SWEEP, large=1 << 13), "streams")
    assert done.stdout == "back end 2\nback end 3\n"
    assert done.returncode == 0


@pytest.mark.slow
@pytest.mark.parametrize(
    ("right", "wrong", "what", "message"),
    [
        (
            "    doublings(power, c);\n    for (int i",
            "    doublings(power, c == 0x8E ? 0x8F : c);\n    for (int i",
            "constants",
            "back end 2 differs: constant 142, length 32, offset 0",
        ),
        ("int stream = !accumulate &&", "int stream =", "streams", "streams where it must not"),
        (
            "sv_gf256_portable(out, in, matrix, rows, cols, 0, at, accumulate);",
            "",
            "streams",
            "back end 2 differs",
        ),
    ],
    ids=["a constant", "sums", "the first line"],
)
def test_a_fault_would_be_seen_by_the_sweeps(tmp_path, right, wrong, what, message):
    source = (emulated.CORE / "gf256.c").read_text()
    assert source.count(right) == 1
    (tmp_path / "gf256.c").write_text(source.replace(right, wrong))
    done = run(build(tmp_path / "wrong", driver=SWEEP, main=tmp_path / "gf256.c", large=1 << 13), what)
    assert done.returncode == 1
    assert message in done.stdout

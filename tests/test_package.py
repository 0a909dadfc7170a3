"""The package as a whole: names, version, what a wheel holds, and import from a folder above a clone."""

import importlib
import subprocess
import sys
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


@pytest.mark.slow
def test_sdist_and_wheel_build_install_and_run_in_an_empty_environment(tmp_path):
    def run(*command, **options):
        return subprocess.run(
            [str(c) for c in command], check=True, capture_output=True, text=True, cwd=tmp_path, **options
        ).stdout

    run(sys.executable, "-m", "build", "--outdir", tmp_path / "dist", ROOT)  # the wheel from the sdist
    (sdist,) = (tmp_path / "dist").glob("*.tar.gz")
    (wheel,) = (tmp_path / "dist").glob("*.whl")
    names = zipfile.ZipFile(wheel).namelist()
    assert all(n.startswith("sottovoce/") or ".dist-info/" in n for n in names)
    assert not [n for n in names if n.endswith((".pyx", ".c", ".h")) or "test" in n]
    assert "sottovoce/py.typed" in names
    assert [n for n in names if n.startswith("sottovoce/_ext/") and n.endswith(".so")]
    for package in (wheel, sdist):
        venv = tmp_path / f"venv-{package.suffix[1:]}"
        run(sys.executable, "-m", "venv", venv)
        run(venv / "bin" / "pip", "install", "--quiet", package)
        assert "sottovoce" in run(venv / "bin" / "sottovoce", "--version")
        code = (
            "import numpy as np; from sottovoce.fl import simulate; m = [np.zeros(9)];"
            "s = simulate.Simulation(m, 8, clip=1.0);"
            "r = s.run_round(m, {i: ([np.ones(9)], 1) for i in range(8)});"
            "assert r.exact; print(len(r.accepted))"
        )
        assert run(venv / "bin" / "python", "-c", code).strip() == "8"

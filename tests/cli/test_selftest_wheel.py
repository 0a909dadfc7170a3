"""``sottovoce selftest`` of a wheel in an empty environment: no checkout, no test extra."""

import json
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]


def run(*command, cwd):
    return subprocess.run(
        [str(c) for c in command], check=True, capture_output=True, text=True, cwd=cwd, timeout=600
    ).stdout


def is_of_this_checkout(wheel):
    """Whether a wheel has the self-test as it is here."""
    with zipfile.ZipFile(wheel) as archive:
        names = set(archive.namelist())
        return all(
            f"sottovoce/cli/selftest/{path.name}" in names
            and archive.read(f"sottovoce/cli/selftest/{path.name}") == path.read_bytes()
            for path in (ROOT / "cli" / "selftest").glob("*.py")
        )


@pytest.fixture
def wheel(tmp_path):
    """The one that ``make`` has built and installed, if it is there; else a new one, which takes a minute."""
    for made in (Path(sys.prefix) / "wheel").glob("*.whl"):
        if is_of_this_checkout(made):
            return made
    run(sys.executable, "-m", "pip", "wheel", "--quiet", "--no-deps", "-w", tmp_path, ROOT, cwd=tmp_path)
    (made,) = tmp_path.glob("*.whl")
    return made


@pytest.mark.slow
def test_the_wheel_checks_itself_where_nothing_else_is_installed(wheel, tmp_path):
    venv, empty = tmp_path / "venv", tmp_path / "empty"
    empty.mkdir()
    run(sys.executable, "-m", "venv", venv, cwd=tmp_path)
    pip, sottovoce = venv / "bin" / "pip", venv / "bin" / "sottovoce"
    run(pip, "install", "--quiet", wheel, cwd=tmp_path)
    assert "0 failed" in run(sottovoce, "selftest", "--known-answers", cwd=empty)
    run(pip, "install", "--quiet", f"{wheel}[selftest]", cwd=tmp_path)
    # As where assertions are left out.
    command = (venv / "bin" / "python", "-O", sottovoce, "selftest", "--seconds", "10", "--json", "-")
    document = json.loads(run(*command, cwd=empty))
    assert (document["ok"], document["complete"]) == (True, True)
    assert document["machine"]["sottovoce"]
    assert {check["status"] for check in document["checks"]} <= {"ok", "skipped"}
    assert not list(empty.iterdir())

"""The commands of the README, pasted into an empty folder."""

import os
import pathlib
import re
import shutil
import subprocess
import sys

import pytest

README = pathlib.Path(__file__).parent.parent / "README.md"


@pytest.mark.skipif(shutil.which("bash") is None, reason="bash is not installed")
def test_files_and_commands_in_five_minutes(tmp_path):
    (block,) = [b for b in re.findall(r"```sh\n(.*?)```", README.read_text(), re.S) if "kgc init" in b]
    (tmp_path / "bin").mkdir()
    # The package under test, wherever it is installed.
    command = tmp_path / "bin" / "sottovoce"
    command.write_text(f'#!/bin/sh\nexec {sys.executable} -m sottovoce "$@"\n')
    command.chmod(0o755)
    env = {**os.environ, "PATH": f"{tmp_path / 'bin'}:{os.environ['PATH']}", "HOME": str(tmp_path)}
    done = subprocess.run(
        ["bash", "-e", "-c", block], cwd=tmp_path, env=env, capture_output=True, text=True, timeout=300,
        check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert done.stdout.endswith("We meet at noon.\n")
    assert "alice" in done.stderr

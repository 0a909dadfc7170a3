"""The commit that an installation was built from, where that can be known.

A release has its version.  Who measures or reports from a checkout has more versions than names: the record
that pip keeps of where a package came from (PEP 610) leads to a commit, or to a checkout.  A checkout goes on
after an installation, so its commit counts only while its Python files are those that are installed.
"""

from __future__ import annotations

import filecmp
import json
import subprocess
from importlib import metadata
from pathlib import Path
from typing import Final
from urllib.parse import unquote, urlsplit

_DIGITS: Final = 12
_TIMEOUT_S: Final = 5
_PACKAGE: Final = Path(__file__).parents[1]
_ROOT_FOLDER: Final = "_root"  # of the checkout, which is the package itself


def installed_commit() -> str | None:
    """The commit of the installed package.

    Returns:
        Its first 12 digits, with ``-dirty`` behind them if the checkout had uncommitted changes; None where
        it cannot be known: installed from an index, or the checkout has other files by now.
    """
    try:
        # Beside the package: a checkout in the working folder has the metadata of its last build.
        found = next(iter(metadata.distributions(name="sottovoce", path=[str(_PACKAGE.parent)])), None)
        record = None if found is None else found.read_text("direct_url.json")
        source = json.loads(record) if record else {}
        commit = source.get("vcs_info", {}).get("commit_id")
        if commit:
            return str(commit)[:_DIGITS]
        url = urlsplit(str(source.get("url", "")))
    except (ValueError, AttributeError, OSError):
        return None
    if url.scheme != "file":
        return None
    # Where a wheel lies need not be where it was made: a folder above it has to be shown to be ours.
    place = Path(unquote(url.path))
    for folder in (place, *place.parents):
        if (folder / ".git").exists():
            return _described(folder) if _is_installed(folder) else None
    return None


def _is_installed(checkout: Path) -> bool:
    """Whether every installed Python file is the same in the checkout."""
    files = [path.relative_to(_PACKAGE) for path in _PACKAGE.rglob("*.py")]
    try:
        return all(
            filecmp.cmp(
                _PACKAGE / path, checkout / (_ROOT_FOLDER if len(path.parts) == 1 else "") / path, False
            )
            for path in files
        )
    except OSError:  # not there
        return False


def _described(checkout: Path) -> str | None:
    line = [
        "git",
        "-C",
        str(checkout),
        "describe",
        "--always",
        "--dirty",
        f"--abbrev={_DIGITS}",
        "--exclude=*",
    ]
    try:
        done = subprocess.run(  # noqa: S603  # a fixed line; the folder is one argument
            line, capture_output=True, text=True, timeout=_TIMEOUT_S, check=True
        )
    except (OSError, subprocess.SubprocessError):  # no git, or it does not trust the folder's owner
        return None
    return done.stdout.strip() or None

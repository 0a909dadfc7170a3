"""The commit on the machine card: told only where the installed files are those of the checkout."""

import json
import shutil
import subprocess
from importlib import metadata
from pathlib import Path

import pytest

import sottovoce
from sottovoce.cli import commit

PACKAGE = Path(sottovoce.__file__).parent


class Distribution:
    def __init__(self, record):
        self.record = record

    def read_text(self, name):
        assert name == "direct_url.json"
        return self.record


@pytest.fixture
def installed_from(monkeypatch):
    """Says where the package was installed from."""

    def say(record):
        text = record if record is None or isinstance(record, str) else json.dumps(record)
        monkeypatch.setattr(metadata, "distributions", lambda name, path: [Distribution(text)])
        return commit.installed_commit()

    return say


def git(folder, *words):
    names = {"GIT_AUTHOR_NAME": "a", "GIT_AUTHOR_EMAIL": "a@b", "GIT_COMMITTER_NAME": "a"}
    line = ["git", "-C", str(folder), *words]
    environment = {**names, "GIT_COMMITTER_EMAIL": "a@b", "PATH": "/usr/bin:/bin:/usr/local/bin"}
    return subprocess.run(line, capture_output=True, text=True, check=True, env=environment).stdout.strip()


@pytest.fixture
def checkout(tmp_path):
    """One with the installed Python files, and nothing else."""
    if shutil.which("git") is None:
        pytest.skip("git is not installed")
    folder = tmp_path / "a checkout"
    for source in PACKAGE.rglob("*.py"):
        path = source.relative_to(PACKAGE)
        target = folder / ("_root" if len(path.parts) == 1 else "") / path
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(source, target)
    git(tmp_path, "init", "-q", str(folder))
    git(folder, "add", "-A")
    git(folder, "commit", "-q", "-m", "all")
    return folder


def test_an_address_of_a_repository_names_its_commit(installed_from):
    digits = "0123456789abcdef" * 2 + "01234567"
    assert (
        installed_from({"url": "https://x", "vcs_info": {"vcs": "git", "commit_id": digits}}) == digits[:12]
    )


@pytest.mark.parametrize(
    "record",
    [
        None,
        "",
        "no json",
        "[]",
        {"url": "https://index/sottovoce.whl", "archive_info": {}},
        {"url": "file:///nowhere/sottovoce.whl"},
        {"vcs_info": None},
    ],
    ids=str,
)
def test_of_everything_else_no_commit_is_known(record, installed_from):
    assert installed_from(record) is None


def test_without_metadata_no_commit_is_known(monkeypatch):
    monkeypatch.setattr(metadata, "distributions", lambda name, path: [])
    assert commit.installed_commit() is None


def test_the_metadata_of_a_build_in_the_working_folder_are_not_those_of_the_package(tmp_path, monkeypatch):
    found = []
    distributions = metadata.distributions
    monkeypatch.setattr(
        metadata, "distributions", lambda **of: found.extend(made := list(distributions(**of))) or made
    )
    other = tmp_path / "sottovoce.egg-info"
    other.mkdir()
    (other / "PKG-INFO").write_text("Metadata-Version: 2.1\nName: sottovoce\nVersion: 0\n")
    monkeypatch.syspath_prepend(tmp_path)
    commit.installed_commit()
    assert [one.version for one in found] == [sottovoce.__version__]


def test_a_checkout_of_the_same_files_is_described(installed_from, checkout):
    head = git(checkout, "rev-parse", "HEAD")[:12]
    # From its folder, and from a wheel that was built in it.
    assert installed_from({"url": checkout.as_uri(), "dir_info": {}}) == head
    wheel = checkout / "dist" / "sottovoce.whl"
    wheel.parent.mkdir()
    wheel.touch()
    assert installed_from({"url": wheel.as_uri(), "archive_info": {}}) == head
    (checkout / "_root" / "__init__.py").touch()
    assert installed_from({"url": checkout.as_uri()}) == head
    git(checkout, "rm", "-q", "-r", "--cached", "cli")
    assert installed_from({"url": checkout.as_uri()}) == f"{head}-dirty"
    # It has gone on since: its commit is not that of what is installed.
    with (checkout / "_root" / "__init__.py").open("a") as stream:
        stream.write("# changed\n")
    assert installed_from({"url": checkout.as_uri()}) is None
    (checkout / "_root" / "__init__.py").unlink()
    assert installed_from({"url": checkout.as_uri()}) is None


def test_another_repository_around_a_wheel_is_not_ours(installed_from, tmp_path):
    (tmp_path / ".git").mkdir()
    assert installed_from({"url": (tmp_path / "sottovoce.whl").as_uri()}) is None

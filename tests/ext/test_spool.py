"""Private files: without a name, or whole under their name, on every kind of file system."""

import errno
import os
import stat

import pytest

from sottovoce._ext import spool as module
from sottovoce._ext.errors import ParameterError
from sottovoce._ext.spool import NewFile, spool

WAYS = ["unnamed", "named", "named without hard links"]


@pytest.fixture(params=WAYS)
def way(request, monkeypatch):
    if request.param == "unnamed":
        if not hasattr(os, "O_TMPFILE"):
            pytest.skip("files without a name are Linux's")
    else:
        monkeypatch.setattr(module, "_open_unnamed", lambda directory: None)
    if request.param.endswith("links"):

        def link(*args, **options):
            raise OSError(errno.EPERM, "no hard links here")

        monkeypatch.setattr(os, "link", link)
    return request.param


def listed(folder):
    return sorted(os.listdir(folder))


def test_spool_has_no_name_and_is_private(tmp_path):
    with spool(tmp_path) as file:
        assert listed(tmp_path) == []
        file.write(b"text")
        file.seek(0)
        assert file.read() == b"text"
        assert stat.S_IMODE(os.fstat(file.fileno()).st_mode) == 0o600
        assert os.fstat(file.fileno()).st_nlink == 0


def test_the_first_way_is_taken_where_it_can_be(tmp_path):
    if not hasattr(os, "O_TMPFILE"):
        pytest.skip("files without a name are Linux's")
    with NewFile(tmp_path / "new") as new:
        assert listed(tmp_path) == []
        assert new._name is None


@pytest.mark.parametrize("overwrite", [False, True])
def test_appears_whole_or_never(tmp_path, way, overwrite):
    path = tmp_path / "new"
    with NewFile(path, overwrite=overwrite) as new:
        new.file.write(b"text")
        assert not path.exists()
        new.publish()
        assert path.read_bytes() == b"text"
    assert listed(tmp_path) == ["new"]
    assert stat.S_IMODE(path.stat().st_mode) == 0o600

    def fail(error):
        with NewFile(tmp_path / "other", overwrite=overwrite) as new:
            new.file.write(b"half")
            raise error

    for error in (ValueError, KeyboardInterrupt):
        with pytest.raises(error):
            fail(error)
    with NewFile(tmp_path / "other", overwrite=overwrite) as new:
        new.file.write(b"never published")
    assert listed(tmp_path) == ["new"]


def test_is_on_the_disk_before_it_has_a_name(tmp_path, way, monkeypatch):
    done = []
    for name in ("fsync", "link", "replace"):
        real = getattr(os, name)
        monkeypatch.setattr(
            os, name, lambda *a, real=real, name=name, **k: done.append(name) or real(*a, **k)
        )
    with NewFile(tmp_path / "new") as new:
        new.file.write(b"text")
        new.publish()
    assert done[:2] == ["fsync", "link"]
    assert done[-1] == "fsync"  # the folder


def test_never_replaces_what_is_there(tmp_path, way):
    path = tmp_path / "old"
    path.write_bytes(b"old")
    with pytest.raises(FileExistsError) as caught:
        NewFile(path)
    assert caught.value.filename == str(path)
    path.unlink()
    for make in (lambda: path.write_bytes(b"faster"), lambda: path.symlink_to("nowhere"), path.mkdir):
        with NewFile(path) as new:
            new.file.write(b"slower")
            make()
            with pytest.raises(FileExistsError):
                new.publish()
        assert listed(tmp_path) == ["old"]
        if path.is_file():
            assert path.read_bytes() == b"faster"
        path.rmdir() if path.is_dir() else path.unlink()


def test_overwrites_regular_files_only(tmp_path, way):
    path = tmp_path / "old"
    path.write_bytes(b"old")
    with NewFile(path, overwrite=True) as new:
        new.file.write(b"new")
        assert path.read_bytes() == b"old"
        new.publish()
    assert path.read_bytes() == b"new"
    link = tmp_path / "link"
    link.symlink_to("old")
    os.mkfifo(tmp_path / "fifo")
    for other in (link, tmp_path / "fifo", tmp_path, "/dev/null"):
        with pytest.raises(ParameterError, match="regular"):
            NewFile(other, overwrite=True)
    with NewFile(tmp_path / "late", overwrite=True) as new:
        (tmp_path / "late").mkdir()
        with pytest.raises(ParameterError, match="regular"):
            new.publish()
    assert listed(tmp_path) == ["fifo", "late", "link", "old"]


def test_names_without_a_folder_and_folders_that_are_not_there(tmp_path, way, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with NewFile("here") as new:
        new.publish()
    assert listed(tmp_path) == ["here"]
    with pytest.raises(FileNotFoundError):
        NewFile(tmp_path / "no" / "new")
    with pytest.raises(NotADirectoryError):
        NewFile(tmp_path / "here" / "new")


def test_a_claimed_name_is_given_back(tmp_path, monkeypatch):
    """Without hard links the name is claimed first: a failure after that leaves no empty file."""
    monkeypatch.setattr(module, "_open_unnamed", lambda directory: None)

    def fail(*args, **options):
        raise OSError(errno.EPERM, "not here")

    monkeypatch.setattr(os, "link", fail)
    with NewFile(tmp_path / "new") as new:
        monkeypatch.setattr(os, "replace", fail)
        with pytest.raises(OSError, match="not here"):
            new.publish()
    assert listed(tmp_path) == []


def test_what_link_refuses_for_another_reason_is_handed_on(tmp_path, monkeypatch):
    monkeypatch.setattr(module, "_open_unnamed", lambda directory: None)

    def fail(*args, **options):
        raise OSError(errno.EIO, "broken")

    monkeypatch.setattr(os, "link", fail)
    with NewFile(tmp_path / "new") as new, pytest.raises(OSError, match="broken"):
        new.publish()
    assert listed(tmp_path) == []

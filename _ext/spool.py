"""Private files: a spool without a name, and a file that appears whole or not at all.

Both hold what nobody else may see yet, so both are made with mode 0600, and neither can be found
by another user of the machine.  What a killed process leaves: nothing where the file system knows
files without a name (Linux ``O_TMPFILE``: ext4, XFS, Btrfs, tmpfs), else one hidden file
``.sottovoce-*`` beside the target.
"""

from __future__ import annotations

import contextlib
import errno
import os
import stat
import tempfile
from types import TracebackType
from typing import BinaryIO, Final, Self

from .errors import ParameterError

_NO_HARD_LINKS: Final = frozenset(
    getattr(errno, name) for name in ("EPERM", "ENOTSUP", "EOPNOTSUPP", "ENOSYS", "EMLINK")
)


def spool(directory: str | os.PathLike[str] | None = None) -> BinaryIO:
    """An empty file for reading and writing that has no name and goes with its last descriptor.

    Args:
        directory: On whose file system; None for ``TMPDIR`` or the system's default.

    Raises:
        OSError: It cannot be made.
    """
    return tempfile.TemporaryFile(dir=directory, prefix=".sottovoce-")


class NewFile:
    """A file that appears under its name when :meth:`publish` is called, whole, or never.

    Use as a context manager: leaving it without :meth:`publish`, by an error or by Ctrl-C, leaves
    nothing behind.  Without ``overwrite`` an existing file is never replaced, not even one that
    appears meanwhile: the name is given with ``link``, which refuses to take one that is there.

    Args:
        path: Its folder must exist.
        overwrite: Whether a regular file of that name is replaced, in one step.

    Raises:
        FileExistsError: Something of that name exists, and ``overwrite`` is False.
        ParameterError: What would be overwritten is not a regular file (a device, a link).
        OSError: The folder does not exist, or cannot be written to.
    """

    def __init__(self, path: str | os.PathLike[str], *, overwrite: bool = False) -> None:
        self._path = os.fspath(path)
        self._directory = os.path.dirname(self._path) or "."
        self._overwrite = overwrite
        self._refuse_what_is_there()
        self._name: str | None = None  # of the hidden file, if it needs one
        fd = _open_unnamed(self._directory)
        if fd is None:
            fd, self._name = tempfile.mkstemp(prefix=".sottovoce-", dir=self._directory)
        self.file: BinaryIO = os.fdopen(fd, "w+b")

    def _refuse_what_is_there(self) -> None:
        # Early, before hours of work; what decides is the call that gives the name.
        try:
            mode = os.lstat(self._path).st_mode
        except FileNotFoundError:
            return
        if not self._overwrite:
            raise FileExistsError(errno.EEXIST, os.strerror(errno.EEXIST), self._path)
        if not stat.S_ISREG(mode):
            raise ParameterError("target: exists and is not a regular file; give an open file instead")

    def publish(self) -> None:
        """Write it out to the disk, then give it its name.

        Raises:
            FileExistsError: The name was taken meanwhile.
            OSError: The disk is full, or failed.
        """
        self.file.flush()
        os.fsync(self.file.fileno())
        if self._overwrite:
            self._refuse_what_is_there()
            os.replace(self._name or self._link_hidden(), self._path)
            self._name = None
        elif self._name is None:
            _link_descriptor(self.file.fileno(), self._path)
        else:
            _link_name(self._name, self._path)
        with contextlib.suppress(OSError):  # some systems cannot open or sync a folder
            fd = os.open(self._directory, os.O_RDONLY)
            try:
                os.fsync(fd)
            finally:
                os.close(fd)

    def _link_hidden(self) -> str:
        """A hidden name for the file without one: ``rename`` needs something to rename."""
        while True:
            name = os.path.join(self._directory, f".sottovoce-{os.urandom(8).hex()}")
            with contextlib.suppress(FileExistsError):
                _link_descriptor(self.file.fileno(), name)
                self._name = name
                return name

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, tb: TracebackType | None
    ) -> None:
        name, self._name = self._name, None
        try:
            # Writes out what is buffered; after an error that may fail again, and nobody wants it.
            with contextlib.suppress(OSError):
                self.file.close()
        finally:
            if name is not None:
                with contextlib.suppress(FileNotFoundError):
                    os.unlink(name)


def _open_unnamed(directory: str) -> int | None:
    """A descriptor of a file without a name, or None where there is no such thing, or no way to name it."""
    flag = getattr(os, "O_TMPFILE", None)
    if flag is None:
        return None
    try:
        fd = os.open(directory, flag | os.O_RDWR | os.O_CLOEXEC, 0o600)
    except OSError:
        return None  # not supported; or a folder that cannot be used, which the caller's next try reports
    if os.path.exists(_descriptor_path(fd)):
        return fd
    os.close(fd)  # no /proc: it could never be given a name
    return None


def _descriptor_path(fd: int) -> str:
    return f"/proc/self/fd/{fd}"


def _link_descriptor(fd: int, path: str) -> None:
    """Give an open file without a name one; FileExistsError if it is taken (open(2), O_TMPFILE)."""
    # A folder's descriptor makes Python call linkat with AT_SYMLINK_FOLLOW; it is not looked at,
    # because the path is absolute.
    at = os.open("/", os.O_RDONLY)
    try:
        os.link(_descriptor_path(fd), path, src_dir_fd=at, follow_symlinks=True)
    finally:
        os.close(at)


def _link_name(name: str, path: str) -> None:
    """``rename`` that refuses to replace; the old name stays for the caller to remove."""
    try:
        os.link(name, path, follow_symlinks=False)
    except OSError as error:
        if error.errno not in _NO_HARD_LINKS:
            raise
        # A file system without hard links (FAT, some networks): claim the name, then replace the claim.
        os.close(os.open(path, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600))
        try:
            os.replace(name, path)
        except BaseException:
            os.unlink(path)
            raise

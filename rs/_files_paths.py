"""Paths as arguments, and whether two of them lead to one file."""

from __future__ import annotations

import os
import stat
from typing import BinaryIO, Final, TypeAlias

from .._ext.errors import ParameterError

Path: TypeAlias = str | bytes | os.PathLike[str] | os.PathLike[bytes]

PATH: Final = (str, bytes, os.PathLike)
"""For ``isinstance``; numbers of descriptors name no file here."""


def path_of(name: str, path: object) -> str:
    """A path as the operating system takes it.

    Raises:
        TypeError: Not str, bytes or ``os.PathLike``.
        ParameterError: Empty, with a zero byte, or with characters that no file name has here.
    """
    if not isinstance(path, PATH):
        raise TypeError(f"{name}: path expected, got {type(path).__name__}")
    text = os.fsdecode(path)
    if not text:
        raise ParameterError(f"{name}: a path expected, got an empty one")
    check_characters(name, text)
    return text


def check_characters(name: str, text: str) -> None:
    """Refuse what can be in no path.

    Raises:
        ParameterError: A zero byte, or what the encoding of file names lacks.
    """
    if "\0" in text:
        raise ParameterError(f"{name}: a path without zero bytes expected")
    try:
        os.fsencode(text)
    except UnicodeEncodeError:
        raise ParameterError(f"{name}: has characters that cannot be in a path") from None


def identity(file: str | BinaryIO) -> tuple[int, int] | None:
    """What is equal for all names and descriptors of one regular file; None for anything else, or nothing."""
    try:
        found = os.stat(file) if isinstance(file, str) else os.fstat(file.fileno())
    except (OSError, AttributeError, ValueError):  # nothing there; no file of the system; a closed one
        return None
    return (found.st_dev, found.st_ino) if stat.S_ISREG(found.st_mode) else None

"""Key files: one secret of the package, encrypted under a passphrase, in a file for its owner only.

The format is that of :mod:`sottovoce._ext.sealed`, the body that of :mod:`sottovoce.clsc.keybody`.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import TypeVar, overload

from .._ext import sealed
from .._ext.errors import KeyFileError, ParameterError
from . import keybody
from .group import RandomBytes
from .keybody import Key

K = TypeVar("K", bound=Key)

# -- bytes ----------------------------------------------------------------------------------------


def dump_key(key: Key, passphrase: bytes) -> bytes:
    """Encrypt a secret under a passphrase.

    Args:
        key: A key of the issuer or of a user, or a request that waits for its answer.
        passphrase: 1 to 4096 bytes.  Its strength is the strength of the file.

    Returns:
        ``92 + 1024*b`` bytes: the key and its length (4 bytes) in ``b`` blocks, and 92 around them.

    Raises:
        TypeError: Another type.
        ParameterError: The passphrase is empty or too long.
        MemoryError: There are no 64 MiB.
        RuntimeError: ``cryptography`` was built without Argon2id.

    Timing: Argon2id with 64 MiB; what the first half of its first pass reads does not depend on the
        passphrase, what the rest reads does.  The key is written out in Python.
    Source: Argon2id, RFC 9106, section 3, with the second choice of section 4; RFC 5869; the commitment after
        Albertini et al., USENIX Security 2022; docs/keyfiles.md, "The file" and "What is inside".
    """
    outcome = _seal(key, passphrase, sealed.COST, os.urandom)
    del key, passphrase  # a traceback keeps the variables of the frame that raises
    if isinstance(outcome, Exception):
        raise outcome
    return outcome


def _dump_key_derand(
    key: Key, passphrase: bytes, random_bytes: RandomBytes, cost: sealed.Cost = sealed.COST
) -> bytes:
    data = _seal(key, passphrase, cost, random_bytes)
    assert isinstance(data, bytes)
    return data


@overload
def load_key_bytes(data: bytes, passphrase: bytes) -> Key: ...
@overload
def load_key_bytes(data: bytes, passphrase: bytes, kind: type[K]) -> K: ...
def load_key_bytes(data: bytes, passphrase: bytes, kind: type[K] | None = None) -> Key:
    """Decrypt a secret and check it again.

    Args:
        data: As :func:`dump_key` gives them; at most 64 KiB.
        passphrase: 1 to 4096 bytes.
        kind: The class expected, if only one will do.

    Returns:
        The secret key, whose class says what it is.

    Raises:
        TypeError: Wrong types.
        DecodeError: Not a key file, or one whose Argon2id asks for more than ``MAX_KEYFILE_*``;
            told before the passphrase is used.
        KeyFileError: Wrong passphrase, altered, or not the encoding of a valid key; it never says which.
        ParameterError: The passphrase is empty or too long; or the file holds another kind of key.
        MemoryError, RuntimeError: As :func:`dump_key`, for the memory that the file names.

    Timing: as :func:`dump_key`, with the memory and passes that the file names; the commitment to the key
        is compared in constant time, and what follows is done for the right passphrase only.
    Source: as :func:`dump_key`; against partitioning oracles, Len, Grubbs, Ristenpart, USENIX Security 2021;
        docs/keyfiles.md, "The file".
    """
    outcome = _open(data, passphrase, kind)
    del data, passphrase  # a traceback keeps the variables of the frame that raises
    if isinstance(outcome, Exception):
        raise outcome
    return outcome


# Errors are given back and raised by the caller, whose frame holds neither passphrase nor key.


def _seal(key: Key, passphrase: bytes, cost: sealed.Cost, random_bytes: RandomBytes) -> bytes | Exception:
    wrong = sealed.wrong_passphrase(passphrase)
    if wrong is not None:
        return wrong
    body = keybody.encode(key)
    if body is None:
        return TypeError(f"key: a secret of clsc expected, got {type(key).__name__}")
    return sealed.seal(body, passphrase, cost, random_bytes)


def _open(data: bytes, passphrase: bytes, kind: type[K] | None) -> Key | Exception:
    body = sealed.open_(data, passphrase)
    if isinstance(body, Exception):
        return body
    key = keybody.decode(body)
    if key is None:
        return KeyFileError()
    if kind is not None and not isinstance(key, kind):
        return ParameterError(f"key file: holds a {type(key).__name__}, expected a {kind.__name__}")
    return key


# -- files ----------------------------------------------------------------------------------------


def save_key(path: str | os.PathLike[str], key: Key, passphrase: bytes) -> None:
    """Write a new key file: mode 0600, complete and on the disk when this returns, or not there.

    It is written beside its place and linked there, so that nothing is ever overwritten, not even by
    two processes at a time, and no symbolic link is followed.

    Args:
        path: Nothing may be there.  The file system must have hard links and modes.
        key: As :func:`dump_key`.
        passphrase: As :func:`dump_key`.

    Raises:
        TypeError, ParameterError, MemoryError, RuntimeError: As :func:`dump_key`.
        FileExistsError: Something is there, if only a dangling symbolic link.
        OSError: The file system fails.

    Timing: as :func:`dump_key`.
    Source: as :func:`dump_key`; docs/keyfiles.md, "On the disk".
    """
    outcome = _seal(key, passphrase, sealed.COST, os.urandom)
    del key, passphrase
    if isinstance(outcome, Exception):
        raise outcome
    sealed.write_new_private(Path(path), outcome)


@overload
def load_key(path: str | os.PathLike[str], passphrase: bytes) -> Key: ...
@overload
def load_key(path: str | os.PathLike[str], passphrase: bytes, kind: type[K]) -> K: ...
def load_key(path: str | os.PathLike[str], passphrase: bytes, kind: type[K] | None = None) -> Key:
    """Read a key file that nobody but its owner may read.

    Args:
        path: The file; a symbolic link is followed.
        passphrase: 1 to 4096 bytes.
        kind: The class expected, if only one will do.

    Returns:
        The secret key, whose class says what it is.

    Raises:
        PermissionError: Group or others may read, write or execute the file.  Everybody who has it can
            guess at the passphrase; with :func:`load_key_bytes` it is the caller who decides about that.
        OSError: It cannot be read.
        DecodeError: As :func:`load_key_bytes`, or not a regular file.
        TypeError, KeyFileError, ParameterError, MemoryError, RuntimeError: As :func:`load_key_bytes`.

    Timing: as :func:`load_key_bytes`.
    Source: as :func:`dump_key`; docs/keyfiles.md, "On the disk".
    """
    data = sealed.read_private(path)
    outcome = data if isinstance(data, Exception) else _open(data, passphrase, kind)
    del data, passphrase
    if isinstance(outcome, Exception):
        raise outcome
    return outcome

"""Key files: a secret decryption key, encrypted under a passphrase, in a file for its owner only.

The file is that of :mod:`sottovoce._ext.sealed`; inside stands
``enc("SOTTOVOCE-V1-HE-KEY", scheme, SecretKey.to_bytes())`` with the scheme ``rlwe`` or ``paillier``.
One-time keys of :mod:`kahe` are never stored: they live in one process, for one vector.
"""

from __future__ import annotations

import contextlib
import os
from pathlib import Path
from typing import Any, Final, TypeAlias, TypeVar, overload

from .._ext import sealed
from .._ext.enc import enc
from .._ext.errors import DecodeError, KeyFileError, ParameterError
from . import paillier, rlwe

SecretKey: TypeAlias = rlwe.SecretKey | paillier.SecretKey
"""What a key file can hold."""

K = TypeVar("K", rlwe.SecretKey, paillier.SecretKey)

_TAG: Final = "SOTTOVOCE-V1-HE-KEY"
_KINDS: Final[dict[str, type[SecretKey]]] = {"rlwe": rlwe.SecretKey, "paillier": paillier.SecretKey}


def save_key(path: str | os.PathLike[str], key: SecretKey, passphrase: bytes) -> None:
    """Write a new key file: mode 0600, complete and on the disk when this returns, or not there.

    Nothing is ever overwritten, and no symbolic link is followed.

    Args:
        path: Nothing may be there.  The file system must have hard links and modes.
        key: A secret key of :mod:`rlwe` or :mod:`paillier`; stays usable.
        passphrase: 1 to 4096 bytes.  Its strength is the strength of the file.

    Raises:
        TypeError: Wrong types.
        ParameterError: The passphrase is empty or too long.
        FileExistsError: Something is there.
        OSError: The file system fails.
        MemoryError: There are no 64 MiB for the key derivation.
        RuntimeError: ``cryptography`` was built without Argon2id.

    Timing: Argon2id with 64 MiB, as for every key file (docs/keyfiles.md); after its first half
        pass the passphrase decides which memory it reads.
    Source: RFC 9106, section 4, second recommended choice; docs/keyfiles.md, "The file"; what is inside:
        docs/he-files.md, "Bytes".
    """
    outcome = _seal(key, passphrase)
    del key, passphrase  # a traceback keeps the variables of the frame that raises
    if isinstance(outcome, Exception):
        raise outcome
    sealed.write_new_private(Path(path), outcome)


@overload
def load_key(path: str | os.PathLike[str], passphrase: bytes) -> SecretKey: ...
@overload
def load_key(path: str | os.PathLike[str], passphrase: bytes, kind: type[K]) -> K: ...
def load_key(path: str | os.PathLike[str], passphrase: bytes, kind: Any = None) -> SecretKey:
    """Read a key file that nobody but its owner may read, and check the key again.

    Args:
        path: The file, at most 64 KiB; a symbolic link is followed.
        passphrase: 1 to 4096 bytes.
        kind: The class expected, if only one will do.

    Returns:
        The secret key, of ``he.rlwe`` or ``he.paillier``.

    Raises:
        PermissionError: Group or others may read, write or execute the file.
        OSError: It cannot be read.
        TypeError: Wrong types.
        DecodeError: Not a key file; told before the passphrase is used.
        KeyFileError: Wrong passphrase, altered, or no valid key; it never says which.
        ParameterError: The passphrase is empty or too long; or the file holds another kind of key.
        MemoryError, RuntimeError: As :func:`save_key`.

    Timing: as :func:`save_key`, with the memory and passes that the file names; the commitment to the key
        is compared in constant time.  Then as ``from_bytes`` of the key, which for ``paillier`` is not.
    Source: RFC 9106; docs/keyfiles.md, "The file"; what is inside: docs/he-files.md, "Bytes".
    """
    data = sealed.read_private(path)
    outcome = data if isinstance(data, Exception) else _open(data, passphrase, kind)
    del data, passphrase
    if isinstance(outcome, Exception):
        raise outcome
    return outcome


# Errors are given back and raised by the caller, whose frame holds neither passphrase nor key.


def _seal(key: SecretKey, passphrase: bytes) -> bytes | Exception:
    wrong = sealed.wrong_passphrase(passphrase)
    if wrong is not None:
        return wrong
    scheme = next((name for name, kind in _KINDS.items() if type(key) is kind), None)
    if scheme is None:
        return TypeError(f"key: a secret key of he expected, got {type(key).__name__}")
    return sealed.seal(enc(_TAG, scheme, key.to_bytes()), passphrase, sealed.COST, os.urandom)


def _open(data: bytes, passphrase: bytes, kind: type[SecretKey] | None) -> SecretKey | Exception:
    body = sealed.open_(data, passphrase)
    if isinstance(body, Exception):
        return body
    key = _decode(body)
    if key is None:
        return KeyFileError()
    if kind is not None and not isinstance(key, kind):
        return ParameterError(f"key file: holds a {_name(type(key))}, expected a {_name(kind)}")
    return key


def _decode(body: bytes) -> SecretKey | None:
    for scheme, kind in _KINDS.items():
        head = enc(_TAG, scheme)
        if body.startswith(head):
            with contextlib.suppress(DecodeError):
                key = kind.from_bytes(body[len(head) + 4 :])
                if enc(_TAG, scheme, key.to_bytes()) == body:
                    return key
    return None


def _name(kind: type[SecretKey]) -> str:
    return next(f"{name}.SecretKey" for name, known in _KINDS.items() if known is kind)

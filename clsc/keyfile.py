"""Key files: one secret, encrypted under a passphrase, in a file for its owner only.

::

    magic 53 56 4B 01
    kdf (1: Argon2id) | lanes (1) | passes (2) | memory in KiB (4) | salt (32)       40 bytes
    com (32)
    AES-256-GCM of length (4) || key || zeros, a multiple of 1024 bytes before its tag (16)

``com || k = HKDF-SHA256(Argon2id(passphrase, salt), info = enc("SOTTOVOCE-V1-KEYFILE", magic, kdf...salt))``,
64 bytes; the nonce is zero (a salt of 32 bytes is never used twice) and the associated data is all that
stands before.  So the header is bound twice, and ``com`` commits to the key: with AES-GCM alone a file can
be made that opens under many passphrases, and each attempt at it would test them all (Len, Grubbs,
Ristenpart, USENIX Security 2021).

Nothing in clear says whose key it is, or of which kind; the length is that of the next 1024 bytes.

Argon2id (RFC 9106) rather than scrypt: which memory the first half of its first pass reads does not depend on
the passphrase, so that a neighbour who watches the cache learns little; the rest resists trade-offs of time
for memory; and time and memory are chosen apart.
"""

from __future__ import annotations

import errno
import hmac
import os
import secrets
import stat
from dataclasses import dataclass
from pathlib import Path
from typing import Final, TypeVar, overload

from cryptography.exceptions import InvalidTag, UnsupportedAlgorithm
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.kdf.argon2 import Argon2id

from .._ext import limits
from .._ext.enc import enc
from .._ext.errors import DecodeError, KeyFileError, ParameterError
from . import hashes, keybody
from .group import RandomBytes
from .keybody import Key

K = TypeVar("K", bound=Key)

_MAGIC: Final = b"SVK\x01"
_ARGON2ID: Final = 1
_HEADER_BYTES: Final = 44
_SALT_BYTES: Final = 32
_COMMITMENT_BYTES: Final = 32
_TAG_BYTES: Final = 16
_BLOCK_BYTES: Final = 1024
_NONCE: Final = bytes(12)


@dataclass(frozen=True, slots=True)
class _Cost:
    """What one guess of the passphrase costs."""

    memory_kib: int
    passes: int
    lanes: int


_COST: Final = _Cost(memory_kib=1 << 16, passes=3, lanes=4)
"""RFC 9106 section 4, second recommended choice: also a telephone has 64 MiB."""


# -- bytes ----------------------------------------------------------------------------------------


def dump_key(key: Key, passphrase: bytes) -> bytes:
    """Encrypt a secret under a passphrase.

    Args:
        key: A key of the issuer or of a user, or a request that waits for its answer.
        passphrase: 1 to 4096 bytes.  Its strength is the strength of the file.

    Returns:
        ``92 + 1024*b`` bytes: the next multiple of 1024 over the key, and 92 around it.

    Raises:
        TypeError: Another type.
        ParameterError: The passphrase is empty or too long.
        MemoryError: There are no 64 MiB.
        RuntimeError: ``cryptography`` was built without Argon2id.

    Timing: Argon2id with 64 MiB; what the first half of its first pass reads does not depend on the
        passphrase, what the rest reads does.
    Source: RFC 9106; RFC 5869; the commitment after Albertini et al., USENIX Security 2022.
    """
    outcome = _seal(key, passphrase, _COST, os.urandom)
    del key, passphrase  # a traceback keeps the variables of the frame that raises
    if isinstance(outcome, Exception):
        raise outcome
    return outcome


def _dump_key_derand(key: Key, passphrase: bytes, random_bytes: RandomBytes, cost: _Cost = _COST) -> bytes:
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
        data: As :func:`dump_key` gives them.
        passphrase: 1 to 4096 bytes.
        kind: The class expected, if only one will do.

    Raises:
        TypeError: Wrong types.
        DecodeError: Not a key file, or one whose Argon2id asks for more than ``MAX_KEYFILE_*``;
            told before the passphrase is used.
        KeyFileError: Wrong passphrase, altered, or not the encoding of a valid key; it never says which.
        ParameterError: The passphrase is empty or too long; or the file holds another kind of key.
        MemoryError, RuntimeError: As :func:`dump_key`, for the memory that the file names.
    """
    outcome = _open(data, passphrase, kind)
    del data, passphrase  # a traceback keeps the variables of the frame that raises
    if isinstance(outcome, Exception):
        raise outcome
    return outcome


# Errors are given back and raised by the caller, whose frame holds neither passphrase nor key.


def _seal(key: Key, passphrase: bytes, cost: _Cost, random_bytes: RandomBytes) -> bytes | Exception:
    wrong = _wrong_passphrase(passphrase)
    if wrong is not None:
        return wrong
    body = keybody.encode(key)
    if body is None:
        return TypeError(f"key: a secret of clsc expected, got {type(key).__name__}")
    return _seal_body(body, passphrase, cost, random_bytes)


def _seal_body(body: bytes, passphrase: bytes, cost: _Cost, random_bytes: RandomBytes) -> bytes | Exception:
    header = (
        _MAGIC
        + bytes([_ARGON2ID, cost.lanes])
        + cost.passes.to_bytes(2, "big")
        + cost.memory_kib.to_bytes(4, "big")
        + random_bytes(_SALT_BYTES)
    )
    derived = _derive(header, cost, passphrase)
    if isinstance(derived, Exception):
        return derived
    com, aead = derived
    plain = len(body).to_bytes(4, "big") + body
    plain += bytes(-len(plain) % _BLOCK_BYTES)
    return header + com + aead.encrypt(_NONCE, plain, header + com)


def _open(data: bytes, passphrase: bytes, kind: type[K] | None) -> Key | Exception:
    wrong = _wrong_passphrase(passphrase)
    if wrong is not None:
        return wrong
    wrong = _wrong_type(data)
    if wrong is not None:
        return wrong
    cost = _parse(data)
    if isinstance(cost, Exception):
        return cost
    header, com = data[:_HEADER_BYTES], data[_HEADER_BYTES : _HEADER_BYTES + _COMMITMENT_BYTES]
    derived = _derive(header, cost, passphrase)
    if isinstance(derived, Exception):
        return derived
    expected, aead = derived
    if not hmac.compare_digest(expected, com):
        return KeyFileError()
    try:
        plain = aead.decrypt(_NONCE, data[_HEADER_BYTES + _COMMITMENT_BYTES :], header + com)
    except InvalidTag:
        return KeyFileError()
    end = 4 + int.from_bytes(plain[:4], "big")
    # The least number of blocks, and zeros to their end: one key, one encoding.
    if end + -end % _BLOCK_BYTES != len(plain) or any(plain[end:]):
        return KeyFileError()
    key = keybody.decode(plain[4:end])
    if key is None:
        return KeyFileError()
    if kind is not None and not isinstance(key, kind):
        return ParameterError(f"key file: holds a {type(key).__name__}, expected a {kind.__name__}")
    return key


def _wrong_passphrase(passphrase: object) -> Exception | None:
    if not isinstance(passphrase, bytes):
        return TypeError(f"passphrase: bytes expected, got {type(passphrase).__name__}")
    if not 1 <= len(passphrase) <= limits.MAX_PASSPHRASE_BYTES:
        return ParameterError(f"passphrase: 1 to {limits.MAX_PASSPHRASE_BYTES} bytes expected")
    return None


def _wrong_type(data: object) -> Exception | None:
    return None if isinstance(data, bytes) else TypeError(f"data: bytes expected, got {type(data).__name__}")


def _parse(data: bytes) -> _Cost | Exception:
    """The cost that the header names, if it is one that we are willing to pay."""
    if data[:3] != _MAGIC[:3]:
        return DecodeError("key file: not a key file of sottovoce")
    if data[3:4] != _MAGIC[3:]:
        return DecodeError("key file: of an unknown version")
    inside = len(data) - _HEADER_BYTES - _COMMITMENT_BYTES - _TAG_BYTES
    if inside < _BLOCK_BYTES or inside % _BLOCK_BYTES or len(data) > limits.MAX_KEYFILE_BYTES:
        return DecodeError(f"key file: wrong length ({len(data)} bytes)")
    if data[4] != _ARGON2ID:
        return DecodeError("key file: unknown key derivation")
    lanes, passes, memory = data[5], int.from_bytes(data[6:8], "big"), int.from_bytes(data[8:12], "big")
    if not (
        1 <= lanes <= limits.MAX_KEYFILE_LANES
        and 1 <= passes <= limits.MAX_KEYFILE_PASSES
        and 8 * lanes <= memory <= limits.MAX_KEYFILE_MEMORY_KIB  # RFC 9106 section 3.1: at least 8p
    ):
        return DecodeError("key file: the key derivation asks for too much or too little")
    return _Cost(memory, passes, lanes)


def _derive(header: bytes, cost: _Cost, passphrase: bytes) -> tuple[bytes, AESGCM] | Exception:
    """``com`` and the key."""
    try:
        stretched = Argon2id(
            salt=header[-_SALT_BYTES:],
            length=32,
            iterations=cost.passes,
            lanes=cost.lanes,
            memory_cost=cost.memory_kib,
        ).derive(passphrase)
    except MemoryError:
        return MemoryError(f"key file: its key derivation takes {cost.memory_kib >> 10} MiB")
    except UnsupportedAlgorithm:
        return RuntimeError("key file: `cryptography` was built with an OpenSSL before 3.2, without Argon2id")
    material = hashes.hkdf(stretched, b"", enc("SOTTOVOCE-V1-KEYFILE", header), 64)
    return material[:32], AESGCM(material[32:])


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
        TypeError, ParameterError: As :func:`dump_key`.
        FileExistsError: Something is there, if only a dangling symbolic link.
        OSError: The file system fails.
    """
    outcome = _seal(key, passphrase, _COST, os.urandom)
    del key, passphrase
    if isinstance(outcome, Exception):
        raise outcome
    write_new_private(Path(path), outcome)


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

    Raises:
        PermissionError: Group or others may read or write the file.  Everybody who has it can guess at
            the passphrase; with :func:`load_key_bytes` it is the caller who decides about that.
        OSError: It cannot be read.
        TypeError, DecodeError, KeyFileError, ParameterError: As :func:`load_key_bytes`.
    """
    data = _read_private(path)
    outcome = data if isinstance(data, Exception) else _open(data, passphrase, kind)
    del data, passphrase
    if isinstance(outcome, Exception):
        raise outcome
    return outcome


def write_new_private(path: Path, data: bytes) -> None:
    """Write ``data`` to a new file of mode 0600: all of it, durably, or nothing.

    Raises:
        FileExistsError: Something is there.
        OSError: The file system fails.
    """
    # A name that nobody can have prepared; O_EXCL does not follow a link.
    beside = path.with_name(f".{path.name}-{secrets.token_hex(8)}")
    handle = os.open(beside, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
    try:
        with open(handle, "wb") as file:
            os.fchmod(handle, 0o600)  # whatever the umask took away
            file.write(data)
            file.flush()
            os.fsync(handle)
        try:
            os.link(beside, path)  # unlike a move, never replaces anything
        except FileExistsError:
            raise FileExistsError(errno.EEXIST, os.strerror(errno.EEXIST), str(path)) from None
    finally:
        beside.unlink()
    folder = os.open(path.parent, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(folder)  # the name, too, is on the disk
    finally:
        os.close(folder)


def _read_private(path: str | os.PathLike[str]) -> bytes | Exception:
    try:
        # O_NONBLOCK: a pipe in the place of the file is refused below and not waited for.
        handle = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
        with open(handle, "rb") as file:
            status = os.fstat(handle)
            if not stat.S_ISREG(status.st_mode):
                return DecodeError("key file: not a regular file")
            if status.st_mode & 0o077:
                return PermissionError(
                    errno.EACCES, "the key file is open to others than its owner (chmod 600)", str(path)
                )
            return file.read(limits.MAX_KEYFILE_BYTES + 1)
    except OSError as error:
        return error.with_traceback(None)

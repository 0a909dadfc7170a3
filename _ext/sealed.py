"""A secret under a passphrase, and the file for its owner only that holds it.

::

    magic 53 56 4B 01
    kdf (1: Argon2id) | lanes (1) | passes (2) | memory in KiB (4) | salt (32)       40 bytes
    com (32)
    AES-256-GCM of length (4) || body || zeros, a multiple of 1024 bytes before its tag (16)

``com || k = HKDF-SHA256(Argon2id(passphrase, salt), info = enc("SOTTOVOCE-V1-KEYFILE", magic, kdf...salt))``,
64 bytes; the nonce is zero (a salt of 32 bytes is never used twice) and the associated data is all that
stands before.  So the header is bound twice, and ``com`` commits to the key: with AES-GCM alone a file can
be made that opens under many passphrases, and each attempt at it would test them all (Len, Grubbs,
Ristenpart, USENIX Security 2021).

Nothing in clear says whose secret it is, or of which kind: the body does, with a tag of its own; the length
is that of the next 1024 bytes.

Argon2id (RFC 9106) rather than scrypt: which memory the first half of its first pass reads does not depend on
the passphrase, so that a neighbour who watches the cache learns little; the rest resists trade-offs of time
for memory; and time and memory are chosen apart.

Errors are given back and not raised: the frame of whoever raises them must hold neither passphrase nor body.
"""

from __future__ import annotations

import errno
import hmac
import os
import secrets
import stat
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Final, TypeAlias

from cryptography.exceptions import InvalidTag, UnsupportedAlgorithm
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.kdf.argon2 import Argon2id

from . import limits
from .enc import enc
from .errors import DecodeError, KeyFileError, ParameterError
from .hkdf import hkdf

RandomBytes: TypeAlias = Callable[[int], bytes]

MAGIC: Final = b"SVK\x01"
_ARGON2ID: Final = 1
_HEADER_BYTES: Final = 44
_SALT_BYTES: Final = 32
_COMMITMENT_BYTES: Final = 32
_TAG_BYTES: Final = 16
_BLOCK_BYTES: Final = 1024
_NONCE: Final = bytes(12)


@dataclass(frozen=True, slots=True)
class Cost:
    """What one guess of the passphrase costs."""

    memory_kib: int
    passes: int
    lanes: int


COST: Final = Cost(memory_kib=1 << 16, passes=3, lanes=4)
"""RFC 9106 section 4, second recommended choice: also a telephone has 64 MiB."""


def seal(body: bytes, passphrase: bytes, cost: Cost, random_bytes: RandomBytes) -> bytes | Exception:
    """``92 + 1024*b`` bytes: the next multiple of 1024 over the body, and 92 around it."""
    wrong = wrong_passphrase(passphrase)
    if wrong is not None:
        return wrong
    header = (
        MAGIC
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


def open_(data: bytes, passphrase: bytes) -> bytes | Exception:
    """The body; TypeError, ParameterError, DecodeError, KeyFileError, MemoryError or RuntimeError."""
    wrong = wrong_passphrase(passphrase)
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
    # The least number of blocks, and zeros to their end: one body, one encoding.
    if end + -end % _BLOCK_BYTES != len(plain) or any(plain[end:]):
        return KeyFileError()
    return plain[4:end]


def wrong_passphrase(passphrase: object) -> Exception | None:
    """Why it cannot be one."""
    if not isinstance(passphrase, bytes):
        return TypeError(f"passphrase: bytes expected, got {type(passphrase).__name__}")
    if not 1 <= len(passphrase) <= limits.MAX_PASSPHRASE_BYTES:
        return ParameterError(f"passphrase: 1 to {limits.MAX_PASSPHRASE_BYTES} bytes expected")
    return None


def _wrong_type(data: object) -> Exception | None:
    return None if isinstance(data, bytes) else TypeError(f"data: bytes expected, got {type(data).__name__}")


def _parse(data: bytes) -> Cost | Exception:
    """The cost that the header names, if it is one that we are willing to pay."""
    if data[:3] != MAGIC[:3]:
        return DecodeError("key file: not a key file of sottovoce")
    if data[3:4] != MAGIC[3:]:
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
    return Cost(memory, passes, lanes)


def _derive(header: bytes, cost: Cost, passphrase: bytes) -> tuple[bytes, AESGCM] | Exception:
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
    material = hkdf(stretched, b"", enc("SOTTOVOCE-V1-KEYFILE", header), 64)
    return material[:32], AESGCM(material[32:])


# -- files ----------------------------------------------------------------------------------------


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


def read_private(path: str | os.PathLike[str]) -> bytes | Exception:
    """A file that nobody but its owner may read; OSError, PermissionError or DecodeError."""
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

"""Sign and verify a file without holding it: the same signatures as :func:`sign` and :func:`verify`.

A message is hashed as ``SHA-256(enc("SOTTOVOCE-V1-MESSAGE", message))``.  Its length stands before it, in
4 bytes, so a file is hashed as it is read once its length is known, and ends below 4 GiB; from a pipe it
is spooled first.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
from collections.abc import Callable, Iterator
from typing import BinaryIO, Final

from .._ext.enc import enc
from .._ext.errors import ParameterError, SignatureError
from .._ext.spool import spool
from . import hashes, signature
from .body import read_into
from .keys import PublicKey, SecretKey
from .params import Usage

MAX_MESSAGE_BYTES: Final = (1 << 32) - 1
"""A field of ``enc`` has a length of 4 bytes."""

_READ_BYTES: Final = 1 << 20

Source = str | os.PathLike[str] | BinaryIO
Progress = Callable[[int, int], None]


def sign_file(secret_key: SecretKey, source: Source, *, progress: Progress | None = None) -> bytes:
    """Sign the content of a file as :func:`sign` would.

    Args:
        secret_key: A key for usage ``sign``.
        source: A path, or a binary file read from where it stands to its end; a pipe is spooled to a
            private file first.  Below 4 GiB.  The name of a file is not signed.
        progress: Called with bytes done and bytes in all, after every MiB at the latest; what it raises ends
            the work.

    Memory: 1 MiB, whatever the length.

    Returns:
        176 bytes.

    Raises:
        TypeError: Wrong types.
        ParameterError: The key is for decryption; 4 GiB or more; or the file changed its length meanwhile.
        OSError: It cannot be read.

    Timing: as :func:`sign`; the reading takes as long as the file is.
    Source: as :func:`sign`; docs/clsc-files.md, "Signatures of files".
    """
    if not isinstance(secret_key, SecretKey):
        raise TypeError(f"secret_key: SecretKey expected, got {type(secret_key).__name__}")
    secret_key._require(Usage.SIGN, "secret_key")
    transcript = _transcript(source, progress)
    return signature._sign_derand(secret_key, signature.CONTEXT_MESSAGE, transcript, os.urandom)


def verify_file(
    public_key: PublicKey, source: Source, signature_bytes: bytes, *, progress: Progress | None = None
) -> None:
    """Check a signature of :func:`sign_file`, or of :func:`sign` over the same bytes.

    Args:
        public_key: A key for usage ``sign``.
        source: As for :func:`sign_file`.
        signature_bytes: 176 bytes.
        progress: As for :func:`sign_file`.

    Raises:
        TypeError: Wrong types.
        SignatureError: It does not hold, or is malformed, or the key is not for signing.
        ParameterError: 4 GiB or more, or the file changed its length meanwhile.
        OSError: It cannot be read.

    Timing: variable, of public data only.
    Source: as :func:`verify`; docs/clsc-files.md, "Signatures of files".
    """
    if not isinstance(public_key, PublicKey):
        raise TypeError(f"public_key: PublicKey expected, got {type(public_key).__name__}")
    if not isinstance(signature_bytes, bytes):
        raise TypeError(f"signature_bytes: bytes expected, got {type(signature_bytes).__name__}")
    transcript = _transcript(source, progress)
    if not signature._parse(public_key, signature.CONTEXT_MESSAGE, transcript, signature_bytes).holds():
        raise SignatureError


def _transcript(source: Source, progress: Progress | None) -> bytes:
    """:func:`hashes.message_transcript` of what is in ``source``."""
    with _measured(source) as (file, n_bytes):
        digest = hashlib.sha256(enc(hashes.MESSAGE_TAG) + n_bytes.to_bytes(4, "big"))
        done = 0
        # One byte more than announced would show that the file grows.
        while block := file.read(min(_READ_BYTES, n_bytes + 1 - done)):
            digest.update(block)
            done += len(block)
            if progress is not None:
                progress(done, n_bytes)
        if done != n_bytes:
            raise ParameterError("source: the file changed while it was read")
        return digest.digest()


@contextlib.contextmanager
def _measured(source: Source) -> Iterator[tuple[BinaryIO, int]]:
    """The source, readable from its first byte, and how many there are."""
    with contextlib.ExitStack() as stack:
        file: BinaryIO
        if isinstance(source, (str, os.PathLike)):  # noqa: SIM108  # mypy loses the types in one line
            file = stack.enter_context(open(source, "rb"))
        else:
            file = source
        if not file.seekable():
            file = _spooled(file, stack.enter_context(spool()))
        start = file.tell()
        n_bytes = file.seek(0, os.SEEK_END) - start
        if n_bytes > MAX_MESSAGE_BYTES:
            raise ParameterError(f"source: at most {MAX_MESSAGE_BYTES} bytes expected, got {n_bytes}")
        file.seek(start)
        yield file, n_bytes


def _spooled(pipe: BinaryIO, into: BinaryIO) -> BinaryIO:
    done = 0
    view = memoryview(bytearray(_READ_BYTES))
    while n_bytes := read_into(pipe, view):
        done += n_bytes
        if done > MAX_MESSAGE_BYTES:
            raise ParameterError(f"source: at most {MAX_MESSAGE_BYTES} bytes expected")
        into.write(view[:n_bytes])
    into.seek(0)
    return into

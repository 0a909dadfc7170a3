"""Signcrypt and unsigncrypt files of any size, in bounded memory.

The packets are those of :func:`.signcrypt`, byte for byte; this module only says where bytes come from
and where they go.

Sealing writes the length before the content, so it must be known: a pipe is copied first.  Opening
reads the ciphertext twice, and releases nothing before all of it was verified: a pipe is copied first, and
the plaintext waits in a private file.  Memory: a few chunks of 1 MiB, however long the file is.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import BinaryIO

from .._ext.enc import sha256_enc
from .._ext.errors import DecodeError, ParameterError
from .._ext.frames import forget
from .._ext.limits import MAX_RECEIVERS
from .._ext.room import Through, Write
from . import packet
from .body import CHUNK_BYTES, FileBody, read_into
from .ends import (
    Path,
    Report,
    check_ends,
    copy_packet,
    copy_plaintext,
    keeping,
    read,
    reading,
    remaining,
    writing,
)
from .ends import (
    Progress as Progress,
)
from .group import RandomBytes
from .keys import PublicKey, SecretKey
from .params import Mode
from .signcryption import _seal_derand, check_sealing, hedge_fingerprint
from .trust import TrustStore
from .unsigncryption import _open_parts, _Refusal, check_opening


@dataclass(frozen=True, slots=True)
class FileSealed:
    """What :func:`signcrypt_file` wrote.

    Attributes:
        n_bytes: Length of the packet.
        plaintext_bytes: Length of the plaintext, without padding.
        packet_id: 32 bytes, as its receivers will see it.

    Timing: holds values only.
    Source: docs/clsc.md, "Packets"; docs/clsc-files.md, "Files".
    """

    n_bytes: int
    plaintext_bytes: int
    packet_id: bytes


@dataclass(frozen=True, slots=True)
class OpenedFile:
    """An opened packet whose sender's signature holds; its plaintext is in the target.

    Attributes:
        sender: Who signed it; in mode ``blind`` a pseudonym that proves a unit of quota.
        packet_id: 32 bytes; refuse a second packet with the same id (replay).
        mode: Of the sender's key.  Look at it: it says what the sender's name is worth.
        plaintext_bytes: Bytes written, padding excluded.

    Timing: holds values only.
    Source: docs/clsc.md, "Packets"; docs/clsc-files.md, "Files".
    """

    sender: PublicKey
    packet_id: bytes
    mode: Mode
    plaintext_bytes: int


# -- signcrypt ----------------------------------------------------------------------------------


def signcrypt_file(
    source: Path | BinaryIO,
    target: Path | BinaryIO,
    *,
    sender: SecretKey,
    receivers: Sequence[PublicKey],
    ad: bytes = b"",
    pad: bool = False,
    dummy_slots: int = 0,
    trust: TrustStore | None = None,
    overwrite: bool = False,
    progress: Progress | None = None,
) -> FileSealed:
    """:func:`.signcrypt` from a file to a file; the packet is the same, and either side may be in memory.

    Args:
        source: Path, or binary file; up to 1 TiB.  One that cannot seek is first copied to a private file
            in the temporary directory (``TMPDIR``).
        target: Path of a new file, which appears when everything is written, mode 0600; or a binary file
            open for writing, which after an error holds the beginning of a packet that nobody can open.
        sender: A key for usage ``sign``.
        receivers: 1 to 255 distinct keys for usage ``decrypt``.
        ad: Associated data, below 4 GiB; not sent, and both ends must know it.
        pad: Whether the plaintext is padded to its Padme length.
        dummy_slots: Slots that nobody can open, to hide how many receivers there are; at most 255 with them.
        trust: Asked about every receiver, if given.
        overwrite: Whether an existing regular file at ``target`` is replaced.
        progress: Called with bytes written and to be written; what it raises ends the work.

    Memory: a few MiB, whatever the length.

    Returns:
        Lengths and the packet's id.

    Raises:
        TypeError, ParameterError, KernelUnavailable: As :func:`.signcrypt`.
        ParameterError: The source is longer than 1 TiB, or changed while it was read.
        FileExistsError: ``target`` exists.
        OSError: Reading or writing failed; no target path was made.

    Timing: as :func:`.signcrypt`; reading and writing take as long as the file is.
    Source: as :func:`.signcrypt`; docs/clsc-files.md, "Files" and "The hedge".
    """
    check_ends(source, target)
    receivers = check_sealing(sender, receivers, ad, pad, dummy_slots, trust, 0)
    try:
        # The target first: whether it can be is known before a pipe has been read to its end.
        with writing(target, overwrite) as (write, publish), reading(source, copy_plaintext) as file:
            sealed = _seal_file_derand(
                file, write, sender, receivers, ad, pad, dummy_slots, progress, os.urandom
            )
            publish()
            return sealed
    except BaseException as error:
        forget(error)
        raise


def _seal_file_derand(
    file: BinaryIO,
    write: Write,
    sender: SecretKey,
    receivers: Sequence[PublicKey],
    ad: bytes,
    pad: bool,
    dummy_slots: int,
    progress: Progress | None,
    random_bytes: RandomBytes,
) -> FileSealed:
    version = _version(file)
    start, size = file.tell(), remaining(file)
    hedge = _hedge(file, size, version, sender)
    file.seek(start)
    n_slots = len(receivers) + dummy_slots
    total = packet.packet_bytes(size, n_slots, pad=pad)
    report = Report(progress, total)

    def write_on(data: memoryview) -> None:
        write(data)
        report.add(len(data))

    packet_id = _seal_derand(
        _pieces(file, size, version), size, hedge, Through(write_on), sender, receivers, ad, pad, dummy_slots,
        random_bytes,
    )  # fmt: skip
    return FileSealed(total, size, packet_id)


def _hedge(file: BinaryIO, size: int, version: tuple[int, ...], sender: SecretKey) -> bytes:
    """Of a file of at most one chunk the hash, as in memory; else what tells it from other files.

    Files of the operating system are read once only, and their whole content is not at hand before the
    header has to be written.  What a broken random source then still needs to give two contents one key:
    the same sender, receivers, ad and length, the same first chunk, and the same file with the same times.
    What is no such file has no times, so it is read twice, and its hedge is that of its content.
    """
    first = read(file, min(size, CHUNK_BYTES))
    if size <= CHUNK_BYTES:
        return hashlib.sha256(first).digest()
    if version:
        digest = hashlib.sha256(first).digest()
        return sha256_enc("SOTTOVOCE-V1-HEDGE-FILE", digest, *(n % 2**64 for n in version))
    hedge = hedge_fingerprint(sender)
    hedge.add(first)
    for left in range(size - CHUNK_BYTES, 0, -CHUNK_BYTES):
        hedge.add(read(file, min(left, CHUNK_BYTES)))
    return hedge.digest()


def _version(file: BinaryIO) -> tuple[int, ...]:
    """What changes when a file is another or is written to; nothing for what is not a file."""
    try:
        found = os.fstat(file.fileno())
    except (OSError, AttributeError):  # io.UnsupportedOperation is an OSError
        return ()
    return found.st_dev, found.st_ino, found.st_size, found.st_mtime_ns, found.st_ctime_ns


def _pieces(file: BinaryIO, size: int, version: tuple[int, ...]) -> Iterator[memoryview]:
    """The plaintext in pieces of 1 MiB; notices a file that is not the same at the end."""
    buffer = memoryview(bytearray(min(size, CHUNK_BYTES)))
    for left in range(size, 0, -CHUNK_BYTES):
        piece = buffer[: min(left, CHUNK_BYTES)]
        if read_into(file, piece) != len(piece):
            raise ParameterError("source: became shorter while it was read")
        yield piece
    if read_into(file, memoryview(bytearray(1))):
        raise ParameterError("source: became longer while it was read")
    now = _version(file)
    if now[:4] != version[:4]:  # not ctime: a changed mode or a new link changes no content
        raise ParameterError("source: was changed while it was read")


# -- unsigncrypt --------------------------------------------------------------------------------


def unsigncrypt_file(
    source: Path | BinaryIO,
    target: Path | BinaryIO,
    *,
    receiver: SecretKey,
    trust: TrustStore,
    ad: bytes = b"",
    overwrite: bool = False,
    progress: Progress | None = None,
) -> OpenedFile:
    """:func:`.unsigncrypt` from a file to a file; no plaintext can be read before all is verified.

    Args:
        source: Path, or binary file, with one packet and nothing else.  One that cannot seek is first
            copied to a private file in the temporary directory (``TMPDIR``).
        target: Path of a new file, which appears when everything holds, mode 0600; or a binary file open
            for writing, which gets the plaintext, from a private file in the temporary directory, when
            everything holds.
        receiver: A key for usage ``decrypt``.
        trust: Decides whose packets are acceptable.
        ad: The associated data that the sender named, below 4 GiB.
        overwrite: Whether an existing regular file at ``target`` is replaced.
        progress: Called with bytes done and to be done; each byte of the body counts twice, as it is
            hashed and then decrypted.  That the second half is reached says that the packet is for this
            receiver: show it to nobody else.  Whoever serves the source (a network file system) sees the
            second reading too: copy what comes from there first, if it must not know.

    Memory: a few MiB, whatever the length.

    Returns:
        Who sent it, and how much.  Refusing replays (``packet_id``) is the caller's part.

    Raises:
        TypeError, ParameterError, KernelUnavailable, UnsigncryptError, SenderError: As
            :func:`.unsigncrypt`; a source that changes while it is read is an altered packet.
        FileExistsError: ``target`` exists.
        OSError: Reading or writing failed.  Only a target that is an open file may then have a part of the
            plaintext, which is verified.

    Timing: as :func:`.unsigncrypt`; the second reading of the source and writing to the target add to what
        tells a receiver from a stranger.
    Source: as :func:`.unsigncrypt`; docs/clsc-files.md, "Files".
    """
    check_ends(source, target)
    check_opening(receiver, trust, ad)
    try:
        with keeping(target, overwrite) as (keep, release), reading(source, copy_packet) as file:
            result = _open_file(file, keep, receiver, trust, ad, progress)
            if isinstance(result, OpenedFile):
                release()
    except BaseException as error:
        forget(error)
        raise
    if isinstance(result, _Refusal):
        raise result.error()  # here, where no frame holds anything of the packet's content
    return result


def _open_file(
    file: BinaryIO,
    keep: Write,
    receiver: SecretKey,
    trust: TrustStore,
    ad: bytes,
    progress: Progress | None,
) -> OpenedFile | _Refusal:
    parts = _open_parts(parse_file(file, progress), receiver, trust, ad, Through(keep), keep_hashes=False)
    if isinstance(parts, _Refusal):
        return parts
    return OpenedFile(parts.sender, parts.packet_id, parts.sender.mode, parts.head.plaintext_bytes)


def parse_file(file: BinaryIO, progress: Progress | None = None) -> packet.Packet | None:
    """Cut a packet in a seekable file into its fields; None if it is none.

    The body stays in the file.  Every later reading of it must give the bytes of the first, or raises
    DecodeError: see :class:`.body.FileBody`.

    Raises:
        OSError: The file cannot be read.
    """
    start, size = file.tell(), remaining(file)
    try:
        header, slots, body_bytes = packet.parse_start(read(file, packet.start_bytes(MAX_RECEIVERS)))
    except DecodeError:
        return None
    body_at = packet.start_bytes(len(slots))
    if size != body_at + body_bytes + packet.HEAD_BYTES:
        return None
    file.seek(start + body_at + body_bytes)
    head = read(file, packet.HEAD_BYTES)
    if len(head) != packet.HEAD_BYTES:
        return None
    report = Report(progress, 2 * body_bytes).add
    body = FileBody(file, start + body_at, body_bytes, packet.HEAD_BYTES, report)
    return packet.Packet(header, slots, body, head)

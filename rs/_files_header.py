"""The header of a shard file of our own format, and the checksums of its blocks.

======  =====  ====================================================================
offset  bytes  field
======  =====  ====================================================================
0       4      magic ``53 56 52 01``; the last byte is the version
4       1      matrix: 1 is ``cauchy``
5       2      k, 1 to 256
7       2      n, k to 256
9       2      index of this shard, 0 to n - 1
11      4      block: bytes of a row, a multiple of 64; n blocks are at most 16 MiB
15      8      length of the file
23      16     id of the file
39      16     checksum of the 39 bytes before it
======  =====  ====================================================================

Integers are big-endian.  The header stands at the beginning of a shard, and once more at its end:
so no single fault costs more than a block.  Checksums are SHA-256 cut to 16 bytes: they tell what
happens by accident, and nothing against somebody who means it, who can compute them as well.

Why SHA-256: it is in the standard library, most processors have instructions for it, and at 128 bits
no accident is missed; a CRC-32, twice as fast, misses one in 2**32 of them.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from .._ext.errors import DecodeError
from ._files_layout import Layout
from .matrix import MAX_SHARDS

MAGIC: Final = b"SVR\x01"
HEADER_BYTES: Final = 55
DIGEST_BYTES: Final = 16
ID_BYTES: Final = 16
BLOCK_STEP: Final = 64
MAX_STRIPE_BYTES: Final = 1 << 24
"""Of n blocks: whoever opens a shard, even one that a header invents, needs little more memory."""
MAX_FILE_BYTES: Final = 1 << 60

_MATRICES: Final = {1: "cauchy"}
_CHECKED: Final = HEADER_BYTES - DIGEST_BYTES
_HEADER_TAG: Final = b"SOTTOVOCE-V1-RS-HEADER"
_BLOCK_TAG: Final = b"SOTTOVOCE-V1-RS-BLOCK"
_FILE_TAG: Final = b"SOTTOVOCE-V1-RS-FILE"


@dataclass(frozen=True, slots=True)
class ShardHeader:
    """What a shard says about itself; a value that :meth:`from_bytes` gave is always valid.

    Attributes:
        matrix: Of the code.
        k, n: Of the code.
        index: Of this shard.
        block_bytes: Bytes of a block, but of the last one.
        n_bytes: Length of the file.
        file_id: Of the file and of how it was cut; see :class:`FileId`.
    """

    matrix: str
    k: int
    n: int
    index: int
    block_bytes: int
    n_bytes: int
    file_id: bytes

    def to_bytes(self) -> bytes:
        """``HEADER_BYTES`` bytes."""
        body = b"".join(
            (
                MAGIC,
                _matrix_number(self.matrix),
                self.k.to_bytes(2, "big"),
                self.n.to_bytes(2, "big"),
                self.index.to_bytes(2, "big"),
                self.block_bytes.to_bytes(4, "big"),
                self.n_bytes.to_bytes(8, "big"),
                self.file_id,
            )
        )
        return body + _header_checksum(body)

    @classmethod
    def from_bytes(cls, data: bytes) -> ShardHeader:
        """Read a header strictly: :meth:`to_bytes` gives the same bytes back.

        Raises:
            TypeError: Not bytes.
            DecodeError: A rule of the table is broken; says which.
        """
        if not isinstance(data, bytes):
            raise TypeError(f"header: bytes expected, got {type(data).__name__}")
        if data[:3] != MAGIC[:3]:
            raise DecodeError("header: not a shard of a file")
        # The version before length and checksum: those of another version may be others.
        if data[3:4] != MAGIC[3:]:
            raise DecodeError("header: cut, or of an unknown version")
        if len(data) != HEADER_BYTES:
            raise DecodeError(f"header: {HEADER_BYTES} bytes expected, got {len(data)}")
        if data[_CHECKED:] != _header_checksum(data[:_CHECKED]):
            raise DecodeError("header: damaged (its checksum is another)")
        matrix = _MATRICES.get(data[4])
        if matrix is None:
            raise DecodeError("header: unknown matrix")
        k, n, index = (int.from_bytes(data[i : i + 2], "big") for i in (5, 7, 9))
        block_bytes = int.from_bytes(data[11:15], "big")
        n_bytes = int.from_bytes(data[15:23], "big")
        if not 1 <= k <= n <= MAX_SHARDS:
            raise DecodeError(f"header: 1 <= k <= n <= {MAX_SHARDS} expected, got k = {k}, n = {n}")
        if index >= n:
            raise DecodeError(f"header: index 0 to {n - 1} expected, got {index}")
        if not is_block_bytes(block_bytes, n):
            raise DecodeError(f"header: blocks of {block_bytes} bytes")
        if n_bytes > MAX_FILE_BYTES:
            raise DecodeError("header: a file of more than 2**60 bytes")
        return cls(matrix, k, n, index, block_bytes, n_bytes, data[23:_CHECKED])

    @property
    def group(self) -> tuple[object, ...]:
        """Equal for the shards of one file, and for no others."""
        return self.matrix, self.k, self.n, self.block_bytes, self.n_bytes, self.file_id

    def layout(self) -> Layout:
        """Where the rows are."""
        return layout(self.k, self.n, self.block_bytes, self.n_bytes)


def layout(k: int, n: int, block_bytes: int, n_bytes: int) -> Layout:
    """The layout of our own format."""
    return Layout(k, n, block_bytes, 1, HEADER_BYTES, HEADER_BYTES, DIGEST_BYTES, n_bytes)


def is_block_bytes(value: int, n: int) -> bool:
    """Whether blocks of a code with n shards may have this length."""
    return value >= BLOCK_STEP and value % BLOCK_STEP == 0 and value * n <= MAX_STRIPE_BYTES


def block_digest(index: int, stripe: int, row: NDArray[np.uint8]) -> bytes:
    """Checksum of a block; bound to its place, for disks also write to the wrong one."""
    hasher = hashlib.sha256(_BLOCK_TAG + index.to_bytes(2, "big") + stripe.to_bytes(8, "big"))
    hasher.update(row.data)
    return hasher.digest()[:DIGEST_BYTES]


class FileId:
    """Computes the id of a file: the hash of the checksums of its data blocks, stripe by stripe.

    It follows from the content and the parameters, so that shards of one file made twice belong
    together, and who has joined all blocks can check the whole once more without a second hash of it.
    """

    def __init__(self, matrix: str, k: int, n: int, block_bytes: int) -> None:
        self._hasher = hashlib.sha256(
            _FILE_TAG + _matrix_number(matrix) + k.to_bytes(2, "big") + n.to_bytes(2, "big")
            + block_bytes.to_bytes(4, "big")
        )  # fmt: skip

    def add(self, digest: bytes) -> None:
        """The checksum of the next data block."""
        self._hasher.update(digest)

    def finish(self, n_bytes: int) -> bytes:
        """The id of a file of this length."""
        self._hasher.update(n_bytes.to_bytes(8, "big"))
        return self._hasher.digest()[:ID_BYTES]


def _matrix_number(matrix: str) -> bytes:
    return bytes([next(number for number, name in _MATRICES.items() if name == matrix)])


def _header_checksum(body: bytes) -> bytes:
    return hashlib.sha256(_HEADER_TAG + body).digest()[:DIGEST_BYTES]

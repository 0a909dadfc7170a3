"""The share files of the commands ``zfec`` and ``zunfec``.

A header of 2 to 4 bytes, one big-endian string of bits with zeros at its end::

    n - 1 (8) | k - 1 (b(n)) | padding of the file (b(k)) | index (b(n))     b(x): bits of x - 1

and then the rows.  There is no magic number, no length, no id and no checksum: a wrong byte is noticed
only where more than k shares are at hand, and shares of two files of one length look alike.

The file is encoded in pieces of k chunks of 4096 bytes; the code is :class:`sottovoce.rs.Erasure` with
``matrix="zfec"``.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from .._ext.errors import DecodeError
from ._files_layout import Layout
from .matrix import MAX_SHARDS

MATRIX: Final = "zfec"
CHUNK_BYTES: Final = 4096
CHUNKS: Final = 16
"""Chunks of a row that are coded at once, fewer where there are many shares."""
MAX_HEADER_BYTES: Final = 4

_MAX_STRIPE_BYTES: Final = 1 << 22


@dataclass(frozen=True, slots=True)
class ZfecHeader:
    """What a share says about itself.

    Attributes:
        k, n: Of the code.
        padding: Zeros behind the file, 0 to k - 1.
        index: Of this share.
    """

    k: int
    n: int
    padding: int
    index: int

    def to_bytes(self) -> bytes:
        """2 to 4 bytes."""
        bits_n, bits_k = _bits(self.n), _bits(self.k)
        value = self.n - 1
        for field, width in ((self.k - 1, bits_n), (self.padding, bits_k), (self.index, bits_n)):
            value = value << width | field
        used, size = 8 + 2 * bits_n + bits_k, header_bytes(self.k, self.n)
        return (value << 8 * size - used).to_bytes(size, "big")

    @classmethod
    def from_bytes(cls, start: bytes) -> ZfecHeader:
        """Read the header at the start of a share strictly: :meth:`to_bytes` gives the same bytes back.

        Args:
            start: The first 4 bytes of the file, or all of a shorter one.

        Raises:
            DecodeError: Cut, or numbers that no share has.
        """
        if len(start) < 2:
            raise DecodeError("header: cut")
        n = start[0] + 1
        bits_n = _bits(n)
        value = int.from_bytes(start[:MAX_HEADER_BYTES].ljust(MAX_HEADER_BYTES, b"\0"), "big")
        left = 24

        def take(width: int) -> int:
            nonlocal left
            left -= width
            return value >> left & ((1 << width) - 1)

        k = take(bits_n) + 1
        if k > n:
            raise DecodeError(f"header: k <= n expected, got k = {k}, n = {n}")
        if len(start) < header_bytes(k, n):
            raise DecodeError("header: cut")
        header = cls(k, n, take(_bits(k)), take(bits_n))
        if header.padding >= k or header.index >= n:
            raise DecodeError("header: not that of a share")
        if header.to_bytes() != start[: header_bytes(k, n)]:
            raise DecodeError("header: bits behind its end")
        return header

    def layout(self, file_bytes: int) -> Layout:
        """Where the rows are in a share file of this length.

        Raises:
            DecodeError: No file gives shares of this length with this padding.
        """
        payload = file_bytes - header_bytes(self.k, self.n)
        n_bytes = self.k * payload - self.padding
        if n_bytes < 0:
            raise DecodeError("header: more padding than content")
        return layout(self.k, self.n, n_bytes)


def layout(k: int, n: int, n_bytes: int) -> Layout:
    """The layout of this format."""
    chunks = max(1, min(CHUNKS, _MAX_STRIPE_BYTES // (n * CHUNK_BYTES)))
    return Layout(k, n, CHUNK_BYTES, chunks, header_bytes(k, n), 0, 0, n_bytes)


def padding(n_bytes: int, k: int) -> int:
    """Zeros behind a file of this length."""
    return -n_bytes % k


def header_bytes(k: int, n: int) -> int:
    """Length of the header: 2, 3 or 4."""
    return max(2, -(-(8 + 2 * _bits(n) + _bits(k)) // 8))


def _bits(count: int) -> int:
    """Bits that tell ``count`` values apart."""
    assert 1 <= count <= MAX_SHARDS
    return (count - 1).bit_length()

"""Where the bytes of a file are in its shards, in either format.

The file is cut into stripes, a stripe into k rows of data, to which come n - k rows of parity; shard i
holds row i of every stripe, one after the other.  A stripe of our format is one block of each shard;
a stripe of zfec is several of its 4096-byte chunks, so that the kernel has rows worth its call.

The last stripe has shorter rows: what is left, divided by k and rounded up, zeros at its end.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

Bytes = NDArray[np.uint8]

_ALIGN: Final = 64


@dataclass(frozen=True, slots=True)
class Layout:
    """Geometry of the shards of one file.

    Attributes:
        k, n: Of the code.
        unit: Bytes of a row that follow each other in the file.
        units: Units of a row.
        head, tail: Bytes of a shard before its first and behind its last row.
        digest: Bytes in front of each row.
        n_bytes: Length of the file.
    """

    k: int
    n: int
    unit: int
    units: int
    head: int
    tail: int
    digest: int
    n_bytes: int

    @property
    def row(self) -> int:
        """Bytes of a row, but in the last stripe."""
        return self.unit * self.units

    @property
    def stripe_bytes(self) -> int:
        """Bytes of the file in a stripe, but in the last one."""
        return self.k * self.row

    @property
    def n_stripes(self) -> int:
        """Stripes; none in an empty file."""
        return -(-self.n_bytes // self.stripe_bytes)

    @property
    def shard_bytes(self) -> int:
        """Length of every shard."""
        whole, rest = divmod(self.n_bytes, self.stripe_bytes)
        last = self.digest + self.row_bytes(rest) if rest else 0
        return self.head + whole * (self.digest + self.row) + last + self.tail

    def data_bytes(self, stripe: int) -> int:
        """Bytes of the file in this stripe."""
        return min(self.stripe_bytes, self.n_bytes - stripe * self.stripe_bytes)

    def row_bytes(self, size: int) -> int:
        """Bytes of each row of a stripe that holds ``size`` bytes of the file."""
        whole, rest = divmod(size, self.k * self.unit)
        return whole * self.unit + -(-rest // self.k)

    def offset(self, stripe: int) -> int:
        """Where a row, or the digest in front of it, begins in its shard."""
        return self.head + stripe * (self.digest + self.row)

    def lay(self, data: Bytes, size: int, rows: Bytes) -> None:
        """Put ``size`` bytes of the file into the k data rows, all of which are written.

        Args:
            data: At least ``stripe_bytes`` long; what is behind ``size`` is overwritten with zeros.
            size: At least 1.
            rows: ``(k, row_bytes(size))``.
        """
        data[size : self.stripe_bytes] = 0
        for at, begin, width in self._pieces(size):
            rows[:, at : at + width] = data[begin : begin + self.k * width].reshape(self.k, width)

    def collect(self, rows: Bytes, size: int, data: Bytes) -> bool:
        """The opposite of :meth:`lay`; False if what should be the zeros of padding are not."""
        end = size
        for at, begin, width in self._pieces(size):
            end = begin + self.k * width
            data[begin:end].reshape(self.k, width)[:] = rows[:, at : at + width]
        return not data[size:end].any()

    def _pieces(self, size: int) -> list[tuple[int, int, int]]:
        whole, rest = divmod(size, self.k * self.unit)
        out = [(i * self.unit, i * self.k * self.unit, self.unit) for i in range(whole)]
        if rest:
            out.append((whole * self.unit, whole * self.k * self.unit, -(-rest // self.k)))
        return out


class Frames:
    """Memory for some rows of a stripe, each behind its digest, so that both are one read or write."""

    def __init__(self, count: int, layout: Layout) -> None:
        self._digest = layout.digest
        # Rows begin at multiples of 64, and not a power of two apart: see Erasure.encode.
        stride = _ALIGN + -(-layout.row // _ALIGN) * _ALIGN
        if stride % 4096 == 0:
            stride += _ALIGN
        self._array = np.zeros((count, stride), np.uint8)

    def rows(self, length: int) -> Bytes:
        """All rows, cut to this length."""
        return self._array[:, _ALIGN : _ALIGN + length]

    def frame(self, i: int, length: int) -> Bytes:
        """Row i with the digest in front of it."""
        return self._array[i, _ALIGN - self._digest : _ALIGN + length]

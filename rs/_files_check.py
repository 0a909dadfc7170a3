"""What follows from the data of a file, beside what the checksum of each block says."""

from __future__ import annotations

from ._files_header import FileId, ShardHeader, block_digest
from ._files_layout import Bytes, Frames
from ._files_shards import Shards


class Checker:
    """Follows the stripes of a file: the id that they give, and their parity."""

    def __init__(self, given: Shards) -> None:
        self._given = given
        header, layout = given.header, given.layout
        self._expected = header.file_id if isinstance(header, ShardHeader) else None
        self._id = FileId(given.code.matrix, layout.k, layout.n, layout.unit) if self._expected else None
        self._parity = Frames(layout.n - layout.k, layout)

    def add(self, stripe: int, good: dict[int, Bytes], rows: Bytes) -> None:
        """The next stripe: its good rows as they were read, and its data rows."""
        if self._id is None:
            return
        for j, row in enumerate(rows):
            self._id.add(self._given.digest_of(j) if j in good else block_digest(j, stripe, row))

    def encode(self, rows: Bytes) -> Bytes:
        """The parity that follows from these data rows."""
        parity = self._parity.rows(rows.shape[1])
        if len(parity):
            self._given.code.encode(rows, out=parity)
        return parity

    def whole(self) -> bool:
        """Whether the id is that of the headers."""
        return self._id is None or self._id.finish(self._given.layout.n_bytes) == self._expected

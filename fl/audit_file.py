"""The audit record: everything that it takes to recompute the sum of a round, in one file.

::

    enc("SOTTOVOCE-V1-AUDIT", EpochParams of the contributors, EpochParams of the servers,
        signed header, result, key sums, convictions)
    enc(manifest, ciphertext)         for each contributor, in the order of the result's list

Key sums are ``enc(index, share sum, ...)`` of the members that answered, convictions ``enc(conviction,
...)``.  Written and read contributor by contributor.  No packet for a member is in it: members' keys open
nothing here.  What it tells is what the aggregator knows of the sum, and nothing of a summand.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from typing import BinaryIO, Self

from .._ext.enc import enc
from .._ext.errors import DecodeError
from .._ext.limits import HEADER_MAX_BYTES, MAX_AUDIT_FIELD_BYTES, MAX_EPOCH_PARAMS_BYTES, MAX_MEMBERS
from .wire import read_int, split

_TAG = b"SOTTOVOCE-V1-AUDIT"


@dataclass(frozen=True)
class AuditHead:
    """What stands before the contributions, as bytes; nothing of it is verified yet.

    Attributes:
        sender_params: The contributors' parameters, with the root signature.
        committee_params: The servers', with the root signature.
        signed_header: The header with its signatures.
        result: As it was published.
        share_sums: Member index -> its sum of key shares; t of them are the sum of the keys.
        convictions: Of clients that were in the set.
    """

    sender_params: bytes
    committee_params: bytes
    signed_header: bytes
    result: bytes = field(repr=False)
    share_sums: dict[int, bytes] = field(repr=False)
    convictions: tuple[bytes, ...] = field(repr=False)

    def write(self, target: BinaryIO, contributions: Iterable[tuple[bytes, bytes]]) -> None:
        """Write the record: this, and then every ``(manifest, ciphertext)`` as it comes."""
        sums = enc(*[part for j, data in sorted(self.share_sums.items()) for part in (j, data)])
        target.write(
            enc(
                _TAG, self.sender_params, self.committee_params, self.signed_header, self.result, sums,
                enc(*self.convictions),
            )
        )  # fmt: skip
        for manifest, ciphertext in contributions:
            target.write(enc(manifest, ciphertext))

    @classmethod
    def read(cls, reader: AuditReader) -> Self:
        """Read the head of a record.

        Raises:
            DecodeError: Not an audit record, or cut short.
        """
        if reader.field(len(_TAG)) != _TAG:
            raise DecodeError("audit record: not one")
        sender, committee = reader.field(MAX_EPOCH_PARAMS_BYTES), reader.field(MAX_EPOCH_PARAMS_BYTES)
        signed_header = reader.field(HEADER_MAX_BYTES)
        result, sums, convictions = (reader.field(MAX_AUDIT_FIELD_BYTES) for _ in range(3))
        parts = split(sums, max_fields=2 * MAX_MEMBERS)
        if len(parts) % 2:
            raise DecodeError("audit record: a member index and its key sum expected")
        indices = [read_int(index) for index in parts[0::2]]
        if indices != sorted(set(indices)):
            raise DecodeError("audit record: member indices must ascend")
        shown = split(convictions, max_fields=1 + len(convictions) // 1024)
        return cls(
            sender,
            committee,
            signed_header,
            result,
            dict(zip(indices, parts[1::2], strict=True)),
            tuple(shown),
        )


class AuditReader:
    """Reads fields of ``enc`` from a file that can seek, each within a bound, to the last byte.

    Attributes:
        total: Length of the file.
        n_bytes: How much of it was read.
    """

    def __init__(self, source: BinaryIO) -> None:
        self.total = source.seek(0, os.SEEK_END)
        self.n_bytes = 0
        self._source = source
        source.seek(0)

    def field(self, most: int) -> bytes:
        """The next field.

        Raises:
            DecodeError: There is none, it is cut short, or longer than ``most``.
        """
        length = int.from_bytes(self._exactly(4), "big")
        if length > most:
            raise DecodeError(f"audit record: a field of at most {most} bytes expected, got {length}")
        return self._exactly(length)

    def contributions(self, count: int, manifest: int, ciphertext: int) -> Iterator[tuple[bytes, bytes]]:
        """``count`` pairs of fields of exactly these lengths, and then the end of the file.

        Raises:
            DecodeError: Cut short, of another length, or more behind it.
        """
        for _ in range(count):
            pair = self.field(manifest), self.field(ciphertext)
            if (len(pair[0]), len(pair[1])) != (manifest, ciphertext):
                raise DecodeError("audit record: a manifest and a ciphertext of the round expected")
            yield pair
        if self._source.read(1):
            raise DecodeError("audit record: more than the listed contributions")

    def _exactly(self, n: int) -> bytes:
        # Not even asked for: a file reads into as much memory as it is asked for, whatever it has.
        data = self._source.read(n) if n <= self.total - self.n_bytes else b""
        if len(data) != n:
            raise DecodeError("audit record: cut short")
        self.n_bytes += n
        return data

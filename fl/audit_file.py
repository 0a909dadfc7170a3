"""The audit record: everything that it takes to recompute the sum of a round, in one file.

::

    enc("SOTTOVOCE-V1-AUDIT", EpochParams of the contributors, EpochParams of the servers,
        signed header, result, key sums, convictions)
    enc(manifest, ciphertext)         for each contributor, in the order of the result's list

Key sums are ``enc(index, share sum, ...)`` of the members that answered, convictions ``enc(conviction,
...)``, by pseudonym.  Written and read contributor by contributor.  No packet for a member is in it:
members' keys open nothing here.  What it tells is what the aggregator knows of the sum, and nothing of a
summand.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from typing import BinaryIO

from .._ext.enc import enc
from .._ext.errors import DecodeError
from .._ext.limits import HEADER_MAX_BYTES, MAX_AUDIT_FIELD_BYTES, MAX_EPOCH_PARAMS_BYTES
from .closing import result_max_bytes
from .conviction import conviction_max_bytes
from .header import RoundHeader
from .sizes import manifest_bytes
from .wire import read_int, split

_TAG = b"SOTTOVOCE-V1-AUDIT"
_PREFIX = 4  # length of a field of enc
_INDEX = 8  # an integer in it


@dataclass(frozen=True)
class AuditHead:
    """What stands before the contributions, as bytes.

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


class AuditReader:
    """Reads a record from a file that can seek, in order and each part within its bound, to the last byte.

    The bounds are those of the header that the record names, so nothing that the header has no place for is
    read before it is refused; and convictions and contributions come one at a time.

    Attributes:
        total: Length of the file.
        n_bytes: How much of it was read.
    """

    def __init__(self, source: BinaryIO) -> None:
        self.total = source.seek(0, os.SEEK_END)
        self.n_bytes = 0
        self._source = source
        self._contributions = 0
        source.seek(0)

    def round(self) -> tuple[bytes, bytes, bytes]:
        """The contributors' parameters, the servers', and the signed header; nothing of it is verified yet.

        Raises:
            DecodeError: Not an audit record, or cut short.
        """
        if self._field(len(_TAG)) != _TAG:
            raise DecodeError("audit record: not one")
        sender, committee = self._field(MAX_EPOCH_PARAMS_BYTES), self._field(MAX_EPOCH_PARAMS_BYTES)
        return sender, committee, self._field(HEADER_MAX_BYTES)

    def result(self, header: RoundHeader) -> bytes:
        """The result as it was published, after :meth:`round`.

        Raises:
            DecodeError: Cut short, or longer than any of this round.
        """
        return self._field(min(MAX_AUDIT_FIELD_BYTES, result_max_bytes(header)))

    def share_sums(self, header: RoundHeader) -> dict[int, bytes]:
        """Member index -> its sum of key shares, after :meth:`result`.

        Raises:
            DecodeError: Cut short, longer than those of all members, or indices that do not ascend.
        """
        count, length = len(header.members), header.kahe_params.share_sum_bytes
        data = self._field(count * (_PREFIX + _INDEX + _PREFIX + length))
        parts = split(data, max_fields=2 * count)
        if len(parts) % 2:
            raise DecodeError("audit record: a member index and its key sum expected")
        indices = [read_int(index) for index in parts[0::2]]
        if indices != sorted(set(indices)):
            raise DecodeError("audit record: member indices must ascend")
        return dict(zip(indices, parts[1::2], strict=True))

    def convictions(self, header: RoundHeader) -> Iterator[bytes]:
        """Each conviction, after :meth:`share_sums`; the next part is read when this has ended.

        Raises:
            DecodeError: Cut short, one longer than any of this round, or more than the round has places.
        """
        end = self._length() + self.n_bytes
        for _ in range(header.max_contributors):
            if self.n_bytes == end:
                return
            yield self._field(min(conviction_max_bytes(header), end - self.n_bytes - _PREFIX))
        if self.n_bytes != end:
            raise DecodeError("audit record: more convictions than contributors")

    def contributions(self, header: RoundHeader, count: int) -> Iterator[tuple[bytes, bytes]]:
        """``count`` pairs of manifest and ciphertext, after :meth:`convictions`, then the end of the file.

        Another call begins with the first one again.

        Raises:
            DecodeError: Cut short, of another length than all of the round, or more behind it.
        """
        manifest, ciphertext = manifest_bytes(header.kahe_params), header.kahe_params.ciphertext_bytes
        self._contributions = self._contributions or self.n_bytes
        self.n_bytes = self._source.seek(self._contributions)
        for _ in range(count):
            pair = self._field(manifest), self._field(ciphertext)
            if (len(pair[0]), len(pair[1])) != (manifest, ciphertext):
                raise DecodeError("audit record: a manifest and a ciphertext of the round expected")
            yield pair
        if self._source.read(1):
            raise DecodeError("audit record: more than the listed contributions")

    def _field(self, most: int) -> bytes:
        length = self._length()
        if length > most:
            raise DecodeError(f"audit record: a field of at most {max(0, most)} bytes expected, got {length}")
        return self._exactly(length)

    def _length(self) -> int:
        return int.from_bytes(self._exactly(_PREFIX), "big")

    def _exactly(self, n: int) -> bytes:
        # Not even asked for: a file reads into as much memory as it is asked for, whatever it has.
        data = self._source.read(n) if n <= self.total - self.n_bytes else b""
        if len(data) != n:
            raise DecodeError("audit record: cut short")
        self.n_bytes += n
        return data

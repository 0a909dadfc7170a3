"""A round that clients can see: opened as it was saved, with what was acknowledged before a restart."""

from __future__ import annotations

import contextlib
from collections.abc import Callable
from dataclasses import dataclass

from ... import clsc, rs
from ..aggregator import Aggregator, State
from ..errors import ProtocolError
from ..header import RoundHeader
from ..server import ServerKeys
from ..signed import SignedHeader
from ..stores import AggregatorStore
from .journal import ShardJournal
from .state import RoundFolder, SavedRound


@dataclass(frozen=True)
class OpenRound:
    """A round that clients can see.

    Attributes:
        signed_header: With the members' signatures.
        header: The header.
        role: The aggregator of this round.
        shard_bytes: Length of a shard.
        until: Unix seconds when collecting ends.
        journal: Of its shards while it collects, or None.
    """

    signed_header: bytes
    header: RoundHeader
    role: Aggregator
    shard_bytes: int
    until: int
    journal: ShardJournal | None

    @property
    def journal_bytes(self) -> int:
        """Length of the journal; 0 without one."""
        return 0 if self.journal is None else self.journal.n_bytes

    def close_journal(self) -> None:
        """What is in it stays on the disk."""
        if self.journal is not None:
            self.journal.close()

    def drop_journal(self) -> None:
        """The set is fixed: what is in the journal cannot count any more, or counts already."""
        if self.journal is not None:
            self.journal.remove()


class Opener:
    """Opens the rounds of one aggregator.

    Args:
        keys: Its keys.
        trust: What it believes.
        store: Keeps what was accepted.
        folder: Keeps the journal of a round, and until when its packets are kept; or None.
        clock: Unix seconds.
    """

    def __init__(
        self,
        keys: ServerKeys,
        trust: clsc.TrustStore,
        store: AggregatorStore,
        folder: RoundFolder | None,
        clock: Callable[[], float],
    ) -> None:
        self._keys = keys
        self._trust = trust
        self._store = store
        self._folder = folder
        self._clock = clock

    def open(self, at: SavedRound) -> OpenRound:
        """The round as it was saved; what the store has accepted counts, and the journal's shards again.

        Args:
            at: A round that is signed.

        Raises:
            StoreError, OSError: What is kept could not be read.
        """
        assert at.shard_key is not None
        if self._folder is not None:  # before there is anything to erase
            header = SignedHeader.from_bytes(at.signed_header, self._trust).header
            self._folder.keep_until(header.hash, header.audit_deadline)
        role = Aggregator(
            self._keys, at.shard_key, self._trust, at.signed_header, store=self._store, clock=self._clock
        )
        header = role.header
        size = rs.shard_bytes(header.packet_bytes, header.shard_k, header.shard_n)
        journal = None if self._folder is None else _journal(self._folder, role, size)
        return OpenRound(at.signed_header, header, role, size, at.until, journal)


def _journal(folder: RoundFolder, role: Aggregator, shard_bytes: int) -> ShardJournal:
    """The journal of a round, whose shards the role gets while it collects."""
    header = role.header
    journal = ShardJournal(folder.shards(header), shard_bytes, header.max_contributors * header.shard_n)
    if role.state is not State.COLLECTING:
        journal.remove()
        return journal
    try:
        with contextlib.suppress(ProtocolError):  # after the deadline: the round says so itself
            for shard in journal:
                role.receive_shard(shard, "journal")
    except BaseException:
        journal.close()
        raise
    return journal

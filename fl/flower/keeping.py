"""What the server keeps of a round: its packets until it has ended, and a record until its audit deadline.

A packet holds shares for every member; with the keys of ``t`` of them, stolen or handed over, it opens.  So
packets are erased as soon as nothing needs them: when a round was opened, when it failed, and at the latest
when a run begins on the same store, since Flower's rounds do not go on after a restart.  A record for an
audit has the ciphertexts and what opens their sum, and no member's packets.
"""

from __future__ import annotations

import contextlib
import os
import re
import time
from pathlib import Path

from ..aggregator import Aggregator
from ..stores import AggregatorStore
from .messages import log

_RECORD = re.compile(r"[0-9a-f]{32}-(\d{1,16})\.audit(?:\.part)?")


class Keeping:
    """Packets and records of one server.

    Args:
        store: Where aggregators spool packets; nobody else's.
        audits: Folder for records; None: there are none.

    Raises:
        OSError: The folder cannot be made.
        StoreError: The store fails.
    """

    def __init__(self, store: AggregatorStore, audits: Path | None) -> None:
        self._store = store
        self._audits = audits
        self._open: set[bytes] = set()
        if audits is not None:
            audits.mkdir(mode=0o700, parents=True, exist_ok=True)
        # A store in memory is new; one on disk may come from a process that was killed in a round.
        kept: dict[bytes, object] = getattr(store, "kept_rounds", dict)()
        for header_hash in kept:
            store.erase(header_hash)
        if kept:
            log.warning("erased the packets of %d rounds that an earlier run left", len(kept))

    def begin(self, aggregator: Aggregator) -> None:
        """A round begins: what was open before it has failed; records past their deadline go."""
        self.end()
        self._open.add(aggregator.header.hash)

    def finish(self, aggregator: Aggregator, published: bytes) -> None:
        """A round was opened: its record is written, if records are, and its packets go.

        Raises:
            OSError: The record could not be written; the packets stay until :meth:`end`.
        """
        if self._audits is not None:
            header = aggregator.header
            path = self._audits / f"{header.hash.hex()[:32]}-{header.audit_deadline}.audit"
            part = path.with_suffix(".audit.part")
            with open(
                os.open(part, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o600), "wb"
            ) as file:
                aggregator.write_audit(published, file)
                file.flush()
                os.fsync(file.fileno())
            part.replace(path)
        self._erase(aggregator.header.hash)

    def end(self) -> None:
        """A run ends, or the next round begins: nothing of a round stays but records until their deadline."""
        for header_hash in list(self._open):
            self._erase(header_hash)
        if self._audits is None:
            return
        for path in self._audits.iterdir():
            found = _RECORD.fullmatch(path.name)
            if found is not None and int(found[1]) < time.time():
                with contextlib.suppress(FileNotFoundError):
                    path.unlink()

    def _erase(self, header_hash: bytes) -> None:
        self._store.erase(header_hash)
        self._open.discard(header_hash)

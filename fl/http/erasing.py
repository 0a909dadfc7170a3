"""What an aggregator's service forgets: packets after the audit deadline, and results beyond those kept."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Final

from ..stores import AggregatorStore
from .base import RoleThread
from .health import BackOff, Health, reason_of
from .logs import log
from .records import Records
from .state import RoundFolder

_EVERY_S: Final = 10.0


class Eraser:
    """Erases rounds however they ended, also those of processes that are no more.

    Args:
        store: Of the packets.
        folder: Of the rounds, or None.
        records: Of the results, or None.
        thread: Where all of them are used.
        health: Told when it fails; it is tried again.
        keep_results: Rounds whose results stay after the audit deadline.
        latest_s: Seconds from now until a round of which nothing is known can have its audit deadline.
        clock: Unix seconds.

    Attributes:
        audits: Header hash -> audit deadline of rounds whose packets are kept.
    """

    def __init__(
        self,
        store: AggregatorStore,
        folder: RoundFolder | None,
        records: Records | None,
        thread: RoleThread,
        health: Health,
        *,
        keep_results: int,
        latest_s: float,
        clock: Callable[[], float],
    ) -> None:
        self._store = store
        self._folder = folder
        self._records = records
        self._thread = thread
        self._health = health
        self._keep_results = keep_results
        self._latest_s = latest_s
        self._clock = clock
        self.audits: dict[bytes, int] = {}

    async def run(self, is_at_work: Callable[[bytes], bool]) -> None:
        """Until it is cancelled.

        Args:
            is_at_work: Whether a round may still go on, by the hash of its header: such a one is not erased.
        """
        pause, looked = BackOff(), False
        while True:
            try:
                if not looked:
                    self.audits |= await self._thread(self._on_disk)
                    looked = True
                await self._erase_due(is_at_work)
            except Exception as error:
                self._health.ill("erasing", reason_of(error))
                log("error", "not erased", exc_info=True)
                await asyncio.sleep(pause.seconds())
            else:
                self._health.well("erasing")
                pause.reset()
                await asyncio.sleep(_EVERY_S)

    def _on_disk(self) -> dict[bytes, int]:
        if self._folder is None:
            return {}
        kept, audits = self._store.kept_rounds(), self._folder.audits()
        latest = int(self._clock() + self._latest_s)
        for digest in kept.keys() - audits.keys():
            self._folder.keep_until(digest, latest)
            audits[digest] = latest
        return audits

    async def _erase_due(self, is_at_work: Callable[[bytes], bool]) -> None:
        now = self._clock()
        for digest in [digest for digest, second in self.audits.items() if now > second]:
            if is_at_work(digest):  # now: another round may have begun since the one before was erased
                continue
            await self._thread(self._store.erase, digest)
            if self._folder is not None:
                await self._thread(self._folder.forget, digest)
            del self.audits[digest]
            log("info", "packets erased", header=digest.hex())
        if self._records is not None:
            gone = await self._thread(self._records.prune, self._keep_results, set(self.audits))
            if gone:
                log("info", "results erased", rounds=gone)

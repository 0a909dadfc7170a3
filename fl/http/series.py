"""Rounds one after the other, each from its header to its result, and through what can go wrong.

A disk that is full, a store that fails, members that are away: that passes, and is waited for, and the
service says meanwhile that it is not well.  A round that cannot give a result any more is left behind and
ends the series, because its model is used up.  After a restart everything goes on from the state folder.
"""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import replace
from typing import Final

from ..._ext.errors import SottovoceError, StoreError
from ..aggregator import State
from ..closing import RoundResult
from ..errors import ProtocolError, Reason
from ..model import model_digest
from . import model_bytes
from .asking import MemberState
from .base import RoleThread
from .erasing import Eraser
from .errors import TransportError
from .health import BackOff, Health, reason_of
from .logs import log
from .model_bytes import Arrays
from .open_round import Opener, OpenRound
from .proposing import Proposer
from .records import Records
from .round_plan import RoundPlan
from .rounds import Committee
from .state import RoundFolder, SavedRound
from .status import RoundStatus, refused_by_kind, shown

_KEPT_RESULTS: Final = 8
_TICK_S: Final = 0.2
_ROOM_S: Final = 5.0
"""How often a disk that took no shard is looked at: perhaps nobody sends another one."""


class RoundSeries:
    """The rounds of one aggregator, made of the parts that it shares with its service.

    Args:
        plan: The rounds.
        model: The first global model.
        committee: The members.
        proposer: Makes headers.
        opener: Opens rounds.
        eraser: Forgets what is due.
        folder: Keeps where the series is; or None.
        records: Keeps the results, where there is a folder.
        health: Told what is not well; that of ``eraser``.
        thread: Where all of them are used.
        clock: Unix seconds.

    Attributes:
        status: Where the round is.
        health: What is not well.
        finished: Set when no more rounds come.
    """

    def __init__(
        self,
        plan: RoundPlan,
        model: Arrays,
        committee: Committee,
        proposer: Proposer,
        opener: Opener,
        eraser: Eraser,
        folder: RoundFolder | None,
        records: Records | None,
        health: Health,
        thread: RoleThread,
        clock: Callable[[], float],
    ) -> None:
        self._plan = plan
        self._committee = committee
        self._proposer = proposer
        self._opener = opener
        self._eraser = eraser
        self._folder = folder
        self._records = records
        self._clock = clock
        self._thread = thread
        self._use_model(model)
        self._at: SavedRound | None = None  # where the series is; None: not looked yet
        self._open: OpenRound | None = None  # the last one that was seen by clients
        self._going = False  # whether it still goes on
        self._reread = False  # a step failed: what the store says is what is
        self._results: OrderedDict[str, bytes] = OrderedDict()  # without a folder
        self._close_now = asyncio.Event()
        self._pause = BackOff()
        self._bytes = 0
        self.status = RoundStatus()
        self.health = health
        self.finished = asyncio.Event()

    def _use_model(self, model: Arrays) -> None:
        """One buffer, for all who fetch it."""
        self._model = model
        self._model_bytes = model_bytes.dump(model)

    # -- the series -------------------------------------------------------------------------------

    async def run(self) -> None:
        """All rounds; returns when there are no more, or one has failed."""
        try:
            while True:
                try:
                    if not await self._next_round():
                        break
                except Exception as error:
                    if not self._passes(error):
                        await self._fail(error)
                        return
                    await self._wait_out(error)
            self.status = replace(self.status, state="ended")
            log("info", "no more rounds", results=self.status.results)
        finally:
            self.finished.set()

    async def erase(self) -> None:
        """Erase what is due, until it is cancelled."""
        await self._eraser.run(self._is_at_work)

    def _is_at_work(self, header_hash: bytes) -> bool:
        """Whether this round may still go on: it says itself when its time is over."""
        if self._going:
            return self._open is not None and self._open.header.hash == header_hash
        # After a start it is not known which one it is until it goes on.
        return not self.finished.is_set() and (self._at is None or self._at.signed)

    async def _next_round(self) -> bool:
        """One round, from wherever it is; False: there are no more."""
        if self._at is None:
            self._at = await self._thread(self._load)
            self._use_model(self._at.model)
        if not self._going:
            if not self._at.signed and self._at.done >= self._plan.rounds:
                self.status = replace(self.status, results=self._at.done)
                return False
            await self._start(self._at)
        elif self._reread:
            self._open = await self._thread(self._read_again, self._at)
            self._reread = False
        opened = self._open
        assert opened is not None
        await self._go_on(opened)
        return True

    def _load(self) -> SavedRound:
        """Where the series was when the last process ended.

        Raises:
            ProtocolError: Its last round failed, and there is no new model (:attr:`Reason.MODEL_REUSED`).
        """
        given, first = model_digest(self._model), self._plan.first_round
        saved = self._folder.load() if self._folder is not None else None
        if saved is None:
            return SavedRound(b"", None, self._model, 0, first, given=given)
        self._committee.check_first |= saved.check_first
        if saved.failed:
            if given in (saved.given, model_digest(saved.model)):
                raise ProtocolError(Reason.MODEL_REUSED, "the last round failed; a new model is needed")
            saved = replace(saved, model=self._model, given=given, failed=False)
        if not saved.signed and saved.next_round < first:
            saved = replace(saved, signed_header=b"", shard_key=None, next_round=first)
        return saved

    async def _keep(self, at: SavedRound) -> None:
        """What :attr:`_at` is from here on, on the disk first."""
        at = replace(at, check_first=self._committee.check_first)
        if self._folder is not None:
            await self._thread(self._folder.save, at)
        self._at = at

    def _passes(self, error: Exception) -> bool:
        """Whether it may be gone when the same is tried again."""
        if isinstance(error, (OSError, StoreError)):
            return True
        if isinstance(error, TransportError):
            return error.retryable
        if not isinstance(error, ProtocolError) or error.reason is not Reason.NO_QUORUM or not self._going:
            return False
        assert self._open is not None
        away = self._committee.count(MemberState.WAITING, MemberState.SILENT)
        return away > 0 and self._clock() <= self._open.header.deadline

    async def _wait_out(self, error: Exception) -> None:
        if isinstance(error, (OSError, StoreError)):
            # While collecting, packets and shards wait in the role; of closing, steps may be in the store.
            self._reread = self._going and self.status.state == "closing"
        seconds = self._pause.seconds()
        self.health.ill("rounds", reason_of(error))
        self.status = replace(self.status, error=reason_of(error))
        log("error", "rounds wait", round=self.status.round_number, reason=str(error), again_s=seconds)
        await asyncio.sleep(seconds)

    def _recovered(self) -> None:
        self.health.well("rounds")
        self._pause.reset()

    async def _fail(self, error: Exception) -> None:
        reason = reason_of(error)
        known = isinstance(error, SottovoceError)
        text = {"reason": str(error)} if known else {}
        log("error", "round failed", round=self.status.round_number, exc_info=not known, **text)
        at = self._at
        # A bug, or keys that are not there, may be gone after a restart; a refused round is over.
        over = isinstance(error, ProtocolError) or (known and at is not None and self._clock() > at.deadline)
        self._tell_failed(reason)
        while at is not None and at.signed and over:
            try:
                await self._thread(self._leave_behind, at)
                break
            except (OSError, StoreError) as trouble:
                await self._wait_out(trouble)
                self._tell_failed(reason)
            except Exception:
                log("error", "round not left behind", round=self.status.round_number, exc_info=True)
                break
        self._going = False

    def _tell_failed(self, reason: str) -> None:
        self.health.ill("rounds", reason)
        members = self._members() if self._going else self.status.members
        self.status = replace(self.status, state="failed", error=reason, members=members)

    def _leave_behind(self, at: SavedRound) -> None:
        """A round that gives no result: its packets go after the audit deadline, its model is used up."""
        if self._going and self._open is not None:
            self._open.drop_journal()
            if self._records is not None:
                self._records.keep_convictions(self._open.role)
        if self._folder is not None:
            self._folder.save(
                replace(
                    at,
                    signed_header=b"",
                    shard_key=None,
                    signed=False,
                    next_round=at.next_round + 1,
                    failed=True,
                    check_first=self._committee.check_first,
                )
            )

    # -- one round --------------------------------------------------------------------------------

    async def _start(self, at: SavedRound) -> None:
        """Open the round that was saved, or a new one."""
        self._committee.begin()
        self._close_now.clear()
        self.health.well("shards")
        self._bytes = 0
        self.status = RoundStatus(
            round_number=at.next_round, results=at.done, error=self.status.error if self.health.reason else ""
        )
        if not at.signed:
            at = await self._proposer.sign(at, self._keep)
        opened = await self._thread(self._opener.open, at)
        self._eraser.audits[opened.header.hash] = opened.header.audit_deadline
        self._open, self._going, self._reread = opened, True, False

    def _read_again(self, at: SavedRound) -> OpenRound:
        if self._open is not None:
            self._open.close_journal()
        return self._opener.open(at)

    async def _go_on(self, opened: OpenRound) -> None:
        if opened.role.state is State.COLLECTING:
            self._tell("collecting")
            log("info", "collecting", round=opened.header.round_number, header=opened.header.hash.hex())
            await self._collect(opened)
        self.health.well("shards")  # no more of them are kept
        self._tell("closing")
        # In the thread that appends to the journal, after the last one, and after the set is fixed.
        result = await self._committee.finish(
            opened.role, opened.signed_header, self._thread, closed=opened.drop_journal
        )
        published = await self._thread(opened.role.publish, result)
        await self._conclude(opened, result, published)

    async def _conclude(self, opened: OpenRound, result: RoundResult, published: bytes) -> None:
        assert self._at is not None
        if self._records is not None:  # it is read from the disk, and by nobody before it is there
            await self._thread(self._records.keep_result, opened.role, published)
        else:
            self._results[opened.header.hash.hex()] = published
            while len(self._results) > _KEPT_RESULTS:
                self._results.popitem(last=False)
        done, number, model = self._at.done + 1, opened.header.round_number, self._next_model(opened, result)
        await self._keep(SavedRound(b"", None, model, 0, number + 1, done=done, given=self._at.given))
        self._use_model(model)
        self._going = False
        self._recovered()
        self._tell("done")
        log("info", "done", round=number, contributors=result.agreed.count, refused=self.status.refused)

    async def _collect(self, opened: OpenRound) -> None:
        """Until it is time, enough are here, or somebody says so; with too few, to the deadline."""
        close_at, looked = self._plan.close_at, time.monotonic()
        while True:
            await self._thread(opened.role.process)
            if self.health.is_ill("shards") and time.monotonic() - looked > _ROOM_S:
                await self._thread(self._look_for_room, opened)
                looked = time.monotonic()
            self._recovered()
            self._tell("collecting")
            accepted, now = self.status.accepted, self._clock()
            enough = accepted >= opened.header.min_contributors
            if now > opened.header.deadline:
                raise ProtocolError(
                    Reason.TOO_FEW, f"{opened.header.min_contributors} needed, {accepted} present",
                    round_id=opened.header.hash,
                )  # fmt: skip
            if enough and (now > opened.until or self._close_now.is_set() or (0 < close_at <= accepted)):
                return
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._close_now.wait() if enough else asyncio.sleep(_TICK_S), _TICK_S)

    def _look_for_room(self, opened: OpenRound) -> None:
        if opened.journal is not None:
            with contextlib.suppress(OSError):
                opened.journal.check()
                self.health.well("shards")

    def _next_model(self, opened: OpenRound, result: RoundResult) -> Arrays:
        means = opened.header.layout.unflatten(result.mean)
        if self._plan.replace:
            return means
        return [(a + m).astype(a.dtype) for a, m in zip(self._model, means, strict=True)]

    def _members(self) -> dict[str, str]:
        return {shown(name): state.value for name, state in self._committee.states.items()}

    def _tell(self, state: str) -> None:
        opened = self._open
        assert opened is not None
        assert self._at is not None
        header, role = opened.header, opened.role
        self.status = RoundStatus(
            state=state,
            round_number=header.round_number,
            header_hash=header.hash.hex(),
            until=opened.until,
            deadline=header.deadline,
            accepted=len(role.accepted),
            needed=header.min_contributors,
            most=header.max_contributors,
            refused=refused_by_kind(role),
            shards=role.shard_stats["received"],
            n_bytes=self._bytes,
            members=self._members(),
            results=self._at.done,
        )

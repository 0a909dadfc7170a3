"""The aggregator as a service: rounds one after the other, shards from relays, results for everybody."""

from __future__ import annotations

import asyncio
import contextlib
import hmac
import time
from collections import Counter
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Final

import httpx
from starlette.requests import Request
from starlette.responses import HTMLResponse, PlainTextResponse, Response
from starlette.types import ASGIApp

from ... import clsc
from ..._ext.errors import ParameterError, StoreError
from ..server import ServerKeys
from ..stores import AggregatorStore, MemoryAggregatorStore
from .asking import Patience
from .base import RoleThread, application, bytes_answer, cbor_answer, route
from .downloads import Buffer, Downloads
from .erasing import Eraser
from .errors import Refusal
from .guard import Limits, read_body, source_of
from .health import Health, is_full, reason_of
from .journal import JournalFullError
from .logs import log
from .metrics import Metrics
from .model_bytes import Arrays
from .open_round import Opener, OpenRound
from .outgoing import quiet_client
from .page import CONTENT_SECURITY_POLICY, page
from .proposing import Proposer
from .records import Records
from .round_plan import RoundPlan
from .rounds import Committee
from .series import RoundSeries
from .state import RoundFolder
from .status import shown

_TOKEN_BYTES: Final = 16
_FULL_S: Final = 60
"""When who found no room for its shards may come again: until then a round has rarely ended."""


class AggregatorService(RoundSeries):
    """One aggregator and its rounds.

    Args:
        keys: Its keys, of the epoch of the rounds.
        trust: What it believes.
        sender_params: Of the contributors' keys; their mode and epoch.
        members: Name -> URL of the committee, 4 to 64, in the order of the headers.
        model: The first global model, float arrays of any shapes; kept, never written.
        plan: The rounds.
        patience: For members; the usual if None.
        store: Keeps what was accepted; in memory if None.
        folder: Keeps what a restart needs to go on with a round; None: nothing is kept.
        keep_results: Results, with audit records and convictions, of so many rounds stay in the folder; of
            rounds before their audit deadline in any case.
        control_token: Who shows it may end the collecting, at least 16 bytes; None: nobody may.
        bounds: Limits of requests; the usual if None.
        client: Talks to members; made if None, and closed in any case.
        clock: Unix seconds.

    Attributes:
        app: The ASGI application; its lifespan runs the rounds.
        status: Where the round is.
        health: What is not well.
        finished: Set when no more rounds come.

    Raises:
        ParameterError: Too short a ``control_token``, or a negative ``keep_results``.

    Timing: with ``keys`` as :class:`sottovoce.fl.Aggregator`; a token that is shown is compared in a time
        that depends on lengths only.
    Source: docs/fl-http.md, "Endpoints"; the round is docs/fl.md, "What happens".
    """

    def __init__(
        self,
        keys: ServerKeys,
        trust: clsc.TrustStore,
        sender_params: clsc.EpochParams,
        members: dict[bytes, str],
        model: Arrays,
        plan: RoundPlan,
        *,
        patience: Patience | None = None,
        store: AggregatorStore | None = None,
        folder: Path | None = None,
        keep_results: int = 16,
        control_token: bytes | None = None,
        bounds: Limits | None = None,
        client: httpx.AsyncClient | None = None,
        clock: Callable[[], float] = time.time,
    ) -> None:
        if control_token is not None and len(control_token) < _TOKEN_BYTES:
            raise ParameterError(f"control token: at least {_TOKEN_BYTES} bytes expected")
        if keep_results < 0:
            raise ParameterError("keep_results: no negative number expected")
        self._keys = keys
        self._client = client if client is not None else quiet_client()
        self._store = store if store is not None else MemoryAggregatorStore()
        state = RoundFolder(folder) if folder is not None else None
        records = Records(state.results) if state is not None else None
        committee = Committee(members, self._client, patience)
        thread, health = RoleThread("aggregator"), Health()
        eraser = Eraser(
            self._store, state, records, thread, health, keep_results=keep_results,
            latest_s=plan.collect_s + plan.close_s + plan.audit_s, clock=clock,
        )  # fmt: skip
        proposer = Proposer(keys, trust, sender_params, committee, plan, state, thread, clock)
        opener = Opener(keys, trust, self._store, state, clock)
        super().__init__(
            plan, model, committee, proposer, opener, eraser, state, records, health, thread, clock
        )
        self._token = control_token
        self._downloads = Downloads()
        self._no_room: Counter[str] = Counter(source=0, round=0, disk=0)
        metrics = Metrics("aggregator")
        self._watch(metrics)
        routes = [
            route("/", self._page, "GET"),
            route("/v1/round", self._round, "GET"),
            route("/v1/status", self._tell_status, "GET"),
            route("/v1/header", self._header, "GET"),
            route("/v1/model", self._tell_model, "GET"),
            route("/v1/result/{header:str}", self._result, "GET"),
            route("/v1/shard", self._shard, "POST"),
            route("/v1/close", self._close, "POST"),
        ]
        self.app: ASGIApp = application(
            routes,
            metrics,
            bounds if bounds is not None else Limits(),
            self._lifespan,
            lambda: self.health.reason,
        )

    def _watch(self, metrics: Metrics) -> None:
        metrics.watch("accepted", "Contributors that count.", lambda: {"": self.status.accepted})
        metrics.watch("round", "Number of the round.", lambda: {"": self.status.round_number})
        metrics.watch("results", "Rounds that gave a result.", lambda: {"": self.status.results}, counts=True)
        metrics.watch("shards", "Shards of this round.", lambda: {"": self.status.shards})
        metrics.watch("shard_bytes", "Bytes of this round's shards.", lambda: {"": self.status.n_bytes})
        metrics.watch("refused", "Refused in this round.", lambda: self.status.refused, label="kind")
        metrics.watch(
            "no_room", "Shards refused for want of room.", lambda: self._no_room, label="of", counts=True
        )
        metrics.watch("journal_bytes", "Shards on the disk.", lambda: {"": self._journal_bytes})
        metrics.watch("downloads", "Models and results on their way.", lambda: {"": self._downloads.active})
        metrics.watch("downloads_refused", "No place.", lambda: {"": self._downloads.refused}, counts=True)
        metrics.watch(
            "troubles", "Errors that were waited for, or ended the rounds.",
            lambda: dict.fromkeys(("rounds", "shards", "erasing"), 0) | self.health.troubles, label="part",
            counts=True,
        )  # fmt: skip
        metrics.watch("healthy", "What /healthz says: 1 for ok.", lambda: {"": int(not self.health.reason)})
        metrics.watch("state", "1 for the state of the round.", lambda: {self.status.state: 1}, label="state")

    @property
    def _journal_bytes(self) -> int:
        opened = self._open
        return 0 if opened is None else opened.journal_bytes

    @asynccontextmanager
    async def _lifespan(self) -> AsyncIterator[None]:
        running = [asyncio.create_task(self.run()), asyncio.create_task(self.erase())]
        try:
            yield
        finally:
            for task in running:
                task.cancel()
            await asyncio.gather(*running, return_exceptions=True)
            if self._open is not None and self.status.state == "collecting":
                # Complete packets are opened and stored, so that they count at once after a restart.
                with contextlib.suppress(OSError, StoreError):  # their shards are in the journal
                    await self._thread(self._open.role.process)
            if self._open is not None:
                await self._thread(self._open.close_journal)
            await self._thread.end()
            await self._client.aclose()

    # -- endpoints --------------------------------------------------------------------------------

    def _require_round(self) -> OpenRound:
        if self._open is None:
            raise Refusal(404, "no round yet", retry_after_s=1)
        return self._open

    async def _shard(self, request: Request) -> Response:
        opened = self._require_round()
        if self.status.state != "collecting":
            raise Refusal(409, "no longer collecting")
        shard = await read_body(request, at_most=opened.shard_bytes, exactly=opened.shard_bytes)
        await self._thread(self._take, opened, shard, source_of(request))
        self._bytes += len(shard)
        return PlainTextResponse("taken\n", 202)

    def _take(self, opened: OpenRound, shard: bytes, source: tuple[str, int]) -> None:
        # A body may begin in one round and end in the next.
        if opened is not self._open or self.status.state != "collecting":
            raise Refusal(409, "no longer collecting")
        if opened.journal is not None:
            self._append(opened, shard, source)  # before it is acknowledged
        try:
            opened.role.receive_shard(shard, source)
        except (OSError, StoreError) as error:
            # It is taken: the packet that it completed waits, and is tried again when the round goes on.
            self.health.ill("rounds", reason_of(error))
            log("error", "packets wait", reason=str(error))

    def _append(self, opened: OpenRound, shard: bytes, source: tuple[str, int]) -> None:
        assert opened.journal is not None
        try:
            opened.journal.append(shard, source)
            self.health.well("shards")
        except JournalFullError as error:
            self._no_room["source" if error.by_source else "round"] += 1
            if error.by_source:
                raise Refusal(429, "too many shards of this source", retry_after_s=_FULL_S) from None
            raise Refusal(507, "no room for more shards of this round", retry_after_s=_FULL_S) from None
        except OSError as error:
            self._no_room["disk"] += 1
            self.health.ill("shards", reason_of(error))
            log("error", "shard not kept", reason=str(error))
            status = 507 if is_full(error) else 503
            raise Refusal(status, reason_of(error), retry_after_s=_FULL_S) from None

    async def _round(self, _: Request) -> Response:
        opened, status = self._require_round(), self.status
        return cbor_answer(
            {
                "v": 1,
                "round": opened.header.round_number,
                "header": opened.header.hash,
                "shard_bytes": opened.shard_bytes,
                "state": status.state,
                "until": opened.until,
            }
        )

    async def _tell_status(self, _: Request) -> Response:
        return cbor_answer(self.status.fields())

    async def _header(self, _: Request) -> Response:
        return bytes_answer(self._require_round().signed_header)

    async def _tell_model(self, request: Request) -> Response:
        self._require_round()
        return self._downloads.answer(request, self._model_bytes)

    async def _result(self, request: Request) -> Response:
        name = request.path_params["header"]
        result: Buffer | None = self._results.get(name)
        if result is None and self._records is not None:
            result = await asyncio.to_thread(self._records.result, name)  # the role may be busy for long
        if result is None:
            raise Refusal(404, "no such result")
        return self._downloads.answer(request, result)

    async def _close(self, request: Request) -> Response:
        await read_body(request, at_most=0)
        given = request.headers.get("authorization", "").removeprefix("Bearer ").encode()
        if self._token is None or not hmac.compare_digest(given, self._token):
            raise Refusal(403, "not allowed")
        if self.status.state != "collecting":
            raise Refusal(409, "not collecting")
        if self.status.accepted < self.status.needed:
            raise Refusal(409, "too few contributors")
        self._close_now.set()
        return PlainTextResponse("closing\n", 202)

    async def _page(self, _: Request) -> Response:
        text = page(self.status, shown(self._keys.public.name), self._clock())
        return HTMLResponse(
            text,
            headers={"content-security-policy": CONTENT_SECURITY_POLICY, "cache-control": "no-store"},
        )

"""The aggregator as a service: rounds one after the other, shards from relays, results for everybody."""

from __future__ import annotations

import asyncio
import contextlib
import hmac
import time
from collections import OrderedDict
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final

import httpx
import numpy as np
from numpy.typing import NDArray
from starlette.requests import Request
from starlette.responses import HTMLResponse, PlainTextResponse, Response
from starlette.types import ASGIApp

from ... import clsc, rs
from ..._ext.errors import ParameterError, SottovoceError
from ..aggregator import Aggregator, State
from ..closing import RoundResult
from ..errors import ProtocolError, Reason
from ..header import RoundHeader
from ..plan import plan_round
from ..server import ServerKeys
from ..signed import SignedHeader
from ..stores import AggregatorStore, MemoryAggregatorStore
from . import model_bytes
from .base import BYTES, RoleThread, application, bytes_answer, cbor_answer, is_digest, route
from .errors import Refusal
from .guard import Limits, read_body, source_of
from .journal import ShardJournal
from .logs import log
from .metrics import Metrics
from .outgoing import quiet_client
from .page import CONTENT_SECURITY_POLICY, page
from .rounds import Committee, Patience
from .state import RoundFolder, SavedRound
from .status import RoundStatus, refused_by_kind, shown

_KEPT_RESULTS: Final = 8
_TICK_S: Final = 0.2
_ERASE_S: Final = 10.0
_TOKEN_BYTES: Final = 16

Arrays = list[NDArray[np.floating]]


@dataclass(frozen=True)
class RoundPlan:
    """What the rounds of one aggregator have in common.

    Attributes:
        clip: Values are clipped to ``[-clip, clip]``.
        rounds: How many, one after the other.
        first_round: Number of the first; with a state folder the one after the last.
        collect_s: Seconds for which a round collects at most.
        close_at: Collecting ends as soon as so many count; 0: only with time, or on command.
        close_s: Seconds from there to the header's deadline, for checking and answering.
        audit_s: Ciphertexts are kept for this long after the deadline.
        min_contributors, max_contributors, max_examples, shard_k, shard_n: As of
            :func:`sottovoce.fl.plan_round`.
        replace: The mean is the next model; else it is added to the model.

    Raises:
        ParameterError: A number out of its range.
    """

    clip: float
    rounds: int = 1
    first_round: int = 1
    collect_s: float = 600.0
    close_at: int = 0
    close_s: float = 600.0
    audit_s: float = 86_400.0
    min_contributors: int = 8
    max_contributors: int = 1024
    max_examples: int = 0
    shard_k: int = 2
    shard_n: int = 3
    replace: bool = False

    def __post_init__(self) -> None:
        if self.rounds < 1 or self.first_round < 0 or self.close_at < 0:
            raise ParameterError("plan: at least one round, and no negative number, expected")
        if not (self.collect_s > 0 and self.close_s > 0 and self.audit_s >= 0):
            raise ParameterError("plan: positive times expected")


@dataclass(frozen=True)
class _Open:
    """A round that clients can see."""

    signed_header: bytes
    header: RoundHeader
    role: Aggregator
    shard_bytes: int
    until: int  # unix seconds: collecting ends
    journal: ShardJournal | None


class AggregatorService:
    """One aggregator and its rounds.

    Args:
        keys: Its keys.
        trust: What it believes.
        sender_params: Of the contributors' keys.
        members: Name -> URL of the committee, in order.
        model: The first global model, float arrays.
        plan: The rounds.
        patience: For members.
        store: Keeps what was accepted; in memory if None.
        folder: Keeps what a restart needs to go on with a round; None: nothing is kept.
        control_token: Who shows it may end the collecting; None: nobody may.
        bounds: Limits of requests.
        client: Talks to members; made if None.

    Attributes:
        app: The ASGI application.
        status: Where the round is.
        finished: Set when no more rounds come.
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
        control_token: bytes | None = None,
        bounds: Limits | None = None,
        client: httpx.AsyncClient | None = None,
        clock: Callable[[], float] = time.time,
    ) -> None:
        if control_token is not None and len(control_token) < _TOKEN_BYTES:
            raise ParameterError(f"control token: at least {_TOKEN_BYTES} bytes expected")
        self._keys = keys
        self._trust = trust
        self._sender_params = sender_params
        self._model = model
        self._plan = plan
        self._store = store if store is not None else MemoryAggregatorStore()
        self._folder = RoundFolder(folder) if folder is not None else None
        self._token = control_token
        self._clock = clock
        self._client = client if client is not None else quiet_client()
        self._committee = Committee(members, self._client, patience)
        self._thread = RoleThread("aggregator")
        self._open: _Open | None = None
        self._results: OrderedDict[str, bytes] = OrderedDict()
        self._audits = self._folder.audits() if self._folder is not None else {}
        self._close_now = asyncio.Event()
        self._bytes = 0
        self.status = RoundStatus()
        self.finished = asyncio.Event()
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
            routes, metrics, bounds if bounds is not None else Limits(), self._lifespan
        )

    def _watch(self, metrics: Metrics) -> None:
        metrics.watch("accepted", "Contributors that count.", lambda: {"": self.status.accepted})
        metrics.watch("round", "Number of the round.", lambda: {"": self.status.round_number})
        metrics.watch("results", "Rounds that gave a result.", lambda: {"": self.status.results}, counts=True)
        metrics.watch("shards", "Shards of this round.", lambda: {"": self.status.shards})
        metrics.watch("shard_bytes", "Bytes of this round's shards.", lambda: {"": self.status.n_bytes})
        metrics.watch("refused", "Refused in this round.", lambda: self.status.refused, label="kind")
        metrics.watch("state", "1 for the state of the round.", lambda: {self.status.state: 1}, label="state")

    # -- rounds -----------------------------------------------------------------------------------

    @asynccontextmanager
    async def _lifespan(self) -> AsyncIterator[None]:
        running = [asyncio.create_task(self._run()), asyncio.create_task(self._erase_after_audits())]
        try:
            yield
        finally:
            for task in running:
                task.cancel()
            await asyncio.gather(*running, return_exceptions=True)
            if self._open is not None and self.status.state == "collecting":
                # Complete packets are opened and stored, so that they count at once after a restart.
                await self._thread(self._open.role.process)
            self._thread.stop()
            await self._client.aclose()

    async def _run(self) -> None:
        try:
            saved = await self._thread(self._folder.load) if self._folder is not None else None
            number = self._plan.first_round if saved is None else saved.next_round
            for done in range(self._plan.rounds):
                await self._one_round(number + done, saved if done == 0 else None)
        except SottovoceError as error:
            self.status = replace(self.status, state="failed", error=str(error))
            log("error", "round failed", round=self.status.round_number, reason=str(error))
        except Exception:
            self.status = replace(self.status, state="failed", error="internal error")
            log("error", "round failed", round=self.status.round_number, exc_info=True)
        else:
            self.status = replace(self.status, state="ended")
            log("info", "no more rounds", results=self.status.results)
        self.finished.set()

    async def _one_round(self, number: int, saved: SavedRound | None) -> None:
        self._committee.begin()
        self._close_now.clear()
        self._bytes = 0
        self.status = RoundStatus(round_number=number, results=self.status.results)
        if saved is not None:
            self._model = saved.model
        if saved is not None and saved.signed_header:
            opened = await self._thread(self._reopen, saved)
        else:
            opened = await self._begin(number)
        self._open = opened
        if opened.role.state is State.COLLECTING:
            self._tell("collecting")
            log("info", "collecting", round=opened.header.round_number, header=opened.header.hash.hex())
            await self._collect(opened)
        self._tell("closing")
        if opened.journal is not None:
            await self._thread(opened.journal.remove)  # in the thread that appends, after the last one
        result = await self._committee.finish(opened.role, opened.signed_header, self._thread)
        published = await self._thread(opened.role.publish, result)
        self._model = self._next_model(opened.header, result)
        self._results[opened.header.hash.hex()] = published
        while len(self._results) > _KEPT_RESULTS:
            self._results.popitem(last=False)
        if self._folder is not None:
            await self._thread(self._folder.finish, opened.header, published, self._model)
        self._audits[opened.header.hash] = opened.header.audit_deadline
        self.status = replace(self.status, results=self.status.results + 1)
        self._tell("done")
        log("info", "done", round=number, contributors=result.agreed.count, refused=self.status.refused)

    async def _erase_after_audits(self) -> None:
        """Forget the packets of rounds whose audit deadline has passed."""
        while True:
            due = [digest for digest, second in self._audits.items() if self._clock() > second]
            for digest in due:
                await self._thread(self._store.erase, digest)
                del self._audits[digest]
                if self._folder is not None:
                    await self._thread(self._folder.forget, digest)
                log("info", "packets erased", header=digest.hex())
            await asyncio.sleep(_ERASE_S)

    async def _begin(self, number: int) -> _Open:
        plan, now = self._plan, int(self._clock())
        identities = await self._committee.identities(self._trust)
        shard_key = rs.ShardKey.generate()
        until = int(now + plan.collect_s)
        deadline = int(until + plan.close_s)
        header = await self._thread(
            plan_round,
            self._model,
            aggregator=self._keys.public,
            members=identities,
            shard_key=shard_key.public_key,
            sender_params=self._sender_params,
            trust=self._trust,
            round_number=number,
            clip=plan.clip,
            deadline=deadline,
            audit_deadline=int(deadline + plan.audit_s),
            max_examples=plan.max_examples,
            min_contributors=plan.min_contributors,
            max_contributors=plan.max_contributors,
            shard_k=plan.shard_k,
            shard_n=plan.shard_n,
        )
        proposal = await self._thread(SignedHeader.propose, header, self._keys)
        signed = await self._committee.cosign(proposal)
        saved = SavedRound(signed.to_bytes(), shard_key, self._model, until, number)
        if self._folder is not None:
            await self._thread(self._folder.begin, saved)  # before anybody hears of it
        return await self._thread(self._reopen, saved)

    def _reopen(self, saved: SavedRound) -> _Open:
        """The round as it was saved; what the store has accepted counts."""
        assert saved.shard_key is not None
        role = Aggregator(
            self._keys,
            saved.shard_key,
            self._trust,
            saved.signed_header,
            store=self._store,
            clock=self._clock,
        )
        header = role.header
        size = rs.shard_bytes(header.packet_bytes, header.shard_k, header.shard_n)
        journal = None
        if self._folder is not None and role.state is State.COLLECTING:
            most = header.max_contributors * header.shard_n
            journal = ShardJournal(self._folder.shards(header), size, most)
            for shard in journal:
                role.receive_shard(shard, "journal")
        return _Open(saved.signed_header, header, role, size, saved.until, journal)

    async def _collect(self, opened: _Open) -> None:
        """Until it is time, enough are here, or somebody says so; with too few, to the deadline."""
        close_at = self._plan.close_at
        while True:
            await self._thread(opened.role.process)
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

    def _next_model(self, header: RoundHeader, result: RoundResult) -> Arrays:
        means = header.layout.unflatten(result.mean)
        if self._plan.replace:
            return means
        return [(a + m).astype(a.dtype) for a, m in zip(self._model, means, strict=True)]

    def _tell(self, state: str) -> None:
        opened = self._open
        assert opened is not None
        header, role = opened.header, opened.role
        stats = role.shard_stats
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
            shards=stats["received"],
            n_bytes=self._bytes,
            members={shown(name): state.value for name, state in self._committee.states.items()},
            results=self.status.results,
        )

    # -- endpoints --------------------------------------------------------------------------------

    def _require_round(self) -> _Open:
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

    def _take(self, opened: _Open, shard: bytes, source: tuple[str, int]) -> None:
        # A body may begin in one round and end in the next.
        if opened is not self._open or self.status.state != "collecting":
            raise Refusal(409, "no longer collecting")
        if opened.journal is not None:
            opened.journal.append(shard)  # before it is acknowledged
        opened.role.receive_shard(shard, source)

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

    async def _tell_model(self, _: Request) -> Response:
        self._require_round()
        return Response(model_bytes.dump(self._model), media_type=BYTES)

    async def _result(self, request: Request) -> Response:
        name = request.path_params["header"]
        result = self._results.get(name)
        if result is None and self._folder is not None and is_digest(name):
            result = await self._thread(self._folder.result, name)
        if result is None:
            raise Refusal(404, "no such result")
        return bytes_answer(result)

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

"""A whole federation in one process: real roles, real bytes, and a network that misbehaves on demand.

Everything that crosses from one role to another is bytes, as it would be between machines; only the
wires are lists.  The embedded runtime of the demo and of tests.
"""

from __future__ import annotations

import os
import time
from collections import Counter
from collections.abc import Callable, Mapping
from contextlib import ExitStack
from dataclasses import dataclass, field
from functools import cached_property
from typing import BinaryIO, Self

import numpy as np
from numpy.typing import NDArray

from .. import clsc, he, rs
from .._ext.errors import ParameterError
from .aggregator import Aggregator
from .authority import Authority
from .client import Client, Sealed
from .closing import RoundResult
from .faults import Faults, Network, Wires
from .header import RoundHeader
from .member import Member
from .meter import Meter, Stage
from .model import Arrays
from .plan import plan_round
from .policy import Policy
from .signed import SignedHeader
from .sqlite_aggregator import SqliteAggregatorStore
from .sqlite_member import SqliteMemberStore
from .sqlite_outbox import SqliteOutbox
from .stores import AggregatorStore, MemberStore, Outbox

__all__ = ["Authority", "Faults", "RoundReport", "Simulation"]

Progress = Callable[[str, int, int], None]
_SHARD_FAULTS = frozenset(
    {"wrong_size", "unopenable", "malformed", "wrong_shape", "contradicting", "over_limit"}
    | {"inconsistent", "evicted", "expired"}
)


@dataclass(frozen=True, eq=False)
class RoundReport:
    """What one simulated round gave, and what it cost.

    Attributes:
        round_number: From 1.
        mean: Weighted mean of the accepted clients' updates, in the model's shapes and dtypes.
        total_weight: Sum of their integer weights.
        accepted: Indices of the clients that counted.
        dropped: Indices of clients whose packets did not survive the network.
        refused: Kind -> count, for everything that was refused.
        injected: Kind -> count, for everything that was done to the round.
        opened_sum: The integers that the aggregator opened, int64 ``(layout.size + 1,)``, weight last.
        expected_sum: The sum of the same clients' encoded integers, taken from the clients.
        stages: Time and bytes by stage, in the order of the protocol.
        wrong_members: Indices, from 1, of members whose answer was found wrong.

    Source: docs/fl.md, "In memory".
    """

    round_number: int
    mean: list[NDArray[np.floating]]
    total_weight: int
    accepted: tuple[int, ...]
    dropped: tuple[int, ...]
    refused: dict[str, int]
    injected: dict[str, int]
    opened_sum: NDArray[np.int64] = field(repr=False)
    expected_sum: NDArray[np.int64] = field(repr=False)
    stages: dict[str, Stage] = field(repr=False)
    wrong_members: tuple[int, ...] = ()

    @property
    def exact(self) -> bool:
        """Whether the opened sum equals the clients' own, bit for bit."""
        return np.array_equal(self.opened_sum, self.expected_sum)


class _Recorder(Client):
    """A client whose encoded integers the simulation can compare the opened sum with."""

    encoded: NDArray[np.int64]

    def _quantize(self, header: RoundHeader, update: Arrays, examples: int | None) -> NDArray[np.int64]:
        self.encoded = super()._quantize(header, update, examples)
        return self.encoded


class _Stores:
    """On disk if there is a folder."""

    def __init__(self, folder: str | os.PathLike[str] | None) -> None:
        if folder is not None and os.listdir(folder):
            raise ParameterError("folder: an empty one expected")
        self._folder = folder
        self._opened = ExitStack()

    def _path(self, name: str) -> str | None:
        return None if self._folder is None else os.path.join(self._folder, f"{name}.sqlite")

    def outbox(self, index: int) -> Outbox | None:
        path = self._path(f"client-{index}")
        return None if path is None else self._opened.enter_context(SqliteOutbox(path))

    def member(self, index: int) -> MemberStore | None:
        path = self._path(f"member-{index}")
        return None if path is None else self._opened.enter_context(SqliteMemberStore(path))

    @cached_property
    def aggregator(self) -> AggregatorStore | None:
        path = self._path("aggregator")
        return None if path is None else self._opened.enter_context(SqliteAggregatorStore(path))

    def close(self) -> None:
        self._opened.close()


class Simulation:
    """An authority, an aggregator, a committee and clients with blind pseudonyms.

    Args:
        template: The model as float16, float32 or float64 arrays: shapes and dtypes of every update.
        n_clients: Clients; at least ``min_contributors``.
        clip: Updates are clipped to ``[-clip, clip]``.
        n_members: Committee, at least 4.
        shard_k: Shards of a packet that suffice.
        shard_n: Shards a packet is cut into.
        min_contributors: Floor in every policy and header; at least 3.
        seed: Of the misbehaving network only; keys and rounding come from the system's generator.
        folder: An empty folder for the stores of all roles; in memory if None.  With one, use the simulation
            as a context manager, or :meth:`close` it.  Packets stay there: nothing here waits for audits.

    Raises:
        ParameterError: Impossible sizes, or a folder that is not empty: what is in it is of other keys.
        StoreError, OSError: The folder cannot be used.

    Source: docs/fl.md, "In memory".
    """

    def __init__(
        self,
        template: Arrays,
        n_clients: int = 20,
        *,
        clip: float,
        n_members: int = 5,
        shard_k: int = 3,
        shard_n: int = 5,
        min_contributors: int = 8,
        seed: int = 0,
        folder: str | os.PathLike[str] | None = None,
    ) -> None:
        if n_clients < min_contributors:
            raise ParameterError(
                f"n_clients: at least min_contributors ({min_contributors}) expected, got {n_clients}"
            )
        self.layout = he.ModelLayout.of(template)
        self.clip = clip
        self.shard_k, self.shard_n = shard_k, shard_n
        self.min_contributors = min_contributors
        self.round_number = 0
        setup = Meter()
        now = int(time.time())
        epoch = b"simulated epoch"
        with setup.stage("set up authority"):
            self._authority = Authority(epoch, now, valid_s=86_400)
            self._trust = self._authority.trust()
        names = [b"aggregator", *(f"member-{j}".encode() for j in range(1, n_members + 1))]
        with setup.stage("issue server keys"):
            self._aggregator_keys, *self._member_keys = [self._authority.server(name) for name in names]
        self._policy = Policy(
            aggregators=frozenset(names[:1]), members=frozenset(names[1:]), min_contributors=min_contributors
        )
        self._shard_key = rs.ShardKey.generate()
        pseudonyms = []
        for index in range(n_clients):
            with setup.stage("issue pseudonyms"):
                pseudonyms.append(self._authority.pseudonym(f"device-{index}"))
        self._stores = stores = _Stores(folder)
        self._clients = [
            _Recorder(key, self._trust, self._policy, outbox=stores.outbox(i))
            for i, key in enumerate(pseudonyms)
        ]
        self._members = [
            Member(keys, self._trust, self._policy, store=stores.member(j))
            for j, keys in enumerate(self._member_keys, 1)
        ]
        self.setup_stages: dict[str, Stage] = setup.stages
        earlier = self._seal_earlier(pseudonyms[0], template)
        self._network = Network(seed, epoch, self._trust, self._policy, earlier)

    def close(self) -> None:
        """Close the stores of a ``folder``; again changes nothing."""
        self._stores.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    @property
    def root_public_key(self) -> bytes:
        """The issuer's root key, the one thing that all believe without proof; 32 bytes."""
        return self._authority.root_public_key

    @property
    def pids(self) -> tuple[bytes, ...]:
        """The clients' pseudonyms, by index."""
        return tuple(client.pid for client in self._clients)

    def run_round(
        self,
        global_model: Arrays,
        updates: Mapping[int, tuple[Arrays, int]],
        *,
        faults: Faults | None = None,
        progress: Progress | None = None,
        audit: BinaryIO | None = None,
    ) -> RoundReport:
        """One round: every client in ``updates`` contributes, the network does as ``faults`` says.

        Args:
            global_model: What the clients trained on.
            updates: Client index -> (arrays of the layout, number of examples at least 1).
            faults: None: none.
            progress: Called with stage, done and total.
            audit: Gets the record with which :func:`sottovoce.fl.audit_round` recomputes the sum.

        Raises:
            ProtocolError: The round failed: too few contributors survived, no quorum, or no opening.
            ParameterError: An unknown client, or arrays of another layout.
        """
        faults = faults if faults is not None else Faults()
        tell: Progress = progress if progress is not None else (lambda stage, done, total: None)
        if not updates or not all(0 <= i < len(self._clients) for i in updates):
            raise ParameterError(f"updates: client indices 0 to {len(self._clients) - 1} expected")
        self.round_number += 1
        meter = Meter()
        injected: Counter[str] = Counter()
        present = self._present_members(faults)
        injected["members absent"] = len(self._members) - len(present)
        for member in self._members:
            member._meter = meter
        max_examples = max(examples for _, examples in updates.values())
        signed_header = self._make_header(global_model, self.round_number, max_examples, present)
        aggregator = Aggregator(
            self._aggregator_keys,
            self._shard_key,
            self._trust,
            signed_header,
            store=self._stores.aggregator,
            meter=meter,
        )

        wires: Wires = []
        for done, (index, (update, examples)) in enumerate(sorted(updates.items())):
            client = self._clients[index]
            client._meter = meter
            sealed = client.seal(signed_header, global_model, update, examples=examples)
            wires += self._cut(sealed, meter)
            tell("clients seal", done + 1, len(updates))
        wires = self._network.carry(
            wires, aggregator.header, signed_header, global_model, updates, faults, injected
        )
        for done, (relay, shard) in enumerate(wires):
            aggregator.receive_shard(shard, relay)
            tell("shards arrive", done + 1, len(wires))
        aggregator.process()

        result = self._close(aggregator, signed_header, present, tell)
        published = aggregator.publish(result)
        for index in updates:
            self._clients[index].read_result(signed_header, published)
        if audit is not None:
            aggregator.write_audit(published, audit)
        pids = dict(zip(self.pids, range(len(self._clients)), strict=True))
        accepted = tuple(sorted(pids[pid] for pid, _ in result.entries))
        refused: Counter[str] = Counter({reason.value: n for reason, n in aggregator.refused.items()})
        refused.update(
            {f"shard: {kind}": n for kind, n in aggregator.shard_stats.items() if n and kind in _SHARD_FAULTS}
        )
        return RoundReport(
            round_number=self.round_number,
            mean=self.layout.unflatten(result.mean),
            total_weight=result.total_weight,
            accepted=accepted,
            dropped=tuple(sorted(set(updates) - set(accepted))),
            refused=dict(refused),
            injected=dict(injected),
            opened_sum=aggregator.opened_sum,
            expected_sum=np.sum([self._clients[i].encoded for i in accepted], axis=0, dtype=np.int64),
            stages=meter.stages,
            wrong_members=aggregator.wrong_members,
        )

    # -- parts of a round -------------------------------------------------------------------------

    def _present_members(self, faults: Faults) -> list[int]:
        n = len(self._members)
        absent = {(self.round_number + i) % n for i in range(faults.absent_members)}
        return [j for j in range(1, n + 1) if j - 1 not in absent]

    def _make_header(self, model: Arrays, round_number: int, max_examples: int, present: list[int]) -> bytes:
        now = int(time.time())
        header = plan_round(
            model,
            aggregator=self._aggregator_keys.public,
            members=[keys.public for keys in self._member_keys],
            shard_key=self._shard_key.public_key,
            sender_params=self._authority.blind,
            trust=self._trust,
            round_number=round_number,
            clip=self.clip,
            deadline=now + 3600,
            audit_deadline=now + 7200,
            max_examples=max_examples,
            min_contributors=self.min_contributors,
            max_contributors=max(len(self._clients), 64),
            shard_k=self.shard_k,
            shard_n=self.shard_n,
        )
        proposal = SignedHeader.propose(header, self._aggregator_keys)
        signatures = {j: self._members[j - 1].cosign(proposal.to_bytes()) for j in present}
        return proposal.with_members(signatures).to_bytes()

    def _cut(self, sealed: Sealed, meter: Meter) -> Wires:
        with meter.stage("disperse") as stage:
            shards = sealed.shards()
            stage.n_bytes += sum(map(len, shards))
        return list(enumerate(shards))

    def _seal_earlier(self, key: clsc.SecretKey, template: Arrays) -> Sealed:
        """A packet of round 0, which was never closed: what a replaying attacker has recorded."""
        rehearsal = [np.zeros_like(array) for array in template]
        everybody = list(range(1, len(self._members) + 1))
        signed_header = self._make_header(rehearsal, 0, 1, everybody)
        return Client(key, self._trust, self._policy).seal(signed_header, rehearsal, rehearsal, examples=1)

    def _close(
        self, aggregator: Aggregator, signed_header: bytes, present: list[int], tell: Progress
    ) -> RoundResult:
        # Clients here are honest, so no member has anything to complain about.
        requests = aggregator.close(check_first=False)
        answers: dict[int, bytes] = {}
        for j in present:
            answers[j] = self._members[j - 1].answer(signed_header, requests[j])
            tell("members answer", len(answers), len(present))
        for refused in aggregator.receive_answers(answers).values():
            raise refused
        return aggregator.open()

"""A whole federation in one process: real roles, real bytes, and a network that misbehaves on demand.

Everything that crosses from one role to another is bytes, as it would be between machines; only the
wires are lists.  The embedded runtime of the demo and of tests.
"""

from __future__ import annotations

import os
import random
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
from .client import Client, Sealed
from .closing import RoundResult
from .header import RoundHeader
from .member import Member
from .meter import Meter, Stage
from .model import Arrays
from .plan import plan_round
from .policy import Policy
from .roster import Roster
from .server import ServerKeys
from .signed import SignedHeader
from .sqlite_aggregator import SqliteAggregatorStore
from .sqlite_member import SqliteMemberStore
from .sqlite_outbox import SqliteOutbox
from .stores import AggregatorStore, MemberStore, Outbox

Progress = Callable[[str, int, int], None]
_SHARD_FAULTS = frozenset(
    {"wrong_size", "unopenable", "malformed", "wrong_shape", "contradicting", "over_limit"}
    | {"inconsistent", "evicted", "expired"}
)


@dataclass(frozen=True)
class Faults:
    """What goes wrong in a round.

    Attributes:
        lose_shards: Fraction of all shards that never arrive.
        corrupt_shards: Fraction of all shards that arrive with one byte changed.
        replay: Send a packet of an earlier round again, both as its old shards and in fresh ones.
        stranger: Let a client take part that another issuer enrolled.
        absent_members: Members that neither sign the header nor answer, other ones every round.
    """

    lose_shards: float = 0.0
    corrupt_shards: float = 0.0
    replay: bool = False
    stranger: bool = False
    absent_members: int = 0

    def __post_init__(self) -> None:
        if not 0 <= self.lose_shards < 1 or not 0 <= self.corrupt_shards < 1 or self.absent_members < 0:
            raise ParameterError("faults: fractions in [0, 1) and a count expected")


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
        opened_sum: The integers that the aggregator opened, int64, weight last.
        expected_sum: The sum of the same clients' encoded integers, taken from the clients.
        stages: Time and bytes by stage, in the order of the protocol.
        wrong_members: Members whose answer was found wrong.
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


class _Stranger(Client):
    """A client that no issuer of the federation enrolled, and that seals all the same."""

    def check(self, signed_header: bytes) -> RoundHeader:
        return SignedHeader.from_bytes(signed_header, self._trust).header


class Authority:
    """An issuer with its two epochs: names for servers, blind pseudonyms for clients.

    Args:
        epoch: 1 to 64 bytes.
        now: Unix second in which its keys begin to be valid.
        valid_s: For so many seconds.
    """

    def __init__(self, epoch: bytes, now: int, valid_s: int) -> None:
        self._root = root = clsc.RootKey.generate()
        self.root_public_key = root.public_key
        span = {"not_before": now, "not_after": now + valid_s}
        identity = clsc.MasterKey.generate(root, clsc.Mode.IDENTITY, epoch, **span)
        blind = clsc.MasterKey.generate(root, clsc.Mode.BLIND, epoch, **span)
        self.identity, self.blind = identity.params, blind.params
        self._identity_issuer, self._blind_issuer = clsc.Issuer(identity), clsc.Issuer(blind)

    def trust(self) -> clsc.TrustStore:
        """What a party that pins this authority's root believes."""
        store = clsc.TrustStore(self.root_public_key)
        store.add(self.identity)
        store.add(self.blind)
        return store

    def server(self, name: bytes) -> ServerKeys:
        """Enrol a server under a name and issue its two keys.

        Args:
            name: 1 to 64 bytes.

        Returns:
            One key to sign, one to be written to.
        """
        token = self._identity_issuer.enrol(name.decode())
        keys = []
        for usage in (clsc.Usage.SIGN, clsc.Usage.DECRYPT):
            request = clsc.IdentityRequest(self.identity, usage, name, token)
            sent = request.to_bytes(self._identity_issuer.challenge())
            keys.append(request.finish(self._identity_issuer.issue(name.decode(), sent)))
        return ServerKeys(*keys)

    def roster(self, roster: Roster) -> bytes:
        """Publish who the peers are, under the root key.

        Args:
            roster: Of this epoch.

        Returns:
            The signed bytes.
        """
        return roster.sign(self._root)

    def pseudonym(self, party: str) -> clsc.SecretKey:
        """Enrol a device and issue its blind ``sign`` key for the epoch.

        Args:
            party: Its name, once an epoch.

        Returns:
            The device's key.
        """
        token = self._blind_issuer.enrol(party)
        request = clsc.BlindRequest(self.blind, clsc.Usage.SIGN, token)
        return request.finish(self._blind_issuer.issue(party, request.to_bytes()))


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
        template: The model as float arrays; shapes and dtypes of every update.
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
        self._random = random.Random(seed)  # noqa: S311 - decides which shard gets lost, guards nothing
        setup = Meter()
        now = int(time.time())
        self._epoch = b"simulated epoch"
        with setup.stage("set up authority"):
            self._authority = Authority(self._epoch, now, valid_s=86_400)
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
        self._earlier = self._seal_earlier(pseudonyms[0], template)

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

    @cached_property
    def _stranger(self) -> _Stranger:
        other = Authority(self._epoch, int(time.time()), valid_s=86_400)
        # It has read the public header's keys, and it has keys of its own: only nobody enrolled it.
        return _Stranger(other.pseudonym("stranger"), self._trust, self._policy)

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

        wires: list[tuple[int, bytes]] = []
        for done, (index, (update, examples)) in enumerate(sorted(updates.items())):
            client = self._clients[index]
            client._meter = meter
            sealed = client.seal(signed_header, global_model, update, examples=examples)
            wires += self._cut(sealed, meter)
            tell("clients seal", done + 1, len(updates))
        wires = self._network(wires, faults, injected)
        wires += self._adversaries(aggregator.header, signed_header, global_model, updates, faults, injected)
        self._random.shuffle(wires)
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

    def _cut(self, sealed: Sealed, meter: Meter) -> list[tuple[int, bytes]]:
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

    def _network(
        self, wires: list[tuple[int, bytes]], faults: Faults, injected: Counter[str]
    ) -> list[tuple[int, bytes]]:
        """Lose and corrupt exactly the fractions asked for (rounded to whole shards)."""
        order = self._random.sample(range(len(wires)), len(wires))
        n_lost = round(faults.lose_shards * len(wires))
        n_corrupt = min(round(faults.corrupt_shards * len(wires)), len(wires) - n_lost)
        lost, corrupt = set(order[:n_lost]), set(order[n_lost : n_lost + n_corrupt])
        injected["shards lost"] += len(lost)
        injected["shards corrupted"] += len(corrupt)
        arrived = []
        for i, (relay, shard) in enumerate(wires):
            if i in corrupt:
                damaged = bytearray(shard)
                damaged[self._random.randrange(len(damaged))] ^= 1 << self._random.randrange(8)
                shard = bytes(damaged)
            if i not in lost:
                arrived.append((relay, shard))
        return arrived

    def _adversaries(
        self,
        header: RoundHeader,
        signed_header: bytes,
        global_model: Arrays,
        updates: Mapping[int, tuple[Arrays, int]],
        faults: Faults,
        injected: Counter[str],
    ) -> list[tuple[int, bytes]]:
        """Shards of those who should not be heard."""
        sent: list[tuple[int, bytes]] = []
        if faults.replay:
            # The relay's copy of the old shards, and the old packet in shards made for this round.
            sent += enumerate(self._earlier.shards())
            sent += enumerate(Sealed(header, self._earlier.packet).shards())
            injected["packets replayed"] += 2
        if faults.stranger:
            update, examples = next(iter(updates.values()))
            sealed = self._stranger.seal(signed_header, global_model, update, examples=examples)
            sent += enumerate(sealed.shards())
            injected["packets of strangers"] += 1
        return sent

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

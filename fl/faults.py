"""What goes wrong in a simulated round: shards lost and altered, and senders who should not be heard."""

from __future__ import annotations

import random
import time
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import TypeAlias

from .. import clsc
from .._ext.errors import ParameterError
from .authority import Authority
from .client import Client, Sealed
from .header import RoundHeader
from .model import Arrays
from .policy import Policy
from .signed import SignedHeader

Wires: TypeAlias = list[tuple[int, bytes]]
"""Shards under way, each with the relay that it goes over."""


@dataclass(frozen=True)
class Faults:
    """What goes wrong in a round.

    Attributes:
        lose_shards: Fraction of all shards that never arrive, from 0 and below 1.
        corrupt_shards: Fraction of all shards that arrive with one bit changed, from 0 and below 1.
        replay: Send a packet of an earlier round again, both as its old shards and in fresh ones.
        stranger: Let a client take part that another issuer enrolled.
        absent_members: How many members neither sign the header nor answer, other ones every round.

    Raises:
        ParameterError: A fraction outside [0, 1), or a negative count.

    Source: docs/fl.md, "In memory".
    """

    lose_shards: float = 0.0
    corrupt_shards: float = 0.0
    replay: bool = False
    stranger: bool = False
    absent_members: int = 0

    def __post_init__(self) -> None:
        if not 0 <= self.lose_shards < 1 or not 0 <= self.corrupt_shards < 1 or self.absent_members < 0:
            raise ParameterError("faults: fractions in [0, 1) and a count expected")


class _Stranger(Client):
    """A client that no issuer of the federation enrolled, and that seals all the same."""

    def check(self, signed_header: bytes) -> RoundHeader:
        return SignedHeader.from_bytes(signed_header, self._trust).header


class Network:
    """The wires of a simulation, and those who send over them without being asked.

    Args:
        seed: Decides which shards suffer, and in which order all arrive.
        epoch: Of the clients.
        trust: What a stranger reads the header with.
        policy: As the clients have it.
        earlier: A packet of an earlier round, which a relay has recorded.
    """

    def __init__(
        self, seed: int, epoch: bytes, trust: clsc.TrustStore, policy: Policy, earlier: Sealed
    ) -> None:
        self._random = random.Random(seed)  # noqa: S311 - decides which shard gets lost, guards nothing
        self._epoch = epoch
        self._trust = trust
        self._policy = policy
        self._earlier = earlier

    @cached_property
    def _stranger(self) -> _Stranger:
        other = Authority(self._epoch, int(time.time()), valid_s=86_400)
        # It has read the public header's keys, and it has keys of its own: only nobody enrolled it.
        return _Stranger(other.pseudonym("stranger"), self._trust, self._policy)

    def carry(
        self,
        wires: Wires,
        header: RoundHeader,
        signed_header: bytes,
        global_model: Arrays,
        updates: Mapping[int, tuple[Arrays, int]],
        faults: Faults,
        injected: Counter[str],
    ) -> Wires:
        """What arrives of these shards, and what else does, in any order; counted in ``injected``."""
        arrived = self._damage(wires, faults, injected)
        arrived += self._adversaries(header, signed_header, global_model, updates, faults, injected)
        self._random.shuffle(arrived)
        return arrived

    def _damage(self, wires: Wires, faults: Faults, injected: Counter[str]) -> Wires:
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
    ) -> Wires:
        """Shards of those who should not be heard."""
        sent: Wires = []
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

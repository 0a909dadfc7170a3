"""Measurements of :mod:`sottovoce.fl`: whole steps of a round."""

from __future__ import annotations

import functools
import time
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from ... import clsc, fl, he, rs
from ...fl import simulate
from ...he import kahe
from .areas import Area
from .measurement import Operation, Work, measurement

_D: Final = 100_000
_MEMBERS: Final = 5
_CLIENTS: Final = 8
_EPOCH: Final = b"bench"


@dataclass(frozen=True, slots=True)
class _World:
    """A signed header, and what a client needs to answer it."""

    key: clsc.SecretKey
    trust: clsc.TrustStore
    policy: fl.Policy
    signed_header: bytes
    model: list[NDArray[np.float64]]
    update: list[NDArray[np.float64]]


@functools.cache
def _world() -> _World:
    now = int(time.time())
    authority = simulate.Authority(_EPOCH, now, 86_400)
    trust = authority.trust()
    names = [b"aggregator", *(f"member-{j}".encode() for j in range(_MEMBERS))]
    aggregator, *members = (authority.server(name) for name in names)
    policy = fl.Policy(aggregators=frozenset(names[:1]), members=frozenset(names[1:]))
    model = [np.zeros(_D)]
    params = kahe.Params(he.DEFAULT_SET, n_slots=_D + 1, value_bits=16, max_summands=1024, n_members=_MEMBERS)
    header = fl.RoundHeader(
        aggregator=aggregator.public,
        members=tuple(member.public for member in members),
        epoch=_EPOCH,
        round_number=1,
        sender_params=authority.blind.params_id,
        committee_params=authority.identity.params_id,
        revoked=fl.revocation_digest(trust.revoked),
        layout=he.ModelLayout.of(model),
        model=fl.model_digest(model),
        clip=1.0,
        value_bits=16,
        max_examples=0,
        set_name=he.DEFAULT_SET,
        wire_bits=params.wire_bits,
        min_contributors=policy.min_contributors,
        max_contributors=params.max_summands,
        shard_key=rs.ShardKey.generate().public_key,
        shard_k=3,
        shard_n=5,
        packet_bytes=fl.update_packet_bytes(params),
        deadline=now + 7200,
        audit_deadline=now + 14_400,
    )
    proposal = fl.SignedHeader.propose(header, aggregator)
    encoded = proposal.to_bytes()
    signatures = {j: fl.Member(keys, trust, policy).cosign(encoded) for j, keys in enumerate(members, 1)}
    update = [np.random.default_rng(1).normal(0.0, 0.1, size=_D)]
    key = authority.pseudonym("device")
    return _World(key, trust, policy, proposal.with_members(signatures).to_bytes(), model, update)


@measurement(
    Area.FL,
    "seal an update",
    work=Work(_D, "parameter"),
    size={"parameters": _D, "members": _MEMBERS, "shards": "3 of 5 shards"},
)
def seal() -> Operation:
    """All that a client does in a round: check the header, encode, encrypt, share, signcrypt, cut."""
    world = _world()

    def fresh() -> tuple[fl.Client]:
        # A client answers one header once, so each call gets a client without a past.
        return (fl.Client(world.key, world.trust, world.policy),)

    return Operation(
        lambda client: client.seal(world.signed_header, world.model, world.update).shards(), fresh
    )


@measurement(
    Area.FL,
    "a round in memory",
    work=Work(_CLIENTS, "client"),
    size={"parameters": _D, "clients": _CLIENTS, "members": _MEMBERS},
)
def whole_round() -> Operation:
    """All roles of a round without faults, in one process, one after the other."""
    template = [np.zeros(_D)]
    simulation = simulate.Simulation(template, n_clients=_CLIENTS, clip=1.0, n_members=_MEMBERS)
    rng = np.random.default_rng(1)

    def fresh() -> tuple[list[NDArray[np.float64]], dict[int, tuple[list[NDArray[np.float64]], int]]]:
        # No client answers twice for one model.
        model = [rng.normal(size=_D)]
        return model, {i: ([rng.normal(0.0, 0.1, size=_D)], 1) for i in range(_CLIENTS)}

    return Operation(lambda model, updates: simulation.run_round(model, updates), fresh)

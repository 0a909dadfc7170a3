"""Keys, parameters and headers that the targets read under: the same in every process.

Stored seeds are signed under these, so a change here means ``python tests/fuzz/make_corpus.py``.
"""

from functools import cache

import numpy as np

from sottovoce import clsc, he
from sottovoce.clsc.bls import _deal_bls_derand
from sottovoce.fl import (
    RoundHeader,
    ServerIdentity,
    ServerKeys,
    model_digest,
    revocation_digest,
    update_packet_bytes,
)
from sottovoce.he import kahe, rlwe
from support import paillier_world, rlwe_world
from support.clsc_dkg import session
from support.clsc_servers import Servers, tracing_key
from support.clsc_world import NOT_AFTER, NOW, Drbg, World

MODEL = [np.arange(12, dtype=np.float32).reshape(3, 4) / 16, np.array([-1.5, 2.25])]
N_MEMBERS = 4


@cache
def people() -> World:
    return World("fuzz", b"2027-W02")


@cache
def servers(mode: clsc.Mode) -> Servers:
    return Servers(people(), mode, 2, 3)


@cache
def dkg() -> clsc.DkgSession:
    return session(2, 3)


@cache
def server_keys(name: str) -> ServerKeys:
    return ServerKeys(people().signer(name), people().receiver(name))


@cache
def tracing() -> clsc.TracingKey:
    return tracing_key()


@cache
def beacon_shares() -> list[clsc.BlsShare]:
    return _deal_bls_derand(2, 3, Drbg("fuzz beacon"))


@cache
def kahe_params() -> kahe.Params:
    return kahe.Params("RLWE_128_N2048_Q50", n_slots=15, value_bits=16, max_summands=64, n_members=N_MEMBERS)


@cache
def rlwe_params() -> rlwe.Params:
    return rlwe_world.make_params(15)


@cache
def paillier_key():
    return paillier_world.key()


@cache
def paillier_params():
    return paillier_world.make_params(paillier_world.REAL, 15)


@cache
def header() -> RoundHeader:
    world, params = people(), kahe_params()
    members = [f"member-{j}" for j in range(1, N_MEMBERS + 1)]
    aggregator, *others = (
        ServerIdentity(world.signer(name).public_key, world.receiver(name).public_key)
        for name in ("aggregator", *members)
    )
    return RoundHeader(
        aggregator=aggregator,
        members=tuple(others),
        epoch=b"2027-W02",
        round_number=7,
        sender_params=world.params[clsc.Mode.BLIND].params_id,
        committee_params=world.params[clsc.Mode.IDENTITY].params_id,
        revoked=revocation_digest(frozenset({bytes(16)})),
        layout=he.ModelLayout.of(MODEL),
        model=model_digest(MODEL),
        clip=0.5,
        value_bits=16,
        max_examples=1000,
        set_name=params.set,
        wire_bits=params.wire_bits,
        min_contributors=3,
        max_contributors=64,
        shard_key=bytes(range(32)),
        shard_k=3,
        shard_n=5,
        packet_bytes=update_packet_bytes(params),
        deadline=NOW + 3600,
        audit_deadline=NOT_AFTER,
    )

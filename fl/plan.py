"""Planning a round: a header in which everything is derived that can be."""

from __future__ import annotations

from collections.abc import Sequence

from .. import clsc, he
from ..he import kahe
from .header import RoundHeader, revocation_digest
from .model import Arrays, model_digest
from .server import ServerIdentity
from .sizes import update_packet_bytes


def plan_round(
    model: Arrays,
    *,
    aggregator: ServerIdentity,
    members: Sequence[ServerIdentity],
    shard_key: bytes,
    sender_params: clsc.EpochParams,
    trust: clsc.TrustStore,
    round_number: int,
    clip: float,
    deadline: int,
    audit_deadline: int,
    max_examples: int = 0,
    min_contributors: int = 8,
    max_contributors: int = 1024,
    value_bits: int = 16,
    set_name: str = he.DEFAULT_SET,
    shard_k: int = 3,
    shard_n: int = 5,
    view: int = 0,
) -> RoundHeader:
    """The header of a round on ``model``, for :meth:`SignedHeader.propose`.

    Layout and digest of the model, the smallest wire width that opens every honest sum, the length of a
    packet and the digest of the revocation list follow from the arguments.

    Args:
        model: The global model as float16, float32 or float64 arrays; read, never kept.
        aggregator: Who collects.
        members: The committee in order, 4 to 64.
        shard_key: The aggregator's X25519 public key for shards, 32 bytes.
        sender_params: The one set of parameters that contributors' keys are under.
        trust: Its revocation list is the one in force.
        round_number: Never used twice in one epoch.
        clip: Values are clipped to ``[-clip, clip]``; as :class:`RoundHeader` takes it.
        deadline: Unix seconds; for sealing, collecting, checking and answering.
        audit_deadline: Unix seconds; ciphertexts are kept until then.
        max_examples: Examples that get the largest weight; 0: all clients weigh the same.
        min_contributors: At least 3.
        max_contributors: Up to 2**20; more cost wire bits.
        value_bits: Bits of a quantised value, 4 to 24.
        set_name: Parameter set of :mod:`sottovoce.he.kahe`.
        shard_k: Shards that suffice.
        shard_n: Shards that a packet is cut into.
        view: Aggregators passed over in this round, among peers that take turns.

    Raises:
        TypeError, ParameterError: As :class:`RoundHeader`; or no wire width opens such sums.

    Source: docs/fl.md, "Making one".
    """
    layout = he.ModelLayout.of(model)
    params = kahe.Params(
        set_name,
        n_slots=layout.size + 1,
        value_bits=value_bits,
        max_summands=max_contributors,
        n_members=len(members),
    )
    return RoundHeader(
        aggregator=aggregator,
        members=tuple(members),
        epoch=sender_params.epoch,
        round_number=round_number,
        sender_params=sender_params.params_id,
        committee_params=aggregator.sign.params.params_id,
        revoked=revocation_digest(trust.revoked),
        layout=layout,
        model=model_digest(model),
        clip=clip,
        value_bits=value_bits,
        max_examples=max_examples,
        set_name=set_name,
        wire_bits=params.wire_bits,
        min_contributors=min_contributors,
        max_contributors=max_contributors,
        shard_key=shard_key,
        shard_k=shard_k,
        shard_n=shard_n,
        packet_bytes=update_packet_bytes(params),
        deadline=deadline,
        audit_deadline=audit_deadline,
        view=view,
    )

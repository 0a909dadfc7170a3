"""Lengths of the packets of a round: functions of its public parameters and of nothing else.

A length that a client could influence would mark it, and a relay would see it.
"""

from __future__ import annotations

from .. import clsc
from .._ext import cbor
from ..he import kahe
from .wire import HASH_BYTES, PID_BYTES, VERSION

_FIELD = 4  # length prefix of a field of enc


def manifest_bytes(params: kahe.Params) -> int:
    """Length of every manifest."""
    sample = {
        "v": VERSION,
        "header": bytes(HASH_BYTES),
        "pid": bytes(PID_BYTES),
        "ciphertext": bytes(HASH_BYTES),
        "proof": bytes(params.proof_bytes),
    }
    return len(cbor.dumps(sample))


def member_packet_bytes(params: kahe.Params) -> int:
    """Length of every member's packet inside an update."""
    plain = _FIELD + 8 + _FIELD + HASH_BYTES + _FIELD + params.share_bytes
    return clsc.packet_bytes(plain, 1)


def update_bytes(params: kahe.Params) -> int:
    """Length of every update."""
    plain = _FIELD + manifest_bytes(params) + _FIELD + params.ciphertext_bytes
    return plain + params.n_members * (_FIELD + member_packet_bytes(params))


def update_packet_bytes(params: kahe.Params) -> int:
    """Length of every client's packet to the aggregator.

    Args:
        params: Of the round.

    Source: docs/fl-protocol.md, "The messages of a round, in order".
    """
    return clsc.packet_bytes(update_bytes(params), 1)

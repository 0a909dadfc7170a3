"""Where the aggregator's round is, in numbers that may be shown to anybody."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from ..aggregator import Aggregator

_SHARD_FAULTS = (
    "wrong_size", "unopenable", "malformed", "wrong_shape", "contradicting", "over_limit", "inconsistent",
    "evicted", "expired",
)  # fmt: skip


@dataclass(frozen=True)
class RoundStatus:
    """A moment of a round.

    Attributes:
        state: ``starting``, ``collecting``, ``closing``, ``done``, ``failed`` or ``ended``.
        round_number: Of the header.
        header_hash: Name of the round, hexadecimal; empty before there is one.
        until: Unix seconds when collecting ends.
        deadline: Unix seconds, of the header.
        accepted: Contributors that count.
        needed: Fewest contributors.
        most: Most contributors.
        refused: Kind -> count, packets and shards.
        shards: Shards received.
        n_bytes: Bytes of them.
        members: Name -> what it has done.
        results: Rounds that gave a result, in the state folder's whole life.
        error: Why a round failed, or what is waited for: a documented reason; or "".
    """

    state: str = "starting"
    round_number: int = 0
    header_hash: str = ""
    until: int = 0
    deadline: int = 0
    accepted: int = 0
    needed: int = 0
    most: int = 0
    refused: Mapping[str, int] = field(default_factory=dict)
    shards: int = 0
    n_bytes: int = 0
    members: Mapping[str, str] = field(default_factory=dict)
    results: int = 0
    error: str = ""

    def fields(self) -> dict[str, Any]:
        """For CBOR."""
        return {
            "v": 1,
            "state": self.state,
            "round": self.round_number,
            "header": bytes.fromhex(self.header_hash),
            "until": self.until,
            "deadline": self.deadline,
            "accepted": self.accepted,
            "needed": self.needed,
            "most": self.most,
            "refused": dict(self.refused),
            "shards": self.shards,
            "bytes": self.n_bytes,
            "members": dict(self.members),
            "results": self.results,
            "error": self.error,
        }


def refused_by_kind(aggregator: Aggregator) -> dict[str, int]:
    """What was refused: packets by reason, shards by fault."""
    kinds = {reason.value: count for reason, count in aggregator.refused.items() if count}
    stats = aggregator.shard_stats
    return kinds | {
        f"shard: {kind.replace('_', ' ')}": stats[kind] for kind in _SHARD_FAULTS if stats.get(kind)
    }


def shown(name: bytes) -> str:
    """A server's name as text; what does not print is shown as hexadecimal digits."""
    try:
        text = name.decode("utf-8")
    except UnicodeDecodeError:
        text = ""
    return text if text and text.isprintable() else f"0x{name.hex()}"

"""Measurements of :mod:`sottovoce.rs`: dispersal here, the rest each in its own module."""

from __future__ import annotations

from typing import Final

from ... import rs
from .areas import Area
from .measurement import Operation, Work, measurement

_PACKET: Final = 16 << 10
"""About what one client of the demo sends."""


# The order of import is that of the table.
from . import of_rs_erasure as of_rs_erasure  # noqa: E402


@measurement(
    Area.RS,
    "disperse 3 of 5",
    work=Work(_PACKET, "byte of packet"),
    size={"k": 3, "n": 5, "packet_bytes": _PACKET},
)
def disperse() -> Operation:
    """Seal a packet into shards: one AEAD, one code, five HPKE seals."""
    recipient = rs.ShardKey.generate().public_key
    packet = bytes(_PACKET)
    return Operation(lambda: rs.disperse(packet, 3, 5, recipient, packet_bytes=_PACKET))


@measurement(
    Area.RS,
    "gather 3 of 5",
    work=Work(_PACKET, "byte of packet"),
    size={"k": 3, "n": 5, "packet_bytes": _PACKET},
)
def gather() -> Operation:
    """Open three shards and bring the packet back."""
    key = rs.ShardKey.generate()
    shards = rs.disperse(bytes(_PACKET), 3, 5, key.public_key, packet_bytes=_PACKET)[2:]
    return Operation(lambda: rs.gather(shards, key))

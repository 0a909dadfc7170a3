"""Opening the packets of a round: from bytes to everything about one contribution, or why not."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from .. import clsc
from .._ext.errors import DecodeError, SenderError, UnsigncryptError
from .errors import ProtocolError, Reason
from .header import RoundHeader, check_sender
from .update import Update
from .wire import associated_data


@dataclass(frozen=True)
class Receipt:
    """What became of one packet.

    Attributes:
        pid: The sender, or ``b""`` if the packet did not say.
        refused: Why it does not count, or None if it counts (also when it did already).
    """

    pid: bytes
    refused: Reason | None


@dataclass(frozen=True)
class OpenedPacket:
    """One packet after opening: either everything about it, or why not."""

    packet: bytes = field(repr=False)
    pid: bytes = b""
    packet_id: bytes = b""
    update: Update | None = None
    refused: Reason | None = None


def open_batch(
    packets: Sequence[bytes], *, header: RoundHeader, key: clsc.SecretKey, trust: clsc.TrustStore
) -> list[OpenedPacket]:
    """Open and parse packets; a pure map, so that it may run on any executor."""
    opened = clsc.unsigncrypt_batch(
        packets, receiver=key, trust=trust, ad=associated_data(header.hash, "packet")
    )
    results = []
    for packet, result in zip(packets, opened, strict=True):
        if isinstance(result, UnsigncryptError):
            results.append(OpenedPacket(packet, refused=Reason.NOT_FOR_US))
        elif isinstance(result, SenderError):
            results.append(OpenedPacket(packet, refused=Reason.SENDER))
        else:
            results.append(_parse_update(packet, result, header))
    return results


def _parse_update(packet: bytes, opened: clsc.Opened, header: RoundHeader) -> OpenedPacket:
    pid = opened.sender.pid
    try:
        check_sender(header, opened.sender)
        update = Update.from_bytes(opened.plaintext, header)
        if update.manifest.pid != pid:
            raise DecodeError("manifest: of another sender")
    except ProtocolError as error:
        return OpenedPacket(packet, pid, refused=error.reason)
    except DecodeError:
        return OpenedPacket(packet, pid, refused=Reason.MALFORMED)
    return OpenedPacket(packet, pid, opened.packet_id, update)

"""A receiver makes evidence: opens and verifies the packet, and keeps what a judge needs."""

from __future__ import annotations

import os

from .._ext.errors import DecodeError, SenderError, UnsigncryptError
from .._ext.frames import forget
from .._ext.room import Through
from .ends import Progress
from .evidence import Addressee, Evidence, Strength
from .keys import SecretKey
from .packetfile import PacketSource, open_packet
from .trust import TrustStore
from .unsigncryption import _open_parts, _Refusal, check_opening


def make_evidence(
    packet: PacketSource,
    *,
    receiver: SecretKey,
    trust: TrustStore,
    ad: bytes = b"",
    strength: Strength = Strength.SIGNED,
    progress: Progress | None = None,
) -> Evidence:
    """Open and verify a packet, and make evidence of it for a judge.

    Choose the weakest strength that serves: SIGNED names the sender to whoever reads it, CONTENT opens
    this packet and every other with its header, ADDRESSED also proves that ``receiver`` was addressed.
    Evidence says nothing about when, and nothing about who hands it over: the sender can make the same.

    Args:
        packet: The bytes, or the path of a file of any size; read twice, in bounded memory.
        receiver: A key for usage ``decrypt``.
        trust: Decides whose packets are acceptable, now: make evidence within the epoch.
        ad: The associated data that the sender named, below 4 GiB; it becomes part of the evidence.
        strength: How much to show.
        progress: Called with bytes done and bytes in all, for a packet in a file.

    Returns:
        Evidence of that strength; its length: :meth:`Evidence.to_bytes`.

    Raises:
        TypeError: Wrong types.
        OSError: The file cannot be read.
        ParameterError: ``receiver`` is not a key for decryption, or ``ad`` is 4 GiB long.
        KernelUnavailable: The back end computes something else than the wire format says.
        UnsigncryptError: As :func:`unsigncrypt`.
        SenderError: As :func:`unsigncrypt`.

    Timing: as :func:`unsigncrypt`.
    Source: docs/clsc-evidence.md, "Evidence" and "What it costs to reveal CEK, T and S".
    """
    if not isinstance(packet, (bytes, str, os.PathLike)):
        raise TypeError(f"packet: bytes or a path expected, got {type(packet).__name__}")
    if not isinstance(strength, Strength):
        raise TypeError(f"strength: Strength expected, got {type(strength).__name__}")
    check_opening(receiver, trust, ad)
    try:
        result = _make(packet, receiver, trust, ad, strength, progress)
    except BaseException as error:  # of reading, of ``progress``, or Ctrl-C
        forget(error)
        raise
    if not isinstance(result, Evidence):
        raise result  # here, where no frame holds a key or plaintext
    return result


def _make(
    source: PacketSource,
    receiver: SecretKey,
    trust: TrustStore,
    ad: bytes,
    strength: Strength,
    progress: Progress | None,
) -> Evidence | UnsigncryptError | SenderError:
    """The evidence, or the error to raise: a value, for what is raised here would show frames with keys."""
    try:
        with open_packet(source, progress) as parsed:
            parts = _open_parts(parsed, receiver, trust, ad, Through(_discard))
    except DecodeError:
        return UnsigncryptError()
    if isinstance(parts, _Refusal):
        return parts.error()
    slot = parts.slot
    return Evidence(
        parts.sender,
        parts.head.signature,
        parts.parsed.header,
        b"".join(parts.parsed.slots),
        ad,
        parts.parsed.body_bytes,
        parts.head.plaintext_bytes,
        parts.chunk_hashes,
        slot.cek if strength >= Strength.CONTENT else None,
        Addressee(receiver.public_key, slot.T, slot.S) if strength is Strength.ADDRESSED else None,
    )


def _discard(_: memoryview) -> None:
    """Evidence is about the packet; whoever wants its text opens it."""

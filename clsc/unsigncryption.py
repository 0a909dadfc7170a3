"""Unsigncrypt: open a packet, check its sender, and tell as little as possible about why not.

The order is fixed: parse; ``wire``; the own slot; ``kc``; head; all chunks.  Any failure so far is the
one :class:`UnsigncryptError`.  Then name, lengths, zero padding, acceptable sender, signature: the one
:class:`SenderError`.  :func:`_open` is that order; packets in memory and in files, single ones and
batches go through it.
"""

from __future__ import annotations

import contextlib
import hmac
from collections.abc import Sequence
from dataclasses import dataclass, field
from enum import Enum
from typing import Final

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from .._ext.errors import DecodeError, SenderError, SignatureError, UnsigncryptError
from .._ext.padme import padme
from .._ext.room import Room, Sink
from . import group, kem, packet, signature
from .body import open_body
from .keys import PublicKey, SecretKey
from .params import Mode, Usage
from .trust import TrustStore

_SENDER_MESSAGE: Final = "packet was opened, but its sender is not acceptable"


@dataclass(frozen=True, slots=True)
class Opened:
    """An opened packet whose sender's signature holds.

    Attributes:
        plaintext: As sent, without padding.
        sender: Who signed it; in mode ``blind`` a pseudonym that proves a unit of quota.
        packet_id: 32 bytes; refuse a second packet with the same id (replay).
        mode: Of the sender's key.  Look at it: it says what the sender's name is worth.

    Timing: holds values only.
    Source: docs/clsc.md, "Packets".
    """

    plaintext: bytes = field(repr=False)
    sender: PublicKey
    packet_id: bytes
    mode: Mode


def unsigncrypt(packet: bytes, *, receiver: SecretKey, trust: TrustStore, ad: bytes = b"") -> Opened:
    """Open a packet and check its sender.

    Args:
        packet: Any bytes from outside; read, not kept.
        receiver: A key for usage ``decrypt``.
        trust: Decides whose packets are acceptable.
        ad: The associated data that the sender named, below 4 GiB.

    Memory: the packet and its length again beside it, at the peak.

    Returns:
        The plaintext and who sent it.  Refusing replays (``packet_id``) is the caller's part.

    Raises:
        TypeError: Wrong types.
        ParameterError: ``receiver`` is not a key for decryption, or ``ad`` is 4 GiB long.
        KernelUnavailable: The back end computes something else than the wire format says.
        UnsigncryptError: Not for this key, altered, malformed, or another ``ad``; always equal.
        SenderError: Opened, but name, parameters, validity, padding or signature fail; always
            equal.  An outsider cannot provoke it: only who knows the content key can, a co-receiver
            too.  To whom that may be, do not show which of the two it was, nor that it was none.

    Timing: ``x`` meets a fixed sequence of doublings and additions, ``D`` is split at random before it meets
        ``U2``; all slots are compared, and the whole ciphertext is hashed before.  A receiver that goes on to
        open takes longer than a stranger: docs/timing.md, "Local timing".
    Source: as :func:`signcrypt`; docs/clsc.md, "Packets" and "Two errors"; docs/clsc-security.md, "2.
        Confidentiality".
    """
    check_public([packet], trust, ad)
    check_opening(receiver, trust, ad)
    result = _open_and_verify(packet, receiver, trust, ad)
    if isinstance(result, _Refusal):
        raise result.error()  # here, where no frame holds anything of the packet's content
    return result


def check_public(packets: Sequence[bytes], trust: TrustStore, *ads: bytes) -> None:
    """Everything that can be wrong with the public arguments of opening."""
    if not isinstance(trust, TrustStore):
        raise TypeError(f"trust: TrustStore expected, got {type(trust).__name__}")
    for ad in ads:
        if not isinstance(ad, bytes):
            raise TypeError(f"ad: bytes expected, got {type(ad).__name__}")
    for data in packets:
        if not isinstance(data, bytes):
            raise TypeError(f"packet: bytes expected, got {type(data).__name__}")


def check_opening(receiver: SecretKey, trust: TrustStore, *ads: bytes) -> None:
    """Everything that can be wrong with the other arguments, before a secret is used."""
    if not isinstance(receiver, SecretKey):
        raise TypeError(f"receiver: SecretKey expected, got {type(receiver).__name__}")
    check_public([], trust, *ads)
    receiver._require(Usage.DECRYPT, "receiver")
    group.self_test()


class _Refusal(Enum):
    """Which of the two errors a packet deserves.

    A value and not an exception: whatever collects tracebacks with their variables would find the
    plaintext and the keys in the frames that an exception from the inside has passed.
    """

    PACKET = "not for me, or altered"
    SENDER = "opened, but the sender is not acceptable"

    def error(self) -> UnsigncryptError | SenderError:
        return UnsigncryptError() if self is _Refusal.PACKET else SenderError(_SENDER_MESSAGE)


class _NotForMe(Exception):  # noqa: N818  # never leaves this module
    """A check without an exception of its own failed."""


@dataclass(frozen=True, slots=True)
class _Parts:
    """Everything that opening a packet has shown; made by :func:`_open` and :func:`_open_parts`.

    Whatever is SECRET is kept out of ``repr``; the object itself stays inside the package.

    Attributes:
        parsed: Header, slots, body and sealed head.
        ad: As given.
        slot: The own slot: its index, CEK, ``T`` and ``S``.  SECRET.
        chunk_hashes: ``h_0 || h_1 || ...``, 32 bytes each; empty if nobody asked for it.
        wire: 32 bytes.
        head: Who sent it, well-formed, with ``signature`` and ``plaintext_bytes``.
        sender: Their key, acceptable.
        transcript: 32 bytes: what is signed.
        packet_id: 32 bytes.
        claim: The signature's two equations; :func:`_open` leaves them to be checked.
    """

    parsed: packet.Packet = field(repr=False)
    ad: bytes
    slot: kem.OpenedSlot = field(repr=False)
    chunk_hashes: bytes = field(repr=False)
    wire: bytes
    head: packet.Head
    sender: PublicKey
    transcript: bytes
    packet_id: bytes
    claim: signature._Claim = field(repr=False)


def _open_parts(
    parsed: packet.Packet | None,
    receiver: SecretKey,
    trust: TrustStore,
    ad: bytes,
    sink: Sink,
    *,
    keep_hashes: bool = True,
) -> _Parts | _Refusal:
    """Open a packet as :func:`unsigncrypt` does, signature included, and keep every value on the way.

    Raises nothing about the packet, so that no exception leaves the frames that hold its content: the
    public function on top raises ``refusal.error()`` (check the arguments first, :func:`check_opening`).

    Args:
        parsed: From ``_parse`` (bytes) or ``streaming.parse_file``; None if that is no packet.
        receiver: A key for usage ``decrypt``.
        trust: Decides whose packets are acceptable.
        ad: The associated data that the sender named.
        sink: Gets the plaintext, without padding, while it is still UNVERIFIED: what it has got counts
            only if this returns :class:`_Parts`.
        keep_hashes: Whether ``chunk_hashes`` is wanted: 32 MiB for the longest packet.

    Returns:
        The parts of a packet that :func:`unsigncrypt` would accept; else which error it deserves.
    """
    parts = _open(parsed, receiver, trust, ad, sink, keep_hashes=keep_hashes)
    if isinstance(parts, _Parts) and not parts.claim.holds():
        return _Refusal.SENDER
    return parts


def _parse(data: bytes) -> packet.Packet | None:
    with contextlib.suppress(DecodeError):
        return packet.parse(data)
    return None


def _open_and_verify(data: bytes, receiver: SecretKey, trust: TrustStore, ad: bytes) -> Opened | _Refusal:
    parsed = _parse(data)
    out = _room(parsed)
    parts = _open_parts(parsed, receiver, trust, ad, out, keep_hashes=False)
    return parts if isinstance(parts, _Refusal) else _opened(parts, out)


def _room(parsed: packet.Packet | None) -> Room:
    """For the plaintext of a packet that may be one."""
    return Room(0 if parsed is None else packet.body_plain_bytes(parsed.body_bytes))


def _opened(parts: _Parts, out: Room) -> Opened:
    return Opened(out.value(), parts.sender, parts.packet_id, parts.sender.mode)


@dataclass(frozen=True, slots=True)
class _Ciphertext:
    """First half done: only a receiver gets here."""

    slot: kem.OpenedSlot
    chunk_hashes: bytes
    wire: bytes
    head: bytes
    padded_bytes: int
    padding_is_zero: bool


def _open(
    parsed: packet.Packet | None,
    receiver: SecretKey,
    trust: TrustStore,
    ad: bytes,
    sink: Sink,
    senders: dict[bytes, PublicKey] | None = None,
    *,
    keep_hashes: bool = False,
) -> _Parts | _Refusal:
    """Everything but the signature's equations.

    ``senders``: keys that were decoded before, by what the head says of them; new ones are added.
    """
    found = parts = None
    if parsed is None:
        return _Refusal.PACKET
    with contextlib.suppress(DecodeError, InvalidTag, _NotForMe):
        found = _open_ciphertext(parsed, receiver, ad, sink, bytearray() if keep_hashes else None)
    if found is None:
        return _Refusal.PACKET
    with contextlib.suppress(DecodeError, SenderError, SignatureError, _NotForMe):
        parts = _check_sender(parsed, found, ad, trust, {} if senders is None else senders)
    return _Refusal.SENDER if parts is None else parts


def _open_ciphertext(
    parsed: packet.Packet, receiver: SecretKey, ad: bytes, sink: Sink, hashes: bytearray | None
) -> _Ciphertext:
    """First half: whatever fails here is the one UnsigncryptError."""
    # First, for everybody: hashing takes as long as the body is, and who does it only after a slot
    # was found tells by its time that it is a receiver.
    wire = parsed.wire(ad, hashes)
    slot = kem.open_slot(parsed, receiver)
    if slot is None:
        raise _NotForMe
    k_body, k_head, kc = kem.content_keys(slot.cek)
    if not hmac.compare_digest(kc, parsed.kc):
        raise _NotForMe
    head = AESGCM(k_head).decrypt(packet.ZERO_NONCE, parsed.head, wire)
    # What the head says counts only in the second half; here it says no more than where padding begins.
    cut = packet.parse_head(head)
    plaintext_bytes = parsed.body.n_bytes if cut is None else cut.plaintext_bytes
    padded, zero = open_body(k_body, parsed.body, plaintext_bytes, sink)
    return _Ciphertext(slot, bytes(hashes or b""), wire, head, padded, zero)


def _check_sender(
    parsed: packet.Packet, found: _Ciphertext, ad: bytes, trust: TrustStore, senders: dict[bytes, PublicKey]
) -> _Parts:
    """Second half: whatever fails here is the one SenderError."""
    head = packet.parse_head(found.head)
    if head is None or head.identity is None:
        raise _NotForMe
    n_bytes = head.plaintext_bytes
    if found.padded_bytes not in (n_bytes, padme(n_bytes)) or not found.padding_is_zero:
        raise _NotForMe
    name = head.params_id + head.name + head.X  # fixed lengths
    sender = senders.get(name)
    if sender is None:
        sender = trust._known_sender(head.params_id, head.identity, head.X)
    if sender is None:
        # The constructor holds the mode rule: a blind key cannot come with a name.
        sender = PublicKey(trust.get(head.params_id), Usage.SIGN, head.identity, head.X)
    senders[name] = sender
    trust.acceptable(sender)
    transcript = packet.transcript_hash(found.wire, n_bytes)
    claim = signature._parse(sender, signature.CONTEXT_PACKET, transcript, head.signature)
    return _Parts(
        parsed, ad, found.slot, found.chunk_hashes, found.wire, head, sender, transcript,
        packet.packet_id(sender, transcript), claim,
    )  # fmt: skip

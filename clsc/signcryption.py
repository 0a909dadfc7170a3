"""Signcrypt and unsigncrypt: anonymous, authenticated, for 1 to 255 named receivers.

====================  ==========================================================================
``CEK``               one content key, in a slot for each receiver (:mod:`.kem`)
``kc``                in the header: commits to CEK
``wire``              hash of the whole ciphertext and ``ad``
``head``              sender, signature over ``wire`` and the plaintext length; encrypted
====================  ==========================================================================

To open a packet one needs BOTH secrets of a receiver; to sign one needs both of a sender.

Source: encrypt, then sign the ciphertext, then encrypt the signature: An, Dodis, Rabin, EUROCRYPT 2002
and Boyen, CRYPTO 2003.
"""

from __future__ import annotations

import contextlib
import hashlib
import hmac
import itertools
import os
from collections.abc import Sequence
from dataclasses import dataclass, field
from enum import Enum
from typing import Final

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from .._ext.enc import enc, sha256_enc
from .._ext.errors import DecodeError, ParameterError, SenderError, SignatureError, UnsigncryptError
from .._ext.limits import MAX_RECEIVERS
from .._ext.padme import padme
from . import comb, group, hashes, kem, packet, signature
from .group import ORDER, RandomBytes
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
    """

    plaintext: bytes = field(repr=False)
    sender: PublicKey
    packet_id: bytes
    mode: Mode


# -- signcrypt ----------------------------------------------------------------------------------


def signcrypt(
    plaintext: bytes,
    *,
    sender: SecretKey,
    receivers: Sequence[PublicKey],
    ad: bytes = b"",
    pad: bool = False,
    dummy_slots: int = 0,
    trust: TrustStore | None = None,
) -> bytes:
    """Encrypt to the receivers and sign, so that nobody else sees who is involved.

    An observer sees that it is such a packet, the number of slots and the length of the body; a
    receiver does not see who the others are, but can find out with a packet made from this one, if it
    sees how a suspect reacts (docs/clsc.md, "not given").  All receivers provably get the same content.  No
    forward secrecy: who later steals both secrets of a receiver reads it.

    Args:
        plaintext: What fits in memory about three times: itself, the encrypted body, the packet.  The
            format ends at 1 TiB.
        sender: A key for usage ``sign``.
        receivers: 1 to 255 distinct keys for usage ``decrypt``.
        ad: Associated data that receivers must name too, e.g. a header; not in the packet.
        pad: Zero-pad the plaintext to its Padme length (at most 12 % more).
        dummy_slots: Random slots that hide the number of receivers; receivers and dummies
            together at most 255.
        trust: If given, every receiver must be acceptable to it now: known parameters, in validity,
            not revoked, not pinned to another key.  Without it none of that is asked.

    Returns:
        ``555 + 80*slots + n + 16*chunks`` bytes, where ``n`` is the length of the (padded) plaintext
        and ``chunks = max(1, ceil(n / 2**20))``.

    Raises:
        TypeError: Wrong types.
        ParameterError: A key of the wrong usage, a receiver twice or not acceptable, or too many slots;
            ``ad`` of 4 GiB.
        KernelUnavailable: The back end computes something else than the wire format says.

    Timing: the same number of group operations for every secret; see docs/clsc.md, "local timing".
    """
    if not isinstance(plaintext, bytes) or not isinstance(ad, bytes):
        raise TypeError("plaintext, ad: bytes expected")
    if not isinstance(sender, SecretKey):
        raise TypeError(f"sender: SecretKey expected, got {type(sender).__name__}")
    if type(dummy_slots) is not int:
        raise TypeError(f"dummy_slots: int expected, got {type(dummy_slots).__name__}")
    if trust is not None and not isinstance(trust, TrustStore):
        raise TypeError(f"trust: TrustStore expected, got {type(trust).__name__}")
    receivers = list(receivers)
    _check_receivers(receivers, dummy_slots)
    if trust is not None:
        _check_acceptable(receivers, trust)
    sender._require(Usage.SIGN, "sender")
    group.self_test()
    return _signcrypt_derand(plaintext, sender, receivers, ad, pad, dummy_slots, os.urandom)


def _check_receivers(receivers: Sequence[PublicKey], dummy_slots: int) -> None:
    for i, key in enumerate(receivers):
        if not isinstance(key, PublicKey):
            raise TypeError(f"receivers[{i}]: PublicKey expected, got {type(key).__name__}")
        if key.usage is not Usage.DECRYPT:
            raise ParameterError(f"receivers[{i}]: a key for usage decrypt expected, got {key.usage}")
    if len(set(receivers)) != len(receivers):
        raise ParameterError("receivers: the same key twice")
    if not receivers or dummy_slots < 0 or len(receivers) + dummy_slots > MAX_RECEIVERS:
        raise ParameterError(f"receivers: 1 to {MAX_RECEIVERS} slots expected, dummies included")


def _check_acceptable(receivers: Sequence[PublicKey], trust: TrustStore) -> None:
    for i, key in enumerate(receivers):
        reason = None
        try:
            trust.acceptable(key)
        except SenderError as error:
            reason = str(error)
        if reason is not None:  # the caller's choice of receivers, and no packet's sender
            raise ParameterError(f"receivers[{i}]: not acceptable: {reason}")


def _signcrypt_derand(
    plaintext: bytes,
    sender: SecretKey,
    receivers: Sequence[PublicKey],
    ad: bytes,
    pad: bool,
    dummy_slots: int,
    random_bytes: RandomBytes,
) -> bytes:
    # Everything random comes from ONE draw, hedged: a broken random source repeats nothing for another
    # content, and one that repeats only its first bytes cannot give two packets one key.
    names = sha256_enc("SOTTOVOCE-V1-RECEIVERS", *(key.to_bytes() for key in receivers))
    padded = padme(len(plaintext)) if pad else len(plaintext)
    count = len(receivers) + dummy_slots
    digest = hashlib.sha256(plaintext).digest()
    info = enc("SOTTOVOCE-V1-EPHEMERAL", names, ad, digest, padded, count)
    material = hashes.hkdf(sender._ikm(), random_bytes(32), info, 160)
    # Zero has probability 2^-255 here; no branch is worth writing for it.
    u1 = int.from_bytes(material[:48], "big") % ORDER
    u2 = int.from_bytes(material[48:96], "big") % ORDER
    cek, seed = material[96:128], material[128:]
    k_body, k_head, kc = kem.content_keys(cek)

    U1 = comb.p1_mul(u1).to_compressed_bytes()
    U2 = comb.p2_mul(u2).to_compressed_bytes()
    header = bytes([hashes.SUITE, count]) + U1 + U2 + kc
    slots = [kem.seal_slot(key, u1, u2, U1, U2, header, cek) for key in receivers]
    slots += [kem.dummy_slot(seed, i) for i in range(dummy_slots)]
    _shuffle(slots, hashes.hkdf(seed, b"", b"SOTTOVOCE-V1-SLOT-ORDER", 16 * len(slots)))

    body, chunk_hashes = packet.seal_body(k_body, plaintext, padded)
    wire = packet.wire_hash(header, tuple(slots), ad, len(body), chunk_hashes)
    transcript = packet.transcript_hash(wire, len(plaintext))
    head = packet.Head(
        sender.params.params_id,
        packet.pad_name(sender.identity),
        sender.public_key.X,
        signature._sign_derand(sender, signature.CONTEXT_PACKET, transcript, _salts(seed)),
        len(plaintext),
    )
    sealed_head = AESGCM(k_head).encrypt(packet.ZERO_NONCE, head.to_bytes(), wire)
    length = len(body).to_bytes(8, "big")
    return b"".join([packet.MAGIC, header, *slots, length, body, sealed_head])


def _shuffle(slots: list[bytes], randomness: bytes) -> None:
    """Fisher-Yates; 128 bits for each index leave a bias below 2^-120."""
    for i in range(len(slots) - 1, 0, -1):
        j = int.from_bytes(randomness[16 * i : 16 * i + 16], "big") % (i + 1)
        slots[i], slots[j] = slots[j], slots[i]


def _salts(seed: bytes) -> RandomBytes:
    """Salts of the signature's nonces: another one for each draw."""
    draws = itertools.count()
    return lambda n: hashes.hkdf(seed, b"", enc("SOTTOVOCE-V1-SIGNATURE-SALT", next(draws)), n)


# -- unsigncrypt --------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class _Unverified:
    """A packet opened and well-formed, whose signature is still to be checked."""

    opened: Opened
    claim: signature._Claim


def unsigncrypt(packet: bytes, *, receiver: SecretKey, trust: TrustStore, ad: bytes = b"") -> Opened:
    """Open a packet and check its sender.

    Args:
        packet: Any bytes from outside.
        receiver: A key for usage ``decrypt``.
        trust: Decides whose packets are acceptable.
        ad: The associated data that the sender named.

    Memory: the packet and twice its length beside it, at the peak.

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

    Timing: secrets are blinded or meet a fixed number of additions; all slots are compared, and the
        whole ciphertext is hashed before; a receiver that goes on to open takes longer than a
        stranger (docs/clsc.md, "local timing").
    """
    _check_unsigncrypt([packet], receiver, trust, ad)
    result = _open_and_verify(packet, receiver, trust, ad)
    if isinstance(result, _Refusal):
        raise result.error()  # here, where no frame holds anything of the packet's content
    return result


def unsigncrypt_batch(
    packets: Sequence[bytes], *, receiver: SecretKey, trust: TrustStore, ad: bytes = b""
) -> list[Opened | UnsigncryptError | SenderError]:
    """Open many packets and verify all their signatures as one batch.

    Args:
        packets: Any bytes from outside.
        receiver: A key for usage ``decrypt``.
        trust: Decides whose packets are acceptable.
        ad: The associated data that every sender named.

    Returns:
        For each packet what :func:`unsigncrypt` returns or raises; errors are not raised.

    Raises:
        TypeError: Wrong types.
        ParameterError: ``receiver`` is not a key for decryption.
    """
    packets = list(packets)
    _check_unsigncrypt(packets, receiver, trust, ad)
    results: list[Opened | UnsigncryptError | SenderError] = []
    waiting: list[tuple[int, signature._Claim]] = []
    for i, data in enumerate(packets):
        result = _open(data, receiver, trust, ad)
        if isinstance(result, _Refusal):
            results.append(result.error())
        else:
            results.append(result.opened)
            waiting.append((i, result.claim))
    for j in signature.bad_claims([claim for _, claim in waiting]):
        results[waiting[j][0]] = _Refusal.SENDER.error()
    return results


def _check_unsigncrypt(packets: Sequence[bytes], receiver: SecretKey, trust: TrustStore, ad: bytes) -> None:
    if not isinstance(receiver, SecretKey):
        raise TypeError(f"receiver: SecretKey expected, got {type(receiver).__name__}")
    if not isinstance(trust, TrustStore):
        raise TypeError(f"trust: TrustStore expected, got {type(trust).__name__}")
    if not isinstance(ad, bytes):
        raise TypeError(f"ad: bytes expected, got {type(ad).__name__}")
    for data in packets:
        if not isinstance(data, bytes):
            raise TypeError(f"packet: bytes expected, got {type(data).__name__}")
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


def _open_and_verify(data: bytes, receiver: SecretKey, trust: TrustStore, ad: bytes) -> Opened | _Refusal:
    result = _open(data, receiver, trust, ad)
    if isinstance(result, _Refusal):
        return result
    return result.opened if result.claim.holds() else _Refusal.SENDER


def _open(data: bytes, receiver: SecretKey, trust: TrustStore, ad: bytes) -> _Unverified | _Refusal:
    """Everything but the signature's equations."""
    found = unverified = None
    with contextlib.suppress(DecodeError, InvalidTag, _NotForMe):
        found = _open_ciphertext(data, receiver, ad)
    if found is None:
        return _Refusal.PACKET
    with contextlib.suppress(DecodeError, SenderError, SignatureError, _NotForMe):
        unverified = _check_sender(*found, trust)
    return _Refusal.SENDER if unverified is None else unverified


def _open_ciphertext(data: bytes, receiver: SecretKey, ad: bytes) -> tuple[bytes, bytearray, bytes]:
    """First half: whatever fails here is the one UnsigncryptError."""
    parsed = packet.parse(data)
    # First, for everybody: hashing takes as long as the body is, and who does it only after a slot
    # was found tells by its time that it is a receiver.
    wire = parsed.wire(ad)
    cek = kem.find_cek(parsed, receiver)
    if cek is None:
        raise _NotForMe
    k_body, k_head, kc = kem.content_keys(cek)
    if not hmac.compare_digest(kc, parsed.kc):
        raise _NotForMe
    head = AESGCM(k_head).decrypt(packet.ZERO_NONCE, parsed.head, wire)
    plain = packet.open_body(k_body, parsed)
    if plain is None:
        raise _NotForMe
    return head, plain, wire


def _check_sender(head_bytes: bytes, plain: bytearray, wire: bytes, trust: TrustStore) -> _Unverified:
    """Second half: whatever fails here is the one SenderError."""
    head = packet.parse_head(head_bytes)
    if head is None or head.identity is None:
        raise _NotForMe
    n_bytes = head.plaintext_bytes
    if len(plain) not in (n_bytes, padme(n_bytes)):
        raise _NotForMe
    if plain.count(0, n_bytes) != len(plain) - n_bytes:  # padding that is not zero
        raise _NotForMe
    # The constructor holds the mode rule: a blind key cannot come with a name.
    sender = PublicKey(trust.get(head.params_id), Usage.SIGN, head.identity, head.X)
    trust.acceptable(sender)
    transcript = packet.transcript_hash(wire, n_bytes)
    claim = signature._parse(sender, signature.CONTEXT_PACKET, transcript, head.signature)
    packet_id = sha256_enc("SOTTOVOCE-V1-PACKET", head.params_id, head.identity, head.X, transcript)
    opened = Opened(bytes(memoryview(plain)[:n_bytes]), sender, packet_id, sender.mode)
    return _Unverified(opened, claim)

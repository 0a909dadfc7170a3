"""Signcrypt: anonymous, authenticated, for 1 to 255 named receivers.

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

import hashlib
import itertools
import os
from collections.abc import Iterable, Sequence

from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from .._ext.enc import enc, sha256_enc
from .._ext.errors import ParameterError, SenderError
from .._ext.fingerprint import Fingerprint
from .._ext.limits import MAX_RECEIVERS
from .._ext.padme import padme
from .._ext.room import Room, Sink, put
from . import comb, group, hashes, kem, packet, signature
from .body import CHUNK_BYTES, seal_body
from .group import ORDER, RandomBytes
from .keys import PublicKey, SecretKey
from .params import Usage
from .trust import TrustStore


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
    sees how a suspect reacts (docs/clsc.md, "What is claimed, and what is not").  All receivers provably get
    the same content.  No forward secrecy: who later steals both secrets of a receiver reads it.

    Args:
        plaintext: 0 bytes to what fits in memory twice, itself and the packet; see :func:`signcrypt_file` for
            more.  Read, not kept.
        sender: A key for usage ``sign``.
        receivers: 1 to 255 distinct keys for usage ``decrypt``.
        ad: Associated data that receivers must name too, e.g. a header; below 4 GiB; not in the packet.
        pad: Zero-pad the plaintext to its Padme length (at most 12 % more).
        dummy_slots: From 0: random slots that hide the number of receivers; receivers and dummies together at
            most 255.
        trust: If given, every receiver must be acceptable to it now: known parameters, in validity,
            not revoked, not pinned to another key.  Without it none of that is asked.

    Returns:
        ``555 + 80*slots + n + 16*chunks`` bytes, where ``n`` is the length of the (padded) plaintext
        and ``chunks = max(1, ceil(n / 2**20))``.

    Raises:
        TypeError: Wrong types.
        ParameterError: A key of the wrong usage, a receiver twice or not acceptable, or too many slots;
            ``ad`` of 4 GiB or more.
        KernelUnavailable: The back end computes something else than the wire format says.

    Timing: the same number of group operations for every secret (docs/timing.md, "Local timing"), one pairing
        for each receiver.  So the time tells how many slots are receivers' and how many dummies, which the
        packet does not, and which receivers' keys were used before.
    Source: An, Dodis, Rabin, EUROCRYPT 2002 and Boyen, CRYPTO 2003 (composition); Boneh and Franklin, CRYPTO
        2001, Abdalla, Bellare, Rogaway, CT-RSA 2001, combined after Giacon, Heuer, Poettering, PKC 2018
        (slots); STREAM, Hoang et al., CRYPTO 2015, section 7 (body); docs/clsc.md, "Packets";
        docs/clsc-security.md, "2. Confidentiality", "4. Packets: one content, one length, one list" and "5.
        Anonymity".
    """
    if not isinstance(plaintext, bytes):
        raise TypeError(f"plaintext: bytes expected, got {type(plaintext).__name__}")
    receivers = check_sealing(sender, receivers, ad, pad, dummy_slots, trust, len(plaintext))
    return _signcrypt_derand(plaintext, sender, receivers, ad, pad, dummy_slots, os.urandom)


def check_sealing(
    sender: SecretKey,
    receivers: Sequence[PublicKey],
    ad: bytes,
    pad: bool,
    dummy_slots: int,
    trust: TrustStore | None,
    plaintext_bytes: int,
) -> list[PublicKey]:
    """Everything that can be wrong with the arguments of sealing, before a secret is used."""
    if not isinstance(ad, bytes):
        raise TypeError(f"ad: bytes expected, got {type(ad).__name__}")
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
    packet.packet_bytes(plaintext_bytes, len(receivers) + dummy_slots, pad=pad)  # 1 TiB at most
    group.self_test()
    return receivers


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
    out = Room(packet.packet_bytes(len(plaintext), len(receivers) + dummy_slots, pad=pad))
    view = memoryview(plaintext)
    chunks = (view[i : i + CHUNK_BYTES] for i in range(0, len(view), CHUNK_BYTES))
    hedge = content_hedge(plaintext, sender)
    _seal_derand(chunks, len(plaintext), hedge, out, sender, receivers, ad, pad, dummy_slots, random_bytes)
    return out.value()


def content_hedge(plaintext: bytes, sender: SecretKey) -> bytes:
    """32 bytes that differ for two plaintexts: SHA-256, above one chunk something five times faster.

    Its purpose is that a broken random source gives no key to two contents.  For that, nobody without the
    sender's secrets may find two contents with one hedge, and a keyed hash is enough.
    """
    if len(plaintext) <= CHUNK_BYTES:
        return hashlib.sha256(plaintext).digest()
    hedge = hedge_fingerprint(sender)
    view = memoryview(plaintext)
    for i in range(0, len(view), CHUNK_BYTES):
        hedge.add(view[i : i + CHUNK_BYTES])
    return hedge.digest()


def hedge_fingerprint(sender: SecretKey) -> Fingerprint:
    """For a plaintext of more than one chunk; keyed by both of the sender's secrets."""
    return Fingerprint(hashes.hkdf(sender._ikm(), b"", b"SOTTOVOCE-V1-HEDGE-KEY", 32))


def _seal_derand(
    chunks: Iterable[bytes | memoryview],
    plaintext_bytes: int,
    hedge: bytes,
    sink: Sink,
    sender: SecretKey,
    receivers: Sequence[PublicKey],
    ad: bytes,
    pad: bool,
    dummy_slots: int,
    random_bytes: RandomBytes,
) -> bytes:
    """The one construction: write a packet from beginning to end, whatever it comes from and goes to.

    Args:
        chunks: The plaintext in pieces of 1 MiB, the last may be shorter.
        plaintext_bytes: Their length together: it stands in the packet before the body.
        hedge: 32 bytes that should differ for two plaintexts.

    Returns:
        ``packet_id``.
    """
    # Everything random comes from ONE draw, hedged: a broken random source repeats nothing for another
    # content, and one that repeats only its first bytes cannot give two packets one key.
    names = sha256_enc("SOTTOVOCE-V1-RECEIVERS", *(key.to_bytes() for key in receivers))
    padded = padme(plaintext_bytes) if pad else plaintext_bytes
    count = len(receivers) + dummy_slots
    info = enc("SOTTOVOCE-V1-EPHEMERAL", names, ad, hedge, padded, count)
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
    body_bytes = packet.sealed_bytes(padded)
    put(sink, b"".join([packet.MAGIC, header, *slots, body_bytes.to_bytes(8, "big")]))
    wire_hash = packet.WireHash(header, slots, ad, body_bytes)
    for sealed in seal_body(k_body, chunks, padded, sink):
        wire_hash.add(sealed)
    wire = wire_hash.digest()
    transcript = packet.transcript_hash(wire, plaintext_bytes)
    head = packet.Head(
        sender.params.params_id,
        packet.pad_name(sender.identity),
        sender.public_key.X,
        signature._sign_derand(sender, signature.CONTEXT_PACKET, transcript, _salts(seed)),
        plaintext_bytes,
    )
    put(sink, AESGCM(k_head).encrypt(packet.ZERO_NONCE, head.to_bytes(), wire))
    return packet.packet_id(sender.public_key, transcript)


def _shuffle(slots: list[bytes], randomness: bytes) -> None:
    """Fisher-Yates; 128 bits for each index leave a bias below 2^-120."""
    for i in range(len(slots) - 1, 0, -1):
        j = int.from_bytes(randomness[16 * i : 16 * i + 16], "big") % (i + 1)
        slots[i], slots[j] = slots[j], slots[i]


def _salts(seed: bytes) -> RandomBytes:
    """Salts of the signature's nonces: another one for each draw."""
    draws = itertools.count()
    return lambda n: hashes.hkdf(seed, b"", enc("SOTTOVOCE-V1-SIGNATURE-SALT", next(draws)), n)

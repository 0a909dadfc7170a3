"""Slots: the content key, sealed to each receiver under two secrets at once.

====================  ==========================================================================
``U1, U2``            ``u1*P1`` and ``u2*P2``, shared by all slots
``S_j``               ``u1*X_Rj``: DHIES secret with the receiver's own key
``T_j``               ``e(u2*Q_Rj, Y_Rj)``: Boneh-Franklin secret with the receiver's name
``com_j || k_j``      ``HKDF(T_j || S_j, info = enc("SOTTOVOCE-V1-KEM", suite, U1, U2, params_id, id, X))``
slot                  ``com_j || AES-256-GCM(k_j, CEK, ad = header || com_j)``
====================  ==========================================================================

Source: combining KEMs, Giacon, Heuer, Poettering, PKC 2018.
"""

from __future__ import annotations

import hmac
from dataclasses import dataclass, field

from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from .._ext.enc import enc
from . import comb, group, hashes, packet
from .keys import PublicKey, SecretKey


def content_keys(cek: bytes) -> tuple[bytes, bytes, bytes]:
    """``k_body, k_head, kc``; ``kc`` is public and commits to ``cek``."""
    material = hashes.hkdf(cek, b"", b"SOTTOVOCE-V1-CEK", 96)
    return material[:32], material[32:64], material[64:]


def slot_keys(T: bytes, S: bytes, U1: bytes, U2: bytes, receiver: PublicKey) -> tuple[bytes, bytes]:
    """``com, k`` of a receiver's slot.

    ``com`` tells its receiver where to look; its bytes tell nobody else, not a co-receiver either,
    whose it is.
    """
    info = enc(
        "SOTTOVOCE-V1-KEM",
        hashes.SUITE,
        U1,
        U2,
        receiver.params.params_id,
        receiver.identity,
        receiver.X,
    )
    material = hashes.hkdf(T + S, b"", info, 64)
    return material[:32], material[32:]


def seal_slot(
    receiver: PublicKey, u1: int, u2: int, U1: bytes, U2: bytes, header: bytes, cek: bytes
) -> bytes:
    S = receiver._X_base.mul(u1).to_compressed_bytes()
    T = group.multi_pairing([receiver._Q_base.mul(u2)], [receiver.params.Y])
    com, k = slot_keys(T, S, U1, U2, receiver)
    return com + AESGCM(k).encrypt(packet.ZERO_NONCE, cek, header + com)


def dummy_slot(seed: bytes, index: int) -> bytes:
    """80 bytes that nobody without the secret ``seed`` can tell from a slot."""
    return hashes.hkdf(seed, b"", enc("SOTTOVOCE-V1-DUMMY-SLOT", index), packet.SLOT_BYTES)


@dataclass(frozen=True, slots=True)
class OpenedSlot:
    """The receiver's own slot.  SECRET, but for its index.

    ``T`` (576 bytes) and ``S`` (48 bytes) show, with the public header, whose slot it is, and say
    nothing about the receiver's keys beyond this packet.
    """

    index: int
    cek: bytes = field(repr=False)
    T: bytes = field(repr=False)
    S: bytes = field(repr=False)


def open_slot(parsed: packet.Packet, receiver: SecretKey) -> OpenedSlot | None:
    """CEK from the one slot that is the receiver's; None if there is none, or two.

    Raises:
        DecodeError: ``U1`` or ``U2`` is not a valid point.
        InvalidTag: The slot has the right ``com`` and does not open.
    """
    U1 = group.g1_from_bytes(parsed.U1, "U1")
    U2 = group.g2_from_bytes(parsed.U2, "U2")
    S = group.g1_mul_secret(U1, receiver._x).to_compressed_bytes()
    # e(D, U2) with D split at random: U2 comes from outside, D must not meet it alone.
    M = comb.p1_mul(group.random_scalar())
    T = group.multi_pairing([receiver._D.point - M, M], [U2, U2])
    com, k = slot_keys(T, S, parsed.U1, parsed.U2, receiver.public_key)
    found = [
        i for i, slot in enumerate(parsed.slots) if hmac.compare_digest(slot[: packet.COMMITMENT_BYTES], com)
    ]
    if len(found) != 1:
        return None
    sealed = parsed.slots[found[0]][packet.COMMITMENT_BYTES :]
    cek = AESGCM(k).decrypt(packet.ZERO_NONCE, sealed, parsed.header + com)
    return OpenedSlot(found[0], cek, T, S)

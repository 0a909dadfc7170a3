"""Evidence: what a receiver can show to somebody who holds no key.

::

    enc("SOTTOVOCE-V1-EVIDENCE", suite, strength,
        EpochParams of the sender, id_S, X_S, signature (176),
        header (178), slots (80 each), ad, body length, plaintext length, h_0 || ... || h_last,
        -- CONTENT and ADDRESSED --   CEK (32)
        -- ADDRESSED --               EpochParams of the receiver, id_R, X_R, T (576), S (48))

====================  ==============================================================================
``SIGNED``            the holder of ``X_S`` signed this ciphertext; opens nothing
``CONTENT``           and, with the packet beside it, this is what the ciphertext says
``ADDRESSED``         and one of its slots was made for this receiver
====================  ==============================================================================

No long-term secret is in it.  ``CEK`` opens EVERY packet with this header: a co-receiver may have put
another body around the slots of somebody's packet, and evidence of that one opens both.  ``T, S`` are
given away only for a packet that verified: then its maker knew both, so that no choice of ``U1`` turns
the receiver into an oracle for ``x*U1`` (docs/clsc-evidence.md).
"""

from __future__ import annotations

import contextlib
import hmac
from collections.abc import Sequence
from dataclasses import dataclass, field
from enum import IntEnum
from typing import Any, Final, Self

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from .._ext.enc import Field, enc
from .._ext.errors import DecodeError, ParameterError
from .._ext.padme import padme
from . import group, hashes, kem, packet
from .body import chunk_count
from .keys import PublicKey
from .params import EpochParams, Usage, read_integer, split
from .signature import SIGNATURE_BYTES

EVIDENCE_TAG: Final = b"SOTTOVOCE-V1-EVIDENCE"
HASH_BYTES: Final = 32

_FIELD_MODULUS: Final = int(
    "1a0111ea397fe69a4b1ba7b6434bacd764774b84f38512bf6730d2a0f6b0f6241eabfffeb153ffffb9feffffffffaaab", 16
)
"""``p``: a coefficient of ``T`` is below it."""


class Strength(IntEnum):
    """How much evidence shows; each contains the ones before."""

    SIGNED = 1
    """Who signed this ciphertext and ``ad``.  Opens nothing, but names the sender."""
    CONTENT = 2
    """And what it says: gives CEK away."""
    ADDRESSED = 3
    """And that a slot of it was made for the named receiver: gives ``T`` and ``S`` away."""


_N_FIELDS: Final = {Strength.SIGNED: 13, Strength.CONTENT: 14, Strength.ADDRESSED: 19}


@dataclass(frozen=True, slots=True)
class Addressee:
    """Whom a slot was made for, and the two secrets of its KDF."""

    key: PublicKey
    T: bytes = field(repr=False)
    S: bytes = field(repr=False)


class Evidence:
    """Transferable evidence about one packet; immutable, equal by bytes.

    Made by :func:`.make_evidence` or read by :meth:`from_bytes`; well-formed, but believed only by
    :func:`.judge`.  With strength CONTENT or more it opens the packet: keep it as you keep the plaintext.

    Attributes:
        strength: How much it carries.
        sender: A key for usage ``sign``: who is said to have signed.  Its parameters carry a root signature,
            whose root a judge still has to compare with the pinned one.
        signature: 176 bytes.
        header: 178 bytes.  An honest sender uses one once: two packets with one header are the work of
            somebody who received the first, and evidence of either opens both.
        slots: 80 bytes for each slot, 1 to 255 of them, in wire order.
        ad: Associated data, as the sender named it; below 4 GiB.
        body_bytes: Length of the body, tags included.
        plaintext_bytes: Length of the plaintext, padding excluded; at most 2**40.
        chunk_hashes: 32 bytes for each chunk of the body, ``h_0 || h_1 || ...``.
        packet_id: 32 bytes, as :class:`Opened` has it.

    Threads: safe.  May be pickled, CEK included.

    Timing: variable, of what it holds; with CONTENT or more that is secret from who may not read the packet.
    Source: docs/clsc-evidence.md, "The bytes"; docs/clsc-security.md, "9. Evidence and conviction".
    """

    __slots__ = (
        "_addressee",
        "_cek",
        "ad",
        "body_bytes",
        "chunk_hashes",
        "header",
        "packet_id",
        "plaintext_bytes",
        "sender",
        "signature",
        "slots",
        "strength",
    )

    strength: Strength
    sender: PublicKey
    signature: bytes
    header: bytes
    slots: bytes
    ad: bytes
    body_bytes: int
    plaintext_bytes: int
    chunk_hashes: bytes
    packet_id: bytes
    _cek: bytes | None
    _addressee: Addressee | None

    def __init__(
        self,
        sender: PublicKey,
        signature: bytes,
        header: bytes,
        slots: bytes,
        ad: bytes,
        body_bytes: int,
        plaintext_bytes: int,
        chunk_hashes: bytes,
        cek: bytes | None,
        addressee: Addressee | None,
    ) -> None:
        """Internal; use :func:`.make_evidence` or :meth:`from_bytes`.  Raises DecodeError."""
        _check_ciphertext(header, slots, body_bytes, plaintext_bytes, chunk_hashes)
        set_ = object.__setattr__
        opened = Strength.CONTENT if addressee is None else Strength.ADDRESSED
        set_(self, "strength", Strength.SIGNED if cek is None else opened)
        set_(self, "sender", sender)
        set_(self, "signature", signature)
        set_(self, "header", header)
        set_(self, "slots", slots)
        set_(self, "ad", ad)
        set_(self, "body_bytes", body_bytes)
        set_(self, "plaintext_bytes", plaintext_bytes)
        set_(self, "chunk_hashes", chunk_hashes)
        set_(self, "_cek", cek)
        set_(self, "_addressee", addressee)
        set_(self, "packet_id", packet.packet_id(sender, self._transcript()))

    @property
    def addressee(self) -> PublicKey | None:
        """The receiver that it names, if the strength is ADDRESSED; believed only by :func:`.judge`."""
        return None if self._addressee is None else self._addressee.key

    @classmethod
    def from_bytes(cls, data: bytes) -> Self:
        """Read evidence; no root key is needed to read, only to judge.

        Args:
            data: As :meth:`to_bytes` gives them: 32 bytes for each MiB of the body (32 MiB for 1 TiB), 80 for
                each slot, ``ad``, and 1 to 16 KiB of parameters, names and points.

        Raises:
            TypeError: ``data`` is not bytes.
            DecodeError: Not the canonical encoding of well-formed evidence: a field, a point, a length
                that no packet has, the mode rule, or parameters without a root signature.
        """
        if not isinstance(data, bytes):
            raise TypeError(f"evidence: bytes expected, got {type(data).__name__}")
        fields = split(data, "evidence", at_most=max(_N_FIELDS.values()))
        if len(fields) < 3 or fields[0] != EVIDENCE_TAG:
            raise DecodeError("evidence: not evidence")
        if read_integer(fields[1], "evidence: suite") != hashes.SUITE:
            raise DecodeError(f"evidence: suite {hashes.SUITE} expected")
        strength = read_integer(fields[2], "evidence: strength")
        if strength not in list(Strength) or len(fields) != _N_FIELDS[Strength(strength)]:
            raise DecodeError("evidence: unknown strength, or not the fields that it has")
        signed, identity, X, signature, header, slots, ad, body, plaintext, chunk_hashes, *rest = fields[3:]
        sender = read_key(Usage.SIGN, signed, identity, X)
        if len(signature) != SIGNATURE_BYTES:
            raise DecodeError(f"evidence: signature of {SIGNATURE_BYTES} bytes expected")
        if rest and len(rest[0]) != packet.CEK_BYTES:
            raise DecodeError(f"evidence: CEK of {packet.CEK_BYTES} bytes expected")
        return cls(
            sender,
            signature,
            header,
            slots,
            ad,
            read_integer(body, "evidence: body length"),
            read_integer(plaintext, "evidence: plaintext length"),
            chunk_hashes,
            rest[0] if rest else None,
            _read_addressee(*rest[1:]) if len(rest) > 1 else None,
        )

    def to_bytes(self) -> bytes:
        """``enc(...)`` of the fields in docs/clsc-evidence.md, "The bytes".

        SIGNED: ``507 + params + id + 80*slots + ad + 32*chunks`` bytes; CONTENT 36 more, ADDRESSED
        another ``692 + params + id`` of the receiver more.
        """
        key = self.sender
        fields: list[Field] = [
            EVIDENCE_TAG, hashes.SUITE, int(self.strength), key.params.to_bytes(), key.identity, key.X,
            self.signature, self.header, self.slots, self.ad, self.body_bytes, self.plaintext_bytes,
            self.chunk_hashes,
        ]  # fmt: skip
        if self._cek is not None:
            fields.append(self._cek)
        if self._addressee is not None:
            to = self._addressee
            fields += [to.key.params.to_bytes(), to.key.identity, to.key.X, to.T, to.S]
        return enc(*fields)

    def weakened(self, strength: Strength) -> Evidence:
        """The same evidence with less in it, for somebody who should see no more.

        This object stays as it is.

        Args:
            strength: At most that of this evidence.

        Raises:
            TypeError: Not a Strength.
            ParameterError: ``strength`` is more than this evidence has.
        """
        if not isinstance(strength, Strength):
            raise TypeError(f"strength: Strength expected, got {type(strength).__name__}")
        if strength > self.strength:
            raise ParameterError(f"strength: at most {self.strength.name} expected, got {strength.name}")
        return Evidence(
            self.sender,
            self.signature,
            self.header,
            self.slots,
            self.ad,
            self.body_bytes,
            self.plaintext_bytes,
            self.chunk_hashes,
            self._cek if strength >= Strength.CONTENT else None,
            self._addressee if strength is Strength.ADDRESSED else None,
        )

    def _transcript(self) -> bytes:
        """What the sender signed: computed from the fields, never read."""
        slots = cut(self.slots, packet.SLOT_BYTES)
        chunk_hashes = cut(self.chunk_hashes, HASH_BYTES)
        wire = packet.wire_hash(self.header, slots, self.ad, self.body_bytes, chunk_hashes)
        return packet.transcript_hash(wire, self.plaintext_bytes)

    def __setattr__(self, name: str, value: object) -> None:
        raise AttributeError("Evidence is immutable")

    def __delattr__(self, name: str) -> None:
        raise AttributeError("Evidence is immutable")

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Evidence) and other.to_bytes() == self.to_bytes()

    def __hash__(self) -> int:
        return hash(self.packet_id)

    def __repr__(self) -> str:
        if not hasattr(self, "packet_id"):
            return "Evidence(not made)"
        return f"Evidence({self.strength.name}, {self.sender!r}, packet_id={self.packet_id.hex()[:16]}…)"

    def __reduce__(self) -> Any:
        return Evidence.from_bytes, (self.to_bytes(),)


# -- encoding -----------------------------------------------------------------------------------


def cut(data: bytes, size: int) -> list[bytes]:
    return [data[i : i + size] for i in range(0, len(data), size)]


def read_key(usage: Usage, signed: bytes, identity: bytes, X: bytes) -> PublicKey:
    """A key with its parameters beside it, under whatever root signed them: the judge compares that."""
    body = split(signed[:-64], "evidence: params", at_most=128)
    root = body[1] if len(body) > 1 else b""
    if len(root) != 32:
        raise DecodeError("evidence: params without a root public key")
    return PublicKey(EpochParams.from_bytes(signed, root), usage, identity, X)


def _read_addressee(signed: bytes, identity: bytes, X: bytes, T: bytes, S: bytes) -> Addressee:
    key = read_key(Usage.DECRYPT, signed, identity, X)
    coefficients = (T[i : i + 48] for i in range(0, group.GT_BYTES, 48))
    if len(T) != group.GT_BYTES or any(
        int.from_bytes(value, "little") >= _FIELD_MODULUS for value in coefficients
    ):
        raise DecodeError("evidence: T is not an element of the field")
    group.g1_from_bytes(S, "evidence: S")
    return Addressee(key, T, S)


def _check_ciphertext(
    header: bytes, slots: bytes, body_bytes: int, plaintext_bytes: int, chunk_hashes: bytes
) -> None:
    """Whether a receiver could have met such a ciphertext: what it refuses, a judge refuses."""
    if len(header) != packet.HEADER_BYTES or header[0] != hashes.SUITE or header[1] == 0:
        raise DecodeError("evidence: not the header of a packet")
    group.g1_from_bytes(header[2:50], "evidence: U1")
    group.g2_from_bytes(header[50:146], "evidence: U2")
    if len(slots) != header[1] * packet.SLOT_BYTES:
        raise DecodeError("evidence: not as many slots as the header says")
    padded = packet.body_plain_bytes(body_bytes)
    if padded not in (plaintext_bytes, padme(plaintext_bytes)):
        raise DecodeError("evidence: the plaintext length does not fit the body")
    if len(chunk_hashes) != chunk_count(padded) * HASH_BYTES:
        raise DecodeError("evidence: not as many hashes as the body has chunks")


def open_slot(T: bytes, S: bytes, header: bytes, slots: Sequence[bytes], receiver: PublicKey) -> bytes | None:
    """CEK from the one slot that ``T, S`` and the receiver's name commit to; None if there is not one.

    ``com`` is a hash of all of them: whoever made the slot can show it to be made for one receiver only.
    """
    com, k = kem.slot_keys(T, S, header[2:50], header[50:146], receiver)
    size = packet.COMMITMENT_BYTES
    found = [slot for slot in slots if hmac.compare_digest(slot[:size], com)]
    if len(found) == 1:
        with contextlib.suppress(InvalidTag):
            return AESGCM(k).decrypt(packet.ZERO_NONCE, found[0][size:], header + com)
    return None

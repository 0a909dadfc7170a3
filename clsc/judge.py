"""The judge: believes evidence, and holds nothing but the root key of the issuer.

What a verdict says, and what it does not:

* It names a KEY.  Whose ``X`` it is, is another question in mode ``identity``, because the issuer can make
  a second key for a name (:class:`.KeyConflict` convicts it of that), and none at all in mode ``blind``:
  there the key is a pseudonym, of which ``D`` only proves a unit of quota.
* It says nothing about WHEN.  The signature carries no time, so whoever got both secrets of a key, later
  too, can sign into its epoch: ask for a date from elsewhere before blaming a key that leaked.
* An addressee is whom the SENDER committed to.  It may have made the slot of ``T, S`` that the named
  receiver would never compute, so a slot is no proof that the receiver could open it, or did.
* It says nothing about who shows the evidence: sender and receivers can make the same.
"""

from __future__ import annotations

import hmac
import io
import os
from dataclasses import dataclass, field
from typing import BinaryIO

from cryptography.exceptions import InvalidTag

from .._ext.errors import DecodeError, EvidenceError, ParameterError, SignatureError
from .._ext.room import Through
from . import kem, signature
from .body import open_body
from .ends import Progress, Report, writer
from .evidence import HASH_BYTES, Evidence, Strength, cut, open_slot
from .keys import PublicKey
from .packet import SLOT_BYTES, Packet
from .packetfile import PacketSource, SignedBody, open_packet
from .params import Mode


@dataclass(frozen=True, slots=True)
class Verdict:
    """What has been shown.

    Attributes:
        strength: How much was checked: SIGNED where no packet was given, whatever the evidence carries.
        sender: The key that signed; its parameters say epoch, mode and validity.
        packet_id: 32 bytes, as its receivers have it.
        mode: Of the sender's key; what its name is worth.
        ad: The associated data that the sender signed.
        plaintext_bytes: The length of the plaintext that the sender signed, padding excluded.
        plaintext: From CONTENT on, unless it was written to ``target``; else None.
        addressee: The receiver that a slot was made for, if ADDRESSED; else None.

    Timing: holds what was shown.
    Source: docs/clsc-evidence.md, "What a verdict does not say".
    """

    strength: Strength
    sender: PublicKey
    packet_id: bytes
    mode: Mode
    ad: bytes
    plaintext_bytes: int
    plaintext: bytes | None = field(repr=False)
    addressee: PublicKey | None


def judge(
    evidence: Evidence,
    root_public_key: bytes,
    *,
    packet: PacketSource | None = None,
    target: BinaryIO | None = None,
    addressee_root: bytes | None = None,
    progress: Progress | None = None,
) -> Verdict:
    """Check evidence; needs no secret.

    Says nothing of validity in time or revocation, nor of when and for whom the evidence was made.

    Args:
        evidence: Of any strength.
        root_public_key: 32 bytes, the pinned root key of the sender's issuer.
        packet: The packet that was signed, bytes or the path of a file; its head is not looked at.
            Without it nothing but the signature is judged.
        target: A binary file: write the plaintext here, once everything holds, and leave
            ``Verdict.plaintext`` None: for a packet larger than memory.  The packet is then read twice.
        addressee_root: 32 bytes, root key of the receiver's issuer, if it is another.
        progress: Called with bytes done and bytes in all while the packet is read.

    Returns:
        What has been shown, and how much of it.

    Raises:
        TypeError: Wrong types.
        ParameterError: A root key is not 32 bytes, or a ``target`` and no content to write.
        OSError: A file cannot be read or written.
        DecodeError: ``packet`` is not a packet.
        SignatureError: The signature does not hold, or the sender's parameters are another root's.
        EvidenceError: The signature is good, but ``packet`` is not what was signed, its padding not zero, CEK
            not its key, or the addressee's parameters are another root's; or no slot, or not only one, was
            made for the addressee.

    Timing: variable, of evidence and packet, which whoever asks has; no key is used.
    Source: docs/clsc-evidence.md, "What the judge does"; docs/clsc-security.md, "9. Evidence and conviction".
    """
    _check_arguments(evidence, root_public_key, packet, target, addressee_root)
    sender = evidence.sender
    if sender.params.root_public_key != root_public_key:
        raise SignatureError("evidence: the sender's parameters are signed by another root key")
    claim = signature._parse(sender, signature.CONTEXT_PACKET, evidence._transcript(), evidence.signature)
    if not claim.holds():
        raise SignatureError("evidence: the signature does not verify")
    strength = Strength.SIGNED if packet is None else evidence.strength
    if strength is Strength.SIGNED and target is not None:
        raise ParameterError("target: evidence and packet show no content to write")
    content = io.BytesIO()
    wrong = None
    if strength is Strength.ADDRESSED:
        wrong = _wrong_addressee(evidence, addressee_root or root_public_key)
    if wrong is None and packet is not None:
        with open_packet(packet) as parsed:
            wrong = _wrong_packet(evidence, parsed, content, target, progress)
    if wrong is not None:
        del content  # no plaintext in the frame that raises
        raise EvidenceError(wrong)
    has_text = strength >= Strength.CONTENT and target is None
    return Verdict(
        strength,
        sender,
        evidence.packet_id,
        sender.mode,
        evidence.ad,
        evidence.plaintext_bytes,
        content.getvalue() if has_text else None,
        evidence.addressee if strength is Strength.ADDRESSED else None,
    )


def _check_arguments(
    evidence: Evidence,
    root_public_key: bytes,
    packet: PacketSource | None,
    target: BinaryIO | None,
    addressee_root: bytes | None,
) -> None:
    if not isinstance(evidence, Evidence):
        raise TypeError(f"evidence: Evidence expected, got {type(evidence).__name__}")
    if packet is not None and not isinstance(packet, (bytes, str, os.PathLike)):
        raise TypeError(f"packet: bytes or a path expected, got {type(packet).__name__}")
    if target is not None and not callable(getattr(target, "write", None)):
        raise TypeError(f"target: a binary file expected, got {type(target).__name__}")
    for name, root in (("root_public_key", root_public_key), ("addressee_root", addressee_root)):
        if root is None and name == "addressee_root":
            continue
        if not isinstance(root, bytes):
            raise TypeError(f"{name}: bytes expected, got {type(root).__name__}")
        if len(root) != 32:
            raise ParameterError(f"{name}: 32 bytes expected, got {len(root)}")


def _wrong_addressee(evidence: Evidence, root: bytes) -> str | None:
    """Why no slot was made for the receiver that the evidence names; None if one was."""
    to, cek = evidence._addressee, evidence._cek
    assert to is not None
    assert cek is not None
    if to.key.params.root_public_key != root:
        return "evidence: the receiver's parameters are signed by another root key"
    opened = open_slot(to.T, to.S, evidence.header, cut(evidence.slots, SLOT_BYTES), to.key)
    if opened is None or not hmac.compare_digest(opened, cek):
        return "evidence: not one slot, or more than one, was made for this receiver and holds CEK"
    return None


def _wrong_packet(
    evidence: Evidence,
    parsed: Packet,
    content: io.BytesIO,
    target: BinaryIO | None,
    progress: Progress | None,
) -> str | None:
    """Why the packet does not say what was signed; None if it does, and then the plaintext is out."""
    signed = (evidence.header, evidence.slots, evidence.body_bytes)
    if (parsed.header, b"".join(parsed.slots), parsed.body_bytes) != signed:
        return "packet: not the one that was signed"
    report = Report(progress, parsed.body_bytes * (1 if target is None else 2)).add
    body = SignedBody(parsed.body, cut(evidence.chunk_hashes, HASH_BYTES), report)
    try:
        if evidence._cek is None:
            for _ in body.chunks():
                pass
            return None
        k_body, _, kc = kem.content_keys(evidence._cek)
        if not hmac.compare_digest(kc, parsed.kc):
            return "evidence: CEK is not the key that the header commits to"
        n_bytes = evidence.plaintext_bytes
        first = Through(content.write if target is None else len)
        _, padding_is_zero = open_body(k_body, body, n_bytes, first)
        if not padding_is_zero:
            return "packet: the padding is not zero"
        if target is not None:  # again from the start, now that all of it holds
            open_body(k_body, body, n_bytes, Through(writer(target)))
    except DecodeError:
        return "packet: another body than the signed one"
    except InvalidTag:
        return "packet: the signed body does not open under CEK"
    return None

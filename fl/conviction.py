"""A conviction: proof for anybody that a client signed a share that contradicts its own manifest.

Every client's packet for a member is signed by the client for this round and this member, and what it
says names the client's manifest.  So the packet, opened before a judge (:func:`sottovoce.clsc.judge`), and
the manifest, which is public, are all that it takes: no member's word, and no secret but the one share,
which the convicted client forfeits.

What convicts is a share against the sender's OWN signed manifest, or bytes that are no share at all.
Nothing else does: a packet that does not open, one of another sender, or one that names another manifest
than the listed one, could be the work of whoever passed it on.  Those stay a member's word.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from enum import StrEnum
from typing import Self

from .. import clsc
from .._ext.enc import enc
from .._ext.errors import (
    DecodeError,
    EvidenceError,
    ProofError,
    SenderError,
    SignatureError,
    UnsigncryptError,
)
from .._ext.limits import MAX_SHARE_EVIDENCE_BYTES, MAX_SHOWN_CONVICTION_BYTES
from .errors import ProtocolError, Reason
from .header import RoundHeader, check_sender
from .sizes import manifest_bytes, member_packet_bytes
from .update import Manifest, MemberShare
from .wire import associated_data, check_length, expect, read_int, split_exactly

_TAG = b"SOTTOVOCE-V1-CONVICTION"
_SHOWN_TAG = b"SOTTOVOCE-V1-SHOWN-CONVICTION"


class Fault(StrEnum):
    """What a conviction shows; the value is the text shown to people."""

    MALFORMED = "signed bytes for a member that are no share of this round"
    SHARE = "signed a share that its own manifest refutes"


@dataclass(frozen=True)
class Conviction:
    """The packet that a client signed for a member, what opens it, and the manifest that it names.

    An object of this class is well-formed; whether it convicts, :meth:`verify` tells.

    Attributes:
        header_hash: The round, 32 bytes.
        index: The member that the packet is for, from 1.
        packet: As it came out of the client's update; its head is not looked at.
        evidence: Of strength ``ADDRESSED``: opens this packet, and nothing else.
        manifest: The one that the packet names, or None: then the packet says no such thing.

    Source: docs/fl-audit.md, "Complaints and convictions".
    """

    header_hash: bytes
    index: int
    packet: bytes = field(repr=False)
    evidence: clsc.Evidence = field(repr=False)
    manifest: Manifest | None = field(repr=False)

    @property
    def pid(self) -> bytes:
        """Pseudonym of the client that it is about, 16 bytes."""
        return self.evidence.sender.pid

    @classmethod
    def make(
        cls,
        header: RoundHeader,
        index: int,
        packet: bytes,
        manifest: Manifest,
        *,
        receiver: clsc.SecretKey,
        trust: clsc.TrustStore,
    ) -> Self | None:
        """A member's conviction of the client of ``manifest``, or None: then there is no proof.

        It is verified before it is returned, so that a member that shows it is never taken for a liar.

        Args:
            header: The round.
            index: The member's own, from 1.
            packet: As the aggregator passed it on.
            manifest: The one that the aggregator lists beside it.
            receiver: The member's ``decrypt`` key.
            trust: The member's.
        """
        if len(packet) != member_packet_bytes(header.kahe_params):
            return None
        ad = associated_data(header.hash, "share", index)
        try:
            evidence = clsc.make_evidence(
                packet, receiver=receiver, trust=trust, ad=ad, strength=clsc.Strength.ADDRESSED
            )
        except (UnsigncryptError, SenderError):
            return None
        if evidence.sender.pid != manifest.pid:
            return None
        conviction = cls(header.hash, index, packet, evidence, None)
        try:
            verdict = conviction._judged(header, trust.root_public_key)
        except ProtocolError:
            return None
        if conviction._fault(header, verdict) is None:  # only then is the manifest needed
            conviction = replace(conviction, manifest=manifest)
            if conviction._fault(header, verdict) is None:
                return None
        return conviction

    def verify(self, header: RoundHeader, root_public_key: bytes) -> Fault:
        """Return what it shows, if it convicts; needs no secret.

        Args:
            header: The round; a client signs only for headers that it has accepted, so that the signatures
                of this one need not be looked at.
            root_public_key: 32 bytes, the pinned root key of the issuer.

        Returns:
            The fault.

        Raises:
            TypeError: Wrong types.
            ProtocolError: It does not convict (:attr:`Reason.CONVICTION`).

        Timing: public data only.
        """
        expect("header", header, RoundHeader)
        fault = self._fault(header, self._judged(header, root_public_key))
        if fault is None:
            raise self._refusal("shows no fault")
        return fault

    def _judged(self, header: RoundHeader, root_public_key: bytes) -> clsc.Verdict:
        """What the client signed for the member; a refusal if it did not sign it for this one and round."""
        if self.header_hash != header.hash or not 1 <= self.index <= len(header.members):
            raise self._refusal("of another round or committee")
        try:
            verdict = clsc.judge(self.evidence, root_public_key, packet=self.packet)
        except (DecodeError, SignatureError, EvidenceError) as error:
            raise self._refusal(str(error)) from None
        try:
            check_sender(header, verdict.sender)
        except ProtocolError:
            raise self._refusal("sender of another epoch or mode") from None
        if verdict.ad != associated_data(header.hash, "share", self.index):
            raise self._refusal("packet of another round or member")
        addressee = header.members[self.index - 1].decrypt
        if verdict.addressee is None or verdict.addressee.to_bytes() != addressee.to_bytes():
            raise self._refusal("packet to another receiver")
        return verdict

    def _fault(self, header: RoundHeader, verdict: clsc.Verdict) -> Fault | None:
        """What is wrong with the text that the client signed as the share for this member."""
        pid, text, manifest = verdict.sender.pid, verdict.plaintext, self.manifest
        assert text is not None
        try:
            content = MemberShare.from_bytes(text, header, self.index)
        except DecodeError:
            return Fault.MALFORMED if manifest is None else None
        # Not the manifest that somebody lists: the one that is named in the very packet.
        if manifest is None or manifest.digest != content.manifest_digest or manifest.pid != pid:
            return None
        try:
            manifest.proof.verify(header.hash, pid, manifest.ciphertext_digest, content.share)
        except ProofError:
            return Fault.SHARE
        return None

    def _refusal(self, detail: str) -> ProtocolError:
        return ProtocolError(Reason.CONVICTION, detail, round_id=self.header_hash, sender=self.pid)

    def to_bytes(self) -> bytes:
        """``enc(tag, header hash, index, packet, evidence, manifest)``, the manifest empty if None."""
        manifest = b"" if self.manifest is None else self.manifest.to_bytes()
        return enc(_TAG, self.header_hash, self.index, self.packet, self.evidence.to_bytes(), manifest)

    @classmethod
    def from_bytes(cls, data: bytes, header: RoundHeader) -> Self:
        """Parse a conviction in the round ``header``; believed only by :meth:`verify`.

        Args:
            data: What :meth:`to_bytes` gave.
            header: The round.

        Raises:
            DecodeError: Malformed, of another round, or evidence of another strength.
        """
        if isinstance(data, bytes) and len(data) > conviction_max_bytes(header):
            raise DecodeError("conviction: longer than any of this round")
        tag, header_hash, index, packet, evidence, manifest = split_exactly(data, 6)
        if tag != _TAG or header_hash != header.hash:
            raise DecodeError("conviction: of another kind or round")
        named = read_int(index)
        if not 1 <= named <= len(header.members):
            raise DecodeError(f"conviction: member 1 to {len(header.members)} expected")
        check_length("member packet", packet, member_packet_bytes(header.kahe_params))
        if len(evidence) > MAX_SHARE_EVIDENCE_BYTES:
            raise DecodeError(f"evidence: at most {MAX_SHARE_EVIDENCE_BYTES} bytes, got {len(evidence)}")
        shown = clsc.Evidence.from_bytes(evidence)
        if shown.strength is not clsc.Strength.ADDRESSED:
            raise DecodeError("conviction: evidence of strength ADDRESSED expected")
        named_manifest = Manifest.from_bytes(manifest, header) if manifest else None
        return cls(header.hash, named, packet, shown, named_manifest)


def conviction_max_bytes(header: RoundHeader) -> int:
    """No conviction of this round is longer."""
    params = header.kahe_params
    return 256 + member_packet_bytes(params) + manifest_bytes(params) + MAX_SHARE_EVIDENCE_BYTES


def show_conviction(header: RoundHeader, conviction: Conviction) -> bytes:
    """A conviction with its round, for somebody who has neither: what ``sottovoce fl judge`` reads.

    Args:
        header: The round.
        conviction: Verified.

    Returns:
        ``enc(tag, EpochParams of the servers, header, conviction)``, at most 512 KiB.

    Raises:
        TypeError: Wrong types.

    Source: docs/fl-audit.md, "The bytes".
    """
    expect("header", header, RoundHeader)
    expect("conviction", conviction, Conviction)
    params = header.aggregator.sign.params
    return enc(_SHOWN_TAG, params.to_bytes(), header.to_bytes(), conviction.to_bytes())


def judge_conviction(data: bytes, root_public_key: bytes) -> tuple[RoundHeader, Conviction, Fault]:
    """Read and verify what :func:`show_conviction` gave; needs the issuer's root key and no secret.

    Args:
        data: What :func:`show_conviction` gave.
        root_public_key: 32 bytes, the issuer's pinned root key.

    Returns:
        The round, the conviction, and what it shows.

    Raises:
        TypeError, ParameterError: Wrong arguments.
        DecodeError: Malformed.
        SenderError: Of another issuer.
        ProtocolError: It does not convict (:attr:`Reason.CONVICTION`).

    Timing: public data only.
    Source: docs/fl-audit.md, "Complaints and convictions".
    """
    if isinstance(data, bytes) and len(data) > MAX_SHOWN_CONVICTION_BYTES:
        raise DecodeError(f"conviction: at most {MAX_SHOWN_CONVICTION_BYTES} bytes, got {len(data)}")
    tag, params, header_bytes, conviction_bytes = split_exactly(data, 4)
    if tag != _SHOWN_TAG:
        raise DecodeError("conviction: not one with its round")
    trust = clsc.TrustStore(root_public_key)
    trust.add_bytes(params)
    header = RoundHeader.from_bytes(header_bytes, trust)
    conviction = Conviction.from_bytes(conviction_bytes, header)
    return header, conviction, conviction.verify(header, root_public_key)

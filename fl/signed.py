"""A header with its signatures: the aggregator's, and those of a quorum of members."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Self

from .. import clsc
from .._ext import cbor
from .._ext.enc import enc
from .._ext.errors import DecodeError, ParameterError, SignatureError
from .._ext.limits import HEADER_MAX_BYTES
from .errors import ProtocolError, Reason
from .header import TAG_AGGREGATOR, TAG_MEMBER, RoundHeader
from .server import ServerKeys
from .wire import VERSION, check_length, expect

_SIGNED_SCHEMA: cbor.Schema = {"v": int, "header": bytes, "aggregator": bytes, "members": list}


@dataclass(frozen=True)
class SignedHeader:
    """A header with the aggregator's signature and at least ``t`` co-signatures of members.

    Attributes:
        header: The header.
        aggregator_signature: 176 bytes.
        member_signatures: One entry a member in order, 176 bytes or ``b""`` for a member that did not sign.

    Source: docs/fl.md, "Messages".
    """

    header: RoundHeader
    aggregator_signature: bytes = field(repr=False)
    member_signatures: tuple[bytes, ...] = field(repr=False)
    _verified: bool = field(default=False, init=False, repr=False, compare=False)

    def to_bytes(self) -> bytes:
        """Canonical CBOR."""
        return cbor.dumps(
            {
                "v": VERSION,
                "header": self.header.to_bytes(),
                "aggregator": self.aggregator_signature,
                "members": list(self.member_signatures),
            }
        )

    @classmethod
    def propose(cls, header: RoundHeader, keys: ServerKeys) -> Self:
        """The aggregator's own signature on a header, for the members to add theirs.

        Args:
            header: Of :func:`plan_round`.
            keys: The aggregator's.

        Raises:
            ParameterError: ``keys`` are not those of ``header.aggregator``.

        Timing: as :func:`sottovoce.clsc.sign`.
        """
        if keys.public.to_list() != header.aggregator.to_list():
            raise ParameterError("keys: the aggregator's expected")
        return cls(header, header.sign(keys), (b"",) * len(header.members))

    def with_members(self, signatures: Mapping[int, bytes]) -> Self:
        """This header with the co-signatures of members, by index from 1; each is verified.

        Args:
            signatures: Index -> 176 bytes, of :meth:`Member.cosign`.

        Raises:
            TypeError, ParameterError: Not a mapping from member indices.
            ProtocolError: Fewer than ``t``, or a wrong one (:attr:`Reason.HEADER_SIGNATURE`).
        """
        expect("signatures", signatures, Mapping)
        indices = range(1, len(self.header.members) + 1)
        if not set(signatures) <= set(indices):
            raise ParameterError(
                f"signatures: member indices 1 to {indices[-1]} expected, got {sorted(signatures)}"
            )
        listed = tuple(signatures.get(j, b"") for j in indices)
        signed = replace(self, member_signatures=listed)
        signed._verify(self.header.threshold)
        return signed

    def verify(self, trust: clsc.TrustStore) -> None:
        """Return if the servers are acceptable now, and the signatures are those of a header.

        Signatures that were verified when this object was made are not verified again.

        Args:
            trust: Knows the parameters of the servers' keys.

        Raises:
            SenderError: Server keys unknown, revoked or out of their validity.
            ProtocolError: Fewer than ``t`` co-signatures, or a wrong one (:attr:`Reason.HEADER_SIGNATURE`).
        """
        self.header.check_servers(trust)
        if not self._verified:
            self._verify(self.header.threshold)

    @classmethod
    def from_bytes(cls, data: bytes, trust: clsc.TrustStore, *, proposal: bool = False) -> Self:
        """Parse a signed header and verify all its signatures, as one batch.

        Args:
            data: From :meth:`to_bytes`.
            trust: Knows the servers' parameters.
            proposal: Accept one that no member has signed yet (a member about to sign).

        Raises:
            DecodeError: Not canonical, or not a possible header.
            SenderError: Server keys unknown, revoked or out of their validity.
            ProtocolError: Fewer than ``t`` co-signatures, or a wrong one (:attr:`Reason.HEADER_SIGNATURE`).
        """
        fields = cbor.loads_map(data, _SIGNED_SCHEMA, max_bytes=HEADER_MAX_BYTES)
        if fields["v"] != VERSION:
            raise DecodeError(f"header: version {VERSION} expected")
        header = RoundHeader.from_bytes(fields["header"], trust)
        signatures = fields["members"]
        if len(signatures) != len(header.members) or any(type(s) is not bytes for s in signatures):
            raise DecodeError("header: one signature field a member expected")
        for signature in (fields["aggregator"], *filter(None, signatures)):
            check_length("header signature", signature, clsc.SIGNATURE_BYTES)
        header.check_servers(trust)
        signed = cls(header, fields["aggregator"], tuple(signatures))
        signed._verify(0 if proposal else header.threshold)
        return signed

    def _verify(self, quorum: int) -> None:
        header = self.header
        present = [(j, s) for j, s in enumerate(self.member_signatures, 1) if s]
        if len(present) < quorum:
            raise ProtocolError(
                Reason.HEADER_SIGNATURE,
                f"{quorum} members expected, got {len(present)}",
                round_id=header.hash,
            )
        items = [(header.aggregator.sign, enc(TAG_AGGREGATOR, header.hash), self.aggregator_signature)]
        items += [(header.members[j - 1].sign, enc(TAG_MEMBER, header.hash, j), s) for j, s in present]
        try:
            clsc.batch_verify(items)
        except SignatureError as error:
            names = ", ".join(
                "aggregator" if i == 0 else f"member {present[i - 1][0]}" for i in error.bad_indices
            )
            raise ProtocolError(Reason.HEADER_SIGNATURE, names, round_id=header.hash) from None
        # Not part of the value: what is written or compared is what was signed.
        object.__setattr__(self, "_verified", len(present) >= header.threshold)


class HeaderReader:
    """Reads signed headers, and verifies the signatures of the one it is shown again only once.

    Whether the servers' keys are acceptable *now* is asked every time.
    """

    def __init__(self, trust: clsc.TrustStore) -> None:
        self._trust = trust
        self._last: tuple[bytes, RoundHeader] | None = None

    def read(self, data: bytes) -> RoundHeader:
        """The header, verified.

        Raises:
            DecodeError, SenderError, ProtocolError: As :meth:`SignedHeader.from_bytes`.
        """
        last = self._last
        if last is None or last[0] != data:
            header = SignedHeader.from_bytes(data, self._trust).header
            self._last = (data, header)
            return header
        last[1].check_servers(self._trust)
        return last[1]

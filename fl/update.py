"""What one client sends: manifest, shares for the members, and the update that holds it all.

The update travels in one signcryption to the aggregator; inside it, one signcryption a member carries
that member's share, so that the aggregator moves shares that it cannot read.  The manifest ties all of
it together: whoever signs two different ones for one round has equivocated.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Self

from .._ext import cbor
from .._ext.enc import enc
from .._ext.errors import DecodeError, ParameterError
from .._ext.room import Room
from ..he import kahe
from .header import RoundHeader
from .sizes import manifest_bytes, member_packet_bytes, update_bytes
from .wire import HASH_BYTES, PID_BYTES, VERSION, check_length, read_int, split_exactly, split_views

_SCHEMA: cbor.Schema = {"v": int, "header": bytes, "pid": bytes, "ciphertext": bytes, "proof": bytes}


@dataclass(frozen=True)
class Manifest:
    """A client's public statement about its contribution.

    Attributes:
        header_hash: The round, 32 bytes.
        pid: The sender's pseudonym, 16 bytes.
        ciphertext_digest: SHA-256 of the ciphertext, 32 bytes.
        proof: Commitments to the members' shares, and the degree proof.

    Source: docs/fl.md, "Messages"; the proof is docs/he.md, "Sharing the key, and the proof of its degree".
    """

    header_hash: bytes
    pid: bytes
    ciphertext_digest: bytes
    proof: kahe.DegreeProof

    @cached_property
    def digest(self) -> bytes:
        """SHA-256 of the encoding under its own tag, 32 bytes."""
        return hashlib.sha256(enc("SOTTOVOCE-V1-MANIFEST", self.to_bytes())).digest()

    def to_bytes(self) -> bytes:
        """Canonical CBOR; one length for all clients of a round."""
        return cbor.dumps(
            {
                "v": VERSION,
                "header": self.header_hash,
                "pid": self.pid,
                "ciphertext": self.ciphertext_digest,
                "proof": self.proof.to_bytes(),
            }
        )

    @classmethod
    def from_bytes(cls, data: bytes, header: RoundHeader) -> Self:
        """Parse a manifest of the round ``header``.

        Args:
            data: Canonical CBOR.
            header: The round.

        Raises:
            DecodeError: Not canonical, or of another round.
        """
        fields = cbor.loads_map(data, _SCHEMA, max_bytes=header.kahe_params.proof_bytes + 256)
        if fields["v"] != VERSION or fields["header"] != header.hash:
            raise DecodeError("manifest: of another version or round")
        return cls(
            header.hash,
            check_length("pid", fields["pid"], PID_BYTES),
            check_length("ciphertext digest", fields["ciphertext"], HASH_BYTES),
            kahe.DegreeProof.from_bytes(fields["proof"], header.kahe_params),
        )


@dataclass(frozen=True)
class MemberShare:
    """The plaintext of a member's packet.

    Attributes:
        index: The member it is for, from 1.
        manifest_digest: The manifest it belongs to, 32 bytes.
        share: Salt, masks and share of the one-time key; secret.

    Source: docs/fl.md, "Messages".
    """

    index: int
    manifest_digest: bytes
    share: kahe.KeyShare = field(repr=False)

    def to_bytes(self) -> bytes:
        """``enc(index, manifest digest, share)``."""
        return enc(self.index, self.manifest_digest, self.share.to_bytes())

    @classmethod
    def from_bytes(cls, data: bytes, header: RoundHeader, index: int) -> Self:
        """Parse the plaintext that member ``index`` opened.

        Args:
            data: What the client signcrypted to the member, opened.
            header: The round.
            index: The member, from 1.

        Raises:
            DecodeError: Malformed, or for another member.
        """
        named, digest, share = split_exactly(data, 3)
        if read_int(named) != index:
            raise DecodeError("share: for another member")
        return cls(
            index,
            check_length("manifest digest", digest, HASH_BYTES),
            kahe.KeyShare.from_bytes(share, header.kahe_params, index),
        )


@dataclass(frozen=True)
class Update:
    """The plaintext of a client's packet to the aggregator.

    Attributes:
        manifest: The manifest.
        ciphertext: The encrypted vector.
        member_packets: One signcrypted :class:`MemberShare` a member, in the committee's order.

    Source: docs/fl.md, "Messages".
    """

    manifest: Manifest
    ciphertext: kahe.Ciphertext
    member_packets: tuple[bytes, ...] = field(repr=False)

    def to_bytes(self) -> bytes:
        """``enc(manifest, ciphertext, packet_1, ..., packet_n)``."""
        return enc(self.manifest.to_bytes(), self.ciphertext.to_bytes(), *self.member_packets)

    @staticmethod
    def outline(data: bytes, header: RoundHeader) -> tuple[Manifest, tuple[bytes, ...]]:
        """Manifest and members' packets of an update that :meth:`from_bytes` has read before.

        The ciphertext, nearly all of it, is not hashed again.

        Args:
            data: What :meth:`from_bytes` has read.
            header: The round.

        Raises:
            DecodeError: Malformed.
        """
        manifest_bytes, _, *packets = split_views(data, 2 + len(header.members))
        return Manifest.from_bytes(bytes(manifest_bytes), header), tuple(map(bytes, packets))

    @classmethod
    def from_bytes(cls, data: bytes, header: RoundHeader) -> Self:
        """Parse an update of the round ``header``: manifest and ciphertext belong together.

        Args:
            data: What the client signcrypted, opened.
            header: The round.

        Raises:
            DecodeError: Malformed, or the ciphertext is not the one of the manifest.
        """
        manifest, ciphertext, packets = cls.views(data, header)
        read = kahe.Ciphertext.from_bytes(bytes(ciphertext), header.kahe_params)
        return cls(manifest, read, tuple(map(bytes, packets)))

    @staticmethod
    def views(data: bytes, header: RoundHeader) -> tuple[Manifest, memoryview, list[memoryview]]:
        """As :meth:`from_bytes`, with ciphertext and members' packets where they are: nothing is copied.

        Args:
            data: What the client signcrypted, opened.
            header: The round.

        Raises:
            DecodeError: As :meth:`from_bytes`.
        """
        params = header.kahe_params
        manifest_bytes, ciphertext, *packets = split_views(data, 2 + len(header.members))
        manifest = Manifest.from_bytes(bytes(manifest_bytes), header)
        check_length("ciphertext", ciphertext, params.ciphertext_bytes)
        if hashlib.sha256(ciphertext).digest() != manifest.ciphertext_digest:
            raise DecodeError("update: the ciphertext is not the one of the manifest")
        for packet in packets:
            check_length("member packet", packet, member_packet_bytes(params))
        return manifest, ciphertext, packets


class UpdateDraft:
    """The encoding of an update while it is made: the ciphertext, nearly all of it, is written into it.

    Attributes:
        ciphertext: Room for it, ``params.ciphertext_bytes`` bytes.
    """

    def __init__(self, header: RoundHeader) -> None:
        params = header.kahe_params
        self._room = Room(update_bytes(params))
        self._whole = self._room.place(update_bytes(params))
        self._at = 0
        self._manifest_bytes = manifest_bytes(params)
        self._field(self._manifest_bytes)  # filled in when there is one
        self.ciphertext = self._field(params.ciphertext_bytes)

    def finish(self, manifest: Manifest, member_packets: Sequence[bytes]) -> bytes:
        """:meth:`Update.to_bytes`."""
        for packet in member_packets:
            self._field(len(packet))[:] = packet
        end, self._at = self._at, 0
        encoded = manifest.to_bytes()
        place = self._field(self._manifest_bytes)
        if len(encoded) != len(place) or end != len(self._whole):
            # Something would go out that nobody has written, or over the ciphertext.
            raise ParameterError("update: manifest or packets of another length than the round's")
        place[:] = encoded
        self._room.take(end)
        for view in (place, self.ciphertext, self._whole):
            view.release()
        return self._room.value()

    def _field(self, n_bytes: int) -> memoryview:
        """Where the next field goes, behind its length, as ``enc`` writes it."""
        self._whole[self._at : self._at + 4] = n_bytes.to_bytes(4, "big")
        start = self._at + 4
        self._at = start + n_bytes
        return self._whole[start : self._at]

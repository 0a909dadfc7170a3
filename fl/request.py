"""What an aggregator asks of a member, and what the member says of it before it answers.

The request is signed and names the round by its header hash; a check is signcrypted to the aggregator.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, field, replace
from functools import cached_property
from itertools import pairwise
from typing import Self

from .. import clsc
from .._ext import cbor, limits
from .._ext.enc import enc
from .._ext.errors import DecodeError
from .closing import ContributorSet, check_entries
from .conviction import Conviction, conviction_max_bytes
from .errors import ProtocolError, Reason
from .header import RoundHeader
from .server import ServerKeys
from .sizes import manifest_bytes, member_packet_bytes
from .update import Manifest
from .wire import HASH_BYTES, PID_BYTES, VERSION, check_length, open_body, set_root, sign_body, split

_TAG_CLOSE = "SOTTOVOCE-V1-CLOSE"
_CLOSE_SCHEMA: cbor.Schema = {
    "v": int,
    "header": bytes,
    "root": bytes,
    "sum": bytes,
    "count": int,
    "removed": list,
    "parts": bytes,
}
_CHECK_SCHEMA: cbor.Schema = {"v": int, "root": bytes, "bad": list}


@dataclass(frozen=True)
class Removal:
    """One client that was taken out of a set that some members had answered, and why that is right.

    Attributes:
        manifest_digest: As the client was listed, 32 bytes.
        conviction: Verified by nobody yet.

    Source: docs/fl-audit.md, "Complaints and convictions".
    """

    manifest_digest: bytes
    conviction: Conviction

    @property
    def entry(self) -> tuple[bytes, bytes]:
        """``(pid, manifest digest)``, as it stood in the list."""
        return self.conviction.pid, self.manifest_digest


@dataclass(frozen=True)
class CloseRequest:
    """What the aggregator asks of one member.

    Attributes:
        agreed: The set.
        manifests: Of its contributors, sorted by pid, each pid once.
        packets: This member's packets, in the same order.
        removals: Who was taken out of the first set that members may have answered, step by step: with the
            last step put back, this set is the one that was asked for before.  Empty for that first set.

    Source: docs/fl.md, "Messages".
    """

    agreed: ContributorSet
    manifests: tuple[Manifest, ...] = field(repr=False)
    packets: tuple[bytes, ...] = field(repr=False)
    removals: tuple[tuple[Removal, ...], ...] = field(default=(), repr=False)

    @cached_property
    def entries(self) -> list[tuple[bytes, bytes]]:
        """``(pid, manifest digest)`` in order."""
        return [(m.pid, m.digest) for m in self.manifests]

    def removed_since(self, root: bytes, header_hash: bytes) -> tuple[Removal, ...] | None:
        """Whom to put back to get the set with this root, or None if it is no set of this chain.

        The answer is as good as SHA-256: no other list has this root.

        Args:
            root: Of a set that was answered, 32 bytes.
            header_hash: The round, 32 bytes.
        """
        entries = dict(self.entries)
        back: list[Removal] = []
        for step in reversed(self.removals):
            back += step
            entries |= dict(removal.entry for removal in step)
            if set_root(header_hash, sorted(entries.items())) == root:
                return tuple(back)
        return None

    def to_bytes(self, header: RoundHeader, index: int, keys: ServerKeys) -> bytes:
        """``enc(signed envelope, digest_1, conviction_1, ..., manifest_1, packet_1, ...)``.

        Signed for member ``index``.

        Args:
            header: The round.
            index: The member that it is for, from 1.
            keys: The aggregator's.

        Returns:
            The signed request, to be sent to this member.

        Timing: as :func:`sottovoce.clsc.sign`.
        """
        parts = removal_parts(self.removals)
        for m, packet in zip(self.manifests, self.packets, strict=True):
            parts += enc(m.to_bytes(), packet)
        return sign_request(self.agreed, self.removals, parts, header, index, keys)

    @classmethod
    def from_bytes(cls, data: bytes, header: RoundHeader, index: int) -> Self:
        """Parse a request to member ``index`` and verify that the aggregator of ``header`` signed it.

        Args:
            data: What :meth:`to_bytes` gave.
            header: The round.
            index: The member that it is for, from 1.

        Raises:
            DecodeError: Malformed, or list, root and count do not agree.
            ProtocolError: Of another round (:attr:`Reason.SET`).
            SignatureError: Not signed by the aggregator for this member.
        """
        most = 8 + max(
            manifest_bytes(header.kahe_params) + member_packet_bytes(header.kahe_params),
            HASH_BYTES + conviction_max_bytes(header),
        )
        if isinstance(data, bytes) and len(data) > 1024 + header.max_contributors * most:
            raise DecodeError("close request: longer than any of this round")
        envelope, *parts = split(data, max_fields=1 + 2 * header.max_contributors) or [b""]
        body = open_body(envelope, header.aggregator.sign, _TAG_CLOSE, index)
        fields = cbor.loads_map(body, _CLOSE_SCHEMA)
        if fields["v"] != VERSION:
            raise DecodeError(f"close request: version {VERSION} expected")
        if fields["header"] != header.hash:
            raise ProtocolError(Reason.SET, "of another round", round_id=header.hash)
        if hashlib.sha256(data[4 + len(envelope) :]).digest() != fields["parts"] or len(parts) % 2:
            raise DecodeError("close request: not the parts that were signed")
        removals, parts = _read_removals(fields["removed"], parts, header)
        manifests = tuple(Manifest.from_bytes(m, header) for m in parts[0::2])
        agreed = ContributorSet(
            check_length("set root", fields["root"], HASH_BYTES),
            check_length("sum digest", fields["sum"], HASH_BYTES),
            fields["count"],
        )
        request = cls(agreed, manifests, tuple(parts[1::2]), removals)
        check_entries(request.entries)
        if agreed.count != len(manifests) or agreed.root != set_root(header.hash, request.entries):
            raise DecodeError("close request: root and count are not those of the list")
        everybody = [m.pid for m in manifests] + [r.conviction.pid for step in removals for r in step]
        if len(set(everybody)) != len(everybody):
            raise DecodeError("close request: somebody is removed twice, or listed all the same")
        return request


def removal_parts(removals: tuple[tuple[Removal, ...], ...]) -> bytearray:
    """How the parts of a request begin; ``enc(manifest, packet)`` of each contributor follows."""
    removed = [removal for step in removals for removal in step]
    return bytearray(enc(*[p for r in removed for p in (r.manifest_digest, r.conviction.to_bytes())]))


def sign_request(
    agreed: ContributorSet,
    removals: tuple[tuple[Removal, ...], ...],
    parts: bytearray,
    header: RoundHeader,
    index: int,
    keys: ServerKeys,
) -> bytes:
    """The request to member ``index`` with these parts."""
    body = cbor.dumps(
        {
            "v": VERSION,
            "header": header.hash,
            "root": agreed.root,
            "sum": agreed.sum_digest,
            "count": agreed.count,
            "removed": [len(step) for step in removals],
            "parts": hashlib.sha256(parts).digest(),
        }
    )
    return b"".join((enc(sign_body(keys.sign, _TAG_CLOSE, body, index)), parts))


def _read_removals(
    counts: list[object], parts: list[bytes], header: RoundHeader
) -> tuple[tuple[tuple[Removal, ...], ...], list[bytes]]:
    """The removals at the beginning of ``parts``, and the other parts."""
    if len(counts) > limits.MAX_REMOVALS:
        raise DecodeError(f"close request: removals in at most {limits.MAX_REMOVALS} steps expected")
    steps = []
    for count in counts:
        if type(count) is not int or not 1 <= count <= len(parts) // 2:
            raise DecodeError("close request: not as many removals as it says")
        read, parts = parts[: 2 * count], parts[2 * count :]
        steps.append(
            tuple(
                Removal(
                    check_length("manifest digest", digest, HASH_BYTES),
                    Conviction.from_bytes(conviction, header),
                )
                for digest, conviction in zip(read[0::2], read[1::2], strict=True)
            )
        )
    return tuple(steps), parts


@dataclass(frozen=True)
class CheckReply:
    """A member's verdict on a request; binds nobody to anything.

    Attributes:
        root: The set it is about, 32 bytes.
        bad: Pseudonyms whose packets this member refuses, 16 bytes each, ascending; a complaint if not empty.
        convictions: Of those in ``bad`` whose fault can be shown, in the same order.  About the others it is
            the member's word.

    Source: docs/fl.md, "Messages".
    """

    root: bytes
    bad: tuple[bytes, ...]
    convictions: tuple[Conviction, ...] = field(default=(), repr=False)

    def to_bytes(self) -> bytes:
        """``enc(body, conviction_1, ...)``, the body canonical CBOR; travels signcrypted."""
        body = cbor.dumps({"v": VERSION, "root": self.root, "bad": list(self.bad)})
        return enc(body, *[conviction.to_bytes() for conviction in self.convictions])

    def fitting(self, header: RoundHeader) -> Self:
        """This verdict with as many convictions as a reply may hold, the first ones.

        Who could be convicted and is not shown is not named either: a mere word would set the word of this
        member against the client's.  It comes up again when the member is asked about the set without those
        that are shown.

        Args:
            header: The round.
        """
        most = reply_max_bytes(header)
        size = _check_body_bytes(len(self.bad))
        shown = 0
        for conviction in self.convictions:
            size += 4 + len(conviction.to_bytes())
            if clsc.packet_bytes(size) > most:
                break
            shown += 1
        if shown == len(self.convictions):
            return self
        left_out = {conviction.pid for conviction in self.convictions[shown:]}
        bad = tuple(pid for pid in self.bad if pid not in left_out)
        return replace(self, bad=bad, convictions=self.convictions[:shown])

    @classmethod
    def from_bytes(cls, data: bytes, header: RoundHeader) -> Self:
        """Parse a reply in the round ``header``; its convictions are yet to be verified.

        Args:
            data: What the member signcrypted, opened.
            header: The round.

        Raises:
            DecodeError: Malformed, pids not ascending, convictions of others than the bad or not in their
                order, or longer than any of this round.
        """
        limit = _check_body_bytes(header.max_contributors)
        if isinstance(data, bytes) and len(data) > _check_max_bytes(header):
            raise DecodeError("check: longer than any of this round")
        body, *shown = split(data, max_fields=1 + header.max_contributors) or [b""]
        fields = cbor.loads_map(body, _CHECK_SCHEMA, max_bytes=limit)
        bad = fields["bad"]
        if fields["v"] != VERSION or any(type(pid) is not bytes or len(pid) != PID_BYTES for pid in bad):
            raise DecodeError("check: version and list of pids expected")
        if any(a >= b for a, b in pairwise(bad)):
            raise DecodeError("check: pids must ascend")
        convictions = tuple(Conviction.from_bytes(c, header) for c in shown)
        pids = [conviction.pid for conviction in convictions]
        if any(a >= b for a, b in pairwise(pids)) or not set(pids) <= set(bad):
            raise DecodeError("check: convictions of the bad, in their order, expected")
        return cls(check_length("set root", fields["root"], HASH_BYTES), tuple(bad), convictions)


def reply_max_bytes(header: RoundHeader) -> int:
    """No check and no answer of this round that travels is longer."""
    answer = 1024 + header.kahe_params.share_sum_bytes
    return min(limits.MEMBER_REPLY_BYTES, clsc.packet_bytes(max(answer, _check_max_bytes(header))))


def _check_body_bytes(n_bad: int) -> int:
    return 64 + (1 + PID_BYTES) * n_bad


def _check_max_bytes(header: RoundHeader) -> int:
    most = header.max_contributors
    return _check_body_bytes(most) + most * (4 + conviction_max_bytes(header))

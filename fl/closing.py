"""The messages that close a round: request to a member, its check, its answer, and the result.

All of them name the round by its header hash.  The request is signed; checks and answers are
signcrypted to the aggregator; the result is signed by the aggregator and carries the signatures of
``t`` members over what they answered for.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cached_property
from itertools import pairwise
from typing import Self

import numpy as np
from numpy.typing import NDArray

from .. import clsc
from .._ext import cbor
from .._ext.enc import enc
from .._ext.errors import DecodeError, SignatureError
from .._ext.limits import MAX_REMOVALS
from ..he import kahe
from .conviction import Conviction, conviction_max_bytes
from .errors import ProtocolError, Reason
from .header import RoundHeader
from .server import ServerKeys
from .sizes import manifest_bytes, member_packet_bytes
from .update import Manifest
from .wire import (
    HASH_BYTES,
    PID_BYTES,
    VERSION,
    check_length,
    open_body,
    read_int,
    set_root,
    sign_body,
    split,
    split_exactly,
)

_TAG_CLOSE = "SOTTOVOCE-V1-CLOSE"
_TAG_RESULT = "SOTTOVOCE-V1-RESULT"
_TAG_ANSWERED = "SOTTOVOCE-V1-ANSWERED"
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
_RESULT_SCHEMA: cbor.Schema = {
    "v": int,
    "header": bytes,
    "root": bytes,
    "sum": bytes,
    "count": int,
    "weight": int,
    "mean": bytes,
    "members": list,
}


@dataclass(frozen=True)
class ContributorSet:
    """Who is in, fixed together with the sum before any key exists.

    Attributes:
        root: Digest of the sorted list of (pid, manifest digest), 32 bytes.
        sum_digest: SHA-256 of the sum of their ciphertexts, 32 bytes.
        count: How many they are.
    """

    root: bytes
    sum_digest: bytes
    count: int

    def signed_text(self, header_hash: bytes) -> bytes:
        """What a member signs for the clients when it answers."""
        return enc(_TAG_ANSWERED, header_hash, self.root, self.sum_digest, self.count)


@dataclass(frozen=True)
class Removal:
    """One client that was taken out of a set that some members had answered, and why that is right.

    Attributes:
        manifest_digest: As the client was listed.
        conviction: Verified by nobody yet.
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
        """
        removed = [removal for step in self.removals for removal in step]
        parts = enc(
            *[p for r in removed for p in (r.manifest_digest, r.conviction.to_bytes())],
            *[
                p
                for m, packet in zip(self.manifests, self.packets, strict=True)
                for p in (m.to_bytes(), packet)
            ],
        )
        body = cbor.dumps(
            {
                "v": VERSION,
                "header": header.hash,
                "root": self.agreed.root,
                "sum": self.agreed.sum_digest,
                "count": self.agreed.count,
                "removed": [len(step) for step in self.removals],
                "parts": hashlib.sha256(parts).digest(),
            }
        )
        return enc(sign_body(keys.sign, _TAG_CLOSE, body, index)) + parts

    @classmethod
    def from_bytes(cls, data: bytes, header: RoundHeader, index: int) -> Self:
        """Parse a request to member ``index`` and verify that the aggregator of ``header`` signed it.

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


def _read_removals(
    counts: list[object], parts: list[bytes], header: RoundHeader
) -> tuple[tuple[tuple[Removal, ...], ...], list[bytes]]:
    """The removals at the beginning of ``parts``, and the other parts."""
    if len(counts) > MAX_REMOVALS:
        raise DecodeError(f"close request: removals in at most {MAX_REMOVALS} steps expected")
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
        root: The set it is about.
        bad: Pseudonyms whose packets this member refuses, ascending; a complaint if not empty.
        convictions: Of those in ``bad`` whose fault can be shown, in the same order.  About the others it is
            the member's word.
    """

    root: bytes
    bad: tuple[bytes, ...]
    convictions: tuple[Conviction, ...] = field(default=(), repr=False)

    def to_bytes(self) -> bytes:
        """``enc(body, conviction_1, ...)``, the body canonical CBOR; travels signcrypted."""
        body = cbor.dumps({"v": VERSION, "root": self.root, "bad": list(self.bad)})
        return enc(body, *[conviction.to_bytes() for conviction in self.convictions])

    @classmethod
    def from_bytes(cls, data: bytes, header: RoundHeader) -> Self:
        """Parse a reply in the round ``header``; its convictions are yet to be verified.

        Raises:
            DecodeError: Malformed, pids not ascending, convictions of others than the bad or not in their
                order, or longer than any of this round.
        """
        limit = 64 + (1 + PID_BYTES) * header.max_contributors
        longest = limit + header.max_contributors * (4 + conviction_max_bytes(header))
        if isinstance(data, bytes) and len(data) > longest:
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


@dataclass(frozen=True)
class Answer:
    """A member's answer: the sum of its shares of exactly the agreed contributors' keys.

    Attributes:
        agreed: The set it is for.
        signature: The member's signature over ``agreed``, for the clients; 176 bytes.
        share_sum: The sum; with ``t - 1`` others it is the sum of the keys.
    """

    agreed: ContributorSet
    signature: bytes = field(repr=False)
    share_sum: kahe.ShareSum

    def to_bytes(self) -> bytes:
        """``enc(root, sum digest, count, signature, share sum)``; travels signcrypted."""
        agreed = self.agreed
        return enc(agreed.root, agreed.sum_digest, agreed.count, self.signature, self.share_sum.to_bytes())

    @classmethod
    def from_bytes(cls, data: bytes, header: RoundHeader, index: int) -> Self:
        """Parse the answer of member ``index`` and verify the signature meant for the clients.

        Raises:
            DecodeError: Malformed.
            SignatureError: The inner signature is not the member's.
        """
        root, sum_digest, count, signature, share_sum = split_exactly(data, 5)
        agreed = ContributorSet(
            check_length("set root", root, HASH_BYTES),
            check_length("sum digest", sum_digest, HASH_BYTES),
            read_int(count),
        )
        check_length("signature", signature, clsc.SIGNATURE_BYTES)
        parsed = kahe.ShareSum.from_bytes(share_sum, header.kahe_params, index)
        clsc.verify(header.members[index - 1].sign, agreed.signed_text(header.hash), signature)
        return cls(agreed, signature, parsed)


@dataclass(frozen=True, eq=False)
class RoundResult:
    """What a round gave.

    Attributes:
        agreed: The set, the digest of the sum, and how many they are.
        entries: ``(pid, manifest digest)`` of every contributor, sorted by pid.
        mean: Weighted mean, float64, shape ``(layout.size,)``, read-only.  The aggregator's word.
        total_weight: Sum of the clients' integer weights.
        member_signatures: Member index -> its signature over ``agreed``.
    """

    agreed: ContributorSet
    entries: tuple[tuple[bytes, bytes], ...] = field(repr=False)
    mean: NDArray[np.float64] = field(repr=False)
    total_weight: int
    member_signatures: dict[int, bytes] = field(repr=False)

    def to_bytes(self, header: RoundHeader, keys: ServerKeys) -> bytes:
        """``enc(signed envelope, list, mean)``: the list 48 bytes a contributor, the mean 8 bytes a value."""
        mean = self.mean.astype("<f8").tobytes()
        body = cbor.dumps(
            {
                "v": VERSION,
                "header": header.hash,
                "root": self.agreed.root,
                "sum": self.agreed.sum_digest,
                "count": self.agreed.count,
                "weight": self.total_weight,
                "mean": hashlib.sha256(mean).digest(),
                "members": [[j, s] for j, s in sorted(self.member_signatures.items())],
            }
        )
        listed = b"".join(pid + digest for pid, digest in self.entries)
        return enc(sign_body(keys.sign, _TAG_RESULT, body), listed, mean)

    @classmethod
    def from_bytes(cls, data: bytes, header: RoundHeader) -> Self:
        """Parse a result and verify the aggregator's and at least ``t`` members' signatures.

        Raises:
            DecodeError: Malformed; list, root and count do not agree; a mean or a sum of weights that no
                contributors could give.
            ProtocolError: Of another round, or fewer than ``t`` signatures (:attr:`Reason.RESULT`).
            SignatureError: A wrong signature.
        """
        result = cls.of_aggregator(data, header)
        result.check_members(header)
        return result

    @classmethod
    def of_aggregator(cls, data: bytes, header: RoundHeader) -> Self:
        """As :meth:`from_bytes`, but what the members have signed is not looked at: the aggregator's word.

        Raises:
            DecodeError, ProtocolError, SignatureError: As :meth:`from_bytes`.
        """
        limit = 4096 + 200 * len(header.members) + 48 * header.max_contributors + 8 * header.layout.size
        if isinstance(data, bytes) and len(data) > limit:
            raise DecodeError("result: longer than any of this round")
        envelope, listed, mean_bytes = split_exactly(data, 3)
        fields = cbor.loads_map(open_body(envelope, header.aggregator.sign, _TAG_RESULT), _RESULT_SCHEMA)
        if fields["v"] != VERSION:
            raise DecodeError(f"result: version {VERSION} expected")
        if fields["header"] != header.hash:
            raise ProtocolError(Reason.RESULT, "of another round", round_id=header.hash)
        check_length("mean", mean_bytes, 8 * header.layout.size)
        if hashlib.sha256(mean_bytes).digest() != fields["mean"]:
            raise DecodeError("result: not the mean that was signed")
        mean = np.frombuffer(mean_bytes, dtype="<f8").astype(np.float64, copy=False)
        # Not of what the clients clipped: no honest sum gives it, nor NaN, which no comparison passes.
        if not (np.abs(mean) <= header.clip).all():
            raise DecodeError("result: means within the clip range expected")
        step = PID_BYTES + HASH_BYTES
        if len(listed) % step:
            raise DecodeError(f"result: list entries of {step} bytes expected")
        entries = tuple(
            (listed[i : i + PID_BYTES], listed[i + PID_BYTES : i + step]) for i in range(0, len(listed), step)
        )
        check_entries(entries)
        agreed = ContributorSet(
            check_length("set root", fields["root"], HASH_BYTES),
            check_length("sum digest", fields["sum"], HASH_BYTES),
            fields["count"],
        )
        if agreed.count != len(entries) or agreed.root != set_root(header.hash, entries):
            raise DecodeError("result: root and count are not those of the list")
        if agreed.count < header.min_contributors:
            raise ProtocolError(Reason.TOO_FEW, round_id=header.hash)
        if agreed.count > header.max_contributors:
            raise DecodeError("result: more contributors than the round has places")
        if not agreed.count <= fields["weight"] <= agreed.count * header.codec.max_weight:
            raise DecodeError("result: no sum of that many weights")
        return cls(agreed, entries, mean, fields["weight"], _read_signatures(fields["members"], header))

    def check_members(self, header: RoundHeader) -> None:
        """Return if at least ``t`` members have answered for this set and sum.

        Raises:
            ProtocolError: Fewer than ``t`` signatures (:attr:`Reason.RESULT`).
            SignatureError: One of them does not verify; says whose.
        """
        signatures = self.member_signatures
        if len(signatures) < header.threshold:
            raise ProtocolError(
                Reason.RESULT,
                f"{header.threshold} members expected, got {len(signatures)}",
                round_id=header.hash,
            )
        text = self.agreed.signed_text(header.hash)
        try:
            clsc.batch_verify([(header.members[j - 1].sign, text, s) for j, s in signatures.items()])
        except SignatureError as error:
            wrong = ", ".join(str(list(signatures)[i]) for i in error.bad_indices)
            raise SignatureError(
                f"result: a member's signature does not verify ({wrong})", error.bad_indices
            ) from None


def check_entries(entries: Sequence[tuple[bytes, bytes]]) -> None:
    """A set lists every pid once, in ascending order.

    Raises:
        DecodeError: It does not.
    """
    if any(a[0] >= b[0] for a, b in pairwise(entries)):
        raise DecodeError("set: each pid once, in ascending order, expected")


def _read_signatures(listed: list[object], header: RoundHeader) -> dict[int, bytes]:
    signatures: dict[int, bytes] = {}
    for entry in listed:
        if type(entry) is not list or [type(v) for v in entry] != [int, bytes]:
            raise DecodeError("result: member index and signature expected")
        index, signature = entry
        if not 1 <= index <= len(header.members) or index <= max(signatures, default=0):
            raise DecodeError("result: member indices must ascend")
        signatures[index] = check_length("signature", signature, clsc.SIGNATURE_BYTES)
    return signatures

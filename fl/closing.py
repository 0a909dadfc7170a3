"""The messages that end a round: a member's answer, and the result; what came before is :mod:`.request`.

All of them name the round by its header hash.  Answers are signcrypted to the aggregator; the result is
signed by the aggregator and carries the signatures of ``t`` members over what they answered for.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from .. import clsc
from .._ext import cbor
from .._ext.enc import enc
from .._ext.errors import DecodeError, SignatureError
from .._ext.room import joined
from ..he import kahe
from .errors import ProtocolError, Reason
from .header import RoundHeader
from .server import ServerKeys
from .wire import (
    HASH_BYTES,
    PID_BYTES,
    VERSION,
    check_length,
    open_body,
    read_int,
    set_root,
    sign_body,
    split_exactly,
)

_TAG_RESULT = "SOTTOVOCE-V1-RESULT"
_TAG_ANSWERED = "SOTTOVOCE-V1-ANSWERED"
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

    Source: docs/fl.md, "Messages"; compare the consistency check of Bonawitz et al., CCS 2017, where clients
        sign the set that they help to open.
    """

    root: bytes
    sum_digest: bytes
    count: int

    def signed_text(self, header_hash: bytes) -> bytes:
        """What a member signs for the clients when it answers.

        Args:
            header_hash: The round, 32 bytes.
        """
        return enc(_TAG_ANSWERED, header_hash, self.root, self.sum_digest, self.count)


@dataclass(frozen=True)
class Answer:
    """A member's answer: the sum of its shares of exactly the agreed contributors' keys.

    Attributes:
        agreed: The set it is for.
        signature: The member's signature over ``agreed``, for the clients; 176 bytes.
        share_sum: The sum; with ``t - 1`` others it is the sum of the keys.

    Source: docs/fl.md, "Messages".
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

        Args:
            data: What the member signcrypted, opened.
            header: The round.
            index: The member that it is from, from 1.

        Raises:
            DecodeError: Malformed.
            SignatureError: The inner signature is not the member's.
        """
        answer = cls.unverified(data, header, index)
        clsc.verify(*answer.claim(header, index))
        return answer

    def claim(self, header: RoundHeader, index: int) -> tuple[clsc.PublicKey, bytes, bytes]:
        """What the signature meant for the clients says: key, message, signature.

        Args:
            header: The round.
            index: The member, from 1.
        """
        return header.members[index - 1].sign, self.agreed.signed_text(header.hash), self.signature

    @classmethod
    def unverified(cls, data: bytes, header: RoundHeader, index: int) -> Self:
        """As :meth:`from_bytes`, but its :meth:`claim` is yet to be verified.

        Args:
            data: What the member signcrypted, opened.
            header: The round.
            index: The member that it is from, from 1.

        Raises:
            DecodeError: Malformed.
        """
        root, sum_digest, count, signature, share_sum = split_exactly(data, 5)
        agreed = ContributorSet(
            check_length("set root", root, HASH_BYTES),
            check_length("sum digest", sum_digest, HASH_BYTES),
            read_int(count),
        )
        check_length("signature", signature, clsc.SIGNATURE_BYTES)
        return cls(agreed, signature, kahe.ShareSum.from_bytes(share_sum, header.kahe_params, index))


@dataclass(frozen=True, eq=False)
class RoundResult:
    """What a round gave.

    Attributes:
        agreed: The set, the digest of the sum, and how many they are.
        entries: ``(pid, manifest digest)`` of every contributor, 16 and 32 bytes, sorted by pid.
        mean: Weighted mean, shape ``(layout.size,)``, read-only, float32, or float64 where an array of the
            model is.  The aggregator's word.
        total_weight: Sum of the clients' integer weights, each 1 to ``header.codec.max_weight``.
        member_signatures: Member index, from 1 -> its signature over ``agreed``, 176 bytes.

    Source: docs/fl.md, "Messages"; the weighted mean is that of FedAvg, McMahan et al., AISTATS 2017,
        algorithm 1.
    """

    agreed: ContributorSet
    entries: tuple[tuple[bytes, bytes], ...] = field(repr=False)
    mean: NDArray[Any] = field(repr=False)
    total_weight: int
    member_signatures: dict[int, bytes] = field(repr=False)

    def to_bytes(self, header: RoundHeader, keys: ServerKeys) -> bytes:
        """``enc(signed envelope, list, mean)``: 48 bytes a contributor, 4 or 8 a value of the mean.

        Args:
            header: The round.
            keys: The aggregator's.

        Returns:
            The bytes that clients read with :meth:`from_bytes`.

        Timing: as :func:`sottovoce.clsc.sign`.
        """
        mean = little_endian(self.mean.astype(header.layout.vector_dtype, copy=False))
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
        # As enc would, without further copies of the mean, which is nearly all of it.
        head = enc(sign_body(keys.sign, _TAG_RESULT, body), listed)
        return joined((head, len(mean).to_bytes(4, "big"), mean))

    @classmethod
    def from_bytes(cls, data: bytes, header: RoundHeader) -> Self:
        """Parse a result and verify the aggregator's and at least ``t`` members' signatures.

        Args:
            data: What :meth:`to_bytes` gave.
            header: The round.

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

        Args:
            data: What :meth:`to_bytes` gave.
            header: The round.

        Raises:
            DecodeError, ProtocolError, SignatureError: As :meth:`from_bytes`.
        """
        if isinstance(data, bytes) and len(data) > result_max_bytes(header):
            raise DecodeError("result: longer than any of this round")
        envelope, listed, mean_bytes = split_exactly(data, 3)
        fields = cbor.loads_map(open_body(envelope, header.aggregator.sign, _TAG_RESULT), _RESULT_SCHEMA)
        if fields["v"] != VERSION:
            raise DecodeError(f"result: version {VERSION} expected")
        if fields["header"] != header.hash:
            raise ProtocolError(Reason.RESULT, "of another round", round_id=header.hash)
        dtype = header.layout.vector_dtype
        check_length("mean", mean_bytes, dtype.itemsize * header.layout.size)
        if hashlib.sha256(mean_bytes).digest() != fields["mean"]:
            raise DecodeError("result: not the mean that was signed")
        mean = np.frombuffer(mean_bytes, dtype=dtype.newbyteorder("<")).astype(dtype, copy=False)
        # Not of what the clients clipped: no honest sum gives it, nor NaN, which no comparison passes.
        limit = min(header.clip, float(np.finfo(dtype).max))
        if not (np.abs(mean) <= dtype.type(limit)).all():
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

        Args:
            header: The round.

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


def little_endian(mean: NDArray[Any]) -> memoryview:
    """The mean as it travels; nothing is copied where that is how it lies."""
    return np.ascontiguousarray(mean, dtype=mean.dtype.newbyteorder("<")).data.cast("B")


def result_max_bytes(header: RoundHeader) -> int:
    """No result of this round is longer."""
    mean_bytes = header.layout.vector_dtype.itemsize * header.layout.size
    return 4096 + 200 * len(header.members) + 48 * header.max_contributors + mean_bytes


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

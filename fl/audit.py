"""The audit of a round: whoever has the record recomputes the sum, and is told exactly what is wrong.

The aggregator keeps the ciphertexts to the audit deadline and gives out a record of them
(:meth:`.Aggregator.write_audit`).  With the issuer's root key, and no secret, :func:`audit_round` checks
that the members signed the header, the list and the digest of the sum; that each manifest is the listed
one and each ciphertext the manifest's; that these ciphertexts give this sum, and the sum the mean; and,
given what a client got, that it is the result in the record.

It says nothing about who was left out of the list (a client sees that it is not in it), nor about what
honest-looking clients put in.  Signatures carry no time: the servers' keys are judged as of their epoch,
so whoever stole them after it could sign a round that never was.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import BinaryIO

import numpy as np

from .. import clsc
from .._ext import cbor
from .._ext.errors import (
    DecodeError,
    OverflowDetected,
    ParameterError,
    SenderError,
    SignatureError,
    TooManyErasures,
)
from .._ext.limits import HEADER_MAX_BYTES
from ..he import kahe
from .audit_file import AuditReader
from .audit_report import AuditError, AuditFault, AuditReport
from .closing import RoundResult, little_endian
from .conviction import Conviction
from .errors import ProtocolError
from .header import RoundHeader
from .policy import Policy
from .signed import SignedHeader
from .update import Manifest
from .wire import HASH_BYTES, expect

Progress = Callable[[int, int], None]


def audit_round(
    source: str | os.PathLike[str] | BinaryIO,
    root_public_key: bytes,
    *,
    published: bytes | None = None,
    header_hash: bytes | None = None,
    policy: Policy | None = None,
    progress: Progress | None = None,
) -> AuditReport:
    """Verify an audit record and recompute the sum of its ciphertexts.

    An aggregator can sign one result for its clients and another for the record: without ``published`` this
    says nothing about what anybody got.  Without ``header_hash`` or ``policy`` it says nothing about whose
    round it was.  Memory: one sum and one ciphertext, and the result.

    Args:
        source: The record: a path, or a binary file that can seek.
        root_public_key: 32 bytes, the pinned root key of the issuer.
        published: The result that a client got, as it came.  Compared are header, root, digest of the sum,
            count, weight and mean, not which ``t`` members have signed them.
        header_hash: The round that it must be, 32 bytes.
        policy: What the round's header must satisfy, looked at as of its deadline.
        progress: Called with bytes done and bytes in all.

    Returns:
        What was looked at; nothing is wrong.

    Raises:
        TypeError, ParameterError: Wrong arguments.
        OSError: The file cannot be read.
        DecodeError: Not an audit record, cut short, or with more behind it.
        SenderError: Of another issuer.
        AuditError: Something is wrong; ``report.findings`` says what.

    Timing: public data only.
    Source: docs/fl-audit.md, "The audit".
    """
    for name, value, kind in (("published", published, bytes), ("policy", policy, Policy)):
        if value is not None:
            expect(name, value, kind)
    if header_hash is not None:
        expect("header_hash", header_hash, bytes)
        if len(header_hash) != HASH_BYTES:
            raise ParameterError(f"header_hash: {HASH_BYTES} bytes expected, got {len(header_hash)}")
    with ExitStack() as stack:
        if isinstance(source, (str, os.PathLike)):
            source = stack.enter_context(Path(source).open("rb"))
        report = _audit(
            AuditReader(source), root_public_key, _Expected(published, header_hash, policy), progress
        )
    if report.findings:
        raise AuditError(report)
    return report


@dataclass(frozen=True)
class _Expected:
    """What the record is held against, besides itself."""

    published: bytes | None = field(repr=False)
    header_hash: bytes | None
    policy: Policy | None


def _audit(
    reader: AuditReader, root_public_key: bytes, expected: _Expected, progress: Progress | None
) -> AuditReport:
    sender_params, committee_params, signed_header = reader.round()
    servers = clsc.EpochParams.from_bytes(committee_params, root_public_key)
    # What a party of the round believed, at the end of the servers' epoch.
    trust = clsc.TrustStore(root_public_key, clock=lambda: float(servers.not_after))
    trust.add(servers)
    senders = trust.add_bytes(sender_params)
    header = _read_header(signed_header, trust)
    report = AuditReport(header)
    _check_header(report, signed_header, trust)
    _check_params(report, senders, servers)
    _check_expected(report, expected, trust)
    result_bytes, share_sums = reader.result(header), reader.share_sums(header)
    for data in reader.convictions(header):
        _check_conviction(report, data, root_public_key)
    result = _read_result(report, result_bytes)
    if expected.published is not None:
        _compare(report, result, result_bytes, expected.published)
    if result is None:
        return report  # there is no list to compare the rest with
    total = _add_up(report, result, reader, progress)
    if total.digest != result.agreed.sum_digest:
        report.find(AuditFault.SUM, _who_is_it(report, result, total, reader))
    else:
        _check_mean(report, result, share_sums, total)
    return report


def _read_header(signed_header: bytes, trust: clsc.TrustStore) -> RoundHeader:
    fields = cbor.loads(signed_header, max_bytes=HEADER_MAX_BYTES)
    inner = fields.get("header") if type(fields) is dict else None
    if type(inner) is not bytes:
        raise DecodeError("audit record: a signed header expected")
    return RoundHeader.from_bytes(inner, trust)


def _check_header(report: AuditReport, signed_header: bytes, trust: clsc.TrustStore) -> None:
    try:
        SignedHeader.from_bytes(signed_header, trust)
    except (ProtocolError, DecodeError, SenderError) as error:
        report.find(AuditFault.HEADER, str(error))


def _check_params(report: AuditReport, senders: clsc.EpochParams, servers: clsc.EpochParams) -> None:
    """The parameters beside the header are the ones that it names: who reads the record goes by them."""
    header = report.header
    if senders.params_id != header.sender_params:
        report.find(AuditFault.PARAMS, "the contributors'")
    elif senders.epoch != header.epoch:
        report.find(AuditFault.PARAMS, "another epoch than the contributors'")
    if servers.params_id != header.committee_params:
        report.find(AuditFault.PARAMS, "the servers'")


def _check_expected(report: AuditReport, expected: _Expected, trust: clsc.TrustStore) -> None:
    header = report.header
    if expected.header_hash not in (None, header.hash):
        report.find(AuditFault.ROUND, f"it is {header.hash.hex()}")
    if expected.policy is not None:
        try:
            expected.policy.check(header, trust, header.deadline)
        except ProtocolError as error:
            report.find(AuditFault.ROUND, str(error))


def _check_conviction(report: AuditReport, data: bytes, root_public_key: bytes) -> None:
    try:
        conviction = Conviction.from_bytes(data, report.header)
        report.convictions[conviction.pid] = conviction.verify(report.header, root_public_key)
    except (ProtocolError, DecodeError) as error:
        report.find(AuditFault.CONVICTION, str(error), getattr(error, "sender", b""))


def _read_result(report: AuditReport, data: bytes) -> RoundResult | None:
    report.result_digest = hashlib.sha256(data).digest()
    try:
        result = RoundResult.of_aggregator(data, report.header)
    except (ProtocolError, DecodeError, SignatureError) as error:
        report.find(AuditFault.RESULT, str(error))
        return None
    report.agreed = result.agreed
    report.total_weight = result.total_weight
    report.mean_digest = _mean_digest(result)
    report.signers = tuple(result.member_signatures)
    try:
        result.check_members(report.header)
    except (ProtocolError, SignatureError) as error:
        report.find(AuditFault.MEMBERS, str(error))
    return result


def _compare(report: AuditReport, result: RoundResult | None, data: bytes, published: bytes) -> None:
    """Hold the result that a client got against the one in the record."""
    report.compared = True
    if published == data:
        return  # what is wrong with it has been found
    try:
        got = RoundResult.from_bytes(published, report.header)
    except (ProtocolError, DecodeError, SignatureError) as error:
        report.find(AuditFault.PUBLISHED, f"what was got is no result of this round: {error}")
        return
    if result is None:
        report.find(AuditFault.PUBLISHED, "the record has none")
        return
    different = [
        name
        for name, one, other in (
            ("root", got.agreed.root, result.agreed.root),
            ("digest of the sum", got.agreed.sum_digest, result.agreed.sum_digest),
            ("count", got.agreed.count, result.agreed.count),
            ("weight", got.total_weight, result.total_weight),
            ("mean", _mean_digest(got), report.mean_digest),
        )
        if one != other
    ]
    if different:
        report.find(AuditFault.PUBLISHED, f"another {', '.join(different)}")


def _mean_digest(result: RoundResult) -> bytes:
    return hashlib.sha256(little_endian(result.mean)).digest()


def _add_up(
    report: AuditReport, result: RoundResult, reader: AuditReader, progress: Progress | None
) -> kahe.CiphertextSum:
    """The sum of the ciphertexts, each held against its manifest, and the manifest against the list."""
    header, params = report.header, report.header.kahe_params
    total = kahe.CiphertextSum(params, header.hash)
    pairs = reader.contributions(header, len(result.entries))
    for (manifest, ciphertext), (pid, digest) in zip(pairs, result.entries, strict=True):
        committed = None
        try:
            read = Manifest.from_bytes(manifest, header)
            if (read.pid, read.digest) != (pid, digest):
                report.find(AuditFault.MANIFEST, "another pid or digest", pid)
            else:
                committed = read.ciphertext_digest
        except DecodeError as error:
            report.find(AuditFault.MANIFEST, str(error), pid)
        try:
            parsed = kahe.Ciphertext.from_bytes(ciphertext, params)
        except DecodeError as error:
            report.find(AuditFault.CIPHERTEXT, str(error), pid)
            continue
        if committed not in (None, parsed.digest):
            report.find(AuditFault.CIPHERTEXT, "another digest", pid)
        total.add(parsed)
        report.count += 1
        if progress is not None:
            progress(reader.n_bytes, reader.total)
    return total


def _who_is_it(
    report: AuditReport, result: RoundResult, total: kahe.CiphertextSum, reader: AuditReader
) -> str:
    """Whether the signed sum is the right one but for a single contributor; costs a second reading."""
    if any(found.fault in (AuditFault.MANIFEST, AuditFault.CIPHERTEXT) for found in report.findings):
        return ""  # that is why
    params, signed = report.header.kahe_params, result.agreed.sum_digest
    pairs = reader.contributions(report.header, len(result.entries))
    for (_, data), (pid, _) in zip(pairs, result.entries, strict=True):
        ciphertext = kahe.Ciphertext.from_bytes(data, params)
        total.subtract(ciphertext)
        if total.digest == signed:
            return f"it is that without {pid.hex()}"
        total.add(ciphertext)
    return ""


def _check_mean(
    report: AuditReport, result: RoundResult, share_sums: dict[int, bytes], total: kahe.CiphertextSum
) -> None:
    header, count = report.header, result.agreed.count
    try:
        sums = [kahe.ShareSum.from_bytes(d, header.kahe_params, j) for j, d in share_sums.items()]
        opened = kahe.open_sum(header.kahe_params, header.hash, total, sums, count)
        mean, weight = header.codec.dequantize(opened.values, count, header.layout.vector_dtype)
    except TooManyErasures as error:
        report.find(AuditFault.KEYS, f"{error.needed} members' needed, {error.present} usable")
    except (OverflowDetected, DecodeError, ParameterError) as error:
        report.find(AuditFault.KEYS, str(error))
    else:
        report.wrong_members = opened.wrong_members
        if weight != result.total_weight:
            report.find(AuditFault.MEAN, f"sum of weights {weight}, not {result.total_weight}")
        different = int(np.count_nonzero(mean != result.mean))
        if different:
            report.find(AuditFault.MEAN, f"{different} of {mean.size} values")

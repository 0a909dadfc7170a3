"""The audit of a round: whoever has the record recomputes the sum, and is told exactly what is wrong.

The aggregator keeps the ciphertexts to the audit deadline and gives out a record of them
(:meth:`.Aggregator.write_audit`).  With the issuer's root key, and no secret, :func:`audit_round` checks
that the members signed the header, the list and the digest of the sum; that each manifest is the listed
one and each ciphertext the manifest's; that these ciphertexts give this sum, and the sum the mean.

It says nothing about who was left out of the list (a client sees that it is not in it), nor about what
honest-looking clients put in.  Signatures carry no time: the servers' keys are judged as of their epoch,
so whoever stole them after it could sign a round that never was.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np

from .. import clsc
from .._ext import cbor
from .._ext.errors import (
    DecodeError,
    OverflowDetected,
    ParameterError,
    SenderError,
    SignatureError,
    SottovoceError,
    TooManyErasures,
)
from .._ext.limits import HEADER_MAX_BYTES
from ..he import kahe
from .audit_file import AuditHead, AuditReader
from .closing import RoundResult
from .conviction import Conviction, Fault
from .errors import ProtocolError
from .header import RoundHeader
from .signed import SignedHeader
from .sizes import manifest_bytes
from .update import Manifest

Progress = Callable[[int, int], None]


class AuditFault(StrEnum):
    """What an audit can find; the value is the text shown to people."""

    HEADER = "header: not signed by its aggregator and a quorum of members"
    RESULT = "result: not a signed result of this round"
    MEMBERS = "result: a quorum of members did not sign this set and sum"
    MANIFEST = "manifest: not the listed one"
    CIPHERTEXT = "ciphertext: not the one of its manifest"
    SUM = "sum: these ciphertexts give another one than was fixed"
    KEYS = "key sums: do not open the sum"
    MEAN = "mean: the sum gives another one"
    CONVICTION = "conviction: does not hold"


@dataclass(frozen=True)
class AuditFinding:
    """One thing that is wrong.

    Attributes:
        fault: The kind.
        detail: What exactly, for a person; may be empty.
        pid: The contributor concerned, or ``b""``.
    """

    fault: AuditFault
    detail: str = ""
    pid: bytes = b""

    def __str__(self) -> str:
        return self.fault.value + (f" ({self.detail})" if self.detail else "")


@dataclass
class AuditReport:
    """What was looked at, and what was found; filled while the record is read.

    Attributes:
        header: The round.
        count: Contributors whose ciphertexts were added.
        total_weight: As the aggregator published it.
        signers: Members that signed set and sum.
        wrong_members: Members whose key sum was found wrong and went out of the opening.
        convictions: Pid -> what the client was convicted of; all of them hold.
        findings: Empty if all is right.
    """

    header: RoundHeader
    count: int = 0
    total_weight: int = 0
    signers: tuple[int, ...] = ()
    wrong_members: tuple[int, ...] = ()
    convictions: dict[bytes, Fault] = field(default_factory=dict)
    findings: list[AuditFinding] = field(default_factory=list)

    def find(self, fault: AuditFault, detail: str = "", pid: bytes = b"") -> None:
        """Add a finding."""
        self.findings.append(AuditFinding(fault, detail, pid))


class AuditError(SottovoceError):
    """The record is of a round that is not what was signed.

    Attributes:
        report: Everything that was found.
    """

    def __init__(self, report: AuditReport) -> None:
        first, *more = report.findings
        super().__init__(f"audit: {first}" + (f", and {len(more)} more" if more else ""))
        self.report = report

    def __reduce__(self) -> tuple[Any, ...]:
        return (AuditError, (self.report,))


def audit_round(
    source: str | os.PathLike[str] | BinaryIO, root_public_key: bytes, *, progress: Progress | None = None
) -> AuditReport:
    """Verify an audit record and recompute the sum of its ciphertexts.

    Memory: one sum and one ciphertext, and the result.

    Args:
        source: The record: a path, or a binary file that can seek.
        root_public_key: 32 bytes, the pinned root key of the issuer.
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
    """
    with ExitStack() as stack:
        if isinstance(source, (str, os.PathLike)):
            source = stack.enter_context(Path(source).open("rb"))
        report = _audit(source, root_public_key, progress)
    if report.findings:
        raise AuditError(report)
    return report


def _audit(source: BinaryIO, root_public_key: bytes, progress: Progress | None) -> AuditReport:
    reader = AuditReader(source)
    head = AuditHead.read(reader)
    trust = _trust(head, root_public_key)
    report = AuditReport(_read_header(head, trust))
    _check_header(report, head, trust)
    for data in head.convictions:
        _check_conviction(report, data, root_public_key)
    result = _read_result(report, head)
    if result is None:
        return report  # there is no list to compare the rest with
    total = _add_up(report, result, reader, progress)
    if total.digest != result.agreed.sum_digest:
        report.find(AuditFault.SUM, _who_is_it(report, result, total, source))
    else:
        _check_mean(report, result, head, total)
    return report


def _trust(head: AuditHead, root_public_key: bytes) -> clsc.TrustStore:
    """What a party of the round believed, at the end of the servers' epoch."""
    servers = clsc.EpochParams.from_bytes(head.committee_params, root_public_key)
    trust = clsc.TrustStore(root_public_key, clock=lambda: float(servers.not_after))
    trust.add(servers)
    trust.add_bytes(head.sender_params)
    return trust


def _read_header(head: AuditHead, trust: clsc.TrustStore) -> RoundHeader:
    fields = cbor.loads(head.signed_header, max_bytes=HEADER_MAX_BYTES)
    inner = fields.get("header") if type(fields) is dict else None
    if type(inner) is not bytes:
        raise DecodeError("audit record: a signed header expected")
    return RoundHeader.from_bytes(inner, trust)


def _check_header(report: AuditReport, head: AuditHead, trust: clsc.TrustStore) -> None:
    try:
        SignedHeader.from_bytes(head.signed_header, trust)
    except (ProtocolError, DecodeError, SenderError) as error:
        report.find(AuditFault.HEADER, str(error))


def _check_conviction(report: AuditReport, data: bytes, root_public_key: bytes) -> None:
    try:
        conviction = Conviction.from_bytes(data, report.header)
        report.convictions[conviction.pid] = conviction.verify(report.header, root_public_key)
    except (ProtocolError, DecodeError) as error:
        report.find(AuditFault.CONVICTION, str(error), getattr(error, "sender", b""))


def _read_result(report: AuditReport, head: AuditHead) -> RoundResult | None:
    try:
        result = RoundResult.of_aggregator(head.result, report.header)
    except (ProtocolError, DecodeError, SignatureError) as error:
        report.find(AuditFault.RESULT, str(error))
        return None
    report.total_weight = result.total_weight
    report.signers = tuple(result.member_signatures)
    try:
        result.check_members(report.header)
    except (ProtocolError, SignatureError) as error:
        report.find(AuditFault.MEMBERS, str(error))
    return result


def _add_up(
    report: AuditReport, result: RoundResult, reader: AuditReader, progress: Progress | None
) -> kahe.CiphertextSum:
    """The sum of the ciphertexts, each held against its manifest, and the manifest against the list."""
    header, params = report.header, report.header.kahe_params
    total = kahe.CiphertextSum(params, header.hash)
    pairs = reader.contributions(len(result.entries), manifest_bytes(params), params.ciphertext_bytes)
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


def _who_is_it(report: AuditReport, result: RoundResult, total: kahe.CiphertextSum, source: BinaryIO) -> str:
    """Whether the signed sum is the right one but for a single contributor; costs a second reading."""
    if any(found.fault in (AuditFault.MANIFEST, AuditFault.CIPHERTEXT) for found in report.findings):
        return ""  # that is why
    params, signed = report.header.kahe_params, result.agreed.sum_digest
    reader = AuditReader(source)
    AuditHead.read(reader)
    pairs = reader.contributions(len(result.entries), manifest_bytes(params), params.ciphertext_bytes)
    for (_, data), (pid, _) in zip(pairs, result.entries, strict=True):
        ciphertext = kahe.Ciphertext.from_bytes(data, params)
        total.subtract(ciphertext)
        if total.digest == signed:
            return f"it is that without {pid.hex()}"
        total.add(ciphertext)
    return ""


def _check_mean(report: AuditReport, result: RoundResult, head: AuditHead, total: kahe.CiphertextSum) -> None:
    header, count = report.header, result.agreed.count
    try:
        sums = [kahe.ShareSum.from_bytes(d, header.kahe_params, j) for j, d in head.share_sums.items()]
        opened = kahe.open_sum(header.kahe_params, header.hash, total, sums, count)
        mean, weight = header.codec.dequantize(opened.values, count)
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

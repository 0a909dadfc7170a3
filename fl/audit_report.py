"""What an audit says: one finding for each thing that is wrong, and what was looked at beside them."""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any

from .._ext.errors import SottovoceError
from .closing import ContributorSet
from .conviction import Fault
from .header import RoundHeader


class AuditFault(StrEnum):
    """What an audit can find; the value is the text shown to people."""

    ROUND = "header: not the round that was expected"
    HEADER = "header: not signed by its aggregator and a quorum of members"
    PARAMS = "parameters: not those that the header names"
    RESULT = "result: not a signed result of this round"
    PUBLISHED = "result: not the one that was got"
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
        pid: The contributor concerned, 16 bytes, or ``b""``.

    Source: docs/fl-audit.md, "The audit".
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
        header: The round: its ``hash``, ``epoch``, ``round_number``, ``aggregator`` and ``members``.
        agreed: Root, digest of the sum and count as the aggregator published them; None if it published no
            result.
        total_weight: As it published it.
        mean_digest: SHA-256 of the mean, little-endian, as it published it; 32 bytes, or ``b""``.
        result_digest: SHA-256 of the result in the record, 32 bytes.
        compared: Whether a result that somebody got was held against the one in the record.
        count: Contributors whose ciphertexts were added.
        signers: Indices, from 1, of the members that signed set and sum.
        wrong_members: Indices of members whose key sum was found wrong and went out of the opening.
        convictions: Pid -> what the client was convicted of; all of them hold.
        findings: Empty if all is right.

    Source: docs/fl-audit.md, "The audit".
    """

    header: RoundHeader
    agreed: ContributorSet | None = None
    total_weight: int = 0
    mean_digest: bytes = b""
    result_digest: bytes = b""
    compared: bool = False
    count: int = 0
    signers: tuple[int, ...] = ()
    wrong_members: tuple[int, ...] = ()
    convictions: dict[bytes, Fault] = field(default_factory=dict)
    findings: list[AuditFinding] = field(default_factory=list)

    def find(self, fault: AuditFault, detail: str = "", pid: bytes = b"") -> None:
        """Add a finding.

        Args:
            fault: What is wrong.
            detail: More about it, for people.
            pid: Whom it concerns, 16 bytes, or nothing.
        """
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

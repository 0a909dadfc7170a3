"""``fl audit`` and ``fl judge``: what the record of a round, and a conviction, are worth."""

from __future__ import annotations

import re
from contextlib import nullcontext
from pathlib import Path
from typing import Any

from rich.markup import escape

from ..._ext.errors import DecodeError
from ..._ext.limits import MAX_AUDIT_FIELD_BYTES, MAX_SHOWN_CONVICTION_BYTES
from ...fl import AuditError, AuditFault, AuditReport, RoundHeader, audit_round, judge_conviction
from .. import console, files, tables
from ..armor import Label
from ..console import Refused
from ..keyring import Keyring
from ..tables import Column
from ..text import date_of, text_of

# What a person asks, in the order in which it is checked, and the findings that answer it.
_CHECKS = {
    "round is the expected one": (AuditFault.ROUND,),
    "header signed by aggregator and members": (AuditFault.HEADER,),
    "parameters are those of the header": (AuditFault.PARAMS,),
    "result signed by the aggregator": (AuditFault.RESULT,),
    "result is the one that was got": (AuditFault.PUBLISHED,),
    "set and sum signed by members": (AuditFault.MEMBERS,),
    "manifests are the listed ones": (AuditFault.MANIFEST,),
    "ciphertexts are those of the manifests": (AuditFault.CIPHERTEXT,),
    "their sum is the one that was fixed": (AuditFault.SUM,),
    "the sum opens, and gives the mean": (AuditFault.KEYS, AuditFault.MEAN),
    "convictions hold": (AuditFault.CONVICTION,),
}
_AFTER_RESULT = list(_CHECKS)[5:10]
"""Not looked at where there is no result; the mean neither where the sum is another one."""


def audit(
    ring: Keyring,
    source: str,
    *,
    result_file: str | None,
    header_hash: str | None,
    root_file: str | None,
    quiet: bool,
    json_target: str | None,
) -> None:
    """Verify a record; see the command's help."""
    expected = None if header_hash is None else _hash(header_hash)
    published = None if result_file is None else files.read_bytes(result_file, MAX_AUDIT_FIELD_BYTES)
    root = _root(ring, root_file)
    failure: AuditError | None = None
    try:
        with nullcontext(None) if quiet else console.bytes_progress("auditing") as progress:
            report = audit_round(source, root, published=published, header_hash=expected, progress=progress)
    except AuditError as error:
        failure, report = error, error.report
    console.write_json(_document(report), json_target)
    if not quiet:
        _print(report, json_target, named=header_hash is not None)
    if failure is not None:
        raise failure


def _hash(text: str) -> bytes:
    if re.fullmatch("[0-9a-fA-F]{64}", text) is None:
        raise files.usage(f"64 hexadecimal digits expected, got {text!r}", "--header-hash")
    return bytes.fromhex(text)


def _print(report: AuditReport, json_target: str | None, *, named: bool) -> None:
    results = console.results_console(json_target)
    tables.print_table(
        results,
        [Column("check", 30), Column("found", 30)],
        [(check, _found(report, check, named=named)) for check in _CHECKS],
        title=f"round {report.header.round_number} of {text_of(report.header.aggregator.name)}: "
        f"{report.count} ciphertexts",
    )
    for name, value in _said(report).items():
        results.print(f"{name + ':':<15}{value}", markup=False, soft_wrap=True)
    for pid, fault in report.convictions.items():
        results.print(f"convicted: {pid.hex()} {fault}", markup=False, soft_wrap=True)
    if report.wrong_members:
        wrong = ", ".join(map(str, report.wrong_members))
        results.print(f"wrong key sums, of no consequence: members {wrong}", markup=False, soft_wrap=True)
    if not report.compared:
        results.print("[yellow]nobody's result was compared with the one in the record: --result FILE[/]")


def _said(report: AuditReport) -> dict[str, object]:
    """What the round was and what was agreed, as signed: to compare with what somebody else has."""
    header, agreed = report.header, report.agreed
    said: dict[str, object] = {
        "round": f"{header.round_number} of epoch {text_of(header.epoch)}",
        "header hash": header.hash.hex(),
        "aggregator": text_of(header.aggregator.name),
        "members": ", ".join(text_of(member.name) for member in header.members),
    }
    if agreed is not None:
        said |= {
            "set root": agreed.root.hex(),
            "sum digest": agreed.sum_digest.hex(),
            "contributors": agreed.count,
            "mean digest": report.mean_digest.hex(),
        }
    return said | {"result digest": report.result_digest.hex()}


def _found(report: AuditReport, check: str, *, named: bool) -> str:
    here = [finding for finding in report.findings if finding.fault in _CHECKS[check]]
    if here:
        shown = [escape(console.printable(_line(finding.pid, finding.detail))) for finding in here[:3]]
        if len(here) > len(shown):
            shown.append(f"and {len(here) - len(shown)} more")
        return f"[red]wrong: {'; '.join(shown)}[/]"
    if AuditFault.PUBLISHED in _CHECKS[check] and not report.compared:
        return "[yellow]nobody's was compared[/]"
    if AuditFault.ROUND in _CHECKS[check] and not named:
        return "[dim]none was named[/]"
    faults = {finding.fault for finding in report.findings}
    skipped = AuditFault.RESULT in faults and check in _AFTER_RESULT
    if skipped or (AuditFault.SUM in faults and AuditFault.MEAN in _CHECKS[check]):
        return "[dim]not looked at[/]"
    return "right"


def _line(pid: bytes, detail: str) -> str:
    return " ".join(filter(None, (pid.hex(), detail))) or "see --json"


def judge(ring: Keyring, source: str, *, root_file: str | None, json_target: str | None) -> None:
    """Judge a conviction; see the command's help."""
    root = _root(ring, root_file)
    with Path(source).open("rb") as file:
        data = file.read(MAX_SHOWN_CONVICTION_BYTES + 1)
    header, conviction, fault = judge_conviction(data, root)
    lines = {
        "convicted": f"a pseudonym of epoch {text_of(header.epoch)}, pid {conviction.pid.hex()}",
        "of": f"{fault}",
        "sent to": f"member {conviction.index}, {text_of(header.members[conviction.index - 1].name)}",
        "round": f"{header.round_number} of {text_of(header.aggregator.name)}",
        "deadline": date_of(header.deadline),
    }
    document = {
        "pid": conviction.pid.hex(),
        "fault": fault.name.lower(),
        "member": conviction.index,
        **_round(header),
    }
    console.write_json(document, json_target)
    results = console.results_console(json_target)
    for name, value in lines.items():
        results.print(f"{name + ':':<11}{value}", markup=False, soft_wrap=True)


def _root(ring: Keyring, root_file: str | None) -> bytes:
    if root_file is not None:
        found = files.of_label(files.read_blocks(root_file), Label.ROOT)
        if len(found) != 1 or len(found[0]) != 32:
            raise DecodeError(f"{root_file}: one root key of 32 bytes expected")
        return found[0]
    root = ring.root()
    if root is None:
        raise Refused("no issuer's root key is known here to judge by", "--root FILE")
    return root


def _round(header: RoundHeader) -> dict[str, Any]:
    return {
        "header": header.hash.hex(),
        "round_number": header.round_number,
        "epoch": text_of(header.epoch),
        "aggregator": text_of(header.aggregator.name),
        "deadline": header.deadline,
    }


def _agreed(report: AuditReport) -> dict[str, Any]:
    agreed = report.agreed
    return {
        "set_root": None if agreed is None else agreed.root.hex(),
        "sum_digest": None if agreed is None else agreed.sum_digest.hex(),
        "count": None if agreed is None else agreed.count,
        "mean_digest": None if agreed is None else report.mean_digest.hex(),
    }


def _document(report: AuditReport) -> dict[str, Any]:
    return {
        **_round(report.header),
        "members": [text_of(member.name) for member in report.header.members],
        **_agreed(report),
        "result_digest": report.result_digest.hex(),
        "compared": report.compared,
        "right": not report.findings,
        "contributors": report.count,
        "total_weight": report.total_weight,
        "signers": list(report.signers),
        "wrong_members": list(report.wrong_members),
        "convictions": {pid.hex(): fault.name.lower() for pid, fault in report.convictions.items()},
        "findings": [
            {"fault": finding.fault.name.lower(), "detail": finding.detail, "pid": finding.pid.hex()}
            for finding in report.findings
        ],
    }

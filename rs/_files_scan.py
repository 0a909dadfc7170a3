"""All that shards hold, read once and looked at: what ``verify`` reports and ``repair`` begins with."""

from __future__ import annotations

from ._files_check import Checker
from ._files_header import ShardHeader
from ._files_report import Progress, ShardsReport
from ._files_shards import Shards, stripes


def scan(
    given: Shards, progress: Progress | None, passes: int
) -> tuple[ShardsReport, tuple[int, int] | None]:
    """Read everything; also the first lost stripe, with its number of good rows."""
    layout = given.layout
    checker = Checker(given)
    lost, first_lost = 0, None
    reach = given.reach
    for stripe, size, length in stripes(layout, reach):
        good = given.read(stripe, length, everything=True)
        if len(good) < layout.k:
            lost += 1
            first_lost = first_lost or (stripe, len(good))
        else:
            rows = given.data(good, length)
            checker.add(stripe, good, rows)
        if progress is not None:
            progress(stripe * layout.stripe_bytes + size, passes * layout.n_bytes)
    if beyond := layout.n_stripes - reach:
        lost, first_lost = lost + beyond, first_lost or (reach, 0)
        for file in given.files:
            file.count(reach, beyond)
    agree = given.contradiction is None and (lost > 0 or checker.whole())
    comparable = given.present > layout.k or (layout.digest > 0 and given.present == layout.k)
    header = given.header
    report = ShardsReport(
        given.format, layout.k, layout.n, layout.n_bytes,
        header.file_id if isinstance(header, ShardHeader) else None,
        given.states(), given.missing, layout.n_stripes, lost, agree if comparable else None,
    )  # fmt: skip
    return report, first_lost


def damage_of(report: ShardsReport) -> str:
    bad = [shard for shard in report.shards if not shard.intact]
    if not bad:
        return "shards contradict each other, though none is damaged by itself"
    what = f"{len(bad)} of {len(report.shards)} shards damaged"
    if report.recoverable:
        return f"{what}; the file can be recovered"
    if report.present < report.k:
        return f"{what}; {report.k} needed, {report.present} present"
    if report.consistent is False:
        return f"{what}, and the others contradict each other"
    return f"{what}; {report.lost_blocks} of {report.n_blocks} blocks have fewer than {report.k} good ones"

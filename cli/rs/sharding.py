"""``rs split``, ``rs join``, ``rs verify``, ``rs repair``: what the commands do."""

from __future__ import annotations

import contextlib
import errno
import os
from collections.abc import Iterator, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from rich.markup import escape

from ... import rs
from ...rs._files_report import Progress
from .. import console, files, tables
from ..console import Refused
from ..tables import Column

# -- split ----------------------------------------------------------------------------------------


def split(
    source: str,
    k: int,
    n: int,
    *,
    folder: str | None,
    prefix: str | None,
    format_: str,
    block_kib: int | None,
    threads: int,
    force: bool,
    quiet: bool,
    json_target: str | None,
) -> None:
    """Cut a file; see the command's help."""
    if source == files.STDIN and prefix is None:
        raise files.usage("standard input has no name: give the shards one", "--prefix")
    _check_names(folder, prefix)
    with _refusing_to_overwrite(), _progress("splitting", quiet) as progress:
        done = rs.split_file(
            files.binary_input(source), k, n, folder=folder, prefix=prefix, format=format_,
            block_bytes=None if block_kib is None else block_kib << 10, overwrite=force, threads=threads,
            progress=progress,
        )  # fmt: skip
    document = {
        "format": format_, "k": k, "n": n, "bytes": done.n_bytes, "shard_bytes": done.shard_bytes,
        "file_id": _hex(done.file_id), "shards": list(done.paths),
    }  # fmt: skip
    _keep_shards(json_target, done.paths)
    console.write_json(document, json_target)
    if not quiet:
        console.note(
            f"{n} shards of {done.shard_bytes:,} bytes, {k} of them needed: {done.paths[0]}"
            + (f" ... {Path(done.paths[-1]).name}" if n > 1 else "")
        )


# -- join -----------------------------------------------------------------------------------------


def join(
    sources: list[str],
    target: str | None,
    *,
    format_: str,
    threads: int,
    force: bool,
    quiet: bool,
    json_target: str | None,
) -> None:
    """Join shards; see the command's help."""
    files.check_output(target, "--output", force=force)
    files.check_binary_stdout(target, "a file of shards")
    with (
        _refusing_to_overwrite(),
        _progress("joining", quiet) as progress,
        files.binary_output(target) as out,
    ):
        done = rs.join_file(sources, out, format=format_, overwrite=force, threads=threads, progress=progress)
    document = {
        "format": format_, "k": done.k, "n": done.n, "bytes": done.n_bytes, "present": done.present,
        "bad_blocks": done.bad_blocks, "unusable": list(done.unusable),
    }  # fmt: skip
    console.write_json(document, json_target)
    if not quiet and (done.bad_blocks or done.unusable):
        console.note(
            f"the file is whole; {done.bad_blocks} damaged blocks and {len(done.unusable)} files that are no "
            "shards were done without: sottovoce rs repair makes them again"
        )


# -- verify ---------------------------------------------------------------------------------------


def verify(sources: list[str], *, format_: str, threads: int, quiet: bool, json_target: str | None) -> None:
    """Verify shards; see the command's help."""
    failure: rs.DamageError | None = None
    with _progress("verifying", quiet) as progress:
        try:
            report = rs.verify_files(sources, format=format_, threads=threads, progress=progress)
        except rs.DamageError as error:
            if error.report is None:
                raise
            failure, report = error, error.report
    console.write_json(_document(report), json_target)
    if not quiet:
        _print(report, json_target)
    if failure is not None:
        raise failure


def _print(report: rs.ShardsReport, json_target: str | None) -> None:
    results = console.results_console(json_target)
    tables.print_table(
        results,
        [Column("shard"), Column("file", 20), Column("state", 20)],
        [(_number(shard), escape(console.printable(shard.path)), _state(shard)) for shard in report.shards],
        title=f"{report.present} of {report.n} shards of a file of {report.n_bytes:,} bytes; "
        f"{report.k} needed",
    )
    if report.consistent is None:
        note = "no more shards than needed"
        if report.format == "zfec":
            note += ": without checksums nothing could be looked at"
        elif report.present < report.k:
            note = f"fewer than {report.k} shards: each was looked at by itself"
        results.print(f"[dim]{note}[/]", soft_wrap=True)


def _number(shard: rs.ShardState) -> str:
    return "-" if shard.index is None else str(shard.index)


def _state(shard: rs.ShardState) -> str:
    if shard.intact:
        return "intact"
    problems = [] if shard.problem is None else [escape(console.printable(shard.problem))]
    if shard.bad_blocks:
        problems.append(f"{shard.bad_blocks} bad blocks, the first {shard.first_bad_block}")
    return f"[red]{'; '.join(problems)}[/]"


# -- repair ---------------------------------------------------------------------------------------


def repair(
    sources: list[str],
    *,
    folder: str | None,
    prefix: str | None,
    format_: str,
    threads: int,
    force: bool,
    quiet: bool,
    json_target: str | None,
) -> None:
    """Make shards again; see the command's help."""
    _check_names(folder, prefix)
    hint = "is it one of these shards? then name it, too; --force overwrites it"
    with _refusing_to_overwrite(hint), _progress("repairing", quiet) as progress:
        done = rs.repair_files(
            sources, folder=folder, prefix=prefix, format=format_, overwrite=force, threads=threads,
            progress=progress,
        )  # fmt: skip
    _keep_shards(json_target, done.written)
    console.write_json({**_document(done.report), "written": list(done.written)}, json_target)
    if quiet:
        return
    for path in done.written:
        console.note(f"made again: {path}")
    if not done.written:
        console.note(f"all {done.report.n} shards are there and intact")


# -- all of them ----------------------------------------------------------------------------------


@contextlib.contextmanager
def _progress(doing: str, quiet: bool) -> Iterator[Progress | None]:
    if quiet:
        yield None
    else:
        with console.bytes_progress(doing) as progress:
            yield progress


@contextlib.contextmanager
def _refusing_to_overwrite(hint: str = "--force overwrites it") -> Iterator[None]:
    try:
        yield
    except FileExistsError as error:
        if error.strerror != os.strerror(errno.EEXIST):  # not a file in the way, but one that is needed
            raise Refused(f"{error.filename}: {error.strerror}", "name another place") from None
        raise Refused(f"{error.filename} is there already", hint) from None


def _check_names(folder: str | None, prefix: str | None) -> None:
    """Usage errors, before any work."""
    if prefix is not None and (not prefix or "/" in prefix or "\0" in prefix):
        raise files.usage(f"the beginning of a file name expected, got {prefix!r}", "--prefix")
    if folder is not None and not Path(folder).is_dir():
        raise files.usage(f"the folder {folder} does not exist", "--folder")


def _keep_shards(json_target: str | None, paths: Sequence[str]) -> None:
    """A report does not take the place of a shard that has just been made."""
    if any(files.same_file(json_target, path) for path in paths):
        raise Refused(f"{json_target} is one of the shards", "they are made; name another place with --json")


def _hex(value: bytes | None) -> str | None:
    return None if value is None else value.hex()


def _document(report: rs.ShardsReport) -> dict[str, Any]:
    shards = [{**asdict(shard), "intact": shard.intact} for shard in report.shards]
    return {
        "format": report.format, "k": report.k, "n": report.n, "bytes": report.n_bytes,
        "file_id": _hex(report.file_id), "intact": report.intact, "recoverable": report.recoverable,
        "consistent": report.consistent, "present": report.present, "missing": list(report.missing),
        "blocks": report.n_blocks, "lost_blocks": report.lost_blocks, "shards": shards,
    }  # fmt: skip

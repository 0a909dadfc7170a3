"""Files of any size as n shard files, any k of which give the file back.

:func:`split_file` makes them, :func:`join_file` joins them, :func:`verify_files` looks whether they are
as they were written, :func:`repair_files` makes lost and damaged ones again.  All work stripe by stripe
in a few MiB of memory.

Format ``"sottovoce"``: every block of 64 KiB has a checksum, so that a flipped bit costs a block and not a
shard, and every k good blocks of a stripe are enough.  Checksums are against accidents; who wants to change a
file can, so sign it, or seal it, before it is split.  Format ``"zfec"``: what the commands ``zfec`` and
``zunfec`` read and write; it has no checksums.

Byte tables: :mod:`._files_header` and :mod:`._files_zfec`.  Use: docs/rs-files.md.
"""

from __future__ import annotations

import errno
import os
from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace
from typing import BinaryIO

import numpy as np

from .._ext.errors import DecodeError, ParameterError
from . import _files_header as own
from . import _files_zfec as zfec
from ._files_check import Checker
from ._files_ends import fill, mapping, new_layout, place_of, reading, size_of, version_of, writing
from ._files_header import FileId, ShardHeader, block_digest
from ._files_layout import Bytes, Frames, Layout
from ._files_paths import PATH, Path, identity, path_of
from ._files_report import DamageError, JoinedFile, Progress, RepairedFiles, ShardsReport, SplitFile
from ._files_scan import damage_of, scan
from ._files_shards import Map, Shards, check_format, stripes
from ._files_write import NewShards, check_prefix, prefix_of, shard_name
from .erasure import Erasure
from .matrix import check_shape

# -- split ----------------------------------------------------------------------------------------


def split_file(
    source: Path | BinaryIO,
    k: int,
    n: int,
    *,
    folder: Path | None = None,
    prefix: str | None = None,
    format: str = "sottovoce",
    block_bytes: int | None = None,
    overwrite: bool = False,
    threads: int = 1,
    progress: Progress | None = None,
) -> SplitFile:
    """Cut a file into n shard files, any k of which give it back.

    The same content, k, n and block length always give the same bytes.

    Args:
        source: Path (str, bytes or ``os.PathLike``), or a binary file, read from where it stands to its
            end, at most 2**60 bytes; a pipe will do.  A file is left open.
        k: Shards that are needed.
        n: Shards that are made, ``1 <= k <= n <= 256``.
        folder: Where to; None is beside ``source``, and the working directory for an open file.
        prefix: Shards are called ``prefix.NN_MM.svr`` (``.fec`` for zfec), NN from 0, MM being n; None is
            the name of ``source``, and must be given for an open file.
        format: ``"sottovoce"`` or ``"zfec"``.
        block_bytes: Bytes that share a checksum: a multiple of 64, n times which is at most 16 MiB.  None
            is 64 KiB, less where n > 64.  Not for zfec.
        overwrite: Whether shard files that exist are replaced.
        threads: That compute checksums, 1 to 256.
        progress: Called with bytes done and bytes in all, after every stripe, if the length of the source is
            known; what it raises ends the work.

    Returns:
        Paths, lengths, and the file's id.

    Raises:
        TypeError: A wrong type.
        ParameterError: An argument out of range; a path that is empty or that no file can have (a zero byte);
            or the source changed while it was read.
        FileExistsError: A shard is there, and ``overwrite`` is False; or, whatever it is, the source itself
            is in the place of a shard, under this name or another.
        OSError: Reading or writing failed.  After any error no new shard is left, but those that were already
            in the place of an older one: renaming many files is not one step.

    Timing: depends on k, n and the length only.
    Source: docs/rs-files.md, "Bytes"; the code: docs/rs.md, "Erasure code".
    """
    k, n = check_shape(k, n)
    check_format(format)
    layout = new_layout(k, n, format, block_bytes)
    place, stem = place_of(source, folder, prefix)
    code = Erasure(k, n, zfec.MATRIX) if format == "zfec" else Erasure(k, n)
    targets = [(os.path.join(place, shard_name(stem, i, n, format)), overwrite) for i in range(n)]
    with mapping(threads) as across, reading(source) as file:
        version, size = version_of(file), size_of(file)
        own_identity = identity(file)
        for i, (path, _) in enumerate(targets):
            if own_identity is not None and identity(path) == own_identity:
                raise FileExistsError(errno.EEXIST, f"shard {i} would replace the source", path)
        with NewShards(targets, layout) as new:
            total, file_id = _split(file, layout, code, new, across, progress, size)
            # Not ctime: a changed mode or a new link changes no content.
            if version_of(file)[:4] != version[:4] or (size is not None and size != total):
                raise ParameterError("source: was changed while it was read")
            layout = replace(layout, n_bytes=total)
            if file_id is not None:
                headers = _own_headers(code, layout, file_id)
            else:
                pad = zfec.padding(total, k)
                headers = [zfec.ZfecHeader(k, n, pad, i).to_bytes() for i in range(n)]
            new.publish(headers)
    return SplitFile(new.paths, total, layout.shard_bytes, file_id)


def _split(
    file: BinaryIO,
    layout: Layout,
    code: Erasure,
    new: NewShards,
    across: Map,
    progress: Progress | None,
    size: int | None,
) -> tuple[int, bytes | None]:
    """Write the rows of all stripes; the length, and the id where there is one."""
    k, n = layout.k, layout.n
    frames = Frames(n, layout)
    data = np.zeros(layout.stripe_bytes, np.uint8)
    file_id = FileId(code.matrix, k, n, layout.unit) if layout.digest else None
    total = stripe = 0
    while count := fill(file, data.data):
        length = layout.row_bytes(count)
        rows = frames.rows(length)
        layout.lay(data, count, rows[:k])
        if n > k:
            code.encode(rows[:k], out=rows[k:])
        if file_id is not None:
            for digest in _seal(frames, stripe, length, range(n), across)[:k]:
                file_id.add(digest)
        for i in range(n):
            new.write(i, frames.frame(i, length))
        total, stripe = total + count, stripe + 1
        if progress is not None and size is not None:
            progress(min(total, size), size)
        if count < layout.stripe_bytes:
            break
        if total > own.MAX_FILE_BYTES:
            raise ParameterError("source: longer than 2**60 bytes")
    return total, None if file_id is None else file_id.finish(total)


def _seal(frames: Frames, stripe: int, length: int, indices: Sequence[int], across: Map) -> list[bytes]:
    """Put checksums in front of rows; give them back in the order of the indices."""
    rows = frames.rows(length)
    digests = list(across(lambda i: block_digest(i, stripe, rows[i]), indices))
    for i, digest in zip(indices, digests, strict=True):
        frames.frame(i, 0)[:] = np.frombuffer(digest, np.uint8)
    return digests


def _own_headers(code: Erasure, layout: Layout, file_id: bytes) -> list[bytes]:
    return [
        ShardHeader(code.matrix, code.k, code.n, i, layout.unit, layout.n_bytes, file_id).to_bytes()
        for i in range(code.n)
    ]


# -- join -----------------------------------------------------------------------------------------


def join_file(
    shards: Iterable[Path],
    target: Path | BinaryIO,
    *,
    format: str = "sottovoce",
    overwrite: bool = False,
    threads: int = 1,
    progress: Progress | None = None,
) -> JoinedFile:
    """Give the file back from any k of its shards, or from parts of more of them.

    Paths that lead to no shard count as missing.  Only what is needed is read: data shards first, and
    parity for blocks that are damaged or missing.  If what comes out is not the file (a wrong block may have
    a right checksum), ``target`` is a path and there are more than k shards, all is read once more, and what
    contradicts the others is done without.  In format zfec all given shards are read and compared at once.

    Args:
        shards: 1 to 512 paths in any order and under any names; a second copy of a shard helps where the
            first is damaged (in format zfec it is refused).
        target: Path of a new file, which appears when it is whole and checked, mode 0600; or a binary file
            open for writing, of which nothing may be used after an error.
        format: As they were written.
        overwrite: Whether a regular file at ``target`` is replaced.
        threads: 1 to 256.
        progress: Called with bytes done and bytes in all, after every stripe; begins anew if all is read once
            more.

    Returns:
        Length, and what was done without.

    Raises:
        TypeError, ParameterError: A wrong argument.
        MixedShardsError: Shards of more than one file.
        DecodeError: None of the paths leads to a shard; or padding is not zero.
        TooManyErasures: Fewer than k shards, or good blocks of a stripe; says needed and present.
        DamageError: Shards contradict each other, though no checksum is wrong, and it is not certain which
            are right.
        FileExistsError: ``target`` exists; or, whatever ``overwrite`` is, it is one of the given shards,
            under this name or another.
        OSError: Writing failed, or the process has no descriptors left; what cannot be read is damage.

    Timing: depends on k, n and lengths, and on what is damaged; shards are no secrets here.
    Source: docs/rs-files.md, "What is checked, and what that is worth"; bytes: docs/rs-files.md, "Bytes".
    """
    with mapping(threads) as across, Shards(shards, format, across) as given:
        given.require()
        stream_or_path = path_of("target", target) if isinstance(target, PATH) else target
        if shard := given.holds(stream_or_path):
            raise FileExistsError(errno.EEXIST, f"the file would replace its shard {shard}", str(target))
        compare = not given.layout.digest
        try:
            _join(given, target, overwrite, progress, compare=compare)
        except (DamageError, DecodeError):
            # A stream has got the wrong bytes already.
            if compare or given.present == given.layout.k or not isinstance(target, PATH):
                raise
            given.forget()
            _join(given, target, overwrite, progress, compare=True)
        return JoinedFile(
            given.layout.n_bytes, given.layout.k, given.layout.n, given.present,
            sum(file.bad for file in given.files), tuple(state.path for state in given.unusable),
        )  # fmt: skip


def _join(
    given: Shards, target: Path | BinaryIO, overwrite: bool, progress: Progress | None, *, compare: bool
) -> None:
    with writing(target, overwrite) as (write, publish):
        _walk(given, lambda data, count: write(data.data[:count]), progress, compare=compare)
        publish()


def _walk(
    given: Shards, use: Callable[[Bytes, int], object], progress: Progress | None, *, compare: bool
) -> None:
    """Go through all stripes; hand over the file's bytes of each; check the whole at the end."""
    layout = given.layout
    checker = Checker(given)
    buffer = np.zeros(layout.stripe_bytes, np.uint8)
    for stripe, size, length in stripes(layout):
        good = given.read(stripe, length, everything=compare)
        if given.contradiction is not None:
            raise DamageError(f"shards contradict each other in block {stripe}")
        if len(good) < layout.k:
            raise given.lost(stripe, len(good))
        rows = given.data(good, length)
        checker.add(stripe, good, rows)
        if not layout.collect(rows, size, buffer):
            raise DecodeError("shards: what pads the file is not zero")
        use(buffer, size)
        if progress is not None:
            progress(stripe * layout.stripe_bytes + size, layout.n_bytes)
    if not checker.whole():
        raise DamageError("shards contradict each other: what they give has another id")


# -- verify ---------------------------------------------------------------------------------------


def verify_files(
    shards: Iterable[Path],
    *,
    format: str = "sottovoce",
    threads: int = 1,
    progress: Progress | None = None,
) -> ShardsReport:
    """Read shards whole, and look whether they are as they were written and agree.

    Any number of shards will do, a single one on its disk too: what is missing is reported, and no error.
    In format zfec there is nothing to look at unless more than k shards are given.

    Args:
        shards: 1 to 512 paths, in any order.
        format: As they were written.
        threads: 1 to 256.
        progress: Called with bytes done and bytes in all, after every stripe.

    Returns:
        The report; all given shards are intact.

    Raises:
        TypeError, ParameterError, MixedShardsError, DecodeError: As :func:`join_file`.
        DamageError: A given path is damaged or no shard, or shards contradict each other.  Its ``report``
            says which, and whether the file can be recovered.
        OSError: The process has no descriptors left; what cannot be read is damage.

    Timing: depends on k, n and lengths, and on what is damaged; shards are no secrets here.
    Source: docs/rs-files.md, "What is checked, and what that is worth"; bytes: docs/rs-files.md, "Bytes".
    """
    with mapping(threads) as across, Shards(shards, format, across) as given:
        report, _ = scan(given, progress, 1)
    if not report.intact:
        raise DamageError(damage_of(report), report)
    return report


# -- repair ---------------------------------------------------------------------------------------


def repair_files(
    shards: Iterable[Path],
    *,
    folder: Path | None = None,
    prefix: str | None = None,
    format: str = "sottovoce",
    overwrite: bool = False,
    threads: int = 1,
    progress: Progress | None = None,
) -> RepairedFiles:
    """Make damaged and missing shards again, byte for byte as :func:`split_file` made them.

    A damaged shard is replaced where it is, in one step and when all of it was checked.  A missing one
    is written beside the first given shard.  Paths where no shard can be read are left alone, and
    their shards count as missing.

    Args:
        shards: 1 to 512 paths of what there is, in any order; at least k shards, with k good blocks of every
            stripe.
        folder: Where missing shards are written; None is beside the first given shard.
        prefix: Of their names, as in :func:`split_file`; None takes it from the first given shard.
        format: As they were written.  Without checksums (zfec) only missing shards are made.
        overwrite: Whether a file that is in the way of a missing shard is replaced.
        threads: 1 to 256.
        progress: Called with bytes done and bytes in all, after every stripe; shards are read twice.

    Returns:
        The state before, and what was written; nothing if nothing was wrong.

    Raises:
        TypeError, ParameterError, MixedShardsError, DecodeError, TooManyErasures: As :func:`join_file`.
        DamageError: Shards contradict each other, and nothing tells which is right.
        FileExistsError: Something is in the way of a missing shard; whatever ``overwrite`` is if that is
            another of the given shards.
        OSError: Writing failed, or the process has no descriptors left; what cannot be read is damage.

    Timing: depends on k, n and lengths, and on what is damaged; shards are no secrets here.
    Source: docs/rs-files.md, "What is checked, and what that is worth"; bytes: docs/rs-files.md, "Bytes".
    """
    with mapping(threads) as across, Shards(shards, format, across) as given:
        given.require()
        report, first_lost = scan(given, progress, 2)
        if report.consistent is False:
            raise DamageError(damage_of(report), report)
        if first_lost is not None:
            raise given.lost(*first_lost)
        first = given.copies[min(given.copies)][0]
        place = os.path.dirname(first.path) if folder is None else path_of("folder", folder)
        stem = check_prefix(prefix_of(first.path) if prefix is None else prefix)
        # A link stays, and what it leads to is replaced; once, if it was given twice.
        damaged = {os.path.realpath(file.path): file for file in given.files if not file.intact}
        again = [(_unlinked(file.path, path), True, file.index) for path, file in damaged.items()]
        taken = {identity(file.path): file.index for file in given.files}
        for i in given.missing:
            path = os.path.join(place, shard_name(stem, i, report.n, format))
            if (at := identity(path)) is not None and at in taken:
                raise FileExistsError(errno.EEXIST, f"shard {i} would replace shard {taken[at]}", path)
            again.append((path, overwrite, i))
        if not again:
            return RepairedFiles(report, ())
        given.forget()
        layout = given.layout
        with NewShards([(path, replacing) for path, replacing, _ in again], layout) as new:
            _rebuild(given, new, [index for _, _, index in again], across, progress)
            new.publish([replace(given.header, index=index).to_bytes() for _, _, index in again])
    return RepairedFiles(report, new.paths)


def _unlinked(path: str, real: str) -> str:
    return real if os.path.islink(path) else path


def _rebuild(
    given: Shards, new: NewShards, indices: list[int], across: Map, progress: Progress | None
) -> None:
    """Write the rows of some shards; all of the file is checked on the way."""
    layout = given.layout
    checker = Checker(given)
    frames = Frames(layout.n, layout)
    for stripe, size, length in stripes(layout):
        good = given.read(stripe, length, everything=True)
        if given.contradiction is not None:
            raise DamageError(f"shards contradict each other in block {stripe}")
        if len(good) < layout.k:
            raise given.lost(stripe, len(good))
        data = given.data(good, length)
        checker.add(stripe, good, data)
        rows = frames.rows(length)
        rows[: layout.k] = data
        rows[layout.k :] = checker.encode(data)
        if layout.digest:
            _seal(frames, stripe, length, sorted(set(indices)), across)
        for place, index in enumerate(indices):
            new.write(place, frames.frame(index, length))
        if progress is not None:
            progress(layout.n_bytes + stripe * layout.stripe_bytes + size, 2 * layout.n_bytes)
    if not checker.whole():
        raise DamageError("shards contradict each other: what they give has another id")

"""Shard files that are at hand: opened, sorted, and read stripe by stripe.

Whatever a path leads to, nothing waits (a pipe without a writer), nothing is believed (a length in a
header), and a disk that cannot read a block has lost that block only.
"""

from __future__ import annotations

import contextlib
import errno
import os
import stat
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from types import TracebackType
from typing import Any, BinaryIO, Final, Self, TypeAlias

from .._ext.errors import CorruptShards, DecodeError, ParameterError, TooManyErasures
from ._files_header import DIGEST_BYTES, HEADER_BYTES, MAGIC, ShardHeader, block_digest
from ._files_layout import Bytes, Frames, Layout
from ._files_paths import PATH, Path, identity, path_of
from ._files_report import MixedShardsError, ShardState
from ._files_zfec import MATRIX as ZFEC_MATRIX
from ._files_zfec import MAX_HEADER_BYTES, ZfecHeader
from .erasure import Erasure

_OWN_TROUBLE: Final = (errno.EMFILE, errno.ENFILE, errno.ENOMEM)
"""Errors of this process, which say nothing about a shard."""

Map: TypeAlias = Callable[[Callable[[int], Any], Iterable[int]], Iterable[Any]]
"""``map`` of one iterable."""

FORMATS: Final = ("sottovoce", "zfec")
MAX_PATHS: Final = 512
"""Each costs a descriptor, and 1024 is what many systems allow."""


@dataclass(slots=True)
class ShardFile:
    """One opened shard.

    Attributes:
        path: As given.
        fd: Its descriptor.
        index: Of the shard.
        layout: Where the rows are.
        group: Equal for shards of one file.
        header: Its bytes.
        n_bytes: Length of the file that is there.
        problem: What is wrong beside rows, or None.
        bad: Rows that were found bad.
        first_bad: The first of them, or None.
    """

    path: str
    fd: int
    index: int
    layout: Layout
    group: tuple[object, ...]
    header: ShardHeader | ZfecHeader
    n_bytes: int
    problem: str | None = None
    bad: int = 0
    first_bad: int | None = None
    _seen: int = field(default=-1)

    @property
    def intact(self) -> bool:
        """Whether nothing wrong was found so far."""
        return self.problem is None and not self.bad

    def read(self, stripe: int, frame: Bytes) -> bool:
        """Read a row with its checksum; False, and counted once, if it is not there or not good."""
        try:
            good = os.preadv(self.fd, [frame.data], self.layout.offset(stripe)) == len(frame)
        except OSError:  # a bad sector; what else there is, the rest of the shard will show
            good = False
        if good and self.layout.digest:
            found = frame[:DIGEST_BYTES].tobytes()
            good = block_digest(self.index, stripe, frame[DIGEST_BYTES:]) == found
        if not good:
            self.count(stripe)
        return good

    def count(self, stripe: int, rows: int = 1) -> None:
        """So many rows from this one on are bad."""
        if stripe > self._seen:
            self._seen = stripe
            self.bad += rows
            if self.first_bad is None:
                self.first_bad = stripe

    def forget(self) -> None:
        """Count from the beginning: the file is read again."""
        self._seen, self.bad, self.first_bad = -1, 0, None

    def state(self) -> ShardState:
        """For a report."""
        return ShardState(self.path, self.index, self.problem, self.bad, self.first_bad)


class Shards:
    """The shards of one file that are at hand; use as a context manager.

    Attributes:
        files, unusable: Shards, and paths where there is none.
        copies: Shards by index, ascending.
        layout, header, code: Of the file.
        contradiction: The first stripe found whose rows contradict each other, nobody knows which; or None.

    Args:
        paths: Shard files in any order.
        format: One of :data:`FORMATS`.
        across: ``map``, perhaps that of several threads.

    Raises:
        TypeError, ParameterError: No paths, too many, or an unknown format.
        MixedShardsError: They are of more than one file.
        DecodeError: None of them is a shard.
    """

    def __init__(self, paths: Iterable[Path], format: str, across: Map) -> None:
        names = self._names = _names(paths)
        check_format(format)
        self.format, self._across = format, across
        self.contradiction: int | None = None
        self.files: list[ShardFile] = []
        self.unusable: list[ShardState] = []
        self._stack = contextlib.ExitStack()
        try:
            for name in names:
                try:
                    self.files.append(self._open(name))
                except (DecodeError, OSError) as error:
                    if isinstance(error, OSError) and error.errno in _OWN_TROUBLE:
                        raise
                    reason = (error.strerror if isinstance(error, OSError) else None) or str(error)
                    self.unusable.append(ShardState(name, None, reason, 0, None))
            if not self.files:
                raise DecodeError(f"shards: none that can be read: {_listed(self.unusable)}")
            self._refuse_mixed()
        except BaseException:
            self._stack.close()
            raise
        first = self.files[0]
        self.layout = first.layout
        self.header = first.header
        self.code = Erasure(
            self.layout.k, self.layout.n,
            first.header.matrix if isinstance(first.header, ShardHeader) else ZFEC_MATRIX,
        )  # fmt: skip
        self.copies: dict[int, list[ShardFile]] = {}
        for file in sorted(self.files, key=lambda f: f.index):
            self.copies.setdefault(file.index, []).append(file)
        if not self.layout.digest:
            self._refuse_twice()
        self._frames = Frames(self.layout.n, self.layout)

    def _open(self, name: str) -> ShardFile:
        # Not to wait for the other end of a pipe.
        fd = os.open(name, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK)
        self._stack.callback(os.close, fd)
        found = os.fstat(fd)
        if not stat.S_ISREG(found.st_mode):
            raise DecodeError("not a regular file")
        if self.format == "zfec":
            share = ZfecHeader.from_bytes(os.pread(fd, MAX_HEADER_BYTES, 0))
            layout = share.layout(found.st_size)
            return ShardFile(name, fd, share.index, layout, (layout, share.padding), share, found.st_size)
        return _open_own(name, fd, found.st_size)

    def _refuse_mixed(self) -> None:
        groups: dict[tuple[object, ...], list[ShardFile]] = {}
        for file in self.files:
            groups.setdefault(file.group, []).append(file)
        if len(groups) > 1:
            found = "; ".join(
                f"{len(files)} of a file of {files[0].layout.n_bytes} bytes, k = {files[0].layout.k}, "
                f"n = {files[0].layout.n}, such as {files[0].path}"
                for files in groups.values()
            )
            raise MixedShardsError(f"shards: of one file expected, got {found}")

    def _refuse_twice(self) -> None:
        for index, files in self.copies.items():
            if len(files) > 1:
                raise ParameterError(
                    f"shards: {files[0].path} and {files[1].path} are both shard {index}, and nothing in "
                    "this format tells which is good"
                )

    @property
    def present(self) -> int:
        """Different shards at hand."""
        return len(self.copies)

    @property
    def missing(self) -> tuple[int, ...]:
        """Indices of which no shard is at hand, ascending."""
        return tuple(i for i in range(self.layout.n) if i not in self.copies)

    @property
    def reach(self) -> int:
        """Stripes of which any shard has a byte: what a header says must not keep anybody busy."""
        layout = self.layout
        longest = max(file.n_bytes for file in self.files) - layout.head
        return min(layout.n_stripes, -(-max(0, longest) // (layout.digest + layout.row)))

    def holds(self, file: str | BinaryIO) -> str | None:
        """Which of the given paths leads to this very file, under whatever name; None if none does."""
        wanted = identity(file)
        if wanted is None:
            return None
        return next((path for path in self._names if identity(path) == wanted), None)

    def forget(self) -> None:
        """Everything will be read again."""
        for file in self.files:
            file.forget()

    def require(self) -> None:
        """Refuse fewer than k shards.

        Raises:
            TooManyErasures: Says needed and present, and what is wrong with the others.
        """
        if self.present < self.layout.k:
            raise TooManyErasures(self.layout.k, self.present, _listed(self.unusable))

    def read(self, stripe: int, length: int, *, everything: bool = False) -> dict[int, Bytes]:
        """Good rows of a stripe by index: k of them, data first, or fewer if there are no more.

        Args:
            stripe: Which.
            length: Of its rows.
            everything: All good rows, every copy is looked at, and rows beyond k are compared.
        """
        rows, order = self._frames.rows(length), list(self.copies)
        first = len(order) if everything else self.layout.k
        found = self._across(lambda i: self._read_row(i, stripe, length, everything), order[:first])
        good = {i: rows[i] for i, ok in zip(order, found, strict=False) if ok}
        for i in order[first:]:
            if len(good) == self.layout.k:
                break
            if self._read_row(i, stripe, length, everything):
                good[i] = rows[i]
        if everything and len(good) > self.layout.k:
            self._compare(stripe, good)
        return good

    def _compare(self, stripe: int, good: dict[int, Bytes]) -> None:
        """Take out rows that contradict the others, if it is certain which they are."""
        try:
            self.code.verify(good)
        except CorruptShards as error:
            bad = error.bad_indices
            # What Erasure.locate_bad promises whatever is wrong with them; beyond it there is a doubt.
            if not bad or len(bad) > (len(good) - self.layout.k) // 2:
                if self.contradiction is None:
                    self.contradiction = stripe
                return
            for index in bad:
                del good[index]
                for file in self.copies[index]:
                    file.count(stripe)

    def _read_row(self, index: int, stripe: int, length: int, everything: bool) -> bool:
        """Whether one copy has this row good, which then is in memory."""
        frame, files = self._frames.frame(index, length), self.copies[index]
        if not everything or len(files) == 1:
            return any(file.read(stripe, frame) for file in files)
        good = [file for file in files if file.read(stripe, frame)]
        # The last one read may have been a bad one.
        return bool(good) and good[0].read(stripe, frame)

    def digest_of(self, index: int) -> bytes:
        """Checksum of a good row of the stripe just read."""
        return self._frames.frame(index, 0).tobytes()

    def data(self, good: dict[int, Bytes], length: int) -> Bytes:
        """The k data rows of the stripe just read, where :meth:`read` has put them."""
        rows = self._frames.rows(length)[: self.layout.k]
        if any(j not in good for j in range(self.layout.k)):
            self.code.reconstruct(good, out=rows)
        return rows

    def lost(self, stripe: int, good: int) -> TooManyErasures:
        """The error for a stripe with fewer than k good rows."""
        what = "; ".join(filter(None, [f"intact in block {stripe}", _listed(self.unusable)]))
        return TooManyErasures(self.layout.k, good, what)

    def states(self) -> tuple[ShardState, ...]:
        """All paths, those of shards first, by index."""
        return (*(f.state() for files in self.copies.values() for f in files), *self.unusable)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, tb: TracebackType | None
    ) -> None:
        self._stack.close()


def check_format(format: str) -> None:
    """Refuse an unknown format."""
    if format not in FORMATS:
        raise ParameterError(f"format: one of {', '.join(FORMATS)} expected, got {str(format)[:32]!r}")


def _names(paths: Iterable[Path]) -> list[str]:
    if isinstance(paths, PATH):
        raise TypeError("shards: several paths expected, got one")
    names = [path_of("shards", path) for path in paths]
    if not 1 <= len(names) <= MAX_PATHS:
        raise ParameterError(f"shards: 1 to {MAX_PATHS} paths expected, got {len(names)}")
    return names


def _open_own(name: str, fd: int, file_bytes: int) -> ShardFile:
    """By the header at the beginning, or else by that at the end."""
    start = os.pread(fd, HEADER_BYTES, 0)
    problems = []
    try:
        header = ShardHeader.from_bytes(start)
    except DecodeError as error:
        found = _second_header(fd, file_bytes)
        if found is None:
            raise error from None
        header = found
        problems.append("first header damaged")
    layout = header.layout()
    if file_bytes != layout.shard_bytes:
        problems.append(f"{layout.shard_bytes} bytes expected, got {file_bytes}")
    elif not problems and os.pread(fd, HEADER_BYTES, file_bytes - HEADER_BYTES) != start:
        problems.append("second header damaged")
    problem = "; ".join(problems) or None
    return ShardFile(name, fd, header.index, layout, header.group, header, file_bytes, problem)


_BEHIND: Final = 1 << 20
"""Bytes behind a shard, as tapes, mails and copies of disks add them, before which its end is looked for."""

_TRIED: Final = 64
"""Places there that look like a header; by accident there are none."""


def _second_header(fd: int, file_bytes: int) -> ShardHeader | None:
    """The header at the end of a shard, which may have other bytes behind it; None if there is none."""
    begin = max(0, file_bytes - HEADER_BYTES - _BEHIND)
    tail = os.pread(fd, file_bytes - begin, begin)
    place = len(tail)
    for _ in range(_TRIED):
        place = tail.rfind(MAGIC, 0, max(0, place + len(MAGIC) - 1))
        if place < 0:
            break
        with contextlib.suppress(DecodeError):
            header = ShardHeader.from_bytes(tail[place : place + HEADER_BYTES])
            # Not one of a shard inside of this one, or of what comes behind it.
            if header.layout().shard_bytes == begin + place + HEADER_BYTES:
                return header
    with contextlib.suppress(DecodeError):  # whatever is missing before it
        return ShardHeader.from_bytes(tail[-HEADER_BYTES:])
    return None


_SHOWN: Final = 4


def _listed(states: Sequence[ShardState]) -> str:
    shown = [f"{state.path}: {state.problem}" for state in states[:_SHOWN]]
    more = [f"{len(states) - _SHOWN} more"] if len(states) > _SHOWN else []
    return "; ".join(shown + more)


def stripes(layout: Layout, count: int | None = None) -> Iterator[tuple[int, int, int]]:
    """Number, bytes of the file, and length of the rows of each stripe, or of the first ``count``."""
    for stripe in range(layout.n_stripes if count is None else count):
        size = layout.data_bytes(stripe)
        yield stripe, size, layout.row_bytes(size)

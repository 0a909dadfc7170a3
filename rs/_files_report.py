"""What the functions on files tell: while they work, when they are done, and in errors."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeAlias

from .._ext.errors import ParameterError, SottovoceError

Progress: TypeAlias = Callable[[int, int], object]
"""Called with bytes done and bytes in all; whatever it raises ends the work."""


@dataclass(frozen=True, slots=True)
class ShardState:
    """One of the given paths.

    Attributes:
        path: As given.
        index: Of the shard, 0 to n - 1; None if nothing there can be read as a shard.
        problem: What is wrong beside its blocks (its header, its length, the file itself), or None.
        bad_blocks: How many blocks are damaged or missing.
        first_bad_block: The first of them, counted from 0, or None.

    Timing: public; computes nothing.
    Source: docs/rs-files.md, "What is checked, and what that is worth".
    """

    path: str
    index: int | None
    problem: str | None
    bad_blocks: int
    first_bad_block: int | None

    @property
    def intact(self) -> bool:
        """Whether all of it is as it was written."""
        return self.problem is None and self.bad_blocks == 0


@dataclass(frozen=True, slots=True)
class ShardsReport:
    """What :func:`verify_files` found.

    Attributes:
        format: ``"sottovoce"`` or ``"zfec"``.
        k, n: Of the code, ``1 <= k <= n <= 256``.
        n_bytes: Length of the file, in bytes.
        file_id: 16 bytes, equal for the shards of one file cut the same way; None for zfec.
        shards: Every given path, those of shards first, by index.
        missing: Indices of which no shard was given, ascending.
        n_blocks: Blocks of a shard.
        lost_blocks: How many of them have fewer than k good ones; nothing gives their bytes back.
        consistent: Whether parity follows from data wherever both are there, and the id from the blocks.
            None if there was nothing to compare: fewer than k shards; in format zfec, k or fewer.

    Timing: public; counts shards and blocks.
    Source: docs/rs-files.md, "What is checked, and what that is worth".
    """

    format: str
    k: int
    n: int
    n_bytes: int
    file_id: bytes | None
    shards: tuple[ShardState, ...]
    missing: tuple[int, ...]
    n_blocks: int
    lost_blocks: int
    consistent: bool | None

    @property
    def present(self) -> int:
        """How many different shards were given."""
        return self.n - len(self.missing)

    @property
    def intact(self) -> bool:
        """Whether every given shard is as it was written, and they agree."""
        return self.consistent is not False and all(shard.intact for shard in self.shards)

    @property
    def recoverable(self) -> bool:
        """Whether these shards give the file back."""
        return self.present >= self.k and self.lost_blocks == 0 and self.consistent is not False


@dataclass(frozen=True, slots=True)
class SplitFile:
    """What ``split_file`` wrote.

    Attributes:
        paths: Of the shards, by index.
        n_bytes: Length of the file, in bytes.
        shard_bytes: Length of each shard file, in bytes.
        file_id: 16 bytes, equal for the shards of one file cut the same way; None for zfec.

    Timing: public; computes nothing.
    Source: docs/rs-files.md, "Bytes".
    """

    paths: tuple[str, ...]
    n_bytes: int
    shard_bytes: int
    file_id: bytes | None


@dataclass(frozen=True, slots=True)
class JoinedFile:
    """What ``join_file`` wrote.

    Attributes:
        n_bytes: Length of the file, in bytes.
        k, n: Of the code, ``1 <= k <= n <= 256``.
        present: How many different shards were given.
        bad_blocks: How many blocks were read, damaged, and done without.
        unusable: Given paths where no shard could be read.

    Timing: public; computes nothing.
    Source: docs/rs-files.md, "What is checked, and what that is worth".
    """

    n_bytes: int
    k: int
    n: int
    present: int
    bad_blocks: int
    unusable: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class RepairedFiles:
    """What ``repair_files`` found and did.

    Attributes:
        report: The state before.
        written: Paths of the shards that were made again; empty if nothing was wrong.

    Timing: public; computes nothing.
    Source: docs/rs-files.md, "What is checked, and what that is worth".
    """

    report: ShardsReport
    written: tuple[str, ...]


class DamageError(SottovoceError):
    """Given shards are damaged, are no shards, or contradict each other.

    Attributes:
        report: Which, and whether the file can be had from them all the same; None where a
            contradiction ended the work.
    """

    def __init__(self, message: str, report: ShardsReport | None = None) -> None:
        super().__init__(message)
        self.report = report

    def __reduce__(self) -> tuple[type, tuple[str, ShardsReport | None]]:
        return type(self), (str(self), self.report)


class MixedShardsError(ParameterError):
    """Shards of more than one file were given where those of one are wanted."""

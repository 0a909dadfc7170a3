"""Where the stores of a role lie.  One place, so that commands do not know which kind they are."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from pathlib import Path

from ...fl import (
    AggregatorStore,
    MemberStore,
    MemoryAggregatorStore,
    MemoryMemberStore,
    MemoryOutbox,
    Outbox,
    ServerKeys,
)


def private_folder(path: Path) -> Path:
    """A folder for its owner only; made if it is not there."""
    path.mkdir(mode=0o700, parents=True, exist_ok=True)
    return path


@contextlib.contextmanager
def member_store(path: Path, keys: ServerKeys) -> Iterator[MemberStore]:
    """A member's."""
    private_folder(path)
    yield MemoryMemberStore()


@contextlib.contextmanager
def aggregator_store(path: Path) -> Iterator[AggregatorStore]:
    """An aggregator's."""
    private_folder(path)
    yield MemoryAggregatorStore()


@contextlib.contextmanager
def outbox(path: Path) -> Iterator[Outbox]:
    """A device's."""
    private_folder(path)
    yield MemoryOutbox()

"""Where a node remembers what it has sent and answered, from one message to the next.

Flower runs a ClientApp in a process of its own for every message, so that memory has to be on disk.
"""

from __future__ import annotations

from pathlib import Path

from ..stores import MemberStore, MemoryMemberStore, MemoryOutbox, Outbox

_OUTBOXES: dict[Path, Outbox] = {}
_MEMBERS: dict[Path, MemberStore] = {}


def outbox(path: Path) -> Outbox:
    """The outbox of a device."""
    return _OUTBOXES.setdefault(path, MemoryOutbox())


def member_store(path: Path) -> MemberStore:
    """The memory of a committee member."""
    return _MEMBERS.setdefault(path, MemoryMemberStore())

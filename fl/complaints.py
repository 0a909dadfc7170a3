"""Deciding about members' complaints when nobody can tell who lies."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping


def settle_complaints(complaints: Mapping[int, set[bytes]], f: int, t: int) -> tuple[set[bytes], list[int]]:
    """Whom to drop, and which members then agree, ascending: fewer than ``t`` if that cannot be had."""
    counts = Counter(pid for bad in complaints.values() for pid in bad)
    drop = {pid for pid, count in counts.items() if count > f}
    while True:
        content = sorted(j for j, bad in complaints.items() if bad <= drop)
        others = complaints.keys() - set(content)
        if len(content) >= t or not others:
            return drop, content
        # The least demanding first: one member that complains about everybody must not end the round
        # while others would do.
        drop |= complaints[min(others, key=lambda j: (len(complaints[j] - drop), j))]

"""Who pays for what a :class:`Collector` holds: bytes and groups, by source.

A group that one source alone has fed is that source's own; one that several feed is shared.  The
source that holds most is found in logarithmic time (amortised), and its oldest group in constant
time, so that a flood from many sources does not make every further shard dearer.
"""

from __future__ import annotations

import heapq
from collections import OrderedDict
from collections.abc import Hashable
from typing import Final

Group = tuple[bytes, int, int, int, int]
"""What shards that belong together agree on: see :attr:`sottovoce.rs.shard.Body.group`."""

GROUP_COST: Final = 1024
"""What a group costs beside its bytes, so that a flood of tiny shards is bounded too; see the collector."""

_BYTES, _GROUPS = 0, 1
_SLACK = 64


class Source:
    """What one source holds: bytes, and its groups by age, apart for those that others feed too."""

    __slots__ = ("alone", "held", "shared")

    def __init__(self) -> None:
        self.held = [0, 0]  # bytes, groups
        self.alone: OrderedDict[Group, None] = OrderedDict()
        self.shared: OrderedDict[Group, None] = OrderedDict()


class Accounts:
    """Charges of all sources.  Not thread-safe: the collector's lock is held."""

    __slots__ = ("_pushes", "_rankings", "sources", "total")

    def __init__(self) -> None:
        self.sources: dict[Hashable, Source] = {}
        self.total = 0
        # Heaps of (-what is held, tick, source), one for bytes and one for groups.  An entry that says
        # something else than its source does now is out of date and skipped.
        self._rankings: tuple[list[tuple[int, int, Source]], list[tuple[int, int, Source]]] = ([], [])
        self._pushes = 0  # ties go to whoever has held that much for longest; sources are not compared

    def charge(self, group: Group, payers: dict[Hashable, int], source: Hashable, cost: int) -> None:
        """Let ``source`` pay ``cost`` bytes for ``group``, whose own list ``payers`` is kept up here."""
        if not payers:
            cost += GROUP_COST
        entry = self.sources.get(source)
        if entry is None:
            entry = self.sources[source] = Source()
        if source not in payers:
            if len(payers) == 1:
                first = self.sources[next(iter(payers))]
                del first.alone[group]
                first.shared[group] = None
            (entry.shared if payers else entry.alone)[group] = None
            payers[source] = 0
            self._add(entry, _GROUPS, 1)
        payers[source] += cost
        self._add(entry, _BYTES, cost)
        self.total += cost

    def release(self, group: Group, payers: dict[Hashable, int]) -> None:
        """Give back all that was charged for ``group``."""
        for source, cost in payers.items():
            entry = self.sources[source]
            entry.alone.pop(group, None)
            entry.shared.pop(group, None)
            self._add(entry, _GROUPS, -1)
            self._add(entry, _BYTES, -cost)
            self.total -= cost
            if not entry.held[_GROUPS]:
                del self.sources[source]

    def victim(self, *, by_groups: bool) -> Group:
        """The group to give up: of the source with most groups, or most bytes.

        Those that it alone has fed go first, longest held first; then those shared for longest.
        """
        which = _GROUPS if by_groups else _BYTES
        heap = self._rankings[which]
        while -heap[0][0] != heap[0][2].held[which]:
            heapq.heappop(heap)
        entry = heap[0][2]
        return next(iter(entry.alone or entry.shared))

    def _add(self, entry: Source, which: int, amount: int) -> None:
        entry.held[which] += amount
        heap = self._rankings[which]
        if entry.held[which]:
            self._pushes += 1
            heapq.heappush(heap, (-entry.held[which], self._pushes, entry))
        # Every source has one entry that is right; those out of date never are many more.
        if len(heap) > 2 * len(self.sources) + _SLACK:
            right = {id(e): (held, tick, e) for held, tick, e in heap if -held == e.held[which]}
            heap[:] = right.values()
            heapq.heapify(heap)

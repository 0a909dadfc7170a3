"""Time and bytes of the stages of a round, for tables and metrics; costs nothing where nobody listens."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field


@dataclass
class Stage:
    """What one stage has cost so far.

    Attributes:
        seconds: Wall-clock seconds, summed over the calls.
        n_bytes: Bytes that the stage produced or took in.
        calls: How often it ran.

    Source: docs/fl.md, "In memory".
    """

    seconds: float = 0.0
    n_bytes: int = 0
    calls: int = 0


@dataclass
class Meter:
    """Collects :class:`Stage` objects by name, in the order in which the names first appear.

    Attributes:
        clock: Seconds; only differences matter.
        stages: By name.

    Source: docs/fl.md, "In memory".
    """

    clock: Callable[[], float] = time.perf_counter
    stages: dict[str, Stage] = field(default_factory=dict)

    @contextmanager
    def stage(self, name: str) -> Iterator[Stage]:
        """Time a block; the block adds its bytes to ``n_bytes`` of what it gets.

        Args:
            name: Of the stage.

        Returns:
            A context manager that gives the stage.
        """
        entry = self.stages.setdefault(name, Stage())
        start = self.clock()
        try:
            yield entry
        finally:
            entry.seconds += self.clock() - start
            entry.calls += 1

"""What a service does on its own, without being asked: it is started again when it fails, and it is told."""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections import Counter
from collections.abc import Awaitable, Callable
from typing import Final

from .logs import log
from .metrics import Metrics

_FIRST_DELAY_S: Final = 0.1
_LONGEST_DELAY_S: Final = 30.0
_WELL_S: Final = 10.0
"""Who has worked for so long after a failure is well again."""


class Tasks:
    """Which tasks of a service fail now, and how often each has.

    Attributes:
        failures: Task -> how often it ended with an error that nobody expected.
        unwell: Tasks that fail, and are tried again.
    """

    def __init__(self) -> None:
        self.failures: Counter[str] = Counter()
        self.unwell: set[str] = set()

    def watch(self, metrics: Metrics) -> None:
        """Show it there."""
        metrics.watch(
            "task_failures",
            "Tasks that ended unexpectedly.",
            lambda: self.failures,
            label="task",
            counts=True,
        )
        metrics.watch("healthy", "What /healthz says: 1 for ok.", lambda: {"": int(not self.unwell)})

    @property
    def reason(self) -> str:
        """For ``/healthz``: empty if all is well."""
        return ", ".join(f"{task}: fails" for task in sorted(self.unwell))

    def failed(self, task: str) -> None:
        """It ended with an error; called while that is being handled."""
        self.failures[task] += 1
        log("error", "task failed", task=task, times=self.failures[task], exc_info=True)

    async def supervise(
        self,
        task: str,
        work: Callable[[], Awaitable[object]],
        *,
        expected: type[Exception] | tuple[type[Exception], ...] = (),
        over: Callable[[], bool] = lambda: False,
        hurry: asyncio.Event | None = None,
    ) -> None:
        """Do the work until it ends without an error; after one, begin again, ever more seldom.

        Args:
            task: Its name, for log, metric and ``/healthz``.
            work: Begins where it was when it failed.
            expected: Errors that end it, and are raised.
            over: Whether beginning again would be too late.
            hurry: Once set, nothing more is waited for before beginning again.

        Raises:
            Exception: One of ``expected``.
        """
        loop, delay = asyncio.get_running_loop(), _FIRST_DELAY_S
        try:
            while True:
                begun = time.monotonic()
                well = loop.call_later(_WELL_S, self.unwell.discard, task)
                try:
                    await work()
                    return
                except expected:
                    raise
                except Exception:
                    self.failed(task)
                finally:
                    well.cancel()
                if over():
                    return
                self.unwell.add(task)
                if time.monotonic() - begun > _WELL_S:
                    delay = _FIRST_DELAY_S
                with contextlib.suppress(TimeoutError):
                    await asyncio.wait_for((hurry or asyncio.Event()).wait(), delay)
                if hurry is not None and hurry.is_set():
                    await asyncio.sleep(_FIRST_DELAY_S)  # what fails at once must not stop the others
                delay = min(2 * delay, _LONGEST_DELAY_S)
        finally:
            self.unwell.discard(task)

"""A deadline for what comes, or leaves, piece by piece: it moves with the pieces, and never far.

A flat deadline for a whole body is too long for a short one and too short for a long one.  Here one piece
may take some seconds, and all of them together those seconds and what the slowest line allowed takes for
the bytes that have passed.  So nobody holds a place with a byte now and then, nor with a fast beginning.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable
from typing import TypeVar

T = TypeVar("T")


class Pace:
    """Of one body.

    Args:
        seconds: For one piece; and in all, beyond what the line takes.
        rate: Bytes per second of the slowest line allowed.
    """

    def __init__(self, seconds: float, rate: float) -> None:
        self._most, self._rate = seconds, rate
        self._left = seconds

    async def of(self, step: Awaitable[T]) -> T:
        """Wait for one step.  Only what is waited for here counts, not the time between two steps.

        Raises:
            TimeoutError: It took too long, or all steps together have.
        """
        begun = time.monotonic()
        try:
            async with asyncio.timeout(max(0.0, min(self._left, self._most))):
                return await step
        finally:
            self._left -= time.monotonic() - begun

    def passed(self, n_bytes: int) -> None:
        """So many bytes came, or left."""
        self._left += n_bytes / self._rate

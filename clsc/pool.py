"""A pure map over runs of the input, on threads, processes or a cluster, and the results in order."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Sequence
from concurrent.futures import Executor
from typing import TypeVar

T = TypeVar("T")
R = TypeVar("R")


def runs(items: Sequence[T], n_items: int) -> list[Sequence[T]]:
    """Cut into runs of at most ``n_items``, as equal as they can be."""
    n_runs = -(-len(items) // n_items)
    bounds = [len(items) * i // n_runs for i in range(n_runs + 1)] if n_runs else []
    return [items[a:b] for a, b in itertools.pairwise(bounds)]


def map_runs(
    executor: Executor, function: Callable[..., R], items: Sequence[T], n_items: int, *args: object
) -> list[R]:
    """``function(run, *args)`` of every run, in order; the first error ends it and takes back what waits.

    Args:
        executor: Any :class:`concurrent.futures.Executor`.
        function: At the top of a module, so that processes can be told of it.
        n_items: The longest run.  Fixed, and not a matter of how many workers there are: nobody can know
            that of an executor.
    """
    futures = [executor.submit(function, run, *args) for run in runs(items, n_items)]
    try:
        return [future.result() for future in futures]
    finally:
        for future in futures:
            future.cancel()

"""Work on columns of shards, by several threads: a product needs no row whole."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

from .._ext import gf256
from .._ext.errors import ParameterError
from ._erasure_rows import Rows
from ._numbers import integer

MAX_THREADS = 256

# Of columns for one thread: below it, starting the thread costs more than it does.
_LEAST = 16 << 10
_LINE = 64


def check_threads(threads: int) -> int:
    """1 to 256, as an int."""
    threads = integer("threads", threads)
    if not 1 <= threads <= MAX_THREADS:
        raise ParameterError(f"threads: 1 to {MAX_THREADS} expected, got {threads}")
    return threads


def over_columns(work: Callable[[slice], None], length: int, threads: int) -> None:
    """Call ``work`` for slices that cover all columns; what one of them raises is raised."""
    count = min(threads, max(1, length // _LEAST))
    if count == 1:
        work(slice(0, length))
        return
    width = -(-length // (count * _LINE)) * _LINE
    slices = [slice(start, min(start + width, length)) for start in range(0, length, width)]
    with ThreadPoolExecutor(len(slices), "sottovoce-erasure") as pool:
        # All, so that none still writes when an error comes out.
        list(pool.map(work, slices))


def multiply(
    matrix: gf256.Matrix, inputs: Rows, outputs: Rows, threads: int, *, accumulate: bool = False
) -> None:
    """:func:`sottovoce._ext.gf256.multiply` with its columns spread over threads."""

    def work(columns: slice) -> None:
        begin, end = columns.start, columns.stop
        gf256.multiply(matrix, inputs, outputs, accumulate=accumulate, begin=begin, end=end)

    over_columns(work, len(inputs[0]), threads)

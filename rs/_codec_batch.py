"""Many words at once: checks of arrays, threads over words, and a result for each word."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .._ext.errors import ParameterError
from .._ext.rsword import Code
from ._codec_symbols import Words, check_range, dtype_of
from ._numbers import integer

Erasures = NDArray[np.bool_] | Iterable[int] | None
"""Places that are erased in every word, or flags of shape ``(words, n)`` or ``(n,)``."""

MOST_THREADS = 256


@dataclass(frozen=True, slots=True, eq=False)
class DecodedBatch:
    """What came of a batch of received words; made by ``decode_batch``.

    Attributes:
        words: ``(words, n)``, uint8, or uint16 for ``c_exp > 8``; corrected ones are codewords, failed ones
            are as they were received.  The caller's ``out``, if one was given.
        messages: ``(words, k)``: a view of the message symbols of ``words``.
        changed: ``(words,)`` int32: how many symbols were corrected, 0 for a word that was right, -1 for one
            that failed.

    Timing: depends on how many words failed; nothing here is made for secrets.
    Source: docs/rs-codec.md, "Words".
    """

    words: Words
    messages: Words
    changed: NDArray[np.int32]

    @property
    def ok(self) -> NDArray[np.bool_]:
        """``(words,)`` bool: whether the word is a codeword now."""
        return self.changed >= 0

    @property
    def failed(self) -> NDArray[np.intp]:
        """``(count,)`` ints: indices of the words that failed, ascending."""
        return np.flatnonzero(self.changed < 0)


def words_of(name: str, given: Any, c_exp: int) -> Words:
    """Check an array of words or messages, one a row; no copy.

    Raises:
        TypeError: No numpy array, or of another type of symbols.
        ParameterError: Not two dimensions, rows not contiguous, or a symbol outside the field.
    """
    if not isinstance(given, np.ndarray):
        raise TypeError(f"{name}: numpy array expected, got {type(given).__name__}")
    if given.dtype != dtype_of(c_exp):
        raise TypeError(f"{name}: {dtype_of(c_exp)} expected, got {given.dtype}")
    if given.ndim != 2:
        raise ParameterError(f"{name}: two dimensions expected, got {given.ndim}")
    if given.shape[1] < 1:
        raise ParameterError(f"{name}: at least 1 symbol a row expected, got 0")
    if given.size and given.shape[1] > 1 and given.strides[1] != given.itemsize:
        raise ParameterError(f"{name}: contiguous rows expected")
    check_range(name, given, c_exp)
    return given


def target(out: Any, shape: tuple[int, int], c_exp: int) -> Words:
    """``out`` after a check, or a new array.

    Raises:
        TypeError: No numpy array, or of another type of symbols.
        ParameterError: Another shape, or read-only.
    """
    if out is None:
        return np.empty(shape, dtype_of(c_exp))
    if not isinstance(out, np.ndarray):
        raise TypeError(f"out: numpy array expected, got {type(out).__name__}")
    if out.dtype != dtype_of(c_exp):
        raise TypeError(f"out: {dtype_of(c_exp)} expected, got {out.dtype}")
    if out.shape != shape:
        raise ParameterError(f"out: shape {shape} expected, got {out.shape}")
    if not out.flags.writeable:
        raise ParameterError("out: is read-only")
    return out


def flags_of(erasures: Erasures, words: int, n: int) -> NDArray[np.uint8] | None:
    """Flags of erased symbols, one row for all words or one a word.

    Raises:
        TypeError: Neither flags nor integers.
        ParameterError: Another shape, or a place outside the word.
    """
    if erasures is None:
        return None
    if isinstance(erasures, np.ndarray) and erasures.dtype == np.bool_:
        if erasures.shape not in ((n,), (words, n)):
            raise ParameterError(f"erasures: shape {(words, n)} or {(n,)} expected, got {erasures.shape}")
        return np.ascontiguousarray(erasures).view(np.uint8).reshape(-1, n)
    given: Any = erasures  # text is Iterable, but not of int
    if isinstance(given, str) or not isinstance(given, Iterable):
        raise TypeError("erasures: flags or a sequence of places expected")
    flags = np.zeros((1, n), np.uint8)
    for place in given:
        at = integer("erasure", place)
        if not 0 <= at < n:
            raise ParameterError(f"erasure: 0 to {n - 1} expected, got {at}")
        flags[0, at] = 1
    return flags


def encode(code: Code, out: Words, messages: Words, threads: int) -> None:
    """``Code.encode``, the words shared out among threads.

    Raises:
        ParameterError: ``out`` overlaps ``messages`` without having them in front.
    """
    _apart(out, messages)
    _share(len(out), threads, lambda rows: code.encode(out[rows], messages[rows]))


def check(code: Code, words: Words) -> NDArray[np.int32]:
    """``Code.check``: 1 for each codeword, else 0."""
    status = np.zeros(len(words), np.int32)
    code.check(status, words)
    return status


def decode(
    code: Code, out: Words, words: Words, flags: NDArray[np.uint8] | None, threads: int = 1
) -> NDArray[np.int32]:
    """``Code.decode``, the words shared out among threads: changed symbols of each word, or -1.

    Raises:
        ParameterError: ``out`` overlaps ``words`` without being it.
    """
    _apart(out, words)
    status = np.zeros(len(words), np.int32)

    def some(rows: slice) -> None:
        mine = flags if flags is None or len(flags) == 1 else flags[rows]
        code.decode(out[rows], status[rows], words[rows], mine)

    _share(len(words), threads, some)
    return status


def _apart(out: Words, given: Words) -> None:
    # Each thread sees its own rows only, so this is asked of the whole before.
    same = out.ctypes.data == given.ctypes.data and (len(out) < 2 or out.strides[0] == given.strides[0])
    # Two tables may lie side by side, as columns of one array: then only their bounds overlap.
    if not same and np.may_share_memory(out, given) and _rows_overlap(out, given):
        raise ParameterError("out: overlaps the input without being it")


def _rows_overlap(out: Words, given: Words) -> bool:
    """Whether a row of one has a byte of a row of the other; rows are contiguous."""
    # Of the rows of the input that begin before a row of out ends, the last reaches furthest: all are of one
    # length.
    begins, targets = np.sort(_row_starts(given)), _row_starts(out)
    before = np.searchsorted(begins, targets + out.shape[1] * out.itemsize) - 1
    reach = begins[np.maximum(before, 0)] + given.shape[1] * given.itemsize
    return bool(((before >= 0) & (reach > targets)).any())


def _row_starts(rows: Words) -> NDArray[np.int64]:
    return rows.ctypes.data + rows.strides[0] * np.arange(len(rows), dtype=np.int64)


def _share(count: int, threads: int, work: Callable[[slice], None]) -> None:
    """Call ``work`` for slices of ``count`` rows, one a thread."""
    threads = integer("threads", threads)
    if not 1 <= threads <= MOST_THREADS:
        raise ParameterError(f"threads: 1 to {MOST_THREADS} expected, got {threads}")
    if threads == 1 or count < 2 * threads:
        work(slice(0, count))
        return
    edges = [count * i // threads for i in range(threads + 1)]
    with ThreadPoolExecutor(threads) as pool:
        for done in [pool.submit(work, slice(*edge)) for edge in pairwise(edges)]:
            done.result()

"""What all measurements of :mod:`sottovoce.he` share: the vector, the codec, new rounds.

What is timed is what a caller waits for: float32 numbers in, bytes out, and back.  Everything that is
new in every round is new in every call.
"""

from __future__ import annotations

import functools
import itertools
from typing import Final

import numpy as np
from numpy.typing import NDArray

from ... import he
from .measurement import Alternative, Operation

D: Final = 1_000_000
"""Parameters of the model."""

SUMMANDS: Final = 1024
VALUE_BITS: Final = 16

SIZE: Final[dict[str, int | str]] = {"parameters": D, "bits": VALUE_BITS, "summands": SUMMANDS}

BANDWIDTH: Final = 0.7
"""Adding should use so much of the memory bandwidth that numpy's addition reaches."""

_rounds = itertools.count()


def new_context() -> bytes:
    """The header hash of a round that never was before: nothing that belongs to it is in any cache."""
    return next(_rounds).to_bytes(32, "big")


@functools.cache
def codec() -> he.Codec:
    """With the issue's integers; stochastic rounding, as by default."""
    return he.Codec(clip=1.0, value_bits=VALUE_BITS, max_summands=SUMMANDS)


@functools.cache
def vector() -> NDArray[np.float32]:
    """An update: some entries in a thousand are beyond three tenths of the clip, none beyond it."""
    return np.random.default_rng(1).normal(0.0, 0.1, size=D).astype(np.float32)


@functools.cache
def values() -> NDArray[np.int64]:
    """The same, quantized."""
    return codec().quantize(vector())


def numpy_add(n_bytes: int) -> Alternative:
    """A plain ``a += b`` of numpy that reads and writes as many bytes, of which a third is written."""

    def prepare() -> Operation:
        n = n_bytes // 24
        a, b = np.ones(n, np.uint64), np.ones(n, np.uint64)
        return Operation(lambda: np.add(a, b, out=a))

    return Alternative("numpy's a += b of as many bytes", prepare, aim=1 / BANDWIDTH)

"""The public elements ``a_j`` of a round, expanded from its context and kept while it lasts.

The seed is no parameter: ``SHA-256(enc("SOTTOVOCE-V1-KAHE-SEED", context))``, computed by every party
itself, because who chooses ``a`` can choose one that reveals keys.  The values are drawn below each
prime straight in the transform's order: the transform of a uniform element is uniform.
"""

from __future__ import annotations

import threading
from collections import OrderedDict

import numpy as np
from numpy.typing import NDArray

from .._ext.enc import sha256_enc
from ._kahe_params import Params
from ._random import Stream, reduced

CACHE_BYTES = 1 << 26
"""All rounds together; 64 MiB hold the elements of eight million parameters."""

BLOCK = 16
"""Elements handled at a time: their buffers stay in the second-level cache."""

_Round = tuple[NDArray[np.uint64], bytearray]

_lock = threading.Lock()
_cache: OrderedDict[tuple[str, bytes, int], _Round] = OrderedDict()


def seed(context: bytes) -> bytes:
    """32 bytes: the seed of all ``a_j`` of the round with this header hash."""
    return sha256_enc("SOTTOVOCE-V1-KAHE-SEED", context)


def expand_planes(params: Params, context: bytes, start: int, count: int) -> NDArray[np.uint64]:
    """``a_start .. a_(start+count-1)``, shape ``(P, count, N)``, transformed: no cache.

    Element j is the accepted words of AES-256-CTR with key ``SHA-256(enc("SOTTOVOCE-V1-KAHE-A", seed,
    set name))`` and counter block ``j || 0``: 64-bit little-endian words, cut to the bit length of the
    prime, kept if below it.  First N for the first prime; N for a second one from the words that follow.
    """
    key = sha256_enc("SOTTOVOCE-V1-KAHE-A", seed(context), params.set)
    primes = params._set.primes
    out = np.empty((len(primes), count, params.N), np.uint64)
    stream = Stream(key)
    for first in range(0, count, BLOCK):
        block = out[:, first : first + BLOCK]
        # Rows as they come, then the rejection over all of them; nearly always there is none.
        for i, row in enumerate(block.swapaxes(0, 1), start + first):
            stream.restart(i)
            for plane in row:
                stream.fill_words(plane)
        if not all(reduced(plane, prime) for plane, prime in zip(block, primes, strict=True)):
            for i, row in enumerate(block.swapaxes(0, 1), start + first):
                stream.restart(i)
                for plane, prime in zip(row, primes, strict=True):
                    stream.below_into(plane, prime)
    return out


def public_planes(params: Params, context: bytes, start: int, count: int) -> NDArray[np.uint64]:
    """The same, read-only, from the cache where it fits."""
    if 8 * len(params._set.primes) * params.n_elements * params.N > CACHE_BYTES:
        return expand_planes(params, context, start, count)
    planes, done = _cached(params, context)
    # Outside the lock, block by block: two threads may both do one, and write the same.
    for block in range(start // BLOCK, -(-(start + count) // BLOCK)):
        if not done[block]:
            first = block * BLOCK
            end = min(first + BLOCK, params.n_elements)
            planes[:, first:end] = expand_planes(params, context, first, end - first)
            done[block] = 1
    out = planes[:, start : start + count]
    out.flags.writeable = False
    return out


def _cached(params: Params, context: bytes) -> _Round:
    """A round's elements, and which blocks of them are there."""
    key = (params.set, context, params.n_elements)
    with _lock:
        if key in _cache:
            _cache.move_to_end(key)
        else:
            shape = (len(params._set.primes), params.n_elements, params.N)
            _cache[key] = np.empty(shape, np.uint64), bytearray(-(-params.n_elements // BLOCK))
            while sum(planes.nbytes for planes, _ in _cache.values()) > CACHE_BYTES:
                _cache.popitem(last=False)
        return _cache[key]

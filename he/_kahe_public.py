"""The public elements ``a_j`` of a round, expanded from its context and kept while it lasts.

The seed is no parameter: ``SHA-256(enc("SOTTOVOCE-V1-KAHE-SEED", context))``, computed by every party
itself, because who chooses ``a`` can choose one that reveals keys.  The values are drawn below q
straight in the transform's order: the transform of a uniform element is uniform.
"""

from __future__ import annotations

import threading
from collections import OrderedDict

import numpy as np
from numpy.typing import NDArray

from .._ext.enc import sha256_enc
from ._kahe_params import Params
from ._random import Stream

CACHE_BYTES = 1 << 26
"""All rounds together; 64 MiB hold the elements of eight million parameters."""

BLOCK = 16
"""Elements handled at a time: their buffers stay in the second-level cache."""

_lock = threading.Lock()
_cache: OrderedDict[tuple[str, bytes, int], NDArray[np.uint64]] = OrderedDict()


def seed(context: bytes) -> bytes:
    """32 bytes: the seed of all ``a_j`` of the round with this header hash."""
    return sha256_enc("SOTTOVOCE-V1-KAHE-SEED", context)


def expand(params: Params, context: bytes, start: int, count: int) -> NDArray[np.uint64]:
    """``a_start .. a_(start+count-1)``, shape ``(count, N)``, transformed: no cache.

    Element j is the accepted words of AES-256-CTR with key ``SHA-256(enc("SOTTOVOCE-V1-KAHE-A", seed,
    set name))`` and counter block ``j || 0``: 64-bit little-endian words, cut to the L low bits, kept
    if below q.
    """
    key = sha256_enc("SOTTOVOCE-V1-KAHE-A", seed(context), params.set)
    out = np.empty((count, params.N), np.uint64)
    for i in range(count):
        out[i] = Stream(key, start + i).below(params.q, (params.N,))
    return out


def public_elements(params: Params, context: bytes, start: int, count: int) -> NDArray[np.uint64]:
    """The same, read-only, from the cache where it fits."""
    total = 8 * params.n_elements * params.N
    if total > CACHE_BYTES:
        return expand(params, context, start, count)
    key = (params.set, context, params.n_elements)
    with _lock:
        if key in _cache:
            _cache.move_to_end(key)
            return _cache[key][start : start + count]
    # Outside the lock: two threads may both do it, and get the same.
    elements = expand(params, context, 0, params.n_elements)
    elements.flags.writeable = False
    with _lock:
        _cache[key] = elements
        while sum(a.nbytes for a in _cache.values()) > CACHE_BYTES:
            _cache.popitem(last=False)
    return elements[start : start + count]

"""Random streams: AES-256-CTR of the ``cryptography`` package into numpy buffers.

Secret streams are seeded from the operating system for one purpose of one object, so nothing is
shared between objects, threads or processes and a fork cannot repeat a stream.  Public streams are
keyed by a domain-separated hash; the two can therefore never coincide.
"""

from __future__ import annotations

import os

import numpy as np
from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes
from numpy.typing import NDArray

SEED_BYTES = 32
_ZEROS = bytes(1 << 16)


class Stream:
    """The key stream of AES-256-CTR, read in order.

    Args:
        key: 32 bytes.
        start: First 8 bytes of the counter block, big-endian; the other 8 count from 0.
    """

    __slots__ = ("_encryptor",)

    def __init__(self, key: bytes, start: int = 0) -> None:
        block = start.to_bytes(8, "big") + bytes(8)
        self._encryptor = Cipher(algorithms.AES(key), modes.CTR(block)).encryptor()

    def fill(self, out: NDArray[np.uint8]) -> None:
        """Write the next ``len(out)`` bytes; ``out`` is one-dimensional and contiguous."""
        view = out.data
        for at in range(0, len(view), len(_ZEROS)):
            part = view[at : at + len(_ZEROS)]
            self._encryptor.update_into(_ZEROS[: len(part)], part)

    def words(self, count: int) -> NDArray[np.uint64]:
        """The next ``8 * count`` bytes as little-endian 64-bit words."""
        raw = np.empty(8 * count, np.uint8)
        self.fill(raw)
        return raw.view("<u8").astype(np.uint64, copy=False)

    def below(self, bound: int, shape: tuple[int, ...]) -> NDArray[np.uint64]:
        """Uniform integers in ``[0, bound)`` by rejection: the low bits of each word, in order."""
        count = int(np.prod(shape))
        mask = np.uint64((1 << bound.bit_length()) - 1)
        parts: list[NDArray[np.uint64]] = []
        while count > 0:
            words = self.words(count) & mask
            good = words[words < np.uint64(bound)]
            parts.append(good)
            count -= len(good)
        return np.concatenate(parts).reshape(shape) if parts else np.empty(shape, np.uint64)


def secret_stream() -> Stream:
    """A stream that nobody else has, seeded with 32 bytes from the operating system."""
    return Stream(os.urandom(SEED_BYTES))

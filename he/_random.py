"""Random streams: AES-256-CTR of the ``cryptography`` package into numpy buffers.

Secret streams are seeded from the operating system for one purpose of one object, so nothing is
shared between objects, threads or processes and a fork cannot repeat a stream.  Public streams are
keyed by a domain-separated hash; the two can therefore never coincide.
"""

from __future__ import annotations

import os
import sys
from math import prod
from typing import Any

import numpy as np
from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes
from numpy.typing import NDArray

from .._ext import sampler

SEED_BYTES = 32
_ZEROS = memoryview(bytes(1 << 16))
_BLOCK = len(_ZEROS) // 8
"""Words drawn at a time: 64 KiB, so that what was written is still in the second-level cache."""


class Stream:
    """The key stream of AES-256-CTR, read in order; not for two threads at once.

    Args:
        key: 32 bytes.
        start: First 8 bytes of the counter block, big-endian.
        block: Where the other 8 count from: the stream from byte ``16 * block`` on.
    """

    __slots__ = ("_encryptor",)

    def __init__(self, key: bytes, start: int = 0, block: int = 0) -> None:
        counter = start.to_bytes(8, "big") + block.to_bytes(8, "big")
        self._encryptor = Cipher(algorithms.AES(key), modes.CTR(counter)).encryptor()

    def restart(self, start: int, block: int = 0) -> None:
        """Go to ``start || block`` under the same key: a tenth of what a new stream costs."""
        self._encryptor.reset_nonce(start.to_bytes(8, "big") + block.to_bytes(8, "big"))

    def fill(self, out: NDArray[np.uint8]) -> None:
        """Write the next ``len(out)`` bytes; ``out`` is one-dimensional and contiguous."""
        view = out.data
        if len(view) <= len(_ZEROS):
            self._encryptor.update_into(_ZEROS[: len(view)], view)
            return
        for at in range(0, len(view), len(_ZEROS)):
            part = view[at : at + len(_ZEROS)]
            self._encryptor.update_into(_ZEROS[: len(part)], part)

    def fill_words(self, out: NDArray[np.unsignedinteger[Any]]) -> None:
        """Write the next bytes as little-endian words as wide as those of ``out``; as in :meth:`fill`."""
        self.fill(out.view(np.uint8))
        if sys.byteorder == "big":
            out.byteswap(inplace=True)

    def words(self, count: int) -> NDArray[np.uint64]:
        """The next ``8 * count`` bytes as little-endian 64-bit words."""
        out = np.empty(count, np.uint64)
        self.fill_words(out)
        return out

    def below_into(self, out: NDArray[np.uint64], bound: int) -> None:
        """Write uniform integers in ``[0, bound)`` by rejection: the low bits of each word, in order.

        Reads no word beyond the last one that is kept.  For public values, or public rejections.

        Args:
            out: One-dimensional and contiguous.
            bound: 1 to ``2**63 - 1``.
        """
        bits = bound.bit_length()
        at = 0
        while at < len(out):
            part = out[at : at + _BLOCK]
            self.fill_words(part)
            at += sampler.uniform(part, part, bits, bound)

    def below(self, bound: int, shape: tuple[int, ...]) -> NDArray[np.uint64]:
        """The same as a new array."""
        out = np.empty(prod(shape), np.uint64)
        self.below_into(out, bound)
        return out.reshape(shape)


def reduced(words: NDArray[np.uint64], bound: int) -> bool:
    """Cut words to the bits of ``bound``, in place; whether all of them are below it then.

    Otherwise the words are of no use.

    Args:
        words: Contiguous, any shape.
        bound: 1 to ``2**63 - 1``.
    """
    flat = words.reshape(-1)
    return sampler.uniform(flat, flat, bound.bit_length(), bound) == len(flat)


def secret_stream() -> Stream:
    """A stream that nobody else has, seeded with 32 bytes from the operating system."""
    return Stream(os.urandom(SEED_BYTES))

"""``CcsdsCodec``: code blocks of CCSDS 131.0-B, with interleaving and the dual basis.

A code block of depth I holds I words: symbol i of the block is symbol i // I of word i mod I, so a burst is
shared out among the words.  On the channel a symbol u is written in the dual basis, as the eight bits
Tr(u b^j), most significant first (j = 0), where b = a^117, a = x, and Tr is the trace to GF(2) (annex F of
the standard).
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from .._ext.errors import ParameterError, ReedSolomonError
from ._codec_batch import DecodedBatch, Erasures, flags_of, words_of
from ._codec_presets import CCSDS_PRIM
from ._codec_symbols import take
from ._numbers import integer
from .codec import RSCodec

if TYPE_CHECKING:
    from ._codec_symbols import Symbols

DEPTHS = (1, 2, 3, 4, 5, 8)
"""Depths of interleaving that the standard allows."""


def _times(a: int, b: int) -> int:
    product = 0
    for bit in range(8):
        product ^= (a << bit) * (b >> bit & 1)
    for bit in range(14, 7, -1):
        product ^= (CCSDS_PRIM << bit - 8) * (product >> bit & 1)
    return product


def _dual_basis() -> tuple[NDArray[np.uint8], NDArray[np.uint8]]:
    """Tables to the dual basis and from it."""
    step = 1
    for _ in range(117):
        step = _times(step, 2)
    traces = [0] * 256  # 0 or 1: the sum of u^(2^i)
    for u in range(256):
        power = u
        for _ in range(8):
            traces[u] ^= power
            power = _times(power, power)
    to_dual = np.zeros(256, np.uint8)
    for u in range(256):
        shifted = u
        for bit in range(7, -1, -1):
            to_dual[u] |= traces[shifted] << bit
            shifted = _times(shifted, step)
    from_dual = np.zeros(256, np.uint8)
    from_dual[to_dual] = np.arange(256, dtype=np.uint8)
    to_dual.flags.writeable = from_dual.flags.writeable = False
    return to_dual, from_dual


TO_DUAL, FROM_DUAL = _dual_basis()


class CcsdsCodec:
    """Code blocks of the Reed-Solomon code of CCSDS; immutable, safe to share between threads.

    Args:
        nsym: Parity symbols of a word: 32 for (255, 223), 16 for (255, 239).
        depth: Words interleaved in a block: 1, 2, 3, 4, 5 or 8.
        dual_basis: Whether symbols on the channel are in the dual basis, as the standard has it.

    Raises:
        TypeError: Not integers.
        ParameterError: Another value.

    Timing: depends on data and errors everywhere; nothing here is made for secrets.
    Source: CCSDS 131.0-B, section 4 and, for the dual basis, annex F; docs/rs-codec.md, "Standards".
    """

    __slots__ = ("_codec", "_depth", "_dual_basis")

    def __init__(self, nsym: int = 32, depth: int = 1, *, dual_basis: bool = True) -> None:
        self._codec = RSCodec.preset("ccsds", nsym)
        self._depth = integer("depth", depth)
        if self._depth not in DEPTHS:
            raise ParameterError(f"depth: one of {', '.join(map(str, DEPTHS))} expected, got {depth}")
        self._dual_basis = bool(dual_basis)

    @property
    def codec(self) -> RSCodec:
        """The code of one word, in the conventional basis."""
        return self._codec

    @property
    def depth(self) -> int:
        """Words interleaved in a block."""
        return self._depth

    @property
    def dual_basis(self) -> bool:
        """Whether symbols on the channel are in the dual basis."""
        return self._dual_basis

    def __repr__(self) -> str:
        return f"CcsdsCodec(nsym={self._codec.nsym}, depth={self._depth}, dual_basis={self._dual_basis})"

    def encode(self, data: Symbols) -> bytes:
        """One code block.

        Args:
            data: ``depth * k`` bytes, read only; ``k`` from 1 to ``255 - nsym``, below which every word is
                shortened alike ("virtual fill").

        Returns:
            ``depth * (k + nsym)`` bytes.

        Raises:
            TypeError: No bytes.
            ParameterError: Another length.
        """
        block = take("data", data, 8)
        return self.encode_batch(block.reshape(1, -1)).tobytes()

    def decode(self, block: Symbols, erasures: Erasures = None) -> tuple[bytes, NDArray[np.int32]]:
        """Correct one code block.

        Args:
            block: ``depth * n`` bytes, ``nsym < n <= 255``; read only.
            erasures: Places in the block, ``[0, depth * n)``, or bool flags ``(depth * n,)``.

        Returns:
            The data, ``depth * (n - nsym)`` bytes, and for each word of the block how many symbols were
            corrected, int32 ``(depth,)``.

        Raises:
            TypeError: No bytes.
            ParameterError: Another length, or a place outside the block.
            ReedSolomonError: A word of the block cannot be corrected; ``word`` is its index.
        """
        result = self.decode_batch(take("block", block, 8).reshape(1, -1), erasures)
        for word in result.failed[:1]:
            raise ReedSolomonError(
                f"word {word}: more errors than {self._codec.nsym} parity symbols correct", int(word)
            )
        return result.messages.tobytes(), result.changed

    def encode_batch(self, data: NDArray[np.uint8], threads: int = 1) -> NDArray[np.uint8]:
        """Code blocks of one length.

        Args:
            data: ``(blocks, depth * k)`` uint8, rows contiguous; read, never kept.
            threads: Share the words out among so many, 1 to 256.

        Returns:
            New ``(blocks, depth * (k + nsym))`` uint8.

        Raises:
            TypeError, ParameterError: As :meth:`RSCodec.encode_batch`.
        """
        words = self._apart("data", data)
        coded = self._together(self._codec.encode_batch(words, threads=threads))
        coded[:, : data.shape[1]] = data
        return coded

    def decode_batch(
        self, blocks: NDArray[np.uint8], erasures: Erasures = None, threads: int = 1
    ) -> DecodedBatch:
        """Correct code blocks of one length.

        Args:
            blocks: ``(blocks, depth * n)`` uint8, rows contiguous; read, never kept.
            erasures: Places in every block, or bool flags of shape ``(blocks, depth * n)`` or
                ``(depth * n,)``.
            threads: Share the words out among so many, 1 to 256.

        Returns:
            ``words`` are blocks and ``messages`` their data; ``changed`` has ``depth`` numbers a block, one
            after the other.

        Raises:
            TypeError, ParameterError: As :meth:`RSCodec.decode_batch`.
        """
        words = self._apart("blocks", blocks)
        flags = flags_of(erasures, len(blocks), blocks.shape[1])
        if flags is not None:
            everywhere = np.ascontiguousarray(np.broadcast_to(flags, blocks.shape))
            flags = self._split(everywhere).view(np.bool_)
        result = self._codec.decode_batch(words, flags, words, threads)
        fixed = self._together(result.words)
        return DecodedBatch(
            fixed, fixed[:, : fixed.shape[1] - self._depth * self._codec.nsym], result.changed
        )

    def _apart(self, name: str, blocks: NDArray[np.uint8]) -> NDArray[np.uint8]:
        """Words of blocks, in the conventional basis; a copy."""
        blocks = words_of(name, blocks, 8)
        if blocks.shape[1] % self._depth:
            raise ParameterError(f"{name}: a multiple of {self._depth} bytes expected, got {blocks.shape[1]}")
        return self._split(FROM_DUAL[blocks] if self._dual_basis else blocks)

    def _split(self, blocks: NDArray[np.uint8]) -> NDArray[np.uint8]:
        n = blocks.shape[1] // self._depth
        apart = blocks.reshape(len(blocks), n, self._depth).transpose(0, 2, 1)
        return np.array(apart, np.uint8, order="C").reshape(-1, n)

    def _together(self, words: NDArray[np.uint8]) -> NDArray[np.uint8]:
        n = words.shape[1]
        blocks = words.reshape(-1, self._depth, n).transpose(0, 2, 1).reshape(-1, n * self._depth)
        return TO_DUAL[blocks] if self._dual_basis else np.ascontiguousarray(blocks)

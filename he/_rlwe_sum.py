"""The running sum of ciphertexts, with weights."""

from __future__ import annotations

import hashlib
import io
import os
from collections.abc import Callable, Iterable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .._ext import sampler
from .._ext.enc import sha256_enc
from .._ext.errors import DecodeError, ParameterError
from ._random import SEED_BYTES, Stream
from ._rlwe_blocks import (
    Block,
    Blocks,
    Bytes,
    bytes_of,
    check_file,
    check_threads,
    for_each,
    read_all,
    write_blocks,
)
from ._rlwe_cipher import Ciphertext
from ._rlwe_params import HEADER_BYTES, Params, check_params
from ._rlwe_wire import COMPRESSED, KEY_ID_BYTES, LOSSLESS, Counters, check_room, pack_header, unpack_header

MAX_WEIGHT = (1 << 24) - 1
"""Largest ``|w|``."""

MAX_STRIDE = 1 << 10
"""Blocks added by one call: a few tens of milliseconds, after which Ctrl-C is seen."""

_NOTHING = Counters(0, 0)


class CiphertextSum:
    """``sum w_i c_i`` of ciphertexts under one key: the memory of one, however many are added.

    It takes 16 bytes a coefficient and prime.  Summands come as objects (:meth:`add`), as bytes that lie
    anywhere (:meth:`add_bytes`) or from files (:meth:`add_from`); nothing is kept of them.  ``sum |w|`` and
    ``sum w^2`` are counted, and nothing is added that would take them beyond what the parameters declare.

    The count is right for ciphertexts that are independent of each other.  One that is added twice has
    weight 2 (``add(c, 2)``), and 4 in ``sum w^2``; added as if it were two, its noise is underrated and the
    sum may be refused by decryption.

    Not safe for concurrent change: give every worker its own and :meth:`merge` them.

    Attributes:
        params: Parameters of all summands.
        key_id: Of the public key of all summands, 32 bytes.

    Raises:
        TypeError: Wrong types.
        ParameterError: ``key_id`` is not 32 bytes.

    Timing: nothing here is secret.
    Source: Fan, Vercauteren, eprint 2012/144 (FV.SH.Add); docs/he-rlwe.md, "Construction"; what is counted:
        docs/he-rlwe.md, "Noise".
    """

    __slots__ = ("_broken", "_counters", "_total", "key_id", "params")

    def __init__(self, params: Params, key_id: bytes) -> None:
        check_params(params)
        if not isinstance(key_id, bytes):
            raise TypeError(f"key_id: bytes expected, got {type(key_id).__name__}")
        if len(key_id) != KEY_ID_BYTES:
            raise ParameterError(f"key_id: {KEY_ID_BYTES} bytes expected, got {len(key_id)}")
        self.params = params
        self.key_id = key_id
        self._broken = False
        self._counters = _NOTHING
        # c0, c1; planes, elements, coefficients.
        self._total = np.zeros((2, len(params._set.primes), params.n_elements, params.N), np.uint64)

    @property
    def weight_sum(self) -> int:
        """``sum |w|``; at most ``params.max_summands``."""
        return self._counters.weight_sum

    @property
    def square_sum(self) -> int:
        """``sum w^2``; at most ``params.max_square_sum``."""
        return self._counters.square_sum

    @property
    def compressions(self) -> int:
        """Squared weights of summands that are compressed sums themselves."""
        return self._counters.compressions

    # -- adding ---------------------------------------------------------------------------------
    def add(self, ciphertext: Ciphertext, weight: int = 1, *, threads: int = 1) -> None:
        """Add ``weight`` times a ciphertext, fresh or a sum.

        Args:
            ciphertext: Under the same key, of the same parameters; read, never kept.
            weight: Positive or negative, ``|weight| < 2**24``, not 0.
            threads: Blocks of ring elements added at the same time, 1 to 256.

        Raises:
            TypeError: Wrong types.
            ParameterError: Of another key or other parameters; a weight out of range.
            RangeError: More than was declared.  Unchanged after an error.
        """
        if not isinstance(ciphertext, Ciphertext):
            raise TypeError(f"ciphertext: Ciphertext expected, got {type(ciphertext).__name__}")
        check_threads(threads)
        counters = self._check(ciphertext.params, ciphertext.key_id, ciphertext._counters, weight)
        self._add_body(Blocks(self.params, ciphertext._form), ciphertext._body, weight, threads)
        self._counters = counters

    def add_bytes(self, data: Any, weight: int = 1, *, threads: int = 1) -> None:
        """Add ``weight`` times the ciphertext with these bytes, without making an object or a copy of it.

        Args:
            data: A contiguous buffer (bytes, bytearray, memoryview, mmap, numpy array), borrowed for the
                call.  Nobody may write to it meanwhile: that would make a sum that does not decrypt.
            weight: As in :meth:`add`.
            threads: As in :meth:`add`.

        Raises:
            As :meth:`add`, and:
            DecodeError: Not the bytes of a ciphertext of these parameters; every integer is looked at
                before the first is added.
        """
        view = bytes_of("ciphertext", data)
        check_threads(threads)
        blocks, counters = self._read_header(view[:HEADER_BYTES].tobytes(), weight)
        if len(view) != HEADER_BYTES + blocks.body_bytes:
            raise DecodeError(
                f"ciphertext: {HEADER_BYTES + blocks.body_bytes} bytes expected, got {len(view)}"
            )
        body = view[HEADER_BYTES:]
        for_each(lambda block: blocks.check(block, body[block.at : block.end]), blocks, threads)
        self._add_body(blocks, body, weight, threads)
        self._counters = counters

    def add_from(self, file: Any, weight: int = 1) -> None:
        """Add ``weight`` times the ciphertext that a file holds from its position to its end.

        It is read twice, a few hundred KiB at a time: once to look at every integer, then to add it.

        Args:
            file: Seekable binary file (``seek``, ``tell``, ``readinto``).
            weight: As in :meth:`add`.

        Raises:
            DecodeError, ParameterError, RangeError: As :meth:`add_bytes`.
            TypeError: Not such a file.
            OSError: Reading failed.  Unchanged, if it failed in the first pass.  If the file changed or
                failed in the second, part of a ciphertext is in the sum and cannot be taken out: the sum
                refuses everything from then on.
        """
        check_file(file)
        header = np.empty(HEADER_BYTES, np.uint8)
        start = file.tell()
        left = file.seek(0, io.SEEK_END) - start
        file.seek(start)
        read_all(file, header[: max(0, min(left, HEADER_BYTES))])
        blocks, counters = self._read_header(header[: max(0, min(left, HEADER_BYTES))].tobytes(), weight)
        if left != HEADER_BYTES + blocks.body_bytes:
            raise DecodeError(
                f"ciphertext: {HEADER_BYTES + blocks.body_bytes} bytes expected, the file has {left}"
            )
        packed = np.empty(blocks.block_bytes, np.uint8)

        def each(use: Callable[[Block, Bytes], None]) -> None:
            file.seek(start + HEADER_BYTES)
            for block in blocks:
                part = packed[: block.end - block.at]
                read_all(file, part)
                blocks.check(block, part)
                use(block, part)

        each(lambda _block, _part: None)
        self._broken = True  # for good, should anything below fail
        each(lambda block, part: self._accumulate(blocks, block, part, weight))
        self._broken = False
        self._counters = counters

    def merge(self, other: CiphertextSum, *, threads: int = 1) -> None:
        """Add another sum under the same key; ``other`` is left as it is.

        Args:
            other: Under the same key and parameters; read only.
            threads: Ring elements added at the same time, 1 to 256.

        Raises:
            TypeError: Not a sum.
            ParameterError: Of another key or other parameters, or a sum that is of no use any more.
            RangeError: Together more than was declared.  Unchanged after an error.
        """
        if not isinstance(other, CiphertextSum):
            raise TypeError(f"other: CiphertextSum expected, got {type(other).__name__}")
        check_threads(threads)
        other._require_whole()
        counters = self._check(other.params, other.key_id, other._counters, 1)
        blocks, rounding = Blocks(self.params, LOSSLESS), self.params._rounding(0)
        added = other._total.copy() if other is self else other._total

        def work(block: Block) -> None:
            rows = slice(block.start, block.start + block.rows)
            for to, y in zip(self._total, added, strict=True):
                rounding.add(to[:, rows], y[:, rows], 1)

        self._change(lambda: for_each(work, blocks, threads))
        self._counters = counters

    # -- bytes and files ------------------------------------------------------------------------
    def to_bytes(self) -> bytes:
        """``params.sum_bytes`` bytes: header, then both components of every element, lossless.

        Raises:
            ParameterError: Nothing was added.
        """
        return self.to_ciphertext().to_bytes()

    def to_ciphertext(self, *, threads: int = 1) -> Ciphertext:
        """The sum as a lossless ciphertext, which can be added to others or decrypted.

        Args:
            threads: Ring elements written at the same time, 1 to 256.

        Raises:
            ParameterError: Nothing was added.
        """
        return self._ciphertext(LOSSLESS, self._counters, threads)

    def compress(self, *, threads: int = 1) -> Ciphertext:
        """The sum as short as a fresh ciphertext, ``params.ciphertext_bytes`` bytes.

        That adds noise, and is counted (``compressions``): it takes 3 of ``params.max_square_sum``.  For a
        sum that uses up its declaration, declare 3 more.  Rounds at random, so two compressions of a sum
        differ.

        Args:
            threads: Ring elements rounded at the same time, 1 to 256.

        Returns:
            A ciphertext that is :attr:`Ciphertext.compressed`, not fresh.

        Raises:
            ParameterError: Nothing was added.
            RangeError: No room for its noise.

        Source: Brakerski, Vaikuntanathan, FOCS 2011; at random as in docs/he-rlwe.md, "Noise".
        """
        return self._compress_derand(threads, None)

    def _compress_derand(self, threads: int, seed: bytes | None) -> Ciphertext:
        """With ``seed`` (tests only) the ciphertext is determined by it."""
        self._require_whole()
        counters = self._counters + Counters(0, 0, 1)
        check_room(self.params, counters)
        key = (
            os.urandom(SEED_BYTES)
            if seed is None
            else sha256_enc("SOTTOVOCE-V1-RLWE-DERAND", "compress", seed)
        )
        return self._ciphertext(COMPRESSED, counters, threads, key)

    def write_to(self, out: Any, *, threads: int = 1) -> None:
        """Write :meth:`to_bytes` to a binary file, or over a writable buffer, a block at a time.

        Args:
            out: Binary file open for writing, written from its position on, or a writable buffer of exactly
                the length of :meth:`to_bytes`.
            threads: Ring elements written at the same time, 1 to 256.

        Raises:
            TypeError: Neither file nor buffer.
            ParameterError: Nothing was added; a buffer of another size; what cannot be written.
            OSError: The file takes no more.
        """
        self._write(out, LOSSLESS, self._counters, threads)

    @classmethod
    def from_bytes(cls, data: bytes, params: Params) -> CiphertextSum:
        """Read :meth:`to_bytes`, to go on adding.

        Args:
            data: What :meth:`to_bytes` gave.
            params: Parameters that it must have.

        Raises:
            TypeError: ``data`` is not bytes, or ``params`` not parameters.
            DecodeError: Other parameters, a compressed ciphertext, or anything that :meth:`to_bytes` would
                not have written.
        """
        ciphertext = Ciphertext.from_bytes(data, params)
        if ciphertext.compressed:
            raise DecodeError("ciphertext sum: lossless form expected")
        self = cls(params, ciphertext.key_id)
        self.add(ciphertext)
        return self

    @property
    def digest(self) -> bytes:
        """SHA-256 of :meth:`to_bytes`, 32 bytes: the same for every order and grouping of the same summands.

        Raises:
            ParameterError: Nothing was added, or the sum is of no use any more.
        """
        return hashlib.sha256(self.to_bytes()).digest()

    def __reduce__(self) -> tuple[object, ...]:
        if self._counters == _NOTHING:
            return (CiphertextSum, (self.params, self.key_id))
        return (CiphertextSum.from_bytes, (self.to_bytes(), self.params))

    def __repr__(self) -> str:
        return f"<rlwe.CiphertextSum of {self.weight_sum}>"

    # -- inside ---------------------------------------------------------------------------------
    def _require_whole(self) -> None:
        if self._broken:
            raise ParameterError("sum: of no use, reading a summand failed in the middle")

    def _check(self, params: Params, key_id: bytes, counters: Counters, weight: int) -> Counters:
        """The counters after adding."""
        self._require_whole()
        if type(weight) is not int:
            raise TypeError(f"weight: int expected, got {type(weight).__name__}")
        if not 1 <= abs(weight) <= MAX_WEIGHT:
            raise ParameterError(f"weight: 1 to {MAX_WEIGHT}, or its negative, expected, got {weight}")
        if params != self.params:
            raise ParameterError("ciphertext: of other parameters than the sum")
        if key_id != self.key_id:
            raise ParameterError("ciphertext: of another key than the sum")
        after = self._counters + counters.times(weight)
        check_room(self.params, after)
        return after

    def _read_header(self, header: bytes, weight: int) -> tuple[Blocks, Counters]:
        params, key_id, form, counters = unpack_header(header, self.params, ParameterError)
        return Blocks(self.params, form), self._check(params, key_id, counters, weight)

    def _add_body(self, blocks: Blocks, body: Bytes, weight: int, threads: int) -> None:
        """In strides of many blocks: a call for each would take as long as the adding."""
        full = len(blocks) if blocks.params.n_elements % blocks[0].rows == 0 else len(blocks) - 1
        rows, size, split = blocks[0].rows, blocks[0].end, blocks[0].middle
        grid = body[: full * size].reshape(full, size)
        count = min(max(1, -(-full // threads)), MAX_STRIDE)

        def work(first: int) -> None:
            end = min(first + count, full)
            for total, rounding, part in zip(
                self._total, blocks.roundings, (grid[first:end, :split], grid[first:end, split:]), strict=True
            ):
                rounding.accumulate_blocks(total[:, first * rows : end * rows], part, weight)

        def change() -> None:
            for_each(work, range(0, full, count), threads)
            for index in range(full, len(blocks)):
                block = blocks[index]
                self._accumulate(blocks, block, body[block.at : block.end], weight)

        self._change(change)

    def _accumulate(self, blocks: Blocks, block: Block, packed: Bytes, weight: int) -> None:
        rows, split = slice(block.start, block.start + block.rows), block.middle - block.at
        for total, rounding, part in zip(
            self._total, blocks.roundings, (packed[:split], packed[split:]), strict=True
        ):
            rounding.accumulate(total[:, rows], part, weight)

    def _change(self, work: Callable[[], None]) -> None:
        """Nothing fails in here any more; but what interrupts it leaves a sum of no use."""
        self._broken = True
        work()
        self._broken = False

    def _ciphertext(
        self, form: int, counters: Counters, threads: int, key: bytes | None = None
    ) -> Ciphertext:
        size = self.params.ciphertext_bytes if form == COMPRESSED else self.params.sum_bytes
        out = io.BytesIO()
        out.seek(size - 1)
        out.write(b"\0")
        with out.getbuffer() as view:
            self._write(view, form, counters, threads, key)
        return Ciphertext._of(self.params, self.key_id, form, counters, out.getvalue())

    def _write(self, out: Any, form: int, counters: Counters, threads: int, key: bytes | None = None) -> None:
        check_threads(threads)
        self._require_whole()
        if self._counters == _NOTHING:
            raise ParameterError("sum: nothing was added")
        blocks = Blocks(self.params, form)

        def fill(block: Block, packed: Bytes) -> None:
            rows, split = slice(block.start, block.start + block.rows), block.middle - block.at
            stream = None if key is None else Stream(key, block.index)
            for total, drop, part in zip(
                self._total, blocks.drop_bits, (packed[:split], packed[split:]), strict=True
            ):
                y = total[:, rows]
                if stream is not None and drop:
                    y = self._dithered(y, drop, stream)
                self.params._rounding(drop).pack(part, y)

        write_blocks(pack_header(self.params, self.key_id, form, counters), blocks, fill, out, threads)

    def _dithered(self, y: NDArray[np.uint64], drop: int, stream: Stream) -> NDArray[np.uint64]:
        """``y`` plus uniform integers from ``-2^(d-1)`` to ``2^(d-1) - 1``: what is rounded to the nearest
        multiple then goes up with the probability of its rest.  One 32-bit word a coefficient."""
        raw = np.empty(4 * y[0].size, np.uint8)
        stream.fill(raw)
        x = (raw.view("<u4") & np.uint32((1 << drop) - 1)).astype(np.int64) - (1 << drop >> 1)
        out = np.empty(y.shape, np.uint64)
        for plane, prime in zip(out, self.params._set.primes, strict=True):
            sampler.residues(plane.reshape(-1), x, prime)
        self.params._rounding(0).add(out, y, 1)
        return out

    def _elements(self, component: int, start: int, rows: int) -> NDArray[np.uint64]:
        elements: NDArray[np.uint64] = self._total[component, :, start : start + rows]
        return elements


def add(ciphertexts: Iterable[Ciphertext], weights: Iterable[int] | None = None) -> Ciphertext:
    """``sum w_i c_i`` as a lossless ciphertext; a :class:`CiphertextSum` at one go.

    Args:
        ciphertexts: At least one; independent of each other.
        weights: As many, or None for ones; each as in :meth:`CiphertextSum.add`.

    Returns:
        The sum, ``params.sum_bytes`` bytes; ``sum |w|`` and ``sum w^2`` are counted in it.

    Raises:
        TypeError: Wrong types.
        ParameterError: None at all, another number of weights, or what :meth:`CiphertextSum.add` refuses.
        RangeError: More than was declared.

    Timing: nothing here is secret.
    Source: Fan, Vercauteren, eprint 2012/144 (FV.SH.Add); docs/he-rlwe.md, "Construction".
    """
    items = list(ciphertexts)
    factors = [1] * len(items) if weights is None else list(weights)
    if not items or len(factors) != len(items):
        raise ParameterError(f"weights: as many as ciphertexts, at least one, expected, got {len(factors)}")
    if not isinstance(items[0], Ciphertext):
        raise TypeError(f"ciphertexts: Ciphertext expected, got {type(items[0]).__name__}")
    total = CiphertextSum(items[0].params, items[0].key_id)
    for ciphertext, weight in zip(items, factors, strict=True):
        total.add(ciphertext, weight)
    return total.to_ciphertext()

"""Ciphertexts and their running sum."""

from __future__ import annotations

import hashlib
import io
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from .._ext import _memory
from .._ext import kahe as kernel
from .._ext.errors import DecodeError, ParameterError, RangeError
from ._kahe_blocks import block_starts, check_file, open_sink, read_all
from ._kahe_params import Params, check_context, check_length, check_params

if TYPE_CHECKING:
    from typing_extensions import Buffer  # of collections.abc from Python 3.12 on


class Ciphertext:
    """A vector under a one-time key: ``n_elements * N`` coefficients of W bits.

    Immutable.  Hides the vector from whoever lacks the key; malleable, so it travels inside a
    signcryption, which also says whose it is and of which round.  Coefficient i of the bit string is in
    bits ``[i W, (i+1) W)``, least significant bit and byte first; every bit string of the right length
    is a valid ciphertext.

    Attributes:
        params: The round's parameters.

    Timing: nothing here is secret: bytes are copied, compared and hashed.
    Source: Boneh, Lewi, Montgomery, Raghunathan, CRYPTO 2013; Bell et al., eprint 2022/1461; as here:
        docs/he.md, "Encrypting"; bytes: docs/he.md, "Wire formats".
    """

    __slots__ = ("_data", "_digest", "params")

    params: Params
    _data: bytes
    _digest: bytes | None

    def __init__(self) -> None:
        raise TypeError("made by OneTimeKey.encrypt or Ciphertext.from_bytes")

    @classmethod
    def _of(cls, params: Params, data: bytes) -> Ciphertext:
        self = object.__new__(cls)
        object.__setattr__(self, "params", params)
        object.__setattr__(self, "_data", data)
        object.__setattr__(self, "_digest", None)
        return self

    @classmethod
    def from_bytes(cls, data: bytes, params: Params) -> Ciphertext:
        """Read ``params.ciphertext_bytes`` bytes.

        Args:
            data: Of the right length; any bits will do.  Kept, not copied.
            params: The round's parameters.

        Raises:
            TypeError: ``data`` is not bytes, or ``params`` not parameters.
            DecodeError: Another length.
        """
        check_params(params)
        check_length("ciphertext", data, params.ciphertext_bytes)
        return cls._of(params, data)

    def to_bytes(self) -> bytes:
        """``params.ciphertext_bytes`` bytes, ``n_elements * N * W / 8``; no copy is made."""
        return self._data

    @property
    def digest(self) -> bytes:
        """SHA-256 of the bytes, 32 bytes."""
        if self._digest is None:
            object.__setattr__(self, "_digest", hashlib.sha256(self._data).digest())
        assert self._digest is not None
        return self._digest

    def __setattr__(self, name: str, value: object) -> None:
        raise AttributeError("Ciphertext is immutable")

    def __delattr__(self, name: str) -> None:
        raise AttributeError("Ciphertext is immutable")

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Ciphertext):
            return NotImplemented
        return self.params == other.params and self._data == other._data

    def __hash__(self) -> int:
        return hash((self.params, self.digest))

    def __reduce__(self) -> tuple[object, ...]:
        return (Ciphertext.from_bytes, (self._data, self.params))

    def __repr__(self) -> str:
        return f"<kahe.Ciphertext {len(self._data)} bytes>"


class CiphertextSum:
    """Sum of ciphertexts of one round, modulo ``2**W``: the memory of one, however many are added.

    One takes 8 bytes a coefficient, 16 where W is above 57.  Summands come as objects (:meth:`add`), as
    bytes that lie anywhere (:meth:`add_bytes`) or from files (:meth:`add_from`); nothing is kept of them.

    Not safe for concurrent change: give every worker its own and :meth:`merge` them.

    Attributes:
        params: The round's parameters.
        context: The round's header hash, 32 bytes.

    Raises:
        TypeError: Wrong types.
        ParameterError: ``context`` is not 32 bytes.

    Timing: nothing here is secret: ciphertexts are public, and the time is that of their lengths.
    Source: docs/he.md, "Opening"; of long vectors: docs/he.md, "Long vectors".
    """

    __slots__ = ("_broken", "_count", "_sum", "context", "params")

    def __init__(self, params: Params, context: bytes) -> None:
        check_params(params)
        check_context(context)
        self.params = params
        self.context = context
        self._broken = False
        self._count = 0
        # Residues modulo 2**64 or 2**128 of all coefficients, low words first: 2**W divides these.
        self._sum = np.zeros((kernel.words(params.wire_bits), params.n_elements * params.N), np.uint64)
        # numpy does this itself for arrays that it does not have to clear.
        _memory.advise_large(self._sum.reshape(-1).view(np.uint8))

    @property
    def count(self) -> int:
        """Ciphertexts in the sum, 0 to ``params.max_summands``."""
        return self._count

    def add(self, ciphertext: Ciphertext) -> None:
        """Add one; that it is of this round, and not in the sum already, is the caller's to know.

        Args:
            ciphertext: Of the same parameters; read, never kept.

        Raises:
            TypeError: Another object.
            ParameterError: Of other parameters.
            RangeError: ``max_summands`` are in it already.  Unchanged after an error.
        """
        self._check(ciphertext)
        self._check_room(1)
        self._accumulate(ciphertext._data, 1)

    def add_bytes(self, *data: Buffer) -> None:
        """Add the ciphertexts with these bytes, without making objects or copies of them.

        Several at once take less time than one by one: the sum goes through the processor once.

        Args:
            data: One or more, each anything with contiguous bytes (bytes, bytearray, memoryview, mmap,
                numpy array), ``params.ciphertext_bytes`` of them.  Borrowed for the call only; whoever
                changes one meanwhile makes a sum that does not open.  One goes in as a whole; what
                interrupts several in the middle (Ctrl-C) leaves a sum that refuses everything.

        Raises:
            TypeError: One is no such buffer.
            DecodeError: One has another length.
            RangeError: With them more than ``max_summands`` are in it.  Unchanged after an error.
        """
        views = [_bytes_of(one) for one in data]
        for view in views:
            if len(view) != self.params.ciphertext_bytes:
                raise DecodeError(
                    f"ciphertext: {self.params.ciphertext_bytes} bytes expected, got {len(view)}"
                )
        self._check_room(len(views))
        if len(views) == 1:
            self._accumulate(views[0], 1)  # in one piece, that nothing interrupts
            return
        packed = [np.frombuffer(view, np.uint8) for view in views]
        self._broken = True  # until sum and count agree again, should something interrupt
        for columns, place in self._blocks():
            for one in packed:
                self.params._scale.accumulate(self._sum[:, columns], one[place], False)
        self._count += len(packed)
        self._broken = False

    def add_from(self, file: Any) -> None:
        """Add the ciphertext that a file holds from its position to its end, a few hundred KiB at a time.

        Args:
            file: Seekable binary file (``seek``, ``tell``, ``readinto``).

        Raises:
            TypeError: Not such a file.
            DecodeError: Not exactly ``params.ciphertext_bytes`` are left in it.
            RangeError: ``max_summands`` are in it already.  Unchanged after these errors.
            OSError: Reading failed in the middle.  Part of a ciphertext cannot be taken out again: the
                sum is of no use any more and refuses everything, as after any error while it reads.
        """
        check_file("ciphertext", file, self.params.ciphertext_bytes)
        self._check_room(1)
        self._read(file, 1)

    def subtract(self, ciphertext: Ciphertext) -> None:
        """Take one out again; that it was in is the caller's word.

        Args:
            ciphertext: One that was added; read, never kept.

        Raises:
            TypeError: Another object.
            ParameterError: Of other parameters, or the sum is empty.  Unchanged after an error.
        """
        self._check(ciphertext)
        self._check_room(0)
        if self._count == 0:
            raise ParameterError("sum: nothing to subtract from")
        self._accumulate(ciphertext._data, -1)

    def merge(self, other: CiphertextSum) -> None:
        """Add another partial sum of the same round; ``other`` is left as it is.

        Args:
            other: Of the same parameters and context; read only.

        Raises:
            TypeError: Another object.
            ParameterError: Of other parameters or another round.
            RangeError: Together more than ``max_summands``.  Unchanged after an error.  What interrupts it
                in the middle (Ctrl-C) leaves a sum that refuses everything.
        """
        if not isinstance(other, CiphertextSum):
            raise TypeError(f"other: CiphertextSum expected, got {type(other).__name__}")
        if other.params != self.params or other.context != self.context:
            raise ParameterError("other: a sum of the same round expected")
        other._check_room(0)
        self._check_room(other._count)
        scale, packed = self.params._scale, np.empty(self._block_bytes, np.uint8)
        self._broken = True  # until all of it is in
        for columns, place in self._blocks():
            block = packed[: place.stop - place.start]
            scale.pack(block, other._sum[:, columns])
            scale.accumulate(self._sum[:, columns], block, False)
        self._count += other._count
        self._broken = False

    # -- bytes and files ------------------------------------------------------------------------
    def to_bytes(self) -> bytes:
        """``params.sum_bytes`` bytes: count (4, little-endian), then the coefficients as in a ciphertext.

        Raises:
            ParameterError: The sum is of no use any more, because adding failed in the middle.
        """
        out = io.BytesIO()
        self.write_to(out)
        return out.getvalue()

    def write_to(self, file: Any) -> None:
        """Write :meth:`to_bytes` to a binary file, or over a writable buffer, a block at a time.

        Args:
            file: Binary file open for writing, written from its position on, or a writable buffer of
                exactly the length of :meth:`to_bytes`.

        Raises:
            TypeError: Neither file nor buffer.
            ParameterError: A buffer of another size, a file that is not writable, or a sum that is of no
                use any more.
            OSError: The file takes no more.
        """
        self._check_room(0)
        sink = open_sink(file, self.params.sum_bytes, max(4, self._block_bytes))
        count = sink.room(0, 4)
        count[:] = np.frombuffer(self._count.to_bytes(4, "little"), np.uint8)
        sink.put(count)
        for columns, place in self._blocks():
            block = sink.room(4 + place.start, 4 + place.stop)
            self.params._scale.pack(block, self._sum[:, columns])
            sink.put(block)

    @classmethod
    def from_bytes(cls, data: bytes, params: Params, context: bytes) -> CiphertextSum:
        """Read :meth:`to_bytes`.

        Args:
            data: What :meth:`to_bytes` gave.
            params: The round's parameters.
            context: The round's header hash, 32 bytes.

        Raises:
            TypeError: ``data`` or ``context`` is not bytes, or ``params`` not parameters.
            ParameterError: ``context`` is not 32 bytes.
            DecodeError: Another length, a count above ``max_summands``, or one of 0 with a sum.
        """
        self = cls(params, context)
        check_length("ciphertext sum", data, params.sum_bytes)
        self._count = self._read_count(data[:4])
        self._accumulate(memoryview(data)[4:], 0)
        self._check_count()
        return self

    @classmethod
    def read_from(cls, file: Any, params: Params, context: bytes) -> CiphertextSum:
        """Read what :meth:`write_to` wrote from a file's position to its end, a block at a time.

        Args:
            file: Seekable binary file (``seek``, ``tell``, ``readinto``).
            params: The round's parameters.
            context: The round's header hash, 32 bytes.

        Raises:
            TypeError: Not a seekable binary file, or another type.
            ParameterError: ``context`` is not 32 bytes.
            DecodeError: Another length, a count above ``max_summands``, or one of 0 with a sum.
            OSError: Reading failed.
        """
        self = cls(params, context)
        check_file("ciphertext sum", file, params.sum_bytes)
        head = np.empty(4, np.uint8)
        read_all(file, head)
        self._count = self._read_count(head.tobytes())
        self._read(file, 0)
        self._check_count()
        return self

    def _check_count(self) -> None:
        if not self._count and self._sum.any():
            raise DecodeError("ciphertext sum: nothing was added, and it is not zero")

    @property
    def digest(self) -> bytes:
        """SHA-256 of :meth:`to_bytes`, 32 bytes: the same for every order and grouping of the same summands.

        Raises:
            ParameterError: The sum is of no use any more.
        """
        self._check_room(0)
        hashed = hashlib.sha256(self._count.to_bytes(4, "little"))
        packed = np.empty(self._block_bytes, np.uint8)
        for columns, place in self._blocks():
            block = packed[: place.stop - place.start]
            self.params._scale.pack(block, self._sum[:, columns])
            hashed.update(block.data)
        return hashed.digest()

    def __reduce__(self) -> tuple[object, ...]:
        return (CiphertextSum.from_bytes, (self.to_bytes(), self.params, self.context))

    def __repr__(self) -> str:
        return f"<kahe.CiphertextSum of {self._count}>"

    # -- inside ---------------------------------------------------------------------------------
    def _elements(self, start: int, count: int) -> NDArray[np.uint64]:
        """Words of these ring elements, shape ``(words, count, N)``."""
        N = self.params.N
        return self._sum[:, start * N : (start + count) * N].reshape(len(self._sum), count, N)

    @property
    def _block_bytes(self) -> int:
        return block_starts(1, self.params.N)[1] * self.params._row_bytes

    def _blocks(self) -> Iterator[tuple[slice, slice]]:
        """Columns of the sum, and their bytes in a ciphertext."""
        params = self.params
        starts, rows = block_starts(params.n_elements, params.N)
        for start in starts:
            end = min(start + rows, params.n_elements)
            yield (
                slice(start * params.N, end * params.N),
                slice(start * params._row_bytes, end * params._row_bytes),
            )

    def _check(self, ciphertext: Ciphertext) -> None:
        if not isinstance(ciphertext, Ciphertext):
            raise TypeError(f"ciphertext: Ciphertext expected, got {type(ciphertext).__name__}")
        if ciphertext.params != self.params:
            raise ParameterError("ciphertext: of other parameters than the sum")

    def _check_room(self, more: int) -> None:
        if self._broken:
            raise ParameterError("sum: adding a summand failed in the middle, it is of no use any more")
        if self._count + more > self.params.max_summands:
            raise RangeError(f"sum: at most {self.params.max_summands} summands")

    def _read_count(self, head: bytes) -> int:
        count = int.from_bytes(head, "little")
        if count > self.params.max_summands:
            raise DecodeError(f"ciphertext sum: at most {self.params.max_summands} summands, got {count}")
        return count

    def _accumulate(self, data: bytes | memoryview, by: int) -> None:
        """Add these coefficients, or subtract them where ``by`` is negative, and count ``by``."""
        self._broken = True  # until sum and count agree again, should something interrupt
        self.params._scale.accumulate(self._sum, np.frombuffer(data, np.uint8), by < 0)
        self._count += by
        self._broken = False

    def _read(self, file: Any, by: int) -> None:
        scale, packed = self.params._scale, np.empty(self._block_bytes, np.uint8)
        self._broken = True  # until all of it is in
        for columns, place in self._blocks():
            block = packed[: place.stop - place.start]
            read_all(file, block)
            scale.accumulate(self._sum[:, columns], block, False)
        self._count += by
        self._broken = False


def _bytes_of(data: Buffer) -> memoryview:
    try:
        view = memoryview(data)
    except (TypeError, ValueError):  # ValueError: numpy's, for dtypes that no buffer has
        raise TypeError(f"ciphertext: contiguous bytes expected, got {type(data).__name__}") from None
    if not view.c_contiguous:
        raise TypeError("ciphertext: contiguous bytes expected")
    return view.cast("B") if view.nbytes else memoryview(b"")  # zeros in a shape cannot be cast

"""Ciphertexts and their running sum."""

from __future__ import annotations

import hashlib

import numpy as np
from numpy.typing import NDArray

from .._ext.errors import DecodeError, ParameterError, RangeError
from ._kahe_params import Params, check_context, check_length, check_params


class Ciphertext:
    """A vector under a one-time key: ``n_elements * N`` coefficients of W bits.

    Immutable.  Hides the vector from whoever lacks the key; malleable, so it travels inside a
    signcryption, which also says whose it is and of which round.  Coefficient i of the bit string is in
    bits ``[i W, (i+1) W)``, least significant bit and byte first; every bit string of the right length
    is a valid ciphertext.

    Attributes:
        params: The round's parameters.
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

        Raises:
            TypeError: ``data`` is not bytes.
            DecodeError: Another length.
        """
        check_params(params)
        check_length("ciphertext", data, params.ciphertext_bytes)
        return cls._of(params, data)

    def to_bytes(self) -> bytes:
        """``params.ciphertext_bytes`` bytes."""
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

    Not safe for concurrent change: give every worker its own and :meth:`merge` them.

    Attributes:
        params: The round's parameters.
        context: The round's header hash.
    """

    __slots__ = ("_count", "_sum", "context", "params")

    def __init__(self, params: Params, context: bytes) -> None:
        check_params(params)
        check_context(context)
        self.params = params
        self.context = context
        self._count = 0
        self._sum = np.zeros(params.n_elements * params.N, np.uint64)

    @property
    def count(self) -> int:
        """Ciphertexts in the sum."""
        return self._count

    def add(self, ciphertext: Ciphertext) -> None:
        """Add one; that it is of this round, and not in the sum already, is the caller's to know.

        Raises:
            ParameterError: Of other parameters.
            RangeError: ``max_summands`` are in it already.  Unchanged after an error.
        """
        self._check(ciphertext)
        if self._count >= self.params.max_summands:
            raise RangeError(f"sum: at most {self.params.max_summands} summands")
        self._accumulate(ciphertext, False)
        self._count += 1

    def subtract(self, ciphertext: Ciphertext) -> None:
        """Take one out again; that it was in is the caller's word.

        Raises:
            ParameterError: Of other parameters, or the sum is empty.  Unchanged after an error.
        """
        self._check(ciphertext)
        if self._count == 0:
            raise ParameterError("sum: nothing to subtract from")
        self._accumulate(ciphertext, True)
        self._count -= 1

    def merge(self, other: CiphertextSum) -> None:
        """Add another partial sum of the same round; ``other`` is left as it is.

        Raises:
            ParameterError: Of other parameters or another round.
            RangeError: Together more than ``max_summands``.  Unchanged after an error.
        """
        if not isinstance(other, CiphertextSum):
            raise TypeError(f"other: CiphertextSum expected, got {type(other).__name__}")
        if other.params != self.params or other.context != self.context:
            raise ParameterError("other: a sum of the same round expected")
        if self._count + other._count > self.params.max_summands:
            raise RangeError(f"sum: at most {self.params.max_summands} summands")
        self._sum += other._sum  # modulo 2**64, of which 2**W divides
        self._count += other._count

    def to_bytes(self) -> bytes:
        """``params.sum_bytes`` bytes: count (4, little-endian), then the coefficients as in a ciphertext."""
        packed = np.empty(self.params.ciphertext_bytes, np.uint8)
        self.params._scale.pack(packed, self._sum)
        return self._count.to_bytes(4, "little") + packed.tobytes()

    @classmethod
    def from_bytes(cls, data: bytes, params: Params, context: bytes) -> CiphertextSum:
        """Read :meth:`to_bytes`.

        Raises:
            TypeError: ``data`` is not bytes.
            DecodeError: Another length, or a count above ``max_summands``.
        """
        self = cls(params, context)
        check_length("ciphertext sum", data, params.sum_bytes)
        count = int.from_bytes(data[:4], "little")
        if count > params.max_summands:
            raise DecodeError(f"ciphertext sum: at most {params.max_summands} summands, got {count}")
        params._scale.accumulate(self._sum, np.frombuffer(data, np.uint8, offset=4), False)
        self._count = count
        return self

    @property
    def digest(self) -> bytes:
        """SHA-256 of :meth:`to_bytes`: the same for every order and grouping of the same summands."""
        return hashlib.sha256(self.to_bytes()).digest()

    def __reduce__(self) -> tuple[object, ...]:
        return (CiphertextSum.from_bytes, (self.to_bytes(), self.params, self.context))

    def __repr__(self) -> str:
        return f"<kahe.CiphertextSum of {self._count}>"

    def _elements(self, start: int, count: int) -> NDArray[np.uint64]:
        N = self.params.N
        return self._sum[start * N : (start + count) * N].reshape(count, N)

    def _check(self, ciphertext: Ciphertext) -> None:
        if not isinstance(ciphertext, Ciphertext):
            raise TypeError(f"ciphertext: Ciphertext expected, got {type(ciphertext).__name__}")
        if ciphertext.params != self.params:
            raise ParameterError("ciphertext: of other parameters than the sum")

    def _accumulate(self, ciphertext: Ciphertext, negative: bool) -> None:
        data = np.frombuffer(ciphertext.to_bytes(), np.uint8)
        self.params._scale.accumulate(self._sum, data, negative)

"""Ciphertexts: immutable, and always valid."""

from __future__ import annotations

import hashlib

import numpy as np

from .._ext.errors import DecodeError
from ._rlwe_blocks import Blocks, Bytes
from ._rlwe_params import HEADER_BYTES, Params, check_params
from ._rlwe_wire import COMPRESSED, FRESH, Counters, unpack_header


class Ciphertext:
    """An encrypted vector, or a sum of such: header, and two components for every ring element.

    Immutable.  Hides the vector from whoever lacks the secret key; malleable, and anybody can make one, so
    it travels inside a signcryption.  A fresh one is rounded (*compressed*); a sum is lossless, unless it
    was compressed again.

    Attributes:
        params: Parameters of the vector.
        key_id: Of the public key, 32 bytes.

    Timing: nothing here is secret.
    Source: Fan, Vercauteren, eprint 2012/144 (FV.SH without multiplication); Brakerski, Vaikuntanathan, FOCS
        2011, for the rounding; docs/he-rlwe.md, "Construction"; bytes: docs/he-rlwe.md, "Wire formats".
    """

    __slots__ = ("_counters", "_data", "_form", "key_id", "params")

    params: Params
    key_id: bytes
    _counters: Counters
    _form: int
    _data: bytes

    def __init__(self) -> None:
        raise TypeError("made by PublicKey.encrypt, CiphertextSum or Ciphertext.from_bytes")

    @classmethod
    def _of(cls, params: Params, key_id: bytes, form: int, counters: Counters, data: bytes) -> Ciphertext:
        """``data`` has been checked, or comes from the kernel."""
        self = object.__new__(cls)
        for name, value in (
            ("params", params),
            ("key_id", key_id),
            ("_form", form),
            ("_counters", counters),
            ("_data", data),
        ):
            object.__setattr__(self, name, value)
        return self

    @classmethod
    def from_bytes(cls, data: bytes, params: Params) -> Ciphertext:
        """Read :meth:`to_bytes`; every integer in it is checked.

        Args:
            data: ``params.ciphertext_bytes`` or ``params.sum_bytes`` bytes.  Kept, not copied.
            params: What the sender was told to use.  :func:`params_of` reads what it did use.

        Raises:
            TypeError: ``data`` is not bytes, or ``params`` not parameters.
            DecodeError: Other parameters, or anything that :meth:`to_bytes` would not have written.
        """
        check_params(params)
        if not isinstance(data, bytes):
            raise TypeError(f"ciphertext: bytes expected, got {type(data).__name__}")
        _, key_id, form, counters = unpack_header(data[:HEADER_BYTES], params)
        blocks = Blocks(params, form)
        if len(data) != HEADER_BYTES + blocks.body_bytes:
            raise DecodeError(
                f"ciphertext: {HEADER_BYTES + blocks.body_bytes} bytes expected, got {len(data)}"
            )
        body = np.frombuffer(data, np.uint8, offset=HEADER_BYTES)
        for block in blocks:
            blocks.check(block, body[block.at : block.end])
        return cls._of(params, key_id, form, counters, data)

    def to_bytes(self) -> bytes:
        """``params.ciphertext_bytes`` bytes, or ``params.sum_bytes`` for a sum that was not compressed.

        No copy is made.
        """
        return self._data

    @property
    def fresh(self) -> bool:
        """Whether it says that it is no sum.  What a server takes from a client should be: the counters are
        its maker's word, and large ones use up the declaration and loosen the bounds of decryption."""
        return self.compressed and self._counters == FRESH

    @property
    def digest(self) -> bytes:
        """SHA-256 of the bytes, 32 bytes."""
        return hashlib.sha256(self._data).digest()

    @property
    def weight_sum(self) -> int:
        """W1, ``sum |w|`` over the fresh ciphertexts in it: 1 to ``params.max_summands``."""
        return self._counters.weight_sum

    @property
    def square_sum(self) -> int:
        """W2, ``sum w^2`` over the fresh ciphertexts in it."""
        return self._counters.square_sum

    @property
    def compressions(self) -> int:
        """R, squared weights of sums in it that were compressed again."""
        return self._counters.compressions

    @property
    def compressed(self) -> bool:
        """Whether it is rounded; a fresh one is."""
        return self._form == COMPRESSED

    @property
    def _body(self) -> Bytes:
        return np.frombuffer(self._data, np.uint8, offset=HEADER_BYTES)

    def __setattr__(self, name: str, value: object) -> None:
        raise AttributeError("Ciphertext is immutable")

    def __delattr__(self, name: str) -> None:
        raise AttributeError("Ciphertext is immutable")

    def __eq__(self, other: object) -> bool:
        return self._data == other._data if isinstance(other, Ciphertext) else NotImplemented

    def __hash__(self) -> int:
        return hash(self._data)

    def __reduce__(self) -> tuple[object, ...]:
        return (Ciphertext.from_bytes, (self._data, self.params))

    def __repr__(self) -> str:
        kind = "compressed" if self.compressed else "lossless"
        return f"<rlwe.Ciphertext {kind} of {self.weight_sum}, {len(self._data)} bytes>"


def params_of(header: bytes) -> Params:
    """The parameters that a ciphertext says it has: its first 80 bytes are read, and nothing else.

    For who holds a file and nothing besides; who expects certain parameters gives these to
    :meth:`Ciphertext.from_bytes` instead.

    Args:
        header: At least the first 80 bytes of a ciphertext.

    Raises:
        TypeError: Not bytes.
        DecodeError: Not a header, or one of numbers that :class:`Params` refuse.

    Timing: public bytes; up to a second, because the shape that follows from the numbers has to be found.
    Source: docs/he-rlwe.md, "Wire formats".
    """
    if not isinstance(header, bytes):
        raise TypeError(f"header: bytes expected, got {type(header).__name__}")
    return unpack_header(header[:HEADER_BYTES])[0]

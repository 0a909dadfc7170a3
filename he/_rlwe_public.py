"""The public key, and encryption under it."""

from __future__ import annotations

import io
import os
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .._ext import codec, sampler
from .._ext import rlwe as kernel
from .._ext.enc import sha256_enc
from .._ext.errors import DecodeError, ParameterError, RangeError
from ._random import SEED_BYTES, Stream
from ._ring import Ring, ring
from ._rlwe_blocks import Block, Blocks, Bytes, Pool, check_threads, writable_bytes, write_blocks
from ._rlwe_cipher import Ciphertext
from ._rlwe_params import SET_IDS, SET_NAMES, Params, check_params
from ._rlwe_wire import COMPRESSED, FRESH, VERSION, pack_header
from .params import RlweSet, named_set

ERROR_BYTES = 8
"""Random bytes of a CBD(21) sample."""

_HEAD_BYTES = 2 + SEED_BYTES


def expand(seed: bytes, chosen: RlweSet) -> NDArray[np.uint64]:
    """``a``, shape ``(P, 1, N)``, transformed.

    The words of AES-256-CTR with key ``SHA-256(enc("SOTTOVOCE-V1-RLWE-A", seed, set name))``: 64 bits,
    little-endian, cut to the bits of the first prime, kept if below it, until there are N; from the next
    word on, the same for the second prime.
    """
    stream = Stream(sha256_enc("SOTTOVOCE-V1-RLWE-A", seed, chosen.name))
    return np.stack([stream.below(prime, (1, chosen.N)) for prime in chosen.primes])


def residues(out: NDArray[np.uint64], x: NDArray[np.int64], chosen: RlweSet) -> None:
    """Small integers ``(rows * N,)`` to residues modulo every prime, ``(P, rows, N)``."""
    for plane, prime in zip(out, chosen.primes, strict=True):
        sampler.residues(plane.reshape(-1), x, prime)


def lossless(chosen: RlweSet) -> kernel.Rounding:
    """The kernel for whole residues, where no message is involved."""
    return kernel.rounding(chosen.primes, 1, 1, 2, 0)


def draw_ternary(out: NDArray[np.int64], stream: Stream, raw: Bytes) -> None:
    """Uniform in {-1, 0, 1}: one 16-bit word each, and as many more as had to be rejected, in order.

    Args:
        out: int64 ``(n,)``.
        stream: Secret.
        raw: Room for 2 n bytes; the caller erases it.
    """
    part = raw[: 2 * len(out)]
    stream.fill(part)
    rejected = sampler.ternary(out, part.view(np.uint16))
    while rejected:
        # Which places were rejected tells nothing about the values that they get.
        places = np.flatnonzero(out == sampler.REJECTED)
        part, again = raw[: 2 * rejected], np.empty(rejected, np.int64)
        stream.fill(part)
        rejected = sampler.ternary(again, part.view(np.uint16))
        out[places] = again
        again.fill(0)


class PublicKey:
    """A public key: ``b = -a s + e`` and the seed of ``a``.  Immutable; encrypts, and says whose it is.

    Attributes:
        set: Name of its parameter set.
        key_id: ``SHA-256(enc("SOTTOVOCE-V1-RLWE-KEY", to_bytes()))``, 32 bytes, in every ciphertext.

    Timing: the key is public; encryption is independent of the values; of the randomness see
        :meth:`encrypt`.
    Source: Lyubashevsky, Peikert, Regev, EUROCRYPT 2010; Fan, Vercauteren, eprint 2012/144 (LPR.ES);
        docs/he-rlwe.md, "Construction".
    """

    __slots__ = ("_a", "_b", "_data", "key_id", "set")

    set: str
    key_id: bytes
    _a: NDArray[np.uint64]  # transformed, (P, N)
    _b: NDArray[np.uint64]
    _data: bytes

    def __init__(self) -> None:
        raise TypeError("made by keygen or PublicKey.from_bytes")

    @classmethod
    def _of(cls, chosen: RlweSet, seed: bytes, packed: bytes) -> PublicKey:
        """``packed`` has been checked."""
        self = object.__new__(cls)
        data = bytes((VERSION, SET_IDS[chosen.name])) + seed + packed
        parts: Ring = ring(chosen.name)
        b = parts.empty(1)
        lossless(chosen).unpack(b, np.frombuffer(packed, np.uint8))
        parts.forward(b)
        for name, value in (
            ("set", chosen.name),
            ("key_id", sha256_enc("SOTTOVOCE-V1-RLWE-KEY", data)),
            ("_a", expand(seed, chosen)[:, 0]),
            ("_b", b[:, 0]),
            ("_data", data),
        ):
            object.__setattr__(self, name, value)
        return self

    @classmethod
    def from_bytes(cls, data: bytes) -> PublicKey:
        """Read :meth:`to_bytes`.

        Args:
            data: What :meth:`to_bytes` gave.

        Raises:
            TypeError: ``data`` is not bytes.
            DecodeError: Anything that :meth:`to_bytes` would not have written.
        """
        if not isinstance(data, bytes):
            raise TypeError(f"public key: bytes expected, got {type(data).__name__}")
        if len(data) < 2 or data[0] != VERSION or data[1] not in SET_NAMES:
            raise DecodeError("public key: unknown version or set")
        chosen = named_set(SET_NAMES[data[1]])
        length = _HEAD_BYTES + chosen.N * chosen.log_q // 8
        if len(data) != length:
            raise DecodeError(f"public key: {length} bytes expected, got {len(data)}")
        bad = lossless(chosen).check(np.frombuffer(data, np.uint8, offset=_HEAD_BYTES))
        if bad >= 0:
            raise DecodeError(f"public key: coefficient {bad} is not below the modulus")
        return cls._of(chosen, data[2:_HEAD_BYTES], data[_HEAD_BYTES:])

    def to_bytes(self) -> bytes:
        """``34 + N L / 8`` bytes: version (1), set (1), seed of a (32), coefficients of b in L bits each."""
        return self._data

    def encrypt(self, values: NDArray[np.int64], params: Params, *, threads: int = 1) -> Ciphertext:
        """Encrypt a vector: ``c0 = b u + e0 + 2^k m``, ``c1 = a u + e1``, both rounded.

        Args:
            values: int64, shape ``(n_slots,)``, any strides, each within ``+-(2**(value_bits-1) - 1)``.
                Read once, never kept or written; what is checked is the copy that is encrypted.
            params: Of the key's set.
            threads: Blocks of ring elements are spread over that many, 1 to 256.

        Returns:
            A fresh ciphertext, ``params.ciphertext_bytes`` bytes.

        Raises:
            TypeError: Not an int64 array, or a masked one: the masked numbers would be encrypted.
            ParameterError: Another shape, parameters of another set, or ``threads`` out of range.
            RangeError: A value is too large; tells the index and the bound.

        Timing: independent of the values once these are in range, and of the randomness, but for how many
            words of it were drawn again, which tells nothing of those that were kept.
        Source: Fan, Vercauteren, eprint 2012/144 (LPR.ES.Encrypt), rounded after Brakerski, Vaikuntanathan,
            FOCS 2011; docs/he-rlwe.md, "Construction".
        """
        return self._encrypt_derand(values, params, threads, None)

    def encrypt_into(self, values: NDArray[np.int64], params: Params, out: Any, *, threads: int = 1) -> None:
        """Encrypt into a buffer or a file: nothing of the size of the vector is allocated.

        Args:
            values: As in :meth:`encrypt`; may be a ``numpy.memmap``.
            params: As in :meth:`encrypt`.
            out: A writable buffer of exactly ``params.ciphertext_bytes`` bytes (bytearray, mmap, numpy
                array) that shares no memory with ``values``, or a binary file, which is written from its
                position on.
            threads: As in :meth:`encrypt`.

        Raises:
            As :meth:`encrypt`, and:
            TypeError: ``out`` is neither.
            ParameterError: A buffer of another size or that overlaps ``values``, or what cannot be written.
            OSError: The file takes no more.  After an error ``out`` may hold a part of a ciphertext, which
                tells as little as the whole.

        Timing: as :meth:`encrypt`.
        """
        self._encrypt_into(values, params, out, threads, None)

    # -- inside ---------------------------------------------------------------------------------
    def _encrypt_derand(
        self, values: NDArray[np.int64], params: Params, threads: int, seed: bytes | None
    ) -> Ciphertext:
        """With ``seed`` (tests only) the ciphertext is determined by it."""
        check_params(params)
        out = io.BytesIO()
        out.seek(params.ciphertext_bytes - 1)
        out.write(b"\0")
        with out.getbuffer() as view:
            self._encrypt_into(values, params, view, threads, seed)
        # CPython hands this object out as it is: no second copy.
        return Ciphertext._of(params, self.key_id, COMPRESSED, FRESH, out.getvalue())

    def _encrypt_into(
        self, values: NDArray[np.int64], params: Params, out: Any, threads: int, seed: bytes | None
    ) -> None:
        check_params(params)
        check_threads(threads)
        if params.set != self.set:
            raise ParameterError(f"params: of the key's set {self.set} expected, got {params.set}")
        check_values(values, params)
        buffer = writable_bytes(out, params.ciphertext_bytes)
        if buffer is not None and np.may_share_memory(values, buffer):
            raise ParameterError("out: shares memory with the values")
        key = os.urandom(SEED_BYTES) if seed is None else sha256_enc("SOTTOVOCE-V1-RLWE-DERAND", "enc", seed)
        blocks = Blocks(params, COMPRESSED)
        spaces = Pool(lambda: _Space(params))

        def fill(block: Block, packed: Bytes) -> None:
            space = spaces.take()
            # One stream a block: the bytes are the same for any number of threads.
            self._encrypt_block(values, params, block, packed, Stream(key, block.index), space)
            spaces.give(space)

        try:
            header = pack_header(params, self.key_id, COMPRESSED, FRESH)
            write_blocks(header, blocks, fill, out, threads)
        finally:
            for space in spaces.made:
                space.erase()

    def _encrypt_block(
        self,
        values: NDArray[np.int64],
        params: Params,
        block: Block,
        packed: Bytes,
        stream: Stream,
        space: _Space,
    ) -> None:
        parts, n = params._ring, block.rows * params.N
        u, product = space.u[:, : block.rows], space.product[:, : block.rows]
        slots = space.take_values(values, params, block)
        draw_ternary(space.small[:n], stream, space.random)
        residues(u, space.small[:n], params._set)
        parts.forward(u)
        split = block.middle - block.at
        for element, drop, m, to in (
            (self._b, params.drop_bits[0], slots, packed[:split]),
            (self._a, params.drop_bits[1], None, packed[split:]),
        ):
            parts.multiply(product, u, element)
            parts.inverse(product)
            random = space.random[: n * ERROR_BYTES]
            stream.fill(random)
            params._rounding(drop).encrypt(to, product, m, random)

    def __setattr__(self, name: str, value: object) -> None:
        raise AttributeError("PublicKey is immutable")

    def __delattr__(self, name: str) -> None:
        raise AttributeError("PublicKey is immutable")

    def __eq__(self, other: object) -> bool:
        return self._data == other._data if isinstance(other, PublicKey) else NotImplemented

    def __hash__(self) -> int:
        return hash(self.key_id)

    def __reduce__(self) -> tuple[object, ...]:
        return (PublicKey.from_bytes, (self._data,))

    def __repr__(self) -> str:
        return f"<rlwe.PublicKey {self.set} {self.key_id[:4].hex()}>"


class _Space:
    """What one block needs: values, randomness, ``u`` and a product; all of it secret."""

    __slots__ = ("product", "random", "small", "u", "values")

    def __init__(self, params: Params) -> None:
        rows = min(params._block_elements, params.n_elements)
        n = rows * params.N
        self.values = np.empty(n * params.slots_per_coefficient, np.int32)
        self.random = np.empty(n * ERROR_BYTES, np.uint8)
        self.small = np.empty(n, np.int64)
        self.u = params._ring.empty(rows)
        self.product = params._ring.empty(rows)

    def take_values(self, values: NDArray[np.int64], params: Params, block: Block) -> NDArray[np.int32]:
        """The numbers of a block, zeros after the last; refuses those out of range."""
        per_element = params.N * params.slots_per_coefficient
        start = block.start * per_element
        slots = self.values[: block.rows * per_element]
        part = np.require(values[start : start + len(slots)], requirements=("C", "A"))
        bound = (1 << (params.value_bits - 1)) - 1
        bad = codec.narrow(slots[: len(part)], part, bound)
        if bad >= 0:
            raise RangeError(f"values, index {start + bad}: not within +-{bound}")
        slots[len(part) :] = 0
        return slots

    def erase(self) -> None:
        for array in (self.values, self.random, self.small, self.u, self.product):
            array.fill(0)


def check_values(values: NDArray[np.int64], params: Params) -> None:
    """An int64 array of the right shape."""
    if (
        not isinstance(values, np.ndarray)
        or isinstance(values, np.ma.MaskedArray)
        or values.dtype != np.int64
    ):
        raise TypeError("values: int64 array without a mask expected")
    if values.shape != (params.n_slots,):
        raise ParameterError(f"values: shape ({params.n_slots},) expected, got {values.shape}")

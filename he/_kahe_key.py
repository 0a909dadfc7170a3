"""The client's one-time key: encrypt once, share once, gone."""

from __future__ import annotations

import hashlib
import io
import os
import threading
from collections.abc import Iterator
from contextlib import closing, contextmanager
from enum import Enum
from typing import Any, NoReturn

import numpy as np
from numpy.typing import NDArray

from .._ext import codec, sampler
from .._ext import kahe as kernel
from .._ext.enc import sha256_enc
from .._ext.errors import ParameterError, RangeError
from ._kahe_blocks import BufferSink, Sink, Spare, block_starts, check_threads, in_order, open_sink
from ._kahe_cipher import Ciphertext
from ._kahe_params import N_CHECKS, SALT_BYTES, Params, check_context, check_params
from ._kahe_public import public_planes
from ._kahe_shares import DegreeProof, KeyShare, challenge, check_sender
from ._random import SEED_BYTES, Stream
from ._shamir import P, dot, evaluate, reduce
from .noise import CBD_ETA

AES_BLOCK = 16


class _State(Enum):
    NEW = "new"
    ENCRYPTED = "encrypted"
    CLOSED = "closed"


_ORDER = {
    (_State.NEW, _State.ENCRYPTED): "has encrypted, and one encrypts once",
    (_State.NEW, _State.CLOSED): "is closed: shared, or given up after a failure",
    (_State.ENCRYPTED, _State.NEW): "encrypt before sharing",
    (_State.ENCRYPTED, _State.CLOSED): "is closed: shared, or given up after a failure",
}
"""Wanted state and state that is -> what to tell."""


class OneTimeKey:
    """A fresh key for one vector of one round: :meth:`encrypt` once, then :meth:`share` once.

    :meth:`encrypt_into` is :meth:`encrypt` for vectors of which memory holds only one copy.

    Two vectors under one key give away their difference, so the object refuses a second use, use in a
    forked process, copying and pickling, and erases the key when it is shared or when anything fails
    in between.  What it cannot give: wiping of every copy.  The arrays that hold key, errors and values are
    overwritten; intermediate results of numpy, the cipher's state and the shares handed out are not.

    Safe to use from several threads; exactly one call of each kind succeeds.

    Attributes:
        params: The round's parameters.
        context: The round's header hash, 32 bytes.

    Timing: sampling, transforms, scaling and sharing neither branch nor index on key, errors or values;
        docs/he.md, "What it does not give".
    Source: Boneh, Lewi, Montgomery, Raghunathan, CRYPTO 2013; Bell et al., eprint 2022/1461; Karthikeyan,
        Polychroniadou, eprint 2024/723; as here: docs/he.md, "Encrypting".
    """

    __slots__ = (
        "_digest",
        "_encrypted",
        "_key",
        "_lock",
        "_owner",
        "_pid",
        "_seed",
        "_state",
        "context",
        "params",
    )

    params: Params
    context: bytes
    _lock: threading.Lock
    _owner: int | None
    _pid: int
    _seed: bytes | None
    _state: _State
    _digest: bytes
    _encrypted: Ciphertext | None
    _key: NDArray[np.int64]

    def __init__(self) -> None:
        raise TypeError("made by OneTimeKey.generate")

    @classmethod
    def generate(cls, params: Params, context: bytes) -> OneTimeKey:
        """Draw a key: N coefficients CBD(42), from the operating system's randomness.

        Args:
            params: The round's parameters.
            context: The round's header hash, 32 bytes; the public elements are derived from it.

        Raises:
            TypeError: Wrong types.
            ParameterError: ``context`` is not 32 bytes.

        Timing: depends on N only.
        """
        return cls._generate_derand(params, context, None)

    @classmethod
    def _generate_derand(cls, params: Params, context: bytes, seed: bytes | None) -> OneTimeKey:
        """With ``seed`` (tests only) everything that follows is determined by it."""
        check_params(params)
        check_context(context)
        self = object.__new__(cls)
        self.params = params
        self.context = context
        self._lock = threading.Lock()
        self._owner = None
        self._pid = os.getpid()
        self._seed = seed
        self._state = _State.NEW
        self._digest = b""
        self._encrypted = None
        self._key = np.empty(params.N, np.int64)
        raw = np.empty(kernel.CBD_BYTES * params.N, np.uint8)
        try:
            Stream(self._stream_key("key")).fill(raw)
            sampler.cbd(self._key, raw, CBD_ETA)
        finally:
            raw.fill(0)
        return self

    def encrypt(self, values: NDArray[np.int64], threads: int = 1) -> Ciphertext:
        """Encrypt the vector: ``C_j = round((a_j k + e_j + 2^k' m_j) 2^W / q) mod 2^W``.

        Args:
            values: int64, shape ``(n_slots,)``, any strides, each within ``+-(2**(value_bits-1) - 1)``;
                read, never kept or written.
            threads: Blocks of ring elements worked on at the same time, 1 to 256.

        Returns:
            The ciphertext, ``params.ciphertext_bytes`` bytes.

        Raises:
            TypeError: Not an int64 array, or a masked one: the masked numbers would be encrypted.
            ParameterError: Another shape, ``threads`` out of range; or the key was used, or comes from
                another process.
            RangeError: A value is too large; tells the index and the bound.  The key stays usable
                after an error in the argument.

        Timing: independent of key, errors and values once these are in range.
        """
        values = _check_values(self.params, values)
        check_threads(threads)
        with self._once():
            # Room for the bytes that are returned: filled through a view, then taken without a copy.
            room = io.BytesIO()
            room.seek(self.params.ciphertext_bytes - 1)
            room.write(b"\0")
            view = room.getbuffer()
            self._encrypt(values, BufferSink(view), threads)
            view.release()
            ciphertext = Ciphertext._of(self.params, room.getvalue())
            self._encrypted = ciphertext  # its digest is computed when somebody asks for it
        return ciphertext

    def encrypt_into(self, values: NDArray[np.int64], out: Any, threads: int = 1) -> bytes:
        """The same, written where the caller wants it: memory for a few blocks is all that this takes.

        Args:
            values: As :meth:`encrypt`; a read-only memory map will do.
            out: A writable buffer of ``params.ciphertext_bytes`` bytes (bytearray, mmap, memoryview, numpy
                array) that shares no memory with ``values``, or a binary file, written from its position on.
                The file must not keep the views that its ``write`` is given.
            threads: As :meth:`encrypt`.

        Returns:
            SHA-256 of the ciphertext, 32 bytes, its :attr:`Ciphertext.digest`.

        Raises:
            TypeError: As :meth:`encrypt`, or ``out`` is neither buffer nor binary file.
            ParameterError: As :meth:`encrypt`, or a buffer that is read-only, of another size or overlaps
                ``values``.
            RangeError: As :meth:`encrypt`; that a value was changed meanwhile closes the key.
            OSError: The file takes no more.  The key is erased and closed then, as after every error in
                the middle, and what was written is of no use to anybody.

        Timing: independent of key, errors and values once these are in range.
        """
        params = self.params
        values = _check_values(params, values)
        check_threads(threads)
        sink = open_sink(out, params.ciphertext_bytes, block_starts(1, params.N)[1] * params._row_bytes)
        if isinstance(sink, BufferSink) and np.may_share_memory(
            values, sink.room(0, params.ciphertext_bytes)
        ):
            raise ParameterError("out: shares memory with the values")
        hashed = hashlib.sha256()
        with self._once():
            self._encrypt(values, sink, threads, hashed)
            digest = self._digest = hashed.digest()
        return digest

    def share(self, sender: bytes) -> tuple[DegreeProof, list[KeyShare]]:
        """Share the key among the n members, prove the degree, erase the key.

        Args:
            sender: The client's pseudonym, 1 to 1024 bytes, bound into the proof.

        Returns:
            The proof to publish, ``params.proof_bytes`` bytes, and the shares of members 1..n, in order, each
            of ``params.share_bytes`` bytes and to be sealed to its member.

        Raises:
            TypeError: ``sender`` is not bytes.
            ParameterError: ``sender`` is not 1 to 1024 bytes; before :meth:`encrypt`, a second time, or in
                another process.

        Timing: independent of the key.
        Source: Shamir, CACM 1979, section 2; docs/he.md, "Sharing the key, and the proof of its degree".
        """
        check_sender(sender)
        with self._held():
            self._require(_State.ENCRYPTED)
            self._state = _State.CLOSED
            try:
                if self._encrypted is not None:
                    self._digest = self._encrypted.digest
                return self._share(sender)
            finally:
                self._erase()

    def close(self) -> None:
        """Erase the key without sharing it; the object is closed for good.  Idempotent.

        In a forked process it erases that process's copy.

        Raises:
            ParameterError: Called by what a call on this key called (the ``write`` of a file, a signal
                handler).
        """
        if self._pid != os.getpid():
            self._close()  # nothing else uses the key here
            return
        with self._held():
            self._close()

    # -- inside ---------------------------------------------------------------------------------
    @contextmanager
    def _held(self) -> Iterator[None]:
        # Both before the lock: a thread of the parent may have held it at the fork, and nobody would give it
        # back here; and a thread that holds it already would wait for itself.
        if self._pid != os.getpid():
            raise ParameterError("one-time key: made in another process")
        if self._owner == threading.get_ident():
            raise ParameterError("one-time key: in use by this thread")
        with self._lock:
            self._owner = threading.get_ident()
            try:
                yield
            finally:
                self._owner = None

    def _require(self, state: _State) -> None:
        if self._state is not state:
            raise ParameterError(f"one-time key: {_ORDER[state, self._state]}")

    def _stream_key(self, purpose: str) -> bytes:
        """32 bytes that nobody else has, for one purpose."""
        if self._seed is None:
            return os.urandom(SEED_BYTES)
        assert len(self._seed) == SEED_BYTES
        return sha256_enc("SOTTOVOCE-V1-KAHE-DERAND", purpose, self._seed)

    def _close(self) -> None:
        self._state = _State.CLOSED
        self._erase()

    def _erase(self) -> None:
        self._key.fill(0)
        self._seed = None
        self._encrypted = None

    @contextmanager
    def _once(self) -> Iterator[None]:
        """From new to encrypted; or closed for good, should anything fail in between."""
        with self._held():
            self._require(_State.NEW)
            self._state = _State.CLOSED
            try:
                yield
            except BaseException:
                self._erase()
                raise
            self._state = _State.ENCRYPTED

    def _encrypt(self, values: NDArray[np.int64], sink: Sink, threads: int, hashed: Any = None) -> None:
        params = self.params
        starts, rows = block_starts(params.n_elements, params.N)
        key = params._ring.empty(1)
        seed = self._stream_key("errors")
        spare = Spare(lambda: _Scratch(params, min(rows, params.n_elements), seed))

        def work(start: int) -> NDArray[np.uint8]:
            end = min(start + rows, params.n_elements)
            out = sink.room(start * params._row_bytes, end * params._row_bytes)
            scratch = spare.take()
            scratch.encrypt(self.context, key[:, 0], values, start, end, out)
            spare.give(scratch)
            return out

        try:
            for plane, q in zip(key, params._set.primes, strict=True):
                sampler.residues(plane[0], self._key, q)
            params._ring.forward(key)
            with closing(in_order(work, starts, threads)) as blocks:
                for block in blocks:
                    if hashed is not None:
                        hashed.update(block.data)
                    sink.put(block)
        finally:
            key.fill(0)
            for scratch in spare.made:
                scratch.erase()

    def _share(self, sender: bytes) -> tuple[DegreeProof, list[KeyShare]]:
        params = self.params
        n, t, N = params.n_members, params.threshold, params.N
        stream = Stream(self._stream_key("shares"))
        # Row d: the coefficients of degree d of N key polynomials and 4 mask polynomials.
        coefficients = np.empty((t, N + N_CHECKS), np.uint64)
        try:
            sampler.residues(coefficients[0, :N], self._key, P)
            coefficients[0, N:] = stream.below(P, (N_CHECKS,))
            coefficients[1:] = stream.below(P, (t - 1, N + N_CHECKS))
            salts = np.empty(n * SALT_BYTES, np.uint8)
            stream.fill(salts)
            shares = []
            for j in range(1, n + 1):
                values = evaluate(coefficients, j)
                salt = salts[(j - 1) * SALT_BYTES : j * SALT_BYTES].tobytes()
                shares.append(KeyShare._of(params, j, salt, values[N:].copy(), values[:N].copy()))
            hashes = tuple(s._commitment(self.context, sender) for s in shares)
            gamma = challenge(params, self.context, sender, self._digest, hashes)
            checks = np.stack([reduce(dot(gamma, row[:N]) + row[N:]) for row in coefficients])
        finally:
            coefficients.fill(0)
        return DegreeProof._of(params, hashes, checks), shares

    def __reduce__(self) -> NoReturn:
        raise TypeError("a OneTimeKey is secret and is neither copied nor pickled")

    def __repr__(self) -> str:
        return f"<kahe.OneTimeKey {self._state.value}>"


class _Scratch:
    """What one thread needs to encrypt a block; secret."""

    __slots__ = ("_errors", "_params", "_product", "_random", "_values")

    def __init__(self, params: Params, rows: int, seed: bytes) -> None:
        self._params = params
        self._errors = Stream(seed)
        self._product = params._ring.empty(rows)
        self._random = np.empty(rows * params.N * kernel.CBD_BYTES, np.uint8)
        self._values = np.empty(rows * params._slots, np.int32)

    def encrypt(
        self,
        context: bytes,
        key: NDArray[np.uint64],
        values: NDArray[np.int64],
        start: int,
        end: int,
        out: NDArray[np.uint8],
    ) -> None:
        """Ring elements ``start`` to ``end``; errors come from the same bytes of the stream in any order."""
        params, count = self._params, end - start
        product, random = self._product[:, :count], self._random[: count * params.N * kernel.CBD_BYTES]
        padded = self._values[: count * params._slots]
        first = start * params._slots
        _narrow(padded, values[first : end * params._slots], first, params.value_bits)
        params._ring.multiply(product, public_planes(params, context, start, count), key)
        params._ring.inverse(product)
        self._errors.restart(0, start * params.N * kernel.CBD_BYTES // AES_BLOCK)
        self._errors.fill(random)
        params._scale.encrypt(out, product, padded, random)

    def erase(self) -> None:
        for array in (self._product, self._random, self._values):
            array.fill(0)


def _check_values(params: Params, values: NDArray[np.int64]) -> NDArray[np.int64]:
    """A plain view of the caller's array, after checking it."""
    if (
        not isinstance(values, np.ndarray)
        or isinstance(values, np.ma.MaskedArray)
        or values.dtype != np.int64
    ):
        raise TypeError("values: int64 array without a mask expected")
    if values.shape != (params.n_slots,):
        raise ParameterError(f"values: shape ({params.n_slots},) expected, got {values.shape}")
    values = np.asarray(values)
    if values.flags.c_contiguous and values.flags.aligned:
        low, high = codec.extremes(values)
    else:
        low, high = int(values.min()), int(values.max())
    bound = (1 << (params.value_bits - 1)) - 1
    if low < -bound or high > bound:
        bad = (values > bound) | (values < -bound)
        raise RangeError(f"values, index {int(np.argmax(bad))}: not within +-{bound}")
    return values


def _narrow(out: NDArray[np.int32], values: NDArray[np.int64], first: int, value_bits: int) -> None:
    """Copy with zeros behind; the copy is checked too, for another thread may write to the array."""
    bound = (1 << (value_bits - 1)) - 1
    bad = codec.narrow(out[: len(values)], np.require(values, requirements=["C", "A"]), bound)
    if bad >= 0:
        raise RangeError(f"values, index {first + bad}: not within +-{bound}")
    out[len(values) :] = 0

"""The client's one-time key: encrypt once, share once, gone."""

from __future__ import annotations

import os
import threading
from enum import Enum
from typing import NoReturn

import numpy as np
from numpy.typing import NDArray

from .._ext import kahe as kernel
from .._ext.enc import sha256_enc
from .._ext.errors import ParameterError, RangeError
from ._kahe_cipher import Ciphertext
from ._kahe_params import N_CHECKS, SALT_BYTES, Params, check_context, check_params
from ._kahe_public import BLOCK, public_elements
from ._kahe_shares import DegreeProof, KeyShare, challenge, check_sender
from ._random import SEED_BYTES, Stream, secret_stream
from ._shamir import P, dot, evaluate, reduce, residues


class _State(Enum):
    NEW = "new"
    ENCRYPTED = "encrypted"
    CLOSED = "closed"


class OneTimeKey:
    """A fresh key for one vector of one round: :meth:`encrypt` once, then :meth:`share` once.

    Two vectors under one key give away their difference, so the object refuses a second use, use in a
    forked process, copying and pickling, and erases the key when it is shared or when anything fails
    in between.  What it cannot give: wiping of every copy.  The arrays that hold key, errors and values are
    overwritten; intermediate results of numpy, the cipher's state and the shares handed out are not.

    Safe to use from several threads; exactly one call of each kind succeeds.

    Attributes:
        params: The round's parameters.
        context: The round's header hash.
    """

    __slots__ = ("_digest", "_key", "_lock", "_pid", "_seed", "_state", "context", "params")

    params: Params
    context: bytes
    _lock: threading.Lock
    _pid: int
    _seed: bytes | None
    _state: _State
    _digest: bytes
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
        self._pid = os.getpid()
        self._seed = seed
        self._state = _State.NEW
        self._digest = b""
        self._key = np.empty(params.N, np.int64)
        raw = np.empty(kernel.CBD_BYTES * params.N, np.uint8)
        try:
            self._stream("key").fill(raw)
            kernel.cbd(self._key, raw)
        finally:
            raw.fill(0)
        return self

    def encrypt(self, values: NDArray[np.int64]) -> Ciphertext:
        """Encrypt the vector: ``C_j = round((a_j k + e_j + 2^k' m_j) 2^W / q) mod 2^W``.

        Args:
            values: int64, shape ``(n_slots,)``, each within ``+-(2**(value_bits-1) - 1)``; copied,
                then checked, and never kept.

        Returns:
            The ciphertext, ``params.ciphertext_bytes`` bytes.

        Raises:
            TypeError: Not an int64 array, or a masked one: the masked numbers would be encrypted.
            ParameterError: Another shape; or the key was used, or comes from another process.
            RangeError: A value is too large; tells the index and the bound.  The key stays usable
                after an error in the argument.

        Timing: independent of key, errors and values once these are in range.
        """
        params = self.params
        packed_values = _pack_slots(params, values)
        try:
            with self._lock:
                self._require(_State.NEW)
                self._state = _State.CLOSED  # for good, should anything below fail
                try:
                    data = self._encrypt(packed_values)
                except BaseException:
                    self._erase()
                    raise
                ciphertext = Ciphertext._of(params, data)
                self._digest = ciphertext.digest
                self._state = _State.ENCRYPTED
                return ciphertext
        finally:
            packed_values.fill(0)

    def share(self, sender: bytes) -> tuple[DegreeProof, list[KeyShare]]:
        """Share the key among the n members, prove the degree, erase the key.

        Args:
            sender: The client's pseudonym, 1 to 1024 bytes, bound into the proof.

        Returns:
            The proof to publish, and the shares of members 1..n, each to be sealed to its member.

        Raises:
            TypeError: ``sender`` is not bytes.
            ParameterError: Before :meth:`encrypt`; or a second time; or in another process.

        Timing: independent of the key.
        """
        check_sender(sender)
        with self._lock:
            self._require(_State.ENCRYPTED)
            self._state = _State.CLOSED
            try:
                return self._share(sender)
            finally:
                self._erase()

    def close(self) -> None:
        """Erase the key without sharing it; the object is closed for good.  Idempotent."""
        with self._lock:
            self._state = _State.CLOSED
            self._erase()

    # -- inside ---------------------------------------------------------------------------------
    def _require(self, state: _State) -> None:
        if self._pid != os.getpid():
            raise ParameterError("one-time key: made in another process")
        if self._state is not state:
            raise ParameterError(f"one-time key: must be {state.value}, is {self._state.value}")

    def _stream(self, purpose: str) -> Stream:
        if self._seed is None:
            return secret_stream()
        assert len(self._seed) == SEED_BYTES
        return Stream(sha256_enc("SOTTOVOCE-V1-KAHE-DERAND", purpose, self._seed))

    def _erase(self) -> None:
        self._key.fill(0)
        self._seed = None

    def _encrypt(self, values: NDArray[np.int64]) -> bytes:
        params, ring, scale = self.params, self.params._ring, self.params._scale
        N, W = params.N, params.wire_bits
        errors = self._stream("errors")
        out = np.empty(params.ciphertext_bytes, np.uint8)
        rows = min(BLOCK, params.n_elements)
        product = np.empty((rows, N), np.uint64)
        random = np.empty(rows * N * kernel.CBD_BYTES, np.uint8)
        key = residues(self._key, params.q)[None]
        try:
            ring.forward(key)
            for start in range(0, params.n_elements, rows):
                count = min(rows, params.n_elements - start)
                block, noise = product[:count], random[: count * N * kernel.CBD_BYTES]
                ring.multiply(block, public_elements(params, self.context, start, count), key[0])
                ring.inverse(block)
                errors.fill(noise)
                first, end = start * N, (start + count) * N
                scale.encrypt(out[first * W // 8 : end * W // 8], block.reshape(-1), values[first:end], noise)
        finally:
            key.fill(0)
            product.fill(0)
            random.fill(0)
        return out.tobytes()

    def _share(self, sender: bytes) -> tuple[DegreeProof, list[KeyShare]]:
        params = self.params
        n, t, N = params.n_members, params.threshold, params.N
        stream = self._stream("shares")
        # Row d: the coefficients of degree d of N key polynomials and 4 mask polynomials.
        coefficients = np.empty((t, N + N_CHECKS), np.uint64)
        try:
            coefficients[0, :N] = residues(self._key, P)
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


def _pack_slots(params: Params, values: NDArray[np.int64]) -> NDArray[np.int64]:
    """Numbers to padded coefficients ``sum v_s 2^(w s)``, borrows included, after checking them."""
    if (
        not isinstance(values, np.ndarray)
        or isinstance(values, np.ma.MaskedArray)
        or values.dtype != np.int64
    ):
        raise TypeError("values: int64 array without a mask expected")
    if values.shape != (params.n_slots,):
        raise ParameterError(f"values: shape ({params.n_slots},) expected, got {values.shape}")
    S = params.slots_per_coefficient
    slots = np.zeros(params.n_elements * params.N * S, np.int64)
    # Copied before they are checked: another thread may write to the caller's array meanwhile.
    slots[: params.n_slots] = values
    bound = (1 << (params.value_bits - 1)) - 1
    bad = (slots > bound) | (slots < -bound)
    if bad.any():
        raise RangeError(f"values, index {int(np.argmax(bad))}: not within +-{bound}")
    if S == 1:
        return slots
    weights = np.int64(1) << (np.int64(params.slot_bits) * np.arange(S, dtype=np.int64))
    packed: NDArray[np.int64] = (slots.reshape(-1, S) * weights).sum(axis=1)
    return packed

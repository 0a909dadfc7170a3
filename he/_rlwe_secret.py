"""The secret key, and decryption with it."""

from __future__ import annotations

import hmac
from contextlib import closing
from typing import NoReturn

import numpy as np
from numpy.typing import NDArray

from .._ext import codec, sampler
from .._ext.enc import sha256_enc
from .._ext.errors import DecodeError, OverflowDetected, ParameterError
from ._random import SEED_BYTES, Stream, secret_stream
from ._ring import ring
from ._rlwe_blocks import Block, Blocks, Bytes, Pool, check_threads, in_order
from ._rlwe_cipher import Ciphertext
from ._rlwe_noise import ERROR_ETA, key_bounds
from ._rlwe_params import SET_IDS, SET_NAMES, Params
from ._rlwe_public import ERROR_BYTES, PublicKey, draw_ternary, expand, lossless, residues
from ._rlwe_sum import CiphertextSum
from ._rlwe_wire import KEY_ID_BYTES, LOSSLESS, VERSION
from .params import Progress, RlweSet, named_set

_HEAD_BYTES = 2 + KEY_ID_BYTES + SEED_BYTES


class SecretKey:
    """Opens every ciphertext under its public key, not only sums: whoever holds it sees every vector.

    Not shown, pickled or copied; :meth:`to_bytes` is the only way out.  What it cannot give: wiping of
    every copy, which Python does not offer.

    **Whoever sees decrypted sums can be given the key.**  A client may encrypt a multiple of the key itself
    without knowing it, and one decryption then shows it (docs/he-rlwe.md, "What it does not give").

    Attributes:
        set: Name of its parameter set.
        public_key: The key to encrypt under.

    Timing: decryption is independent of the key, see :meth:`decrypt`; comparing two keys too.
    Source: Lyubashevsky, Peikert, Regev, EUROCRYPT 2010; Fan, Vercauteren, eprint 2012/144 (LPR.ES);
        docs/he-rlwe.md, "Construction".
    """

    __slots__ = ("_error", "_hat", "_secret", "_seed", "public_key", "set")

    set: str
    public_key: PublicKey
    _secret: NDArray[np.int64]
    _error: NDArray[np.int64]
    _hat: NDArray[np.uint64]  # transformed, (P, N)
    _seed: bytes

    def __init__(self) -> None:
        raise TypeError("made by keygen or SecretKey.from_bytes")

    @classmethod
    def _of(cls, chosen: RlweSet, seed: bytes, s: NDArray[np.int64], e: NDArray[np.int64]) -> SecretKey:
        """Key within its bounds; ``b`` follows from it."""
        parts, whole = ring(chosen.name), lossless(chosen)
        hat, product, b = parts.empty(1), parts.empty(1), parts.empty(1)
        packed = np.empty(chosen.N * chosen.log_q // 8, np.uint8)
        try:
            residues(hat, s, chosen)
            parts.forward(hat)
            parts.multiply(product, hat, expand(seed, chosen)[:, 0])
            parts.inverse(product)
            residues(b, e, chosen)
            whole.add(b, product, -1)
            whole.pack(packed, b)
        finally:
            product.fill(0)
        self = object.__new__(cls)
        for name, value in (
            ("set", chosen.name),
            ("public_key", PublicKey._of(chosen, seed, packed.tobytes())),
            ("_secret", s),
            ("_error", e),
            ("_hat", hat[:, 0]),
            ("_seed", seed),
        ):
            object.__setattr__(self, name, value)
        return self

    @classmethod
    def from_bytes(cls, data: bytes) -> SecretKey:
        """Read :meth:`to_bytes`: the key must be within its bounds and give the public key whose id it has.

        Args:
            data: What :meth:`to_bytes` gave.

        Raises:
            TypeError: ``data`` is not bytes.
            DecodeError: Anything that :meth:`to_bytes` would not have written; does not say what.

        Timing: the same for every key; of what is no key it shows how far the checks came.
        """
        if not isinstance(data, bytes):
            raise TypeError(f"secret key: bytes expected, got {type(data).__name__}")
        self = cls._read(data)
        data = b""  # an error's traceback shows the variables of this frame
        if self is None:
            raise DecodeError("secret key: not the encoding of a key")
        return self

    @classmethod
    def _read(cls, data: bytes) -> SecretKey | None:
        if len(data) < 2 or data[0] != VERSION or data[1] not in SET_NAMES:
            return None
        chosen = named_set(SET_NAMES[data[1]])
        if len(data) != _HEAD_BYTES + chosen.N // 4 + chosen.N:
            return None
        key_id, seed = data[2 : 2 + KEY_ID_BYTES], data[2 + KEY_ID_BYTES : _HEAD_BYTES]
        raw = np.frombuffer(data, np.uint8, offset=_HEAD_BYTES)
        digits = (raw[: chosen.N // 4, None] >> np.arange(0, 8, 2, dtype=np.uint8)) & np.uint8(3)
        s = digits.reshape(-1).astype(np.int64) - 1
        e = raw[chosen.N // 4 :].astype(np.int64) - ERROR_ETA
        if int(s.max()) > 1 or int(e.max()) > ERROR_ETA or not within_bounds(s, e):
            return None
        self = cls._of(chosen, seed, s, e)
        return self if hmac.compare_digest(self.public_key.key_id, key_id) else None

    def to_bytes(self) -> bytes:
        """THE SECRET: ``66 + N/4 + N`` bytes; whoever stores it encrypts it.

        Version (1), set (1), key id (32), seed of a (32), ``s + 1`` with 2 bits and ``e + 21`` with 8 bits a
        coefficient.

        Timing: depends on N only.
        """
        digits = (self._secret + 1).astype(np.uint8).reshape(-1, 4)
        packed = np.bitwise_or.reduce(digits << np.arange(0, 8, 2, dtype=np.uint8), axis=1)
        error = (self._error + ERROR_ETA).astype(np.uint8)
        head = bytes((VERSION, SET_IDS[self.set])) + self.public_key.key_id + self._seed
        data: bytes = head + packed.tobytes() + error.tobytes()
        return data

    def decrypt(
        self,
        total: Ciphertext | CiphertextSum,
        *,
        threads: int = 1,
        progress: Progress | None = None,
    ) -> NDArray[np.int64]:
        """The vector, or the weighted sum of vectors, in a ciphertext.

        Gives exactly ``sum w_i values_i`` for ciphertexts made by :meth:`PublicKey.encrypt` and added as
        counted.  For others it gives whatever their maker chose, or refuses: noise above the bound for
        the counted weights, a slot beyond ``sum |w|`` times the largest value, padding that is not zero.

        Args:
            total: Of this key; read only.
            threads: Blocks of ring elements are spread over that many, 1 to 256.
            progress: Called by this thread with values done and values in all, now and then.

        Returns:
            New int64 array of shape ``(n_slots,)``.

        Raises:
            TypeError: Not a ciphertext.
            ParameterError: Of another key; a sum to which nothing was added, or that is of no use any more;
                or ``threads`` out of range.
            OverflowDetected: Refused.  One message for every cause; it stays with the holder of the key:
                whoever learns which ciphertexts are refused learns about the key.

        Timing: independent of the key and of the values.  What is refused is opened as a whole like the
            rest, and then overwritten, which takes a moment more.
        Source: Fan, Vercauteren, eprint 2012/144 (LPR.ES.Decrypt); docs/he-rlwe.md, "Construction".
        """
        params = self._check(total)
        out = np.empty(params.n_slots, np.int64)
        self._open(total, params, out, threads, progress)
        return out

    def decrypt_into(
        self,
        total: Ciphertext | CiphertextSum,
        out: NDArray[np.int64],
        *,
        threads: int = 1,
        progress: Progress | None = None,
    ) -> None:
        """:meth:`decrypt` into an array: nothing of the size of the vector is allocated.

        Args:
            total: As in :meth:`decrypt`.
            out: Writable, C-contiguous int64 of shape ``(n_slots,)``; may be a ``numpy.memmap``.
            threads, progress: As in :meth:`decrypt`.

        Raises:
            As :meth:`decrypt`; ``out`` is zeros after OverflowDetected.
            TypeError: ``out`` is not an int64 array.
            ParameterError: Of another shape, read-only, not contiguous or not aligned.

        Timing: as :meth:`decrypt`.
        """
        params = self._check(total)
        if not isinstance(out, np.ndarray) or isinstance(out, np.ma.MaskedArray) or out.dtype != np.int64:
            raise TypeError("out: int64 array without a mask expected")
        if out.shape != (params.n_slots,) or not out.flags.carray:
            raise ParameterError(f"out: writable, contiguous, aligned, of shape ({params.n_slots},) expected")
        self._open(total, params, out, threads, progress)

    # -- inside ---------------------------------------------------------------------------------
    def _check(self, total: Ciphertext | CiphertextSum) -> Params:
        if not isinstance(total, Ciphertext | CiphertextSum):
            raise TypeError(f"total: Ciphertext or CiphertextSum expected, got {type(total).__name__}")
        if total.key_id != self.public_key.key_id:
            raise ParameterError("total: of another key")
        if isinstance(total, CiphertextSum):
            total._require_whole()
            if not total.weight_sum:
                raise ParameterError("total: nothing was added")
        return total.params

    def _open(
        self,
        total: Ciphertext | CiphertextSum,
        params: Params,
        out: NDArray[np.int64],
        threads: int,
        progress: Progress | None,
    ) -> None:
        check_threads(threads)
        blocks = Blocks(params, total._form if isinstance(total, Ciphertext) else LOSSLESS)
        S, N = params.slots_per_coefficient, params.N
        noise = params.max_noise(total.weight_sum, total.square_sum, total.compressions)
        largest = total.weight_sum * ((1 << (params.value_bits - 1)) - 1)
        spaces = Pool(lambda: _Space(params))
        refused: list[bool] = []

        def work(block: Block) -> None:
            space = spaces.take()
            y, max_r = space.y[:, : block.rows], space.max_r[: block.rows]
            self._phase(total, blocks, block, y)
            start = block.start * N * S
            end = start + block.rows * N * S
            slots = out[start:end] if end <= len(out) else space.values[: end - start]
            params._rounding(0).open(slots.reshape(block.rows, N * S), max_r, y)
            low, high = codec.extremes(slots)
            bad = int(max_r.max()) > noise or low < -largest or high > largest
            if end > len(out):
                inside = len(out) - start
                out[start:] = slots[:inside]
                bad |= bool(slots[inside:].any())
            refused.append(bad)
            spaces.give(space)

        try:
            with closing(in_order(work, blocks, threads)) as opened:
                for done, _ in enumerate(opened, 1):
                    if progress is not None:
                        progress(len(out) * done // len(blocks), len(out))
        except BaseException:
            out.fill(0)
            raise
        finally:
            for space in spaces.made:
                space.erase()
        if any(refused):
            out.fill(0)
            raise OverflowDetected

    def _phase(
        self,
        total: Ciphertext | CiphertextSum,
        blocks: Blocks,
        block: Block,
        y: NDArray[np.uint64],
    ) -> None:
        """``c0 + c1 s`` of a block."""
        params = total.params
        whole, parts = params._rounding(0), params._ring
        if isinstance(total, CiphertextSum):
            y[...] = total._elements(1, block.start, block.rows)
        else:
            packed: Bytes = total._body[block.at : block.end]
            split = block.middle - block.at
            params._rounding(blocks.drop_bits[1]).unpack(y, packed[split:])
        parts.forward(y)
        parts.multiply(y, y, self._hat)
        parts.inverse(y)
        if isinstance(total, CiphertextSum):
            whole.add(y, total._elements(0, block.start, block.rows), 1)
        else:
            params._rounding(blocks.drop_bits[0]).accumulate(y, packed[:split], 1)

    def __setattr__(self, name: str, value: object) -> None:
        raise AttributeError("SecretKey is immutable")

    def __delattr__(self, name: str) -> None:
        raise AttributeError("SecretKey is immutable")

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, SecretKey):
            return NotImplemented
        return hmac.compare_digest(self.to_bytes(), other.to_bytes())

    __hash__ = None  # type: ignore[assignment]  # a hash would be a function of the secret

    def __reduce__(self) -> NoReturn:
        raise TypeError("a SecretKey is secret and is neither copied nor pickled; to_bytes() is explicit")

    def __repr__(self) -> str:
        return f"<rlwe.SecretKey {self.set} of {self.public_key.key_id[:4].hex()}>"


class _Space:
    """What one block of decryption needs; all of it secret."""

    __slots__ = ("max_r", "values", "y")

    def __init__(self, params: Params) -> None:
        rows = min(params._block_elements, params.n_elements)
        self.y = params._ring.empty(rows)
        self.values = np.empty(rows * params.N * params.slots_per_coefficient, np.int64)
        self.max_r = np.empty(rows, np.uint64)

    def erase(self) -> None:
        for array in (self.y, self.values, self.max_r):
            array.fill(0)


def within_bounds(s: NDArray[np.int64], e: NDArray[np.int64]) -> bool:
    """Whether a key is one that :func:`keygen` keeps; noise bounds rely on it."""
    bounds = key_bounds(len(s))
    # Coefficient i of s (1 + X + .. + X^(N-1)) is s_0 + .. + s_i - s_(i+1) - .. - s_(N-1).
    sums = np.cumsum(s)
    flat = int(np.abs(2 * sums - sums[-1]).max())
    return int(s @ s) <= bounds.secret and int(e @ e) <= bounds.error and flat <= bounds.flat


def keygen(set: str) -> SecretKey:
    """A fresh key pair of a named set, from the operating system's randomness.

    Keys outside the bounds on which the noise bound relies are drawn again: about one in 500.

    Args:
        set: One of ``he.SETS``.

    Returns:
        The secret key, ``66 + N/4 + N`` bytes when written, and in it the public one, ``34 + N L / 8``.

    Raises:
        TypeError: Not text.
        ParameterError: Unknown set.

    Timing: shows how many keys were drawn before one was within the bounds, and how many of its random words
        were drawn again, which tells nothing of its coefficients.
    Source: Lyubashevsky, Peikert, Regev, EUROCRYPT 2010; Fan, Vercauteren, eprint 2012/144
        (LPR.ES.SecretKeyGen, PublicKeyGen); bounds: docs/he-rlwe.md, "Construction".
    """
    return _keygen_derand(set, None)


def _keygen_derand(name: str, seed: bytes | None) -> SecretKey:
    """With ``seed`` (tests only) the key is determined by it."""
    chosen = named_set(name)
    stream = secret_stream() if seed is None else Stream(sha256_enc("SOTTOVOCE-V1-RLWE-DERAND", "key", seed))
    seed_of_a = np.empty(SEED_BYTES, np.uint8)
    stream.fill(seed_of_a)
    s, e = np.empty(chosen.N, np.int64), np.empty(chosen.N, np.int64)
    raw = np.empty(ERROR_BYTES * chosen.N, np.uint8)
    try:
        while True:
            draw_ternary(s, stream, raw)
            stream.fill(raw)
            sampler.cbd(e, raw, ERROR_ETA)
            if within_bounds(s, e):
                # Public: hashed, so that no output of the secret stream is shown as it is.
                public = sha256_enc("SOTTOVOCE-V1-RLWE-SEED", seed_of_a.tobytes())
                return SecretKey._of(chosen, public, s, e)
    finally:
        raw.fill(0)

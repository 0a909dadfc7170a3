"""The secret key: the primes, with which sums are opened; and how keys are made."""

from __future__ import annotations

import os
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from typing import Any, NoReturn

import gmpy2
import numpy as np
from gmpy2 import mpz
from numpy.typing import NDArray

from .._ext.errors import DecodeError, OverflowDetected, ParameterError
from . import _paillier_phe as phe
from . import _paillier_primes as primes
from ._paillier_cipher import Ciphertext
from ._paillier_pack import unpack
from ._paillier_params import DEFAULT_KEY_BITS, check_key_bits, in_values
from ._paillier_public import PublicKey, exponent_bits_of, head, random_base, read_head, wrong_base
from .params import Progress

_PART = 64
"""Ciphertexts opened at a time, between two reports of progress."""


def check_threads(threads: object) -> None:
    """A positive int."""
    if type(threads) is not int:
        raise TypeError(f"threads: int expected, got {type(threads).__name__}")
    if threads < 1:
        raise ParameterError(f"threads: at least 1 expected, got {threads}")


def keygen(bits: int = DEFAULT_KEY_BITS, *, short: bool = False) -> SecretKey:
    """A fresh key: two random primes, and an n-th power as base of the randomness.

    Args:
        bits: Bits of n: 3072 (128-bit security), 2048 (112) or 4096.
        short: Exponents of 448 (2048 bits) or 512 (3072 bits) instead of half the bits of n, for
            encrypting twice as fast.  With half the bits, randomness is as good as from full exponents if
            n is hard to factor (Goldreich, Rosen, J. Cryptology 16, 2003).  Short ones ASSUME more: the
            short-exponent discrete logarithm assumption, that nobody tells ``h^alpha mod n`` with an alpha
            of so few bits from one with a long alpha (Koshiba, Kurosawa, PKC 2004).

    Returns:
        A fresh key, ``4 + 3 bits / 8`` bytes when written.

    Raises:
        TypeError: Wrong types.
        ParameterError: A size that is not defined, or short exponents for keys of 4096 bits.

    Timing: a second or so, more with more bits; varies widely, with how many candidates were tried and at
        which test each failed: not constant time.
    Source: FIPS 186-5, appendix A.1.3, for the primes; Damgard, Jurik, Nielsen, Int. J. Inf. Secur. 9 (2010),
        section 4.2, for h; docs/he-paillier.md, "Construction".
    """
    check_key_bits("bits", bits)
    exponent_bits = exponent_bits_of(bits, short)
    p, q = primes.blum_pair(bits)
    # -x^2 and not x^2: modulo Blum primes it is a non-residue with Jacobi symbol 1.
    return SecretKey._of(p, q, random_base(p * q, -1), exponent_bits)


class _Half:
    """Opening modulo the square of one prime.

    The numbers to be raised are blinded: multiplied by r^p, which to the power p - 1 is 1 modulo p^2.
    Montgomery reductions take a little longer for some numbers than for others, and whoever may choose
    ciphertexts and measure time could find p with that (Brumley, Boneh, USENIX Security 2003).
    """

    __slots__ = ("_blind", "factor", "prime", "square")

    MAX_USES = 1024
    """Blinds are squared from use to use, and drawn again after that many."""

    def __init__(self, prime: int, factor: int) -> None:
        self.prime = prime
        self.square = prime * prime
        self.factor = factor
        self._blind: tuple[int, int, int] = (0, 0, self.MAX_USES)  # process, value, uses

    def _blinds(self, count: int) -> list[int]:
        # No lock: of two threads at once, both may take the same blinds, which does no harm.
        process, blind, uses = self._blind
        out = []
        for _ in range(count):
            if uses >= self.MAX_USES or process != os.getpid():
                blind = gmpy2.powmod(primes.unit(self.prime), self.prime, self.square)
                process, uses = os.getpid(), 0
            out.append(blind)
            blind, uses = blind * blind % self.square, uses + 1
        self._blind = process, blind, uses
        return out

    def residues(self, c: list[int]) -> list[int]:
        """Plaintexts modulo the prime."""
        p, square = self.prime, self.square
        blinded = [x * b % square for x, b in zip(c, self._blinds(len(c)), strict=True)]
        raised = gmpy2.powmod_base_list(blinded, p - 1, square)
        return [gmpy2.divexact(x - 1, p) * self.factor % p for x in raised]


class SecretKey:
    """Opens sums: the two primes.  Immutable; neither copied, pickled nor shown.

    What it cannot give: wiping.  Python's and GMP's integers stay in memory until it is used again.

    Safe to use from several threads.

    Attributes:
        public_key: The public half.

    Timing: not constant time; what it depends on says docs/he-paillier.md, "Timing", and each method.
    Source: Paillier, EUROCRYPT 1999, sections 4 and 7; docs/he-paillier.md, "Construction".
    """

    __slots__ = ("_p", "_q", "public_key")

    public_key: PublicKey
    _p: _Half
    _q: _Half

    def __init__(self) -> None:
        raise TypeError("made by keygen, SecretKey.from_bytes or SecretKey.from_phe")

    @classmethod
    def _of(cls, p: int, q: int, hs: int, exponent_bits: int) -> SecretKey:
        self = object.__new__(cls)
        n = p * q
        # L((1 + n)^(p-1) mod p^2) = (p - 1) n / p = -q modulo p, so 1 / h_p = -1 / q.
        for name, value in (
            ("_p", _Half(p, gmpy2.invert(-q, p))),
            ("_q", _Half(q, gmpy2.invert(-p, q))),
            ("public_key", PublicKey._of(n, hs, exponent_bits)),
        ):
            object.__setattr__(self, name, value)
        return self

    def decrypt(
        self, ciphertext: Ciphertext, threads: int = 1, *, progress: Progress | None = None
    ) -> NDArray[np.int64]:
        """Open a vector, or a sum of vectors.

        Args:
            ciphertext: Of this key; read only.
            threads: At least 1, to share the work among; the powers, nearly all of it, release the
                interpreter's lock.
            progress: Called by this thread with values done and values in all, now and then.

        Returns:
            New int64 array of shape ``(params.n_slots,)``.

        Raises:
            TypeError: Another object, or ``threads`` is no int.
            ParameterError: Of another key; or ``threads`` is not positive.
            OverflowDetected: A slot exceeds ``weight (2**(value_bits-1) - 1)``, or padding is not zero:
                not a sum of well-formed vectors.  One message for all.

        Timing: not constant time, but the powers are of blinded numbers, so that how long it takes does
            not depend on chosen ciphertexts; docs/he-paillier.md, "Timing".
        Source: Paillier, EUROCRYPT 1999, section 7: modulo p^2 and q^2, put together by Garner's formula.
        """
        from ._paillier_cipher import Ciphertext

        if not isinstance(ciphertext, Ciphertext):
            raise TypeError(f"ciphertext: paillier.Ciphertext expected, got {type(ciphertext).__name__}")
        if ciphertext.public_key.key_id != self.public_key.key_id:
            raise ParameterError("ciphertext: of another key")
        check_threads(threads)
        opened = self._open(ciphertext, threads, progress)
        if opened is None:
            raise OverflowDetected
        return opened

    def _open(
        self, ciphertext: Ciphertext, threads: int, progress: Progress | None
    ) -> NDArray[np.int64] | None:
        params = ciphertext.params
        numbers = self._decrypt_raw(list(ciphertext._c), threads, in_values(params, progress))
        rows, fits = unpack(params, numbers)
        values = rows.reshape(-1)
        bound = ciphertext.weight_sum * params.max_value
        fits &= int(values.max()) <= bound and int(values.min()) >= -bound
        fits &= not values[params.n_slots :].any()
        return values[: params.n_slots].copy() if fits else None

    def _decrypt_raw(self, c: list[int], threads: int, progress: Progress | None = None) -> list[int]:
        """Plaintexts, centred modulo n."""
        p, q, n = self._p.prime, self._q.prime, self.public_key._n
        size = min(-(-len(c) // threads), _PART)
        parts = [c[i : i + size] for i in range(0, len(c), size)]

        def open_part(part: list[int]) -> tuple[list[int], list[int]]:
            return self._p.residues(part), self._q.residues(part)

        residues: list[tuple[list[int], list[int]]] = []
        with ExitStack() as stack:
            opened: Iterable[tuple[list[int], list[int]]] = map(open_part, parts)
            if threads > 1 and len(parts) > 1:
                pool = ThreadPoolExecutor(min(threads, len(parts)))
                stack.callback(pool.shutdown, cancel_futures=True)
                opened = pool.map(open_part, parts)
            for pair in opened:
                residues.append(pair)
                if progress is not None:
                    progress(min(size * len(residues), len(c)), len(c))
        # Garner: m = m_q + q ((m_p - m_q) / q mod p), and 1 / q = -(1 / h_p).
        inverse, half = p - self._p.factor, n >> 1
        out = []
        for mps, mqs in residues:
            for mp, mq in zip(mps, mqs, strict=True):
                m = mq + q * ((mp - mq) * inverse % p)
                out.append(m - n if m > half else m)
        return out

    # -- bytes ----------------------------------------------------------------------------------
    def to_bytes(self) -> bytes:
        """THE SECRET: ``4 + 3 bits / 8`` bytes, little-endian.

        bits (2), exponent_bits (2), p and q (bits/16 each, p < q), hs (bits/4).

        Timing: depends on the size only.
        """
        public = self.public_key
        p, q = self._p.prime, self._q.prime
        data: bytes = (
            head(public.bits, public.exponent_bits)
            + p.to_bytes(public.bits // 16, "little")
            + q.to_bytes(public.bits // 16, "little")
            + public._hs.to_bytes(public.bits // 4, "little")
        )
        return data

    @classmethod
    def from_bytes(cls, data: bytes) -> SecretKey:
        """Read :meth:`to_bytes`.

        Args:
            data: What :meth:`to_bytes` gave.

        Raises:
            TypeError: ``data`` is not bytes.
            DecodeError: Another length, sizes that are not defined, or numbers that are no key: p or q
                not a prime of half the length, p not below q or too near to it, n of another length, hs not
                an n-th power or degenerate.  Of the numbers it does not say which.

        Timing: depends on the primes.
        """
        if not isinstance(data, bytes):
            raise TypeError(f"secret key: bytes expected, got {type(data).__name__}")
        key = _read_secret(data)
        data = b""  # an error's traceback shows the variables of this frame
        if isinstance(key, str):
            raise DecodeError(f"secret key: {key}")
        return key

    @classmethod
    def from_phe(cls, private_key: Any, *, short: bool = False) -> SecretKey:
        """Take over a ``phe.PaillierPrivateKey``; see :meth:`PublicKey.from_phe`.

        Args:
            private_key: Of 2048, 3072 or 4096 bits, with primes of equal length.
            short: As in :func:`keygen`.

        Raises:
            KernelUnavailable: ``phe`` (GPL) is not installed; it comes with the extra of that name.
            TypeError: Another object.
            ParameterError: A size that is not defined, or numbers that are no key.

        Timing: depends on the primes.
        """
        bits = phe.check_private(private_key)
        check_key_bits("private_key", bits)
        exponent_bits = exponent_bits_of(bits, short)
        key = _import_secret(private_key, bits, exponent_bits)
        if key is None:
            raise ParameterError("private_key: not a key with two primes of equal length")
        return key

    def to_phe(self) -> Any:
        """THE SECRET as ``phe.PaillierPrivateKey``.

        Raises:
            KernelUnavailable: ``phe`` (GPL) is not installed; it comes with the extra of that name.
        """
        return phe.load().PaillierPrivateKey(self.public_key.to_phe(), int(self._p.prime), int(self._q.prime))

    def __setattr__(self, name: str, value: object) -> None:
        raise AttributeError("SecretKey is immutable")

    def __delattr__(self, name: str) -> None:
        raise AttributeError("SecretKey is immutable")

    def __reduce__(self) -> NoReturn:
        raise TypeError("a SecretKey is neither copied nor pickled; to_bytes gives it away knowingly")

    def __repr__(self) -> str:
        public = getattr(self, "public_key", None)
        return "<paillier.SecretKey>" if public is None else f"<paillier.SecretKey {public.bits} bits>"


def _read_secret(data: bytes) -> SecretKey | str:
    """The key, or what is wrong, without its numbers."""
    bits, exponent_bits, wrong = read_head(data)
    if wrong:
        return wrong
    size = bits // 16
    p, q, hs = (
        mpz.from_bytes(part, "little")
        for part in (data[4 : 4 + size], data[4 + size : 4 + 2 * size], data[4 + 2 * size :])
    )
    if not _are_primes_of_a_key(p, q, bits) or wrong_base(p * q, hs):
        return "not a key"
    # An n-th power: its order divides (p - 1)(q - 1).
    if any(gmpy2.powmod(hs, r - 1, r * r) != 1 for r in (p, q)):
        return "not a key"
    return SecretKey._of(p, q, hs, exponent_bits)


def _import_secret(private_key: Any, bits: int, exponent_bits: int) -> SecretKey | None:
    p, q = sorted((mpz(private_key.p), mpz(private_key.q)))
    if p * q != private_key.public_key.n or not _are_primes_of_a_key(p, q, bits):
        return None
    return SecretKey._of(p, q, random_base(p * q, 1), exponent_bits)


def _are_primes_of_a_key(p: int, q: int, bits: int) -> bool:
    """Of equal length, not close to each other, p below q.

    Then ``gcd(n, (p - 1)(q - 1)) = 1``: p divides q - 1 only if q > 2 p.
    """
    half = bits // 2
    return (
        p.bit_length() == q.bit_length() == half
        and (p * q).bit_length() == bits
        and p < q
        and bool((q - p) >> (half - 100))
        and primes.is_prime(p)
        and primes.is_prime(q)
    )

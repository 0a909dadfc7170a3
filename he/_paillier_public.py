"""The public key: the modulus, and the base of the randomness."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any

import gmpy2
import numpy as np
from gmpy2 import mpz
from numpy.typing import NDArray

from .._ext.enc import sha256_enc
from .._ext.errors import DecodeError, ParameterError
from . import _paillier_phe as phe
from . import _paillier_primes as primes
from ._paillier_pack import BLOCK, checked, pack
from ._paillier_params import KEY_BITS, Params, check_key_bits, check_params, in_values
from ._paillier_power import powers
from .params import Progress

if TYPE_CHECKING:
    from ._paillier_cipher import Ciphertext

SHORT_BITS = {2048: 448, 3072: 512}
"""Bits of a short exponent: finding it by Pollard's kangaroos takes the root of 2^bits, 2^224 and 2^256."""


def exponent_bits_of(key_bits: int, short: bool) -> int:
    """Bits of alpha.

    Raises:
        TypeError: ``short`` is not a bool.
        ParameterError: Short exponents of this key size are not defined.
    """
    if type(short) is not bool:
        raise TypeError(f"short: bool expected, got {type(short).__name__}")
    if not short:
        return key_bits // 2
    if key_bits not in SHORT_BITS:
        raise ParameterError(f"short: for keys of {', '.join(map(str, SHORT_BITS))} bits only")
    return SHORT_BITS[key_bits]


class PublicKey:
    """Encrypts vectors: the modulus n, and ``hs``, an n-th power that makes the randomness cheap.

    Immutable and always valid in what can be seen without the primes.  Whether n has two large primes and
    hs is an n-th power only its maker knows, so it has to come from somebody trusted.

    Attributes:
        bits: Bits of n: 2048, 3072 or 4096.
        exponent_bits: Bits of the random exponents: half of ``bits``, or 448 and 512 where ``short`` was
            asked for.
        key_id: 32 bytes, ``SHA-256(enc("SOTTOVOCE-V1-PAILLIER-KEY", n))``, of n alone: ciphertexts under
            different hs of one n add.

    Timing: the key is public; :meth:`encrypt` is not constant time, see there.
    Source: Paillier, EUROCRYPT 1999, section 4; Damgard, Jurik, Nielsen, Int. J. Inf. Secur. 9 (2010),
        section 4.2; docs/he-paillier.md, "Construction".
    """

    __slots__ = ("_hs", "_n", "_n2", "bits", "exponent_bits", "key_id")

    bits: int
    exponent_bits: int
    key_id: bytes
    _n: int
    _n2: int
    _hs: int

    def __init__(self) -> None:
        raise TypeError("made by keygen, PublicKey.from_bytes or PublicKey.from_phe")

    @classmethod
    def _of(cls, n: int, hs: int, exponent_bits: int) -> PublicKey:
        self = object.__new__(cls)
        bits = int(n.bit_length())
        for name, value in (
            ("_n", n),
            ("_n2", n * n),
            ("_hs", hs),
            ("bits", bits),
            ("exponent_bits", exponent_bits),
            ("key_id", sha256_enc("SOTTOVOCE-V1-PAILLIER-KEY", n.to_bytes(bits // 8, "little"))),
        ):
            object.__setattr__(self, name, value)
        return self

    @property
    def n(self) -> int:
        """The modulus, of :attr:`bits` bits."""
        return int(self._n)

    def encrypt(
        self, values: NDArray[np.int64], params: Params, *, progress: Progress | None = None
    ) -> Ciphertext:
        """Encrypt a vector: ``c = (1 + M n) hs^alpha mod n^2`` for every packed M, alpha fresh.

        Hides the values, not how many there are.  Gives IND-CPA only: who has the public key can make
        and change ciphertexts, so they travel inside a signcryption.

        Args:
            values: int64, shape ``(params.n_slots,)``, each within ``+-(2**(value_bits-1) - 1)``;
                copied, then checked, and never kept.
            params: The packing, for keys of this size; the same for all whose vectors are added.
            progress: Called by this thread with values done and values in all, now and then.

        Returns:
            A ciphertext of weight 1, ``params.ciphertext_bytes`` bytes when written: at 3072 bits 6.5 a
            value of 16 bits in sums of 1024.

        Raises:
            TypeError: Not an int64 array, or a masked one; or ``params`` is none.
            ParameterError: Another shape, or params of another key size.
            RangeError: A value is too large; tells the index and the bound.

        Timing: not constant time; docs/he-paillier.md, "Timing".  gmpy2's products hold the interpreter's
            lock, so threads do not help; processes do.
        Source: Paillier, EUROCRYPT 1999, with g = n + 1; Damgard, Jurik, Nielsen, Int. J. Inf. Secur. 9
            (2010), section 4.2.
        """
        return self._encrypt_derand(values, params, None, progress)

    def _encrypt_derand(
        self,
        values: NDArray[np.int64],
        params: Params,
        alphas: NDArray[np.uint8] | None,
        progress: Progress | None = None,
    ) -> Ciphertext:
        """With ``alphas`` (tests only) the result is determined: exponents, one a row, little-endian."""
        from ._paillier_cipher import Ciphertext

        self._check_params(params)
        slots = checked(params, values)
        try:
            plain: list[int] = []
            for start in range(0, len(slots), BLOCK):
                plain += pack(params, slots[start : start + BLOCK])
        finally:
            slots.fill(0)
        exponents = self._draw(len(plain)) if alphas is None else alphas
        c = powers(self._n, self._hs, exponents, plain, in_values(params, progress))
        return Ciphertext._of(self, params, 1, tuple(c))

    def _draw(self, count: int) -> NDArray[np.uint8]:
        n_bytes = self.exponent_bits // 8
        return np.frombuffer(os.urandom(count * n_bytes), np.uint8).reshape(count, n_bytes)

    def _check_params(self, params: Params) -> None:
        check_params(params)
        if params.key_bits != self.bits:
            raise ParameterError(f"params: for keys of {self.bits} bits expected, got {params.key_bits}")

    # -- bytes ----------------------------------------------------------------------------------
    def to_bytes(self) -> bytes:
        """``4 + 3 bits / 8`` bytes, little-endian: bits (2), exponent_bits (2), n (bits/8), hs (bits/4)."""
        return (
            head(self.bits, self.exponent_bits)
            + self._n.to_bytes(self.bits // 8, "little")
            + self._hs.to_bytes(self.bits // 4, "little")
        )

    @classmethod
    def from_bytes(cls, data: bytes) -> PublicKey:
        """Read :meth:`to_bytes`.

        Args:
            data: What :meth:`to_bytes` gave, from somebody trusted.

        Raises:
            TypeError: ``data`` is not bytes.
            DecodeError: Another length; sizes that are not defined; n of another length, even, with a
                small factor, a power or a prime; hs not in ``(1, n^2)``, not a unit, or +-1 modulo n.
                Says which.

        Timing: depends on public data only.
        """
        if not isinstance(data, bytes):
            raise TypeError(f"public key: bytes expected, got {type(data).__name__}")
        bits, exponent_bits, wrong = read_head(data)
        n = mpz.from_bytes(data[4 : 4 + bits // 8], "little")
        hs = mpz.from_bytes(data[4 + bits // 8 :], "little")
        wrong = wrong or wrong_modulus(n, bits) or wrong_base(n, hs)
        if wrong:
            raise DecodeError(f"public key: {wrong}")
        return cls._of(n, hs, exponent_bits)

    @classmethod
    def from_phe(cls, public_key: Any, *, short: bool = False) -> PublicKey:
        """Take over a ``phe.PaillierPublicKey``, with an hs of our own: ``x^(2n)``, x random.

        Whoever does this gets another hs, and all of them add: an n-th power is an n-th power.  x is
        squared because primes of ``phe`` need not be 3 modulo 4, and ``-x^2`` is something special only
        if they are.  Send :meth:`to_bytes` on rather than doing this twice.

        Args:
            public_key: Of 2048, 3072 or 4096 bits.
            short: As in :func:`keygen`.

        Raises:
            KernelUnavailable: ``phe`` (GPL) is not installed; it comes with the extra of that name.
            TypeError: Another object.
            ParameterError: A size that is not defined, or a modulus that is none.

        Timing: not constant time in the random x, which need not stay secret.
        """
        n = phe.modulus(public_key)
        bits = int(n.bit_length())
        check_key_bits("public_key", bits)
        exponent_bits = exponent_bits_of(bits, short)
        wrong = wrong_modulus(n, bits)
        if wrong:
            raise ParameterError(f"public_key: {wrong}")
        return cls._of(n, random_base(n, 1), exponent_bits)

    def to_phe(self) -> Any:
        """The ``phe.PaillierPublicKey`` with this n.

        Raises:
            KernelUnavailable: ``phe`` (GPL) is not installed; it comes with the extra of that name.
        """
        return phe.load().PaillierPublicKey(int(self._n))

    def __setattr__(self, name: str, value: object) -> None:
        raise AttributeError("PublicKey is immutable")

    def __delattr__(self, name: str) -> None:
        raise AttributeError("PublicKey is immutable")

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, PublicKey):
            return NotImplemented
        return (self._n, self._hs, self.exponent_bits) == (other._n, other._hs, other.exponent_bits)

    def __hash__(self) -> int:
        return hash((self.key_id, self.exponent_bits))

    def __reduce__(self) -> tuple[object, ...]:
        return (PublicKey.from_bytes, (self.to_bytes(),))

    def __repr__(self) -> str:
        return f"<paillier.PublicKey {self.bits} bits, {self.key_id[:4].hex()}>"


def random_base(n: int, sign: int) -> int:
    """``hs = h^n mod n^2`` with ``h = sign x^2 mod n``, x a random unit; ``hs^alpha`` is ``(h^alpha)^n``."""
    while True:
        x = primes.unit(n)
        hs: int = gmpy2.powmod(sign * x * x % n, n, n * n)
        if not wrong_base(n, hs):
            return hs


def wrong_modulus(n: int, bits: int) -> str:
    """What shows, without its primes, that n is no modulus; empty if nothing."""
    if n.bit_length() != bits:
        return f"n does not have {bits} bits"
    if n % 2 == 0:
        return "n is even"
    if primes.has_small_factor(n):
        return "n has a small factor"
    if gmpy2.is_power(n):
        return "n is a power"
    if gmpy2.is_prime(n):
        return "n is a prime"
    return ""


def wrong_base(n: int, hs: int) -> str:
    """What shows that hs hides nothing; empty if nothing."""
    if not 1 < hs < n * n:
        return "hs is not in (1, n^2)"
    if gmpy2.gcd(hs, n) != 1:
        return "hs is not a unit"
    if hs % n in (1, n - 1):
        # The powers of an n-th power with this residue are 1 or +-1; of another number they tell alpha.
        return "hs is +-1 modulo n"
    return ""


def head(bits: int, exponent_bits: int) -> bytes:
    """What the bytes of both keys begin with."""
    return bits.to_bytes(2, "little") + exponent_bits.to_bytes(2, "little")


def read_head(data: bytes) -> tuple[int, int, str]:
    """bits and exponent_bits of the bytes of a key, and what is wrong with them or with the length.

    Does not raise: the bytes may be secret, and an error would take them along in its traceback.
    """
    bits, exponent_bits = int.from_bytes(data[:2], "little"), int.from_bytes(data[2:4], "little")
    if len(data) < 4 or bits not in KEY_BITS:
        return 0, 0, f"a size of {', '.join(map(str, KEY_BITS))} bits expected"
    if exponent_bits not in (bits // 2, SHORT_BITS.get(bits)):
        return 0, 0, f"exponents of {exponent_bits} bits are not defined for {bits} bits"
    length = 4 + 3 * bits // 8
    if len(data) != length:
        return 0, 0, f"{length} bytes expected, got {len(data)}"
    return bits, exponent_bits, ""


def check_public_key(public_key: object) -> None:
    """TypeError unless it is one: everything else was checked when it was made."""
    if not isinstance(public_key, PublicKey):
        raise TypeError(f"public_key: paillier.PublicKey expected, got {type(public_key).__name__}")

"""Vectors of ciphertexts, their sums and their multiples by public integers."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from itertools import repeat
from typing import Any, NoReturn

import gmpy2
from gmpy2 import mpz

from .._ext.errors import DecodeError, ParameterError, RangeError
from . import _paillier_phe as phe
from ._paillier_params import (
    HEADER_BYTES,
    KEY_ID_BYTES,
    PARAMS_BYTES,
    Params,
    check_length,
    in_values,
)
from ._paillier_power import powers
from ._paillier_public import PublicKey, check_public_key
from .params import Progress


class Ciphertext:
    """An encrypted vector, or a sum of some: ``params.n_ciphertexts`` units modulo n^2.

    Immutable.  Carries its key, its packing and its weight, and refuses whatever would mix keys or
    packings or carry a slot into the next.  IND-CPA only and malleable: it travels inside a signcryption.

    A sum is a function of its summands: who has them sees which were added, and with which weights.
    :meth:`rerandomize` before it leaves for somebody who must not know.

    Attributes:
        public_key: Whose secret key opens it.
        params: The packing.
        weight_sum: 1 when fresh; of a sum, the sum of the absolute weights of the summands.  At most
            ``params.max_summands``.

    Timing: depends on ciphertexts and weights, which are public; of :meth:`rerandomize` see there.
    Source: Paillier, EUROCRYPT 1999, section 4 and, for sums and multiples, section 8; as here:
        docs/he-paillier.md, "Adding"; bytes: docs/he-paillier.md, "Wire formats".
    """

    __slots__ = ("_c", "params", "public_key", "weight_sum")

    public_key: PublicKey
    params: Params
    weight_sum: int
    _c: tuple[int, ...]

    def __init__(self) -> None:
        raise TypeError("made by PublicKey.encrypt, add, sum, Ciphertext.from_bytes or Ciphertext.from_phe")

    @classmethod
    def _of(cls, public_key: PublicKey, params: Params, weight: int, c: tuple[int, ...]) -> Ciphertext:
        self = object.__new__(cls)
        object.__setattr__(self, "public_key", public_key)
        object.__setattr__(self, "params", params)
        object.__setattr__(self, "weight_sum", weight)
        object.__setattr__(self, "_c", c)
        return self

    # -- arithmetic -----------------------------------------------------------------------------
    def multiply(self, weight: int) -> Ciphertext:
        """Every value times a public integer; the weight becomes ``|weight|`` times as much.

        Args:
            weight: Not 0, of either sign; ``|weight|`` times :attr:`weight_sum` at most
                ``params.max_summands``.

        Returns:
            A new ciphertext; not re-randomised.

        Raises:
            TypeError: Not an int.
            ParameterError: 0: the result would be the same for all vectors.
            RangeError: Beyond ``params.max_summands``.

        Timing: powers to the weight, which is public, modulo n^2.
        """
        total = CiphertextSum(self.public_key, self.params)
        total.add(self, weight)
        return total.to_ciphertext()

    def rerandomize(self, *, progress: Progress | None = None) -> Ciphertext:
        """The same vector under fresh randomness; nobody without the secret key can link the two.

        Takes as long as encrypting.

        Args:
            progress: Called by this thread with values done and values in all, now and then.

        Returns:
            A new ciphertext of the same weight.

        Timing: as :meth:`PublicKey.encrypt`: the digits of the fresh exponents choose entries of a table.
        Source: Damgard, Jurik, Nielsen, Int. J. Inf. Secur. 9 (2010), section 4.2; docs/he-paillier.md,
            "Adding".
        """
        key = self.public_key
        fresh = powers(key._n, key._hs, key._draw(len(self._c)), None, in_values(self.params, progress))
        n2 = key._n2
        return self._of(
            key, self.params, self.weight_sum, tuple(c * r % n2 for c, r in zip(self._c, fresh, strict=True))
        )

    # -- bytes ----------------------------------------------------------------------------------
    def to_bytes(self) -> bytes:
        """``params.ciphertext_bytes`` bytes, integers little-endian.

        key_id (32), params (17, see :meth:`Params.to_bytes`), weight (4), then the units modulo n^2,
        bits/4 each.
        """
        size = self.public_key.bits // 4
        head = self.public_key.key_id + self.params.to_bytes() + self.weight_sum.to_bytes(4, "little")
        return head + b"".join(c.to_bytes(size, "little") for c in self._c)

    @classmethod
    def from_bytes(cls, data: bytes, public_key: PublicKey, params: Params) -> Ciphertext:
        """Read :meth:`to_bytes`.

        Args:
            data: What :meth:`to_bytes` gave, ``params.ciphertext_bytes`` bytes.
            public_key: The key that it must be under.
            params: The packing that it must have.

        Raises:
            TypeError: Wrong types.
            ParameterError: ``params`` is for keys of another size.
            DecodeError: Another length, key or packing; a weight not in ``1 .. max_summands``; a number
                that is no unit modulo n^2.  Says which.

        Timing: depends on public data only.
        """
        check_public_key(public_key)
        public_key._check_params(params)
        check_length("ciphertext", data, params.ciphertext_bytes)
        if data[:KEY_ID_BYTES] != public_key.key_id:
            raise DecodeError("ciphertext: of another key")
        if data[KEY_ID_BYTES : KEY_ID_BYTES + PARAMS_BYTES] != params.to_bytes():
            raise DecodeError("ciphertext: of another packing")
        weight = int.from_bytes(data[HEADER_BYTES - 4 : HEADER_BYTES], "little")
        if not 1 <= weight <= params.max_summands:
            raise DecodeError(f"ciphertext: weight of 1 to {params.max_summands} expected, got {weight}")
        size = params.key_bits // 4
        c = [
            mpz.from_bytes(data[start : start + size], "little")
            for start in range(HEADER_BYTES, len(data), size)
        ]
        wrong = _wrong_units(public_key, c)
        if wrong:
            raise DecodeError(f"ciphertext: {wrong}")
        return cls._of(public_key, params, weight, tuple(c))

    @classmethod
    def from_phe(
        cls, numbers: Iterable[Any], public_key: PublicKey, params: Params, weight: int = 1
    ) -> Ciphertext:
        """Take over ``phe.EncryptedNumber`` objects that encrypt packed integers, with exponent 0.

        Args:
            numbers: ``params.n_ciphertexts`` of them.
            public_key: With the same n.
            params: The packing; with ``slots=1`` every number stands for itself.
            weight: What the numbers count for, 1 to ``params.max_summands``; their maker's word, as it is
                that they fit.

        Raises:
            KernelUnavailable: ``phe`` (GPL) is not installed; it comes with the extra of that name.
            TypeError: Wrong types.
            ParameterError: Another count, key, key size or exponent, or a number that is no unit modulo n^2.
            RangeError: ``weight`` not in ``1 .. max_summands``.

        Timing: depends on public data only.
        """
        check_public_key(public_key)
        public_key._check_params(params)
        if type(weight) is not int:
            raise TypeError(f"weight: int expected, got {type(weight).__name__}")
        if not 1 <= weight <= params.max_summands:
            raise RangeError(f"weight: 1 to {params.max_summands} expected, got {weight}")
        c = phe.raw(numbers, public_key._n)
        if len(c) != params.n_ciphertexts:
            raise ParameterError(f"numbers: {params.n_ciphertexts} expected, got {len(c)}")
        wrong = _wrong_units(public_key, c)
        if wrong:
            raise ParameterError(f"numbers: {wrong}")
        return cls._of(public_key, params, weight, tuple(c))

    def to_phe(self) -> list[Any]:
        """As ``phe.EncryptedNumber`` objects with exponent 0; decrypting gives the packed integers.

        ``phe`` re-randomises them when its own ``ciphertext()`` is called.

        Raises:
            KernelUnavailable: ``phe`` (GPL) is not installed; it comes with the extra of that name.
        """
        key = self.public_key.to_phe()
        kind = phe.load().EncryptedNumber
        return [kind(key, int(c), 0) for c in self._c]

    @property
    def digest(self) -> bytes:
        """SHA-256 of :meth:`to_bytes`, 32 bytes."""
        return hashlib.sha256(self.to_bytes()).digest()

    def __setattr__(self, name: str, value: object) -> None:
        raise AttributeError("Ciphertext is immutable")

    def __delattr__(self, name: str) -> None:
        raise AttributeError("Ciphertext is immutable")

    def _same_kind(self, other: Ciphertext) -> bool:
        return self.public_key.key_id == other.public_key.key_id and self.params == other.params

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Ciphertext):
            return NotImplemented
        return self._same_kind(other) and self.weight_sum == other.weight_sum and self._c == other._c

    def __hash__(self) -> int:
        return hash((self.public_key.key_id, self.params, self.weight_sum, self._c))

    def __reduce__(self) -> tuple[object, ...]:
        return (Ciphertext.from_bytes, (self.to_bytes(), self.public_key, self.params))

    def __repr__(self) -> str:
        return f"<paillier.Ciphertext of {self.params.n_slots} values, weight {self.weight_sum}>"


class CiphertextSum:
    """A running sum: the memory of one ciphertext, however many are added.

    Not safe for concurrent change: give every worker its own and :meth:`merge` them.  Not pickled; its
    :meth:`to_ciphertext` is.

    Attributes:
        public_key: Whose secret key opens it.
        params: The packing.

    Raises:
        TypeError: Wrong types.
        ParameterError: ``params`` is for keys of another size.

    Timing: depends on ciphertexts and weights, which are public.
    Source: Paillier, EUROCRYPT 1999, section 8; docs/he-paillier.md, "Adding".
    """

    __slots__ = ("_c", "_weight", "params", "public_key")

    def __init__(self, public_key: PublicKey, params: Params) -> None:
        check_public_key(public_key)
        public_key._check_params(params)
        self.public_key = public_key
        self.params = params
        self._weight = 0
        self._c: list[int] = []

    @property
    def weight_sum(self) -> int:
        """Sum of the absolute weights of what is in it, 0 to ``params.max_summands``."""
        return self._weight

    def add(self, ciphertext: Ciphertext, weight: int = 1) -> None:
        """Add one, times a public integer; that it is not in the sum already is the caller's to know.

        Args:
            ciphertext: Of the same key and packing; read, never kept.
            weight: Not 0, of either sign.

        Raises:
            TypeError: Wrong types.
            ParameterError: Of another key or packing; or ``weight`` is 0.
            RangeError: Together more than ``max_summands``.  Unchanged after an error.
        """
        if not isinstance(ciphertext, Ciphertext):
            raise TypeError(f"ciphertext: paillier.Ciphertext expected, got {type(ciphertext).__name__}")
        if type(weight) is not int:
            raise TypeError(f"weight: int expected, got {type(weight).__name__}")
        self._check(ciphertext.public_key, ciphertext.params)
        if weight == 0:
            raise ParameterError("weight: not 0 expected")
        self._grow(ciphertext.weight_sum * abs(weight), list(ciphertext._c), weight)

    def merge(self, other: CiphertextSum) -> None:
        """Add another partial sum; ``other`` is left as it is.

        Args:
            other: Of the same key and packing; read only.

        Raises:
            TypeError: Another object.
            ParameterError: Of another key or packing.
            RangeError: Together more than ``max_summands``.  Unchanged after an error.
        """
        if not isinstance(other, CiphertextSum):
            raise TypeError(f"other: paillier.CiphertextSum expected, got {type(other).__name__}")
        self._check(other.public_key, other.params)
        if other._weight:
            self._grow(other._weight, other._c, 1)

    def to_ciphertext(self) -> Ciphertext:
        """The sum so far.  Not re-randomised: see :meth:`Ciphertext.rerandomize`.

        Raises:
            ParameterError: Nothing was added.
        """
        if not self._weight:
            raise ParameterError("sum: nothing was added")
        return Ciphertext._of(self.public_key, self.params, self._weight, tuple(self._c))

    def _check(self, public_key: PublicKey, params: Params) -> None:
        if public_key.key_id != self.public_key.key_id:
            raise ParameterError("sum: a ciphertext of another key")
        if params != self.params:
            raise ParameterError("sum: a ciphertext of another packing")

    def _grow(self, by: int, c: list[int], power: int) -> None:
        if self._weight + by > self.params.max_summands:
            raise RangeError(f"sum: weights of at most {self.params.max_summands} together")
        n2 = self.public_key._n2
        if power != 1:
            c = gmpy2.powmod_base_list(c, power, n2)
        self._c = [a * b % n2 for a, b in zip(self._c, c, strict=True)] if self._weight else list(c)
        self._weight += by

    def __reduce__(self) -> NoReturn:
        raise TypeError("a CiphertextSum is not pickled; its to_ciphertext() is")

    def __repr__(self) -> str:
        return f"<paillier.CiphertextSum of weight {self._weight}>"


def add(ciphertexts: Iterable[Ciphertext], weights: Iterable[int] | None = None) -> Ciphertext:
    """``sum w_i c_i``, in the memory of one: iterators may make them on the way.

    Not re-randomised: see :meth:`Ciphertext.rerandomize`.

    Args:
        ciphertexts: At least one.
        weights: As many public integers, not 0; or None for ones.

    Returns:
        The sum; its weight is the sum of ``|w_i|`` times the summands' own.

    Raises:
        TypeError: Another object.
        ParameterError: None at all, of different keys or packings, another number of weights, or a weight
            of 0.
        RangeError: Together of a weight above ``max_summands``.

    Timing: depends on ciphertexts and weights, which are public.
    Source: Paillier, EUROCRYPT 1999, section 8; docs/he-paillier.md, "Adding".
    """
    factors = repeat(1) if weights is None else iter(weights)
    total: CiphertextSum | None = None
    for ciphertext in ciphertexts:
        if total is None:
            if not isinstance(ciphertext, Ciphertext):
                raise TypeError(f"ciphertexts: paillier.Ciphertext expected, got {type(ciphertext).__name__}")
            total = CiphertextSum(ciphertext.public_key, ciphertext.params)
        weight = next(factors, None)
        if weight is None:
            raise ParameterError("weights: as many as ciphertexts expected, got fewer")
        total.add(ciphertext, weight)
    if total is None:
        raise ParameterError("ciphertexts: at least one expected")
    if weights is not None and next(factors, None) is not None:
        raise ParameterError("weights: as many as ciphertexts expected, got more")
    return total.to_ciphertext()


def _wrong_units(public_key: PublicKey, c: list[int]) -> str:
    """The first number that is not in ``(0, n^2)`` or no unit modulo n; empty if all are."""
    n, n2 = public_key._n, public_key._n2
    for i, number in enumerate(c):
        if not 0 < number < n2:
            return f"number {i} is not in (0, n^2)"
    # One gcd for all: their product is a unit if and only if each is.
    product = mpz(1)
    for number in c:
        product = product * (number % n) % n
    if gmpy2.gcd(product, n) == 1:
        return ""
    bad = next(i for i, number in enumerate(c) if gmpy2.gcd(number, n) != 1)
    return f"number {bad} is not a unit modulo n"

"""What the conversions from and to ``phe`` need of it.

``phe`` is GPL: it is imported only when somebody calls a conversion, and never brought along.
"""

from __future__ import annotations

import importlib
from collections.abc import Iterable
from typing import Any

from gmpy2 import mpz

from .._ext.errors import KernelUnavailable, ParameterError


def load() -> Any:
    """The module ``phe.paillier``.

    Raises:
        KernelUnavailable: It is not installed.
    """
    try:
        return importlib.import_module("phe.paillier")
    except ModuleNotFoundError as error:
        raise KernelUnavailable(
            f"phe: cannot be imported ({error}); it comes with the extra: sottovoce[phe]"
        ) from error


def modulus(public_key: Any) -> int:
    """n of a ``PaillierPublicKey``."""
    if not isinstance(public_key, load().PaillierPublicKey):
        raise TypeError(f"public_key: phe.PaillierPublicKey expected, got {type(public_key).__name__}")
    n: int = mpz(public_key.n)
    return n


def check_private(private_key: Any) -> int:
    """Bits of n of a ``PaillierPrivateKey``."""
    if not isinstance(private_key, load().PaillierPrivateKey):
        raise TypeError(f"private_key: phe.PaillierPrivateKey expected, got {type(private_key).__name__}")
    return int(mpz(private_key.public_key.n).bit_length())


def raw(numbers: Iterable[Any], n: int) -> list[int]:
    """The integers modulo n^2 of ``EncryptedNumber`` objects.

    Raises:
        TypeError: Another object.
        ParameterError: Of another key, or with an exponent: a number that is not an integer.
    """
    kind = load().EncryptedNumber
    out = []
    for i, number in enumerate(numbers):
        if not isinstance(number, kind):
            raise TypeError(f"numbers, index {i}: phe.EncryptedNumber expected, got {type(number).__name__}")
        if number.public_key.n != n:
            raise ParameterError(f"numbers, index {i}: of another key")
        if number.exponent != 0:
            raise ParameterError(f"numbers, index {i}: exponent 0 expected, got {number.exponent}")
        out.append(mpz(number.ciphertext(be_secure=False)))
    return out

"""Other libraries that encrypt vectors for adding, as those who use them would have it.

* TenSEAL with BFV: N = 4096, SEAL's default modulus of 109 bits, a plain modulus that holds the sum of 1024
  integers of 16 bits;
* TenSEAL with CKKS as NVFlare's homomorphic aggregation sets it: N = 8192, moduli of 60, 40 and 40 bits,
  scale 2^40;
* ``phe``, Paillier with keys of 2048 bits, one number a ciphertext.

Each is measured in the form that is quickest for it: TenSEAL takes lists of Python numbers, which are made
beforehand, as is the quantization that BFV needs; what is decrypted is left as the lists in which it
comes.  Whole vectors of 4096 numbers are encrypted; fewer of them than ours, because their time grows
in proportion.  TenSEAL gets as many threads as we do.
"""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any, Final

import numpy as np

from .he_common import SUMMANDS, values, vector
from .measurement import Operation, Peer, threads

_PER_VECTOR: Final = 4096
"""Numbers in a ciphertext of TenSEAL, in both settings."""

_VECTORS: Final = 8
_AMOUNT: Final = _VECTORS * _PER_VECTOR

_BFV_MODULUS: Final = 67_239_937
"""The smallest prime that is 1 modulo 8192 and more than 2 * 1024 * 32767."""

_PHE_NUMBERS: Final = 8
_PHE_BITS: Final = 2048

_BFV_NOTE: Final = "BFV, N=4096"
_CKKS_NOTE: Final = "CKKS, N=8192"
_LEVEL_FACTORS: Final = {"avx512": 1.0, "avx2": 0.5}
_PORTABLE_AIM: Final = 5.0


def aims(times: float) -> dict[str, float]:
    """So many times with AVX-512, half of it with AVX2, five times without either."""
    by_level = {level: factor * times for level, factor in _LEVEL_FACTORS.items()}
    return {**by_level, "portable": _PORTABLE_AIM, "neon": _PORTABLE_AIM}


# -- TenSEAL ----------------------------------------------------------------------------------------
@functools.cache
def _bfv() -> tuple[Any, Callable[..., Any], Callable[..., Any], list[list[int]]]:
    import tenseal

    assert 2 * SUMMANDS * int(np.abs(values()).max()) < _BFV_MODULUS
    context = tenseal.context(
        tenseal.SCHEME_TYPE.BFV,
        poly_modulus_degree=4096,
        plain_modulus=_BFV_MODULUS,
        n_threads=threads(),
    )
    return context, tenseal.bfv_vector, tenseal.bfv_vector_from, _lists(values())


@functools.cache
def _ckks() -> tuple[Any, Callable[..., Any], Callable[..., Any], list[list[float]]]:
    import tenseal

    context = tenseal.context(
        tenseal.SCHEME_TYPE.CKKS,
        poly_modulus_degree=8192,
        coeff_mod_bit_sizes=[60, 40, 40],
        n_threads=threads(),
    )
    context.global_scale = 2**40
    return context, tenseal.ckks_vector, tenseal.ckks_vector_from, _lists(vector())


def _lists(array: Any) -> list[list[Any]]:
    return [array[i : i + _PER_VECTOR].tolist() for i in range(0, _AMOUNT, _PER_VECTOR)]


def _tenseal_encrypt(scheme: Callable[[], tuple[Any, ...]]) -> Operation:
    context, encrypt, _, lists = scheme()
    made = [encrypt(context, numbers).serialize() for numbers in lists]
    return Operation(
        lambda: [encrypt(context, numbers).serialize() for numbers in lists], n_bytes=sum(map(len, made))
    )


def _tenseal_decrypt(scheme: Callable[[], tuple[Any, ...]]) -> Operation:
    context, encrypt, read, lists = scheme()
    made = [encrypt(context, numbers).serialize() for numbers in lists]
    opened = [read(context, data).decrypt() for data in made]
    # A peer that gives wrong numbers would be no peer.
    assert all(np.allclose(got, given, atol=1e-6) for got, given in zip(opened, lists, strict=True))
    return Operation(lambda: [read(context, data).decrypt() for data in made])


def encrypting(bfv: float, ckks: float) -> tuple[Peer, ...]:
    """Peers of encrypting and serializing, with how many times faster than each we should be."""
    return _peers(_tenseal_encrypt, bfv, ckks)


def decrypting(times: float) -> tuple[Peer, ...]:
    """Peers of deserializing and decrypting."""
    return _peers(_tenseal_decrypt, times, times)


def _peers(
    operation: Callable[[Callable[[], tuple[Any, ...]]], Operation], bfv: float, ckks: float
) -> tuple[Peer, ...]:
    return (
        Peer("tenseal", lambda: operation(_bfv), note=_BFV_NOTE, amount=_AMOUNT, aims=aims(bfv)),
        Peer("tenseal", lambda: operation(_ckks), note=_CKKS_NOTE, amount=_AMOUNT, aims=aims(ckks)),
    )


# -- phe --------------------------------------------------------------------------------------------
@functools.cache
def _phe_keys() -> tuple[Any, Any]:
    import phe

    public, secret = phe.generate_paillier_keypair(n_length=_PHE_BITS)
    return public, secret


def _phe_encrypt() -> Operation:
    public, _ = _phe_keys()
    numbers = vector()[:_PHE_NUMBERS].tolist()
    # Its ciphertexts have no form in bytes: the number and the exponent, as users write them out.
    width = 2 * _PHE_BITS // 8

    def call() -> list[tuple[bytes, int]]:
        made = [public.encrypt(x) for x in numbers]
        return [(one.ciphertext().to_bytes(width, "big"), one.exponent) for one in made]

    return Operation(call, n_bytes=len(numbers) * width)


def _phe_decrypt() -> Operation:
    import phe

    public, secret = _phe_keys()
    numbers = vector()[:_PHE_NUMBERS].tolist()
    made = [(one.ciphertext(), one.exponent) for one in map(public.encrypt, numbers)]

    def call() -> list[float]:
        return [secret.decrypt(phe.EncryptedNumber(public, c, exponent)) for c, exponent in made]

    assert call() == numbers
    return Operation(call)


def phe_encrypting(times: float) -> tuple[Peer, ...]:
    """``phe`` at encrypting; the aim does not depend on kernels, which Paillier has none of."""
    return (_phe(_phe_encrypt, times),)


def phe_decrypting(times: float) -> tuple[Peer, ...]:
    """``phe`` at decrypting."""
    return (_phe(_phe_decrypt, times),)


def _phe(prepare: Callable[[], Operation], times: float) -> Peer:
    every = dict.fromkeys(("portable", "avx2", "avx512", "neon"), times)
    return Peer("phe", prepare, note=f"{_PHE_BITS} bits", amount=_PHE_NUMBERS, aims=every)

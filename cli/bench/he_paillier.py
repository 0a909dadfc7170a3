"""Measurements of :mod:`sottovoce.he.paillier`: whole Python calls, with codec and bytes.

Keys of 2048 bits beside ``phe`` with as many; and of 3072, the default.  A vector is shorter than that of the
lattice schemes, which are hundreds of times faster.
"""

from __future__ import annotations

import functools
from typing import Final

import numpy as np
from numpy.typing import NDArray

from ...he import paillier
from .areas import Area
from .he_common import SIZE, SUMMANDS, VALUE_BITS, codec, vector
from .he_peers import phe_decrypting, phe_encrypting
from .measurement import Operation, Work, measurement, threads

COUNT: Final = 8_000
"""Parameters."""

ENCRYPT_AIM: Final = 800.0
DECRYPT_AIM: Final = 60.0
"""How many times faster than ``phe``, by the parameter."""

BITS: Final = 2048
DEFAULT_BITS: Final = 3072


@functools.cache
def params(bits: int) -> paillier.Params:
    """Parameters of vectors under a key of so many bits."""
    return paillier.Params(COUNT + 1, VALUE_BITS, SUMMANDS, bits)


@functools.cache
def _key(bits: int) -> paillier.SecretKey:
    return paillier.keygen(bits)


@functools.cache
def _numbers() -> NDArray[np.float32]:
    return vector()[:COUNT].copy()


def _sized(bits: int) -> dict[str, int | str]:
    return {**SIZE, "parameters": COUNT, "modulus": f"{bits} bits of modulus"}


def _encrypt(bits: int) -> Operation:
    public, chosen, of, x = _key(bits).public_key, params(bits), codec(), _numbers()
    return Operation(
        lambda: public.encrypt(of.quantize(x), chosen).to_bytes(), n_bytes=chosen.ciphertext_bytes
    )


def _decrypt(bits: int) -> Operation:
    key, chosen, of, n = _key(bits), params(bits), codec(), threads()
    data = key.public_key.encrypt(of.quantize(_numbers()), chosen).to_bytes()

    def call() -> NDArray[np.float32]:
        opened = key.decrypt(paillier.Ciphertext.from_bytes(data, key.public_key, chosen), threads=n)
        mean, _ = of.dequantize(opened, 1)
        return mean.astype(np.float32)

    assert float(np.abs(call() - _numbers()).max()) < 2.0 / of.max_weight
    return Operation(call)


def _work() -> Work:
    return Work(COUNT, "parameter")


@measurement(
    Area.HE,
    "paillier encrypt",
    work=_work(),
    size=_sized(BITS),
    peers=phe_encrypting(ENCRYPT_AIM),
    one_core=True,
)
def encrypt() -> Operation:
    """Quantize, pack, encrypt under a public key that is there, bytes."""
    return _encrypt(BITS)


@measurement(
    Area.HE,
    "paillier decrypt",
    work=_work(),
    size=_sized(BITS),
    peers=phe_decrypting(DECRYPT_AIM),
    one_core=True,
    threaded=True,
    quick=False,
)
def decrypt() -> Operation:
    """From bytes to float32."""
    return _decrypt(BITS)


@measurement(Area.HE, "paillier add", work=_work(), size=_sized(BITS), one_core=True)
def add() -> Operation:
    """Add two ciphertexts."""
    public, chosen = _key(BITS).public_key, params(BITS)
    one, other = (public.encrypt(codec().quantize(_numbers()), chosen) for _ in range(2))
    return Operation(lambda: paillier.add([one, other]))


@measurement(
    Area.HE,
    f"paillier encrypt, {DEFAULT_BITS}",
    work=_work(),
    size=_sized(DEFAULT_BITS),
    one_core=True,
    quick=False,
)
def encrypt_default() -> Operation:
    """The same with a key of the default length."""
    return _encrypt(DEFAULT_BITS)


@measurement(
    Area.HE,
    f"paillier decrypt, {DEFAULT_BITS}",
    work=_work(),
    size=_sized(DEFAULT_BITS),
    one_core=True,
    threaded=True,
    quick=False,
)
def decrypt_default() -> Operation:
    """The same with a key of the default length."""
    return _decrypt(DEFAULT_BITS)

"""Measurements of :mod:`sottovoce.he.rlwe`: whole Python calls, with codec and bytes."""

from __future__ import annotations

import functools
from typing import Final

import numpy as np
from numpy.typing import NDArray

from ... import he
from ...he import rlwe
from .areas import Area
from .he_common import SIZE, SUMMANDS, VALUE_BITS, D, codec, numpy_add, values, vector
from .he_peers import decrypting, encrypting
from .measurement import Operation, Work, measurement, threads

CONTRIBUTORS: Final = 8

ENCRYPT_AIMS: Final = (20.0, 50.0)
"""How many times faster than TenSEAL's BFV, and than its CKKS."""

DECRYPT_AIM: Final = 15.0

SET: Final = he.DEFAULT_SET
MORE_SETS: Final = ("RLWE_128_N4096_Q100", "RLWE_PQ128_N4096_Q80", "RLWE_192_N4096_Q72")
"""Forty bits are too few for 1024 summands of 16 bits."""


@functools.cache
def params(name: str = SET) -> rlwe.Params:
    """Parameters of vectors under a key of that set."""
    return rlwe.Params(name, D + 1, VALUE_BITS, SUMMANDS)


@functools.cache
def _key(name: str = SET) -> rlwe.SecretKey:
    return rlwe.keygen(name)


def _sized(name: str, **more: int) -> dict[str, int | str]:
    return {**SIZE, "set": name, **more}


def _encrypt(name: str) -> Operation:
    public, chosen, of, x, n = _key(name).public_key, params(name), codec(), vector(), threads()
    return Operation(
        lambda: public.encrypt(of.quantize(x), chosen, threads=n).to_bytes(), n_bytes=chosen.ciphertext_bytes
    )


@measurement(
    Area.HE,
    "rlwe encrypt",
    work=Work(D, "parameter"),
    size=_sized(SET),
    peers=encrypting(*ENCRYPT_AIMS),
    one_core=True,
    threaded=True,
)
def encrypt() -> Operation:
    """Quantize, encrypt under a public key that is there, bytes."""
    return _encrypt(SET)


for _name in MORE_SETS:
    measurement(
        Area.HE,
        f"rlwe encrypt, {_name.removeprefix('RLWE_')}",
        work=Work(D, "parameter"),
        size=_sized(_name),
        one_core=True,
        threaded=True,
        quick=False,
    )(functools.partial(_encrypt, _name))


@measurement(
    Area.HE,
    "rlwe decrypt a sum",
    work=Work(D, "parameter"),
    size=_sized(SET, contributors=CONTRIBUTORS),
    peers=decrypting(DECRYPT_AIM),
    one_core=True,
    threaded=True,
)
def decrypt() -> Operation:
    """From the bytes of a compressed sum: decrypt, test the noise, dequantize to float32."""
    key, chosen, of, n = _key(), params(), codec(), threads()
    total = rlwe.CiphertextSum(chosen, key.public_key.key_id)
    for _ in range(CONTRIBUTORS):
        total.add(key.public_key.encrypt(values(), chosen))
    data = total.compress().to_bytes()

    def call() -> NDArray[np.float32]:
        opened = key.decrypt(rlwe.Ciphertext.from_bytes(data, chosen), threads=n)
        mean, _ = of.dequantize(opened, CONTRIBUTORS)
        return mean.astype(np.float32)

    assert float(np.abs(call() - vector()).max()) < 2.0 / of.max_weight
    return Operation(call)


def add_traffic() -> int:
    """Bytes that adding one ciphertext reads and writes: the ciphertext, the sum, the sum."""
    chosen = params()
    residues = 2 * len(he.SETS[SET].primes) * chosen.n_elements * chosen.N
    return chosen.ciphertext_bytes + 2 * 8 * residues


@measurement(
    Area.HE,
    "rlwe add",
    work=Work(add_traffic(), "byte of traffic"),
    size=_sized(SET),
    alternatives=(numpy_add(add_traffic()),),
    one_core=True,
    threaded=True,
)
def add() -> Operation:
    """Add one compressed ciphertext to a running sum."""
    chosen, public, n = params(), _key().public_key, threads()
    ciphertext = public.encrypt(values(), chosen)

    def started() -> rlwe.CiphertextSum:
        # With a summand in it: the first touch of new memory is the system's work, not ours.
        total = rlwe.CiphertextSum(chosen, public.key_id)
        total.add(ciphertext)
        return total

    running = [started()]

    def fresh() -> tuple[rlwe.CiphertextSum]:
        # A sum takes no more than the declared number of summands.
        if running[0].weight_sum == SUMMANDS:
            running[0] = started()
        return (running[0],)

    return Operation(lambda total: total.add(ciphertext, threads=n), fresh)

"""Measurements of :mod:`sottovoce.he.kahe`: whole Python calls, with codec and bytes."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Final

import numpy as np
from numpy.typing import NDArray

from ... import he
from ...he import _kahe_public, kahe
from . import he_parts
from .areas import Area
from .he_common import SIZE, SUMMANDS, VALUE_BITS, D, codec, new_context, numpy_add, values, vector
from .he_peers import decrypting, encrypting
from .measurement import Operation, Parts, Work, measurement, threads

MEMBERS: Final = 5
CONTRIBUTORS: Final = 8

ENCRYPT_AIMS: Final = (30.0, 80.0)
"""How many times faster than TenSEAL's BFV, and than its CKKS."""

DECRYPT_AIM: Final = 15.0

SET: Final = he.DEFAULT_SET
MORE_SETS: Final = tuple(name for name in he.SETS if name != SET)


@functools.cache
def params(name: str = SET) -> kahe.Params:
    """Parameters of a round with that set."""
    return kahe.Params(name, D + 1, VALUE_BITS, SUMMANDS, MEMBERS)


def _sized(name: str, **more: int) -> dict[str, int | str]:
    return {**SIZE, "set": name, **more}


def _encrypt(name: str) -> Operation:
    chosen, of, x, n = params(name), codec(), vector(), threads()

    def call(context: bytes) -> bytes:
        key = kahe.OneTimeKey.generate(chosen, context)
        return key.encrypt(of.quantize(x), threads=n).to_bytes()

    return Operation(call, lambda: (new_context(),), n_bytes=chosen.ciphertext_bytes)


@measurement(
    Area.HE,
    "kahe encrypt",
    work=Work(D, "parameter"),
    size=_sized(SET),
    peers=encrypting(*ENCRYPT_AIMS),
    parts=Parts(he_parts.encrypt(params())),
    one_core=True,
    threaded=True,
)
def encrypt() -> Operation:
    """A new round: its public elements, a one-time key; quantize, encrypt, bytes."""
    return _encrypt(SET)


def _encrypt_with(name: str) -> Callable[[], Operation]:
    def prepare() -> Operation:
        return _encrypt(name)

    return prepare


for _name in MORE_SETS:
    measurement(
        Area.HE,
        f"kahe encrypt, {_name.removeprefix('RLWE_')}",
        work=Work(D, "parameter"),
        size=_sized(_name),
        one_core=True,
        threaded=True,
        quick=False,
    )(_encrypt_with(_name))


def _encrypted(context: bytes, contributors: int) -> tuple[kahe.CiphertextSum, list[kahe.ShareSum]]:
    """A sum of that many clients' ciphertexts, and what enough members answer."""
    chosen = params()
    total = kahe.CiphertextSum(chosen, context)
    sums = [kahe.ShareSum(chosen, j) for j in range(1, chosen.threshold + 1)]
    for i in range(contributors):
        key = kahe.OneTimeKey.generate(chosen, context)
        total.add(key.encrypt(values()))
        _, shares = key.share(i.to_bytes(16, "big"))
        for share_sum, share in zip(sums, shares, strict=False):
            share_sum.add(share)
    return total, sums


@measurement(
    Area.HE,
    "kahe open a sum",
    work=Work(D, "parameter"),
    size=_sized(SET, contributors=CONTRIBUTORS),
    peers=decrypting(DECRYPT_AIM),
    parts=Parts(he_parts.open_sum(params(), CONTRIBUTORS)),
    one_core=True,
    threaded=True,
)
def open_sum() -> Operation:
    """From bytes: recover the sum of the keys, open, test the residual, dequantize to float32."""
    chosen, of, context, n = params(), codec(), new_context(), threads()
    total, sums = _encrypted(context, CONTRIBUTORS)
    data, answers = total.to_bytes(), [one.to_bytes() for one in sums]

    def call() -> NDArray[np.float32]:
        received = kahe.CiphertextSum.from_bytes(data, chosen, context)
        answered = [kahe.ShareSum.from_bytes(one, chosen, j) for j, one in enumerate(answers, 1)]
        opened = kahe.open_sum(chosen, context, received, answered, CONTRIBUTORS, threads=n)
        mean, _ = of.dequantize(opened.values, CONTRIBUTORS, np.float32)
        return mean

    assert float(np.abs(call() - vector()).max()) < 2.0 / of.max_weight

    def fresh() -> tuple[()]:
        # The opener has added only and meets the public elements for the first time.
        _kahe_public._cache.clear()
        return ()

    return Operation(call, fresh)


def add_traffic() -> int:
    """Bytes that adding one ciphertext reads and writes: the ciphertext, the sum, the sum."""
    chosen = params()
    words = 1 if chosen.wire_bits <= 57 else 2
    return chosen.ciphertext_bytes + 2 * 8 * words * chosen.n_elements * chosen.N


@measurement(
    Area.HE,
    "kahe add",
    work=Work(add_traffic(), "byte of traffic"),
    size=_sized(SET),
    alternatives=(numpy_add(add_traffic()),),
    one_core=True,
)
def add() -> Operation:
    """Add one ciphertext to a running sum."""
    chosen, context = params(), new_context()
    ciphertext = kahe.OneTimeKey.generate(chosen, context).encrypt(values())
    total = kahe.CiphertextSum(chosen, context)
    total.add(ciphertext)

    def fresh() -> tuple[()]:
        # A sum holds no more than the declared number of summands; one in it, because the first
        # touch of new memory is the system's work, not ours.
        if total.count > 1:
            total.subtract(ciphertext)
        return ()

    return Operation(lambda: total.add(ciphertext), fresh)


@measurement(
    Area.HE,
    "kahe share the key",
    work=Work(1, "client"),
    size={"members": MEMBERS, "set": SET},
    one_core=True,
)
def share() -> Operation:
    """Shares of a one-time key for the committee, with the degree proof, as bytes; any size of vector."""
    small, context = kahe.Params(SET, 1, VALUE_BITS, SUMMANDS, MEMBERS), new_context()
    one = np.zeros(1, np.int64)

    def fresh() -> tuple[kahe.OneTimeKey]:
        key = kahe.OneTimeKey.generate(small, context)
        key.encrypt(one)
        return (key,)

    def call(key: kahe.OneTimeKey) -> list[bytes]:
        proof, shares = key.share(bytes(16))
        return [proof.to_bytes(), *(each.to_bytes() for each in shares)]

    return Operation(call, fresh, n_bytes=small.proof_bytes + MEMBERS * small.share_bytes)

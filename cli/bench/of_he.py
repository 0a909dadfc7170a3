"""Measurements of :mod:`sottovoce.he`."""

from __future__ import annotations

import functools
from typing import Final

import numpy as np
from numpy.typing import NDArray

from ... import he
from ...he import kahe
from .areas import Area
from .measurement import Operation, Work, measurement

_D: Final = 100_000
_SUMMANDS: Final = 1024
_MEMBERS: Final = 5
_OPENED: Final = 8
_CONTEXT: Final = bytes(32)
_SIZE: Final[dict[str, int | str]] = {"parameters": _D, "set": he.DEFAULT_SET, "summands": _SUMMANDS}


@functools.cache
def _params() -> kahe.Params:
    return kahe.Params(
        he.DEFAULT_SET, n_slots=_D + 1, value_bits=16, max_summands=_SUMMANDS, n_members=_MEMBERS
    )


def _codec() -> he.Codec:
    return he.Codec(clip=1.0, value_bits=16, max_summands=_SUMMANDS)


@functools.cache
def _vector() -> NDArray[np.float64]:
    return np.random.default_rng(1).normal(0.0, 0.1, size=_D)


@functools.cache
def _values() -> NDArray[np.int64]:
    return _codec().quantize(_vector())


@measurement(
    Area.HE,
    "quantize",
    work=Work(_D, "parameter"),
    size={"parameters": _D, "bits": 16, "summands": _SUMMANDS},
)
def quantize() -> Operation:
    """Clip, scale and round stochastically."""
    codec, vector = _codec(), _vector()
    return Operation(lambda: codec.quantize(vector))


@measurement(Area.HE, "kahe encrypt", work=Work(_D, "parameter"), size=_SIZE)
def encrypt() -> Operation:
    """Make a one-time key and encrypt a vector under it."""
    params, values = _params(), _values()
    return Operation(lambda: kahe.OneTimeKey.generate(params, _CONTEXT).encrypt(values))


@measurement(
    Area.HE,
    "kahe share the key",
    work=Work(1, "client"),
    size={"members": _MEMBERS, "set": he.DEFAULT_SET},
)
def share() -> Operation:
    """Shares of a one-time key for the committee, with the degree proof; any size of vector."""
    params, values = _params(), _values()

    def fresh() -> tuple[kahe.OneTimeKey]:
        key = kahe.OneTimeKey.generate(params, _CONTEXT)
        key.encrypt(values)
        return (key,)

    return Operation(lambda key: key.share(bytes(16)), fresh)


@measurement(Area.HE, "kahe add", work=Work(_D, "parameter"), size=_SIZE)
def add() -> Operation:
    """Add one ciphertext to a running sum."""
    params = _params()
    ciphertext = kahe.OneTimeKey.generate(params, _CONTEXT).encrypt(_values())

    def fresh() -> tuple[kahe.CiphertextSum]:
        # A new sum each time, because one holds no more than the declared number of summands; with
        # a summand in it, because the first touch of new memory is the system's work, not ours.
        total = kahe.CiphertextSum(params, _CONTEXT)
        total.add(ciphertext)
        return (total,)

    return Operation(lambda total: total.add(ciphertext), fresh)


@measurement(Area.HE, "kahe open a sum", work=Work(_D, "parameter"), size={**_SIZE, "contributors": _OPENED})
def open_sum() -> Operation:
    """Recover the sum of the keys from four of five members, open and test the residual."""
    params, values = _params(), _values()
    total = kahe.CiphertextSum(params, _CONTEXT)
    sums = [kahe.ShareSum(params, j) for j in range(1, _MEMBERS + 1)]
    for i in range(_OPENED):
        key = kahe.OneTimeKey.generate(params, _CONTEXT)
        total.add(key.encrypt(values))
        _, shares = key.share(i.to_bytes(16, "big"))
        for share_sum, one in zip(sums, shares, strict=True):
            share_sum.add(one)
    answered = sums[: params.threshold]
    return Operation(lambda: kahe.open_sum(params, _CONTEXT, total, answered, _OPENED))

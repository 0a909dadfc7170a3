"""What encrypting and opening a vector of :mod:`sottovoce.he.kahe` are made of, each timed alone.

The same loops over blocks as there, with the same buffers, so that the memory is the same too.  Not listed:
what the object around them does once for a vector.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

import numpy as np
from numpy.typing import NDArray

from ..._ext import codec as codec_kernel
from ..._ext import kahe as kernel
from ...he import _kahe_public, kahe
from ...he._kahe_blocks import block_starts
from ...he._random import SEED_BYTES, Stream
from .he_common import codec, new_context, values, vector
from .measurement import Operation, Part

_WARM: Final = bytes(32)
"""Context of a round whose public elements are in the cache, if they fit there."""


def _blocks(params: kahe.Params, work: Callable[[int, int], object]) -> None:
    """``work(start, count)`` for each block of ring elements."""
    starts, rows = block_starts(params.n_elements, params.N)
    for start in starts:
        work(start, min(rows, params.n_elements - start))


def _rows(params: kahe.Params) -> int:
    return min(block_starts(1, params.N)[1], params.n_elements)


def _quantize() -> Operation:
    return Operation(lambda: codec().quantize(vector()))


def _dequantize(contributors: int) -> Operation:
    total = values() * contributors
    return Operation(lambda: codec().dequantize(total, contributors, np.float32))


def _public_elements(params: kahe.Params) -> Operation:
    def call(context: bytes) -> None:
        _blocks(params, lambda start, n: _kahe_public.public_planes(params, context, start, n))

    return Operation(call, lambda: (new_context(),))


def _transforms(params: kahe.Params) -> Operation:
    """Of one block's public elements, again and again: they are read from memory but once."""
    ring, rows = params._ring, _rows(params)
    planes = _kahe_public.expand_planes(params, _WARM, 0, rows)
    key, product = planes[:, 0].copy(), ring.empty(rows)

    def work(start: int, n: int) -> None:
        ring.multiply(product[:, :n], planes[:, :n], key)
        ring.inverse(product[:, :n])

    return Operation(lambda: _blocks(params, work))


def _noise(params: kahe.Params) -> Operation:
    stream = Stream(bytes(SEED_BYTES))
    room = np.empty(_rows(params) * params.N * kernel.CBD_BYTES, np.uint8)
    return Operation(
        lambda: _blocks(params, lambda start, n: stream.fill(room[: n * params.N * kernel.CBD_BYTES]))
    )


def _rounding(params: kahe.Params) -> Operation:
    rows, out = _rows(params), np.empty(params.ciphertext_bytes, np.uint8)
    product = _kahe_public.expand_planes(params, _WARM, 0, rows)
    padded = np.zeros(params.n_elements * params._slots, np.int64)
    padded[: len(values())] = values()
    small = np.empty(rows * params._slots, np.int32)
    random = np.zeros(rows * params.N * kernel.CBD_BYTES, np.uint8)

    def work(start: int, n: int) -> None:
        first, count = start * params._slots, n * params._slots
        codec_kernel.narrow(small[:count], padded[first : first + count], 1 << (params.value_bits - 1))
        params._scale.encrypt(
            out[start * params._row_bytes : (start + n) * params._row_bytes],
            product[:, :n],
            small[:count],
            random[: n * params.N * kernel.CBD_BYTES],
        )

    return Operation(lambda: _blocks(params, work))


def encrypt(params: kahe.Params) -> tuple[Part, ...]:
    """Of quantizing and encrypting one vector in a new round."""
    return (
        Part("quantize", _quantize),
        Part("public elements (AES-CTR)", lambda: _public_elements(params)),
        Part("products, inverse transforms", lambda: _transforms(params)),
        Part("bytes of the noise (AES-CTR)", lambda: _noise(params)),
        Part("narrowing, noise, rounding, packing", lambda: _rounding(params)),
    )


def _read_sum(params: kahe.Params, contributors: int) -> Operation:
    total = kahe.CiphertextSum(params, _WARM)
    one = kahe.OneTimeKey.generate(params, _WARM).encrypt(values())
    for _ in range(contributors):
        total.add(one)
    data = total.to_bytes()
    return Operation(lambda: kahe.CiphertextSum.from_bytes(data, params, _WARM))


def _residuals(params: kahe.Params) -> Operation:
    rows, total = _rows(params), kahe.CiphertextSum(params, _WARM)
    product = _kahe_public.expand_planes(params, _WARM, 0, rows)
    opened: NDArray[np.int64] = np.empty((params.n_elements, params._slots), np.int64)
    largest, squares = np.empty(rows, np.uint64), np.empty(rows, np.uint64)

    def work(start: int, n: int) -> None:
        place = opened[start : start + n]
        params._scale.open(place, largest[:n], squares[:n], total._elements(start, n), product[:, :n])
        codec_kernel.extremes(place.reshape(-1))

    return Operation(lambda: _blocks(params, work))


def open_sum(params: kahe.Params, contributors: int) -> tuple[Part, ...]:
    """Of reading a sum, opening it in a new round, and the mean as float32."""
    return (
        Part("read the sum", lambda: _read_sum(params, contributors)),
        Part("public elements (AES-CTR)", lambda: _public_elements(params)),
        Part("products, inverse transforms", lambda: _transforms(params)),
        Part("rounding, residuals", lambda: _residuals(params)),
        Part("dequantize", lambda: _dequantize(contributors)),
    )

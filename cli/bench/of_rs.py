"""Measurements of :mod:`sottovoce.rs`."""

from __future__ import annotations

from typing import Final

import numpy as np
from numpy.typing import NDArray

from ... import rs
from . import rs_dispersal  # noqa: F401
from .areas import Area
from .measurement import Operation, Peer, Work, measurement

_K: Final = 10
_N: Final = 14
_MIB: Final = 1 << 20


def _data(length: int) -> NDArray[np.uint8]:
    return np.random.default_rng(1).integers(0, 256, size=(_K, length), dtype=np.uint8)


def _encode(length: int) -> Operation:
    code = rs.Erasure(_K, _N)
    data = _data(length)
    parity = np.empty((_N - _K, length), dtype=np.uint8)
    return Operation(lambda: code.encode(data, out=parity))


def _zfec_encode(length: int) -> Operation:
    import zfec

    encoder = zfec.Encoder(_K, _N)
    blocks = [row.tobytes() for row in _data(length)]
    parity = tuple(range(_K, _N))
    return Operation(lambda: encoder.encode(blocks, parity))


def _zfec_decode() -> Operation:
    import zfec

    data = _data(_MIB)
    blocks = [row.tobytes() for row in data]
    parity = zfec.Encoder(_K, _N).encode(blocks, tuple(range(_K, _N)))
    # zfec wants a data block at its own index; the missing ones are filled with parity.
    indices = [*range(_K, _N), *range(_N - _K, _K)]
    present = [*parity, *blocks[_N - _K :]]
    decoder = zfec.Decoder(_K, _N)
    return Operation(lambda: decoder.decode(present, indices))


@measurement(
    Area.RS,
    "encode 10+4 large",
    work=Work(_K * _MIB, "byte of data"),
    size={"k": _K, "n": _N, "shard_bytes": _MIB},
    peers=(Peer("zfec", lambda: _zfec_encode(_MIB), note="Vandermonde"),),
)
def encode_large() -> Operation:
    """Parity of ten shards of 1 MiB, into an array that is there."""
    return _encode(_MIB)


@measurement(
    Area.RS,
    "encode 10+4 small",
    work=Work(_K << 16, "byte of data"),
    size={"k": _K, "n": _N, "shard_bytes": 1 << 16},
    peers=(Peer("zfec", lambda: _zfec_encode(1 << 16), note="Vandermonde"),),
)
def encode_small() -> Operation:
    """The same with shards that stay in the second cache."""
    return _encode(1 << 16)


@measurement(
    Area.RS,
    "reconstruct 10+4",
    work=Work(_K * _MIB, "byte of data"),
    size={"k": _K, "n": _N, "shard_bytes": _MIB, "lost": _N - _K},
    peers=(Peer("zfec", _zfec_decode, note="Vandermonde"),),
)
def reconstruct() -> Operation:
    """All data when the first four data shards are lost."""
    code = rs.Erasure(_K, _N)
    data = _data(_MIB)
    parity = code.encode(data)
    shards = {i: data[i] for i in range(_N - _K, _K)} | {_K + i: parity[i] for i in range(_N - _K)}
    out = np.empty_like(data)
    return Operation(lambda: code.reconstruct(shards, out=out))

"""Measurements of :class:`sottovoce.rs.Erasure`, one core, beside zfec and the ISA-L of pyeclib.

Peers get their quickest form of input: zfec one bytes object a shard, pyeclib one for all data.  What pyeclib
makes are whole fragments, so that it also copies the data and writes a header of 80 bytes; that is what its
users wait for.  Ours writes the parity into an array that is there.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from ... import rs
from .areas import Area
from .measurement import Measurement, Operation, Peer, Work, measurement, threads

_MIB: Final = 1 << 20
_LEVELS: Final = ("portable", "avx2", "avx512", "neon")
_ISA_L: Final = "ISA-L Cauchy"
_VANDERMONDE: Final = "Vandermonde"
_FRAGMENTS: Final = "pyeclib makes fragments with headers, and copies the data into them."

SHAPES: Final = ((10, 14), (20, 30), (100, 150))
LOST: Final = 4
_LARGE_CODE: Final = 100


def _aims(times: float) -> dict[str, float]:
    """So many times with vectors, 0 for no aim; the portable code has none."""
    return {level: times for level in _LEVELS if times and level in {"avx2", "avx512"}}


def _data(k: int, length: int) -> NDArray[np.uint8]:
    return np.random.default_rng(1).integers(0, 256, size=(k, length), dtype=np.uint8)


def _encode(k: int, n: int, length: int) -> Operation:
    code = rs.Erasure(k, n)
    data, parity, of = _data(k, length), np.empty((n - k, length), dtype=np.uint8), threads()
    return Operation(lambda: code.encode(data, out=parity, threads=of))


def _zfec_encode(k: int, n: int, length: int) -> Operation:
    import zfec

    encoder = zfec.Encoder(k, n)
    blocks = [row.tobytes() for row in _data(k, length)]
    parity = tuple(range(k, n))
    return Operation(lambda: encoder.encode(blocks, parity))


def _pyeclib(k: int, n: int) -> Any:
    from pyeclib.ec_iface import ECDriver

    return ECDriver(k=k, m=n - k, ec_type="isa_l_rs_cauchy")


def _pyeclib_encode(k: int, n: int, length: int) -> Operation:
    driver, data = _pyeclib(k, n), _data(k, length)
    whole = data.tobytes()
    # A peer that gives other bytes would be no peer.
    assert driver.encode(whole)[k][-length:] == rs.Erasure(k, n).encode(data)[0].tobytes()
    return Operation(lambda: driver.encode(whole))


def _pyeclib_decode(k: int, n: int, length: int) -> Operation:
    driver, whole = _pyeclib(k, n), _data(k, length).tobytes()
    fragments = driver.encode(whole)[LOST:]
    assert driver.decode(fragments) == whole
    return Operation(lambda: driver.decode(fragments))


def _zfec_decode(k: int, n: int, length: int) -> Operation:
    import zfec

    blocks = [row.tobytes() for row in _data(k, length)]
    parity = zfec.Encoder(k, n).encode(blocks, tuple(range(k, n)))
    # zfec wants a data block at its own index; the missing ones are filled with parity.
    indices = [*range(k, k + LOST), *range(LOST, k)]
    present = [*parity[:LOST], *blocks[LOST:]]
    decoder = zfec.Decoder(k, n)
    return Operation(lambda: decoder.decode(present, indices))


def _encoding(
    title: str, k: int, n: int, length: int, isa_l: float | None, *, zfec: float | None
) -> Measurement:
    aims = _aims(isa_l or 0)
    peers = [Peer("pyeclib", lambda: _pyeclib_encode(k, n, length), note=_ISA_L, lacks=_FRAGMENTS, aims=aims)]
    if zfec is not None:  # not for the larger codes: seconds a call
        peers.append(Peer("zfec", lambda: _zfec_encode(k, n, length), note=_VANDERMONDE, aims=_aims(zfec)))

    def prepare() -> Operation:
        """Parity of shards, into an array that is there."""
        return _encode(k, n, length)

    # The large code is slow with the peer: seconds a call.
    return _measured(title, prepare, k, n, length, tuple(peers), quick=k < _LARGE_CODE)


def _measured(
    title: str,
    prepare: Callable[[], Operation],
    k: int,
    n: int,
    length: int,
    peers: tuple[Peer, ...],
    *,
    threaded: bool = True,
    quick: bool = True,
) -> Measurement:
    return measurement(
        Area.RS,
        title,
        work=Work(k * length, "byte of data"),
        size={"k": k, "n": n, "shard_bytes": length},
        peers=peers,
        one_core=True,
        threaded=threaded,
        quick=quick,
    )(prepare)


encode_large = _encoding("encode 10+4 large", 10, 14, _MIB, 4, zfec=50)
encode_small = _encoding("encode 10+4 small", 10, 14, 1 << 16, None, zfec=0)
encode_20 = _encoding("encode 20+10", 20, 30, _MIB, 2, zfec=None)
encode_100 = _encoding("encode 100+50", 100, 150, _MIB, 2, zfec=None)


def _reconstruct() -> Operation:
    k, n = SHAPES[0]
    code, data = rs.Erasure(k, n), _data(k, _MIB)
    parity = code.encode(data)
    whole = data.copy()
    whole[:LOST] = 0
    # What came lies where it belongs, and what is lost is written between: the whole in one piece, as it
    # comes from pyeclib.
    shards = {i: whole[i] for i in range(LOST, k)} | {k + i: parity[i] for i in range(LOST)}
    assert np.array_equal(code.reconstruct(shards, out=whole), data)
    of = threads()
    return Operation(lambda: code.reconstruct(shards, out=whole, threads=of))


def _reconstruct_elsewhere() -> Operation:
    k, n = SHAPES[0]
    code, data = rs.Erasure(k, n), _data(k, _MIB)
    parity, out = code.encode(data), np.empty_like(data)
    shards = {i: data[i] for i in range(LOST, k)} | {k + i: parity[i] for i in range(LOST)}
    of = threads()
    return Operation(lambda: code.reconstruct(shards, out=out, threads=of))


reconstruct = _measured(
    "reconstruct 10+4",
    _reconstruct,
    10,
    14,
    _MIB,
    (
        Peer("pyeclib", lambda: _pyeclib_decode(10, 14, _MIB), note=_ISA_L, aims=_aims(3)),
        Peer("zfec", lambda: _zfec_decode(10, 14, _MIB), note=_VANDERMONDE),
    ),
)
"""The first four data shards, lost, written into the array that has the other six."""

reconstruct_elsewhere = _measured("reconstruct 10+4 copied", _reconstruct_elsewhere, 10, 14, _MIB, ())
"""The same into another array, so that the six that came are copied."""


def _update() -> Operation:
    code, data = rs.Erasure(10, 14), _data(10, _MIB)
    parity = code.encode(data)
    of = threads()
    return Operation(lambda: code.update(parity, 3, data[3], data[4], threads=of))


update = measurement(
    Area.RS,
    "update 10+4",
    work=Work(_MIB, "byte of data"),
    size={"k": 10, "n": 14, "shard_bytes": _MIB},
    one_core=True,
    threaded=True,
)(_update)
"""Parity after one data shard has changed."""


def _verify() -> Operation:
    code, data = rs.Erasure(10, 14), _data(10, _MIB)
    shards = dict(enumerate([*data, *code.encode(data)]))
    of = threads()
    return Operation(lambda: code.verify(shards, threads=of))


verify = _measured("verify 10+4", _verify, 10, 14, _MIB, ())
"""All fourteen shards compared, nothing wrong."""


def _locate() -> Operation:
    code, data = rs.Erasure(10, 14), _data(10, _MIB)
    shards = dict(enumerate([*data, *code.encode(data)]))
    shards[3] = shards[3] ^ np.uint8(1)
    assert code.locate_bad(shards) == (3,)
    return Operation(lambda: code.locate_bad(shards))


locate = _measured("locate one bad of 10+4", _locate, 10, 14, _MIB, (), threaded=False)
"""A bad shard found without hashes."""

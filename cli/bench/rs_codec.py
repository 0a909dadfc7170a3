"""Measurements of ``RSCodec``: batches of RS(255, 223), whole Python calls into arrays that are there.

Peers get the message or the words in the form that they are quickest with, as one byte string or array, and
fewer words than ours, because their time grows in proportion.  What each of them gives is compared with ours
before it is timed.
"""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from ... import rs
from .areas import Area
from .measurement import Operation, Peer, Work, measurement, threads

NSYM: Final = 32
N: Final = 255
K: Final = N - NSYM
ERRORS: Final = NSYM // 2

WORDS: Final = 4096
"""A megabyte of words: more than the second cache."""

SLOW_WORDS: Final = 8
"""Words for a peer that corrects some hundred of them in a second."""

GALOIS_WORDS: Final = 128

ENCODE_AIM: Final = 100.0
CLEAN_AIM: Final = 1000.0
ERRORS_AIM: Final = 1000.0
"""How many times faster than ``creedsolo``."""

_AVX2_SHARE: Final = 1 / 3
_BUILD: Final = "python benches/build_creedsolo.py (from a checkout)"

Bytes = NDArray[np.uint8]


def aims(times: float) -> dict[str, float]:
    """So many times with AVX-512, a third of it with AVX2."""
    return {"avx512": times, "avx2": times * _AVX2_SHARE}


@functools.cache
def codec() -> rs.RSCodec:
    """RS(255, 223) as ``reedsolo`` has it by default."""
    return rs.RSCodec(NSYM)


@functools.cache
def messages() -> Bytes:
    """Random bytes, ``(WORDS, K)``."""
    return np.random.default_rng(1).integers(0, 256, (WORDS, K), np.uint8)


@functools.cache
def received(errors: int) -> Bytes:
    """The words of the messages, each with so many errors at places of its own."""
    words = codec().encode_batch(messages())
    rng = np.random.default_rng(2)
    for word in words:
        word[rng.choice(N, errors, replace=False)] ^= rng.integers(1, 256, errors, np.uint8)
    return words


# -- peers ------------------------------------------------------------------------------------------
def _reedsolo(module: Any) -> tuple[Any, bytearray]:
    """Its codec, and the message of the first words."""
    return module.RSCodec(NSYM), bytearray(messages()[:SLOW_WORDS].tobytes())


def _slow_encode(load: Callable[[], Any]) -> Operation:
    theirs, message = _reedsolo(load())
    assert theirs.encode(message) == received(0)[:SLOW_WORDS].tobytes()
    return Operation(lambda: theirs.encode(message))


def _slow_decode(load: Callable[[], Any], errors: int) -> Operation:
    theirs, message = _reedsolo(load())
    words = bytearray(received(errors)[:SLOW_WORDS].tobytes())
    assert theirs.decode(words)[0] == message
    return Operation(lambda: theirs.decode(words))


def _load_reedsolo() -> Any:
    import reedsolo

    return reedsolo


def _load_creedsolo() -> Any:
    import creedsolo

    return creedsolo


def _galois() -> tuple[Any, Any]:
    """Its code of the same words, and the class of its arrays."""
    import galois

    field = galois.GF(2**8)  # 0x11D, as here
    return galois.ReedSolomon(N, K, field=field, alpha=2, c=0), field


def _galois_encode() -> Operation:
    code, field = _galois()
    data = field(messages()[:GALOIS_WORDS])
    assert np.array_equal(code.encode(data), received(0)[:GALOIS_WORDS])
    return Operation(lambda: code.encode(data))


def _galois_decode(errors: int) -> Operation:
    code, field = _galois()
    words = field(received(errors)[:GALOIS_WORDS])
    assert np.array_equal(code.decode(words), messages()[:GALOIS_WORDS])
    return Operation(lambda: code.decode(words))


def _peers(
    slow: Callable[[Callable[[], Any]], Operation], galois: Callable[[], Operation], aim: float
) -> tuple[Peer, ...]:
    few, more = SLOW_WORDS * K, GALOIS_WORDS * K
    return (
        Peer("creedsolo", lambda: slow(_load_creedsolo), install=_BUILD, amount=few, aims=aims(aim)),
        Peer("reedsolo", lambda: slow(_load_reedsolo), amount=few),
        Peer("galois", galois, install="pip install galois", amount=more),
    )


def _decode_peers(errors: int, aim: float) -> tuple[Peer, ...]:
    return _peers(lambda load: _slow_decode(load, errors), lambda: _galois_decode(errors), aim)


# -- ours -------------------------------------------------------------------------------------------
_WORK: Final = Work(WORDS * K, "byte of message")


def _decode(errors: int) -> Operation:
    words = received(errors)
    out, n = np.empty_like(words), threads()

    def call() -> rs.DecodedBatch:
        return codec().decode_batch(words, out=out, threads=n)

    result = call()
    assert np.array_equal(result.messages, messages())
    assert (result.changed == errors).all()
    return Operation(call)


@measurement(
    Area.RS,
    "RS(255, 223) encode",
    work=_WORK,
    size={"words": WORDS},
    peers=_peers(_slow_encode, _galois_encode, ENCODE_AIM),
    one_core=True,
    threaded=True,
)
def encode() -> Operation:
    """Words of a batch of messages."""
    out, n = np.empty((WORDS, N), np.uint8), threads()
    return Operation(lambda: codec().encode_batch(messages(), out=out, threads=n))


@measurement(
    Area.RS,
    "RS(255, 223) clean",
    work=_WORK,
    size={"words": WORDS},
    peers=_decode_peers(0, CLEAN_AIM),
    one_core=True,
    threaded=True,
)
def decode_clean() -> Operation:
    """A batch of words without errors."""
    return _decode(0)


@measurement(
    Area.RS,
    "RS(255, 223) 1 error",
    work=_WORK,
    size={"words": WORDS, "errors in each": 1},
    one_core=True,
    threaded=True,
    quick=False,
)
def decode_one() -> Operation:
    """One error in every word: what correction costs before the number of errors counts."""
    return _decode(1)


@measurement(
    Area.RS,
    f"RS(255, 223) {ERRORS} errors",
    work=_WORK,
    size={"words": WORDS, "errors in each": ERRORS},
    peers=_decode_peers(ERRORS, ERRORS_AIM),
    one_core=True,
    threaded=True,
)
def decode_errors() -> Operation:
    """A batch of words with as many errors as can be corrected."""
    return _decode(ERRORS)

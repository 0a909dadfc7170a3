"""Comparisons that raise, and say what differs; not ``assert``, which ``python -O`` leaves out."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

import numpy as np

_SHOWN: Final = 80


class Mismatch(Exception):  # noqa: N818  # says what happened
    """A result is not what it must be."""


def same(got: Any, expected: Any, what: str = "result") -> None:
    """Equal, and of equal type where these are arrays.

    Raises:
        Mismatch: They differ.
    """
    if isinstance(got, np.ndarray) or isinstance(expected, np.ndarray):
        got, expected = np.asarray(got), np.asarray(expected)
        if got.shape == expected.shape and np.array_equal(got, expected):
            return
        if got.shape == expected.shape:
            place = np.unravel_index(int(np.argmax(got != expected)), got.shape)
            where = ", ".join(map(str, place))
            raise Mismatch(f"{what}: at [{where}] expected {expected[place]}, got {got[place]}")
        raise Mismatch(f"{what}: shape {expected.shape} expected, got {got.shape}")
    if got != expected:
        raise Mismatch(f"{what}: expected {show(expected)}, got {show(got)}")


def true(condition: object, what: str) -> None:
    """What is said holds.

    Raises:
        Mismatch: It does not.
    """
    if not condition:
        raise Mismatch(what)


def refused(
    error: type[Exception] | tuple[type[Exception], ...], call: Callable[[], Any], what: str = "call"
) -> Exception:
    """The call raises that error and no other.

    Returns:
        The error.

    Raises:
        Mismatch: It returned, or raised something else.
    """
    kinds = error if isinstance(error, tuple) else (error,)
    expected = " or ".join(kind.__name__ for kind in kinds)
    try:
        result = call()
    except Exception as raised:
        if type(raised) in kinds:
            return raised
        raise Mismatch(f"{what}: {expected} expected, got {type(raised).__name__}: {raised}") from raised
    raise Mismatch(f"{what}: {expected} expected, but it returned {show(result)}")


def show(value: Any) -> str:
    """A value in few characters; bytes by their number and in hexadecimal."""
    if isinstance(value, (bytes, bytearray)):
        text = f"{len(value)} bytes {value.hex()}".rstrip()
    else:
        text = repr(value)
    return text if len(text) <= _SHOWN else f"{text[:_SHOWN]}... ({len(text)} characters)"


def flipped(data: bytes, bit: int) -> bytes:
    """The same bytes with one bit changed; ``bit`` is taken modulo their number."""
    place, within = divmod(bit % (8 * len(data)), 8)
    changed = bytearray(data)
    changed[place] ^= 1 << within
    return bytes(changed)

"""Reader of the vectors that the wheel carries: ``tests/vectors`` of the checkout."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterator
from functools import partial
from importlib import resources
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .check import Case
from .expect import Mismatch

Vector = dict[str, Any]


def load(name: str) -> dict[str, Any]:
    """A file, e.g. ``"clsc/packet.json"``.

    Raises:
        FileNotFoundError: The installation lacks it.
    """
    folder = resources.files(__package__) / "vectors"
    data: dict[str, Any] = json.loads(folder.joinpath(*name.split("/")).read_text("utf-8"))
    return data


def tests(data: dict[str, Any]) -> list[Vector]:
    """All cases of a file, in groups or not.

    Raises:
        Mismatch: Some are missing.
    """
    found: list[Vector] = [t for group in data.get("testGroups", [data]) for t in group["tests"]]
    if not 0 < len(found) == data["numberOfTests"]:
        raise Mismatch(f"{data['numberOfTests']} cases expected, {len(found)} found")
    return found


def each(cases: list[Vector], check: Callable[[Vector], None]) -> Iterator[Case]:
    """A case for every vector, called by its number and comment."""
    for t in cases:
        yield f"case {t['tcId']} {t.get('comment', '')}".strip(), partial(check, t)


def raw(text: str) -> bytes:
    """Hexadecimal to bytes."""
    return bytes.fromhex(text)


def sha(data: bytes | NDArray[Any], kind: str = "u1") -> str:
    """SHA-256 of bytes, or of an array's numbers as ``kind``, in hexadecimal."""
    if isinstance(data, np.ndarray):
        data = np.ascontiguousarray(data).astype(kind).tobytes()
    return hashlib.sha256(data).hexdigest()


def patched(base: bytes, patches: list[tuple[int, str]]) -> bytes:
    """Bytes with some of them replaced."""
    data = bytearray(base)
    for at, patch in patches:
        data[at : at + len(patch) // 2] = raw(patch)
    return bytes(data)


class Stream:
    """SHA-256 in counter mode, as the generators of the vectors have it: a seed gives the same bytes."""

    def __init__(self, seed: bytes) -> None:
        self._seed, self._counter, self._buffer = seed, 0, b""

    def take(self, count: int) -> bytes:
        """The next bytes."""
        while len(self._buffer) < count:
            self._buffer += hashlib.sha256(self._seed + self._counter.to_bytes(8, "big")).digest()
            self._counter += 1
        out, self._buffer = self._buffer[:count], self._buffer[count:]
        return out

    def number(self, low: int, high: int) -> int:
        """In [low, high], by remainder of 4 bytes."""
        return low + int.from_bytes(self.take(4), "big") % (high - low + 1)

"""Large public answers: one buffer for all who ask, bounded in number, and one piece for each in memory."""

from __future__ import annotations

import mmap
from collections import Counter
from pathlib import Path
from typing import Final

from starlette.requests import Request
from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from ..._ext import limits
from .base import BYTES
from .errors import Refusal
from .guard import source_of

_PIECE: Final = 1 << 16
"""As much as the server underneath takes before it waits for the reader."""

Buffer = bytes | mmap.mmap


def map_file(path: Path) -> Buffer:
    """What a file holds, in memory only as far as it is read.

    Raises:
        OSError: It is not there, or cannot be read.
    """
    with path.open("rb") as file:
        size = file.seek(0, 2)
        return mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) if size else b""


class Downloads:
    """Places for those who fetch; a source has half of them at most.

    Attributes:
        active: Downloads at work.
        refused: Requests that found no place.
    """

    def __init__(self, most: int = limits.HTTP_DOWNLOADS) -> None:
        self._most = most
        self._by_source: Counter[tuple[str, int]] = Counter()
        self.refused = 0

    @property
    def active(self) -> int:
        """Downloads at work."""
        return self._by_source.total()

    def answer(self, request: Request, data: Buffer) -> Response:
        """``data`` as the body, piece by piece, as fast as it is read.

        Args:
            request: Who asks.
            data: Not copied, and not changed by anybody.

        Raises:
            Refusal: 503, all places are taken.
        """
        source = source_of(request)
        if self.active >= self._most or self._by_source[source] >= max(1, self._most // 2):
            self.refused += 1
            raise Refusal(503, "busy: too many downloads", retry_after_s=2)
        return _Pieces(data, len(data) if request.method == "GET" else 0, self._by_source, source)


class _Pieces(Response):
    media_type = BYTES

    def __init__(
        self, data: Buffer, size: int, places: Counter[tuple[str, int]], source: tuple[str, int]
    ) -> None:
        """``size``: how much of it is sent: nothing to who asks only for the headers."""
        super().__init__(headers={"content-length": str(len(data))})
        self._data, self._size, self._places, self._source = data, size, places, source

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        # How slowly it may be read is the guard's matter, as of every answer.
        self._places[self._source] += 1
        try:
            await self._send(send)
        finally:
            self._places[self._source] -= 1
            self._places += Counter()  # forgets those with none

    async def _send(self, send: Send) -> None:
        await send({"type": "http.response.start", "status": 200, "headers": self.raw_headers})
        for at in range(0, self._size, _PIECE):
            piece = self._data[at : at + _PIECE]  # a mapping may outlive its file's name, not this answer
            await send({"type": "http.response.body", "body": piece, "more_body": True})
        await send({"type": "http.response.body", "body": b"", "more_body": False})

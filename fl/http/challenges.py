"""Challenges that are not remembered before they are used: who asks for many cannot make one forgotten.

A challenge carries its own second of expiry and a MAC of this process, so that asking costs no memory and no
write, whoever asks.  Only what was used is kept, until it has expired.
"""

from __future__ import annotations

import hmac
import secrets
import time
from collections.abc import Callable
from typing import Final

from ..._ext import limits
from ..._ext.enc import enc
from ...clsc.issue_wire import CHALLENGE_BYTES

_SECOND: Final = 4
_MAC: Final = 16
_NONCE: Final = CHALLENGE_BYTES - _SECOND - _MAC
"""Together they are as long as a challenge of a registry: who is given one need not tell them apart."""


class Challenges:
    """Gives challenges and accepts each once, for some minutes; after a restart none of those before.

    Args:
        clock: Unix seconds.
    """

    def __init__(self, clock: Callable[[], float] = time.time) -> None:
        self._clock = clock
        self._key = secrets.token_bytes(32)
        self._used: dict[bytes, int] = {}  # challenge -> its second; they were used about in that order

    def new(self) -> bytes:
        """32 bytes that :meth:`use` will accept once."""
        second = int(self._clock()) + limits.HTTP_CHALLENGE_SECONDS
        head = secrets.token_bytes(_NONCE) + second.to_bytes(_SECOND, "big")
        return head + self._mac(head)

    def use(self, value: bytes) -> bool:
        """Whether it is of this object, not expired and not used; it is used from now on.

        Call it for those only whose request is authentic so far: what was used takes memory, and when
        there is no more of it nothing is accepted until the oldest has expired.
        """
        head, mac = value[:-_MAC], value[-_MAC:]
        if len(value) != CHALLENGE_BYTES or not hmac.compare_digest(mac, self._mac(head)):
            return False
        now, second = self._clock(), int.from_bytes(head[_NONCE:], "big")
        if second < now or value in self._used:
            return False
        if len(self._used) >= limits.MAX_CHALLENGES:
            self._used = {used: until for used, until in self._used.items() if until >= now}
            if len(self._used) >= limits.MAX_CHALLENGES:
                return False
        self._used[value] = second
        return True

    def _mac(self, head: bytes) -> bytes:
        return hmac.digest(self._key, enc("SOTTOVOCE-V1-HTTP-CHALLENGE", head), "sha256")[:_MAC]

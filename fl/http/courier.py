"""The client's way to a round and back: header, model, shards over relays, result.

Each relay is talked to over a connection of its own, with requests that hold nothing of the sender, and
gets one shard of a packet: two would belong together.
"""

from __future__ import annotations

import asyncio
import secrets
import ssl
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Final

import httpx
import numpy as np
from numpy.typing import NDArray

from ..._ext import limits
from ..._ext.errors import ParameterError
from ..client import Sealed
from ..errors import ProtocolError, Reason
from ..header import RoundHeader
from ..model import model_digest
from . import model_bytes
from .base import ROUND_FIELDS, read_cbor
from .errors import TransportError
from .outgoing import get, get_patiently, post_patiently, quiet_client

_RANDOM: Final = secrets.SystemRandom()
_POLL_S: Final = 0.3
_LONGEST_POLL_S: Final = 5.0
_POLL_GROWTH: Final = 1.5
"""A result is asked for ever more seldom: it is late by half of the time that it took, at most."""


@dataclass(frozen=True)
class Delivery:
    """What became of a packet's shards.

    Attributes:
        taken: Shards that a relay has taken.
        needed: Shards that suffice.
        failed: URL of a relay -> why it did not take its shard.

    Source: docs/fl-http.md, "What a relay sees".
    """

    taken: int
    needed: int
    failed: dict[str, str]

    @property
    def enough(self) -> bool:
        """Whether the packet arrives, if no relay loses its shard."""
        return self.taken >= self.needed


class Courier:
    """Carries for one client.

    Args:
        source: URL for what is public: a relay's, or the aggregator's.
        tls: Whom to believe; None: the system's authorities.
        make_client: Makes the connection to one process, closed after each call; for tests.

    Source: docs/fl-http.md, "What a relay sees", and its endpoints.
    """

    def __init__(
        self,
        source: str,
        *,
        tls: ssl.SSLContext | None = None,
        make_client: Callable[[], httpx.AsyncClient] | None = None,
    ) -> None:
        self._source = source.rstrip("/")
        self._make: Callable[[], httpx.AsyncClient] = (
            make_client if make_client is not None else lambda: quiet_client(tls=tls)
        )

    async def header(self, *, wait_s: float = 0.0, after: int = -1) -> bytes:
        """The signed header of the round that collects.

        Args:
            wait_s: Wait for one at most this many seconds.
            after: Only of a round with a higher number.

        Returns:
            At most 256 KiB, as they came: :meth:`sottovoce.fl.SignedHeader.from_bytes` verifies them.

        Raises:
            TransportError: There is none, or no answer.
            DecodeError: What was answered is none.
        """
        until = time.monotonic() + wait_s
        async with self._make() as client:
            while True:
                try:
                    data = await get(client, f"{self._source}/v1/round", at_most=limits.HTTP_SMALL_BYTES)
                    fields = read_cbor(data, ROUND_FIELDS)
                    if fields["round"] > after and fields["state"] == "collecting":
                        return await get(client, f"{self._source}/v1/header", at_most=limits.HEADER_MAX_BYTES)
                    missing = TransportError("no round collects now", status=404)
                except TransportError as error:
                    if not error.retryable and error.status != 404:
                        raise
                    missing = error
                if time.monotonic() > until:
                    raise missing
                await asyncio.sleep(_POLL_S)

    async def model(self, header: RoundHeader, *, wait_s: float = 30.0) -> list[NDArray[np.floating]]:
        """The global model of a round.

        Args:
            header: Of the round.
            wait_s: Seconds for whoever is asked and busy, at most.

        Returns:
            Arrays of the shapes and dtypes of ``header.layout``, whose digest is the header's; at most 1 GiB.

        Raises:
            TransportError: No answer.
            DecodeError: Not of the header's layout.
            ProtocolError: Another one, perhaps already that of the next round (:attr:`Reason.MODEL`).
            RangeError: NaN or infinity in it.
        """
        size = min(model_bytes.n_bytes(header.layout), limits.MODEL_MAX_BYTES)
        async with self._make() as client:
            data = await get_patiently(
                client, f"{self._source}/v1/model", at_most=size, until=time.monotonic() + wait_s
            )
        model = model_bytes.load(data, header.layout)
        if model_digest(model) != header.model:
            raise ProtocolError(Reason.MODEL, round_id=header.hash)
        return model

    async def deliver(
        self, sealed: Sealed, relays: Sequence[str], *, patience_s: float = 60.0, spread_s: float = 0.0
    ) -> Delivery:
        """Send each shard over another relay, all at once.

        Args:
            sealed: What :meth:`sottovoce.fl.Client.seal` gave: it is in the outbox already.
            relays: URLs, at least as many as there are shards; more: some are picked at random.
            patience_s: Seconds for a relay that is busy or away.
            spread_s: Each shard leaves at a random time within this many seconds.

        Returns:
            Which shards arrived, and what happened to the others.

        Raises:
            ParameterError: Too few relays: one would get two shards, and know that they belong together.
        """
        shards = await asyncio.to_thread(sealed.shards)
        different = list(dict.fromkeys(url.rstrip("/") for url in relays))
        if len(different) < len(shards):
            raise ParameterError(f"relays: {len(shards)} expected, one for each shard, got {len(different)}")
        chosen = _RANDOM.sample(different, len(shards))
        outcomes = await asyncio.gather(
            *(self._send(url, shard, patience_s, spread_s) for url, shard in zip(chosen, shards, strict=True))
        )
        failed = {url: why for url, why in zip(chosen, outcomes, strict=True) if why}
        return Delivery(len(shards) - len(failed), sealed.header.shard_k, failed)

    async def _send(self, relay: str, shard: bytes, patience_s: float, spread_s: float) -> str:
        await asyncio.sleep(spread_s * _RANDOM.random())
        until = time.monotonic() + patience_s
        try:
            async with self._make() as client:
                url = f"{relay}/v1/shard"
                await post_patiently(client, url, shard, at_most=limits.HTTP_SMALL_BYTES, until=until)
        except TransportError as error:
            return str(error)
        return ""

    async def result(self, header: RoundHeader, *, wait_s: float = 0.0) -> bytes:
        """The published result of a round, for :meth:`sottovoce.fl.Client.read_result`.

        Args:
            header: Of the round.
            wait_s: Wait for it at most this many seconds.

        Returns:
            At most 1 GiB, as they came: nothing is verified here.

        Raises:
            TransportError: There is none (yet), or no answer.
        """
        until = time.monotonic() + wait_s
        url = f"{self._source}/v1/result/{header.hash.hex()}"
        poll_s = _POLL_S
        async with self._make() as client:
            while True:
                try:
                    return await get(client, url, at_most=limits.MODEL_MAX_BYTES)
                except TransportError as error:
                    left = until - time.monotonic()
                    if not (error.retryable or error.status == 404) or left <= 0:
                        raise
                # Half of it at random: all of a round wait for the same.
                await asyncio.sleep(min(left, poll_s * (0.5 + _RANDOM.random())))
                poll_s = min(_POLL_GROWTH * poll_s, _LONGEST_POLL_S)

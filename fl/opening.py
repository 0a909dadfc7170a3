"""Opening the packets of a round: from bytes to everything about each contribution, and to their sum.

A task opens one batch *and* adds what it found good, so that an executor far away returns one sum for
many packets.  It decides nothing: who counts is the aggregator's matter, which takes out of the sum
again what it does not admit.
"""

from __future__ import annotations

import pickle
from collections.abc import Callable, Sequence
from concurrent.futures import Executor, Future
from dataclasses import dataclass, field
from functools import lru_cache

from .. import clsc
from .._ext.errors import DecodeError, ParameterError, SenderError, UnsigncryptError
from ..he import kahe
from .errors import ProtocolError, Reason
from .header import RoundHeader, check_sender
from .update import Update
from .wire import associated_data

KeyLoader = Callable[[], clsc.SecretKey]


@dataclass(frozen=True)
class Receipt:
    """What became of one packet.

    Attributes:
        pid: The sender, 16 bytes, or ``b""`` if the packet did not say.
        refused: Why it does not count, or None if it counts (also when it did already).

    Source: docs/fl.md, "What happens".
    """

    pid: bytes
    refused: Reason | None


@dataclass(frozen=True)
class OpenedPacket:
    """One packet after opening: either everything about it, or why not.

    Attributes:
        pid: The sender, 16 bytes, or ``b""`` if the packet did not say.
        refused: Why it cannot count, or None.
        packet_id: Its replay identity.
        manifest_digest: Of the sender's manifest.
        update: The plaintext: the update's one encoding.
        added: Its ciphertext is in the batch's sum.
    """

    pid: bytes = b""
    refused: Reason | None = None
    packet_id: bytes = b""
    manifest_digest: bytes = b""
    update: bytes = field(default=b"", repr=False)
    added: bool = False


@dataclass(frozen=True)
class OpenedBatch:
    """What a task returns.

    Attributes:
        packets: One entry a packet, in order.
        sum: Of the ciphertexts of those with ``added``; None if there are none.
    """

    packets: tuple[OpenedPacket, ...]
    sum: kahe.CiphertextSum | None


def open_batch(
    packets: Sequence[bytes], header: RoundHeader, key: clsc.SecretKey, trust: clsc.TrustStore
) -> OpenedBatch:
    """Open, parse and add packets; depends on nothing else and changes nothing.

    Raises:
        ParameterError: ``key`` is not the aggregator's of the header: every packet would be refused.
    """
    if key.public_key.to_bytes() != header.aggregator.decrypt.to_bytes():
        raise ParameterError("worker: holds another decrypt key than that of the header's aggregator")
    results = clsc.unsigncrypt_batch(
        packets, receiver=key, trust=trust, ad=associated_data(header.hash, "packet")
    )
    good: list[memoryview] = []
    opened = tuple(_parse(result, header, good) for result in results)
    if not good:
        return OpenedBatch(opened, None)
    total = kahe.CiphertextSum(header.kahe_params, header.hash)
    total.add_bytes(*good)
    return OpenedBatch(opened, total)


def _parse(result: object, header: RoundHeader, good: list[memoryview]) -> OpenedPacket:
    """One result; its ciphertext goes to ``good`` if it is, and if a sum has room for it."""
    if isinstance(result, UnsigncryptError):
        return OpenedPacket(refused=Reason.NOT_FOR_US)
    if not isinstance(result, clsc.Opened):
        assert isinstance(result, SenderError)
        return OpenedPacket(refused=Reason.SENDER)
    pid = result.sender.pid
    try:
        check_sender(header, result.sender)
        manifest, ciphertext, _ = Update.views(result.plaintext, header)
        if manifest.pid != pid:
            raise DecodeError("manifest: of another sender")
    except ProtocolError as error:
        return OpenedPacket(pid, error.reason)
    except DecodeError:
        return OpenedPacket(pid, Reason.MALFORMED)
    room = len(good) < header.max_contributors
    if room:
        good.append(ciphertext)
    return OpenedPacket(pid, None, result.packet_id, manifest.digest, result.plaintext, added=room)


class Opener:
    """Opens batches for one round, here or on an executor.

    Args:
        header: The round.
        key: The decrypt key, for this process and its threads.
        trust: Goes to the workers as it is when a batch is handed in.
        executor: Where to work; None: here, at once.
        worker_key: Loads the key where the executor's workers are other processes; None: they are
            threads, and get ``key``.
    """

    def __init__(
        self,
        header: RoundHeader,
        key: clsc.SecretKey,
        trust: clsc.TrustStore,
        executor: Executor | None,
        worker_key: KeyLoader | None,
    ) -> None:
        if worker_key is not None and not callable(worker_key):
            raise TypeError(f"worker_key: a function expected, got {type(worker_key).__name__}")
        if worker_key is not None and executor is None:
            raise ParameterError("worker_key: for an executor, and there is none")
        self.executor = executor
        self._header = header
        self._key = key
        self._trust = trust
        self._worker_key = worker_key

    def start(self, packets: list[bytes]) -> Future[OpenedBatch]:
        """Hand in one batch; without an executor it is done on return."""
        if self.executor is None:
            done: Future[OpenedBatch] = Future()
            done.set_result(open_batch(packets, self._header, self._key, self._trust))
            return done
        if self._worker_key is None:
            return self.executor.submit(open_batch, packets, self._header, self._key, self._trust)
        # Written once here, so that a worker reads it once for many batches: a header with its servers'
        # keys takes some milliseconds to check.
        public = pickle.dumps((self._header, self._trust))
        return self.executor.submit(_open_elsewhere, packets, public, self._worker_key)


def _open_elsewhere(packets: list[bytes], public: bytes, load: KeyLoader) -> OpenedBatch:
    """The task of another process: what is secret it has got some other way."""
    header, trust = _read(public)
    return open_batch(packets, header, load(), trust)


@lru_cache(maxsize=4)
def _read(public: bytes) -> tuple[RoundHeader, clsc.TrustStore]:
    header, trust = pickle.loads(public)  # noqa: S301 - as the whole task, from who runs this worker
    return header, trust

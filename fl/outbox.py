"""What a client must not forget: what has left, so that nothing leaves twice."""

from __future__ import annotations

import threading
from dataclasses import dataclass, field, replace
from typing import Protocol

from .errors import ProtocolError, Reason


@dataclass(frozen=True)
class Sent:
    """A client's finished packet and what it commits the client to.

    Attributes:
        header_hash: The round, 32 bytes.
        pid: The pseudonym that it was sealed under, 16 bytes.
        model: Digest of the global model it was trained on, 32 bytes.
        update_digests: Digests of the vector's floats, and of the integers nearest to it, 32 bytes each; on
            the client's own device only.
        manifest_digest: Its own entry in the set, 32 bytes.
        packet: The bytes for the aggregator; empty once they were discarded.

    Source: docs/fl-stores.md, "After a crash".
    """

    header_hash: bytes
    pid: bytes
    model: bytes
    update_digests: frozenset[bytes] = field(repr=False)
    manifest_digest: bytes
    packet: bytes = field(repr=False)


class Outbox(Protocol):
    """The memory of one device: at most one packet a round, one update a model, no update twice."""

    def find(self, header_hash: bytes) -> Sent | None:
        """The packet sealed for a round, if any.

        Args:
            header_hash: The round, 32 bytes.
        """

    def check(self, model: bytes, update_digests: frozenset[bytes], *, allow_retrained: bool = False) -> None:
        """Ask before the work of sealing what :meth:`put` would say about this update.

        Args:
            model: Digest of the global model, 32 bytes.
            update_digests: As in :class:`Sent`.
            allow_retrained: As in :meth:`put`.

        Raises:
            ProtocolError: As :meth:`put` (:attr:`Reason.MODEL_REUSED`, :attr:`Reason.UPDATE_REUSED`).
        """

    def put(self, sent: Sent, *, allow_retrained: bool = False) -> None:
        """Keep a packet, before its first byte leaves; refusing and keeping are one step.

        Args:
            sent: What is about to leave.
            allow_retrained: Keep it even if an update for its model is there.

        Raises:
            ProtocolError: There is one for this round already (:attr:`Reason.SEALED`), or for this model
                (:attr:`Reason.MODEL_REUSED`), or this update has left for any model
                (:attr:`Reason.UPDATE_REUSED`).
        """

    def discard(self, header_hash: bytes) -> None:
        """Forget the bytes of a packet whose round is over; that it was sent stays known.

        Args:
            header_hash: The round, 32 bytes.
        """


class MemoryOutbox:
    """An :class:`Outbox` for one process lifetime.

    Source: docs/fl-stores.md, "What the roles of a round must not forget".
    """

    def __init__(self) -> None:
        self._sent: dict[bytes, Sent] = {}
        self._lock = threading.Lock()

    def find(self, header_hash: bytes) -> Sent | None:
        """See :class:`Outbox`."""
        return self._sent.get(header_hash)

    def check(self, model: bytes, update_digests: frozenset[bytes], *, allow_retrained: bool = False) -> None:
        """See :class:`Outbox`."""
        with self._lock:
            self._check(model, update_digests, allow_retrained)

    def _check(
        self, model: bytes, update_digests: frozenset[bytes], allow_retrained: bool, round_id: bytes = b""
    ) -> None:
        for other in self._sent.values():
            if other.model == model and not allow_retrained:
                raise ProtocolError(Reason.MODEL_REUSED, round_id=round_id)
            if other.update_digests & update_digests:
                raise ProtocolError(Reason.UPDATE_REUSED, round_id=round_id)

    def put(self, sent: Sent, *, allow_retrained: bool = False) -> None:
        """See :class:`Outbox`."""
        with self._lock:
            if sent.header_hash in self._sent:
                raise ProtocolError(Reason.SEALED, round_id=sent.header_hash)
            self._check(sent.model, sent.update_digests, allow_retrained, sent.header_hash)
            self._sent[sent.header_hash] = sent

    def discard(self, header_hash: bytes) -> None:
        """See :class:`Outbox`."""
        with self._lock:
            if header_hash in self._sent:
                self._sent[header_hash] = replace(self._sent[header_hash], packet=b"")

"""What a member must not forget: the headers that it signed, and the sets that it answered."""

from __future__ import annotations

import threading
from dataclasses import dataclass
from typing import Protocol

from .errors import ProtocolError, Reason


@dataclass(frozen=True)
class Binding:
    """What a member answered, or is about to.

    Attributes:
        header_hash: The round, 32 bytes.
        root: The set, 32 bytes.
        sum_digest: SHA-256 of the sum of its ciphertexts, 32 bytes.

    Source: docs/fl.md, "What happens".
    """

    header_hash: bytes
    root: bytes
    sum_digest: bytes


class MemberStore(Protocol):
    """A member's memory: one header it signed a round number, and the chain of sets it answered.

    The chain has one binding, and one more for each time that convicted clients were taken out of the last
    one.  Only its end is ever followed.
    """

    def sign_header(self, aggregator: bytes, epoch: bytes, round_number: int, header_hash: bytes) -> None:
        """Note that a header is about to be signed; the same one again is fine.

        Args:
            aggregator: Its name.
            epoch: 1 to 64 bytes.
            round_number: In that epoch.
            header_hash: What is about to be signed, 32 bytes.

        Raises:
            ProtocolError: Another one was signed (:attr:`Reason.OTHER_HEADER`); or one of this round number,
                by whatever aggregator, was answered (:attr:`Reason.BOUND`): this member cannot answer for
                another, so its signature would make clients seal in vain.
        """

    def last_binding(self, epoch: bytes, round_number: int) -> Binding | None:
        """The end of the chain: what was bound last, if anything.

        Args:
            epoch: 1 to 64 bytes.
            round_number: In that epoch.
        """

    def find_answer(self, epoch: bytes, round_number: int, binding: Binding) -> bytes | None:
        """The answer that left for the identical binding, if it is in the chain and one was kept.

        Args:
            epoch: 1 to 64 bytes.
            round_number: In that epoch.
            binding: What the request asks to bind to.
        """

    def bind(
        self, epoch: bytes, round_number: int, binding: Binding, *, replaces: Binding | None = None
    ) -> bytes | None:
        """Note what is about to be answered; to compare and to note is one step.

        Args:
            epoch: Of the senders.
            round_number: Of the header.
            binding: What is about to be answered.
            replaces: The end of the chain that it may follow: the same round without convicted clients, as
                the member has verified itself.  None: it begins the chain.

        Returns:
            The answer that left for the identical binding, or None if none was kept.

        Raises:
            ProtocolError: Another set or round was answered (:attr:`Reason.BOUND`): ``binding`` is not in
                the chain, and ``replaces`` is not its end.
        """

    def keep_answer(self, epoch: bytes, round_number: int, binding: Binding, answer: bytes) -> bytes:
        """Keep the bytes of an answer; returns those to send, the first ones kept for this binding.

        Args:
            epoch: 1 to 64 bytes.
            round_number: In that epoch.
            binding: What was bound before.
            answer: The bytes that are about to leave.

        Returns:
            The bytes to send.
        """


class MemoryMemberStore:
    """A :class:`MemberStore` for one process lifetime.

    Source: docs/fl-stores.md, "What the roles of a round must not forget".
    """

    def __init__(self) -> None:
        self._headers: dict[tuple[bytes, bytes, int], bytes] = {}
        self._bindings: dict[tuple[bytes, int], tuple[Binding, ...]] = {}
        self._answers: dict[tuple[bytes, int, Binding], bytes] = {}
        self._lock = threading.Lock()

    def sign_header(self, aggregator: bytes, epoch: bytes, round_number: int, header_hash: bytes) -> None:
        """See :class:`MemberStore`."""
        with self._lock:
            known = self._headers.get((aggregator, epoch, round_number), header_hash)
            if known != header_hash:
                raise ProtocolError(Reason.OTHER_HEADER, round_id=header_hash)
            chain = self._bindings.get((epoch, round_number))
            if chain and chain[-1].header_hash != header_hash:
                raise ProtocolError(Reason.BOUND, round_id=header_hash)
            self._headers[aggregator, epoch, round_number] = header_hash

    def last_binding(self, epoch: bytes, round_number: int) -> Binding | None:
        """See :class:`MemberStore`."""
        with self._lock:
            chain = self._bindings.get((epoch, round_number))
            return chain[-1] if chain else None

    def find_answer(self, epoch: bytes, round_number: int, binding: Binding) -> bytes | None:
        """See :class:`MemberStore`."""
        with self._lock:
            return self._answers.get((epoch, round_number, binding))

    def bind(
        self, epoch: bytes, round_number: int, binding: Binding, *, replaces: Binding | None = None
    ) -> bytes | None:
        """See :class:`MemberStore`."""
        with self._lock:
            chain = self._bindings.get((epoch, round_number), ())
            if binding not in chain:
                if replaces != (chain[-1] if chain else None):
                    raise ProtocolError(Reason.BOUND, round_id=binding.header_hash)
                self._bindings[epoch, round_number] = (*chain, binding)
            return self._answers.get((epoch, round_number, binding))

    def keep_answer(self, epoch: bytes, round_number: int, binding: Binding, answer: bytes) -> bytes:
        """See :class:`MemberStore`."""
        with self._lock:
            return self._answers.setdefault((epoch, round_number, binding), answer)

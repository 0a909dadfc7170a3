"""The aggregator of one round: collects, opens, adds, closes, and publishes the result.

It learns the sum, the sum of the keys, pseudonyms, sizes and times; never one update, while at most
``f`` members are corrupted and at least two contributors are honest.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import BinaryIO

import numpy as np
from numpy.typing import NDArray

from .._ext.errors import ParameterError, SottovoceError
from .audit_file import AuditHead
from .closing import RoundResult
from .collecting_aggregator import CollectingAggregator, State
from .conviction import Conviction
from .errors import ProtocolError, Reason
from .wire import expect

__all__ = ["Aggregator", "State"]


class Aggregator(CollectingAggregator):
    """Drives one round from the signed header to the result.

    Bytes in, bytes out; it opens no sockets.  Calls from one thread at a time; batches are opened on
    ``executor``, several of them at a time.  What is refused raises or is counted in :attr:`refused`, and
    changes nothing.

    Args:
        keys: The aggregator's ``sign`` and ``decrypt`` key.
        shard_key: The secret side of the header's ``shard_key``.
        trust: Pins the issuer's root; its revocation list is enforced.
        signed_header: The header with the members' signatures: bytes, or the object, whose signatures are
            verified once only.
        store: Spools what counts and notes every step; in memory if None.  One that already holds this round
            (after a crash) is read back: what was accepted counts once, and the round is where it was.
        executor: Opens batches: threads, processes, a cluster.  None: in the calling thread.  Sums and
            refusals do not depend on it.
        worker_key: Gives the decrypt key in the executor's workers where they are other processes, in
            which case it is pickled to them: :class:`HeldKey`, :class:`WorkerKeyFile`.  None: the workers
            are threads of this process, and the key does not leave it.
        batches_in_flight: Most batches that the executor has at a time, of 32 packets each, or of
            8 MiB and 8 packets at least: two for every worker keep it busy.
        shard_memory_bytes: Most that incomplete groups of shards may take; beyond it the greediest relay's
            oldest go, and are counted.  None: what all contributors together need, 256 MiB to 4 GiB.
        clock: Unix seconds.
        meter: Listens to time and bytes of each stage.

    Attributes:
        header: The round's header.
        state: Where the round is.

    Raises:
        TypeError: Wrong types.
        DecodeError, SenderError, ProtocolError: The header is not valid, or another one was opened for its
            round number.
        ParameterError: ``keys`` or ``shard_key`` are not those of the header; ``worker_key`` without an
            executor; ``batches_in_flight`` is not positive.
        StoreError: What the store holds of this round is damaged.

    Timing: shows how many packets and shards came, which of them opened, and whether answers were wrong; of
        the keys what :func:`sottovoce.clsc.unsigncrypt` and :meth:`sottovoce.rs.Collector.add` show.
    Source: docs/fl.md, "What happens".
    """

    # -- closing ----------------------------------------------------------------------------------

    def close(self, *, check_first: bool = True) -> dict[int, bytes]:
        """End the collecting and fix the set and the sum.

        Args:
            check_first: Ask members to :meth:`Member.check` the set before any of them answers; then
                :meth:`settle` decides about complaints.  False: they are asked to :meth:`Member.answer` at
                once and check on the way, which saves a round trip and, for every member, opening a message;
                the round is then settled on this set.  A member with bad shares in it refuses, and is asked
                to check.  Who is convicted by that is taken out (:meth:`settle`).  Who is bad by members'
                words only cannot be, since others have answered: with more than ``f`` such members the round
                fails, and the next one is better begun with checks.

        Returns:
            Member index -> the request, the same for both.

        After a StoreError or OSError of a store on disk make a new Aggregator over it: the step may have been
        kept.

        Raises:
            ProtocolError: Fewer than ``min_contributors`` (:attr:`Reason.TOO_FEW`): still collecting.
        """
        self._require_collecting()
        self._collection.open_waiting()
        requests = self._settlement.close()
        self.state = State.CLOSING
        if not check_first:  # should that fail the set is fixed all the same, and members check it first
            self._settlement.settle_unchecked()
            self.state = State.ANSWERING
        return requests

    def requests(self) -> dict[int, bytes]:
        """The last requests again: those of :meth:`close`, or after it those of :meth:`settle`.

        After a restart, or for a member that lost its one.  They name the same set and sum, so a member that
        answered gives the identical answer; the signature is a new one.

        Raises:
            ProtocolError: No requests are out (:attr:`Reason.STATE`).
        """
        if self.state not in (State.CLOSING, State.ANSWERING):
            raise ProtocolError(Reason.STATE, "no requests are out", round_id=self.header.hash)
        return self._settlement.requests_again()

    @property
    def checked(self) -> tuple[int, ...]:
        """Members whose check of the set is here, ascending."""
        return self._settlement.heard[0]

    @property
    def answered(self) -> tuple[int, ...]:
        """Members whose answer is here, ascending."""
        return self._settlement.heard[1]

    def receive_check(self, index: int, reply: bytes) -> None:
        """Take a member's verdict on the set.

        Also of a member that refused to answer: who is convicted by it can be taken out by another
        :meth:`settle`.  Complaints without proof count until the first one only.

        Args:
            index: Of the member that it comes from, from 1.
            reply: What :meth:`Member.check` gave.

        Raises:
            UnsigncryptError, SenderError, DecodeError: Not a check of this round for us.
            ProtocolError: Not between :meth:`close` and :meth:`open`, not this member's, about another set,
                or with a conviction that does not hold (:attr:`Reason.CONVICTION`).
        """
        self._require(State.CLOSING, State.ANSWERING)
        self._settlement.add_check(index, reply)

    def settle(self) -> dict[int, bytes]:
        """Decide about complaints, and make the final requests.

        A convicted client is dropped, and so is one of whom more than ``f`` members complain.  For the rest
        nobody can tell who lies: the round does without those members while ``t`` others have agreed; if
        not, it gives up few clients, member by member, until ``t`` agree.

        Once more while answering, as soon as a client of the set is convicted: the answers so far are for
        another set then and are dropped with it, and all members are asked for the set without it, those
        that have answered too.  Whether that is better than to wait for more answers to the set as it is,
        is the caller's choice.

        Returns:
            Member index -> the request to :meth:`Member.answer`, for the members that agree, and for those
            that have not been heard: they check when they answer.

        Raises:
            ProtocolError: Fewer than ``t`` members (:attr:`Reason.NO_QUORUM`), or too few contributors
                left (:attr:`Reason.TOO_FEW`): more checks may still come.  Settled, and nobody of the set is
                convicted (:attr:`Reason.STATE`).
        """
        self._require(State.CLOSING, State.ANSWERING)
        requests = self._settlement.settle()
        self.state = State.ANSWERING
        return requests

    @property
    def convictions(self) -> dict[bytes, Conviction]:
        """Pid -> conviction, verified, of clients that were in the set; for whoever wants to see it."""
        return dict(self._settlement.convictions)

    @property
    def complaints(self) -> dict[int, frozenset[bytes]]:
        """Member index -> pids of clients whose packets it refuses, of members that refuse any.

        Their words: of the convicted :attr:`convictions` has the proof.
        """
        return self._settlement.complaints

    def receive_answer(self, index: int, answer: bytes) -> None:
        """Take a member's answer for the agreed set.

        Args:
            index: Of the member that it comes from, from 1.
            answer: What :meth:`Member.answer` gave.

        Raises:
            TypeError: Wrong types.
            UnsigncryptError, SenderError, DecodeError, SignatureError: Not an answer of this member.
            ProtocolError: Not settled, done, or for another set.
        """
        expect("index", index, int)
        for refused in self.receive_answers({index: answer}).values():
            raise refused

    def receive_answers(self, answers: Mapping[int, bytes]) -> dict[int, SottovoceError]:
        """Take several members' answers, which costs about half of taking them one by one.

        Args:
            answers: Member index -> answer.

        Returns:
            Member index -> what :meth:`receive_answer` would raise, of those that are refused; the others
            are taken.

        Raises:
            TypeError: Not a mapping from integers to bytes.
            ProtocolError: Not settled, or done (:attr:`Reason.STATE`); or an index of no member:
                none is taken.
        """
        # Not before: a member that answers unasked must not cut the others' complaints short.
        self._require(State.ANSWERING)
        expect("answers", answers, Mapping)
        return self._settlement.add_answers(answers)

    def open(self) -> RoundResult:
        """Reconstruct the sum of the keys, open the sum, and make the result.

        Raises:
            ProtocolError: Fewer than ``t`` answers (:attr:`Reason.NO_QUORUM`), or the sum does not open
                with the answers so far (:attr:`Reason.SUM`); more answers may still come.
        """
        agreed = self._settlement.agreed
        if self.state not in (State.ANSWERING, State.DONE) or agreed is None:
            raise ProtocolError(Reason.STATE, "not settled", round_id=self.header.hash)
        result = self._settlement.open(agreed)
        self.state = State.DONE
        return result

    @property
    def opened_sum(self) -> NDArray[np.int64]:
        """The integers that :meth:`open` found, the sum of weights last.

        Raises:
            ProtocolError: Not opened yet (:attr:`Reason.STATE`).
        """
        opened = self._settlement.opened
        if opened is None:
            raise ProtocolError(Reason.STATE, "not opened", round_id=self.header.hash)
        return opened.values

    @property
    def wrong_members(self) -> tuple[int, ...]:
        """Members whose answer was wrong, for certain while at most ``f`` are corrupted.

        Empty before :meth:`open`.
        """
        opened = self._settlement.opened
        return opened.wrong_members if opened is not None else ()

    @property
    def suspect_members(self) -> tuple[int, ...]:
        """Members that disagree with those that opened the sum, where either may have lied.

        Empty before :meth:`open`.
        """
        opened = self._settlement.opened
        return opened.suspect_members if opened is not None else ()

    def publish(self, result: RoundResult) -> bytes:
        """The result, signed, for the clients.

        Args:
            result: Of :meth:`open`.
        """
        return result.to_bytes(self.header, self._keys)

    def write_audit(self, published: bytes, target: BinaryIO) -> None:
        """Write the record with which anybody can recompute the sum (:func:`sottovoce.fl.audit_round`).

        It has the ciphertexts, and what opens their sum: of the sum it tells all that the aggregator knows,
        of a summand nothing.  No member's packets are in it, so it can be kept when the keys of the epoch
        are long gone; this aggregator's own copy goes with :meth:`erase`.

        Args:
            published: The result as it was published.
            target: A binary file; gets one contributor after the other, in bounded memory.

        Raises:
            ProtocolError: Not opened (:attr:`Reason.STATE`), or of another round.
            DecodeError, SignatureError: ``published`` is not a result of this round.
            ParameterError: It is, but of another set or sum.
            OSError: Writing failed.
        """
        self._require(State.DONE)
        header = self.header
        if RoundResult.from_bytes(published, header).agreed != self._settlement.agreed:
            raise ParameterError("published: the result of the opened set expected")
        AuditHead(
            self._trust.get(header.sender_params).to_bytes(),
            self._trust.get(header.committee_params).to_bytes(),
            self._signed_header,
            published,
            self._settlement.share_sums,
            tuple(conviction.to_bytes() for _, conviction in sorted(self.convictions.items())),
        ).write(target, self._collection.contributions())

    def erase(self) -> None:
        """Forget the packets of the round; whatever its state, it ends here.

        Raises:
            ProtocolError: Before the audit deadline of a round that was opened (:attr:`Reason.AUDIT`).
        """
        if self.state is State.DONE and self._clock() <= self.header.audit_deadline:
            raise ProtocolError(Reason.AUDIT, round_id=self.header.hash)
        self._store.erase(self.header.hash)
        self._collection.erase()
        self._settlement.erase()
        self.state = State.ERASED

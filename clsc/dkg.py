"""Key generation among the servers themselves: nobody ever holds the master secret.

Each server shares a secret of its own by Feldman's scheme, and the master secret is the sum (Pedersen,
EUROCRYPT 1991), in six rounds of which the last four are short:

1. ``commit``: every server broadcasts a hash of its commitments ``A_k = a_k*P2``;
2. ``reveal``: it broadcasts the commitments and Schnorr's proof that it knows ``a_0``, bound to session
   and index, and sends each other server ``j`` its share ``f(j)``;
3. ``complain``: it names the servers whose share did not come or does not match;
4. ``justify``: an accused server publishes the disputed shares.  Who does not, who publishes a wrong one
   or is accused by ``t - f`` or more is disqualified;
5. ``confirm``: it broadcasts the hash of all that it saw on the broadcast channel;
6. ``finish``: with ``t`` equal hashes, its own included, it has the result.

**Assumed.**  An authenticated broadcast channel (everybody gets the same messages and knows from whom),
confidential and authenticated channels between each two servers, and rounds with an end: what an honest
server sends arrives before the others close the round.  At most ``f < t`` servers are faulty.

Secrecy needs no rounds with an end, but a true ``f``.  A private share that is held up is disputed, and
published; so a server that ``t - f`` others accuse publishes nothing and is out, because with the shares
that ``f`` listeners hold so many would be its polynomial.  As ``t > 2f`` (of ``2t > n + f`` and
``t <= n - f``), false complaints of ``f`` servers are never so many.

**Given.**  All honest servers get the same ``Y``, ``Y_1..Y_n`` and set of qualified servers.  ``t - 1``
servers learn nothing of ``s`` that ``Y`` does not say.  Faulty servers can bias ``Y`` by being
disqualified on purpose (Gennaro, Jarecki, Krawczyk, Rabin, J. Cryptology 2007), and that is harmless
here: BLS signatures and Boneh-Franklin encryption are rekeyable and this protocol is key-expressable
(Gurkan, Jovanovic, Maller, Meiklejohn, Stern, Tomescu, EUROCRYPT 2021).

**Why t everywhere.**  An honest server is never disqualified, so with ``t <= n - f`` at least ``t`` are
qualified; fewer than ``t`` means that the honest ones could not issue, and the run fails.  Since
``t > f``, one of the qualified is honest, so ``s`` is secret.  Every valid choice of ``t, n, q, f`` has
``2t > n + f`` (it follows from ``q(n-f) < (q+1)(t-f)``), so two sets of ``t`` confirmations share more
than ``f`` servers, an honest one among them: even if the broadcast channel showed different things to
different servers, no two honest servers finish with different results.

The shares are sums of Python integers (docs/timing.md); what goes to the curve as a secret
goes through a comb table.
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any, Self

from .._ext.errors import DkgError
from . import dkg_proof, polynomial
from .dkg_board import Board, DkgRound
from .dkg_messages import Commit, Complaints, Confirm, Justifications, PrivateShare
from .dkg_session import DkgPublic, DkgResult, DkgSession
from .group import ORDER, RandomBytes

if TYPE_CHECKING:
    from .dkg_board import Broadcast


class DkgParticipant:
    """One server in one run.  SECRET.

    The methods :meth:`commit`, :meth:`reveal`, :meth:`complain`, :meth:`justify`, :meth:`confirm` are
    called in this order; each closes the round before it and gives the message of its own, and gives the
    same one when called again.  In between, :meth:`receive` takes what came by broadcast in this round,
    and :meth:`receive_private` what came from one server confidentially.  What is not received when a
    round is closed counts as not sent.  An error changes nothing, but for the one of :meth:`confirm`
    that says that the run failed: it closes the participant.

    Attributes:
        session: What was agreed on.
        index: 1 to ``session.servers``.

    Threads: one at a time.  Cannot be pickled: a server that loses its state is silent from then on.

    Timing: on the curve secrets meet comb tables of ``P2`` only, always the same number of additions;
        polynomial and shares are Python integers.  Who is accused, and which shares are published, is public.
    Source: Pedersen, EUROCRYPT 1991, with Feldman, FOCS 1987; that a biased ``Y`` is harmless: Gurkan et al.,
        EUROCRYPT 2021; the rounds: docs/clsc-threshold.md, "Without a dealer".
    """

    __slots__ = ("_board", "_f", "_own", "_public", "_s", "_sent", "_shares", "index", "session")

    def __init__(self, session: DkgSession, index: int) -> None:
        """Draw the server's own polynomial.

        Args:
            session: What was agreed on.
            index: Which server this is, 1 to ``session.servers``.

        Raises:
            TypeError: Wrong types.
            ParameterError: ``index`` out of range.

        Timing: ``t + 1`` comb multiplications in G2; the coefficients are Python integers.
        """
        self._start(session, index, os.urandom)

    @classmethod
    def _derand(cls, session: DkgSession, index: int, random_bytes: RandomBytes) -> Self:
        self = cls.__new__(cls)
        self._start(session, index, random_bytes)
        return self

    def _start(self, session: DkgSession, index: int, random_bytes: RandomBytes) -> None:
        if not isinstance(session, DkgSession):
            raise TypeError(f"session: DkgSession expected, got {type(session).__name__}")
        board = Board(session)
        refused = board.no_server(index, "index")
        if refused is not None:
            raise refused
        self.session = session
        self.index = index
        self._board = board
        self._shares: dict[int, int] = {}
        self._public: DkgPublic | None = None
        self._s = 0
        self._f = dkg_proof.draw(session, random_bytes)
        self._own = dkg_proof.commit_to(self._f, session, index, random_bytes)
        self._post(Commit(session.id, index, self._own.digest()))

    @property
    def round(self) -> DkgRound:
        """Which messages are taken now."""
        return self._board.round

    # -- what comes in --------------------------------------------------------------------------

    def receive(self, sender: int, data: bytes) -> None:
        """Take a message of this round from the broadcast channel.

        The same bytes again, and the server's own, are taken and change nothing.

        Args:
            sender: Who sent it, as the channel says: 1 to ``session.servers``.
            data: The message, as the sender's method of this round gave it.

        Raises:
            TypeError: Wrong types.
            ParameterError: ``sender`` out of range.
            DecodeError: Not canonical.
            DkgError: Of another round (then it may be right later), session or sender; a second,
                different one; or against the rules: not what was committed to, another degree, a proof
                that does not hold, an accused without a reveal, other shares than the disputed ones.
        """
        self._board.receive(sender, data)

    def receive_private(self, sender: int, data: bytes) -> None:
        """Take the private share of another server, in round ``reveal``.

        Whether it is right is found in :meth:`complain`; a wrong one is no error here.

        Args:
            sender: Who sent it, as the channel says: 1 to ``session.servers``, and not this server.
            data: 68 bytes, SECRET; the share in it is kept until :meth:`confirm`.

        Raises:
            TypeError: Wrong types.
            ParameterError: ``sender`` out of range.
            DecodeError: Not canonical.
            DkgError: In another round, of another session or sender, for another server, or a second,
                different one.
        """
        refused = self._take_private(sender, data)
        del data  # a traceback keeps the variables of the frame that raises
        if refused is not None:
            raise refused

    def _take_private(self, sender: int, data: bytes) -> Exception | None:
        """What is wrong with a private share; returned, because this frame holds it."""
        if self._board.round is not DkgRound.REVEAL:
            return DkgError(f"share: received in round {self._board.round.words}")
        message = PrivateShare._parse(data)
        if isinstance(message, Exception):
            return message
        refused = self._board.foreign(message, sender)
        if refused is not None:
            return refused
        if message.receiver != self.index or sender == self.index:
            return DkgError(f"share of server {sender}: for server {message.receiver}")
        known = self._shares.setdefault(sender, message.value)
        if known != message.value:
            return DkgError(f"share: server {sender} sent two different ones")
        return None

    # -- the rounds -----------------------------------------------------------------------------

    def commit(self) -> bytes:
        """The message of the first round, for broadcast: 67 bytes, a hash of the second one.

        Raises:
            DkgError: The round is over.
        """
        self._enters(DkgRound.COMMIT, "commit")
        return self._sent

    def reveal(self) -> tuple[bytes, dict[int, bytes]]:
        """Close the first round; the commitments, and the private share for every other server.

        Returns:
            The message for broadcast, ``163 + 96 t`` bytes; and by index of the receiver, SECRET, 68
            bytes each, what goes to that server confidentially.

        Raises:
            DkgError: Called out of turn.

        Timing: evaluates the polynomial in Python integers.
        """
        if self._enters(DkgRound.REVEAL, "reveal"):
            self._board.round = DkgRound.REVEAL
            self._post(self._own)
        shares = {
            j: PrivateShare(self.session.id, self.index, j, polynomial.evaluate(self._f, j)).to_bytes()
            for j in range(1, self.session.servers + 1)
            if j != self.index
        }
        return self._sent, shares

    def complain(self) -> bytes:
        """Close the second round, check the private shares; the complaints, for broadcast.

        Returns:
            36 bytes and one for each accused.

        Raises:
            DkgError: Called out of turn.

        Timing: one comb multiplication by each private share in G2; who is accused is public afterwards.
        """
        if self._enters(DkgRound.COMPLAIN, "complain"):
            self._board.round = DkgRound.COMPLAIN
            self._shares[self.index] = polynomial.evaluate(self._f, self.index)
            fits = self._board.fits
            self._shares = {i: value for i, value in self._shares.items() if fits(i, self.index, value)}
            accused = tuple(i for i in self._board.revealed if i not in self._shares)
            self._post(Complaints(self.session.id, self.index, accused))
        return self._sent

    def justify(self) -> bytes:
        """Close the third round; the shares that this server must publish, for broadcast.

        If nobody accused anybody there is nothing to wait for, and :meth:`confirm` may follow at once.

        Returns:
            36 bytes and 33 for each disputed share, which is public from then on.

        Raises:
            DkgError: Called out of turn.
        """
        if self._enters(DkgRound.JUSTIFY, "justify"):
            self._board.round = DkgRound.JUSTIFY
            disputed = self._board.disputed(self.index)
            shares = tuple((j, polynomial.evaluate(self._f, j)) for j in disputed)
            self._post(Justifications(self.session.id, self.index, shares))
        return self._sent

    def confirm(self) -> bytes:
        """Close the fourth round, compute the result; the hash of what was seen, for broadcast.

        The polynomial and the shares of others are forgotten here; their sum is kept.

        Returns:
            67 bytes.

        Raises:
            DkgError: Called out of turn; or fewer than ``t`` servers are qualified, and ``culprits`` says who
                is not and why; or the sum is degenerate, which no draw gives.  Then the run has failed, and
                the participant is closed.

        Timing: adds the shares in Python integers; all else is public.
        """
        if self._enters(DkgRound.CONFIRM, "confirm"):
            try:
                self._public = self._board.result()
            except DkgError:
                self._board.round = DkgRound.FAILED
                self._forget()
                raise
            self._s = self._sum(self._public.qualified)
            self._forget()
            self._board.round = DkgRound.CONFIRM
            self._post(Confirm(self.session.id, self.index, self._public.transcript))
        return self._sent

    def finish(self) -> DkgResult:
        """Close the last round: the result, once ``t`` servers, this one included, saw the same.

        May be called once; the share is handed over and not kept.

        Returns:
            The public result and this server's share.

        Raises:
            DkgError: Called out of turn, or too few confirmations so far: more may still be received.
        """
        self._enters(DkgRound.FINISHED, "finish", again=False)
        assert self._public is not None
        equal, dissenting = self._board.confirmations(self._public.transcript)
        if len(equal) < self.session.threshold:
            raise DkgError(
                f"finish: {len(equal)} of {self.session.threshold} needed servers confirm what this one saw"
                f" (others: {list(dissenting)})"
            )
        result = DkgResult(self._public, self.index, self._s, dissenting)
        self._s = 0
        self._board.round = DkgRound.FINISHED
        return result

    def _enters(self, target: DkgRound, name: str, *, again: bool = True) -> bool:
        """Whether the call closes the round before ``target``; False if it repeats itself."""
        if self.round == target - 1:
            return True
        if again and self.round is target:
            return False
        raise DkgError(f"{name}: called in round {self.round.words}")

    def _post(self, message: Broadcast) -> None:
        self._board.post(message)
        self._sent = message.to_bytes()

    def _sum(self, qualified: tuple[int, ...]) -> int:
        """The share of the master secret: what a qualified server did not send, it has published."""
        total = 0
        for i in qualified:
            share = self._shares.get(i)
            total += self._board.published(i)[self.index] if share is None else share
        return total % ORDER

    def _forget(self) -> None:
        self._f = []
        self._shares = {}

    def __repr__(self) -> str:
        # A debugger may ask in the middle of a constructor that raises.
        board = getattr(self, "_board", None)
        return f"DkgParticipant({getattr(self, 'index', None)}, round {board and board.round.words})"

    def __reduce__(self) -> Any:
        raise TypeError("a DkgParticipant is secret and cannot be pickled")

"""The members of the committee among Flower's nodes: they co-sign the header, check, and answer."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from flwr.app import Message
from flwr.serverapp import Grid

from ... import clsc
from ..._ext.enc import enc
from ..._ext.errors import SottovoceError, StoreError
from ..aggregator import Aggregator
from ..closing import RoundResult
from ..errors import ProtocolError, Reason
from ..header import TAG_MEMBER, RoundHeader
from ..signed import SignedHeader
from .grid import ask
from .messages import ANSWER, CHECK, COSIGN, log, queries, read_bytes, shown

MAX_CLAIMS = 4
"""Nodes that are asked in one member's place: its own, and others that show its signature."""


@dataclass(frozen=True)
class Deadlines:
    """How long the server waits.

    Attributes:
        train_s: For training and sealing.
        evaluate_s: For evaluation.
        straggler_s: For the others of both, once there are enough contributors.
        first_s: For the first co-signing of a run, while nodes may still be starting.
        member_s: For each of the committee's three answers after that.
        grace_s: For the other members, once there are ``t``.
    """

    train_s: float
    evaluate_s: float
    straggler_s: float
    first_s: float
    member_s: float
    grace_s: float


class Committee:
    """Where each member sits, and how it is asked.

    A member is found by its name and its signature, and never by a node's number, which is another one
    after a restart: the first header goes to every node, and whoever signs as member ``j`` sits there.  Later
    ones go to the nodes that are known, and to all while a member is missing.  Nodes that come in the middle
    of a round are shown its header, too: a member that was started again goes on where it was.

    Args:
        deadlines: How long to wait.
        check_first: Whether members check before any of them answers; after a round without a quorum they do.
    """

    def __init__(self, deadlines: Deadlines, *, check_first: bool = True) -> None:
        self._deadlines = deadlines
        self._check_first = check_first
        self._nodes: dict[bytes, set[int]] = {}
        self._silent: frozenset[bytes] = frozenset()
        # Nodes that were there when the header was signed, or came since and were shown it.
        self._met: set[int] = set()
        self._proposal = b""

    @property
    def nodes(self) -> frozenset[int]:
        """The nodes on which members were found."""
        return frozenset().union(*self._nodes.values())

    def cosign(self, grid: Grid, proposal: SignedHeader) -> bytes:
        """The header with the members' signatures.

        Raises:
            ProtocolError: Fewer than ``t`` signed in time (:attr:`Reason.HEADER_SIGNATURE`).
        """
        header = proposal.header
        found = {m.name: nodes for m in header.members if (nodes := self._nodes.get(m.name))}
        here = set(grid.get_node_ids())
        known = set().union(*found.values())
        complete = len(found) == len(header.members) and not self._silent and known <= here
        self._proposal, self._met = proposal.to_bytes(), here
        wait_s = self._deadlines.member_s if found else self._deadlines.first_s
        signed = self._show(grid, header, known if complete else here, wait_s)
        # Nobody else has seen these signatures, so whoever showed one made it.
        for j, by_node in signed.items():
            self._nodes[header.members[j - 1].name] = set(by_node)
        self._silent = frozenset(m.name for j, m in enumerate(header.members, 1) if j not in signed)
        return proposal.with_members({j: next(iter(s.values())) for j, s in signed.items()}).to_bytes()

    def _show(
        self, grid: Grid, header: RoundHeader, nodes: set[int], timeout_s: float
    ) -> dict[int, dict[int, bytes]]:
        """Show nodes the header that is to be signed: member index -> node -> signature."""
        index = {member.name: j for j, member in enumerate(header.members, 1)}
        signed: dict[int, dict[int, bytes]] = {}

        def take(node: int, reply: Message) -> bool:
            j, signature = index[read_bytes(reply, "name")], read_bytes(reply, "reply")
            clsc.verify(header.members[j - 1].sign, enc(TAG_MEMBER, header.hash, j), signature)
            signed.setdefault(j, {})[node] = signature
            return True

        fields = {node: {"header": self._proposal} for node in sorted(nodes)}
        self._ask(grid, COSIGN, fields, take, timeout_s, lambda _: len(signed) >= header.threshold)
        return signed

    def _look_again(self, grid: Grid, header: RoundHeader) -> None:
        """Find members that were started again since the header was signed.

        Trainers have seen the members' signatures by now, and could show one as theirs: so the node that
        was found first is asked as well, and the reply tells who is who.
        """
        new = set(grid.get_node_ids()) - self._met
        if not new:
            return
        self._met |= new
        for j, by_node in self._show(grid, header, new, self._deadlines.grace_s).items():
            claims = self._nodes.setdefault(header.members[j - 1].name, set())
            claims.update(sorted(by_node)[: MAX_CLAIMS - len(claims)])

    def close(self, grid: Grid, aggregator: Aggregator, signed_header: bytes) -> RoundResult:
        """Close a round: checks if they come first, answers, and the sum opened.

        Raises:
            ProtocolError: As :meth:`Aggregator.close`, :meth:`Aggregator.settle`, :meth:`Aggregator.open`.
        """
        requests = aggregator.close(check_first=self._check_first)
        if self._check_first:
            self._put(grid, CHECK, aggregator.header, signed_header, requests, aggregator.receive_check)
            requests = aggregator.settle()
        while True:
            self._put(grid, ANSWER, aggregator.header, signed_header, requests, aggregator.receive_answer)
            try:
                return aggregator.open()
            except ProtocolError as error:
                if error.reason is not Reason.NO_QUORUM:
                    raise
                # Who does not answer may hold a share that convicts its sender: then the set is another.
                rest = {j: request for j, request in requests.items() if j not in aggregator.answered}
                self._put(grid, CHECK, aggregator.header, signed_header, rest, aggregator.receive_check)
                if aggregator.convictions.keys().isdisjoint(aggregator.accepted):
                    # Perhaps bad shares that nobody can show: with checks first, such a client is dropped.
                    self._check_first = True
                    raise
            requests = aggregator.settle()  # refuses after MAX_REMOVALS

    def _put(
        self,
        grid: Grid,
        action: str,
        header: RoundHeader,
        signed_header: bytes,
        requests: Mapping[int, bytes],
        receive: Callable[[int, bytes], None],
    ) -> None:
        """Put each member's request to its node, and hand over what comes back."""
        self._look_again(grid, header)
        at = {node: j for j in requests for node in self._nodes.get(header.members[j - 1].name, ())}
        heard: set[int] = set()

        def take(node: int, reply: Message) -> bool:
            receive(at[node], read_bytes(reply, "reply"))
            heard.add(at[node])
            return True

        fields = {node: {"header": signed_header, "request": requests[j]} for node, j in at.items()}
        wait_s = self._deadlines.member_s
        self._ask(grid, action, fields, take, wait_s, lambda _: len(heard) >= header.threshold)

    def _ask(
        self,
        grid: Grid,
        action: str,
        fields: Mapping[int, Mapping[str, bytes]],
        take: Callable[[int, Message], bool],
        timeout_s: float,
        enough: Callable[[int], bool],
    ) -> None:
        def guarded(node: int, reply: Message) -> bool:
            if reply.has_error():
                # Nodes that are no members say so, too: nothing to tell anybody.
                if reply.error.reason != f"sottovoce: {Reason.NOT_MEMBER.value}":
                    log.warning("%s: node %d: %s", action, node, shown(reply.error.reason))
                return False
            try:
                return take(node, reply)
            except StoreError:
                raise  # ours, not the node's fault
            except (SottovoceError, KeyError) as error:
                kind = error.reason.value if isinstance(error, ProtocolError) else type(error).__name__
                log.warning("%s: node %d: refused: %s", action, node, kind)
                return False

        ask(
            grid,
            queries(action, fields, timeout_s),
            timeout_s=timeout_s,
            grace_s=self._deadlines.grace_s,
            take=guarded,
            enough=enough,
        )

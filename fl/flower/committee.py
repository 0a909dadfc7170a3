"""The members of the committee among Flower's nodes: they co-sign the header, check, and answer."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from flwr.app import ConfigRecord, Message, RecordDict
from flwr.serverapp import Grid

from ... import clsc
from ..._ext.enc import enc
from ..._ext.errors import SottovoceError
from ..aggregator import Aggregator
from ..closing import RoundResult
from ..errors import ProtocolError, Reason
from ..header import TAG_MEMBER, RoundHeader
from ..signed import SignedHeader
from .grid import ask
from .messages import ANSWER, CHECK, COSIGN, RECORD, log, message_type, read_bytes


@dataclass(frozen=True)
class Deadlines:
    """How long the server waits.

    Attributes:
        train_s: For training and sealing.
        straggler_s: For the other trainers, once there are enough contributors.
        first_s: For the first co-signing of a run, while nodes may still be starting.
        member_s: For each of the committee's three answers after that.
        grace_s: For the other members, once there are ``t``.
    """

    train_s: float
    straggler_s: float
    first_s: float
    member_s: float
    grace_s: float


class Committee:
    """Where each member sits, and how it is asked.

    A member is found by its signature: the first header goes to every node, and whoever signs as member
    ``j`` sits there.  Later ones go to the nodes that are known, and to all while a member is missing.

    Args:
        deadlines: How long to wait.
    """

    def __init__(self, deadlines: Deadlines) -> None:
        self._deadlines = deadlines
        self._nodes: dict[bytes, int] = {}
        self._silent: frozenset[bytes] = frozenset()  # a node that starts anew has another number

    @property
    def nodes(self) -> frozenset[int]:
        """The nodes on which members were found."""
        return frozenset(self._nodes.values())

    def cosign(self, grid: Grid, proposal: SignedHeader) -> bytes:
        """The header with the members' signatures.

        Raises:
            ProtocolError: Fewer than ``t`` signed in time (:attr:`Reason.HEADER_SIGNATURE`).
        """
        header = proposal.header
        index = {member.name: j for j, member in enumerate(header.members, 1)}
        known = {node for name, node in self._nodes.items() if name in index and name not in self._silent}
        nodes = known if len(known) == len(index) else set(grid.get_node_ids())
        signatures: dict[int, bytes] = {}

        def take(node: int, reply: Message) -> bool:
            j, signature = index[read_bytes(reply, "name")], read_bytes(reply, "reply")
            clsc.verify(header.members[j - 1].sign, enc(TAG_MEMBER, header.hash, j), signature)
            self._nodes[header.members[j - 1].name] = node
            signatures[j] = signature
            return True

        data = proposal.to_bytes()
        fields = {node: {"header": data} for node in sorted(nodes)}
        self._ask(
            grid, COSIGN, header, fields, take, self._deadlines.member_s if known else self._deadlines.first_s
        )
        self._silent = frozenset(name for name, j in index.items() if j not in signatures)
        return proposal.with_members(signatures).to_bytes()

    def close(self, grid: Grid, aggregator: Aggregator, signed_header: bytes) -> RoundResult:
        """Close a round: checks, answers, and the sum opened.

        Raises:
            ProtocolError: As :meth:`Aggregator.close`, :meth:`Aggregator.settle`, :meth:`Aggregator.open`.
        """
        requests = aggregator.close()
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
        at = {
            self._nodes[header.members[j - 1].name]: j
            for j in requests
            if header.members[j - 1].name in self._nodes
        }

        def take(node: int, reply: Message) -> bool:
            receive(at[node], read_bytes(reply, "reply"))
            return True

        fields = {node: {"header": signed_header, "request": requests[j]} for node, j in at.items()}
        self._ask(grid, action, header, fields, take, self._deadlines.member_s)

    def _ask(
        self,
        grid: Grid,
        action: str,
        header: RoundHeader,
        fields: Mapping[int, Mapping[str, bytes]],
        take: Callable[[int, Message], bool],
        timeout_s: float,
    ) -> None:
        messages = [
            Message(
                RecordDict({RECORD: ConfigRecord(dict(values))}),
                dst_node_id=node,
                message_type=message_type(action),
                ttl=2 * timeout_s,
            )
            for node, values in fields.items()
        ]

        def guarded(node: int, reply: Message) -> bool:
            if reply.has_error():
                # Nodes that are no members say so, too: nothing to tell anybody.
                if reply.error.reason != f"sottovoce: {Reason.NOT_MEMBER.value}":
                    log.warning("%s: node %d: %s", action, node, reply.error.reason)
                return False
            try:
                return take(node, reply)
            except (SottovoceError, KeyError) as error:
                kind = error.reason.value if isinstance(error, ProtocolError) else type(error).__name__
                log.warning("%s: node %d: refused: %s", action, node, kind)
                return False

        ask(
            grid,
            messages,
            timeout_s=timeout_s,
            grace_s=self._deadlines.grace_s,
            take=guarded,
            enough=header.threshold,
        )

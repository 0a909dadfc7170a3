"""What came of a round, shown to the nodes that trained for it: with the next message that they get.

A node remembers the last header that it sealed for in Flower's state of the run, which never leaves it, and
looks at the result before it trains on the next model: the aggregator's and ``t`` members' signatures, the
list, and that its own entry is the manifest it sealed.  What it cannot see is how the strategy makes a model
of a mean.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from flwr.app import ConfigRecord, Context, Message

from ..closing import RoundResult
from ..errors import ProtocolError, Reason
from ..header import RoundHeader
from ..signed import SignedHeader
from .folders import NodeFolder
from .messages import RECORD, log, own_record, read_bytes

RESULT = "result"
RESULT_HEADER = "result_header"


@dataclass(frozen=True)
class SealedRound:
    """One round that was opened.

    Attributes:
        server_round: Flower's number, from 1.
        signed_header: What the parties agreed on.
        published: The signed result, for :meth:`sottovoce.fl.Client.read_result`.
        result: The same, as an object.
        refused: How often something was refused, by kind.

    Source: docs/fl-flower.md, "Rounds".
    """

    server_round: int
    signed_header: bytes = field(repr=False)
    published: bytes = field(repr=False)
    result: RoundResult = field(repr=False)
    refused: Mapping[str, int]


class Owed:
    """At the server: which nodes have yet to be shown the result of the last round they trained for.

    Args:
        rounds: The rounds that are kept; what is gone from there is owed to nobody.
    """

    def __init__(self, rounds: deque[SealedRound]) -> None:
        self._rounds = rounds
        self._owed: dict[int, SealedRound] = {}

    def add(self, opened: SealedRound, nodes: Iterable[int]) -> None:
        """Nodes were asked to train for a round that was opened."""
        kept = {id(each) for each in self._rounds}
        self._owed = {node: other for node, other in self._owed.items() if id(other) in kept}
        self._owed.update(dict.fromkeys(nodes, opened))

    def settle(self, node: int) -> None:
        """A node has taken a message that showed it the result."""
        self._owed.pop(node, None)

    def fields(self, node: int) -> dict[str, bytes]:
        """What is to be put into the next message to a node."""
        opened = self._owed.get(node)
        if opened is None:
            return {}
        return {RESULT_HEADER: opened.signed_header, RESULT: opened.published}


def remember(context: Context, header: RoundHeader, pid: bytes) -> None:
    """At a node: an update has been sealed for this round."""
    context.state[RECORD] = ConfigRecord({"header": header.hash, "pid": pid})


def check_result(message: Message, context: Context, folder: NodeFolder, begun: RoundHeader | None) -> None:
    """At a node: verify the result that a message shows, if it shows one.

    Args:
        message: May carry a result with its header.
        context: Remembers what this node sealed for in this run.
        folder: The node's.
        begun: The round that it is about to train for, where it is: the result that it waits for should be
            there by now, unless this is the same round again.

    Raises:
        DecodeError, SenderError, SignatureError, ProtocolError: As :meth:`Client.read_result`; or it is not
            there, and the node's settings require it (:attr:`Reason.RESULT`).
    """
    sealed = context.state.config_records.get(RECORD)
    shown = own_record(message)
    if shown is not None and (RESULT in shown or RESULT_HEADER in shown):
        signed_header = read_bytes(message, RESULT_HEADER)
        with folder.client() as client:
            result = client.read_result(signed_header, read_bytes(message, RESULT))
        of = SignedHeader.from_bytes(signed_header, folder.trust).header.hash
        if sealed is not None and sealed["header"] == of:
            if sealed["pid"] not in dict(result.entries):
                log.warning("round %s: verified, and this node's update is not in it", of.hex()[:16])
            else:
                log.info("round %s: verified, with this node's update", of.hex()[:16])
            del context.state[RECORD]
            return
    if begun is not None and sealed is not None and sealed["header"] != begun.hash:
        if folder.requires_results:
            raise ProtocolError(Reason.RESULT, "of the last round expected", round_id=_hash(sealed))
        log.warning("round %s: sealed for, and its result was never shown", _hash(sealed).hex()[:16])


def _hash(sealed: ConfigRecord) -> bytes:
    value = sealed["header"]
    assert isinstance(value, bytes)
    return value

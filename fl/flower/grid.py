"""Asking nodes with our own deadlines, and a grid that shows a strategy only the nodes that may train.

Flower itself takes more than a minute to notice that a node is gone, and ``send_and_receive`` waits for
the slowest of them: here a question ends when enough have answered and the others had their time.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable
from typing import Any

from flwr.app import Message, RecordDict
from flwr.serverapp import Grid

POLL_S = 0.2

Collect = Callable[[Grid, list[Message]], list[Message]]


def ask(
    grid: Grid,
    messages: Iterable[Message],
    *,
    timeout_s: float,
    grace_s: float,
    take: Callable[[int, Message], bool],
    enough: Callable[[int], bool],
) -> None:
    """Send messages and hand every reply to ``take`` as it comes.

    Ends when all have replied, or ``grace_s`` after ``enough`` says so, or after ``timeout_s``.  A reply that
    comes later is never looked at.

    Args:
        grid: The run's.
        messages: One for each node.
        timeout_s: Seconds.
        grace_s: Seconds that the others get once there are enough.
        take: Gets the node that was *asked* (an error that Flower makes up for a dead node claims to come
            from the server) and its reply; says whether it was a good one.
        enough: Gets the number of good replies, whenever replies were looked for.
    """
    asked: dict[str, int] = {}
    pushed = list(messages)
    sent = set(grid.push_messages(pushed))
    for message in pushed:
        if message.metadata.message_id in sent:
            asked[message.metadata.message_id] = message.metadata.dst_node_id
    end = time.monotonic() + timeout_s
    good = 0
    hurried = False
    while asked and time.monotonic() < end:
        for reply in grid.pull_messages(list(asked)):
            node = asked.pop(reply.metadata.reply_to_message_id, None)
            if node is not None and take(node, reply):
                good += 1
        if not hurried and enough(good):
            hurried = True
            end = min(end, time.monotonic() + grace_s)
        if asked:
            time.sleep(POLL_S)


class SealedGrid(Grid):
    """Another grid with some nodes hidden, and with our deadlines for training and evaluation.

    Args:
        inner: The run's grid.
        hidden: Asked whenever nodes are listed: those to leave out.
        collect: Replaces ``send_and_receive`` for messages that ``is_ours`` recognises.
        is_ours: Tells whether messages have our deadlines.
    """

    def __init__(
        self,
        inner: Grid,
        *,
        hidden: Callable[[], frozenset[int]] = frozenset,
        collect: Collect | None = None,
        is_ours: Callable[[list[Message]], bool] = lambda _: False,
    ) -> None:
        self._inner = inner
        self._hidden = hidden
        self._collect = collect
        self._is_ours = is_ours

    def __getattr__(self, name: str) -> Any:
        # Grids may have more than the interface; dunder names must not lead into a loop while unpickling.
        if name.startswith("__"):
            raise AttributeError(name)
        return getattr(self.__dict__["_inner"], name)

    def set_run(self, run: Any) -> None:
        """See :class:`flwr.serverapp.Grid`."""
        self._inner.set_run(run)

    @property
    def run(self) -> Any:
        """See :class:`flwr.serverapp.Grid`."""
        return self._inner.run

    def create_message(
        self,
        content: RecordDict,
        message_type: str,
        dst_node_id: int,
        group_id: str,
        ttl: float | None = None,
    ) -> Message:
        """See :class:`flwr.serverapp.Grid`."""
        return self._inner.create_message(content, message_type, dst_node_id, group_id, ttl)

    def get_node_ids(self) -> Iterable[int]:
        """The nodes that are not hidden."""
        hidden = self._hidden()
        return [node for node in self._inner.get_node_ids() if node not in hidden]

    def get_nodes(self) -> Iterable[Any]:
        """The nodes that are not hidden."""
        hidden = self._hidden()
        return [node for node in self._inner.get_nodes() if node.node_id not in hidden]

    def push_messages(self, messages: Iterable[Message]) -> Iterable[str]:
        """See :class:`flwr.serverapp.Grid`."""
        return self._inner.push_messages(messages)

    def pull_messages(self, message_ids: Iterable[str]) -> Iterable[Message]:
        """See :class:`flwr.serverapp.Grid`."""
        return self._inner.pull_messages(message_ids)

    def send_and_receive(
        self, messages: Iterable[Message], *, timeout: float | None = None
    ) -> Iterable[Message]:
        """As the inner grid, with our own deadlines for what is ours."""
        listed = list(messages)
        if self._collect is not None and self._is_ours(listed):
            return self._collect(self._inner, listed)
        return self._inner.send_and_receive(listed, timeout=timeout)

"""``install``: the query actions by which a node serves as a member, and gets its keys."""

from __future__ import annotations

from collections.abc import Callable

from flwr.app import Context, Message
from flwr.clientapp import ClientApp

from .enrolment import ask_keys, take_keys
from .folders import NodeFolder
from .messages import ANSWER, ASK_KEYS, CHECK, COSIGN, TAKE_KEYS, read_bytes, refusal, reply_with

Action = Callable[[Message, NodeFolder], Message]


def install(app: ClientApp) -> ClientApp:
    """Register the actions of committee members and of enrolment with an app, and give it back.

    Every node may run the same app: one without member's keys in its folder refuses.

    Args:
        app: With :func:`seal_mod` first among its ``mods``.

    Returns:
        The same app.

    Raises:
        ValueError: The app was made from a ``client_fn``, or has these actions already.

    Source: docs/fl-flower.md, "What changes in an app".
    """
    actions = {COSIGN: _cosign, CHECK: _check, ANSWER: _answer, ASK_KEYS: ask_keys, TAKE_KEYS: take_keys}
    for name, action in actions.items():
        app.query(name)(_guarded(action))
    return app


def _guarded(action: Action) -> Callable[[Message, Context], Message]:
    def run(message: Message, context: Context) -> Message:
        try:
            return action(message, NodeFolder.of(context))
        except Exception as error:  # its text would go to the server
            return refusal(message, error)

    return run


def _cosign(message: Message, folder: NodeFolder) -> Message:
    with folder.member() as member:
        return reply_with(message, name=member.name, reply=member.cosign(read_bytes(message, "header")))


def _check(message: Message, folder: NodeFolder) -> Message:
    with folder.member() as member:
        reply = member.check(read_bytes(message, "header"), read_bytes(message, "request"))
        return reply_with(message, name=member.name, reply=reply)


def _answer(message: Message, folder: NodeFolder) -> Message:
    with folder.member() as member:
        reply = member.answer(read_bytes(message, "header"), read_bytes(message, "request"))
        return reply_with(message, name=member.name, reply=reply)

"""How the bytes of a round travel in Flower's messages, and what a node says when it refuses.

All of ours is in one ``ConfigRecord`` named ``sottovoce``; only a sealed update is an ``Array``, of a
serialisation type that nothing but this package knows: whoever averages it by mistake gets an error.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping

from flwr.app import Array, ArrayRecord, ConfigRecord, Error, Message, RecordDict

from ..._ext.errors import DecodeError, SottovoceError
from ..errors import ProtocolError

RECORD = "sottovoce"
SEALED = "sottovoce.sealed.v1"
COSIGN = "sottovoce_cosign"
CHECK = "sottovoce_check"
ANSWER = "sottovoce_answer"
ASK_KEYS = "sottovoce_ask_keys"
TAKE_KEYS = "sottovoce_take_keys"

REFUSED_CODE = 6
"""Of Flower's error codes the one for a mod whose conditions do not hold."""

log = logging.getLogger("sottovoce.fl.flower")


SHOWN_CHARS = 200
"""Of a stranger's text in a log: our own refusals have under 100."""


def shown(text: str | None) -> str:
    """What somebody else wrote, for a log: quoted, escaped, one line, and not longer than a line may be."""
    text = text if text is not None else ""
    return ascii(text[:SHOWN_CHARS]) + ("..." if len(text) > SHOWN_CHARS else "")


def message_type(action: str) -> str:
    """Flower's name of one of our query actions."""
    return f"query.{action}"


def category(message: Message) -> str:
    """``train``, ``evaluate`` or ``query``."""
    return message.metadata.message_type.partition(".")[0]


def own_record(message: Message) -> ConfigRecord | None:
    """Our record in a message, if it has one."""
    record = message.content.config_records.get(RECORD) if message.has_content() else None
    return record if isinstance(record, ConfigRecord) else None


def read_bytes(message: Message, key: str) -> bytes:
    """One of our fields.

    Raises:
        DecodeError: It is not there, or not bytes.
    """
    record = own_record(message)
    value = record.get(key) if record is not None else None
    if type(value) is not bytes:
        raise DecodeError(f"message: {key} expected")
    return value


def queries(action: str, fields: Mapping[int, Mapping[str, bytes]], timeout_s: float) -> list[Message]:
    """One message of an action to each node, with its fields; Flower drops it long after our deadline."""
    return [
        Message(
            RecordDict({RECORD: ConfigRecord(dict(values))}),
            dst_node_id=node,
            message_type=message_type(action),
            ttl=2 * timeout_s,
        )
        for node, values in fields.items()
    ]


def reply_with(message: Message, **fields: bytes) -> Message:
    """A reply that carries nothing but these fields."""
    return Message(RecordDict({RECORD: ConfigRecord(dict(fields))}), reply_to=message)


def sealed_reply(message: Message, packet: bytes) -> Message:
    """A train reply: one sealed packet and nothing beside it."""
    array = Array("uint8", (len(packet),), SEALED, packet)
    return Message(RecordDict({RECORD: ArrayRecord({"packet": array})}), reply_to=message)


def sealed_packet(message: Message) -> bytes | None:
    """The packet of a train reply, or None if it is not exactly that."""
    if not message.has_content() or list(message.content) != [RECORD]:
        return None
    record = message.content[RECORD]
    if not isinstance(record, ArrayRecord) or list(record) != ["packet"]:
        return None
    array = record["packet"]
    if array.stype != SEALED or array.dtype != "uint8" or array.shape != (len(array.data),):
        return None
    return bytes(array.data)


def without_own_record(message: Message) -> RecordDict:
    """The content of a message as the app would have got it from a plain strategy."""
    return RecordDict({name: record for name, record in message.content.items() if name != RECORD})


def refusal(message: Message, error: Exception | str) -> Message:
    """An error reply whose text says the kind and nothing else.

    What an app raises goes to the server word by word, and words may hold an example count, a value or a
    path: so nothing is raised, and details stay in the node's own log.
    """
    if isinstance(error, str):
        reason = error
    elif isinstance(error, ProtocolError):
        reason = error.reason.value
    elif isinstance(error, SottovoceError):
        reason = type(error).__name__
    else:
        reason = "failed; the log of the node says why"
    log.warning("%s: refused: %s", message.metadata.message_type, shown(str(error)))
    return Message(Error(REFUSED_CODE, f"sottovoce: {reason}"), reply_to=message)

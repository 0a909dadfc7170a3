"""``seal_mod``: what leaves a node after training is one sealed packet, or a refusal."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import numpy as np
from flwr.app import ArrayRecord, Context, Message, MetricRecord, RecordDict

from ..._ext.errors import ParameterError
from ..header import RoundHeader
from ..model import Arrays
from .folders import NodeFolder
from .messages import category, log, read_bytes, refusal, sealed_reply, without_own_record
from .results import check_result, remember

ClientAppCallable = Callable[[Message, Context], Message]

APP_FAILED = "the app failed; the log of the node says why"


def seal_mod(message: Message, context: Context, call_next: ClientAppCallable) -> Message:
    """Seal train replies, thin out evaluate replies, pass queries on.

    Put it FIRST in ``ClientApp(mods=[...])``: a mod before it would see, and could send, the plain reply.

    *train*: the round's header is held against the node's policy before the app trains, and the result of
    the round before is verified, as far as the node took part (:class:`SealedRound`).  The reply's one
    ``ArrayRecord``, minus the model that came, is sealed; metrics, the number of examples among them, do
    not leave (they count inside the encryption).  A message without a header is refused: a server that
    averages in the plain gets nothing.

    *evaluate*: a result that comes along is verified.  Only metrics that the node's settings allow leave, in
    clear; without that, the number of examples is said to be 1, so that averages are unweighted.

    Nothing is raised: an exception's text would go to the server.  The server gets the kind of refusal.

    Args:
        message: What came for the app.
        context: Flower's, of the node; remembers what was sealed.
        call_next: The app, or the next mod.

    Returns:
        The reply that may leave.

    Source: docs/fl-flower.md, "What changes in an app".
    """
    kind = category(message)
    if kind == "train":
        return _train(message, context, call_next)
    if kind == "evaluate":
        return _evaluate(message, context, call_next)
    return call_next(message, context)


def _train(message: Message, context: Context, call_next: ClientAppCallable) -> Message:
    try:
        folder = NodeFolder.of(context)
        signed_header = read_bytes(message, "header")
        with folder.client() as client:
            header = client.check(signed_header)
        check_result(message, context, folder, header)
        name, global_arrays = _only(message.content.array_records, "message: one ArrayRecord expected")
        model = _numpy(global_arrays, list(global_arrays))
        weighted_by = folder.weighted_by
    except Exception as error:
        return refusal(message, error)
    message.content = without_own_record(message)
    reply = _call(message, context, call_next)
    if reply is None:
        return refusal(message, APP_FAILED)
    try:
        _, trained = _only(reply.content.array_records, "reply: one ArrayRecord expected")
        if set(trained) != set(global_arrays):
            raise ParameterError(f"reply: the arrays of {name!r} expected")
        update = [new - old for new, old in zip(_numpy(trained, list(global_arrays)), model, strict=True)]
        examples = _examples(header, reply, weighted_by)
        with folder.client() as client:
            sealed = client.seal(signed_header, model, update, examples=examples)
            remember(context, header, client.pid)
    except Exception as error:
        return refusal(message, error)
    return sealed_reply(message, sealed.packet)


def _call(message: Message, context: Context, call_next: ClientAppCallable) -> Message | None:
    """The app's reply, or None if it failed in whatever way."""
    try:
        reply = call_next(message, context)
    except Exception:
        log.exception("%s: the app failed", message.metadata.message_type)
        return None
    if reply.has_error():
        log.error("%s: the app failed: %s", message.metadata.message_type, reply.error)
        return None
    return reply


def _only(records: Mapping[str, ArrayRecord], otherwise: str) -> tuple[str, ArrayRecord]:
    if len(records) != 1:
        raise ParameterError(otherwise)
    return next(iter(records.items()))


def _numpy(record: ArrayRecord, keys: list[str]) -> Arrays:
    arrays = [np.asarray(record[key].numpy()) for key in keys]
    for key, array in zip(keys, arrays, strict=True):
        if array.dtype.kind != "f":
            raise ParameterError(f"array {key!r}: floats expected, got {array.dtype}")
    return arrays


def _examples(header: RoundHeader, reply: Message, weighted_by: str) -> int | None:
    """How much this client weighs; more than the header's largest count as that many."""
    if not header.max_examples:
        return None
    found = [record[weighted_by] for record in reply.content.metric_records.values() if weighted_by in record]
    if len(found) != 1 or isinstance(found[0], list) or found[0] < 1 or int(found[0]) != found[0]:
        # Not the number itself: this goes to a log that others may read.
        raise ParameterError(f"reply: {weighted_by!r} in one MetricRecord expected, a whole number above 0")
    return min(int(found[0]), header.max_examples)


def _evaluate(message: Message, context: Context, call_next: ClientAppCallable) -> Message:
    try:
        folder = NodeFolder.of(context)
        allowed, weighted_by = folder.clear_metrics, folder.weighted_by
        check_result(message, context, folder, None)
    except Exception as error:
        return refusal(message, error)
    message.content = without_own_record(message)
    reply = _call(message, context, call_next)
    if reply is None:
        return refusal(message, APP_FAILED)
    content = RecordDict()
    for name, record in reply.content.metric_records.items():
        kept = {key: value for key, value in record.items() if key in allowed}
        if weighted_by in record:
            kept.setdefault(weighted_by, 1)
        content[name] = MetricRecord(kept)
    return Message(content, reply_to=message)

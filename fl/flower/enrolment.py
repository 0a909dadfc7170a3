"""New keys for nodes, with Flower as the post: the server carries requests to the issuer, and answers back.

The issuer is a party apart from the server.  Whoever carries the mail can lose it, and nothing else: a
request proves its sender by a MAC under the node's token, and the key in an answer opens for the node alone.
A node needs its root key, its policy and ``tokens.json``; epochs last a day, so this runs once a day.
"""

from __future__ import annotations

import contextlib
import json
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from flwr.app import Message
from flwr.serverapp import Grid

from ... import clsc
from ..._ext import cbor, sealed
from ..._ext.errors import DecodeError, IssueError, ParameterError, SottovoceError
from .folders import DECRYPT, DEVICE, MEMBER, SIGN, NodeFolder
from .grid import ask
from .messages import ASK_KEYS, TAKE_KEYS, log, queries, read_bytes, reply_with, shown

Request = clsc.IdentityRequest | clsc.BlindRequest
Issue = Callable[[str, bytes, bytes], bytes]

MAX_EPOCHS = 8
"""Parameters in one message: an epoch of names and one of pseudonyms, for some days ahead."""


class _Wanted(NamedTuple):
    """One key that a node may ask for."""

    role: str
    party: str
    token: bytes
    usage: clsc.Usage
    params: clsc.EpochParams

    def pending(self, folder: NodeFolder) -> Path:
        return folder.key_path(self.role, self.params).with_suffix(".pending")


# -- at the node ----------------------------------------------------------------------------------


def ask_keys(message: Message, folder: NodeFolder) -> Message:
    """Requests for every key of the offered epochs that this node has not yet.

    A request is on the disk before it leaves, and the same one leaves when asked again.
    """
    offered = _list(read_bytes(message, "params"), MAX_EPOCHS)
    challenges = _list(read_bytes(message, "challenges"), 2)
    letters = []
    for wanted in _wanted(folder, offered):
        path = wanted.pending(folder)
        if path.exists():
            request: Any = clsc.load_key(path, folder.passphrase)
        else:
            request = _request(wanted)
            path.parent.mkdir(mode=0o700, exist_ok=True)
            clsc.save_key(path, request, folder.passphrase)
        if isinstance(request, clsc.IdentityRequest):
            if len(challenges) != 2:
                raise DecodeError("challenges: two expected")
            data = request.to_bytes(challenges[wanted.usage is clsc.Usage.DECRYPT])
        else:
            data = request.to_bytes()
        letters.append([wanted.party, wanted.params.params_id, data])
    return reply_with(message, letters=cbor.dumps(letters))


def take_keys(message: Message, folder: NodeFolder) -> Message:
    """Finish the requests that wait; an answer does not say which of them it is for."""
    answers = _list(read_bytes(message, "answers"), 3 * MAX_EPOCHS)
    finished = 0
    for path in sorted((folder.path / "keys").glob("*.pending")):
        request: Any = clsc.load_key(path, folder.passphrase)
        for answer in answers:
            with contextlib.suppress(IssueError):
                key = request.finish(answer)
                # A crash between the two leaves both, and the next answer changes nothing.
                with contextlib.suppress(FileExistsError):
                    clsc.save_key(path.with_suffix(".key"), key, folder.passphrase)
                path.unlink()
                finished += 1
                break
    return reply_with(message, finished=finished.to_bytes(4, "big"))


def _wanted(folder: NodeFolder, offered: Sequence[bytes]) -> list[_Wanted]:
    tokens = _tokens(folder)
    wanted = []
    for data in offered:
        params = folder.trust.add_bytes(data)
        path = folder.path / "params" / f"{params.params_id.hex()}.params"
        if not path.exists():
            path.parent.mkdir(mode=0o700, exist_ok=True)
            sealed.write_new_private(path, data)
        if params.mode is clsc.Mode.BLIND and DEVICE in tokens:
            wanted.append(_Wanted(DEVICE, *tokens[DEVICE], clsc.Usage.SIGN, params))
        if params.mode is clsc.Mode.IDENTITY and MEMBER in tokens:
            wanted.append(_Wanted(f"{MEMBER}-{SIGN}", *tokens[MEMBER], clsc.Usage.SIGN, params))
            wanted.append(_Wanted(f"{MEMBER}-{DECRYPT}", *tokens[MEMBER], clsc.Usage.DECRYPT, params))
    return [each for each in wanted if not folder.key_path(each.role, each.params).exists()]


def _tokens(folder: NodeFolder) -> dict[str, tuple[str, bytes]]:
    """``tokens.json``, mode 0600: role -> {party, token}; the party is the name of a member's keys, too."""
    data = sealed.read_private(folder.path / "tokens.json")
    if isinstance(data, Exception):
        raise data
    try:
        return {
            role: (str(entry["party"]), bytes.fromhex(entry["token"]))
            for role, entry in json.loads(data).items()
        }
    except (ValueError, KeyError, TypeError, AttributeError):
        raise ParameterError("tokens.json: role -> {party, token} expected") from None


def _request(wanted: _Wanted) -> Request:
    if wanted.params.mode is clsc.Mode.IDENTITY:
        return clsc.IdentityRequest(wanted.params, wanted.usage, wanted.party.encode(), wanted.token)
    return clsc.BlindRequest(wanted.params, wanted.usage, wanted.token)


def _list(data: bytes, most: int) -> list[bytes]:
    value = cbor.loads(data)
    if type(value) is not list or len(value) > most or any(type(entry) is not bytes for entry in value):
        raise DecodeError(f"message: a list of at most {most} byte strings expected")
    return value


# -- at the server --------------------------------------------------------------------------------


def enrol(
    grid: Grid,
    params: Sequence[bytes],
    issue: Issue,
    challenge: Callable[[], bytes] | None = None,
    *,
    timeout_s: float = 120.0,
) -> int:
    """Get every connected node its keys of some epochs, carrying letters between it and the issuer.

    Args:
        grid: The run's.
        params: Signed parameters of the epochs; of names, of pseudonyms of mode ``blind``, or both.
        issue: Party, ``params_id`` and request to answer: asks :meth:`sottovoce.clsc.Issuer.issue` of the
            issuer of that epoch, which should not run here.
        challenge: Gives a fresh challenge of the issuer, two for every node; only needed for names.
        timeout_s: Longest wait for the nodes, twice.

    Returns:
        How many keys the nodes finished.

    Source: docs/fl-flower.md, "Keys of a new epoch".
    """
    mail: dict[int, list[bytes]] = {}
    finished = 0

    def take_letters(node: int, reply: Message) -> bool:
        for party, params_id, request in _letters(read_bytes(reply, "letters")):
            try:
                mail.setdefault(node, []).append(issue(party, params_id, request))
            except SottovoceError as error:
                log.warning("enrolment: node %d: %s", node, type(error).__name__)
        return True

    def take_count(node: int, reply: Message) -> bool:
        nonlocal finished
        finished += int.from_bytes(read_bytes(reply, "finished"), "big")
        return True

    offers = {
        node: {
            "params": cbor.dumps(list(params)),
            "challenges": cbor.dumps([challenge(), challenge()] if challenge else []),
        }
        for node in grid.get_node_ids()
    }
    _post(grid, ASK_KEYS, offers, take_letters, timeout_s)
    answers = {node: {"answers": cbor.dumps(found)} for node, found in mail.items()}
    _post(grid, TAKE_KEYS, answers, take_count, timeout_s)
    return finished


def _letters(data: bytes) -> list[tuple[str, bytes, bytes]]:
    value = cbor.loads(data)
    if type(value) is not list or len(value) > 3 * MAX_EPOCHS:
        raise DecodeError("letters: a short list expected")
    found = []
    for entry in value:
        if type(entry) is not list or [type(part) for part in entry] != [str, bytes, bytes]:
            raise DecodeError("letters: party, epoch and request expected")
        found.append((entry[0], entry[1], entry[2]))
    return found


def _post(
    grid: Grid,
    action: str,
    fields: dict[int, dict[str, bytes]],
    take: Callable[[int, Message], bool],
    timeout_s: float,
) -> None:
    def guarded(node: int, reply: Message) -> bool:
        if reply.has_error():
            log.warning("%s: node %d: %s", action, node, shown(reply.error.reason))
            return False
        try:
            return take(node, reply)
        except DecodeError:
            log.warning("%s: node %d: malformed", action, node)
            return False

    messages = queries(action, fields, timeout_s)
    ask(grid, messages, timeout_s=timeout_s, grace_s=0, take=guarded, enough=lambda _: False)

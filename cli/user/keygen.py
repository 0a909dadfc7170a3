"""``keygen``: ask the issuer for keys, and finish them with its answer.

Two steps, with the issuer in between.  The secret of a request is on the disk before the request leaves:
whoever loses it has spent a unit of quota for nothing.
"""

from __future__ import annotations

import re
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Final

from ..._ext.errors import DecodeError, IssueError, ParameterError, TooFewAnswers
from ...clsc import (
    BlindRequest,
    EpochParams,
    IdentityRequest,
    Mode,
    SecretKey,
    TraceableRequest,
    TrustStore,
    Usage,
)
from .. import console, files
from ..armor import Label, armor
from ..console import STDOUT, Refused
from ..enrolment import Enrolment
from ..keyring import Keyring
from ..passphrase import Passphrase
from ..text import fingerprint, text_of
from . import people
from .own import OwnKeys, Request
from .trusting import text_of_keys

USAGES: Final = (Usage.SIGN, Usage.DECRYPT)
"""In the order of the challenges in an enrolment, and of the requests in a file."""


# -- asking ---------------------------------------------------------------------------------------


def ask(
    ring: Keyring,
    passphrase: Passphrase,
    enrolments: list[str],
    target: str | None,
    *,
    label: str | None,
    mode: Mode | None,
    epoch: str | None,
    usage: Usage | None,
    signer: str | None,
    force: bool,
    json_target: str | None,
) -> None:
    """Make requests for new keys; see the command's help."""
    by_server = {server: _read_enrolment(name) for server, name in _numbered(enrolments).items()}
    first = _same_person(list(by_server.values()))
    if ring.pin_root(first.root_public_key):
        console.note(f"issuer pinned: root key {fingerprint(first.root_public_key)}")
        console.note("compare these digits with the issuer's, over another channel than the file came by")
    trust = ring.trust()
    known = [ring.add_params(params.to_bytes(), trust) for e in by_server.values() for params in e.params]
    params = _choose_epoch(known, mode, epoch)
    _check_servers(params, list(by_server))
    targets = _targets(target, list(by_server))
    for name in targets.values():
        files.check_output(name, "--output", force=force)
    label = _label(first, params.mode) if label is None else label
    own = OwnKeys(ring, passphrase)
    requests = [
        (each, _request(own, label, params, each, by_server, signer, trust))
        for each in _usages(params.mode, usage)
    ]
    for server, name in targets.items():
        texts = [
            armor(Label.REQUEST, _to_bytes(request, each, by_server[server], server))
            for each, request in requests
        ]
        files.write_text("".join(texts), name)
    if params.servers == 1:
        console.note(f"send the request to the issuer, then: sottovoce keygen --answer FILE --as {label}")
    else:
        console.note(
            "send each server its own request, then: sottovoce keygen "
            f"{' '.join(f'--answer {server}=FILE' for server in targets)} --as {label}"
        )
    if params.mode is Mode.TRACEABLE:
        console.note("it shows your name beside the new pseudonym: send it where nobody else can read it")
    document = {
        "label": label,
        "mode": str(params.mode),
        "epoch": text_of(params.epoch),
        "usages": [str(each) for each, _ in requests],
        "root_public_key": first.root_public_key.hex(),
        "fingerprint": fingerprint(first.root_public_key),
    }
    console.write_json(document, json_target)


def _numbered(names: Sequence[str]) -> dict[int, str]:
    """``FILE``, or ``N=FILE`` for server ``N`` of a threshold issuer."""
    if len(names) == 1 and not re.match(r"\d+=", names[0]):
        return {1: names[0]}
    numbered = {}
    for name in names:
        server, equals, path = name.partition("=")
        if not equals or not server.isascii() or not server.isdigit() or not path:
            raise Refused(f"{name}: of which server?", "with several servers name each: 1=FILE 2=FILE ...")
        if int(server) in numbered:
            raise Refused(f"server {server} is named twice", "one file for each server")
        numbered[int(server)] = path
    return numbered


def _read_enrolment(name: str) -> Enrolment:
    found = files.of_label(files.read_blocks(name), Label.ENROLMENT)
    if len(found) != 1:
        raise DecodeError(f"{name}: an enrolment expected")
    return Enrolment.from_bytes(found[0])


def _same_person(enrolments: list[Enrolment]) -> Enrolment:
    first = enrolments[0]
    for other in enrolments[1:]:
        if (other.root_public_key, other.identity) != (first.root_public_key, first.identity):
            raise Refused("the enrolments are of different people or issuers", "one person's at a time")
    if len({each.token for each in enrolments}) < len(enrolments):
        raise Refused("two servers, but one enrolment", "each server gives you an enrolment file of its own")
    return first


def _choose_epoch(known: list[EpochParams], mode: Mode | None, epoch: str | None) -> EpochParams:
    """The newest epoch of the mode that has not ended; without a mode ``identity`` if it is there."""
    found = [p for p in known if p.not_after >= time.time() and (mode is None or p.mode is mode)]
    if epoch is not None:
        found = [p for p in found if text_of(p.epoch) == epoch]
    if not found:
        there = ", ".join(sorted({f"{p.mode} {text_of(p.epoch)}" for p in known})) or "none"
        raise Refused("the enrolment has no such epoch that is still open", f"it has: {there}")
    if mode is None and any(p.mode is Mode.IDENTITY for p in found):
        found = [p for p in found if p.mode is Mode.IDENTITY]
    if len({p.mode for p in found}) > 1:
        raise Refused("the enrolment has several modes", "choose one: --mode traceable or --mode blind")
    return max(found, key=lambda p: (p.not_before, p.not_after))


def _check_servers(params: EpochParams, servers: list[int]) -> None:
    wrong = [server for server in servers if not 1 <= server <= params.servers]
    if wrong or len(servers) < params.threshold:
        raise Refused(
            f"{params.threshold} of {params.servers} servers issue the keys of this epoch together, "
            f"got enrolments of: {', '.join(map(str, servers))}",
            "--enrolment 1=FILE --enrolment 2=FILE ..., one of each server that you will ask",
        )


def _targets(target: str | None, servers: list[int]) -> dict[int, str | None]:
    """Where the request of each server goes: ``FILE``, or ``FILE-N`` before its suffix."""
    if len(servers) == 1:
        return {servers[0]: target}
    if target is None or target == STDOUT:
        raise files.usage("needed: one request for each server, FILE-1, FILE-2, ...", "--output")
    path = Path(target)
    return {server: str(path.with_name(f"{path.stem}-{server}{path.suffix}")) for server in servers}


def _label(enrolment: Enrolment, mode: Mode) -> str:
    name = text_of(enrolment.identity)
    return name if mode is Mode.IDENTITY else f"{name}-{mode}"


def _usages(mode: Mode, usage: Usage | None) -> Sequence[Usage]:
    if usage is not None:
        return [usage]
    # In mode blind each key costs a unit of the same quota, and few people need both under one roof.
    return [Usage.SIGN] if mode is Mode.BLIND else USAGES


def _request(
    own: OwnKeys,
    label: str,
    params: EpochParams,
    usage: Usage,
    enrolments: Mapping[int, Enrolment],
    signer: str | None,
    trust: TrustStore,
) -> Request:
    """A new request, its secret on the disk already; or the one that was made before."""
    pending = own.path(label, params, usage, ".pending")
    if pending.exists():
        return own.load_pending(pending)
    own.check_free(label, params, usage)
    tokens = {server: enrolment.token for server, enrolment in enrolments.items()}
    first = next(iter(enrolments.values()))
    request: Request
    if params.mode is Mode.IDENTITY:
        request = IdentityRequest(params, usage, first.identity, tokens)
    elif params.mode is Mode.BLIND:
        request = BlindRequest(params, usage, tokens)
    else:
        named = _signer_label(own, first, signer)
        request = TraceableRequest(params, usage, own.signer(named, trust))
    own.save_pending(label, params, usage, request)
    return request


def _signer_label(own: OwnKeys, enrolment: Enrolment, signer: str | None) -> str:
    """Whose identity key signs a traceable request: by default that of the enrolled name."""
    name = text_of(enrolment.identity)
    if signer is None and name in own.labels():
        return name
    return own.label(signer)


def _to_bytes(request: Request, usage: Usage, enrolment: Enrolment, server: int) -> bytes:
    if isinstance(request, TraceableRequest):
        return request.to_bytes()
    if isinstance(request, BlindRequest):
        return request.to_bytes(server)
    index = USAGES.index(usage)
    if index >= len(enrolment.challenges):
        raise Refused(
            f"the enrolment has {len(enrolment.challenges)} challenges, one for each key is needed",
            "ask the issuer for an enrolment file with fresh challenges",
        )
    return request.to_bytes(enrolment.challenges[index], server)


# -- finishing ------------------------------------------------------------------------------------


def finish(
    ring: Keyring,
    passphrase: Passphrase,
    answer_files: list[str],
    target: str | None,
    *,
    label: str | None,
    force: bool,
    json_target: str | None,
) -> None:
    """Finish keys with the issuer's answer; see the command's help."""
    files.check_output(target, "--output", force=force)
    answers = {server: _read_answers(name) for server, name in _numbered(answer_files).items()}
    own = OwnKeys(ring, passphrase)
    trust = ring.trust()
    waiting = own.pending(label)
    if not waiting:
        raise _nothing_waits(own)
    if len({path.parent for path in waiting}) > 1:
        labels = ", ".join(sorted({path.parent.name for path in waiting}))
        raise Refused(f"several requests wait for an answer: {labels}", "choose one: --as LABEL")
    label = waiting[0].parent.name
    finished = []
    few: TooFewAnswers | None = None
    for path in waiting:
        key = _finish_one(own.load_pending(path), answers)
        if isinstance(key, TooFewAnswers):
            few = key
        elif key is not None:
            own.save(path, key)
            finished.append(key)
    if not finished and few is not None:
        raise Refused(f"{few} (request of {label})", "name the answers of more servers: --answer N=FILE")
    if not finished:
        raise Refused(
            f"this answers none of the requests of {label}",
            "is it the newest answer, and complete? With several servers name each: --answer 1=FILE ...",
        )
    for key in finished:
        console.note(f"new key of {label}: {people.listing(key.public_key)}")
    if target is None:
        console.note(f"for others: sottovoce trust export {label} -o {label}.pub")
    else:
        files.write_text(text_of_keys(own.public_keys(label, trust)), target)
    document = {
        "label": label,
        "keys": [people.person(key.public_key, own, trust) for key in finished],
    }
    console.write_json(document, json_target)


def _read_answers(name: str) -> list[bytes]:
    found = files.of_label(files.read_blocks(name), Label.ANSWER)
    if not found:
        raise DecodeError(f"{name}: an answer expected")
    return found


def _nothing_waits(own: OwnKeys) -> Refused:
    """What to say where there is no request: it may be of another label, or finished long ago."""
    labels = sorted({path.parent.name for path in own.pending(None)})
    if labels:
        return Refused(f"no request of this label waits, but of: {', '.join(labels)}", "--as one of them")
    if own.labels():
        return Refused(
            "no request waits for an answer; those that were answered are keys now",
            "sottovoce trust show lists them, sottovoce trust export LABEL writes their public halves",
        )
    return Refused("no request waits for an answer", "sottovoce keygen --enrolment FILE makes one")


def _finish_one(request: Request, answers: Mapping[int, Sequence[bytes]]) -> SecretKey | TooFewAnswers | None:
    """The key that one of the answers makes of this request; an answer does not say whose it is.

    Where none does, but some are good: how many are missing.
    """
    few: TooFewAnswers | None = None
    for i in range(max(map(len, answers.values()))):
        at_i = {server: found[i] for server, found in answers.items() if i < len(found)}
        # ParameterError: a server that the epoch does not have.
        try:
            combined = request.combine(at_i)
        except TooFewAnswers as error:
            # Answers to another request are all wrong, and say nothing about this one.
            if error.present:
                few = error.with_traceback(None)  # its frames lead to the secret of the request
        except (IssueError, ParameterError):
            pass
        else:
            for server in combined.wrong:
                console.note(f"the answer of server {server} is wrong; the others were enough")
            return combined.key
    return few

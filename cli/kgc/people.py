"""``kgc enrol`` and ``kgc issue``: who may have keys, and the answers to their requests."""

from __future__ import annotations

import secrets

import typer

from ..._ext import limits
from ..._ext.errors import DecodeError, IssueError
from ...clsc import Account, Issuer, Mode, SqliteRegistry
from ...clsc.issue_wire import TOKEN_BYTES, parse_request
from .. import console, files
from ..armor import Label, armor
from ..console import STDOUT, Refused
from ..enrolment import Enrolment
from ..passphrase import Passphrase
from .epochs import is_open
from .folder import Folder, find_params

_N_CHALLENGES = 2  # one for each usage: a key for signing and one for opening
_MAX_NAME_BYTES = 64


def enrol(
    folder: Folder,
    party: str,
    identity: str | None,
    quota: int | None,
    target: str | None,
    *,
    again: bool,
    force: bool,
) -> None:
    """Enrol a party, or write its file again; see the command's help."""
    if target is None:
        raise typer.BadParameter(
            "needed: the file holds a secret token; - is stdout", param_hint="'--output' / '-o'"
        )
    if again and (identity is not None or quota is not None):
        raise typer.BadParameter("fixed when the party was enrolled", param_hint="--identity, --quota")
    files.check_output(target, "--output", force=force)
    with folder.registry() as registry:
        account = _known(registry, party) if again else _enrolled(registry, party, identity, quota)
        params = tuple(each for each in registry.epochs() if is_open(each))
        count = _N_CHALLENGES if any(each.mode is Mode.IDENTITY for each in params) else 0
        challenges = tuple(registry.new_challenge() for _ in range(count))
    enrolment = Enrolment(
        folder.root_public_key(), account.party, account.identity, account.quota, account.token, params,
        challenges,
    )  # fmt: skip
    files.write_text(armor(Label.ENROLMENT, enrolment.to_bytes()), target, private=True)
    if not params:
        console.note("there is no open epoch yet: after kgc epoch write the file again with --again")
    if target != STDOUT:
        console.note(f"give {target} to {party} where nobody else can read it: it holds the token")


def _enrolled(registry: SqliteRegistry, party: str, identity: str | None, quota: int | None) -> Account:
    name = party if identity is None else identity
    quota = 1 if quota is None else quota
    for value, option in ((party, "PARTY"), (name, "--identity")):
        if not 1 <= len(_utf8(value, option)) <= _MAX_NAME_BYTES:
            raise typer.BadParameter(f"1 to {_MAX_NAME_BYTES} bytes of UTF-8 expected", param_hint=option)
    if not 1 <= quota <= limits.MAX_BLIND_ISSUANCES:
        raise typer.BadParameter(f"1 to {limits.MAX_BLIND_ISSUANCES} expected", param_hint="--quota")
    account = Account(party, name.encode("utf-8"), quota, secrets.token_bytes(TOKEN_BYTES))
    # Durable before the token leaves: a file that was not written is written by --again.
    registry.enrol(account)
    return account


def _utf8(text: str, option: str) -> bytes:
    try:
        return text.encode("utf-8")
    except UnicodeEncodeError:
        raise typer.BadParameter("not text", param_hint=option) from None


def _known(registry: SqliteRegistry, party: str) -> Account:
    account = registry.account(party)
    if account is None:
        raise Refused(f"{party} is not enrolled, or was revoked", "sottovoce kgc show lists the parties")
    return account


def issue(
    folder: Folder, party: str, source: str, passphrase: Passphrase, target: str | None, *, force: bool
) -> None:
    """Answer the requests in a file; see the command's help."""
    files.check_output(target, "--output", force=force)
    requests = files.of_label(files.read_blocks(source), Label.REQUEST)
    if not requests:
        raise DecodeError(f"{source}: a request expected")
    folder.require()
    folder.passphrase(passphrase)  # asked for now: nobody should wait for a person while the lock is held
    issuers: dict[bytes, Issuer] = {}
    answers = []
    with folder.registry() as registry:
        for request in requests:
            params_id = parse_request(request).params_id
            if params_id not in issuers:
                params = find_params(registry, params_id)
                if not is_open(params):
                    raise Refused("the epoch has ended", "the party needs an enrolment file of a newer one")
                issuers[params_id] = folder.issuer(registry, params, passphrase)
            # Recorded when this returns: if the rest fails, the same request gets the same answer.
            try:
                answers.append(issuers[params_id].issue(party, request))
            except IssueError as error:
                raise Refused(
                    str(error),
                    "sottovoce kgc show tells who is enrolled and has quota left; kgc enrol --again "
                    "gives fresh challenges",
                ) from None
    files.write_text("".join(armor(Label.ANSWER, answer) for answer in answers), target)

"""``kgc enrol``: who may have keys.  And how every request is answered, for :mod:`.admitting`."""

from __future__ import annotations

import secrets
from collections.abc import Callable

import typer

from ..._ext import limits
from ..._ext.errors import DecodeError, IssueError, TooFewAdmissions
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
    try:
        registry.enrol(account)
    except IssueError as error:
        reason = str(error)
    else:
        return account
    del account  # a traceback keeps the variables of the frame that raises
    raise Refused(reason, "--again writes the file of a party once more; sottovoce kgc show lists them")


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


def answered(
    folder: Folder,
    party: str,
    source: str,
    passphrase: Passphrase,
    answer: Callable[[Issuer, bytes], bytes],
) -> list[bytes]:
    """What the issuers of this folder give to the requests in a file.

    Args:
        folder: The issuer's, or the server's.
        party: Who asks.
        source: The file.
        passphrase: Of the folder.
        answer: How an issuer answers a request of its epoch.

    Raises:
        Refused: The issuer refuses one.
        DecodeError: There is none in the file, or one is malformed.
    """
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
                answers.append(answer(issuers[params_id], request))
            except TooFewAdmissions as error:
                raise Refused(
                    str(error),
                    "have the same request admitted by more servers (kgc admit), and name every "
                    "acknowledgement with --admission",
                ) from None
            except IssueError as error:
                _known(registry, party)
                raise Refused(
                    str(error),
                    f"is it a request of {party}? sottovoce kgc show tells who has quota left; kgc enrol "
                    "--again gives fresh challenges",
                ) from None
    return answers

"""Making the services and running them until they are told to end."""

from __future__ import annotations

import functools
import secrets
import ssl
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Final

from starlette.types import ASGIApp

from ..._ext.errors import ParameterError
from ...clsc import Mode
from ...fl import Member
from ...fl.http import (
    AggregatorService,
    Binding,
    IssuerService,
    MemberService,
    RelayService,
    RoundPlan,
    serve,
)
from ...fl.http.asking import Patience
from ...fl.http.logs import log_to
from ...fl.http.outgoing import quiet_client
from ...fl.http.relay import Mixing
from .. import files
from ..console import Refused
from ..he import arrays
from ..keyring import Keyring
from ..kgc.folder import Folder
from ..passphrase import Passphrase
from ..user.own import OwnKeys
from . import stores
from .desk import FolderDesk
from .keys import sender_params, server_keys
from .policy import read_policy

_MAX_TOKEN_BYTES: Final = 256


def authorities(ca_file: Path | None) -> ssl.SSLContext:
    """Whom to believe.

    Raises:
        Refused: Not a file of certificates.
    """
    try:
        return ssl.create_default_context(cafile=None if ca_file is None else str(ca_file))
    except ssl.SSLError:
        raise Refused(f"{ca_file} holds no certificates", "PEM, one or more") from None


def run(
    app: ASGIApp, binding: Binding, role: str, level: str, end_soon: Callable[[], None] = lambda: None
) -> None:
    """Serve until the process is told to end; prints the URL.

    Raises:
        Refused: The TLS files are of no use.
    """
    log_to(level=level)

    def ready(url: str) -> None:
        # The one line on stdout, for whoever started this and chose no port.
        sys.stdout.write(f"{url}\n")
        sys.stdout.flush()

    try:
        serve(app, binding, role=role, ready=ready, end_soon=end_soon)
    except ParameterError as error:
        raise Refused(str(error), "a key that others may have read is to be replaced") from None
    except ssl.SSLError:
        raise Refused("certificate and key cannot be used", "PEM files that belong together") from None


def relay(binding: Binding, level: str, next_hop: str, mixing: Mixing, ca_file: Path | None) -> None:
    """Serve a relay; see the command's help."""
    make_client = functools.partial(quiet_client, tls=authorities(ca_file))
    service = RelayService(_url(next_hop), mixing=mixing, make_client=make_client)
    run(service.app, binding, "relay", level, service.end_soon)


def member(
    binding: Binding,
    level: str,
    ring: Keyring,
    passphrase: Passphrase,
    label: str | None,
    policy_file: Path,
    state: Path,
) -> None:
    """Serve a member; see the command's help."""
    policy = read_policy(policy_file)
    own = OwnKeys(ring, passphrase)
    trust = ring.trust()
    keys = server_keys(own, own.label(label), trust)
    with stores.member_store(state) as store:
        role = Member(keys, trust, policy, store=store)
        run(MemberService(role, keys.public, trust).app, binding, "member", level)


def issuer(binding: Binding, level: str, folder: Folder, passphrase: Passphrase) -> None:
    """Serve an issuer; see the command's help."""
    desk = FolderDesk(folder, passphrase)
    try:
        run(IssuerService(desk).app, binding, "issuer", level)
    finally:
        desk.close()


def aggregator(
    binding: Binding,
    level: str,
    ring: Keyring,
    passphrase: Passphrase,
    label: str | None,
    *,
    members: list[str],
    model_file: str,
    mode: Mode,
    plan: RoundPlan,
    patience: Patience,
    state: Path,
    keep_results: int,
    token_file: Path | None,
    ca_file: Path | None,
) -> None:
    """Serve an aggregator; see the command's help."""
    model = arrays.read(model_file)
    model.layout(model_file)
    committee = named_urls(members, "--member")
    own = OwnKeys(ring, passphrase)
    trust = ring.trust()
    keys = server_keys(own, own.label(label), trust)
    token = None if token_file is None else _token(token_file)
    with stores.aggregator_store(state) as store:
        service = AggregatorService(
            keys,
            trust,
            sender_params(trust, mode),
            committee,
            model.arrays,
            plan,
            patience=patience,
            store=store,
            folder=state,
            keep_results=keep_results,
            control_token=token,
            # A member that checks a large set is silent for as long as it is waited for.
            client=quiet_client(tls=authorities(ca_file), timeout_s=patience.ask_s),
        )
        run(service.app, binding, "aggregator", level)


def named_urls(texts: list[str], option: str) -> dict[bytes, str]:
    """Name -> URL of each ``NAME=URL``.

    Raises:
        typer.BadParameter: Not of that form, or a name twice.
    """
    found: dict[bytes, str] = {}
    for text in texts:
        name, equals, url = text.rpartition("=http")
        if not equals or not name:
            raise files.usage(f"NAME=URL expected, got {text!r}", option)
        found[name.encode("utf-8", "surrogateescape")] = _url("http" + url)
    if len(found) < len(texts):
        raise files.usage("each name once", option)
    return found


def _url(text: str) -> str:
    if not text.startswith(("http://", "https://")):
        raise files.usage(f"a URL that begins with http:// or https:// expected, got {text!r}", "URL")
    return text


def _token(path: Path) -> bytes:
    """The first line of a file; made, for its owner only, if the file is not there."""
    if not path.exists():
        files.write_text(secrets.token_hex(32) + "\n", str(path), private=True)
    elif path.stat().st_mode & 0o077:
        raise Refused(f"{path} is open to others than its owner", f"chmod 600 {path}, or a new token")
    token = files.read_bytes(str(path), _MAX_TOKEN_BYTES).partition(b"\n")[0].strip()
    if len(token) < 16 or not token.isascii():
        raise Refused(f"{path}: a token of at least 16 characters expected", "delete it: a new one is made")
    return token

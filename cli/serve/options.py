"""Options that the services have in common."""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from ...fl.http import Binding

LISTENING = "Listening"

Host = Annotated[str, typer.Option("--host", help="Address to listen on.", rich_help_panel=LISTENING)]
Port = Annotated[
    int,
    typer.Option(
        "--port", min=0, max=65535, help="0: any free one; it is printed.", rich_help_panel=LISTENING
    ),
]
TlsCert = Annotated[
    Path | None,
    typer.Option("--tls-cert", metavar="FILE", help="Certificate chain, PEM.", rich_help_panel=LISTENING),
]
TlsKey = Annotated[
    Path | None,
    typer.Option("--tls-key", metavar="FILE", help="Its key, PEM.", rich_help_panel=LISTENING),
]
Exposed = Annotated[
    bool,
    typer.Option(
        "--no-tls-beyond-loopback",
        help="Listen on other addresses without TLS: something in front has it.",
        rich_help_panel=LISTENING,
    ),
]
TrustedProxy = Annotated[
    list[str] | None,
    typer.Option(
        "--trusted-proxy",
        metavar="ADDRESS",
        help="What is in front, or its network: it says in X-Forwarded-For who asks. Repeat it.",
        rich_help_panel=LISTENING,
    ),
]
CaFile = Annotated[
    Path | None,
    typer.Option(
        "--ca-file", metavar="FILE", help="Believe these certificate authorities instead of the system's."
    ),
]


class LogLevel(StrEnum):
    """Levels of :mod:`logging`."""

    DEBUG = "debug"
    INFO = "info"
    WARNING = "warning"
    ERROR = "error"


Log = Annotated[LogLevel, typer.Option("--log-level", help="Of the JSON lines on stderr.")]


def binding(
    host: str,
    port: int,
    cert: Path | None,
    key: Path | None,
    *,
    exposed: bool,
    proxies: list[str] | None = None,
) -> Binding:
    """Where to listen.

    Raises:
        typer.BadParameter: Half of TLS, or beyond loopback without it; a proxy that is no address.
    """
    from ..._ext.errors import ParameterError
    from ...fl.http import Binding

    try:
        return Binding(host, port, cert, key, exposed, tuple(proxies or ()))
    except ParameterError as error:
        about_proxy = str(error).startswith("proxy")
        hint = (
            "'--trusted-proxy'"
            if about_proxy
            else "'--tls-cert' / '--tls-key'"
            if cert or key
            else "'--host'"
        )
        raise typer.BadParameter(str(error), param_hint=hint) from None

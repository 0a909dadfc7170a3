"""Options that the services, and the device that talks to them, have in common."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Final

import typer

from ..passphrase import Passphrase, PassphraseFd, PassphraseFile
from ..user.options import Home

if TYPE_CHECKING:
    from ...fl.http import Binding
    from ..keyring import Keyring

LISTENING: Final = "Listening"
ROUND: Final = "The round"

As = Annotated[
    str | None, typer.Option("--as", metavar="LABEL", help="Whose keys; needed if there are several.")
]
PolicyFile = Annotated[Path, typer.Option("--policy", metavar="FILE", help="Your conditions, TOML.")]
Clip = Annotated[
    float,
    typer.Option("--clip", help="Values are clipped to plus and minus this.", rich_help_panel=ROUND),
]
CloseAt = Annotated[
    int,
    typer.Option(
        "--close-at", min=0, help="End collecting when so many count; 0: no.", rich_help_panel=ROUND
    ),
]
MaxContributors = Annotated[
    int, typer.Option("--max-contributors", min=3, help="More are refused.", rich_help_panel=ROUND)
]
MemberPatience = Annotated[
    float, typer.Option("--member-patience", min=0.1, help="Seconds that a member may take.")
]

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


class SenderMode(StrEnum):
    """Modes of contributors' keys, before anything heavy is imported."""

    IDENTITY = "identity"
    TRACEABLE = "traceable"
    BLIND = "blind"


class LogLevel(StrEnum):
    """Levels of :mod:`logging`."""

    DEBUG = "debug"
    INFO = "info"
    WARNING = "warning"
    ERROR = "error"


Log = Annotated[LogLevel, typer.Option("--log-level", help="Of the JSON lines on stderr.")]


@dataclass(frozen=True)
class Listening:
    """Where a service listens, and what it logs."""

    host: Host = "127.0.0.1"
    port: Port = 0
    tls_cert: TlsCert = None
    tls_key: TlsKey = None
    exposed: Exposed = False
    proxies: TrustedProxy = None
    log_level: Log = LogLevel.INFO

    def binding(self) -> Binding:
        """Where to listen.

        Raises:
            typer.BadParameter: Half of TLS, or beyond loopback without it; a proxy that is no address.
        """
        from ..._ext.errors import ParameterError
        from ...fl.http import Binding

        try:
            return Binding(
                self.host, self.port, self.tls_cert, self.tls_key, self.exposed, tuple(self.proxies or ())
            )
        except ParameterError as error:
            about_proxy = str(error).startswith("proxy")
            hint = (
                "'--trusted-proxy'"
                if about_proxy
                else "'--tls-cert' / '--tls-key'"
                if self.tls_cert or self.tls_key
                else "'--host'"
            )
            raise typer.BadParameter(str(error), param_hint=hint) from None


@dataclass(frozen=True)
class KeyOptions:
    """Where the keys are, and what opens them."""

    home: Home = None
    passphrase_file: PassphraseFile = None
    passphrase_fd: PassphraseFd = None

    def ring(self) -> Keyring:
        """The folder of keys."""
        from ..keyring import Keyring

        return Keyring(self.home)

    def passphrase(self) -> Passphrase:
        """What opens them.

        Raises:
            typer.BadParameter: Both a file and a descriptor are given.
        """
        return Passphrase(self.passphrase_file, self.passphrase_fd)

"""The services, declared.  Everything heavy is imported inside them."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated

import typer

from ..._ext.errors import ParameterError
from ..._ext.limits import CLOCK_SKEW_S
from ..console import http_command as _service
from ..groups import grouped
from ..passphrase import Passphrase, PassphraseFd, PassphraseFile
from .options import (
    ROUND,
    As,
    CaFile,
    Clip,
    CloseAt,
    KeyOptions,
    Listening,
    MaxContributors,
    MemberPatience,
    PolicyFile,
    SenderMode,
)

serve = typer.Typer(
    help="Run one role of a round as a process that speaks HTTP.",
    no_args_is_help=True,
    rich_markup_mode="rich",
)


@contextlib.contextmanager
def _as_usage() -> Iterator[None]:
    """What options together do not make: exit code 2, before anything is begun."""
    try:
        yield
    except ParameterError as error:
        raise typer.BadParameter(str(error), param_hint=ROUND) from None


@serve.command()
@grouped
def issuer(
    folder: Annotated[
        Path, typer.Argument(metavar="DIR", help="The issuer's folder (kgc init).", show_default=False)
    ],
    passphrase_file: PassphraseFile = None,
    passphrase_fd: PassphraseFd = None,
    *,
    listening: Listening,
) -> None:
    """Answer requests for keys out of a folder of kgc, whose commands go on working beside it.

    Parties are enrolled with kgc enrol; each gets its enrolment file where nobody else can read it.
    """
    with _service():
        from ..kgc.folder import Folder
        from . import roles

        secret = Passphrase(passphrase_file, passphrase_fd)
        where = listening.binding()
        roles.issuer(where, listening.log_level.value, Folder(folder), secret)


@serve.command()
@grouped
def relay(
    next_hop: Annotated[str, typer.Option("--next", metavar="URL", help="The aggregator, or another relay.")],
    threshold: Annotated[
        int, typer.Option("--threshold", min=1, max=1 << 16, help="Shards that leave together.")
    ] = 8,
    wait: Annotated[
        float, typer.Option("--wait", min=0, max=3600, help="Seconds after which fewer leave.")
    ] = 5.0,
    ca_file: CaFile = None,
    *,
    listening: Listening,
) -> None:
    """Take sealed shards from anybody and give them on in batches, shuffled. It holds no key."""
    with _service():
        from ...fl.http.relay import Mixing
        from . import roles

        where = listening.binding()
        roles.relay(
            where, listening.log_level.value, next_hop, Mixing(threshold=threshold, wait_s=wait), ca_file
        )


@serve.command()
@grouped
def member(
    policy: PolicyFile,
    state: Annotated[
        Path, typer.Option("--state", metavar="FOLDER", help="What was signed and answered; never lose it.")
    ],
    label: As = None,
    *,
    own: KeyOptions,
    listening: Listening,
) -> None:
    """Be a member of committees: co-sign headers that your policy accepts, check, and answer once a round."""
    with _service():
        from . import roles

        secret = own.passphrase()
        where = listening.binding()
        roles.member(where, listening.log_level.value, own.ring(), secret, label, policy, state)


@serve.command()
@grouped
def aggregator(
    members: Annotated[
        list[str], typer.Option("--member", metavar="NAME=URL", help="The committee in order; repeat it.")
    ],
    model: Annotated[
        str, typer.Option("--model", metavar="FILE", help="The first global model, .npz or .npy.")
    ],
    state: Annotated[
        Path, typer.Option("--state", metavar="FOLDER", help="What a restart goes on with, and results.")
    ],
    clip: Clip,
    rounds: Annotated[
        int, typer.Option("--rounds", min=1, help="How many results in all.", rich_help_panel=ROUND)
    ] = 1,
    first_round: Annotated[
        int, typer.Option("--first-round", min=0, help="Number of the first.", rich_help_panel=ROUND)
    ] = 1,
    collect: Annotated[
        float, typer.Option("--collect", min=1, help="Seconds of collecting.", rich_help_panel=ROUND)
    ] = 600.0,
    close_at: CloseAt = 0,
    close: Annotated[
        float, typer.Option("--close", min=1, help="Seconds for members after it.", rich_help_panel=ROUND)
    ] = 600.0,
    audit: Annotated[
        float,
        typer.Option("--audit", min=0, help="Seconds for which packets are kept.", rich_help_panel=ROUND),
    ] = 86_400.0,
    min_contributors: Annotated[
        int, typer.Option("--min-contributors", min=3, help="Fewer: no result.", rich_help_panel=ROUND)
    ] = 8,
    max_contributors: MaxContributors = 1024,
    max_examples: Annotated[
        int,
        typer.Option(
            "--max-examples",
            min=0,
            help="Weigh by examples, up to this; 0: all alike.",
            rich_help_panel=ROUND,
        ),
    ] = 0,
    shard_k: Annotated[
        int, typer.Option("--shard-k", min=1, help="Shards that suffice.", rich_help_panel=ROUND)
    ] = 2,
    shard_n: Annotated[
        int, typer.Option("--shard-n", min=1, help="Shards of a packet: relays.", rich_help_panel=ROUND)
    ] = 3,
    sender_mode: Annotated[
        SenderMode, typer.Option("--sender-mode", help="Of contributors' keys.", rich_help_panel=ROUND)
    ] = SenderMode.BLIND,
    replace: Annotated[
        bool,
        typer.Option("--replace", help="Clients send models, not differences.", rich_help_panel=ROUND),
    ] = False,
    member_patience: MemberPatience = 60.0,
    check_first: Annotated[
        bool,
        typer.Option("--check-first", help="Members check the set before any answers: one request more."),
    ] = False,
    keep_results: Annotated[
        int,
        typer.Option("--keep-results", min=0, help="Rounds whose results stay after their audit deadline."),
    ] = 16,
    control_token: Annotated[
        Path | None,
        typer.Option("--control-token-file", metavar="FILE", help="Who shows it may end the collecting."),
    ] = None,
    label: As = None,
    *,
    own: KeyOptions,
    ca_file: CaFile = None,
    listening: Listening,
) -> None:
    """Open rounds, collect, close them at the members, publish means. The page for people is at /."""
    with _service():
        from ...clsc import Mode
        from ...fl.http import RoundPlan
        from ...fl.http.asking import Patience
        from . import roles

        with _as_usage():
            plan = RoundPlan(
                clip=clip,
                rounds=rounds,
                first_round=first_round,
                collect_s=collect,
                close_at=close_at,
                close_s=close,
                audit_s=audit,
                min_contributors=min_contributors,
                max_contributors=max_contributors,
                max_examples=max_examples,
                shard_k=shard_k,
                shard_n=shard_n,
                replace=replace,
            )
        roles.aggregator(
            listening.binding(),
            listening.log_level.value,
            own.ring(),
            own.passphrase(),
            label,
            members=members,
            model_file=model,
            mode=Mode(sender_mode.value),
            plan=plan,
            patience=Patience(ask_s=member_patience, check_first=check_first),
            state=state,
            keep_results=keep_results,
            token_file=control_token,
            ca_file=ca_file,
        )


@serve.command()
@grouped
def peer(
    rosters: Annotated[
        list[str],
        typer.Option("--roster", metavar="FILE", help="Signed, from the issuer; may be repeated."),
    ],
    peers: Annotated[
        list[str],
        typer.Option("--peer", metavar="NAME=URL", help="Of everybody in it, this peer too; repeat it."),
    ],
    policy: Annotated[
        Path, typer.Option("--policy", metavar="FILE", help="Your conditions, TOML, without names.")
    ],
    state: Annotated[
        Path,
        typer.Option("--state", metavar="FOLDER", help="What was seen, sent and answered; never lose it."),
    ],
    sender: Annotated[
        str, typer.Option("--sender", metavar="LABEL", help="The key to contribute under: a pseudonym's.")
    ],
    model: Annotated[
        str, typer.Option("--model", metavar="FILE", help="The global model, the same for all, .npz or .npy.")
    ],
    train: Annotated[
        str,
        typer.Option(
            "--train", metavar="COMMAND", help="Is run as COMMAND MODEL UPDATE ROUND VIEW, and writes UPDATE."
        ),
    ],
    clip: Clip,
    output: Annotated[
        str | None,
        typer.Option("--output", "-o", metavar="FILE", help="The model after each round, .npz; is replaced."),
    ] = None,
    rounds: Annotated[
        int, typer.Option("--rounds", min=1, help="How many, one after another.", rich_help_panel=ROUND)
    ] = 1,
    first_round: Annotated[
        int, typer.Option("--first-round", min=1, help="Number of the first.", rich_help_panel=ROUND)
    ] = 1,
    close_at: CloseAt = 0,
    close: Annotated[
        int,
        typer.Option(
            "--close", min=1, help="Seconds for members before the deadline.", rich_help_panel=ROUND
        ),
    ] = 60,
    margin: Annotated[
        int,
        typer.Option(
            "--margin", min=1, help="Seconds from it to the end of the turn: clocks.", rich_help_panel=ROUND
        ),
    ] = CLOCK_SKEW_S,
    max_contributors: MaxContributors = 1024,
    member_patience: MemberPatience = 60.0,
    label: As = None,
    *,
    own: KeyOptions,
    ca_file: CaFile = None,
    listening: Listening,
) -> None:
    """Be one of equals: contribute to every round, sit in its committee, and collect when it is your turn.

    Waits for the beacon of each round, which anybody posts to /v1/beacon. After a restart begin with the
    model and the number of the round that follows the last result.
    """
    with _service():
        from ...fl.http import PeerPlan
        from ...fl.http.asking import Patience
        from . import peering

        with _as_usage():
            plan = PeerPlan(
                clip=clip,
                close_at=close_at,
                close_s=close,
                margin_s=margin,
                max_contributors=max_contributors,
                rounds=rounds,
                first_round=first_round,
            )
        peering.peer(
            listening.binding(),
            listening.log_level.value,
            own.ring(),
            own.passphrase(),
            label,
            sender=sender,
            rosters=rosters,
            peers=peers,
            policy_file=policy,
            model_file=model,
            command=train,
            plan=plan,
            patience=Patience(ask_s=member_patience),
            state=state,
            target=output,
            ca_file=ca_file,
        )

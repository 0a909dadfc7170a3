"""A device's commands, declared.  Everything heavy is imported inside them."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from ..console import http_command as _command
from ..groups import grouped
from ..serve.options import As, CaFile, KeyOptions, PolicyFile, SenderMode
from ..user.options import Force, Home, Json, Output

client = typer.Typer(
    help="A device in a round: get keys, send an update over relays, read the result.",
    no_args_is_help=True,
    rich_markup_mode="rich",
)

From = Annotated[
    str, typer.Option("--from", metavar="URL", help="A relay, or the aggregator: for what is public.")
]
Outbox = Annotated[
    Path,
    typer.Option("--outbox", metavar="FOLDER", help="What has left: never two updates for one model."),
]
Wait = Annotated[float, typer.Option("--wait", min=0, help="Seconds to wait for it.")]


@client.command()
@grouped
def keys(
    issuer: Annotated[str, typer.Option("--issuer", metavar="URL", help="The issuer's service.")],
    enrolment: Annotated[
        str, typer.Option("--enrolment", metavar="FILE", help="The file that the issuer gave you.")
    ],
    mode: Annotated[SenderMode | None, typer.Option("--mode", help="Kind of names.")] = None,
    label: Annotated[
        str | None, typer.Option("--as", metavar="LABEL", help="Your own name for the key.")
    ] = None,
    *,
    own: KeyOptions,
    ca_file: CaFile = None,
) -> None:
    """Get keys from an issuer's service: ask and finish in one step. For servers, too.

    What keygen does with files in two. Interrupted, the same command goes on with the same request.
    """
    with _command():
        from . import asking

        chosen = None if mode is None else mode.value
        asking.keys(own.ring(), own.passphrase(), issuer, enrolment, chosen, label, ca_file)


@client.command()
@grouped
def submit(
    update: Annotated[str, typer.Argument(metavar="UPDATE", help="What to contribute, .npz or .npy.")],
    source: From,
    relay: Annotated[
        list[str], typer.Option("--relay", metavar="URL", help="One for each shard of a packet; repeat it.")
    ],
    model: Annotated[
        str, typer.Option("--model", metavar="FILE", help="The global model that you trained on.")
    ],
    policy: PolicyFile,
    outbox: Outbox,
    examples: Annotated[
        int | None, typer.Option("--examples", min=1, help="Size of your data, if the round weighs by it.")
    ] = None,
    wait: Wait = 0.0,
    patience: Annotated[float, typer.Option("--patience", min=0, help="Seconds for a busy relay.")] = 60.0,
    spread: Annotated[
        float, typer.Option("--spread", min=0, help="Shards leave at random within so many seconds.")
    ] = 0.0,
    header: Annotated[
        str | None,
        typer.Option("--header", metavar="FILE", help="Keep the round's header here, for client result."),
    ] = None,
    label: As = None,
    *,
    own: KeyOptions,
    ca_file: CaFile = None,
    force: Force = False,
    json_target: Json = None,
) -> None:
    """Seal one update for the round that collects, and send its shards over relays. Then go offline.

    The sealed packet is in the outbox before its first byte leaves. Run again for the same round it sends
    that packet again, whatever the update.
    """
    with _command():
        from . import sending

        sending.submit(
            own.ring(),
            own.passphrase(),
            label,
            update_file=update,
            source=source,
            relays=relay,
            model_file=model,
            policy_file=policy,
            outbox=outbox,
            examples=examples,
            wait_s=wait,
            patience_s=patience,
            spread_s=spread,
            header_file=header,
            ca_file=ca_file,
            force=force,
            json_target=json_target,
        )


@client.command()
def model(
    source: From,
    policy: PolicyFile,
    output: Output = None,
    after: Annotated[
        int, typer.Option("--after", metavar="N", min=-1, help="Of a round with a higher number only.")
    ] = -1,
    wait: Wait = 0.0,
    home: Home = None,
    ca_file: CaFile = None,
    force: Force = False,
    json_target: Json = None,
) -> None:
    """Fetch the global model of the round that collects, checked against the members' signatures."""
    with _command():
        from ..keyring import Keyring
        from . import sending

        sending.model(
            Keyring(home), source, policy, output, after=after, wait_s=wait, ca_file=ca_file, force=force,
            json_target=json_target,
        )  # fmt: skip


@client.command()
@grouped
def result(
    header: Annotated[str, typer.Argument(metavar="HEADER", help="The round's header, of client submit.")],
    source: From,
    policy: PolicyFile,
    outbox: Outbox,
    output: Output = None,
    published: Annotated[
        str | None,
        typer.Option(
            "--published", metavar="FILE", help="Keep the result as it came, for fl audit --result."
        ),
    ] = None,
    wait: Wait = 0.0,
    label: As = None,
    *,
    own: KeyOptions,
    ca_file: CaFile = None,
    force: Force = False,
    json_target: Json = None,
) -> None:
    """Fetch a round's result and verify it: signatures of aggregator and members, and the own entry.

    With -o the mean is written, in the model's shapes. Exit code 1 if an update was sent and is not in it.
    """
    with _command():
        from . import sending

        sending.result(
            own.ring(),
            own.passphrase(),
            label,
            header_file=header,
            source=source,
            policy_file=policy,
            outbox=outbox,
            target=output,
            published_file=published,
            wait_s=wait,
            ca_file=ca_file,
            force=force,
            json_target=json_target,
        )

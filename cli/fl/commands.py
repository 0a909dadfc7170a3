"""The commands of ``sottovoce fl``, declared.  Everything heavy is imported inside them."""

from __future__ import annotations

from typing import Annotated, Final

import typer

from .. import console
from ..user.options import Home, Json

fl = typer.Typer(
    no_args_is_help=True,
    help="Look at a round from the outside; needs the issuer's root key and no secret.",
)

# Not docstrings: typer keeps their line breaks, and they suit one width of terminal only.
_AUDIT_HELP: Final = (
    "Recompute the sum of a round from the record of its ciphertexts.\n\n"
    "Checks that members signed the header, the list and the digest of the sum; that every manifest is the "
    "listed one and every ciphertext the manifest's; that these ciphertexts give this sum, and the sum the "
    "mean; with --result, that a client got what is in the record. Says what was agreed by whom and what is "
    "wrong, and ends with 1 if anything is."
)
_JUDGE_HELP: Final = (
    "Judge the conviction of a client that signed a bad share.\n\n"
    "Ends with 0 if it convicts, and says of what; with 1 if it does not."
)

Root = Annotated[
    str | None,
    typer.Option("--root", metavar="FILE", help="The issuer's root key; by default the pinned one."),
]


@fl.command(help=_AUDIT_HELP)
def audit(
    file: Annotated[str, typer.Argument(metavar="FILE", help="The record, from the aggregator.")],
    result: Annotated[
        str | None,
        typer.Option(
            "--result", metavar="FILE", help="The result as a client got it; without it nobody's is compared."
        ),
    ] = None,
    header_hash: Annotated[
        str | None,
        typer.Option("--header-hash", metavar="HEX", help="The round that it must be: 64 digits."),
    ] = None,
    root: Root = None,
    quiet: Annotated[
        bool, typer.Option("--quiet", "-q", help="Errors only: no bar, no table, no notes.")
    ] = False,
    json_target: Json = None,
    home: Home = None,
) -> None:
    console.check_writable(json_target, "--json")
    with console.command():
        from ..keyring import Keyring
        from . import auditing

        auditing.audit(
            Keyring(home), file, result_file=result, header_hash=header_hash, root_file=root, quiet=quiet,
            json_target=json_target,
        )  # fmt: skip


@fl.command(help=_JUDGE_HELP)
def judge(
    file: Annotated[str, typer.Argument(metavar="FILE", help="The conviction with its round.")],
    root: Root = None,
    json_target: Json = None,
    home: Home = None,
) -> None:
    console.check_writable(json_target, "--json")
    with console.command():
        from ..keyring import Keyring
        from . import auditing

        auditing.judge(Keyring(home), file, root_file=root, json_target=json_target)

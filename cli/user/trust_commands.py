"""``sottovoce trust ...``, declared.  Everything heavy is imported inside the commands."""

from __future__ import annotations

from typing import Annotated

import typer

from .. import console
from .options import Force, Home, Json, Output

trust = typer.Typer(
    help="Whom to believe, and under which name: the keyring.", no_args_is_help=True, rich_markup_mode="rich"
)


@trust.command("show")
def trust_show(json_target: Json = None, home: Home = None) -> None:
    """List root key, epochs, your keys, the names you know, and requests that wait."""
    console.check_writable(json_target, "--json")
    with console.command():
        from ..keyring import Keyring
        from . import trusting

        trusting.show(Keyring(home), json_target)


@trust.command("add")
def trust_add(
    file: Annotated[list[str], typer.Argument(metavar="FILE...", help="Texts; - is stdin.")],
    name: Annotated[
        str | None, typer.Option("--name", metavar="NAME", help="Know a key under this name of your own.")
    ] = None,
    home: Home = None,
) -> None:
    """Add public keys, epoch parameters and revocation lists, whatever the files hold.

    A key is pinned: from then on its name has no other key in that epoch.
    """
    with console.command():
        from ..keyring import Keyring
        from . import trusting

        trusting.add(Keyring(home), file, name)


@trust.command("root")
def trust_root(
    file: Annotated[
        str | None,
        typer.Argument(metavar="[FILE]", help="The issuer's root key; without it, show the pinned one."),
    ] = None,
    json_target: Json = None,
    home: Home = None,
) -> None:
    """Pin the root key of an issuer, once; show its fingerprint."""
    console.check_writable(json_target, "--json")
    with console.command():
        from ..keyring import Keyring
        from . import trusting

        trusting.root(Keyring(home), file, json_target)


@trust.command("export")
def trust_export(
    name: Annotated[str, typer.Argument(metavar="NAME", help="A label of your own, or a name you know.")],
    output: Output = None,
    force: Force = False,
    home: Home = None,
) -> None:
    """Write public keys, with what is needed to read them, for others to add."""
    with console.command():
        from ..keyring import Keyring
        from . import trusting

        trusting.export(Keyring(home), name, output, force=force)


@trust.command("remove")
def trust_remove(
    name: Annotated[str, typer.Argument(metavar="NAME", help="A name you know.")], home: Home = None
) -> None:
    """Forget the keys of a name."""
    with console.command():
        from ..keyring import Keyring
        from . import trusting

        trusting.remove(Keyring(home), name)

"""The commands of ``sottovoce rs``, declared.  Everything heavy is imported inside them."""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated, Final

import typer

from .. import console
from ..user.options import Force, Json, Output

rs = typer.Typer(
    no_args_is_help=True,
    help="A file as n shards, any k of which give it back; damage costs a block and not a shard.",
)

# Not docstrings: typer keeps their line breaks, and they suit one width of terminal only.
_SPLIT_HELP: Final = (
    "Cut a file into n shards, any k of which give it back.\n\n"
    "They are called PREFIX.NN_MM.svr and are written beside the file. Each is a k-th of it. The shards are "
    "not secret and not signed: seal or sign the file before, if that matters."
)
_JOIN_HELP: Final = (
    "Give a file back from shards of it, in any order and under any names.\n\n"
    "Damaged blocks are replaced from other shards, as long as there are k good ones of each. The file "
    "appears when all of it was checked."
)
_VERIFY_HELP: Final = (
    "Look whether shards are as they were written, and agree.\n\n"
    "A single shard can be verified, too. Exit code 1 if one is damaged; shards that are missing are "
    "told, and no error."
)
_REPAIR_HELP: Final = (
    "Make damaged and missing shards again, byte for byte.\n\n"
    "A damaged shard is replaced where it is, a missing one is written beside the first. Files that cannot "
    "be read as shards are left alone."
)


class FormatName(StrEnum):
    """:data:`sottovoce.rs._files_shards.FORMATS`, before anything heavy is imported."""

    SOTTOVOCE = "sottovoce"
    ZFEC = "zfec"


Format = Annotated[
    FormatName, typer.Option("--format", help="zfec: what the commands zfec and zunfec write and read.")
]
Threads = Annotated[int, typer.Option("--threads", min=1, max=256, help="That compute checksums.")]
Quiet = Annotated[bool, typer.Option("--quiet", "-q", help="Errors only: no bar, no table, no notes.")]
Sources = Annotated[list[str], typer.Argument(metavar="SHARD...", help="Shard files, in any order.")]
Folder = Annotated[
    str | None, typer.Option("--folder", "-d", metavar="FOLDER", help="Where new shards are written.")
]
Prefix = Annotated[
    str | None, typer.Option("--prefix", metavar="PREFIX", help="Of their names, before .NN_MM.svr.")
]


@rs.command(help=_SPLIT_HELP)
def split(
    source: Annotated[str, typer.Argument(metavar="FILE", help="- is stdin, and wants a --prefix.")],
    k: Annotated[int, typer.Option("-k", min=1, max=256, help="Shards that are needed.")],
    n: Annotated[int, typer.Option("-n", min=1, max=256, help="Shards that are made.")],
    folder: Folder = None,
    prefix: Prefix = None,
    format_: Format = FormatName.SOTTOVOCE,
    block_kib: Annotated[
        int | None,
        typer.Option("--block-kib", min=1, max=16384, help="KiB that share a checksum; 64 by default."),
    ] = None,
    threads: Threads = 1,
    force: Force = False,
    quiet: Quiet = False,
    json_target: Json = None,
) -> None:
    if k > n:
        raise typer.BadParameter(f"at most -n, which is {n}", param_hint="-k")
    if block_kib is not None and format_ is FormatName.ZFEC:
        raise typer.BadParameter("shards of zfec have no blocks", param_hint="--block-kib")
    if block_kib is not None and block_kib * n > _MAX_STRIPE_KIB:
        raise typer.BadParameter(f"at most {_MAX_STRIPE_KIB // n} for {n} shards", param_hint="--block-kib")
    console.check_writable(json_target, "--json")
    with console.command():
        from . import sharding

        sharding.split(
            source, k, n, folder=folder, prefix=prefix, format_=str(format_), block_kib=block_kib,
            threads=threads, force=force, quiet=quiet, json_target=json_target,
        )  # fmt: skip


@rs.command(help=_JOIN_HELP)
def join(
    sources: Sources,
    output: Output = None,
    format_: Format = FormatName.SOTTOVOCE,
    threads: Threads = 1,
    force: Force = False,
    quiet: Quiet = False,
    json_target: Json = None,
) -> None:
    if json_target == console.STDOUT and output in (None, console.STDOUT):
        raise typer.BadParameter("stdout is taken by the file: name one with -o", param_hint="--json")
    console.check_writable(json_target, "--json")
    with console.command():
        from . import sharding

        sharding.join(
            sources, output, format_=str(format_), threads=threads, force=force, quiet=quiet,
            json_target=json_target,
        )  # fmt: skip


@rs.command(help=_VERIFY_HELP)
def verify(
    sources: Sources,
    format_: Format = FormatName.SOTTOVOCE,
    threads: Threads = 1,
    quiet: Quiet = False,
    json_target: Json = None,
) -> None:
    console.check_writable(json_target, "--json")
    with console.command():
        from . import sharding

        sharding.verify(sources, format_=str(format_), threads=threads, quiet=quiet, json_target=json_target)


@rs.command(help=_REPAIR_HELP)
def repair(
    sources: Sources,
    folder: Folder = None,
    prefix: Prefix = None,
    format_: Format = FormatName.SOTTOVOCE,
    threads: Threads = 1,
    force: Annotated[
        bool, typer.Option("--force", "-f", help="Overwrite what is in the way of a missing shard.")
    ] = False,
    quiet: Quiet = False,
    json_target: Json = None,
) -> None:
    console.check_writable(json_target, "--json")
    with console.command():
        from . import sharding

        sharding.repair(
            sources, folder=folder, prefix=prefix, format_=str(format_), threads=threads, force=force,
            quiet=quiet, json_target=json_target,
        )  # fmt: skip


_MAX_STRIPE_KIB: Final = 1 << 14

"""The commands.  Everything heavy is imported inside them, so that ``--help`` answers at once."""

from __future__ import annotations

import math
from typing import Annotated

import typer

from . import console
from .bench.areas import Area, Level
from .client.commands import client
from .demo.options import MAX_CLIENTS, MAX_ROUNDS, MIN_CLIENTS, MIN_ROUNDS, Options
from .fl.commands import fl
from .he.commands import he
from .kgc.commands import kgc
from .rs.commands import rs
from .serve.commands import serve
from .user.commands import user

_EPILOG = (
    "Exit codes: [bold]0[/] done, [bold]1[/] a check or an operation failed, [bold]2[/] usage, or an extra "
    "that is not installed, [bold]130[/] interrupted, [bold]143[/] or [bold]129[/] "
    "ended from outside (no partial file is left). "
    "Environment: SOTTOVOCE_KERNEL (portable, avx2, avx512, neon) is the ceiling of the compiled back ends, "
    "SOTTOVOCE_BACKEND (arkworks, py_ecc) the pairing group, SOTTOVOCE_HOME the folder of your keys, "
    "NO_COLOR turns colours off."
)

# Not a docstring: typer keeps its line breaks, and they suit one width of terminal only.
_DEMO_HELP = (
    "Train a model of handwritten digits privately, beside plain averaging, with faults in every round.\n\n"
    "Every update goes through the whole stack: blind pseudonym keys, encryption under one-time keys, "
    "key shares to a committee of 5, signcryption, shards. In every round a fifth of the shards is lost, "
    "some are corrupted, an old packet is replayed, an un-enrolled client sends, and a member is absent. "
    "Fails unless each opened sum is exact and the accuracy is within 1 point of plain FedAvg of the same "
    "clients."
)

_BENCH_HELP = (
    "Measure the installed package on this machine: medians with their spread, beside the size of the "
    "input.\n\n"
    "What one unit counts is named in the table. The machine, its kernels and all versions stand above it, "
    "and in the file of [bold]--json[/]. Two such files are compared by "
    "[bold]--compare OLD.json NEW.json --fail-over 1.2[/]."
)

_SELFTEST_HELP = (
    "Check on this machine that the installed package computes the right things.\n\n"
    "Runs the known answers, whose vectors are part of the package, and properties that must hold for any "
    "input (extra selftest), one line each. Exit code 1 if any fails."
)

app = typer.Typer(
    help="Devices learn together and nobody hears what a single one says.",
    epilog=_EPILOG,
    no_args_is_help=True,
    rich_markup_mode="rich",
    # Typer's own tracebacks can show local variables, and ours are keys.
    pretty_exceptions_enable=False,
)

app.add_typer(user)
app.add_typer(kgc, name="kgc", epilog=_EPILOG)
app.add_typer(he, name="he", epilog=_EPILOG)
app.add_typer(rs, name="rs", epilog=_EPILOG)
app.add_typer(serve, name="serve", epilog=_EPILOG)
app.add_typer(client, name="client", epilog=_EPILOG)
app.add_typer(fl, name="fl", epilog=_EPILOG)

JsonTarget = Annotated[
    str | None,
    console.side_file("--json", "Write the figures as JSON; - is stdout, tables then go to stderr."),
]


def _version(wanted: bool) -> None:
    if wanted:
        with console.command():
            from . import machine

            typer.echo(machine.version_text())
        raise typer.Exit


@app.callback()
def _main(
    version: Annotated[
        bool,
        typer.Option(
            "--version",
            callback=_version,
            is_eager=True,
            help="Show versions and the compiled back ends in use, and exit.",
        ),
    ] = False,
) -> None:
    pass


@app.command(help=_DEMO_HELP, epilog=_EPILOG)
def demo(
    clients: Annotated[
        int, typer.Option(help=f"Clients, {MIN_CLIENTS} to {MAX_CLIENTS}.")
    ] = Options().clients,
    rounds: Annotated[int, typer.Option(help=f"Rounds, {MIN_ROUNDS} to {MAX_ROUNDS}.")] = Options().rounds,
    seed: Annotated[
        int, typer.Option(help="Seed of data, training and faults. Cryptographic randomness has none.")
    ] = Options().seed,
    out: Annotated[
        str, typer.Option("--out", metavar="FILE", help="Picture to write: .png, .svg or .pdf.")
    ] = "demo.png",
    json_target: JsonTarget = None,
) -> None:
    options = Options(clients=clients, rounds=rounds, seed=seed)
    options.check()
    with console.command():
        from .demo import command

        command.main(options, out, json_target)


@app.command(help=_BENCH_HELP, epilog=_EPILOG)
def bench(
    area: Annotated[Area, typer.Argument(metavar="[AREA]", help="clsc, he, rs, fl or all.")] = Area.ALL,
    quick: Annotated[
        bool, typer.Option("--quick", help="Fewer things, fewer repetitions: rougher, within 30 seconds.")
    ] = False,
    peers: Annotated[
        bool,
        typer.Option(
            "--peers", help="Measure other libraries in the same run, and say how to install the rest."
        ),
    ] = False,
    parts: Annotated[bool, typer.Option("--parts", help="List what each work is made of.")] = False,
    kernel: Annotated[
        Level | None,
        typer.Option("--kernel", metavar="NAME", help=f"Ceiling of the back ends: {', '.join(Level)}."),
    ] = None,
    threads: Annotated[
        int, typer.Option("--threads", metavar="N", help="Threads for one call, where it takes several.")
    ] = 1,
    json_target: JsonTarget = None,
    plot: Annotated[
        str | None,
        console.side_file("--plot", "Draw the figures: .png, .svg or .pdf (extra: plot)."),
    ] = None,
    compare: Annotated[
        tuple[str, str] | None,
        typer.Option(
            "--compare", metavar="OLD NEW", help="Compare two files of --json instead of measuring."
        ),
    ] = None,
    fail_over: Annotated[
        float | None,
        typer.Option(
            "--fail-over",
            metavar="RATIO",
            help="With --compare: exit code 1 if something takes more than so many times as long.",
        ),
    ] = None,
) -> None:
    with console.command():
        from .bench import options

        options.check_fail_over(fail_over, compare is not None)
        if compare is not None:
            measuring = {
                "--quick": quick,
                "--peers": peers,
                "--parts": parts,
                "--kernel": kernel is not None,
                "--threads": threads != 1,
                "--plot": plot is not None,
            }
            options.check_only_comparing(name for name, given in measuring.items() if given)
            from .bench import compare as comparison

            comparison.main(*compare, area, fail_over, json_target)
            return
        wanted = options.Options(
            area,
            peers=peers,
            quick=quick,
            parts=parts,
            kernel=kernel,
            threads=threads,
            json=json_target,
            plot=plot,
        )
        wanted.check()
        from .bench import command

        command.main(wanted)


@app.command(help=_SELFTEST_HELP, epilog=_EPILOG)
def selftest(
    area: Annotated[Area, typer.Argument(metavar="[AREA]", help="clsc, he, rs, fl or all.")] = Area.ALL,
    seconds: Annotated[
        float, typer.Option(min=0.0, help="About how long; known answers are run whole.")
    ] = 60.0,
    examples: Annotated[int, typer.Option(min=1, help="Examples of each property at most.")] = 100,
    seed: Annotated[
        int | None, typer.Option(min=0, help="Of the inputs that are drawn; a new one if left out.")
    ] = None,
    known_answers: Annotated[
        bool, typer.Option("--known-answers", help="Leave the properties out; needs no extra.")
    ] = False,
    listing: Annotated[bool, typer.Option("--list", help="List the checks and run none.")] = False,
    json_target: Annotated[
        str | None,
        console.side_file("--json", "Write the outcomes as JSON; - is stdout, the lines then go to stderr."),
    ] = None,
) -> None:
    with console.command():
        from .selftest import command

        if not math.isfinite(seconds):
            raise typer.BadParameter("a finite number expected", param_hint="--seconds")
        if listing:
            if json_target is not None:
                raise typer.BadParameter("--list writes no JSON", param_hint="--json")
            command.list_checks(area)
            return
        command.main(
            area, json_target, seconds=seconds, examples=examples, seed=seed, known_answers=known_answers
        )

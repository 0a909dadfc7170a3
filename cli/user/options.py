"""Options that several of the user's commands have."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from .. import console

Home = Annotated[
    Path | None,
    typer.Option(
        "--home",
        envvar="SOTTOVOCE_HOME",
        show_envvar=True,
        metavar="FOLDER",
        help="Keys and trust; ~/.sottovoce by default.",
    ),
]
Output = Annotated[
    str | None,
    typer.Option(
        "--output",
        "-o",
        metavar="FILE",
        help="Write here, not to stdout; - is stdout, also if it is a terminal.",
    ),
]
Force = Annotated[bool, typer.Option("--force", "-f", help="Overwrite the output. Keys never are.")]
Json = Annotated[
    str | None,
    console.side_file("--json", "Say what was done as JSON, too; - is stdout."),
]

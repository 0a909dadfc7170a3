"""What is asked for, and what of it cannot be: known before anything is measured."""

from __future__ import annotations

import math
import os
import sys
from collections.abc import Iterable
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from typing import Final

import typer

from ..._ext.errors import KernelUnavailable
from .. import console
from .areas import Area, Level

MAX_THREADS: Final = 256
"""As the library itself has it."""

_PICTURES: Final = (".png", ".svg", ".pdf")
_VARIABLE: Final = "SOTTOVOCE_KERNEL"


@dataclass(frozen=True, slots=True)
class Options:
    """A run.

    Attributes:
        area: What to measure.
        peers: Measure the peers that are installed, too.
        quick: Less of everything, in half a minute.
        parts: List what each work is made of.
        kernel: Ceiling of the back ends; None: that of the environment, or the highest.
        threads: For one call, where a call takes several.
        json: File for the document, ``-`` for stdout, or None.
        plot: File for the picture, or None.
    """

    area: Area
    peers: bool = False
    quick: bool = False
    parts: bool = False
    kernel: Level | None = None
    threads: int = 1
    json: str | None = None
    plot: str | None = None

    def check(self) -> None:
        """Refuse what cannot come to a good end, and choose the kernels.

        Raises:
            typer.BadParameter: An option is out of its range, a file cannot be written, or the processor
                lacks the kernels.
            MissingExtra: A picture is wanted and matplotlib is not there.
            KernelUnavailable: No ``kernel`` was named and the environment names one that is not to be had.
        """
        if not 1 <= self.threads <= MAX_THREADS:
            raise typer.BadParameter(
                f"1 to {MAX_THREADS} expected, got {self.threads}", param_hint="--threads"
            )
        console.check_writable(self.json, "--json")
        if self.plot is not None:
            if Path(self.plot).suffix.lower() not in _PICTURES:
                raise typer.BadParameter(
                    f"a file name that ends in one of {', '.join(_PICTURES)} expected, got {self.plot!r}",
                    param_hint="--plot",
                )
            console.check_writable(self.plot, "--plot")
            console.require("plot", "matplotlib")
        if self.kernel is not None:
            _choose(self.kernel)


def _choose(level: Level) -> None:
    """Set the ceiling, which is read when the kernels are first imported; nothing has done that before."""
    if (chosen := sys.modules.get("sottovoce._ext.kernel")) is not None:  # not from the command line
        if chosen.ceiling() != level:
            raise KernelUnavailable(f"--kernel {level}: this process has chosen {chosen.ceiling()} already")
        return
    os.environ[_VARIABLE] = level
    try:
        import_module("sottovoce._ext.kernel")
    except KernelUnavailable as error:
        # "SOTTOVOCE_KERNEL=avx512: this processor lacks it; it has ..."
        reason = str(error).partition(": ")[2]
        raise typer.BadParameter(f"{level}: {reason}", param_hint="--kernel") from None


def check_fail_over(fail_over: float | None, comparing: bool) -> None:
    """Refuse a limit that is none, or that has nothing to limit.

    Raises:
        typer.BadParameter: Names what is expected.
    """
    if fail_over is None:
        return
    if not comparing:
        raise typer.BadParameter("only with --compare OLD NEW", param_hint="--fail-over")
    if not (math.isfinite(fail_over) and fail_over >= 1):
        raise typer.BadParameter(f"a number from 1 on expected, got {fail_over:g}", param_hint="--fail-over")


def check_only_comparing(given: Iterable[str]) -> None:
    """Refuse options of measuring where two files are compared.

    Raises:
        typer.BadParameter: Names one of them.
    """
    for option in given:
        raise typer.BadParameter("not with --compare, which measures nothing", param_hint=option)

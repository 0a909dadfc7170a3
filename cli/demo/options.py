"""What the command line decides about the demo, with its limits and their reasons; imports nothing heavy."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import typer

MIN_CONTRIBUTORS: Final = 8
"""Contributors without which no client would take part and no member would answer."""

MIN_CLIENTS: Final = 2 * MIN_CONTRIBUTORS
"""A tenth of the packets does not survive the lost shards; with twice the least number, a round
with too few contributors comes about once in 100,000."""

MAX_CLIENTS: Final = 143
"""1,438 training images give so many clients ten each."""

MIN_ROUNDS: Final = 8
"""Before that the training has not settled and its accuracy says little."""

MAX_ROUNDS: Final = 1000
"""Far beyond the end of learning; a typing error should not run for hours."""


@dataclass(frozen=True, slots=True)
class Options:
    """Size and seed of a run."""

    clients: int = 20
    rounds: int = 12
    seed: int = 0

    def check(self) -> None:
        """Refuse what cannot come to a good end.

        Raises:
            typer.BadParameter: Names the option, the limit and its reason.
        """
        if self.clients < MIN_CLIENTS:
            raise typer.BadParameter(
                f"at least {MIN_CLIENTS} expected, got {self.clients}: {MIN_CONTRIBUTORS} must be left in "
                "every round after a fifth of the shards is lost",
                param_hint="--clients",
            )
        if self.clients > MAX_CLIENTS:
            raise typer.BadParameter(
                f"at most {MAX_CLIENTS} expected, got {self.clients}: the data set is too small for more",
                param_hint="--clients",
            )
        if self.rounds < MIN_ROUNDS:
            raise typer.BadParameter(
                f"at least {MIN_ROUNDS} expected, got {self.rounds}: the accuracies of a shorter training "
                "cannot be compared",
                param_hint="--rounds",
            )
        if self.rounds > MAX_ROUNDS:
            raise typer.BadParameter(
                f"at most {MAX_ROUNDS} expected, got {self.rounds}", param_hint="--rounds"
            )
        if self.seed < 0:
            raise typer.BadParameter(f"0 or more expected, got {self.seed}", param_hint="--seed")

"""What the rounds of one aggregator have in common."""

from __future__ import annotations

import math
from dataclasses import dataclass

from ... import rs
from ..._ext import limits
from ..._ext.errors import ParameterError


@dataclass(frozen=True)
class RoundPlan:
    """What the rounds of one aggregator have in common.

    Attributes:
        clip: Values are clipped to ``[-clip, clip]``; finite and positive.
        rounds: How many results in all; those that the state folder has count.
        first_round: Number of the first; with a state folder at least the one after the last.
        collect_s: Seconds for which a round collects at most.
        close_at: Collecting ends as soon as so many count; 0: only with time, or on command.
        close_s: Seconds from there to the header's deadline, for checking and answering.
        audit_s: Ciphertexts are kept for this long after the deadline.
        min_contributors, max_contributors, max_examples, shard_k, shard_n: As of
            :func:`sottovoce.fl.plan_round`.
        replace: The mean is the next model; else it is added to the model.

    Raises:
        ParameterError: A number out of its range.

    Source: docs/fl-http.md, "How to run one"; the header's fields are docs/fl.md, "Messages".
    """

    clip: float
    rounds: int = 1
    first_round: int = 1
    collect_s: float = 600.0
    close_at: int = 0
    close_s: float = 600.0
    audit_s: float = 86_400.0
    min_contributors: int = 8
    max_contributors: int = 1024
    max_examples: int = 0
    shard_k: int = 2
    shard_n: int = 3
    replace: bool = False

    def __post_init__(self) -> None:
        # All of it now: what a header refuses would end the rounds after the service was started.
        if self.rounds < 1 or self.first_round < 0 or self.close_at < 0:
            raise ParameterError("plan: at least one round, and no negative number, expected")
        if not (self.collect_s > 0 and self.close_s > 0 and self.audit_s >= 0):
            raise ParameterError("plan: positive times expected")
        if not math.isfinite(self.collect_s + self.close_s + self.audit_s):
            raise ParameterError("plan: finite times expected")
        check_clip(self.clip)
        least, most = limits.MIN_CONTRIBUTORS_FLOOR, limits.MAX_CLIENTS
        if not least <= self.min_contributors <= self.max_contributors <= most:
            raise ParameterError(
                f"contributors: {least} <= min_contributors <= max_contributors <= {most} expected, "
                f"got {self.min_contributors} and {self.max_contributors}"
            )
        if not 0 <= self.max_examples < 1 << 53:
            raise ParameterError(f"max_examples: 0 to {(1 << 53) - 1} expected, got {self.max_examples}")
        rs.shard_bytes(0, self.shard_k, self.shard_n)


def check_clip(clip: float) -> None:
    """Return if values can be clipped to ``[-clip, clip]``.

    Raises:
        ParameterError: They cannot.
    """
    if not 0 < clip < math.inf:
        raise ParameterError(f"clip: a finite positive number expected, got {clip}")

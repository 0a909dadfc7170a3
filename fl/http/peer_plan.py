"""What a peer puts into the headers of its own turns, and in how many rounds it takes part."""

from __future__ import annotations

from dataclasses import dataclass

from ..._ext import limits
from ..._ext.errors import ParameterError
from .round_plan import check_clip


@dataclass(frozen=True)
class PeerPlan:
    """What this peer puts into headers when it is its turn.

    Attributes:
        clip: Values are clipped to ``[-clip, clip]``; finite and positive.
        close_at: Collecting ends as soon as so many count; 0: only with time.
        close_s: Seconds before the deadline at which collecting ends, for checking and answering.
        margin_s: Seconds from the deadline to the end of the turn, as of :meth:`sottovoce.fl.Peer.propose`.
        max_contributors: As of :func:`sottovoce.fl.plan_round`.
        rounds: Take part in so many, one after the other, while the service runs; 0: only in those that
            :meth:`PeerService.run_round` is called for.
        first_round: Number of the first of them.

    Raises:
        ParameterError: A negative number; ``margin_s`` of 0; ``clip`` not positive.

    Source: docs/fl-peers.md, "Whose turn it is".
    """

    clip: float
    close_at: int = 0
    close_s: int = 60
    margin_s: int = limits.CLOCK_SKEW_S
    max_contributors: int = 1024
    rounds: int = 0
    first_round: int = 1

    def __post_init__(self) -> None:
        if min(self.close_at, self.close_s, self.rounds, self.first_round) < 0:
            raise ParameterError("plan: no negative number expected")
        if self.margin_s < 1:
            raise ParameterError(f"margin_s: at least 1 expected, got {self.margin_s}")
        check_clip(self.clip)

"""The private run beside two plain ones, and the checks of what came out.

Three trainings start from the same model with the same data, shares and batch orders:

* *private*: every update through the whole stack (:mod:`sottovoce.fl.simulate`), with faults;
* *plain*: float averaging of the same clients as the private round accepted, so that the only
  difference left is the fixed-point arithmetic of the encryption;
* *everyone*: float averaging of all clients, as if nothing were ever lost.

Each goes its own way: the private run's model never enters the others.
"""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final

import numpy as np
from numpy.typing import NDArray

from ...fl import Stage, simulate
from ..console import CheckFailed
from . import data, model, train
from .options import MIN_CONTRIBUTORS, Options

COMMITTEE: Final = 5
"""Members who hold shares of the one-time keys; 4 must answer, one corrupted is tolerated."""

SHARDS: Final = (3, 5)
"""k of n: any 3 of a packet's 5 shards bring it back."""

CLIP: Final = 2.0
"""Bound of a single change in an update.  Changes here stay below 1.6 (see ``Outcome.n_clipped``)."""

FAULTS: Final = simulate.Faults(
    lose_shards=0.2, corrupt_shards=0.05, replay=True, stranger=True, absent_members=1
)
"""What goes wrong in every round."""

ACCURACY_TOLERANCE: Final = 0.01
"""One point of accuracy: 3 of the 359 test images."""

CORRUPTED: Final = "shards corrupted"
REPLAYED_RECORDED: Final = "packets replayed as recorded shards"
REPLAYED_FRESH: Final = "packets replayed in fresh shards"
STRANGERS: Final = "packets of strangers"

Progress = Callable[[int, str], None]
"""Called with the number of finished rounds and what is being done."""


@dataclass(frozen=True, slots=True)
class RoundRecord:
    """One round, as the tables and the JSON show it.

    Attributes:
        number: From 1.
        accepted: Clients in the sum.
        dropped: Clients whose packets did not survive.
        deviation: Largest distance of a coordinate of the private mean from the float mean of the
            same updates.
        bound: What rounding can make of it at most.
        seconds: Duration of the private round, without training.
        private: Test accuracy of the private run after the round, 0..1.
        plain: The same of the float run with the same clients.
        everyone: The same of the float run with all clients.
    """

    number: int
    accepted: int
    dropped: int
    deviation: float
    bound: float
    seconds: float
    private: float
    plain: float
    everyone: float


@dataclass(frozen=True, slots=True)
class Check:
    """One promise of the demo and whether it held."""

    promise: str
    holds: bool
    detail: str


@dataclass(slots=True)
class Outcome:
    """Everything that a run brought.

    Attributes:
        options: As given.
        n_parameters: Numbers in the model.
        share_sizes: Examples of each client.
        n_train: Training examples.
        n_test: Test examples.
        n_clipped: Coordinates of all updates beyond the clip.
        n_sealed: Updates that went in, all rounds together.
        setup: Stages before the first round.
        stages: Stages of the rounds, summed.
        injected: What was done to the rounds, kind -> how often, summed.
        refused: What was refused, kind -> how often, summed.
        rounds: In order.
        checks: In the order of their making.
        seconds: Of the whole run, with training.
    """

    options: Options
    n_parameters: int
    share_sizes: list[int]
    n_train: int
    n_test: int
    n_clipped: int = 0
    n_sealed: int = 0
    setup: dict[str, Stage] = field(default_factory=dict)
    stages: dict[str, Stage] = field(default_factory=dict)
    injected: Counter[str] = field(default_factory=Counter)
    refused: Counter[str] = field(default_factory=Counter)
    rounds: list[RoundRecord] = field(default_factory=list)
    checks: list[Check] = field(default_factory=list)
    seconds: float = 0.0

    @property
    def failed(self) -> list[Check]:
        """The checks that do not hold."""
        return [check for check in self.checks if not check.holds]


def run(
    options: Options, progress: Progress = lambda done, doing: None, schedule: train.Schedule | None = None
) -> Outcome:
    """Train three times, side by side, and check the private run against the others.

    The training follows ``options.seed``; keys, nonces, masks and stochastic rounding come from the
    operating system and differ from run to run, so the private model is reproduced to within
    rounding, not bit for bit.

    Args:
        options: Clients, rounds, seed.
        progress: Told what is being done.
        schedule: Local training; the default one reaches 93 % and more.

    Returns:
        The outcome; ``failed`` names what did not hold at the end.

    Raises:
        CheckFailed: An opened sum is not the sum of the same clients' integers.  The run stops
            there, because every later number would be built on it.
        SottovoceError: A round failed as a whole.
    """
    schedule = train.Schedule() if schedule is None else schedule
    start = time.perf_counter()
    seed = options.seed
    digits = data.load(seed)
    shares = data.partition(digits.train_y, options.clients, seed)
    private = plain = everyone = model.initial(seed)
    outcome = Outcome(
        options=options,
        n_parameters=model.size(private),
        share_sizes=[share.size for share in shares],
        n_train=digits.train_y.size,
        n_test=digits.test_y.size,
    )

    progress(0, "keys: issuer, committee, clients")
    simulation = simulate.Simulation(
        private,
        n_clients=options.clients,
        clip=CLIP,
        n_members=COMMITTEE,
        shard_k=SHARDS[0],
        shard_n=SHARDS[1],
        min_contributors=MIN_CONTRIBUTORS,
        seed=seed,
    )
    outcome.setup = dict(simulation.setup_stages)

    for index in range(options.rounds):
        progress(index, "local training")
        updates = train.local_updates(private, digits, shares, schedule, round_index=index, seed=seed)
        outcome.n_clipped += _beyond_clip(updates)
        outcome.n_sealed += len(updates)

        def on_stage(stage: str, done: int, total: int, index: int = index) -> None:
            progress(index, f"{stage} {done}/{total}")

        round_start = time.perf_counter()
        report = simulation.run_round(private, updates, faults=FAULTS, progress=on_stage)
        seconds = time.perf_counter() - round_start
        _check_sum(index + 1, report)
        _add_stages(outcome.stages, report.stages)
        outcome.injected.update(report.injected)
        outcome.refused.update(report.refused)

        accepted = {client: updates[client] for client in report.accepted}
        deviation = _distance(report.mean, train.average(accepted))
        private = train.step(private, report.mean)

        progress(index, "plain training")
        control = train.local_updates(
            plain, digits, shares, schedule, round_index=index, seed=seed, clients=report.accepted
        )
        plain = train.step(plain, train.average(control))
        control = train.local_updates(everyone, digits, shares, schedule, round_index=index, seed=seed)
        everyone = train.step(everyone, train.average(control))

        outcome.rounds.append(
            RoundRecord(
                number=index + 1,
                accepted=len(report.accepted),
                dropped=len(report.dropped),
                deviation=deviation,
                bound=rounding_bound(len(report.accepted), report.total_weight),
                seconds=seconds,
                private=model.accuracy(private, digits.test_x, digits.test_y),
                plain=model.accuracy(plain, digits.test_x, digits.test_y),
                everyone=model.accuracy(everyone, digits.test_x, digits.test_y),
            )
        )
    progress(options.rounds, "done")
    outcome.seconds = time.perf_counter() - start
    outcome.checks = _final_checks(outcome)
    return outcome


def rounding_bound(n_contributors: int, total_weight: int) -> float:
    """How far fixed-point arithmetic can take a coordinate of the mean from the float mean.

    Stochastic rounding moves each of the ``n`` integers by less than 1, which is ``clip / sum g`` of
    the mean.  A weight ``g`` is an integer off its exact value by 1 at most (small shares are raised
    to 1), and moves the mean by that times the distance of a value from the mean, at most
    ``2 clip``, over ``sum g``.  Together ``3 n clip / sum g``, where nothing was clipped.
    """
    return 3.0 * n_contributors * CLIP / total_weight


def _check_sum(number: int, report: simulate.RoundReport) -> None:
    opened, expected = report.opened_sum, report.expected_sum
    if opened.shape != expected.shape or opened.dtype != np.int64 or expected.dtype != np.int64:
        raise CheckFailed(
            f"round {number}: the opened sum is {opened.dtype}{list(opened.shape)}, "
            f"expected {expected.dtype}{list(expected.shape)}"
        )
    wrong = np.count_nonzero(opened != expected)
    if wrong:
        raise CheckFailed(
            f"round {number}: the opened sum differs from the sum of the same clients' integers "
            f"in {wrong} of {expected.size} slots"
        )


def _final_checks(outcome: Outcome) -> list[Check]:
    """The promises that can only be judged at the end.  That every opened sum was exact is one of
    them already: :func:`run` would not have come here."""
    last = outcome.rounds[-1]
    gap = abs(last.private - last.plain)
    worst = max(outcome.rounds, key=lambda record: record.deviation / record.bound)
    faults = faults_by_name(outcome)
    corrupted, recorded, fresh, strangers = (
        faults.get(name, 0) for name in (CORRUPTED, REPLAYED_RECORDED, REPLAYED_FRESH, STRANGERS)
    )
    attacks = [
        (corrupted + SHARDS[1] * recorded, _refused(outcome, "shard")),
        (fresh, _refused(outcome, "packet")),
        (strangers, _refused(outcome, "sender")),
    ]
    checks = [
        Check(
            "every opened sum equals the sum of the same clients' integers, bit for bit",
            True,
            f"{len(outcome.rounds)} sums of {outcome.n_parameters + 1} slots",
        ),
        Check(
            "final accuracy within 1 point of plain FedAvg of the same clients",
            gap <= ACCURACY_TOLERANCE,
            f"{100 * last.private:.1f} % and {100 * last.plain:.1f} %",
        ),
        Check(
            "every corrupted shard, replayed packet and stranger was refused",
            all(refused >= injected for injected, refused in attacks),
            f"{corrupted} shards; {recorded} packets as recorded shards, {fresh} in fresh shards; "
            f"{strangers} strangers",
        ),
    ]
    if outcome.n_clipped == 0:
        checks.append(
            Check(
                "every mean within the rounding bound of the float mean",
                worst.deviation <= worst.bound,
                f"{worst.deviation:.1e} of {worst.bound:.1e} in round {worst.number}",
            )
        )
    return checks


def faults_by_name(outcome: Outcome) -> dict[str, int]:
    """What was done to the rounds, each replay under the way it took.

    A round counts a replayed packet twice: as the old shards that somebody recorded, none of which
    opens, and cut into fresh shards, which open and bring a packet of another round.
    """
    faults: dict[str, int] = {}
    for kind, count in outcome.injected.items():
        if kind == "packets replayed":
            faults[REPLAYED_RECORDED] = faults[REPLAYED_FRESH] = count // 2
        else:
            faults[kind] = count
    return faults


def _refused(outcome: Outcome, what: str) -> int:
    return sum(count for kind, count in outcome.refused.items() if kind.startswith(f"{what}: "))


def _add_stages(total: dict[str, Stage], stages: Mapping[str, Stage]) -> None:
    for name, stage in stages.items():
        before = total.get(name, Stage(0.0, 0, 0))
        total[name] = Stage(
            before.seconds + stage.seconds, before.n_bytes + stage.n_bytes, before.calls + stage.calls
        )


def _beyond_clip(updates: Mapping[int, train.Update]) -> int:
    return sum(
        int(np.count_nonzero(np.abs(array) > CLIP)) for delta, _ in updates.values() for array in delta
    )


def _distance(one: Sequence[NDArray[np.floating]], other: model.Parameters) -> float:
    return max(float(np.abs(a - b).max()) for a, b in zip(one, other, strict=True))

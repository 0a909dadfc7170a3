"""Properties of ``sottovoce.fl``: whole rounds, with what goes wrong in them, and their headers."""

from __future__ import annotations

import functools
import itertools
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from ... import fl
from ..._ext.errors import SottovoceError
from ...fl.simulate import Faults, Simulation
from ..bench.areas import Area
from .check import holds_for
from .expect import Mismatch, refused, same, true

Arrays = list[NDArray[Any]]

_CLIENTS: Final = 4
_CLIP: Final = 1.0
_SHAPES: Final = ((5, 4), (3,))
_fresh: Final = itertools.count(1)


def _model() -> Arrays:
    """One that was never seen, as updates are: none leaves a client twice, and hypothesis repeats inputs."""
    return [np.full(shape, next(_fresh), np.float32) for shape in _SHAPES]


@functools.cache
def _federation() -> Simulation:
    """One issuer, five members and four clients for a whole run."""
    return Simulation(_model(), _CLIENTS, clip=_CLIP, min_contributors=3)


def _updates(scale: float, examples: list[int], seed: int) -> dict[int, tuple[Arrays, int]]:
    rng = np.random.default_rng([seed, next(_fresh)])
    return {
        i: ([(scale * rng.standard_normal(shape)).astype(np.float32) for shape in _SHAPES], n)
        for i, n in enumerate(examples)
    }


def _flat(arrays: Arrays) -> NDArray[np.float64]:
    return np.concatenate([array.reshape(-1).astype(np.float64) for array in arrays])


@holds_for(
    Area.FL,
    "a round with a member missing, and with shards lost and corrupted, a replay and a stranger, "
    "gives the exact mean",
    lambda st: {
        "scale": st.floats(0.001, 4.0),
        "examples": st.lists(st.integers(1, 500), min_size=_CLIENTS, max_size=_CLIENTS),
        "faults": st.booleans(),
        "seed": st.integers(0, 2**32),
    },
    most=10,
)
def rounds(scale: float, examples: list[int], faults: bool, seed: int) -> None:
    updates = _updates(scale, examples, seed)
    trouble = Faults(absent_members=1)
    if faults:  # two of twenty shards are lost and one corrupted: three clients have enough at least
        trouble = Faults(0.1, 0.05, replay=True, stranger=True, absent_members=1)
    report = _federation().run_round(_model(), updates, faults=trouble)
    same(report.opened_sum, report.expected_sum, "sum of the integers")
    if not faults:
        same(report.accepted, tuple(range(_CLIENTS)), "contributors")
    true(len(report.accepted) >= 3, "fewer contributors than the policy wants")
    total, weights = report.opened_sum[:-1], int(report.opened_sum[-1])
    mean = _flat(report.mean)
    same(mean, (_CLIP * (total / weights)).astype(np.float32).astype(np.float64), "mean of the sum")
    # Against floats, with the integer weights: each client's numbers are rounded to its own grid.
    codec_weights = [_weight(updates[i][1], max(examples)) for i in report.accepted]
    same(weights, sum(codec_weights), "sum of the weights")
    clipped = [_flat(updates[i][0]).clip(-_CLIP, _CLIP) for i in report.accepted]
    error = float(np.abs(mean - np.average(clipped, axis=0, weights=codec_weights)).max())
    most = _CLIP * len(report.accepted) / weights + 1e-6
    true(error <= most, f"the mean is {error:.2e} from that of floats, more than {most:.2e}")


def _weight(examples: int, most: int) -> int:
    """docs/he-quantisation.md: round half up of G examples / most, at least 1, with G of 16 bits."""
    return max(1, (2 * (2**15 - 1) * examples + most) // (2 * most))


@holds_for(
    Area.FL,
    "an update for a model leaves a client once",
    lambda st: {"seed": st.integers(0, 2**32)},
    most=3,
)
def once(seed: int) -> None:
    model, updates = _model(), _updates(1.0, [1] * _CLIENTS, seed)
    true(_federation().run_round(model, updates).exact, "the sum is not exact")
    error = refused(fl.ProtocolError, lambda: _federation().run_round(model, updates), "the same model again")
    same(getattr(error, "reason", None), fl.Reason.MODEL_REUSED, "reason")


@functools.cache
def _header() -> tuple[bytes, Simulation]:
    """A signed header as a client gets it, of a federation that has no other."""
    federation = Simulation(_model(), _CLIENTS, clip=_CLIP, min_contributors=3)
    return federation._make_header(_model(), 1, 100, [1, 2, 3, 4]), federation


@holds_for(
    Area.FL,
    "a signed header is read and written as the same bytes; an altered one is refused",
    lambda st: {"place": st.integers(0, 2**14), "change": st.integers(1, 255), "cut": st.integers(0, 1)},
)
def headers(place: int, change: int, cut: int) -> None:
    good, federation = _header()
    same(fl.SignedHeader.from_bytes(good, federation._trust).to_bytes(), good, "header")
    federation._clients[0].check(good)
    data = bytearray(good)
    data[place % len(data)] ^= change
    altered = bytes(data[: len(data) - cut])
    try:
        federation._clients[0].check(altered)
    except SottovoceError:
        return
    raise Mismatch("an altered header was accepted")

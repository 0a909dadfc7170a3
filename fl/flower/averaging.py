"""Which strategies may be wrapped: those that do nothing with replies but average them."""

from __future__ import annotations

from flwr.serverapp import strategy as flower

from ..._ext.errors import ParameterError

AVERAGING: tuple[type[flower.Strategy], ...] = (
    flower.FedAvg,
    flower.FedProx,
    flower.FedAvgM,
    flower.FedAdagrad,
    flower.FedAdam,
    flower.FedYogi,
)
"""They take the weighted mean of the replies and go on from there: one reply that is the mean will do."""

SEES_EACH: tuple[type[flower.Strategy], ...] = (
    flower.Krum,
    flower.MultiKrum,
    flower.Bulyan,
    flower.FedMedian,
    flower.FedTrimmedAvg,
    flower.QFedAvg,
    flower.FedXgbBagging,
    flower.FedXgbCyclic,
)
"""They compare, sort, clip or collect single updates, which nobody sees here."""


def check_averaging(inner: flower.Strategy, *, vouched: bool = False) -> None:
    """Raise unless ``inner`` may be given one averaged reply instead of the replies.

    A subclass of an averaging strategy passes if it leaves ``aggregate_train`` as it is.

    Args:
        inner: The strategy.
        vouched: The caller says of a strategy of its own that it only averages.

    Raises:
        TypeError: Not a strategy of Flower's message API.
        ParameterError: It looks at single replies, or nobody knows.
    """
    if not isinstance(inner, flower.Strategy):
        raise TypeError(f"inner: a flwr.serverapp.strategy.Strategy expected, got {type(inner).__name__}")
    name = type(inner).__name__
    if isinstance(inner, SEES_EACH):
        raise ParameterError(
            f"inner: {name} works on single updates, and with sealed ones the server sees their mean only; "
            f"an averaging strategy expected: {', '.join(kind.__name__ for kind in AVERAGING)}"
        )
    method = type(inner).aggregate_train
    if any(method is kind.aggregate_train for kind in AVERAGING) or vouched:
        return
    raise ParameterError(
        f"inner: {name} is not known to do nothing but average; if its aggregate_train gives the same for "
        "one averaged reply as for the single ones, say averages=True"
    )

"""Codec: float vectors to bounded integers and sums of them back to a weighted mean."""

from __future__ import annotations

from dataclasses import dataclass
from math import inf, isfinite
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .._ext.errors import OverflowDetected, ParameterError, RangeError
from ._random import Stream, secret_stream
from .noise import slot_bits

MIN_VALUE_BITS = 4
MAX_VALUE_BITS = 24
MAX_SUMMANDS = 1 << 24
"""The sum of the keys stays below ``42 * 2**24 < p / 2``, so it is known as an integer."""

_ROUNDINGS = ("stochastic", "nearest")


@dataclass(frozen=True, slots=True)
class Codec:
    """Clip to ``[-clip, clip]``, scale by the weight, round to integers; weight in one extra slot.

    An honest contribution never overflows a slot: values are in ``[-g, g]`` with ``g <= G =
    2**(value_bits-1) - 1``, and at most ``max_summands`` of them are added.  What the codec cannot
    give: a malicious contributor may encrypt any integers; :meth:`dequantize` refuses what honest
    ones cannot reach, and anything below that is poisoning, which no sum can show.

    Attributes:
        clip: c, finite and positive; entries beyond it are clipped.
        value_bits: b, 4 to 24.
        max_summands: Contributions that may be added, 1 to 2**24.
        rounding: ``"stochastic"`` (unbiased: the mean is right in expectation) or ``"nearest"``.
    """

    clip: float
    value_bits: int = 16
    max_summands: int = 1024
    rounding: str = "stochastic"

    def __post_init__(self) -> None:
        if isinstance(self.clip, bool) or not isinstance(self.clip, (float, int, np.floating, np.integer)):
            raise TypeError(f"clip: a number expected, got {type(self.clip).__name__}")
        try:
            clip = float(self.clip)
        except OverflowError:  # an int above every float
            clip = inf
        if not isfinite(clip) or not clip > 0:
            raise ParameterError("clip: a finite positive number expected")
        object.__setattr__(self, "clip", clip)
        if type(self.value_bits) is not int or not MIN_VALUE_BITS <= self.value_bits <= MAX_VALUE_BITS:
            raise ParameterError(
                f"value_bits: {MIN_VALUE_BITS} to {MAX_VALUE_BITS} expected, got {self.value_bits}"
            )
        if type(self.max_summands) is not int or not 1 <= self.max_summands <= MAX_SUMMANDS:
            raise ParameterError(f"max_summands: 1 to {MAX_SUMMANDS} expected, got {self.max_summands}")
        if self.rounding not in _ROUNDINGS:
            raise ParameterError(
                f"rounding: {' or '.join(_ROUNDINGS)} expected, got {str(self.rounding)[:32]!r}"
            )

    @property
    def slot_bits(self) -> int:
        """w: width of a slot that holds a sum."""
        return slot_bits(self.value_bits, self.max_summands)

    @property
    def max_weight(self) -> int:
        """G, the largest weight and the largest value: ``2**(value_bits-1) - 1``."""
        return (1 << (self.value_bits - 1)) - 1

    def weight(self, examples: int, max_examples: int) -> int:
        """The weight of a client: ``round(G * examples / max_examples)``, at least 1.

        Args:
            examples: 1 to ``max_examples``.
            max_examples: The round's cap, the same for all.

        Raises:
            TypeError: Not integers.
            ParameterError: Out of range.
        """
        for name, number in (("examples", examples), ("max_examples", max_examples)):
            if isinstance(number, bool) or not isinstance(number, (int, np.integer)):
                raise TypeError(f"{name}: int expected, got {type(number).__name__}")
        examples, max_examples = int(examples), int(max_examples)  # numpy's would overflow below
        if not 1 <= examples <= max_examples:
            raise ParameterError(f"examples: 1 to {max_examples} expected, got {examples}")
        # round half up, in integers
        return max(1, (2 * self.max_weight * examples + max_examples) // (2 * max_examples))

    def quantize(self, vector: NDArray[Any], weight: int | None = None) -> NDArray[np.int64]:
        """``v = round(clip(x, -c, c) / c * g)``, and ``g`` as one more slot.

        Args:
            vector: Float array of shape ``(d,)``, d >= 1, finite as float64; copied, never kept or written.
            weight: g, 1 to ``max_weight``; ``max_weight`` when left out.

        Returns:
            int64 array of shape ``(d + 1,)``, every entry in ``[-g, g]``.

        Raises:
            TypeError: ``vector`` is not a float array, or a masked one.
            ParameterError: Not one-dimensional, empty, or a weight out of range.
            RangeError: NaN or infinity; tells the first index.

        Timing: not constant time in the values.
        """
        return self._quantize_derand(vector, weight, None)

    def _quantize_derand(
        self, vector: NDArray[Any], weight: int | None, stream: Stream | None
    ) -> NDArray[np.int64]:
        if not isinstance(vector, np.ndarray) or isinstance(vector, np.ma.MaskedArray):
            raise TypeError("vector: float array without a mask expected")
        if vector.dtype.kind != "f":
            raise TypeError("vector: float array expected")
        if vector.ndim != 1 or not len(vector):
            raise ParameterError(f"vector: shape (d,) with d >= 1 expected, got {vector.shape}")
        g = self.max_weight if weight is None else weight
        if type(g) is not int or not 1 <= g <= self.max_weight:
            raise ParameterError(f"weight: 1 to {self.max_weight} expected")
        # Copied before it is checked: another thread may write to the caller's array meanwhile.
        with np.errstate(over="ignore"):  # a long double beyond float64 is refused below
            x = vector.astype(np.float64)
        finite = np.isfinite(x)
        if not finite.all():
            raise RangeError(f"vector, index {int(np.argmin(finite))}: not a finite number")
        # float64 whatever came: in float32 an entry at the clip plus a random fraction rounds up to
        # g + 1 once in a thousand, which adds up to an overflow of the slot.
        y = np.clip(x, -self.clip, self.clip) / self.clip * g
        if self.rounding == "stochastic":
            words = (stream or secret_stream()).words(len(y))
            y = np.floor(y + (words >> np.uint64(11)) * 2.0**-53)
        else:
            y = np.rint(y)
        out = np.empty(len(y) + 1, np.int64)
        # Even in float64, g + u rounds to g + 1 for the largest u.
        out[:-1] = np.clip(y, -g, g)
        out[-1] = g
        return out

    def dequantize(self, total: NDArray[np.int64], n_contributors: int) -> tuple[NDArray[np.float64], int]:
        """The weighted mean of a sum of quantized vectors, and the sum of their weights.

        Args:
            total: int64, shape ``(d + 1,)``: the opened sum.
            n_contributors: |S|, 1 to ``max_summands``.

        Returns:
            ``c * total[:-1] / total[-1]`` as float64 ``(d,)``, and ``total[-1]``.

        Raises:
            TypeError: Not an int64 array.
            ParameterError: Another shape, or ``n_contributors`` out of range.
            OverflowDetected: The sum of weights is not within ``|S| .. |S| G``, or a slot exceeds it:
                no honest set gives such a sum.
        """
        if not isinstance(total, np.ndarray) or total.dtype != np.int64:
            raise TypeError("total: int64 array expected")
        if total.ndim != 1 or len(total) < 2:
            raise ParameterError(f"total: shape (d + 1,) with d >= 1 expected, got {total.shape}")
        if type(n_contributors) is not int or not 1 <= n_contributors <= self.max_summands:
            raise ParameterError(f"n_contributors: 1 to {self.max_summands} expected")
        weights = int(total[-1])
        slots = total[:-1]
        if not n_contributors <= weights <= n_contributors * self.max_weight:
            raise OverflowDetected
        if int(slots.max()) > weights or int(slots.min()) < -weights:
            raise OverflowDetected
        return self.clip * (slots / float(weights)), weights

"""Codec: float vectors to bounded integers and sums of them back to a weighted mean."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import inf, isfinite
from typing import Any

import numpy as np
from numpy.typing import DTypeLike, NDArray

from .._ext import codec as kernel
from .._ext.errors import OverflowDetected, ParameterError, RangeError
from ._random import Stream, secret_stream
from .layout import ModelLayout
from .noise import slot_bits

MIN_VALUE_BITS = 4
MAX_VALUE_BITS = 24
MAX_SUMMANDS = 1 << 24
"""The sum of the keys stays below ``42 * 2**24 < p / 2``, so it is known as an integer."""

_ROUNDINGS = ("stochastic", "nearest")
_BLOCK = 1 << 14
"""Numbers rounded at a time: their random words, 64 KiB, stay in the second-level cache."""


@dataclass(frozen=True, slots=True)
class Codec:
    """Clip to ``[-clip, clip]``, scale by the weight, round to integers; weight in one extra slot.

    An honest contribution never overflows a slot: values are in ``[-g, g]`` with ``g <= G =
    2**(value_bits-1) - 1``, and at most ``max_summands`` of them are added.  What the codec cannot
    give: a malicious contributor may encrypt any integers; :meth:`dequantize` refuses what honest
    ones cannot reach, and anything below that is poisoning, which no sum can show.

    Immutable and hashable; all parties of a round use equal ones.

    Attributes:
        clip: c, a float, finite and positive, in the unit of the entries; those beyond it are clipped.
        value_bits: b, 4 to 24.
        max_summands: Contributions that may be added, 1 to 2**24.
        rounding: ``"stochastic"`` (up with the probability of the fraction, cut to 32 bits: the mean is
            right in expectation within ``2**-32`` of a step) or ``"nearest"`` (ties to even).

    Raises:
        TypeError: ``clip`` is no number, or a count no int.
        ParameterError: A number out of range, or another rounding.

    Timing: not constant time in the values; the loops branch on none but one that is refused, and a float
        operation may take longer for some operands.
    Source: docs/he.md, "Codec".
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
        for name in ("value_bits", "max_summands"):
            if type(getattr(self, name)) is not int:
                raise TypeError(f"{name}: int expected, got {type(getattr(self, name)).__name__}")
        if not MIN_VALUE_BITS <= self.value_bits <= MAX_VALUE_BITS:
            raise ParameterError(
                f"value_bits: {MIN_VALUE_BITS} to {MAX_VALUE_BITS} expected, got {self.value_bits}"
            )
        if not 1 <= self.max_summands <= MAX_SUMMANDS:
            raise ParameterError(f"max_summands: 1 to {MAX_SUMMANDS} expected, got {self.max_summands}")
        if self.rounding not in _ROUNDINGS:
            raise ParameterError(
                f"rounding: {' or '.join(_ROUNDINGS)} expected, got {str(self.rounding)[:32]!r}"
            )

    @property
    def slot_bits(self) -> int:
        """w, bits of a slot that holds a sum: ``value_bits + ceil(log2 max_summands)``."""
        return slot_bits(self.value_bits, self.max_summands)

    @property
    def max_weight(self) -> int:
        """G, the largest weight and the largest value: ``2**(value_bits-1) - 1``."""
        return (1 << (self.value_bits - 1)) - 1

    def weight(self, examples: int, max_examples: int) -> int:
        """The weight of a client: ``round(G * examples / max_examples)``, at least 1.

        Args:
            examples: 1 to ``max_examples``; ints, or numpy's.
            max_examples: The round's cap, the same for all.

        Returns:
            1 to :attr:`max_weight`; halves are rounded up.

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
        """``v = round(clip(x, -c, c) / c * g)``, computed in float64, and ``g`` as one more slot.

        Args:
            vector: Float array of shape ``(d,)``, d >= 1, finite as float64; never kept or written.
                float16, float32 and float64 in one piece are read where they are; others are copied.
            weight: g, 1 to ``max_weight``; ``max_weight`` when left out.

        Returns:
            New int64 array of shape ``(d + 1,)``, every entry in ``[-g, g]``.  Each number is read once, so
            that holds while another thread writes to ``vector``, too.

        Raises:
            TypeError: ``vector`` is not a float array, or a masked one; or the weight is no int.
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
        rounder = _Rounder(self, weight, stream)
        out = np.empty(len(vector) + 1, np.int64)
        bad = rounder.round(out[:-1], vector)
        if bad >= 0:
            raise RangeError(f"vector, index {bad}: not a finite number")
        out[-1] = rounder.weight
        return out

    def quantize_model(
        self, layout: ModelLayout, arrays: Sequence[NDArray[Any]], weight: int | None = None
    ) -> NDArray[np.int64]:
        """``quantize(layout.flatten(arrays), weight)`` straight from the arrays, without the vector between.

        Args:
            layout: Shapes and dtypes of the arrays.
            arrays: Of exactly this layout; read, never kept.  Those not contiguous are copied.
            weight: As in :meth:`quantize`.

        Returns:
            New int64 array of shape ``(layout.size + 1,)``, the arrays in order, each in C order.

        Raises:
            TypeError: No layout, an element that is not a numpy array, or a masked one; or a weight that
                is no int.
            ParameterError: Another number of arrays, shape or dtype; or a weight out of range.
            RangeError: NaN or infinity; names the array and the index in it.

        Timing: not constant time in the values.
        """
        _check_layout(layout)
        rounder = _Rounder(self, weight, None)
        out = np.empty(layout.size + 1, np.int64)
        for i, at, array in layout._parts(arrays):
            bad = rounder.round(out[at : at + array.size], array)
            if bad >= 0:
                raise layout._not_finite(i, bad)
        out[-1] = rounder.weight
        return out

    def dequantize(
        self, total: NDArray[np.int64], n_contributors: int, dtype: DTypeLike = np.float64
    ) -> tuple[NDArray[Any], int]:
        """The weighted mean of a sum of quantized vectors, and the sum of their weights.

        Args:
            total: int64, shape ``(d + 1,)``: the opened sum; read, never kept or written.
            n_contributors: ``|S|``, 1 to ``max_summands``.
            dtype: float64 or float32.

        Returns:
            ``c * total[:-1] / total[-1]``, computed in float64, as a new array ``(d,)`` of ``dtype``, in the
            unit of the clip; and ``total[-1]``, an int.

        Raises:
            TypeError: Not an int64 array, ``n_contributors`` is no int, or ``dtype`` no dtype.
            ParameterError: Another shape or dtype, or ``n_contributors`` out of range.
            RangeError: A mean is beyond float32, which takes a clip that is.
            OverflowDetected: The sum of weights is not within ``|S| .. |S| G``, or a slot exceeds it:
                no honest set gives such a sum.

        Timing: not constant time in the sum, which is known to whoever opened it.
        """
        if np.dtype(dtype) not in (np.float64, np.float32):
            raise ParameterError(f"dtype: float64 or float32 expected, got {np.dtype(dtype)}")
        slots, weights = self._checked(total, n_contributors)
        mean = np.empty(len(slots), dtype)
        # Finite in float64: no slot exceeds the weights.
        bad = kernel.dequantize(mean, slots, self.clip, weights)
        if bad >= 0:
            raise RangeError(f"total: the mean at {bad} is beyond float32")
        return mean, weights

    def dequantize_model(
        self, layout: ModelLayout, total: NDArray[np.int64], n_contributors: int
    ) -> tuple[list[NDArray[Any]], int]:
        """``layout.unflatten`` of :meth:`dequantize`, without the vector between.

        Args:
            layout: Of the arrays that were quantized.
            total: int64, shape ``(layout.size + 1,)``: the opened sum; read, never kept or written.
            n_contributors: ``|S|``, 1 to ``max_summands``.

        Returns:
            Fresh arrays of the layout's shapes and dtypes, and the sum of the weights, an int.

        Raises:
            TypeError: No layout, not an int64 array, or ``n_contributors`` is no int.
            ParameterError: Another shape, or ``n_contributors`` out of range.
            OverflowDetected: As :meth:`dequantize`.
            RangeError: A mean is no finite number of its array's dtype, which takes a clip above what the
                dtype holds; names the array and the index in it.

        Timing: as :meth:`dequantize`.
        """
        _check_layout(layout)
        if isinstance(total, np.ndarray) and total.shape != (layout.size + 1,):
            raise ParameterError(f"total: shape ({layout.size + 1},) expected, got {total.shape}")
        slots, weights = self._checked(total, n_contributors)
        arrays = layout._empty()
        at = 0
        for i, array in enumerate(arrays):
            bad = kernel.dequantize(array.reshape(-1), slots[at : at + array.size], self.clip, weights)
            if bad >= 0:
                raise layout._not_finite(i, bad)
            at += array.size
        return arrays, weights

    def _checked(self, total: NDArray[np.int64], n_contributors: int) -> tuple[NDArray[np.int64], int]:
        """The slots and the sum of weights of a sum that honest contributors can reach."""
        if not isinstance(total, np.ndarray) or total.dtype != np.int64:
            raise TypeError("total: int64 array expected")
        if total.ndim != 1 or len(total) < 2:
            raise ParameterError(f"total: shape (d + 1,) with d >= 1 expected, got {total.shape}")
        if type(n_contributors) is not int:
            raise TypeError(f"n_contributors: int expected, got {type(n_contributors).__name__}")
        if not 1 <= n_contributors <= self.max_summands:
            raise ParameterError(f"n_contributors: 1 to {self.max_summands} expected, got {n_contributors}")
        slots = _plain(total[:-1])
        weights = int(total[-1])
        if not n_contributors <= weights <= n_contributors * self.max_weight:
            raise OverflowDetected
        low, high = kernel.extremes(slots)
        if high > weights or low < -weights:
            raise OverflowDetected
        return slots, weights


class _Rounder:
    """One contribution's weight and random words, for as many arrays as it has."""

    def __init__(self, codec: Codec, weight: int | None, stream: Stream | None) -> None:
        g = codec.max_weight if weight is None else weight
        if type(g) is not int:
            raise TypeError(f"weight: int expected, got {type(g).__name__}")
        if not 1 <= g <= codec.max_weight:
            raise ParameterError(f"weight: 1 to {codec.max_weight} expected, got {g}")
        self.weight = g
        self._clip = codec.clip
        self._stream: Stream | None = None
        if codec.rounding == "stochastic":
            self._stream = stream or secret_stream()
            self._words = np.empty(_BLOCK, np.uint32)

    def round(self, out: NDArray[np.int64], array: NDArray[Any]) -> int:
        """Write the integers of all numbers in C order; -1, or the place of one that is not finite."""
        if array.dtype.char not in "efd":
            with np.errstate(over="ignore"):  # a long double beyond float64 is refused below
                array = array.astype(np.float64)
        x = _plain(array).reshape(-1)
        if self._stream is None:
            return kernel.quantize(out, x, self._clip, self.weight, None)
        for at in range(0, len(x), _BLOCK):
            part = x[at : at + _BLOCK]
            words = self._words[: len(part)]
            self._stream.fill_words(words)
            bad = kernel.quantize(out[at : at + _BLOCK], part, self._clip, self.weight, words)
            if bad >= 0:
                return at + bad
        return -1


def _plain(array: NDArray[Any]) -> NDArray[Any]:
    """The array, or a copy of it that is in one piece, aligned and of native byte order."""
    flags = array.flags
    if flags.c_contiguous and flags.aligned and array.dtype.isnative:
        return array
    return array.astype(array.dtype.newbyteorder("="), order="C")


def _check_layout(layout: ModelLayout) -> None:
    if not isinstance(layout, ModelLayout):
        raise TypeError(f"layout: ModelLayout expected, got {type(layout).__name__}")

"""Parameters of public-key encryption, checked once: whoever holds them knows that honest sums decrypt."""

from __future__ import annotations

from dataclasses import dataclass, field

from .._ext import rlwe as kernel
from .._ext.errors import ParameterError
from . import _rlwe_noise, noise
from ._ring import Ring, ring
from ._rlwe_noise import Shape
from .codec import MAX_SUMMANDS, MAX_VALUE_BITS, MIN_VALUE_BITS
from .params import RlweSet, named_set

MAX_ELEMENTS = 1 << 20
"""Ring elements of a vector: two thousand million numbers or more."""

MAX_SQUARE_SUM = 1 << 50
"""Above ``(2**24)**2``, with room for compressions."""

BLOCK_COEFFICIENTS = 1 << 14
"""Of a block: its arrays stay in the second-level cache, and the calls around them cost little."""

HEADER_BYTES = 80

SET_IDS = {
    "RLWE_128_N2048_Q50": 1,
    "RLWE_PQ128_N2048_Q40": 2,
    "RLWE_128_N4096_Q100": 3,
    "RLWE_PQ128_N4096_Q80": 4,
    "RLWE_192_N4096_Q72": 5,
}
"""Sets on the wire."""

SET_NAMES = {number: name for name, number in SET_IDS.items()}


@dataclass(frozen=True, slots=True)
class Params:
    """A named set and the integers of the vectors that will be added; all else follows from these.

    Immutable, hashable, checked when it is made.

    Attributes:
        set: Name of the parameter set, e.g. ``"RLWE_128_N4096_Q100"``; that of the key.
        n_slots: Numbers in a vector (d + 1 with the codec's weight slot); at most 2**20 ring elements.
        value_bits: b, 4 to 24; every number is within ``+-(2**(b-1) - 1)``.
        max_summands: Most that ``sum |w|`` may become over everything that is ever added: the number of
            vectors where nobody multiplies any.  1 to 2**24.
        max_square_sum: Most that ``sum w^2`` may become, with 3 more for every compression of a sum.
            ``max_summands`` when left out: every weight is 1 or -1 and a full sum is not compressed.  One
            weight of ``max_summands`` would need its square, and that costs wire bits.  At most 2**50.

    Raises:
        TypeError: A field of another type.
        ParameterError: A number out of range, or sums that the set cannot hold.

    Timing: public numbers only; a second at most, and less for numbers that came lately.
    Source: docs/he-rlwe.md, "Noise"; sets: eprint 2024/463.
    """

    set: str
    n_slots: int
    value_bits: int
    max_summands: int
    max_square_sum: int = None  # type: ignore[assignment]  # None only until __post_init__
    _set: RlweSet = field(init=False, repr=False, compare=False, default=None)  # type: ignore[assignment]  # set below
    _shape: Shape = field(init=False, repr=False, compare=False, default=None)  # type: ignore[assignment]  # set below

    def __post_init__(self) -> None:
        chosen = named_set(self.set)
        object.__setattr__(self, "_set", chosen)
        given: object = self.max_square_sum
        if given is None:
            object.__setattr__(self, "max_square_sum", self.max_summands)
        _check_range("value_bits", self.value_bits, MIN_VALUE_BITS, MAX_VALUE_BITS)
        _check_range("max_summands", self.max_summands, 1, MAX_SUMMANDS)
        _check_range("max_square_sum", self.max_square_sum, self.max_summands, MAX_SQUARE_SUM)
        _check_range("n_slots", self.n_slots, 1, MAX_ELEMENTS * chosen.N * noise.MAX_SLOTS)
        shape = _rlwe_noise.best_shape(
            chosen.N, chosen.q, self.value_bits, self.max_summands, self.max_square_sum
        )
        object.__setattr__(self, "_shape", shape)
        if self.n_elements > MAX_ELEMENTS:
            most = MAX_ELEMENTS * chosen.N * shape.slots
            raise ParameterError(f"n_slots: 1 to {most} expected, got {self.n_slots}")

    def __reduce__(self) -> tuple[object, ...]:
        # Through the constructor: an unpickled object is checked like any other.
        fields = (self.set, self.n_slots, self.value_bits, self.max_summands, self.max_square_sum)
        return (Params, fields)

    # -- shape ----------------------------------------------------------------------------------
    @property
    def N(self) -> int:  # noqa: N802 - the name of the mathematics
        """Coefficients of a ring element."""
        return self._set.N

    @property
    def q(self) -> int:
        """The modulus, of L bits."""
        return self._set.q

    @property
    def slot_bits(self) -> int:
        """w, bits of a slot that holds a sum: ``value_bits + ceil(log2 max_summands)``."""
        return noise.slot_bits(self.value_bits, self.max_summands)

    @property
    def slots_per_coefficient(self) -> int:
        """S, numbers in a coefficient, 1 to 16: that with the fewest bits a number."""
        return self._shape.slots

    @property
    def scale_bits(self) -> int:
        """k: messages are multiplied by ``2**k``."""
        return self._shape.scale_bits

    @property
    def drop_bits(self) -> tuple[int, int]:
        """k0 and k1, bits rounded off the two components of a fresh ciphertext; 0 to 23 each."""
        return self._shape.k0, self._shape.k1

    @property
    def n_elements(self) -> int:
        """Ring elements of a vector: ``ceil(n_slots / (N S))``."""
        return -(-self.n_slots // (self.N * self.slots_per_coefficient))

    # -- sizes ----------------------------------------------------------------------------------
    @property
    def ciphertext_bytes(self) -> int:
        """Of a fresh or compressed ciphertext: ``80 + n_elements * N * (2 L - k0 - k1) / 8``."""
        return HEADER_BYTES + self._body_bytes(self.drop_bits)

    @property
    def sum_bytes(self) -> int:
        """Of a sum that was not compressed: ``80 + n_elements * N * 2 L / 8``."""
        return HEADER_BYTES + self._body_bytes((0, 0))

    @property
    def bytes_per_value(self) -> float:
        """Of a fresh ciphertext in which every slot is used: ``(2 L - k0 - k1) / (8 S)``."""
        k0, k1 = self.drop_bits
        return (2 * self._set.log_q - k0 - k1) / (8 * self.slots_per_coefficient)

    # -- noise ----------------------------------------------------------------------------------
    def max_noise(self, weight_sum: int, square_sum: int, compressions: int = 0) -> int:
        """Largest noise B of an honest sum with these weights, in units of the integers modulo q.

        A coefficient exceeds it with probability below ``2**-128``.

        Args:
            weight_sum: ``sum |w|`` of the summands.
            square_sum: ``sum w^2``.
            compressions: For each sum that was compressed on the way the square of the weight that it then
                got, together.
        """
        return _rlwe_noise.max_noise(self.N, *self.drop_bits, weight_sum, square_sum, compressions)

    @property
    def failure_log2(self) -> float:
        """log2 of the bound on the probability that an honest sum is refused or decrypts to another.

        For the whole vector: below ``log2(n_elements * N) - 128``.
        """
        return _rlwe_noise.failure_log2(self.n_elements * self.N)

    # -- inside ---------------------------------------------------------------------------------
    @property
    def _ring(self) -> Ring:
        return ring(self.set)

    def _rounding(self, drop_bits: int) -> kernel.Rounding:
        return kernel.rounding(
            self._set.primes, self.scale_bits, self.slots_per_coefficient, self.slot_bits, drop_bits
        )

    @property
    def _block_elements(self) -> int:
        """Elements of a block; the last one may have fewer."""
        return BLOCK_COEFFICIENTS // self.N

    @property
    def _n_blocks(self) -> int:
        return -(-self.n_elements // self._block_elements)

    def _body_bytes(self, drop_bits: tuple[int, int]) -> int:
        return sum(self._component_bytes(self.n_elements, d) for d in drop_bits)

    def _component_bytes(self, rows: int, drop_bits: int) -> int:
        """One component of that many elements."""
        return rows * self.N * (self._set.log_q - drop_bits) // 8


def _check_range(name: str, value: int, low: int, high: int) -> None:
    if type(value) is not int:
        raise TypeError(f"{name}: int expected, got {type(value).__name__}")
    if not low <= value <= high:
        raise ParameterError(f"{name}: {low} to {high} expected, got {value}")


def check_params(params: Params) -> None:
    """TypeError unless it is one: everything else was checked when it was made."""
    if not isinstance(params, Params):
        raise TypeError(f"params: rlwe.Params expected, got {type(params).__name__}")

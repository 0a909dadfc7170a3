"""Parameters of one key-additive round, checked once: whoever holds them knows that honest sums open."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from .._ext import kahe as kernel
from .._ext.errors import DecodeError, ParameterError
from .._ext.limits import MAX_MEMBERS, MIN_CONTRIBUTORS_FLOOR
from . import noise
from ._ring import Ring, ring
from ._shamir import P
from .codec import MAX_SUMMANDS, MAX_VALUE_BITS, MIN_VALUE_BITS
from .params import SETS, RlweSet, named_set

MAX_ELEMENTS = 1 << 20
"""Ring elements under one key: the security estimate is for that many samples."""

MAX_STEP_BITS = 40
"""``W + k' - L`` with two primes: a step is below 2^41 units of the wire, and so is every residual."""

CONTEXT_BYTES = 32
SALT_BYTES = 32
DIGEST_BYTES = 32
N_CHECKS = 4
"""Random combinations in a degree proof: a cheat passes with 2^-(4 * 31) a hash trial."""

MIN_MEMBERS = 3
MIN_SUMMANDS = MIN_CONTRIBUTORS_FLOOR
"""Sums of fewer are neither handed out by a member nor opened."""


@dataclass(frozen=True, slots=True)
class Params:
    """A named set, the codec's integers, committee size and wire width.

    Immutable, hashable, checked when it is made.

    Attributes:
        set: Name of the parameter set, e.g. ``"RLWE_128_N2048_Q50"``.
        n_slots: Numbers in a vector (d + 1 with the codec's weight slot); they fill at most 2**20 ring
            elements of N S numbers.
        value_bits: b; every number is within ``+-(2**(b-1) - 1)``.
        max_summands: Ciphertexts that may be added, 3 to 2**24.
        n_members: n, committee size, 3 to 64.
        wire_bits: W, bits of a coefficient on the wire: from the smallest that opens every honest sum, which
            it is when left out, to L - 1; with two primes, at most L + 40 - k' too.

    Raises:
        TypeError: A field of another type.
        ParameterError: A number out of range, a wire width with which an honest sum may not open, or
            values and summands that none opens; says which of the nearest wishes can be had.

    Timing: public numbers only.
    Source: docs/he.md, "Parameters of a round"; sets: eprint 2024/463.
    """

    set: str
    n_slots: int
    value_bits: int
    max_summands: int
    n_members: int
    wire_bits: int = None  # type: ignore[assignment]  # None only until __post_init__
    _set: RlweSet = field(init=False, repr=False, compare=False, default=None)  # type: ignore[assignment]  # set below

    def __post_init__(self) -> None:
        chosen = named_set(self.set)
        object.__setattr__(self, "_set", chosen)
        self._check_range("value_bits", MIN_VALUE_BITS, MAX_VALUE_BITS)
        self._check_range("max_summands", MIN_SUMMANDS, MAX_SUMMANDS)
        self._check_range("n_members", MIN_MEMBERS, MAX_MEMBERS)
        try:
            slots = noise.best_slots(chosen.q, self.value_bits, self.max_summands)
        except ParameterError:
            raise ParameterError(_impossible(chosen, self.value_bits, self.max_summands)) from None
        self._check_range("n_slots", 1, MAX_ELEMENTS * chosen.N * slots)
        least = noise.smallest_wire_bits(chosen.q, slots, self.value_bits, self.max_summands)
        given: object = self.wire_bits
        if given is None:
            object.__setattr__(self, "wire_bits", least)
        self._check_range("wire_bits", least, self._most_wire_bits)

    def _check_range(self, name: str, low: int, high: int) -> None:
        value = getattr(self, name)
        if type(value) is not int:
            raise TypeError(f"{name}: int expected, got {type(value).__name__}")
        if not low <= value <= high:
            why = f" to open every sum of {self.max_summands}" if name == "wire_bits" else ""
            raise ParameterError(f"{name}: {low} to {high} expected{why}, got {value}")

    @property
    def _most_wire_bits(self) -> int:
        """Below L; with two primes, residuals must fit the words of the opener's kernel too."""
        L = self._set.log_q
        return L - 1 if len(self._set.primes) == 1 else min(L - 1, L + MAX_STEP_BITS - self.scale_bits)

    def __reduce__(self) -> tuple[object, ...]:
        # Through the constructor: an unpickled object is checked like any other.
        fields = (self.set, self.n_slots, self.value_bits, self.max_summands, self.n_members, self.wire_bits)
        return (Params, fields)

    # -- committee ------------------------------------------------------------------------------
    @property
    def n_corrupted(self) -> int:
        """f, corrupted members that learn nothing: ``(n - 1) // 3``.

        From n = 22 on, fewer than f that answer wrongly may keep the sum from being opened
        (docs/he.md, "Opening"); silent ones do not.
        """
        return (self.n_members - 1) // 3

    @property
    def threshold(self) -> int:
        """t, members needed to open: ``(n + f) // 2 + 1``.

        ``2 t > n + f`` is exactly what keeps two sets with different honest parts from both being
        opened; with f + 1 corrupted members an update can be isolated.
        """
        return (self.n_members + self.n_corrupted) // 2 + 1

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
        """S, numbers in a coefficient: that with the fewest wire bits a number."""
        return noise.best_slots(self.q, self.value_bits, self.max_summands)

    @property
    def scale_bits(self) -> int:
        """k', L - S w or one less: messages are multiplied by ``2**k'``."""
        return noise.scale_bits(self.q, self.slots_per_coefficient, self.value_bits, self.max_summands)

    @property
    def n_elements(self) -> int:
        """Ring elements of a ciphertext: ``ceil(n_slots / (N S))``."""
        return -(-self.n_slots // (self.N * self.slots_per_coefficient))

    # -- sizes ----------------------------------------------------------------------------------
    @property
    def ciphertext_bytes(self) -> int:
        """Of a :class:`Ciphertext`: ``n_elements * N * W / 8``."""
        return self.n_elements * self.N * self.wire_bits // 8

    @property
    def sum_bytes(self) -> int:
        """Of a :class:`CiphertextSum`: ``4 + ciphertext_bytes``, count (4) and coefficients."""
        return 4 + self.ciphertext_bytes

    @property
    def share_bytes(self) -> int:
        """Of a :class:`KeyShare`: ``48 + 4 N``, salt (32), masks (4 * 4), share (4 N)."""
        return SALT_BYTES + 4 * N_CHECKS + 4 * self.N

    @property
    def share_sum_bytes(self) -> int:
        """Of a :class:`ShareSum`: ``4 + 4 N``, count (4), share (4 N)."""
        return 4 + 4 * self.N

    @property
    def proof_bytes(self) -> int:
        """Of a :class:`DegreeProof`: ``32 n + 16 t``, n hashes (32), t times 4 checks (4)."""
        return DIGEST_BYTES * self.n_members + 4 * N_CHECKS * self.threshold

    # -- noise ----------------------------------------------------------------------------------
    def max_residual(self, n_summands: int) -> int:
        """Largest residual of an honest sum of that many, in units of the last wire bit.

        A coefficient exceeds it with probability below ``2**-128``.

        Args:
            n_summands: Ciphertexts in the sum, at least 1; not checked.
        """
        return noise.max_residual(self.q, self.wire_bits, n_summands)

    def max_square_sum(self, n_summands: int) -> int:
        """Bound on the sum of squared residuals of one ring element, in squared units of the last wire bit.

        Args:
            n_summands: Ciphertexts in the sum, at least 1; not checked.
        """
        return noise.max_square_sum(self.q, self.wire_bits, n_summands, self.N)

    # -- kernels --------------------------------------------------------------------------------
    @property
    def _ring(self) -> Ring:
        return ring(self.set)

    @property
    def _scale(self) -> kernel.Scale:
        return kernel.scale(
            self._set.primes,
            self.wire_bits,
            self.slots_per_coefficient,
            self.slot_bits,
            self.scale_bits,
        )

    @property
    def _slots(self) -> int:
        """Numbers of a ring element."""
        return self.N * self.slots_per_coefficient

    @property
    def _row_bytes(self) -> int:
        """Bytes of a ring element on the wire."""
        return self.N * self.wire_bits // 8


def _impossible(chosen: RlweSet, value_bits: int, max_summands: int) -> str:
    """Why, and the nearest wishes that can be had: fewer summands, fewer bits, another set."""
    text = f"no wire width opens sums of {max_summands} vectors of {value_bits}-bit values with {chosen.name}"
    ways = []
    if summands := noise.most_summands(chosen.q, value_bits, max_summands):
        ways.append(f"at most {summands} summands")
    if (bits := noise.most_value_bits(chosen.q, max_summands, value_bits)) >= MIN_VALUE_BITS:
        ways.append(f"values of {bits} bits")
    sets = [
        s.name for s in SETS.values() if noise.most_summands(s.q, value_bits, max_summands) == max_summands
    ]
    ways += sets
    return f"{text}: {', '.join(ways[:-1])}{', or ' if ways[1:] else ''}{ways[-1]} would do" if ways else text


def check_params(params: Params) -> None:
    """TypeError unless it is one: everything else was checked when it was made."""
    if not isinstance(params, Params):
        raise TypeError(f"params: kahe.Params expected, got {type(params).__name__}")


def check_context(context: bytes) -> None:
    """A context is the 32-byte hash that names the round."""
    if not isinstance(context, bytes):
        raise TypeError(f"context: bytes expected, got {type(context).__name__}")
    if len(context) != CONTEXT_BYTES:
        raise ParameterError(f"context: a hash of {CONTEXT_BYTES} bytes expected, got {len(context)}")


def check_index(params: Params, index: int) -> None:
    """Members are numbered 1 to n."""
    if type(index) is not int:
        raise TypeError(f"index: int expected, got {type(index).__name__}")
    if not 1 <= index <= params.n_members:
        raise ParameterError(f"index: 1 to {params.n_members} expected, got {index}")


def check_length(what: str, data: bytes, length: int) -> None:
    """Fixed layouts have one length."""
    if not isinstance(data, bytes):
        raise TypeError(f"{what}: bytes expected, got {type(data).__name__}")
    if len(data) != length:
        raise DecodeError(f"{what}: {length} bytes expected, got {len(data)}")


def residues_from_bytes(what: str, data: bytes) -> NDArray[np.uint64]:
    """Little-endian 32-bit integers, each below p."""
    values = np.frombuffer(data, "<u4").astype(np.uint64)
    if int(values.max(initial=0)) >= P:
        raise DecodeError(f"{what}: an integer is not below 2**31 - 1")
    return values


def residues_to_bytes(values: NDArray[np.uint64]) -> bytes:
    """Undo :func:`residues_from_bytes`."""
    return values.astype("<u4").tobytes()

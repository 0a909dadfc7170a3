"""What a scheme and a parameter set make of given values: slots, wire bits, bytes, failure bound.

For choosing before anything is encrypted; ``sottovoce he params`` prints it.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Callable
from dataclasses import dataclass
from math import log, log2
from typing import Final

from .._ext.errors import ParameterError
from . import kahe, paillier, rlwe
from ._kahe_params import MIN_SUMMANDS
from ._paillier_params import MAX_VALUE_BITS
from .codec import MAX_SUMMANDS, MIN_VALUE_BITS
from .noise import TAIL
from .params import SETS

_MEMBERS: Final = 5  # of the committee: no figure here depends on it
N_VALUES: Final = 1_000_000
"""What the failure bound is for, unless somebody says otherwise."""

SCHEMES: Final = {
    "kahe": tuple(SETS),
    "rlwe": tuple(SETS),
    "paillier": ("PAILLIER_2048", "PAILLIER_3072", "PAILLIER_4096"),
}
"""Parameter sets of each scheme; those of Paillier are lengths of the modulus."""


@dataclass(frozen=True, slots=True)
class Fit:
    """Figures of one scheme and set for values of so many bits, of which so many vectors are added.

    Made by :func:`fit`.

    Attributes:
        scheme: ``kahe``, ``rlwe`` or ``paillier``.
        set: Parameter set.
        value_bits: b: every number is within ``+-(2**(b-1) - 1)``.
        max_summands: Vectors that may be added.
        slots: Numbers in a coefficient (``paillier``: in a ciphertext).
        slot_bits: w, bits of such a number.
        wire_bits: Bits of a coefficient on the wire, both components of ``rlwe`` together (``paillier``: of a
            ciphertext).
        bytes_per_value: Bytes of a ciphertext for each number, where all slots are used.
        log2_failure: Logarithm to base 2 of a bound on the probability that the sum of the largest number
            of honest vectors is refused or wrong, for a vector of ``n_values``; None where it cannot be.
        n_values: Numbers of the vector that ``log2_failure`` is for.

    Timing: nothing here is secret.
    Source: docs/he.md, "Parameters of a round"; docs/he-rlwe.md, "Noise"; docs/he-paillier.md, "Packing".
    """

    scheme: str
    set: str
    value_bits: int
    max_summands: int
    slots: int
    slot_bits: int
    wire_bits: int
    bytes_per_value: float
    log2_failure: float | None
    n_values: int


def fit(scheme: str, set: str, value_bits: int, max_summands: int, n_values: int = N_VALUES) -> Fit:
    """The figures of a scheme and set.

    Args:
        scheme: ``kahe``, ``rlwe`` or ``paillier``.
        set: One of :data:`SETS`; for ``paillier`` ``PAILLIER_2048``, ``PAILLIER_3072``, ``PAILLIER_4096``.
        value_bits: b, 4 to 24; for ``paillier`` to 32.
        max_summands: 1 to 2**24, for ``kahe`` from 3.
        n_values: Numbers in the vector, for the failure bound; 1 to what the scheme's ``Params`` take.

    Raises:
        TypeError: Wrong types.
        ParameterError: An unknown scheme or set, a number out of range; or the set cannot do it: the
            message names the nearest wishes that can be had.

    Timing: public numbers only; a second where the nearest wishes are searched for.
    Source: docs/he.md, "Parameters of a round"; docs/he-rlwe.md, "Noise"; docs/he-paillier.md, "Packing".
    """
    make = _maker(scheme, set, n_values)
    reason = ""
    try:
        return make(value_bits, max_summands)
    except ParameterError as error:
        reason = str(error).partition(": at most")[0]
    near = nearest(scheme, set, value_bits, max_summands, n_values)
    ways = " or ".join(f"{bits}-bit values of {most} vectors" for bits, most in near)
    raise ParameterError(f"{scheme} {set}: {reason}" + (f"; possible: {ways}" if ways else ""))


def nearest(
    scheme: str, set: str, value_bits: int, max_summands: int, n_values: int = N_VALUES
) -> tuple[tuple[int, int], ...]:
    """What can be had instead: the most vectors with these bits, and the most bits with these vectors.

    Returns:
        At most two pairs of bits and vectors; none if neither helps.

    Raises:
        TypeError, ParameterError: As :func:`fit`, but for what is impossible.
    """
    make = _maker(scheme, set, n_values)

    def possible(bits: int, most: int) -> bool:
        try:
            make(bits, most)
        except ParameterError:
            return False
        return True

    found = []
    # More summands make wider slots and more noise: what holds n holds every smaller number.
    least = MIN_SUMMANDS if scheme == "kahe" else 1
    tried = range(least, min(max_summands, MAX_SUMMANDS + 1))  # no scheme has more, however many are wished
    n_possible = bisect_left(tried, True, key=lambda most: not possible(value_bits, most))
    if n_possible:
        found.append((value_bits, tried[n_possible - 1]))
    widest = min(value_bits - 1, MAX_VALUE_BITS)
    fewer = next((b for b in range(widest, MIN_VALUE_BITS - 1, -1) if possible(b, max_summands)), 0)
    if fewer:
        found.append((fewer, max_summands))
    return tuple(found)


def _maker(scheme: str, set_name: str, n_values: int) -> Callable[[int, int], Fit]:
    if not isinstance(scheme, str) or not isinstance(set_name, str):
        raise TypeError("scheme and set: str expected")
    if scheme not in SCHEMES:
        raise ParameterError(f"scheme: {', '.join(SCHEMES)} expected, got {scheme[:32]!r}")
    if set_name not in SCHEMES[scheme]:
        raise ParameterError(f"set: one of {', '.join(SCHEMES[scheme])} expected, got {set_name[:64]!r}")
    if type(n_values) is not int:
        raise TypeError(f"n_values: int expected, got {type(n_values).__name__}")
    if n_values < 1:
        raise ParameterError(f"n_values: 1 or more expected, got {n_values}")
    makers = {"kahe": _kahe, "rlwe": _rlwe, "paillier": _paillier}
    return lambda bits, most: makers[scheme](set_name, bits, most, n_values)


def _kahe(set_name: str, bits: int, most: int, n_values: int) -> Fit:
    p = kahe.Params(set_name, n_values, bits, most, _MEMBERS)
    size = p.wire_bits / (8 * p.slots_per_coefficient)
    failure = _log2_failure(p.n_elements * p.N)
    return Fit(
        "kahe",
        set_name,
        bits,
        most,
        p.slots_per_coefficient,
        p.slot_bits,
        p.wire_bits,
        size,
        failure,
        n_values,
    )


def _rlwe(set_name: str, bits: int, most: int, n_values: int) -> Fit:
    p = rlwe.Params(set_name, n_values, bits, most)
    wire_bits = 2 * SETS[set_name].log_q - sum(p.drop_bits)
    return Fit(
        "rlwe", set_name, bits, most, p.slots_per_coefficient, p.slot_bits, wire_bits, p.bytes_per_value,
        p.failure_log2, n_values,
    )  # fmt: skip


def _paillier(set_name: str, bits: int, most: int, n_values: int) -> Fit:
    p = paillier.Params(n_values, bits, most, int(set_name.removeprefix("PAILLIER_")))
    wire_bits = 2 * p.key_bits
    return Fit(
        "paillier",
        set_name,
        bits,
        most,
        p.slots,
        p.slot_bits,
        wire_bits,
        wire_bits / (8 * p.slots),
        None,
        n_values,
    )


def _log2_failure(n_coefficients: int) -> float:
    """``2 exp(-TAIL^2 / 2)`` a coefficient, for as many: the union bound."""
    return 1 + log2(n_coefficients) - float(TAIL) ** 2 / (2 * log(2))

"""The header of a ciphertext, and the counters that say how much noise may be in it.

80 bytes, integers little-endian:

====== ===== =============================================================================
offset bytes field
====== ===== =============================================================================
0      1     version, 1
1      1     set, 1 to 5
2      1     form: 0 rounded to k0 and k1, 1 lossless
3      1     value_bits b
4      1     scale_bits k
5      1     slots of a coefficient S
6      2     k0, k1
8      32    key id
40     8     n_slots
48     4     max_summands
52     8     max_square_sum
60     4     W1 = sum |w|
64     8     W2 = sum w^2
72     8     R, squared weights of sums that were compressed again
====== ===== =============================================================================

k, S, k0 and k1 follow from the other parameters and must be what follows from them.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass

from .._ext.errors import DecodeError, ParameterError, RangeError
from ._rlwe_noise import COMPRESSION
from ._rlwe_params import HEADER_BYTES, SET_IDS, SET_NAMES, Params

VERSION = 1
KEY_ID_BYTES = 32
COMPRESSED, LOSSLESS = 0, 1

_LAYOUT = struct.Struct("<8B32sQIQIQQ")
assert _LAYOUT.size == HEADER_BYTES


@dataclass(frozen=True, slots=True)
class Counters:
    """What was added up to a ciphertext.

    Attributes:
        weight_sum: ``W1 = sum |w|`` over the fresh ciphertexts in it.
        square_sum: ``W2 = sum w^2``.
        compressions: R: for every time that a sum was compressed, the square of the weight it then got.
    """

    weight_sum: int
    square_sum: int
    compressions: int = 0

    def __add__(self, other: Counters) -> Counters:
        return Counters(
            self.weight_sum + other.weight_sum,
            self.square_sum + other.square_sum,
            self.compressions + other.compressions,
        )

    def times(self, weight: int) -> Counters:
        """Of the ciphertext multiplied by a weight."""
        square = weight * weight
        return Counters(abs(weight) * self.weight_sum, square * self.square_sum, square * self.compressions)

    def excess(self, params: Params) -> str | None:
        """What exceeds the declaration, in words, or None.

        The proxy of a compression is below that of three summands, so whatever passes here has less noise
        than what the parameters were chosen for.
        """
        if self.weight_sum > params.max_summands:
            return f"sum of weights at most {params.max_summands}"
        if self.square_sum + COMPRESSION * self.compressions > params.max_square_sum:
            more = f", and {COMPRESSION} for a compression," if self.compressions else ""
            return f"sum of squared weights{more} at most {params.max_square_sum}"
        return None

    def possible(self) -> bool:
        """Whether integer weights, not 0, can have these sums."""
        w1, w2 = self.weight_sum, self.square_sum
        return 1 <= w1 <= w2 <= w1 * w1 and (w1 ^ w2) & 1 == 0  # w and w^2 are both odd or both even


FRESH = Counters(1, 1)


def check_room(params: Params, counters: Counters) -> None:
    """RangeError if these counters exceed what was declared."""
    excess = counters.excess(params)
    if excess is not None:
        raise RangeError(f"sum: {excess}")


def pack_header(params: Params, key_id: bytes, form: int, counters: Counters) -> bytes:
    """80 bytes."""
    return _LAYOUT.pack(
        VERSION,
        SET_IDS[params.set],
        form,
        params.value_bits,
        params.scale_bits,
        params.slots_per_coefficient,
        *params.drop_bits,
        key_id,
        params.n_slots,
        params.max_summands,
        params.max_square_sum,
        counters.weight_sum,
        counters.square_sum,
        counters.compressions,
    )


def unpack_header(data: bytes) -> tuple[Params, bytes, int, Counters]:
    """Parameters, key id, form and counters, all of them checked.

    Raises:
        DecodeError: Anything that :func:`pack_header` would not have written.
    """
    if len(data) != HEADER_BYTES:
        raise DecodeError(f"ciphertext: a header of {HEADER_BYTES} bytes expected, got {len(data)}")
    version, number, form, bits, k, slots, k0, k1, key_id, n_slots, n, squares, w1, w2, r = _LAYOUT.unpack(
        data
    )
    if version != VERSION:
        raise DecodeError("ciphertext: unknown version")
    if number not in SET_NAMES:
        raise DecodeError("ciphertext: unknown set")
    if form not in (COMPRESSED, LOSSLESS):
        raise DecodeError("ciphertext: unknown form")
    try:
        params = Params(SET_NAMES[number], n_slots, bits, n, squares)
    except ParameterError as error:
        raise DecodeError(f"ciphertext: {error}") from None
    if (k, slots, (k0, k1)) != (params.scale_bits, params.slots_per_coefficient, params.drop_bits):
        raise DecodeError("ciphertext: scale, slots or rounding are not those of its parameters")
    counters = Counters(w1, w2, r)
    if not counters.possible():
        raise DecodeError("ciphertext: no weights have these sums")
    excess = counters.excess(params)
    if excess is not None:
        raise DecodeError(f"ciphertext: {excess}")
    if form == COMPRESSED and not r and counters != FRESH:
        raise DecodeError("ciphertext: a compressed sum has at least one compression")
    return params, key_id, form, counters

"""Parameters of packed Paillier: what a vector holds, how it is cut into slots, and how long it gets."""

from __future__ import annotations

from dataclasses import dataclass

from .._ext.errors import DecodeError, ParameterError
from .codec import MAX_SUMMANDS
from .noise import slot_bits
from .params import Progress

KEY_BITS = (2048, 3072, 4096)
"""Bits of n: 112, 128 and about 140 bits of security (NIST SP 800-57 part 1, table 2)."""

DEFAULT_KEY_BITS = 3072

MIN_VALUE_BITS = 4
MAX_VALUE_BITS = 32
"""Wider than the codec's, for integers of other origin; slots then have at most 56 bits."""

MAX_VALUES = 1 << 32
PARAMS_BYTES = 17
KEY_ID_BYTES = 32
HEADER_BYTES = KEY_ID_BYTES + PARAMS_BYTES + 4


@dataclass(frozen=True, slots=True)
class Params:
    """How vectors of integers are packed; everybody who adds or opens uses the same.

    A slot of ``w = value_bits + ceil(log2 max_summands)`` bits holds the sum of ``max_summands`` signed
    values, so no honest sum carries into the neighbouring slot.  Immutable, hashable.

    Attributes:
        n_slots: Numbers in a vector (d + 1 with the codec's weight slot), 1 to 2**32.
        value_bits: b, 4 to 32; every number is within ``+-(2**(b-1) - 1)``.
        max_summands: Vectors that may be added, 1 to 2**24; one multiplied by an integer k counts ``|k|``
            times.
        key_bits: Bits of n: 2048, 3072 or 4096.
        slots: Numbers in one ciphertext; as many as fit, ``(key_bits - 2) // w``, when left out (or 0).
            With 1, ``phe`` reads every number by itself.

    Raises:
        TypeError: A field is not an int.
        ParameterError: A number out of range.

    Timing: public numbers only.
    Source: docs/he-paillier.md, "Packing"; sizes of keys: NIST SP 800-57 part 1, table 2.
    """

    n_slots: int
    value_bits: int = 16
    max_summands: int = 1024
    key_bits: int = DEFAULT_KEY_BITS
    slots: int = 0

    def __post_init__(self) -> None:
        for name, low, high in (
            ("n_slots", 1, MAX_VALUES),
            ("value_bits", MIN_VALUE_BITS, MAX_VALUE_BITS),
            ("max_summands", 1, MAX_SUMMANDS),
        ):
            _check(name, getattr(self, name), low, high)
        check_key_bits("key_bits", self.key_bits)
        # M is centred modulo n, so |M| < 2^(slots w - 1) must stay below n / 2; phe wants below n / 3.
        most = (self.key_bits - 2) // self.slot_bits
        if type(self.slots) is int and self.slots == 0:
            object.__setattr__(self, "slots", most)
        _check("slots", self.slots, 1, most)

    @property
    def slot_bits(self) -> int:
        """w, bits of a slot: ``value_bits + ceil(log2 max_summands)``, 4 to 56."""
        return slot_bits(self.value_bits, self.max_summands)

    @property
    def max_value(self) -> int:
        """The largest value, ``2**(value_bits-1) - 1``."""
        return (1 << (self.value_bits - 1)) - 1

    @property
    def n_ciphertexts(self) -> int:
        """Integers modulo n^2 that make up a :class:`Ciphertext`: ``ceil(n_slots / slots)``."""
        return -(-self.n_slots // self.slots)

    @property
    def ciphertext_bytes(self) -> int:
        """Of a :class:`Ciphertext`: ``53 + n_ciphertexts * key_bits / 4``."""
        return HEADER_BYTES + self.n_ciphertexts * (self.key_bits // 4)

    def to_bytes(self) -> bytes:
        """17 bytes: key_bits (2), value_bits (1), slots (2), max_summands (4), n_slots (8).

        All little-endian.
        """
        return (
            self.key_bits.to_bytes(2, "little")
            + self.value_bits.to_bytes(1, "little")
            + self.slots.to_bytes(2, "little")
            + self.max_summands.to_bytes(4, "little")
            + self.n_slots.to_bytes(8, "little")
        )

    @classmethod
    def from_bytes(cls, data: bytes) -> Params:
        """Read :meth:`to_bytes`.

        Args:
            data: What :meth:`to_bytes` gave.

        Raises:
            TypeError: ``data`` is not bytes.
            DecodeError: Another length, or a number out of range.
        """
        check_length("params", data, PARAMS_BYTES)
        key_bits, value_bits, slots, max_summands, n_slots = (
            int.from_bytes(data[start:end], "little")
            for start, end in ((0, 2), (2, 3), (3, 5), (5, 9), (9, 17))
        )
        if slots == 0:  # which the constructor takes for "as many as fit"
            raise DecodeError("params: slots: at least 1 expected, got 0")
        reason = ""
        try:
            return cls(n_slots, value_bits, max_summands, key_bits, slots)
        except ParameterError as error:
            reason = str(error)
        raise DecodeError(f"params: {reason}")


def in_values(params: Params, progress: Progress | None) -> Progress | None:
    """A report of values from one of integers modulo n^2."""
    if progress is None:
        return None
    return lambda done, _: progress(min(done * params.slots, params.n_slots), params.n_slots)


def _check(name: str, value: object, low: int, high: int) -> None:
    if type(value) is not int:
        raise TypeError(f"{name}: int expected, got {type(value).__name__}")
    if not low <= value <= high:
        raise ParameterError(f"{name}: {low} to {high} expected, got {value}")


def check_key_bits(name: str, bits: object) -> None:
    """One of the sizes that keys have."""
    if type(bits) is not int:
        raise TypeError(f"{name}: int expected, got {type(bits).__name__}")
    if bits not in KEY_BITS:
        raise ParameterError(f"{name}: {', '.join(map(str, KEY_BITS))} expected, got {bits}")


def check_params(params: object) -> None:
    """TypeError unless it is one: everything else was checked when it was made."""
    if not isinstance(params, Params):
        raise TypeError(f"params: paillier.Params expected, got {type(params).__name__}")


def check_length(what: str, data: object, length: int) -> None:
    """Fixed layouts have one length."""
    if not isinstance(data, bytes):
        raise TypeError(f"{what}: bytes expected, got {type(data).__name__}")
    if len(data) != length:
        raise DecodeError(f"{what}: {length} bytes expected, got {len(data)}")

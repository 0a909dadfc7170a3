"""Constants of a modulus of one or two primes, for the kernels of additive encryption (``c/lattice.h``)."""

from __future__ import annotations

from math import gcd, prod

MAX_PRIME_BITS = 50
MIN_PRIME_BITS = 17
MAX_SLOTS = 16
MAX_SLOT_BITS = 62
MAX_LIMB_BITS = 52
MAX_LIMBS = 3
WORD = 1 << 64


def modulus(primes: tuple[int, ...]) -> dict[str, object]:
    """The fields of ``sv_modulus``.

    Args:
        primes: One or two odd coprime numbers of the same length, 17 to 50 bits; that they are prime
            is not checked.

    Raises:
        ValueError: Other numbers, or a single one that is not 42 above a power of two at least.
    """
    if not 1 <= len(primes) <= 2 or any(type(p) is not int for p in primes):
        raise ValueError("primes: a tuple of one or two integers expected")
    bits = primes[0].bit_length()
    if not MIN_PRIME_BITS <= bits <= MAX_PRIME_BITS or any(
        p.bit_length() != bits or p & 1 == 0 for p in primes
    ):
        raise ValueError(f"primes: odd, of equal length, {MIN_PRIME_BITS} to {MAX_PRIME_BITS} bits expected")
    if gcd(*primes) != (primes[0] if len(primes) == 1 else 1):
        raise ValueError("primes: two that are coprime expected")
    if len(primes) == 1 and primes[0] - (1 << (bits - 1)) <= 42:
        raise ValueError("primes: expected further above a power of two")
    q = prod(primes)
    padded = primes if len(primes) == 2 else (*primes, 0)
    inverse = pow(primes[0], -1, primes[1]) if len(primes) == 2 else 0
    top = 1 << (q.bit_length() - 1)
    return {
        "primes": len(primes),
        "prime_bits": bits,
        "bits": q.bit_length(),
        "p": list(padded),
        "q": {"lo": q % WORD, "hi": q // WORD},
        "inverse": inverse,
        "inverse_shoup": (inverse * WORD) // primes[-1],
        "half_shoup": [(WORD << (bits - 1)) // p if p else 0 for p in padded],
        "top": [top % p if p else 0 for p in padded],
    }


def check_slots(bits: int, scale_bits: int, slots: int, slot_bits: int) -> None:
    """ValueError unless messages of that many slots, times ``2**scale_bits``, fit into the modulus."""
    if not (1 <= slots <= MAX_SLOTS and 2 <= slot_bits <= MAX_SLOT_BITS):
        raise ValueError(f"slots: 1 to {MAX_SLOTS} of 2 to {MAX_SLOT_BITS} bits expected")
    if scale_bits < 1 or scale_bits + slots * slot_bits > bits:
        raise ValueError(f"scale_bits: at least 1, and with the slots at most {bits} bits expected")


def limbs(primes: tuple[int, ...], scale_bits: int, slots: int, slot_bits: int) -> dict[str, object]:
    """The fields of ``sv_limbs``: how a message is cut into integers that a double holds."""
    per_limb = min(slots, max(1, MAX_LIMB_BITS // slot_bits))
    count = -(-slots // per_limb)
    padded = primes if len(primes) == 2 else (*primes, 1)
    factor = [[pow(2, scale_bits + slot_bits * per_limb * g, p) for p in padded] for g in range(count)]
    return {"slots": per_limb, "count": count, "factor": factor + [[0, 0]] * (MAX_LIMBS - count)}

"""Named RLWE parameter sets: ring, modulus, root of unity, claimed security.

A set's name states its claim: ``RLWE_128_N2048_Q50`` has 128 bits of classical security or more in
dimension 2048 with a modulus of 50 bits; ``PQ128`` claims 128 bits against quantum attacks.  The
claims come from the lattice estimator and lie within the published guideline tables for ternary
secrets (Bossuat et al., eprint 2024/463), which the test-suite holds against every set; the secrets
of ``he.kahe`` are wider than ternary.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from math import prod
from types import MappingProxyType
from typing import Final, TypeAlias

from .._ext.errors import ParameterError

Progress: TypeAlias = Callable[[int, int], object]
"""Called with what is done and what there is to do."""


@dataclass(frozen=True, slots=True)
class RlweSet:
    """Ring ``Z_q[X]/(X^N + 1)`` with ``q`` the product of one or more primes.

    Immutable; those of :data:`SETS` are the only ones that anything here takes, by name.

    Attributes:
        name: Public name, sent in headers; states the security that it claims.
        N: Coefficients of a ring element, 2048 or 4096.
        primes: Prime factors of ``q``, one or two of the same length, each 1 modulo ``2N``.
        roots: For each prime an element of order ``2N``.

    Timing: nothing here is secret.
    Source: the limits of eprint 2024/463; docs/he-choosing.md, "How the parameters were set".
    """

    name: str
    N: int
    primes: tuple[int, ...]
    roots: tuple[int, ...]

    @property
    def q(self) -> int:
        """The modulus, the product of the primes."""
        return prod(self.primes)

    @property
    def log_q(self) -> int:
        """L, the bit length of the modulus: 40 to 100."""
        return self.q.bit_length()


SETS: Final = MappingProxyType(
    {
        s.name: s
        for s in (
            RlweSet("RLWE_128_N2048_Q50", 2048, (0x3FFFFFFFFC001,), (0x2B86CE7575F16,)),
            RlweSet("RLWE_PQ128_N2048_Q40", 2048, (0xFFFFFF7001,), (0x304747E563,)),
            RlweSet(
                "RLWE_128_N4096_Q100",
                4096,
                (0x3FFFFFFFFC001, 0x3FFFFFFFCC001),
                (0x3E3523F0ACB5B, 0x36F7CA5A7D990),
            ),
            RlweSet("RLWE_PQ128_N4096_Q80", 4096, (0xFFFFFDC001, 0xFFFFFC6001), (0x9BC45E31B9, 0x4D9F20863F)),
            RlweSet("RLWE_192_N4096_Q72", 4096, (0xFFFFEE001, 0xFFFFC4001), (0x14AA05DAC, 0x98CED3375)),
        )
    }
)
"""Every set of this release by name.  Read-only: a new set is a new release."""

DEFAULT_SET: Final = "RLWE_128_N2048_Q50"


def named_set(name: str) -> RlweSet:
    """The set of that name.

    Raises:
        TypeError: Not text.
        ParameterError: Unknown name.
    """
    if not isinstance(name, str):
        raise TypeError(f"set: str expected, got {type(name).__name__}")
    try:
        return SETS[name]
    except KeyError:
        raise ParameterError(f"set: one of {', '.join(SETS)} expected, got {name[:64]!r}") from None

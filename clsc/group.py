"""The group layer: BLS12-381 with strict borders, and multiplication in the same steps for every secret.

====================  =======================================================================
``G1``, ``G2``        subgroups of prime order ``r`` (255 bits); generators ``P1``, ``P2``
encoding              compressed, 48 and 96 bytes, big-endian, flags in the three top bits
                      (IETF draft-irtf-cfrg-pairing-friendly-curves, appendix C)
scalars               integers in ``[0, r)``; 32 bytes big-endian on the wire
GT                    bytes only (576), for key derivation; never on the wire
back end              ``SOTTOVOCE_BACKEND=arkworks`` (default) or ``py_ecc`` (reference)
====================  =======================================================================

A point object is always a valid element of its subgroup: bytes become points only through
:func:`g1_from_bytes` and :func:`g2_from_bytes`, which refuse the identity, every non-canonical
encoding, and points outside the subgroup.

**Secret scalars.**  The fast back end takes 0.6 to 265 us for one multiplication, following bit
length and weight of the scalar; a few leaked bits of each nonce give a signing key away.  So no
secret goes into a ``*_vartime`` function: :func:`g1_mul_secret` makes the same doublings and additions
for every scalar, and so does :mod:`.comb` with a table of the base.
"""

from __future__ import annotations

import contextlib
import importlib
import os
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any, Final, TypeAlias, TypeVar

from .._ext.errors import DecodeError, KernelUnavailable

if TYPE_CHECKING:
    # Static types are those of the fast back end; the reference has the same operators.
    from py_arkworks_bls12381 import G1Point, G2Point

    G1: TypeAlias = G1Point
    G2: TypeAlias = G2Point
    P = TypeVar("P", G1, G2)
else:
    P = TypeVar("P")

ORDER: Final = 0x73EDA753299D7D483339D80809A1D80553BDA402FFFE5BFEFFFFFFFF00000001
"""``r``, the prime order of G1, G2 and GT."""

G1_BYTES: Final = 48
G2_BYTES: Final = 96
GT_BYTES: Final = 576
SCALAR_BYTES: Final = 32

RandomBytes = Callable[[int], bytes]
"""Source of randomness: ``os.urandom`` everywhere but in tests."""

_MODULES: Final = {"arkworks": "._arkworks", "py_ecc": "._reference"}


def _load(name: str) -> Any:
    if name not in _MODULES:
        raise KernelUnavailable(f"SOTTOVOCE_BACKEND: one of {', '.join(_MODULES)} expected, got {name!r}")
    try:
        return importlib.import_module(_MODULES[name], __package__)
    except ImportError as error:
        # Never a silent change to the reference: it is a thousand times slower.
        raise KernelUnavailable(f"SOTTOVOCE_BACKEND={name} cannot be imported: {error}") from error


_backend: Final = _load(os.environ.get("SOTTOVOCE_BACKEND") or "arkworks")

BACKEND: Final[str] = _backend.NAME
P1: Final[G1] = _backend.P1
P2: Final[G2] = _backend.P2
_ZERO1: Final[G1] = _backend.ZERO1
_ZERO2: Final[G2] = _backend.ZERO2


# -- borders ------------------------------------------------------------------------------------


def g1_from_bytes(data: bytes, name: str) -> G1:
    """Decode 48 bytes; ``name`` is the field for the message.

    Raises:
        DecodeError: Length, flags, coordinate, curve, subgroup, or the identity.
    """
    if len(data) != G1_BYTES:
        raise DecodeError(f"{name}: {G1_BYTES} bytes expected, got {len(data)}")
    point: G1 | None = None
    with contextlib.suppress(ValueError):
        point = _backend.g1_decode(data)
    if point is None:  # raised here, so that no error of the back end hangs on as __context__
        raise DecodeError(f"{name}: not a canonical point of G1")
    return point


def g2_from_bytes(data: bytes, name: str) -> G2:
    """Decode 96 bytes; ``name`` is the field for the message.

    Raises:
        DecodeError: Length, flags, coordinate, curve, subgroup, or the identity.
    """
    if len(data) != G2_BYTES:
        raise DecodeError(f"{name}: {G2_BYTES} bytes expected, got {len(data)}")
    point: G2 | None = None
    with contextlib.suppress(ValueError):
        point = _backend.g2_decode(data)
    if point is None:  # raised here, so that no error of the back end hangs on as __context__
        raise DecodeError(f"{name}: not a canonical point of G2")
    return point


def scalar_from_bytes(data: bytes, name: str) -> int:
    """Decode 32 bytes to an integer in ``[1, r)``.

    Zero is refused too: an honest signer draws again, so it only comes from somebody who tries.

    Raises:
        DecodeError: Length, zero, or not below ``r``.
    """
    if len(data) != SCALAR_BYTES:
        raise DecodeError(f"{name}: {SCALAR_BYTES} bytes expected, got {len(data)}")
    value = int.from_bytes(data, "big")
    if not 0 < value < ORDER:
        raise DecodeError(f"{name}: not in [1, r)")
    return value


def scalar_to_bytes(k: int) -> bytes:
    """32 bytes big-endian of an integer in ``[0, r)``."""
    return k.to_bytes(SCALAR_BYTES, "big")


# -- mathematics --------------------------------------------------------------------------------


def hash_to_g1(dst: bytes, message: bytes) -> G1:
    """``H2G1(dst, message)``: RFC 9380 suite ``BLS12381G1_XMD:SHA-256_SSWU_RO_``.

    Never the identity but with probability 2^-255, which no caller handles.
    """
    point: G1 = _backend.hash_to_g1(dst, message)
    return point


def g1_mul_vartime(point: G1, k: int) -> G1:
    """``k * point`` for a PUBLIC (or freshly blinded) ``k`` in ``[0, r)``."""
    result: G1 = _backend.g1_mul_vartime(point, k)
    return result


def g2_mul_vartime(point: G2, k: int) -> G2:
    """``k * point`` for a PUBLIC (or freshly blinded) ``k`` in ``[0, r)``."""
    result: G2 = _backend.g2_mul_vartime(point, k)
    return result


def g1_mul_secret(point: G1, k: int) -> G1:
    """``k * point`` for a secret ``k`` in ``[1, r)``; see :func:`_mul_window`."""
    return _mul_window(rerandomise(point), k)


def g2_mul_secret(point: G2, k: int) -> G2:
    """``k * point`` for a secret ``k`` in ``[1, r)``; see :func:`_mul_window`."""
    return _mul_window(rerandomise(point), k)


def rerandomise(point: P) -> P:
    """The same point in other projective coordinates, random to everybody outside.

    Before a secret is added or multiplied (Coron, CHES 1999, section 5.3): else every value on the way is a
    function of secret and base, and so is the time of the final inversion, when the result is encoded,
    which follows the bits of the third coordinate; the processor even learns the branches of values that
    come again.  Whoever has the same point multiplied again and again could average that.

    ``(point + M) - M`` for a secret ``M`` that is doubled from one use to the next: three additions.

    Threads: safe; two that use the same ``M`` still get coordinates that nobody else knows.
    """
    masks: list[Any] = _masks1 if isinstance(point, _G1) else _masks2
    if not masks:
        # The scalar is used for this only, so the time of these multiplications tells nothing.
        k = random_scalar()
        masks.append(g1_mul_vartime(P1, k) if masks is _masks1 else g2_mul_vartime(P2, k))
    mask = masks[0]
    masks[0] = mask + mask
    result: P = (point + mask) - mask
    return result


_G1: Final = type(P1)
_masks1: Final[list[G1]] = []
_masks2: Final[list[G2]] = []


def _forget_masks() -> None:
    """In a forked child: else it would go on with the masks of its parent."""
    _masks1.clear()
    _masks2.clear()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_forget_masks)


_WINDOWS: Final = 64  # of 4 bits
_WINDOW_OFFSET: Final = (sum(16**i for i in range(_WINDOWS)) + 16 ** (_WINDOWS - 1)) % ORDER


def _mul_window(point: P, k: int) -> P:
    """``k * point`` by a sequence of operations that is the same for every ``k``.

    A table of 15 additions, then 63 times four doublings and an addition.  The digits are in 1..16
    (recoded as in :mod:`.comb`), so that none is skipped.  The highest is in 2..9: were it 1 and the
    next one 16, the sum after four doublings, ``16 * point``, would meet the entry ``16 * point``, and
    the back end finishes an addition of equal operands earlier.  Later on an addition meets equal or
    opposite operands only for a ``k`` in ``[0, 32]``, which no draw gives.

    The coordinates of ``point`` should be random (:func:`rerandomise`): then those of all results are.

    Cheaper, too, than ``(k - m) * point + m * point`` with a random ``m``, which would make the mean time
    independent of ``k``, but not the time of a single call.
    """
    multiples: list[P] = [point]
    for _ in range(15):
        multiples.append(multiples[-1] + point)
    rest = ((k - _WINDOW_OFFSET) % ORDER).to_bytes(SCALAR_BYTES, "big")
    digits = [nibble for byte in rest for nibble in (byte >> 4, byte & 15)]  # less 1 each, the highest less 2
    total: P = multiples[digits[0] + 1]
    for digit in digits[1:]:
        for _ in range(4):
            total = total + total
        total = total + multiples[digit]
    return total


def g1_msm_vartime(points: Sequence[G1], scalars: Sequence[int]) -> G1:
    """``sum(k_i * P_i)`` for public scalars in ``[0, r)``; equal lengths."""
    result: G1 = _backend.g1_msm_vartime(points, scalars)
    return result


def g2_msm_vartime(points: Sequence[G2], scalars: Sequence[int]) -> G2:
    """``sum(k_i * P_i)`` for public scalars in ``[0, r)``; equal lengths."""
    result: G2 = _backend.g2_msm_vartime(points, scalars)
    return result


def g1_is_identity(point: G1) -> bool:
    return point == _ZERO1


def g2_is_identity(point: G2) -> bool:
    return point == _ZERO2


def self_test() -> None:
    """Check a known answer of the back end; once in a process, at first use and not at import.

    Called by whatever is about to use a secret with :func:`multi_pairing`, so that the error comes
    from a frame without secrets.

    Raises:
        KernelUnavailable: The bytes of a pairing are not those of the wire format.
    """
    if not _tested and not _backend.self_test():
        raise KernelUnavailable(f"SOTTOVOCE_BACKEND={BACKEND} gives other bytes of a pairing")
    _tested.add(BACKEND)


_tested: Final[set[str]] = set()


def multi_pairing(g1s: Sequence[G1], g2s: Sequence[G2]) -> bytes:
    """``prod e(P_i, Q_i)`` as the 576 bytes that enter a KDF."""
    self_test()
    data: bytes = _backend.multi_pairing(g1s, g2s)
    if len(data) != GT_BYTES:
        raise KernelUnavailable(f"SOTTOVOCE_BACKEND={BACKEND} gives other bytes of a pairing")
    return data


def pairing_is_one(g1s: Sequence[G1], g2s: Sequence[G2]) -> bool:
    """Whether ``prod e(P_i, Q_i) = 1``."""
    result: bool = _backend.pairing_is_one(g1s, g2s)
    return result


def random_scalar(random_bytes: RandomBytes = os.urandom) -> int:
    """Uniform in ``[1, r)`` up to a bias below 2^-128 (384 bits reduced)."""
    while True:
        k = int.from_bytes(random_bytes(48), "big") % ORDER
        if k:
            return k


def inverse_secret(k: int) -> int:
    """``k**-1 mod r``; Python's extended Euclid sees only ``k * m``, ``m`` uniform and fresh."""
    m = random_scalar()
    return m * pow(k * m % ORDER, -1, ORDER) % ORDER

"""Sign, verify, and verify many: Cha-Cheon over the partial key and Schnorr over the user key,
under one Fiat-Shamir challenge.

==========  ===========================================================================
``Q``       ``H2G1("SOTTOVOCE-V1-QID-" + usage, enc(params_id, id, X))``
``A, R``    commitments ``k*Q`` and ``rho*P1``
``c``       ``H2S("SOTTOVOCE-V1-SIG", enc(context, params_id, usage, id, X, A, R, transcript))``
``V, z``    ``(k + c)*D`` and ``rho + c*x mod r``
signature   ``A (48) | V (48) | R (48) | z (32)``: 176 bytes
equations   ``z*P1 = R + c*X``  and  ``e(V, P2) = e(A + c*Q, Y)``
==========  ===========================================================================

Source: Cha and Cheon, PKC 2003, section 3; Schnorr, J. Cryptology 1991.  Batch verification with
small exponents: Bellare, Garay, Rabin, EUROCRYPT 1998, section 3.
"""

from __future__ import annotations

import itertools
import os
import secrets
from collections.abc import Sequence
from concurrent.futures import Executor
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from .._ext.enc import enc
from .._ext.errors import DecodeError, SignatureError
from . import comb, group, hashes
from .group import ORDER, RandomBytes
from .keys import PublicKey, SecretKey
from .params import Usage
from .pool import map_runs, runs

if TYPE_CHECKING:
    from .group import G1, G2

SIGNATURE_BYTES: Final = 176
"""Length of a signature: ``A (48) | V (48) | R (48) | z (32)``."""

CONTEXT_MESSAGE: Final = "message"
CONTEXT_PACKET: Final = "packet"
CONTEXTS: Final = frozenset({CONTEXT_MESSAGE, CONTEXT_PACKET, "issue"})

_WEIGHT_BITS: Final = 128


# -- sign ---------------------------------------------------------------------------------------


def sign(secret_key: SecretKey, message: bytes) -> bytes:
    """Sign a message under the key's name.

    Strongly unforgeable by who lacks ``x`` or ``D``; in mode ``blind`` by who lacks ``x``.  Carries no time,
    and is no signature of a packet or a key request, which have contexts of their own.

    Args:
        secret_key: A key for usage ``sign``.
        message: Below 4 GiB; hashed, not kept.

    Returns:
        176 bytes; two signatures of one message differ.

    Raises:
        TypeError: Wrong types.
        ParameterError: The key is for decryption; or 4 GiB or more.

    Timing: the same number of point additions for every secret and nonce, with tables from the third use of a
        key on; hashing takes as long as the message is.  What that leaves: docs/timing.md, "Local timing".
    Source: Cha and Cheon, PKC 2003, section 3, and Schnorr, J. Cryptology 4 (1991), under one challenge;
        docs/clsc.md, "Signatures"; docs/clsc-security.md, "3. Unforgeability".
    """
    if not isinstance(secret_key, SecretKey):
        raise TypeError(f"secret_key: SecretKey expected, got {type(secret_key).__name__}")
    if not isinstance(message, bytes):
        raise TypeError(f"message: bytes expected, got {type(message).__name__}")
    return _sign_derand(secret_key, CONTEXT_MESSAGE, hashes.message_transcript(message), os.urandom)


def _sign_derand(key: SecretKey, context: str, transcript: bytes, random_bytes: RandomBytes) -> bytes:
    """Sign a 32-byte transcript in a context; ``random_bytes`` salts the nonces."""
    assert context in CONTEXTS
    key._require(Usage.SIGN, "secret_key")
    public = key.public_key
    params_id, name, X = public.params.params_id, public.identity, public.X
    info = enc("SOTTOVOCE-V1-NONCE", context, params_id, name, X, transcript)
    while True:
        # Hedged: a broken random source alone, or a repeated message alone, repeats no nonce.
        material = hashes.hkdf(key._ikm(), random_bytes(32), info, 96)
        k = int.from_bytes(material[:48], "big") % ORDER
        rho = int.from_bytes(material[48:], "big") % ORDER
        if not k or not rho:
            continue
        A = public._Q_base.mul(k).to_compressed_bytes()
        R = comb.p1_mul(rho).to_compressed_bytes()
        c = _challenge(context, public, A, R, transcript)
        t, z = (k + c) % ORDER, (rho + c * key._x) % ORDER
        if t and z:  # else V would be the identity, or z the zero that a verifier refuses
            return A + key._D.mul(t).to_compressed_bytes() + R + group.scalar_to_bytes(z)


def _challenge(context: str, key: PublicKey, A: bytes, R: bytes, transcript: bytes) -> int:
    message = enc(context, key.params.params_id, key.usage, key.identity, key.X, A, R, transcript)
    return hashes.hash_to_scalar("SOTTOVOCE-V1-SIG", message)


# -- verify -------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class _Claim:
    """A well-formed signature and its challenge: what is left is two equations."""

    key: PublicKey
    A: G1
    V: G1
    R: G1
    z: int
    c: int

    def schnorr_holds(self) -> bool:
        return group.g1_msm_vartime([group.P1, self.key._X], [self.z, -self.c % ORDER]) == self.R

    def pairing_holds(self) -> bool:
        left = self.A + group.g1_mul_vartime(self.key._Q_base.point, self.c)
        return group.pairing_is_one([self.V, -left], [group.P2, self.key.params.Y])

    def holds(self) -> bool:
        return self.schnorr_holds() and self.pairing_holds()


def _parse(key: PublicKey, context: str, transcript: bytes, signature: bytes) -> _Claim:
    """Raises SignatureError for whatever is wrong with key or bytes."""
    if key.usage is not Usage.SIGN:
        raise SignatureError("the key is not for signing")
    if len(signature) != SIGNATURE_BYTES:
        raise SignatureError(f"signature: {SIGNATURE_BYTES} bytes expected, got {len(signature)}")
    a, r = signature[:48], signature[96:144]
    try:
        A = group.g1_from_bytes(a, "signature: A")
        V = group.g1_from_bytes(signature[48:96], "signature: V")
        R = group.g1_from_bytes(r, "signature: R")
        z = group.scalar_from_bytes(signature[144:], "signature: z")
    except DecodeError as error:
        raise SignatureError(str(error)) from None
    return _Claim(key, A, V, R, z, _challenge(context, key, a, r, transcript))


def _check_types(key: PublicKey, message: bytes, signature: bytes) -> None:
    if not isinstance(key, PublicKey):
        raise TypeError(f"public_key: PublicKey expected, got {type(key).__name__}")
    if not isinstance(message, bytes) or not isinstance(signature, bytes):
        raise TypeError("message, signature: bytes expected")


def verify(public_key: PublicKey, message: bytes, signature: bytes) -> None:
    """Check a signature of :func:`sign`; return None if it holds.

    Says that a holder of ``x`` and of the partial key for this name signed the message.  Says
    nothing about validity in time or revocation: ask :meth:`TrustStore.acceptable`.

    Args:
        public_key: A key for usage ``sign``.
        message: As signed, below 4 GiB.
        signature: 176 bytes.

    Raises:
        TypeError: Wrong types.
        ParameterError: ``message`` of 4 GiB or more.
        SignatureError: It does not hold, or is malformed, or the key is not for signing.

    Timing: variable, of public data only: a multi-exponentiation, and two pairings if that holds.
    Source: as :func:`sign`; docs/clsc.md, "Signatures".
    """
    _check_types(public_key, message, signature)
    claim = _parse(public_key, CONTEXT_MESSAGE, hashes.message_transcript(message), signature)
    if not claim.holds():
        raise SignatureError


_SIGNATURES_PER_TASK: Final = 64
"""Of those that share them, the two pairings of a task add a twentieth."""


def batch_verify(
    items: Sequence[tuple[PublicKey, bytes, bytes]], *, executor: Executor | None = None
) -> None:
    """Check many signatures with one pairing, and one for each set of parameters.

    One of ``N`` that is bad is accepted with probability ``ceil(log2 N) / (2^128 - 1)`` at most; a good one
    is never refused.

    Args:
        items: ``(public_key, message, signature)`` each, as for :func:`verify`; may be empty.  Epochs may be
            mixed.
        executor: Where to work, in tasks of 64 signatures; None for here.  The result does not depend on
            it.

    Raises:
        TypeError: Wrong types.
        ParameterError: A message of 4 GiB or more.
        SignatureError: At least one does not hold; ``bad_indices`` are exactly those.
        Exception: Whatever the executor raises.

    Timing: variable, of public data and of the weights, which serve once.
    Source: the small exponents test, Bellare, Garay, Rabin, EUROCRYPT 1998, section 3; docs/clsc.md,
        "Signatures".
    """
    items = list(items)
    for i, item in enumerate(items):
        if not isinstance(item, (tuple, list)) or len(item) != 3:
            raise TypeError(f"items[{i}]: (public_key, message, signature) expected")
        _check_types(*item)
    if executor is None:
        bad = _bad_items(items)
    else:
        tasks = map_runs(executor, _bad_items, items, _SIGNATURES_PER_TASK)
        starts = itertools.accumulate((len(run) for run in runs(items, _SIGNATURES_PER_TASK)), initial=0)
        bad = [start + i for start, found in zip(starts, tasks, strict=False) for i in found]
    if bad:
        raise SignatureError(f"{len(bad)} of {len(items)} signatures do not verify", tuple(bad))


def _bad_items(items: Sequence[tuple[PublicKey, bytes, bytes]]) -> list[int]:
    """One task: the indices, within it, of what does not hold."""
    claims: list[_Claim | None] = []
    for key, message, signature in items:
        try:
            claims.append(_parse(key, CONTEXT_MESSAGE, hashes.message_transcript(message), signature))
        except SignatureError:
            claims.append(None)
    return bad_claims(claims)


# -- batch --------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class _Sum:
    """Both equations of a set, each claim times its weight.

    ``schnorr = sum w*(z*P1 - R - c*X)``; ``V = sum w*V``; ``left[params] = sum w*(A + c*Q)``.
    """

    schnorr: G1
    V: G1
    left: dict[bytes, G1]

    def __sub__(self, other: _Sum) -> _Sum:
        left = dict(self.left)
        for params_id, point in other.left.items():
            left[params_id] = left[params_id] - point
        return _Sum(self.schnorr - other.schnorr, self.V - other.V, left)

    def holds(self, Y: dict[bytes, G2]) -> bool:
        if not group.g1_is_identity(self.schnorr):
            return False
        g1s = [self.V, *(-point for point in self.left.values())]
        return group.pairing_is_one(g1s, [group.P2, *(Y[params_id] for params_id in self.left)])


def _sum(weighted: Sequence[tuple[int, _Claim, int]]) -> _Sum:
    points: list[G1] = [group.P1]
    scalars = [0]
    partial: dict[bytes, tuple[list[G1], list[int]]] = {}
    for _, claim, w in weighted:
        wc = w * claim.c % ORDER
        scalars[0] = (scalars[0] + w * claim.z) % ORDER
        points += [claim.R, claim.key._X]
        scalars += [ORDER - w, -wc % ORDER]
        left_points, left_scalars = partial.setdefault(claim.key.params.params_id, ([], []))
        left_points += [claim.A, claim.key._Q_base.point]
        left_scalars += [w, wc]
    return _Sum(
        group.g1_msm_vartime(points, scalars),
        group.g1_msm_vartime([claim.V for _, claim, _ in weighted], [w for _, _, w in weighted]),
        {params_id: group.g1_msm_vartime(*lists) for params_id, lists in partial.items()},
    )


def bad_claims(claims: Sequence[_Claim | None]) -> list[int]:
    """Indices of the claims that are None or do not hold, ascending.

    One combined check; if it fails, bisection, where the right half is the total minus the left;
    once more than N/8 halves have failed, every claim that is still open is checked singly.
    """
    bad = [i for i, claim in enumerate(claims) if claim is None]
    # Weights from the operating system, never 0: a set of one is then checked exactly.
    weighted = [
        (i, claim, 1 + secrets.randbelow((1 << _WEIGHT_BITS) - 1))
        for i, claim in enumerate(claims)
        if claim is not None
    ]
    if not weighted:
        return bad
    Y = {claim.key.params.params_id: claim.key.params.Y for _, claim, _ in weighted}
    total = _sum(weighted)
    if total.holds(Y):
        return bad
    failed = 0
    open_sets = [(weighted, total)]  # every set here is known to fail
    while open_sets:
        members, total = open_sets.pop()
        if len(members) == 1:
            bad.append(members[0][0])
            continue
        if failed > len(weighted) // 8:
            bad += [i for i, claim, _ in members if not claim.holds()]
            continue
        middle = len(members) // 2
        left = _sum(members[:middle])
        right = total - left
        left_holds = left.holds(Y)
        # If the left half holds, the right one cannot: their product fails.
        right_holds = not left_holds and right.holds(Y)
        for half, part, holds in (
            (members[:middle], left, left_holds),
            (members[middle:], right, right_holds),
        ):
            if not holds:
                failed += 1
                open_sets.append((half, part))
    return sorted(bad)

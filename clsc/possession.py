"""The proof in an identity request that the user knows ``x``: Schnorr, under the issuer's challenge.

``z*P1 = R + c*X`` with ``c = H2S("SOTTOVOCE-V1-POP", enc("SOTTOVOCE-V1-POP", params_id, usage, id, X, R,
challenge))``.  Without it somebody could be issued a name on another's ``X``.

Source: Schnorr, J. Cryptology 1991.
"""

from __future__ import annotations

import os

from .._ext.enc import enc
from .._ext.errors import IssueError
from . import comb, group, hashes
from .group import ORDER, RandomBytes
from .issue_wire import IssueRequest
from .keys import PublicKey


def _pop_challenge(params_id: bytes, usage: str, identity: bytes, X: bytes, R: bytes, nonce: bytes) -> int:
    message = enc("SOTTOVOCE-V1-POP", params_id, usage, identity, X, R, nonce)
    return hashes.hash_to_scalar("SOTTOVOCE-V1-POP", message)


def prove(
    x: int, key: PublicKey, challenge: bytes, random_bytes: RandomBytes = os.urandom
) -> tuple[bytes, int]:
    """``R, z`` for ``key`` with ``X = x*P1``; the nonce is hedged, as that of a signature."""
    info = enc("SOTTOVOCE-V1-POP-NONCE", key.params.params_id, key.usage, key.identity, key.X, challenge)
    while True:
        material = hashes.hkdf(group.scalar_to_bytes(x), random_bytes(32), info, 48)
        rho = int.from_bytes(material, "big") % ORDER
        if not rho:
            continue
        R = comb.p1_mul(rho).to_compressed_bytes()
        c = _pop_challenge(key.params.params_id, key.usage, key.identity, key.X, R, challenge)
        z = (rho + c * x) % ORDER
        if z:
            return R, z


def check_possession(request: IssueRequest, key: PublicKey) -> None:
    """Verify the Schnorr proof of an identity request for ``key``.

    Raises:
        DecodeError: ``R`` is not a valid point.
        IssueError: It does not hold.
    """
    c = _pop_challenge(key.params.params_id, key.usage, key.identity, key.X, request.R, request.challenge)
    R = group.g1_from_bytes(request.R, "request: R")
    if group.g1_msm_vartime([group.P1, key._X], [request.z, -c % ORDER]) != R:
        raise IssueError("issue: the proof of possession does not hold")

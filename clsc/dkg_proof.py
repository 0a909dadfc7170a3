"""A server's own polynomial in :mod:`.dkg`: Feldman's commitments, and Schnorr's proof of ``a_0``.

The proof is under ``c = H2S("SOTTOVOCE-V1-DKG-POK", enc("SOTTOVOCE-V1-DKG-POK", session, index, A_0, ...,
A_(t-1), R))``.  Bound to session and index it cannot be replayed, and nobody can commit to what somebody
else committed to (or to its negative), because he would have to know the constant term.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from .._ext.enc import enc
from . import comb, group, hashes, polynomial
from .dkg_messages import Reveal
from .group import ORDER, RandomBytes

if TYPE_CHECKING:
    from .dkg_session import DkgSession


def draw(session: DkgSession, random_bytes: RandomBytes) -> list[int]:
    """A polynomial none of whose shares is zero, which has no encoding.  SECRET."""
    while True:
        f = polynomial.draw(session.threshold, random_bytes)
        if all(polynomial.evaluate(f, j) for j in range(1, session.servers + 1)):
            return f


def commit_to(f: list[int], session: DkgSession, index: int, random_bytes: RandomBytes) -> Reveal:
    """``a_k*P2`` for the coefficients of ``f`` (Feldman, FOCS 1987), and the proof of ``a_0``.

    Timing: ``t + 1`` comb multiplications in G2.
    """
    commitments = tuple(comb.p2_mul(a) for a in f)
    encoded = [point.to_compressed_bytes() for point in commitments]
    info = enc("SOTTOVOCE-V1-DKG-POK-NONCE", session.id, index, *encoded)
    while True:
        # Hedged: with a broken random generator the nonce still depends on secret and statement.
        material = hashes.hkdf(group.scalar_to_bytes(f[0]), random_bytes(32), info, 48)
        rho = int.from_bytes(material, "big") % ORDER
        if not rho:
            continue
        R = comb.p2_mul(rho).to_compressed_bytes()
        z = (rho + _challenge(session.id, index, encoded, R) * f[0]) % ORDER
        if z:
            return Reveal(session.id, index, commitments, R, z)


def holds(reveal: Reveal) -> bool:
    """``z*P2 = R + c*A_0``."""
    encoded = [point.to_compressed_bytes() for point in reveal.commitments]
    c = _challenge(reveal.session, reveal.sender, encoded, reveal.R)
    found = group.g2_msm_vartime([group.P2, reveal.commitments[0]], [reveal.z, -c % ORDER])
    return found.to_compressed_bytes() == reveal.R


def _challenge(session: bytes, index: int, commitments: list[bytes], R: bytes) -> int:
    message = enc("SOTTOVOCE-V1-DKG-POK", session, index, *commitments, R)
    return hashes.hash_to_scalar("SOTTOVOCE-V1-DKG-POK", message)

"""HKDF-SHA256 in one call."""

from __future__ import annotations

import hmac


def hkdf(ikm: bytes, salt: bytes, info: bytes, n_bytes: int) -> bytes:
    """HKDF-SHA256: ``n_bytes`` bytes of key material.

    Args:
        ikm: Input key material; secret.
        salt: Empty is the absent one (32 zero bytes).
        info: What the result is for.
        n_bytes: 0 to 8160.

    Raises:
        ValueError: ``n_bytes`` is too large.

    Timing: depends on lengths only.
    Source: RFC 5869, sections 2.2 and 2.3.
    """
    prk = hmac.digest(salt or bytes(32), ikm, "sha256")
    out = b""
    block = b""
    for i in range(1, -(-n_bytes // 32) + 1):
        block = hmac.digest(prk, block + info + bytes([i]), "sha256")
        out += block
    return out[:n_bytes]

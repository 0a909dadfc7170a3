"""HKDF-SHA256 in one call."""

from __future__ import annotations

import hmac


def hkdf(ikm: bytes, salt: bytes, info: bytes, n_bytes: int) -> bytes:
    """HKDF-SHA256, RFC 5869; an empty ``salt`` is the absent one (32 zero bytes)."""
    prk = hmac.digest(salt or bytes(32), ikm, "sha256")
    out = b""
    block = b""
    for i in range(1, -(-n_bytes // 32) + 1):
        block = hmac.digest(prk, block + info + bytes([i]), "sha256")
        out += block
    return out[:n_bytes]

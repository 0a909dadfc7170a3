"""Every hash and key derivation of the package, each with its own tag.

Tags begin with ``SOTTOVOCE-V1-``; fields are joined by :func:`sottovoce._ext.enc.enc`.
"""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING, Final

from .._ext.enc import enc, sha256_enc
from .._ext.hkdf import hkdf as hkdf  # for the modules that derive keys
from . import group

if TYPE_CHECKING:
    from .group import G1

SUITE: Final = 1
"""``ACLSC-BLS12381-SHA256-AES256GCM``."""

SUITE_NAME: Final = "ACLSC-BLS12381-SHA256-AES256GCM"

MESSAGE_TAG: Final = "SOTTOVOCE-V1-MESSAGE"


def expand_message_xmd(message: bytes, dst: bytes, n_bytes: int) -> bytes:
    """RFC 9380 section 5.3.1 with SHA-256; ``dst`` at most 255 bytes, ``n_bytes`` at most 8,160."""
    ell = -(-n_bytes // 32)
    if ell > 255 or len(dst) > 255:
        raise ValueError("expand_message_xmd: output or tag too long")
    dst_prime = dst + bytes([len(dst)])
    b_0 = hashlib.sha256(bytes(64) + message + n_bytes.to_bytes(2, "big") + b"\0" + dst_prime).digest()
    block = hashlib.sha256(b_0 + b"\1" + dst_prime).digest()
    out = bytearray(block)
    for i in range(2, ell + 1):
        mixed = bytes(a ^ b for a, b in zip(b_0, block, strict=True))
        block = hashlib.sha256(mixed + bytes([i]) + dst_prime).digest()
        out += block
    return bytes(out[:n_bytes])


def hash_to_scalar(dst: str, message: bytes) -> int:
    """``H2S``: 48 bytes of :func:`expand_message_xmd`, big-endian, modulo ``r``."""
    return int.from_bytes(expand_message_xmd(message, dst.encode("ascii"), 48), "big") % group.ORDER


def hash_identity(params_id: bytes, usage: str, identity: bytes, X: bytes) -> G1:
    """``Q = H2G1("SOTTOVOCE-V1-QID-" + usage, enc(params_id, id, X))``."""
    return group.hash_to_g1(b"SOTTOVOCE-V1-QID-" + usage.encode("ascii"), enc(params_id, identity, X))


def pid(params_id: bytes, usage: str, identity: bytes, X: bytes) -> bytes:
    """16 bytes: the short name of a key in logs, replay tables and revocation lists."""
    return sha256_enc("SOTTOVOCE-V1-PID", params_id, usage, identity, X)[:16]


def issue_transcript(params_id: bytes, usage: str | None, issued: bytes) -> bytes:
    """What an enrolment token authenticates: exactly what is issued, usage and ``X``, or ``B``.

    ``usage`` is None in mode ``blind``: ``B`` hides the usage, so a word about it would bind nothing.
    """
    if usage is None:
        return enc("SOTTOVOCE-V1-ISSUE", params_id, issued)
    return enc("SOTTOVOCE-V1-ISSUE", params_id, usage, issued)


def message_transcript(message: bytes) -> bytes:
    return sha256_enc(MESSAGE_TAG, message)

"""Telling long contents apart at the speed of memory."""

from __future__ import annotations

import hashlib

from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from .enc import enc


class Fingerprint:
    """32 bytes that stand for a sequence of chunks, for whoever does not know the key.

    SHA-256 over the GMAC tags of the chunks.  GMAC of a chunk up to 1 MiB is an almost universal hash:
    two different chunks agree with probability 2^-111 over the key, however they were chosen, as long as
    the key and the tags stay secret.  It runs at the speed of memory, where SHA-256 over the chunks
    themselves would cost as much as the packet's own hash.  Not a commitment: who knows the key makes
    collisions at will.

    Args:
        key: 32 secret bytes.

    Timing: AES-GCM of ``cryptography`` and SHA-256: depends on lengths only.
    Source: McGrew and Viega, INDOCRYPT 2004, section 5 (GHASH is almost XOR-universal).
    """

    __slots__ = ("_aead", "_count", "_hash")

    def __init__(self, key: bytes) -> None:
        self._aead = AESGCM(key)
        self._count = 0
        self._hash = hashlib.sha256(enc("SOTTOVOCE-V1-FINGERPRINT"))

    def add(self, chunk: bytes | memoryview) -> None:
        """The next chunk, up to 1 MiB and a tag."""
        # The nonce repeats under one key from one fingerprint to the next.  That would give the hash key
        # away if tags were seen; they go into SHA-256 only.
        self._hash.update(self._aead.encrypt(self._count.to_bytes(12, "big"), b"", chunk))
        self._count += 1

    def digest(self) -> bytes:
        """32 bytes, to be kept secret or only compared."""
        return self._hash.digest()

"""The plain alternative to :mod:`sottovoce.clsc`: Ed25519, a certificate, HPKE.

A sender has an Ed25519 key and a certificate: a name, the key, the validity, signed by an authority whose
key everybody knows.  A receiver has an X25519 key that the sender knows to be the receiver's.

``content_key``  one receiver: none; several: 32 random bytes, and the content AES-256-GCM under it
``signature``    over the receivers' keys and the content (or its ciphertext)
``sealed``       HPKE (RFC 9180, base mode, X25519, HKDF-SHA256, AES-256-GCM) of certificate, signature,
                 and content or content key

Nobody but the receiver sees who sent it.  The signature covers the receivers, so that none of them can send
it on as if it had been meant for somebody else (Davis, USENIX 2001).

Here to be measured against, not to be used: see :data:`LACKS`.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey, X25519PublicKey
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.hpke import AEAD, KDF, KEM, Suite

from ..._ext.enc import enc

LACKS: Final = (
    "Ed25519, certificate and HPKE do not give: two independent secrets behind one name; receivers without "
    "certificates; pseudonyms that their issuer cannot link and that quota bounds; one packet provably the "
    "same for many receivers; issuing by several servers that do not talk to each other."
)

_SUITE: Final = Suite(KEM.X25519, KDF.HKDF_SHA256, AEAD.AES_256_GCM)
_INFO: Final = b"plain"
_NAME_BYTES: Final = 16
_CERTIFIED_BYTES: Final = _NAME_BYTES + 32 + 16
CERTIFICATE_BYTES: Final = _CERTIFIED_BYTES + 64
SIGNATURE_BYTES: Final = 64
_PREFIX_BYTES: Final = CERTIFICATE_BYTES + SIGNATURE_BYTES
_SEALED_KEY_BYTES: Final = 32 + 32 + 16


class Authority:
    """Certifies senders."""

    def __init__(self) -> None:
        self._key = Ed25519PrivateKey.generate()
        self.public_key = self._key.public_key()

    def certify(self, name: bytes, public_key: bytes) -> bytes:
        """128 bytes: name (16), key (32), validity (16), signature (64)."""
        body = name.ljust(_NAME_BYTES, b"\0") + public_key + bytes(16)
        return body + self._key.sign(body)


@dataclass(frozen=True, slots=True)
class Sender:
    """A signing key and its certificate."""

    key: Ed25519PrivateKey
    certificate: bytes

    @classmethod
    def of(cls, authority: Authority, name: bytes) -> Sender:
        """A new key, certified."""
        key = Ed25519PrivateKey.generate()
        return cls(key, authority.certify(name, key.public_key().public_bytes_raw()))


def sign(sender: Sender, message: bytes) -> bytes:
    """64 bytes."""
    return sender.key.sign(message)


def verify(authority: Authority, certificate: bytes, message: bytes, signature: bytes) -> None:
    """Check a certificate, and a signature under the key in it.

    Raises:
        InvalidSignature: One of the two does not hold.
    """
    body = certificate[:_CERTIFIED_BYTES]
    authority.public_key.verify(certificate[_CERTIFIED_BYTES:], body)
    Ed25519PublicKey.from_public_bytes(body[_NAME_BYTES : _NAME_BYTES + 32]).verify(signature, message)


def seal(sender: Sender, receivers: Sequence[X25519PublicKey], content: bytes) -> bytes:
    """A packet for one receiver: everything in one HPKE; for several: one content key in many."""
    names = b"".join(key.public_bytes_raw() for key in receivers)
    signature = sender.key.sign(enc(names, content))
    inner = sender.certificate + signature + content
    if len(receivers) == 1:
        return _SUITE.encrypt(inner, receivers[0], _INFO)
    key = os.urandom(32)
    slots = b"".join(_SUITE.encrypt(key, receiver, _INFO) for receiver in receivers)
    return bytes([len(receivers)]) + names + slots + AESGCM(key).encrypt(bytes(12), inner, None)


def open_one(authority: Authority, key: X25519PrivateKey, packet: bytes) -> bytes:
    """The content of a packet to one receiver, after both signatures were checked.

    Raises:
        InvalidTag: Not for this key, or altered.
        InvalidSignature: A signature does not hold.
    """
    inner = _SUITE.decrypt(packet, key, _INFO)
    return _checked(authority, inner, key.public_key().public_bytes_raw())


def open_many(authority: Authority, key: X25519PrivateKey, packet: bytes) -> bytes:
    """As :func:`open_one`, for a packet to several; they see who the others are."""
    n, own = packet[0], key.public_key().public_bytes_raw()
    names = packet[1 : 1 + 32 * n]
    index = [names[i : i + 32] for i in range(0, len(names), 32)].index(own)
    start = 1 + 32 * n + index * _SEALED_KEY_BYTES
    content_key = _SUITE.decrypt(packet[start : start + _SEALED_KEY_BYTES], key, _INFO)
    body = packet[1 + (32 + _SEALED_KEY_BYTES) * n :]
    return _checked(authority, AESGCM(content_key).decrypt(bytes(12), body, None), names)


def _checked(authority: Authority, inner: bytes, names: bytes) -> bytes:
    if len(inner) < _PREFIX_BYTES:
        raise InvalidSignature
    content = inner[_PREFIX_BYTES:]
    certificate, signature = inner[:CERTIFICATE_BYTES], inner[CERTIFICATE_BYTES:_PREFIX_BYTES]
    verify(authority, certificate, enc(names, content), signature)
    return content

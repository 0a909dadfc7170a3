"""Notices: what an issuer says to everybody under its root key, beyond the messages of this package.

Wire format::

    enc("SOTTOVOCE-V1-NOTICE", root public key (32), topic, body)  ||  Ed25519 signature of all that (64)

The topic tells one kind of notice from another; the tag, what was signed here from everything else that
the root key signs.
"""

from __future__ import annotations

from typing import Final

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

from .._ext.enc import enc
from .._ext.errors import DecodeError, ParameterError
from .._ext.limits import CBOR_MAX_BYTES
from .master import RootKey
from .params import split

_TAG: Final = "SOTTOVOCE-V1-NOTICE"
_SIGNATURE_BYTES: Final = 64
_ROOT_BYTES: Final = 32


def sign_notice(root: RootKey, topic: str, body: bytes) -> bytes:
    """Sign a notice: the root key's word to everybody, for whatever use ``topic`` names.

    It is not secret, carries no time, and does not say which of two notices is the later one: put that into
    ``body``.

    Args:
        root: The issuer's root key.
        topic: 1 to 32 ASCII characters; what kind of notice it is.
        body: 0 to 2**24 bytes, readable by everybody.

    Returns:
        ``len(body) + len(topic) + 131`` bytes.

    Raises:
        TypeError: Wrong types.
        ParameterError: A length out of range, or a topic that is not ASCII.

    Timing: secret is the signing key only; Ed25519 is left to OpenSSL (``cryptography``).
    Source: Ed25519, RFC 8032, section 5.1.6; docs/clsc-threshold.md, "Signatures of several servers".
    """
    if not isinstance(root, RootKey):
        raise TypeError(f"root: RootKey expected, got {type(root).__name__}")
    _check_topic(topic)
    if not isinstance(body, bytes):
        raise TypeError(f"body: bytes expected, got {type(body).__name__}")
    if len(body) > CBOR_MAX_BYTES:
        raise ParameterError(f"body: at most {CBOR_MAX_BYTES} bytes expected, got {len(body)}")
    signed = enc(_TAG, root.public_key, topic, body)
    return signed + root._sign_notice(signed)


def read_notice(data: bytes, topic: str, root_public_key: bytes, *, max_bytes: int = CBOR_MAX_BYTES) -> bytes:
    """The body of a notice, after its signature.

    Args:
        data: From :func:`sign_notice`.
        topic: The kind of notice that is expected, 1 to 32 ASCII characters.
        root_public_key: 32 bytes, the pinned root key.
        max_bytes: Longest body.

    Raises:
        TypeError: Wrong types.
        ParameterError: ``root_public_key`` is not 32 bytes; an impossible topic.
        DecodeError: Not canonical, too long, another topic, or not signed by this root key.

    Timing: variable, of public data only.
    Source: Ed25519, RFC 8032, section 5.1.7; docs/clsc-threshold.md, "Signatures of several servers".
    """
    if not isinstance(data, bytes) or not isinstance(root_public_key, bytes):
        raise TypeError("notice: bytes expected")
    _check_topic(topic)
    if len(root_public_key) != _ROOT_BYTES:
        raise ParameterError(f"root_public_key: {_ROOT_BYTES} bytes expected, got {len(root_public_key)}")
    signed, signature = data[:-_SIGNATURE_BYTES], data[-_SIGNATURE_BYTES:]
    if len(data) > max_bytes + 256:  # before anything is parsed; the body itself is held to it below
        raise DecodeError(f"notice: at most {max_bytes} bytes expected")
    fields = split(signed, "notice", at_most=4)
    if len(fields) != 4 or fields[:3] != [_TAG.encode(), root_public_key, topic.encode()]:
        raise DecodeError(f"notice: none about {topic!r} under this root key")
    if len(fields[3]) > max_bytes:
        raise DecodeError(f"notice: at most {max_bytes} bytes expected")
    try:
        Ed25519PublicKey.from_public_bytes(root_public_key).verify(signature, signed)
    except (InvalidSignature, ValueError):
        raise DecodeError("notice: root signature does not verify") from None
    return fields[3]


def _check_topic(topic: str) -> None:
    if not isinstance(topic, str):
        raise TypeError(f"topic: str expected, got {type(topic).__name__}")
    if not 1 <= len(topic) <= 32 or not topic.isascii():
        raise ParameterError("topic: 1 to 32 ASCII characters expected")

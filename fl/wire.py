"""Framing that all messages of a round share: ``enc`` and its inverse, signed envelopes, associated data.

Long byte strings (ciphertexts, packets, means) are fields of ``enc``; everything small and structured
is canonical CBOR in one of those fields.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from typing import TypeVar

from .. import clsc
from .._ext import cbor
from .._ext.enc import Field, enc
from .._ext.errors import DecodeError, SignatureError

T = TypeVar("T")
B = TypeVar("B", bytes, memoryview)

VERSION = 1
HASH_BYTES = 32
PID_BYTES = 16

_ENVELOPE_MAX_BYTES = 1 << 14
"""A signed envelope holds digests and numbers; with 64 members' signatures it takes 12 KiB.  It is read
before its signature is checked, by a scanner whose time grows with the items that anybody may claim."""

_SIGNED_SCHEMA: cbor.Schema = {"body": bytes, "signature": bytes}


def expect(name: str, value: object, kind: type) -> None:
    """Raise TypeError unless ``value`` is a ``kind``; ``bool`` is not an ``int`` here."""
    if not isinstance(value, kind) or (kind is int and isinstance(value, bool)):
        raise TypeError(f"{name}: {kind.__name__} expected, got {type(value).__name__}")


def split(data: bytes, *, max_fields: int) -> list[bytes]:
    """The fields of ``enc(*fields)``: the strict inverse, to the last byte.

    Raises:
        DecodeError: Truncated, trailing bytes, or more than ``max_fields`` fields.
    """
    return [data[start:end] for start, end in _bounds(data, max_fields)]


def split_views(data: bytes, n_fields: int) -> list[memoryview]:
    """As :func:`split_exactly`, without copying the fields."""
    bounds = _exactly(_bounds(data, n_fields), n_fields)
    view = memoryview(data)
    return [view[start:end] for start, end in bounds]


def _bounds(data: bytes, max_fields: int) -> list[tuple[int, int]]:
    if not isinstance(data, bytes):
        raise TypeError(f"message: bytes expected, got {type(data).__name__}")
    fields: list[tuple[int, int]] = []
    pos = 0
    while pos < len(data):
        if len(fields) == max_fields:
            raise DecodeError(f"message: more than {max_fields} fields")
        start = pos + 4
        end = start + int.from_bytes(data[pos:start], "big")
        if start > len(data) or end > len(data):
            raise DecodeError("message: truncated")
        fields.append((start, end))
        pos = end
    return fields


def split_exactly(data: bytes, n_fields: int) -> list[bytes]:
    """As :func:`split`, for a message that has exactly ``n_fields`` fields."""
    return _exactly(split(data, max_fields=n_fields), n_fields)


def _exactly(fields: list[T], n_fields: int) -> list[T]:
    if len(fields) != n_fields:
        raise DecodeError(f"message: {n_fields} fields expected, got {len(fields)}")
    return fields


def read_int(field: bytes) -> int:
    """An integer field of ``enc``: exactly 8 bytes big-endian."""
    if len(field) != 8:
        raise DecodeError("message: an integer of 8 bytes expected")
    return int.from_bytes(field, "big")


def check_length(name: str, field: B, n_bytes: int) -> B:
    """``field`` if it has ``n_bytes`` bytes.

    Raises:
        DecodeError: It has not.
    """
    if len(field) != n_bytes:
        raise DecodeError(f"{name}: {n_bytes} bytes expected, got {len(field)}")
    return field


def associated_data(header_hash: bytes, role: str, index: int = 0) -> bytes:
    """What binds a packet to its round, its role and the committee index of its receiver."""
    return enc("SOTTOVOCE-V1-AD", header_hash, role, index)


def sign_body(key: clsc.SecretKey, tag: str, body: bytes, *context: Field) -> bytes:
    """A signed envelope: canonical CBOR of ``body`` and the signature over ``enc(tag, *context, body)``."""
    return cbor.dumps({"body": body, "signature": clsc.sign(key, enc(tag, *context, body))})


def open_body(data: bytes, public_key: clsc.PublicKey, tag: str, *context: Field) -> bytes:
    """The body of a signed envelope, after its signature.

    Raises:
        DecodeError: Not an envelope, or longer than any.
        SignatureError: Not signed by ``public_key`` for this tag and context.
    """
    fields = cbor.loads_map(data, _SIGNED_SCHEMA, max_bytes=_ENVELOPE_MAX_BYTES)
    body: bytes = fields["body"]
    signature: bytes = fields["signature"]
    if len(signature) != clsc.SIGNATURE_BYTES:
        raise SignatureError
    clsc.verify(public_key, enc(tag, *context, body), signature)
    return body


def set_root(header_hash: bytes, entries: Sequence[tuple[bytes, bytes]]) -> bytes:
    """Digest of the agreed contributors: ``(pid, manifest digest)`` pairs, sorted by pid, 32 bytes."""
    flat = [part for entry in entries for part in entry]
    return hashlib.sha256(enc("SOTTOVOCE-V1-SET", header_hash, len(entries), *flat)).digest()

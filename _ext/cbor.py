"""Canonical CBOR (RFC 8949 section 4.2.1): the only reader and writer of CBOR in the project.

cbor2 alone accepts trailing bytes, duplicate keys, integers longer than necessary, indefinite
lengths and tags.  Here a scanner that never recurses and never allocates for a claimed length walks
over the bytes first, and after decoding the canonical re-encoding must equal the input: what parses
has exactly one encoding.
"""

from __future__ import annotations

from typing import Any

import cbor2

from .errors import DecodeError, ParameterError
from .limits import CBOR_MAX_BYTES, CBOR_MAX_DEPTH

_UINT, _NINT, _BYTES, _TEXT, _ARRAY, _MAP, _TAG, _SIMPLE = range(8)
_SIMPLE_ALLOWED = {20, 21, 22}  # false, true, null
_FLOAT64 = 27

Schema = dict[str, type | tuple[type, ...]]


def dumps(value: Any) -> bytes:
    """Encode canonically.

    Args:
        value: ``dict`` with text keys, ``list``, ``bytes``, ``str``, ``int``, ``float``, ``bool`` or None.

    Returns:
        At most 2**24 bytes, nested at most 8 deep.

    Raises:
        TypeError: A Python type that has no encoding.
        ParameterError: The result would not be read back: depth, length, a key that is not text, an
            integer beyond 64 bits, a type that needs a tag, text that is not Unicode.

    Source: RFC 8949, section 4.2.1; docs/wire-format.md, "CBOR".
    """
    try:
        data = cbor2.dumps(value, canonical=True)
        if len(data) > CBOR_MAX_BYTES:
            raise ParameterError(f"message: at most {CBOR_MAX_BYTES} bytes, got {len(data)}")
        _scan(data)
    except (cbor2.CBOREncodeValueError, DecodeError, ValueError) as error:
        raise ParameterError(str(error)) from None
    except cbor2.CBOREncodeError as error:
        raise TypeError(f"message: {error}") from None
    return data


def loads(data: bytes, *, max_bytes: int = CBOR_MAX_BYTES) -> Any:
    """Decode one canonical item that fills ``data`` exactly.

    Args:
        data: What :func:`dumps` gave, from wherever.
        max_bytes: Longer ones are refused before they are looked at.

    Returns:
        What was given to :func:`dumps`.

    Raises:
        TypeError: ``data`` is not bytes.
        DecodeError: Too long, too deep, truncated, trailing bytes, a tag, an indefinite length, a
            duplicate key, a key that is not text, or any encoding that is not the canonical one.

    Source: RFC 8949, section 4.2.1; docs/wire-format.md, "CBOR".
    """
    if not isinstance(data, bytes):
        raise TypeError(f"message: bytes expected, got {type(data).__name__}")
    if len(data) > max_bytes:
        raise DecodeError(f"message: at most {max_bytes} bytes, got {len(data)}")
    _scan(data)
    try:
        value = cbor2.loads(data)
        again = cbor2.dumps(value, canonical=True)
    except (cbor2.CBORError, ValueError, TypeError, OverflowError):
        raise DecodeError("message: not CBOR") from None
    if again != data:
        raise DecodeError("message: not the canonical encoding")
    return value


def loads_map(data: bytes, schema: Schema, *, max_bytes: int = CBOR_MAX_BYTES) -> dict[str, Any]:
    """Decode a map that has exactly the keys of ``schema``, each of exactly the type named there.

    Args:
        data: As :func:`loads`.
        schema: Key to type, or to several of which one will do; no subclasses.
        max_bytes: As :func:`loads`.

    Returns:
        The map.

    Raises:
        DecodeError: As :func:`loads`; or a field is missing, unknown or of another type.
    """
    value = loads(data, max_bytes=max_bytes)
    if type(value) is not dict:
        raise DecodeError("message: a map expected")
    if value.keys() != schema.keys():
        odd = sorted(set(value) ^ set(schema), key=str)[0]
        raise DecodeError(f"message: field {str(odd)[:32]!r} is {'unknown' if odd in value else 'missing'}")
    for name, expected in schema.items():
        kinds = expected if isinstance(expected, tuple) else (expected,)
        if type(value[name]) not in kinds:
            raise DecodeError(f"message: field {name!r} has the wrong type")
    return value


def _scan(data: bytes) -> None:
    """Walk over one item without recursion: structure, depth and minimal heads."""
    size = len(data)
    pos = 0
    # Items still to come on each open level; a map of n pairs counts 2n, so a key comes when its
    # count is even.
    pending = [1]
    in_map = [False]
    while pending:
        if pending[-1] == 0:
            pending.pop()
            in_map.pop()
            continue
        is_key = in_map[-1] and pending[-1] % 2 == 0
        pending[-1] -= 1
        if pos >= size:
            raise DecodeError("message: truncated")
        major, info = data[pos] >> 5, data[pos] & 31
        pos += 1
        if is_key and major != _TEXT:
            raise DecodeError("message: a key that is not text")
        if info < 24:
            value = info
        elif info <= 27:
            width = 1 << (info - 24)
            if pos + width > size:
                raise DecodeError("message: truncated")
            value = int.from_bytes(data[pos : pos + width], "big")
            pos += width
        else:
            raise DecodeError("message: indefinite or reserved length")
        if major in (_BYTES, _TEXT):
            if value > size - pos:
                raise DecodeError("message: truncated")
            pos += value
        elif major in (_ARRAY, _MAP):
            count = value * (2 if major == _MAP else 1)
            if count > size - pos:  # every item takes at least one byte
                raise DecodeError("message: truncated")
            if len(pending) > CBOR_MAX_DEPTH:
                raise DecodeError(f"message: nested deeper than {CBOR_MAX_DEPTH}")
            pending.append(count)
            in_map.append(major == _MAP)
        elif major == _TAG:
            raise DecodeError("message: tags are not used")
        elif major == _SIMPLE and info not in _SIMPLE_ALLOWED and info not in (25, 26, _FLOAT64):
            raise DecodeError("message: unknown simple value")
    if pos != size:
        raise DecodeError(f"message: {size - pos} trailing bytes")

"""``enc``: the one way in which fields become the input of a hash, a KDF or a signature.

Each field is preceded by its length in 4 bytes big-endian, integers are 8 bytes big-endian, so two
different lists of fields never give the same bytes, and the first field is always a tag beginning
``SOTTOVOCE-V1-``.  docs/wire-format.md, "enc".
"""

from __future__ import annotations

import hashlib

from .errors import ParameterError
from .room import joined

Field = bytes | str | int


def enc(*fields: Field) -> bytes:
    """All fields joined injectively: ``sum(4 + len(field))`` bytes.

    Args:
        fields: Bytes, shorter than 4 GiB; ``str`` (ASCII only: tags and names of modes); ``int`` in
            ``[0, 2**64)``, as 8 bytes big-endian.

    Raises:
        TypeError: A field of another type (``bool`` included).
        ParameterError: An integer out of range, text that is not ASCII, or a field of 4 GiB or more.

    Timing: depends on lengths only, and on whether text is ASCII.
    Source: docs/wire-format.md, "`enc`".
    """
    parts: list[bytes] = []
    for field in fields:
        if isinstance(field, str):
            if not field.isascii():
                raise ParameterError("enc: text must be ASCII")
            data = field.encode("ascii")
        elif type(field) is int:
            if not 0 <= field < 1 << 64:
                raise ParameterError("enc: integer must be in [0, 2**64)")
            data = field.to_bytes(8, "big")
        elif isinstance(field, bytes):
            data = field
        else:
            raise TypeError(f"enc: bytes, str or int expected, got {type(field).__name__}")
        if len(data) >= 1 << 32:
            raise ParameterError("enc: fields of 4 GiB or more have no encoding")
        parts += (len(data).to_bytes(4, "big"), data)
    return joined(parts)


def sha256_enc(*fields: Field) -> bytes:
    """``SHA-256(enc(*fields))``: 32 bytes.

    Args:
        fields: As for :func:`enc`, which raises what this does.
    """
    return hashlib.sha256(enc(*fields)).digest()

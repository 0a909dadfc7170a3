"""Text armour for public things: what people mail, paste and keep in repositories.

::

    -----BEGIN SOTTOVOCE EPOCH PARAMETERS-----
    AAAAFFNPVFRP...                                    base64 (RFC 4648 section 4), 64 signs a line
    -----END SOTTOVOCE EPOCH PARAMETERS-----

The strict form of RFC 7468 section 3.  One object a text, and one text for each object: a text that parses
is the one that :func:`armor` makes, but for blank space around it and the line ends of other systems.
The label says what is meant to be inside; what is inside is for the library to check.
"""

from __future__ import annotations

import base64
import binascii
from enum import StrEnum
from typing import Final

from .._ext.errors import DecodeError

_LINE: Final = 64
MAX_BYTES: Final = 1 << 24
"""Evidence of a long packet lists 32 bytes for each MiB; nothing else comes near."""


class Label(StrEnum):
    """What an armoured text holds."""

    ROOT = "ROOT KEY"
    PARAMS = "EPOCH PARAMETERS"
    PUBLIC_KEY = "PUBLIC KEY"
    ENROLMENT = "ENROLMENT"
    REQUEST = "REQUEST"
    ANSWER = "ANSWER"
    ADMISSION = "ADMISSION"
    ADMISSION_KEYS = "ADMISSION KEYS"
    SIGNATURE = "SIGNATURE"
    EVIDENCE = "EVIDENCE"
    TRACE = "TRACE"
    REVOCATIONS = "REVOCATION LIST"
    HE_PUBLIC_KEY = "HE PUBLIC KEY"
    HEADER = "ROUND HEADER"


def armor(label: Label, data: bytes) -> str:
    """The text of an object, with a newline at its end."""
    text = base64.b64encode(data).decode("ascii")
    lines = [text[i : i + _LINE] for i in range(0, len(text), _LINE)]
    return "\n".join([f"-----BEGIN SOTTOVOCE {label}-----", *lines, f"-----END SOTTOVOCE {label}-----", ""])


def dearmor(label: Label, text: str | bytes) -> bytes:
    """The object in a text.

    Args:
        label: What is expected.
        text: The text; bytes are read as ASCII.

    Raises:
        DecodeError: Not such a text; says so if it is one of another label.
    """
    found, data = dearmor_any(text)
    if found is not label:
        raise DecodeError(f"armour: {label} expected, got {found}")
    return data


def dearmor_any(text: str | bytes) -> tuple[Label, bytes]:
    """The label of a text, and the object in it.

    Raises:
        DecodeError: Not an armoured text.
    """
    if isinstance(text, bytes):
        try:
            text = text.decode("ascii")
        except UnicodeDecodeError:
            raise DecodeError("armour: not an armoured text (it is not ASCII)") from None
    if len(text) > 2 * MAX_BYTES:
        raise DecodeError(f"armour: longer than {2 * MAX_BYTES} signs")
    text = text.strip(" \t\r\n").replace("\r\n", "\n") + "\n"
    first = text.partition("\n")[0]
    for label in Label:
        if first == f"-----BEGIN SOTTOVOCE {label}-----":
            break
    else:
        raise DecodeError("armour: a line -----BEGIN SOTTOVOCE ...----- expected")
    try:
        data = base64.b64decode("".join(text.split("\n")[1:-2]), validate=True)
    except (binascii.Error, ValueError):
        raise DecodeError(f"armour: {label}: not base64") from None
    # One spelling: no other line lengths, no bits beyond the last byte, nothing after the end line.
    if armor(label, data) != text:
        raise DecodeError(f"armour: {label}: not complete, or not as it was written")
    return label, data

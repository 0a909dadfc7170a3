"""How names, epochs, times and root keys are shown to a person.

What is shown comes from outside: an escape sequence in a name must not reach a terminal.
"""

from __future__ import annotations

import contextlib
import datetime

from .._ext.enc import sha256_enc


def text_of(data: bytes) -> str:
    """A name or epoch: its text if all of it is printable, else ``0x`` and hexadecimal digits."""
    with contextlib.suppress(UnicodeDecodeError):
        text = data.decode("utf-8")
        if text.isprintable() and not text.startswith("0x"):
            return text
    return "0x" + data.hex()


def date_of(second: int) -> str:
    """A unix second as UTC date and time, ISO 8601; far beyond the calendar as the number."""
    try:
        return datetime.datetime.fromtimestamp(second, datetime.UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
    except (OverflowError, ValueError, OSError):
        return f"@{second}"


def fingerprint(root_public_key: bytes) -> str:
    """What two people read to each other: 32 hexadecimal digits of a SHA-256, in groups of four."""
    digits = sha256_enc("SOTTOVOCE-V1-ROOT-FINGERPRINT", root_public_key).hex()[:32]
    return " ".join(digits[i : i + 4] for i in range(0, 32, 4))

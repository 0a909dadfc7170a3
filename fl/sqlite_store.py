"""What the roles' stores on disk have in common: whose file it is, and that a lost one is not begun anew."""

from __future__ import annotations

import os
from typing import Final

APPLICATION_IDS: Final = {
    "outbox": 0x53564F42,
    "member": 0x53564D53,
    "aggregator": 0x53564153,
    "roster book": 0x53565242,
}
"""``SVOB``, ``SVMS``, ``SVAS``, ``SVRB``, at byte 68 of the files."""


def require_file(path: str | os.PathLike[str]) -> None:
    """Raise FileNotFoundError if there is no file to restore: a new one would have forgotten everything."""
    os.stat(path)

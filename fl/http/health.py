"""Whether a service is well: what ``/healthz`` says, and how long to wait before something is tried again.

What goes wrong is told to strangers by its documented reason only; the log has the rest.
"""

from __future__ import annotations

import errno
from collections import Counter
from typing import Final

from ..._ext.errors import DecodeError, SenderError, StoreError
from ..errors import ProtocolError, Reason
from .errors import TransportError, UnheardMemberError

_FIRST_S: Final = 0.5
_LONGEST_S: Final = 60.0

_DISK_FULL: Final = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EFBIG})
_NO_FILES: Final = frozenset({errno.EMFILE, errno.ENFILE})


def reason_of(error: BaseException) -> str:
    """What anybody may know of an error: never its own text, which may name files or addresses."""
    if isinstance(error, ProtocolError):
        return error.reason.value
    if isinstance(error, SenderError):
        return Reason.SENDER.value
    if isinstance(error, DecodeError):
        return Reason.MALFORMED.value
    if isinstance(error, UnheardMemberError):
        return f"committee: member {error.member}: {error.trouble}"
    if isinstance(error, TransportError):
        return "committee: a member does not answer"
    if isinstance(error, StoreError):
        return "store: fails"
    if isinstance(error, OSError):
        if is_full(error):
            return "disk: full"
        return "system: too many open files" if error.errno in _NO_FILES else "disk: fails"
    return "internal error"


def is_full(error: OSError) -> bool:
    """Whether there is no room on the disk."""
    return error.errno in _DISK_FULL


class Health:
    """What is not well, part by part.

    Attributes:
        troubles: Part -> how often something went wrong in it.
    """

    def __init__(self) -> None:
        self._ill: dict[str, str] = {}
        self.troubles: Counter[str] = Counter()

    def ill(self, part: str, reason: str) -> None:
        """Something went wrong; ``reason`` is for strangers."""
        self._ill[part] = reason
        self.troubles[part] += 1

    def well(self, part: str) -> None:
        """It works again."""
        self._ill.pop(part, None)

    def is_ill(self, part: str) -> bool:
        """Whether something went wrong in it, and it has not worked since."""
        return part in self._ill

    @property
    def reason(self) -> str:
        """For ``/healthz``: empty if all is well."""
        return "; ".join(f"{part}: {reason}" for part, reason in sorted(self._ill.copy().items()))


class BackOff:
    """Seconds to wait, ever more of them, until :meth:`reset`."""

    def __init__(self) -> None:
        self._next = _FIRST_S

    def seconds(self) -> float:
        """Before the next try."""
        now, self._next = self._next, min(2 * self._next, _LONGEST_S)
        return now

    def reset(self) -> None:
        """It worked."""
        self._next = _FIRST_S

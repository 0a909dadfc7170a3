"""What goes wrong between two processes, and how a service says no."""

from __future__ import annotations

from ..._ext.errors import (
    DecodeError,
    IssueError,
    ParameterError,
    SenderError,
    SignatureError,
    SottovoceError,
    UnsigncryptError,
)
from ..errors import ProtocolError, Reason


class TransportError(SottovoceError):
    """Another process did not answer, or refused.

    Attributes:
        status: HTTP status, or 0 where no answer came.
        reason: The short reason it gave, printable, at most 200 characters.
    """

    def __init__(self, message: str, *, status: int = 0, reason: str = "") -> None:
        super().__init__(message)
        self.status = status
        self.reason = reason

    @property
    def retryable(self) -> bool:
        """Whether the same request may succeed later: no answer, too fast, or not ready."""
        return self.status in (0, 408, 425, 429) or self.status >= 500


class UnheardMemberError(TransportError):
    """The keys of a member are not known: it did not answer, or not with them; that may be mended.

    Attributes:
        member: Index in the committee, from 1.
        trouble: What anybody may know of it.
    """

    def __init__(self, member: int, trouble: str, detail: str) -> None:
        super().__init__(f"member {member}: {detail}")
        self.member = member
        self.trouble = trouble


class Refusal(Exception):  # noqa: N818  # says what happened, and never leaves the service
    """A request is refused; nothing has changed.

    Attributes:
        status: HTTP status, 4xx, 503 or 507.
        reason: Short, for the answer's body.
        retry_after_s: When to come again, or 0.
    """

    def __init__(self, status: int, reason: str, *, retry_after_s: int = 0) -> None:
        super().__init__(reason)
        self.status = status
        self.reason = reason
        self.retry_after_s = retry_after_s


class CutOff(Exception):  # noqa: N818  # says what happened, and never leaves the service
    """An answer that has begun cannot be ended: its connection is cut, so that nobody takes it for whole.

    Attributes:
        status: What the metrics count: 499 the reader's fault, 502 the next hop's.
    """

    def __init__(self, status: int) -> None:
        super().__init__(f"answer cut off ({status})")
        self.status = status


_CONFLICTS = frozenset(
    {
        Reason.STATE,
        Reason.BOUND,
        Reason.OTHER_HEADER,
        Reason.BAD_SHARES,
        Reason.SET,
        Reason.SEALED,
        Reason.FULL,
    }
)
_GONE = frozenset({Reason.DEADLINE})


def refusal_of(error: Exception) -> Refusal | None:
    """The answer to an error of the library, or None if it is not the requester's fault.

    400: not what is expected here; 403: understood, and refused; 409: not in this state; 410: too late.
    """
    if isinstance(error, ProtocolError):
        status = 409 if error.reason in _CONFLICTS else 410 if error.reason in _GONE else 403
        return Refusal(status, str(error))
    if isinstance(error, (SenderError, SignatureError, UnsigncryptError, IssueError)):
        return Refusal(403, str(error))
    if isinstance(error, (DecodeError, ParameterError)):
        return Refusal(400, str(error))
    return None

"""What a role refuses, and why, in a form that a program can count."""

from __future__ import annotations

from enum import StrEnum

from .._ext.errors import SottovoceError


class Reason(StrEnum):
    """Why a message or a round was refused; the value is the text shown to people."""

    NOT_FOR_US = "packet: not for this key and round"
    SENDER = "sender: unknown, revoked or not signed"
    SENDER_PARAMS = "sender: key of another epoch or mode"
    MALFORMED = "message: malformed"
    HEADER_SIGNATURE = "header: not signed by the aggregator and a quorum"
    POLICY = "header: against own policy"
    VIEW = "header: not this view's turn"
    ROSTER = "roster: refused"
    BEACON = "beacon: not known"
    DEADLINE = "round: past its deadline"
    AUDIT = "round: kept until its audit deadline"
    MODEL = "model: not the one of the header"
    MODEL_REUSED = "model: an update for it has left already"
    UPDATE_REUSED = "update: it has left already"
    SEALED = "client: sealed for this round already"
    UNSEALED = "client: nothing sealed for this round"
    EQUIVOCATION = "sender: second, different packet"
    FULL = "round: full"
    STATE = "round: not in this state"
    NOT_MEMBER = "committee: not a member"
    OTHER_HEADER = "header: another one was signed for this round"
    SET = "set: not as listed"
    BAD_SHARES = "set: shares refused"
    CONVICTED = "sender: convicted of a bad share"
    CONVICTION = "conviction: does not hold"
    BOUND = "member: answered for another set"
    RESTORED = "member: restored from a backup, sits this epoch out"
    TOO_FEW = "round: too few contributors"
    NO_QUORUM = "committee: too few members"
    SUM = "sum: does not open"
    RESULT = "result: not as signed"


class ProtocolError(SottovoceError):
    """A message or a round is refused; the state of the role is as before.

    Attributes:
        reason: The kind, for counting.
        round_id: Header hash of the round, or ``b""`` where none is known.
        sender: Pseudonym (pid) or member name concerned, or ``b""``.
        detail: More about it, in the message; no secret and no value of a vector.
    """

    def __init__(
        self, reason: Reason, detail: str = "", *, round_id: bytes = b"", sender: bytes = b""
    ) -> None:
        super().__init__(f"{reason.value}{': ' if detail else ''}{detail}")
        self.reason = reason
        self.round_id = round_id
        self.sender = sender

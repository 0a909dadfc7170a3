"""What a client or a member accepts, whatever a header says: floors that no header can lower."""

from __future__ import annotations

from dataclasses import dataclass

from .. import clsc, he, rs
from .._ext.errors import ParameterError, SenderError
from .._ext.limits import CLOCK_SKEW_S, MAX_MEMBERS, MIN_CONTRIBUTORS_FLOOR
from .errors import ProtocolError, Reason
from .header import RoundHeader, revocation_digest
from .server import ServerIdentity
from .sizes import update_packet_bytes
from .wire import expect


@dataclass(frozen=True)
class Policy:
    """The owner's conditions for taking part in a round.  Immutable; checked when made.

    Raises:
        TypeError: A field of the wrong type: names are ``bytes``, in a set.
        ParameterError: A number below its floor, or an unknown parameter set.

    Attributes:
        aggregators: Names that may be aggregator.
        members: Names that may be in a committee.  An issuer could make new keys for a known name:
            :meth:`sottovoce.clsc.TrustStore.pin` refuses those, epoch by epoch.
        min_members: Smallest committee; at least 4, the smallest that tolerates one corrupted member.
            None: all of ``members``, or 4 if they are fewer.  A smaller committee tolerates fewer corrupted
            members, and the aggregator picks who sits in it: safe only if at most
            ``(min_members - 1) // 3`` of ALL of ``members`` are corrupted.
        min_contributors: Smallest number of contributors; at least 3.
        assumed_corrupted: Pseudonyms assumed to be in the aggregator's hands; ``min_contributors`` of a
            header must be at least this plus 2.
        sets: Parameter sets of :mod:`sottovoce.he.kahe` that are good enough.
        clip_range: Smallest and largest acceptable clip.
        max_ahead_s: A deadline may be at most this many seconds ahead.
        max_committee_epoch_s: The committee's keys may be valid for at most this long.  They are erased
            with their epoch: whoever steals ``t`` of them before opens every update recorded in it.
        max_audit_s: Ciphertexts may be kept for at most this long after the deadline.
        max_expansion: All shards of a packet together may take at most this many times the bytes that the
            packet needs: padding and redundancy are the header's choice, the upload is the client's.
            At least 1.
        allow_retrained: After an update for one global model has left, send a *different* update for the
            same model to another round.  Off: refuse.  An update with the same floats, or that encodes to
            the same integers, is never sent twice, whatever the model.

    Source: docs/fl.md, "Making one".
    """

    aggregators: frozenset[bytes]
    members: frozenset[bytes]
    min_members: int | None = None
    min_contributors: int = 8
    assumed_corrupted: int = 0
    sets: frozenset[str] = frozenset({"RLWE_128_N2048_Q50"})
    clip_range: tuple[float, float] = (1e-6, 1e6)
    max_ahead_s: int = 86_400
    max_committee_epoch_s: int = 86_400
    max_audit_s: int = 7 * 86_400
    max_expansion: float = 8.0
    allow_retrained: bool = False

    def __post_init__(self) -> None:
        for field in ("aggregators", "members"):
            names = getattr(self, field)
            # A bytes object would make the test of a name one of a substring.
            if not isinstance(names, (set, frozenset, list, tuple)):
                raise TypeError(f"{field}: a set of names expected, got {type(names).__name__}")
            for name in names:
                expect(f"{field}: name", name, bytes)
                if not 1 <= len(name) <= 64:
                    raise ParameterError(f"{field}: names of 1 to 64 bytes expected, got {len(name)}")
            object.__setattr__(self, field, frozenset(names))
        sets: object = self.sets
        if isinstance(sets, str):
            raise TypeError("sets: a set of names expected, got str")
        unknown = set(self.sets) - set(he.SETS)
        if unknown:
            known = ", ".join(sorted(he.SETS))
            raise ParameterError(f"sets: {known} are known, got {sorted(map(str, unknown))}")
        object.__setattr__(self, "sets", frozenset(self.sets))
        for field, least in (
            *([] if self.min_members is None else [("min_members", 4)]),
            ("min_contributors", MIN_CONTRIBUTORS_FLOOR),
            ("assumed_corrupted", 0),
            ("max_ahead_s", 1),
            ("max_committee_epoch_s", 1),
            ("max_audit_s", 0),
        ):
            number = getattr(self, field)
            expect(field, number, int)
            if number < least:
                raise ParameterError(f"{field}: at least {least} expected, got {number}")
        if not isinstance(self.clip_range, tuple) or len(self.clip_range) != 2:
            raise TypeError("clip_range: a pair of numbers expected")
        if not 0 < self.clip_range[0] <= self.clip_range[1]:
            raise ParameterError(f"clip_range: 0 < least <= largest expected, got {self.clip_range}")
        if not self.max_expansion >= 1:
            raise ParameterError(f"max_expansion: at least 1 expected, got {self.max_expansion}")

    def check(self, header: RoundHeader, trust: clsc.TrustStore, now: float) -> None:
        """Hold a header against this policy.

        Args:
            header: Parsed; its signatures are checked elsewhere.
            trust: Knows the senders' and the committee's parameters.
            now: Unix seconds.

        Raises:
            ProtocolError: :attr:`Reason.POLICY` with the condition that fails, or
                :attr:`Reason.DEADLINE`.
        """
        self.check_parties(header)
        floor = max(self.min_contributors, self.assumed_corrupted + 2)
        _require(header, header.min_contributors >= floor, f"min_contributors of at least {floor} expected")
        _require(header, header.set_name in self.sets, "parameter set not acceptable")
        low, high = self.clip_range
        _require(header, low <= header.clip <= high, "clip out of the acceptable range")
        sent = header.shard_n * rs.shard_bytes(header.packet_bytes, header.shard_k, header.shard_n)
        most = self.max_expansion * update_packet_bytes(header.kahe_params)
        _require(header, sent <= most, f"at most {self.max_expansion} times the bytes expected")
        try:
            params, committee = trust.get(header.sender_params), trust.get(header.committee_params)
        except SenderError:
            raise ProtocolError(Reason.POLICY, "parameters unknown", round_id=header.hash) from None
        _require(header, params.epoch == header.epoch, "epoch is not that of the senders' parameters")
        lasts = committee.not_after - committee.not_before
        _require(
            header,
            lasts <= self.max_committee_epoch_s,
            f"committee keys valid for at most {self.max_committee_epoch_s} s expected, got {lasts}",
        )
        _require(header, header.deadline <= now + self.max_ahead_s, "deadline too far ahead")
        kept = header.audit_deadline - header.deadline
        _require(header, kept <= self.max_audit_s, f"an audit of at most {self.max_audit_s} s expected")
        check_deadline(header, now)

    def check_parties(self, header: RoundHeader) -> None:
        """Hold the servers of a header against this policy: what must hold of a result, too.

        Args:
            header: Of a round, or of a result.

        Raises:
            ProtocolError: :attr:`Reason.POLICY`.
        """
        # Who is named needs no turn; and a round number has one header, not one for every view.
        _require(header, header.view == 0, "view 0 expected")
        self._check_server(header, header.aggregator, self.aggregators, "aggregator")
        for member in header.members:
            self._check_server(header, member, self.members, "member")
        least = self.min_members
        if least is None:  # not when made: a copy of this policy may name more members
            least = min(MAX_MEMBERS, max(4, len(self.members)))
        _require(header, len(header.members) >= least, f"at least {least} members expected")

    def _check_server(
        self, header: RoundHeader, server: ServerIdentity, allowed: frozenset[bytes], role: str
    ) -> None:
        if server.name not in allowed:
            raise ProtocolError(
                Reason.POLICY,
                f"{role} {server.name!r} is not one of those named",
                round_id=header.hash,
                sender=server.name,
            )


def _require(header: RoundHeader, condition: bool, what: str) -> None:
    if not condition:
        raise ProtocolError(Reason.POLICY, what, round_id=header.hash)


def check_deadline(header: RoundHeader, now: float) -> None:
    """Refuse once the deadline is past by more than the allowed clock skew.

    Raises:
        ProtocolError: :attr:`Reason.DEADLINE`.
    """
    if now > header.deadline + CLOCK_SKEW_S:
        raise ProtocolError(Reason.DEADLINE, round_id=header.hash)


def check_revocations(header: RoundHeader, trust: clsc.TrustStore) -> None:
    """A server's own revocation list must be the one that the header names.

    Raises:
        ProtocolError: :attr:`Reason.POLICY`.
    """
    if header.revoked != revocation_digest(trust.revoked):
        raise ProtocolError(Reason.POLICY, "another revocation list", round_id=header.hash)

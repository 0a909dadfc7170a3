"""Who does what in a round among equals: a public function of roster and beacon, and how safe it is.

Peers are ranked by ``SHA-256(enc("SOTTOVOCE-V1-RANK", beacon_r, id))``.  The first is the aggregator and the
next ``n`` are the committee.  On view ``v`` the aggregator is the ``v``-th, from 0, of those that are not
in the committee: it takes over from one that did not come, while the committee stays, so that a member can
see to it that a round is answered once.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from fractions import Fraction
from math import comb

from .._ext.enc import sha256_enc
from .._ext.errors import ParameterError
from .._ext.limits import MAX_MEMBERS
from .beacon import Beacon
from .errors import ProtocolError, Reason
from .roster import Roster
from .server import ServerIdentity
from .wire import expect


@dataclass(frozen=True)
class Choice:
    """Who does what in one view of one round.

    Attributes:
        epoch: The epoch of roster and beacon.
        round_number: The round.
        view: Aggregators passed over, from 0.
        aggregator: Who collects.
        members: The committee in order, the same on every view.

    Source: docs/fl-peers.md, "Rounds among equals".
    """

    epoch: bytes
    round_number: int
    view: int
    aggregator: ServerIdentity
    members: tuple[ServerIdentity, ...]


def rank_peers(names: Collection[bytes], beacon: bytes) -> list[bytes]:
    """The names in the order that a beacon gives them.

    Args:
        names: Distinct ids.
        beacon: The signature, 48 bytes.
    """
    return sorted(names, key=lambda name: sha256_enc("SOTTOVOCE-V1-RANK", beacon, name))


def choose_peers(
    names: Collection[bytes], beacon: bytes, n_members: int, view: int = 0
) -> tuple[bytes, list[bytes]]:
    """Aggregator and committee, by name: a pure function of public values.

    Args:
        names: Distinct ids, more than ``n_members``.
        beacon: The signature of the round, 48 bytes.
        n_members: Committee ``n``, at least 1.
        view: 0 to ``len(names) - n_members - 1``.

    Returns:
        The name of the aggregator, and those of the committee in order.

    Raises:
        ParameterError: Names that are not distinct or too few, or no such view.

    Source: docs/fl-peers.md, "Rounds among equals".
    """
    ranked = rank_peers(names, beacon)
    if len(set(ranked)) != len(ranked) or not 1 <= n_members < len(ranked):
        raise ParameterError(f"names: more than {n_members} distinct ones expected, got {len(ranked)}")
    first, committee, rest = ranked[0], ranked[1 : n_members + 1], ranked[n_members + 1 :]
    candidates = [first, *rest]
    if not 0 <= view < len(candidates):
        raise ParameterError(f"view: 0 to {len(candidates) - 1} expected, got {view}")
    return candidates[view], committee


def choose(roster: Roster, beacon: Beacon, view: int = 0) -> Choice:
    """Who does what, with keys.

    Args:
        roster: In force in the round.
        beacon: Of the round, verified.
        view: How many aggregators were passed over.

    Raises:
        TypeError: Wrong types.
        ProtocolError: The beacon is of another epoch or of a round before the roster's first
            (:attr:`Reason.BEACON`), or nobody is left for such a view (:attr:`Reason.VIEW`).

    Source: docs/fl-peers.md, "Rounds among equals".
    """
    expect("roster", roster, Roster)
    expect("beacon", beacon, Beacon)
    expect("view", view, int)
    if beacon.epoch != roster.epoch or beacon.round_number < roster.first_round:
        raise ProtocolError(Reason.BEACON, "not of a round of this roster")
    if not 0 <= view < roster.views:
        raise ProtocolError(Reason.VIEW, f"0 to {roster.views - 1} expected, got {view}")
    aggregator, committee = choose_peers(roster.names, beacon.signature, roster.committee, view)
    return Choice(
        roster.epoch,
        beacon.round_number,
        view,
        roster.by_name[aggregator],
        tuple(roster.by_name[name] for name in committee),
    )


def committee_risk(n_peers: int, n_bad: int, n_members: int) -> Fraction:
    """``P[more than f bad members]`` of a committee drawn at random: hypergeometric, exact.

    ``f = (n_members - 1) // 3``.  Above it the bad members, with an aggregator that is theirs, open any
    update of the round.

    Args:
        n_peers: Peers in the roster.
        n_bad: Bad ones among them.
        n_members: Committee ``n``, 4 to 64, at most ``n_peers``.

    Returns:
        A fraction, from 0 to 1.

    Raises:
        TypeError: Not integers.
        ParameterError: Numbers that do not fit together.

    Source: docs/fl-peers.md, "How large a committee must be".
    """
    for name, value in (("n_peers", n_peers), ("n_bad", n_bad), ("n_members", n_members)):
        expect(name, value, int)
    if not 0 <= n_bad <= n_peers or not 4 <= n_members <= min(n_peers, MAX_MEMBERS):
        raise ParameterError(
            f"0 <= n_bad <= n_peers and 4 <= n_members <= {MAX_MEMBERS} expected, at most n_peers; "
            f"got {n_bad} of {n_peers}, and {n_members}"
        )
    f = (n_members - 1) // 3
    worse = sum(comb(n_bad, k) * comb(n_peers - n_bad, n_members - k) for k in range(f + 1, n_members + 1))
    return Fraction(worse, comb(n_peers, n_members))

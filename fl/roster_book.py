"""What a peer has seen of rosters and beacons, in which order, and when."""

from __future__ import annotations

import threading
import time
from bisect import insort
from collections.abc import Callable
from itertools import pairwise

from .. import clsc
from .beacon import Beacon, beacon_epoch
from .errors import ProtocolError, Reason
from .peer_choice import Choice, choose
from .roster import Roster
from .wire import expect


class RosterBook:
    """Keeps the rosters and beacons of a peer, and answers who does what, and whose turn it is.

    A roster counts only if it was here before the beacon of its first round: whoever writes one afterwards
    can try peers until the choice suits it.  For the same reason the beacon's key stays for the whole epoch.
    A peer that begins while an epoch runs cannot see when its first roster was made; it has the issuer's
    word for that, and :attr:`Roster.digest` to compare with others'.  Views are counted from the moment
    at which this peer got the round's beacon, by its own clock.

    It is in memory: a peer that restarts with a new one would take a roster of after the beacon for one of
    before, and a view that is over for one that has just begun.  For a process that may restart there is
    :class:`SqliteRosterBook`.  (That a member answers one view only does not hang on the book: its
    :class:`MemberStore` remembers that.)

    Threads: safe.  After an error the book is as before.

    Args:
        trust: Pins the issuer's root key, and knows the parameters of the peers' keys.
        clock: Unix seconds.

    Raises:
        TypeError: No TrustStore.

    Source: docs/fl-peers.md, "Why so".
    """

    def __init__(self, trust: clsc.TrustStore, *, clock: Callable[[], float] = time.time) -> None:
        expect("trust", trust, clsc.TrustStore)
        self._trust = trust
        self._clock = clock
        self._rosters: dict[bytes, list[Roster]] = {}
        self._beacons: dict[bytes, dict[int, tuple[Beacon, float]]] = {}
        self._lock = threading.RLock()

    def add_roster(self, data: bytes) -> Roster:
        """Take a signed roster; the same one again is fine.

        Args:
            data: What :meth:`Roster.sign` gave.

        Returns:
            The roster, verified.

        Raises:
            DecodeError, SenderError: As :meth:`Roster.from_bytes`.
            ProtocolError: It comes after the beacon of its first round, contradicts another one of its
                epoch, or has another beacon key (:attr:`Reason.ROSTER`).  Two different ones of one version,
                both signed, convict the issuer: keep them.
        """
        roster = Roster.from_bytes(data, self._trust)
        with self._lock:
            known = self._rosters.get(roster.epoch, [])
            if any(other.digest == roster.digest for other in known):
                return roster
            if any(other.version == roster.version for other in known):
                raise ProtocolError(Reason.ROSTER, f"another one of version {roster.version}")
            if any(other.beacon_key != roster.beacon_key for other in known):
                raise ProtocolError(Reason.ROSTER, "another beacon key in one epoch")
            released = max(self._beacons.get(roster.epoch, ()), default=0)
            if released >= roster.first_round:
                raise ProtocolError(
                    Reason.ROSTER, f"for rounds from {roster.first_round}, and beacon {released} is out"
                )
            listed = list(known)
            insort(listed, roster, key=lambda each: each.version)
            if any(a.first_round >= b.first_round for a, b in pairwise(listed)):
                raise ProtocolError(Reason.ROSTER, "a later version has a later first round")
            self._keep_roster(roster, data)
            self._rosters[roster.epoch] = listed
        return roster

    def add_beacon(self, data: bytes) -> Beacon:
        """Take the beacon of a round, and begin to count its views; the same one again changes nothing.

        Args:
            data: What :meth:`Beacon.to_bytes` gave.

        Returns:
            The beacon, verified.

        Raises:
            DecodeError: Malformed.
            SignatureError: Not signed by the epoch's beacon key.
            ProtocolError: No roster of its epoch and round is known (:attr:`Reason.BEACON`).
        """
        epoch = beacon_epoch(data)
        with self._lock:
            rosters = self._rosters.get(epoch)
        if not rosters:
            raise ProtocolError(Reason.BEACON, "no roster of its epoch")
        beacon = Beacon.from_bytes(data, rosters[0].beacon_key)
        with self._lock:
            self.roster(epoch, beacon.round_number)
            if beacon.round_number not in self._beacons.get(epoch, ()):
                since = self._clock()
                self._keep_beacon(beacon, since)
                self._beacons.setdefault(epoch, {})[beacon.round_number] = (beacon, since)
        return beacon

    def roster(self, epoch: bytes, round_number: int) -> Roster:
        """The roster in force in a round.

        Args:
            epoch: 1 to 64 bytes.
            round_number: In that epoch.

        Raises:
            ProtocolError: None is (:attr:`Reason.BEACON`).
        """
        with self._lock:
            for roster in reversed(self._rosters.get(epoch, [])):
                if roster.first_round <= round_number:
                    return roster
        raise ProtocolError(Reason.BEACON, "no roster of its epoch and round")

    def choice(self, epoch: bytes, round_number: int, view: int = 0) -> Choice:
        """Who does what in a view of a round.

        Args:
            epoch: 1 to 64 bytes.
            round_number: In that epoch.
            view: How many aggregators were passed over.

        Raises:
            ProtocolError: The round's beacon or roster is not known (:attr:`Reason.BEACON`), or there is no
                such view (:attr:`Reason.VIEW`).
        """
        beacon, _ = self._seen(epoch, round_number)
        return choose(self.roster(epoch, round_number), beacon, view)

    def turn(self, epoch: bytes, round_number: int, view: int) -> tuple[float, float]:
        """When the turn of a view's aggregator begins and ends, unix seconds by this peer's clock.

        Args:
            epoch: 1 to 64 bytes.
            round_number: In that epoch.
            view: How many aggregators were passed over.

        Raises:
            ProtocolError: The round's beacon is not known (:attr:`Reason.BEACON`).
        """
        _, since = self._seen(epoch, round_number)
        view_s = self.roster(epoch, round_number).view_s
        return since + view * view_s, since + (view + 1) * view_s

    def view_now(self, epoch: bytes, round_number: int) -> int:
        """Whose turn it is now; a number that no view has when the round is over.

        Args:
            epoch: 1 to 64 bytes.
            round_number: In that epoch.

        Raises:
            ProtocolError: The round's beacon is not known (:attr:`Reason.BEACON`).
        """
        begin, end = self.turn(epoch, round_number, 0)
        return max(0, int((self._clock() - begin) // (end - begin)))

    def forget(self, epoch: bytes) -> None:
        """Drop everything about an epoch that is over.

        Args:
            epoch: 1 to 64 bytes.
        """
        with self._lock:
            self._drop(epoch)
            self._rosters.pop(epoch, None)
            self._beacons.pop(epoch, None)

    def _seen(self, epoch: bytes, round_number: int) -> tuple[Beacon, float]:
        with self._lock:
            seen = self._beacons.get(epoch, {}).get(round_number)
        if seen is None:
            raise ProtocolError(Reason.BEACON, f"that of round {round_number} is not known")
        return seen

    # -- on disk, in a subclass: called under the lock, before the change counts ------------------

    def _keep_roster(self, roster: Roster, signed: bytes) -> None:
        pass

    def _keep_beacon(self, beacon: Beacon, since: float) -> None:
        pass

    def _drop(self, epoch: bytes) -> None:
        pass

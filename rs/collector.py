"""``Collector``: shards in any order from people who are not trusted, packets out, bounded memory.

A shard is opened, put with the others of its group, and the packet given out once k are there.  What
remembers is bounded three ways: number of open groups, bytes in them, and age.  When a bound is
passed, the source that holds most bytes pays: its oldest incomplete group is dropped, and groups that
it alone has fed go first.  A source that floods therefore evicts what it delivered itself, not a
packet that comes over several relays.
"""

from __future__ import annotations

import threading
import time
from collections import OrderedDict
from collections.abc import Callable, Hashable

from .._ext.errors import ParameterError
from .dispersal import InconsistentError, decode_group
from .matrix import check_shape
from .shard import (
    DIGEST_BYTES,
    HEADER_BYTES,
    SEAL_BYTES,
    Body,
    MalformedError,
    ShardKey,
    UnopenableError,
    check_context,
    open_shard,
    share_digest,
)
from .sharing import MAX_SHARES

_COUNTS = (
    "received",
    "accepted",
    "duplicate",
    "late",
    "wrong_size",
    "unopenable",
    "malformed",
    "wrong_shape",
    "contradicting",
    "packets",
    "inconsistent",
    "evicted",
    "expired",
)

# What a shard and a group cost beside their bytes (objects, dictionary entries), so that a flood of
# tiny shards is bounded too.  Measured with tracemalloc on CPython 3.11: 580 bytes a shard, 1,190 if each
# comes from a source of its own, and 820 a group; rounded up.
_SHARD_COST = 1280
_GROUP_COST = 1024

_Group = tuple[bytes, int, int, int, int]


class _Pending:
    """An incomplete group: its shards, and which source pays for how many bytes of them."""

    __slots__ = ("bodies", "born", "charges")

    def __init__(self, born: float) -> None:
        self.born = born
        self.bodies: dict[int, Body] = {}
        self.charges: dict[Hashable, int] = {}


class _Source:
    """What one source holds: bytes, and its groups by age, apart for those that others feed too."""

    __slots__ = ("alone", "charge", "shared")

    def __init__(self) -> None:
        self.charge = 0
        self.alone: OrderedDict[_Group, None] = OrderedDict()
        self.shared: set[_Group] = set()


class Collector:
    """Takes shards one by one and gives each packet out when its k-th shard arrives.

    A group gives its packet at most once for as long as it is remembered; a packet replayed in fresh
    shards is a new group, so the layer above must know packets it has seen.  A group whose shards
    contradict each other (commitment, tag, padding, or two versions of one shard) gives nothing.
    Shards that arrive after the packet are compared with what it re-encodes to: a contradiction then
    is counted, but the packet is already out.

    Memory: at most ``max_bytes`` plus one group being decoded, plus one record of about
    ``16 * n + 500`` bytes for each of the last ``max_groups`` finished groups.

    Thread-safe: shards are opened outside its lock.  Do not use across a fork.

    Args:
        secret_key: The recipient's.
        context: As given to :func:`disperse`.
        k, n: Refuse shards with other values; None takes any.
        shard_bytes: Refuse shards of another length before opening them; None takes any.
        max_groups: Incomplete groups kept, and finished ones remembered.
        max_bytes: Of incomplete groups, counted with their overhead.
        clock: Seconds; only differences matter.
        group_timeout_s: An incomplete group is dropped this long after its FIRST shard, and a
            finished one forgotten this long after its packet.  Looked at when a shard arrives.

    Raises:
        TypeError, ParameterError: Arguments of a wrong type or out of range.
    """

    def __init__(
        self,
        secret_key: ShardKey,
        *,
        context: bytes = b"",
        k: int | None = None,
        n: int | None = None,
        shard_bytes: int | None = None,
        max_groups: int = 4096,
        max_bytes: int = 1 << 28,
        clock: Callable[[], float] = time.monotonic,
        group_timeout_s: float = 3600.0,
    ) -> None:
        if not isinstance(secret_key, ShardKey):
            raise TypeError(f"secret_key: ShardKey expected, got {type(secret_key).__name__}")
        self._info = check_context(context)
        check_shape(1 if k is None else k, MAX_SHARES if n is None else n, MAX_SHARES)
        for name, value in (
            ("max_groups", max_groups),
            ("max_bytes", max_bytes),
            ("shard_bytes", shard_bytes),
        ):
            if value is None and name == "shard_bytes":
                continue
            if type(value) is not int:
                raise TypeError(f"{name}: int expected, got {type(value).__name__}")
            if value < 1:
                raise ParameterError(f"{name}: at least 1 expected, got {value}")
        if not group_timeout_s > 0:
            raise ParameterError("group_timeout_s: more than 0 expected")
        self._key = secret_key
        self._k, self._n, self._shard_bytes = k, n, shard_bytes
        self._max_groups, self._max_bytes = max_groups, max_bytes
        self._clock, self._timeout = clock, group_timeout_s
        self._lock = threading.Lock()
        self._pending: OrderedDict[_Group, _Pending] = OrderedDict()  # oldest first
        self._finished: OrderedDict[_Group, tuple[float, bytes | None]] = OrderedDict()
        self._sources: dict[Hashable, _Source] = {}
        self._bytes = 0
        self._counts = dict.fromkeys(_COUNTS, 0)

    @property
    def stats(self) -> dict[str, int]:
        """A copy of the counts.

        Of shards: ``received`` is the sum of ``accepted`` (new and kept or used), ``duplicate`` (a copy
        of one that is kept), ``late`` (its packet is out, or its group is known bad), ``wrong_size``,
        ``unopenable`` (altered, not for this key, other context), ``malformed`` (opened, but no shard
        inside), ``wrong_shape`` (not the k and n asked for) and ``contradicting`` (another version of
        a shard that is kept, or not what the packet re-encodes to).
        Of groups: ``packets`` given out, ``inconsistent``, ``evicted``, ``expired``; and now:
        ``pending_groups``, ``pending_bytes``.
        """
        with self._lock:
            return {**self._counts, "pending_groups": len(self._pending), "pending_bytes": self._bytes}

    def add(self, shard: bytes, source: Hashable = None) -> bytes | None:
        """Take one shard.

        Args:
            shard: As it came; anything that is not a good shard is counted and forgotten.
            source: Who delivered it (a connection, a relay), for the accounting.

        Returns:
            The packet, if this was the k-th shard of its group and the group is sound; else None.

        Raises:
            TypeError: ``shard`` is not bytes, or ``source`` not hashable.

        Timing: shows whether the shard opened and whether a packet came out, as :attr:`stats` does.
        """
        if not isinstance(shard, bytes):
            raise TypeError(f"shard: bytes expected, got {type(shard).__name__}")
        hash(source)
        body, problem = self._open(shard)
        with self._lock:
            self._counts["received"] += 1
            self._expire()
            if body is None:
                self._counts[problem] += 1
                return None
            if body.group in self._finished:
                self._take_late(body)
                return None
            return self._take(body, source)

    def _open(self, shard: bytes) -> tuple[Body | None, str]:
        size = len(shard)
        if size <= SEAL_BYTES + HEADER_BYTES or self._shard_bytes not in (None, size):
            return None, "wrong_size"
        # One that could not be kept even alone must not evict others on its way out.
        if size + _SHARD_COST + _GROUP_COST > self._max_bytes:
            return None, "wrong_size"
        try:
            body = open_shard(shard, self._key, self._info)
        except UnopenableError:
            return None, "unopenable"
        except MalformedError:
            return None, "malformed"
        if self._k not in (None, body.k) or self._n not in (None, body.n):
            return None, "wrong_shape"
        return body, ""

    def _expire(self) -> None:
        # Both dictionaries are in order of time, so only what has expired is looked at.
        oldest = self._clock() - self._timeout
        while self._pending:
            group, pending = next(iter(self._pending.items()))
            if pending.born > oldest:
                break
            self._drop(group)
            self._counts["expired"] += 1
        while self._finished:
            group, (done, _) = next(iter(self._finished.items()))
            if done > oldest:
                break
            del self._finished[group]

    def _take_late(self, body: Body) -> None:
        done, digests = self._finished[body.group]
        at = body.index * DIGEST_BYTES
        if digests is None or digests[at : at + DIGEST_BYTES] == body.digest:
            self._counts["late"] += 1
            return
        self._counts["contradicting"] += 1
        self._counts["inconsistent"] += 1
        self._finished[body.group] = (done, None)

    def _take(self, body: Body, source: Hashable) -> bytes | None:
        group = body.group
        pending = self._pending.get(group)
        if pending is not None and body.index in pending.bodies:
            kept = pending.bodies[body.index]
            if kept.key_share == body.key_share and kept.piece == body.piece:
                self._counts["duplicate"] += 1
            else:
                self._counts["contradicting"] += 1
                self._finish(group, None)
            return None
        self._counts["accepted"] += 1
        if pending is None:
            pending = self._pending[group] = _Pending(self._clock())
        pending.bodies[body.index] = body
        self._charge(group, pending, source, len(body.piece) + HEADER_BYTES + _SHARD_COST)
        if len(pending.bodies) < body.k:
            self._enforce()
            return None
        try:
            packet, key_shares, pieces = decode_group(pending.bodies)
        except InconsistentError:
            self._finish(group, None)
            return None
        expected = zip(range(body.n), key_shares, pieces, strict=True)
        self._finish(group, b"".join(share_digest(i, share, piece.data) for i, share, piece in expected))
        return packet

    def _charge(self, group: _Group, pending: _Pending, source: Hashable, cost: int) -> None:
        if not pending.charges:
            cost += _GROUP_COST
        entry = self._sources.setdefault(source, _Source())
        if source not in pending.charges:
            if len(pending.charges) == 1:
                first = self._sources[next(iter(pending.charges))]
                del first.alone[group]
                first.shared.add(group)
            if pending.charges:
                entry.shared.add(group)
            else:
                entry.alone[group] = None
            pending.charges[source] = 0
        pending.charges[source] += cost
        entry.charge += cost
        self._bytes += cost

    def _drop(self, group: _Group) -> None:
        for source, cost in self._pending.pop(group).charges.items():
            entry = self._sources[source]
            entry.charge -= cost
            self._bytes -= cost
            entry.alone.pop(group, None)
            entry.shared.discard(group)
            if entry.charge == 0:
                del self._sources[source]

    def _finish(self, group: _Group, digests: bytes | None) -> None:
        self._drop(group)
        self._counts["inconsistent" if digests is None else "packets"] += 1
        self._finished[group] = (self._clock(), digests)
        if len(self._finished) > self._max_groups:
            self._finished.popitem(last=False)

    def _enforce(self) -> None:
        while len(self._pending) > self._max_groups or self._bytes > self._max_bytes:
            greediest = max(self._sources.values(), key=lambda entry: entry.charge)
            if greediest.alone:
                group = next(iter(greediest.alone))
            else:
                group = min(greediest.shared, key=lambda g: self._pending[g].born)
            self._drop(group)
            self._counts["evicted"] += 1

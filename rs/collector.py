"""``Collector``: shards in any order from people who are not trusted, packets out, bounded memory.

A shard is opened, put with the others of its group, and the packet given out once k are there.  What
is remembered is bounded three ways: number of open groups, bytes in them, and age.  When a bound is
passed, the source that holds most of what is short (groups, or bytes) pays: its oldest incomplete
group is dropped, and groups that it alone has fed go first.  A source that floods therefore evicts
what it delivered itself, not a packet that comes over several relays.  Work is bounded as well: by
openings for each source, and a decoding costs a small multiple of the bytes that came.
"""

from __future__ import annotations

import threading
import time
from collections import OrderedDict
from collections.abc import Callable, Hashable
from numbers import Real

from .._ext.errors import ParameterError
from ._numbers import integer
from .accounts import GROUP_COST, Accounts, Group
from .dispersal import InconsistentError, decode_group
from .matrix import check_shape
from .shard import (
    DIGEST_BYTES,
    HEADER_BYTES,
    Body,
    MalformedError,
    UnopenableError,
    check_context,
    open_shard,
    piece_bytes,
)
from .shardkey import ShardKey
from .sharing import MAX_SHARES

_COUNTS = (
    "received",
    "accepted",
    "duplicate",
    "late",
    "wrong_size",
    "over_limit",
    "unopenable",
    "malformed",
    "wrong_shape",
    "contradicting",
    "packets",
    "inconsistent",
    "evicted",
    "expired",
)

# What a shard costs beside its bytes (objects, dictionary entries), and GROUP_COST a group, so that a
# flood of tiny shards is bounded too.  Measured with tracemalloc on CPython 3.11: 630 bytes a shard, 1,780 if
# each comes from a source of its own (and 260 more while the accounts are full of old entries), and 830 a
# group; rounded up.
_SHARD_COST = 2048

# Sources of which openings are counted: 2 MiB, and their names.  Whoever can take a new name for each shard
# is not held by any bound for each source.
_MAX_COUNTED_SOURCES = 1 << 14


class _Pending:
    """An incomplete group: its shards, and which source pays for how many bytes of them."""

    __slots__ = ("bodies", "born", "charges")

    def __init__(self, born: float) -> None:
        self.born = born
        self.bodies: dict[int, Body] = {}
        self.charges: dict[Hashable, int] = {}


class _Finished:
    """A group that takes no more shards: its packet is out, or being decoded, or never comes."""

    __slots__ = ("bad", "digests", "done", "waiting")

    def __init__(self, done: float, *, bad: bool) -> None:
        self.done = done
        self.bad = bad
        self.digests = b""  # of its first shards, once decoded
        self.waiting: dict[int, bytes] | None = None  # digests of shards that came while it is decoded

    def contradicted_by(self, index: int, digest: bytes) -> bool:
        """Say whether a shard is not what the packet re-encodes to, as far as that is known."""
        return self.digests[index * DIGEST_BYTES :][:DIGEST_BYTES] not in (b"", digest)


class Collector:
    """Takes shards one by one and gives each packet out when its k-th shard arrives.

    A group gives its packet at most once for as long as it is remembered; a packet replayed in fresh
    shards is a new group, so the layer above must know packets it has seen.  A group whose shards
    contradict each other (commitment, tag, padding, or two versions of one shard) gives nothing.
    Shards that arrive after the packet are compared with what it re-encodes to (the first ``8 * k``
    of a group, if n is larger and the pieces are not small): a contradiction then is counted, but
    the packet is already out.

    Memory: at most ``max_bytes``; plus some four times the largest group for each thread that is in
    :meth:`add`; plus one record of about ``16 * n + 500`` bytes for each of the last ``max_groups``
    finished groups; plus 2 MiB for the counts of openings, if they are bounded.

    Threads: safe; shards are opened and packets decoded outside its lock.  Do not use across a fork.

    Args:
        secret_key: The recipient's; kept.
        context: As given to :func:`disperse`.
        k, n: Refuse shards with other values, ``1 <= k <= n <= 255``; None takes any.
        shard_bytes: Refuse shards of another length before opening them; None takes any.  At least what an
            empty packet needs, 108 or 1196, more where k is below 48.
        max_groups: Incomplete groups kept, and finished ones remembered.
        max_bytes: Of incomplete groups, counted with their overhead.  At least one group must fit.
        max_openings_per_source: Shards of one source that are opened, good or not, for as long as this
            collector lives; those beyond are dropped unopened, and opening is what a worthless
            shard costs.  Leave room for every sender's shards, and for some sent twice.  None: no
            bound.  Counted for the 16,384 sources heard last: one that was silent while that many
            others spoke begins anew, so it holds only sources that cannot take new names at will.
        clock: Called without arguments, gives seconds; only differences matter.
        group_timeout_s: Seconds, more than 0: an incomplete group is dropped this long after its FIRST
            shard, and a finished one forgotten this long after its packet.  Looked at when a shard arrives.

    Raises:
        TypeError, ParameterError: Arguments of a wrong type or out of range, or a group of ``k`` shards of
            ``shard_bytes`` is more than ``max_bytes``.

    Timing: shows which shards opened and which packets came out, and nothing of key, packet or key shares;
        docs/rs.md, "What it does not give".
    Source: Krawczyk, CRYPTO 1993; RFC 9180, section 6.1; bounds: docs/rs.md, "Opening".
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
        max_openings_per_source: int | None = None,
        clock: Callable[[], float] = time.monotonic,
        group_timeout_s: float = 3600.0,
    ) -> None:
        if not isinstance(secret_key, ShardKey):
            raise TypeError(f"secret_key: ShardKey expected, got {type(secret_key).__name__}")
        self._info = check_context(context)
        least_k, most_n = check_shape(1 if k is None else k, MAX_SHARES if n is None else n, MAX_SHARES)
        self._k, self._n = (None if k is None else least_k), (None if n is None else most_n)
        self._max_groups = _at_least("max_groups", max_groups, 1)
        self._max_bytes = _at_least("max_bytes", max_bytes, 1)
        self._max_openings = (
            None
            if max_openings_per_source is None
            else _at_least("max_openings_per_source", max_openings_per_source, 1)
        )
        self._shard_bytes = None
        if shard_bytes is not None:
            seal_bytes = secret_key._suite.seal_bytes
            self._shard_bytes = _at_least(
                "shard_bytes", shard_bytes, seal_bytes + HEADER_BYTES + piece_bytes(0, k or MAX_SHARES)
            )
            held = _held(least_k, self._shard_bytes - seal_bytes)
            if held > self._max_bytes:
                raise ParameterError(
                    f"max_bytes: at least {held} expected for a group of {least_k} shards, got {max_bytes}"
                )
        if not callable(clock):
            raise TypeError(f"clock: a function expected, got {type(clock).__name__}")
        seconds: object = group_timeout_s
        if isinstance(seconds, bool) or not isinstance(seconds, Real):
            raise TypeError(f"group_timeout_s: a number expected, got {type(seconds).__name__}")
        if not group_timeout_s > 0:
            raise ParameterError(f"group_timeout_s: more than 0 expected, got {group_timeout_s}")
        self._key = secret_key
        self._clock, self._timeout = clock, group_timeout_s
        self._lock = threading.Lock()
        self._openings: OrderedDict[Hashable, int] = OrderedDict()  # heard last comes last
        self._pending: OrderedDict[Group, _Pending] = OrderedDict()  # oldest first
        self._finished: OrderedDict[Group, _Finished] = OrderedDict()
        self._accounts = Accounts()
        self._counts = dict.fromkeys(_COUNTS, 0)

    @property
    def stats(self) -> dict[str, int]:
        """A copy of the counts.

        Of shards: ``received`` is the sum of ``accepted`` (new and kept or used), ``duplicate`` (a copy
        of one that is kept), ``late`` (its packet is out or being decoded, or its group is known bad),
        ``wrong_size`` (or of a group that would not fit into ``max_bytes``), ``over_limit`` (not
        opened: its source has had its share), ``unopenable`` (altered, not for this key, other
        context), ``malformed`` (opened, but no shard inside), ``wrong_shape`` (not the k and n asked
        for) and ``contradicting`` (another version of a shard that is kept, or not what the packet
        re-encodes to).
        Of groups: ``packets`` given out, ``inconsistent``, ``evicted``, ``expired``; and now:
        ``pending_groups``, ``pending_bytes``.
        """
        with self._lock:
            now = {"pending_groups": len(self._pending), "pending_bytes": self._accounts.total}
            return {**self._counts, **now}

    def add(self, shard: bytes, source: Hashable = None) -> bytes | None:
        """Take one shard.

        Args:
            shard: As it came; anything that is not a good shard is counted and forgotten.
            source: Who delivered it (a connection, a relay), for the accounting.  All that is given
                without one is one source.

        Returns:
            The packet, if this was the k-th shard of its group and the group is sound; else None.

        Raises:
            TypeError: ``shard`` is not bytes, or ``source`` not hashable.
            MemoryError: In decoding; the group is forgotten (``evicted``) and may be sent again.

        Timing: shows whether the shard opened and whether a packet came out, as :attr:`stats` does.
        """
        if not isinstance(shard, bytes):
            raise TypeError(f"shard: bytes expected, got {type(shard).__name__}")
        hash(source)
        body, problem = self._open(shard, source)
        with self._lock:
            self._counts["received"] += 1
            self._expire()
            if body is None:
                self._counts[problem] += 1
                return None
            entry = self._finished.get(body.group)
            if entry is None:
                bodies = self._take(body, source)
                if bodies is None:
                    return None
                entry = self._finish(body.group, bad=False)
                entry.waiting = {}
            else:
                bodies = None
        # What takes time for long pieces is done without the lock: others must not wait for it.
        if bodies is None:
            self._take_late(body.index, body.digest, entry)
            return None
        return self._decode(bodies, entry)

    def _open(self, shard: bytes, source: Hashable) -> tuple[Body | None, str]:
        size = len(shard)
        if size <= self._key._suite.seal_bytes + HEADER_BYTES or self._shard_bytes not in (None, size):
            return None, "wrong_size"
        # One that could not be kept even alone must not evict others on its way out.
        if _held(1, size) > self._max_bytes:
            return None, "wrong_size"
        if self._max_openings is not None and not self._may_open(source, self._max_openings):
            return None, "over_limit"
        try:
            body = open_shard(shard, self._key, self._info)
        except UnopenableError:
            return None, "unopenable"
        except MalformedError:
            return None, "malformed"
        if self._k not in (None, body.k) or self._n not in (None, body.n):
            return None, "wrong_shape"
        # Nor may a group that could never be complete.
        if _held(body.k, HEADER_BYTES + len(body.piece)) > self._max_bytes:
            return None, "wrong_size"
        return body, ""

    def _may_open(self, source: Hashable, limit: int) -> bool:
        with self._lock:
            opened = self._openings.pop(source, 0)
            self._openings[source] = min(opened + 1, limit)
            # The longest silent goes, so that none gets a new count while it keeps sending.
            if len(self._openings) > _MAX_COUNTED_SOURCES:
                self._openings.popitem(last=False)
            return opened < limit

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
            group, entry = next(iter(self._finished.items()))
            if entry.done > oldest:
                break
            del self._finished[group]

    def _take_late(self, index: int, digest: bytes, entry: _Finished) -> None:
        with self._lock:
            if entry.bad:
                wrong = False
            elif entry.waiting is not None:
                wrong = entry.waiting.setdefault(index, digest) != digest
            else:
                wrong = entry.contradicted_by(index, digest)
            self._counts["contradicting" if wrong else "late"] += 1
            if wrong:
                entry.bad = True
                self._counts["inconsistent"] += 1

    def _take(self, body: Body, source: Hashable) -> dict[int, Body] | None:
        """Keep a shard; the shards of its group, which are no longer kept then, if it was the k-th."""
        group = body.group
        pending = self._pending.get(group)
        if pending is not None and body.index in pending.bodies:
            kept = pending.bodies[body.index]
            if kept.same_as(body):
                self._counts["duplicate"] += 1
            else:
                self._counts["contradicting"] += 1
                self._counts["inconsistent"] += 1
                self._drop(group)
                self._finish(group, bad=True)
            return None
        self._counts["accepted"] += 1
        if pending is None:
            pending = self._pending[group] = _Pending(self._clock())
        pending.bodies[body.index] = body
        if len(pending.bodies) < body.k:
            cost = HEADER_BYTES + len(body.piece) + _SHARD_COST
            self._accounts.charge(group, pending.charges, source, cost)
            self._enforce()
            return None
        self._drop(group)
        return pending.bodies

    def _drop(self, group: Group) -> None:
        self._accounts.release(group, self._pending.pop(group).charges)

    def _finish(self, group: Group, *, bad: bool) -> _Finished:
        entry = self._finished[group] = _Finished(self._clock(), bad=bad)
        if len(self._finished) > self._max_groups:
            self._finished.popitem(last=False)
        return entry

    def _enforce(self) -> None:
        while (crowded := len(self._pending) > self._max_groups) or self._accounts.total > self._max_bytes:
            self._drop(self._accounts.victim(by_groups=crowded))
            self._counts["evicted"] += 1

    def _decode(self, bodies: dict[int, Body], entry: _Finished) -> bytes | None:
        # The group counts as finished meanwhile, so nobody else can be here with it.
        packet, digests = None, b""
        try:
            decoded = decode_group(bodies)
            packet, digests = decoded.packet, decoded.digests()
        except InconsistentError:
            pass
        except BaseException:
            with self._lock:
                group = next(iter(bodies.values())).group
                if self._finished.get(group) is entry:
                    del self._finished[group]
                self._counts["evicted"] += 1
            raise
        with self._lock:
            return self._settle(entry, packet, digests)

    def _settle(self, entry: _Finished, packet: bytes | None, digests: bytes) -> bytes | None:
        waiting, entry.waiting, entry.digests = entry.waiting or {}, None, digests
        if entry.bad:  # two versions of a shard came meanwhile, and that has been counted
            return None
        wrong = sum(entry.contradicted_by(index, digest) for index, digest in waiting.items())
        self._counts["late"] -= wrong
        self._counts["contradicting"] += wrong
        if packet is None or wrong:
            entry.bad = True
            self._counts["inconsistent"] += 1
            return None
        self._counts["packets"] += 1
        return packet


def _at_least(name: str, value: object, least: int) -> int:
    number = integer(name, value)
    if number < least:
        raise ParameterError(f"{name}: at least {least} expected, got {number}")
    return number


def _held(k: int, body_bytes: int) -> int:
    """What k shards of one group count for."""
    return k * (body_bytes + _SHARD_COST) + GROUP_COST

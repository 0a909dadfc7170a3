"""What a role must not forget: interfaces, and the versions that keep it in memory, of all three roles.

A store is *durable before it returns*: whatever a role does next, it may do only because the record is
safe.  The in-memory versions keep that order (and are what the tests of the roles use); a process that
must survive a crash passes a store on disk with the same methods (:class:`.SqliteOutbox`,
:class:`.SqliteMemberStore`, :class:`.SqliteAggregatorStore`).  Every method is atomic and may be called
from several threads.
"""

from .aggregator_store import Accepted, AggregatorStore, MemoryAggregatorStore, Step, StepKind
from .member_store import Binding, MemberStore, MemoryMemberStore
from .outbox import MemoryOutbox, Outbox, Sent

__all__ = [
    "Accepted",
    "AggregatorStore",
    "Binding",
    "MemberStore",
    "MemoryAggregatorStore",
    "MemoryMemberStore",
    "MemoryOutbox",
    "Outbox",
    "Sent",
    "Step",
    "StepKind",
]

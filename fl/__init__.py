"""One round of private federated aggregation, made of ``clsc``, ``he`` and ``rs``.

Roles are state machines without sockets (bytes in, bytes out, a clock of your own), so the same code
runs in a test, in a simulation or behind any network:

* :class:`Client` checks a signed header against its own :class:`Policy` and seals one update.
* :class:`Aggregator` collects shards, opens packets, adds ciphertexts, closes the round.
* :class:`Member` adds key shares of exactly the agreed contributors, and answers once.
* :class:`RoundHeader` / :class:`SignedHeader` is what all of them agree on; :func:`plan_round` makes one.
* :class:`Peer` is all three where nobody is the server: a signed :class:`Roster` and a :class:`Beacon` say
  who is aggregator and who sits in the committee, and :class:`PeerPolicy` holds headers against that.
* :mod:`sottovoce.fl.simulate` runs a whole federation in one process.

What is refused raises :class:`ProtocolError` (with a :class:`Reason` to count by) or one of the errors
of the package underneath, and changes nothing.  docs/fl.md has the messages and the honest limits.
"""

from .._ext.errors import (
    DecodeError,
    ParameterError,
    SenderError,
    SignatureError,
    SottovoceError,
    StoreError,
    UnsigncryptError,
)
from .aggregator import Aggregator, State
from .audit import audit_round
from .audit_report import AuditError, AuditFault, AuditFinding, AuditReport
from .beacon import Beacon, BeaconServer, combine_beacon
from .client import Client, Sealed
from .closing import Answer, ContributorSet, RoundResult
from .conviction import Conviction, Fault, judge_conviction, show_conviction
from .errors import ProtocolError, Reason
from .header import RoundHeader, revocation_digest
from .member import Member
from .meter import Meter, Stage
from .model import model_digest
from .opening import Receipt
from .peer import Peer
from .peer_choice import Choice, choose, choose_peers, committee_risk
from .peer_policy import PeerPolicy
from .plan import plan_round
from .policy import Policy
from .request import CheckReply, CloseRequest, Removal
from .roster import Roster
from .roster_book import RosterBook
from .server import ServerIdentity, ServerKeys
from .signed import SignedHeader
from .sizes import update_packet_bytes
from .sqlite_aggregator import SqliteAggregatorStore
from .sqlite_member import SqliteMemberStore
from .sqlite_outbox import SqliteOutbox
from .sqlite_roster_book import SqliteRosterBook
from .stores import (
    Accepted,
    AggregatorStore,
    Binding,
    MemberStore,
    MemoryAggregatorStore,
    MemoryMemberStore,
    MemoryOutbox,
    Outbox,
    Sent,
    Step,
    StepKind,
)
from .update import Manifest, MemberShare, Update
from .workers import HeldKey, WorkerKeyFile, drop_key, handover, hold_key

__all__ = [
    "Accepted",
    "Aggregator",
    "AggregatorStore",
    "Answer",
    "AuditError",
    "AuditFault",
    "AuditFinding",
    "AuditReport",
    "Beacon",
    "BeaconServer",
    "Binding",
    "CheckReply",
    "Choice",
    "Client",
    "CloseRequest",
    "ContributorSet",
    "Conviction",
    "DecodeError",
    "Fault",
    "HeldKey",
    "Manifest",
    "Member",
    "MemberShare",
    "MemberStore",
    "MemoryAggregatorStore",
    "MemoryMemberStore",
    "MemoryOutbox",
    "Meter",
    "Outbox",
    "ParameterError",
    "Peer",
    "PeerPolicy",
    "Policy",
    "ProtocolError",
    "Reason",
    "Receipt",
    "Removal",
    "Roster",
    "RosterBook",
    "RoundHeader",
    "RoundResult",
    "Sealed",
    "SenderError",
    "Sent",
    "ServerIdentity",
    "ServerKeys",
    "SignatureError",
    "SignedHeader",
    "SottovoceError",
    "SqliteAggregatorStore",
    "SqliteMemberStore",
    "SqliteOutbox",
    "SqliteRosterBook",
    "Stage",
    "State",
    "Step",
    "StepKind",
    "StoreError",
    "UnsigncryptError",
    "Update",
    "WorkerKeyFile",
    "audit_round",
    "choose",
    "choose_peers",
    "combine_beacon",
    "committee_risk",
    "drop_key",
    "handover",
    "hold_key",
    "judge_conviction",
    "model_digest",
    "plan_round",
    "revocation_digest",
    "show_conviction",
    "update_packet_bytes",
]

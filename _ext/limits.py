"""Every limit of the library, each with its reason.

Outside data is held against these before anything is allocated for it.
"""

from __future__ import annotations

from typing import Final

# -- CBOR ---------------------------------------------------------------------------------------
CBOR_MAX_DEPTH: Final = 8
"""Nesting: our deepest message has 4 levels; the bound keeps the decoder's recursion trivial."""

CBOR_MAX_BYTES: Final = 1 << 24
"""Any structured message; the longest is a member's complaint about every client.  Vectors and packets are
never in CBOR."""

# -- people and rounds --------------------------------------------------------------------------
MAX_CLIENTS: Final = 1 << 20
"""Contributors of one round: a blind epoch issues at most 2**20 pseudonyms (docs/clsc.md)."""

MAX_MEMBERS: Final = 64
"""Committee: subset search at opening and shares per client grow with it; 31 suffices for random ones."""

MIN_CONTRIBUTORS_FLOOR: Final = 3
"""Under three, a sum and one's own update give away a neighbour's."""

MAX_SHARE_EVIDENCE_BYTES: Final = 1 << 15
"""Evidence about a client's packet for one member takes 2 KiB, and twice the parameters of an issuer of 64
servers 14 KiB more."""

MAX_SHOWN_CONVICTION_BYTES: Final = 1 << 19
"""With the longest header 256 KiB, and the evidence about a packet for one member of 64."""

MAX_REMOVALS: Final = 64
"""Times that convicted clients may be taken out of a set that members have answered: a member hashes the
whole list once for each, and an aggregator can always take several clients at once."""

MAX_PEERS: Final = 1 << 12
"""Peers of one roster, and so views of a round: the roster (1.3 MB) is read and checked in one piece, key by
key, in a second.  Rounds of more clients pin their aggregator."""

MAX_READ_KEYS: Final = 256
"""Keys that a trust store keeps decoded: twice those of an aggregator with a full committee, 130."""

MAX_EPOCH_PARAMS_BYTES: Final = 1 << 13
"""Parameters of an issuer of 64 servers take 7 KiB."""

MAX_AUDIT_FIELD_BYTES: Final = 1 << 30
"""The result in an audit record: that of 100 million values takes 0.8 GB.  The header allows less; so it does
for every other part of a record."""

CLOCK_SKEW_S: Final = 120
"""Two machines with NTP agree far better; phones without it rarely drift by more than this."""

ROSTER_MAX_BYTES: Final = 1 << 21
"""MAX_PEERS peers under the longest names take 1.2 MB."""

HEADER_MAX_BYTES: Final = 1 << 18
"""A header with 64 members takes 30 KiB, the layout of a model with 10,000 arrays 200 KiB; and what is not
signed yet must not take a second to read."""

# -- keys, packets of clsc ------------------------------------------------------------------------
MAX_EPOCH_BYTES: Final = 64
"""An epoch is a short name such as ``2026-W47``; it stands in every header."""

MAX_KGC_SERVERS: Final = 64
"""Servers that issue together: verifying parameters costs one multi-exponentiation for each."""

MAX_BLIND_ISSUANCES: Final = 1 << 20
"""Per epoch parameters: one-more static co-CDH loses strength with the number of oracle answers."""

MAX_CHALLENGES: Final = 1 << 17
"""Challenges of an issuer that nobody has answered yet; the oldest are forgotten first (4 MiB).  Each
enrolment file holds two, so 65,536 people may be enrolled before the first of them asks."""

MAX_REVOKED: Final = 1 << 16
"""Keys on one revocation list: 1.3 MB, read and checked in one piece.  Somebody with more to revoke begins a
new epoch."""

MAX_RECEIVERS: Final = 255
"""Slots of one packet, dummies included: the count is one byte."""

MAX_CHUNKS: Final = 1 << 20
"""Chunks of 1 MiB of one packet: 1 TiB, and the STREAM counter is far from wrapping."""

# -- key files -----------------------------------------------------------------------------------
MAX_PASSPHRASE_BYTES: Final = 4096
"""Far beyond what anybody types; a file given as the passphrase by mistake is told."""

MAX_KEYFILE_BYTES: Final = 1 << 16
"""The largest holds the parameters of 64 servers (7 KiB)."""

MAX_KEYFILE_MEMORY_KIB: Final = 1 << 20
"""1 GiB: 16 times what we write.  A file from elsewhere names its own cost before anything shows that it is
genuine, and must not take the machine's memory (RFC 9106 allows 4 TiB)."""

MAX_KEYFILE_PASSES: Final = 16
"""With the largest memory some ten seconds."""

MAX_KEYFILE_LANES: Final = 16
"""Each is a thread."""

# -- dispersal --------------------------------------------------------------------------------------
MAX_DISPERSED_BYTES: Final = 1 << 30
"""One packet cut into shards: AES-GCM takes under 2**31 bytes in one call, and it is all held in memory."""

# -- services over HTTP ---------------------------------------------------------------------------
HTTP_HEAD_BYTES: Final = 1 << 14
"""Request line and headers together; our own requests have under 300 bytes, browsers send a few KiB."""

HTTP_SMALL_BYTES: Final = 1 << 12
"""A body of which nothing but a few fields is expected, and every refusal."""

HTTP_CONNECTIONS: Final = 512
"""Open connections of one service; each costs a descriptor (1024 are usual) and some 100 KiB."""

HTTP_CONNECTIONS_PER_ADDRESS: Final = 128
"""Of them, of one address: a quarter, and many more than it has places for requests."""

HTTP_CONCURRENT: Final = 32
"""Requests of one service that have begun and not ended; each may hold one body in memory."""

HTTP_CONCURRENT_PER_ADDRESS: Final = 12
"""Of them, of one address: a relay needs eleven (one shard, two small things, what it passes on), and devices
behind one router come again when they are told to.  To take all places takes three addresses."""

HTTP_MEMBER_CONCURRENT: Final = 8
"""Of a member: a request may be large."""

HTTP_MEMBER_PER_ADDRESS: Final = 2
"""One aggregator asks one thing at a time, and may ask again before the connection of the first is gone."""

HTTP_BODY_SECONDS: Final = 20.0
"""For which a body may pause, and may be later in all than the slowest line allowed: a radio link that is
lost and found again.  Who sends slower holds a place for nothing.  The same for reading an answer."""

HTTP_SLOWEST_BYTES_PER_SECOND: Final = 18_750
"""150 kbit/s, both ways: a shard of a model of a million parameters takes a minute and a half."""

HTTP_PIECE_BYTES: Final = 1 << 16
"""Of an answer, given to a connection at once: what the system's buffer takes, so that of an answer that is
not read no more than this, and as much again, waits in memory for each connection."""

HTTP_PASSED_ON: Final = 8
"""Models and results that a relay passes on at once, so that three quarters of its places are for shards."""

HTTP_PASSED_ON_PER_ADDRESS: Final = 2
"""Of them, to one address; more are told to come again."""

HTTP_DOWNLOADS: Final = 16
"""Models and results that are on their way at once: half of the requests, so that shards find places."""

HTTP_IDLE_SECONDS: Final = 15.0
"""After which a connection is closed that waits for a request, the first or another, whatever bytes came; and
within which what was answered on a connection that is being closed must have been read."""

HTTP_CHALLENGE_SECONDS: Final = 600
"""For which an issuer's service accepts a challenge: it is answered at once, over a slow line."""

HTTP_PEERS: Final = 4096
"""Addresses whose rate is remembered; whoever is not among them begins with a full bucket."""

HTTP_RATE_PER_SECOND: Final = 200.0
"""Requests of one address on average.  Devices behind one router share an address; a relay that forwards a
round of a thousand clients needs five seconds."""

HTTP_BURST: Final = 1000.0
"""Requests of one address that may come at once: what a relay that was cut off has to catch up with."""

RELAY_QUEUE_BYTES: Final = 1 << 28
"""Shards that a relay holds: 170 of a model of a million parameters in a code (3, 5)."""

SHARD_MAX_BYTES: Final = 1 << 28
"""One shard, whatever the round says: a model of 150 million parameters in a code (3, 5)."""

MODEL_MAX_BYTES: Final = 1 << 30
"""A global model or a result that is fetched: 128 million parameters as float64."""

MEMBER_REPLY_BYTES: Final = 1 << 26
"""A member's check or answer: it shows 5,700 convictions; the header of the round allows less.  A member that
could show more shows the first, and the others when it is asked about the set without those."""

MEMBER_REQUEST_BYTES: Final = 1 << 30
"""A request to a member that closes a round of 16,000 clients; the header of the round allows less."""

"""The round header: everything about a round that all its parties must agree on.

Canonical CBOR, public, signed by the aggregator and co-signed by at least ``t`` members, one per
aggregator, epoch and round number.  Two headers for one round would need ``2t - n > f`` members to
sign twice, so at least one honest member.  It has no seed and no free field, and unknown fields are
refused: what a party could choose, it could choose to mark or to attack one client.  Its hash names
the round: it is the associated data of every packet, the HPKE info of every shard, the key of every
stored record, and the seed of the public ring elements is derived from it.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from functools import cached_property
from typing import Self

import numpy as np

from .. import clsc, he, rs
from .._ext import cbor
from .._ext.enc import enc
from .._ext.errors import DecodeError, ParameterError
from .._ext.limits import HEADER_MAX_BYTES, MAX_CLIENTS, MAX_MEMBERS, MAX_PEERS, MIN_CONTRIBUTORS_FLOOR
from ..he import kahe
from .errors import ProtocolError, Reason
from .server import ServerIdentity, ServerKeys
from .sizes import update_packet_bytes
from .wire import HASH_BYTES, VERSION, expect

_SCHEMA: cbor.Schema = {
    "v": int,
    "aggregator": list,
    "members": list,
    "epoch": bytes,
    "round": int,
    "view": int,
    "sender_params": bytes,
    "committee_params": bytes,
    "revoked": bytes,
    "layout": bytes,
    "model": bytes,
    "clip": float,
    "value_bits": int,
    "max_examples": int,
    "set": str,
    "wire_bits": int,
    "min_contributors": int,
    "max_contributors": int,
    "shard_key": bytes,
    "shard_k": int,
    "shard_n": int,
    "packet_bytes": int,
    "deadline": int,
    "audit_deadline": int,
}
_ENVELOPE_BYTES = 64  # keys, version and length prefixes of a signed header: 42 at most
_INTEGERS = (
    "round_number",
    "view",
    "value_bits",
    "max_examples",
    "wire_bits",
    "min_contributors",
    "max_contributors",
    "shard_k",
    "shard_n",
    "packet_bytes",
    "deadline",
    "audit_deadline",
)
TAG_AGGREGATOR = "SOTTOVOCE-V1-HEADER-AGGREGATOR"
TAG_MEMBER = "SOTTOVOCE-V1-HEADER-MEMBER"


@dataclass(frozen=True)
class RoundHeader:
    """Everything public about one round; an object of this class is always possible.

    :func:`plan_round` makes one, with everything derived that can be.

    Attributes:
        aggregator: Who collects; not a member.
        members: The committee in order; member ``j`` counts from 1.  4 to 64; ``t`` and ``f`` follow.
        epoch: Epoch of the senders' parameters, 1 to 64 bytes.
        round_number: Counts from 0 or 1, never used twice by one aggregator in one epoch.
        sender_params: ``params_id`` of the one set of parameters that contributors' keys are under.
        committee_params: ``params_id`` of the aggregator's and members' keys.
        revoked: Digest of the revocation list in force (:func:`revocation_digest`).
        layout: Shapes and dtypes of the model.
        model: Digest of the global model that clients train on (:func:`sottovoce.fl.model_digest`).
        clip: Values are clipped to ``[-clip, clip]``; positive, and no number that float32 rounds to 0
            unless an array of the model is float64.
        value_bits: Bits of a quantised value, 4 to 24 (:class:`sottovoce.he.Codec`).
        max_examples: Examples that get the largest weight; 0: all clients weigh the same.
        set_name: Parameter set of :mod:`sottovoce.he.kahe`.
        wire_bits: Bits ``W`` of a ciphertext coefficient.
        min_contributors: Fewer, and no member answers; at least 3.
        max_contributors: More are refused.
        shard_key: X25519 public key of the aggregator for shards, 32 bytes.
        shard_k: Shards that suffice.
        shard_n: Shards that a packet is cut into.
        packet_bytes: Every packet is padded to this before it is cut into shards; at least
            :func:`update_packet_bytes`.
        deadline: Unix seconds; nothing is sealed, accepted, checked or answered more than 120 s later
            (clocks differ), so collecting ends well before it.
        audit_deadline: Unix seconds; ciphertexts are kept until then.
        view: How many aggregators before this one were passed over in this round, among peers that take
            turns (:class:`sottovoce.fl.PeerPolicy`); 0 where the aggregator is pinned.

    Raises:
        TypeError: A field of the wrong type.
        ParameterError: A field out of range, or fields that do not fit together.

    Source: docs/fl.md, "Messages".
    """

    aggregator: ServerIdentity
    members: tuple[ServerIdentity, ...]
    epoch: bytes
    round_number: int
    sender_params: bytes
    committee_params: bytes
    revoked: bytes
    layout: he.ModelLayout
    model: bytes
    clip: float
    value_bits: int
    max_examples: int
    set_name: str
    wire_bits: int
    min_contributors: int
    max_contributors: int
    shard_key: bytes
    shard_k: int
    shard_n: int
    packet_bytes: int
    deadline: int
    audit_deadline: int
    view: int = 0

    def __post_init__(self) -> None:
        self._check_types()
        if not 4 <= len(self.members) <= MAX_MEMBERS:
            raise ParameterError(f"members: 4 to {MAX_MEMBERS} expected, got {len(self.members)}")
        servers = (self.aggregator, *self.members)
        if len({s.name for s in servers}) != len(servers):
            raise ParameterError("members: distinct names expected, the aggregator not among them")
        keys = [key.to_bytes() for s in servers for key in (s.sign, s.decrypt)]
        if len(set(keys)) != len(keys):
            raise ParameterError("members: distinct keys expected")
        if any(s.sign.params.params_id != self.committee_params for s in servers):
            raise ParameterError("members: keys under committee_params expected")
        if not 1 <= len(self.epoch) <= 64:
            raise ParameterError(f"epoch: 1 to 64 bytes expected, got {len(self.epoch)}")
        for name in ("sender_params", "committee_params", "revoked", "model", "shard_key"):
            if len(getattr(self, name)) != HASH_BYTES:
                raise ParameterError(f"{name}: {HASH_BYTES} bytes expected, got {len(getattr(self, name))}")
        for name, limit in (("round_number", 1 << 63), ("max_examples", 1 << 53), ("view", MAX_PEERS)):
            if not 0 <= getattr(self, name) < limit:
                raise ParameterError(f"{name}: 0 to {limit - 1} expected, got {getattr(self, name)}")
        if not MIN_CONTRIBUTORS_FLOOR <= self.min_contributors <= self.max_contributors <= MAX_CLIENTS:
            raise ParameterError(
                f"contributors: {MIN_CONTRIBUTORS_FLOOR} <= min <= max <= {MAX_CLIENTS} expected, "
                f"got {self.min_contributors} and {self.max_contributors}"
            )
        if not 0 < self.deadline <= self.audit_deadline < 1 << 53:
            raise ParameterError("deadline: 0 < deadline <= audit_deadline expected")
        # Ties to even: half of the least number of the type that means travel in is 0, and so were all means.
        least_clip = float(np.finfo(self.layout.vector_dtype).smallest_subnormal) / 2
        if 0 < self.clip <= least_clip:
            raise ParameterError(
                f"clip: above {least_clip:.4g} expected where means travel as "
                f"{self.layout.vector_dtype}, got {self.clip:.4g}"
            )
        # Each of these refuses what it cannot be made of.
        _ = self.codec, self.kahe_params
        rs.shard_bytes(self.packet_bytes, self.shard_k, self.shard_n)
        if self.packet_bytes < update_packet_bytes(self.kahe_params):
            least = update_packet_bytes(self.kahe_params)
            raise ParameterError(f"packet_bytes: at least {least} expected, got {self.packet_bytes}")
        # A layout of very many arrays: what is made here must be readable with all its signatures.
        room = HEADER_MAX_BYTES - _ENVELOPE_BYTES - len(servers) * (clsc.SIGNATURE_BYTES + 3)
        if len(self.to_bytes()) > room:
            raise ParameterError(f"header: at most {room} bytes expected, got {len(self.to_bytes())}")

    @cached_property
    def codec(self) -> he.Codec:
        """The codec of the round."""
        return he.Codec(clip=self.clip, value_bits=self.value_bits, max_summands=self.max_contributors)

    @cached_property
    def kahe_params(self) -> kahe.Params:
        """Key-additive parameters: one slot more than the model has values, for the weight."""
        return kahe.Params(
            self.set_name,
            n_slots=self.layout.size + 1,
            value_bits=self.value_bits,
            max_summands=self.max_contributors,
            n_members=len(self.members),
            wire_bits=self.wire_bits,
        )

    def _check_types(self) -> None:
        """Exactly what a reader will want to find, so that nothing is signed that nobody accepts."""
        expect("aggregator", self.aggregator, ServerIdentity)
        if not isinstance(self.members, (tuple, list)):
            raise TypeError(f"members: a sequence expected, got {type(self.members).__name__}")
        for member in self.members:
            expect("members", member, ServerIdentity)
        object.__setattr__(self, "members", tuple(self.members))
        expect("layout", self.layout, he.ModelLayout)
        for name in _INTEGERS:
            expect(name, getattr(self, name), int)
        for name in ("epoch", "sender_params", "committee_params", "revoked", "model", "shard_key"):
            expect(name, getattr(self, name), bytes)
        expect("set_name", self.set_name, str)
        if not isinstance(self.clip, (float, int, np.floating)):
            raise TypeError(f"clip: float expected, got {type(self.clip).__name__}")
        object.__setattr__(self, "clip", float(self.clip))

    @property
    def threshold(self) -> int:
        """Members ``t`` that must sign and answer."""
        return self.kahe_params.threshold

    @cached_property
    def hash(self) -> bytes:
        """SHA-256 of the encoding under its own tag, 32 bytes: the name of the round."""
        return hashlib.sha256(enc("SOTTOVOCE-V1-HEADER", self.to_bytes())).digest()

    def index_of(self, identity: ServerIdentity) -> int:
        """Index of a member, from 1.

        Args:
            identity: Both keys of a server.

        Raises:
            ProtocolError: Not a member (:attr:`Reason.NOT_MEMBER`).
        """
        own = identity.to_list()
        for index, member in enumerate(self.members, 1):
            if member.to_list() == own:
                return index
        raise ProtocolError(Reason.NOT_MEMBER, round_id=self.hash, sender=identity.name)

    def check_servers(self, trust: clsc.TrustStore) -> None:
        """Return if the keys of the aggregator and of all members are acceptable now.

        Args:
            trust: Knows the committee's parameters.

        Raises:
            SenderError: One is unknown, revoked, pinned otherwise, or out of its validity.
        """
        for server in (self.aggregator, *self.members):
            trust.acceptable(server.sign)
            trust.acceptable(server.decrypt)

    @cached_property
    def _encoded(self) -> bytes:
        return cbor.dumps(
            {
                "v": VERSION,
                "aggregator": self.aggregator.to_list(),
                "members": [member.to_list() for member in self.members],
                "epoch": self.epoch,
                "round": self.round_number,
                "view": self.view,
                "sender_params": self.sender_params,
                "committee_params": self.committee_params,
                "revoked": self.revoked,
                "layout": self.layout.to_bytes(),
                "model": self.model,
                "clip": float(self.clip),
                "value_bits": self.value_bits,
                "max_examples": self.max_examples,
                "set": self.set_name,
                "wire_bits": self.wire_bits,
                "min_contributors": self.min_contributors,
                "max_contributors": self.max_contributors,
                "shard_key": self.shard_key,
                "shard_k": self.shard_k,
                "shard_n": self.shard_n,
                "packet_bytes": self.packet_bytes,
                "deadline": self.deadline,
                "audit_deadline": self.audit_deadline,
            }
        )

    def to_bytes(self) -> bytes:
        """Canonical CBOR."""
        return self._encoded

    @classmethod
    def from_bytes(cls, data: bytes, trust: clsc.TrustStore) -> Self:
        """Parse and check a header; its signatures are :class:`SignedHeader`'s matter.

        Args:
            data: Canonical CBOR.
            trust: Knows the parameters of the servers' keys.

        Raises:
            DecodeError: Not the canonical encoding of a possible header.
            SenderError: A server key is under parameters that ``trust`` does not know.
        """
        fields = cbor.loads_map(data, _SCHEMA, max_bytes=HEADER_MAX_BYTES)
        if fields["v"] != VERSION:
            raise DecodeError(f"header: version {VERSION} expected")
        try:
            return cls(
                aggregator=ServerIdentity.from_list(fields["aggregator"], trust),
                members=tuple(
                    ServerIdentity.from_list(m, trust) for m in fields["members"][: MAX_MEMBERS + 1]
                ),
                epoch=fields["epoch"],
                round_number=fields["round"],
                sender_params=fields["sender_params"],
                committee_params=fields["committee_params"],
                revoked=fields["revoked"],
                layout=he.ModelLayout.from_bytes(fields["layout"]),
                model=fields["model"],
                clip=fields["clip"],
                value_bits=fields["value_bits"],
                max_examples=fields["max_examples"],
                set_name=fields["set"],
                wire_bits=fields["wire_bits"],
                min_contributors=fields["min_contributors"],
                max_contributors=fields["max_contributors"],
                shard_key=fields["shard_key"],
                shard_k=fields["shard_k"],
                shard_n=fields["shard_n"],
                packet_bytes=fields["packet_bytes"],
                deadline=fields["deadline"],
                audit_deadline=fields["audit_deadline"],
                view=fields["view"],
            )
        except ParameterError as error:
            raise DecodeError(f"header: {error}") from None

    def sign(self, keys: ServerKeys) -> bytes:
        """The aggregator's or a member's signature on this header, 176 bytes.

        Args:
            keys: The server's.

        Raises:
            ProtocolError: ``keys`` are neither the aggregator's nor a member's.

        Timing: as :func:`sottovoce.clsc.sign`.
        """
        if keys.public.to_list() == self.aggregator.to_list():
            return clsc.sign(keys.sign, enc(TAG_AGGREGATOR, self.hash))
        return clsc.sign(keys.sign, enc(TAG_MEMBER, self.hash, self.index_of(keys.public)))


def revocation_digest(pids: frozenset[bytes]) -> bytes:
    """Digest of a revocation list, 32 bytes; the same for the same set of pids.

    Args:
        pids: 16 bytes each.

    Returns:
        ``SHA-256(enc(tag, count, pids ascending))``.

    Source: docs/fl.md, "Messages".
    """
    return hashlib.sha256(enc("SOTTOVOCE-V1-REVOKED", len(pids), *sorted(pids))).digest()


def check_sender(header: RoundHeader, sender: clsc.PublicKey) -> None:
    """A contributor's key must be a ``sign`` key under the ONE set of parameters of the header.

    Raises:
        ProtocolError: It is not (:attr:`Reason.SENDER_PARAMS`).
    """
    if sender.params.params_id != header.sender_params or sender.usage is not clsc.Usage.SIGN:
        raise ProtocolError(Reason.SENDER_PARAMS, round_id=header.hash, sender=sender.pid)

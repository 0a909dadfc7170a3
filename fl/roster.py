"""The roster: who the peers are, said by the issuer before anybody can know what it will decide.

The issuer's root key signs it as a notice.  It names the first round that it is for, the size of the
committee, the length of a view and the key of the beacon, so that everything that enters a choice but the
beacon itself is fixed in one document.  Ids are the names under which the issuer enrolled the peers: a key
that a peer chose itself could be chosen so that it comes first.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cached_property
from itertools import pairwise
from typing import Self

from .. import clsc
from .._ext import cbor
from .._ext.enc import sha256_enc
from .._ext.errors import DecodeError, ParameterError
from .._ext.limits import MAX_MEMBERS, MAX_PEERS, ROSTER_MAX_BYTES
from .beacon import MAX_ROUND
from .server import ServerIdentity
from .wire import VERSION, expect

_TOPIC = "roster"
_SCHEMA: cbor.Schema = {
    "v": int,
    "epoch": bytes,
    "version": int,
    "first_round": int,
    "committee": int,
    "view_s": int,
    "beacon": bytes,
    "peers": list,
}
_MAX_VIEW_S = 86_400
_MAX_VERSION = (1 << 32) - 1


@dataclass(frozen=True)
class Roster:
    """The peers of an epoch from one round on; an object of this class is always possible.

    Attributes:
        epoch: Epoch of the senders' parameters, 1 to 64 bytes; that of the beacon.
        version: From 1; a later roster of the epoch has a larger one, and a later first round.
        first_round: The first round it is for, from 1; it stays in force until the first of the next one.
        committee: Members ``n`` of every committee, 4 to 64.
        view_s: Seconds that an aggregator has before the next one takes over, 1 to 86,400.  The last 120 of
            them are kept free for clocks that differ (:meth:`Peer.propose`): take what a round needs and
            120 more, and never less than ten minutes between machines of different owners.
        beacon_key: Whose signatures are the beacon; the same for the whole epoch.
        peers: By name, ascending; distinct names and keys under one set of parameters; at least
            ``committee + 1``, at most 4,096.

    Raises:
        TypeError: A field of the wrong type.
        ParameterError: A field out of range, or fields that do not fit together.

    Source: docs/fl-peers.md, "Messages".
    """

    epoch: bytes
    version: int
    first_round: int
    committee: int
    view_s: int
    beacon_key: clsc.BlsPublicKey
    peers: tuple[ServerIdentity, ...] = field(repr=False)

    def __post_init__(self) -> None:
        expect("epoch", self.epoch, bytes)
        expect("beacon_key", self.beacon_key, clsc.BlsPublicKey)
        if not isinstance(self.peers, Sequence):
            raise TypeError(f"peers: a sequence expected, got {type(self.peers).__name__}")
        for peer in self.peers:
            expect("peers", peer, ServerIdentity)
        object.__setattr__(self, "peers", tuple(self.peers))
        if not 1 <= len(self.epoch) <= 64:
            raise ParameterError(f"epoch: 1 to 64 bytes expected, got {len(self.epoch)}")
        for name, least, most in (
            ("version", 1, _MAX_VERSION),
            ("first_round", 1, MAX_ROUND),
            ("committee", 4, MAX_MEMBERS),
            ("view_s", 1, _MAX_VIEW_S),
        ):
            number = getattr(self, name)
            expect(name, number, int)
            if not least <= number <= most:
                raise ParameterError(f"{name}: {least} to {most} expected, got {number}")
        if not self.committee < len(self.peers) <= MAX_PEERS:
            raise ParameterError(
                f"peers: {self.committee + 1} to {MAX_PEERS} expected, got {len(self.peers)}"
            )
        if any(a.name >= b.name for a, b in pairwise(self.peers)):
            raise ParameterError("peers: distinct names in ascending order expected")
        keys = [key.to_bytes() for peer in self.peers for key in (peer.sign, peer.decrypt)]
        if len(set(keys)) != len(keys):
            raise ParameterError("peers: distinct keys expected")
        if len({peer.sign.params.params_id for peer in self.peers}) != 1:
            raise ParameterError("peers: keys under one set of parameters expected")

    @property
    def names(self) -> tuple[bytes, ...]:
        """The ids that are ranked, ascending."""
        return tuple(peer.name for peer in self.peers)

    @cached_property
    def by_name(self) -> dict[bytes, ServerIdentity]:
        """Name -> keys."""
        return {peer.name: peer for peer in self.peers}

    @property
    def views(self) -> int:
        """Aggregators that a round may have one after the other: all that are not in the committee."""
        return len(self.peers) - self.committee

    @cached_property
    def digest(self) -> bytes:
        """``SHA-256(enc("SOTTOVOCE-V1-ROSTER", body))``, 32 bytes: peers compare it with each other."""
        return sha256_enc("SOTTOVOCE-V1-ROSTER", self._body)

    @cached_property
    def _body(self) -> bytes:
        return cbor.dumps(
            {
                "v": VERSION,
                "epoch": self.epoch,
                "version": self.version,
                "first_round": self.first_round,
                "committee": self.committee,
                "view_s": self.view_s,
                "beacon": self.beacon_key.to_bytes(),
                "peers": [peer.to_list() for peer in self.peers],
            }
        )

    def sign(self, root: clsc.RootKey) -> bytes:
        """The roster as the issuer publishes it: well before the beacon of its first round.

        Args:
            root: The issuer's.

        Raises:
            TypeError: Not a root key.

        Timing: secret is the signing key only; Ed25519 of ``cryptography``.
        """
        return clsc.sign_notice(root, _TOPIC, self._body)

    @classmethod
    def from_bytes(cls, data: bytes, trust: clsc.TrustStore) -> Self:
        """Parse a signed roster.

        Args:
            data: From :meth:`sign`.
            trust: Pins the issuer's root key, and knows the parameters of the peers' keys.

        Raises:
            TypeError: Wrong types.
            DecodeError: Not signed by the root, not canonical, or not a possible roster.
            SenderError: The peers' keys are under parameters that ``trust`` does not know.
        """
        expect("trust", trust, clsc.TrustStore)
        body = clsc.read_notice(data, _TOPIC, trust.root_public_key, max_bytes=ROSTER_MAX_BYTES)
        fields = cbor.loads_map(body, _SCHEMA, max_bytes=ROSTER_MAX_BYTES)
        if fields["v"] != VERSION:
            raise DecodeError(f"roster: version {VERSION} expected")
        if len(fields["peers"]) > MAX_PEERS:
            raise DecodeError(f"roster: at most {MAX_PEERS} peers expected")
        try:
            return cls(
                epoch=fields["epoch"],
                version=fields["version"],
                first_round=fields["first_round"],
                committee=fields["committee"],
                view_s=fields["view_s"],
                beacon_key=clsc.BlsPublicKey.from_bytes(fields["beacon"]),
                peers=tuple(ServerIdentity.from_list(peer, trust) for peer in fields["peers"]),
            )
        except ParameterError as error:
            raise DecodeError(f"roster: {error}") from None

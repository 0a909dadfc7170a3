"""A federation of one size, ready to be measured: keys, a signed header, and one round recorded.

What a role does depends on what the others sent, so a round is played once and its messages are kept: then
each role can be timed alone, again and again, on the same inputs.
"""

from __future__ import annotations

import functools
import time
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from ... import clsc, fl, rs
from ...fl import simulate

CLIP: Final = 1.0
MEMBERS: Final = 5
MAX_CONTRIBUTORS: Final = 64
MAX_EXAMPLES: Final = 1000

Arrays = list[NDArray[np.float32]]


@functools.cache
def vectors(n_parameters: int, n_clients: int) -> tuple[Arrays, ...]:
    """The clients' updates, the same for us and for peers: one float32 array each."""
    rng = np.random.default_rng(n_parameters)
    return tuple([rng.normal(0.0, 0.1, size=n_parameters).astype(np.float32)] for _ in range(n_clients))


def examples(client: int) -> int:
    """Size of the data behind a client's update."""
    return 100 + 10 * client


@dataclass(frozen=True)
class World:
    """One federation.

    Attributes:
        n_parameters: Size of the model.
        n_clients: Contributors.
        aggregator_keys: The aggregator's.
        member_keys: The committee's.
        client_keys: One a client.
        trust: What everybody believes.
        policy: Everybody's.
        shard_key: The aggregator's.
        model: The global model.
    """

    n_parameters: int
    n_clients: int
    aggregator_keys: fl.ServerKeys
    member_keys: tuple[fl.ServerKeys, ...]
    client_keys: tuple[clsc.SecretKey, ...]
    trust: clsc.TrustStore
    policy: fl.Policy
    shard_key: rs.ShardKey
    model: Arrays

    @functools.cached_property
    def header(self) -> fl.RoundHeader:
        """The round's header."""
        now = int(time.time())
        return fl.plan_round(
            self.model,
            aggregator=self.aggregator_keys.public,
            members=[keys.public for keys in self.member_keys],
            shard_key=self.shard_key.public_key,
            sender_params=self.client_keys[0].public_key.params,
            trust=self.trust,
            round_number=1,
            clip=CLIP,
            deadline=now + 7200,
            audit_deadline=now + 14_400,
            max_examples=MAX_EXAMPLES,
            min_contributors=self.policy.min_contributors,
            max_contributors=max(MAX_CONTRIBUTORS, self.n_clients),
        )

    @functools.cached_property
    def signatures(self) -> dict[int, bytes]:
        """The members' signatures on the header."""
        proposal = fl.SignedHeader.propose(self.header, self.aggregator_keys).to_bytes()
        return {j: member.cosign(proposal) for j, member in enumerate(self.members(), 1)}

    @functools.cached_property
    def signed_header(self) -> bytes:
        """What the clients get."""
        return self.sign().to_bytes()

    def sign(self) -> fl.SignedHeader:
        """The aggregator's part of it: propose, and put the members' signatures together."""
        proposal = fl.SignedHeader.propose(self.header, self.aggregator_keys)
        return proposal.with_members(self.signatures)

    def members(self) -> list[fl.Member]:
        """The committee, without a past."""
        return [fl.Member(keys, self.trust, self.policy) for keys in self.member_keys]

    def client(self, index: int) -> fl.Client:
        """A client without a past: one answers a header once."""
        return fl.Client(self.client_keys[index], self.trust, self.policy)

    def seal(self, index: int, client: fl.Client | None = None) -> fl.Sealed:
        """All that a client does in a round."""
        client = client if client is not None else self.client(index)
        update = vectors(self.n_parameters, self.n_clients)[index]
        return client.seal(self.signed_header, self.model, update, examples=examples(index))

    @functools.cached_property
    def packets(self) -> list[bytes]:
        """Every client's packet."""
        return [self.seal(i).packet for i in range(self.n_clients)]

    def aggregator(self, signed: fl.SignedHeader | None = None) -> fl.Aggregator:
        """The aggregator at the beginning of the round."""
        return fl.Aggregator(
            self.aggregator_keys, self.shard_key, self.trust, self.signed_header if signed is None else signed
        )

    @functools.cached_property
    def requests(self) -> dict[int, bytes]:
        """What the members are asked; the same from every aggregator with these packets."""
        return self._collected().close(check_first=False)

    @functools.cached_property
    def answers(self) -> dict[int, bytes]:
        """The members' answers."""
        members = self.members()
        return {j: members[j - 1].answer(self.signed_header, r) for j, r in self.requests.items()}

    def _collected(self, signed: fl.SignedHeader | None = None) -> fl.Aggregator:
        aggregator = self.aggregator(signed)
        for packet in self.packets:
            aggregator.receive_packet(packet)
        aggregator.process()
        return aggregator

    def serve(self) -> bytes:
        """All that the aggregator does in a round, from the header to the signed result.

        It opens the answers of as many members as it needs, as the aggregator's service does.
        """
        answers = dict(list(self.answers.items())[: self.header.threshold])
        aggregator = self._collected(self.sign())
        aggregator.close(check_first=False)
        for refused in aggregator.receive_answers(answers).values():
            raise refused
        return aggregator.publish(aggregator.open())


@functools.cache
def world(n_parameters: int, n_clients: int) -> World:
    """A federation with fresh keys."""
    authority = simulate.Authority(b"bench", int(time.time()), 86_400)
    names = [b"aggregator", *(f"member-{j}".encode() for j in range(1, MEMBERS + 1))]
    aggregator, *members = (authority.server(name) for name in names)
    return World(
        n_parameters,
        n_clients,
        aggregator,
        tuple(members),
        tuple(authority.pseudonym(f"device-{i}") for i in range(n_clients)),
        authority.trust(),
        fl.Policy(
            aggregators=frozenset(names[:1]), members=frozenset(names[1:]), min_contributors=min(8, n_clients)
        ),
        rs.ShardKey.generate(),
        [np.zeros(n_parameters, np.float32)],
    )

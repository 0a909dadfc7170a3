"""Five clients, five committee members: the sum of five vectors, while nobody sees a single one.

Four of the five members must answer, so one may be away.  Every client's own policy asks for five
contributors: with fewer the round does not open.  Run it with ``python examples/vector_sum.py``; it needs
the core package only.  Weights, lost shards and a client's list are in ``private_round.py``.
"""

import time

import numpy as np

from sottovoce import clsc, fl, rs

CLIENTS, MEMBERS, CLIP = 5, 5, 100.0
now = int(time.time())

# -- An issuer: names for servers, pseudonyms for clients.  Everybody pins its root key.
root, span = clsc.RootKey.generate(), {"not_before": now, "not_after": now + 86_400}
names = clsc.MasterKey.generate(root, clsc.Mode.IDENTITY, b"today", **span)
pseudonyms = clsc.MasterKey.generate(root, clsc.Mode.BLIND, b"today", **span)
name_issuer, pseudonym_issuer = clsc.Issuer(names), clsc.Issuer(pseudonyms)
trust = clsc.TrustStore(root.public_key)
trust.add(names.params)
trust.add(pseudonyms.params)


def server(name: str) -> fl.ServerKeys:
    """Two keys under one name: one signs, one opens."""
    token = name_issuer.enrol(name)
    keys = []
    for usage in (clsc.Usage.SIGN, clsc.Usage.DECRYPT):
        request = clsc.IdentityRequest(names.params, usage, name.encode(), token)
        keys.append(request.finish(name_issuer.issue(name, request.to_bytes(name_issuer.challenge()))))
    return fl.ServerKeys(*keys)


def device(name: str) -> clsc.SecretKey:
    """A key that the issuer will not recognise."""
    request = clsc.BlindRequest(pseudonyms.params, clsc.Usage.SIGN, pseudonym_issuer.enrol(name))
    return request.finish(pseudonym_issuer.issue(name, request.to_bytes()))


aggregator_keys, shard_key = server("aggregator"), rs.ShardKey.generate()
member_keys = [server(f"member {j}") for j in range(1, MEMBERS + 1)]

# -- What each client and member insists on, whatever a header says: whom it trusts, and five contributors.
policy = fl.Policy(
    aggregators=frozenset({b"aggregator"}),
    members=frozenset(keys.public.name for keys in member_keys),
    min_contributors=5,
)
members = [fl.Member(keys, trust, policy) for keys in member_keys]
clients = [fl.Client(device(f"device {i}"), trust, policy) for i in range(CLIENTS)]

# -- One round for vectors of eight numbers.  The aggregator proposes it, the members co-sign.
start = [np.zeros(8)]
header = fl.plan_round(
    start,
    aggregator=aggregator_keys.public,
    members=[keys.public for keys in member_keys],
    shard_key=shard_key.public_key,
    sender_params=pseudonyms.params,
    trust=trust,
    round_number=1,
    clip=CLIP,
    max_examples=1,  # a sum of vectors: nobody counts more than another
    min_contributors=5,
    max_contributors=16,
    shard_k=1,
    shard_n=1,
    deadline=now + 600,
    audit_deadline=now + 3600,
)
proposal = fl.SignedHeader.propose(header, aggregator_keys)
signatures = {j: member.cosign(proposal.to_bytes()) for j, member in enumerate(members, 1)}
signed_header = proposal.with_members(signatures).to_bytes()


def collect(chosen: list[int]) -> fl.Aggregator:
    """The packets of these clients, as the aggregator gets them."""
    aggregator = fl.Aggregator(aggregator_keys, shard_key, trust, signed_header)
    for i in chosen:
        for shard in packets[i]:
            aggregator.receive_shard(shard, 0)
    return aggregator


# -- Each client seals its vector once; then it may go offline.
vectors = np.random.default_rng(1).integers(-90, 90, (CLIENTS, 8)).astype(np.float64)
packets = [
    client.seal(signed_header, start, [vector], examples=1).shards()
    for client, vector in zip(clients, vectors, strict=True)
]

# -- Four contributors are too few: the header says five, and with less no client would have sealed for it.
try:
    collect([0, 1, 2, 3]).close(check_first=False)
except fl.ProtocolError as refusal:
    print("refused:", refusal)
else:
    raise SystemExit("a round of four was closed")

# -- All five: each member adds the shares of exactly these.  Three answers do not open the sum, four do.
aggregator = collect([0, 1, 2, 3, 4])
requests = aggregator.close(check_first=False)
answers = {j: members[j - 1].answer(signed_header, requests[j]) for j in (1, 2, 3, 5)}  # the fourth is away
if aggregator.receive_answers({j: answers[j] for j in (1, 2, 3)}):
    raise SystemExit("an answer was refused")
try:
    aggregator.open()
except fl.ProtocolError as refusal:
    print("refused:", refusal)
else:
    raise SystemExit("three members opened the sum")
if aggregator.receive_answers({5: answers[5]}):
    raise SystemExit("an answer was refused")
result = aggregator.open()

# -- The mean of five vectors times five.  A number was rounded to a step of CLIP / 32767 before it left.
total = CLIENTS * header.layout.unflatten(result.mean)[0]
print("sum of the vectors:    ", vectors.sum(axis=0))
print("what was opened:       ", total.round(2))
if np.abs(total - vectors.sum(axis=0)).max() > CLIENTS * CLIP / 32767:
    raise SystemExit("the sum is wrong")
print("nobody but its owner has seen any of the five vectors")

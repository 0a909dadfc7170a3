"""One private round with every role written out: who holds what, and which bytes go where.

Run it with ``python examples/private_round.py``; it needs the core package only.  In a deployment each
role is its own process; here the bytes are handed over by function calls.
"""

import time

import numpy as np

from sottovoce import clsc, fl, rs

EPOCH = b"2026-11-22"
now = int(time.time())


def enrol_server(issuer: clsc.Issuer, params: clsc.EpochParams, name: str) -> fl.ServerKeys:
    """A server asks for its two keys under its name; the token came to it out of band."""
    token = issuer.enrol(name)
    keys = []
    for usage in (clsc.Usage.SIGN, clsc.Usage.DECRYPT):
        request = clsc.IdentityRequest(params, usage, name.encode(), token)
        keys.append(request.finish(issuer.issue(name, request.to_bytes(issuer.challenge()))))
    return fl.ServerKeys(*keys)


def enrol_device(issuer: clsc.Issuer, params: clsc.EpochParams, name: str) -> clsc.SecretKey:
    """A device asks for a pseudonym that the issuer will not recognise."""
    request = clsc.BlindRequest(params, clsc.Usage.SIGN, issuer.enrol(name))
    return request.finish(issuer.issue(name, request.to_bytes()))


# -- The issuer: one root key, and for this epoch one master key for names and one for pseudonyms.
root = clsc.RootKey.generate()
span = {"not_before": now, "not_after": now + 86_400}  # a short epoch: keys are erased with it
names = clsc.MasterKey.generate(root, clsc.Mode.IDENTITY, EPOCH, **span)
pseudonyms = clsc.MasterKey.generate(root, clsc.Mode.BLIND, EPOCH, **span)
name_issuer, pseudonym_issuer = clsc.Issuer(names), clsc.Issuer(pseudonyms)

# -- Everybody pins the root and reads the signed parameters.
trust = clsc.TrustStore(root.public_key)
trust.add_bytes(names.params.to_bytes())
trust.add_bytes(pseudonyms.params.to_bytes())

# -- Servers, and the conditions that clients and members set before any header exists.
aggregator_keys = enrol_server(name_issuer, names.params, "aggregator")
member_keys = [enrol_server(name_issuer, names.params, f"member {j}") for j in range(1, 6)]
shard_key = rs.ShardKey.generate()
policy = fl.Policy(
    aggregators=frozenset({b"aggregator"}),
    members=frozenset(keys.public.name for keys in member_keys),
    min_contributors=8,
)
members = [fl.Member(keys, trust, policy) for keys in member_keys]
clients = [
    fl.Client(enrol_device(pseudonym_issuer, pseudonyms.params, f"device {i}"), trust, policy)
    for i in range(10)
]

# -- The header: proposed by the aggregator, co-signed by the members.
model = [np.zeros((20, 10), dtype=np.float32), np.zeros(10, dtype=np.float32)]
header = fl.plan_round(
    model,
    aggregator=aggregator_keys.public,
    members=[keys.public for keys in member_keys],
    shard_key=shard_key.public_key,
    sender_params=pseudonyms.params,
    trust=trust,
    round_number=1,
    clip=1.0,
    max_examples=500,
    min_contributors=8,
    max_contributors=64,
    shard_k=3,
    shard_n=5,
    deadline=now + 3600,  # for sealing, collecting, checking and answering
    audit_deadline=now + 86_400,
)
proposal = fl.SignedHeader.propose(header, aggregator_keys)
signatures = {j: member.cosign(proposal.to_bytes()) for j, member in enumerate(members, 1)}
signed_header = proposal.with_members(signatures).to_bytes()

# -- Clients: one message each, in five shards over five relays; then they may go offline.
aggregator = fl.Aggregator(aggregator_keys, shard_key, trust, signed_header)
generator = np.random.default_rng(1)
updates = [[generator.normal(scale=0.1, size=a.shape).astype(np.float32) for a in model] for _ in clients]
examples = [int(n) for n in generator.integers(50, 500, size=len(clients))]
for client, update, n in zip(clients, updates, examples, strict=True):
    sealed = client.seal(signed_header, model, update, examples=n)
    for relay, shard in enumerate(sealed.shards()[:3]):  # two of the five get lost: three suffice
        aggregator.receive_shard(shard, relay)

# -- Closing: members check the set and answer for exactly it, or refuse.  The fifth one is out today.
requests = aggregator.close(check_first=False)
answers = {j: members[j - 1].answer(signed_header, requests[j]) for j in range(1, 5)}
refused = aggregator.receive_answers(answers)  # who, and why
if refused:
    raise SystemExit(f"members answered wrongly: {refused}")
published = aggregator.publish(aggregator.open())

# -- A client reads the result.
result = clients[0].read_result(signed_header, published)
mean = header.layout.unflatten(result.mean)
expected = [np.average([u[i] for u in updates], axis=0, weights=examples) for i in range(len(model))]
error = max(float(np.abs(a - b).max()) for a, b in zip(mean, expected, strict=True))
print(f"{result.agreed.count} contributors, in the list: {clients[0].included(result)}")
print(f"largest difference to the plain weighted mean: {error:.1e}")
if error > 1e-3 or result.agreed.count != len(clients) or not clients[0].included(result):
    raise SystemExit("the mean is not that of all clients")

# -- What must not work: a device that never agreed to this aggregator seals nothing for it.
careful = fl.Policy(aggregators=frozenset({b"somebody else"}), members=policy.members)
device = fl.Client(enrol_device(pseudonym_issuer, pseudonyms.params, "device 10"), trust, careful)
try:
    device.seal(signed_header, model, updates[0], examples=1)
except fl.ProtocolError as refusal:
    print("refused:", refusal)
else:
    raise SystemExit("an update was sealed for an aggregator that the device does not trust")

"""Two kinds of pseudonym: one that its issuer can open, with proof, and one that nobody can.

*traceable*: the issuer knows whose it is and can show it, with a signature of the holder that nobody else
could have made.  *blind*: the issuer signs without seeing; all it knows is how many it gave to whom.  Run it
with ``python examples/pseudonyms.py``; it needs the core package only.
"""

import time

from sottovoce import clsc

now = int(time.time())
span = {"not_before": now, "not_after": now + 86_400}

# -- One root key, and an epoch of each kind.
root = clsc.RootKey.generate()
names = clsc.MasterKey.generate(root, clsc.Mode.IDENTITY, b"2026", **span)
traceable = clsc.MasterKey.generate(root, clsc.Mode.TRACEABLE, b"2026-W47", **span)
blind = clsc.MasterKey.generate(root, clsc.Mode.BLIND, b"2026-W47", **span)
trust = clsc.TrustStore(root.public_key)
for master in (names, traceable, blind):
    trust.add(master.params)

# -- Alice has a key under her name: it signs her requests for traceable pseudonyms.
issuer = clsc.Issuer(names)
request = clsc.IdentityRequest(names.params, clsc.Usage.SIGN, b"alice", issuer.enrol("alice"))
alice = request.finish(issuer.issue("alice", request.to_bytes(issuer.challenge())))

# -- A traceable pseudonym.  Request and answer show both names: they travel over a confidential channel.
issuer = clsc.Issuer(traceable, tracing_key=clsc.TracingKey.generate(), trust=trust)
issuer.enrol("alice")
request = clsc.TraceableRequest(traceable.params, clsc.Usage.SIGN, alice)
mask = request.finish(issuer.issue("alice", request.to_bytes()))
statement = clsc.sign(mask, b"the water is not clean")
clsc.verify(mask.public_key, b"the water is not clean", statement)
if b"alice" in mask.public_key.to_bytes():
    raise SystemExit("the name can be seen in the pseudonym")
print("traceable: signed by", mask.public_key.identity.hex()[:16] + "..., and everybody can check it")

# -- The issuer opens it.  The proof holds for whoever trusts the root key, and does not rest on the
#    issuer's word: in it is Alice's own signature.
trace = clsc.Trace.from_bytes(issuer.trace(mask.public_key).to_bytes(), trust)
trace.verify(trust)
if trace.name != b"alice":
    raise SystemExit("the trace names somebody else")
print("traceable: the issuer shows that it was", trace.name.decode())

# -- Two blind pseudonyms: Bob may have two, and the issuer never sees which keys became of its answers.
issuer = clsc.Issuer(blind)
token = issuer.enrol("bob", quota=2)
seen_by_issuer, masks = [], []
for _ in range(2):
    request = clsc.BlindRequest(blind.params, clsc.Usage.SIGN, token)
    asked = request.to_bytes()
    answer = issuer.issue("bob", asked)
    seen_by_issuer += [asked, answer]
    masks.append(request.finish(answer))
for mask in masks:
    clsc.verify(mask.public_key, b"so say I", clsc.sign(mask, b"so say I"))
    if any(mask.public_key.X in message for message in seen_by_issuer):
        raise SystemExit("the issuer has seen a key that it issued")
if masks[0].public_key == masks[1].public_key:
    raise SystemExit("both pseudonyms are one")
print("blind: two keys that the issuer would not recognise, and nobody can tell that they are one person's")

# -- But no third: what everybody knows of a blind pseudonym is that it cost a unit of somebody's quota.
try:
    issuer.issue("bob", clsc.BlindRequest(blind.params, clsc.Usage.SIGN, token).to_bytes())
except clsc.IssueError as refusal:
    print("refused:", refusal)
else:
    raise SystemExit("a third key was issued")

"""A file sealed to three people: each opens it, nobody else can, and nobody sees whom it is for.

Run it with ``python examples/file_to_three.py``; it needs the core package only.  The same from a shell:
``sottovoce seal FILE --to bob --to carol --to dave`` (docs/cli.md).
"""

import tempfile
import time
from pathlib import Path

from sottovoce import clsc

now = int(time.time())

# -- An issuer gives everybody keys under a name; all pin its root key.
root = clsc.RootKey.generate()
master = clsc.MasterKey.generate(root, clsc.Mode.IDENTITY, b"2026", not_before=now, not_after=now + 86_400)
issuer = clsc.Issuer(master)
trust = clsc.TrustStore(root.public_key)
trust.add(master.params)


def key(name: str, usage: clsc.Usage) -> clsc.SecretKey:
    """Ask for a key.  Half of its secret never leaves whoever asks: the issuer opens nothing sealed to it."""
    request = clsc.IdentityRequest(master.params, usage, name.encode(), issuer.enrol(name))
    return request.finish(issuer.issue(name, request.to_bytes(issuer.challenge())))


alice = key("alice", clsc.Usage.SIGN)
bob, carol, dave, eve = (key(name, clsc.Usage.DECRYPT) for name in ("bob", "carol", "dave", "eve"))

with tempfile.TemporaryDirectory() as folder:
    plan, packet = Path(folder, "plan.txt"), Path(folder, "plan.svs")
    plan.write_text("We meet at noon, under the bridge.\n" * 50_000)  # 1.7 MiB; up to 1 TiB will do

    # -- Alice seals.  ``pad`` hides the exact length, the two dummies how many receivers there are.
    receivers = [bob.public_key, carol.public_key, dave.public_key]
    context = b"example: plan of the week"
    sealed = clsc.signcrypt_file(
        plan, packet, sender=alice, receivers=receivers, ad=context, pad=True, dummy_slots=2, trust=trust
    )
    print(f"sealed {sealed.plaintext_bytes:,} bytes to three people, in a packet of {sealed.n_bytes:,} bytes")

    # -- Each of the three opens it, and learns who sent it.  A file appears whole or not at all.
    for receiver in (bob, carol, dave):
        name = receiver.public_key.identity.decode()
        opened_file = Path(folder, f"plan-of-{name}.txt")
        opened = clsc.unsigncrypt_file(packet, opened_file, receiver=receiver, trust=trust, ad=context)
        if opened_file.read_bytes() != plan.read_bytes() or opened.sender != alice.public_key:
            raise SystemExit(f"{name} did not get what alice sent")
        print(f"{name} opened it; it is from {opened.sender.identity.decode()}")

    # -- Nobody is named in the packet.
    data = packet.read_bytes()
    if any(k.identity in data or k.X in data for k in [alice.public_key, *receivers]):
        raise SystemExit("a name or a key can be seen in the packet")
    print("neither names nor keys can be seen in it")

    # -- Who is no receiver gets the same refusal as for an altered packet: it says nothing.
    nothing = Path(folder, "nothing.txt")
    try:
        clsc.unsigncrypt_file(packet, nothing, receiver=eve, trust=trust, ad=context)
    except clsc.UnsigncryptError as refusal:
        if nothing.exists():
            raise SystemExit("a file is there that must not be") from refusal
        print("refused:", refusal)
    else:
        raise SystemExit("eve opened what was not for her")

"""Tripwires: the bytes of every serialised type, and the public names."""

import hashlib

from sottovoce import clsc
from sottovoce.clsc import BlindRequest, IdentityRequest, Mode, Usage, hashes, issue_wire, signature
from sottovoce.clsc import signcryption as sc
from support.clsc_world import Drbg, World

FROZEN = "e5238b8342b9d09bd87954be875e452c37ec535a6cac0ebb42f96cc6f9a56791"


def test_wire_frozen():
    """If this fails, the wire format changed: a new version byte and a line in CHANGELOG are due."""
    world = World("frozen", b"epoch")
    digest = hashlib.sha256()
    for mode in Mode:
        digest.update(world.params[mode].to_bytes())
        for usage in Usage:
            digest.update(world.key("someone", usage, mode).public_key.to_bytes())
    token = Drbg("token")(32)
    asked = IdentityRequest._derand(world.params[Mode.IDENTITY], Usage.SIGN, b"id", token, Drbg("i"))
    digest.update(asked._to_bytes_derand(bytes(32), Drbg("p")))
    digest.update(issue_wire.seal_partial_key(asked.public_key, world.signer()._D.point, Drbg("e")))
    digest.update(BlindRequest._derand(world.params[Mode.BLIND], Usage.SIGN, token, Drbg("b")).to_bytes())
    for context in ("message", "packet", "issue"):
        transcript = hashes.message_transcript(b"frozen")
        digest.update(signature._sign_derand(world.signer(), context, transcript, Drbg(context)))
    receivers = [world.receiver(f"r{i}").public_key for i in range(3)]
    for text, pad, dummies in ((b"", False, 0), (b"t" * 500, True, 2), (b"L" * (2**20 + 1), False, 0)):
        digest.update(
            sc._signcrypt_derand(text, world.signer("s"), receivers, b"ad", pad, dummies, Drbg("packet"))
        )
    assert digest.hexdigest() == FROZEN, (
        "the bytes of a serialised type changed: undo it, or raise its version, write a Breaking line with"
        " its migration in CHANGELOG.md, change the byte table, and put the new digest here"
    )


def test_public_api():
    assert clsc.__all__ == sorted(clsc.__all__, key=lambda n: (not n.isupper(), not n[0].isupper(), n))
    assert all(hasattr(clsc, name) for name in clsc.__all__)

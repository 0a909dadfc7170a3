"""Forge evidence and conflicts field by field, as somebody does who has only the bytes."""

from sottovoce._ext.enc import enc
from sottovoce.clsc import Strength, signcrypt

FIELDS = [
    "tag", "suite", "strength", "params", "identity", "X", "signature", "header", "slots", "ad",
    "body_bytes", "plaintext_bytes", "chunk_hashes", "cek", "to_params", "to_identity", "to_X", "T", "S",
]  # fmt: skip

CONFLICT_FIELDS = [
    "tag", "suite", "params", "identity", "X1", "context1", "transcript1", "signature1", "X2", "context2",
    "transcript2", "signature2",
]  # fmt: skip


def split(data):
    fields = []
    while data:
        n = int.from_bytes(data[:4], "big")
        fields.append(data[4 : 4 + n])
        data = data[4 + n :]
    return fields


def fields_of(evidence, names=FIELDS):
    """The fields by name; those that a weaker strength lacks are missing."""
    return dict(zip(names, split(evidence.to_bytes()), strict=False))


def forged(evidence, names=FIELDS, **changes):
    """The bytes with some fields changed; integers may be given as such."""
    fields = {**fields_of(evidence, names), **changes}
    assert set(fields) <= set(names)
    return enc(*(fields[name] for name in names if name in fields))


def flip(data, i, bit=1):
    return data[:i] + bytes([data[i] ^ bit]) + data[i + 1 :]


def same_everywhere(a, b):
    """Equal but for the strength and what only the stronger one has."""
    weaker = min(len(fields_of(a)), len(fields_of(b)))
    names = [name for name in FIELDS[:weaker] if name != "strength"]
    return all(fields_of(a)[name] == fields_of(b)[name] for name in names)


def sealed(world, plaintext=b"I owe bob 5", sender=None, names=("bob", "carol"), ad=b"round 1", **options):
    to = [world.receiver(name).public_key for name in names]
    return signcrypt(plaintext, sender=sender or world.signer(), receivers=to, ad=ad, **options)


ALL = list(Strength)

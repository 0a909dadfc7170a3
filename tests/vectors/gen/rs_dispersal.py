"""Make tests/vectors/rs/dispersal.json with the second implementation only.

Run: python tests/vectors/gen/rs_dispersal.py  (from anywhere; the output is reproducible)

Every invalid case has one fault.  ``count`` names the layer that must notice it: the entry of
``Collector.stats`` that goes up.  ``error`` is what ``gather`` raises.
"""

import hashlib
import json
import sys
from pathlib import Path

from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

VECTORS = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(VECTORS.parent))
from support import rs_twin  # noqa: E402

STREAM = rs_twin.Stream(b"sottovoce rs dispersal vectors")
SECRET = STREAM.take(32)
PUBLIC = X25519PrivateKey.from_private_bytes(SECRET).public_key().public_bytes_raw()
CONTEXT = b"round 7"
P = 2**255 - 19


def seal(bodies, context=CONTEXT, public=PUBLIC):
    return [rs_twin.hpke_seal(STREAM.take(32), public, rs_twin.info_of(context), b) for b in bodies]


def make(packet=b"in an undertone", k=2, n=3, packet_bytes=24, key=None, group_id=None):
    return rs_twin.bodies(
        packet,
        k,
        n,
        packet_bytes,
        group_id=group_id or STREAM.take(16),
        key=key or STREAM.take(32),
        randomness=STREAM.take(32 * (k - 1)),
    )


def patched(body, at, new):
    return body[:at] + new + body[at + len(new) :]


def flipped(shard, at):
    return patched(shard, at, bytes([shard[at] ^ 1]))


def forged(encrypted_of, *, k=2, n=3, length=15):
    """Bodies whose encrypted packet is what ``encrypted_of(key, size)`` returns."""
    key, group_id, piece = STREAM.take(32), STREAM.take(16), 36
    encrypted = encrypted_of(key, k * piece)
    data = [encrypted[i * piece : (i + 1) * piece] for i in range(k)]
    shares = rs_twin.shamir_split(key, k, n, STREAM.take(32 * (k - 1)))
    return [
        group_id + bytes([i, k, n]) + length.to_bytes(8, "big") + s + p
        for i, (s, p) in enumerate(zip(shares, data + rs_twin.encode(data, n), strict=True))
    ]


def commitment(key):
    return hashlib.sha256(rs_twin.enc(b"SOTTOVOCE-V1-SHARD-COMMIT", key)).digest()


def body_of(key, plaintext, commit=None):
    return AESGCM(key).encrypt(bytes(12), plaintext, None) + (commit or commitment(key))


def valid_cases():
    for packet, k, n, packet_bytes in (
        (b"", 1, 1, 0),
        (b"", 3, 5, 0),
        (b"x", 1, 4, 1),
        (b"in an undertone", 2, 3, 24),
        (STREAM.take(100), 3, 5, 100),
        (STREAM.take(100), 3, 5, 101),
        (STREAM.take(97), 7, 7, 128),
        (STREAM.take(33), 10, 14, 40),
        (STREAM.take(5), 3, 5, 5),
    ):
        key, group_id, randomness = STREAM.take(32), STREAM.take(16), STREAM.take(32 * (k - 1))
        bodies = rs_twin.bodies(packet, k, n, packet_bytes, group_id=group_id, key=key, randomness=randomness)
        yield {
            "comment": f"{len(packet)} bytes padded to {packet_bytes}, k = {k}, n = {n}",
            "packet": packet.hex(),
            "k": k,
            "n": n,
            "packetBytes": packet_bytes,
            "groupId": group_id.hex(),
            "key": key.hex(),
            "randomness": randomness.hex(),
            "bodies": [b.hex() for b in bodies],
            "shards": [s.hex() for s in seal(bodies)],
        }


def invalid_cases():
    one, two, three = make()

    def case(comment, count, shards):
        return {"comment": comment, "count": count, "shards": [s.hex() for s in shards]}

    def inner(comment, body):
        # The good shard 0 beside it, so that only this body stands in the way.
        return case(comment, "malformed", seal([one, body]))

    sealed = seal([one, two, three])
    other = X25519PrivateKey.from_private_bytes(STREAM.take(32)).public_key().public_bytes_raw()
    for name, at in (("first", 0), ("last", 31)):
        yield case(f"{name} byte of the encapsulated key", "unopenable", [sealed[0], flipped(sealed[1], at)])
    for name, at in (("first byte of the ciphertext", 32), ("last byte of the tag", -1)):
        at %= len(sealed[1])
        yield case(name, "unopenable", [sealed[0], flipped(sealed[1], at)])
    yield case(
        "top bit of the encapsulated key",
        "unopenable",
        [sealed[0], patched(sealed[1], 31, bytes([sealed[1][31] ^ 0x80]))],
    )
    yield case("encapsulated key of small order", "unopenable", [sealed[0], bytes(32) + sealed[1][32:]])
    yield case("truncated by one byte", "unopenable", [sealed[0], sealed[1][:-1]])
    yield case("extended by one byte", "unopenable", [sealed[0], sealed[1] + b"\0"])
    yield case("for another recipient", "unopenable", [sealed[0], *seal([two], public=other)])
    yield case("in another context", "unopenable", [sealed[0], *seal([two], context=b"round 8")])
    yield case("in the empty context", "unopenable", [sealed[0], *seal([two], context=b"")])
    yield case("empty", "wrong_size", [sealed[0], b""])
    yield case("as short as no shard can be", "wrong_size", [sealed[0], *seal([two[:59]])])
    yield inner("index = n", patched(two, 16, b"\3"))
    yield inner("index 255", patched(two, 16, b"\xff"))
    yield inner("k = 0", patched(two, 17, b"\0"))
    yield inner("k > n", patched(two, 17, b"\4"))
    yield inner("n = 0", patched(two, 18, b"\0"))
    yield inner("packet longer than its pieces", patched(two, 19, (2 * 36 - 47).to_bytes(8, "big")))
    yield inner("packet length 2**64 - 1", patched(two, 19, b"\xff" * 8))
    yield inner("pieces too short for tag and commitment", two[: 59 + 20])
    yield case("group id differs", "accepted", seal([one, patched(two, 0, b"\0")]))
    yield case("n differs", "accepted", seal([one, patched(two, 18, b"\4")]))
    yield case("packet length differs", "accepted", seal([one, patched(two, 26, b"\1")]))
    yield case("piece length differs", "accepted", seal([one, two + b"\0"]))
    yield case("the same shard twice", "duplicate", [sealed[0], sealed[0]])
    yield case("the same shard sealed twice", "duplicate", seal([one, one]))
    yield case("two versions of one piece", "contradicting", seal([one, flipped(one, 59)]))
    yield case("two versions of one key share", "contradicting", seal([one, flipped(one, 27)]))
    for name, at in (("key share", 27), ("piece, encrypted packet", 59), ("piece, key commitment", -1)):
        bad = flipped(two, at % len(two))
        yield case(f"sender altered the {name}", "inconsistent", seal([one, bad]))
    zeros = bytes(9)
    yield case(
        "commitment to another key",
        "inconsistent",
        seal(forged(lambda key, _: body_of(key, b"in an undertone" + zeros, commitment(bytes(32))))[:2]),
    )
    yield case(
        "encrypted under another key than committed to",
        "inconsistent",
        seal(forged(lambda key, _: body_of(bytes(32), b"in an undertone" + zeros, commitment(key)))[:2]),
    )
    yield case(
        "padding is not zero, first byte",
        "inconsistent",
        seal(forged(lambda key, _: body_of(key, b"in an undertone" + b"\1" + bytes(8)))[:2]),
    )
    yield case(
        "padding is not zero, last byte",
        "inconsistent",
        seal(forged(lambda key, _: body_of(key, b"in an undertone" + bytes(8) + b"\1"))[:2]),
    )


def main():
    valid = [{"tcId": i, **c, "result": "valid"} for i, c in enumerate(valid_cases(), 1)]
    invalid = [
        {"tcId": i, **c, "result": "invalid", "error": "TooManyErasures"}
        for i, c in enumerate(invalid_cases(), len(valid) + 1)
    ]
    vectors = {
        "algorithm": "dispersal, X25519 HKDF-SHA256 AES-256-GCM",
        "numberOfTests": len(valid) + len(invalid),
        "secretKey": SECRET.hex(),
        "publicKey": PUBLIC.hex(),
        "context": CONTEXT.hex(),
        "testGroups": [{"tests": valid}, {"tests": invalid}],
    }
    (VECTORS / "rs" / "dispersal.json").write_text(json.dumps(vectors, indent=1) + "\n")


if __name__ == "__main__":
    main()

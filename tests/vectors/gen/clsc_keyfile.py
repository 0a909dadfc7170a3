"""Write tests/vectors/clsc/keyfile.json: key files of every kind, and files with one fault each.

    python tests/vectors/gen/clsc_keyfile.py [FOLDER]

Salts come from seeds through the underscore-private ``_derand`` hook, so the file comes out byte for byte
the same on every run and on both back ends.  The cost of Argon2id is small, so that another implementation
needs no patience; one case has the cost that the package writes.
"""

import json
import pathlib
import sys

sys.path.insert(0, str(pathlib.Path(__file__).parents[2]))

from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from sottovoce._ext import limits, sealed
from sottovoce._ext.enc import enc
from sottovoce.clsc import (
    AdmissionKey,
    BlindRequest,
    IdentityRequest,
    Mode,
    TraceableRequest,
    TracingKey,
    Usage,
    bls,
    dealer,
    hashes,
    keybody,
    keyfile,
)
from support.clsc_world import NOT_AFTER, NOT_BEFORE, Drbg, World

CHEAP = sealed.Cost(memory_kib=16, passes=1, lanes=2)
PASSPHRASE = b"correct horse"
HEADER, START = 44, 76


def file_of(body, passphrase=PASSPHRASE, cost=CHEAP, seed="salt"):
    return sealed.seal(body, passphrase, cost, Drbg(seed))


def resealed(data, plain, passphrase=PASSPHRASE):
    """The file with another plaintext under the key that its header gives: a writer who broke a rule."""
    cost = sealed._parse(data)
    com, aead = sealed._derive(data[:HEADER], cost, passphrase)
    return data[:HEADER] + com + aead.encrypt(bytes(12), plain, data[:HEADER] + com)


def flipped(data, at, bit=1):
    return data[:at] + bytes([data[at] ^ bit]) + data[at + 1 :]


def secrets_of_every_kind(world):
    params, token = world.params, Drbg("token")(32)
    shares = dealer._deal_derand(
        world.root, Mode.BLIND, b"shared", NOT_BEFORE, NOT_AFTER, 2, 3, 1, 0, Drbg("deal")
    )
    several = dealer._deal_derand(
        world.root, Mode.IDENTITY, b"shared", NOT_BEFORE, NOT_AFTER, 2, 3, 1, 0, Drbg("deal identity")
    )
    return [
        ("root", world.root),
        ("master", world.master[Mode.IDENTITY]),
        ("master-share", shares[1]),
        ("tracing", TracingKey(Drbg("tracing")(64))),
        ("secret", world.signer()),
        ("secret", world.receiver("pseudonym", Mode.BLIND)),
        ("secret", world.signer("pseudonym", Mode.TRACEABLE)),
        (
            "identity-request",
            IdentityRequest._derand(params[Mode.IDENTITY], Usage.DECRYPT, b"bob", token, Drbg("identity")),
        ),
        (
            "identity-request",
            IdentityRequest._derand(
                several[0].params, Usage.SIGN, b"bob", {1: token, 3: Drbg("another")(32)}, Drbg("several")
            ),
        ),
        (
            "traceable-request",
            TraceableRequest._derand(params[Mode.TRACEABLE], Usage.SIGN, world.signer(), Drbg("traceable")),
        ),
        ("blind-request", BlindRequest._derand(params[Mode.BLIND], Usage.SIGN, token, Drbg("blind"))),
        ("admission", AdmissionKey(Drbg("admission")(32))),
        ("bls-share", bls._deal_bls_derand(2, 3, Drbg("bls"))[1]),
    ]


def valid_cases(kinds):
    for i, (kind, key) in enumerate(kinds):
        passphrase = PASSPHRASE if i else "Stra\u00dfe \u2603".encode()
        cost = sealed.COST if kind == "root" else CHEAP
        file = keyfile._dump_key_derand(key, passphrase, Drbg(f"salt/{i}"), cost)
        stretched = _stretched(file, passphrase)
        derived = hashes.hkdf(stretched, b"", enc("SOTTOVOCE-V1-KEYFILE", file[:HEADER]), 64)
        yield {
            "comment": f"a {kind}" + (", at the cost that is written" if cost is sealed.COST else ""),
            "flags": [],
            "kind": kind,
            "passphrase": passphrase.hex(),
            "stretched": stretched.hex(),
            "com": derived[:32].hex(),
            "k": derived[32:].hex(),
            "body": keybody.encode(key).hex(),
            "file": file.hex(),
            "result": "valid",
        }


def _stretched(file, passphrase):
    from cryptography.hazmat.primitives.kdf.argon2 import Argon2id

    cost = sealed._parse(file)
    return Argon2id(
        salt=file[12:44], length=32, iterations=cost.passes, lanes=cost.lanes, memory_cost=cost.memory_kib
    ).derive(passphrase)


def invalid_cases(world, share, several, traceable):
    key = world.signer()
    body = keybody.encode(key)
    good = file_of(body)
    fields = [b"SOTTOVOCE-V1-KEY", b"secret", *keybody._write_secret(key)]
    other = keybody._write_secret(world.signer("carol"))
    master = keybody._write_master(world.master[Mode.IDENTITY])
    plain = len(body).to_bytes(4, "big") + body
    padding = bytes(-len(plain) % 1024)

    def header(at, value):
        return good[:at] + value + good[at + len(value) :]

    def having(position, value):
        changed = list(fields)
        changed[position] = value
        return file_of(enc(*changed))

    early = "DecodeError"
    yield "empty", "Length", early, b""
    yield "truncated by one byte", "Length", early, good[:-1]
    yield "extended by one byte", "Length", early, good + b"\0"
    yield "no block of plaintext", "Length", early, good[:START] + bytes(16)
    yield "another magic", "Magic", early, header(0, b"SVS")
    yield "another version", "Version", early, header(3, b"\2")
    yield "another key derivation", "Derivation", early, header(4, b"\2")
    yield "no lanes", "Cost", early, header(5, b"\0")
    yield "too many lanes", "Cost", early, header(5, bytes([limits.MAX_KEYFILE_LANES + 1]))
    yield "no passes", "Cost", early, header(6, b"\0\0")
    yield "too many passes", "Cost", early, header(6, (limits.MAX_KEYFILE_PASSES + 1).to_bytes(2, "big"))
    yield "less memory than Argon2 takes", "Cost", early, header(8, (15).to_bytes(4, "big"))
    yield "too much memory", "Cost", early, header(8, (limits.MAX_KEYFILE_MEMORY_KIB + 1).to_bytes(4, "big"))

    late = "KeyFileError"
    yield "made under another passphrase", "Passphrase", late, file_of(body, PASSPHRASE + b".")
    yield "another cost than it was made with", "Altered", late, header(8, (17).to_bytes(4, "big"))
    yield "a bit of the salt", "Altered", late, flipped(good, HEADER - 1)
    yield "a bit of the commitment", "Altered", late, flipped(good, HEADER)
    yield "a bit of the ciphertext", "Altered", late, flipped(good, START)
    yield "a bit of the tag", "Altered", late, flipped(good, len(good) - 1)
    yield "commitment not in the associated data", "Altered", late, _without_commitment(good, plain + padding)
    yield "one block of zeros too many", "Padding", late, resealed(good, plain + padding + bytes(1024))
    yield "padding that is not zero", "Padding", late, resealed(good, plain + padding[:-1] + b"\1")
    yield "length beyond the plaintext", "Padding", late, resealed(good, b"\xff" * 4 + (plain + padding)[4:])
    yield "an unknown kind", "Body", late, file_of(enc(fields[0], b"secret2", *fields[2:]))
    yield "another tag", "Body", late, file_of(enc(b"SOTTOVOCE-V1-KEYS", *fields[1:]))
    yield "a field too few", "Body", late, file_of(enc(*fields[:-1]))
    yield "a field too many", "Body", late, file_of(enc(*fields, b""))
    yield "a field cut short", "Body", late, file_of(body[:-1])
    yield "nothing inside", "Body", late, file_of(b"")
    yield "parameters of another root key", "Body", late, having(2, World("elsewhere").root.public_key)
    yield "a bit of the parameters", "Body", late, having(3, flipped(fields[3], 200))
    yield (
        "a public key of other parameters",
        "Body",
        late,
        having(4, world.signer("alice", Mode.TRACEABLE).public_key.to_bytes()),
    )
    yield "the public key of another name", "Body", late, having(4, other[2])
    yield "x of another", "Body", late, having(5, other[3])
    yield "x of 33 bytes", "Body", late, having(5, b"\0" + fields[5])
    yield "x = 0", "Body", late, having(5, bytes(32))
    yield "D of another", "Body", late, having(6, other[4])
    yield "D is the identity", "Body", late, having(6, b"\xc0" + bytes(47))
    yield (
        "s is not the secret of Y",
        "Body",
        late,
        file_of(enc(fields[0], b"master", *master[:2], (5).to_bytes(32, "big"))),
    )
    yield "a tracing key of 63 bytes", "Body", late, file_of(enc(fields[0], b"tracing", bytes(63)))
    request = [b"traceable-request", *keybody._write_traceable_request(traceable)]
    for at, value, comment in (
        (7, flipped(request[7], 100), "a signature that the signer did not make"),
        (4, (5).to_bytes(32, "big"), "x that the signer did not sign"),
        (3, b"decrypt", "a usage that the signer did not sign"),
        (6, world.signer("carol").public_key.to_bytes(), "a signer who did not sign"),
    ):
        yield comment, "Body", late, file_of(enc(fields[0], *request[:at], value, *request[at + 1 :]))
    request = [b"identity-request", *keybody._write_identity_request(several)]
    one, three = request[5][:40], request[5][40:]
    for tokens, comment in (
        (three + one, "tokens of servers in another order"),
        (one + three[:8] + one[8:], "one token of two servers"),
        (one + bytes(7) + b"\4" + three[8:], "a token of a server that is not there"),
        (one + three[:-1], "a token of 31 bytes"),
        (b"", "no token"),
        (three[8:], "one token for several servers"),
    ):
        yield comment, "Body", late, file_of(enc(fields[0], *request[:5], tokens, request[6]))
    yield "a root seed of 31 bytes", "Body", late, file_of(enc(fields[0], b"root", bytes(31)))
    yield (
        "a share under the index of another server",
        "Body",
        late,
        file_of(
            enc(
                fields[0],
                b"master-share",
                *keybody._signed(share.params),
                3,
                keybody._write_master_share(share)[3],
            )
        ),
    )
    for usage, comment in ((b"sing", "an unknown usage"), (b"SIGN", "the usage in capitals")):
        yield comment, "Body", late, file_of(
            enc(fields[0], b"blind-request", *keybody._signed(world.params[Mode.BLIND]), usage,
                bytes(32), b"\1" * 32, b"\2" * 32)
        )  # fmt: skip
    yield "a blind request for an identity epoch", "Body", late, file_of(
        enc(fields[0], b"blind-request", *keybody._signed(world.params[Mode.IDENTITY]), b"sign",
            bytes(32), b"\1" * 32, b"\2" * 32)
    )  # fmt: skip


def _without_commitment(data, plain):
    com, aead = sealed._derive(data[:HEADER], sealed._parse(data), PASSPHRASE)
    assert isinstance(aead, AESGCM)
    return data[:HEADER] + com + aead.encrypt(bytes(12), plain, data[:HEADER])


def main(folder):
    world = World("keyfile", b"epoch")
    kinds = secrets_of_every_kind(world)
    tests = [*valid_cases(kinds)]
    tests += [
        {
            "comment": comment,
            "flags": [flag],
            "passphrase": PASSPHRASE.hex(),
            "file": file.hex(),
            "result": "invalid",
            "error": error,
        }
        for comment, flag, error, file in invalid_cases(
            world, *(dict(kinds)[kind] for kind in ("master-share", "identity-request", "traceable-request"))
        )
    ]
    data = {
        "algorithm": "keyfile",
        "suite": hashes.SUITE_NAME,
        "numberOfTests": len(tests),
        "tests": [{"tcId": i, **test} for i, test in enumerate(tests, 1)],
    }
    (folder / "keyfile.json").write_text(json.dumps(data, indent=1) + "\n")


if __name__ == "__main__":
    main(pathlib.Path(sys.argv[1]) if len(sys.argv) > 1 else pathlib.Path(__file__).parents[1] / "clsc")

"""Write tests/vectors/clsc/evidence.json and conflict.json.

    python tests/vectors/gen/clsc_evidence.py [FOLDER]

Seeded, so the files come out byte for byte the same on every run and on both back ends
(tests/clsc/test_evidence_kat.py holds them to it).  Every intermediate value of a valid case is computed
again by tests/support/clsc_independent_judge.py, which shares no code with the package.
"""

import pathlib
import sys

sys.path.insert(0, str(pathlib.Path(__file__).parents[2]))

from clsc_vectors import IDENTITY_48, SMALL_ORDER, invalid, valid, write

from sottovoce._ext.enc import enc
from sottovoce.clsc import (
    KeyConflict,
    Mode,
    SignedStatement,
    Strength,
    Usage,
    hashes,
    kem,
    make_evidence,
    signature,
)
from sottovoce.clsc import signcryption as sc
from support.clsc_attacker import CoReceiver
from support.clsc_evidence import CONFLICT_FIELDS, fields_of, flip, forged
from support.clsc_world import Drbg, World

EVIDENCE, SIGNATURE, DECODE = "EvidenceError", "SignatureError", "DecodeError"


def seal(seed, text, sender, receivers, ad, pad=False, dummies=0):
    to = [key.public_key for key in receivers]
    return sc._signcrypt_derand(text, sender, to, ad, pad, dummies, Drbg(f"evidence {seed}"))


def witness(world, data, receiver, ad):
    return make_evidence(data, receiver=receiver, trust=world.trust, ad=ad, strength=Strength.ADDRESSED)


def steps(evidence):
    """Intermediate values, as the package computes them."""
    true = fields_of(evidence)
    transcript = evidence._transcript()
    key = evidence.sender
    c = signature._challenge("packet", key, true["signature"][:48], true["signature"][96:144], transcript)
    out = {
        "params_id": key.params.params_id,
        "transcript": transcript,
        "c": c.to_bytes(32, "big"),
        "packet_id": evidence.packet_id,
    }
    if evidence.strength >= Strength.CONTENT:
        out["k_body"], _, out["kc"] = kem.content_keys(true["cek"])
    if evidence.strength is Strength.ADDRESSED:
        header = true["header"]
        out["com"], out["k"] = kem.slot_keys(
            true["T"], true["S"], header[2:50], header[50:146], evidence.addressee
        )
    return {name: value.hex() for name, value in out.items()}


def evidence_vectors(folder, world):
    bob = world.receiver("bob")
    tests = []
    for mode, text, pad, dummies in (
        (Mode.IDENTITY, b"I owe bob 5", False, 0),
        (Mode.TRACEABLE, b"x" * 500, True, 2),
        (Mode.BLIND, b"", False, 0),
    ):
        receiver = world.receiver("r", mode)
        data = seal(mode, text, world.signer("s", mode), [receiver, bob], b"ad", pad, dummies)
        strongest = witness(world, data, receiver, b"ad")
        for strength in Strength:
            evidence = strongest.weakened(strength)
            tests.append(valid(
                f"mode {mode}, {strength.name}", evidence=evidence.to_bytes().hex(), packet=data.hex(),
                strength=int(strength), sender=evidence.sender.to_bytes().hex(), ad=b"ad".hex(),
                plaintext=None if strength is Strength.SIGNED else text.hex(),
                addressee=receiver.public_key.to_bytes().hex() if strength is Strength.ADDRESSED else None,
                steps=steps(evidence),
            ))  # fmt: skip

    alice, carol = world.signer(), world.receiver("carol")
    data = seal("bad", b"I owe bob 5", alice, [bob, carol], b"ad")
    strong = witness(world, data, bob, b"ad")
    signed, content = strong.weakened(Strength.SIGNED), strong.weakened(Strength.CONTENT)
    true, encoded = fields_of(strong), signed.to_bytes()
    header, slots = true["header"], true["slots"]

    def bad(comment, flag, error, evidence, shown=data):
        value = evidence if isinstance(evidence, bytes) else evidence.to_bytes()
        tests.append(invalid(comment, flag, error, evidence=value.hex(), packet=shown.hex()))

    # -- what is no evidence
    bad("empty", "Length", DECODE, b"")
    bad("truncated by 1", "Length", DECODE, encoded[:-1])
    bad("extended by 1", "Length", DECODE, encoded + b"\0")
    bad("an empty field more", "Length", DECODE, encoded + bytes(4))
    bad("tag", "Tag", DECODE, forged(signed, tag=b"SOTTOVOCE-V1-EVIDENCF"))
    bad("suite 2", "Version", DECODE, forged(signed, suite=2))
    bad("suite in 1 byte", "Integer", DECODE, forged(signed, suite=b"\1"))
    bad("strength 0", "Strength", DECODE, forged(signed, strength=0))
    bad("strength 2 without CEK", "Strength", DECODE, forged(signed, strength=2))
    bad("strength 1 with CEK", "Strength", DECODE, forged(content, strength=1))
    bad("strength 3 without an addressee", "Strength", DECODE, forged(content, strength=3))
    bad("strength 4", "Strength", DECODE, forged(strong, strength=4))
    bad("bit of the sender's parameters", "Params", DECODE, forged(signed, params=flip(true["params"], 100)))
    bad("no name in mode identity", "ModeRule", DECODE, forged(signed, identity=b""))
    bad("name of 65 bytes", "ModeRule", DECODE, forged(signed, identity=b"a" * 65))
    bad("X the identity", "Identity", DECODE, forged(signed, X=IDENTITY_48))
    bad("X outside the subgroup", "Subgroup", DECODE, forged(signed, X=SMALL_ORDER))
    bad("signature of 175 bytes", "Length", DECODE, forged(signed, signature=true["signature"][:-1]))
    bad("header of 177 bytes", "Length", DECODE, forged(signed, header=header[:-1]))
    bad("suite 2 in the header", "Version", DECODE, forged(signed, header=b"\2" + header[1:]))
    bad("U1 the identity", "Identity", DECODE, forged(signed, header=header[:2] + IDENTITY_48 + header[50:]))
    bad("U2 without compression flag", "Flag", DECODE, forged(signed, header=flip(header, 50, 0x80)))
    bad("one slot less than the header says", "Slots", DECODE, forged(signed, slots=slots[:80]))
    bad("no slot", "Slots", DECODE, forged(signed, header=header[:1] + b"\0" + header[2:], slots=b""))
    bad("a body of 15 bytes", "BodyLength", DECODE, forged(signed, body_bytes=15))
    bad("plaintext longer than the body", "BodyLength", DECODE, forged(signed, plaintext_bytes=12))
    bad("plaintext shorter, not by Padme", "BodyLength", DECODE, forged(signed, plaintext_bytes=10))
    bad("two hashes for one chunk", "Hashes", DECODE, forged(signed, chunk_hashes=true["chunk_hashes"] * 2))
    bad("no hash", "Hashes", DECODE, forged(signed, chunk_hashes=b""))
    bad("CEK of 31 bytes", "Length", DECODE, forged(content, cek=true["cek"][:-1]))
    bad("T of 575 bytes", "Length", DECODE, forged(strong, T=true["T"][:-1]))
    bad(
        "a coefficient of T not below p",
        "NonCanonical",
        DECODE,
        forged(strong, T=b"\xff" * 48 + true["T"][48:]),
    )
    bad("S the identity", "Identity", DECODE, forged(strong, S=IDENTITY_48))
    bad("S outside the subgroup", "Subgroup", DECODE, forged(strong, S=SMALL_ORDER))
    bad("no name of the addressee", "ModeRule", DECODE, forged(strong, to_identity=b""))
    # -- what was not signed
    bad("another ad", "Signed", SIGNATURE, forged(signed, ad=b"da"))
    bad("another name", "Signed", SIGNATURE, forged(signed, identity=b"alicf"))
    bad("another X", "Signed", SIGNATURE, forged(signed, X=world.signer("mallory").public_key.X))
    bad("parameters of another root", "Root", SIGNATURE,
        forged(signed, params=World("another root").params[Mode.IDENTITY].to_bytes()))  # fmt: skip
    bad("slots exchanged", "Signed", SIGNATURE, forged(signed, slots=slots[80:] + slots[:80]))
    bad("bit of kc", "Signed", SIGNATURE, forged(signed, header=flip(header, 146)))
    bad("-U1", "Signed", SIGNATURE, forged(signed, header=flip(header, 2, 0x20)))
    bad(
        "bit of a chunk's hash",
        "Signed",
        SIGNATURE,
        forged(signed, chunk_hashes=flip(true["chunk_hashes"], 0)),
    )
    bad("shorter body and plaintext", "Signed", SIGNATURE, forged(signed, body_bytes=26, plaintext_bytes=10))
    bad("z + 1", "Equation", SIGNATURE, forged(signed, signature=flip(true["signature"], 175)))
    bad(
        "A the identity",
        "Identity",
        SIGNATURE,
        forged(signed, signature=IDENTITY_48 + true["signature"][48:]),
    )
    bad("z = 0", "Scalar", SIGNATURE, forged(signed, signature=true["signature"][:144] + bytes(32)))
    message = signature._sign_derand(alice, "message", signed._transcript(), Drbg("context"))
    bad("signed in context message", "Context", SIGNATURE, forged(signed, signature=message))
    # -- what the signed ciphertext does not say
    insider = CoReceiver(data, bob, b"ad")
    other = seal("other", b"I owe bob 5", alice, [bob, carol], b"ad")
    swapped = insider.rewrite(body=b"I owe bob 9", ad=b"ad")
    bad("another packet", "Packet", EVIDENCE, signed, other)
    bad("a co-receiver's body, SIGNED", "Packet", EVIDENCE, signed, swapped)
    bad("a co-receiver's body, CONTENT", "Packet", EVIDENCE, content, swapped)
    bad("a longer body", "Packet", EVIDENCE, content, insider.rewrite(body=b"I owe bob 55", ad=b"ad"))
    bad("packet truncated by 1", "Length", DECODE, signed, data[:-1])
    bad("packet empty", "Length", DECODE, signed, b"")
    bad("bit of CEK", "Commitment", EVIDENCE, forged(content, cek=flip(true["cek"], 0)))
    bad("bit of T", "Addressee", EVIDENCE, forged(strong, T=flip(true["T"], 0)))
    bad("-S", "Addressee", EVIDENCE, forged(strong, S=flip(true["S"], 0, 0x20)))
    bad("the slot as carol's", "Addressee", EVIDENCE,
        forged(strong, to_identity=b"carol", to_X=carol.public_key.X))  # fmt: skip
    later = World(world.seed, b"2026-W48").params[Mode.IDENTITY].to_bytes()
    bad("another epoch of the addressee", "Addressee", EVIDENCE, forged(strong, to_params=later))
    bad("addressee of another root", "Root", EVIDENCE,
        forged(strong, to_params=World("another root").params[Mode.IDENTITY].to_bytes()))  # fmt: skip
    write(folder, "evidence", tests, root=world.root.public_key.hex(),
          params=[p.to_bytes().hex() for p in world.params.values()])  # fmt: skip


def statement(key, seed):
    made = signature._sign_derand(key, "message", hashes.message_transcript(b"m"), Drbg(seed))
    return SignedStatement.of_message(key.public_key, b"m", made)


def conflict_vectors(folder, world):
    bob, alice = world.receiver("bob"), world.signer()
    forger = world.make_key("the issuer's own", Usage.SIGN, Mode.IDENTITY, identity=b"alice")
    data = seal("forged", b"I owe the issuer 5", forger, [bob], b"ad")
    hers, theirs = statement(alice, "hers"), statement(forger, "theirs")
    conflict = KeyConflict(hers, theirs)
    tests = []
    for comment, value in (
        ("two messages", conflict),
        (
            "message and packet",
            KeyConflict(hers, SignedStatement.of_evidence(witness(world, data, bob, b"ad"))),
        ),
    ):
        tests.append(valid(
            comment, conflict=value.to_bytes().hex(), identity=value.first.key.identity.hex(),
            X=[value.first.key.X.hex(), value.second.key.X.hex()],
        ))  # fmt: skip
    true = fields_of(conflict, CONFLICT_FIELDS)
    encoded = conflict.to_bytes()
    blind = world.params[Mode.BLIND].to_bytes()

    def bad(comment, flag, error, value):
        tests.append(invalid(comment, flag, error, conflict=value.hex()))

    def change(**fields):
        return forged(conflict, CONFLICT_FIELDS, **fields)

    bad("empty", "Length", DECODE, b"")
    bad("truncated by 1", "Length", DECODE, encoded[:-1])
    bad("extended by 1", "Length", DECODE, encoded + b"\0")
    bad("tag", "Tag", DECODE, change(tag=b"SOTTOVOCE-V1-EVIDENCE"))
    bad("suite 2", "Version", DECODE, change(suite=2))
    bad("larger X first", "Order", DECODE, enc(*(true[n] for n in CONFLICT_FIELDS[:4]),
        *(true[n] for n in CONFLICT_FIELDS[8:]), *(true[n] for n in CONFLICT_FIELDS[4:8])))  # fmt: skip
    bad("the same X twice", "Order", DECODE, change(X2=true["X1"]))
    bad("unknown context", "Context", DECODE, change(context1=b"packets"))
    bad("transcript of 31 bytes", "Length", DECODE, change(transcript1=true["transcript1"][:-1]))
    bad("signature of 177 bytes", "Length", DECODE, change(signature2=true["signature2"] + b"\0"))
    bad("mode blind", "ModeRule", DECODE, change(params=blind, identity=b""))
    bad("X outside the subgroup", "Subgroup", DECODE, change(X2=SMALL_ORDER))
    bad("another name", "Equation", SIGNATURE, change(identity=b"alicf"))
    bad("first signature", "Equation", SIGNATURE, change(signature1=flip(true["signature1"], 175)))
    bad("second signature", "Equation", SIGNATURE, change(signature2=flip(true["signature2"], 175)))
    bad("another transcript", "Equation", SIGNATURE, change(transcript2=bytes(32)))
    bad("another context", "Context", SIGNATURE, change(context2=b"packet"))
    bad("parameters of another root", "Root", SIGNATURE,
        change(params=World("another root").params[Mode.IDENTITY].to_bytes()))  # fmt: skip
    write(folder, "conflict", tests, root=world.root.public_key.hex(),
          params=[p.to_bytes().hex() for p in world.params.values()])  # fmt: skip


def main(folder):
    folder.mkdir(exist_ok=True)
    world = World("evidence vectors")
    evidence_vectors(folder, world)
    conflict_vectors(folder, world)


if __name__ == "__main__":
    main(pathlib.Path(sys.argv[1]) if len(sys.argv) > 1 else pathlib.Path(__file__).parents[1] / "clsc")

"""Write tests/vectors/clsc/*.json: every hash, key, signature and packet with intermediate values.

    python tests/vectors/gen/clsc_vectors.py [FOLDER]

All randomness comes from seeds through the underscore-private ``_derand`` hooks, so the files come out
byte for byte the same on every run and on both back ends (tests/clsc/test_vectors_kat.py holds them to
it).  The intermediate values are checked by tests/support/clsc_independent.py, which shares no code
with the package.
"""

import hashlib
import json
import pathlib
import sys

sys.path.insert(0, str(pathlib.Path(__file__).parents[2]))

from sottovoce._ext.enc import enc, sha256_enc
from sottovoce.clsc import (
    BlindRequest,
    IdentityRequest,
    Mode,
    PublicKey,
    Usage,
    group,
    hashes,
    issue_wire,
    kem,
    packet,
    possession,
    signature,
)
from sottovoce.clsc import signcryption as sc
from support.clsc_attacker import CoReceiver
from support.clsc_world import NOW, Drbg, World

IDENTITY_48 = b"\xc0" + bytes(47)
SMALL_ORDER = b"\x80" + bytes(46) + b"\4"
"""x = 4: on the curve, outside the subgroup."""


def write(folder, name, tests, **extra):
    for i, t in enumerate(tests, 1):
        t["tcId"] = i
    data = {"algorithm": name, "suite": hashes.SUITE_NAME, "numberOfTests": len(tests), **extra}
    data["tests"] = [{"tcId": t.pop("tcId"), **t} for t in tests]
    (folder / f"{name}.json").write_text(json.dumps(data, indent=1) + "\n")


def valid(comment, **fields):
    return {"comment": comment, "flags": [], **fields, "result": "valid"}


def invalid(comment, flag, error, **fields):
    return {"comment": comment, "flags": [flag], **fields, "result": "invalid", "error": error}


# -- hashes ---------------------------------------------------------------------------------------


def hash_vectors(folder, world):
    tests = []
    for mode in Mode:
        for usage in Usage:
            key = world.key("alice", usage, mode).public_key
            params_id, name, X = key.params.params_id, key.identity, key.X
            A = group.g1_mul_vartime(group.P1, 11).to_compressed_bytes()
            R = group.g1_mul_vartime(group.P1, 13).to_compressed_bytes()
            transcript = hashes.message_transcript(b"message")
            U2 = group.g2_mul_vartime(group.P2, 17).to_compressed_bytes()
            com, k = kem.slot_keys(bytes(576), A, R, U2, key)
            tests.append({
                "params_id": params_id.hex(), "usage": str(usage), "identity": name.hex(), "X": X.hex(),
                "A": A.hex(), "R": R.hex(), "U2": U2.hex(),
                "Q": key._Q_base.point.to_compressed_bytes().hex(),
                "pid": key.pid.hex(),
                "message": b"message".hex(), "message_transcript": transcript.hex(),
                "challenge": f"{signature._challenge('message', key, A, R, transcript):064x}",
                "pop_challenge": f"{possession._pop_challenge(params_id, usage, name, X, R, bytes(32)):064x}",
                "token_mac": issue_wire.token_mac(
                    bytes(range(32)), params_id, None if mode is Mode.BLIND else usage, X
                ).hex(),
                "slot_com": com.hex(), "slot_key": k.hex(),
                "k_body_k_head_kc": b"".join(kem.content_keys(bytes(range(32)))).hex(),
            })  # fmt: skip
    write(folder, "hashes", tests)


# -- encodings ------------------------------------------------------------------------------------


def params_vectors(folder, world):
    root = world.root.public_key.hex()
    tests = [
        valid(f"mode {mode}", root=root, input=p.to_bytes().hex(), params_id=p.params_id.hex())
        for mode, p in world.params.items()
    ]
    good = world.params[Mode.BLIND].to_bytes()

    def resigned(comment, flag, old, new):
        body = good[:-64].replace(old, new)
        assert body != good[:-64]
        data = body + world.root._key.sign(body)
        tests.append(invalid(comment, flag, "DecodeError", root=root, input=data.hex()))

    def bad(comment, flag, data):
        tests.append(invalid(comment, flag, "DecodeError", root=root, input=data.hex()))

    bad("truncated by 1", "Length", good[:-1])
    bad("extended by 1", "Length", good + b"\0")
    bad("empty", "Length", b"")
    bad("bit of the root signature", "Signature", good[:-1] + bytes([good[-1] ^ 1]))
    bad("bit of the epoch", "Signature", good.replace(b"2026", b"2027"))
    y = world.params[Mode.BLIND].Y.to_compressed_bytes()
    resigned("tag", "Tag", b"V1-PARAMS", b"V1-PARAMZ")
    resigned("unknown mode", "Mode", b"blind", b"blink")
    resigned("Y is the identity", "Identity", y, b"\xc0" + bytes(95))
    resigned("Y without compression flag", "Flag", y, bytes([y[0] & 0x7F]) + y[1:])
    resigned("t = 2 of n = 1", "Threshold", enc(1, 1, 1, 0), enc(2, 1, 1, 0))
    resigned("f = t", "Threshold", enc(1, 1, 1, 0), enc(1, 1, 1, 1))
    resigned("q = 0", "Threshold", enc(1, 1, 1, 0), enc(1, 1, 0, 0))
    write(folder, "params", tests)


def public_key_vectors(folder, world):
    known = [p.to_bytes().hex() for p in world.params.values()]
    tests = []
    for mode in Mode:
        for usage in Usage:
            key = world.key("alice", usage, mode).public_key
            tests.append(valid(f"{mode}, {usage}", input=key.to_bytes().hex(), pid=key.pid.hex()))
    good = world.signer().public_key.to_bytes()
    blind = world.signer("alice", Mode.BLIND).public_key.to_bytes()

    def bad(comment, flag, data, error="DecodeError"):
        tests.append(invalid(comment, flag, error, input=data.hex()))

    bad("truncated by 1", "Length", good[:-1])
    bad("extended by 1", "Length", good + b"\0")
    bad("empty", "Length", b"")
    bad("suite 2", "Version", b"\2" + good[1:])
    bad("usage 0", "Usage", good[:1] + b"\0" + good[2:])
    bad("usage 3", "Usage", good[:1] + b"\3" + good[2:])
    bad("unknown parameters", "Params", good[:2] + bytes(32) + good[34:], "SenderError")
    bad("X without compression flag", "Flag", good[:-48] + bytes([good[-48] & 0x7F]) + good[-47:])
    bad("X with infinity flag", "Flag", good[:-48] + bytes([good[-48] | 0x40]) + good[-47:])
    bad("X is the identity", "Identity", good[:-48] + IDENTITY_48)
    bad("X outside the subgroup", "Subgroup", good[:-48] + SMALL_ORDER)
    bad("blind key with a name", "ModeRule", blind[:34] + b"\5alice" + blind[35:])
    bad("identity key without a name", "ModeRule", good[:34] + b"\0" + good[-48:])
    write(folder, "public_key", tests, root=world.root.public_key.hex(), params=known)


# -- issuing --------------------------------------------------------------------------------------


def issue_vectors(folder, world):
    tests = []
    for usage in Usage:
        token, challenge = Drbg(f"token {usage}")(32), Drbg(f"challenge {usage}")(32)
        asked = IdentityRequest._derand(
            world.params[Mode.IDENTITY], usage, b"alice", token, Drbg(f"identity {usage}")
        )
        data = asked._to_bytes_derand(challenge, Drbg(f"proof {usage}"))
        D = group.g1_mul_secret(asked.public_key._Q_base.point, world.master[Mode.IDENTITY]._s)
        answer = issue_wire.seal_partial_key(asked.public_key, D, Drbg(f"envelope {usage}"))
        key = asked.finish(answer)
        tests.append({
            "comment": f"identity, {usage}", "mode": "identity", "usage": str(usage), "token": token.hex(),
            "challenge": challenge.hex(), "request": data.hex(), "answer": answer.hex(),
            "s": f"{world.master[Mode.IDENTITY]._s:064x}", "x": f"{key._x:064x}", "D": key._d_bytes.hex(),
            "public_key": key.public_key.to_bytes().hex(),
        })  # fmt: skip
        asked = BlindRequest._derand(world.params[Mode.BLIND], usage, token, Drbg(f"blind {usage}"))
        B = group.g1_from_bytes(issue_wire.parse_request(asked.to_bytes()).issued, "B")
        answer = issue_wire.blind_answer(group.g1_mul_secret(B, world.master[Mode.BLIND]._s))
        key = asked.finish(answer)
        tests.append({
            "comment": f"blind, {usage}", "mode": "blind", "usage": str(usage), "token": token.hex(),
            "challenge": "", "request": asked.to_bytes().hex(), "answer": answer.hex(),
            "s": f"{world.master[Mode.BLIND]._s:064x}", "x": f"{key._x:064x}", "D": key._d_bytes.hex(),
            "public_key": key.public_key.to_bytes().hex(),
        })  # fmt: skip
    write(folder, "issue", tests, params={str(m): p.to_bytes().hex() for m, p in world.params.items()},
          root=world.root.public_key.hex())  # fmt: skip


# -- signatures -----------------------------------------------------------------------------------


def signature_vectors(folder, world):
    tests = []
    for mode in Mode:
        key = world.signer("alice", mode)
        for message in (b"", b"abc"):
            transcript = hashes.message_transcript(message)
            data = signature._sign_derand(key, "message", transcript, Drbg(f"{mode} {message!r}"))
            c = signature._challenge("message", key.public_key, data[:48], data[96:144], transcript)
            tests.append(valid(
                f"mode {mode}", public_key=key.public_key.to_bytes().hex(), x=f"{key._x:064x}",
                D=key._d_bytes.hex(), message=message.hex(), transcript=transcript.hex(), c=f"{c:064x}",
                signature=data.hex(),
            ))  # fmt: skip
    key = world.signer()
    public = key.public_key
    data = signature._sign_derand(key, "message", hashes.message_transcript(b"abc"), Drbg("bad"))
    a, v, r, z = data[:48], data[48:96], data[96:144], data[144:]

    def bad(comment, flag, value, key=public, message=b"abc"):
        tests.append(invalid(
            comment, flag, "SignatureError", public_key=key.to_bytes().hex(), message=message.hex(),
            signature=value.hex(),
        ))  # fmt: skip

    bad("other message", "Equation", data, message=b"abd")
    bad("other signer", "Equation", data, key=world.signer("carol").public_key)
    bad("other name, same X", "Equation", data, key=PublicKey(public.params, Usage.SIGN, b"alicf", public.X))
    bad("key for decryption", "Usage", data, key=PublicKey(public.params, Usage.DECRYPT, b"alice", public.X))
    bad("context packet", "Context",
        signature._sign_derand(key, "packet", hashes.message_transcript(b"abc"), Drbg("p")))  # fmt: skip
    bad("truncated by 1", "Length", data[:-1])
    bad("extended by 1", "Length", data + b"\0")
    bad("empty", "Length", b"")
    for i, (name, point) in enumerate((("A", a), ("V", v), ("R", r))):
        for what, flag, value in (
            ("the identity", "Identity", IDENTITY_48),
            ("outside the subgroup", "Subgroup", SMALL_ORDER),
            ("negated", "Equation", bytes([point[0] ^ 0x20]) + point[1:]),
            ("not compressed", "Flag", bytes([point[0] ^ 0x80]) + point[1:]),
            ("with infinity flag", "Flag", bytes([point[0] | 0x40]) + point[1:]),
            ("with x >= p", "NonCanonical", b"\x9f" + b"\xff" * 47),
        ):
            bad(f"{name} {what}", flag, data[: 48 * i] + value + data[48 * i + 48 :])
    bad("z zero", "Scalar", a + v + r + bytes(32))
    bad("z = r", "Scalar", a + v + r + group.ORDER.to_bytes(32, "big"))
    bad("A and V swapped", "Equation", v + a + r + z)
    bad("V and R swapped", "Equation", a + r + v + z)
    write(folder, "signature", tests, root=world.root.public_key.hex(),
          params=[p.to_bytes().hex() for p in world.params.values()])  # fmt: skip


# -- packets --------------------------------------------------------------------------------------


def receiver_fields(key):
    return {"public_key": key.public_key.to_bytes().hex(), "x": f"{key._x:064x}", "D": key._d_bytes.hex()}


def steps(data, receiver, ad):
    """Intermediate values as the package computes them when it opens."""
    insider = CoReceiver(data, receiver, ad)
    parsed = insider.parsed
    S = group.g1_mul_secret(group.g1_from_bytes(parsed.U1, "U1"), receiver._x).to_compressed_bytes()
    T = group.multi_pairing([receiver._D.point], [group.g2_from_bytes(parsed.U2, "U2")])
    com, k = kem.slot_keys(T, S, parsed.U1, parsed.U2, receiver.public_key)
    head = insider.head
    transcript = packet.transcript_hash(insider.wire, head.plaintext_bytes)
    c = hashes.hash_to_scalar(
        "SOTTOVOCE-V1-SIG",
        enc(
            "packet",
            head.params_id,
            "sign",
            head.identity,
            head.X,
            head.signature[:48],
            head.signature[96:144],
            transcript,
        ),
    )
    packet_id = sha256_enc("SOTTOVOCE-V1-PACKET", head.params_id, head.identity, head.X, transcript)
    values = {
        "S": S, "T": T, "com": com, "k": k, "CEK": insider.cek, "k_body": insider.k_body,
        "k_head": insider.k_head, "kc": insider.kc, "wire": insider.wire, "transcript": transcript,
        "c": c.to_bytes(32, "big"), "signature": head.signature, "packet_id": packet_id,
    }  # fmt: skip
    return {name: value.hex() for name, value in values.items()}


def packet_vectors(folder, world):
    bob, carol = world.receiver("bob"), world.receiver("carol", Mode.BLIND)
    trace = world.receiver("dave", Mode.TRACEABLE)
    tests = []
    for comment, sender, receivers, text, ad, pad, dummies in (
        ("identity to identity", world.signer(), [bob], b"hello", b"", False, 0),
        ("blind to three modes, ad, padding, dummies", world.signer("p", Mode.BLIND), [bob, carol, trace],
         b"x" * 500, b"header", True, 2),
        ("traceable to blind, empty", world.signer("t", Mode.TRACEABLE), [carol], b"", b"ad", False, 0),
    ):  # fmt: skip
        data = sc._signcrypt_derand(
            text, sender, [r.public_key for r in receivers], ad, pad, dummies, Drbg(f"packet {comment}")
        )
        for i, receiver in enumerate(receivers):
            tests.append(valid(
                f"{comment}; receiver {i}", receiver=receiver_fields(receiver), ad=ad.hex(),
                packet=data.hex(), plaintext=text.hex(), sender=sender.public_key.to_bytes().hex(),
                steps=steps(data, receiver, ad),
            ))  # fmt: skip
    big = sc._signcrypt_derand(
        b"\xa5" * (2**20 + 1), world.signer(), [bob.public_key], b"", False, 0, Drbg("two chunks")
    )
    digest = hashlib.sha256(big).hexdigest()

    good = sc._signcrypt_derand(b"hello", world.signer(), [bob.public_key], b"", False, 1, Drbg("bad"))

    def bad(comment, flag, data, error="UnsigncryptError", receiver=bob, ad=b""):
        tests.append(invalid(
            comment, flag, error, receiver=receiver_fields(receiver), ad=ad.hex(), packet=data.hex()
        ))  # fmt: skip

    def flip(i):
        return good[:i] + bytes([good[i] ^ 1]) + good[i + 1 :]

    body = 4 + 178 + 160
    mine = next(i for i, s in enumerate(packet.parse(good).slots)
                if s[:32].hex() == steps(good, bob, b"")["com"])  # fmt: skip
    bad("wrong receiver", "Receiver", good, receiver=world.receiver("mallory"))
    bad("wrong ad", "Context", good, ad=b"x")
    bad("empty", "Length", b"")
    bad("truncated by 1", "Length", good[:-1])
    bad("extended by 1", "Length", good + b"\0")
    bad("magic", "Version", flip(0))
    bad("version", "Version", flip(3))
    bad("suite", "Version", flip(4))
    bad("slot count 0", "Length", good[:5] + b"\0" + good[6:])
    bad("slot count 1", "Length", good[:5] + b"\1" + good[6:])
    bad("U1 negated", "Kem", good[:6] + bytes([good[6] ^ 0x20]) + good[7:])
    bad("U1 the identity", "Identity", good[:6] + IDENTITY_48 + good[54:])
    bad("U1 outside the subgroup", "Subgroup", good[:6] + SMALL_ORDER + good[54:])
    bad("U2 negated", "Kem", good[:54] + bytes([good[54] ^ 0x20]) + good[55:])
    bad("U2 the identity", "Identity", good[:54] + b"\xc0" + bytes(95) + good[150:])
    bad("bit of kc", "Commitment", flip(150))
    bad("bit of own com", "Slot", flip(182 + 80 * mine))
    bad("bit of own sealed CEK", "Slot", flip(182 + 80 * mine + 40))
    bad("bit of the other slot", "Wire", flip(182 + 80 * (1 - mine)))
    bad("bit of the body length", "Length", flip(body + 7))
    bad("bit of the body", "Wire", flip(body + 8))
    bad("bit of the body's tag", "Wire", flip(body + 8 + 20))
    bad("bit of the head", "Wire", flip(len(good) - 365))
    bad("bit of the head's tag", "Wire", flip(len(good) - 1))
    insider = CoReceiver(good, bob)
    name = packet.pad_name(b"alice")
    second = "SenderError"
    bad("co-receiver swaps the body", "Insider", insider.rewrite(body=b"HELLO"), second)
    bad("co-receiver shortens the plaintext length", "Insider", insider.rewrite(plaintext_bytes=4), second)
    bad("signature of another packet", "Signature", insider.rewrite(signature=CoReceiver(
        sc._signcrypt_derand(b"hello", world.signer(), [bob.public_key], b"", False, 0, Drbg("other")), bob
    ).head.signature), second)  # fmt: skip
    bad("name padding not zero", "NamePadding", insider.rewrite(name=name[:-1] + b"\1"), second)
    bad("name length 65", "NamePadding", insider.rewrite(name=b"\x41" + name[1:]), second)
    bad("no name in mode identity", "ModeRule", insider.rewrite(name=bytes(65)), second)
    bad("X the identity", "Identity", insider.rewrite(X=IDENTITY_48), second)
    bad("unknown parameters", "Params", insider.rewrite(params_id=bytes(32)), second)
    write(
        folder, "packet", tests, now=NOW, root=world.root.public_key.hex(),
        params=[p.to_bytes().hex() for p in world.params.values()], two_chunks_sha256=digest,
    )  # fmt: skip


def main(folder):
    folder.mkdir(exist_ok=True)
    world = World("vectors")
    for part in (hash_vectors, params_vectors, public_key_vectors, issue_vectors, signature_vectors,
                 packet_vectors):  # fmt: skip
        part(folder, world)


if __name__ == "__main__":
    main(pathlib.Path(sys.argv[1]) if len(sys.argv) > 1 else pathlib.Path(__file__).parents[1] / "clsc")

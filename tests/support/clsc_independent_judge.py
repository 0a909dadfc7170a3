"""A second judge, written from docs/clsc.md over py_ecc and ``cryptography`` alone.

It shares no line with the package.  Like :mod:`.clsc_independent` it checks what makes evidence true, not
what makes an encoding strict, and returns every intermediate value.
"""

import hashlib

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from support import clsc_independent as independent

MIB = 1 << 20


def split(data):
    fields = []
    while data:
        n = int.from_bytes(data[:4], "big")
        fields.append(data[4 : 4 + n])
        data = data[4 + n :]
    return fields


def params_of(signed, root):
    """``params_id`` and ``Y`` of parameters that this root has signed."""
    body, signature = signed[:-64], signed[-64:]
    fields = split(body)
    assert fields[1] == root
    Ed25519PublicKey.from_public_bytes(root).verify(signature, body)
    return hashlib.sha256(body).digest(), fields[5]


def judge(evidence, root, packet):
    """Intermediate values, and ``plaintext`` where the strength has one; AssertionError if it is untrue."""
    fields = split(evidence)
    tag, _suite, strength, params, identity, X, signature, header, slots, ad = fields[:10]
    assert tag == b"SOTTOVOCE-V1-EVIDENCE"
    strength, body_bytes, length = (int.from_bytes(f, "big") for f in (strength, fields[10], fields[11]))
    chunk_hashes = [fields[12][i : i + 32] for i in range(0, len(fields[12]), 32)]
    out = {}
    out["params_id"], Y = params_of(params, root)
    wire = independent.sha("SOTTOVOCE-V1-WIRE", header, slots, ad, body_bytes, *chunk_hashes)
    out["transcript"] = independent.sha("SOTTOVOCE-V1-TRANSCRIPT", wire, length)
    signed = (out["params_id"], "sign", identity, X, Y, "packet", out["transcript"], signature)
    out["c"] = independent.verify(*signed)["c"]
    out["packet_id"] = independent.sha(
        "SOTTOVOCE-V1-PACKET", out["params_id"], identity, X, out["transcript"]
    )
    # The packet beside it.
    start = 4 + 178 + len(slots) + 8
    assert packet[4 : start - 8] == header + slots
    assert int.from_bytes(packet[start - 8 : start], "big") == body_bytes
    body = packet[start : start + body_bytes]
    chunks = [body[i : i + MIB + 16] for i in range(0, body_bytes, MIB + 16)]
    assert [hashlib.sha256(chunk).digest() for chunk in chunks] == chunk_hashes
    if strength >= 2:
        okm = independent.kdf(fields[13], b"SOTTOVOCE-V1-CEK", 96)
        out["k_body"], out["kc"] = okm[:32], okm[64:]
        assert out["kc"] == header[146:]
        nonces = [bytes(7) + i.to_bytes(4, "big") + bytes([i == len(chunks) - 1]) for i in range(len(chunks))]
        key = AESGCM(out["k_body"])
        plain = b"".join(key.decrypt(nonce, chunk, None) for nonce, chunk in zip(nonces, chunks, strict=True))
        assert not any(plain[length:])
        out["plaintext"] = plain[:length]
    if strength == 3:
        to_params, to_identity, to_X, T, S = fields[14:]
        to_id, _ = params_of(to_params, root)
        u1, u2 = header[2:50], header[50:146]
        keys = independent.kdf(
            T + S, independent.enc("SOTTOVOCE-V1-KEM", 1, u1, u2, to_id, to_identity, to_X), 64
        )
        out["com"], out["k"] = keys[:32], keys[32:]
        (slot,) = [slots[i : i + 80] for i in range(0, len(slots), 80) if slots[i : i + 32] == out["com"]]
        assert AESGCM(out["k"]).decrypt(bytes(12), slot[32:], header + out["com"]) == fields[13]
    return out


def judge_issuer(conflict, root):
    """AssertionError unless both signatures hold and the two X differ."""
    fields = split(conflict)
    assert fields[0] == b"SOTTOVOCE-V1-KEY-CONFLICT"
    params_id, Y = params_of(fields[2], root)
    assert fields[4] != fields[8]
    for X, context, transcript, signature in (fields[4:8], fields[8:12]):
        independent.verify(params_id, "sign", fields[3], X, Y, context.decode(), transcript, signature)

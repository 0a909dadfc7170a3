"""A second implementation of verify and unsigncrypt, written from docs/clsc.md over py_ecc alone.

It shares no line with the package: hashing, HKDF and pairings are those of ``py_ecc``, fields are cut
by hand.  It is slow, checks nothing that a verifier must check about encodings, and returns every
intermediate value, so that the vectors can be compared step by step.
"""

import hashlib

from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from py_ecc.bls.g2_primitives import G1_to_pubkey, pubkey_to_G1, signature_to_G2
from py_ecc.bls.hash import expand_message_xmd, hkdf_expand, hkdf_extract
from py_ecc.bls.hash_to_curve import hash_to_G1
from py_ecc.optimized_bls12_381 import G1, G2, add, curve_order, eq, field_modulus, multiply, neg, pairing

CHUNK = 1 << 20


def enc(*fields):
    out = b""
    for f in fields:
        if isinstance(f, int):
            f = f.to_bytes(8, "big")
        elif isinstance(f, str):
            f = f.encode()
        out += len(f).to_bytes(4, "big") + f
    return out


def sha(*fields):
    return hashlib.sha256(enc(*fields)).digest()


def kdf(ikm, info, n):
    return hkdf_expand(hkdf_extract(b"", ikm), info, n)


def h2s(dst, message):
    return int.from_bytes(expand_message_xmd(message, dst, 48, hashlib.sha256), "big") % curve_order


def q_point(params_id, usage, identity, X):
    return hash_to_G1(enc(params_id, identity, X), b"SOTTOVOCE-V1-QID-" + usage.encode(), hashlib.sha256)


def gt_bytes(value):
    """The pairing of py_ecc to the power -3, in the 2-3-2 tower, by linear algebra on w."""
    t = value.inv() ** 3
    a = [int(c) for c in t.coeffs]
    out = b""
    for power in (0, 2, 4, 1, 3, 5):  # v**0, v**1, v**2, then the same times w
        c1 = a[power + 6]
        c0 = (a[power] + c1) % field_modulus
        out += c0.to_bytes(48, "little") + c1.to_bytes(48, "little")
    return out


def verify(params_id, usage, identity, X, Y, context, transcript, signature):
    """Intermediate values; AssertionError if an equation fails."""
    a, v, r = signature[:48], signature[48:96], signature[96:144]
    z = int.from_bytes(signature[144:], "big")
    c = h2s(b"SOTTOVOCE-V1-SIG", enc(context, params_id, usage, identity, X, a, r, transcript))
    Q = q_point(params_id, usage, identity, X)
    assert eq(multiply(G1, z), add(pubkey_to_G1(r), multiply(pubkey_to_G1(X), c)))
    left = add(pubkey_to_G1(a), multiply(Q, c))
    assert pairing(G2, pubkey_to_G1(v)) == pairing(signature_to_G2(Y), left)
    return {"c": c.to_bytes(32, "big"), "Q": G1_to_pubkey(Q)}


def unsigncrypt(packet, x, D, params_id, identity, X, ad, sender_Y):
    """Open a packet with the secrets ``x`` (int) and ``D`` (48 bytes) of its receiver.

    ``sender_Y``: params_id -> Y of every epoch that a sender may have.
    """
    out = {}
    assert packet[:4] == b"SVS\x01"
    header = packet[4:182]
    suite, count = header[0], header[1]
    u1, u2, kc = header[2:50], header[50:146], header[146:178]
    slots = packet[182 : 182 + 80 * count]
    rest = packet[182 + 80 * count :]
    size = int.from_bytes(rest[:8], "big")
    body, head = rest[8 : 8 + size], rest[8 + size :]
    out["S"] = G1_to_pubkey(multiply(pubkey_to_G1(u1), x))
    out["T"] = gt_bytes(pairing(signature_to_G2(u2), pubkey_to_G1(D)))
    keys = kdf(out["T"] + out["S"], enc("SOTTOVOCE-V1-KEM", suite, u1, u2, params_id, identity, X), 64)
    out["com"], out["k"] = keys[:32], keys[32:]
    (slot,) = [slots[i : i + 80] for i in range(0, len(slots), 80) if slots[i : i + 32] == out["com"]]
    out["CEK"] = AESGCM(out["k"]).decrypt(bytes(12), slot[32:], header + out["com"])
    okm = kdf(out["CEK"], b"SOTTOVOCE-V1-CEK", 96)
    out["k_body"], out["k_head"], out["kc"] = okm[:32], okm[32:64], okm[64:]
    assert out["kc"] == kc
    chunks = [body[i : i + CHUNK + 16] for i in range(0, len(body), CHUNK + 16)]
    hashes = [hashlib.sha256(c).digest() for c in chunks]
    out["wire"] = sha("SOTTOVOCE-V1-WIRE", header, slots, ad, len(body), *hashes)
    fields, h = [], AESGCM(out["k_head"]).decrypt(bytes(12), head, out["wire"])
    while h:
        n = int.from_bytes(h[:4], "big")
        fields.append(h[4 : 4 + n])
        h = h[4 + n :]
    sender_params, name, sender_X, signature, length = fields
    plain = b"".join(
        AESGCM(out["k_body"]).decrypt(
            bytes(7) + i.to_bytes(4, "big") + bytes([i == len(chunks) - 1]), chunk, None
        )
        for i, chunk in enumerate(chunks)
    )
    length = int.from_bytes(length, "big")
    assert not any(plain[length:])
    out["plaintext"] = plain[:length]
    sender_name = name[1 : 1 + name[0]]
    assert not any(name[1 + name[0] :])
    out["transcript"] = sha("SOTTOVOCE-V1-TRANSCRIPT", out["wire"], length)
    out["signature"] = signature
    Y = sender_Y[sender_params]
    out["c"] = verify(
        sender_params, "sign", sender_name, sender_X, Y, "packet", out["transcript"], signature
    )["c"]
    out["packet_id"] = sha("SOTTOVOCE-V1-PACKET", sender_params, sender_name, sender_X, out["transcript"])
    return out


def negate(point_bytes):
    return G1_to_pubkey(neg(pubkey_to_G1(point_bytes)))

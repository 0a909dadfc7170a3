"""A second implementation of pseudonyms, answers and their combination, over py_ecc and AES alone.

It shares no line with the package: AES-SIV is written out after RFC 5297 over single AES blocks, the
Lagrange coefficients over fractions, fields are cut by hand.
"""

import hashlib
import hmac
from fractions import Fraction

from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from py_ecc.bls.g2_primitives import G1_to_pubkey, pubkey_to_G1, signature_to_G2
from py_ecc.optimized_bls12_381 import G2, Z1, add, curve_order, multiply, pairing

from support.clsc_independent import enc, kdf, q_point, sha, verify

__all__ = ["sha", "verify"]


# -- AES-SIV, RFC 5297 --------------------------------------------------------------------------


def _block(key, block):
    return Cipher(algorithms.AES(key), modes.ECB()).encryptor().update(block)


def _xor(a, b):
    return bytes(x ^ y for x, y in zip(a, b, strict=True))


def _double(block):
    """Multiplication by x in GF(2^128), section 2.3."""
    value = int.from_bytes(block, "big") << 1
    if value >> 128:
        value = (value & ((1 << 128) - 1)) ^ 0x87
    return value.to_bytes(16, "big")


def _cmac(key, message):
    """RFC 4493, section 2.4, for AES with any length of key."""
    first = _double(_block(key, bytes(16)))
    blocks = [message[i : i + 16] for i in range(0, len(message), 16)] or [b""]
    last = blocks.pop()
    padded = (last + b"\x80").ljust(16, b"\0")
    last = _xor(last, first) if len(last) == 16 else _xor(padded, _double(first))
    state = bytes(16)
    for block in [*blocks, last]:
        state = _block(key, _xor(state, block))
    return state


def _s2v(key, strings):
    """Section 2.4; the last string is the plaintext."""
    state = _cmac(key, bytes(16))
    for string in strings[:-1]:
        state = _xor(_double(state), _cmac(key, string))
    last = strings[-1]
    if len(last) >= 16:
        mixed = last[:-16] + _xor(last[-16:], state)
    else:
        mixed = _xor(_double(state), (last + b"\x80").ljust(16, b"\0"))
    return _cmac(key, mixed)


def siv_encrypt(key, plaintext, associated):
    """Section 2.6: the synthetic vector, and the plaintext in counter mode from it."""
    half = len(key) // 2
    vector = _s2v(key[:half], [*associated, plaintext])
    mask = 0xFFFFFFFF_FFFFFFFF_7FFFFFFF_7FFFFFFF
    counter, stream = int.from_bytes(vector, "big") & mask, b""
    while len(stream) < len(plaintext):
        stream += _block(key[half:], counter.to_bytes(16, "big"))
        counter = (counter + 1) % (1 << 128)
    return vector + _xor(plaintext, stream[: len(plaintext)])


# -- pseudonyms ---------------------------------------------------------------------------------


def pseudonym(key, params_id, usage, X, name):
    N = kdf(key, enc("SOTTOVOCE-V1-PSEUDONYM", params_id, usage, X, name), 16)
    room = (bytes([len(name)]) + name).ljust(32, b"\0")
    return N + siv_encrypt(key, room, [params_id, usage.encode(), N])


def request_transcript(params_id, usage, X):
    return hashlib.sha256(enc("SOTTOVOCE-V1-ISSUE", params_id, usage, X)).digest()


def token_mac(token, params_id, usage, issued):
    fields = [params_id, *([usage] if usage else []), issued]
    return hmac.digest(token, enc("SOTTOVOCE-V1-ISSUE", *fields), "sha256")


# -- answers ------------------------------------------------------------------------------------


def open_envelope(envelope, x, params_id, usage, identity, X):
    """``D``, or a share of it, out of 112 bytes."""
    E, sealed = envelope[:48], envelope[48:]
    shared = G1_to_pubkey(multiply(pubkey_to_G1(E), x))
    info = enc("SOTTOVOCE-V1-ISSUE-ENVELOPE", 1, params_id, usage, identity, X, E)
    return AESGCM(kdf(shared, info, 32)).decrypt(bytes(12), sealed, None)


def lagrange(indices):
    """Coefficients at 0 over the rationals, then mod r."""
    out = {}
    for j in indices:
        value = Fraction(1)
        for m in indices:
            if m != j:
                value *= Fraction(m, m - j)
        out[j] = value.numerator * pow(value.denominator, -1, curve_order) % curve_order
    return out


def combine(points):
    """``sum l_j*C_j`` of a mapping index -> 48 bytes."""
    total = Z1
    for j, coefficient in lagrange(sorted(points)).items():
        total = add(total, multiply(pubkey_to_G1(points[j]), coefficient))
    return G1_to_pubkey(total)


def multiple(point, k):
    return G1_to_pubkey(multiply(pubkey_to_G1(point), k))


def partial_holds(C, base, Y):
    """``e(C, P2) = e(base, Y)``."""
    return pairing(G2, pubkey_to_G1(C)) == pairing(signature_to_G2(Y), pubkey_to_G1(base))


def identity_point(params_id, usage, identity, X):
    return G1_to_pubkey(q_point(params_id, usage, identity, X))

"""A second implementation of everything in rs, from the definitions and without any of its code.

Slow and plain on purpose: integers, lists and loops; HPKE written out after RFC 9180 from X25519,
HMAC and AES-GCM.  Vectors are made here and must come out of the package, and the other way round.
"""

import hashlib
import hmac

from cryptography.hazmat.primitives.asymmetric.mlkem import MLKEM768PrivateKey, MLKEM768PublicKey
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey, X25519PublicKey
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

# -- GF(2^8) = GF(2)[x] / (x^8 + x^4 + x^3 + x^2 + 1) ------------------------------------------------


def gf_mul(a, b):
    """Carry-less product, then long division by 0x11D."""
    product = 0
    for bit in range(8):
        if b >> bit & 1:
            product ^= a << bit
    for bit in range(14, 7, -1):
        if product >> bit & 1:
            product ^= 0x11D << (bit - 8)
    return product


MUL = [[gf_mul(a, b) for b in range(256)] for a in range(256)]
INV = [0] + [MUL[a].index(1) for a in range(1, 256)]


def combine_rows(coefficients, rows):
    """Sum of coefficient times row."""
    out = bytearray(len(rows[0]))
    for c, row in zip(coefficients, rows, strict=True):
        for position, byte in enumerate(row):
            out[position] ^= MUL[c][byte]
    return bytes(out)


def rank(matrix):
    """Rank by elimination over rows."""
    rows = [list(r) for r in matrix]
    found = 0
    for column in range(len(rows[0])):
        pivot = next((r for r in range(found, len(rows)) if rows[r][column]), None)
        if pivot is None:
            continue
        rows[found], rows[pivot] = rows[pivot], rows[found]
        scale = INV[rows[found][column]]
        rows[found] = [MUL[scale][v] for v in rows[found]]
        for r in range(len(rows)):
            if r != found and rows[r][column]:
                factor = rows[r][column]
                rows[r] = [v ^ MUL[factor][p] for v, p in zip(rows[r], rows[found], strict=True)]
        found += 1
    return found


def lagrange_row(nodes, at):
    """Weights that turn values at nodes into the value at one point."""
    row = []
    for j, x_j in enumerate(nodes):
        weight = 1
        for other, x_l in enumerate(nodes):
            if other != j:
                weight = MUL[weight][MUL[at ^ x_l][INV[x_j ^ x_l]]]
        row.append(weight)
    return row


# -- erasure code ------------------------------------------------------------------------------------


def cauchy_row(i, k):
    """Row of shard i >= k: 1 / (i + j), addition of the field."""
    return [INV[i ^ j] for j in range(k)]


def generator(k, n):
    """All n rows: the identity, then the Cauchy rows."""
    return [[int(i == j) for j in range(k)] for i in range(k)] + [cauchy_row(i, k) for i in range(k, n)]


def encode(data, n):
    """Parity of k rows of bytes."""
    return [combine_rows(cauchy_row(i, len(data)), data) for i in range(len(data), n)]


def decode(shards, k, n):
    """Data from exactly k shards (index -> bytes): solve the k x k system on the bytes themselves."""
    rows = [(list(generator(k, n)[i]), bytes(shards[i])) for i in sorted(shards)[:k]]
    for column in range(k):
        pivot = next(r for r in range(column, k) if rows[r][0][column])
        rows[column], rows[pivot] = rows[pivot], rows[column]
        scale = INV[rows[column][0][column]]
        head = [MUL[scale][v] for v in rows[column][0]], bytes(MUL[scale][v] for v in rows[column][1])
        rows[column] = head
        for r in range(k):
            factor = rows[r][0][column]
            if r != column and factor:
                rows[r] = (
                    [v ^ MUL[factor][p] for v, p in zip(rows[r][0], head[0], strict=True)],
                    bytes(v ^ MUL[factor][p] for v, p in zip(rows[r][1], head[1], strict=True)),
                )
    return [row for _, row in rows]


# -- Shamir ------------------------------------------------------------------------------------------


def shamir_split(key, k, n, randomness):
    """Polynomials key + r_1 x + ..., byte by byte, at 1 ... n; r_j are consecutive blocks."""
    coefficients = [key, *(randomness[i * len(key) : (i + 1) * len(key)] for i in range(k - 1))]
    shares = []
    for x in range(1, n + 1):
        share = bytes(len(key))
        for block in reversed(coefficients):  # Horner
            share = bytes(MUL[x][s] ^ c for s, c in zip(share, block, strict=True))
        shares.append(share)
    return shares


def shamir_combine(shares, at=0):
    """Value at a point (the key is at 0) from exactly k shares (index -> bytes)."""
    return combine_rows(lagrange_row([i + 1 for i in shares], at), list(shares.values()))


# -- HPKE base mode, RFC 9180, suite 0x0020 0x0001 0x0002 --------------------------------------------

_KEM = b"KEM" + (0x0020).to_bytes(2, "big")
_HPKE = b"HPKE" + b"".join(v.to_bytes(2, "big") for v in (0x0020, 0x0001, 0x0002))


def _extract(suite, salt, label, ikm):
    return hmac.digest(salt or bytes(32), b"HPKE-v1" + suite + label + ikm, "sha256")


def _expand(suite, prk, label, info, length):
    labelled = length.to_bytes(2, "big") + b"HPKE-v1" + suite + label + info
    out, block, counter = b"", b"", 1
    while len(out) < length:
        block = hmac.digest(prk, block + labelled + bytes([counter]), "sha256")
        out, counter = out + block, counter + 1
    return out[:length]


def _schedule(dh, sender_public, recipient_public, info):
    prk = _extract(_KEM, b"", b"eae_prk", dh)
    return _key(_HPKE, _expand(_KEM, prk, b"shared_secret", sender_public + recipient_public, 32), info)


def _key(suite, shared, info):
    context = b"\0" + _extract(suite, b"", b"psk_id_hash", b"") + _extract(suite, b"", b"info_hash", info)
    secret = _extract(suite, shared, b"secret", b"")
    return _expand(suite, secret, b"key", context, 32), _expand(suite, secret, b"base_nonce", context, 12)


def hpke_seal(ephemeral, recipient_public, info, plaintext):
    """Seal with a given 32-byte ephemeral secret."""
    secret = X25519PrivateKey.from_private_bytes(ephemeral)
    public = secret.public_key().public_bytes_raw()
    dh = secret.exchange(X25519PublicKey.from_public_bytes(recipient_public))
    key, nonce = _schedule(dh, public, recipient_public, info)
    return public + AESGCM(key).encrypt(nonce, plaintext, b"")


def hpke_open(secret_bytes, info, sealed):
    """Open; cryptography's InvalidTag if that fails."""
    secret = X25519PrivateKey.from_private_bytes(secret_bytes)
    dh = secret.exchange(X25519PublicKey.from_public_bytes(sealed[:32]))
    key, nonce = _schedule(dh, sealed[:32], secret.public_key().public_bytes_raw(), info)
    return AESGCM(key).decrypt(nonce, sealed[32:], b"")


# -- the same over X-Wing, draft-connolly-cfrg-xwing-kem, suite 0x647a 0x0001 0x0002 -------------------

_XWING = b"HPKE" + b"".join(v.to_bytes(2, "big") for v in (0x647A, 0x0001, 0x0002))
_XWING_LABEL = b"\\./" + b"/^\\"


def xwing_keys(seed):
    """The two component keys of a 32-byte seed."""
    expanded = hashlib.shake_256(seed).digest(96)
    return MLKEM768PrivateKey.from_seed_bytes(expanded[:64]), X25519PrivateKey.from_private_bytes(
        expanded[64:]
    )


def _xwing_key(lattice_secret, dh, sent, public, info):
    return _key(_XWING, hashlib.sha3_256(lattice_secret + dh + sent + public + _XWING_LABEL).digest(), info)


def xwing_seal(recipient_public, info, plaintext):
    """Seal with fresh randomness."""
    lattice, public = recipient_public[:1184], recipient_public[1184:]
    secret, sealed = MLKEM768PublicKey.from_public_bytes(lattice).encapsulate()
    ephemeral = X25519PrivateKey.generate()
    sent = ephemeral.public_key().public_bytes_raw()
    dh = ephemeral.exchange(X25519PublicKey.from_public_bytes(public))
    key, nonce = _xwing_key(secret, dh, sent, public, info)
    return sealed + sent + AESGCM(key).encrypt(nonce, plaintext, b"")


def xwing_open(seed, info, sealed):
    """Open; cryptography's InvalidTag if that fails."""
    lattice, classical = xwing_keys(seed)
    sent = sealed[1088:1120]
    dh = classical.exchange(X25519PublicKey.from_public_bytes(sent))
    public = classical.public_key().public_bytes_raw()
    key, nonce = _xwing_key(lattice.decapsulate(sealed[:1088]), dh, sent, public, info)
    return AESGCM(key).decrypt(nonce, sealed[1120:], b"")


# -- dispersal ---------------------------------------------------------------------------------------


def enc(*fields):
    """Each field after its length in 4 bytes."""
    return b"".join(len(f).to_bytes(4, "big") + f for f in fields)


def info_of(context):
    return enc(b"SOTTOVOCE-V1-SHARD", context)


def bodies(packet, k, n, packet_bytes, *, group_id, key, randomness):
    """The n shard bodies before sealing, from given randomness."""
    piece = -(-(packet_bytes + 48) // k)
    padded = packet + bytes(k * piece - 48 - len(packet))
    commitment = hashlib.sha256(enc(b"SOTTOVOCE-V1-SHARD-COMMIT", key)).digest()
    encrypted = AESGCM(key).encrypt(bytes(12), padded, None) + commitment
    data = [encrypted[i * piece : (i + 1) * piece] for i in range(k)]
    pieces = data + encode(data, n)
    shares = shamir_split(key, k, n, randomness)
    head = [group_id + bytes([i, k, n]) + len(packet).to_bytes(8, "big") + shares[i] for i in range(n)]
    return [h + p for h, p in zip(head, pieces, strict=True)]


def open_packet(shard_bodies):
    """The packet from exactly k bodies of one group."""
    k, n = shard_bodies[0][17], shard_bodies[0][18]
    length = int.from_bytes(shard_bodies[0][19:27], "big")
    key = shamir_combine({b[16]: b[27:59] for b in shard_bodies})
    encrypted = b"".join(decode({b[16]: b[59:] for b in shard_bodies}, k, n))
    assert encrypted[-32:] == hashlib.sha256(enc(b"SOTTOVOCE-V1-SHARD-COMMIT", key)).digest()
    padded = AESGCM(key).decrypt(bytes(12), encrypted[:-32], None)
    assert not any(padded[length:])
    return padded[:length]


class Stream:
    """SHA-256 in counter mode: the same bytes from the same seed on every machine and version."""

    def __init__(self, seed):
        self._seed, self._counter, self._buffer = seed, 0, b""

    def take(self, count):
        while len(self._buffer) < count:
            self._buffer += hashlib.sha256(self._seed + self._counter.to_bytes(8, "big")).digest()
            self._counter += 1
        out, self._buffer = self._buffer[:count], self._buffer[count:]
        return out

    def number(self, low, high):
        """In [low, high], by remainder of 4 bytes: good enough for choosing cases."""
        return low + int.from_bytes(self.take(4), "big") % (high - low + 1)

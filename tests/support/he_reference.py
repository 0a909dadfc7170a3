"""A second implementation of ``he.kahe`` in Python integers and lists, written from docs/he.md.

It shares no line with the package and uses neither numpy nor its kernels: transforms are a textbook
recursion, scalings are exact fractions in big integers, bits are joined in one long integer.  Slow
(half a second for a client), and it checks nothing.
"""

import hashlib

from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes

P = 2**31 - 1
SETS = {
    "RLWE_128_N2048_Q50": (2048, 0x3FFFFFFFFC001, 0x2B86CE7575F16),
    "RLWE_PQ128_N2048_Q40": (2048, 0xFFFFFF7001, 0x304747E563),
}


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


class Stream:
    """AES-256 in counter mode, spelled out over the block cipher."""

    def __init__(self, key, start=0):
        self.block = Cipher(algorithms.AES(key), modes.ECB()).encryptor()
        self.counter = start << 64
        self.left = b""

    def read(self, n):
        while len(self.left) < n:
            counters = b"".join((self.counter + i).to_bytes(16, "big") for i in range(1024))
            self.counter += 1024
            self.left += self.block.update(counters)
        out, self.left = self.left[:n], self.left[n:]
        return out

    def below(self, bound, count):
        out = []
        while len(out) < count:
            x = int.from_bytes(self.read(8), "little") % (1 << bound.bit_length())
            if x < bound:
                out.append(x)
        return out

    def cbd(self, count):
        out = []
        for _ in range(count):
            a, b = (int.from_bytes(self.read(8), "little") % 2**42 for _ in range(2))
            out.append(bin(a).count("1") - bin(b).count("1"))
        return out


# -- ring ---------------------------------------------------------------------------------------
def dft(c, omega, q):
    if len(c) == 1:
        return c[:]
    even, odd = dft(c[::2], omega * omega % q, q), dft(c[1::2], omega * omega % q, q)
    out, w, half = [0] * len(c), 1, len(c) // 2
    for i in range(half):
        out[i] = (even[i] + w * odd[i]) % q
        out[i + half] = (even[i] - w * odd[i]) % q
        w = w * omega % q
    return out


def reversal(n):
    width = n.bit_length() - 1
    return [int(bin(i + n)[3:][::-1], 2) for i in range(n)] if width else [0]


def forward(c, psi, q):
    """Value at ``psi**(2 brv(i) + 1)`` in place i."""
    twisted = [x * pow(psi, i, q) % q for i, x in enumerate(c)]
    natural = dft(twisted, psi * psi % q, q)
    return [natural[j] for j in reversal(len(c))]


def inverse(c, psi, q):
    n = len(c)
    natural = [0] * n
    for i, j in enumerate(reversal(n)):
        natural[j] = c[i]
    twisted = dft(natural, pow(psi, -2, q), q)
    return [x * pow(n, -1, q) * pow(psi, -i, q) % q for i, x in enumerate(twisted)]


def schoolbook(a, b, q):
    """Product modulo ``X^n + 1`` through one big integer each: Kronecker substitution."""
    n = len(a)
    size = (2 * q.bit_length() + n.bit_length() + 7) // 8
    x, y = (int.from_bytes(b"".join(v.to_bytes(size, "little") for v in c), "little") for c in (a, b))
    z = (x * y).to_bytes(2 * n * size, "little")
    out = [int.from_bytes(z[i : i + size], "little") for i in range(0, len(z), size)]
    return [(out[i] - out[i + n]) % q for i in range(n)]


def nearest(top, bottom):
    return (2 * top + bottom) // (2 * bottom)


def join(values, width):
    """Eight values are ``width`` bytes."""
    out = b""
    for i in range(0, len(values), 8):
        group = values[i : i + 8]
        out += sum(v << (width * j) for j, v in enumerate(group)).to_bytes(len(group) * width // 8, "little")
    return out


def split(data, width):
    out = []
    for i in range(0, len(data), width):
        group = int.from_bytes(data[i : i + width], "little")
        out += [(group >> (width * j)) % (1 << width) for j in range(len(data[i : i + width]) * 8 // width)]
    return out


# -- the scheme ---------------------------------------------------------------------------------
class Round:
    def __init__(self, set_name, n_slots, value_bits, max_summands, n_members, wire_bits, context):
        self.set_name, self.context, self.W = set_name, context, wire_bits
        self.N, self.q, self.psi = SETS[set_name]
        self.n, self.f = n_members, (n_members - 1) // 3
        self.t = (self.n + self.f) // 2 + 1
        self.n_slots = n_slots
        self.n_elements = -(-n_slots // self.N)
        w = value_bits
        while 1 << (w - value_bits) < max_summands:
            w += 1
        self.k_prime = self.q.bit_length() - w

    def public(self, j):
        key = sha("SOTTOVOCE-V1-KAHE-A", sha("SOTTOVOCE-V1-KAHE-SEED", self.context), self.set_name)
        return Stream(key, j).below(self.q, self.N)

    def times_public(self, j, key):
        hat = forward([k % self.q for k in key], self.psi, self.q)
        product = [a * k % self.q for a, k in zip(self.public(j), hat, strict=True)]
        return inverse(product, self.psi, self.q)

    def wire(self, y):
        return nearest(y << self.W, self.q) % (1 << self.W)

    def client(self, seed, values, sender):
        """Key, errors, ciphertext, shares and proof of a client whose randomness comes from ``seed``."""

        def stream(purpose):
            return Stream(sha("SOTTOVOCE-V1-KAHE-DERAND", purpose, seed))

        out = {"key": stream("key").cbd(self.N)}
        errors = stream("errors")
        padded = [int(v) for v in values] + [0] * (self.n_elements * self.N - self.n_slots)
        out["errors"], wire = [], []
        for j in range(self.n_elements):
            e = errors.cbd(self.N)
            out["errors"] += e
            ak = self.times_public(j, out["key"])
            m = padded[j * self.N : (j + 1) * self.N]
            wire += [
                self.wire((x + y + (z << self.k_prime)) % self.q) for x, y, z in zip(ak, e, m, strict=True)
            ]
        out["ciphertext"] = join(wire, self.W)
        s = stream("shares")
        rows = [out["key"] + s.below(P, 4)]
        rest = s.below(P, (self.t - 1) * (self.N + 4))
        rows += [rest[i : i + self.N + 4] for i in range(0, len(rest), self.N + 4)]
        salts = [s.read(32) for _ in range(self.n)]
        out["shares"], hashes = [], []
        for j in range(1, self.n + 1):
            at = [sum(c * j**d for d, c in enumerate(column)) % P for column in zip(*rows, strict=True)]
            masks, share = join(at[self.N :], 32), join(at[: self.N], 32)
            out["shares"].append(salts[j - 1] + masks + share)
            hashes.append(sha("SOTTOVOCE-V1-SHARE", self.context, sender, j, salts[j - 1], masks, share))
        gamma = self.gamma(sender, hashlib.sha256(out["ciphertext"]).digest(), hashes)
        checks = [
            (sum(g * c for g, c in zip(gamma[i], row[: self.N], strict=True)) + row[self.N + i]) % P
            for row in rows
            for i in range(4)
        ]
        out["proof"] = b"".join(hashes) + join(checks, 32)
        return out

    def gamma(self, sender, digest, hashes):
        flat = Stream(sha("SOTTOVOCE-V1-DEGREE", self.context, sender, digest, *hashes)).below(P, 4 * self.N)
        return [flat[i * self.N : (i + 1) * self.N] for i in range(4)]

    def proof_holds(self, proof, sender, digest, j, share):
        hashes = [proof[32 * i : 32 * i + 32] for i in range(self.n)]
        checks = split(proof[32 * self.n :], 32)
        salt, masks, body = share[:32], share[32:48], share[48:]
        if sha("SOTTOVOCE-V1-SHARE", self.context, sender, j, salt, masks, body) != hashes[j - 1]:
            return False
        gamma, values, m = self.gamma(sender, digest, hashes), split(body, 32), split(masks, 32)
        return all(
            (sum(g * v for g, v in zip(gamma[i], values, strict=True)) + m[i]) % P
            == sum(checks[4 * d + i] * j**d for d in range(self.t)) % P
            for i in range(4)
        )

    def open(self, ciphertexts, shares):
        """Sums of the slots, residuals and key sum; ``shares``: j -> list of share bytes."""
        totals = {
            j: [sum(c) % P for c in zip(*(split(s[48:], 32) for s in ss), strict=True)]
            for j, ss in shares.items()
        }
        key = [0] * self.N
        for j, values in totals.items():
            factor = 1
            for i in totals:
                if i != j:
                    factor = factor * i * pow(i - j, -1, P) % P
            key = [(k + factor * v) % P for k, v in zip(key, values, strict=True)]
        key = [k - P if k > P // 2 else k for k in key]
        half, modulus = 1 << (self.W - 1), 1 << self.W
        total = [sum(c) % modulus for c in zip(*(split(c, self.W) for c in ciphertexts), strict=True)]
        values, residuals = [], []
        for j in range(self.n_elements):
            ak = self.times_public(j, key)
            for c, y in zip(total[j * self.N : (j + 1) * self.N], ak, strict=True):
                x = (c - nearest(y << self.W, self.q) + half) % modulus - half
                m = nearest(x * self.q, 1 << (self.W + self.k_prime))
                values.append(m)
                residuals.append(x - nearest(m << (self.W + self.k_prime), self.q))
        return values, residuals, key

"""A second implementation of ``he.kahe`` in Python integers and lists, written from docs/he.md.

It shares no line with the package and uses neither numpy nor its kernels: transforms are a textbook
recursion, scalings are exact fractions in big integers, bits are joined in one long integer.  Slow
(half a second for a client), and it checks nothing.
"""

import hashlib
from fractions import Fraction
from functools import lru_cache
from math import isqrt

from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes

P = 2**31 - 1
SETS = {  # N, primes, a root of order 2N for each
    "RLWE_128_N2048_Q50": (2048, (0x3FFFFFFFFC001,), (0x2B86CE7575F16,)),
    "RLWE_PQ128_N2048_Q40": (2048, (0xFFFFFF7001,), (0x304747E563,)),
    "RLWE_128_N4096_Q100": (
        4096,
        (0x3FFFFFFFFC001, 0x3FFFFFFFCC001),
        (0x3E3523F0ACB5B, 0x36F7CA5A7D990),
    ),
    "RLWE_PQ128_N4096_Q80": (4096, (0xFFFFFDC001, 0xFFFFFC6001), (0x9BC45E31B9, 0x4D9F20863F)),
    "RLWE_192_N4096_Q72": (4096, (0xFFFFEE001, 0xFFFFC4001), (0x14AA05DAC, 0x98CED3375)),
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
        self.left, self.at = b"", 0

    def read(self, n):
        if self.at + n > len(self.left):
            more = -(-(n + 16384) // 16)
            counters = b"".join((self.counter + i).to_bytes(16, "big") for i in range(more))
            self.counter += more
            self.left, self.at = self.left[self.at :] + self.block.update(counters), 0
        self.at += n
        return self.left[self.at - n : self.at]

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


@lru_cache
def powers(root, n, q):
    return [pow(root, i, q) for i in range(n)]


def forward(c, psi, q):
    """Value at ``psi**(2 brv(i) + 1)`` in place i."""
    twisted = [x * w % q for x, w in zip(c, powers(psi, len(c), q), strict=True)]
    natural = dft(twisted, psi * psi % q, q)
    return [natural[j] for j in reversal(len(c))]


def inverse(c, psi, q):
    n = len(c)
    natural = [0] * n
    for i, j in enumerate(reversal(n)):
        natural[j] = c[i]
    back, scale = pow(psi, -1, q), pow(n, -1, q)
    twisted = dft(natural, back * back % q, q)
    return [x * scale * w % q for x, w in zip(twisted, powers(back, n, q), strict=True)]


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


# -- widths -------------------------------------------------------------------------------------
def width_of_slot(value_bits, summands):
    w = value_bits
    while 1 << (w - value_bits) < summands:
        w += 1
    return w


def opens(q, W, k, slots, value_bits, summands):
    """``max|M| 2^(W+k) / q + B < 2^(W-1)`` and ``B < 2^(W+k) / (2 q)``, B rounded up in the 12th place."""
    w = width_of_slot(value_bits, summands)
    proxy = summands * (Fraction(1, 12) + 21 * Fraction(4) ** W / q**2)
    B = Fraction("13.38") * Fraction(isqrt(int(proxy * 10**24)) + 1, 10**12) + Fraction(1, 2)
    step = Fraction(2) ** (W + k) / q
    largest = summands * (2 ** (value_bits - 1) - 1) * sum(2 ** (w * j) for j in range(slots))
    return largest * step + B < 2 ** (W - 1) and step / 2 > B


@lru_cache
def shape(q, value_bits, summands):
    """S, k' and the smallest W: the S with the fewest bits a value, of equals the smallest."""
    L, w = q.bit_length(), width_of_slot(value_bits, summands)
    best = None
    for slots in range(1, 17):
        for k in (L - slots * w, L - slots * w - 1):
            widths = [W for W in range(1, L) if k >= 1 and opens(q, W, k, slots, value_bits, summands)]
            if widths:
                if best is None or Fraction(widths[0], slots) < Fraction(best[2], best[0]):
                    best = slots, k, widths[0]
                break
    return best


# -- the scheme ---------------------------------------------------------------------------------
class Round:
    def __init__(self, set_name, n_slots, value_bits, max_summands, n_members, wire_bits, context):
        self.set_name, self.context, self.W = set_name, context, wire_bits
        self.N, self.primes, self.roots = SETS[set_name]
        self.q = 1
        for p in self.primes:
            self.q *= p
        self.n, self.f = n_members, (n_members - 1) // 3
        self.t = (self.n + self.f) // 2 + 1
        self.S, self.k_prime, self.least = shape(self.q, value_bits, max_summands)
        self.w = width_of_slot(value_bits, max_summands)
        self.n_slots = n_slots
        self.n_elements = -(-n_slots // (self.N * self.S))

    def public(self, j):
        """Values of ``a_j`` in the transform's order, one list a prime: all from one stream, in turn."""
        key = sha("SOTTOVOCE-V1-KAHE-A", sha("SOTTOVOCE-V1-KAHE-SEED", self.context), self.set_name)
        stream = Stream(key, j)
        return [stream.below(p, self.N) for p in self.primes]

    def times_public(self, j, key):
        """``a_j key`` modulo q, from its residues modulo the primes."""
        total = [0] * self.N
        for p, psi, a in zip(self.primes, self.roots, self.public(j), strict=True):
            hat = forward([k % p for k in key], psi, p)
            product = inverse([x * y % p for x, y in zip(a, hat, strict=True)], psi, p)
            one = self.q // p * pow(self.q // p, -1, p)  # 1 modulo p, 0 modulo the others
            total = [(x + one * y) % self.q for x, y in zip(total, product, strict=True)]
        return total

    def wire(self, y):
        return nearest(y << self.W, self.q) % (1 << self.W)

    def messages(self, values):
        """Slots to coefficients, padded with zeros to whole ring elements."""
        padded = [int(v) for v in values] + [0] * (self.n_elements * self.N * self.S - len(values))
        return [
            sum(v << (self.w * i) for i, v in enumerate(padded[at : at + self.S]))
            for at in range(0, len(padded), self.S)
        ]

    def slots(self, message):
        """The S signed numbers whose sum ``message`` is."""
        out, half = [], 1 << (self.w - 1)
        for _ in range(self.S - 1):
            low = (message + half) % (2 * half) - half
            out.append(low)
            message = (message - low) >> self.w
        return [*out, message]

    def client(self, seed, values, sender):
        """Key, errors, ciphertext, shares and proof of a client whose randomness comes from ``seed``."""

        def stream(purpose):
            return Stream(sha("SOTTOVOCE-V1-KAHE-DERAND", purpose, seed))

        out = {"key": stream("key").cbd(self.N)}
        errors = stream("errors")
        messages = self.messages(values)
        out["errors"], wire = [], []
        for j in range(self.n_elements):
            e = errors.cbd(self.N)
            out["errors"] += e
            ak = self.times_public(j, out["key"])
            m = messages[j * self.N : (j + 1) * self.N]
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
                values += self.slots(m)
                residuals.append(x - nearest(m << (self.W + self.k_prime), self.q))
        return values, residuals, key

"""Packed Paillier by the textbook: ``pow`` only, no tables, no remainders of Chinese, one value at a time.

Shares nothing with the library: neither code nor gmpy2 nor numpy.  Numbers come from SHA-256 of a seed.
"""

import hashlib
from math import gcd, isqrt, prod

DEGENERATE = "the sum does not open"


class Drbg:
    """Reproducible numbers: SHA-256 of seed and counter."""

    def __init__(self, seed):
        self.seed, self.count = seed, 0

    def bits(self, n):
        data = b""
        while 8 * len(data) < n:
            data += hashlib.sha256(b"%d:%s" % (self.count, self.seed)).digest()
            self.count += 1
        return int.from_bytes(data, "little") % (1 << n)


PRODUCT = prod(p for p in range(3, 4000) if all(p % d for d in range(2, isqrt(p) + 1)))


def is_prime(n, rounds=8):
    """For odd numbers above 4000; rounds enough for numbers that nobody chose."""
    if gcd(n, PRODUCT) != 1 or pow(2, n - 1, n) != 1:
        return False
    d, s = n - 1, 0
    while d % 2 == 0:
        d, s = d // 2, s + 1
    numbers = Drbg(b"bases")
    for _ in range(rounds):
        x = pow(2 + numbers.bits(n.bit_length()) % (n - 3), d, n)
        if x in (1, n - 1):
            continue
        for _ in range(s - 1):
            x = x * x % n
            if x == n - 1:
                break
        else:
            return False
    return True


def prime(numbers, n_bits, residue=3):
    """A prime of n_bits with its two top bits set, of a given residue modulo 4."""
    while True:
        p = numbers.bits(n_bits) | (3 << (n_bits - 2))
        p = p - p % 4 + residue
        if is_prime(p):
            return p


class Key:
    def __init__(self, p, q, x, exponent_bits, sign=-1):
        self.p, self.q = sorted((p, q))
        self.n = p * q
        self.n2 = self.n**2
        self.bits = self.n.bit_length()
        self.h = sign * x * x % self.n
        self.hs = pow(self.h, self.n, self.n2)
        self.exponent_bits = exponent_bits
        self.lam = (p - 1) * (q - 1) // gcd(p - 1, q - 1)

    def power(self, alpha):
        return pow(self.hs, alpha, self.n2)

    def encrypt(self, m, alpha):
        return (1 + m * self.n) * self.power(alpha) % self.n2

    def decrypt(self, c):
        """Centred."""
        L = (pow(c, self.lam, self.n2) - 1) // self.n
        m = L * pow(self.lam, -1, self.n) % self.n
        return m - self.n if m > self.n // 2 else m

    def public_bytes(self):
        return (
            self.bits.to_bytes(2, "little")
            + self.exponent_bits.to_bytes(2, "little")
            + self.n.to_bytes(self.bits // 8, "little")
            + self.hs.to_bytes(self.bits // 4, "little")
        )

    def secret_bytes(self):
        half = self.bits // 16
        return (
            self.bits.to_bytes(2, "little")
            + self.exponent_bits.to_bytes(2, "little")
            + self.p.to_bytes(half, "little")
            + self.q.to_bytes(half, "little")
            + self.hs.to_bytes(self.bits // 4, "little")
        )

    def key_id(self):
        tag, n = b"SOTTOVOCE-V1-PAILLIER-KEY", self.n.to_bytes(self.bits // 8, "little")
        fields = b"".join(len(f).to_bytes(4, "big") + f for f in (tag, n))
        return hashlib.sha256(fields).digest()


class Packing:
    def __init__(self, key_bits, n_slots, value_bits, max_summands, slots=None):
        self.key_bits, self.n_slots = key_bits, n_slots
        self.value_bits, self.max_summands = value_bits, max_summands
        self.w = value_bits
        while 1 << (self.w - value_bits) < max_summands:
            self.w += 1
        self.slots = slots or (key_bits - 2) // self.w
        self.count = (n_slots + self.slots - 1) // self.slots

    def to_bytes(self):
        return (
            self.key_bits.to_bytes(2, "little")
            + self.value_bits.to_bytes(1, "little")
            + self.slots.to_bytes(2, "little")
            + self.max_summands.to_bytes(4, "little")
            + self.n_slots.to_bytes(8, "little")
        )

    def pack(self, values):
        out = []
        for start in range(0, len(values), self.slots):
            m = 0
            for j, v in enumerate(values[start : start + self.slots]):
                m += v << (self.w * j)
            out.append(m)
        return out

    def unpack(self, numbers):
        """Low slot first: extend the sign, subtract, shift; what is left over must be nothing."""
        out = []
        for m in numbers:
            for _ in range(self.slots):
                v = m % (1 << self.w)
                if v >= 1 << (self.w - 1):
                    v -= 1 << self.w
                out.append(v)
                m = (m - v) >> self.w
            if m != 0:
                raise ValueError(DEGENERATE)
        return out


def ciphertext_bytes(key, packing, weight, numbers):
    head = key.key_id() + packing.to_bytes() + weight.to_bytes(4, "little")
    return head + b"".join(c.to_bytes(key.bits // 4, "little") for c in numbers)

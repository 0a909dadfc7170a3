"""A second implementation of ``he.rlwe`` in Python integers and lists, written from docs/he-rlwe.md.

Textbook: polynomials over the integers modulo the whole q, products through one big integer each, no
Chinese remainders but for reading the public element, no numpy, none of the package's kernels.  Slow (a
tenth of a second for a ring element), and it checks nothing.
"""

import struct

from support.he_reference import Stream, inverse, join, schoolbook, sha, split

SETS = {
    # number on the wire, N, (prime, root of order 2N) ...
    "RLWE_128_N2048_Q50": (1, 2048, ((0x3FFFFFFFFC001, 0x2B86CE7575F16),)),
    "RLWE_PQ128_N2048_Q40": (2, 2048, ((0xFFFFFF7001, 0x304747E563),)),
    "RLWE_128_N4096_Q100": (
        3,
        4096,
        ((0x3FFFFFFFFC001, 0x3E3523F0ACB5B), (0x3FFFFFFFCC001, 0x36F7CA5A7D990)),
    ),
    "RLWE_PQ128_N4096_Q80": (4, 4096, ((0xFFFFFDC001, 0x9BC45E31B9), (0xFFFFFC6001, 0x4D9F20863F))),
    "RLWE_192_N4096_Q72": (5, 4096, ((0xFFFFEE001, 0x14AA05DAC), (0xFFFFC4001, 0x98CED3375))),
}
BLOCK = 1 << 14
HEADER = 80


def ternary(stream, count):
    """In place of every word 65535 comes one of the words that follow, in order."""
    out = [int.from_bytes(stream.read(2), "little") for _ in range(count)]
    while 65535 in out:
        places = [i for i, r in enumerate(out) if r == 65535]
        for i in places:
            out[i] = int.from_bytes(stream.read(2), "little")
    return [r // 21845 - 1 for r in out]


def cbd21(stream, count):
    out = []
    for _ in range(count):
        word = int.from_bytes(stream.read(8), "little")
        out.append((word % 2**21).bit_count() - (word // 2**21 % 2**21).bit_count())
    return out


class Ring:
    def __init__(self, name):
        self.name = name
        self.number, self.N, self.primes = SETS[name]
        self.q = 1
        for p, _ in self.primes:
            self.q *= p
        self.L = self.q.bit_length()

    def public(self, seed):
        """Coefficients of ``a`` modulo q."""
        stream = Stream(sha("SOTTOVOCE-V1-RLWE-A", seed, self.name))
        planes = []
        for p, psi in self.primes:
            values = []
            while len(values) < self.N:
                x = int.from_bytes(stream.read(8), "little") % (1 << p.bit_length())
                if x < p:
                    values.append(x)
            planes.append(inverse(values, psi, p))
        out = []
        for residues in zip(*planes, strict=True):
            x = 0
            for (p, _), r in zip(self.primes, residues, strict=True):
                rest = self.q // p
                x += r * rest * pow(rest, -1, p)
            out.append(x % self.q)
        return out

    def times(self, a, b):
        return schoolbook([x % self.q for x in a], [x % self.q for x in b], self.q)

    def centred(self, x):
        x %= self.q
        return x - self.q if x > self.q // 2 else x

    def round(self, x, d):
        """Multiples of 2^d, counted; the one at or above q is 0."""
        v = (x % self.q + (1 << d >> 1)) >> d
        return 0 if v << d >= self.q else v


class Key:
    """Key pair whose randomness comes from ``seed``."""

    def __init__(self, set_name, seed):
        self.ring = r = Ring(set_name)
        stream = Stream(sha("SOTTOVOCE-V1-RLWE-DERAND", "key", seed))
        self.seed = sha("SOTTOVOCE-V1-RLWE-SEED", stream.read(32))
        self.attempts = 0
        while True:
            self.attempts += 1
            self.s = ternary(stream, r.N)
            self.e = cbd21(stream, r.N)
            if self.good():
                break
        self.a = r.public(self.seed)
        self.b = [(y - x) % r.q for x, y in zip(r.times(self.a, self.s), self.e, strict=True)]
        self.public_bytes = bytes((1, r.number)) + self.seed + join(self.b, r.L)
        self.id = sha("SOTTOVOCE-V1-RLWE-KEY", self.public_bytes)
        self.secret_bytes = (
            bytes((1, r.number))
            + self.id
            + self.seed
            + join([x + 1 for x in self.s], 2)
            + bytes(x + 21 for x in self.e)
        )

    def good(self):
        """The three bounds, squared where the definition has a root."""
        N, s2, e2 = self.ring.N, sum(x * x for x in self.s), sum(x * x for x in self.e)
        flat = max(abs(sum(self.s[: i + 1]) - sum(self.s[i + 1 :])) for i in range(N))
        return (
            (s2 <= 2 * N / 3 or (3 * s2 - 2 * N) ** 2 <= 36 * 2 * N)
            and (e2 <= 10.5 * N or (2 * e2 - 21 * N) ** 2 <= 126**2 * 2 * N)
            and 3 * flat * flat <= 16 * 2 * N
        )


class Scheme:
    """Everything under one key with parameters given in full."""

    def __init__(self, key, n_slots, value_bits, max_summands, max_square_sum, k, S, k0, k1):
        self.key, self.ring = key, key.ring
        self.n_slots, self.b, self.n, self.squares = n_slots, value_bits, max_summands, max_square_sum
        self.k, self.S, self.k0, self.k1 = k, S, k0, k1
        self.w = value_bits
        while 1 << (self.w - value_bits) < max_summands:
            self.w += 1
        self.n_elements = -(-n_slots // (self.ring.N * S))

    def header(self, form, W1, W2, R):
        return struct.pack(
            "<BBBBBBBB32sQIQIQQ",
            *(1, self.ring.number, form, self.b, self.k, self.S, self.k0, self.k1),
            *(self.key.id, self.n_slots, self.n, self.squares, W1, W2, R),
        )

    def messages(self, values):
        """Coefficients of the ring elements."""
        N, S = self.ring.N, self.S
        padded = [int(v) for v in values] + [0] * (self.n_elements * N * S - self.n_slots)
        m = [
            sum(v << (self.w * j) for j, v in enumerate(padded[i : i + S])) for i in range(0, len(padded), S)
        ]
        return [m[i : i + N] for i in range(0, len(m), N)]

    def encrypt(self, values, seed):
        """Everything that encrypting makes: a list for each element, and the bytes."""
        r, key = self.ring, sha("SOTTOVOCE-V1-RLWE-DERAND", "enc", seed)
        rows = BLOCK // r.N
        m = self.messages(values)
        out = {"u": [], "e0": [], "e1": [], "c0": [], "c1": []}
        for block in range(0, self.n_elements, rows):
            count = min(rows, self.n_elements - block)
            stream = Stream(key, block // rows)
            for name, draw in (("u", ternary), ("e0", cbd21), ("e1", cbd21)):
                flat = draw(stream, count * r.N)
                out[name] += [flat[i : i + r.N] for i in range(0, len(flat), r.N)]
        for j in range(self.n_elements):
            bu, au = r.times(self.key.b, out["u"][j]), r.times(self.key.a, out["u"][j])
            out["c0"].append(
                [
                    r.round(x + e + (y << self.k), self.k0)
                    for x, e, y in zip(bu, out["e0"][j], m[j], strict=True)
                ]
            )
            out["c1"].append([r.round(x + e, self.k1) for x, e in zip(au, out["e1"][j], strict=True)])
        out["bytes"] = self.wire(0, (1, 1, 0), out["c0"], out["c1"], self.k0, self.k1)
        return out

    def wire(self, form, counters, c0, c1, d0, d1):
        r, rows = self.ring, BLOCK // self.ring.N
        body = b""
        for block in range(0, self.n_elements, rows):
            for c, d in ((c0, d0), (c1, d1)):
                body += join([x for element in c[block : block + rows] for x in element], r.L - d)
        return self.header(form, *counters) + body

    def read(self, data):
        """c0 and c1, as integers modulo q."""
        r, rows = self.ring, BLOCK // self.ring.N
        d0, d1 = (0, 0) if data[2] else (self.k0, self.k1)
        at, c0, c1 = HEADER, [], []
        for block in range(0, self.n_elements, rows):
            count = min(rows, self.n_elements - block)
            for c, d in ((c0, d0), (c1, d1)):
                size = count * r.N * (r.L - d) // 8
                flat = [v << d for v in split(data[at : at + size], r.L - d)]
                c += [flat[i : i + r.N] for i in range(0, len(flat), r.N)]
                at += size
        assert at == len(data)
        return c0, c1

    def add(self, ciphertexts, weights):
        """Bytes of the lossless sum of fresh ciphertexts."""
        q = self.ring.q
        parts = [self.read(data) for data in ciphertexts]
        total = [
            [
                [
                    sum(w * x for w, x in zip(weights, column, strict=True)) % q
                    for column in zip(*e, strict=True)
                ]
                for e in zip(*(p[c] for p in parts), strict=True)
            ]
            for c in (0, 1)
        ]
        counters = sum(abs(w) for w in weights), sum(w * w for w in weights), 0
        return self.wire(1, counters, *total, 0, 0)

    def compress(self, data, seed):
        """Bytes of a lossless sum, rounded up or down at random."""
        r, rows = self.ring, BLOCK // self.ring.N
        W1, W2, R = struct.unpack_from("<IQQ", data, 60)
        parts, rounded = self.read(data), ([], [])
        key = sha("SOTTOVOCE-V1-RLWE-DERAND", "compress", seed)
        for block in range(0, self.n_elements, rows):
            stream = Stream(key, block // rows)
            for c, out, d in zip(parts, rounded, (self.k0, self.k1), strict=True):
                for element in c[block : block + rows]:
                    words = [int.from_bytes(stream.read(4), "little") if d else 0 for _ in element]
                    out.append(
                        [
                            r.round(x + w % (1 << d) - (1 << d >> 1), d)
                            for x, w in zip(element, words, strict=True)
                        ]
                    )
        return self.wire(0, (W1, W2, R + 1), *rounded, self.k0, self.k1)

    def decrypt(self, data):
        """All slots with the padding, and the noise of every coefficient."""
        r, (c0, c1) = self.ring, self.read(data)
        slots, noise = [], []
        for x0, x1 in zip(c0, c1, strict=True):
            for x, y in zip(x0, r.times(x1, self.key.s), strict=True):
                z = r.centred(x + y)
                m = (z + (1 << (self.k - 1))) >> self.k
                noise.append(z - (m << self.k))
                for _ in range(self.S - 1):
                    low = m % (1 << self.w)
                    low -= (low >> (self.w - 1)) << self.w
                    slots.append(low)
                    m = (m - low) >> self.w
                slots.append(m)
        return slots, noise

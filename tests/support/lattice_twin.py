"""The kernels of additive encryption by definition, in Python integers; shares no line with the package."""

import random
from math import prod

SETS = {
    "Q50": (0x3FFFFFFFFC001,),
    "Q40": (0xFFFFFF7001,),
    "Q100": (0x3FFFFFFFFC001, 0x3FFFFFFFCC001),
    "Q80": (0xFFFFFDC001, 0xFFFFFC6001),
    "Q72": (0xFFFFEE001, 0xFFFFC4001),
    # Not sets of the library: the ends of what the kernels take.
    "least": (65537 + 50,),
    "least two": (65537, 65539),
    "most": (2**50 - 27,),
    "most two": (2**50 - 35, 2**50 - 27),
    "just above": (2**49 + 69, 2**49 + 81),
}


def nearest(top, bottom):
    return (2 * top + bottom) // (2 * bottom)


def join_bits(values, width):
    """One long integer, least significant bit first."""
    whole = sum(v << (width * i) for i, v in enumerate(values))
    assert len(values) * width % 8 == 0
    return whole.to_bytes(len(values) * width // 8, "little")


def split_bits(data, width):
    whole = int.from_bytes(data, "little")
    return [(whole >> (width * i)) % 2**width for i in range(8 * len(data) // width)]


def residues(primes, zs):
    return [[z % p for z in zs] for p in primes]


def message(slots, w):
    return sum(v << (w * j) for j, v in enumerate(slots))


def slots_of(M, S, w):
    out = []
    for _ in range(S - 1):
        low = (M + 2 ** (w - 1)) % 2**w - 2 ** (w - 1)
        out.append(low)
        M = (M - low) >> w
    out.append(max(-(2**63) + 1, min(2**63 - 1, M)))
    return out


def popcount_difference(data, bits, apart):
    word = int.from_bytes(data, "little")
    return (word % 2**bits).bit_count() - ((word >> apart) % 2**bits).bit_count()


def edge_residues(q, rng, n):
    edge = [0, 1, q - 1, q // 2, q // 2 + 1, 2, q - 2, q // 3]
    return (edge + [rng.randrange(q) for _ in range(n)])[:n]


def edge_slots(S, w, rng, n):
    """n messages whose slots are within what a slot of w bits and an int32 hold, extremes among them."""
    top = min(2 ** (w - 1) - 1, 2**31 - 1)
    out = [[top] * S, [-top] * S, [(-1) ** j * top for j in range(S)], [0] * S, [-1] * S, [1] * S]
    while len(out) < n:
        out.append([rng.choice([rng.randint(-top, top), top, -top, 0]) for _ in range(S)])
    rng.shuffle(out)
    return out[:n]


def generator(*seed):
    return random.Random(repr(seed))


class Kahe:
    def __init__(self, primes, W, S, w):
        self.primes, self.W, self.S, self.w = primes, W, S, w
        self.q = prod(primes)
        self.L = self.q.bit_length()
        self.k = self.L - S * w

    def encrypt(self, ak, slots, raw):
        out = []
        for i, (y, v) in enumerate(zip(ak, slots, strict=True)):
            e = popcount_difference(raw[16 * i : 16 * i + 16], 42, 64)
            z = (y + e + (message(v, self.w) << self.k)) % self.q
            out.append(nearest(z << self.W, self.q) % 2**self.W)
        return out

    def open(self, total, ak):
        half, rs, values = 1 << (self.W - 1), [], []
        for c, y in zip(total, ak, strict=True):
            x = (c - nearest(y << self.W, self.q) + half) % (2 * half) - half
            M = nearest(x * self.q, 1 << (self.W + self.k))
            rs.append(abs(x - nearest(M << (self.W + self.k), self.q)))
            values += slots_of(M, self.S, self.w)
        return values, max(rs), sum(min(r, 1 << 24) ** 2 for r in rs)


class Rlwe:
    def __init__(self, primes, k, S, w, d):
        self.primes, self.k, self.S, self.w, self.d = primes, k, S, w, d
        self.q = prod(primes)
        self.L = self.q.bit_length()
        self.W = self.L - d

    def shorten(self, z):
        v = (2 * z + 2**self.d) // 2 ** (self.d + 1)
        return 0 if v * 2**self.d >= self.q else v

    def encrypt(self, ys, slots, raw):
        out = []
        for i, y in enumerate(ys):
            e = popcount_difference(raw[8 * i : 8 * i + 8], 21, 21)
            M = 0 if slots is None else message(slots[i], self.w)
            out.append(self.shorten((y + e + (M << self.k)) % self.q))
        return out

    def open(self, ys):
        values, largest = [], 0
        for y in ys:
            z = y - self.q if y > self.q // 2 else y
            M = (z + 2 ** (self.k - 1)) >> self.k
            largest = max(largest, abs(z - (M << self.k)))
            values += slots_of(M, self.S, self.w)
        return values, min(largest, 2**63 - 1)

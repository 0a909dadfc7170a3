"""A second implementation of Reed-Solomon words, after the definition and for clearness alone.

No tables: a product is a carry-less product reduced by the polynomial, parity is a long division, a word is a
codeword if it is zero at the roots.  Correction tries sets of places, by elimination: for short words.
"""

from itertools import combinations


class Field:
    def __init__(self, c_exp, prim):
        self.c_exp, self.prim = c_exp, prim

    def times(self, a, b):
        product = 0
        for bit in range(self.c_exp):
            product ^= (a << bit) * (b >> bit & 1)
        for bit in range(2 * self.c_exp - 2, self.c_exp - 1, -1):
            product ^= (self.prim << (bit - self.c_exp)) * (product >> bit & 1)
        return product

    def power(self, a, exponent):
        result, exponent = 1, exponent % ((1 << self.c_exp) - 1)
        while exponent:
            result = self.times(result, a) if exponent & 1 else result
            a, exponent = self.times(a, a), exponent >> 1
        return result

    def inverse(self, a):
        return self.power(a, (1 << self.c_exp) - 2)


class Twin:
    def __init__(self, nsym, fcr=0, prim=0x11D, generator=2, c_exp=8):
        self.field, self.nsym, self.generator = Field(c_exp, prim), nsym, generator
        self.roots = [self.field.power(generator, fcr + i) for i in range(nsym)]
        self.gen = [1]
        for root in self.roots:
            scaled = [self.field.times(c, root) for c in self.gen]
            self.gen = [a ^ b for a, b in zip([*self.gen, 0], [0, *scaled], strict=True)]

    def encode(self, message):
        rest = [*message, *[0] * self.nsym]
        for at in range(len(message)):
            lead = rest[at]
            for j, c in enumerate(self.gen):
                rest[at + j] ^= self.field.times(lead, c)
        return [*message, *rest[len(message) :]]

    def syndromes(self, word):
        values = []
        for root in self.roots:
            value = 0
            for symbol in word:
                value = self.field.times(value, root) ^ symbol
            values.append(value)
        return values

    def nearest(self, word, erasures=()):
        """The codewords with 2 e + v <= nsym, found by trying all sets of e places."""
        n, found = len(word), []
        free = [p for p in range(n) if p not in erasures]
        for e in range((self.nsym - len(erasures)) // 2 + 1):
            for places in combinations(free, e):
                values = self.solve(word, [*erasures, *places])
                if values is not None:
                    candidate = list(word)
                    for p, value in zip([*erasures, *places], values, strict=True):
                        candidate[p] ^= value
                    if candidate not in found:
                        found.append(candidate)
        return found

    def solve(self, word, places):
        """Values at these places that make it a codeword, or None."""
        times, n = self.field.times, len(word)
        columns = []
        for p in places:
            unit = [0] * n
            unit[p] = 1
            columns.append(self.syndromes(unit))
        rows = [[c[i] for c in columns] + [s] for i, s in enumerate(self.syndromes(word))]
        for at in range(len(places)):
            pivot = next(r for r in range(at, len(rows)) if rows[r][at])
            rows[at], rows[pivot] = rows[pivot], rows[at]
            scale = self.field.inverse(rows[at][at])
            rows[at] = [times(scale, x) for x in rows[at]]
            for r in range(len(rows)):
                if r != at and rows[r][at]:
                    factor = rows[r][at]
                    rows[r] = [x ^ times(factor, y) for x, y in zip(rows[r], rows[at], strict=True)]
        if any(row[-1] for row in rows[len(places) :]):
            return None
        return [row[-1] for row in rows[: len(places)]]

"""A small committee and some clients for the tests of ``he.kahe``."""

import hashlib
from dataclasses import dataclass, field

import numpy as np

from sottovoce.he import kahe

Q50 = "RLWE_128_N2048_Q50"
Q40 = "RLWE_PQ128_N2048_Q40"
Q100 = "RLWE_128_N4096_Q100"
Q80 = "RLWE_PQ128_N4096_Q80"
Q72 = "RLWE_192_N4096_Q72"
ALL_SETS = (Q50, Q40, Q100, Q80, Q72)
CONTEXT = hashlib.sha256(b"round").digest()


def make_params(n_slots=100, *, name=Q50, value_bits=16, max_summands=64, n_members=4, wire_bits=None):
    return kahe.Params(name, n_slots, value_bits, max_summands, n_members, wire_bits)


def extreme(params):
    return (1 << (params.value_bits - 1)) - 1


def random_values(params, rng):
    bound = extreme(params)
    return rng.integers(-bound, bound, params.n_slots, endpoint=True)


@dataclass
class World:
    """Clients' messages of one round, made honestly, and the sums over them."""

    params: kahe.Params
    context: bytes = CONTEXT
    values: list = field(default_factory=list)
    ciphertexts: list = field(default_factory=list)
    proofs: list = field(default_factory=list)
    shares: list = field(default_factory=list)  # of each client: those of members 1..n

    def sender(self, i):
        return b"client %d" % i

    def join(self, values, seed=None):
        key = kahe.OneTimeKey._generate_derand(self.params, self.context, seed)
        self.values.append(values)
        self.ciphertexts.append(key.encrypt(values))
        proof, shares = key.share(self.sender(len(self.values) - 1))
        self.proofs.append(proof)
        self.shares.append(shares)
        return self

    def fill(self, count, seed=1):
        rng = np.random.default_rng(seed)
        for _ in range(count):
            self.join(random_values(self.params, rng))
        return self

    def total(self, only=None):
        total = kahe.CiphertextSum(self.params, self.context)
        for i, c in enumerate(self.ciphertexts):
            if only is None or i in only:
                total.add(c)
        return total

    def share_sum(self, j, only=None):
        out = kahe.ShareSum(self.params, j)
        for i, shares in enumerate(self.shares):
            if only is None or i in only:
                out.add(shares[j - 1])
        return out

    def share_sums(self, members=None, only=None):
        return [self.share_sum(j, only) for j in members or range(1, self.params.n_members + 1)]

    def expected(self, only=None):
        return sum(v for i, v in enumerate(self.values) if only is None or i in only)

    def open(self, share_sums=None, **kwargs):
        sums = self.share_sums() if share_sums is None else share_sums
        count = len(self.values)
        count = kwargs.pop("n", count)
        return kahe.open_sum(self.params, self.context, self.total(), sums, count, **kwargs)


def altered(share_sum, delta, params):
    """The same share sum with ``delta`` (N integers) added."""
    data = share_sum.to_bytes()
    body = (np.frombuffer(data, "<u4", offset=4).astype(np.int64) + delta) % ((1 << 31) - 1)
    return kahe.ShareSum.from_bytes(data[:4] + body.astype("<u4").tobytes(), params, share_sum.index)

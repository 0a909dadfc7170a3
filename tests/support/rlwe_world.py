"""Keys, parameters and vectors for the tests of ``he.rlwe``."""

from functools import lru_cache

import numpy as np

from sottovoce.he import SETS, rlwe
from sottovoce.he._rlwe_secret import _keygen_derand
from support.rlwe_reference import Key, Scheme

Q50, Q40 = "RLWE_128_N2048_Q50", "RLWE_PQ128_N2048_Q40"
Q100, Q80, Q72 = "RLWE_128_N4096_Q100", "RLWE_PQ128_N4096_Q80", "RLWE_192_N4096_Q72"
ALL_SETS = tuple(SETS)
SEED = bytes(range(32))


@lru_cache(maxsize=8)
def secret_key(name=Q50):
    return _keygen_derand(name, SEED)


@lru_cache(maxsize=8)
def reference_key(name=Q50):
    return Key(name, SEED)


def make_params(n_slots=100, name=Q50, value_bits=16, max_summands=64, max_square_sum=None):
    return rlwe.Params(name, n_slots, value_bits, max_summands, max_square_sum)


def scheme(params):
    """The reference with the same parameters."""
    return Scheme(
        reference_key(params.set),
        params.n_slots,
        params.value_bits,
        params.max_summands,
        params.max_square_sum,
        params.scale_bits,
        params.slots_per_coefficient,
        *params.drop_bits,
    )


def extreme(params):
    return (1 << (params.value_bits - 1)) - 1


def random_values(params, seed=0):
    G = extreme(params)
    return np.random.default_rng(seed).integers(-G, G, params.n_slots, endpoint=True, dtype=np.int64)


def encrypt(params, values, seed=None, threads=1):
    """With a number as ``seed``: always the same ciphertext."""
    derand = None if seed is None else seed.to_bytes(32, "big")
    return secret_key(params.set).public_key._encrypt_derand(values, params, threads, derand)


def decrypt(total, **more):
    return secret_key(total.params.set).decrypt(total, **more)


def empty_sum(params):
    return rlwe.CiphertextSum(params, secret_key(params.set).public_key.key_id)


def state(total):
    """What a sum is, to see that it did not change."""
    return total._total.copy().tobytes(), total._counters, total._broken


def noise_of(total, expected):
    """Noise of every coefficient, centred: ``c0 + c1 s - 2^k m`` through the kernels' residues."""
    params, key = total.params, secret_key(total.params.set)
    values = np.zeros(params.n_elements * params.N * params.slots_per_coefficient, np.int64)
    values[: params.n_slots] = expected
    m = values.reshape(-1, params.slots_per_coefficient).astype(object)
    m = (m << (params.slot_bits * np.arange(params.slots_per_coefficient).astype(object))).sum(axis=1)
    from sottovoce.he._rlwe_blocks import Blocks

    blocks, out = Blocks(params, total._form), []
    for block in blocks:
        y = params._ring.empty(block.rows)
        key._phase(total, blocks, block, y)
        z = y[0].reshape(-1).astype(object)
        if len(y) == 2:
            p, r = params._set.primes
            z = z + p * ((y[1].reshape(-1).astype(object) - z) * pow(p, -1, r) % r)
        x = (z - (m[block.start * params.N :][: len(z)] << params.scale_bits)) % params.q
        out.append(np.where(x > params.q // 2, x - params.q, x))
    return np.concatenate(out).astype(np.int64)

"""Every compiled back end that this processor runs gives the same bytes as the portable one."""

from __future__ import annotations

from collections.abc import Callable
from types import ModuleType
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from ..._ext import codec, gf256, kahe, kernel, ntt, rlwe, rsword, sampler
from ..._ext.kernel import Backend
from ...he.params import SETS
from ..bench.areas import Area
from .check import holds_for
from .expect import same

_LENGTHS: Final = 600  # of the longest arrays: several vectors and blocks, and every tail


def _alone(module: ModuleType) -> Callable[[], str | None]:
    """Why there is nothing to compare, if so."""

    def why_not() -> str | None:
        names = [backend.name for backend in kernel.usable(module.BACKENDS)]
        return None if len(names) > 1 else f"nothing to compare: only {names[0]} runs here"

    return why_not


def _agree(module: ModuleType, compute: Callable[[Backend], Any]) -> None:
    """All usable back ends give what the first of them, the portable one, gives."""
    portable, *faster = kernel.usable(module.BACKENDS)
    expected = compute(portable)
    for backend in faster:
        for place, (got, right) in enumerate(zip(compute(backend), expected, strict=True)):
            same(got, right, f"{backend.name}, output {place}")


def _seed(st: Any) -> Any:
    return st.integers(0, 2**32)


def _offset_rows(rng: np.random.Generator, rows: int, length: int, offset: int) -> list[NDArray[np.uint8]]:
    """Rows at any alignment."""
    base = rng.integers(0, 256, (rows, length + offset), np.uint8)
    return [row[offset:] for row in base]


@holds_for(
    Area.RS,
    "kernels: products over GF(2^8) are equal on all back ends",
    lambda st: {
        "rows": st.integers(1, 9),
        "cols": st.integers(1, 9),
        "length": st.integers(0, _LENGTHS),
        "offset": st.integers(0, 63),
        "accumulate": st.booleans(),
        "seed": _seed(st),
    },
    why_not=_alone(gf256),
)
def gf256_kernel(rows: int, cols: int, length: int, offset: int, accumulate: bool, seed: int) -> None:
    def compute(backend: Backend) -> list[NDArray[np.uint8]]:
        rng = np.random.default_rng(seed)
        matrix = rng.integers(0, 256, (rows, cols), np.uint8)
        inputs = _offset_rows(rng, cols, length, offset)
        out = rng.integers(0, 256, (rows, length + offset), np.uint8)
        gf256.multiply(matrix, inputs, [r[offset:] for r in out], accumulate=accumulate, backend=backend)
        return [out]

    _agree(gf256, compute)


@holds_for(
    Area.RS,
    "kernels: parity and correction of words are equal on all back ends",
    lambda st: {
        "field": st.sampled_from([(8, 0x11D, 2), (8, 0x187, 0xAD), (4, 0x13, 2), (10, 0x409, 2)]),
        "nsym": st.integers(1, 13),
        "words": st.integers(1, 70),
        "errors": st.integers(0, 8),
        "seed": _seed(st),
    },
    why_not=_alone(rsword),
)
def words_kernel(field: tuple[int, int, int], nsym: int, words: int, errors: int, seed: int) -> None:
    kind, order = (np.uint8 if field[0] <= 8 else np.uint16), (1 << field[0]) - 1

    def compute(backend: Backend) -> list[NDArray[Any]]:
        rng = np.random.default_rng(seed)
        code = rsword.code(*field, 0, nsym, backend=backend)
        length = int(rng.integers(nsym + 1, min(order, 200) + 1))
        messages = rng.integers(0, order + 1, (words, length - nsym)).astype(kind)
        encoded = np.zeros((words, length), kind)
        code.encode(encoded, messages)
        received = encoded.copy()
        for word in received:
            places = rng.permutation(length)[:errors]
            word[places] ^= rng.integers(1, order + 1, len(places)).astype(kind)
        checked, status = np.zeros(words, np.int32), np.zeros(words, np.int32)
        code.check(checked, received)
        decoded = np.zeros_like(received)
        code.decode(decoded, status, received)
        # What a word that cannot be corrected leaves behind is of no use.
        decoded[status < 0] = 0
        return [encoded, checked, status, decoded]

    _agree(rsword, compute)


@holds_for(
    Area.HE,
    "kernels: quantised and dequantised numbers are equal on all back ends",
    lambda st: {
        "length": st.integers(1, _LENGTHS),
        "kind": st.sampled_from(["f2", "f4", "f8"]),
        "clip": st.floats(1e-3, 1e3),
        "weight": st.integers(1, 2**23 - 1),
        "stochastic": st.booleans(),
        "seed": _seed(st),
    },
    why_not=_alone(codec),
)
def codec_kernel(length: int, kind: str, clip: float, weight: int, stochastic: bool, seed: int) -> None:
    def compute(backend: Backend) -> list[Any]:
        rng = np.random.default_rng(seed)
        x = (rng.standard_normal(length) * clip).astype(kind)
        random = rng.integers(0, 2**32, length, np.uint32) if stochastic else None
        integers, back = np.zeros(length, np.int64), np.zeros(length, kind)
        stopped = codec.quantize(integers, x, clip, weight, random, backend=backend)
        returned = codec.dequantize(back, integers, clip, weight, backend=backend)
        narrowed = np.zeros(length, np.int32)
        codec.narrow(narrowed, integers, 2**31 - 1, backend=backend)
        edges = codec.extremes(integers, backend=backend)
        return [stopped, integers, returned, back.view(np.uint8), narrowed, edges]

    _agree(codec, compute)


@holds_for(
    Area.HE,
    "kernels: samples are equal on all back ends",
    lambda st: {
        "length": st.integers(1, _LENGTHS),
        "eta": st.sampled_from([21, 42]),
        "bits": st.integers(1, 63),
        "seed": _seed(st),
    },
    why_not=_alone(sampler),
)
def sampler_kernel(length: int, eta: int, bits: int, seed: int) -> None:
    def compute(backend: Backend) -> list[Any]:
        rng = np.random.default_rng(seed)
        binomial, ternary = np.zeros(length, np.int64), np.zeros(length, np.int64)
        sampler.cbd(
            binomial, rng.integers(0, 256, length * sampler.cbd_bytes(eta), np.uint8), eta, backend=backend
        )
        words = rng.integers(0, 2**16, length, np.uint16)
        words[rng.integers(0, length)] = 2**16 - 1  # the one that is drawn again
        rejected = sampler.ternary(ternary, words, backend=backend)
        bound = int(rng.integers(1, 2**bits, dtype=np.uint64))
        uniform = np.zeros(length, np.uint64)
        many = rng.integers(0, 2**63, 2 * length, np.uint64)
        written = sampler.uniform(uniform, many, bits, bound, backend=backend)
        residues = np.zeros(length, np.uint64)
        signed = rng.integers(1 - bound, bound, length) if bound > 1 else np.zeros(length, np.int64)
        sampler.residues(residues, signed, bound, backend=backend)
        return [binomial, rejected, ternary, written, uniform[:written], residues]

    _agree(sampler, compute)


def _small_ring(n: int) -> tuple[int, int]:
    """The prime of a set, and a root of unity of order 2n modulo it."""
    chosen = SETS["RLWE_128_N2048_Q50"]
    q, psi = chosen.primes[0], chosen.roots[0]
    return q, pow(psi, chosen.N // n, q)


@holds_for(
    Area.HE,
    "kernels: transforms and products of polynomials are equal on all back ends",
    lambda st: {
        "log_n": st.integers(3, 11),
        "rows": st.integers(1, 3),
        "edges": st.booleans(),
        "seed": _seed(st),
    },
    why_not=_alone(ntt),
)
def ntt_kernel(log_n: int, rows: int, edges: bool, seed: int) -> None:
    n = 1 << log_n
    q, psi = _small_ring(n)

    def compute(backend: Backend) -> list[NDArray[np.uint64]]:
        rng = np.random.default_rng(seed)
        few = np.array([0, 1, q // 2, q // 2 + 1, q - 1], np.uint64)
        x = rng.choice(few, (rows, n)) if edges else rng.integers(0, q, (rows, n), np.uint64)
        before, ring = x.copy(), ntt.Ntt(n, q, psi, backend=backend)
        ring.forward(x)
        forward = x.copy()
        ring.multiply(x, x, forward[0].copy())
        product = x.copy()
        ring.inverse(x)
        ring.inverse(forward_again := forward.copy())
        same(forward_again, before, f"{backend.name}: inverse of forward")
        return [forward, product, x]

    _agree(ntt, compute)


def _lattice(st: Any) -> dict[str, Any]:
    return {
        "name": st.sampled_from(sorted(SETS)),
        "slots": st.integers(1, 4),
        "blocks": st.integers(1, 20),
        "seed": _seed(st),
    }


def _planes(rng: np.random.Generator, primes: tuple[int, ...], n: int) -> NDArray[np.uint64]:
    """Residues modulo each prime, ``(P, 1, n)``."""
    return np.stack([rng.integers(0, q, (1, n), np.uint64) for q in primes])


@holds_for(
    Area.HE,
    "kernels: committee ciphertexts, sums and openings are equal on all back ends",
    _lattice,
    why_not=_alone(kahe),
)
def committee_kernel(name: str, slots: int, blocks: int, seed: int) -> None:
    chosen, n = SETS[name], 8 * blocks
    slot_bits = min(20, (chosen.log_q - 2) // slots - 2)
    wire_bits = min(chosen.log_q - 1, slots * slot_bits + 12)

    def compute(backend: Backend) -> list[Any]:
        rng = np.random.default_rng(seed)
        scale = kahe.Scale(backend.code, chosen.primes, wire_bits, slots, slot_bits)
        planes = _planes(rng, chosen.primes, n)
        most = 2 ** (slot_bits - 1) - 1
        values = rng.integers(-most, most, n * slots, np.int32, endpoint=True)
        packed = np.zeros(n * wire_bits // 8, np.uint8)
        scale.encrypt(packed, planes, values, rng.integers(0, 256, 16 * n, np.uint8))
        total = rng.integers(0, 2**63, (kahe.words(wire_bits), n), np.uint64)
        scale.accumulate(total, packed, False)
        added = total.copy()
        scale.accumulate(total, packed, True)
        scale.accumulate(total, packed, True)
        again = np.zeros_like(packed)
        scale.pack(again, total)
        opened = np.zeros((1, n * slots), np.int64)
        residual, squares = np.zeros(1, np.uint64), np.zeros(1, np.uint64)
        scale.open(opened, residual, squares, added[:, None], planes)
        return [packed, added, total, again, opened, residual, squares]

    _agree(kahe, compute)


@holds_for(
    Area.HE,
    "kernels: public-key ciphertexts, sums and openings are equal on all back ends",
    _lattice,
    why_not=_alone(rlwe),
)
def public_key_kernel(name: str, slots: int, blocks: int, seed: int) -> None:
    chosen, n = SETS[name], 8 * blocks
    slot_bits = min(20, (chosen.log_q - 2) // slots - 2)
    scale_bits = chosen.log_q - slots * slot_bits

    def compute(backend: Backend) -> list[Any]:
        rng = np.random.default_rng(seed)
        drop_bits = int(rng.integers(0, 12))
        rounding = rlwe.Rounding(backend.code, chosen.primes, scale_bits, slots, slot_bits, drop_bits)
        planes = _planes(rng, chosen.primes, n)
        most = 2 ** (slot_bits - 1) - 1
        values = rng.integers(-most, most, n * slots, np.int32, endpoint=True)
        packed = np.zeros(n * (chosen.log_q - drop_bits) // 8, np.uint8)
        rounding.encrypt(packed, planes, values, rng.integers(0, 256, 8 * n, np.uint8))
        total, unpacked = planes.copy(), np.zeros_like(planes)
        rounding.accumulate(total, packed, int(rng.integers(-(2**20), 2**20)))
        rounding.unpack(unpacked, packed)
        again = np.zeros_like(packed)
        rounding.pack(again, total)
        opened, residual = np.zeros((1, n * slots), np.int64), np.zeros(1, np.uint64)
        rounding.open(opened, residual, total)
        return [packed, rounding.check(packed), total, unpacked, again, opened, residual]

    _agree(rlwe, compute)

"""Every kernel and back end that this processor runs, on buffers that end or begin at a forbidden page.

A program, because what it looks for ends the process: ``python guarded_kernels.py [KERNEL ...]`` prints a
line before each back end.  The arguments ``overrun`` and ``underrun`` read one byte outside, to show that it
would be seen.  All results are compared with those of the portable back end in ordinary memory.
"""

import sys
from pathlib import Path

import numpy as np

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from sottovoce._ext import codec, gf256, kahe, kernel, ntt, rlwe, rsword, sampler
from support.guarded import Fence, Plain
from support.lattice_twin import SETS, edge_residues, edge_slots, generator, residues
from support.ntt_rings import RINGS

ODD = (
    0,
    1,
    2,
    3,
    5,
    7,
    8,
    9,
    15,
    16,
    17,
    31,
    32,
    33,
    47,
    63,
    64,
    65,
    95,
    127,
    128,
    129,
    191,
    255,
    257,
    511,
    1023,
)
LONG = (4095, 4097, 12289)


def of_gf256(place, backend):
    rng = np.random.default_rng(1)
    shapes = [(1, 1), (2, 3), (3, 5), (4, 4), (5, 7), (12, 2), (17, 5)]
    for length in (*ODD, *LONG):
        for rows, cols in shapes if length < 600 else shapes[::3]:
            matrix = place.copy(rng.integers(0, 256, rows * cols, np.uint8))
            inputs = [place.copy(rng.integers(0, 256, length, np.uint8)) for _ in range(cols)]
            outputs = [place.copy(rng.integers(0, 256, length, np.uint8)) for _ in range(rows)]
            gf256.multiply(matrix, inputs, outputs, backend=backend)
            gf256.multiply(matrix, inputs, outputs, accumulate=True, backend=backend)
            begin, end = sorted(rng.integers(0, length + 1, 2).tolist())
            gf256.multiply(matrix, inputs, outputs, backend=backend, begin=begin, end=end)
            yield outputs


def of_rsword(place, backend):
    rng = np.random.default_rng(2)
    fields = [
        (8, 0x11D, 2, np.uint8),
        (4, 0x13, 2, np.uint8),
        (10, 0x409, 2, np.uint16),
        (16, 0x1100B, 2, np.uint16),
    ]
    for bits, prim, generator_, dtype in fields:
        for nsym in (1, 2, 5, 8, 16, 33):
            longest = (1 << bits) - 1
            if nsym >= longest - 1:
                continue
            code = rsword.Code(bits, prim, generator_, 1, nsym, backend.code)
            for words in (1, 2, 3, 7, 8, 9, 15, 17, 31, 33, 63, 65, 129):
                n = min(longest, nsym + 1 + words % 23)
                messages = place.copy(rng.integers(0, 1 << bits, (words, n - nsym)).astype(dtype))
                out = place.empty((words, n), dtype)
                code.encode(out, messages)
                received = place.copy(out)
                received[:: 1 + nsym, words % n] ^= 1
                status = place.empty(words, np.int32)
                code.check(status, received)
                erased = place.copy((rng.random((words, n)) < nsym / (4 * n)).astype(np.uint8))
                corrected, fixed = place.empty((words, n), dtype), place.empty(words, np.int32)
                code.decode(corrected, fixed, received, erased)
                again, fixed_again = place.empty((words, n), dtype), place.empty(words, np.int32)
                code.decode(again, fixed_again, received)
                yield [out, status, corrected, fixed, again, fixed_again]


def of_ntt(place, backend):
    rng = np.random.default_rng(3)
    for n, q, psi in RINGS:
        ring = ntt.Ntt(n, q, psi, backend=backend)
        for rows in (1, 2, 3):
            x = place.copy(rng.integers(0, q, (rows, n), np.uint64))
            b = place.copy(rng.integers(0, q, n, np.uint64))
            out = place.empty((rows, n), np.uint64)
            ring.forward(x)
            ring.multiply(out, x, b)
            ring.inverse(x)
            yield [x, out]


def of_sampler(place, backend):
    rng = np.random.default_rng(4)
    q = 0x3FFFFFFFFC001
    for n in (*ODD, *LONG):
        made = []
        for eta in (21, 42):
            random = place.copy(rng.integers(0, 256, n * sampler.cbd_bytes(eta), np.uint8))
            made.append(place.empty(n, np.int64))
            sampler.cbd(made[-1], random, eta, backend=backend)
        short = rng.integers(0, 1 << 16, n, np.uint16)
        short[::3] = 65535
        out = place.empty(n, np.int64)
        sampler.ternary(out, place.copy(short), backend=backend)
        words = place.copy(rng.integers(0, 1 << 63, n, np.uint64))
        for room in (n, n // 2, n // 3 + 1):
            drawn = place.empty(room, np.uint64)
            done = sampler.uniform(drawn, words, 50, q, backend=backend)
            made.append(drawn[:done])
        small = place.copy(rng.integers(-(q - 1), q, n, np.int64))
        reduced = place.empty(n, np.uint64)
        sampler.residues(reduced, small, q, backend=backend)
        yield [*made, out, reduced]


def of_codec(place, backend):
    rng = np.random.default_rng(5)
    for n in (*ODD, *LONG):
        for dtype in (np.float16, np.float32, np.float64):
            x = place.copy(rng.normal(size=n).astype(dtype))
            random = place.copy(rng.integers(0, 1 << 32, n, np.uint32))
            out, nearest = place.empty(n, np.int64), place.empty(n, np.int64)
            codec.quantize(out, x, 1.0, 32767, random, backend=backend)
            codec.quantize(nearest, x, 1.0, 32767, None, backend=backend)
            back = place.empty(n, dtype)
            codec.dequantize(back, out, 1.0, 32767, backend=backend)
            narrow = place.empty(n, np.int32)
            assert codec.narrow(narrow, out, 1 << 20, backend=backend) == -1
            ends = codec.extremes(out, backend=backend) if n else ()
            yield [out, nearest, back, narrow, np.array(ends, np.int64)]


def _planes(place, name, zs):
    return place.copy(np.array(residues(SETS[name], zs), np.uint64)[:, None])


def of_kahe(place, backend):
    for name in SETS:
        q = np.prod([int(p) for p in SETS[name]], dtype=object)
        L, P = q.bit_length(), len(SETS[name])
        for S, W in ((1, 2), (1, L // 2), (2, L - 1 if P == 1 else 60), (3, 34)):
            w = min(20, max(2, (L - 1) // (S + 1)))
            if S * w >= L or W >= L or (P == 2 and S * w + 40 < W):
                continue
            scale = kahe.Scale(backend.code, SETS[name], W, S, w)
            for n in (8, 16, 24, 40, 72, 136):
                rng = generator(name, S, W, n)
                ak = _planes(place, name, edge_residues(q, rng, n))
                values = place.copy(np.array(edge_slots(S, w, rng, n), np.int32).reshape(-1))
                packed = place.empty(n * W // 8)
                random = place.copy(np.frombuffer(rng.randbytes(16 * n), np.uint8))
                scale.encrypt(packed, ak, values, random)
                total = place.copy(np.zeros((kahe.words(W), n), np.uint64))
                scale.accumulate(total, packed, False)
                again = place.empty(n * W // 8)
                scale.pack(again, total)
                opened, max_r, sum_r2 = (
                    place.empty((1, n * S), np.int64),
                    place.empty(1, np.uint64),
                    place.empty(1, np.uint64),
                )
                scale.open(opened, max_r, sum_r2, total[:, None], ak)
                yield [packed, total, again, opened, max_r, sum_r2]


def of_rlwe(place, backend):
    for name in SETS:
        q = np.prod([int(p) for p in SETS[name]], dtype=object)
        L, P = q.bit_length(), len(SETS[name])
        for S, w, d in ((1, 12, 0), (2, 8, 5), (3, 4, 23 if L > 40 else 3)):
            k = L - S * w - 2
            if k < 1 or d > L - 2:
                continue
            rounding = rlwe.Rounding(backend.code, SETS[name], k, S, w, d)
            W = L - d
            for n in (8, 16, 24, 40, 72, 136):
                rng = generator(name, S, d, n)
                y = _planes(place, name, edge_residues(q, rng, n))
                values = place.copy(np.array(edge_slots(S, w, rng, n), np.int32).reshape(-1))
                packed, short = place.empty(n * W // 8), place.empty(n * W // 8)
                rounding.encrypt(packed, y, values, place.copy(np.frombuffer(rng.randbytes(8 * n), np.uint8)))
                rounding.pack(short, y)
                assert rounding.check(packed) == -1
                back = place.empty((P, 1, n), np.uint64)
                rounding.unpack(back, packed)
                total = place.copy(y)
                rounding.accumulate(total, packed, 3)
                blocks = place.copy(packed.reshape(1, -1))
                rounding.accumulate_blocks(total, blocks, -5)
                rounding.add(total, y, -2)
                opened, max_r = place.empty((1, n * S), np.int64), place.empty(1, np.uint64)
                rounding.open(opened, max_r, total)
                yield [packed, short, back, total, opened, max_r]


KERNELS = {
    "gf256": (of_gf256, gf256.BACKENDS),
    "rsword": (of_rsword, rsword.BACKENDS),
    "ntt": (of_ntt, ntt.BACKENDS),
    "sampler": (of_sampler, sampler.BACKENDS),
    "codec": (of_codec, codec.BACKENDS),
    "kahe": (of_kahe, kahe.BACKENDS),
    "rlwe": (of_rlwe, rlwe.BACKENDS),
}


def as_bytes(results):
    return [b"".join(np.ascontiguousarray(part).tobytes() for part in result) for result in results]


def check(name: str) -> None:
    """Run one kernel in all places; the step at which it dies is the one after the last line printed."""
    run, backends = KERNELS[name]
    portable, *_ = backends
    expected = as_bytes(run(Plain(), portable))
    for backend in kernel.usable(backends):
        print(name, backend.name, len(expected), flush=True)
        for at_end in (True, False):
            got, place = [], Fence(at_end)
            for result in run(place, backend):
                got += as_bytes([result])
                place.give_back()
            assert got == expected, f"{name}, {backend.name}: another result"


def leave(at_end: bool) -> None:
    """Read the last byte inside, then one outside."""
    row = Fence(at_end).empty(64)
    wider = np.lib.stride_tricks.as_strided(row if at_end else row[::-1], (65,))
    print(int(wider[63]), flush=True)
    print(int(wider[64]))


def main(names: list[str]) -> None:
    for name in names or KERNELS:
        if name in ("overrun", "underrun"):
            leave(at_end=name == "overrun")
        else:
            check(name)


if __name__ == "__main__":
    main(sys.argv[1:])

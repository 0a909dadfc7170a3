"""The transform kernel against schoolbook products, edge patterns and its border."""

import random

import numpy as np
import pytest

from sottovoce._ext import ntt
from sottovoce._ext.errors import ParameterError
from sottovoce._ext.kernel import usable
from support.he_reference import forward, reversal, schoolbook
from support.ntt_rings import BIG, RINGS, SMALL, is_likely_prime, patterns, root

PORTABLE, *FASTER = usable(ntt.BACKENDS)


@pytest.fixture(params=usable(ntt.BACKENDS), ids=lambda b: b.name)
def backend(request):
    return request.param


def product(ring, a, b):
    x, y = np.array([a], np.uint64), np.array([b], np.uint64)
    ring.forward(x)
    ring.forward(y)
    ring.multiply(x, x, y[0])
    ring.inverse(x)
    return x[0].tolist()


@pytest.mark.parametrize(("n", "q", "psi"), [*RINGS, (2048, BIG, root(2048, BIG)), (8, 97, root(8, 97))])
def test_product_is_the_schoolbook_product(backend, n, q, psi):
    ring = ntt.Ntt(n, q, psi, backend=backend)
    rng = random.Random(n ^ q)
    inputs = [
        [rng.randrange(q) for _ in range(n)],
        [q - 1] * n,
        [0] * n,
        [rng.choice((0, 1, q - 1, q // 2, q // 2 + 1)) for _ in range(n)],
        [0] * (n - 1) + [1],
    ]
    for a in inputs:
        for b in (inputs[0], inputs[1], inputs[3]):
            assert product(ring, a, b) == schoolbook(a, b, q)


def test_the_reference_product_is_right_by_definition():
    rng = random.Random(5)
    n, q = 8, 97
    a, b = ([rng.randrange(q) for _ in range(n)] for _ in range(2))
    slow = [0] * n
    for i in range(n):
        for j in range(n):
            sign = -1 if i + j >= n else 1
            slow[(i + j) % n] = (slow[(i + j) % n] + sign * a[i] * b[j]) % q
    assert schoolbook(a, b, q) == slow


@pytest.mark.parametrize(("n", "q", "psi"), RINGS)
def test_forward_puts_the_documented_value_into_each_place(backend, n, q, psi):
    ring = ntt.Ntt(n, q, psi, backend=backend)
    rng = random.Random(n)
    a = [rng.randrange(q) for _ in range(n)]
    x = np.array([a], np.uint64)
    ring.forward(x)
    order = reversal(n)
    for i in (0, 1, 2, n // 2, n - 1):
        point, value = pow(psi, 2 * order[i] + 1, q), 0
        for c in reversed(a):
            value = (value * point + c) % q
        assert int(x[0, i]) == value
    assert x[0].tolist() == forward(a, psi, q)


@pytest.mark.parametrize(("n", "q", "psi"), RINGS)
def test_inverse_undoes_forward_on_every_row(backend, n, q, psi):
    ring = ntt.Ntt(n, q, psi, backend=backend)
    x = np.random.default_rng(n).integers(0, q, (3, n), dtype=np.uint64)
    y = x.copy()
    ring.forward(y)
    assert (y < q).all()
    assert (y != x).any(axis=1).all()
    ring.inverse(y)
    assert np.array_equal(x, y)


def test_multiply_is_exact_at_the_edges(backend):
    for q in (BIG, 0x3FFFFFFFFC001, 97):
        n = 8
        ring = ntt.Ntt(n, q, root(n, q), backend=backend)
        edge = [0, 1, q - 1, q // 2, q // 2 + 1, q - 2, 2, 3]
        for shift in range(n):
            b = edge[shift:] + edge[:shift]
            out = np.empty((1, n), np.uint64)
            ring.multiply(out, np.array([edge], np.uint64), np.array(b, np.uint64))
            assert out[0].tolist() == [x * y % q for x, y in zip(edge, b, strict=True)]


def test_multiply_is_exact_where_the_quotient_is_missed_by_two(backend):
    # A little above a power of two, at the top of the range, all three roundings of the estimate count.
    n = 16
    misses = 0
    low = (1 << 59) + (1 << 50) + 1
    for q in [q for q in range(low, low + 40_000, 2 * n) if is_likely_prime(q)][:20]:
        ring = ntt.Ntt(n, q, root(n, q), backend=backend)
        rng = np.random.default_rng(q)
        a, b = (
            rng.integers(q - (q >> 6), q, (100, n), dtype=np.uint64),
            rng.integers(q - 99, q, n, dtype=np.uint64),
        )
        out = np.empty_like(a)
        ring.multiply(out, a, b)
        for x, y, z in zip(a.reshape(-1).tolist(), b.tolist() * 100, out.reshape(-1).tolist(), strict=True):
            assert z == x * y % q
            estimate = ((x * y >> 59) * ((1 << 123) // q)) >> 64
            misses += x * y // q - estimate >= 2
    assert misses > 0


def test_no_rows_are_no_work():
    ring = ntt.ring(*RINGS[0])
    ring.forward(np.empty((0, 2048), np.uint64))
    ring.inverse(np.empty((0, 2048), np.uint64))


@pytest.mark.parametrize("faster", FASTER, ids=lambda b: b.name)
@pytest.mark.parametrize(("n", "q", "psi"), [*RINGS, *SMALL])
def test_every_back_end_gives_the_bits_of_the_portable_one(faster, n, q, psi):
    portable, ring = (ntt.Ntt(n, q, psi, backend=b) for b in (PORTABLE, faster))
    rows = patterns(n, q)
    for name in ("forward", "inverse"):
        want, got = rows.copy(), rows.copy()
        getattr(portable, name)(want)
        getattr(ring, name)(got)
        assert np.array_equal(got, want)
    for b in rows:
        want, got = np.empty_like(rows), rows.copy()
        portable.multiply(want, rows, b)
        ring.multiply(got, got, b)  # in place, as the schemes do
        assert np.array_equal(got, want)


@pytest.mark.parametrize(("n", "q", "psi"), [r for r in SMALL if r[0] in (32, 64)])
def test_rows_may_begin_anywhere_and_nothing_beside_them_is_touched(backend, n, q, psi):
    portable, ring = (ntt.Ntt(n, q, psi, backend=b) for b in (PORTABLE, backend))
    rng = np.random.default_rng(n)
    for offset in range(9):
        for count in (1, 2, 3):
            room = rng.integers(0, q, 9 + 3 * n + 9, dtype=np.uint64)
            rows = room[offset : offset + count * n].reshape(count, n)
            b = rng.integers(0, q, 17 + n, dtype=np.uint64)[offset : offset + n]
            for name, more in (("forward", ()), ("multiply", (rows, b)), ("inverse", ())):
                want, before = rows.copy(), room.copy()
                getattr(portable, name)(want, *(want if m is rows else m for m in more))
                getattr(ring, name)(rows, *more)
                assert np.array_equal(rows, want)
                outside = np.ones(room.size, bool)
                outside[offset : offset + count * n] = False
                assert np.array_equal(room[outside], before[outside])


def test_a_ring_that_the_vector_back_ends_do_not_take_is_done_by_the_portable_one(backend):
    for n, q, psi in SMALL:
        taken = {"avx2": n >= 32, "avx512": n >= 64}.get(backend.name, False) and q < 2**50
        assert ("vector_w" in ntt.tables(n, q, psi, backend)) == taken


def test_vector_tables_of_another_size_are_refused():
    for name in ("avx2", "avx512"):
        code = next(b.code for b in ntt.BACKENDS if b.name == name)
        made = ntt.tables(64, 12289, root(64, 12289), ntt.BACKENDS[code])
        for changed in (
            {"vector_w": made["vector_w"][:-1]},
            {"vector_v": np.append(made["vector_v"], made["vector_v"][:1])},
            {"vector_w": None},
        ):
            with pytest.raises(ValueError, match="vector tables"):
                ntt._ntt.Transform(code, 12289, **{**made, **changed})
        with pytest.raises(ValueError, match="vector tables"):
            ntt._ntt.Transform(code, BIG, **made)
    with pytest.raises(ValueError, match="back end"):
        ntt._ntt.Transform(3, 12289, **made)


def test_rejects_rows_of_another_length():
    ring = ntt.ring(*RINGS[0])
    row = np.zeros((1, 2048), np.uint64)
    for bad in (np.zeros((1, 2047), np.uint64), np.zeros((1, 4096), np.uint64), np.zeros((1, 0), np.uint64)):
        with pytest.raises(ValueError, match="rows of 2048"):
            ring.forward(bad)
        with pytest.raises(ValueError, match="rows of 2048"):
            ring.inverse(bad)
        with pytest.raises(ValueError, match="rows of 2048"):
            ring.multiply(bad, row, row[0])
        with pytest.raises(ValueError, match="rows of 2048"):
            ring.multiply(row, bad, row[0])
        with pytest.raises(ValueError, match="rows of 2048"):
            ring.multiply(row, row, bad[0])
    with pytest.raises(ValueError, match="as many rows"):
        ring.multiply(row, np.zeros((2, 2048), np.uint64), row[0])


def test_rejects_buffers_of_another_kind():
    ring = ntt.ring(*RINGS[0])
    frozen = np.zeros((1, 2048), np.uint64)
    frozen.flags.writeable = False
    for bad in (
        np.zeros((1, 2048), np.int64),
        np.zeros((1, 2048), np.float64),
        np.zeros(2048, np.uint64),
        np.zeros((1, 4096), np.uint64)[:, ::2],
        np.zeros((1, 2048), ">u8"),
        frozen,
    ):
        with pytest.raises(ValueError, match=r"[Bb]uffer|contiguous|read-only|dimension|mismatch"):
            ring.forward(bad)
    for bad in (None, [[0] * 2048]):
        with pytest.raises(TypeError):
            ring.forward(bad)


@pytest.mark.parametrize(
    ("n", "q", "psi"),
    [
        (2047, 0x3FFFFFFFFC001, 3),
        (1, 0x3FFFFFFFFC001, 3),
        (1 << 17, 0x3FFFFFFFFC001, 3),
        (2048, 0x3FFFFFFFFC003, 3),
        (2048, 1 + (1 << 60), 3),
        (2048, 0x3FFFFFFFFC001, 0),
        (2048, 0x3FFFFFFFFC001, 1),
        (2048, 0x3FFFFFFFFC001, pow(0x2B86CE7575F16, 2, 0x3FFFFFFFFC001)),
        (4096, 0x3FFFFFFFFC001, 0x2B86CE7575F16),
    ],
)
def test_rejects_impossible_rings(n, q, psi):
    with pytest.raises(ParameterError):
        ntt.Ntt(n, q, psi)

"""The transform kernel against schoolbook products, edge patterns and its border."""

import random

import numpy as np
import pytest

from sottovoce._ext import ntt
from sottovoce._ext.errors import ParameterError
from sottovoce._ext.kernel import usable
from support.he_reference import forward, reversal, schoolbook

RINGS = [
    (2048, 0x3FFFFFFFFC001, 0x2B86CE7575F16),
    (2048, 0xFFFFFF7001, 0x304747E563),
    (4096, 0x3FFFFFFFFC001, 0x3E3523F0ACB5B),
    (4096, 0x3FFFFFFFCC001, 0x36F7CA5A7D990),
]

# The largest prime below 2**60 that is 1 modulo 2**14: the loosest bound of the kernel.
BIG = next(
    q
    for q in range((1 << 60) - 2**14 + 1, 0, -(2**14))
    if all(pow(a, q - 1, q) == 1 for a in (2, 3, 5, 7, 11))
)


def is_likely_prime(q):
    return all(pow(a, q - 1, q) == 1 for a in (2, 3, 5, 7, 11))


def root(n, q):
    for x in range(2, 200):
        psi = pow(x, (q - 1) // (2 * n), q)
        if pow(psi, n, q) == q - 1:
            return psi
    raise AssertionError


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
    patterns = [
        [rng.randrange(q) for _ in range(n)],
        [q - 1] * n,
        [0] * n,
        [rng.choice((0, 1, q - 1, q // 2, q // 2 + 1)) for _ in range(n)],
        [0] * (n - 1) + [1],
    ]
    for a in patterns:
        for b in (patterns[0], patterns[1], patterns[3]):
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

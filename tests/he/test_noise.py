"""Bounds in exact arithmetic, the table of smallest widths, and measured noise against prediction."""

from decimal import Decimal, getcontext
from fractions import Fraction
from math import isqrt, sqrt
from pathlib import Path

import numpy as np
import pytest

from sottovoce._ext.errors import ParameterError
from sottovoce.he import SETS, kahe, noise
from sottovoce.he._kahe_public import public_elements
from support.he_world import CONTEXT, Q40, Q50, make_params, random_values

Q50_PRIME, Q40_PRIME = 0x3FFFFFFFFC001, 0xFFFFFF7001
CLIENTS = (64, 256, 1024, 4096, 16384)
# The published table, b = 16, also for the two-prime moduli that have no set yet: q, slots, widths.
TABLE = [
    (Q50_PRIME, 1, (28, 31, 34, 37, 40)),
    (Q40_PRIME, 1, (28, 31, 34, None, None)),
    (0xFFFFFDC001 * 0xFFFFFC6001, 2, (50, 55, 60, 65, 70)),
    (Q50_PRIME * 0x3FFFFFFFCC001, 3, (72, 79, 86, 93, None)),
    (0xFFFFEE001 * 0xFFFFC4001, 2, (50, 55, 60, 65, None)),
]


@pytest.mark.parametrize(("q", "slots", "widths"), TABLE)
def test_table_of_smallest_widths(q, slots, widths):
    for n, width in zip(CLIENTS, widths, strict=True):
        if width is None:
            with pytest.raises(ParameterError):
                noise.smallest_wire_bits(q, slots, 16, n)
        else:
            assert noise.smallest_wire_bits(q, slots, 16, n) == width
            assert noise.wire_bits_suffice(q, width, slots, 16, n)
            assert not noise.wire_bits_suffice(q, width - 1, slots, 16, n)


def test_params_take_the_smallest_width():
    for n, width in zip(CLIENTS, TABLE[0][2], strict=True):
        assert make_params(max_summands=n).wire_bits == width


def test_bounds_are_the_floor_of_the_formula():
    getcontext().prec = 60
    for q in (Q50_PRIME, Q40_PRIME):
        for W in (20, 28, 34, 39):
            for n in (1, 3, 64, 1000, 1024, 16384, 1 << 24):
                p = noise.proxy(q, W, n)
                exact = Decimal(p.numerator) / Decimal(p.denominator)
                assert abs(exact - n * (Decimal(1) / 12 + 21 * Decimal(4) ** W / Decimal(q) ** 2)) < Decimal(
                    "1e-30"
                )
                assert noise.max_residual(q, W, n) == int(Decimal("13.38") * exact.sqrt() + 1)
                assert noise.max_square_sum(q, W, n, 2048) == int(4096 * (exact + Decimal(1) / 12))


def test_conditions_are_those_of_the_page():
    # Written out in floating point, away from equality.
    for n in CLIENTS[:3]:
        for W in range(20, 40):
            w = 16 + (n - 1).bit_length()
            k = 40 - w
            B = 13.38 * sqrt(noise.proxy(Q40_PRIME, W, n)) + 0.5
            step = 2.0 ** (W + k) / Q40_PRIME
            expected = n * 32767 * step + B < 2.0 ** (W - 1) and step / 2 > B
            assert noise.wire_bits_suffice(Q40_PRIME, W, 1, 16, n) == expected


def test_slot_bits_round_the_logarithm_up():
    assert [noise.slot_bits(16, n) for n in (1, 2, 3, 4, 5, 1024, 1025)] == [16, 17, 18, 18, 19, 26, 27]


def test_a_full_slot_holds_the_largest_sum():
    for slots in (1, 2, 3):
        for n in (3, 5, 64, 1000):
            w = noise.slot_bits(16, n)
            assert noise.max_message(slots, 16, n) < 1 << (slots * w - 1)


def residuals(params, n_clients, seed):
    """Largest residual and mean square of a real sum, by the opener's own kernel."""
    rng = np.random.default_rng(seed)
    key = np.zeros(params.N, np.int64)
    total, expected = kahe.CiphertextSum(params, CONTEXT), 0
    for _ in range(n_clients):
        one_time = kahe.OneTimeKey.generate(params, CONTEXT)
        key += one_time._key
        values = random_values(params, rng)
        total.add(one_time.encrypt(values))
        one_time.close()
        expected = expected + values
    hat = (key % params.q).astype(np.uint64)[None]
    params._ring.forward(hat)
    product = np.empty((params.n_elements, params.N), np.uint64)
    params._ring.multiply(product, public_elements(params, CONTEXT, 0, params.n_elements), hat[0])
    params._ring.inverse(product)
    m = np.empty(product.shape, np.int64)
    largest, squares = np.empty(len(m), np.uint64), np.empty(len(m), np.uint64)
    params._scale.open(m, largest, squares, total._elements(0, len(m)), product)
    assert np.array_equal(m.reshape(-1)[: params.n_slots], expected)
    return int(largest.max()), int(squares.sum()) / m.size, int(squares.max())


@pytest.mark.parametrize(
    ("name", "n", "W", "std"),
    [
        (Q50, 64, 28, 2.327),
        (Q50, 256, 32, 4.619),
        # More clients than N, who all share the public elements.
        (Q50, 2500, 37, 14.44),
        # Here the errors' own part is 6 % of the variance, so that a wrong variance of CBD shows.
        (Q40, 1024, 34, 9.522),
    ],
)
def test_measured_noise_is_as_predicted(name, n, W, std):
    params = make_params(2048 * 8, name=name, max_summands=n, wire_bits=W)
    largest, mean_square, worst = residuals(params, n, seed=n)
    predicted = sqrt(noise.proxy(params.q, W, n) + Fraction(1, 12))
    assert predicted == pytest.approx(std, rel=0.003)
    assert sqrt(mean_square) == pytest.approx(predicted, rel=0.03)
    assert largest <= params.max_residual(n)
    assert worst <= params.max_square_sum(n)


def test_an_honest_residual_holds_both_roundings_of_the_opener():
    # Noise just inside T, with roundings that add up: only the second half more lets it pass.
    q, found = Q40_PRIME, 0  # the steps of Q50 are too close to whole numbers for its messages
    for n in (64, 100, 256, 500, 1000):
        W = noise.smallest_wire_bits(q, 1, 16, n)
        step = Fraction(1 << (W + noise.scale_bits(q, 1, 16, n)), q)
        T = Fraction(isqrt(int(noise.TAIL**2 * noise.proxy(q, W, n) * 10**12)), 10**6)
        for M in range(1, 32767 * n, 109 * n // 16):
            # The largest integer x that noise T and a first rounding of 1/2 can give above M steps.
            x = int(M * step + T + Fraction(1, 2))
            r = x - int(M * step + Fraction(1, 2))
            assert r <= noise.max_residual(q, W, n)
            found += r > int(T + Fraction(1, 2))
    assert found > 100


def test_the_errors_variance_shows_where_the_wire_is_wide():
    # W close to L: rounding is small beside the errors, whose variance must be 21.
    params = make_params(2048 * 8, name=Q40, max_summands=64, wire_bits=39)
    largest, mean_square, _ = residuals(params, 32, seed=3)
    predicted = noise.proxy(params.q, 39, 32)
    assert float(predicted) > 32 * 5
    assert sqrt(mean_square) == pytest.approx(sqrt(predicted), rel=0.03)
    assert largest <= params.max_residual(32)


def test_every_set_has_room_for_the_reconstructed_key():
    # The key sum is known as an integer modulo 2**31 - 1.
    assert noise.CBD_ETA * (1 << 24) < (1 << 30)
    assert all(s.q > 4 * noise.CBD_ETA for s in SETS.values())


def test_the_table_of_the_documentation_is_the_computed_one():
    text = (Path(__file__).parents[2] / "docs" / "he.md").read_text()
    for name, chosen in SETS.items():
        row = next(
            line for line in text.splitlines() if line.startswith(f"| `{name}` |") and "0x" not in line
        )
        cells = [c.strip() for c in row.strip("|").split("|")[1:]]
        assert len(cells) == len(CLIENTS)
        for n, cell in zip(CLIENTS, cells, strict=True):
            try:
                width = noise.smallest_wire_bits(chosen.q, noise.best_slots(chosen.q, 16, n), 16, n)
            except ParameterError:
                width = "-"
            assert str(width) == cell

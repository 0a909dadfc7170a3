"""Bounds in exact arithmetic, the table of smallest widths, and measured noise against prediction."""

from decimal import Decimal, getcontext
from fractions import Fraction
from math import isqrt, sqrt
from pathlib import Path

import numpy as np
import pytest

from sottovoce._ext.errors import ParameterError
from sottovoce.he import SETS, kahe, noise
from sottovoce.he._kahe_public import public_planes
from support import he_reference
from support.he_world import CONTEXT, Q40, Q50, Q72, Q80, Q100, make_params, random_values

Q50_PRIME, Q40_PRIME = 0x3FFFFFFFFC001, 0xFFFFFF7001
CLIENTS = (64, 256, 1024, 4096, 16384)
# The table of the design, b = 16: set, its number of slots there, widths.
DESIGN = [
    (Q50, 1, (28, 31, 34, 37, 40)),
    (Q40, 1, (28, 31, 34, None, None)),
    (Q80, 2, (50, 55, 60, 65, 70)),
    (Q100, 3, (72, 79, 86, 93, None)),
    (Q72, 2, (50, 55, 60, 65, None)),
]
# What the rule makes of it: slots and widths.
CHOSEN = [
    (Q50, ((1, 28), (1, 31), (1, 34), (1, 37), (1, 40))),
    (Q40, ((1, 28), (1, 31), (1, 34), None, None)),
    (Q80, ((3, 72), (2, 55), (2, 60), (2, 65), (2, 70))),
    (Q100, ((4, 95), (3, 79), (3, 86), (3, 93), (2, 70))),
    (Q72, ((2, 50), (2, 55), (2, 60), (2, 65), (1, 40))),
]


@pytest.mark.parametrize(("name", "slots", "widths"), DESIGN)
def test_table_of_the_design(name, slots, widths):
    q = SETS[name].q
    for n, width in zip(CLIENTS, widths, strict=True):
        if width is None:
            with pytest.raises(ParameterError):
                noise.smallest_wire_bits(q, slots, 16, n)
        else:
            assert noise.smallest_wire_bits(q, slots, 16, n) == width
            assert noise.wire_bits_suffice(q, width, slots, 16, n)
            assert not noise.wire_bits_suffice(q, width - 1, slots, 16, n)


@pytest.mark.parametrize(("name", "chosen"), CHOSEN)
def test_slots_are_those_with_the_fewest_bits(name, chosen):
    q = SETS[name].q
    design = next(widths for other, _, widths in DESIGN if other == name)
    slots = next(slots for other, slots, _ in DESIGN if other == name)
    for n, pair, width in zip(CLIENTS, chosen, design, strict=True):
        if pair is None:
            with pytest.raises(ParameterError):
                noise.best_slots(q, 16, n)
            continue
        best = noise.best_slots(q, 16, n)
        assert (best, noise.smallest_wire_bits(q, best, 16, n)) == pair
        assert width is None or pair[1] * slots <= width * pair[0]  # never more than the design's number


@pytest.mark.parametrize("name", SETS)
@pytest.mark.parametrize("bits", [4, 8, 16, 20, 24])
def test_widths_are_those_of_the_second_implementation(name, bits):
    q = SETS[name].q
    for n in (3, 64, 1000, 1 << 14):
        expected = he_reference.shape(q, bits, n)
        if expected is None:
            with pytest.raises(ParameterError):
                noise.best_slots(q, bits, n)
            continue
        slots = noise.best_slots(q, bits, n)
        load = (slots, bits, n)
        assert (slots, noise.scale_bits(q, *load), noise.smallest_wire_bits(q, *load)) == expected


def test_a_wider_wire_opens_what_a_narrower_one_does():
    # The smallest width is found by bisection, which relies on it.
    for chosen in SETS.values():
        for slots, bits, n in ((1, 16, 64), (2, 8, 20), (3, 8, 3), (1, 24, 1000), (2, 24, 64)):
            fits = [noise.wire_bits_suffice(chosen.q, W, slots, bits, n) for W in range(chosen.log_q + 2)]
            assert fits[: chosen.log_q] == sorted(fits[: chosen.log_q])
            assert not any(fits[chosen.log_q :])


def test_one_scale_bit_less_where_the_modulus_is_far_from_a_power_of_two():
    # 24-bit values leave a headroom of 2^-23 below 2^L; q is 2^-21.4 below it for Q80, 2^-17.7 for Q72.
    for name, less in ((Q80, 1), (Q72, 1), (Q50, 0), (Q100, 0)):
        q, slots = SETS[name].q, 2 if name in (Q80, Q72, Q100) else 1
        full = q.bit_length() - slots * noise.slot_bits(24, 64)
        assert noise.scale_bits(q, slots, 24, 64) == full - less
        largest = noise.max_message(slots, 24, 64) << (full - less)
        assert largest < q // 2
        if less:
            assert 2 * largest > q // 2  # and with the full scale it would wrap


def test_the_nearest_possible_wishes():
    q = SETS[Q40].q
    most = noise.most_summands(q, 16, 1 << 24)
    assert noise.best_slots(q, 16, most)
    with pytest.raises(ParameterError):
        noise.best_slots(q, 16, most + 1)
    assert noise.most_summands(q, 16, 1000) == 1000
    bits = noise.most_value_bits(q, 1 << 14, 24)
    assert noise.best_slots(q, bits, 1 << 14)
    with pytest.raises(ParameterError):
        noise.best_slots(q, bits + 1, 1 << 14)


def test_params_take_the_smallest_width():
    for n, width in zip(CLIENTS, DESIGN[0][2], strict=True):
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
    hat = params._ring.empty(1)
    for plane, q in zip(hat, params._set.primes, strict=True):
        plane[0] = key % q
    params._ring.forward(hat)
    product = params._ring.empty(params.n_elements)
    params._ring.multiply(product, public_planes(params, CONTEXT, 0, params.n_elements), hat[:, 0])
    params._ring.inverse(product)
    opened = np.empty((params.n_elements, params._slots), np.int64)
    largest, squares = np.empty(len(opened), np.uint64), np.empty(len(opened), np.uint64)
    params._scale.open(opened, largest, squares, total._elements(0, len(opened)), product)
    assert np.array_equal(opened.reshape(-1)[: params.n_slots], expected)
    return int(largest.max()), int(squares.sum()) / (len(opened) * params.N), int(squares.max())


@pytest.mark.parametrize(
    ("name", "n", "W", "std"),
    [
        (Q50, 64, 28, 2.327),
        (Q50, 256, 32, 4.619),
        # More clients than N, who all share the public elements.
        (Q50, 2500, 37, 14.44),
        # Here the errors' own part is 6 % of the variance, so that a wrong variance of CBD shows.
        (Q40, 1024, 34, 9.522),
        (Q100, 64, 95, 2.594),
        (Q80, 64, 72, 2.332),
        (Q72, 64, 50, 2.327),
        # The widest wire of two primes: the errors are 20 times the rounding.
        (Q72, 64, 70, 9.456),
    ],
)
def test_measured_noise_is_as_predicted(name, n, W, std):
    params = make_params(8 * SETS[name].N, name=name, max_summands=n, wire_bits=W)
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
    table = text[text.index("| smallest W,") :].splitlines()
    rows = {line.split("`")[1]: line for line in table[2:7]}
    assert list(rows) == list(SETS)
    for name, chosen in SETS.items():
        cells = [c.strip() for c in rows[name].strip("|").split("|")[1:]]
        assert len(cells) == len(CLIENTS)
        for n, cell in zip(CLIENTS, cells, strict=True):
            try:
                slots = noise.best_slots(chosen.q, 16, n)
            except ParameterError:
                assert cell == "-"
                continue
            width = noise.smallest_wire_bits(chosen.q, slots, 16, n)
            assert cell == f"{width} / {slots} = {width / slots / 8:.2f}"


def test_the_sets_of_the_documentation_are_those_of_the_code():
    text = (Path(__file__).parents[2] / "docs" / "he.md").read_text()
    for name, chosen in SETS.items():
        row = next(line for line in text.splitlines() if line.startswith(f"| `{name}` |") and "0x" in line)
        cells = [c.strip() for c in row.strip("|").split("|")]
        assert cells[1] == str(chosen.N)
        assert cells[2] == ", ".join(f"{q:#x}" for q in chosen.primes)
        assert cells[3] == ", ".join(f"{psi:#x}" for psi in chosen.roots)
        assert cells[4] == str(chosen.log_q)

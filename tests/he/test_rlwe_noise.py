"""The noise bound of he.rlwe: its constants, the shapes that follow from it, and measured noise under it."""

from decimal import Decimal, getcontext
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest

from sottovoce._ext.errors import ParameterError
from sottovoce.he import SETS, rlwe
from sottovoce.he import _rlwe_noise as noise
from sottovoce.he import _rlwe_wire as wire
from support.rlwe_world import (
    ALL_SETS,
    Q40,
    Q50,
    Q72,
    Q80,
    Q100,
    decrypt,
    empty_sum,
    encrypt,
    extreme,
    make_params,
    noise_of,
    random_values,
    scheme,
    secret_key,
)

getcontext().prec = 60


def decimal(fraction):
    return Decimal(fraction.numerator) / Decimal(fraction.denominator)


@pytest.mark.parametrize("N", [2048, 4096])
def test_key_bounds_are_the_floors_of_their_definitions(N):
    bounds, n = noise.key_bounds(N), Decimal(N)
    assert bounds.secret == int(2 * n / 3 + 6 * (2 * n / 9).sqrt())
    assert bounds.error == int(Decimal("10.5") * n + 63 * (2 * n).sqrt())
    assert bounds.flat == int(4 * (2 * n / 3).sqrt())


@pytest.mark.parametrize(("N", "root"), [(2048, "180.9"), (4096, "251.1")])
def test_fresh_noise_is_that_of_the_design(N, root):
    assert round(decimal(noise.fresh_proxy(N)).sqrt(), 1) == Decimal(root)


@pytest.mark.parametrize("d", range(1, 13))
def test_a_rounding_error_is_half_plus_signs(d):
    errors = [((z + (1 << d >> 1) >> d) << d) - z for z in range(1 << d)]
    assert sum(errors) == 1 << d >> 1  # a mean of 1/2
    variance = Fraction(sum(x * x for x in errors), 1 << d) - Fraction(1, 4)
    assert variance == Fraction(4**d - 1, 12)
    # and it is distributed as 1/2 plus d signs times 1/2, 1, .., 2^(d-2): strictly sub-Gaussian
    signs = [Fraction(1, 2)]
    for i in range(d):
        step = Fraction(1 << i, 2)
        signs = [x + s for x in signs for s in (step, -step)]
    assert sorted(errors) == sorted(signs)


@pytest.mark.parametrize("d", range(1, 9))
def test_an_error_of_compressing_has_no_mean_and_the_proxy_of_hoeffding(d):
    t = np.linspace(-4, 4, 801) / 2**d
    for rest in range(1 << d):
        errors = np.array([((rest + w >> d) << d) - rest for w in range(1 << d)])
        assert errors.sum() == 0
        mgf = np.exp(np.outer(t, errors)).mean(axis=1)
        assert (np.log(mgf) <= 4.0 ** (d - 1) * t * t / 2 + 1e-12).all()


@pytest.mark.parametrize("variance", ["2/3", "21/2"])
def test_samples_are_strictly_sub_gaussian(variance):
    # log E exp(t X) <= variance t^2 / 2, for ternary and CBD(21), over the whole range that matters
    t = np.linspace(1e-3, 30, 3000)
    of = {"2/3": np.log((1 + 2 * np.cosh(t)) / 3), "21/2": 42 * np.log(np.cosh(t / 2))}
    assert (of[variance] <= float(Fraction(variance)) * t * t / 2 * (1 + 1e-12)).all()


@pytest.mark.parametrize(
    ("N", "k0", "k1", "w1", "w2", "r"),
    [
        (2048, 0, 0, 1, 1, 0),
        (2048, 15, 10, 1024, 1024, 0),
        (4096, 13, 8, 1024, 1027, 1),
        (4096, 0, 7, 77, 1000, 3),
    ],
)
def test_max_noise_is_the_bound_or_one_more(N, k0, k1, w1, w2, r):
    b = noise.key_bounds(N)
    rounding = (Decimal(4) ** k1 - 1) / 12 * b.secret + (Decimal(4) ** k0 - 1) / 12
    one = Decimal(2) / 3 * b.error + Decimal("10.5") * (1 + b.secret) + rounding
    again = (Decimal(4) ** k1 * b.secret * (k1 > 0) + Decimal(4) ** k0 * (k0 > 0)) / 4
    mean = w1 * (Decimal((k0 > 0) + (k1 > 0) * b.flat) / 2)
    exact = Decimal("13.38") * (w2 * one + r * again).sqrt() + mean
    assert int(exact) <= noise.max_noise(N, k0, k1, w1, w2, r) <= int(exact) + 1


def test_the_tail_is_below_2_to_minus_128():
    assert 2 * (-(Decimal("13.38") ** 2) / 2).exp() < Decimal(2) ** -128
    assert noise.failure_log2(1) < -128
    assert abs(Decimal(noise.failure_log2(4096)) - 12 - Decimal(noise.failure_log2(1))) < Decimal("1e-9")


# -- shapes -------------------------------------------------------------------------------------
@pytest.mark.parametrize(
    ("name", "shape", "bytes_per_value"),
    [
        # 16 bits, 1024 summands: the sizes that the design promises
        (Q50, (1, 24, 15, 10), 9.375),
        (Q100, (3, 22, 13, 8), 7.4583),
        (Q80, (2, 28, 19, 14), 7.9375),
        (Q72, (2, 20, 11, 5), 8.0),
    ],
)
def test_shapes_of_the_design(name, shape, bytes_per_value):
    p = make_params(name=name, max_summands=1024)
    assert (p.slots_per_coefficient, p.scale_bits, *p.drop_bits) == shape
    assert p.bytes_per_value == pytest.approx(bytes_per_value, abs=1e-4)


LOADS = [
    (name, bits, n, squares)
    for name in ALL_SETS
    for bits, n, squares in (
        (4, 2, 2), (8, 64, 64), (8, 1, 1), (16, 5, 28), (16, 64, 64), (16, 64, 300),
        (16, 1024, 1024), (16, 1024, 4096), (24, 2, 2), (24, 16, 16),
    )
]  # fmt: skip


@pytest.mark.parametrize(("name", "bits", "n", "squares"), LOADS)
def test_a_shape_is_the_best_that_decrypts(name, bits, n, squares):
    chosen = SETS[name]
    N, q, L = chosen.N, chosen.q, chosen.log_q
    w = bits
    while 1 << (w - bits) < n:
        w += 1

    def decrypts(S, k, k0, k1):
        B = noise.max_noise(N, k0, k1, n, squares, 0)
        m = sum(n * (2 ** (bits - 1) - 1) << (w * j) for j in range(S))
        return (m << k) + B < Fraction(q, 2) and 1 << (k - 1) > B

    found = []
    for S in range(1, 17):
        ks = [k for k in (L - S * w, L - S * w - 1) if k >= 1 and decrypts(S, k, 0, 0)]
        if ks:
            most = max(k0 + k1 for k0 in range(24) for k1 in range(24) if decrypts(S, ks[0], k0, k1))
            found.append((Fraction(2 * L - most, S), S, ks[0]))
    if not found:
        with pytest.raises(ParameterError, match="no scale decrypts"):
            make_params(name=name, value_bits=bits, max_summands=n, max_square_sum=squares)
        return
    p = make_params(name=name, value_bits=bits, max_summands=n, max_square_sum=squares)
    k0, k1 = p.drop_bits
    cost, S, k = min(found)
    assert (p.slots_per_coefficient, p.scale_bits, 2 * L - k0 - k1) == (S, k, cost * S)
    assert decrypts(S, k, k0, k1)
    # Equals: the least noise of the same number of bits.
    for d in range(-3, 4):
        if min(k0 + d, k1 - d) >= 0 and max(k0 + d, k1 - d) < 24 and decrypts(S, k, k0 + d, k1 - d):
            assert noise.max_noise(N, k0, k1, n, squares, 0) <= noise.max_noise(
                N, k0 + d, k1 - d, n, squares, 0
            )


def test_the_scale_is_one_less_where_24_bit_values_would_reach_half_of_q():
    # q of the sets with two primes is not as close to a power of two as the headroom of 24-bit values.
    p = make_params(name=Q80, value_bits=24, max_summands=2)
    assert p.scale_bits == 80 - p.slots_per_coefficient * 25 - 1
    assert make_params(name=Q80, value_bits=16, max_summands=1024).scale_bits == 80 - 2 * 26


def test_what_no_scale_decrypts_is_refused():
    with pytest.raises(ParameterError, match=r"16384 vectors of 16-bit values .* modulus of 40 bits"):
        make_params(name=Q40, max_summands=16384)
    with pytest.raises(ParameterError, match="no scale decrypts"):
        make_params(name=Q40, max_summands=64, max_square_sum=64**2)  # one weight of 64: too noisy


@pytest.mark.parametrize("name", ALL_SETS)
@pytest.mark.parametrize(("n", "squares"), [(16, 16), (16, 100), (5, 25)])
def test_whatever_the_counters_allow_is_below_half_a_step(name, n, squares):
    params = make_params(name=name, max_summands=n, max_square_sum=squares)
    half = 1 << (params.scale_bits - 1)
    seen = 0
    for w1 in range(1, n + 1):
        for w2 in range(w1, w1 * w1 + 1, 2):
            for r in range(squares):
                counters = wire.Counters(w1, w2, r)
                assert counters.possible()
                if counters.excess(params) is None:
                    seen += 1
                    assert params.max_noise(w1, w2, r) < half
    assert seen > n


# -- measured -----------------------------------------------------------------------------------
def true_variance(params, square_sum):
    """With this key's own norms in the place of their bounds."""
    key = secret_key(params.set)
    s2, e2 = int(key._secret @ key._secret), int(key._error @ key._error)
    k0, k1 = params.drop_bits
    rounding = ((4**k1 - 1) * s2 + 4**k0 - 1) / 12
    return square_sum * (2 * e2 / 3 + 10.5 + 10.5 * s2 + rounding)


def compression_variance(params, total):
    """Of compressing this sum: ``rest (2^d - rest)`` for a number with that rest modulo ``2^d``."""
    s2 = int(secret_key(params.set)._secret @ secret_key(params.set)._secret)
    out = []
    for component, d in zip(scheme(params).read(total.to_bytes()), params.drop_bits, strict=True):
        rests = [x % (1 << d) for element in component for x in element]
        out.append(sum(x * ((1 << d) - x) for x in rests) / len(rests))
    return out[0] + s2 * out[1]


@pytest.mark.parametrize("name", ALL_SETS)
@pytest.mark.parametrize("weights", [(1,), (1, 1, 1, 1, -1, -1), (5, -3)])
def test_measured_noise_is_what_is_predicted(name, weights):
    n_slots = 12 * 4096
    params = make_params(n_slots, name=name, max_summands=64, max_square_sum=64)
    compressed = 0.0
    total, expected = empty_sum(params), np.zeros(n_slots, np.int64)
    for i, w in enumerate(weights):
        values = random_values(params, i)
        total.add(encrypt(params, values, seed=i), w)
        expected += w * values
    squares = sum(w * w for w in weights)
    for c, r in ((total.to_ciphertext(), 0), (total._compress_derand(1, bytes(32)), 1)):
        noises = noise_of(c, expected)
        if r:
            compressed = compression_variance(params, total)
        predicted = (true_variance(params, squares) + compressed) ** 0.5
        # Coefficients of one element share u and the errors: their squares are not independent.
        assert noises.std() == pytest.approx(predicted, rel=0.03)
        assert np.abs(noises).max() < params.max_noise(sum(map(abs, weights)), squares, r)


def test_measured_noise_of_a_full_sum():
    params = make_params(2048, max_summands=1024, max_square_sum=1027)
    total = empty_sum(params)
    for i in range(1024):
        total.add(encrypt(params, np.full(2048, extreme(params)), seed=i))
    expected = np.full(2048, 1024 * extreme(params))
    for c, r in ((total.to_ciphertext(), 0), (total._compress_derand(1, bytes(32)), 1)):
        assert np.array_equal(decrypt(c), expected)
        noises = noise_of(c, expected)
        assert noises.std() == pytest.approx(true_variance(params, 1024) ** 0.5, rel=0.05)
        assert np.abs(noises).max() < params.max_noise(1024, 1024, r) < 1 << (params.scale_bits - 1)


def test_the_mean_of_the_rounding_errors_adds_up():
    # It is there, it is what the key says it is, and the bound knows it: sqrt(n) would not cover n / 2.
    params = make_params(16 * 2048, max_summands=1024)
    key = secret_key()
    total, n = empty_sum(params), 400
    for i in range(n):
        total.add(encrypt(params, np.zeros(16 * 2048, np.int64), seed=i))
    sums = np.cumsum(key._secret)
    mean = n * (1 + 2 * sums - sums[-1]) / 2
    noises = noise_of(total.to_ciphertext(), np.zeros(16 * 2048, np.int64)).reshape(16, 2048).mean(axis=0)
    slope = float(mean @ noises) / float(mean @ mean)
    error = (true_variance(params, n) / 16) ** 0.5 / float(mean @ mean) ** 0.5
    assert abs(slope - 1) < 4 * error < 0.9  # not 0
    assert np.abs(mean).max() <= float(noise.max_mean(2048, *params.drop_bits, n))


def test_parameters_tell_the_bound():
    p = make_params(2048 * 10, max_summands=1024)
    assert p.max_noise(1024, 1024, 1) == noise.max_noise(2048, 15, 10, 1024, 1024, 1)
    assert p.failure_log2 == noise.failure_log2(20480) < -113
    assert rlwe.Params(Q50, 10, 16, 8).max_square_sum == 8


def shape_row(name):
    """A row of the table of docs/he-rlwe.md."""
    cells = []
    for n in (64, 256, 1024, 16384):
        try:
            p = make_params(name=name, max_summands=n)
        except ParameterError:
            cells.append("-")
            continue
        k0, k1 = p.drop_bits
        lossless = 2 * p.q.bit_length() / 8 / p.slots_per_coefficient
        cells.append(f"{p.slots_per_coefficient}; {k0}, {k1}; {p.bytes_per_value:.2f}, {lossless:.2f}")
    return f"| `{name}` | " + " | ".join(cells) + " |"


@pytest.mark.parametrize("name", ALL_SETS)
def test_the_table_of_the_documentation_is_computed(name):
    assert shape_row(name) in (Path(__file__).parents[2] / "docs" / "he-rlwe.md").read_text().splitlines()

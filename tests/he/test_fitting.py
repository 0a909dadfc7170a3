"""``he.fit``: its figures are those of what is made, and the impossible is refused with a way out."""

import pytest

from sottovoce import he
from sottovoce.he import fitting, kahe, paillier, rlwe

ALL = [(scheme, name) for scheme, names in fitting.SCHEMES.items() for name in names]


@pytest.mark.parametrize(("scheme", "name"), ALL)
@pytest.mark.parametrize("n_values", [1, 5000])
def test_the_bytes_are_those_of_a_ciphertext(scheme, name, n_values):
    fit = he.fit(scheme, name, 8, 64, n_values)
    if scheme == "kahe":
        params = kahe.Params(name, n_values, 8, 64, 4)
        held, extra = params.n_elements * params.N * fit.slots, 0
        size = params.ciphertext_bytes
    elif scheme == "rlwe":
        params = rlwe.Params(name, n_values, 8, 64)
        held, extra = params.n_elements * params.N * fit.slots, 80
        size = params.ciphertext_bytes
    else:
        params = paillier.Params(n_values, 8, 64, int(name.removeprefix("PAILLIER_")))
        held, extra = params.n_ciphertexts * fit.slots, 53
        size = params.ciphertext_bytes
    assert size - extra == pytest.approx(held * fit.bytes_per_value)
    assert fit.slot_bits == 8 + 6
    assert (fit.value_bits, fit.max_summands, fit.n_values) == (8, 64, n_values)


def test_the_failure_bound_grows_with_the_vector_and_stays_negligible():
    for scheme in ("kahe", "rlwe"):
        small, large = (he.fit(scheme, he.DEFAULT_SET, 16, 64, n).log2_failure for n in (1, 10**8))
        assert -130 < small < large < -100
        # The union bound: eight bits more for a vector 2^8 times as long.
        one, many = (he.fit(scheme, he.DEFAULT_SET, 16, 64, 2048 * k).log2_failure for k in (1, 256))
        assert many - one == pytest.approx(8)
    assert he.fit("paillier", "PAILLIER_3072", 16, 64).log2_failure is None


@pytest.mark.parametrize(
    ("scheme", "name", "bits", "most"),
    [
        ("kahe", "RLWE_PQ128_N2048_Q40", 16, 16384),
        ("kahe", "RLWE_128_N2048_Q50", 24, 1 << 24),
        ("rlwe", "RLWE_PQ128_N2048_Q40", 16, 1024),
        ("rlwe", "RLWE_128_N2048_Q50", 24, 1 << 20),
    ],
)
def test_the_nearest_wishes_can_be_had_and_no_nearer_ones(scheme, name, bits, most):
    near = fitting.nearest(scheme, name, bits, most)
    assert near
    for b, n in near:
        he.fit(scheme, name, b, n)
        nearer = (b, n + 1) if b == bits else (b + 1, n)
        with pytest.raises(he.ParameterError):
            he.fit(scheme, name, *nearer)
    with pytest.raises(he.ParameterError) as caught:
        he.fit(scheme, name, bits, most)
    for b, n in near:
        assert f"{b}-bit values of {n} vectors" in str(caught.value)
    assert name in str(caught.value)


@pytest.mark.parametrize(
    ("arguments", "error", "message"),
    [
        (("bfv", "RLWE_128_N2048_Q50", 16, 64), he.ParameterError, "scheme: kahe, rlwe, paillier expected"),
        (("kahe", "PAILLIER_2048", 16, 64), he.ParameterError, "set: one of RLWE"),
        (("paillier", "RLWE_128_N2048_Q50", 16, 64), he.ParameterError, "set: one of PAILLIER"),
        (("kahe", "RLWE_128_N2048_Q50", 3, 64), he.ParameterError, "value_bits: 4 to 24"),
        (("kahe", "RLWE_128_N2048_Q50", 16, 2), he.ParameterError, "max_summands: 3 to"),
        (("kahe", "RLWE_128_N2048_Q50", 16, 64, 0), he.ParameterError, "n_values: 1 or more"),
        (("kahe", "RLWE_128_N2048_Q50", "16", 64), TypeError, "value_bits"),
        (("kahe", "RLWE_128_N2048_Q50", 16, 64, 1.0), TypeError, "n_values"),
        ((1, "RLWE_128_N2048_Q50", 16, 64), TypeError, "scheme and set"),
    ],
)
def test_rejects_wishes_that_mean_nothing(arguments, error, message):
    with pytest.raises(error, match=message):
        he.fit(*arguments)

"""Security of the named sets against published limits, and the parameters that follow from n."""

import pickle

import pytest

from sottovoce._ext.errors import ParameterError
from sottovoce.he import DEFAULT_SET, SETS, kahe, noise
from sottovoce.he.params import named_set
from support.he_world import ALL_SETS, Q40, Q50, Q72, Q80, Q100, make_params

# Largest log2 q for a ternary secret: Bossuat et al., "Security guidelines for implementing
# homomorphic encryption" (eprint 2024/463), by claimed level and dimension.
LIMITS = {
    "128": {2048: 53, 4096: 106, 8192: 214},
    "192": {2048: 36, 4096: 73, 8192: 147},
    "PQ128": {2048: 40, 4096: 80, 8192: 161},
}


def is_prime(n):
    """Miller-Rabin with the first twelve primes: a proof below 3.3e24 (Sorenson, Webster 2015)."""
    d, s = n - 1, 0
    while d % 2 == 0:
        d, s = d // 2, s + 1
    for a in (2, 3, 5, 7, 11, 13, 17, 19, 23, 29, 31, 37):
        x = pow(a, d, n)
        if x in (1, n - 1):
            continue
        for _ in range(s - 1):
            x = x * x % n
            if x == n - 1:
                break
        else:
            return False
    return True


def test_the_prime_test_knows_composites():
    assert is_prime(0x3FFFFFFFFC001)
    assert not any(is_prime(n) for n in (0x3FFFFFFFFC001 * 0xFFFFFF7001, 3215031751, 561 * 1105))


@pytest.mark.parametrize("name", sorted(SETS))
class TestEverySet:
    def test_primes_and_roots(self, name):
        chosen = SETS[name]
        assert len(chosen.primes) == len(chosen.roots) == len(set(chosen.primes))
        for q, psi in zip(chosen.primes, chosen.roots, strict=True):
            assert is_prime(q)
            assert q % (2 * chosen.N) == 1
            assert pow(psi, 2 * chosen.N, q) == 1
            assert pow(psi, chosen.N, q) == q - 1  # 2N is a power of two: the order is exactly 2N

    def test_modulus_is_within_the_limit_of_the_claim(self, name):
        chosen = SETS[name]
        _, claim, ring, modulus = name.split("_")
        assert ring == f"N{chosen.N}"
        assert modulus == f"Q{chosen.log_q}"
        assert chosen.q <= 1 << LIMITS[claim][chosen.N]

    def test_name_is_its_key(self, name):
        assert SETS[name].name == name
        assert named_set(name) is SETS[name]


def test_default_set_exists():
    assert DEFAULT_SET in SETS


def test_sets_cannot_be_changed():
    with pytest.raises(TypeError):
        SETS["mine"] = SETS[DEFAULT_SET]


@pytest.mark.parametrize(
    ("n", "f", "t"), [(3, 0, 2), (4, 1, 3), (5, 1, 4), (7, 2, 5), (10, 3, 7), (31, 10, 21)]
)
def test_threshold_follows_from_the_committee(n, f, t):
    params = make_params(n_members=n)
    assert (params.n_corrupted, params.threshold) == (f, t)


@pytest.mark.parametrize("n", range(3, 65))
def test_two_sets_with_different_honest_parts_never_both_open(n):
    # Each opening needs t answers; honest members answer one honest part, the f corrupted answer both.
    params = make_params(n_members=n)
    t, f = params.threshold, params.n_corrupted
    assert 2 * t > n + f
    assert t <= n - f  # and the honest ones alone can open
    assert 2 * (t - 1) <= n + f  # no larger than needed


def test_sizes():
    params = make_params(2411, max_summands=1024, n_members=5)
    assert (params.wire_bits, params.slot_bits, params.scale_bits, params.n_elements) == (34, 26, 24, 2)
    assert params.ciphertext_bytes == 2 * 2048 * 34 // 8
    assert params.sum_bytes == params.ciphertext_bytes + 4
    assert params.share_bytes == 32 + 16 + 4 * 2048
    assert params.share_sum_bytes == 4 + 4 * 2048
    assert params.proof_bytes == 5 * 32 + 4 * 16
    assert make_params(2048).n_elements == 1
    assert make_params(2049).n_elements == 2


# set, summands, slots and wire bits: the table of docs/he.md
SHAPES = [
    (Q50, 1024, 1, 34),
    (Q40, 1024, 1, 34),
    (Q100, 64, 4, 95),
    (Q100, 1024, 3, 86),
    (Q80, 64, 3, 72),
    (Q80, 1024, 2, 60),
    (Q72, 1024, 2, 60),
]


@pytest.mark.parametrize(("name", "n", "slots", "width"), SHAPES)
def test_sizes_of_every_set(name, n, slots, width):
    N = SETS[name].N
    params = make_params(3 * N * slots, name=name, max_summands=n)
    assert (params.slots_per_coefficient, params.wire_bits) == (slots, width)
    assert params.scale_bits == SETS[name].log_q - slots * params.slot_bits
    assert params.n_elements == 3
    assert params.ciphertext_bytes == 3 * N * width // 8
    assert make_params(3 * N * slots + 1, name=name, max_summands=n).n_elements == 4
    assert params.share_bytes == 48 + 4 * N


@pytest.mark.parametrize("name", ALL_SETS)
def test_at_most_a_million_ring_elements(name):
    most = (1 << 20) * SETS[name].N * make_params(name=name).slots_per_coefficient
    assert make_params(most, name=name).n_elements == 1 << 20
    with pytest.raises(ParameterError, match=f"n_slots: 1 to {most} expected"):
        make_params(most + 1, name=name)


@pytest.mark.parametrize("name", ALL_SETS)
@pytest.mark.parametrize("bits", [4, 7, 8, 12, 16, 19, 20, 22, 23, 24])
def test_the_smallest_width_is_always_allowed(name, bits):
    # Also by the rule that two primes have for a wide wire.
    for n in (3, 5, 64, 1000, 4096, 1 << 17, 1 << 24):
        try:
            slots = noise.best_slots(SETS[name].q, bits, n)
        except ParameterError:
            continue
        params = make_params(5, name=name, value_bits=bits, max_summands=n)
        assert params.slots_per_coefficient == slots
        assert params.scale_bits >= 1
        assert params.wire_bits < SETS[name].log_q
        assert params.max_residual(n) < 1 << 24  # the kernel's square sums are exact up to there


@pytest.mark.parametrize(("name", "n", "bits"), [(Q100, 3, 24), (Q80, 1 << 20, 4), (Q72, 1 << 14, 16)])
def test_steps_of_a_wide_wire_stay_within_the_words_of_the_kernel(name, n, bits):
    params = make_params(name=name, max_summands=n, value_bits=bits)
    L = SETS[name].log_q
    most = min(L - 1, L + 40 - params.scale_bits)
    wide = make_params(name=name, max_summands=n, value_bits=bits, wire_bits=most)
    assert wide.wire_bits + wide.scale_bits <= L + 40
    with pytest.raises(ParameterError, match=f"{params.wire_bits} to {most} expected"):
        make_params(name=name, max_summands=n, value_bits=bits, wire_bits=most + 1)


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("n_slots", 0),
        ("n_slots", (1 << 20) * 2048 + 1),
        ("value_bits", 3),
        ("value_bits", 25),
        ("max_summands", 2),
        ("max_summands", (1 << 24) + 1),
        ("n_members", 2),
        ("n_members", 65),
        ("wire_bits", 27),
        ("wire_bits", 0),
        ("wire_bits", -1),
        ("wire_bits", 50),
        ("wire_bits", 1 << 70),
        ("name", "RLWE_128_N4096_Q1000"),
        ("name", ""),
    ],
)
def test_rejects_numbers_out_of_range(field, value):
    with pytest.raises(ParameterError):
        make_params(**{field: value})


@pytest.mark.parametrize(
    ("field", "value"),
    [("n_slots", 1.0), ("value_bits", True), ("max_summands", "64"), ("wire_bits", 30.0), ("name", 3)],
)
def test_rejects_other_types(field, value):
    with pytest.raises(TypeError):
        make_params(**{field: value})


def test_wider_wire_than_needed_is_allowed():
    assert make_params(wire_bits=30).wire_bits == 30


@pytest.mark.parametrize(
    ("name", "bits", "n"), [(Q40, 16, 4096), (Q50, 24, 1 << 14), (Q50, 16, 1 << 24), (Q40, 24, 1 << 24)]
)
def test_impossible_wishes_name_the_nearest_possible_ones(name, bits, n):
    with pytest.raises(ParameterError) as caught:
        make_params(name=name, value_bits=bits, max_summands=n)
    text = str(caught.value)
    assert text.startswith(f"no wire width opens sums of {n} vectors of {bits}-bit values with {name}: ")
    wishes = [w.removeprefix("or ") for w in text.split(": ")[1].removesuffix(" would do").split(", ")]
    most = int(wishes.pop(0).removeprefix("at most ").removesuffix(" summands"))
    make_params(name=name, value_bits=bits, max_summands=most)
    with pytest.raises(ParameterError):
        make_params(name=name, value_bits=bits, max_summands=most + 1)
    fewer = [int(w.split()[2]) for w in wishes if w.startswith("values of")]
    for b in fewer:
        make_params(name=name, value_bits=b, max_summands=n)
    with pytest.raises(ParameterError):
        make_params(name=name, value_bits=max(fewer, default=3) + 1, max_summands=n)
    others = [w for w in wishes if not w.startswith("values of")]
    for other in ALL_SETS:
        if other in others:
            make_params(name=other, value_bits=bits, max_summands=n)
        else:
            with pytest.raises(ParameterError):
                make_params(name=other, value_bits=bits, max_summands=n)


def test_equal_hashable_and_pickled_through_the_constructor():
    params = make_params()
    assert params == make_params(wire_bits=28)
    assert params != make_params(wire_bits=29)
    again = pickle.loads(pickle.dumps(params))
    assert again == params
    assert hash(again) == hash(params)
    assert again.q == SETS[Q50].q
    with pytest.raises(AttributeError):
        params.wire_bits = 20
    function, arguments = params.__reduce__()
    with pytest.raises(ParameterError):
        function(*arguments[:-1], 20)
    assert function is kahe.Params

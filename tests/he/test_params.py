"""Security of the named sets against published limits, and the parameters that follow from n."""

import pickle

import pytest

from sottovoce._ext.errors import ParameterError
from sottovoce.he import DEFAULT_SET, SETS, kahe
from sottovoce.he.params import named_set
from support.he_world import Q40, Q50, make_params

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
        ("name", "RLWE_128_N4096_Q100"),
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


def test_no_room_for_too_many_summands():
    with pytest.raises(ParameterError, match="no wire width"):
        make_params(name=Q40, max_summands=4096)


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

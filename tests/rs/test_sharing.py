"""Shamir sharing of the packet key: any k give it back, fewer say nothing."""

import itertools
from collections import Counter

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from sottovoce.rs import sharing
from support import rs_twin

KEY = bytes(range(32))


def shares_of(k, n, key=KEY):
    return dict(enumerate(row.tobytes() for row in sharing.split(key, k, n)))


@given(st.data())
def test_equals_the_second_implementation(data):
    n = data.draw(st.integers(1, 255))
    k = data.draw(st.integers(1, min(n, 12)))
    key, seed = data.draw(st.binary(min_size=32, max_size=32)), data.draw(st.binary(max_size=4))
    randomness = rs_twin.Stream(seed).take(32 * (k - 1))
    got = [row.tobytes() for row in sharing._split_derand(key, k, n, randomness)]
    assert got == rs_twin.shamir_split(key, k, n, randomness)


@pytest.mark.parametrize(("k", "n"), [(1, 1), (1, 5), (2, 5), (3, 5), (5, 5), (4, 7)])
def test_every_subset_of_k_gives_the_key_and_all_other_shares(k, n):
    shares = shares_of(k, n)
    for subset in itertools.permutations(range(n), k):
        chosen = {i: shares[i] for i in subset}
        assert sharing.combine(chosen) == KEY
        assert rs_twin.shamir_combine(chosen) == KEY
        assert sharing.shares_at(chosen, range(n)) == list(shares.values())


@pytest.mark.parametrize(("k", "n"), [(255, 255), (128, 255), (2, 255)])
def test_the_largest_sharings(k, n):
    shares = shares_of(k, n)
    assert sharing.combine({i: shares[i] for i in range(n - k, n)}) == KEY


def test_every_key_is_possible_given_one_share_fewer():
    # Exhaustive where it can be: the first byte, k = 2, one share.  For each value of the share and
    # each key there is exactly one coefficient, so the share says nothing.
    powers = sharing._powers(2, 3)
    for point in range(3):
        x = int(powers[point, 1])
        assert x == point + 1
        for key in range(0, 256, 17):
            assert sorted(key ^ rs_twin.MUL[x][r] for r in range(256)) == list(range(256))


def test_shares_of_a_constant_key_look_uniform():
    # 2,000 sharings of the zero key: each byte value of share 0 about 250 times in 64,000.
    counts = Counter(b"".join(sharing.split(bytes(32), 2, 2)[0].tobytes() for _ in range(2000)))
    chi_square = sum((counts[v] - 250) ** 2 / 250 for v in range(256))
    assert chi_square < 400  # 255 degrees of freedom: beyond 400 once in 10^8


@pytest.mark.parametrize("k", [2, 3, 5, 9])
def test_every_coefficient_is_random_by_itself(k):
    # Fewer than k shares say nothing only if all k - 1 coefficients are independent of each other:
    # interpolated from k shares, none is another one, nor the key, nor zero, nor that of another sharing.
    seen = [KEY]
    for _ in range(3):
        shares = shares_of(k, k)
        coefficients = polynomial(shares)
        assert coefficients[0] == KEY
        seen += coefficients[1:]
    assert len(set(seen)) == len(seen) == 3 * (k - 1) + 1
    # Nor is one the sum of two others, or a multiple of one: a few chances in 2^200.
    differences = [
        bytes(x ^ y for x, y in zip(a, b, strict=True)) for a, b in itertools.combinations(seen, 2)
    ]
    assert len(set(differences)) == len(differences)
    assert not set(differences) & set(seen)
    multiples = [bytes(rs_twin.MUL[f][v] for v in c) for c in seen for f in range(1, 256)]
    assert len(set(multiples)) == len(multiples)


def polynomial(shares):
    """Coefficients from k shares: Newton's divided differences, then multiplied out."""
    points = [i + 1 for i in shares]
    newton = [list(s) for s in shares.values()]
    for order in range(1, len(points)):
        for i in range(len(points) - 1, order - 1, -1):
            inverse = rs_twin.INV[points[i] ^ points[i - order]]
            newton[i] = [rs_twin.MUL[inverse][a ^ b] for a, b in zip(newton[i], newton[i - 1], strict=True)]
    out = [newton[-1]]
    for i in range(len(points) - 2, -1, -1):  # out = out * (x - point) + newton[i]
        scaled = [[rs_twin.MUL[points[i]][v] for v in row] for row in out] + [[0] * 32]
        shifted = [newton[i], *out]
        out = [[a ^ b for a, b in zip(s, t, strict=True)] for s, t in zip(scaled, shifted, strict=True)]
    return [bytes(row) for row in out]


def test_two_sharings_differ():
    assert shares_of(2, 3) != shares_of(2, 3)


def test_threshold_one_is_replication_as_documented():
    assert set(shares_of(1, 5).values()) == {KEY}


def test_fewer_shares_give_another_value():
    shares = shares_of(3, 5)
    assert sharing.combine({i: shares[i] for i in (0, 1)}) != KEY


def test_no_secret_byte_is_an_index():
    # The look-up tables of rs.field take public numbers only; sharing must not touch them with shares.
    class Watch(np.ndarray):
        def __getitem__(self, item):
            raise AssertionError("a table was looked up")

    sharing.split(KEY, 3, 5)  # fills the caches of the public matrices
    shares = shares_of(3, 5)
    chosen = {i: shares[i] for i in (0, 2, 4)}
    sharing.combine(chosen)
    exp, log = sharing.field._EXP, sharing.field._LOG
    sharing.field._EXP, sharing.field._LOG = exp.view(Watch), log.view(Watch)
    try:
        sharing.split(KEY, 3, 5)
        assert sharing.combine(chosen) == KEY
        with pytest.raises(AssertionError, match="looked up"):
            sharing.field.multiply(np.uint8([3]), np.uint8([5]))
    finally:
        sharing.field._EXP, sharing.field._LOG = exp, log

"""Shares of a master secret: polynomials, the dealer, signing parameters made elsewhere."""

import itertools
import pickle

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sottovoce._ext.enc import enc
from sottovoce.clsc import (
    DecodeError,
    EpochParams,
    MasterKey,
    MasterShare,
    Mode,
    ParameterError,
    RootKey,
    comb,
    deal,
    dealer,
    group,
    hashes,
    master,
    polynomial,
)
from support.clsc_world import NOT_AFTER, Drbg

R = group.ORDER
TIMES = {"not_before": 0, "not_after": NOT_AFTER}


def dealt(threshold, servers, seed="shares", root=None, **changes):
    root = root or RootKey.generate()
    numbers = {"answers": 1, "corrupted": 0, **changes}
    return dealer._deal_derand(
        root, Mode.BLIND, b"e", 0, NOT_AFTER, threshold, servers, *numbers.values(), Drbg(seed)
    )


def points(f, n):
    """``f(0)*P2, ..., f(n)*P2``, compressed."""
    return [comb.p2_mul(polynomial.evaluate(f, x)).to_compressed_bytes() for x in range(n + 1)]


def sign(root, f, n, *, threshold=None, servers=None, Y=None, epoch=b"e", **numbers):
    found = points(f, n)
    return root.sign_params(
        Mode.BLIND, epoch, Y or found[0], found[1:] if servers is None else servers, **TIMES,
        threshold=len(f) if threshold is None else threshold, **numbers,
    )  # fmt: skip


# -- polynomials ----------------------------------------------------------------------------------


@given(st.integers(1, 8), st.data())
@settings(max_examples=30, deadline=None)
def test_any_threshold_shares_give_the_secret(t, data):
    f = polynomial.draw(t, Drbg(data.draw(st.binary(min_size=1, max_size=4))))
    assert len(f) == t
    indices = data.draw(st.permutations(range(1, 12)))[:t]
    weights = polynomial.lagrange_at_zero(indices)
    assert sum(w * polynomial.evaluate(f, j) for w, j in zip(weights, indices, strict=True)) % R == f[0]
    assert polynomial.evaluate(f, 0) == f[0]
    # One share more than needed does no harm; one less misses by a multiple of the leading coefficient.
    more = [*indices, 12]
    weights = polynomial.lagrange_at_zero(more)
    assert sum(w * polynomial.evaluate(f, j) for w, j in zip(weights, more, strict=True)) % R == f[0]
    less = indices[:-1]
    weights = polynomial.lagrange_at_zero(less)
    assert sum(w * polynomial.evaluate(f, j) for w, j in zip(weights, less, strict=True)) % R != f[0]


def test_lagrange_by_hand():
    # f(x) = 7 + 5x + 3x^2 at 1, 2, 4: 15, 29, 75; Lagrange at 0: 8/3, -2, 1/3.
    weights = polynomial.lagrange_at_zero([1, 2, 4])
    assert [3 * w % R for w in weights] == [8, R - 6, 1]
    assert sum(w * y for w, y in zip(weights, (15, 29, 75), strict=True)) % R == 7
    assert polynomial.lagrange_at_zero([9]) == [1]
    assert polynomial.lagrange_at_zero([4, 1, 2]) == [weights[2], weights[0], weights[1]]


@pytest.mark.parametrize("indices", [[0, 1], [1, 1], [1, R], [1, R + 1], [-1, 1]])
def test_lagrange_refuses_indices_that_have_none(indices):
    with pytest.raises(ValueError, match="distinct indices"):
        polynomial.lagrange_at_zero(indices)


def test_fewer_shares_fit_every_secret():
    """Perfect secrecy of Shamir: with t - 1 shares each secret has exactly one polynomial."""
    f = polynomial.draw(3, Drbg("secrecy"))
    known = {j: polynomial.evaluate(f, j) for j in (2, 5)}
    for secret in (1, f[0], f[0] + 1, R - 1):
        # Through (0, secret), (2, .), (5, .): the value at 1, and back again.
        nodes = {0: secret, **known}
        at_1 = 0
        for x, y in nodes.items():
            top = bottom = 1
            for m in nodes:
                if m != x:
                    top, bottom = top * (1 - m) % R, bottom * (x - m) % R
            at_1 += y * top * pow(bottom, -1, R)
        shares = {1: at_1 % R, **known}
        weights = polynomial.lagrange_at_zero(list(shares))
        assert sum(w * y for w, y in zip(weights, shares.values(), strict=True)) % R == secret


@pytest.mark.parametrize("t", [1, 2, 3, 7])
def test_ends_of_a_polynomial_are_never_zero(t):
    """A source that gives zeros where it must not: the degree would be lower, the secret zero."""

    class Zeros(Drbg):
        def __call__(self, n):
            self.turn = getattr(self, "turn", 0) + 1
            return bytes(n) if self.turn % 2 else super().__call__(n)

    f = polynomial.draw(t, Zeros("zeros"))
    assert len(f) == t
    assert f[0]
    assert f[-1]


def test_polynomials_are_drawn_from_all_of_the_field():
    values = [a for i in range(40) for a in polynomial.draw(3, Drbg(f"uniform {i}"))]
    assert len(set(values)) == 120
    assert max(values) > R * 9 // 10
    assert min(values) < R // 10
    assert all(0 <= a < R for a in values)


@pytest.mark.parametrize(("t", "n"), [(1, 1), (1, 3), (2, 2), (2, 3), (3, 5), (5, 5), (4, 9)])
def test_degree_in_the_exponent(t, n):
    f = polynomial.draw(t, Drbg("degree"))
    ys = [comb.p2_mul(polynomial.evaluate(f, x)) for x in range(n + 1)]
    assert polynomial.has_degree_below(ys, t)
    assert polynomial.has_full_degree(ys, t)
    commitments = [comb.p2_mul(a) for a in f]
    assert [polynomial.evaluate_exponent(commitments, x) for x in range(n + 1)] == ys
    if t > 1:
        assert not polynomial.has_degree_below(ys, t - 1)
    assert polynomial.has_degree_below(ys, t + 1)
    assert not polynomial.has_full_degree(ys, t + 1)
    for i in range(n + 1):  # any one point off
        off = [*ys[:i], ys[i] + group.P2, *ys[i + 1 :]]
        assert polynomial.has_degree_below(off, t) is (n < t)


def test_attack_degree_test_has_no_fixed_weights():
    """Were the dual polynomial known, an issuer could move two keys so that the sum stays the identity."""
    ys = [comb.p2_mul(polynomial.evaluate([5, 7], x)) for x in range(5)]
    v = polynomial._dual(range(5))
    # For the dual polynomial m = 1: add d/v_3 to one and subtract d/v_4 from the other.
    ys[3] = ys[3] + comb.p2_mul(pow(v[3], -1, R))
    ys[4] = ys[4] + comb.p2_mul(-pow(v[4], -1, R) % R)
    assert group.g2_is_identity(group.g2_msm_vartime(ys, v))
    assert not polynomial.has_degree_below(ys, 2)


# -- the dealer -----------------------------------------------------------------------------------


@pytest.mark.parametrize(("t", "n"), [(1, 1), (2, 2), (2, 3), (3, 5), (5, 5)])
def test_any_threshold_servers_issue_and_fewer_do_not(t, n):
    shares = dealt(t, n)
    params = shares[0].params
    assert [share.index for share in shares] == list(range(1, n + 1))
    assert (params.threshold, params.servers, params.answers, params.corrupted) == (t, n, 1, 0)
    Q = group.hash_to_g1(b"SOTTOVOCE-V1-TEST", b"name")
    answers = {share.index: group.g1_mul_secret(Q, share._s) for share in shares}

    def is_partial_key(D):
        return group.pairing_is_one([D, -Q], [group.P2, params.Y])

    for j, C in answers.items():
        assert group.pairing_is_one([C, -Q], [group.P2, params.Y_servers[j - 1]])
    for some in itertools.combinations(answers, t):
        weights = polynomial.lagrange_at_zero(some)
        assert is_partial_key(group.g1_msm_vartime([answers[j] for j in some], weights))
    for some in itertools.combinations(answers, t - 1):
        weights = polynomial.lagrange_at_zero(some)
        assert not some or not is_partial_key(group.g1_msm_vartime([answers[j] for j in some], weights))


def test_parameters_of_a_dealer_load_again():
    root = RootKey.generate()
    shares = deal(root, Mode.TRACEABLE, b"2026-W47", **TIMES, threshold=4, servers=5, answers=2, corrupted=0)
    params = EpochParams.from_bytes(shares[3].params.to_bytes(), root.public_key)
    assert params == shares[0].params
    assert (params.mode, params.answers, params.corrupted) == (Mode.TRACEABLE, 2, 0)
    again = MasterShare(shares[3]._s, params, 4)
    assert again.index == 4
    with pytest.raises(ParameterError, match="already"):
        deal(root, Mode.TRACEABLE, b"2026-W47", **TIMES, threshold=2, servers=3)


def test_dealer_draws_again_where_a_share_would_be_zero_or_double():
    class Chosen:
        """Two polynomials that would break a rule, and then a good one."""

        def __init__(self):
            self.values = [
                6, R - 11, 5,  # f(1) = 0
                5, R - 9, 3,  # f(1) = f(2) = -1
                5, R - 1, 1,  # f(1) = 5 = f(0): server 1 alone would know s
                5, 7, 3,
            ]  # fmt: skip

        def __call__(self, n):
            return self.values.pop(0).to_bytes(n, "big")

    source = Chosen()
    shares = dealer._deal_derand(RootKey.generate(), Mode.BLIND, b"e", 0, 9, 3, 4, 1, 0, source)
    assert [share._s for share in shares] == [15, 31, 53, 81]
    assert source.values == []


def test_dealings_differ_and_nothing_keeps_the_secret():
    root = RootKey.generate()
    first = deal(root, Mode.BLIND, b"a", **TIMES, threshold=2, servers=3)
    second = deal(root, Mode.BLIND, b"b", **TIMES, threshold=2, servers=3)
    assert len({share._s for share in first + second}) == 6
    slots = [slot for kind in MasterShare.__mro__ for slot in getattr(kind, "__slots__", ())]
    assert sorted(slots) == ["_s", "index", "params"]
    assert not hasattr(first[0], "__dict__")


BAD_NUMBERS = {
    "t is zero": {"threshold": 0},
    "t above n": {"threshold": 6},
    "no server": {"servers": 0, "threshold": 0},
    "too many servers": {"servers": 65, "threshold": 60},
    "2t = n + f": {"threshold": 3, "servers": 6},
    "one of many": {"threshold": 1, "servers": 2},
    "q is zero": {"answers": 0},
    "q is negative": {"answers": -1},
    "q too large": {"answers": 1 << 64, "threshold": 5},
    "q = 2 with 3 of 5": {"answers": 2},
    "f is negative": {"corrupted": -1},
    "f = 1 with 3 of 5": {"corrupted": 1},
    "f = t": {"threshold": 5, "corrupted": 5},
    "epoch empty": {"epoch": b""},
    "epoch long": {"epoch": bytes(65)},
    "times reversed": {"not_before": 9, "not_after": 5},
    "times negative": {"not_before": -1},
    "far future": {"not_after": 1 << 40},
}
BAD_TYPES = {
    "mode": {"mode": "blind"},
    "epoch": {"epoch": "e"},
    "threshold": {"threshold": 3.0},
    "threshold bool": {"threshold": True, "servers": 1},
    "servers": {"servers": "5"},
    "answers": {"answers": None},
    "corrupted": {"corrupted": False},
    "not_before": {"not_before": 0.0},
}


def deal_with(root, **changes):
    arguments = {"mode": Mode.BLIND, "epoch": b"e", **TIMES, "threshold": 3, "servers": 5, **changes}
    return deal(root, arguments.pop("mode"), arguments.pop("epoch"), **arguments)


@pytest.mark.parametrize("name", BAD_NUMBERS)
def test_dealer_refuses_impossible_numbers_and_uses_nothing_up(name):
    root = RootKey.generate()
    with pytest.raises(ParameterError):
        deal_with(root, **BAD_NUMBERS[name])
    deal_with(root)


@pytest.mark.parametrize("name", BAD_TYPES)
def test_dealer_refuses_wrong_types(name):
    with pytest.raises(TypeError):
        deal_with(RootKey.generate(), **BAD_TYPES[name])


def test_every_answer_count_that_the_inequality_allows():
    """q(n-f) < (q+1)(t-f) against a search: the most keys that a party gets out of n servers."""
    from sottovoce.clsc.params import broken_rule

    def most_keys(t, n, q, f):
        # Each honest server answers q different requests; a key needs t - f of them.
        return q * (n - f) // (t - f)

    for n in range(1, 9):
        for t, f, q in itertools.product(range(1, n + 1), range(n), range(1, 4)):
            fine = f < t and most_keys(t, n, q, f) <= q
            reason = broken_rule(b"e", 0, 1, t, n, q, f)
            assert (reason is None) is fine
            least = next((x for x in range(1, n + 1) if f < x and most_keys(x, n, q, f) <= q), None)
            if not fine and least is not None:
                assert reason.endswith(f"; it does from t = {least} on")
            if fine:
                assert 2 * t > n + f  # what dkg.py builds on
    assert "does not hold" in broken_rule(b"e", 0, 1, 3, 5, 1, -1)


# -- shares ---------------------------------------------------------------------------------------


def test_share_is_checked_against_its_parameters():
    one, two, *_ = dealt(3, 5)
    MasterShare(one._s, one.params, 1)
    for s in (two._s, 0, -1, R, one._s + R, one._s - R, R - one._s, b"s", True, None, float(3)):
        with pytest.raises(ParameterError, match="not the share of server 1"):
            MasterShare(s, one.params, 1)
    for index in (0, 6, -1):
        with pytest.raises(ParameterError, match="index: 1 to 5"):
            MasterShare(one._s, one.params, index)
    for index in ("1", 1.0, True):
        with pytest.raises(TypeError, match="index"):
            MasterShare(one._s, one.params, index)
    with pytest.raises(TypeError, match="EpochParams"):
        MasterShare(one._s, one.params.to_bytes(), 1)
    other = dealt(3, 5, "other")[0]
    with pytest.raises(ParameterError, match="not the share"):
        MasterShare(one._s, other.params, 1)


def test_share_is_closed_and_silent():
    share = dealt(2, 3)[1]
    assert str(share._s) not in repr(share)
    assert f"{share._s:x}" not in repr(share)
    assert "2 of EpochParams" in repr(share)
    assert "MasterShare" in repr(MasterShare.__new__(MasterShare))
    with pytest.raises(TypeError, match="secret"):
        pickle.dumps(share)
    with pytest.raises(AttributeError):
        share._s = 1
    with pytest.raises(AttributeError):
        share.index = 1
    with pytest.raises(AttributeError):
        del share.params
    with pytest.raises(AttributeError):
        share.extra = 1


# -- parameters made elsewhere --------------------------------------------------------------------

F = [1001, 77, 13]


def test_signed_parameters_are_those_that_load():
    root = RootKey.generate()
    params = sign(root, F, 5, answers=1, corrupted=0)
    assert EpochParams.from_bytes(params.to_bytes(), root.public_key) == params
    assert comb.p2_mul(1001) == params.Y
    assert list(params.Y_servers) == [comb.p2_mul(polynomial.evaluate(F, j)) for j in range(1, 6)]
    assert len(params.to_bytes()) == 415 + 4 * 100 + len("blind") + len(b"e")


def test_generate_and_sign_params_give_the_same_bytes():
    made = MasterKey._generate_derand(
        RootKey._from_seed_derand(bytes(32)), Mode.BLIND, b"e", 0, NOT_AFTER, Drbg("s")
    )
    y = made.params.Y.to_compressed_bytes()
    signed = RootKey._from_seed_derand(bytes(32)).sign_params(Mode.BLIND, b"e", y, [y], **TIMES, threshold=1)
    assert signed.to_bytes() == made.params.to_bytes()
    body = enc(
        "SOTTOVOCE-V1-PARAMS", signed.root_public_key, hashes.SUITE, "blind", b"e", y, 0, NOT_AFTER,
        1, 1, 1, 0, y,
    )  # fmt: skip
    assert signed.to_bytes()[:-64] == body


def _broken_points():
    """Points that one rule is against; the dealing is 3 of 5."""
    good = points(F, 5)
    Y, servers = good[0], good[1:]
    share_is_secret = [1001, R - 26, 13]  # f(x) = 1001 + 13 x (x - 2)
    twins = [1001, R - 39, 13]  # f(1) = f(2)
    yield "degree t - 2: any two servers know the secret", {"f": [1001, 77, 0]}
    yield "degree t - 3: every server knows the secret", {"f": [1001, 0, 0]}
    yield "degree t", {"f": [*F, 5], "threshold": 3}
    yield "degree t + 1", {"f": [*F, 5, 5], "threshold": 3}
    yield "threshold above the degree", {"f": F, "threshold": 4}
    yield "server 2 holds the secret itself", {"f": share_is_secret}
    yield "servers 1 and 2 hold the same share", {"f": twins}
    yield "Y_1 = Y", {"servers": [Y, *servers[1:]]}
    yield "two keys the same", {"servers": [*servers[:4], servers[0]]}
    yield "two keys swapped", {"servers": [servers[1], servers[0], *servers[2:]]}
    yield "a key off the polynomial", {"servers": [*servers[:4], comb.p2_mul(3).to_compressed_bytes()]}
    yield "another Y", {"Y": comb.p2_mul(1002).to_compressed_bytes()}
    yield "Y is the identity", {"Y": b"\xc0" + bytes(95)}
    yield "a share of zero", {"f": [1001, R - 1014, 13]}
    yield "a key is the identity", {"servers": [b"\xc0" + bytes(95), *servers[1:]]}
    yield "a key outside the subgroup", {"servers": [small_subgroup_point(), *servers[1:]]}
    yield "a key truncated", {"servers": [servers[0][:-1], *servers[1:]]}


def small_subgroup_point():
    """On the curve of G2, outside the subgroup: the first small x that decodes without the check."""
    from py_ecc.bls.point_compression import decompress_G2
    from py_ecc.optimized_bls12_381 import curve_order, is_inf, multiply

    for x in range(1, 50):
        data = bytes([0x80]) + bytes(47) + bytes(47) + bytes([x])
        try:
            point = decompress_G2((int.from_bytes(data[:48], "big"), int.from_bytes(data[48:], "big")))
        except ValueError:
            continue
        assert not is_inf(multiply(point, curve_order))
        return data
    raise AssertionError


BROKEN = dict(_broken_points())


@pytest.mark.parametrize("name", BROKEN)
def test_points_that_break_a_rule_are_not_signed_and_not_loaded(name, monkeypatch):
    root, changes = RootKey.generate(), {"f": F, **BROKEN[name]}
    f = changes.pop("f")
    with pytest.raises(DecodeError):
        sign(root, f, 5, **changes)
    assert not root._signed
    # A root that signs without looking: the rule is held by whoever loads the bytes.
    signed = []
    monkeypatch.setattr(master, "read_fields", lambda fields: None)
    real = RootKey._sign

    def keep(self, mode, epoch, body):
        signed.append(body + real(self, mode, epoch, body))
        return signed[-1][-64:]

    monkeypatch.setattr(RootKey, "_sign", keep)
    with pytest.raises(DecodeError):
        sign(root, f, 5, **changes)
    (data,) = signed
    with pytest.raises(DecodeError) as caught:
        EpochParams.from_bytes(data, root.public_key)
    assert "signature" not in str(caught.value)


def test_what_is_refused_does_not_use_the_epoch_up():
    root = RootKey.generate()
    with pytest.raises(DecodeError):
        sign(root, [*F, 1], 5, threshold=3)
    with pytest.raises(ParameterError):
        sign(root, F, 5, corrupted=1)
    with pytest.raises(TypeError):
        sign(root, F, 5, servers=["a"] * 5)
    with pytest.raises(TypeError):
        sign(root, F, 5, Y="a")
    sign(root, F, 5)
    with pytest.raises(ParameterError, match="already"):
        sign(root, F, 5)
    sign(root, F, 5, epoch=b"f")


def test_largest_issuer_loads():
    shares = dealt(33, 64)
    assert shares[63].params.servers == 64
    assert len(shares[0].params.to_bytes()) == 415 + 63 * 100 + len("blind") + len(b"e")

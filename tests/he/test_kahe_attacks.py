"""Members and clients that cheat: wrong share sums, proofs, and the limits that stay."""

from itertools import combinations, pairwise
from math import comb, sqrt

import numpy as np
import pytest

from sottovoce._ext.errors import DecodeError, OverflowDetected, ProofError, TooManyErasures
from sottovoce.he import Codec, kahe
from sottovoce.he import _kahe_open as opening
from sottovoce.he._kahe_shares import challenge
from sottovoce.he._shamir import dot, evaluate, reduce
from support.he_reference import Round, split
from support.he_world import ALL_SETS, CONTEXT, World, altered, make_params

P = (1 << 31) - 1


def random_error(rng, N=2048):
    return rng.integers(1, P, N)


def one_error(at=1000, delta=1, N=2048):
    out = np.zeros(N, np.int64)
    out[at] = delta
    return out


@pytest.mark.parametrize("n", [4, 5, 6, 7, 10])
@pytest.mark.parametrize("kind", ["random", "one coefficient", "small"])
def test_up_to_n_minus_t_wrong_sums_are_found(n, kind):
    world = World(make_params(100, n_members=n)).fill(3)
    p = world.params
    rng = np.random.default_rng(n)
    errors = {
        "random": lambda: random_error(rng),
        "one coefficient": lambda: one_error(int(rng.integers(2048))),
        "small": lambda: rng.integers(-1, 2, 2048),
    }[kind]
    sums = world.share_sums()
    choices = list(combinations(range(n), n - p.threshold))
    for liars in [choices[0], choices[-1], choices[len(choices) // 2]]:
        bad = [altered(s, errors(), p) if i in liars else s for i, s in enumerate(sums)]
        opened = world.open(bad)
        assert np.array_equal(opened.values, world.expected())
        assert opened.wrong_members == tuple(i + 1 for i in liars)
        assert opened.suspect_members == ()
    # One more, and no t of them are right.
    liars = range(n - p.threshold + 1)
    bad = [altered(s, errors(), p) if i in liars else s for i, s in enumerate(sums)]
    with pytest.raises(OverflowDetected):
        world.open(bad)


@pytest.mark.parametrize("name", ALL_SETS)
def test_wrong_coefficient_of_the_key_that_stays_in_range_is_found(name):
    # All t sums, nothing to choose from: only the residual test stands between the opener and a lie.
    world = World(make_params(100, name=name, n_members=4)).fill(3)
    N = world.params.N
    sums = world.share_sums((1, 2, 3))
    for at, delta in ((0, 1), (1000, -1), (N - 1, 2)):
        # Lagrange at 0 for members 1, 2, 3 is 3, -3, 1: member 3's error goes into K as it is.
        bad = [*sums[:2], altered(sums[2], one_error(at, delta, N), world.params)]
        with pytest.raises(OverflowDetected):
            world.open(bad)
    # With a fourth answer the same lie is found and left out.
    bad = [*sums[:2], altered(sums[2], one_error(7, 1, N), world.params), world.share_sum(4)]
    opened = world.open(bad)
    assert np.array_equal(opened.values, world.expected())
    assert opened.wrong_members == (3,)


def test_a_sum_of_another_set_is_called_wrong():
    world = World(make_params(100, n_members=5)).fill(5)
    sums = world.share_sums()
    sums[2] = world.share_sum(3, {0, 1, 2, 3})
    opened = world.open(sums)
    assert opened.wrong_members == (3,)
    assert np.array_equal(opened.values, world.expected())
    with pytest.raises(TooManyErasures):
        world.open(sums[1:])


def test_a_sum_over_other_clients_with_the_right_count_is_found():
    world = World(make_params(100, n_members=5)).fill(5)
    total = world.total({0, 1, 2, 3})
    sums = world.share_sums(only={0, 1, 2, 3})
    sums[4] = world.share_sum(5, {0, 1, 2, 4})
    opened = kahe.open_sum(world.params, CONTEXT, total, sums, 4)
    assert opened.wrong_members == (5,)
    assert np.array_equal(opened.values, world.expected({0, 1, 2, 3}))


def test_liars_that_agree_cannot_frame_an_honest_member():
    # n = 7, t = 5: members 1 and 2 choose errors that cancel at 0 together with 3, 4, 5. Those five open
    # the right key, and 6 and 7 disagree with their polynomial - but the honest five explain it too.
    world = World(make_params(100, n_members=7)).fill(3)
    sums = world.share_sums()
    d = random_error(np.random.default_rng(1))

    def factor(j):
        out = 1
        for i in (1, 2, 3, 4, 5):
            if i != j:
                out = out * i * pow(i - j, -1, P) % P
        return out

    ratio = -factor(1) * pow(factor(2), -1, P) % P
    other = np.array([int(x) * ratio % P for x in d])
    bad = [altered(sums[0], d, world.params), altered(sums[1], other, world.params), *sums[2:]]
    opened = world.open(bad)
    assert np.array_equal(opened.values, world.expected())
    assert opened.wrong_members == ()
    assert opened.suspect_members == (6, 7)
    # Without the collusion the same two liars are named.
    e = random_error(np.random.default_rng(2))
    lone = [altered(sums[0], d, world.params), altered(sums[1], e, world.params), *sums[2:]]
    assert world.open(lone).wrong_members == (1, 2)


def test_a_large_committee_opens_past_liars_in_front():
    world = World(make_params(100, n_members=31)).fill(3)
    rng = np.random.default_rng(2)
    for liars in ({0, 1, 2, 3, 4}, {5, 9, 20, 30}):
        sums = [
            altered(s, random_error(rng), world.params) if i in liars else s
            for i, s in enumerate(world.share_sums())
        ]
        opened = world.open(sums)
        assert np.array_equal(opened.values, world.expected())
        # Too many choices to rule out a conspiracy: suspected, not convicted.
        assert opened.wrong_members == ()
        assert set(opened.suspect_members) == {i + 1 for i in liars}


def test_a_client_that_cheats_one_member_is_convicted_and_not_the_member():
    world = World(make_params(100, n_members=4)).fill(4)
    cheat, victim = 2, 1
    data = bytearray(world.shares[cheat][victim].to_bytes())
    data[48] ^= 1
    world.shares[cheat][victim] = kahe.KeyShare.from_bytes(bytes(data), world.params, victim + 1)
    digest = world.ciphertexts[cheat].digest
    for j, share in enumerate(world.shares[cheat]):
        if j == victim:
            with pytest.raises(ProofError):
                world.proofs[cheat].verify(CONTEXT, world.sender(cheat), digest, share)
        else:
            world.proofs[cheat].verify(CONTEXT, world.sender(cheat), digest, share)
    # Had the member added it all the same, the member would look the liar.
    assert world.open().wrong_members == (victim + 1,)


def test_only_a_committed_share_that_misfits_convicts_by_itself():
    # A member can make up share bytes against an honest client; it cannot make them match the hash.
    world = World(make_params(100, n_members=4)).fill(1)
    proof, share, digest = world.proofs[0], world.shares[0][1], world.ciphertexts[0].digest
    invented = kahe.KeyShare.from_bytes(bytes(32) + share.to_bytes()[32:], world.params, 2)
    with pytest.raises(ProofError) as caught:
        proof.verify(CONTEXT, world.sender(0), digest, invented)
    assert caught.value.committed is False
    params = world.params
    rows = np.random.default_rng(6).integers(0, P, (params.threshold + 1, params.N + 4), dtype=np.uint64)
    bad, shares = cheating_proof(params, b"cheat", digest, rows)
    with pytest.raises(ProofError) as caught:
        bad.verify(CONTEXT, b"cheat", digest, shares[1])
    assert caught.value.committed is True


def cheating_proof(params, sender, digest, coefficients):
    """A proof as an honest client makes it, for polynomials of any degree: the first t rows are published."""
    N = params.N
    shares = []
    for j in range(1, params.n_members + 1):
        v = evaluate(coefficients, j)
        shares.append(kahe.KeyShare._of(params, j, bytes(32), v[N:].copy(), v[:N].copy()))
    hashes = tuple(s._commitment(CONTEXT, sender) for s in shares)
    gamma = challenge(params, CONTEXT, sender, digest, hashes)
    checks = np.stack([reduce(dot(gamma, c[:N]) + c[N:]) for c in coefficients[: params.threshold]])
    return kahe.DegreeProof._of(params, hashes, checks), shares


def accepted(params, proof, sender, digest, shares):
    out = []
    for s in shares:
        try:
            proof.verify(CONTEXT, sender, digest, s)
        except ProofError:
            continue
        out.append(s.index)
    return out


def test_shares_on_a_polynomial_of_too_high_a_degree_are_refused():
    params = make_params(100, n_members=5)
    rng = np.random.default_rng(3)
    t, width = params.threshold, params.N + 4
    honest = rng.integers(0, P, (t, width), dtype=np.uint64)
    assert accepted(params, *_with(params, honest)) == [1, 2, 3, 4, 5]
    high = np.concatenate([honest, rng.integers(0, P, (1, width), dtype=np.uint64)])
    assert accepted(params, *_with(params, high)) == []
    one = np.zeros((1, width), np.uint64)
    one[0, 77] = 1  # a single coefficient polynomial of degree t
    assert accepted(params, *_with(params, np.concatenate([honest, one]))) == []


def _with(params, coefficients):
    proof, shares = cheating_proof(params, b"cheat", bytes(32), coefficients)
    return proof, b"cheat", bytes(32), shares


def test_the_published_checks_tell_nothing_of_the_key():
    # One mask polynomial a check, with uniform coefficients: whatever gamma gives of the key's polynomials, R
    # is uniform.  R itself looks so without masks too, because gamma differs every time: it would be four
    # equations about the key.  So the masks are looked at: their values at 0, 1, 2 and differences of these,
    # which are uniform together if the coefficients are.
    params = make_params(10, n_members=4)
    assert params.threshold == 3
    published, degrees = [], ([], [], [])
    for i in range(300):
        world = World(params).join(np.zeros(10, np.int64), seed=i.to_bytes(32, "big"))
        published += split(world.proofs[0].to_bytes()[32 * 4 :], 32)
        one, two, three = (np.array(split(s.to_bytes()[32:48], 32)) for s in world.shares[0][:3])
        row = [3 * (one - two) + three, one, two]
        for values in degrees:
            values += (row[0] % P).tolist()
            row = [b - a for a, b in pairwise(row)]
    for values in (published, *degrees):
        counts = np.bincount(np.array(values) >> 26, minlength=32)
        expected = len(values) / 32
        assert ((counts - expected) ** 2 / expected).sum() < 31 + 6 * sqrt(62)


def reference_of(p):
    return Round(p.set, p.n_slots, p.value_bits, p.max_summands, p.n_members, p.wire_bits, CONTEXT)


def test_keys_are_binomial_and_not_ternary():
    # A ternary key would be known in 2/9 of its coefficients from the sum of two.
    params = make_params(10)
    keys = np.concatenate([kahe.OneTimeKey.generate(params, CONTEXT)._key for _ in range(100)])
    assert abs(keys.mean()) < 5 * sqrt(21 / len(keys))
    assert keys.var() == pytest.approx(21, rel=0.02)
    probability = np.array([comb(84, 42 + k) / 2**84 for k in range(-15, 16)])
    counts = np.array([(keys == k).sum() for k in range(-15, 16)])
    expected = probability * len(keys)
    assert ((counts - expected) ** 2 / expected).sum() < 30 + 6 * sqrt(60)


def test_f_plus_one_corrupted_members_isolate_an_update():
    # n = 4, t = 3, two corrupted: each honest member answers one set, the corrupted ones both.
    world = World(make_params(100, n_members=4)).fill(5)
    every, without = set(range(5)), {0, 1, 2, 3}

    def opened(members, clients):
        sums = world.share_sums(members, clients)
        return kahe.open_sum(world.params, CONTEXT, world.total(clients), sums, len(clients))

    first, second = opened((1, 2, 3), every), opened((1, 2, 4), without)
    assert np.array_equal(first.values - second.values, world.values[4])
    # With one corrupted, the answers for the second set stay below t.
    with pytest.raises(TooManyErasures):
        opened((1, 4), without)


def malicious(world, values):
    """A client that encrypts what it likes: the reference implementation checks nothing."""
    p = world.params
    r = reference_of(p)
    sender = world.sender(len(world.values))
    made = r.client(bytes(32), values, sender)
    world.values.append(np.array(values))
    world.ciphertexts.append(kahe.Ciphertext.from_bytes(made["ciphertext"], p))
    proof = kahe.DegreeProof.from_bytes(made["proof"], p)
    world.proofs.append(proof)
    world.shares.append([kahe.KeyShare.from_bytes(s, p, j) for j, s in enumerate(made["shares"], 1)])
    for share in world.shares[-1]:
        proof.verify(CONTEXT, sender, world.ciphertexts[-1].digest, share)


def test_poison_within_reach_is_not_detected_and_beyond_it_is():
    codec = Codec(1.0, max_summands=64)
    honest = World(make_params(11))
    for _ in range(4):
        honest.join(codec.quantize(np.zeros(10), 10_000))
    # Far beyond the clip of one client, within what five could reach.
    malicious(honest, [40_000] + [0] * 9 + [1])
    total = honest.open().values
    mean, weights = codec.dequantize(total, 5)
    assert weights == 40_001
    assert mean[0] == pytest.approx(40_000 / 40_001)
    # The sum of weights is no cover for more.
    beyond = World(make_params(11))
    for _ in range(4):
        beyond.join(codec.quantize(np.zeros(10), 10_000))
    malicious(beyond, [40_002] + [0] * 9 + [1])
    with pytest.raises(OverflowDetected):
        codec.dequantize(beyond.open().values, 5)
    lying_weight = World(make_params(11))
    for _ in range(4):
        lying_weight.join(codec.quantize(np.zeros(10), 10_000))
    malicious(lying_weight, [0] * 10 + [-39_999])
    with pytest.raises(OverflowDetected):
        codec.dequantize(lying_weight.open().values, 5)


def test_a_ciphertext_under_another_key_fails_the_round_without_a_name():
    # The degree proof does not tie the ciphertext to the shared key.
    world = World(make_params(100)).fill(4)
    stranger = World(make_params(100)).fill(1, seed=9)
    world.ciphertexts[2] = stranger.ciphertexts[0]
    with pytest.raises(OverflowDetected):
        world.open()


def test_a_key_out_of_range_fails_the_round_without_a_name():
    params = make_params(100, n_members=4)
    world = World(params).fill(3)
    rng = np.random.default_rng(8)
    coefficients = rng.integers(0, P, (params.threshold, params.N + 4), dtype=np.uint64)
    ciphertext = world.ciphertexts[0]
    proof, shares = cheating_proof(params, world.sender(3), ciphertext.digest, coefficients)
    for share in shares:
        proof.verify(CONTEXT, world.sender(3), ciphertext.digest, share)
    world.values.append(world.values[0])
    world.ciphertexts.append(ciphertext)
    world.shares.append(shares)
    with pytest.raises(OverflowDetected):
        world.open()


def test_the_refusal_says_the_same_whatever_the_cause():
    world = World(make_params(100)).fill(3)
    seen = set()
    for change in ("sum", "share"):
        total, sums = world.total(), world.share_sums((1, 2, 3))
        if change == "sum":
            total.subtract(world.ciphertexts[0])
            total.add(world.ciphertexts[1])
        else:
            sums[0] = altered(sums[0], one_error(), world.params)
        with pytest.raises(OverflowDetected) as caught:
            kahe.open_sum(world.params, CONTEXT, total, sums, 3)
        seen.add((str(caught.value), caught.value.__cause__, caught.value.__context__))
    assert len(seen) == 1


def test_coefficients_not_below_p_are_refused():
    world = World(make_params(10)).fill(3)
    p = world.params
    share, proof, total = (
        world.shares[0][0].to_bytes(),
        world.proofs[0].to_bytes(),
        world.share_sum(1).to_bytes(),
    )
    for data, first, read in (
        (share, 32, lambda d: kahe.KeyShare.from_bytes(d, p, 1)),
        (proof, 32 * 4, lambda d: kahe.DegreeProof.from_bytes(d, p)),
        (total, 4, lambda d: kahe.ShareSum.from_bytes(d, p, 1)),
    ):
        for at in (first, first + 4, len(data) - 4):
            for value in (P, P + 1, 2**32 - 1):
                with pytest.raises(DecodeError, match="below"):
                    read(data[:at] + value.to_bytes(4, "little") + data[at + 4 :])
            fine = data[:at] + (P - 1).to_bytes(4, "little") + data[at + 4 :]
            assert read(fine).to_bytes() == fine


def test_equal_keys_are_tried_once(monkeypatch):
    # Garbage fails under the one key that all subsets of honest sums give: 35 subsets, one attempt.
    world = World(make_params(100, n_members=7)).fill(3)
    world.ciphertexts[0] = kahe.Ciphertext.from_bytes(bytes(world.params.ciphertext_bytes), world.params)
    tried = []
    real = opening._Opener.opens
    monkeypatch.setattr(opening._Opener, "opens", lambda *a: tried.append(1) or real(*a))
    with pytest.raises(OverflowDetected):
        world.open()
    assert len(tried) == 1

"""The search for right share sums among wrong ones, and what it says of members."""

from itertools import combinations
from math import comb
from pathlib import Path

import numpy as np
import pytest

from sottovoce._ext.errors import OverflowDetected
from sottovoce.he import _kahe_search as search
from sottovoce.he import kahe
from sottovoce.he._shamir import centred, interpolate, lagrange
from support.he_world import World, altered, make_params

P = (1 << 31) - 1


def conspiracy(world, answering, liars, honest):
    """Answers of ``answering``, in which two liars' errors cancel at 0 for the t of ``liars + honest``."""
    a, b = liars
    base = (*liars, *honest)
    factor = dict(zip(base, lagrange(base, 0), strict=True))
    error = np.random.default_rng(a).integers(1, P, 2048)
    ratio = -factor[a] * pow(factor[b], -1, P) % P
    other = np.array([int(x) * ratio % P for x in error])
    lies = {a: error, b: other}
    return [altered(s, lies.get(s.index, 0), world.params) for s in world.share_sums(answering)]


# n, answering, liars, honest members that the lie takes along, honest members that it sets apart
FRAMES = [
    (7, (1, 2, 3, 4, 5, 6), (1, 2), (3, 4, 5), (6,)),
    (7, (1, 2, 3, 5, 6, 7), (6, 7), (1, 2, 3), (5,)),
    (10, (1, 2, 3, 4, 5, 6, 7, 8), (1, 2), (3, 4, 5, 6, 7), (8,)),
    (10, (1, 2, 3, 4, 5, 6, 7, 8, 9), (1, 2), (3, 4, 5, 6, 7), (8, 9)),
]


@pytest.mark.parametrize(("n", "answering", "liars", "honest", "apart"), FRAMES)
def test_no_honest_member_is_framed_while_another_is_silent(n, answering, liars, honest, apart):
    # Too few honest answers for a polynomial of their own that explains the key.
    world = World(make_params(100, n_members=n)).fill(3)
    assert len(liars) <= world.params.n_corrupted
    opened = world.open(conspiracy(world, answering, liars, honest))
    assert np.array_equal(opened.values, world.expected())
    assert opened.wrong_members == ()
    assert set(apart) <= set(opened.suspect_members)


@pytest.mark.parametrize("n", [4, 5, 6, 7, 8])
def test_one_liar_is_named_wherever_that_is_certain(n):
    world = World(make_params(100, n_members=n)).fill(3)
    t, f = world.params.threshold, world.params.n_corrupted
    for m in range(t + 1, n + 1):
        for liar in (1, m):
            sums = [altered(s, int(s.index == liar), world.params) for s in world.share_sums(range(1, m + 1))]
            opened = world.open(sums)
            assert np.array_equal(opened.values, world.expected())
            certain = m >= t + f
            assert opened.wrong_members == ((liar,) if certain else ())
            assert opened.suspect_members == (() if certain else (liar,))


@pytest.mark.parametrize("kind", ["random", "one coefficient", "the same error"])
@pytest.mark.parametrize(("n", "count"), [(20, 6), (25, 7), (31, 6)])
def test_liars_in_a_large_committee_beyond_what_decoding_finds(n, count, kind):
    # In front, where going through the choices in order would meet them last.
    world = World(make_params(100, n_members=n)).fill(3)
    p = world.params
    assert (n - p.threshold) // 2 < count <= p.n_corrupted
    rng = np.random.default_rng(n)
    one = np.zeros(2048, np.int64)
    one[int(rng.integers(2048))] = 1
    same = np.full(2048, int(rng.integers(1, P)))
    errors = {
        "random": lambda: rng.integers(1, P, 2048),
        "one coefficient": lambda: one,
        "the same error": lambda: same,
    }[kind]
    sums = [altered(s, errors() if s.index <= count else 0, p) for s in world.share_sums()]
    opened = world.open(sums)
    assert np.array_equal(opened.values, world.expected())
    assert opened.wrong_members == ()
    assert set(opened.suspect_members) == set(range(1, count + 1))


@pytest.mark.slow
def test_f_liars_among_31_stop_the_opening():
    # The honest limit of docs/he.md; it ends in seconds, and says what it always says.
    world = World(make_params(100, n_members=31)).fill(3)
    rng = np.random.default_rng(1)
    lies = [rng.integers(1, P, 2048) if j < 10 else 0 for j in range(31)]
    with pytest.raises(OverflowDetected):
        world.open([altered(s, e, world.params) for s, e in zip(world.share_sums(), lies, strict=True)])


def test_draws_are_random_subsets_and_no_two_searches_make_the_same():
    world = World(make_params(10, n_members=31)).fill(3)
    p = world.params
    sums = {s.index: s._total for s in world.share_sums()}
    first, again = (next(search.Search(p, sums, 126)._subsets()) for _ in range(2))
    assert first.shape == (search._BATCH, p.threshold)
    assert not np.array_equal(first, again)
    assert all(len(set(row)) == p.threshold for row in first.tolist())
    # Each member as often as any other, within 6 standard deviations.
    share = p.threshold / 31
    counts = np.bincount(first.reshape(-1), minlength=31)
    assert np.abs(counts - share * search._BATCH).max() < 6 * (share * (1 - share) * search._BATCH) ** 0.5


def test_few_members_are_searched_completely_and_in_order():
    world = World(make_params(10, n_members=7)).fill(3)
    sums = {s.index: s._total for s in world.share_sums()}
    rows = np.concatenate(list(search.Search(world.params, sums, 126)._subsets()))
    assert rows.tolist() == [list(c) for c in combinations(range(7), 5)]
    assert comb(19, make_params(10, n_members=19).threshold) <= search.MAX_SUBSETS


def test_keys_in_batches_are_those_of_plain_interpolation():
    rng = np.random.default_rng(4)
    params = make_params(10, n_members=64)
    members = sorted(rng.choice(np.arange(1, 65), 50, replace=False).tolist())
    sums = {j: rng.integers(0, P, params.N, dtype=np.uint64) for j in members}
    made = search.Search(params, sums, P)  # no bound: every key passes
    rows = next(made._subsets())[:20]
    expected = np.stack(
        [interpolate({members[i]: sums[members[i]] for i in row}, 0) for row in rows.tolist()]
    )
    assert np.array_equal(made._at_zero(rows, made._sums), expected)
    subset, key = next(made.candidates())
    assert np.array_equal(key, centred(interpolate({j: sums[j] for j in subset}, 0)))


def test_places_tried_first_are_among_those_lied_about():
    world = World(make_params(10, n_members=7)).fill(3)
    one = np.zeros(2048, np.int64)
    one[[3, 700, 2047]] = 1
    sums = [altered(s, one if s.index == 2 else 0, world.params) for s in world.share_sums()]
    made = search.Search(world.params, {s.index: s._total for s in sums}, 126)
    assert sorted(made._places().tolist()) == [3, 700, 2047]
    everywhere = [altered(s, 1 if s.index == 2 else 0, world.params) for s in world.share_sums()]
    made = search.Search(world.params, {s.index: s._total for s in everywhere}, 126)
    drawn = [tuple(made._places().tolist()) for _ in range(5)]
    assert len(set(drawn)) == 5
    assert all(len(set(d)) == 8 for d in drawn)


def test_sums_that_agree_are_tried_once_however_many(monkeypatch):
    # Garbage in the ciphertexts of 31 honest members: there is one key, so there is nothing to search.
    world = World(make_params(100, n_members=31)).fill(3)
    world.ciphertexts[0] = kahe.Ciphertext.from_bytes(bytes(world.params.ciphertext_bytes), world.params)
    monkeypatch.setattr(search.Search, "_subsets", lambda _: pytest.fail("searched"))
    with pytest.raises(OverflowDetected):
        world.open()


def test_the_number_of_whole_keys_is_bounded(monkeypatch):
    # Errors so small that every key is in range: each is interpolated as a whole, up to a limit.
    world = World(make_params(100, n_members=7)).fill(3)
    monkeypatch.setattr(search, "MAX_KEYS", 5)
    sums = [altered(s, s.index**6, world.params) for s in world.share_sums()]
    made = search.Search(world.params, {s.index: s._total for s in sums}, P)
    assert len(list(made.candidates())) == 5


def found(n, liars):
    """The chance that a search among n answers finds t right ones."""
    t = make_params(10, n_members=n).threshold
    if comb(n, t) <= search.MAX_SUBSETS or liars <= (n - t) // 2:
        return 1.0
    return 1 - (1 - comb(n - liars, t) / comb(n, t)) ** search.MAX_DRAWS


def test_the_limits_in_the_documentation_are_those_of_the_search():
    text = (Path(__file__).parents[2] / "docs" / "he.md").read_text()
    lines = text.splitlines()
    at = next(i for i, line in enumerate(lines) if line.startswith("| committee n |"))
    sizes, corrupted, sure = ([int(x) for x in lines[at + i].strip("|").split("|")[1:]] for i in (0, 2, 3))
    for n, f, count in zip(sizes, corrupted, sure, strict=True):
        assert make_params(10, n_members=n).n_corrupted == f
        assert found(n, count) > 0.999
        assert count == f or found(n, count + 1) <= 0.999

"""``verify`` and ``locate_bad``: the bad shards and no others, whatever is wrong with them."""

import pickle

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from sottovoce._ext import gf256
from sottovoce.rs import CorruptShards, Erasure, TooManyErasures
from sottovoce.rs.matrix import MATRICES, READ_ONLY, parity_matrix

MDS = [name for name in MATRICES if name not in READ_ONLY]


def coded(code, length, seed=3):
    data = np.random.default_rng([seed, code.k, length]).integers(0, 256, (code.k, length), np.uint8)
    return np.concatenate([data, code.encode(data)])


def damage(shards, bad, kind, seed=0):
    rng, out = np.random.default_rng(seed), shards.copy()
    length = shards.shape[1]
    same, column = rng.integers(1, 256, length, np.uint8), int(rng.integers(length))
    for index in bad:
        if kind == "independent":
            out[index] ^= rng.integers(1, 256, length, np.uint8)
        elif kind == "the same":
            out[index] ^= same
        elif kind == "one bit":
            out[index, column] ^= 1
        else:
            out[index] ^= rng.integers(1, 256, 1, np.uint8)
    return out


KINDS = ("independent", "the same", "one bit", "constant")


@given(st.data())
def test_names_exactly_the_bad_ones_up_to_half_of_what_is_spare(data):
    n = data.draw(st.integers(2, 40), "n")
    k = data.draw(st.integers(1, n - 1), "k")
    code = Erasure(k, n, data.draw(st.sampled_from(MDS)))
    shards = coded(code, data.draw(st.sampled_from([1, 2, 255, 256, 257, 1000]), "length"))
    kept = sorted(data.draw(st.permutations(range(n)))[: data.draw(st.integers(k + 1, n), "kept")])
    most = (len(kept) - k) // 2
    bad = sorted(data.draw(st.permutations(kept))[: data.draw(st.integers(0, most), "bad")])
    wrong = damage(shards, bad, data.draw(st.sampled_from(KINDS)), n)
    present = {i: wrong[i] for i in kept}
    assert code.locate_bad(present) == tuple(bad)
    if not bad:
        code.verify(present)
        return
    with pytest.raises(CorruptShards) as caught:
        code.verify(present)
    assert caught.value.bad_indices == tuple(bad)


@pytest.mark.parametrize("name", MDS)
@pytest.mark.parametrize("kind", KINDS)
def test_large_codes(name, kind):
    code = Erasure(100, 150, name)
    shards = coded(code, 70)
    bad = sorted(np.random.default_rng(8).permutation(150)[:25].tolist())
    assert code.locate_bad(dict(enumerate(damage(shards, bad, kind)))) == tuple(bad)


@pytest.mark.parametrize("length", [65535, 65536, 65537, 200_000, (16 << 20) + 300])
def test_a_single_bit_is_found_wherever_it_is(length):
    code = Erasure(2, 5)
    shards = coded(code, length)
    for at in (0, 255, length // 2, length - 257, length - 1):
        wrong = shards.copy()
        wrong[3, at] ^= 128
        assert code.locate_bad(dict(enumerate(wrong))) == (3,)
        with pytest.raises(CorruptShards, match=r"wrong: shards 3$"):
            code.verify(dict(enumerate(wrong)), threads=2)


def test_independent_damage_is_named_beyond_the_half():
    code = Erasure(10, 14)
    shards = coded(code, 500)
    for bad in ((0, 5, 13), (10, 11, 12), (1, 2, 3)):
        assert code.locate_bad(dict(enumerate(damage(shards, bad, "independent")))) == bad


def test_more_than_can_be_told_is_said_and_nobody_blamed():
    code = Erasure(10, 14)
    wrong = dict(enumerate(damage(coded(code, 500), (0, 1, 5, 13), "independent")))
    with pytest.raises(CorruptShards, match="too many to tell which") as caught:
        code.locate_bad(wrong)
    assert caught.value.bad_indices == ()
    with pytest.raises(CorruptShards, match="too many to tell which"):
        code.verify(wrong)


def test_with_one_spare_shard_damage_is_seen_but_not_named():
    code = Erasure(3, 5)
    shards = coded(code, 9)
    shards[1] ^= 1
    present = {i: shards[i] for i in (0, 1, 2, 4)}
    with pytest.raises(CorruptShards, match="too many to tell which"):
        code.verify(present)


@pytest.mark.parametrize("count", [0, 1, 3])
def test_without_a_spare_shard_there_is_nothing_to_compare(count):
    code = Erasure(3, 5)
    shards = coded(code, 9)
    for call in (code.verify, code.locate_bad):
        with pytest.raises(TooManyErasures, match=f"4 shards needed, {count} present"):
            call({i: shards[i] for i in range(count)})


def test_every_byte_is_verified_at_every_place():
    code = Erasure(4, 6)
    shards = coded(code, 300)
    for index in range(6):
        for at in (*range(0, 300, 13), 299):
            shards[index, at] ^= 16
            with pytest.raises(CorruptShards) as caught:
                code.verify(dict(enumerate(shards)))
            assert caught.value.bad_indices == (index,)
            shards[index, at] ^= 16
    code.verify(dict(enumerate(shards)))


def test_shards_of_the_matrix_that_is_not_mds_are_verified_too():
    k, n = 6, 11
    data = coded(Erasure(k, k), 90)
    code = Erasure(k, n, "isal-vand")
    kept = dict(enumerate(data))
    parity = np.zeros((n - k, 90), np.uint8)
    gf256.multiply(parity_matrix(k, n, "isal-vand"), data, parity)
    shards = {**kept, **{k + i: row for i, row in enumerate(parity)}}
    code.verify(shards)
    wrong = {**shards, 2: shards[2] ^ np.arange(1, 91, dtype=np.uint8)}
    assert code.locate_bad(wrong) == (2,)


def test_shards_are_left_alone():
    code = Erasure(4, 7)
    shards = coded(code, 100)
    shards[2] ^= 5
    before = shards.copy()
    assert code.locate_bad(dict(enumerate(shards))) == (2,)
    assert np.array_equal(shards, before)


@pytest.mark.parametrize("error", [CorruptShards((1, 5)), CorruptShards(())])
def test_the_error_survives_a_worker_process(error):
    again = pickle.loads(pickle.dumps(error))
    assert (again.bad_indices, str(again)) == (error.bad_indices, str(error))


def test_a_code_can_be_pickled():
    again = pickle.loads(pickle.dumps(Erasure(3, 5, "zfec")))
    assert repr(again) == "Erasure(k=3, n=5, matrix='zfec')"

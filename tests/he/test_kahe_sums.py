"""Sums of ciphertexts and of shares: orders, bytes, what is not theirs, who is counted."""

import io
import pickle
import threading

import numpy as np
import pytest

from sottovoce._ext.errors import (
    DecodeError,
    ParameterError,
    RangeError,
    TooManyErasures,
)
from sottovoce.he import _kahe_shares, kahe
from sottovoce.he._shamir import P
from support.he_world import CONTEXT, World, make_params


@pytest.fixture(scope="module")
def world():
    return World(make_params(2500, n_members=5)).fill(6)


def test_sums_do_not_depend_on_order_or_grouping(world):
    p, c = world.params, world.ciphertexts
    whole = world.total()
    left, right = kahe.CiphertextSum(p, CONTEXT), kahe.CiphertextSum(p, CONTEXT)
    for x in (c[5], c[0], c[3]):
        left.add(x)
    for x in (c[4], c[1], c[2]):
        right.add(x)
    before = right.digest
    left.merge(right)
    assert right.digest == before
    assert left.digest == whole.digest
    assert left.count == 6
    left.subtract(c[2])
    assert left.digest == world.total({0, 1, 3, 4, 5}).digest
    left.add(c[2])
    assert left.to_bytes() == whole.to_bytes()


def test_sum_bytes_and_pickle(world):
    total = world.total()
    data = total.to_bytes()
    assert len(data) == world.params.sum_bytes
    assert data[:4] == (6).to_bytes(4, "little")
    for again in (
        kahe.CiphertextSum.from_bytes(data, world.params, CONTEXT),
        pickle.loads(pickle.dumps(total)),
    ):
        assert again.to_bytes() == data
        assert again.count == 6
        opened = kahe.open_sum(world.params, CONTEXT, again, world.share_sums(), 6)
        assert np.array_equal(opened.values, world.expected())


def test_public_objects_are_values(world):
    for made in (world.ciphertexts[0], world.proofs[0]):
        again = pickle.loads(pickle.dumps(made))
        assert again == made
        assert hash(again) == hash(made)
        assert made != world.ciphertexts[1]
        assert made != 3
        with pytest.raises(AttributeError):
            made.params = None
        with pytest.raises(AttributeError):
            del made.params
    with pytest.raises(AttributeError):
        world.shares[0][0].index = 2


def test_sums_refuse_more_than_declared():
    params = make_params(10, max_summands=3)
    world = World(params).fill(4)
    total = world.total({0, 1, 2})
    before = total.digest
    with pytest.raises(RangeError):
        total.add(world.ciphertexts[3])
    other = world.total({3})
    with pytest.raises(RangeError):
        total.merge(other)
    assert (total.digest, total.count) == (before, 3)
    shares = world.share_sum(1, {0, 1, 2})
    with pytest.raises(RangeError):
        shares.add(world.shares[3][0])
    assert shares.count == 3


def test_sums_refuse_what_is_not_theirs(world):
    p = world.params
    other = World(make_params(2501, n_members=5)).fill(1)
    total = world.total()
    before = total.digest
    with pytest.raises(ParameterError):
        total.add(other.ciphertexts[0])
    with pytest.raises(ParameterError):
        total.subtract(other.ciphertexts[0])
    with pytest.raises(ParameterError):
        total.merge(other.total())
    with pytest.raises(ParameterError):
        total.merge(kahe.CiphertextSum(p, bytes(32)))
    for bad in (None, b"x", world.shares[0][0]):
        with pytest.raises(TypeError):
            total.add(bad)
        with pytest.raises(TypeError):
            total.merge(bad)
    assert total.digest == before
    with pytest.raises(ParameterError):
        kahe.CiphertextSum(p, CONTEXT).subtract(world.ciphertexts[0])
    shares = world.share_sum(1)
    for bad in (world.shares[0][1], other.shares[0][0]):
        with pytest.raises(ParameterError):
            shares.add(bad)
    with pytest.raises(TypeError):
        shares.add(b"x")
    with pytest.raises(ParameterError):
        kahe.ShareSum(p, 0)
    with pytest.raises(ParameterError):
        kahe.ShareSum(p, 6)
    with pytest.raises(TypeError):
        kahe.ShareSum(p, True)


def test_a_contributor_counts_once_in_a_share_sum(world):
    # Three times the same share would be three contributors, and open one client's vector.
    share, other = world.shares[0][0], world.shares[1][0]
    again = kahe.KeyShare.from_bytes(share.to_bytes(), world.params, 1)
    total = kahe.ShareSum(world.params, 1)
    total.add(share)
    for repeated in (share, again):
        with pytest.raises(ParameterError, match="already"):
            total.add(repeated)
    assert total.count == 1
    named = kahe.ShareSum(world.params, 1)
    named.add(share, b"one")
    with pytest.raises(ParameterError, match="already"):
        named.add(other, b"one")
    for mixed, sender in ((named, None), (total, b"one")):
        with pytest.raises(ParameterError, match="of all contributors or of none"):
            mixed.add(share, sender)
        assert mixed.count == 1
    # Clients that conspire can make equal shares: with their names that stops nobody.
    named.add(again, b"two")
    named.add(other, b"three")
    assert named.count == 3
    for bad, error in ((b"", ParameterError), ("one", TypeError), (bytes(1025), ParameterError)):
        with pytest.raises(error):
            named.add(world.shares[2][0], bad)
    assert named.count == 3
    expected = (2 * share._share + other._share) % P
    assert np.array_equal(named._total, expected)


def test_a_share_sum_that_was_handed_out_takes_no_more(world):
    # The difference of two sums is the share that was added between them.
    total = world.share_sum(1, {0, 1, 2})
    data = total.to_bytes()
    for closed in (total, kahe.ShareSum.from_bytes(data, world.params, 1)):
        with pytest.raises(ParameterError, match="handed out"):
            closed.add(world.shares[3][0])
        assert closed.to_bytes() == data
    few = world.share_sum(1, {0, 1})
    with pytest.raises(ParameterError, match="at least 3"):
        few.to_bytes()
    few.add(world.shares[2][0])  # nothing was handed out
    assert few.to_bytes() == data


def test_a_share_sum_takes_no_share_while_it_is_handed_out(world, monkeypatch):
    # One thread is about to add when another asks for the sum: what it gets is what everybody gets later.
    total = world.share_sum(1, {0, 1, 2})
    adding, handed = threading.Event(), []
    reduce = _kahe_shares.reduce

    def slow(x):
        adding.set()
        asker.join(0.5)
        return reduce(x)

    monkeypatch.setattr(_kahe_shares, "reduce", slow)
    asker = threading.Thread(target=lambda: adding.wait(20) and handed.append(total.to_bytes()))
    asker.start()
    total.add(world.shares[3][0])
    asker.join()
    assert handed == [total.to_bytes()]


def test_too_few_contributors_are_refused_by_member_and_opener():
    world = World(make_params(10)).fill(2)
    with pytest.raises(ParameterError, match="at least 3"):
        world.share_sum(1).to_bytes()
    with pytest.raises(ParameterError, match="n_contributors"):
        world.open()
    with pytest.raises(ParameterError, match="at least 3"):
        kahe.ShareSum(world.params, 1).to_bytes()


def test_opener_checks_its_arguments(world):
    p, total, sums = world.params, world.total(), world.share_sums()
    for arguments, error in (
        ((p, CONTEXT, total, sums, 5), ParameterError),
        ((p, CONTEXT, total, sums, 65), ParameterError),
        ((p, CONTEXT, total, sums, 6.0), TypeError),
        ((p, bytes(32), total, sums, 6), ParameterError),
        ((make_params(2501, n_members=5), CONTEXT, total, sums, 6), ParameterError),
        ((p, CONTEXT, total, [*sums, sums[0]], 6), ParameterError),
        ((p, CONTEXT, total, [b"x"], 6), TypeError),
        ((p, CONTEXT, b"x", sums, 6), TypeError),
        ((None, CONTEXT, total, sums, 6), TypeError),
        ((p, CONTEXT, total, [], 6), TooManyErasures),
    ):
        with pytest.raises(error):
            kahe.open_sum(*arguments)
    other = World(make_params(10, n_members=5)).fill(6)
    with pytest.raises(ParameterError):
        kahe.open_sum(p, CONTEXT, total, other.share_sums(), 6)


def test_a_sum_of_nothing_is_zero(world):
    empty = kahe.CiphertextSum(world.params, CONTEXT).to_bytes()
    assert kahe.CiphertextSum.from_bytes(empty, world.params, CONTEXT).to_bytes() == empty
    for at in (4, len(empty) // 2, len(empty) - 1):
        data = bytearray(empty)
        data[at] ^= 1
        with pytest.raises(DecodeError, match="nothing was added"):
            kahe.CiphertextSum.from_bytes(bytes(data), world.params, CONTEXT)
        with pytest.raises(DecodeError, match="nothing was added"):
            kahe.CiphertextSum.read_from(io.BytesIO(data), world.params, CONTEXT)

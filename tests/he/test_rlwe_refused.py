"""What encryption and addition under RLWE refuse, before anything is changed."""

import io
import pickle

import numpy as np
import pytest

from sottovoce._ext.errors import DecodeError, ParameterError, RangeError
from sottovoce.he import rlwe
from support.rlwe_world import (
    Q40,
    Q50,
    decrypt,
    empty_sum,
    encrypt,
    extreme,
    make_params,
    random_values,
    secret_key,
    state,
)


def test_values_are_refused_by_index_and_not_by_value():
    params = make_params(2048 * 40)
    public = secret_key().public_key
    for index, value in ((3, 32768), (2048 * 40 - 1, -32768), (2048 * 9, -(2**63)), (5, 2**32), (5, 2**62)):
        bad = np.zeros(params.n_slots, np.int64)
        bad[index] = value
        for threads in (1, 3):
            with pytest.raises(RangeError, match=rf"index {index}: not within \+-32767") as caught:
                public.encrypt(bad, params, threads=threads)
            assert str(value) not in str(caught.value)
    bad = np.zeros(params.n_slots, np.int64)
    bad[[100, 70000]] = 40000
    with pytest.raises(RangeError, match="index 100:"):
        public.encrypt(bad, params, threads=3)


def test_values_of_another_kind_are_refused():
    params, public = make_params(10), secret_key().public_key
    masked = np.ma.masked_array(np.zeros(10, np.int64), mask=True)
    for bad in ([0] * 10, np.zeros(10), np.zeros(10, np.int32), None, masked):
        with pytest.raises(TypeError, match="values: int64 array"):
            public.encrypt(bad, params)
    for bad in (np.zeros(9, np.int64), np.zeros((10, 1), np.int64), np.zeros((), np.int64)):
        with pytest.raises(ParameterError, match="values: shape"):
            public.encrypt(bad, params)
    with pytest.raises(TypeError, match="params: "):
        public.encrypt(np.zeros(10, np.int64), None)
    with pytest.raises(ParameterError, match="params: of the key's set"):
        public.encrypt(np.zeros(10, np.int64), make_params(10, name=Q40))
    for bad in (0, 257, -1):
        with pytest.raises(ParameterError, match="threads"):
            public.encrypt(np.zeros(10, np.int64), params, threads=bad)
    for bad in (True, 1.0, "2"):
        with pytest.raises(TypeError, match="threads"):
            public.encrypt(np.zeros(10, np.int64), params, threads=bad)


def test_what_is_checked_is_what_is_encrypted(monkeypatch):
    # Another thread may write to the caller's array meanwhile: the numbers are read once.
    from sottovoce.he import _rlwe_public

    params, values = make_params(10), np.zeros(10, np.int64)
    narrow = _rlwe_public.codec.narrow

    def write_afterwards(out, part, bound):
        bad = narrow(out, part, bound)
        values[3] = 2**20
        return bad

    monkeypatch.setattr(_rlwe_public.codec, "narrow", write_afterwards)
    c = encrypt(params, values)
    assert values[3] == 2**20
    assert not decrypt(c).any()


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"n_slots": 101}, "other parameters"),
        ({"value_bits": 15}, "other parameters"),
        ({"max_summands": 63}, "other parameters"),
        ({"max_square_sum": 65}, "other parameters"),
        ({"name": Q40}, "other parameters"),
    ],
)
def test_mixing_parameters_is_refused(change, message):
    params, other = make_params(), make_params(**change)
    c = encrypt(other, np.zeros(other.n_slots, np.int64))
    total, theirs = empty_sum(params), empty_sum(other)
    theirs.add(c)
    total.add(encrypt(params, np.zeros(100, np.int64)))
    before = state(total)
    for attempt in (
        lambda: total.add(c),
        lambda: total.add_bytes(c.to_bytes()),
        lambda: total.add_from(io.BytesIO(c.to_bytes())),
        lambda: total.merge(theirs),
    ):
        with pytest.raises(ParameterError, match=message):
            attempt()
        assert state(total) == before
    with pytest.raises(DecodeError, match="other parameters"):
        rlwe.Ciphertext.from_bytes(c.to_bytes(), params)


def test_mixing_keys_is_refused():
    params, stranger = make_params(), rlwe.keygen(Q50)
    c = stranger.public_key.encrypt(np.zeros(100, np.int64), params)
    theirs = rlwe.CiphertextSum(params, stranger.public_key.key_id)
    theirs.add(c)
    total = empty_sum(params)
    before = state(total)
    for attempt in (
        lambda: total.add(c),
        lambda: total.add_bytes(c.to_bytes()),
        lambda: total.add_from(io.BytesIO(c.to_bytes())),
        lambda: total.merge(theirs),
    ):
        with pytest.raises(ParameterError, match="of another key"):
            attempt()
        assert state(total) == before
    for bad in (c, theirs, total):
        with pytest.raises(ParameterError, match=r"of another key|nothing was added"):
            secret_key().decrypt(bad)


def test_adding_beyond_the_declaration_is_refused():
    params = make_params(100, max_summands=8, max_square_sum=20)
    c = encrypt(params, np.full(100, extreme(params)))
    total = empty_sum(params)
    total.add(c, 4)
    before = state(total)
    for weight, message in (
        (5, "sum of weights at most 8"),
        (-5, "sum of weights at most 8"),
        (3, "sum of squared weights at most 20"),
        (-3, "sum of squared weights at most 20"),
        (2**24 - 1, "sum of weights at most 8"),
    ):
        for attempt in (
            lambda w=weight: total.add(c, w),
            lambda w=weight: total.add_bytes(c.to_bytes(), w),
            lambda w=weight: total.add_from(io.BytesIO(c.to_bytes()), w),
        ):
            with pytest.raises(RangeError, match=message):
                attempt()
            assert state(total) == before
    total.add(c, -2)
    assert np.array_equal(decrypt(total), np.full(100, 2 * extreme(params)))
    with pytest.raises(RangeError, match="squared weights"):
        total.add(c)
    with pytest.raises(RangeError, match="sum of weights"):
        total.merge(total)


def test_compressions_beyond_the_declaration_are_refused():
    params = make_params(100, max_summands=4, max_square_sum=8)
    full = empty_sum(params)
    for i in range(4):
        full.add(encrypt(params, random_values(params, i)))
    once = full.compress()
    assert (once.weight_sum, once.square_sum, once.compressions) == (4, 4, 1)
    assert once != full.compress()
    again = empty_sum(params)
    again.add(once)
    with pytest.raises(RangeError, match="and 3 for a compression, at most 8"):
        again.compress()
    assert np.array_equal(decrypt(again), decrypt(full))
    # Below the declaration there is room for more.
    few = empty_sum(params)
    few.add(encrypt(params, random_values(params)))
    for compressions in (1, 2):
        c = few.compress()
        assert c.compressions == compressions
        few = empty_sum(params)
        few.add(c)
    with pytest.raises(RangeError, match="and 3 for a compression, at most 8"):
        few.compress()
    assert np.array_equal(decrypt(few), random_values(params))
    # A full sum whose declaration is used up is not compressed.
    params = make_params(100, max_summands=1)
    with pytest.raises(RangeError, match="at most 1"):
        rlwe.CiphertextSum.from_bytes(
            rlwe.add([encrypt(params, random_values(params))]).to_bytes(), params
        ).compress()


def test_weights_of_another_kind_are_refused():
    params = make_params(10)
    c, total = encrypt(params, np.zeros(10, np.int64)), empty_sum(params)
    before = state(total)
    for bad in (0, 2**24, -(2**24)):
        with pytest.raises(ParameterError, match="weight: 1 to 16777215"):
            total.add(c, bad)
    for bad in (True, 1.0, np.int64(1), None, "1"):
        with pytest.raises(TypeError, match="weight: int"):
            total.add(c, bad)
    for bad in (None, c.to_bytes(), total):
        with pytest.raises(TypeError, match="ciphertext: Ciphertext"):
            total.add(bad)
    with pytest.raises(TypeError, match="other: CiphertextSum"):
        total.merge(c)
    for bad in (None, 3, "c"):
        with pytest.raises(TypeError, match="ciphertext: bytes or another buffer"):
            total.add_bytes(bad)
    with pytest.raises(TypeError, match="contiguous"):
        total.add_bytes(np.frombuffer(c.to_bytes(), np.uint8)[::2])
    for bad in (None, io.StringIO(), b""):
        with pytest.raises(TypeError, match="file: seekable binary file"):
            total.add_from(bad)
    assert state(total) == before


def test_adding_nothing_gives_nothing():
    total = empty_sum(make_params(10))
    for attempt in (total.to_bytes, total.to_ciphertext, lambda: total.write_to(io.BytesIO())):
        with pytest.raises(ParameterError, match="nothing was added"):
            attempt()
    with pytest.raises(ParameterError, match="nothing was added"):
        secret_key().decrypt(total)
    with pytest.raises(ParameterError, match="at least one"):
        rlwe.add([])
    c = encrypt(total.params, np.zeros(10, np.int64))
    with pytest.raises(ParameterError, match="as many as ciphertexts"):
        rlwe.add([c], [1, 2])
    with pytest.raises(TypeError, match="Ciphertext expected"):
        rlwe.add([c.to_bytes()])
    assert state(pickle.loads(pickle.dumps(total))) == state(total)


def test_a_malformed_summand_leaves_the_sum_unchanged():
    params = make_params(2048 * 20, max_summands=1024)
    c, total = encrypt(params, random_values(params)), empty_sum(params)
    total.add(c)
    before = state(total)
    good = c.to_bytes()
    bad_end = good[:-5] + b"\xff" * 5  # the last number of c1, in the last block
    for bad in (bad_end, good[:-1], good + b"\0", good[:79], b"", b"\2" + good[1:]):
        with pytest.raises(DecodeError):
            total.add_bytes(bad)
        with pytest.raises(DecodeError):
            total.add_bytes(bad, threads=3)
        with pytest.raises(DecodeError):
            total.add_from(io.BytesIO(bad))
        assert state(total) == before
    total.add_bytes(good, -1)
    assert not decrypt(total).any()


def test_a_file_that_changes_between_the_passes_closes_the_sum():
    params = make_params(2048 * 20, max_summands=1024)
    c, total = encrypt(params, random_values(params)), empty_sum(params)

    class Changing(io.BytesIO):
        passes = 0

        def seek(self, *where):
            if where == (80,):
                self.passes += 1
                if self.passes == 2:
                    self.getbuffer()[-5:] = b"\xff" * 5
            return super().seek(*where)

    with pytest.raises(DecodeError):
        total.add_from(Changing(c.to_bytes()))
    for attempt in (
        lambda: total.add(c),
        lambda: total.merge(empty_sum(params)),
        lambda: empty_sum(params).merge(total),
        total.to_ciphertext,
        total.compress,
        lambda: secret_key().decrypt(total),
    ):
        with pytest.raises(ParameterError, match="of no use"):
            attempt()


def test_a_file_that_ends_early_is_refused():
    params = make_params(2048 * 20)
    c, total = encrypt(params, random_values(params)), empty_sum(params)

    class Short(io.BytesIO):
        def readinto(self, out):
            return 0 if self.tell() > 100_000 else super().readinto(out)

    before = state(total)
    with pytest.raises(DecodeError, match="ends early"):
        total.add_from(Short(c.to_bytes()))
    assert state(total) == before

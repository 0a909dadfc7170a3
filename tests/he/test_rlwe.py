"""Public-key encryption: encrypt, add with weights, decrypt, and everything that is refused on the way."""

import io
import mmap
import pickle

import numpy as np
import pytest

from sottovoce._ext.errors import DecodeError, OverflowDetected, ParameterError, RangeError
from sottovoce.he import Codec, rlwe
from support.rlwe_world import (
    ALL_SETS,
    Q40,
    Q50,
    Q100,
    decrypt,
    empty_sum,
    encrypt,
    extreme,
    make_params,
    random_values,
    secret_key,
    state,
)


@pytest.mark.parametrize("name", ALL_SETS)
@pytest.mark.parametrize("n_slots", [1, 2047, 2048, 4097, 12289, 8 * 2048 + 1, 3 * 16 * 4096 + 5])
def test_every_set_and_length(name, n_slots):
    params = make_params(n_slots, name=name)
    xs = [random_values(params, i) for i in range(2)]
    cs = [encrypt(params, x) for x in xs]
    assert [len(c.to_bytes()) for c in cs] == [params.ciphertext_bytes] * 2
    for c, x in zip(cs, xs, strict=True):
        opened = decrypt(c)
        assert opened.dtype == np.int64
        assert np.array_equal(opened, x)
    total = rlwe.add(cs, [2, -3])
    assert len(total.to_bytes()) == params.sum_bytes
    assert np.array_equal(decrypt(total), 2 * xs[0] - 3 * xs[1])


@pytest.mark.parametrize("name", ALL_SETS)
@pytest.mark.parametrize(
    ("bits", "n"), [(4, 1), (4, 9), (8, 2), (8, 9), (16, 1), (16, 2), (16, 9), (24, 1), (24, 2)]
)
def test_every_width_of_values(name, bits, n):
    params = make_params(5000, name=name, value_bits=bits, max_summands=n, max_square_sum=n + 3)
    total, expected = empty_sum(params), 0
    for i in range(n):
        x = random_values(params, i)
        total.add(encrypt(params, x))
        expected = expected + x
    assert np.array_equal(decrypt(total), expected)
    assert np.array_equal(decrypt(total.compress()), expected)


@pytest.mark.parametrize("name", ALL_SETS)
@pytest.mark.parametrize("pattern", ["plus", "minus", "alternating slots", "alternating weights"])
def test_extremes_are_exact(name, pattern):
    params = make_params(3 * 4096, name=name, max_summands=64, max_square_sum=67)
    signs = np.ones(params.n_slots, np.int64)
    if pattern == "minus":
        signs = -signs
    elif pattern == "alternating slots":
        signs[::2] = -1
    c = [encrypt(params, sign * extreme(params) * signs) for sign in (1, -1)]
    total = empty_sum(params)
    for i in range(64):
        # -1 times the vector of the other sign: all pull the same way
        total.add(*((c[1], -1) if pattern == "alternating weights" and i % 2 else (c[0], 1)))
        c = [encrypt(params, sign * extreme(params) * signs) for sign in (1, -1)]
    expected = 64 * extreme(params) * signs
    for opened in (decrypt(total), decrypt(total.to_ciphertext()), decrypt(total.compress())):
        assert np.array_equal(opened, expected)


def test_one_weight_of_everything():
    params = make_params(5000, max_summands=64, max_square_sum=64**2 + 3, name=Q100)
    x = np.full(5000, -extreme(params))
    total = empty_sum(params)
    total.add(encrypt(params, x), -64)
    assert (total.weight_sum, total.square_sum, total.compressions) == (64, 4096, 0)
    for c in (total, total.compress()):
        assert np.array_equal(decrypt(c), -64 * x)


def test_sums_of_sums():
    params = make_params(3000, max_summands=64, max_square_sum=200)
    xs = [random_values(params, i) for i in range(4)]
    cs = [encrypt(params, x) for x in xs]
    left, right = empty_sum(params), empty_sum(params)
    left.add(cs[0], 2)
    left.add(cs[1], -1)
    right.add(cs[2])
    right.add(cs[3], 3)
    total = empty_sum(params)
    total.add(left.to_ciphertext(), -2)
    total.add(right.compress(), 3)
    assert (total.weight_sum, total.square_sum, total.compressions) == (6 + 12, 4 * 5 + 9 * 10, 9)
    expected = -2 * (2 * xs[0] - xs[1]) + 3 * (xs[2] + 3 * xs[3])
    assert np.array_equal(decrypt(total), expected)
    total.merge(right)
    assert np.array_equal(decrypt(total), expected + xs[2] + 3 * xs[3])
    right.merge(right)
    assert np.array_equal(decrypt(right), 2 * (xs[2] + 3 * xs[3]))


def test_order_and_grouping_do_not_matter():
    params = make_params(3000)
    cs = [encrypt(params, random_values(params, i)) for i in range(5)]
    one, two, rest = empty_sum(params), empty_sum(params), empty_sum(params)
    for c in cs:
        one.add(c)
    for c in cs[3:]:
        rest.add(c)
    for c in cs[2::-1]:
        two.add(c)
    two.merge(rest)
    assert one.digest == two.digest
    assert one.to_bytes() == two.to_bytes() == rlwe.add(cs).to_bytes()
    assert rlwe.add(cs).digest == one.digest


def test_codec_to_mean():
    codec = Codec(0.1, max_summands=64)
    params = make_params(301)
    rng = np.random.default_rng(7)
    xs = [rng.normal(scale=0.05, size=300) for _ in range(5)]
    total = rlwe.add([encrypt(params, codec.quantize(x)) for x in xs])
    mean, weights = codec.dequantize(decrypt(total), 5)
    assert weights == 5 * codec.max_weight
    assert np.abs(mean - np.mean(np.clip(xs, -0.1, 0.1), axis=0)).max() < 0.1 / codec.max_weight


def test_encryption_is_randomised():
    params = make_params(10)
    x = np.zeros(10, np.int64)
    assert encrypt(params, x) != encrypt(params, x)
    assert rlwe.keygen(Q50) != rlwe.keygen(Q50)


# -- threads, buffers, files --------------------------------------------------------------------
@pytest.mark.parametrize("name", [Q50, Q100])
def test_threads_give_equal_bytes(name):
    params = make_params(16 * 4096 * 5 + 3, name=name, max_square_sum=80)
    x = random_values(params)
    c = encrypt(params, x, seed=1)
    assert all(encrypt(params, x, seed=1, threads=t) == c for t in (2, 3, 8))
    sums = []
    for t in (1, 3):
        total = empty_sum(params)
        total.add(c, 3, threads=t)
        total.add_bytes(c.to_bytes(), -1, threads=t)
        total.merge(total, threads=t)
        sums.append((total.to_ciphertext(threads=t), total._compress_derand(t, bytes(32))))
        assert np.array_equal(decrypt(total, threads=t), 4 * x)
        assert np.array_equal(decrypt(c, threads=t), x)
    assert sums[0] == sums[1]


def test_values_of_any_stride_and_alignment():
    params = make_params(5000)
    x = random_values(params)
    wide = np.zeros((5000, 3), np.int64)
    wide[:, 1] = x
    raw = np.zeros(8 * 5000 + 1, np.uint8)
    odd = raw[1:].view(np.int64)
    odd[:] = x
    back = x[::-1].copy()[::-1]
    x.flags.writeable = False
    expected = encrypt(params, x, seed=5)
    assert all(encrypt(params, y, seed=5) == expected for y in (wide[:, 1], odd, back))


def test_encrypt_into_buffers_and_files(tmp_path):
    params = make_params(2048 * 20 + 1)
    x, public = random_values(params), secret_key().public_key
    outs = [bytearray(params.ciphertext_bytes), np.zeros(params.ciphertext_bytes, np.uint8), io.BytesIO()]
    for out in outs:
        public.encrypt_into(x, params, out, threads=2)
    path = tmp_path / "c"
    path.write_bytes(bytes(params.ciphertext_bytes))
    with path.open("r+b") as file, mmap.mmap(file.fileno(), 0) as mapped:
        public.encrypt_into(x, params, mapped)
    with (tmp_path / "d").open("wb", buffering=0) as file:
        public.encrypt_into(x, params, file)
    datas = [bytes(outs[0]), outs[1].tobytes(), outs[2].getvalue(), path.read_bytes()]
    datas.append((tmp_path / "d").read_bytes())
    for data in datas:
        assert np.array_equal(decrypt(rlwe.Ciphertext.from_bytes(data, params)), x)
    assert len(set(datas)) == 5
    for bad in (bytearray(params.ciphertext_bytes - 1), bytes(params.ciphertext_bytes)):
        with pytest.raises(ParameterError, match="out: a writable, contiguous buffer"):
            public.encrypt_into(x, params, bad)
    with pytest.raises(ParameterError, match="not open for writing"), path.open("rb") as file:
        public.encrypt_into(x, params, file)
    for bad in (None, io.StringIO(), 3):
        with pytest.raises(TypeError, match="out: writable buffer or binary file"):
            public.encrypt_into(x, params, bad)


def test_sums_from_buffers_and_files(tmp_path):
    params = make_params(2048 * 20 + 1)
    x = random_values(params)
    fresh, total = encrypt(params, x), empty_sum(params)
    lossless = rlwe.add([fresh])
    for c in (fresh, lossless):
        total.add_bytes(bytearray(c.to_bytes()))
        total.add_bytes(np.frombuffer(c.to_bytes(), np.uint8), -3)
        file = io.BytesIO(b"before" + c.to_bytes())
        file.seek(6)
        total.add_from(file, 4)
        path = tmp_path / "c"
        path.write_bytes(c.to_bytes())
        with path.open("rb", buffering=0) as raw:
            total.add_from(raw)
    assert (total.weight_sum, total.square_sum) == (18, 2 * (1 + 9 + 16 + 1))
    assert np.array_equal(decrypt(total), 6 * x)
    out = io.BytesIO()
    total.write_to(out, threads=2)
    buffer = bytearray(params.sum_bytes)
    total.write_to(buffer)
    assert out.getvalue() == bytes(buffer) == total.to_bytes()
    again = rlwe.CiphertextSum.from_bytes(total.to_bytes(), params)
    assert state(again) == state(total)


def test_decrypt_into():
    params = make_params(2048 * 9 + 1)
    x = random_values(params)
    c, out = encrypt(params, x), np.ones(params.n_slots, np.int64)
    secret_key().decrypt_into(c, out, threads=2)
    assert np.array_equal(out, x)
    readonly = out.copy()
    readonly.flags.writeable = False
    for bad in (out[:-1], out[::-1], readonly, out.reshape(-1, 1)):
        with pytest.raises(ParameterError, match="out: "):
            secret_key().decrypt_into(c, bad)
    for bad in ([0] * params.n_slots, out.astype(np.int32), np.ma.masked_array(out), None):
        with pytest.raises(TypeError, match="out: "):
            secret_key().decrypt_into(c, bad)


def test_a_sum_takes_the_memory_of_one():
    params = make_params(2048 * 10)
    total = empty_sum(params)
    before = total._total.nbytes
    for i in range(20):
        total.add(encrypt(params, random_values(params, i)))
    assert total._total.nbytes == before == 2 * 8 * 2048 * 10


# -- refusals -----------------------------------------------------------------------------------
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


# -- decryption refuses -------------------------------------------------------------------------
def forged(params, weight_sum=None, shift=0, at=0, value=0):
    """A ciphertext with a fault in its plaintext: ``shift`` in the phase, or ``value`` in a slot."""
    total = empty_sum(params)
    total.add(encrypt(params, np.zeros(params.n_slots, np.int64)))
    for plane, p in zip(total._total[0], params._set.primes, strict=True):
        flat = plane.reshape(-1)
        flat[at] = (int(flat[at]) + shift + (value << params.scale_bits)) % p
    return total


@pytest.mark.parametrize("name", ALL_SETS)
def test_noise_beyond_the_bound_is_refused(name):
    params = make_params(100, name=name, value_bits=8, max_summands=256)
    noise = params.max_noise(1, 1)
    assert noise < 1 << (params.scale_bits - 3)  # one ciphertext has far less than a full sum may have
    for shift in (2 * noise, -2 * noise, 1 << (params.scale_bits - 1)):
        with pytest.raises(OverflowDetected) as caught:
            decrypt(forged(params, shift=shift))
        assert caught.value.__cause__ is None
    assert not decrypt(forged(params, shift=1)).any()


def test_slots_beyond_the_weights_are_refused():
    params = make_params(100, max_summands=1024)
    for value in (extreme(params), -extreme(params)):
        assert decrypt(forged(params, at=7, value=value))[7] == value
    for value in (extreme(params) + 1, -extreme(params) - 1, 1 << 24):
        with pytest.raises(OverflowDetected):
            decrypt(forged(params, at=7, value=value))


def test_padding_that_is_not_zero_is_refused():
    params = make_params(100)
    for at in (100, 2047):
        for value in (1, -1):
            with pytest.raises(OverflowDetected):
                decrypt(forged(params, at=at, value=value))
    assert decrypt(forged(params, at=99, value=1))[99] == 1


def test_every_refusal_is_the_same_and_leaves_nothing():
    params = make_params(2048 * 20 + 100)
    end = params.n_elements * 2048
    messages = set()
    for fault in (
        {"shift": 1 << (params.scale_bits - 1)},
        {"value": 1 << 20},
        {"at": end - 1, "value": 1},
    ):
        out = np.ones(params.n_slots, np.int64)
        for threads in (1, 3):
            with pytest.raises(OverflowDetected) as caught:
                secret_key().decrypt_into(forged(params, **fault), out, threads=threads)
            messages.add(str(caught.value))
            assert not out.any()
    assert len(messages) == 1


def test_garbage_is_refused():
    for name in ALL_SETS:
        params = make_params(5000, name=name, value_bits=8, max_summands=256)
        total = empty_sum(params)
        total.add(encrypt(params, np.zeros(5000, np.int64)))
        for plane, p in zip(total._total[0], params._set.primes, strict=True):
            plane[...] = np.random.default_rng(1).integers(0, p, plane.shape, dtype=np.uint64)
        with pytest.raises(OverflowDetected):
            decrypt(total)


def test_decrypt_takes_ciphertexts_only():
    for bad in (None, b"", np.zeros(10), secret_key().public_key):
        with pytest.raises(TypeError, match="total: Ciphertext or CiphertextSum"):
            secret_key().decrypt(bad)


def test_a_ciphertext_added_twice_is_a_weight_of_two():
    # What the documentation warns of: counted as independent, its noise is underrated ...
    params = make_params(2048, max_summands=1024)
    c = encrypt(params, np.zeros(2048, np.int64), seed=1)
    total = empty_sum(params)
    for _ in range(1024):
        total.add(c)
    with pytest.raises(OverflowDetected):
        decrypt(total)
    # ... counted as a weight, it is refused beforehand.
    with pytest.raises(RangeError):
        empty_sum(params).add(c, 1024)


# -- objects ------------------------------------------------------------------------------------
def test_objects_are_immutable_and_compare_by_bytes():
    params = make_params(10)
    c, public = encrypt(params, np.zeros(10, np.int64), seed=3), secret_key().public_key
    assert c == rlwe.Ciphertext.from_bytes(c.to_bytes(), params) == pickle.loads(pickle.dumps(c))
    assert public == rlwe.PublicKey.from_bytes(public.to_bytes()) == pickle.loads(pickle.dumps(public))
    assert len({c, pickle.loads(pickle.dumps(c))}) == len({public, pickle.loads(pickle.dumps(public))}) == 1
    assert c != public
    assert params == pickle.loads(pickle.dumps(params))
    assert rlwe.params_of(c.to_bytes()) == params
    assert (c.key_id, c.compressed, c.weight_sum, c.square_sum, c.compressions) == (
        public.key_id,
        True,
        1,
        1,
        0,
    )
    assert c.fresh
    assert not rlwe.add([c]).fresh
    assert not rlwe.CiphertextSum.from_bytes(rlwe.add([c]).to_bytes(), params).compress().fresh
    for thing, name in ((c, "params"), (public, "set"), (secret_key(), "set")):
        with pytest.raises(AttributeError, match="immutable"):
            setattr(thing, name, None)
        with pytest.raises(AttributeError, match="immutable"):
            delattr(thing, name)
    for cls in (rlwe.Ciphertext, rlwe.PublicKey, rlwe.SecretKey):
        with pytest.raises(TypeError, match="made by"):
            cls()
    for bad in (None, bytearray(c.to_bytes()), "x"):
        for read in (
            lambda d: rlwe.Ciphertext.from_bytes(d, params),
            lambda d: rlwe.CiphertextSum.from_bytes(d, params),
            rlwe.PublicKey.from_bytes,
            rlwe.SecretKey.from_bytes,
            rlwe.params_of,
        ):
            with pytest.raises(TypeError, match="bytes expected"):
                read(bad)
    for bad in ("id", 3):
        with pytest.raises(TypeError, match="key_id"):
            rlwe.CiphertextSum(params, bad)
    with pytest.raises(ParameterError, match="key_id: 32 bytes"):
        rlwe.CiphertextSum(params, bytes(31))
    assert repr(c) == f"<rlwe.Ciphertext compressed of 1, {params.ciphertext_bytes} bytes>"
    assert repr(rlwe.add([c, c])) == f"<rlwe.Ciphertext lossless of 2, {params.sum_bytes} bytes>"
    assert repr(empty_sum(params)) == "<rlwe.CiphertextSum of 0>"


@pytest.mark.parametrize(
    ("field", "value", "message"),
    [
        ("set", "RLWE", "set: one of"),
        ("n_slots", 0, "n_slots: 1 to"),
        ("n_slots", (1 << 31) + 1, "n_slots: 1 to 2147483648 expected"),
        ("value_bits", 3, "value_bits: 4 to 24"),
        ("value_bits", 25, "value_bits: 4 to 24"),
        ("max_summands", 0, "max_summands: 1 to"),
        ("max_summands", (1 << 24) + 1, "max_summands: 1 to"),
        ("max_square_sum", 63, "max_square_sum: 64 to"),
        ("max_square_sum", (1 << 50) + 1, "max_square_sum: 64 to 1125899906842624"),
    ],
)
def test_impossible_parameters_are_refused(field, value, message):
    fields = {"set": Q50, "n_slots": 10, "value_bits": 16, "max_summands": 64}
    if field == "n_slots" and value:
        fields["max_summands"] = 1024
    with pytest.raises(ParameterError, match=message):
        rlwe.Params(**{**fields, field: value})
    for bad in (None, 1.0, True, "16"):
        if field != "set" and not (field == "max_square_sum" and bad is None):
            with pytest.raises(TypeError, match=f"{field}: int expected"):
                rlwe.Params(**{**fields, field: bad})


def test_unknown_sets_are_refused():
    for make in (rlwe.keygen, lambda name: rlwe.Params(name, 10, 16, 64)):
        with pytest.raises(ParameterError, match="set: one of"):
            make("RLWE_128_N8192_Q218")
        with pytest.raises(TypeError, match="set: str"):
            make(3)

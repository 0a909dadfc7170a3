"""Sums under RLWE: exact for every set, width and weight, in any order, to and from buffers and files."""

import io
import mmap

import numpy as np
import pytest

from sottovoce._ext.errors import ParameterError
from sottovoce.he import Codec, rlwe
from support.rlwe_world import (
    ALL_SETS,
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

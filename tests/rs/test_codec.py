"""What the docstrings of the codec promise: attributes, batches, erasures, threads, CCSDS blocks."""

import pickle
import threading

import numpy as np
import pytest

from sottovoce.rs import CcsdsCodec, DecodedBatch, ReedSolomonError, RSCodec
from sottovoce.rs._codec_ccsds import TO_DUAL


def damage(words, rng, errors, erasures=0):
    """So many errors and erasures in every word; the flags of the latter."""
    received, flags = words.copy(), np.zeros(words.shape, np.bool_)
    for word, erased in zip(received, flags, strict=True):
        places = rng.permutation(len(word))[: errors + erasures]
        word[places] ^= rng.integers(1, 256, len(places), np.uint8).astype(word.dtype)
        erased[places[errors:]] = True
    return received, flags


def test_attributes_repr_and_pickle():
    codec = RSCodec(8, 100, fcr=3, prim=0x187, generator=0xAD, single_gen=False)
    assert repr(codec) == "RSCodec(nsym=8, nsize=100, fcr=3, prim=0x187, generator=173, c_exp=8)"
    again = pickle.loads(pickle.dumps(codec))
    assert repr(again) == repr(codec)
    assert again.encode(b"x") == codec.encode(b"x")
    assert len(again.gen) == 100
    with pytest.raises(AttributeError):
        codec.nsym = 9


def test_generator_polynomials_are_looked_up_like_a_dictionary():
    gen = RSCodec(4, 20).gen
    assert list(gen) == [4]
    assert len(gen[4]) == 5
    with pytest.raises(KeyError):
        gen[5]
    every = RSCodec(4, 20, single_gen=False).gen
    assert list(every) == list(range(20))
    assert every[0] == bytearray([1])


def test_chunk_cuts_a_sequence():
    assert list(RSCodec(2).chunk(b"abcdefg", 3)) == [b"abc", b"def", b"g"]


def test_places_are_erasures_as_given_and_then_errors_descending_for_each_word():
    codec = RSCodec(10, 30)
    words = codec.encode(bytes(range(50)))
    for p in (2, 11, 29, 30, 34, 59):
        words[p] ^= 255
    message, full, places = codec.decode(words, erase_pos=[29, 5, 34])
    assert message == bytes(range(50))
    assert codec.check(full) == [True, True, True]
    assert list(places) == [29, 5, 11, 2, 4, 29, 0]


def test_the_word_at_fault_is_named():
    codec = RSCodec(4, 20)
    words = codec.encode(bytes(60))
    words[41:44] = b"xyz"
    with pytest.raises(ReedSolomonError, match="word 2: more errors than 4 parity symbols correct") as caught:
        codec.decode(words)
    assert caught.value.word == 2
    words[20:24] = b"abcd"
    with pytest.raises(ReedSolomonError, match="word 1: more errors beside 3 erasures than 4"):
        codec.decode(words[:40], erase_pos=[25, 26, 27])
    with pytest.raises(ReedSolomonError, match="word 1: 4 parity symbols correct at most 4 erasures, got 5"):
        codec.decode(words, erase_pos=[20, 21, 22, 23, 24])


# ---- batches ----


@pytest.mark.parametrize("words", [1, 7, 8, 63, 64, 65, 300])
@pytest.mark.parametrize("threads", [1, 3])
def test_batch_is_what_encode_and_decode_do_word_by_word(words, threads):
    rng, codec = np.random.default_rng(words), RSCodec(9, fcr=1)
    messages = rng.integers(0, 256, (words, 40), np.uint8)
    coded = codec.encode_batch(messages, threads=threads)
    assert [bytes(codec.encode(m)) for m in messages] == [w.tobytes() for w in coded]
    received, flags = damage(coded, rng, 3, 3)
    received[::5] = coded[::5]
    result = codec.decode_batch(received, flags, threads=threads)
    assert np.array_equal(result.words, coded)
    assert np.array_equal(result.messages, messages)
    assert result.messages.base is result.words
    assert np.array_equal(result.changed, np.count_nonzero(received != coded, axis=1))
    assert result.ok.all()
    assert result.failed.size == 0
    assert result.changed.dtype == np.int32


def test_one_hopeless_word_does_not_stop_the_others():
    rng, codec = np.random.default_rng(1), RSCodec(16)
    coded = codec.encode_batch(rng.integers(0, 256, (50, 100), np.uint8))
    received, _ = damage(coded, rng, 8)
    hopeless = [3, 20, 49]
    received[hopeless] = damage(coded, rng, 60)[0][hopeless]
    result = codec.decode_batch(received)
    assert result.failed.tolist() == hopeless
    assert np.array_equal(result.words[hopeless], received[hopeless])
    assert np.array_equal(result.words[result.ok], coded[result.ok])
    assert (result.changed[result.ok] == 8).all()


def test_batches_write_where_they_are_told_and_in_place():
    rng, codec = np.random.default_rng(2), RSCodec(6)
    coded = np.zeros((30, 50), np.uint8)
    coded[:, :44] = rng.integers(0, 256, (30, 44))
    assert codec.encode_batch(coded[:, :44], out=coded) is coded
    received, _ = damage(coded, rng, 3)
    out = np.empty_like(received)
    result = codec.decode_batch(received, out=out)
    assert result.words is out
    assert np.array_equal(out, coded)
    assert not np.array_equal(received, coded)
    for threads in (1, 4):
        again = received.copy()
        assert codec.decode_batch(again, out=again, threads=threads).words is again
        assert np.array_equal(again, coded)


@pytest.mark.parametrize("form", ["list", "one row", "range", "numpy ints"])
def test_erasures_of_every_word_alike(form):
    rng, codec = np.random.default_rng(3), RSCodec(5)
    coded = codec.encode_batch(rng.integers(0, 256, (20, 30), np.uint8))
    received = coded.copy()
    received[:, 4:9] = 0
    row = np.zeros(35, np.bool_)
    row[4:9] = True
    erasures = {"list": [4, 5, 6, 7, 8], "one row": row, "range": range(4, 9), "numpy ints": np.arange(4, 9)}[
        form
    ]
    assert np.array_equal(codec.decode_batch(received, erasures).words, coded)


@pytest.mark.parametrize("c_exp", [4, 9, 12, 16])
def test_batches_in_other_fields(c_exp):
    rng, codec = np.random.default_rng(c_exp), RSCodec(4, 15, c_exp=c_exp)
    dtype = np.uint8 if c_exp <= 8 else np.uint16
    coded = codec.encode_batch(rng.integers(0, 1 << c_exp, (20, 11)).astype(dtype))
    received = coded.copy()
    received[:, 3] ^= 1
    received[:, 14] ^= 5
    result = codec.decode_batch(received)
    assert np.array_equal(result.words, coded)
    assert (result.changed == 2).all()


def test_codec_is_shared_between_threads():
    codec, rng = RSCodec(12), np.random.default_rng(4)
    coded = codec.encode_batch(rng.integers(0, 256, (200, 60), np.uint8))
    received, _ = damage(coded, rng, 6)
    right = []

    def work():
        right.extend(np.array_equal(codec.decode_batch(received).words, coded) for _ in range(5))

    threads = [threading.Thread(target=work) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert right == [True] * 20


def test_the_result_is_immutable():
    result = RSCodec(4).decode_batch(np.zeros((2, 10), np.uint8))
    assert isinstance(result, DecodedBatch)
    with pytest.raises(AttributeError):
        result.changed = None


# ---- CCSDS ----


@pytest.mark.parametrize("nsym", [32, 16])
@pytest.mark.parametrize("depth", [1, 2, 3, 4, 5, 8])
@pytest.mark.parametrize("dual_basis", [True, False])
def test_a_burst_in_a_ccsds_block_is_shared_out_and_repaired(nsym, depth, dual_basis):
    codec = CcsdsCodec(nsym, depth, dual_basis=dual_basis)
    data = np.random.default_rng(depth).integers(0, 256, depth * (255 - nsym), np.uint8)
    block = bytearray(codec.encode(data))
    assert len(block) == 255 * depth
    assert block[: len(data)] == data.tobytes()
    start, length = 100, depth * nsym // 2
    block[start : start + length] = bytes(b ^ 0x55 for b in block[start : start + length])
    repaired, changed = codec.decode(block)
    assert repaired == data.tobytes()
    assert changed.tolist() == [nsym // 2] * depth
    block[start + length : start + length + 1] = bytes([block[start + length] ^ 1])
    with pytest.raises(ReedSolomonError):
        codec.decode(block)


def test_ccsds_erasures_and_batches():
    codec = CcsdsCodec(32, 4)
    data = np.random.default_rng(5).integers(0, 256, (6, 4 * 100), np.uint8)
    blocks = codec.encode_batch(data)
    received = blocks.copy()
    received[:, 40:168] = 0xEE
    result = codec.decode_batch(received, range(40, 168))
    assert np.array_equal(result.words, blocks)
    assert np.array_equal(result.messages, data)
    assert result.changed.shape == (24,)
    flags = np.zeros(received.shape, np.bool_)
    flags[:, 40:168] = True
    assert np.array_equal(codec.decode_batch(received, flags, threads=2).words, blocks)
    assert codec.decode_batch(received).failed.size == 24
    assert np.array_equal(codec.decode_batch(received).words, received)


def test_dual_basis_changes_bytes_and_not_the_code():
    dual, plain = CcsdsCodec(), CcsdsCodec(dual_basis=False)
    data = bytes(range(223))
    assert dual.encode(data) != plain.encode(data)
    mapped = TO_DUAL[np.frombuffer(plain.encode(data), np.uint8)]
    assert dual.encode(TO_DUAL[np.frombuffer(data, np.uint8)]) == mapped.tobytes()
    assert repr(dual) == "CcsdsCodec(nsym=32, depth=1, dual_basis=True)"
    assert (dual.codec.nsym, dual.depth, dual.dual_basis) == (32, 1, True)
